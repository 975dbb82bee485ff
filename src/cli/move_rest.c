/* SPDX-License-Identifier: Apache-2.0 */
/* Any server that speaks MLflow's REST API (cli/move.h). It tells of everything but deleted
 * versions and deleted logged models. Artifacts come through the server, wherever it keeps them. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/move.h"
#include "net/http_client.h"

#define API "/api/2.0/mlflow"
#define PROXY "/api/2.0/mlflow-artifacts/artifacts"
#define MAX_BODY (256 * GY_MIB)

enum { MAX_DEPTH = 64, POINTS_PAGE = 25000, MAX_TRIES = 5 };

struct rest {
    struct gy_caller *http;
    struct gy_header auth[2];
    size_t n_auth;
    char auth_text[4096];
    struct gy_move_report *report;
    struct gy_collect answer;
    yyjson_doc *doc;                 /* of the last answer */
    struct gy_buf path, body, token; /* token: of the next page */
    char scratch[GY_MAX_PATH];
    int64_t n_fetched;
};

/* ---- calls ---- */

static gy_status send(struct rest *r, const char *method, struct gy_str path, struct gy_str body,
                      struct gy_err *err)
{
    struct gy_header headers[3];
    struct gy_mem_reader reader;
    struct gy_str target, query;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    (void)gy_str_cut(path, '?', &target, &query);
    size_t n = 0;
    for (; n < r->n_auth; n++) {
        headers[n] = r->auth[n];
    }
    if (body.p) {
        headers[n++] = (struct gy_header){GY_STR("Content-Type"), GY_STR("application/json")};
    }
    struct gy_request req = {.method = gy_str_c(method),
                             .path = target,
                             .query = query,
                             .headers = headers,
                             .n_headers = n,
                             .body = body.p ? gy_mem_reader_init(&reader, body) : NULL,
                             .arena = &a};
    gy_collect_reset(&r->answer);
    return gy_call(r->http, &req, &r->answer.reply, err);
}

static gy_status explain(struct rest *r, struct gy_str path, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_status code = gy_status_from_http(r->answer.status);
    struct gy_str said = GY_STR_NULL;
    if (gy_json_parse(gy_buf_str(&r->answer.body), &doc, NULL) == GY_OK) {
        said = gy_json_str(yyjson_doc_get_root(doc), "message");
    }
    (void)gy_err_set(err, code, "the server answers %d to %" GY_STR_F ": %" GY_STR_F,
                     r->answer.status, GY_STR_A(gy_str_sub(path, 0, 120)),
                     GY_STR_A(gy_str_sub(said.p ? said : gy_buf_str(&r->answer.body), 0, 250)));
    if (r->answer.status == 401 || r->answer.status == 403) {
        return gy_err_hint(err, "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
                                "MLFLOW_TRACKING_PASSWORD");
    }
    return code;
}

/* One question; the answer is in r->doc. Reads are repeated when the server is busy. */
static gy_status ask(struct rest *r, const char *method, struct gy_str body, yyjson_val **ret,
                     struct gy_err *err)
{
    GY_TRY(gy_buf_check(&r->path, "the path", err));
    for (int tries = 1;; tries++) {
        struct gy_err why = GY_ERR_INIT;
        gy_status status = send(r, method, gy_buf_str(&r->path), body, &why);
        bool again = status == GY_OK ? r->answer.status == 429 || r->answer.status >= 502
                                     : gy_status_retryable(status) != 0;
        if (again && tries < MAX_TRIES) {
            (void)usleep((useconds_t)(100000U << tries)); /* shorter: asked a little earlier */
            continue;
        }
        if (status != GY_OK) {
            if (err) {
                *err = why;
            }
            return status;
        }
        break;
    }
    if (r->answer.status >= 400) {
        return explain(r, gy_buf_str(&r->path), err);
    }
    gy_json_free(r->doc);
    r->doc = NULL;
    gy_status status = gy_json_parse(gy_buf_str(&r->answer.body), &r->doc, err);
    *ret = yyjson_doc_get_root(r->doc);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "the answer to %s", r->path.p);
}

static void path_of(struct rest *r, const char *path)
{
    gy_buf_reset(&r->path);
    gy_buf_addc(&r->path, path);
}

static void query(struct rest *r, const char *key, struct gy_str value)
{
    gy_buf_add_char(&r->path, gy_str_find(gy_buf_str(&r->path), '?') == SIZE_MAX ? '?' : '&');
    gy_buf_addc(&r->path, key);
    gy_buf_add_char(&r->path, '=');
    gy_url_encode(&r->path, value, false);
}

