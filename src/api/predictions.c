/* SPDX-License-Identifier: Apache-2.0 */
/* Logged predictions by time and by what they say (serve/logquery.h; rows as in serve/logrow.h).
 *   GET  /api/gyre/v1/predictions?endpoint=&version=&request_id=&since=&until=&where=&limit=&order=
 *        {"predictions":[row...],"truncated"}; order "desc" (as standard): the newest ones, newest
 *        first; "asc": from `since` on. since: a time, or "1h" before now (as standard 1d).
 *   POST /api/gyre/v1/predictions/search   the same in JSON, for those who read on:
 *        {"endpoint","version","request_id","since_us","until_us","where","limit","max_bytes",
 *        "max_scan_bytes","cursor"} -> {"predictions","cursor","more","where_right",
 *        "where_problem"}; the next call begins behind the cursor, an opaque object. `limit` counts
 * records, all of whose rows are given; a page also ends past max_bytes of answer (as standard 32
 * MiB) and past max_scan_bytes of the log looked at (256 MiB), so that it may be empty while there
 * is more. where_right: some revision met on this page has what `where` names; where_problem: why
 * none has, of those that were met. Pages before and after may meet others. */
#include "api/app.h"
#include "api/body.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "serve/logquery.h"
#include "serve/logrow.h"
#include "serve/serving.h"
#include "watch/performance.h"

#define LIMIT_STANDARD 100
#define LIMIT_MAX 5000
#define SINCE_STANDARD "1d"
#define MAX_ANSWER (256 * GY_MIB)
#define PAGE_BYTES (32 * GY_MIB)       /* past it no other record is given */
#define PAGE_SCAN_BYTES (256 * GY_MIB) /* of the log, for one page */
#define MAX_ROW (32 * GY_MIB)

static gy_status open_query(struct gy_app *app, char dir[GY_MAX_PATH], struct gy_logquery *q,
                            struct gy_err *err)
{
    if (app->serving) {
        GY_TRY(gy_predlog_flush(gy_serving_log(app->serving), false, err));
    }
    GY_TRY(gy_home_path(&app->home, "log", dir, err));
    q->dir = dir;
    q->shapes = app->shapes;
    return GY_OK;
}

/* ---- the newest ---- */

/* The last `cap` rows that came, as JSON. */
struct newest {
    struct gy_buf *rows; /* a ring of cap */
    size_t cap, n, next;
    size_t bytes; /* of the n rows: more than PAGE_BYTES, and the oldest go */
};

static void newest_done(struct newest *k)
{
    for (size_t i = 0; k->rows && i < k->cap; i++) {
        gy_buf_done(&k->rows[i]);
    }
    gy_free(k->rows);
}
GY_DEFINE_AUTO_DONE(struct newest, newest_done);

static void forget_oldest(struct newest *k)
{
    struct gy_buf *oldest = &k->rows[(k->next + k->cap - k->n) % k->cap];
    k->bytes -= oldest->n;
    k->n--;
    gy_buf_done(oldest);
    gy_buf_init(oldest, MAX_ROW);
}

static gy_status keep_row(void *ctx, const struct gy_record *r, const bool *rows,
                          const struct gy_shape *shape, struct gy_err *err)
{
    struct newest *k = ctx;
    for (uint32_t i = 0; i < r->n_rows; i++) {
        if (rows[i]) {
            struct gy_jw w;
            struct gy_buf *out = &k->rows[k->next];
            if (k->n == k->cap) {
                forget_oldest(k);
            }
            gy_jw_init(&w, out);
            gy_logrow_write(&w, r, i, shape);
            GY_TRY(gy_buf_check(out, "a logged prediction", err));
            k->next = (k->next + 1) % k->cap;
            k->n++;
            k->bytes += out->n;
            while (k->bytes > PAGE_BYTES && k->n > 1) {
                forget_oldest(k);
            }
        }
    }
    return GY_OK;
}

static gy_status find_newest(const struct gy_logquery *q, size_t limit, struct gy_jw *w,
                             struct gy_err *err)
{
    GY_AUTO_DONE(newest_done) struct newest k = {.cap = limit};
    GY_AUTO_DONE(gy_log_marks_done) struct gy_log_marks place = {0};
    struct gy_logquery_result result;
    k.rows = gy_calloc(limit, sizeof *k.rows);
    if (!k.rows) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for logged predictions");
    }
    for (size_t i = 0; i < limit; i++) {
        gy_buf_init(&k.rows[i], MAX_ROW);
    }
    GY_TRY(gy_logquery_run(q, &place, keep_row, &k, &result, err));
    for (size_t i = 0; i < k.n; i++) {
        gy_jw_raw(w, gy_buf_str(&k.rows[(k.next + k.cap - 1 - i) % k.cap]));
    }
    gy_jw_arr_end(w);
    gy_jw_kv_bool(w, "truncated", result.rows > k.n);
    return GY_OK;
}

/* ---- from a time on ---- */

struct writing {
    struct gy_jw *w;
    struct gy_buf *out;
};

static gy_status write_rows(void *ctx, const struct gy_record *r, const bool *rows,
                            const struct gy_shape *shape, struct gy_err *err)
{
    struct writing *x = ctx;
    for (uint32_t i = 0; i < r->n_rows; i++) {
        if (rows[i]) {
            gy_logrow_write(x->w, r, i, shape);
        }
    }
    return gy_buf_check(x->out, "logged predictions", err);
}

static gy_status time_of(struct gy_request *req, const char *key, const char *standard,
                         int64_t *ret_us, struct gy_err *err)
{
    struct gy_str text = gy_req_query(req, key);
    text = text.n ? text : standard ? gy_str_c(standard) : GY_STR_NULL;
    return text.n ? gy_performance_since(text, gy_now_us(), ret_us, err) : GY_OK;
}

