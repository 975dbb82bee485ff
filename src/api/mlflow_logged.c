/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow 3: logged models. */
#include <stdio.h>

#include "api/mlflow_artifacts.h"
#include "api/mlflow_wire.h"
#include "base/hash.h"
#include "base/limits.h"
#include "track/logged_models.h"

static const char *const g_statuses[] = {"LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY",
                                         "LOGGED_MODEL_UPLOAD_FAILED"};

/* ---- answers ---- */

static void write_metrics(struct gy_jw *w, const struct gy_logged_model *m)
{
    if (m->n_metrics == 0) {
        return;
    }
    gy_jw_key(w, "metrics");
    gy_jw_arr(w);
    for (size_t i = 0; i < m->n_metrics; i++) {
        const struct gy_metric *x = &m->metrics[i];
        gy_jw_obj(w);
        gy_jw_kv_str(w, "key", x->key);
        gy_jw_kv_f64(w, "value", x->value);
        gy_jw_kv_i64(w, "timestamp", x->ts_ms);
        gy_jw_kv_i64(w, "step", x->step);
        if (x->dataset_name.n > 0) {
            gy_jw_kv_str(w, "dataset_name", x->dataset_name);
        }
        if (x->dataset_digest.n > 0) {
            gy_jw_kv_str(w, "dataset_digest", x->dataset_digest);
        }
        gy_jw_kv_str(w, "model_id", m->id);
        gy_jw_kv_str(w, "run_id", x->run_id);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static void write_model(struct gy_jw *w, const struct gy_logged_model *m)
{
    gy_jw_obj(w);
    gy_jw_key(w, "info");
    gy_jw_obj(w);
    gy_jw_kv_str(w, "model_id", m->id);
    gy_jw_key(w, "experiment_id");
    gy_jw_strf(w, "%lld", (long long)m->experiment_id);
    gy_jw_kv_str(w, "name", m->name);
    gy_jw_kv_i64(w, "creation_timestamp_ms", m->created_us / 1000);
    gy_jw_kv_i64(w, "last_updated_timestamp_ms", m->updated_us / 1000);
    gy_jw_kv_str(w, "artifact_uri", m->artifact_uri);
    gy_jw_kv_strc(w, "status", g_statuses[m->status - 1]);
    gy_jw_kv_str(w, "model_type", m->model_type.p ? m->model_type : GY_STR(""));
    gy_jw_kv_str(w, "source_run_id", m->source_run_id.p ? m->source_run_id : GY_STR(""));
    gy_mf_tags_out(w, "tags", m->tags, m->n_tags);
    gy_jw_obj_end(w);
    gy_jw_key(w, "data");
    gy_jw_obj(w);
    gy_mf_tags_out(w, "params", m->params, m->n_params);
    write_metrics(w, m);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

static gy_status answer(struct gy_db *db, struct gy_mf_call *c, struct gy_str id, bool deleted,
                        struct gy_err *err)
{
    struct gy_logged_model m;
    GY_TRY(gy_logged_model_get(db, id, deleted, c->arena, &m, err));
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "model");
    write_model(&c->w, &m);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

/* ---- one model ---- */

struct subject {
    struct gy_str id, key, dir;
    struct gy_logged_model_new made;
    struct gy_tag *tags;
    size_t n_tags;
    int64_t status;
    bool allow_deleted;
};

static gy_status parse_id(struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in = gy_arena_calloc(c->arena, 1, sizeof *x);
    if (!x) {
        return gy_track_nomem(err);
    }
    x->id = gy_req_param(c->req, "model_id");
    return gy_mf_bool(c->args, "allow_deleted", false, &x->allow_deleted, err);
}

static gy_status parse_create(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_id(c, err));
    struct gy_logged_model_new *in = &((struct subject *)c->in)->made;
    struct gy_str experiment;
    struct gy_tag *params = NULL, *tags = NULL;
    GY_TRY(GY_MF_STR(c, "experiment_id", GY_MF_REQUIRED, &experiment));
    GY_TRY(gy_track_parse_experiment_id(experiment, &in->experiment_id, err));
    GY_TRY(GY_MF_STR(c, "name", GY_MF_OPTIONAL, &in->name));
    GY_TRY(GY_MF_STR(c, "model_type", GY_MF_OPTIONAL, &in->model_type));
    GY_TRY(GY_MF_STR(c, "source_run_id", GY_MF_OPTIONAL, &in->source_run_id));
    GY_TRY(gy_mf_tags(c, c->args, "params", GY_TRACK_MAX_BATCH, &params, &in->n_params, err));
    GY_TRY(gy_mf_tags(c, c->args, "tags", GY_TRACK_MAX_BATCH, &tags, &in->n_tags, err));
    in->params = params;
    in->tags = tags;
    return GY_OK;
}

static gy_status run_create(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_logged_model m;
    GY_TRY(gy_logged_model_create(db, &((struct subject *)c->in)->made, c->req->actor, c->arena, &m,
                                  err));
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "model");
    write_model(&c->w, &m);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status run_get(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    return answer(db, c, x->id, x->allow_deleted, err);
}

static gy_status parse_finalize(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_id(c, err));
    struct subject *x = c->in;
    GY_TRY(gy_mf_enum(c->args, "status", g_statuses, 3, &x->status, err));
    if (x->status == 0) {
        return gy_mf_missing(NULL, "status", err);
    }
    return GY_OK;
}

static gy_status run_finalize(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    GY_TRY(gy_logged_model_finalize(db, x->id, (enum gy_logged_status)x->status, err));
    return answer(db, c, x->id, true, err);
}

static gy_status run_delete(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    return gy_logged_model_delete(db, ((struct subject *)c->in)->id, err);
}

static gy_status parse_tags(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_id(c, err));
    struct subject *x = c->in;
    return gy_mf_tags(c, c->args, "tags", GY_TRACK_MAX_BATCH, &x->tags, &x->n_tags, err);
}