/* Keep the token of the next page; false: there is none. */
static bool next_page(struct rest *r, yyjson_val *root)
{
    struct gy_str token = gy_json_str(root, "next_page_token");
    gy_buf_reset(&r->token);
    gy_buf_add(&r->token, token);
    return token.n > 0;
}

/* ---- values: int64 may be numbers or texts ---- */

static int64_t number(yyjson_val *o, const char *key)
{
    yyjson_val *v = gy_json_get(o, key);
    int64_t n = 0;
    if (yyjson_is_str(v)) {
        return gy_parse_i64(gy_json_val_str(v), INT64_MIN, INT64_MAX, &n, NULL) == GY_OK ? n : 0;
    }
    if (yyjson_is_real(v)) {
        double real = yyjson_get_real(v);
        return fabs(real) < 9e18 ? (int64_t)real : 0; /* 1e300 fits in none */
    }
    return yyjson_get_sint(v);
}

static double real(yyjson_val *o, const char *key)
{
    yyjson_val *v = gy_json_get(o, key);
    double n = NAN;
    if (yyjson_is_str(v)) {
        return gy_move_number(gy_json_val_str(v), &n, NULL) == GY_OK ? n : (double)NAN;
    }
    return yyjson_is_num(v) ? yyjson_get_num(v) : (double)NAN;
}

static gy_status keep(yyjson_val *o, const char *key, struct gy_arena *a, struct gy_str *ret,
                      struct gy_err *err)
{
    struct gy_str s = gy_json_str(o, key);
    *ret = s.p ? gy_arena_str(a, s) : GY_STR_NULL;
    return !s.p || ret->p ? GY_OK : gy_track_nomem(err);
}

static gy_status pairs(yyjson_val *list, struct gy_arena *a, struct gy_tag **ret, size_t *ret_n,
                       struct gy_err *err)
{
    size_t i, n;
    yyjson_val *t;
    *ret_n = 0;
    *ret = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof **ret);
    if (!*ret) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, t)
    {
        struct gy_tag *to = &(*ret)[(*ret_n)++];
        GY_TRY(keep(t, "key", a, &to->key, err));
        GY_TRY(keep(t, "value", a, &to->value, err));
        to->key = to->key.p ? to->key : GY_STR("");
        to->value = to->value.p ? to->value : GY_STR("");
    }
    return GY_OK;
}

static bool is_deleted(yyjson_val *o)
{
    return gy_str_eqc(gy_json_str(o, "lifecycle_stage"), "deleted");
}

/* ---- experiments ---- */

static gy_status read_experiment(struct rest *r, yyjson_val *o, struct gy_arena *a,
                                 struct gy_experiment *e, bool *ret_ok, struct gy_err *err)
{
    *e = (struct gy_experiment){.deleted = is_deleted(o),
                                .created_us = gy_move_us(number(o, "creation_time")),
                                .updated_us = gy_move_us(number(o, "last_update_time"))};
    struct gy_str id = gy_json_str(o, "experiment_id");
    *ret_ok = gy_parse_i64(id, 0, INT64_MAX, &e->id, NULL) == GY_OK;
    if (!*ret_ok) {
        gy_move_reject(r->report, "an experiment", "its id is no whole number");
    }
    GY_TRY(keep(o, "name", a, &e->name, err));
    GY_TRY(keep(o, "artifact_location", a, &e->artifact_location, err));
    return pairs(gy_json_get(o, "tags"), a, &e->tags, &e->n_tags, err);
}

/* {"max_results":N, "page_token":".."} around what is there already. */
static gy_status page_body(struct rest *r, struct gy_jw *w, int64_t max, bool first,
                           struct gy_err *err)
{
    gy_jw_kv_i64(w, "max_results", max);
    if (!first) {
        gy_jw_kv_str(w, "page_token", gy_buf_str(&r->token));
    }
    gy_jw_obj_end(w);
    return gy_buf_check(&r->body, "the request", err);
}

static gy_status rest_experiments(void *self, struct gy_arena *a, struct gy_experiment **ret,
                                  size_t *ret_n, struct gy_err *err)
{
    struct rest *r = self;
    void *items = NULL;
    size_t n = 0, cap = 0, i, m;
    bool more = true;
    for (bool first = true; more; first = false) {
        struct gy_jw w;
        yyjson_val *root = NULL, *o;
        gy_buf_reset(&r->body);
        gy_jw_init(&w, &r->body);
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "view_type", "ALL");
        GY_TRY(page_body(r, &w, 1000, first, err));
        path_of(r, API "/experiments/search");
        GY_TRY(ask(r, "POST", gy_buf_str(&r->body), &root, err));
        yyjson_arr_foreach(gy_json_get(root, "experiments"), i, m, o)
        {
            bool ok = false;
            GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof **ret, err));
            GY_TRY(read_experiment(r, o, a, &((struct gy_experiment *)items)[n], &ok, err));
            n += ok;
        }
        more = next_page(r, root);
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

