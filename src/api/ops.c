/* SPDX-License-Identifier: Apache-2.0 */
/* The registry for operations: what happened to a model, and moving its aliases with a reason.
 *   GET  /models/{name}/history?alias=&max=  -> {"history":[...]}, newest first
 *   POST /models/{name}/promote              -> {name,alias,version,from,reason}
 *        {version,alias?,reason?}
 *   POST /models/{name}/rollback             -> the same; to absent: where the alias was before
 *        {alias?,to?,reason?}
 * Who moves an alias here must have a name: anonymous callers get 401. */
#include "api/ops.h"

#include "api/body.h"
#include "base/limits.h"
#include "base/mem.h"
#include "store/actor.h"
#include "track/history.h"

#define BASE "/api/gyre/v1/models"

/* ---- what all of these routes do ---- */

void gy_ops_done(struct gy_ops_call *c)
{
    gy_json_free(c->doc);
    gy_buf_done(&c->out);
}

gy_status gy_ops_body(struct gy_ops_call *c, struct gy_err *err)
{
    GY_TRY(gy_api_object(c->req, GY_OPS_MAX_BODY, &c->doc, err));
    c->body = yyjson_doc_get_root(c->doc);
    return GY_OK;
}

gy_status gy_ops_text(struct gy_ops_call *c, const char *key, struct gy_str *ret,
                      struct gy_err *err)
{
    return gy_api_text(c->body, key, GY_API_MAX_TEXT, ret, err);
}

gy_status gy_ops_reason(struct gy_ops_call *c, struct gy_str *ret, struct gy_err *err)
{
    GY_TRY(gy_ops_text(c, "reason", ret, err));
    return ret->n > 0 ? GY_OK : gy_api_reason(c->req, ret, err);
}

gy_status gy_ops_i64(struct gy_ops_call *c, const char *key, int64_t min, int64_t absent,
                     int64_t *ret, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(c->body, key);
    *ret = absent;
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    *ret = yyjson_is_int(v) ? yyjson_get_sint(v) : INT64_MIN;
    return *ret >= min ? GY_OK
                       : gy_err_set(err, GY_E_INVALID, "'%s' must be a whole number, at least %lld",
                                    key, (long long)min);
}

gy_status gy_ops_query(struct gy_ops_call *c, const char *key, int64_t min, int64_t max,
                       int64_t absent, int64_t *ret, struct gy_err *err)
{
    struct gy_str text = gy_req_query(c->req, key);
    *ret = absent;
    if (text.n == 0) {
        return GY_OK;
    }
    gy_status status = gy_parse_i64(text, min, max, ret, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "'%s'", key);
}

struct closure {
    struct gy_ops_call *call;
    gy_ops_fn fn;
};

static gy_status run_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct closure *x = ctx;
    gy_buf_done(&x->call->out);
    gy_buf_init(&x->call->out, GY_MAX_REPLY);
    gy_jw_init(&x->call->w, &x->call->out);
    return x->fn(db, x->call, err);
}

gy_status gy_ops_run(struct gy_ops_call *c, gy_ops_fn fn, bool write, struct gy_err *err)
{
    struct closure x = {c, fn};
    return write ? gy_store_write(c->app->store, run_closure, &x, err)
                 : gy_store_read(c->app->store, run_closure, &x, err);
}

gy_status gy_ops_send(struct gy_ops_call *c, struct gy_reply *reply, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&c->out, "the answer", err));
    return gy_reply_json(reply, c->http ? c->http : 200, &c->out, err);
}

gy_status gy_ops_answer(struct gy_ops_call *c, gy_ops_fn fn, bool write, struct gy_reply *reply,
                        struct gy_err *err)
{
    GY_TRY(gy_ops_run(c, fn, write, err));
    return gy_ops_send(c, reply, err);
}

/* ---- history ---- */

struct asked {
    struct gy_str name, alias;
    int64_t number; /* how many; a version */
    struct gy_model_why why;
};

