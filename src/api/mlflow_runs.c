/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow: runs, their params, metrics, tags, inputs and outputs, and the search over them. */
#include <stdio.h>

#include "api/mlflow_wire.h"
#include "base/limits.h"
#include "track/experiments.h"
#include "track/runs.h"

/* A page of runs ends when it has grown to this, however many were asked for: clients follow
 * tokens. */
#define PAGE_BYTES (32 * GY_MIB)

#define MAX_DATASET_EXPERIMENTS 20

static const char *const g_statuses[] = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"};

/* ---- answers ---- */

static void write_info(struct gy_jw *w, const struct gy_run *r)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "run_id", r->id);
    gy_jw_kv_str(w, "run_uuid", r->id);
    gy_jw_kv_str(w, "run_name", r->name);
    gy_jw_key(w, "experiment_id");
    gy_jw_strf(w, "%lld", (long long)r->experiment_id);
    gy_jw_kv_str(w, "user_id", r->user_id);
    gy_jw_kv_str(w, "status", r->status);
    gy_jw_kv_i64(w, "start_time", r->start_ms);
    if (r->end_ms) {
        gy_jw_kv_i64(w, "end_time", r->end_ms);
    }
    gy_jw_kv_str(w, "artifact_uri", r->artifact_uri);
    gy_jw_kv_strc(w, "lifecycle_stage", r->deleted ? "deleted" : "active");
    gy_jw_obj_end(w);
}

static void write_metric(struct gy_jw *w, const struct gy_metric *m, struct gy_str run_id)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "key", m->key);
    gy_jw_kv_f64(w, "value", m->value);
    gy_jw_kv_i64(w, "timestamp", m->ts_ms);
    gy_jw_kv_i64(w, "step", m->step);
    gy_mf_kv(w, "run_id", run_id);
    gy_jw_obj_end(w);
}

static void write_models(struct gy_jw *w, const char *key, const struct gy_run_model *models,
                         size_t n, bool step)
{
    if (n == 0) {
        return;
    }
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "model_id", models[i].model_id);
        if (step) {
            gy_jw_kv_i64(w, "step", models[i].step);
        }
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static void write_inputs(struct gy_jw *w, const struct gy_run *r, bool model_inputs)
{
    gy_jw_obj(w);
    if (r->n_inputs > 0) {
        gy_jw_key(w, "dataset_inputs");
        gy_jw_arr(w);
        for (size_t i = 0; i < r->n_inputs; i++) {
            const struct gy_run_dataset *d = &r->inputs[i];
            gy_jw_obj(w);
            gy_mf_tags_out(w, "tags", d->tags, d->n_tags);
            gy_jw_key(w, "dataset");
            gy_jw_obj(w);
            gy_jw_kv_str(w, "name", d->name);
            gy_jw_kv_str(w, "digest", d->digest);
            gy_jw_kv_str(w, "source_type", d->source_type);
            gy_jw_kv_str(w, "source", d->source);
            gy_mf_kv(w, "schema", d->schema);
            gy_mf_kv(w, "profile", d->profile);
            gy_jw_obj_end(w);
            gy_jw_obj_end(w);
        }
        gy_jw_arr_end(w);
    }
    if (model_inputs) {
        write_models(w, "model_inputs", r->model_inputs, r->n_model_inputs, false);
    }
    gy_jw_obj_end(w);
}

void gy_mf_write_run(struct gy_jw *w, const struct gy_run *r, enum gy_mf_run_parts parts)
{
    gy_jw_obj(w);
    gy_jw_key(w, "info");
    write_info(w, r);
    gy_jw_key(w, "data");
    gy_jw_obj(w);
    if (r->n_metrics > 0) {
        gy_jw_key(w, "metrics");
        gy_jw_arr(w);
        for (size_t i = 0; i < r->n_metrics; i++) {
            write_metric(w, &r->metrics[i], GY_STR_NULL);
        }
        gy_jw_arr_end(w);
    }
    gy_mf_tags_out(w, "params", r->params, r->n_params);
    gy_mf_tags_out(w, "tags", r->tags, r->n_tags);
    gy_jw_obj_end(w);
    gy_jw_key(w, "inputs");
    write_inputs(w, r, parts == GY_MF_RUN_WHOLE);
    if (parts != GY_MF_RUN_NEW) {
        gy_jw_key(w, "outputs");
        gy_jw_obj(w);
        write_models(w, "model_outputs", r->model_outputs, r->n_model_outputs, true);
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
}

static void answer_run(struct gy_mf_call *c, const struct gy_run *r, enum gy_mf_run_parts parts)
{
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "run");
    gy_mf_write_run(&c->w, r, parts);
    gy_jw_obj_end(&c->w);
}