/* ---- runs ---- */

static gy_status read_inputs(yyjson_val *inputs, struct gy_arena *a, struct gy_run *run,
                             struct gy_err *err)
{
    yyjson_val *list = gy_json_get(inputs, "dataset_inputs"), *x;
    yyjson_val *models = gy_json_get(inputs, "model_inputs");
    size_t i, n;
    run->inputs = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof *run->inputs);
    run->model_inputs = gy_arena_calloc(a, yyjson_arr_size(models) + 1, sizeof *run->model_inputs);
    if (!run->inputs || !run->model_inputs) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, x)
    {
        yyjson_val *d = gy_json_get(x, "dataset");
        struct gy_run_dataset *to = &run->inputs[run->n_inputs++];
        GY_TRY(keep(d, "name", a, &to->name, err));
        GY_TRY(keep(d, "digest", a, &to->digest, err));
        GY_TRY(keep(d, "source_type", a, &to->source_type, err));
        GY_TRY(keep(d, "source", a, &to->source, err));
        GY_TRY(keep(d, "schema", a, &to->schema, err));
        GY_TRY(keep(d, "profile", a, &to->profile, err));
        GY_TRY(pairs(gy_json_get(x, "tags"), a, &to->tags, &to->n_tags, err));
    }
    yyjson_arr_foreach(models, i, n, x)
    {
        GY_TRY(keep(x, "model_id", a, &run->model_inputs[run->n_model_inputs++].model_id, err));
    }
    return GY_OK;
}

static gy_status read_outputs(yyjson_val *outputs, struct gy_arena *a, struct gy_run *run,
                              struct gy_err *err)
{
    yyjson_val *list = gy_json_get(outputs, "model_outputs"), *x;
    size_t i, n;
    run->model_outputs = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof *run->model_outputs);
    if (!run->model_outputs) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, x)
    {
        struct gy_run_model *m = &run->model_outputs[run->n_model_outputs++];
        GY_TRY(keep(x, "model_id", a, &m->model_id, err));
        m->step = number(x, "step");
    }
    return GY_OK;
}

/* Its latest metrics come with it: their keys are what histories are asked for. */
static gy_status read_metrics(yyjson_val *list, struct gy_arena *a, struct gy_metric **ret,
                              size_t *ret_n, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *x;
    *ret_n = 0;
    *ret = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof **ret);
    if (!*ret) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, x)
    {
        struct gy_metric *m = &(*ret)[(*ret_n)++];
        *m = (struct gy_metric){
            .value = real(x, "value"), .ts_ms = number(x, "timestamp"), .step = number(x, "step")};
        GY_TRY(keep(x, "key", a, &m->key, err));
        GY_TRY(keep(x, "run_id", a, &m->run_id, err));
        GY_TRY(keep(x, "dataset_name", a, &m->dataset_name, err));
        GY_TRY(keep(x, "dataset_digest", a, &m->dataset_digest, err));
    }
    return GY_OK;
}

static gy_status read_run(yyjson_val *o, int64_t experiment, struct gy_arena *a, struct gy_run *run,
                          struct gy_err *err)
{
    yyjson_val *info = gy_json_get(o, "info"), *data = gy_json_get(o, "data");
    *run = (struct gy_run){.experiment_id = experiment,
                           .start_ms = number(info, "start_time"),
                           .end_ms = number(info, "end_time"),
                           .deleted = is_deleted(info)};
    GY_TRY(keep(info, "run_id", a, &run->id, err));
    if (!run->id.p) {
        GY_TRY(keep(info, "run_uuid", a, &run->id, err));
    }
    GY_TRY(keep(info, "run_name", a, &run->name, err));
    GY_TRY(keep(info, "user_id", a, &run->user_id, err));
    GY_TRY(keep(info, "status", a, &run->status, err));
    GY_TRY(keep(info, "artifact_uri", a, &run->artifact_uri, err));
    run->artifact_uri = run->artifact_uri.p ? run->artifact_uri : GY_STR("");
    GY_TRY(gy_track_check_run_id(run->id, err));
    GY_TRY(pairs(gy_json_get(data, "params"), a, &run->params, &run->n_params, err));
    GY_TRY(pairs(gy_json_get(data, "tags"), a, &run->tags, &run->n_tags, err));
    GY_TRY(read_metrics(gy_json_get(data, "metrics"), a, &run->metrics, &run->n_metrics, err));
    GY_TRY(read_inputs(gy_json_get(o, "inputs"), a, run, err));
    return read_outputs(gy_json_get(o, "outputs"), a, run, err);
}