static void write_entry(struct gy_jw *w, const struct gy_history_entry *e)
{
    gy_jw_obj(w);
    gy_api_kv_time(w, "time", e->time_us);
    gy_jw_kv_str(w, "kind", e->kind);
    gy_jw_kv_str(w, "what", e->what);
    gy_jw_kv_str(w, "action", e->action);
    gy_jw_kv_str(w, "from", e->from);
    gy_jw_kv_str(w, "to", e->to);
    if (e->revision) {
        gy_jw_kv_i64(w, "revision", e->revision);
    }
    gy_jw_kv_str(w, "actor", e->actor);
    gy_jw_kv_str(w, "reason", e->reason);
    gy_jw_obj_end(w);
}

static gy_status run_history(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_history_entry *list = NULL;
    size_t n = 0;
    GY_TRY(gy_model_history(db, x->name, x->alias, x->number, c->req->arena, &list, &n, err));
    if (n == 0) { /* a model that is gone has one */
        int64_t id = 0;
        GY_TRY(gy_model_find(db, x->name, &id, err));
    }
    gy_jw_obj(&c->w);
    gy_jw_kv_str(&c->w, "name", x->name);
    gy_jw_key(&c->w, "history");
    gy_jw_arr(&c->w);
    for (size_t i = 0; i < n; i++) {
        write_entry(&c->w, &list[i]);
    }
    gy_jw_arr_end(&c->w);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status h_history(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {.name = gy_req_param(req, "name"), .alias = gy_req_query(req, "alias")};
    c.in = &x;
    GY_TRY(gy_ops_query(&c, "max", 1, GY_HISTORY_MAX, 1000, &x.number, err));
    return gy_ops_answer(&c, run_history, false, reply, err);
}

/* ---- promote, rollback ---- */

static gy_status write_moved(struct gy_ops_call *c, const struct asked *x,
                             const struct gy_alias_moved *m)
{
    struct gy_jw *w = &c->w;
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", x->name);
    gy_jw_kv_str(w, "alias", x->alias);
    gy_jw_kv_i64(w, "version", m->to);
    if (m->from) {
        gy_jw_kv_i64(w, "from", m->from);
    } else {
        gy_jw_kv_null(w, "from");
    }
    gy_jw_kv_str(w, "actor", x->why.actor);
    gy_jw_kv_str(w, "reason", x->why.reason);
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status run_promote(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_alias_moved m;
    GY_TRY(gy_model_promote(db, x->name, x->number, x->alias, &x->why, &m, err));
    return write_moved(c, x, &m);
}

static gy_status run_rollback(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_alias_moved m;
    GY_TRY(gy_model_rollback(db, x->name, x->alias, x->number, &x->why, &m, err));
    return write_moved(c, x, &m);
}

static gy_status move_alias(struct gy_app *app, struct gy_request *req, bool back,
                            struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(app, req);
    struct asked x = {.name = gy_req_param(req, "name"), .why = {.actor = req->actor}};
    const char *key = back ? "to" : "version";
    c.in = &x;
    GY_TRY(gy_actor_need(req->actor, back ? "a rollback" : "a promotion", err));
    GY_TRY(gy_ops_body(&c, err));
    GY_TRY(gy_ops_text(&c, "alias", &x.alias, err));
    x.alias = x.alias.n > 0 ? x.alias : GY_STR("champion");
    GY_TRY(gy_ops_reason(&c, &x.why.reason, err));
    GY_TRY(gy_ops_i64(&c, key, 1, 0, &x.number, err));
    if (!back && x.number == 0) {
        return gy_err_set(err, GY_E_INVALID, "missing 'version'");
    }
    return gy_ops_answer(&c, back ? run_rollback : run_promote, true, reply, err);
}

static gy_status h_promote(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    return move_alias(ctx, req, false, reply, err);
}

static gy_status h_rollback(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    return move_alias(ctx, req, true, reply, err);
}

static const struct gy_route g_routes[] = {
    {"GET", BASE "/{name}/history", h_history, NULL, 0,
     "What happened to a model: who, when and why, newest first", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
    {"POST", BASE "/{name}/promote", h_promote, NULL, 0, "Point an alias to a version",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"POST", BASE "/{name}/rollback", h_rollback, NULL, 0, "Point an alias back to where it was",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
};

gy_status gy_api_ops_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
