/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log, for admins.
 *   GET /audit?after=&since=&actor=&action=&outcome=&limit=&order=newest
 *                          -> {"rows":[...],"next":seq|null}
 *   GET /audit/verify?expect=SEQ:HASH   -> {"ok","rows","seq","hash","bad_seq","why"}
 *   GET /audit/export      -> NDJSON, one row a line, the whole log
 * since: RFC 3339. action: a part of it. Going on: after=next. */
#include "api/app.h"
#include "api/body.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/audit.h"

#define BASE "/api/gyre/v1/audit"
#define DEFAULT_ROWS 100
#define EXPORT_ARENA (64 * GY_MIB) /* of one page */

struct list_call {
    struct gy_audit_filter f;
    struct gy_arena *a;
    struct gy_audit *rows;
    size_t n, max;
};

static gy_status read_rows(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct list_call *c = ctx;
    return gy_audit_list(db, &c->f, c->max, c->a, &c->rows, &c->n, err);
}

static void write_row(struct gy_jw *w, const struct gy_audit *e)
{
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "seq", e->seq);
    gy_api_kv_time(w, "time", e->time_us);
    gy_jw_kv_i64(w, "time_us", e->time_us);
    gy_jw_kv_str(w, "actor", e->actor);
    gy_jw_kv_str(w, "workspace", e->workspace);
    gy_jw_kv_str(w, "action", e->action);
    gy_jw_kv_str(w, "subject", e->subject);
    gy_jw_kv_str(w, "outcome", e->outcome);
    gy_jw_kv_str(w, "request_id", e->request_id);
    gy_jw_kv_str(w, "peer", e->peer);
    gy_jw_kv_str(w, "detail", e->detail);
    gy_jw_kv_str(w, "hash", e->hash);
    gy_jw_obj_end(w);
}

static gy_status read_filter(struct gy_request *req, struct list_call *c, struct gy_err *err)
{
    struct gy_str after = gy_req_query(req, "after"), since = gy_req_query(req, "since");
    struct gy_str limit = gy_req_query(req, "limit");
    int64_t max = DEFAULT_ROWS;
    c->f = (struct gy_audit_filter){.actor = gy_req_query(req, "actor"),
                                    .action = gy_req_query(req, "action"),
                                    .outcome = gy_req_query(req, "outcome"),
                                    .newest = gy_str_eqc(gy_req_query(req, "order"), "newest")};
    if (after.n) {
        GY_TRY(gy_parse_i64(after, 0, INT64_MAX, &c->f.after, err));
    }
    if (since.n) {
        GY_TRY(gy_time_parse_iso(since, &c->f.since_us, err));
    }
    if (limit.n) {
        GY_TRY(gy_parse_i64(limit, 1, GY_AUDIT_LIST_MAX, &max, err));
    }
    c->max = (size_t)max;
    return GY_OK;
}

static gy_status get_audit(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct list_call c = {.a = req->arena};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(read_filter(req, &c, err));
    GY_TRY(gy_store_read(app->store, read_rows, &c, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "rows");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c.n; i++) {
        write_row(&w, &c.rows[i]);
    }
    gy_jw_arr_end(&w);
    if (c.n == c.max && !c.f.newest) {
        gy_jw_kv_i64(&w, "next", c.rows[c.n - 1].seq);
    } else {
        gy_jw_kv_null(&w, "next");
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

struct verify_call {
    int64_t seq;
    struct gy_str hash;
    struct gy_audit_verdict v;
};

static gy_status verify(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct verify_call *c = ctx;
    return gy_audit_verify(db, c->seq, c->hash, &c->v, err);
}

static gy_status read_expect(struct gy_str expect, struct verify_call *c, struct gy_err *err)
{
    struct gy_str seq;
    if (expect.n == 0) {
        return GY_OK;
    }
    if (!gy_str_cut(expect, ':', &seq, &c->hash) || c->hash.n != GY_SHA256_HEX - 1) {
        return gy_err_set(err, GY_E_INVALID,
                          "'expect' is the number and the hash of a row: 7:9f..");
    }
    return gy_parse_i64(seq, 1, INT64_MAX, &c->seq, err);
}

static gy_status get_verify(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct verify_call c = {.seq = 0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    GY_TRY(read_expect(gy_req_query(req, "expect"), &c, err));
    GY_TRY(gy_store_read(app->store, verify, &c, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "ok", c.v.bad_seq == 0);
    gy_jw_kv_i64(&w, "rows", c.v.rows);
    gy_jw_kv_i64(&w, "seq", c.v.last_seq);
    gy_jw_kv_strc(&w, "hash", c.v.last_hash);
    if (c.v.bad_seq) {
        gy_jw_kv_i64(&w, "bad_seq", c.v.bad_seq);
        gy_jw_kv_strc(&w, "why", c.v.why);
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* One page of lines; c->f.after moves on. */
static gy_status export_page(struct gy_app *app, struct list_call *c, struct gy_reply *reply,
                             struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(gy_store_read(app->store, read_rows, c, err));
    for (size_t i = 0; i < c->n; i++) {
        struct gy_jw w;
        gy_jw_init(&w, &out);
        write_row(&w, &c->rows[i]);
        gy_buf_add_char(&out, '\n');
        c->f.after = c->rows[i].seq;
    }
    GY_TRY(gy_buf_check(&out, "the audit log", err));
    return out.n ? gy_reply_write(reply, gy_buf_str(&out), err) : GY_OK;
}

static gy_status get_export(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    static const struct gy_header headers[] = {
        {{"Content-Type", 12}, {"application/x-ndjson", 20}},
    };
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct list_call c = {.a = &a, .max = GY_AUDIT_LIST_MAX};
    (void)req;
    gy_arena_init(&a, EXPORT_ARENA);
    GY_TRY(gy_reply_begin(reply, 200, headers, 1, -1, err));
    do {
        gy_arena_reset(&a);
        GY_TRY(export_page(ctx, &c, reply, err));
    } while (c.n == c.max);
    return gy_reply_end(reply, err);
}

static const struct gy_route routes[] = {
    {"GET", BASE, get_audit, NULL, 0, "Who did what", GY_ACCESS_ADMIN, 0},
    {"GET", BASE "/verify", get_verify, NULL, 0, "Whether the audit log was changed",
     GY_ACCESS_ADMIN, 0},
    {"GET", BASE "/export", get_export, NULL, 0, "The audit log as lines of JSON", GY_ACCESS_ADMIN,
     0},
};

gy_status gy_api_audit_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