/* Oldest first, so that runs which are made meanwhile come at the end and move no page. */
static gy_status list_runs(struct rest *r, const struct gy_experiment *e, bool first,
                           yyjson_val **ret, struct gy_err *err)
{
    struct gy_jw w;
    gy_buf_reset(&r->body);
    gy_jw_init(&w, &r->body);
    gy_jw_obj(&w);
    gy_jw_key(&w, "experiment_ids");
    gy_jw_arr(&w);
    gy_jw_strf(&w, "%lld", (long long)e->id);
    gy_jw_arr_end(&w);
    gy_jw_kv_strc(&w, "run_view_type", "ALL");
    gy_jw_key(&w, "order_by");
    gy_jw_arr(&w);
    gy_jw_strc(&w, "attributes.start_time ASC");
    gy_jw_arr_end(&w);
    GY_TRY(page_body(r, &w, GY_MOVE_PAGE, first, err));
    path_of(r, API "/runs/search");
    return ask(r, "POST", gy_buf_str(&r->body), ret, err);
}

static gy_status rest_runs(void *self, const struct gy_experiment *e, size_t page,
                           struct gy_arena *a, struct gy_run **ret, size_t *ret_n, bool *ret_end,
                           struct gy_err *err)
{
    struct rest *r = self;
    yyjson_val *root = NULL, *list, *o;
    size_t i, n;
    GY_TRY(list_runs(r, e, page == 0, &root, err));
    list = gy_json_get(root, "runs");
    *ret_end = !next_page(r, root);
    *ret_n = 0;
    *ret = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof **ret);
    if (!*ret) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, o)
    {
        GY_TRY(read_run(o, e->id, a, &(*ret)[(*ret_n)++], err));
    }
    for (i = 0; i < *ret_n; i++) { /* what a run read, a search does not tell in full */
        struct gy_run *run = &(*ret)[i];
        path_of(r, API "/runs/get");
        query(r, "run_id", run->id);
        GY_TRY(ask(r, "GET", GY_STR_NULL, &root, err));
        GY_TRY(read_run(gy_json_get(root, "run"), e->id, a, run, err));
    }
    return GY_OK;
}

/* ---- metrics ---- */

/* The latest points tell of a change, unless points were added to the past. */
static gy_status rest_mark(void *self, const struct gy_run *run, struct gy_hash *h,
                           struct gy_err *err)
{
    (void)self;
    (void)err;
    for (size_t i = 0; i < run->n_metrics; i++) {
        const struct gy_metric *m = &run->metrics[i];
        char text[128];
        (void)snprintf(text, sizeof text, "=%lld:%lld:%.17g\n", (long long)m->ts_ms,
                       (long long)m->step, m->value);
        gy_hash_add(h, m->key);
        gy_hash_add(h, gy_str_c(text));
    }
    return GY_OK;
}

static gy_status give_history(struct rest *r, const struct gy_run *run, struct gy_str key,
                              gy_move_point_fn fn, void *ctx, struct gy_err *err)
{
    size_t i, n;
    bool more = true;
    for (bool first = true; more; first = false) {
        yyjson_val *root = NULL, *o;
        char max[16];
        (void)snprintf(max, sizeof max, "%d", POINTS_PAGE);
        path_of(r, API "/metrics/get-history");
        query(r, "run_id", run->id);
        query(r, "metric_key", key);
        query(r, "max_results", gy_str_c(max));
        if (!first) {
            query(r, "page_token", gy_buf_str(&r->token));
        }
        GY_TRY(ask(r, "GET", GY_STR_NULL, &root, err));
        more = next_page(r, root);
        yyjson_arr_foreach(gy_json_get(root, "metrics"), i, n, o)
        {
            struct gy_metric m = {.key = key,
                                  .value = real(o, "value"),
                                  .ts_ms = number(o, "timestamp"),
                                  .step = number(o, "step")};
            GY_TRY(fn(ctx, &m, err));
        }
    }
    return GY_OK;
}

static gy_status rest_points(void *self, const struct gy_run *run, gy_move_point_fn fn, void *ctx,
                             struct gy_err *err)
{
    for (size_t i = 0; i < run->n_metrics; i++) {
        GY_TRY(give_history(self, run, run->metrics[i].key, fn, ctx, err));
    }
    return GY_OK;
}

/* ---- logged models ---- */