struct search {
    struct gy_run_query q;
    int64_t *experiment_ids; /* q's */
};

static gy_status parse_experiment_ids(struct gy_mf_call *c, const struct gy_str *ids, size_t n,
                                      struct search *s, struct gy_err *err)
{
    int64_t *numbers = gy_arena_calloc(c->arena, n + 1, sizeof *numbers);
    if (!numbers) {
        return gy_track_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_track_parse_experiment_id(ids[i], &numbers[i], err));
    }
    s->q.experiment_ids = s->experiment_ids = numbers;
    s->q.n_experiment_ids = n;
    return GY_OK;
}

/* ---- create, get, update, delete ---- */

static gy_status parse_create(struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_run_new *x = c->in = gy_arena_calloc(c->arena, 1, sizeof *x);
    struct gy_str id;
    struct gy_tag *tags = NULL;
    if (!x) {
        return gy_track_nomem(err);
    }
    GY_TRY(GY_MF_STR(c, "experiment_id", GY_MF_OPTIONAL, &id));
    if (id.n > 0) {
        GY_TRY(gy_track_parse_experiment_id(id, &x->experiment_id, err));
    }
    GY_TRY(GY_MF_STR(c, "user_id", GY_MF_OPTIONAL, &x->user_id));
    GY_TRY(GY_MF_STR(c, "run_name", GY_MF_OPTIONAL, &x->name));
    GY_TRY(gy_mf_i64(c->args, NULL, "start_time", GY_MF_OPTIONAL, 0, &x->start_ms, err));
    GY_TRY(gy_mf_tags(c, c->args, "tags", GY_TRACK_MAX_BATCH, &tags, &x->n_tags, err));
    x->tags = tags;
    return GY_OK;
}

static gy_status run_create(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_run r;
    GY_TRY(gy_run_create(db, c->in, c->req->actor, c->arena, &r, err));
    answer_run(c, &r, GY_MF_RUN_NEW);
    return GY_OK;
}

/* One run, and what is to be done to it. */
struct target {
    struct gy_str run_id;
    struct gy_run_change change;
    struct gy_str model_json;
    struct gy_run_batch batch;
    struct gy_metric metric;
    struct gy_tag pair;
    struct gy_run_dataset *datasets;
    size_t n_datasets;
    struct gy_run_model *models;
    size_t n_models;
};

/* run_uuid is the older name of run_id. */
static gy_status parse_run_id(struct gy_mf_call *c, struct gy_err *err)
{
    struct target *x = c->in = gy_arena_calloc(c->arena, 1, sizeof *x);
    if (!x) {
        return gy_track_nomem(err);
    }
    GY_TRY(GY_MF_STR(c, "run_id", GY_MF_OPTIONAL, &x->run_id));
    if (x->run_id.n == 0) {
        GY_TRY(GY_MF_STR(c, "run_uuid", GY_MF_OPTIONAL, &x->run_id));
    }
    if (x->run_id.n == 0) {
        return GY_MF_STR(c, "run_id", GY_MF_REQUIRED, &x->run_id);
    }
    return GY_OK;
}

static gy_status run_get(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_run r;
    GY_TRY(gy_run_get(db, ((struct target *)c->in)->run_id, true, c->arena, &r, err));
    answer_run(c, &r, GY_MF_RUN_WHOLE);
    return GY_OK;
}

