/* SPDX-License-Identifier: Apache-2.0 */
/* The model repository extension of Open Inference Protocol v2. Its "models" are endpoints; who may
 * deploy may load and unload.
 *   POST /v2/repository/index             {"ready"?} -> [{"name","version","state","reason"}]
 *   POST /v2/repository/models/{m}/load   {"parameters":{"config"?}} -> {"name","load":true}
 *   POST /v2/repository/models/{m}/unload -> {"name","load":false}
 * Loading an endpoint that is served loads it again, without a gap; one that was undeployed gets
 * its last revision back; a name that only the registry knows is deployed in its newest version.
 * config is Triton's, as JSON: a version_policy with one specific version deploys that version
 * under the settings that are served. */
#include "api/repository.h"

#include "api/body.h"
#include "api/health.h"
#include "api/inference.h"
#include "base/log.h"
#include "serve/deploy.h"
#include "serve/setting.h"
#include "track/registry.h"

#define MAX_BODY GY_MIB

/* ---- the index ---- */

struct listing {
    struct gy_arena *a;
    struct gy_str name;
    struct gy_revision *all;
    size_t n;
};

static gy_status read_current(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct listing *l = ctx;
    return gy_revision_current(db, l->a, &l->all, &l->n, err);
}

/* Room for all of them. */
static struct gy_repository_entry *make_room(const struct gy_table *t, const struct listing *l)
{
    size_t n = l->n;
    for (size_t i = 0; i < gy_table_count(t); i++) {
        n += 1 + gy_table_at(t, i)->n_canaries;
    }
    return gy_arena_calloc(l->a, n + 1, sizeof(struct gy_repository_entry));
}

static bool add_entry(struct gy_arena *a, struct gy_str name, struct gy_str version, bool ready,
                      struct gy_repository_entry *ret)
{
    *ret = (struct gy_repository_entry){
        .name = gy_arena_str(a, name), /* the table goes */
        .version = gy_arena_str(a, version),
        .state = ready ? "READY" : "UNAVAILABLE",
        .reason = ready ? "" : "it could not be loaded: the server's log says why"};
    return ret->name.p && ret->version.p;
}

static gy_status fill_index(const struct gy_table *t, const struct listing *l, bool ready_only,
                            struct gy_repository_entry **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_repository_entry *out = make_room(t, l);
    size_t n = 0;
    bool ok = out != NULL;
    for (size_t i = 0; ok && i < gy_table_count(t); i++) {
        const struct gy_endpoint *e = gy_table_at(t, i);
        ok = add_entry(l->a, e->name, e->version, true, &out[n++]);
        for (size_t k = 0; ok && k < e->n_canaries; k++) {
            ok = add_entry(l->a, e->name, e->canaries[k]->version, true, &out[n++]);
        }
    }
    for (size_t i = 0; ok && !ready_only && i < l->n; i++) {
        if (!gy_table_find(t, l->all[i].endpoint)) {
            char text[32];
            size_t digits = gy_fmt_f64_trim((double)l->all[i].model_version, text);
            ok = add_entry(l->a, l->all[i].endpoint, gy_str_n(text, digits), false, &out[n++]);
        }
    }
    *ret = out;
    *ret_n = n;
    return ok ? GY_OK : gy_err_set(err, GY_E_NOMEM, "the index of the models");
}