static enum gy_logged_status status_of(yyjson_val *info)
{
    struct gy_str s = gy_json_str(info, "status");
    int64_t n = number(info, "status");
    return gy_str_ends(s, GY_STR("PENDING")) || n == 1  ? GY_LOGGED_PENDING
           : gy_str_ends(s, GY_STR("FAILED")) || n == 3 ? GY_LOGGED_FAILED
                                                        : GY_LOGGED_READY;
}

static gy_status read_logged(yyjson_val *o, int64_t experiment, struct gy_arena *a,
                             struct gy_logged_model *m, struct gy_err *err)
{
    yyjson_val *info = gy_json_get(o, "info"), *data = gy_json_get(o, "data");
    *m = (struct gy_logged_model){.experiment_id = experiment,
                                  .status = status_of(info),
                                  .created_us = gy_move_us(number(info, "creation_timestamp_ms")),
                                  .updated_us =
                                      gy_move_us(number(info, "last_updated_timestamp_ms"))};
    GY_TRY(keep(info, "model_id", a, &m->id, err));
    GY_TRY(keep(info, "name", a, &m->name, err));
    GY_TRY(keep(info, "artifact_uri", a, &m->artifact_uri, err));
    GY_TRY(keep(info, "model_type", a, &m->model_type, err));
    GY_TRY(keep(info, "source_run_id", a, &m->source_run_id, err));
    m->artifact_uri = m->artifact_uri.p ? m->artifact_uri : GY_STR("");
    GY_TRY(gy_track_check_run_id(m->id, err));
    GY_TRY(pairs(gy_json_get(info, "tags"), a, &m->tags, &m->n_tags, err));
    GY_TRY(pairs(gy_json_get(data, "params"), a, &m->params, &m->n_params, err));
    return read_metrics(gy_json_get(data, "metrics"), a, &m->metrics, &m->n_metrics, err);
}

static gy_status rest_logged(void *self, const struct gy_experiment *e, size_t page,
                             struct gy_arena *a, struct gy_logged_model **ret, size_t *ret_n,
                             bool *ret_end, struct gy_err *err)
{
    struct rest *r = self;
    struct gy_jw w;
    yyjson_val *root = NULL, *list, *o;
    size_t i, n;
    struct gy_err why = GY_ERR_INIT;
    *ret_n = 0;
    *ret_end = true;
    gy_buf_reset(&r->body);
    gy_jw_init(&w, &r->body);
    gy_jw_obj(&w);
    gy_jw_key(&w, "experiment_ids");
    gy_jw_arr(&w);
    gy_jw_strf(&w, "%lld", (long long)e->id);
    gy_jw_arr_end(&w);
    GY_TRY(page_body(r, &w, 50, page == 0, err));
    path_of(r, API "/logged-models/search");
    gy_status status = ask(r, "POST", gy_buf_str(&r->body), &root, &why);
    if (status == GY_E_NOTFOUND) { /* a server from before MLflow 3 */
        return GY_OK;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    *ret_end = !next_page(r, root);
    list = gy_json_get(root, "models");
    *ret = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof **ret);
    if (!*ret) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, o)
    {
        GY_TRY(read_logged(o, e->id, a, &(*ret)[(*ret_n)++], err));
    }
    return GY_OK;
}

/* ---- the registry ---- */

static gy_status read_model(struct rest *r, struct gy_arena *a, struct gy_registered_model *m,
                            struct gy_err *err)
{
    yyjson_val *root = NULL, *x;
    size_t i, n;
    path_of(r, API "/registered-models/get");
    query(r, "name", m->name);
    GY_TRY(ask(r, "GET", GY_STR_NULL, &root, err));
    yyjson_val *o = gy_json_get(root, "registered_model"), *aliases = gy_json_get(o, "aliases");
    m->created_us = gy_move_us(number(o, "creation_timestamp"));
    m->updated_us = gy_move_us(number(o, "last_updated_timestamp"));
    GY_TRY(keep(o, "description", a, &m->description, err));
    GY_TRY(pairs(gy_json_get(o, "tags"), a, &m->tags, &m->n_tags, err));
    m->aliases = gy_arena_calloc(a, yyjson_arr_size(aliases) + 1, sizeof *m->aliases);
    if (!m->aliases) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(aliases, i, n, x)
    {
        struct gy_model_alias *to = &m->aliases[m->n_aliases++];
        to->version = number(x, "version");
        GY_TRY(keep(x, "alias", a, &to->alias, err));
    }
    return GY_OK;
}

