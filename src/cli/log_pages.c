/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/log_pages.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/time.h"
#include "cli/ask.h"
#include "watch/performance.h"

#define SEARCH "/api/gyre/v1/predictions/search"
#define MAX_CURSOR (4 * GY_MIB)
#define MAX_PAGE (256 * GY_MIB)

void gy_log_pages_done(struct gy_log_pages *p)
{
    gy_buf_done(&p->cursor);
}

static gy_status time_of(const char *text, int64_t *ret_us, struct gy_err *err)
{
    return text ? gy_performance_since(gy_str_c(text), gy_now_us(), ret_us, err) : GY_OK;
}

gy_status gy_log_pages_times(struct gy_log_pages *p, const char *since, const char *until,
                             struct gy_err *err)
{
    GY_TRY(time_of(since, &p->since_us, err));
    return time_of(until, &p->until_us, err);
}

static gy_status write_question(const struct gy_log_pages *p, struct gy_buf *out,
                                struct gy_err *err)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    if (p->endpoint) {
        gy_jw_kv_strc(&w, "endpoint", p->endpoint);
    }
    if (p->version) {
        gy_jw_kv_strc(&w, "version", p->version);
    }
    if (p->where) {
        gy_jw_kv_strc(&w, "where", p->where);
    }
    gy_jw_kv_i64(&w, "since_us", p->since_us);
    gy_jw_kv_i64(&w, "until_us", p->until_us);
    gy_jw_kv_i64(&w, "limit", p->limit);
    if (p->cursor.n) {
        gy_jw_key(&w, "cursor");
        gy_jw_raw(&w, gy_buf_str(&p->cursor));
    }
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "a question", err);
}

/* A page of revisions that do not have what where names is no failure: others may. */
static void note_where(struct gy_log_pages *p, yyjson_val *root)
{
    struct gy_str problem = gy_json_str(root, "where_problem");
    if (problem.n) {
        (void)snprintf(p->where_problem, sizeof p->where_problem, "%" GY_STR_F, GY_STR_A(problem));
    }
    p->where_right = p->where_right || gy_json_bool(root, "where_right", false);
}

gy_status gy_log_pages_check_where(const struct gy_log_pages *p, struct gy_err *err)
{
    return p->where_right || !p->where_problem[0]
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "where: %s", p->where_problem);
}

