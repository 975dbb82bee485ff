/* SPDX-License-Identifier: Apache-2.0 */
/* What people do with the review queue. All of it needs a name: the socket's peer, or a review
 * token; else 401.
 *   POST /reviews {prediction_ids:[...]}   -> {"picked"}: put logged predictions into the queue
 *   POST /reviews/{prediction_id}/{row}/assign {assignee,take}
 *                         -> the review; without an assignee: who asks; null: back to the queue
 *   POST /reviews/{prediction_id}/{row}/verdict {verdict,reason,tags}   -> the review
 *   POST /reviews/verdicts {verdicts:[{prediction_id,row,verdict,reason,tags}],tags}
 *                         -> {"decided","corrected","unchanged","reviewer"}; all or none
 *   POST /reviews/link {as,days}           -> 201 {"token","path","as","expires"}
 *   POST /reviews/exported {data_sha256,endpoint,revisions,rows,...}
 *                         -> 201: the lineage of a dataset made of reviews */
#include <stdio.h>

#include "api/body.h"
#include "api/review_api.h"
#include "base/id.h"
#include "base/time.h"
#include "serve/gap.h"
#include "serve/serving.h"
#include "store/actor.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/scope.h"
#include "watch/join.h"
#include "watch/review.h"
#include "watch/review_token.h"

#define MAX_PICKED 1000        /* predictions a call */
#define MAX_BULK (16 * GY_MIB) /* the body of many verdicts */
#define WORK_ARENA (256 * GY_MIB)
#define DEFAULT_DAYS 7
#define MAX_REVISIONS 10000 /* that one export's rows come from */

static gy_status need_name(struct gy_app *app, struct gy_request *req, struct gy_str *ret,
                           struct gy_err *err)
{
    GY_TRY(gy_review_reviewer(app, req, ret, err));
    if (gy_actor_named(*ret)) {
        if (gy_scope_current()) {
            gy_scope_current()->actor = *ret;
        }
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_UNAUTHENTICATED, "reviewing needs a name: the actor is anonymous");
    return gy_err_hint(err, "open the page that `gyre review link` prints, or ask over the "
                            "server's socket (your user is the actor)");
}

/* ---- picking ---- */

struct pick_call {
    const struct gy_record *r;
    struct gy_review_batch *batch;
    struct gy_str actor;
    struct gy_arena *a;
};

static gy_status pick_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct pick_call *c = ctx;
    struct gy_revision revision;
    struct gy_shape shape;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_revision_get(db, c->r->endpoint, c->r->revision, c->a, &revision, err));
    GY_TRY(gy_shape_read(&revision, c->a, &doc, &shape, err));
    return gy_review_pick(c->batch, c->r, &shape, c->actor, err);
}

static gy_status store_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_review_store(db, ctx, err);
}

static gy_status pick_one(struct gy_app *app, struct gy_str text, struct pick_call *c,
                          struct gy_err *err)
{
    unsigned char id[16];
    char dir[GY_MAX_PATH];
    struct gy_record *parts;
    size_t n;
    struct gy_predlog *live = app->serving ? gy_serving_log(app->serving) : NULL;
    GY_TRY(gy_uuid_parse(text, id, err));
    GY_TRY(gy_home_path(&app->home, "log", dir, err));
    GY_TRY(gy_predlog_find(live, dir, NULL, id, c->a, &parts, &n, err));
    GY_TRY(gy_gap_refuse(parts, n, err));
    for (size_t i = 0; i < n; i++) {
        c->r = &parts[i];
        GY_TRY(gy_store_read(app->store, pick_closure, c, err));
    }
    return GY_OK;
}

static gy_status reply_count(struct gy_reply *reply, const char *key, int64_t n, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, key, n);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status post_pick(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO(gy_review_batch_free) struct gy_review_batch *batch = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct pick_call call = {.a = &a};
    yyjson_val *ids, *id;
    size_t i, n;
    gy_arena_init(&a, WORK_ARENA);
    GY_TRY(need_name(app, req, &call.actor, err));
    GY_TRY(gy_api_object(req, GY_MIB, &doc, err));
    GY_TRY(gy_json_need_arr(yyjson_doc_get_root(doc), "prediction_ids", &ids, err));
    if (yyjson_arr_size(ids) > MAX_PICKED) {
        return gy_err_set(err, GY_E_TOOBIG, "at most %d predictions a call", MAX_PICKED);
    }
    GY_TRY(gy_review_batch_new(0, &batch, err));
    call.batch = batch;
    yyjson_arr_foreach(ids, i, n, id)
    {
        GY_TRY(pick_one(app, gy_json_val_str(id), &call, err));
    }
    GY_TRY(gy_store_write(app->store, store_closure, batch, err));
    return reply_count(reply, "picked", (int64_t)gy_review_batch_count(batch), err);
}

