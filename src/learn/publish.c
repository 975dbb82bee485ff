/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/publish.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/time.h"
#include "learn/package.h"
#include "learn/steps/steps.h"
#include "net/call.h"

#define MAX_ANSWER (16 * GY_MIB)
#define MAX_FILES 10000
#define MAX_METRICS 1000 /* of a batch: MLflow takes no more */
#define ARTIFACTS "mlflow-artifacts:/"
#define KEY_TAG "gyre.idempotency_key"
#define FETCHED ".fetched" /* in dir, while an earlier attempt's package is brought there */

/* One publication in progress. */
struct job {
    struct gy_caller *c;
    const char *dir;
    const struct gy_trained *t;
    const struct gy_train_params *p;
    const struct gy_publish_options *o;
    struct gy_published *ret;
    struct gy_collect answer;
    struct gy_buf body;
    struct gy_arena arena;
    struct gy_str artifact_uri;
    const char *sub;         /* the folder of dir that is being uploaded; NULL: dir itself */
    char key[GY_SHA256_HEX]; /* of the work and the content; "": none */
};

/* ---- asking ---- */

static gy_status ask(struct job *j, const char *method, const char *path, struct gy_str body,
                     yyjson_doc **ret, struct gy_err *err)
{
    GY_TRY(gy_call_json(j->c, method, path, body, &j->answer, err));
    return ret ? gy_json_parse(gy_buf_str(&j->answer.body), ret, err) : GY_OK;
}

static gy_status post(struct job *j, const char *path, yyjson_doc **ret, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&j->body, "a request", err));
    return ask(j, "POST", path, gy_buf_str(&j->body), ret, err);
}

static struct gy_jw new_body(struct job *j)
{
    struct gy_jw w;
    gy_buf_reset(&j->body);
    gy_jw_init(&w, &j->body);
    gy_jw_obj(&w);
    return w;
}

static void add_pair(struct gy_jw *w, const char *key, struct gy_str value)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "key", key);
    gy_jw_kv_str(w, "value", value);
    gy_jw_obj_end(w);
}

static gy_status copy_id(char *out, size_t size, struct gy_str s, const char *what,
                         struct gy_err *err)
{
    if (s.n == 0 || s.n >= size) {
        return gy_err_set(err, GY_E_NETWORK, "the server's answer has no %s", what);
    }
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return GY_OK;
}

/* ---- experiment and run ---- */

static gy_status find_experiment(struct job *j, struct gy_err *err)
{
    struct gy_str name = j->o->experiment.p ? j->o->experiment : GY_STR("Default");
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH);
    gy_buf_addc(&path, "/api/2.0/mlflow/experiments/get-by-name?experiment_name=");
    gy_url_encode(&path, name, false);
    GY_TRY(gy_buf_check(&path, "the name of the experiment", err));
    struct gy_err missing = GY_ERR_INIT;
    gy_status status = ask(j, "GET", path.p, GY_STR_NULL, &doc, &missing);
    if (status == GY_OK) {
        yyjson_val *e = gy_json_get(yyjson_doc_get_root(doc), "experiment");
        return copy_id(j->ret->experiment_id, sizeof j->ret->experiment_id,
                       gy_json_str(e, "experiment_id"), "experiment_id", err);
    }
    if (status != GY_E_NOTFOUND) {
        if (err) {
            *err = missing;
        }
        return status;
    }
    struct gy_jw w = new_body(j);
    gy_jw_kv_str(&w, "name", name);
    gy_jw_obj_end(&w);
    GY_TRY(post(j, "/api/2.0/mlflow/experiments/create", &doc, err));
    return copy_id(j->ret->experiment_id, sizeof j->ret->experiment_id,
                   gy_json_str(yyjson_doc_get_root(doc), "experiment_id"), "experiment_id", err);
}

/* Tags of a run and of its version: what made them. */
static void add_origin(struct job *j, struct gy_jw *w)
{
    if (j->o->step.p) {
        add_pair(w, "gyre.step", j->o->step);
    }
    if (j->o->job.p) {
        add_pair(w, "gyre.job", j->o->job);
    }
    if (j->key[0]) {
        add_pair(w, KEY_TAG, gy_str_c(j->key));
    }
}