gy_status gy_log_pages_next(struct gy_log_pages *p, yyjson_doc **ret_doc, yyjson_val **ret_rows,
                            bool *ret_more, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_caller *caller = NULL;
    struct gy_jw w;
    gy_buf_init(&body, MAX_CURSOR + 64 * GY_KIB);
    gy_collect_init(&answer, MAX_PAGE);
    GY_TRY(gy_cli_caller(p->cli, &caller, err));
    GY_TRY(write_question(p, &body, err));
    GY_TRY(gy_call_json(caller, "POST", SEARCH, gy_buf_str(&body), &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    GY_TRY(gy_json_need_arr(root, "predictions", ret_rows, err));
    gy_buf_done(&p->cursor);
    gy_buf_init(&p->cursor, MAX_CURSOR);
    gy_jw_init(&w, &p->cursor);
    gy_jw_val(&w, gy_json_get(root, "cursor"));
    GY_TRY(gy_buf_check(&p->cursor, "the cursor", err));
    *ret_more = gy_json_bool(root, "more", false);
    note_where(p, root);
    *ret_doc = GY_TAKE(doc);
    return GY_OK;
}

/* ---- CloudEvents ---- */

size_t gy_log_event_rows(yyjson_val *const *rows, size_t n, size_t at)
{
    struct gy_str id = gy_json_str(rows[at], "prediction_id");
    size_t end = at + 1;
    while (end < n && gy_str_eq(gy_json_str(rows[end], "prediction_id"), id)) {
        end++;
    }
    return end - at;
}

/* Attributes that both events of a prediction have. */
static void write_attributes(struct gy_jw *w, yyjson_val *row, const char *what,
                             const struct gy_log_event_options *o)
{
    struct gy_str endpoint = gy_json_str(row, "endpoint"), trace = gy_json_str(row, "trace_id");
    bool seldon = o->style == GY_LOG_SELDON;
    gy_jw_kv_strc(w, "specversion", "1.0");
    gy_jw_kv_str(w, "id", gy_json_str(row, "prediction_id"));
    gy_jw_key(w, "type");
    gy_jw_strf(w, "%s.inference.%s", seldon ? "io.seldon.serving" : "org.kubeflow.serving", what);
    gy_jw_key(w, "source");
    if (o->source) {
        gy_jw_strc(w, o->source);
    } else {
        gy_jw_strf(w, "/gyre/endpoints/%" GY_STR_F, GY_STR_A(endpoint));
    }
    gy_jw_kv_str(w, "time", gy_json_str(row, "time"));
    gy_jw_kv_strc(w, "datacontenttype", "application/json");
    gy_jw_kv_str(w, "inferenceservicename", endpoint);
    gy_jw_kv_strc(w, "namespace", o->namespace);
    gy_jw_kv_strc(w, "endpoint", "default");
    if (seldon) {
        gy_jw_kv_str(w, "requestid", gy_json_str(row, "request_id"));
        gy_jw_kv_str(w, "modelid", endpoint);
        gy_jw_kv_strc(w, "protocol", "v2");
    } else {
        gy_jw_kv_strc(w, "component", "predictor");
        gy_jw_kv_str(w, "requestid", gy_json_str(row, "request_id"));
    }
    gy_jw_kv_str(w, "modelversion", gy_json_str(row, "model_version"));
    gy_jw_key(w, "revision");
    gy_jw_i64(w, gy_json_i64(row, "revision", 0));
    if (trace.p) {
        gy_jw_key(w, "traceparent");
        gy_jw_strf(w, "00-%" GY_STR_F "-%" GY_STR_F "-01", GY_STR_A(trace),
                   GY_STR_A(gy_json_str(row, "parent_span")));
    }
}

/* A tensor of shape [n, 1] with the member `name` of `of` (NULL: of the row itself). */
static void write_tensor(struct gy_jw *w, yyjson_val *const *rows, size_t n, const char *of,
                         struct gy_str name)
{
    bool text = false;
    size_t width = 1;
    for (size_t i = 0; i < n; i++) {
        yyjson_val *from = of ? gy_json_get(rows[i], of) : rows[i];
        yyjson_val *v = yyjson_obj_getn(from, name.p, name.n);
        text = text || yyjson_is_str(v);
        width = yyjson_is_arr(v) ? yyjson_arr_size(v) : width;
    }
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", name);
    gy_jw_key(w, "shape");
    gy_jw_arr(w);
    gy_jw_i64(w, (int64_t)n);
    gy_jw_i64(w, (int64_t)width);
    gy_jw_arr_end(w);
    gy_jw_kv_strc(w, "datatype", text ? "BYTES" : "FP64");
    gy_jw_key(w, "data");
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        yyjson_val *from = of ? gy_json_get(rows[i], of) : rows[i], *one;
        yyjson_val *v = yyjson_obj_getn(from, name.p, name.n);
        size_t k, max;
        if (!yyjson_is_arr(v)) {
            gy_jw_val(w, v);
            continue;
        }
        yyjson_arr_foreach(v, k, max, one)
        {
            gy_jw_val(w, one);
        }
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

/* The body as it came where the log keeps it, else the request in the form of OIP v2. */
static void write_asked(struct gy_jw *w, yyjson_val *const *rows, size_t n)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str body = gy_json_str(rows[0], "body"), binary = gy_json_str(rows[0], "body_b64");
    if (binary.p) {
        gy_jw_kv_str(w, "data_base64", binary);
        return;
    }
    gy_jw_key(w, "data");
    if (body.p && gy_json_parse(body, &doc, NULL) == GY_OK) {
        gy_jw_val(w, yyjson_doc_get_root(doc));
        return;
    }
    if (body.p) {
        gy_jw_str(w, body);
        return;
    }
    yyjson_val *key, *value;
    size_t i, max;
    gy_jw_obj(w);
    gy_jw_kv_str(w, "id", gy_json_str(rows[0], "prediction_id"));
    gy_jw_key(w, "inputs");
    gy_jw_arr(w);
    yyjson_val *inputs = gy_json_get(rows[0], "inputs");
    if (!inputs) { /* erased */
        gy_jw_arr_end(w);
        gy_jw_obj_end(w);
        return;
    }
    yyjson_obj_foreach(inputs, i, max, key, value)
    {
        write_tensor(w, rows, n, "inputs", gy_json_val_str(key));
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

void gy_log_event_request(yyjson_val *const *rows, size_t n, const struct gy_log_event_options *o,
                          struct gy_buf *out)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    write_attributes(&w, rows[0], "request", o);
    write_asked(&w, rows, n);
    gy_jw_obj_end(&w);
}

void gy_log_event_response(yyjson_val *const *rows, size_t n, const struct gy_log_event_options *o,
                           struct gy_buf *out)
{
    struct gy_jw w;
    yyjson_val *probability = gy_json_get(rows[0], "probability");
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    write_attributes(&w, rows[0], "response", o);
    gy_jw_key(&w, "data");
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "model_name", gy_json_str(rows[0], "endpoint"));
    gy_jw_kv_str(&w, "model_version", gy_json_str(rows[0], "model_version"));
    gy_jw_kv_str(&w, "id", gy_json_str(rows[0], "prediction_id"));
    gy_jw_key(&w, "outputs");
    gy_jw_arr(&w);
    write_tensor(&w, rows, n, NULL, GY_STR("prediction"));
    if (probability && !yyjson_is_null(probability)) {
        write_tensor(&w, rows, n, NULL, GY_STR("probability"));
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
}
