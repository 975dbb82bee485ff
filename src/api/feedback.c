/* SPDX-License-Identifier: Apache-2.0 */
/* Feedback comes in.
 *   POST /api/gyre/v1/feedback    one object, {"feedback":[...]}, or a stream of lines
 *        (Content-Type application/x-ndjson)
 *     one: 200 {"accepted":1,"new","joined"}; 202 when its prediction is not known (yet)
 *     many: 200 {"read","accepted","rejected","new","joined","rejects":[{"line","reason"}]};
 *        accepted + rejected = read, always
 *   POST /api/v1.0/feedback       Seldon's message (v0.1 and its ingress' path, too) -> 200
 * {"meta":{"puid","tags":{"joined"},...}} The answer leaves after COMMIT: what was accepted
 * survives. Feedback for an unknown prediction is kept and joins when the prediction is seen.
 * Anonymous callers on loopback may send it. */
#include "api/app.h"
#include "api/body.h"
#include "api/feedback_in.h"
#include "api/inference.h"
#include "base/limits.h"
#include "base/mem.h"
#include "serve/predlog.h"
#include "serve/serving.h"
#include "watch/join.h"

#define BATCH 1000                /* pieces of one write */
#define BATCH_ARENA (64 * GY_MIB) /* their texts: 1000 x 64 KiB fit */
#define MAX_LINE (64 * GY_KIB)    /* of a stream */
#define MAX_REJECTS 100           /* told one by one */
#define READ_BYTES (64 * GY_KIB)
#define MAX_BODY GY_ROUTE_MAX_BODY /* of what is no stream */

static gy_status one_record(void *ctx, const struct gy_record *r, struct gy_err *err)
{
    return gy_join_prediction(ctx, r, err);
}

/* The table is read once: what comes later comes through this process, which tells the join. The
 * log of a server grows, so without a watcher it is read again. */
gy_status gy_app_join_refresh(struct gy_app *app, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    bool loaded = atomic_load(&app->join_loaded);
    if (app->join_live || (loaded && !app->serving)) {
        return GY_OK;
    }
    GY_TRY(gy_home_path(&app->home, "log", dir, err));
    if (app->serving) {
        GY_TRY(gy_predlog_flush(gy_serving_log(app->serving), false, err));
    }
    if (loaded) {
        return gy_predlog_each(dir, one_record, app->join, err);
    }
    GY_TRY(gy_join_rebuild(app->join, app->store, dir, err));
    atomic_store(&app->join_loaded, true);
    return GY_OK;
}

/* ---- keeping ---- */

struct write_call {
    struct gy_feedback *list;
    size_t n, fresh;
};

static gy_status write_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct write_call *c = ctx;
    return gy_feedback_add(db, c->list, c->n, &c->fresh, err);
}

/* Durable first, then told to the join: what is counted survives too. */
static gy_status keep(struct gy_app *app, struct gy_feedback *list, size_t n, int64_t *add_fresh,
                      int64_t *add_joined, struct gy_err *err)
{
    struct write_call call = {list, n, 0};
    GY_TRY(gy_store_write(app->store, write_closure, &call, err));
    *add_fresh += (int64_t)call.fresh;
    for (size_t i = 0; i < n; i++) {
        bool joined;
        GY_TRY(gy_join_feedback(app->join, &list[i], &joined, err));
        *add_joined += joined;
    }
    return GY_OK;
}

/* ---- many ---- */

struct intake {
    struct gy_app *app;
    struct gy_str actor;
    struct gy_arena arena; /* texts of the batch */
    struct gy_feedback *batch;
    size_t n;
    int64_t read, accepted, rejected, fresh, joined;
    struct gy_buf rejects; /* the members of a JSON list */
    struct gy_jw w;
    const char *place; /* "line" or "index" */
};

static void intake_done(struct intake *t)
{
    gy_arena_done(&t->arena);
    gy_free(t->batch);
    gy_buf_done(&t->rejects);
}
GY_DEFINE_AUTO_DONE(struct intake, intake_done);

static gy_status intake_init(struct intake *t, struct gy_app *app, struct gy_str actor,
                             const char *place, struct gy_err *err)
{
    *t = (struct intake){.app = app, .actor = actor, .place = place};
    gy_arena_init(&t->arena, BATCH_ARENA);
    gy_buf_init(&t->rejects, GY_MIB);
    gy_jw_init(&t->w, &t->rejects);
    gy_jw_arr(&t->w);
    t->batch = gy_calloc(BATCH, sizeof *t->batch);
    return t->batch ? GY_OK : gy_err_set(err, GY_E_NOMEM, "reading feedback");
}