static gy_status create_run(struct job *j, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w = new_body(j);
    gy_jw_kv_strc(&w, "experiment_id", j->ret->experiment_id);
    gy_jw_kv_i64(&w, "start_time", j->o->start_us / 1000);
    if (j->o->run_name.p) {
        gy_jw_kv_str(&w, "run_name", j->o->run_name);
    }
    gy_jw_key(&w, "tags");
    gy_jw_arr(&w);
    if (j->t) {
        add_pair(&w, "gyre.data_sha256", j->t->model.data_sha256);
        add_pair(&w, "gyre.learner", gy_str_c(gy_learner_name(j->t->model.learner)));
        add_pair(&w, "gyre.measured_on", gy_str_c(gy_measured_name(j->t->on)));
    }
    const char *source = j->t ? "gyre train" : j->o->source ? j->o->source : "gyre models import";
    add_pair(&w, "mlflow.source.name", gy_str_c(source));
    for (size_t i = 0; i < j->o->n_parts; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, GY_PUBLISH_PART_TAG "%zu", i + 1);
        add_pair(&w, key, j->o->parts[i]);
    }
    add_pair(&w, "mlflow.source.type", GY_STR("LOCAL"));
    if (j->o->code_revision.p) {
        add_pair(&w, "gyre.code_revision", j->o->code_revision);
        add_pair(&w, "mlflow.source.git.commit", j->o->code_revision);
    }
    if (j->o->code_patch.p) {
        char sha256[GY_SHA256_HEX];
        GY_TRY(gy_sha256_hex(j->o->code_patch, sha256, err));
        add_pair(&w, "gyre.code_patch_sha256", gy_str_c(sha256));
    }
    if (j->o->dataset.p) {
        add_pair(&w, "gyre.dataset", j->o->dataset);
    }
    if (j->o->parent_run_id.p) {
        add_pair(&w, "mlflow.parentRunId", j->o->parent_run_id);
    }
    add_origin(j, &w);
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(post(j, "/api/2.0/mlflow/runs/create", &doc, err));
    yyjson_val *info = gy_json_get(gy_json_get(yyjson_doc_get_root(doc), "run"), "info");
    GY_TRY(
        copy_id(j->ret->run_id, sizeof j->ret->run_id, gy_json_str(info, "run_id"), "run_id", err));
    j->artifact_uri = gy_arena_str(&j->arena, gy_json_str(info, "artifact_uri"));
    if (!gy_str_starts(j->artifact_uri, GY_STR(ARTIFACTS))) {
        return gy_err_set(err, GY_E_UNSUPPORTED,
                          "the server keeps artifacts at '%" GY_STR_F "', not behind itself",
                          GY_STR_A(j->artifact_uri));
    }
    return GY_OK;
}

static gy_status end_run(struct job *j, const char *status, struct gy_err *err)
{
    struct gy_jw w = new_body(j);
    gy_jw_kv_strc(&w, "run_id", j->ret->run_id);
    gy_jw_kv_strc(&w, "status", status);
    gy_jw_kv_i64(&w, "end_time", gy_now_us() / 1000);
    gy_jw_obj_end(&w);
    return post(j, "/api/2.0/mlflow/runs/update", NULL, err);
}

/* ---- params and metrics ---- */

static void add_metric(struct gy_jw *w, const char *prefix, const char *name, const char *suffix,
                       double value)
{
    if (isnan(value)) {
        return;
    }
    gy_jw_obj(w);
    gy_jw_key(w, "key");
    gy_jw_strf(w, "%s%s%s", prefix, name, suffix);
    gy_jw_kv_f64(w, "value", value);
    gy_jw_kv_i64(w, "timestamp", gy_now_us() / 1000);
    gy_jw_kv_i64(w, "step", 0);
    gy_jw_obj_end(w);
}