static gy_status parse_update(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_run_id(c, err));
    struct gy_run_change *x = &((struct target *)c->in)->change;
    int64_t status = 0;
    GY_TRY(gy_mf_enum(c->args, "status", g_statuses, 5, &status, err));
    if (status > 0) {
        x->status = gy_str_c(g_statuses[status - 1]);
    }
    GY_TRY(gy_mf_i64(c->args, NULL, "end_time", GY_MF_OPTIONAL, 0, &x->end_ms, err));
    return GY_MF_STR(c, "run_name", GY_MF_OPTIONAL, &x->name);
}

static gy_status run_update(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct target *x = c->in;
    struct gy_run r;
    GY_TRY(gy_run_update(db, x->run_id, &x->change, err));
    GY_TRY(gy_run_get(db, x->run_id, false, c->arena, &r, err));
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "run_info");
    write_info(&c->w, &r);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status run_delete(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    return gy_run_set_deleted(db, ((struct target *)c->in)->run_id, true, err);
}

static gy_status run_restore(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    return gy_run_set_deleted(db, ((struct target *)c->in)->run_id, false, err);
}

/* ---- logging ---- */

static gy_status parse_metric(yyjson_val *v, const char *prefix, struct gy_metric *m,
                              struct gy_err *err)
{
    GY_TRY(gy_mf_str(v, prefix, "key", GY_MF_REQUIRED, &m->key, err));
    GY_TRY(gy_mf_f64(v, prefix, "value", GY_MF_REQUIRED, &m->value, err));
    GY_TRY(gy_mf_i64(v, prefix, "timestamp", GY_MF_REQUIRED, 0, &m->ts_ms, err));
    GY_TRY(gy_mf_i64(v, prefix, "step", GY_MF_OPTIONAL, 0, &m->step, err));
    GY_TRY(gy_mf_str(v, prefix, "model_id", GY_MF_OPTIONAL, &m->model_id, err));
    GY_TRY(gy_mf_str(v, prefix, "dataset_name", GY_MF_OPTIONAL, &m->dataset_name, err));
    return gy_mf_str(v, prefix, "dataset_digest", GY_MF_OPTIONAL, &m->dataset_digest, err);
}

static gy_status parse_log_metric(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_run_id(c, err));
    struct target *x = c->in;
    GY_TRY(parse_metric(c->args, NULL, &x->metric, err));
    x->batch.metrics = &x->metric;
    x->batch.n_metrics = 1;
    return gy_metric_check(&x->metric, "", err);
}

static gy_status parse_pair(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_run_id(c, err));
    struct target *x = c->in;
    GY_TRY(GY_MF_STR(c, "key", GY_MF_REQUIRED, &x->pair.key));
    GY_TRY(GY_MF_STR(c, "value", GY_MF_OPTIONAL, &x->pair.value));
    return gy_track_check_key(x->pair.key, "key", err);
}

static gy_status parse_log_param(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_pair(c, err));
    struct target *x = c->in;
    x->batch.params = &x->pair;
    x->batch.n_params = 1;
    return gy_track_check_length(x->pair.key, GY_TRACK_MAX_KEY, "Param key", err);
}

static gy_status parse_set_tag(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_pair(c, err));
    struct target *x = c->in;
    x->batch.tags = &x->pair;
    x->batch.n_tags = 1;
    return gy_track_check_length(x->pair.key, GY_TRACK_MAX_KEY, "key", err);
}