static gy_status flush(struct intake *t, struct gy_err *err)
{
    if (t->n) {
        GY_TRY(keep(t->app, t->batch, t->n, &t->fresh, &t->joined, err));
        t->accepted += (int64_t)t->n;
    }
    t->n = 0;
    gy_arena_reset(&t->arena);
    return GY_OK;
}

static void reject(struct intake *t, int64_t at, const char *why)
{
    t->rejected++;
    if (t->rejected <= MAX_REJECTS) {
        gy_jw_obj(&t->w);
        gy_jw_kv_i64(&t->w, t->place, at);
        gy_jw_kv_strc(&t->w, "reason", why);
        gy_jw_obj_end(&t->w);
    }
}

/* Bad input is counted and told; only failures of ours end the intake. */
static gy_status take(struct intake *t, int64_t at, yyjson_val *object, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    gy_status st = gy_feedback_parse(object, t->actor, &t->arena, &t->batch[t->n], &why);
    t->read++;
    if (st == GY_E_NOMEM) {
        return gy_err_set(err, GY_E_NOMEM, "%s", why.msg);
    }
    if (st != GY_OK) {
        reject(t, at, why.msg);
        return GY_OK;
    }
    t->n++;
    return t->n == BATCH ? flush(t, err) : GY_OK;
}

static gy_status send_intake(struct intake *t, struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    struct gy_jw w;
    GY_TRY(flush(t, err));
    gy_jw_arr_end(&t->w);
    GY_TRY(gy_buf_check(&t->rejects, "the list of rejects", err));
    gy_buf_init(&out, 2 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "read", t->read);
    gy_jw_kv_i64(&w, "accepted", t->accepted);
    gy_jw_kv_i64(&w, "rejected", t->rejected);
    gy_jw_kv_i64(&w, "new", t->fresh);
    gy_jw_kv_i64(&w, "joined", t->joined);
    gy_jw_key(&w, "rejects");
    gy_jw_raw(&w, gy_buf_str(&t->rejects));
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- a stream of lines ---- */

struct lines {
    struct gy_buf line;
    bool too_long; /* the rest of the line is passed over */
    int64_t number;
};

static gy_status end_line(struct intake *t, struct lines *l, struct gy_err *err)
{
    struct gy_str text = gy_str_trim(gy_buf_str(&l->line));
    bool too_long = l->too_long;
    l->number++;
    l->too_long = false;
    gy_status st = GY_OK;
    if (too_long) {
        t->read++;
        reject(t, l->number, "the line is too long");
    } else if (text.n) {
        struct gy_err why = GY_ERR_INIT;
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        if (gy_json_parse(text, &doc, &why) == GY_OK) {
            st = take(t, l->number, yyjson_doc_get_root(doc), err);
        } else if (why.code == GY_E_NOMEM) {
            st = gy_err_set(err, GY_E_NOMEM, "%s", why.msg);
        } else {
            t->read++;
            reject(t, l->number, why.msg);
        }
    }
    gy_buf_reset(&l->line);
    return st;
}

static void add_to_line(struct lines *l, struct gy_str piece)
{
    if (l->too_long || l->line.n + piece.n > MAX_LINE) {
        l->too_long = true;
        gy_buf_reset(&l->line);
        return;
    }
    gy_buf_add(&l->line, piece);
}

static gy_status take_chunk(struct intake *t, struct lines *l, struct gy_str chunk,
                            struct gy_err *err)
{
    struct gy_str line;
    while (gy_str_cut(chunk, '\n', &line, &chunk)) {
        add_to_line(l, line);
        GY_TRY(gy_buf_check(&l->line, "a line of feedback", err));
        GY_TRY(end_line(t, l, err));
    }
    add_to_line(l, line); /* without the line's end: head is all that was left */
    return gy_buf_check(&l->line, "a line of feedback", err);
}

static gy_status read_lines(struct intake *t, struct gy_request *req, struct lines *l,
                            struct gy_err *err)
{
    GY_AUTO(gy_free) char *buf = gy_malloc(READ_BYTES);
    if (!buf) {
        return gy_err_set(err, GY_E_NOMEM, "reading feedback");
    }
    size_t n = 0;
    do {
        if (req->body) {
            GY_TRY(req->body->read(req->body, buf, READ_BYTES, &n, err));
        }
        GY_TRY(take_chunk(t, l, gy_str_n(buf, n), err));
    } while (n);
    return l->line.n || l->too_long ? end_line(t, l, err) : GY_OK;
}

static gy_status post_lines(struct gy_app *app, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    GY_AUTO_DONE(intake_done) struct intake t;
    GY_TRY(intake_init(&t, app, req->actor, "line", err));
    struct lines l = {.number = 0};
    gy_buf_init(&l.line, MAX_LINE);
    gy_status st = read_lines(&t, req, &l, err);
    gy_buf_done(&l.line);
    GY_TRY(st);
    return send_intake(&t, reply, err);
}

/* ---- one, or a list ---- */

static gy_status post_list(struct gy_app *app, struct gy_request *req, yyjson_val *list,
                           struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO_DONE(intake_done) struct intake t;
    GY_TRY(intake_init(&t, app, req->actor, "index", err));
    if (!yyjson_is_arr(list)) {
        return gy_err_set(err, GY_E_INVALID, "'feedback' must be a list");
    }
    size_t i;
    size_t max;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, max, one)
    {
        GY_TRY(take(&t, (int64_t)i, one, err));
    }
    return send_intake(&t, reply, err);
}