static void add_metrics(struct gy_jw *w, const char *prefix, const struct gy_eval *e)
{
    if (e->n_groups == 0) {
        return;
    }
    const struct gy_metrics *m = &e->groups[0].metrics;
    for (size_t i = 0; i < m->n; i++) {
        add_metric(w, prefix, m->items[i].name, "", m->items[i].value);
        if (!*prefix) {
            add_metric(w, prefix, m->items[i].name, "_low", m->items[i].low);
            add_metric(w, prefix, m->items[i].name, "_high", m->items[i].high);
        }
    }
}

/* How missing values and scales are treated; with other steps their names, too. */
static gy_status add_steps(const struct gy_model *m, struct gy_jw *w, struct gy_buf *text,
                           struct gy_err *err)
{
    enum gy_impute by = GY_IMPUTE_NONE;
    bool scaled = false;
    gy_buf_reset(text);
    for (size_t i = 0; i < m->features.n_steps; i++) {
        const struct gy_step *s = &m->features.steps[i];
        if (s->ops == &gy_step_impute) {
            by = ((const struct gy_imputed *)s->self)->by;
        }
        scaled = scaled || s->ops == &gy_step_zscore;
        gy_buf_addf(text, "%s%s", i ? "," : "", s->ops->name);
    }
    GY_TRY(gy_buf_check(text, "parameters", err));
    add_pair(w, "impute", gy_str_c(gy_impute_name(by)));
    add_pair(w, "scale", scaled ? GY_STR("zscore") : GY_STR("none"));
    if (!gy_features_is_simple(&m->features)) {
        add_pair(w, "steps", gy_buf_str(text));
    }
    return GY_OK;
}

/* A parameter of a learner as text: a list with commas between its items. */
static void add_value(struct gy_buf *out, yyjson_val *v)
{
    char number[32];
    size_t i;
    size_t max;
    yyjson_val *item;
    if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, i, max, item)
        {
            gy_buf_addc(out, i ? "," : "");
            add_value(out, item);
        }
    } else if (yyjson_is_str(v)) {
        gy_buf_add(out, gy_json_val_str(v));
    } else if (yyjson_is_bool(v)) {
        gy_buf_addc(out, yyjson_get_bool(v) ? "true" : "false");
    } else {
        gy_buf_add(out, gy_str_n(number, gy_fmt_f64_trim(yyjson_get_num(v), number)));
    }
}

static gy_status add_params(struct job *j, struct gy_jw *w, struct gy_err *err)
{
    const struct gy_model *m = &j->t->model;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_YAML);
    for (size_t i = 0; i < m->n_inputs; i++) {
        gy_buf_addf(&text, "%s%" GY_STR_F, i ? "," : "", GY_STR_A(m->inputs[i].name));
    }
    GY_TRY(gy_buf_check(&text, "parameters", err));
    add_pair(w, "learner", gy_str_c(gy_learner_name(m->learner)));
    add_pair(w, "task", gy_str_c(gy_task_name(m->task)));
    add_pair(w, "target", m->target);
    add_pair(w, "features", gy_buf_str(&text));
    GY_TRY(add_steps(m, w, &text, err));
    if (j->t->threshold.n_rows > 0) {
        char chosen[32];
        add_pair(w, "threshold_rule", gy_str_c(gy_threshold_kind_name(j->p->threshold_rule.kind)));
        add_pair(w, "threshold", gy_str_n(chosen, gy_fmt_f64_trim(m->threshold, chosen)));
    }
    gy_buf_reset(&text);
    gy_buf_addf(&text, "%llu", (unsigned long long)m->seed);
    add_pair(w, "seed", gy_buf_str(&text));
    char number[32];
    add_pair(w, "holdout", gy_str_n(number, gy_fmt_f64(m->holdout, number)));
    if (!m->params_json.p) {
        return GY_OK;
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(m->params_json, &doc, err));
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *v;
    yyjson_obj_foreach(yyjson_doc_get_root(doc), i, max, key, v)
    {
        struct gy_str name = gy_json_val_str(key);
        if (gy_str_eqc(name, "seed")) {
            continue; /* said above */
        }
        gy_buf_reset(&text);
        add_value(&text, v);
        GY_TRY(gy_buf_check(&text, "parameters", err));
        add_pair(w, name.p, gy_buf_str(&text));
    }
    return GY_OK;
}