static gy_status run_set_tags(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    return gy_logged_model_set_tags(db, x->id, x->tags, x->n_tags, err);
}

static gy_status run_delete_tag(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    return gy_logged_model_delete_tag(db, ((struct subject *)c->in)->id,
                                      gy_req_param(c->req, "key"), err);
}

static gy_status parse_params(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_id(c, err));
    struct subject *x = c->in;
    return gy_mf_tags(c, c->args, "params", GY_TRACK_MAX_BATCH, &x->tags, &x->n_tags, err);
}

static gy_status run_params(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    return gy_logged_model_log_params(db, x->id, x->tags, x->n_tags, err);
}

static gy_status parse_directory(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_id(c, err));
    struct gy_str path;
    GY_TRY(GY_MF_STR(c, "artifact_directory_path", GY_MF_OPTIONAL, &path));
    return gy_artifact_clean_path(path, c->arena, &((struct subject *)c->in)->dir, err);
}

static gy_status run_directory(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    struct gy_logged_model m;
    GY_TRY(gy_logged_model_get(db, x->id, false, c->arena, &m, err));
    gy_jw_obj(&c->w);
    gy_jw_kv_str(&c->w, "root_uri", m.artifact_uri);
    struct gy_str root = gy_artifact_path_of_uri(m.artifact_uri, c->arena);
    if (root.p) {
        GY_TRY(gy_mf_write_files(db, c, root, x->dir, x->dir, err));
    }
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

/* ---- search ---- */

static gy_status parse_ids(struct gy_mf_call *c, struct gy_logged_query *q, struct gy_err *err)
{
    struct gy_str *ids = NULL;
    size_t n = 0;
    GY_TRY(gy_mf_strs(c, "experiment_ids", GY_TRACK_MAX_EXPERIMENT_IDS, &ids, &n, err));
    if (n == 0 && !gy_mf_get(c->args, "experiment_ids")) {
        return gy_mf_missing(NULL, "experiment_ids", err);
    }
    int64_t *numbers = gy_arena_calloc(c->arena, n + 1, sizeof *numbers);
    if (!numbers) {
        return gy_track_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_track_parse_experiment_id(ids[i], &numbers[i], err));
    }
    q->experiment_ids = numbers;
    q->n_experiment_ids = n;
    return GY_OK;
}

static gy_status parse_datasets(struct gy_mf_call *c, struct gy_logged_query *q, struct gy_err *err)
{
    struct gy_mf_list l;
    GY_TRY(gy_mf_list(c, c->args, "datasets", 100, &l, err));
    struct gy_search_dataset *d = gy_arena_calloc(c->arena, l.n + 1, sizeof *d);
    if (!d) {
        return gy_track_nomem(err);
    }
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(l.arr, i, n, v)
    {
        char path[32];
        snprintf(path, sizeof path, "datasets[%zu]", i);
        GY_TRY(gy_mf_str(v, path, "dataset_name", GY_MF_REQUIRED, &d[i].name, err));
        GY_TRY(gy_mf_str(v, path, "dataset_digest", GY_MF_OPTIONAL, &d[i].digest, err));
    }
    q->datasets = d;
    q->n_datasets = l.n;
    return GY_OK;
}