static gy_status post_one(struct gy_app *app, struct gy_request *req, yyjson_val *object,
                          struct gy_reply *reply, struct gy_err *err)
{
    struct gy_feedback f;
    int64_t fresh = 0;
    int64_t joined = 0;
    GY_TRY(gy_feedback_parse(object, req->actor, req->arena, &f, err));
    GY_TRY(keep(app, &f, 1, &fresh, &joined, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "accepted", 1);
    gy_jw_kv_i64(&w, "new", fresh);
    gy_jw_kv_bool(&w, "joined", joined > 0);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, joined ? 200 : 202, &out, err);
}

static gy_status post_feedback(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_str type = gy_req_header(req, "Content-Type");
    struct gy_str rest;
    (void)gy_str_cut(type, ';', &type, &rest);
    GY_TRY(gy_app_join_refresh(app, err));
    if (gy_str_ieq(gy_str_trim(type), GY_STR("application/x-ndjson"))) {
        return post_lines(app, req, reply, err);
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *list = gy_json_get(root, "feedback");
    return list ? post_list(app, req, list, reply, err) : post_one(app, req, root, reply, err);
}

/* ---- Seldon ---- */

static gy_status post_seldon(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_feedback *list = NULL;
    size_t n = 0;
    struct gy_str puid;
    int64_t fresh = 0;
    int64_t joined = 0;
    GY_TRY(gy_app_join_refresh(app, err));
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    GY_TRY(
        gy_feedback_parse_seldon(req, yyjson_doc_get_root(doc), req->arena, &list, &n, &puid, err));
    GY_TRY(keep(app, list, n, &fresh, &joined, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "meta");
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "puid", puid);
    gy_jw_key(&w, "tags");
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "joined", n > 0 && joined == (int64_t)n);
    gy_jw_kv_i64(&w, "new", fresh);
    gy_jw_obj_end(&w);
    gy_jw_key(&w, "routing");
    gy_jw_obj(&w);
    gy_jw_obj_end(&w);
    gy_jw_key(&w, "requestPath");
    gy_jw_obj(&w);
    gy_jw_obj_end(&w);
    gy_jw_key(&w, "metrics");
    gy_jw_arr(&w);
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"POST", "/api/gyre/v1/feedback", post_feedback, NULL, SIZE_MAX,
     "Labels and rewards for predictions: one, a list, or a stream of lines", GY_ACCESS_REVIEWER,
     GY_ROUTE_BULK},
    {"POST", "/api/v1.0/feedback", post_seldon, gy_api_seldon_errors, 0,
     "Seldon's feedback message", GY_ACCESS_REVIEWER, GY_ROUTE_BULK},
    {"POST", "/api/v0.1/feedback", post_seldon, gy_api_seldon_errors, 0,
     "Seldon's feedback message, its older path", GY_ACCESS_REVIEWER, GY_ROUTE_BULK},
    {"POST", "/seldon/{ns}/{m}/api/v1.0/feedback", post_seldon, gy_api_seldon_errors, 0,
     "Seldon's feedback message, by the path of its ingress", GY_ACCESS_REVIEWER, GY_ROUTE_BULK},
};

gy_status gy_api_feedback_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