/* ---- assigning ---- */

struct assign_call {
    struct gy_str id, assignee, actor;
    int64_t row;
    bool take;
    struct gy_arena *a;
    struct gy_review r;
};

static gy_status assign_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct assign_call *c = ctx;
    GY_TRY(gy_review_assign(db, c->id, c->row, c->assignee, c->take, c->actor, err));
    return gy_review_get(db, c->id, c->row, c->a, &c->r, err);
}

static gy_status reply_review(struct gy_reply *reply, const struct gy_review *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_review_write(&w, r);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status post_assign(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct assign_call call = {.id = gy_req_param(req, "prediction_id"), .a = req->arena};
    GY_TRY(need_name(app, req, &call.actor, err));
    GY_TRY(gy_review_row(req, &call.row, err));
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    GY_TRY(gy_api_text(root, "assignee", GY_REVIEW_TOKEN_NAME, &call.assignee, err));
    if (!gy_json_get(root, "assignee")) {
        call.assignee = call.actor;
    }
    call.take = gy_json_bool(root, "take", false);
    GY_TRY(gy_store_write(app->store, assign_closure, &call, err));
    return reply_review(reply, &call.r, err);
}

/* ---- verdicts ---- */

struct decide_call {
    struct gy_review_verdict *verdicts;
    size_t n;
    struct gy_str reviewer;
    struct gy_arena *a;
    struct gy_review_decided out;
};

static gy_status decide_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct decide_call *c = ctx;
    return gy_review_decide(db, c->verdicts, c->n, c->reviewer, c->a, &c->out, err);
}

/* Durable first, then told to the join: what is counted survives too. */
static gy_status decide(struct gy_app *app, struct decide_call *c, struct gy_err *err)
{
    GY_TRY(gy_store_write(app->store, decide_closure, c, err));
    for (size_t i = 0; i < c->out.n_feedback; i++) {
        GY_TRY(gy_join_feedback(app->join, &c->out.feedback[i], NULL, err));
    }
    return GY_OK;
}

/* A label may be a text, a number or true and false. */
static gy_status read_label(yyjson_val *v, struct gy_arena *a, struct gy_str *ret,
                            struct gy_err *err)
{
    char text[32];
    *ret = gy_json_val_str(v);
    if (yyjson_is_bool(v)) {
        *ret = yyjson_get_bool(v) ? GY_STR("true") : GY_STR("false");
    } else if (yyjson_is_num(v)) {
        *ret = gy_arena_str(a, gy_str_n(text, gy_fmt_f64_trim(yyjson_get_num(v), text)));
    }
    if (ret->n == 0) {
        return gy_err_set(err, GY_E_INVALID, "'verdict' is a label, or \"agree\" or \"disagree\"");
    }
    return GY_OK;
}

/* tags MAY be NULL: those of all verdicts of the call. */
static gy_status read_verdict(yyjson_val *v, yyjson_val *tags, struct gy_arena *a,
                              struct gy_review_verdict *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    yyjson_val *own = gy_json_get(v, "tags");
    gy_buf_init(&json, 64 * GY_KIB);
    GY_TRY(read_label(gy_json_get(v, "verdict"), a, &ret->verdict, err));
    GY_TRY(gy_api_text(v, "reason", GY_REVIEW_MAX_REASON, &ret->reason, err));
    GY_TRY(gy_review_tags(own ? own : tags, &json, &ret->simulated, err));
    ret->tags = json.n ? gy_arena_str(a, gy_buf_str(&json)) : GY_STR_NULL;
    return json.n && !ret->tags.p ? gy_err_set(err, GY_E_NOMEM, "out of memory for verdicts")
                                  : GY_OK;
}

static gy_status post_verdict(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_review_verdict v = {.prediction_id = gy_req_param(req, "prediction_id")};
    struct decide_call call = {.verdicts = &v, .n = 1, .a = req->arena};
    GY_TRY(need_name(app, req, &call.reviewer, err));
    GY_TRY(gy_review_row(req, &v.row, err));
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    GY_TRY(read_verdict(yyjson_doc_get_root(doc), NULL, req->arena, &v, err));
    GY_TRY(decide(app, &call, err));
    return reply_review(reply, &call.out.items[0], err);
}

