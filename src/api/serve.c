/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: what is served, deploying, canaries and shadows, rolling back. Each change answers 201
 * with the new revision once every event loop serves it, and takes a "reason".
 *   GET  /api/gyre/v1/endpoints                  {"endpoints":[revision...]}: what is served
 *   GET  /api/gyre/v1/endpoints/{name}           {"name","revision","revisions":[...]}
 *   POST /api/gyre/v1/endpoints/{name}/deploy {"model","project","columns","gate","canary","add"}
 *   POST /api/gyre/v1/endpoints/{name}/traffic   {"canary": share} or {"shares": {"3": 0.2, "4":
 * null}} POST /api/gyre/v1/endpoints/{name}/shadow    {"model"} or {"off": true} POST
 * /api/gyre/v1/endpoints/{name}/promote   {"version"?} POST /api/gyre/v1/endpoints/{name}/rollback
 * {"revision"?} POST /api/gyre/v1/endpoints/{name}/undeploy  {} -> {"endpoint","undeployed"} */
#include <math.h>

#include "api/body.h"
#include "api/health.h"
#include "api/rollout.h"
#include "base/log.h"
#include "serve/deploy.h"
#include "serve/replica.h"
#include "serve/rollout.h"
#include "watch/review.h"

#define HISTORY_MAX 100
#define MAX_REASON 2000 /* bytes */
#define BASE "/api/gyre/v1/endpoints"

gy_status gy_app_serve_open(struct gy_app *app, const struct gy_app_serve_options *o,
                            struct gy_err *err)
{
    char log[GY_MAX_PATH];
    char cache[GY_MAX_PATH];
    char keys[GY_MAX_PATH];
    GY_TRY(o->replica ? GY_OK : gy_replica_need_none(&app->home, err));
    GY_TRY(gy_home_path(&app->home, "erasures", keys, err));
    GY_TRY(gy_home_path(&app->home, "log", log, err));
    GY_TRY(gy_home_path(&app->home, "cache/models", cache, err));
    const struct gy_serving_options options = {.store = app->store,
                                               .log_dir = log,
                                               .key_dir = keys,
                                               .n_loops = o->n_loops,
                                               .log_sync_ms = o->log_sync_ms,
                                               .log_drop_when_full = o->log_drop_when_full,
                                               .model_memory = o->model_memory};
    GY_TRY(gy_serving_open(&options, &app->serving, err));
    const struct gy_deployer d = {app->store, app->objects, cache, app->serving};
    size_t failed = 0;
    gy_status st = gy_deploy_load(&d, &failed, err);
    if (st != GY_OK) {
        gy_app_serve_close(app);
    }
    return st;
}

void gy_app_serve_close(struct gy_app *app)
{
    gy_serving_close(app->serving);
    app->serving = NULL;
}

static gy_status deployer(struct gy_app *app, char cache[GY_MAX_PATH], struct gy_deployer *ret,
                          struct gy_err *err)
{
    GY_TRY(gy_home_path(&app->home, "cache/models", cache, err));
    *ret = (struct gy_deployer){app->store, app->objects, cache, app->serving};
    return GY_OK;
}

static void write_members(struct gy_jw *w, const struct gy_revision *r)
{
    gy_jw_kv_str(w, "endpoint", r->endpoint);
    gy_jw_kv_i64(w, "revision", r->revision);
    gy_jw_kv_str(w, "kind", r->kind);
    gy_jw_kv_str(w, "model", r->model_name);
    gy_jw_kv_i64(w, "version", r->model_version);
    gy_jw_kv_str(w, "digest", r->model_digest);
    gy_jw_kv_str(w, "run_id", r->run_id);
    gy_jw_kv_bool(w, "gated", r->gated);
    gy_jw_kv_str(w, "verdict", r->verdict_id);
    if (r->copied_from) {
        gy_jw_kv_i64(w, "copied_from", r->copied_from);
    } else {
        gy_jw_kv_null(w, "copied_from");
    }
    gy_jw_kv_str(w, "actor", r->actor);
    gy_jw_kv_str(w, "reason", r->reason);
    gy_api_kv_time(w, "time", r->created_us);
    gy_jw_key(w, "config");
    gy_jw_raw(w, r->config);
}

static void write_revision(struct gy_jw *w, const struct gy_revision *r)
{
    gy_jw_obj(w);
    write_members(w, r);
    gy_jw_obj_end(w);
}

struct listing {
    struct gy_arena *a;
    struct gy_str name;
    struct gy_revision *all;
    size_t n;
    int64_t current;
};

static gy_status read_current(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct listing *l = ctx;
    return gy_revision_current(db, l->a, &l->all, &l->n, err);
}

static gy_status read_history(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct listing *l = ctx;
    return gy_revision_history(db, l->name, HISTORY_MAX, l->a, &l->all, &l->n, &l->current, err);
}