gy_status gy_api_repository_index(struct gy_app *app, struct gy_request *req, bool ready_only,
                                  struct gy_repository_entry **ret, size_t *ret_n,
                                  struct gy_err *err)
{
    struct listing l = {.a = req->arena};
    GY_TRY(gy_api_need_serving(app, err));
    GY_TRY(gy_store_read(app->store, read_current, &l, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    return fill_index(t, &l, ready_only, ret, ret_n, err);
}

static gy_status post_index(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_repository_entry *all = NULL;
    size_t n = 0;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_api_need_serving(app, err));
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    yyjson_val *ready = gy_json_get(yyjson_doc_get_root(doc), "ready");
    if (ready && !yyjson_is_bool(ready)) {
        return gy_err_set(err, GY_E_INVALID, "'ready' must be true or false");
    }
    GY_TRY(gy_api_repository_index(app, req, ready && yyjson_get_bool(ready), &all, &n, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 4 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "name", all[i].name);
        gy_jw_kv_str(&w, "version", all[i].version);
        gy_jw_kv_strc(&w, "state", all[i].state);
        gy_jw_kv_strc(&w, "reason", all[i].reason);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- load ---- */

struct loading {
    struct gy_app *app;
    struct gy_arena *a;
    struct gy_str name, actor;
    struct gy_deployer d;
    struct gy_revision current; /* config absent: nothing is served by that name */
    int64_t version;            /* asked for; 0: none */
    bool known;                 /* there were revisions of it */
    char cache[GY_MAX_PATH];
};

static gy_status look(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct loading *l = ctx;
    struct gy_revision *all = NULL;
    size_t n = 0;
    int64_t current = 0;
    gy_status status = gy_revision_history(db, l->name, 1, l->a, &all, &n, &current, err);
    if (status == GY_E_NOTFOUND) {
        return GY_OK; /* never deployed */
    }
    GY_TRY(status);
    l->known = true;
    return current ? gy_revision_get(db, l->name, current, l->a, &l->current, err) : GY_OK;
}

/* {"version_policy": {"specific": {"versions": [2]}}}; other keys of Triton's configuration say how
 * a backend runs, which is not decided here. */
static gy_status read_config(struct gy_str text, int64_t *ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_json_parse(text, &doc, NULL) != GY_OK || !yyjson_is_obj(yyjson_doc_get_root(doc))) {
        return gy_err_set(err, GY_E_INVALID,
                          "parameter 'config' must be a JSON object as a string");
    }
    yyjson_val *policy = gy_json_get(yyjson_doc_get_root(doc), "version_policy");
    yyjson_val *list = gy_json_get(gy_json_get(policy, "specific"), "versions");
    if (!policy || gy_json_get(policy, "latest")) {
        return GY_OK;
    }
    if (yyjson_arr_size(list) != 1 || !yyjson_is_uint(yyjson_arr_get_first(list)) ||
        yyjson_get_uint(yyjson_arr_get_first(list)) - 1 >= INT32_MAX) {
        return gy_err_set(
            err, GY_E_INVALID,
            "version_policy must name one version: {\"specific\": {\"versions\": [2]}}; "
            "further ones are canaries (deploy them)");
    }
    *ret = (int64_t)yyjson_get_uint(yyjson_arr_get_first(list));
    return GY_OK;
}

static gy_status read_parameters(yyjson_val *body, int64_t *ret_version, struct gy_err *err)
{
    yyjson_val *parameters = gy_json_get(body, "parameters");
    size_t i, n;
    yyjson_val *key, *value;
    if (!parameters) {
        return GY_OK;
    }
    if (!yyjson_is_obj(parameters)) {
        return gy_err_set(err, GY_E_INVALID, "'parameters' must be an object");
    }
    yyjson_obj_foreach(parameters, i, n, key, value)
    {
        struct gy_str name = gy_json_val_str(key);
        if (gy_str_starts(name, GY_STR("file:"))) {
            return gy_err_set(
                err, GY_E_UNSUPPORTED,
                "files of a model do not come with the call: register it (gyre models "
                "import), then load it");
        }
        if (gy_str_eqc(name, "config")) {
            if (!yyjson_is_str(value)) {
                return gy_err_set(err, GY_E_INVALID, "parameter 'config' must be a string");
            }
            GY_TRY(read_config(gy_json_val_str(value), ret_version, err));
        }
    }
    return GY_OK;
}

/* The body of a deploy call: that model under the settings that are served. */
static gy_status deploy_body(const struct loading *l, const char *ref, struct gy_buf *out,
                             struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w;
    gy_jw_init(&w, out);
    if (l->current.config.p) {
        GY_TRY(gy_json_parse(l->current.config, &doc, err));
    }
    yyjson_val *config = doc ? yyjson_doc_get_root(doc) : NULL;
    size_t i, n;
    yyjson_val *key, *value;
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "model", ref);
    gy_jw_key(&w, "project");
    gy_jw_obj(&w);
    if (config) { /* the loop may not be begun over nothing */
        yyjson_obj_foreach(config, i, n, key, value)
        {
            if (gy_setting_known(gy_json_val_str(key))) {
                gy_jw_keys(&w, gy_json_val_str(key));
                gy_jw_val(&w, value);
            }
        }
    }
    gy_jw_obj_end(&w);
    static const char *const kept[] = {"columns", "gate"};
    for (size_t k = 0; k < 2; k++) {
        yyjson_val *v = gy_json_get(config, kept[k]);
        if (v && !yyjson_is_null(v)) {
            gy_jw_key(&w, kept[k]);
            gy_jw_val(&w, v);
        }
    }
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "a deploy request", err);
}

static gy_status deploy_ref(struct loading *l, const char *ref, const struct gy_deploy_by *by,
                            struct gy_revision *ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, 8 * GY_MIB);
    GY_TRY(deploy_body(l, ref, &body, err));
    GY_TRY(gy_json_parse(gy_buf_str(&body), &doc, err));
    gy_status status = gy_deploy(&l->d, l->name, yyjson_doc_get_root(doc), by, l->a, ret, err);
    if (status == GY_E_NOTFOUND && !l->known) {
        return gy_err_set(err, GY_E_NOTFOUND, "Model %" GY_STR_F " not found", GY_STR_A(l->name));
    }
    return status;
}