static gy_status log_batch(struct job *j, struct gy_err *err)
{
    struct gy_jw w = new_body(j);
    gy_jw_kv_strc(&w, "run_id", j->ret->run_id);
    gy_jw_key(&w, "params");
    gy_jw_arr(&w);
    GY_TRY(add_params(j, &w, err));
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "metrics");
    gy_jw_arr(&w);
    add_metrics(&w, "", &j->t->eval);
    add_metrics(&w, "baseline_", &j->t->baseline);
    add_metric(&w, "", "training_seconds", "", j->t->seconds);
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return post(j, "/api/2.0/mlflow/runs/log-batch", NULL, err);
}

/* What the fit told round by round, a thousand at a time. */
static gy_status log_history(struct job *j, struct gy_err *err)
{
    const struct gy_trained *t = j->t;
    int64_t now_ms = gy_now_us() / 1000;
    for (size_t first = 0; first < t->n_history; first += MAX_METRICS) {
        size_t end = first + MAX_METRICS < t->n_history ? first + MAX_METRICS : t->n_history;
        struct gy_jw w = new_body(j);
        gy_jw_kv_strc(&w, "run_id", j->ret->run_id);
        gy_jw_key(&w, "metrics");
        gy_jw_arr(&w);
        for (size_t i = first; i < end; i++) {
            const struct gy_measure *m = &t->history[i];
            if (isnan(m->value)) {
                continue;
            }
            gy_jw_obj(&w);
            gy_jw_kv_strc(&w, "key", m->name);
            gy_jw_kv_f64(&w, "value", m->value);
            gy_jw_kv_i64(&w, "timestamp", now_ms);
            gy_jw_kv_i64(&w, "step", m->step);
            gy_jw_obj_end(&w);
        }
        gy_jw_arr_end(&w);
        gy_jw_obj_end(&w);
        GY_TRY(post(j, "/api/2.0/mlflow/runs/log-batch", NULL, err));
    }
    return GY_OK;
}

/* ---- artifacts ---- */

/* name: below the artifacts of the run. */
static gy_status put_artifact(struct job *j, const char *name, struct gy_str bytes,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH);
    gy_buf_addc(&path, "/api/2.0/mlflow-artifacts/artifacts/");
    gy_url_encode(&path, gy_str_sub(j->artifact_uri, sizeof ARTIFACTS - 1, j->artifact_uri.n),
                  true);
    gy_buf_add_char(&path, '/');
    gy_url_encode(&path, gy_str_c(name), true);
    GY_TRY(gy_buf_check(&path, "the path of an artifact", err));
    gy_status status = ask(j, "PUT", path.p, bytes, NULL, err);
    if (status != GY_OK) {
        (void)gy_err_wrap(err, "storing %s", name);
    }
    return status;
}

static gy_status upload(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct job *j = ctx;
    const char *outer = j->sub;
    char file[GY_MAX_PATH], to[GY_MAX_PATH], below[GY_MAX_PATH];
    GY_TRY(gy_path_join(below, sizeof below, outer ? outer : ".", name, err));
    const char *path = outer ? below : name;
    GY_TRY(gy_path_join(file, sizeof file, j->dir, path, err));
    if (is_dir) { /* not deeper than the digest of the package went */
        j->sub = path;
        gy_status status = gy_dir_each(file, upload, j, err);
        j->sub = outer;
        return status;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, 512 * GY_MIB);
    GY_TRY(gy_path_join(to, sizeof to, "model", path, err));
    GY_TRY(gy_file_read(file, &bytes, err));
    return put_artifact(j, to, gy_buf_str(&bytes), err);
}