static gy_status parse_batch(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_run_id(c, err));
    struct gy_run_batch *b = &((struct target *)c->in)->batch;
    GY_TRY(gy_track_check_run_id(((struct target *)c->in)->run_id, err));
    struct gy_mf_list l;
    struct gy_tag *params = NULL, *tags = NULL;
    /* Longer lists are refused below, with MLflow's words; the bound here is on work, not on use.
     */
    GY_TRY(gy_mf_list(c, c->args, "metrics", 1000000, &l, err));
    struct gy_metric *metrics =
        gy_arena_calloc(c->arena, l.n <= GY_TRACK_MAX_BATCH_METRICS ? l.n + 1 : 1, sizeof *metrics);
    if (!metrics) {
        return gy_track_nomem(err);
    }
    size_t i, n;
    yyjson_val *v;
    if (l.n <= GY_TRACK_MAX_BATCH_METRICS) {
        yyjson_arr_foreach(l.arr, i, n, v)
        {
            char path[32];
            snprintf(path, sizeof path, "metrics[%zu]", i);
            GY_TRY(parse_metric(v, path, &metrics[i], err));
        }
    }
    GY_TRY(gy_mf_tags(c, c->args, "params", 100000, &params, &b->n_params, err));
    GY_TRY(gy_mf_tags(c, c->args, "tags", 100000, &tags, &b->n_tags, err));
    b->metrics = metrics;
    b->n_metrics = l.n;
    b->params = params;
    b->tags = tags;
    return gy_run_batch_check(b, err);
}

static gy_status run_log_one(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct target *x = c->in;
    return gy_run_log(db, x->run_id, &x->batch, true, c->req->actor, err);
}

static gy_status run_log_batch(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct target *x = c->in;
    return gy_run_log(db, x->run_id, &x->batch, false, c->req->actor, err);
}

static gy_status run_delete_tag(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct target *x = c->in;
    return gy_run_delete_tag(db, x->run_id, x->pair.key, err);
}

/* ---- inputs and outputs ---- */

static gy_status parse_models(struct gy_mf_call *c, struct gy_err *err)
{
    struct target *x = c->in;
    struct gy_mf_list l;
    GY_TRY(gy_mf_list(c, c->args, "models", GY_TRACK_MAX_BATCH, &l, err));
    x->models = gy_arena_calloc(c->arena, l.n + 1, sizeof *x->models);
    if (!x->models) {
        return gy_track_nomem(err);
    }
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(l.arr, i, n, v)
    {
        char path[32];
        snprintf(path, sizeof path, "models[%zu]", i);
        GY_TRY(gy_mf_str(v, path, "model_id", GY_MF_REQUIRED, &x->models[i].model_id, err));
        GY_TRY(gy_mf_i64(v, path, "step", GY_MF_OPTIONAL, 0, &x->models[i].step, err));
    }
    x->n_models = l.n;
    return GY_OK;
}

static gy_status parse_dataset(struct gy_mf_call *c, yyjson_val *v, size_t i,
                               struct gy_run_dataset *d, struct gy_err *err)
{
    char path[48];
    snprintf(path, sizeof path, "datasets[%zu].dataset", i);
    yyjson_val *o = gy_mf_get(v, "dataset");
    if (!yyjson_is_obj(o)) {
        return gy_mf_missing(NULL, path, err);
    }
    GY_TRY(gy_mf_str(o, path, "name", GY_MF_REQUIRED, &d->name, err));
    GY_TRY(gy_mf_str(o, path, "digest", GY_MF_REQUIRED, &d->digest, err));
    GY_TRY(gy_mf_str(o, path, "source_type", GY_MF_REQUIRED, &d->source_type, err));
    GY_TRY(gy_mf_str(o, path, "source", GY_MF_REQUIRED, &d->source, err));
    GY_TRY(gy_mf_str(o, path, "schema", GY_MF_OPTIONAL, &d->schema, err));
    GY_TRY(gy_mf_str(o, path, "profile", GY_MF_OPTIONAL, &d->profile, err));
    return gy_mf_tags(c, v, "tags", GY_TRACK_MAX_BATCH, &d->tags, &d->n_tags, err);
}

static gy_status parse_log_inputs(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_run_id(c, err));
    struct target *x = c->in;
    struct gy_mf_list l;
    GY_TRY(gy_mf_list(c, c->args, "datasets", GY_TRACK_MAX_BATCH, &l, err));
    x->datasets = gy_arena_calloc(c->arena, l.n + 1, sizeof *x->datasets);
    if (!x->datasets) {
        return gy_track_nomem(err);
    }
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(l.arr, i, n, v)
    {
        GY_TRY(parse_dataset(c, v, i, &x->datasets[i], err));
    }
    x->n_datasets = l.n;
    return parse_models(c, err);
}

