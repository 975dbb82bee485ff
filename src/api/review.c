/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the review queue, and the page of it.
 *   GET /review                            -> the page (text/html)
 *   GET /reviews?endpoint=&state=&assignee=&order=oldest|newest|uncertain&since=&limit=&after=
 *                 -> {"reviews":[...],"next":"ID/ROW"|null,"undecided","done","skipped"}
 *   GET /reviews/{prediction_id}/{row}     -> one
 *   GET /reviews/summary?endpoint=         -> {"endpoints":[{"endpoint","open","assigned","done",
 *                 "agreed","agreement","simulated","skipped","median_hours"}]}
 *   GET /reviews/export?endpoint=&state=&since=&limit=&after=   -> NDJSON, one review a line
 *   GET /reviews/form?endpoint=            -> classes, units and ranges
 *   GET /reviews/whoami                    -> {"reviewer"}: null when nobody is named
 * What is not decided of a blind queue tells no score, answer or rule, whoever asks. `after` goes
 * on behind a row, "ID/ROW". */
#include <math.h>

#include "api/body.h"
#include "api/review_api.h"
#include "base/embed.h"
#include "base/time.h"
#include "store/actor.h"
#include "watch/review.h"
#include "watch/review_token.h"

#define PAGE_ARENA (256 * GY_MIB) /* one list of rows */
#define EXPORT_PAGE 500           /* rows that an export holds at a time */

extern const struct gy_embedded gy_pages[];
extern const size_t gy_pages_count;

gy_status gy_review_reviewer(struct gy_app *app, const struct gy_request *req, struct gy_str *ret,
                             struct gy_err *err)
{
    char key[GY_MAX_PATH];
    struct gy_str token = gy_req_header(req, "gyre-review-token");
    if (!token.p) {
        token = gy_req_query(req, "token");
    }
    if (!token.p) {
        *ret = req->actor;
        return GY_OK;
    }
    GY_TRY(gy_home_path(&app->home, GY_REVIEW_KEY, key, err));
    return gy_review_token_check(key, token, gy_now_us(), req->arena, ret, err);
}

gy_status gy_review_row(const struct gy_request *req, int64_t *ret, struct gy_err *err)
{
    return gy_parse_i64(gy_req_param(req, "row"), 0, UINT32_MAX, ret, err);
}

/* ---- questions ---- */

static struct gy_str given(struct gy_str s)
{
    return s.n ? s : GY_STR_NULL;
}

static gy_status read_order(struct gy_str order, enum gy_review_order *ret, struct gy_err *err)
{
    static const char *const names[] = {"oldest", "newest", "uncertain"};
    for (int i = 0; order.n && i < 3; i++) {
        if (gy_str_eqc(order, names[i])) {
            *ret = (enum gy_review_order)i;
            return GY_OK;
        }
    }
    return order.n ? gy_err_set(err, GY_E_INVALID, "'order' is oldest, newest or uncertain")
                   : GY_OK;
}

/* "ID/ROW" */
static gy_status read_after(struct gy_str after, struct gy_review_query *q, struct gy_err *err)
{
    struct gy_str row;
    if (after.n == 0) {
        return GY_OK;
    }
    if (!gy_str_cut(after, '/', &q->after_id, &row)) {
        return gy_err_set(err, GY_E_INVALID, "'after' is a prediction and its row: ID/ROW");
    }
    return gy_parse_i64(row, 0, UINT32_MAX, &q->after_row, err);
}

static gy_status read_query(struct gy_request *req, int64_t limit, int64_t max,
                            struct gy_review_query *ret, int64_t *ret_limit, struct gy_err *err)
{
    struct gy_review_query q = {.endpoint = given(gy_req_query(req, "endpoint")),
                                .state = given(gy_req_query(req, "state")),
                                .assignee = given(gy_req_query(req, "assignee"))};
    struct gy_str since = gy_req_query(req, "since"), wanted = gy_req_query(req, "limit");
    if (q.state.p && !gy_str_eqc(q.state, "open") && !gy_str_eqc(q.state, "assigned") &&
        !gy_str_eqc(q.state, "done")) {
        return gy_err_set(err, GY_E_INVALID, "'state' is open, assigned or done");
    }
    GY_TRY(read_order(gy_req_query(req, "order"), &q.order, err));
    GY_TRY(read_after(gy_req_query(req, "after"), &q, err));
    if (since.n) {
        GY_TRY(gy_time_parse_iso(since, &q.since_us, err));
    }
    *ret_limit = limit;
    if (wanted.n) {
        GY_TRY(gy_parse_i64(wanted, 1, max, ret_limit, err));
    }
    *ret = q;
    return GY_OK;
}

/* ---- lists ---- */

struct list_call {
    struct gy_review_query q;
    bool with_queues;
    struct gy_arena *a;
    struct gy_review *list;
    size_t n;
    struct gy_review_queue *queues;
    size_t n_queues;
};