/* The folder must be sealed first: the run's id is in it. */
static gy_status send_package(struct job *j, struct gy_err *err)
{
    const struct gy_package_ids ids = {.run_id = gy_str_c(j->ret->run_id)};
    GY_TRY(gy_package_seal(j->dir, &j->t->model, &ids, err));
    GY_TRY(gy_package_digest(j->dir, j->ret->digest, err));
    if (j->o->code_patch.p) {
        GY_TRY(put_artifact(j, "code/dirty.patch", j->o->code_patch, err));
    }
    GY_TRY(gy_dir_each(j->dir, upload, j, err));
    for (size_t i = 0; i < j->t->pictures.n; i++) {
        char name[64];
        const struct gy_picture *x = &j->t->pictures.items[i];
        (void)snprintf(name, sizeof name, "plots/%s.svg", x->name);
        GY_TRY(put_artifact(j, name, gy_buf_str(&x->svg), err));
    }
    return GY_OK;
}

/* ---- the registry ---- */

static gy_status create_model(struct job *j, struct gy_err *err)
{
    struct gy_err local = GY_ERR_INIT;
    struct gy_jw w = new_body(j);
    gy_jw_kv_str(&w, "name", j->o->register_as);
    gy_jw_obj_end(&w);
    gy_status status = post(j, "/api/2.0/mlflow/registered-models/create", NULL, &local);
    if (status == GY_E_EXISTS) {
        return GY_OK;
    }
    if (status != GY_OK && err) {
        *err = local;
    }
    return status;
}

static gy_status create_version(struct job *j, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w = new_body(j);
    gy_jw_kv_str(&w, "name", j->o->register_as);
    gy_jw_key(&w, "source");
    gy_jw_strf(&w, "%" GY_STR_F "/model", GY_STR_A(j->artifact_uri));
    gy_jw_kv_strc(&w, "run_id", j->ret->run_id);
    gy_jw_key(&w, "tags");
    gy_jw_arr(&w);
    add_origin(j, &w);
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(post(j, "/api/2.0/mlflow/model-versions/create", &doc, err));
    yyjson_val *version =
        gy_json_get(gy_json_get(yyjson_doc_get_root(doc), "model_version"), "version");
    if (yyjson_is_int(version)) {
        j->ret->version = yyjson_get_sint(version);
        return GY_OK;
    }
    return gy_parse_i64(gy_json_val_str(version), 1, INT64_MAX, &j->ret->version, err);
}

static gy_status version_path(struct job *j, const char *tail, struct gy_buf *path,
                              struct gy_err *err)
{
    gy_buf_addc(path, "/api/gyre/v1/models/");
    gy_url_encode(path, j->o->register_as, false);
    gy_buf_addf(path, "/versions/%lld%s", (long long)j->ret->version, tail);
    return gy_buf_check(path, "the path of a version", err);
}

/* What the server took in must be what was proven here. */
static gy_status check_digest(struct job *j, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH);
    GY_TRY(version_path(j, "", &path, err));
    GY_TRY(ask(j, "GET", path.p, GY_STR_NULL, &doc, err));
    struct gy_str digest = gy_json_str(yyjson_doc_get_root(doc), "digest");
    if (!gy_str_eqc(digest, j->ret->digest)) {
        return gy_err_set(err, GY_E_CORRUPT,
                          "the server counts the package as %" GY_STR_F
                          ", here it is %.16s: it was not stored whole",
                          GY_STR_A(digest), j->ret->digest);
    }
    return GY_OK;
}

static gy_status prove(struct job *j, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH);
    GY_TRY(gy_package_prove(j->dir, GY_PUBLISH_PROOF_ROWS, &j->ret->servable, j->ret->reason, err));
    GY_TRY(version_path(j, "/proof", &path, err));
    struct gy_jw w = new_body(j);
    gy_jw_kv_bool(&w, "servable", j->ret->servable);
    gy_jw_kv_strc(&w, "reason", j->ret->reason);
    gy_jw_obj_end(&w);
    return post(j, path.p, NULL, err);
}

static gy_status register_model(struct job *j, struct gy_err *err)
{
    if (!j->o->register_as.p) {
        return GY_OK;
    }
    GY_TRY(create_model(j, err));
    GY_TRY(create_version(j, err));
    return check_digest(j, err);
}