static gy_status run_log_inputs(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct target *x = c->in;
    return gy_run_log_inputs(db, x->run_id, x->datasets, x->n_datasets, x->models, x->n_models,
                             c->req->actor, err);
}

static gy_status parse_log_outputs(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_run_id(c, err));
    return parse_models(c, err);
}

static gy_status run_log_outputs(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct target *x = c->in;
    return gy_run_log_outputs(db, x->run_id, x->models, x->n_models, err);
}

/* The datasets of some experiments, for a browser's filter. */
static gy_status parse_datasets_of(struct gy_mf_call *c, struct gy_err *err)
{
    struct search *s = c->in = gy_arena_calloc(c->arena, 1, sizeof *s);
    struct gy_str *ids = NULL;
    size_t n = 0;
    if (!s) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_mf_strs(c, "experiment_ids", GY_TRACK_MAX_EXPERIMENT_IDS, &ids, &n, err));
    if (n == 0) {
        return gy_err_set(err, GY_E_INVALID,
                          "SearchDatasets request must specify at least one experiment_id.");
    }
    if (n > MAX_DATASET_EXPERIMENTS) {
        return gy_err_set(err, GY_E_INVALID,
                          "SearchDatasets request cannot specify more than %d experiment_ids. "
                          "Received %zu experiment_ids.",
                          MAX_DATASET_EXPERIMENTS, n);
    }
    return parse_experiment_ids(c, ids, n, s, err);
}

static gy_status run_datasets_of(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct search *s = c->in;
    struct gy_dataset_summary *found = NULL;
    size_t n = 0;
    GY_TRY(
        gy_run_datasets(db, s->experiment_ids, s->q.n_experiment_ids, c->arena, &found, &n, err));
    gy_jw_obj(&c->w);
    if (n > 0) {
        gy_jw_key(&c->w, "dataset_summaries");
        gy_jw_arr(&c->w);
        for (size_t i = 0; i < n; i++) {
            gy_jw_obj(&c->w);
            gy_jw_key(&c->w, "experiment_id");
            gy_jw_strf(&c->w, "%lld", (long long)found[i].experiment_id);
            gy_jw_kv_str(&c->w, "name", found[i].name);
            gy_jw_kv_str(&c->w, "digest", found[i].digest);
            gy_mf_kv(&c->w, "context", found[i].context);
            gy_jw_obj_end(&c->w);
        }
        gy_jw_arr_end(&c->w);
    }
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

/* Older clients describe a logged model by a JSON text, collected in a tag of the run. */
static gy_status parse_log_model(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_run_id(c, err));
    struct target *x = c->in;
    GY_TRY(GY_MF_STR(c, "model_json", GY_MF_REQUIRED, &x->model_json));
    return gy_run_check_model(x->model_json, err);
}

static gy_status run_log_model(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct target *x = c->in;
    return gy_run_note_model(db, x->run_id, x->model_json, c->req->actor, c->arena, err);
}

/* ---- search ---- */

static gy_status parse_search(struct gy_mf_call *c, struct gy_err *err)
{
    struct search *s = c->in = gy_arena_calloc(c->arena, 1, sizeof *s);
    struct gy_str *ids = NULL, *order = NULL;
    if (!s) {
        return gy_track_nomem(err);
    }
    struct gy_run_query *q = &s->q;
    size_t n = 0;
    GY_TRY(gy_mf_strs(c, "experiment_ids", GY_TRACK_MAX_EXPERIMENT_IDS, &ids, &n, err));
    GY_TRY(parse_experiment_ids(c, ids, n, s, err));
    GY_TRY(gy_mf_max_results(c, 1000, GY_TRACK_MAX_PAGE, &q->max_results, err));
    GY_TRY(gy_mf_view(c, "run_view_type", &q->view, err));
    GY_TRY(GY_MF_STR(c, "filter", GY_MF_OPTIONAL, &q->filter));
    GY_TRY(GY_MF_STR(c, "page_token", GY_MF_OPTIONAL, &q->page_token));
    GY_TRY(gy_mf_strs(c, "order_by", 100, &order, &q->n_order_by, err));
    q->order_by = order;
    return GY_OK;
}