static gy_status rest_models(void *self, struct gy_arena *a, struct gy_registered_model **ret,
                             size_t *ret_n, struct gy_err *err)
{
    struct rest *r = self;
    void *items = NULL;
    size_t n = 0, cap = 0, i, m;
    bool more = true;
    for (bool first = true; more; first = false) {
        yyjson_val *root = NULL, *o;
        path_of(r, API "/registered-models/search");
        query(r, "max_results", GY_STR("1000"));
        if (!first) {
            query(r, "page_token", gy_buf_str(&r->token));
        }
        GY_TRY(ask(r, "GET", GY_STR_NULL, &root, err));
        more = next_page(r, root);
        yyjson_arr_foreach(gy_json_get(root, "registered_models"), i, m, o)
        {
            GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof **ret, err));
            struct gy_registered_model *to = &((struct gy_registered_model *)items)[n++];
            *to = (struct gy_registered_model){.id = 0};
            GY_TRY(keep(o, "name", a, &to->name, err));
        }
    }
    *ret = items;
    *ret_n = n;
    for (i = 0; i < n; i++) {
        GY_TRY(read_model(r, a, &(*ret)[i], err));
    }
    if (n > 0) {
        gy_move_note(r->report, "MLflow's API does not tell of deleted versions: the number of a "
                                "deleted newest version will be given again");
    }
    return GY_OK;
}

static gy_status read_version(yyjson_val *o, struct gy_str name, struct gy_arena *a,
                              struct gy_transfer_version *x, struct gy_err *err)
{
    struct gy_model_version *v = &x->v;
    *x = (struct gy_transfer_version){
        .v = {.name = name,
              .version = number(o, "version"),
              .created_us = gy_move_us(number(o, "creation_timestamp")),
              .updated_us = gy_move_us(number(o, "last_updated_timestamp"))}};
    GY_TRY(keep(o, "description", a, &v->description, err));
    GY_TRY(keep(o, "user_id", a, &v->actor, err));
    GY_TRY(keep(o, "current_stage", a, &v->stage, err));
    GY_TRY(keep(o, "source", a, &v->source, err));
    GY_TRY(keep(o, "run_id", a, &v->run_id, err));
    GY_TRY(keep(o, "run_link", a, &v->run_link, err));
    GY_TRY(keep(o, "model_id", a, &v->logged_model_id, err));
    return pairs(gy_json_get(o, "tags"), a, &x->tags, &x->n_tags, err);
}

static gy_status read_location(struct rest *r, struct gy_arena *a, struct gy_model_version *v,
                               struct gy_err *err)
{
    char number_text[32];
    yyjson_val *root = NULL;
    static const char prefix[] = "models:/m-";
    (void)snprintf(number_text, sizeof number_text, "%lld", (long long)v->version);
    path_of(r, API "/model-versions/get-download-uri");
    query(r, "name", v->name);
    query(r, "version", gy_str_c(number_text));
    GY_TRY(ask(r, "GET", GY_STR_NULL, &root, err));
    if (v->logged_model_id.n == 0 && gy_str_starts(v->source, gy_str_c(prefix))) {
        v->logged_model_id = gy_str_sub(v->source, sizeof "models:/" - 1, SIZE_MAX);
    }
    return keep(root, "artifact_uri", a, &v->storage_location, err);
}

static gy_status rest_versions(void *self, const struct gy_registered_model *m, struct gy_arena *a,
                               struct gy_transfer_version **ret, size_t *ret_n, struct gy_err *err)
{
    struct rest *r = self;
    void *items = NULL;
    size_t n = 0, cap = 0, i, k;
    bool more = true;
    const char *quote = gy_str_find(m->name, '\'') == SIZE_MAX ? "'" : "\"";
    const char *filter =
        gy_arena_printf(a, "name = %s%" GY_STR_F "%s", quote, GY_STR_A(m->name), quote);
    if (!filter) {
        return gy_track_nomem(err);
    }
    for (bool first = true; more; first = false) {
        yyjson_val *root = NULL, *o;
        path_of(r, API "/model-versions/search");
        query(r, "filter", gy_str_c(filter));
        query(r, "max_results", GY_STR("1000"));
        query(r, "order_by", GY_STR("version_number ASC"));
        if (!first) {
            query(r, "page_token", gy_buf_str(&r->token));
        }
        GY_TRY(ask(r, "GET", GY_STR_NULL, &root, err));
        more = next_page(r, root);
        yyjson_arr_foreach(gy_json_get(root, "model_versions"), i, k, o)
        {
            GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof **ret, err));
            GY_TRY(read_version(o, m->name, a, &((struct gy_transfer_version *)items)[n++], err));
        }
    }
    *ret = items;
    *ret_n = n;
    for (i = 0; i < n; i++) {
        GY_TRY(read_location(r, a, &(*ret)[i].v, err));
    }
    return GY_OK;
}