/* ---- what an earlier attempt left ---- */

static gy_status add_file_digest(struct job *j, const char *name, struct gy_buf *text,
                                 struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char sha256[GY_SHA256_HEX];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, 512 * GY_MIB);
    GY_TRY(gy_path_join(path, sizeof path, j->dir, name, err));
    if (!gy_path_exists(path)) {
        return GY_OK; /* no learner writes all of them */
    }
    GY_TRY(gy_file_read(path, &bytes, err));
    GY_TRY(gy_sha256_hex(gy_buf_str(&bytes), sha256, err));
    gy_buf_addf(text, "%s %s\n", name, sha256);
    return GY_OK;
}

/* Equal work on equal data that gave an equal model. */
static gy_status make_key(struct job *j, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text = {0};
    if (!j->o->key.n || !j->o->register_as.p) {
        return GY_OK;
    }
    gy_buf_init(&text, GY_MIB);
    gy_buf_addf(&text, "%zu %zu ", j->o->key.n, j->o->register_as.n);
    gy_buf_add(&text, j->o->key);
    gy_buf_add(&text, j->o->register_as);
    gy_buf_addf(&text, "\ndata %" GY_STR_F "\n", GY_STR_A(j->t->model.data_sha256));
    GY_TRY(add_file_digest(j, "model.json", &text, err));
    GY_TRY(add_file_digest(j, "model.ubj", &text, err));
    GY_TRY(gy_buf_check(&text, "the idempotency key", err));
    return gy_sha256_hex(gy_buf_str(&text), j->key, err);
}

static gy_status find_version(struct job *j, bool *ret_found, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    char filter[200];
    *ret_found = false;
    gy_buf_init(&path, GY_MAX_PATH);
    (void)snprintf(filter, sizeof filter, "tags.`" KEY_TAG "` = '%s'", j->key);
    gy_buf_addc(&path, "/api/2.0/mlflow/model-versions/search?max_results=1&filter=");
    gy_url_encode(&path, gy_str_c(filter), false);
    GY_TRY(gy_buf_check(&path, "a search", err));
    GY_TRY(ask(j, "GET", path.p, GY_STR_NULL, &doc, err));
    yyjson_val *v = yyjson_arr_get_first(gy_json_get(yyjson_doc_get_root(doc), "model_versions"));
    if (!v) {
        return GY_OK;
    }
    *ret_found = true;
    GY_TRY(copy_id(j->ret->run_id, sizeof j->ret->run_id, gy_json_str(v, "run_id"), "run_id", err));
    return gy_parse_i64(gy_json_str(v, "version"), 1, INT64_MAX, &j->ret->version, err);
}

/* Runs of this very work that died before they had their version. */
static gy_status end_killed_runs(struct job *j, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    char own[sizeof j->ret->run_id];
    size_t i;
    size_t max;
    yyjson_val *run;
    memcpy(own, j->ret->run_id, sizeof own);
    struct gy_jw w = new_body(j);
    gy_jw_key(&w, "experiment_ids");
    gy_jw_arr(&w);
    gy_jw_strc(&w, j->ret->experiment_id);
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "filter");
    gy_jw_strf(&w, "tags.`" KEY_TAG "` = '%s' and attributes.status = 'RUNNING'", j->key);
    gy_jw_obj_end(&w);
    GY_TRY(post(j, "/api/2.0/mlflow/runs/search", &doc, err));
    gy_status status = GY_OK;
    yyjson_arr_foreach(gy_json_get(yyjson_doc_get_root(doc), "runs"), i, max, run)
    {
        struct gy_str id = gy_json_str(gy_json_get(run, "info"), "run_id");
        if (status == GY_OK && !gy_str_eqc(id, own)) {
            status = copy_id(j->ret->run_id, sizeof j->ret->run_id, id, "run_id", err);
            status = status == GY_OK ? end_run(j, "KILLED", err) : status;
        }
    }
    memcpy(j->ret->run_id, own, sizeof own);
    return status;
}