static gy_status run_out(void *ctx, const struct gy_run *r, bool *ret_full, struct gy_err *err)
{
    struct gy_mf_call *c = ctx;
    if (c->out.n == 1) { /* the first: only '{' so far */
        gy_jw_key(&c->w, "runs");
        gy_jw_arr(&c->w);
    }
    gy_mf_write_run(&c->w, r, GY_MF_RUN_FOUND);
    *ret_full = c->out.n >= PAGE_BYTES;
    return gy_buf_check(&c->out, "the answer", err);
}

static gy_status run_search(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_str token = GY_STR_NULL;
    struct search *s = c->in;
    for (size_t i = 0; i < s->q.n_experiment_ids; i++) {
        GY_TRY(gy_experiment_resolve(db, &s->experiment_ids[i], err));
    }
    gy_jw_obj(&c->w);
    GY_TRY(gy_run_search(db, &s->q, c->arena, run_out, c, &token, err));
    if (c->out.n > 1) {
        gy_jw_arr_end(&c->w);
    }
    gy_mf_kv(&c->w, "next_page_token", token);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

GY_MF_OP_ENTERS(create, parse_create, run_create, true);
GY_MF_OP(get, parse_run_id, run_get, false);
GY_MF_OP(update, parse_update, run_update, true);
GY_MF_OP(delete, parse_run_id, run_delete, true);
GY_MF_OP(restore, parse_run_id, run_restore, true);
GY_MF_OP(log_metric, parse_log_metric, run_log_one, true);
GY_MF_OP(log_param, parse_log_param, run_log_one, true);
GY_MF_OP(log_batch, parse_batch, run_log_batch, true);
GY_MF_OP(set_tag, parse_set_tag, run_log_one, true);
GY_MF_OP(delete_tag, parse_pair, run_delete_tag, true);
GY_MF_OP(log_model, parse_log_model, run_log_model, true);
GY_MF_OP(log_inputs, parse_log_inputs, run_log_inputs, true);
GY_MF_OP(log_outputs, parse_log_outputs, run_log_outputs, true);
GY_MF_OP(datasets_of, parse_datasets_of, run_datasets_of, false);
GY_MF_OP_ENTERS(search, parse_search, run_search, false);

static const struct gy_route g_routes[] = {
    GY_MF_ROUTE("POST", "/runs/create", h_create, "Create a run"),
    GY_MF_ROUTE("GET", "/runs/get", h_get, "Get a run"),
    GY_MF_ROUTE("POST", "/runs/update", h_update, "Update a run"),
    GY_MF_ROUTE("POST", "/runs/delete", h_delete, "Delete a run"),
    GY_MF_ROUTE("POST", "/runs/restore", h_restore, "Restore a run"),
    GY_MF_LOG("POST", "/runs/log-metric", h_log_metric, "Log a metric"),
    GY_MF_LOG("POST", "/runs/log-parameter", h_log_param, "Log a param"),
    GY_MF_LOG("POST", "/runs/log-batch", h_log_batch, "Log metrics, params and tags"),
    GY_MF_LOG("POST", "/runs/set-tag", h_set_tag, "Set a tag"),
    GY_MF_LOG("POST", "/runs/delete-tag", h_delete_tag, "Delete a tag"),
    GY_MF_LOG("POST", "/runs/log-model", h_log_model, "Note a model of a run"),
    GY_MF_LOG("POST", "/runs/log-inputs", h_log_inputs, "Log datasets a run read"),
    GY_MF_LOG("POST", "/runs/outputs", h_log_outputs, "Log models a run made"),
    GY_MF_SEARCH("POST", "/experiments/search-datasets", h_datasets_of,
                 "Datasets of the runs of experiments"),
    GY_MF_SEARCH("POST", "/runs/search", h_search, "Search runs"),
};

gy_status gy_mf_add_runs(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