static gy_status parse_order(struct gy_mf_call *c, struct gy_logged_query *q, struct gy_err *err)
{
    struct gy_mf_list l;
    GY_TRY(gy_mf_list(c, c->args, "order_by", GY_SEARCH_MAX_ORDER, &l, err));
    q->order = gy_arena_calloc(c->arena, l.n + 1, sizeof *q->order);
    if (!q->order) {
        return gy_track_nomem(err);
    }
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(l.arr, i, n, v)
    {
        char path[32];
        struct gy_str field, dataset, digest;
        bool ascending = true;
        snprintf(path, sizeof path, "order_by[%zu]", i);
        GY_TRY(gy_mf_str(v, path, "field_name", GY_MF_REQUIRED, &field, err));
        GY_TRY(gy_mf_bool(v, "ascending", true, &ascending, err));
        GY_TRY(gy_mf_str(v, path, "dataset_name", GY_MF_OPTIONAL, &dataset, err));
        GY_TRY(gy_mf_str(v, path, "dataset_digest", GY_MF_OPTIONAL, &digest, err));
        GY_TRY(gy_logged_order(field, ascending, dataset, digest, c->arena, &q->order[i], err));
    }
    q->n_order = l.n;
    return GY_OK;
}

static gy_status parse_search(struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_logged_query *q = c->in = gy_arena_calloc(c->arena, 1, sizeof *q);
    if (!q) {
        return gy_track_nomem(err);
    }
    GY_TRY(parse_ids(c, q, err));
    GY_TRY(GY_MF_STR(c, "filter", GY_MF_OPTIONAL, &q->filter));
    GY_TRY(GY_MF_STR(c, "page_token", GY_MF_OPTIONAL, &q->page_token));
    GY_TRY(parse_datasets(c, q, err));
    GY_TRY(parse_order(c, q, err));
    return gy_mf_max_results(c, 50, GY_TRACK_MAX_PAGE, &q->max_results, err);
}

static gy_status run_search(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_logged_model *found = NULL;
    struct gy_str token = GY_STR_NULL;
    size_t n = 0;
    GY_TRY(gy_logged_model_search(db, c->in, c->arena, &found, &n, &token, err));
    gy_jw_obj(&c->w);
    if (n > 0) {
        gy_jw_key(&c->w, "models");
        gy_jw_arr(&c->w);
        for (size_t i = 0; i < n; i++) {
            write_model(&c->w, &found[i]);
        }
        gy_jw_arr_end(&c->w);
    }
    gy_mf_kv(&c->w, "next_page_token", token);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

GY_MF_OP_ENTERS(create, parse_create, run_create, true);
GY_MF_OP(get, parse_id, run_get, false);
GY_MF_OP(finalize, parse_finalize, run_finalize, true);
GY_MF_OP(delete, parse_id, run_delete, true);
GY_MF_OP(set_tags, parse_tags, run_set_tags, true);
GY_MF_OP(delete_tag, parse_id, run_delete_tag, true);
GY_MF_OP(params, parse_params, run_params, true);
GY_MF_OP(directory, parse_directory, run_directory, false);
GY_MF_OP(search, parse_search, run_search, false);

static const struct gy_route g_routes[] = {
    GY_MF_ROUTE("POST", "/logged-models", h_create, "Create a logged model"),
    GY_MF_SEARCH("POST", "/logged-models/search", h_search, "Search logged models"),
    GY_MF_ROUTE("GET", "/logged-models/{model_id}", h_get, "Get a logged model"),
    GY_MF_ROUTE("PATCH", "/logged-models/{model_id}", h_finalize, "Finish a logged model"),
    GY_MF_ROUTE("DELETE", "/logged-models/{model_id}", h_delete, "Delete a logged model"),
    GY_MF_LOG("PATCH", "/logged-models/{model_id}/tags", h_set_tags, "Tag a logged model"),
    GY_MF_ROUTE("DELETE", "/logged-models/{model_id}/tags/{key}", h_delete_tag, "Remove a tag"),
    GY_MF_LOG("POST", "/logged-models/{model_id}/params", h_params, "Log its params"),
    GY_MF_ROUTE("GET", "/logged-models/{model_id}/artifacts/directories", h_directory,
                "List its artifacts"),
};

gy_status gy_mf_add_logged(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