/* ---- artifacts ---- */

static bool is_proxied(struct gy_str uri)
{
    return gy_str_starts(uri, GY_STR("mlflow-artifacts:"));
}

static bool rest_has_files(void *self, const struct gy_move_place *p)
{
    (void)self;
    return p->kind != 'v' || is_proxied(p->uri);
}

/* The question for what one folder of a place holds. */
static void list_path(struct rest *r, const struct gy_move_place *p, struct gy_str dir,
                      struct gy_arena *a)
{
    if (is_proxied(p->uri)) {
        struct gy_str root = gy_artifact_path_of_uri(p->uri, a);
        path_of(r, PROXY);
        query(r, "path", gy_artifact_join(root, dir, a));
    } else if (p->kind == 'm') {
        path_of(r, API "/logged-models/");
        gy_url_encode(&r->path, p->id, false);
        gy_buf_addc(&r->path, "/artifacts/directories");
        query(r, "artifact_directory_path", dir);
    } else {
        path_of(r, API "/artifacts/list");
        query(r, "run_id", p->id);
        query(r, "path", dir);
    }
}

struct entry {
    struct gy_str path;
    int64_t size;
    bool is_dir;
};

static gy_status walk(struct rest *r, const struct gy_move_place *p, struct gy_str dir, int depth,
                      gy_move_file_fn fn, void *ctx, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    yyjson_val *root = NULL, *o;
    size_t i, n;
    gy_arena_init(&a, 64 * GY_MIB);
    if (depth > MAX_DEPTH) {
        gy_move_reject(r->report, "an artifact", "its folders are too deep");
        return GY_OK;
    }
    list_path(r, p, dir, &a);
    GY_TRY(ask(r, "GET", GY_STR_NULL, &root, err));
    yyjson_val *list = gy_json_get(root, "files");
    struct entry *entries = gy_arena_calloc(&a, yyjson_arr_size(list) + 1, sizeof *entries);
    if (!entries) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, o)
    { /* the proxy tells names, the others paths from the root of the place */
        struct gy_str path = gy_json_str(o, "path");
        entries[i] = (struct entry){.path = is_proxied(p->uri) ? gy_artifact_join(dir, path, &a)
                                                               : gy_arena_str(&a, path),
                                    .size = number(o, "file_size"),
                                    .is_dir = gy_json_bool(o, "is_dir", false)};
        if (!entries[i].path.p) {
            return gy_track_nomem(err);
        }
    }
    size_t n_entries = yyjson_arr_size(list); /* the list is gone with the next answer */
    for (i = 0; i < n_entries; i++) {
        if (gy_path_check_relative(entries[i].path, NULL) != GY_OK) {
            gy_move_reject(r->report, entries[i].path.p, "no path that an artifact can have");
            continue;
        }
        GY_TRY(entries[i].is_dir ? walk(r, p, entries[i].path, depth + 1, fn, ctx, err)
                                 : fn(ctx, entries[i].path, entries[i].size, err));
    }
    return GY_OK;
}

static gy_status rest_files(void *self, const struct gy_move_place *p, gy_move_file_fn fn,
                            void *ctx, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    gy_status status = walk(self, p, GY_STR(""), 0, fn, ctx, &why);
    if (status == GY_E_NOTFOUND || status == GY_E_UNSUPPORTED) { /* nothing was ever put there */
        return GY_OK;
    }
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

static gy_status put(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    return gy_fd_write(*(const int *)ctx, "an artifact on its way here", bytes, err);
}

static void fetch_path(struct rest *r, const struct gy_move_place *p, struct gy_str path,
                       struct gy_arena *a)
{
    if (is_proxied(p->uri)) {
        struct gy_str root = gy_artifact_path_of_uri(p->uri, a);
        path_of(r, PROXY "/");
        gy_url_encode(&r->path, gy_artifact_join(root, path, a), true);
    } else if (p->kind == 'm') {
        path_of(r, "/ajax-api/2.0/mlflow/logged-models/");
        gy_url_encode(&r->path, p->id, false);
        gy_buf_addc(&r->path, "/artifacts/files");
        query(r, "artifact_file_path", path);
    } else {
        path_of(r, "/get-artifact");
        query(r, "run_id", p->id);
        query(r, "path", path);
    }
}

static gy_status rest_fetch(void *self, const struct gy_move_place *p, struct gy_str path,
                            char out[GY_MAX_PATH], bool *ret_temporary, struct gy_err *err)
{
    struct rest *r = self;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_pass_reply reply;
    struct gy_str target, part;
    gy_arena_init(&a, GY_MIB);
    fetch_path(r, p, path, &a);
    GY_TRY(gy_buf_check(&r->path, "the path", err));
    (void)gy_str_cut(gy_buf_str(&r->path), '?', &target, &part);
    struct gy_request req = {.method = GY_STR("GET"),
                             .path = target,
                             .query = part,
                             .headers = r->auth,
                             .n_headers = r->n_auth,
                             .arena = &a};
    (void)snprintf(out, GY_MAX_PATH, "%.4000s/%lld", r->scratch, (long long)r->n_fetched++);
    int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return gy_err_set(err, GY_E_NOSPACE, "no temporary file can be made in '%s'", r->scratch);
    }
    *ret_temporary = true;
    gy_pass_reply_init(&reply, put, &fd);
    gy_status status = gy_call(r->http, &req, &reply.reply, err);
    if (close(fd) != 0 && status == GY_OK) {
        status = gy_err_set(err, GY_E_NOSPACE, "an artifact can not be kept for its way here");
    }
    if (status == GY_OK && reply.status >= 400) {
        status = gy_err_set(err, GY_E_NOTFOUND, "the server answers %d: %.*s", reply.status,
                            (int)reply.n_text, reply.text);
    }
    return status;
}

