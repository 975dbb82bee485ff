/* SPDX-License-Identifier: Apache-2.0 */
/* Workspaces, as MLflow's clients keep them (mlflow.store.workspace.rest_store); `gyre workspace`
 * uses the same routes.
 *   GET    /workspaces           {"workspaces":[{"name","description"}]}: those you may see
 *   POST   /workspaces           {"name","description"} -> 201 {"workspace"}
 *   GET    /workspaces/{name}    {"workspace"}
 *   PATCH  /workspaces/{name}    {"description"}
 *   DELETE /workspaces/{name}    204; only what is empty goes, whatever mode is asked for */
#include "api/auth.h"
#include "api/mlflow_wire.h"
#include "base/limits.h"
#include "store/scope.h"
#include "store/users.h"

#define MAX_DESCRIPTION (4 * GY_KIB)
#define MAX_BODY (64 * GY_KIB)

struct call {
    struct gy_app *app;
    struct gy_arena *a;
    struct gy_str name, description, actor;
    struct gy_str user; /* whose; absent: of all */
    struct gy_workspace *list;
    size_t n;
};

/* Admins see all; where nobody logs in, so does everybody. */
static void call_init(struct call *c, struct gy_app *app, struct gy_request *req)
{
    bool all = req->role == GY_AUTH_ADMIN || !gy_auth_logins(app->auth);
    *c = (struct call){.app = app,
                       .a = req->arena,
                       .name = gy_req_param(req, "name"),
                       .actor = req->actor,
                       .user = all ? GY_STR_NULL : req->actor};
}

static void write_workspace(struct gy_jw *w, const struct gy_workspace *s)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", s->name);
    gy_mf_kv(w, "description", s->description);
    gy_jw_obj_end(w);
}

static gy_status read_list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_workspace_list(db, c->user, c->a, &c->list, &c->n, err);
}

static gy_status get_list(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct call c;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    call_init(&c, ctx, req);
    GY_TRY(gy_store_read(c.app->store, read_list, &c, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "workspaces");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c.n; i++) {
        write_workspace(&w, &c.list[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status reply_one(struct call *c, int status, struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    GY_TRY(gy_store_read(c->app->store, read_list, c, err));
    for (size_t i = 0; i < c->n; i++) {
        if (gy_str_eq(c->list[i].name, c->name)) {
            gy_jw_init(&w, &out);
            gy_jw_obj(&w);
            gy_jw_key(&w, "workspace");
            write_workspace(&w, &c->list[i]);
            gy_jw_obj_end(&w);
            return gy_reply_json(reply, status, &out, err);
        }
    }
    return gy_err_set(err, GY_E_NOTFOUND, "Workspace '%" GY_STR_F "' not found",
                      GY_STR_A(gy_str_sub(c->name, 0, 64)));
}

static gy_status get_one(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    struct call c;
    call_init(&c, ctx, req);
    if (!gy_str_eqc(c.name, GY_WORKSPACE_DEFAULT)) {
        GY_TRY(gy_workspace_check_name(c.name, err));
    }
    return reply_one(&c, 200, reply, err);
}

/* The document stays until the strings in c are no longer needed. */
static gy_status read_body(struct gy_request *req, struct call *c, bool create, yyjson_doc **doc,
                           struct gy_err *err)
{
    bool from_query;
    struct gy_str root_uri = GY_STR_NULL;
    GY_TRY(gy_mf_args(req, req->arena, doc, &from_query, err));
    yyjson_val *args = *doc ? yyjson_doc_get_root(*doc) : NULL;
    if (create) {
        GY_TRY(gy_mf_str(args, NULL, "name", GY_MF_REQUIRED, &c->name, err));
    }
    GY_TRY(gy_mf_str(args, NULL, "description", GY_MF_OPTIONAL, &c->description, err));
    GY_TRY(gy_mf_str(args, NULL, "default_artifact_root", GY_MF_OPTIONAL, &root_uri, err));
    if (c->description.n > MAX_DESCRIPTION) {
        return gy_err_set(err, GY_E_INVALID, "'description' has at most %zu bytes",
                          (size_t)MAX_DESCRIPTION);
    }
    if (root_uri.n) {
        return gy_err_set(err, GY_E_INVALID,
                          "'default_artifact_root' can not be chosen: artifacts of all workspaces "
                          "go to this server");
    }
    return GY_OK;
}

static gy_status change(struct call *c, gy_db_fn fn, struct gy_err *err)
{
    gy_scope_current()->subject = c->name;
    GY_TRY(gy_store_write(c->app->store, fn, c, err));
    return gy_auth_changed(c->app->auth, err);
}

static gy_status add(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_workspace_add(db, c->name, c->description, c->actor, err);
}

static gy_status post_one(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct call c;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    call_init(&c, ctx, req);
    GY_TRY(read_body(req, &c, true, &doc, err));
    GY_TRY(change(&c, add, err));
    return reply_one(&c, 201, reply, err);
}

static gy_status describe(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_workspace_describe(db, c->name, c->description, err);
}

static gy_status patch_one(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct call c;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    call_init(&c, ctx, req);
    GY_TRY(read_body(req, &c, false, &doc, err));
    if (!c.description.p) {
        return gy_err_set(err, GY_E_INVALID, "Workspace update must have at least one key");
    }
    GY_TRY(change(&c, describe, err));
    return reply_one(&c, 200, reply, err);
}

static gy_status drop(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_workspace_remove(db, c->name, err);
}

static gy_status delete_one(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct call c;
    struct gy_str mode = gy_req_query(req, "mode");
    call_init(&c, ctx, req);
    if (mode.n && !gy_str_eqc(mode, "RESTRICT")) {
        return gy_err_set(err, GY_E_UNSUPPORTED,
                          "a workspace is deleted only when it is empty (mode RESTRICT)");
    }
    if (gy_str_eqc(c.name, GY_WORKSPACE_DEFAULT)) {
        return gy_err_set(err, GY_E_INVALID,
                          "The 'default' workspace is reserved and cannot be deleted");
    }
    GY_TRY(change(&c, drop, err));
    return gy_reply_send(reply, 204, NULL, GY_STR_NULL, err);
}

#define ROUTES(prefix)                                                        \
    {"GET", prefix "/workspaces",          get_list,        gy_mf_error,      \
     0,     "Workspaces that you may see", GY_ACCESS_LOGIN, 0},               \
        {"POST",   prefix "/workspaces", post_one,        gy_mf_error,        \
         MAX_BODY, "Make a workspace",   GY_ACCESS_ADMIN, 0},                 \
        {"GET",                                                               \
         prefix "/workspaces/{name}",                                         \
         get_one,                                                             \
         gy_mf_error,                                                         \
         0,                                                                   \
         "A workspace",                                                       \
         GY_ACCESS_LOGIN,                                                     \
         0},                                                                  \
        {"PATCH",  prefix "/workspaces/{name}", patch_one,       gy_mf_error, \
         MAX_BODY, "Describe a workspace",      GY_ACCESS_ADMIN, 0},          \
    {                                                                         \
        "DELETE", prefix "/workspaces/{name}", delete_one, gy_mf_error, 0,    \
            "Delete an empty workspace", GY_ACCESS_ADMIN, 0                   \
    }

static const struct gy_route routes[] = {
    ROUTES("/api/3.0/mlflow"),
    ROUTES("/ajax-api/3.0/mlflow"),
};

gy_status gy_mf_add_workspaces(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