static gy_status get_endpoints(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct listing l = {.a = req->arena};
    GY_TRY(gy_store_read(app->store, read_current, &l, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "endpoints");
    gy_jw_arr(&w);
    for (size_t i = 0; i < l.n; i++) {
        write_revision(&w, &l.all[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status get_endpoint(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct listing l = {.a = req->arena, .name = gy_req_param(req, "name")};
    GY_TRY(gy_store_read(app->store, read_history, &l, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", l.name);
    gy_jw_kv_i64(&w, "revision", l.current);
    gy_jw_key(&w, "revisions");
    gy_jw_arr(&w);
    for (size_t i = 0; i < l.n; i++) {
        write_revision(&w, &l.all[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* With what loading it was like. */
static gy_status send_change(struct gy_reply *reply, const struct gy_revision *r,
                             struct gy_serving *serving, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    write_members(&w, r);
    gy_rollout_write_warmup(&w, serving, r->endpoint);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 201, &out, err);
}

/* A review policy says what it means before it is frozen; serve itself does not read it. */
static gy_status check_review(yyjson_val *body, struct gy_err *err)
{
    struct gy_review_policy policy;
    GY_TRY(
        gy_review_policy_read(gy_json_get(gy_json_get(body, "project"), "review"), &policy, err));
    return gy_review_policy_read(gy_json_get(body, "review"), &policy, err);
}

/* A change on its way: who asks, with what. */
struct change {
    char cache[GY_MAX_PATH];
    struct gy_deployer d;
    struct gy_deploy_by by;
    yyjson_doc *doc;
    yyjson_val *body;
    struct gy_str name;
};

static void change_done(struct change *c)
{
    gy_json_free(c->doc);
}
GY_DEFINE_AUTO_DONE(struct change, change_done);

static gy_status change_init(struct change *c, struct gy_app *app, struct gy_request *req,
                             struct gy_err *err)
{
    *c = (struct change){.by.actor = req->actor, .name = gy_req_param(req, "name")};
    GY_TRY(deployer(app, c->cache, &c->d, err));
    GY_TRY(gy_api_object(req, 4 * GY_MIB, &c->doc, err));
    c->body = yyjson_doc_get_root(c->doc);
    GY_TRY(check_review(c->body, err));
    yyjson_val *reason = gy_json_get(c->body, "reason");
    if (reason && !yyjson_is_null(reason)) {
        GY_TRY(gy_json_need_str(c->body, "reason", &c->by.reason, err));
        if (c->by.reason.n > MAX_REASON) {
            return gy_err_set(err, GY_E_TOOBIG, "'reason' is longer than %d bytes", MAX_REASON);
        }
    }
    return GY_OK;
}

/* Said once, here; the revision and its event keep it. */
static gy_status changed(const struct gy_revision *r, struct gy_serving *serving,
                         struct gy_reply *reply, struct gy_err *err)
{
    gy_log(GY_LOG_INFO, "serve", "endpoint changed", GY_KV_S("endpoint", r->endpoint),
           GY_KV_I("revision", r->revision), GY_KV_S("kind", r->kind),
           GY_KV_S("model", r->model_name), GY_KV_I("version", r->model_version),
           GY_KV_S("actor", r->actor), GY_KV_S("reason", r->reason));
    return send_change(reply, r, serving, err);
}

static gy_status post_deploy(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_revision r;
    GY_AUTO_DONE(change_done) struct change c = {.doc = NULL};
    GY_TRY(change_init(&c, ctx, req, err));
    GY_TRY(gy_deploy(&c.d, c.name, c.body, &c.by, req->arena, &r, err));
    return changed(&r, c.d.serving, reply, err);
}

/* {"3": 0.2, "4": null}: null takes a canary out. */
static gy_status read_shares(yyjson_val *object,
                             struct gy_stretch_share shares[GY_CANARIES_MAX + 1], size_t *ret_n,
                             struct gy_err *err)
{
    size_t i, n;
    yyjson_val *key, *v;
    if (!yyjson_is_obj(object) || yyjson_obj_size(object) == 0) {
        return gy_err_set(err, GY_E_INVALID, "'shares' must be an object: {\"3\": 0.2}");
    }
    if (yyjson_obj_size(object) > GY_CANARIES_MAX + 1) {
        return gy_err_set(err, GY_E_TOOBIG, "'shares' names more than %d versions",
                          GY_CANARIES_MAX + 1);
    }
    *ret_n = 0;
    yyjson_obj_foreach(object, i, n, key, v)
    {
        struct gy_stretch_share one = {0, NAN};
        GY_TRY(gy_parse_i64(gy_json_val_str(key), 1, INT64_MAX, &one.version, err));
        if (!yyjson_is_null(v)) {
            GY_TRY(gy_rollout_share(v, "shares", &one.share, err));
        }
        for (size_t k = 0; k < *ret_n; k++) {
            if (shares[k].version == one.version) {
                return gy_err_set(err, GY_E_INVALID, "'shares' names version %lld twice",
                                  (long long)one.version);
            }
        }
        shares[(*ret_n)++] = one;
    }
    return GY_OK;
}

static gy_status post_traffic(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_revision r;
    double canary;
    GY_AUTO_DONE(change_done) struct change c = {.doc = NULL};
    GY_TRY(change_init(&c, ctx, req, err));
    if (gy_json_get(c.body, "shares")) {
        struct gy_stretch_share shares[GY_CANARIES_MAX + 1];
        size_t n;
        GY_TRY(read_shares(gy_json_get(c.body, "shares"), shares, &n, err));
        GY_TRY(gy_deploy_shares(&c.d, c.name, shares, n, &c.by, req->arena, &r, err));
        return changed(&r, c.d.serving, reply, err);
    }
    GY_TRY(gy_json_need_f64(c.body, "canary", &canary, err));
    GY_TRY(gy_deploy_traffic(&c.d, c.name, canary, &c.by, req->arena, &r, err));
    return changed(&r, c.d.serving, reply, err);
}

static gy_status post_shadow(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_revision r;
    struct gy_str model = GY_STR_NULL;
    GY_AUTO_DONE(change_done) struct change c = {.doc = NULL};
    GY_TRY(change_init(&c, ctx, req, err));
    if (!gy_json_bool(c.body, "off", false)) {
        GY_TRY(gy_json_need_str(c.body, "model", &model, err));
    }
    GY_TRY(gy_deploy_shadow(&c.d, c.name, model, &c.by, req->arena, &r, err));
    return changed(&r, c.d.serving, reply, err);
}

static gy_status post_promote(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_revision r;
    GY_AUTO_DONE(change_done) struct change c = {.doc = NULL};
    GY_TRY(change_init(&c, ctx, req, err));
    int64_t version = 0; /* the only canary */
    if (gy_json_get(c.body, "version")) {
        GY_TRY(gy_json_need_i64(c.body, "version", &version, err));
        if (version < 1) {
            return gy_err_set(err, GY_E_INVALID, "'version' must be the number of a canary");
        }
    }
    GY_TRY(gy_deploy_promote(&c.d, c.name, version, &c.by, req->arena, &r, err));
    return changed(&r, c.d.serving, reply, err);
}

static gy_status post_rollback(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    struct gy_revision r;
    GY_AUTO_DONE(change_done) struct change c = {.doc = NULL};
    GY_TRY(change_init(&c, ctx, req, err));
    int64_t to = 0; /* what was served before */
    if (gy_json_get(c.body, "revision")) {
        GY_TRY(gy_json_need_i64(c.body, "revision", &to, err));
        if (to < 0) {
            return gy_err_set(err, GY_E_INVALID, "'revision' must not be negative");
        }
    }
    GY_TRY(gy_deploy_rollback(&c.d, c.name, to, &c.by, req->arena, &r, err));
    return changed(&r, c.d.serving, reply, err);
}

static gy_status post_undeploy(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    char cache[GY_MAX_PATH];
    struct gy_deployer d;
    struct gy_str name = gy_req_param(req, "name");
    GY_TRY(deployer(ctx, cache, &d, err));
    GY_TRY(gy_deploy_undeploy(&d, name, req->actor, err));
    gy_log(GY_LOG_INFO, "serve", "undeployed", GY_KV_S("endpoint", name),
           GY_KV_S("actor", req->actor));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "endpoint", name);
    gy_jw_kv_bool(&w, "undeployed", true);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"GET", BASE, get_endpoints, NULL, 0, "the revisions that are served"},
    {"GET", BASE "/{name}", get_endpoint, NULL, 0, "the history of an endpoint"},
    {"POST", BASE "/{name}/deploy", post_deploy, NULL, 4 * GY_MIB, "deploy a model version"},
    {"POST", BASE "/{name}/traffic", post_traffic, NULL, 64 * GY_KIB,
     "change the shares of canaries"},
    {"POST", BASE "/{name}/shadow", post_shadow, NULL, 64 * GY_KIB,
     "ask a version for every request, without answering by it"},
    {"POST", BASE "/{name}/promote", post_promote, NULL, 64 * GY_KIB,
     "let the canary answer everything", GY_ACCESS_OPERATOR, GY_ROUTE_NAMED},
    {"POST", BASE "/{name}/rollback", post_rollback, NULL, 64 * GY_KIB,
     "serve an earlier revision again"},
    {"POST", BASE "/{name}/undeploy", post_undeploy, NULL, 64 * GY_KIB, "stop serving it"},
};

gy_status gy_api_serve_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
