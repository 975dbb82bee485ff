/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/trials.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/time.h"

#define MLFLOW "/api/2.0/mlflow"
#define MAX_ANSWER (16 * GY_MIB)

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

static gy_status create_run(struct gy_trials *r, struct gy_str name, struct gy_jw *w, char ret[64],
                            struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_jw_kv_strc(w, "experiment_id", r->experiment_id);
    gy_jw_kv_str(w, "run_name", name);
    GY_TRY(post(r, w, MLFLOW "/runs/create", &doc, err));
    yyjson_val *info = gy_json_get(gy_json_get(yyjson_doc_get_root(doc), "run"), "info");
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

static gy_status log_trial(struct gy_trials *r, const char *run_id, const struct gy_trial *t,
                           struct gy_err *err)
{
    struct gy_jw w = new_body(r);
    gy_jw_kv_strc(&w, "run_id", run_id);
    add_trial_params(&w, t);
    gy_jw_key(&w, "metrics");
    gy_jw_arr(&w);
    for (size_t i = 0; i < t->metrics.n; i++) {
        const struct gy_metric *m = &t->metrics.items[i];
        add_number(&w, m->name, "", m->value);
        add_number(&w, m->name, "_low", m->low);
        add_number(&w, m->name, "_high", m->high);
    }
    add_number(&w, "training_seconds", "", t->seconds);
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "tags");
    gy_jw_arr(&w);
    if (!t->ok) {
        add_pair(&w, "gyre.error", gy_str_c(t->error));
    }
    if (t->cut) {
        add_pair(&w, "gyre.cut", GY_STR("the budget ended it before its last round"));
    }
    gy_jw_arr_end(&w);
    return post(r, &w, MLFLOW "/runs/log-batch", NULL, err);
}

gy_status gy_trials_begin(struct gy_caller *c, const struct gy_trials_options *o,
                          struct gy_trials *ret, struct gy_err *err)
{
    *ret = (struct gy_trials){.c = c};
    gy_collect_init(&ret->answer, MAX_ANSWER);
    gy_buf_init(&ret->body, MAX_ANSWER);
    GY_TRY(find_experiment(ret, o->experiment, err));
    struct gy_jw w = new_body(ret);
    gy_jw_kv_i64(&w, "start_time", gy_now_us() / 1000);
    gy_jw_key(&w, "tags");
    gy_jw_arr(&w);
    add_pair(&w, "mlflow.source.name", o->source);
    add_pair(&w, "mlflow.source.type", GY_STR("LOCAL"));
    add_pair(&w, "gyre.data_sha256", o->data_sha256);
    add_pair(&w, "gyre.target", o->target);
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
        GY_TRY(log_trial(r, r->parent_run_id, s->best, err));
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
