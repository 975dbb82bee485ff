/* SPDX-License-Identifier: Apache-2.0 */
/* Gyre's own routes onto the registry, lineage and events. */
#include <stdio.h>

#include "api/app.h"
#include "api/body.h"
#include "base/json.h"
#include "base/limits.h"
#include "data/erased.h"
#include "store/events.h"
#include "store/lineage.h"
#include "track/models.h"

#define MAX_EDGES 100000
#define MAX_EVENTS 10000

/* One request: where its answer is written, inside a closure. */
struct call {
    struct gy_request *req;
    struct gy_buf out;
    struct gy_jw w;
    struct gy_str name, ref, node, reason;
    int64_t version, max, after;
    bool upstream, servable;
    const char *kind;
};

typedef gy_status (*closure_fn)(struct gy_db *db, struct call *c, struct gy_err *err);
struct closure {
    struct call *call;
    closure_fn fn;
};

static gy_status run_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct closure *x = ctx;
    gy_buf_reset(&x->call->out);
    gy_jw_init(&x->call->w, &x->call->out);
    return x->fn(db, x->call, err);
}

static gy_status answer(struct gy_app *app, struct call *c, closure_fn fn, bool write,
                        struct gy_reply *reply, struct gy_err *err)
{
    struct closure x = {c, fn};
    gy_buf_init(&c->out, GY_MAX_REPLY);
    gy_status status = write ? gy_store_write(app->store, run_closure, &x, err)
                             : gy_store_read(app->store, run_closure, &x, err);
    if (status == GY_OK) {
        status = gy_buf_check(&c->out, "the answer", err);
    }
    if (status == GY_OK) {
        status = gy_reply_json(reply, 200, &c->out, err);
    }
    gy_buf_done(&c->out);
    return status;
}

static gy_status query_i64(struct gy_request *req, const char *key, int64_t min, int64_t max,
                           int64_t absent, int64_t *ret, struct gy_err *err)
{
    struct gy_str text = gy_req_query(req, key);
    *ret = absent;
    if (!text.p || text.n == 0) {
        return GY_OK;
    }
    gy_status status = gy_parse_i64(text, min, max, ret, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "'%s'", key);
}

/* ---- versions ---- */

static gy_status write_version(struct gy_db *db, struct call *c, const struct gy_model_version *v,
                               struct gy_err *err)
{
    struct gy_artifact *files = NULL;
    size_t n = 0;
    struct gy_jw *w = &c->w;
    struct gy_str erased;
    const char *node = gy_arena_printf(c->req->arena, "model:%" GY_STR_F "/%lld", GY_STR_A(v->name),
                                       (long long)v->version);
    if (!node) {
        return gy_err_set(err, GY_E_NOMEM, "a version");
    }
    GY_TRY(gy_erased_under(db, gy_str_c(node), c->req->arena, &erased, err));
    GY_TRY(gy_registry_files(db, v, c->req->arena, &files, &n, err));
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", v->name);
    gy_jw_kv_i64(w, "version", v->version);
    gy_jw_kv_str(w, "digest", v->digest);
    gy_jw_kv_str(w, "servable", v->servable);
    gy_jw_kv_str(w, "servable_reason", v->servable_reason);
    gy_jw_kv_str(w, "run_id", v->run_id);
    gy_jw_kv_str(w, "source", v->source);
    gy_jw_kv_str(w, "description", v->description);
    gy_jw_kv_str(w, "erased_subjects", erased); /* trained on data of people who were erased */
    gy_jw_kv_str(w, "actor", v->actor);
    gy_api_kv_time(w, "created", v->created_us);
    gy_jw_key(w, "aliases");
    gy_jw_raw(w, v->aliases_json);
    gy_jw_key(w, "files");
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "path", files[i].path);
        gy_jw_kv_str(w, "sha256", files[i].sha256);
        gy_jw_kv_i64(w, "size", files[i].size_bytes);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status get_version(struct gy_db *db, struct call *c, struct gy_err *err)
{
    struct gy_model_version v;
    GY_TRY(gy_version_get(db, c->name, c->version, c->req->arena, &v, err));
    return write_version(db, c, &v, err);
}

static gy_status resolve(struct gy_db *db, struct call *c, struct gy_err *err)
{
    struct gy_model_version v;
    GY_TRY(gy_registry_resolve(db, c->ref, c->req->arena, &v, err));
    return write_version(db, c, &v, err);
}

static gy_status set_proof(struct gy_db *db, struct call *c, struct gy_err *err)
{
    GY_TRY(gy_registry_set_proof(db, c->name, c->version, c->servable, c->reason, err));
    return get_version(db, c, err);
}

static gy_status version_of(struct gy_request *req, struct call *c, struct gy_err *err)
{
    c->req = req;
    c->name = gy_req_param(req, "name");
    return gy_model_parse_version(gy_req_param(req, "version"), &c->version, err);
}

static gy_status h_version(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct call c = {0};
    GY_TRY(version_of(req, &c, err));
    return answer(ctx, &c, get_version, false, reply, err);
}

static gy_status h_resolve(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct call c = {.req = req, .ref = gy_req_query(req, "ref")};
    if (c.ref.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "missing 'ref': models:/name@alias or name/3");
    }
    return answer(ctx, &c, resolve, false, reply, err);
}