static gy_status read_limit(struct gy_request *req, int64_t *ret, struct gy_err *err)
{
    struct gy_str limit = gy_req_query(req, "limit");
    *ret = LIMIT_STANDARD;
    if (limit.n && gy_parse_i64(limit, 1, LIMIT_MAX, ret, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "'limit' must be from 1 to %d", LIMIT_MAX);
    }
    return GY_OK;
}

static gy_status get_predictions(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                 struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct gy_logquery q = {.endpoint = gy_req_query(req, "endpoint"),
                            .version = gy_req_query(req, "version"),
                            .request_id = gy_req_query(req, "request_id"),
                            .where = gy_req_query(req, "where")};
    struct gy_str order = gy_req_query(req, "order");
    int64_t limit;
    bool oldest_first = gy_str_eqc(order, "asc");
    if (order.n && !oldest_first && !gy_str_eqc(order, "desc")) {
        return gy_err_set(err, GY_E_INVALID, "'order' must be asc or desc");
    }
    GY_TRY(read_limit(req, &limit, err));
    GY_TRY(time_of(req, "since", SINCE_STANDARD, &q.since_us, err));
    GY_TRY(time_of(req, "until", NULL, &q.until_us, err));
    GY_TRY(open_query(ctx, dir, &q, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, MAX_ANSWER);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "predictions");
    gy_jw_arr(&w);
    if (oldest_first) {
        GY_AUTO_DONE(gy_log_marks_done) struct gy_log_marks place = {0};
        struct gy_logquery_result result;
        struct writing x = {&w, &out};
        q.max_records = (size_t)limit;
        q.written = &out.n;
        q.max_bytes = PAGE_BYTES;
        GY_TRY(gy_logquery_run(&q, &place, write_rows, &x, &result, err));
        gy_jw_arr_end(&w);
        gy_jw_kv_bool(&w, "truncated", result.more);
    } else {
        GY_TRY(find_newest(&q, (size_t)limit, &w, err));
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- reading on ---- */

static gy_status read_bound(yyjson_val *body, const char *key, int64_t standard, int64_t *ret,
                            struct gy_err *err)
{
    *ret = gy_json_i64(body, key, standard);
    return *ret >= 1 && *ret <= standard
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "'%s' must be from 1 to %lld", key,
                            (long long)standard);
}

static gy_status read_search(yyjson_val *body, struct gy_logquery *q, struct gy_err *err)
{
    int64_t limit = gy_json_i64(body, "limit", LIMIT_STANDARD), bytes, scan;
    if (limit < 1 || limit > LIMIT_MAX) {
        return gy_err_set(err, GY_E_INVALID, "'limit' must be from 1 to %d", LIMIT_MAX);
    }
    GY_TRY(read_bound(body, "max_bytes", (int64_t)PAGE_BYTES, &bytes, err));
    GY_TRY(read_bound(body, "max_scan_bytes", (int64_t)PAGE_SCAN_BYTES, &scan, err));
    q->endpoint = gy_json_str(body, "endpoint");
    q->version = gy_json_str(body, "version");
    q->request_id = gy_json_str(body, "request_id");
    q->where = gy_json_str(body, "where");
    q->since_us = gy_json_i64(body, "since_us", 0);
    q->until_us = gy_json_i64(body, "until_us", 0);
    q->max_records = (size_t)limit;
    q->max_bytes = (size_t)bytes;
    q->max_scan_bytes = (uint64_t)scan;
    return GY_OK;
}

static gy_status read_cursor(yyjson_val *body, struct gy_log_marks *ret, struct gy_err *err)
{
    yyjson_val *cursor = gy_json_get(body, "cursor");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, GY_ROUTE_MAX_BODY);
    if (!cursor || yyjson_is_null(cursor)) {
        return GY_OK;
    }
    gy_jw_init(&w, &text);
    gy_jw_val(&w, cursor);
    GY_TRY(gy_buf_check(&text, "'cursor'", err));
    gy_status st = gy_log_marks_read(ret, gy_buf_str(&text), err);
    return st == GY_OK ? GY_OK : gy_err_wrap(err, "'cursor'");
}

static gy_status post_search(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct gy_logquery q = {.dir = NULL};
    struct gy_logquery_result result;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_log_marks_done) struct gy_log_marks place = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    struct writing x = {&w, &out};
    gy_buf_init(&out, MAX_ANSWER);
    GY_TRY(gy_api_object(req, GY_ROUTE_MAX_BODY, &doc, err));
    GY_TRY(read_search(yyjson_doc_get_root(doc), &q, err));
    GY_TRY(read_cursor(yyjson_doc_get_root(doc), &place, err));
    GY_TRY(open_query(ctx, dir, &q, err));
    q.written = &out.n;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "predictions");
    gy_jw_arr(&w);
    GY_TRY(gy_logquery_run(&q, &place, write_rows, &x, &result, err));
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "cursor");
    gy_log_marks_write(&place, &w);
    gy_jw_kv_bool(&w, "more", result.more);
    gy_jw_kv_bool(&w, "where_right", result.right);
    gy_jw_key(&w, "where_problem");
    if (result.wrong.code != GY_OK) {
        gy_jw_strc(&w, result.wrong.msg);
    } else {
        gy_jw_null(&w);
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"GET", "/api/gyre/v1/predictions", get_predictions, NULL, 0,
     "Logged predictions by time and by what they say"},
    {"POST", "/api/gyre/v1/predictions/search", post_search, NULL, 0,
     "The same for those who read on behind a cursor", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
};

gy_status gy_api_predictions_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