static gy_status read_verdicts(yyjson_val *root, struct decide_call *c, struct gy_err *err)
{
    yyjson_val *list, *one, *tags = gy_json_get(root, "tags");
    size_t i, n;
    GY_TRY(gy_json_need_arr(root, "verdicts", &list, err));
    n = yyjson_arr_size(list);
    if (n > GY_REVIEW_MAX_VERDICTS) {
        return gy_err_set(err, GY_E_TOOBIG, "at most %d verdicts a call", GY_REVIEW_MAX_VERDICTS);
    }
    c->verdicts = gy_arena_calloc(c->a, n + 1, sizeof *c->verdicts);
    if (!c->verdicts) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for verdicts");
    }
    c->n = n;
    yyjson_arr_foreach(list, i, n, one)
    {
        struct gy_review_verdict *v = &c->verdicts[i];
        GY_TRY(gy_json_need_str(one, "prediction_id", &v->prediction_id, err));
        v->row = gy_json_i64(one, "row", 0);
        gy_status status = read_verdict(one, tags, c->a, v, err);
        if (status != GY_OK) {
            return gy_err_wrap(err, "verdict %zu", i);
        }
    }
    return GY_OK;
}

static gy_status post_verdicts(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct decide_call call = {.a = &a};
    struct gy_jw w;
    gy_arena_init(&a, WORK_ARENA);
    gy_buf_init(&out, 16 * GY_KIB);
    GY_TRY(need_name(app, req, &call.reviewer, err));
    GY_TRY(gy_api_object(req, MAX_BULK, &doc, err));
    GY_TRY(read_verdicts(yyjson_doc_get_root(doc), &call, err));
    GY_TRY(decide(app, &call, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "decided", call.out.decided);
    gy_jw_kv_i64(&w, "corrected", call.out.corrected);
    gy_jw_kv_i64(&w, "unchanged", call.out.unchanged);
    gy_jw_kv_str(&w, "reviewer", call.reviewer);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- links ---- */

struct event_call {
    const char *kind;
    struct gy_str subject, actor, data;
};

static gy_status event_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct event_call *c = ctx;
    return gy_event_add(db, c->kind, c->subject, c->actor, c->data, err);
}

static void write_link(struct gy_jw *w, struct gy_str name, int64_t expires_us, struct gy_str token)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "as", name);
    gy_api_kv_time(w, "expires", expires_us);
    if (token.p) {
        gy_jw_kv_str(w, "token", token);
        gy_jw_key(w, "path"); /* behind '#': a browser sends it to nobody */
        gy_jw_strf(w, "/review#token=%" GY_STR_F, GY_STR_A(token));
    }
    gy_jw_obj_end(w);
}

/* Who may ask over the socket may name others: the event says who did. A token can not make
 * another: only the connection's own actor counts here. */
static gy_status post_link(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    struct gy_str name, token;
    char key[GY_MAX_PATH];
    gy_buf_init(&out, 64 * GY_KIB);
    if (!gy_actor_named(req->actor)) {
        (void)gy_err_set(err, GY_E_UNAUTHENTICATED,
                         "a review link needs somebody to answer for it");
        return gy_err_hint(err, "`gyre review link` asks over the server's socket");
    }
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    int64_t days = gy_json_i64(root, "days", DEFAULT_DAYS);
    if (days < 1 || days > GY_REVIEW_TOKEN_S / 86400) {
        return gy_err_set(err, GY_E_INVALID, "'days' is 1 to %lld",
                          (long long)(GY_REVIEW_TOKEN_S / 86400));
    }
    GY_TRY(gy_api_text(root, "as", GY_REVIEW_TOKEN_NAME, &name, err));
    name = name.p ? name : req->actor;
    if (!gy_str_eq(name, req->actor) && req->role < GY_AUTH_ADMIN) {
        return gy_err_set(
            err, GY_E_DENIED,
            "Permission denied: a link that names somebody else needs the role admin");
    }
    int64_t expires_us = gy_now_us() + days * 86400 * 1000000;
    GY_TRY(gy_home_path(&app->home, GY_REVIEW_KEY, key, err));
    GY_TRY(gy_review_token_make(key, name, expires_us, req->arena, &token, err));
    gy_jw_init(&w, &out);
    write_link(&w, name, expires_us, GY_STR_NULL);
    GY_TRY(gy_buf_check(&out, "the event", err));
    struct event_call call = {"review.link", GY_STR("review:link"), req->actor, gy_buf_str(&out)};
    GY_TRY(gy_store_write(app->store, event_closure, &call, err));
    gy_buf_reset(&out);
    gy_jw_init(&w, &out);
    write_link(&w, name, expires_us, token);
    return gy_reply_json(reply, 201, &out, err);
}