static gy_status list_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct list_call *c = ctx;
    if (c->with_queues) {
        GY_TRY(gy_review_queues(db, c->q.endpoint, false, c->a, &c->queues, &c->n_queues, err));
    }
    return gy_review_list(db, &c->q, c->a, &c->list, &c->n, err);
}

static void write_list(struct gy_jw *w, const struct list_call *c)
{
    int64_t undecided = 0, done = 0, skipped = 0;
    for (size_t i = 0; i < c->n_queues; i++) {
        undecided += c->queues[i].open + c->queues[i].assigned;
        done += c->queues[i].done;
        skipped += c->queues[i].skipped;
    }
    gy_jw_obj(w);
    gy_jw_key(w, "reviews");
    gy_jw_arr(w);
    for (size_t i = 0; i < c->n; i++) {
        gy_review_write(w, &c->list[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "next");
    if (c->n == c->q.limit) {
        const struct gy_review *last = &c->list[c->n - 1];
        gy_jw_strf(w, "%" GY_STR_F "/%lld", GY_STR_A(last->prediction_id), (long long)last->row);
    } else {
        gy_jw_null(w);
    }
    gy_jw_kv_i64(w, "undecided", undecided);
    gy_jw_kv_i64(w, "done", done);
    gy_jw_kv_i64(w, "skipped", skipped);
    gy_jw_obj_end(w);
}

static gy_status get_list(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct list_call call = {.with_queues = true, .a = &a};
    struct gy_jw w;
    int64_t limit;
    gy_arena_init(&a, PAGE_ARENA);
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(read_query(req, 100, GY_REVIEW_MAX_LIST, &call.q, &limit, err));
    call.q.limit = (size_t)limit;
    GY_TRY(gy_store_read(app->store, list_closure, &call, err));
    gy_jw_init(&w, &out);
    write_list(&w, &call);
    return gy_reply_json(reply, 200, &out, err);
}

/* One page of an export into out; moves q on. */
static gy_status export_page(struct gy_app *app, struct list_call *c, struct gy_buf *out,
                             struct gy_err *err)
{
    struct gy_jw w;
    GY_TRY(gy_store_read(app->store, list_closure, c, err));
    gy_buf_reset(out);
    for (size_t i = 0; i < c->n; i++) {
        gy_jw_init(&w, out);
        gy_review_write(&w, &c->list[i]);
        gy_buf_add_char(out, '\n');
    }
    return gy_buf_check(out, "the export", err);
}

static gy_status get_export(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    const struct gy_header headers[] = {{GY_STR("Content-Type"), GY_STR("application/x-ndjson")}};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct list_call call = {.a = &a};
    char after[GY_MAX_NAME];
    int64_t left;
    gy_arena_init(&a, PAGE_ARENA);
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(read_query(req, INT64_MAX, INT64_MAX, &call.q, &left, err));
    if (call.q.order == GY_REVIEW_NEAREST) {
        return gy_err_set(err, GY_E_INVALID, "an export goes by oldest or newest");
    }
    do {
        gy_arena_reset(&a);
        call.q.limit = left < EXPORT_PAGE ? (size_t)left : EXPORT_PAGE;
        GY_TRY(export_page(app, &call, &out, err));
        if (!reply->begun) {
            GY_TRY(gy_reply_begin(reply, 200, headers, 1, -1, err));
        }
        GY_TRY(gy_reply_write(reply, gy_buf_str(&out), err));
        left -= (int64_t)call.n;
        if (call.n) {
            const struct gy_review *last = &call.list[call.n - 1];
            GY_REQUIRE(last->prediction_id.n < sizeof after); /* the text of a UUID */
            memcpy(after, last->prediction_id.p, last->prediction_id.n);
            call.q.after_id = gy_str_n(after, last->prediction_id.n);
            call.q.after_row = last->row;
        }
    } while (left > 0 && call.n == call.q.limit);
    return gy_reply_end(reply, err);
}

/* ---- one ---- */

struct one_call {
    struct gy_str id;
    int64_t row;
    struct gy_arena *a;
    struct gy_review r;
};

static gy_status one_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct one_call *c = ctx;
    return gy_review_get(db, c->id, c->row, c->a, &c->r, err);
}

static gy_status get_one(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct one_call call = {.id = gy_req_param(req, "prediction_id"), .a = req->arena};
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(gy_review_row(req, &call.row, err));
    GY_TRY(gy_store_read(app->store, one_closure, &call, err));
    gy_jw_init(&w, &out);
    gy_review_write(&w, &call.r);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- summary ---- */

static gy_status summary_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct list_call *c = ctx;
    return gy_review_queues(db, c->q.endpoint, true, c->a, &c->queues, &c->n_queues, err);
}

static void kv_share(struct gy_jw *w, const char *key, double v)
{
    if (isnan(v)) {
        gy_jw_kv_null(w, key);
    } else {
        gy_jw_kv_f64(w, key, v);
    }
}

static void write_queue(struct gy_jw *w, const struct gy_review_queue *q)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "endpoint", q->endpoint);
    gy_jw_kv_i64(w, "open", q->open);
    gy_jw_kv_i64(w, "assigned", q->assigned);
    gy_jw_kv_i64(w, "done", q->done);
    gy_jw_kv_i64(w, "agreed", q->agreed);
    kv_share(w, "agreement", q->done ? (double)q->agreed / (double)q->done : NAN);
    gy_jw_kv_i64(w, "simulated", q->simulated);
    gy_jw_kv_i64(w, "skipped", q->skipped);
    kv_share(w, "median_hours", q->median_hours);
    gy_jw_obj_end(w);
}

