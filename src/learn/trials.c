/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/trials.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/time.h"

#define MLFLOW "/api/2.0/mlflow"
#define MAX_ANSWER (16 * GY_MIB)
#define ARTIFACTS "mlflow-artifacts:/"
#define SEARCH_TAG "gyre.search_key" /* of a parent run */
#define TRIAL_TAG "gyre.trial_key"
#define RESULT_TAG \
    "gyre.trial" /* the numbers of a trial, to the bit: a resumed search takes them */

static struct gy_jw new_body(struct gy_trials *r)
{
    struct gy_jw w;
    gy_buf_reset(&r->body);
    gy_jw_init(&w, &r->body);
    gy_jw_obj(&w);
    return w;
}

/* Close the body's object and send it. */
static gy_status post(struct gy_trials *r, struct gy_jw *w, const char *path, yyjson_doc **ret,
                      struct gy_err *err)
{
    gy_jw_obj_end(w);
    GY_TRY(gy_buf_check(&r->body, "a request", err));
    GY_TRY(gy_call_json(r->c, "POST", path, gy_buf_str(&r->body), &r->answer, err));
    return ret ? gy_json_parse(gy_buf_str(&r->answer.body), ret, err) : GY_OK;
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

static void add_pair(struct gy_jw *w, const char *key, struct gy_str value)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "key", key);
    gy_jw_kv_str(w, "value", value);
    gy_jw_obj_end(w);
}

static void add_number(struct gy_jw *w, const char *key, const char *suffix, double v)
{
    if (isnan(v)) {
        return;
    }
    gy_jw_obj(w);
    gy_jw_key(w, "key");
    gy_jw_strf(w, "%s%s", key, suffix);
    gy_jw_kv_f64(w, "value", v);
    gy_jw_kv_i64(w, "timestamp", gy_now_us() / 1000);
    gy_jw_kv_i64(w, "step", 0);
    gy_jw_obj_end(w);
}

/* Made first: mostly it is not there yet. */
static gy_status find_experiment(struct gy_trials *r, struct gy_str name, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH);
    struct gy_err why = GY_ERR_INIT;
    struct gy_jw w = new_body(r);
    gy_jw_kv_str(&w, "name", name);
    gy_status status = post(r, &w, MLFLOW "/experiments/create", &doc, &why);
    if (status == GY_OK) {
        return copy_id(r->experiment_id, sizeof r->experiment_id,
                       gy_json_str(yyjson_doc_get_root(doc), "experiment_id"), "experiment_id",
                       err);
    }
    if (status != GY_E_EXISTS) {
        if (err) {
            *err = why;
        }
        return status;
    }
    gy_buf_addc(&path, MLFLOW "/experiments/get-by-name?experiment_name=");
    gy_url_encode(&path, name, false);
    GY_TRY(gy_buf_check(&path, "the name of the experiment", err));
    GY_TRY(gy_call_json(r->c, "GET", path.p, GY_STR_NULL, &r->answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&r->answer.body), &doc, err));
    yyjson_val *e = gy_json_get(yyjson_doc_get_root(doc), "experiment");
    return copy_id(r->experiment_id, sizeof r->experiment_id, gy_json_str(e, "experiment_id"),
                   "experiment_id", err);
}

/* Of the parent run, which is the first one: where its artifacts are, if behind the server. */
static void note_artifacts(struct gy_trials *r, yyjson_val *info)
{
    struct gy_str uri = gy_json_str(info, "artifact_uri");
    if (!r->artifact_root[0] && gy_str_starts(uri, GY_STR(ARTIFACTS))) {
        uri = gy_str_sub(uri, sizeof ARTIFACTS - 1, uri.n);
        (void)snprintf(r->artifact_root, sizeof r->artifact_root, "%.*s", (int)uri.n, uri.p);
    }
}

static gy_status create_run(struct gy_trials *r, struct gy_str name, struct gy_jw *w, char ret[64],
                            struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_jw_kv_strc(w, "experiment_id", r->experiment_id);
    gy_jw_kv_str(w, "run_name", name);
    GY_TRY(post(r, w, MLFLOW "/runs/create", &doc, err));
    yyjson_val *info = gy_json_get(gy_json_get(yyjson_doc_get_root(doc), "run"), "info");
    note_artifacts(r, info);
    return copy_id(ret, 64, gy_json_str(info, "run_id"), "run_id", err);
}

static gy_status end_run(struct gy_trials *r, const char *run_id, bool ok, struct gy_err *err)
{
    struct gy_jw w = new_body(r);
    gy_jw_kv_strc(&w, "run_id", run_id);
    gy_jw_kv_strc(&w, "status", ok ? "FINISHED" : "FAILED");
    gy_jw_kv_i64(&w, "end_time", gy_now_us() / 1000);
    return post(r, &w, MLFLOW "/runs/update", NULL, err);
}