static gy_status take_file(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct job *j = ctx;
    char from[GY_MAX_PATH];
    char to[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes = {0};
    if (is_dir) {
        return GY_OK;
    }
    gy_buf_init(&path, GY_MAX_PATH);
    gy_buf_init(&bytes, 512 * GY_MIB);
    gy_buf_addf(&path, "%s/" FETCHED "/%s", j->dir, j->ret->digest);
    GY_TRY(gy_buf_check(&path, "a path", err));
    GY_TRY(gy_path_join(from, sizeof from, path.p, name, err));
    GY_TRY(gy_path_join(to, sizeof to, j->dir, name, err));
    GY_TRY(gy_file_read(from, &bytes, err));
    return gy_file_write(to, gy_buf_str(&bytes), 0644, err);
}

/* The folder becomes the registered package: the run and the time in it are that run's. */
static gy_status bring_package(struct job *j, struct gy_err *err)
{
    char root[GY_MAX_PATH];
    char dir[GY_MAX_PATH];
    char have[GY_SHA256_HEX];
    GY_AUTO_DONE(gy_package_ref_done) struct gy_package_ref ref = {0};
    const char *name = gy_arena_printf(&j->arena, "%" GY_STR_F "/%lld", GY_STR_A(j->o->register_as),
                                       (long long)j->ret->version);
    if (!name) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_path_join(root, sizeof root, j->dir, FETCHED, err));
    GY_TRY(gy_package_fetch(j->c, gy_str_c(name), root, dir, &ref, err));
    GY_TRY(copy_id(j->ret->digest, sizeof j->ret->digest, ref.digest, "digest", err));
    gy_status status = gy_dir_each(dir, take_file, j, err);
    gy_status cleaned = gy_dir_remove(root, status == GY_OK ? err : NULL);
    GY_TRY(status != GY_OK ? status : cleaned);
    GY_TRY(gy_package_digest(j->dir, have, err));
    return strcmp(have, j->ret->digest) == 0
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "%s holds more than the package of %s", j->dir,
                            name);
}

static gy_status end_found_run(struct job *j, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    char path[128];
    (void)snprintf(path, sizeof path, "/api/2.0/mlflow/runs/get?run_id=%s", j->ret->run_id);
    GY_TRY(ask(j, "GET", path, GY_STR_NULL, &doc, err));
    yyjson_val *info = gy_json_get(gy_json_get(yyjson_doc_get_root(doc), "run"), "info");
    /* KILLED: who swept up after the kill did not know that a version had come of it. */
    return gy_str_eqc(gy_json_str(info, "status"), "FINISHED") ? GY_OK
                                                               : end_run(j, "FINISHED", err);
}

/* What the earlier attempt did not come to: the end of its run, the proof. */
static gy_status finish_found(struct job *j, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH);
    j->ret->found = true;
    GY_TRY(bring_package(j, err));
    GY_TRY(end_found_run(j, err));
    GY_TRY(version_path(j, "", &path, err));
    GY_TRY(ask(j, "GET", path.p, GY_STR_NULL, &doc, err));
    yyjson_val *v = yyjson_doc_get_root(doc);
    struct gy_str servable = gy_json_str(v, "servable");
    if (gy_str_eqc(servable, "unknown")) {
        return prove(j, err);
    }
    struct gy_str reason = gy_json_str(v, "servable_reason");
    j->ret->servable = gy_str_eqc(servable, "yes");
    (void)snprintf(j->ret->reason, sizeof j->ret->reason, "%.*s", (int)reason.n,
                   reason.p ? reason.p : "");
    return GY_OK;
}

/* ---- the whole ---- */

static gy_status publish_new(struct job *j, struct gy_err *err)
{
    GY_TRY(create_run(j, err));
    gy_status status = send_package(j, err);
    if (status == GY_OK) {
        status = log_batch(j, err);
    }
    if (status == GY_OK) {
        status = log_history(j, err);
    }
    if (status == GY_OK) {
        status = register_model(j, err);
    }
    if (status != GY_OK) {
        (void)end_run(j, "FAILED", NULL); /* the first failure is the one to tell */
        return status;
    }
    GY_TRY(end_run(j, "FINISHED", err));
    return j->o->register_as.p ? prove(j, err) : GY_OK;
}