static gy_status get_summary(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct list_call call = {.q = {.endpoint = given(gy_req_query(req, "endpoint"))},
                             .a = req->arena};
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(gy_store_read(app->store, summary_closure, &call, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "endpoints");
    gy_jw_arr(&w);
    for (size_t i = 0; i < call.n_queues; i++) {
        write_queue(&w, &call.queues[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- the page ---- */

struct form_call {
    struct gy_str endpoint;
    struct gy_arena *a;
    struct gy_buf *out;
};

static gy_status form_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct form_call *c = ctx;
    struct gy_jw w;
    gy_jw_init(&w, c->out);
    return gy_review_form(db, c->endpoint, c->a, &w, err);
}

static gy_status get_form(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct form_call call = {gy_req_query(req, "endpoint"), req->arena, &out};
    gy_buf_init(&out, GY_MAX_REPLY);
    if (call.endpoint.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "missing 'endpoint'");
    }
    GY_TRY(gy_store_read(app->store, form_closure, &call, err));
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status get_whoami(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_str name;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    GY_TRY(gy_review_reviewer(ctx, req, &name, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "reviewer", gy_actor_named(name) ? name : GY_STR_NULL);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status get_page(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    (void)ctx;
    (void)req;
    const struct gy_embedded *page = NULL;
    for (size_t i = 0; i < gy_pages_count; i++) {
        page = gy_str_eqc(gy_str_c(gy_pages[i].name), "review.html") ? &gy_pages[i] : page;
    }
    GY_REQUIRE(page); /* put into the program at build time */
    const struct gy_header headers[] = {
        {GY_STR("Content-Type"), GY_STR("text/html; charset=utf-8")},
        {GY_STR("Cache-Control"), GY_STR("no-cache")},
        {GY_STR("Referrer-Policy"), GY_STR("no-referrer")},
        {GY_STR("Content-Security-Policy"),
         GY_STR("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'")},
        {GY_STR("X-Frame-Options"), GY_STR("DENY")}, /* for browsers without frame-ancestors */
        {GY_STR("X-Content-Type-Options"), GY_STR("nosniff")},
    };
    GY_TRY(gy_reply_begin(reply, 200, headers, sizeof headers / sizeof headers[0],
                          (int64_t)page->size, err));
    GY_TRY(gy_reply_write(reply, gy_str_n(page->bytes, page->size), err));
    return gy_reply_end(reply, err);
}

static const struct gy_route routes[] = {
    {"GET", "/review", get_page, NULL, 0, "The page of the review queue", GY_ACCESS_PUBLIC, 0},
    {"GET", GY_REVIEW_BASE, get_list, NULL, 0, "Predictions that a person is to judge",
     GY_ACCESS_DEFAULT, GY_ROUTE_REVIEW_TOKEN},
    {"GET", GY_REVIEW_BASE "/summary", get_summary, NULL, 0, "What stands in the review queues",
     GY_ACCESS_DEFAULT, GY_ROUTE_REVIEW_TOKEN},
    {"GET", GY_REVIEW_BASE "/export", get_export, NULL, 0, "Reviews as lines of JSON",
     GY_ACCESS_DEFAULT, GY_ROUTE_REVIEW_TOKEN},
    {"GET", GY_REVIEW_BASE "/form", get_form, NULL, 0, "Classes, units and ranges of an endpoint",
     GY_ACCESS_DEFAULT, GY_ROUTE_REVIEW_TOKEN},
    {"GET", GY_REVIEW_BASE "/whoami", get_whoami, NULL, 0, "Whom a review token names",
     GY_ACCESS_DEFAULT, GY_ROUTE_REVIEW_TOKEN},
    {"GET", GY_REVIEW_BASE "/{prediction_id}/{row}", get_one, NULL, 0, "One review",
     GY_ACCESS_DEFAULT, GY_ROUTE_REVIEW_TOKEN},
};

gy_status gy_api_review_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