static gy_status h_proof(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    struct call c = {0};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(version_of(req, &c, err));
    GY_TRY(gy_api_object(req, GY_MIB, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!yyjson_is_bool(gy_json_get(root, "servable"))) {
        return gy_err_set(err, GY_E_INVALID, "'servable' must be true or false");
    }
    c.servable = gy_json_bool(root, "servable", false);
    GY_TRY(gy_api_text(root, "reason", GY_API_MAX_TEXT, &c.reason, err));
    return answer(ctx, &c, set_proof, true, reply, err);
}

/* ---- the history of aliases ---- */

static gy_status write_history(struct gy_db *db, struct call *c, struct gy_err *err)
{
    struct gy_alias_move *moves = NULL;
    size_t n = 0;
    struct gy_jw *w = &c->w;
    GY_TRY(gy_model_alias_history(db, c->name, c->ref, c->max, c->req->arena, &moves, &n, err));
    gy_jw_obj(w);
    gy_jw_key(w, "moves");
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "alias", moves[i].alias);
        if (moves[i].from_version) {
            gy_jw_kv_i64(w, "from", moves[i].from_version);
        } else {
            gy_jw_kv_null(w, "from");
        }
        if (moves[i].to_version) {
            gy_jw_kv_i64(w, "to", moves[i].to_version);
        } else {
            gy_jw_kv_null(w, "to");
        }
        gy_jw_kv_str(w, "action", moves[i].action);
        gy_jw_kv_str(w, "reason", moves[i].reason);
        gy_jw_kv_str(w, "actor", moves[i].actor);
        gy_api_kv_time(w, "time", moves[i].time_us);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status h_history(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct call c = {.req = req, .name = gy_req_param(req, "name")};
    c.ref = gy_req_query(req, "alias");
    GY_TRY(query_i64(req, "max", 1, MAX_EVENTS, 100, &c.max, err));
    return answer(ctx, &c, write_history, false, reply, err);
}

/* ---- lineage and events ---- */

static gy_status write_lineage(struct gy_db *db, struct call *c, struct gy_err *err)
{
    struct gy_lineage_edge *edges = NULL;
    size_t n = 0;
    struct gy_jw *w = &c->w;
    GY_TRY(
        gy_lineage_walk(db, c->node, c->upstream, (size_t)c->max, c->req->arena, &edges, &n, err));
    gy_jw_obj(w);
    gy_api_kv_edges(w, "edges", edges, n);
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status h_lineage(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct call c = {.req = req, .node = gy_req_query(req, "node")};
    struct gy_str direction = gy_req_query(req, "direction");
    if (c.node.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "missing 'node': kind:id, as model:sepsis/3");
    }
    if (direction.n > 0 && !gy_str_eqc(direction, "up") && !gy_str_eqc(direction, "down")) {
        return gy_err_set(err, GY_E_INVALID, "'direction' is up or down");
    }
    c.upstream = !gy_str_eqc(direction, "down");
    GY_TRY(query_i64(req, "max", 1, MAX_EDGES, 1000, &c.max, err));
    return answer(ctx, &c, write_lineage, false, reply, err);
}

static gy_status write_events(struct gy_db *db, struct call *c, struct gy_err *err)
{
    struct gy_event *events = NULL;
    size_t n = 0;
    struct gy_jw *w = &c->w;
    GY_TRY(gy_event_list(db, c->after, c->kind, (size_t)c->max, c->req->arena, &events, &n, err));
    gy_jw_obj(w);
    gy_jw_key(w, "events");
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(w);
        gy_jw_kv_i64(w, "seq", events[i].seq);
        gy_api_kv_time(w, "time", events[i].time_us);
        gy_jw_kv_str(w, "kind", events[i].kind);
        gy_jw_kv_str(w, "subject", events[i].subject);
        gy_jw_kv_str(w, "actor", events[i].actor);
        gy_jw_key(w, "data");
        gy_jw_raw(w, events[i].data.n > 0 ? events[i].data : GY_STR("{}"));
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status h_events(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct call c = {.req = req, .kind = ""};
    struct gy_str kind = gy_req_query(req, "kind");
    if (kind.n > 0) {
        c.kind = gy_arena_strdup(req->arena, kind);
        if (!c.kind) {
            return gy_track_nomem(err);
        }
    }
    GY_TRY(query_i64(req, "after", 0, INT64_MAX, 0, &c.after, err));
    GY_TRY(query_i64(req, "max", 1, MAX_EVENTS, 1000, &c.max, err));
    return answer(ctx, &c, write_events, false, reply, err);
}

static const struct gy_route g_routes[] = {
    {"GET", "/api/gyre/v1/models/resolve", h_resolve, NULL, 0,
     "The version a reference means: models:/name@alias, name/3, name", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
    {"GET", "/api/gyre/v1/models/{name}/versions/{version}", h_version, NULL, 0,
     "A model version: digest, servable, aliases, files", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"POST", "/api/gyre/v1/models/{name}/versions/{version}/proof", h_proof, NULL, 0,
     "Record whether a version can be served, and why not", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", "/api/gyre/v1/models/{name}/aliases", h_history, NULL, 0,
     "Who moved which alias when and why, newest first", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", "/api/gyre/v1/lineage", h_lineage, NULL, 0, "Everything up or down from a node",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", "/api/gyre/v1/events", h_events, NULL, 0, "What happened after a number",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
};

gy_status gy_api_models_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