static void add_trial_params(struct gy_jw *w, const struct gy_trial *t)
{
    char rounds[16];
    gy_jw_key(w, "params");
    gy_jw_arr(w);
    add_pair(w, "learner", gy_str_c(gy_learner_name(t->learner)));
    for (size_t i = 0; i < t->n_settings; i++) {
        add_pair(w, t->settings[i].key, gy_str_c(t->settings[i].value));
    }
    if (t->rounds > 0) {
        (void)snprintf(rounds, sizeof rounds, "%d", t->rounds);
        add_pair(w, "rounds", gy_str_c(rounds));
    }
    gy_jw_arr_end(w);
}

static gy_status add_result(struct gy_jw *w, const struct gy_trial *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw inner;
    gy_buf_init(&text, 64 * GY_KIB);
    gy_jw_init(&inner, &text);
    gy_jw_obj(&inner);
    gy_trial_write(&inner, t);
    gy_jw_obj_end(&inner);
    GY_TRY(gy_buf_check(&text, "the numbers of a trial", err));
    add_pair(w, RESULT_TAG, gy_buf_str(&text));
    return GY_OK;
}

static gy_status log_trial(struct gy_trials *r, const char *run_id, const struct gy_trial *t,
                           struct gy_err *err)
{
    struct gy_jw w = new_body(r);
    bool of_parent = strcmp(run_id, r->parent_run_id) == 0;
    gy_jw_kv_strc(&w, "run_id", run_id);
    if (!of_parent || !r->resumed) { /* params do not change, and the best may be another one now */
        add_trial_params(&w, t);
    }
    gy_jw_key(&w, "metrics");
    gy_jw_arr(&w);
    for (size_t i = 0; i < t->metrics.n; i++) {
        const struct gy_metric *m = &t->metrics.items[i];
        add_number(&w, m->name, "", m->value);
        add_number(&w, m->name, "_low", m->low);
        add_number(&w, m->name, "_high", m->high);
    }
    add_number(&w, "training_seconds", "", t->seconds);
    if (t->ok && t->number > 0) {
        add_number(&w, "predict_us", "", t->predict_us);
        add_number(&w, "model_bytes", "", (double)t->model_bytes);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "tags");
    gy_jw_arr(&w);
    if (!t->ok) {
        add_pair(&w, "gyre.error", gy_str_c(t->error));
    }
    if (t->cut) {
        add_pair(&w, "gyre.cut", GY_STR("the budget ended it before its last round"));
    }
    if (t->key[0] && !t->cut && !of_parent) {
        add_pair(&w, TRIAL_TAG, gy_str_c(t->key));
        GY_TRY(add_result(&w, t, err));
    }
    gy_jw_arr_end(&w);
    return post(r, &w, MLFLOW "/runs/log-batch", NULL, err);
}

/* ---- runs of before ---- */

/* The newest run of the experiment with this tag; NULL: none. The document is the caller's. */
static gy_status newest(struct gy_trials *r, const char *tag, const char *value, const char *and,
                        yyjson_doc **ret_doc, yyjson_val **ret, struct gy_err *err)
{
    struct gy_jw w = new_body(r);
    gy_jw_key(&w, "experiment_ids");
    gy_jw_arr(&w);
    gy_jw_strc(&w, r->experiment_id);
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "filter");
    gy_jw_strf(&w, "tags.`%s` = '%s'%s", tag, value, and);
    gy_jw_kv_i64(&w, "max_results", 1);
    GY_TRY(post(r, &w, MLFLOW "/runs/search", ret_doc, err));
    *ret = yyjson_arr_get_first(gy_json_get(yyjson_doc_get_root(*ret_doc), "runs"));
    return GY_OK;
}

static struct gy_str tag_of(yyjson_val *run, const char *key)
{
    size_t i, max;
    yyjson_val *tag;
    yyjson_arr_foreach(gy_json_get(gy_json_get(run, "data"), "tags"), i, max, tag)
    {
        if (gy_str_eqc(gy_json_str(tag, "key"), key)) {
            return gy_json_str(tag, "value");
        }
    }
    return GY_STR_NULL;
}

gy_status gy_trials_recall(struct gy_trials *r, const struct gy_metrics *names, struct gy_trial *t,
                           bool *ret_found, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *result = NULL;
    yyjson_val *run = NULL;
    *ret_found = false;
    GY_TRY(newest(r, TRIAL_TAG, t->key, "", &doc, &run, err));
    struct gy_str text = run ? tag_of(run, RESULT_TAG) : GY_STR_NULL;
    yyjson_val *info = gy_json_get(run, "info");
    struct gy_str status = gy_json_str(info, "status");
    if (!text.p || gy_str_eqc(status, "RUNNING")) { /* killed while it was being told */
        return GY_OK;
    }
    GY_TRY(gy_json_parse(text, &result, err));
    GY_TRY(gy_trial_read(yyjson_doc_get_root(result), names, t, err));
    *ret_found = true;
    return copy_id(r->trial_run_id, sizeof r->trial_run_id, gy_json_str(info, "run_id"), "run_id",
                   err);
}

