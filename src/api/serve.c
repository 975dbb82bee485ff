/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: what is served, deploying and rolling back.
 *   GET  /api/gyre/v1/endpoints                      {"endpoints":[revision...]}: what is served
 *   GET  /api/gyre/v1/endpoints/{name}               {"name","revision","revisions":[...]}
 *   POST /api/gyre/v1/endpoints/{name}/deploy        {"model","project","columns","gate"} ->
 * revision POST /api/gyre/v1/endpoints/{name}/rollback      {"revision"?} -> the new revision POST
 * /api/gyre/v1/endpoints/{name}/undeploy      -> {"endpoint","undeployed"} */
#include "api/body.h"
#include "api/health.h"
#include "base/log.h"
#include "serve/deploy.h"

#define HISTORY_MAX 100
#define BASE "/api/gyre/v1/endpoints"

gy_status gy_app_serve_open(struct gy_app *app, const struct gy_app_serve_options *o,
                            struct gy_err *err)
{
    char log[GY_MAX_PATH];
    char cache[GY_MAX_PATH];
    GY_TRY(gy_home_path(&app->home, "log", log, err));
    GY_TRY(gy_home_path(&app->home, "cache/models", cache, err));
    const struct gy_serving_options options = {.log_dir = log,
                                               .n_loops = o->n_loops,
                                               .log_sync_ms = o->log_sync_ms,
                                               .log_drop_when_full = o->log_drop_when_full};
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

static void write_revision(struct gy_jw *w, const struct gy_revision *r)
{
    gy_jw_obj(w);
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
    gy_api_kv_time(w, "time", r->created_us);
    gy_jw_key(w, "config");
    gy_jw_raw(w, r->config);
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

static gy_status send_revision(struct gy_reply *reply, const struct gy_revision *r, int status,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    write_revision(&w, r);
    return gy_reply_json(reply, status, &out, err);
}

static gy_status post_deploy(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    char cache[GY_MAX_PATH];
    struct gy_deployer d;
    struct gy_revision r;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(deployer(ctx, cache, &d, err));
    GY_TRY(gy_api_object(req, 4 * GY_MIB, &doc, err));
    GY_TRY(gy_deploy(&d, gy_req_param(req, "name"), yyjson_doc_get_root(doc), req->actor,
                     req->arena, &r, err));
    gy_log(GY_LOG_INFO, "serve", "deployed", GY_KV_S("endpoint", r.endpoint),
           GY_KV_I("revision", r.revision), GY_KV_S("model", r.model_name),
           GY_KV_I("version", r.model_version), GY_KV_S("actor", req->actor));
    return send_revision(reply, &r, 201, err);
}

static gy_status post_rollback(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    char cache[GY_MAX_PATH];
    struct gy_deployer d;
    struct gy_revision r;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(deployer(ctx, cache, &d, err));
    GY_TRY(gy_api_object(req, 4 * GY_MIB, &doc, err));
    int64_t to = 0; /* the one before the current */
    if (gy_json_get(yyjson_doc_get_root(doc), "revision")) {
        GY_TRY(gy_json_need_i64(yyjson_doc_get_root(doc), "revision", &to, err));
        if (to < 0) {
            return gy_err_set(err, GY_E_INVALID, "'revision' must not be negative");
        }
    }
    GY_TRY(gy_deploy_rollback(&d, gy_req_param(req, "name"), to, req->actor, req->arena, &r, err));
    gy_log(GY_LOG_INFO, "serve", "rolled back", GY_KV_S("endpoint", r.endpoint),
           GY_KV_I("revision", r.revision), GY_KV_I("copied_from", r.copied_from),
           GY_KV_S("actor", req->actor));
    return send_revision(reply, &r, 201, err);
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
    {"POST", BASE "/{name}/rollback", post_rollback, NULL, 64 * GY_KIB,
     "serve an earlier revision again"},
    {"POST", BASE "/{name}/undeploy", post_undeploy, NULL, 64 * GY_KIB, "stop serving it"},
};

gy_status gy_api_serve_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