/* ---- exported ---- */

struct exported_call {
    yyjson_val *root;
    struct gy_str endpoint, sha256, actor, data;
};

static gy_status exported_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct exported_call *c = ctx;
    char from[GY_LINEAGE_MAX_NODE], to[GY_LINEAGE_MAX_NODE];
    yyjson_val *revision;
    size_t i, n;
    (void)snprintf(to, sizeof to, "data:%" GY_STR_F, GY_STR_A(c->sha256));
    yyjson_arr_foreach(gy_json_get(c->root, "revisions"), i, n, revision)
    {
        (void)snprintf(from, sizeof from, "revision:%" GY_STR_F "/%lld", GY_STR_A(c->endpoint),
                       (long long)yyjson_get_sint(revision));
        GY_TRY(gy_lineage_add(db, gy_str_c(from), "answered", gy_str_c(to), c->actor, err));
    }
    (void)snprintf(from, sizeof from, "reviews:%" GY_STR_F, GY_STR_A(c->endpoint));
    GY_TRY(gy_lineage_add(db, gy_str_c(from), "reviewed", gy_str_c(to), c->actor, err));
    return gy_event_add(db, "review.exported", gy_str_c(to), c->actor, c->data, err);
}

static gy_status post_exported(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data;
    struct exported_call call = {.actor = GY_STR_NULL};
    struct gy_jw w;
    gy_buf_init(&data, GY_MIB);
    GY_TRY(need_name(app, req, &call.actor, err));
    GY_TRY(gy_api_object(req, GY_MIB, &doc, err));
    call.root = yyjson_doc_get_root(doc);
    GY_TRY(gy_json_need_str(call.root, "endpoint", &call.endpoint, err));
    GY_TRY(gy_json_need_str(call.root, "data_sha256", &call.sha256, err));
    if (call.endpoint.n > GY_MAX_NAME || call.sha256.n != 64 ||
        yyjson_arr_size(gy_json_get(call.root, "revisions")) > MAX_REVISIONS) {
        return gy_err_set(err, GY_E_INVALID, "this describes no export of reviews");
    }
    gy_jw_init(&w, &data);
    gy_jw_val(&w, call.root);
    GY_TRY(gy_buf_check(&data, "the event", err));
    call.data = gy_buf_str(&data);
    GY_TRY(gy_store_write(app->store, exported_closure, &call, err));
    return gy_reply_send(reply, 201, "application/json", GY_STR("{}"), err);
}

static const struct gy_route routes[] = {
    {"POST", GY_REVIEW_BASE, post_pick, NULL, 0, "Put logged predictions into the review queue",
     GY_ACCESS_REVIEWER, GY_ROUTE_REVIEW_TOKEN},
    {"POST", GY_REVIEW_BASE "/{prediction_id}/{row}/assign", post_assign, NULL, 0,
     "Say who judges a prediction", GY_ACCESS_REVIEWER, GY_ROUTE_REVIEW_TOKEN},
    {"POST", GY_REVIEW_BASE "/{prediction_id}/{row}/verdict", post_verdict, NULL, 0,
     "Judge a prediction", GY_ACCESS_REVIEWER, GY_ROUTE_REVIEW_TOKEN},
    {"POST", GY_REVIEW_BASE "/verdicts", post_verdicts, NULL, MAX_BULK, "Judge many predictions",
     GY_ACCESS_REVIEWER, GY_ROUTE_REVIEW_TOKEN},
    {"POST", GY_REVIEW_BASE "/link", post_link, NULL, 0,
     "A token that names a reviewer to the review routes", GY_ACCESS_REVIEWER, GY_ROUTE_NAMED},
    {"POST", GY_REVIEW_BASE "/exported", post_exported, NULL, 0,
     "Record that reviews became a dataset", GY_ACCESS_OPERATOR, 0},
};

gy_status gy_api_review_work_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