/* Go on with the parent run of an earlier search; r->parent_run_id stays "" when there is none. */
static gy_status find_parent(struct gy_trials *r, struct gy_str key, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *run = NULL;
    const char *text = gy_str_find(key, '\'') == SIZE_MAX ? key.p : "";
    GY_TRY(newest(r, SEARCH_TAG, text, "", &doc, &run, err));
    if (!run) {
        return GY_OK;
    }
    yyjson_val *info = gy_json_get(run, "info");
    note_artifacts(r, info);
    r->resumed = true;
    GY_TRY(copy_id(r->parent_run_id, sizeof r->parent_run_id, gy_json_str(info, "run_id"), "run_id",
                   err));
    struct gy_jw w = new_body(r);
    gy_jw_kv_strc(&w, "run_id", r->parent_run_id);
    gy_jw_kv_strc(&w, "status", "RUNNING");
    return post(r, &w, MLFLOW "/runs/update", NULL, err);
}

gy_status gy_trials_artifact(struct gy_trials *r, const char *name, struct gy_str bytes,
                             struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH);
    if (!r->artifact_root[0]) {
        return gy_err_set(err, GY_E_INVALID, "the server does not keep artifacts behind itself");
    }
    gy_buf_addc(&path, "/api/2.0/mlflow-artifacts/artifacts/");
    gy_url_encode(&path, gy_str_c(r->artifact_root), true);
    gy_buf_addf(&path, "/%s", name);
    GY_TRY(gy_buf_check(&path, "the path of an artifact", err));
    return gy_call_json(r->c, "PUT", path.p, bytes, &r->answer, err);
}

/* ---- what callers do ---- */

gy_status gy_trials_begin(struct gy_caller *c, const struct gy_trials_options *o,
                          struct gy_trials *ret, struct gy_err *err)
{
    *ret = (struct gy_trials){.c = c};
    gy_collect_init(&ret->answer, MAX_ANSWER);
    gy_buf_init(&ret->body, MAX_ANSWER);
    GY_TRY(find_experiment(ret, o->experiment, err));
    if (o->resume && o->key.p) {
        GY_TRY(find_parent(ret, o->key, err));
        if (ret->parent_run_id[0]) {
            return GY_OK;
        }
    }
    struct gy_jw w = new_body(ret);
    gy_jw_kv_i64(&w, "start_time", gy_now_us() / 1000);
    gy_jw_key(&w, "tags");
    gy_jw_arr(&w);
    add_pair(&w, "mlflow.source.name", o->source);
    add_pair(&w, "mlflow.source.type", GY_STR("LOCAL"));
    add_pair(&w, "gyre.data_sha256", o->data_sha256);
    add_pair(&w, "gyre.target", o->target);
    if (o->key.p) {
        add_pair(&w, SEARCH_TAG, o->key);
    }
    gy_jw_arr_end(&w);
    return create_run(ret, o->name, &w, ret->parent_run_id, err);
}

gy_status gy_trials_add(struct gy_trials *r, const struct gy_trial *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf name;
    gy_buf_init(&name, 4 * GY_KIB);
    if (t->number > 0) {
        gy_buf_addf(&name, "trial %zu, ", t->number);
    }
    gy_buf_addc(&name, gy_learner_name(t->learner)); /* its settings are params of the run */
    GY_TRY(gy_buf_check(&name, "the name of a trial", err));
    struct gy_jw w = new_body(r);
    gy_jw_kv_i64(&w, "start_time", (gy_now_us() - (int64_t)(t->seconds * 1e6)) / 1000);
    gy_jw_key(&w, "tags");
    gy_jw_arr(&w);
    add_pair(&w, "mlflow.parentRunId", gy_str_c(r->parent_run_id));
    gy_jw_arr_end(&w);
    GY_TRY(create_run(r, gy_buf_str(&name), &w, r->trial_run_id, err));
    GY_TRY(log_trial(r, r->trial_run_id, t, err));
    return end_run(r, r->trial_run_id, t->ok, err);
}

gy_status gy_trials_end(struct gy_trials *r, const struct gy_search *s, struct gy_err *err)
{
    if (s && s->best) {
        struct gy_trial best = *s->best;
        best.number = 0; /* how fast and large it is stands with the trial */
        GY_TRY(log_trial(r, r->parent_run_id, &best, err));
    }
    return end_run(r, r->parent_run_id, s != NULL, err);
}

void gy_trials_done(struct gy_trials *r)
{
    if (r && r->c) {
        gy_collect_done(&r->answer);
        gy_buf_done(&r->body);
        r->c = NULL;
    }
}