static void rest_free(void *self)
{
    struct rest *r = self;
    gy_caller_free(r->http);
    gy_json_free(r->doc);
    gy_collect_done(&r->answer);
    gy_buf_done(&r->path);
    gy_buf_done(&r->body);
    gy_buf_done(&r->token);
    gy_free(r);
}

static const struct gy_move_source_ops rest_ops = {
    1,           "rest",        rest_experiments, rest_runs,  rest_mark,  rest_points, rest_logged,
    rest_models, rest_versions, rest_has_files,   rest_files, rest_fetch, rest_free,
};

/* As MLflow's own client reads its environment. */
static gy_status read_auth(struct rest *r, struct gy_err *err)
{
    const char *token = getenv("MLFLOW_TRACKING_TOKEN");
    const char *user = getenv("MLFLOW_TRACKING_USERNAME");
    const char *password = getenv("MLFLOW_TRACKING_PASSWORD");
    int n = 0;
    if (user && user[0] && password) {
        char plain[1024], coded[1400];
        n = snprintf(plain, sizeof plain, "%s:%s", user, password);
        if (n < 0 || (size_t)n >= sizeof plain) {
            return gy_err_set(err, GY_E_INVALID, "MLFLOW_TRACKING_PASSWORD is too long");
        }
        gy_base64(plain, (size_t)n, coded);
        n = snprintf(r->auth_text, sizeof r->auth_text, "Basic %s", coded);
    } else if (token && token[0]) {
        n = snprintf(r->auth_text, sizeof r->auth_text, "Bearer %s", token);
    } else {
        return GY_OK;
    }
    if (n < 0 || (size_t)n >= sizeof r->auth_text) {
        return gy_err_set(err, GY_E_INVALID, "MLFLOW_TRACKING_TOKEN is too long");
    }
    r->auth[r->n_auth++] = (struct gy_header){GY_STR("Authorization"), gy_str_c(r->auth_text)};
    return GY_OK;
}

gy_status gy_move_open_rest(const char *url, const char *scratch, struct gy_move_report *report,
                            struct gy_move_source *ret, struct gy_err *err)
{
    struct rest *r = gy_calloc(1, sizeof *r);
    if (!r) {
        return gy_track_nomem(err);
    }
    gy_collect_init(&r->answer, MAX_BODY);
    gy_buf_init(&r->path, GY_MIB);
    gy_buf_init(&r->body, GY_MIB);
    gy_buf_init(&r->token, GY_MIB);
    r->report = report;
    (void)snprintf(r->scratch, sizeof r->scratch, "%s", scratch);
    struct gy_str at = gy_str_c(url);
    while (gy_str_ends(at, GY_STR("/"))) {
        at.n--;
    }
    (void)snprintf(ret->label, sizeof ret->label, "%" GY_STR_F, GY_STR_A(at));
    gy_status status = read_auth(r, err);
    if (status == GY_OK && strchr(ret->label, '@')) {
        status = gy_err_set(err, GY_E_INVALID, "a URL with a user in it");
        (void)gy_err_hint(err, "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD");
    }
    if (status == GY_OK) {
        status = gy_http_client_new(ret->label, &r->http, err);
    }
    if (status != GY_OK) {
        rest_free(r);
        return status;
    }
    ret->ops = &rest_ops;
    ret->self = r;
    return GY_OK;
}