/* What is served is loaded again where it is not; then it must be there. */
static gy_status reload(struct loading *l, struct gy_err *err)
{
    size_t failed = 0;
    GY_TRY(gy_deploy_load(&l->d, &failed, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(l->app->serving);
    return gy_table_find(t, l->name)
               ? GY_OK
               : gy_err_set(err, GY_E_NOTSERVABLE,
                            "'%" GY_STR_F "' can not be loaded: the server's log says why",
                            GY_STR_A(l->name));
}

static gy_status load(struct loading *l, struct gy_err *err)
{
    struct gy_revision r;
    char ref[GY_MAX_NAME + 48];
    const struct gy_deploy_by by = {.actor = l->actor,
                                    .reason = GY_STR("loaded by /v2/repository")};
    struct gy_str model = l->current.config.p ? l->current.model_name : l->name;
    if (l->version) {
        int n = snprintf(ref, sizeof ref, "models:/%" GY_STR_F "/%lld", GY_STR_A(model),
                         (long long)l->version);
        return n > 0 && (size_t)n < sizeof ref
                   ? deploy_ref(l, ref, &by, &r, err)
                   : gy_err_set(err, GY_E_TOOBIG, "the name of a model is too long");
    }
    if (l->current.config.p) {
        return reload(l, err);
    }
    if (l->known) {
        return gy_deploy_rollback(&l->d, l->name, 0, &by, l->a, &r, err);
    }
    int n = snprintf(ref, sizeof ref, "%" GY_STR_F, GY_STR_A(l->name));
    return n > 0 && (size_t)n < sizeof ref
               ? deploy_ref(l, ref, &by, &r, err)
               : gy_err_set(err, GY_E_TOOBIG, "the name of a model is too long");
}

static gy_status loading_init(struct loading *l, struct gy_app *app, struct gy_request *req,
                              struct gy_str name, struct gy_err *err)
{
    *l = (struct loading){.app = app, .a = req->arena, .name = name, .actor = req->actor};
    GY_TRY(gy_api_need_serving(app, err));
    GY_TRY(gy_home_path(&app->home, "cache/models", l->cache, err));
    l->d = (struct gy_deployer){app->store, app->objects, l->cache, app->serving};
    if (gy_endpoint_check_name(l->name, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_NOTFOUND, "Model %.100s not found", l->name.p);
    }
    return gy_store_read(app->store, look, l, err);
}

static gy_status send(struct gy_reply *reply, struct gy_str name, bool loaded, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", name);
    gy_jw_kv_bool(&w, "load", loaded);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

gy_status gy_api_repository_load(struct gy_app *app, struct gy_request *req, struct gy_str name,
                                 yyjson_val *body, struct gy_err *err)
{
    struct loading l;
    GY_TRY(loading_init(&l, app, req, name, err));
    GY_TRY(read_parameters(body, &l.version, err));
    GY_TRY(load(&l, err));
    gy_log(GY_LOG_INFO, "serve", "loaded", GY_KV_S("endpoint", l.name),
           GY_KV_I("version", l.version), GY_KV_S("actor", req->actor));
    return GY_OK;
}

gy_status gy_api_repository_unload(struct gy_app *app, struct gy_request *req, struct gy_str name,
                                   struct gy_err *err)
{
    struct loading l;
    GY_TRY(loading_init(&l, app, req, name, err));
    if (!l.known) {
        return gy_err_set(err, GY_E_NOTFOUND, "Model %" GY_STR_F " not found", GY_STR_A(l.name));
    }
    if (l.current.config.p) {
        GY_TRY(gy_deploy_undeploy(&l.d, l.name, req->actor, err));
        gy_log(GY_LOG_INFO, "serve", "undeployed", GY_KV_S("endpoint", l.name),
               GY_KV_S("actor", req->actor));
    }
    return GY_OK;
}

static gy_status post_load(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_str name = gy_req_param(req, "m");
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    GY_TRY(gy_api_repository_load(ctx, req, name, yyjson_doc_get_root(doc), err));
    return send(reply, name, true, err);
}

static gy_status post_unload(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_str name = gy_req_param(req, "m");
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err)); /* unload_dependents: there are none */
    GY_TRY(gy_api_repository_unload(ctx, req, name, err));
    return send(reply, name, false, err);
}

#define ERRORS gy_inference_errors
static const struct gy_route routes[] = {
    {"POST", "/v2/repository/index", post_index, ERRORS, MAX_BODY,
     "what is and what should be served", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"POST", "/v2/repository/models/{m}/load", post_load, ERRORS, MAX_BODY, "serve it (again)"},
    {"POST", "/v2/repository/models/{m}/unload", post_unload, ERRORS, MAX_BODY, "stop serving it"},
};

gy_status gy_api_repository_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