static gy_status publish(struct job *j, struct gy_err *err)
{
    bool found = false;
    GY_TRY(find_experiment(j, err));
    GY_TRY(make_key(j, err));
    if (j->key[0]) {
        GY_TRY(find_version(j, &found, err));
    }
    GY_TRY(found ? finish_found(j, err) : publish_new(j, err));
    return j->key[0] ? end_killed_runs(j, err) : GY_OK;
}

/* A folder as it is: nothing is known of how it came about. */
static gy_status publish_folder(struct job *j, struct gy_err *err)
{
    GY_TRY(find_experiment(j, err));
    GY_TRY(create_run(j, err));
    gy_status status = gy_package_digest(j->dir, j->ret->digest, err);
    if (status == GY_OK) {
        status = gy_dir_each(j->dir, upload, j, err);
    }
    if (status == GY_OK) {
        status = register_model(j, err);
    }
    if (status != GY_OK) {
        (void)end_run(j, "FAILED", NULL); /* the first failure is the one to tell */
        return status;
    }
    GY_TRY(end_run(j, "FINISHED", err));
    return prove(j, err);
}

static gy_status with_job(struct job *j, gy_status (*work)(struct job *, struct gy_err *),
                          struct gy_err *err)
{
    memset(j->ret, 0, sizeof *j->ret);
    gy_collect_init(&j->answer, MAX_ANSWER);
    gy_buf_init(&j->body, MAX_ANSWER);
    gy_arena_init(&j->arena, MAX_ANSWER);
    gy_status status = work(j, err);
    gy_collect_done(&j->answer);
    gy_buf_done(&j->body);
    gy_arena_done(&j->arena);
    return status;
}

gy_status gy_publish_folder(struct gy_caller *c, const char *dir,
                            const struct gy_publish_options *o, struct gy_published *ret,
                            struct gy_err *err)
{
    struct job j = {.c = c, .dir = dir, .o = o, .ret = ret};
    return with_job(&j, publish_folder, err);
}

gy_status gy_publish(struct gy_caller *c, const char *dir, const struct gy_trained *t,
                     const struct gy_train_params *p, const struct gy_publish_options *o,
                     struct gy_published *ret, struct gy_err *err)
{
    struct job j = {.c = c, .dir = dir, .t = t, .p = p, .o = o, .ret = ret};
    return with_job(&j, publish, err);
}

/* Where the artifacts of the run are. */
static gy_status find_artifacts(struct job *j, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    const char *path =
        gy_arena_printf(&j->arena, "/api/2.0/mlflow/runs/get?run_id=%s", j->ret->run_id);
    if (!path) {
        return gy_err_set(err, GY_E_NOMEM, "registering a run");
    }
    GY_TRY(ask(j, "GET", path, GY_STR_NULL, &doc, err));
    yyjson_val *info = gy_json_get(gy_json_get(yyjson_doc_get_root(doc), "run"), "info");
    j->artifact_uri = gy_arena_str(&j->arena, gy_json_str(info, "artifact_uri"));
    return j->artifact_uri.p ? GY_OK : gy_err_set(err, GY_E_NETWORK, "a run without artifacts");
}

gy_status gy_publish_register(struct gy_caller *c, const char *dir,
                              const struct gy_publish_options *o, struct gy_published *ret,
                              struct gy_err *err)
{
    struct job j = {.c = c, .dir = dir, .o = o, .ret = ret};
    gy_collect_init(&j.answer, MAX_ANSWER);
    gy_buf_init(&j.body, MAX_ANSWER);
    gy_arena_init(&j.arena, MAX_ANSWER);
    gy_status status = find_artifacts(&j, err);
    if (status == GY_OK) {
        status = register_model(&j, err);
    }
    if (status == GY_OK) {
        status = prove(&j, err);
    }
    gy_collect_done(&j.answer);
    gy_buf_done(&j.body);
    gy_arena_done(&j.arena);
    return status;
}
