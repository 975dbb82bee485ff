/* SPDX-License-Identifier: Apache-2.0 */
/* Users, what they may, and their tokens. Admins keep all of it; anybody may look at and keep
 * their own password and tokens.
 *   GET    /whoami                         {"actor","role","workspace","logins"}
 *   GET    /users                          {"users":[user...]}
 *   POST   /users                          {"name","service","password","grants":{W: role}} -> 201
 *   GET    /users/{name}                   user: {"name","service","disabled","from_file",
 *                                          "password","grants":{W: role},"created","last_login"}
 *   PUT    /users/{name}/password          {"password"}; null takes it away
 *   POST   /users/{name}/disable | enable
 *   PUT    /users/{name}/grants/{workspace}      {"role"}; workspace "*" is every one
 *   DELETE /users/{name}/grants/{workspace}
 *   GET    /tokens?user=                   {"tokens":[token...]}; without user: of who asks
 *   POST   /tokens                         {"user","label","expires_s"} -> 201, with "token": once
 *   DELETE /tokens/{id} */
#include "api/app.h"
#include "api/auth.h"
#include "api/body.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/actor.h"
#include "store/scope.h"
#include "store/users.h"

#define BASE "/api/gyre/v1"
#define MAX_BODY (64 * GY_KIB)
#define MAX_EXPIRES_S ((int64_t)10 * 366 * 24 * 3600)

/* ---- writing ---- */

static void write_user(struct gy_jw *w, const struct gy_user *u, const struct gy_grant *grants,
                       size_t n)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", u->name);
    gy_jw_kv_bool(w, "service", u->service);
    gy_jw_kv_bool(w, "disabled", u->disabled);
    gy_jw_kv_bool(w, "from_file", u->from_file);
    gy_jw_kv_bool(w, "password", u->has_password);
    gy_jw_key(w, "grants");
    gy_jw_obj(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_keys(w, grants[i].workspace);
        gy_jw_strc(w, gy_auth_role_name(grants[i].role));
    }
    gy_jw_obj_end(w);
    gy_jw_kv_str(w, "actor", u->actor);
    gy_api_kv_time(w, "created", u->created_us);
    gy_api_kv_time(w, "last_login", u->last_login_us);
    gy_jw_obj_end(w);
}

static void write_token(struct gy_jw *w, const struct gy_token *t, const char *secret)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "id", t->id);
    gy_jw_kv_str(w, "user", t->user);
    gy_jw_kv_str(w, "prefix", t->prefix);
    gy_jw_kv_str(w, "label", t->label);
    gy_jw_kv_str(w, "actor", t->actor);
    gy_api_kv_time(w, "created", t->created_us);
    gy_api_kv_time(w, "expires", t->expires_us);
    gy_api_kv_time(w, "revoked", t->revoked_us);
    gy_jw_kv_str(w, "revoked_by", t->revoked_by);
    gy_api_kv_time(w, "last_used", t->last_used_us);
    if (secret) {
        gy_jw_kv_strc(w, "token", secret);
    }
    gy_jw_obj_end(w);
}

/* ---- the call ---- */

/* One change or question; who is asked for in which closure fills it. */
struct call {
    struct gy_app *app;
    struct gy_arena *a;
    struct gy_str name, actor, workspace, hash;
    enum gy_auth_role role;
    bool service, disable;
    yyjson_val *grants;
    struct gy_user *users;
    struct gy_grant **lists;
    size_t *n_lists, n_users;
    /* tokens */
    struct gy_str label, id;
    int64_t expires_us;
    char secret[GY_TOKEN_TEXT];
    struct gy_token *tokens, token;
    size_t n_tokens;
};

static gy_status load_lists(struct gy_db *db, struct call *c, struct gy_err *err)
{
    c->lists = gy_arena_calloc(c->a, c->n_users + 1, sizeof *c->lists);
    c->n_lists = gy_arena_calloc(c->a, c->n_users + 1, sizeof *c->n_lists);
    if (!c->lists || !c->n_lists) {
        return gy_err_set(err, GY_E_NOMEM, "reading users");
    }
    for (size_t i = 0; i < c->n_users; i++) {
        struct gy_grant *found;
        GY_TRY(gy_grant_list(db, c->users[i].name, c->a, &found, &c->n_lists[i], err));
        c->lists[i] = found;
    }
    return GY_OK;
}

static gy_status read_all(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    GY_TRY(gy_user_list(db, c->a, &c->users, &c->n_users, err));
    return load_lists(db, c, err);
}

static gy_status read_one(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    c->users = gy_arena_calloc(c->a, 1, sizeof *c->users);
    if (!c->users) {
        return gy_err_set(err, GY_E_NOMEM, "reading users");
    }
    c->n_users = 1;
    GY_TRY(gy_user_get(db, c->name, c->a, c->users, err));
    return load_lists(db, c, err);
}

/* Change, then forget what was remembered of logins, before anybody is told that it is done. */
static gy_status change(struct call *c, gy_db_fn fn, struct gy_err *err)
{
    GY_TRY(gy_store_write(c->app->store, fn, c, err));
    return gy_auth_changed(c->app->auth, err);
}

static gy_status reply_user(struct call *c, int status, struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    GY_TRY(gy_store_read(c->app->store, read_one, c, err));
    gy_jw_init(&w, &out);
    write_user(&w, c->users, c->lists[0], c->n_lists[0]);
    return gy_reply_json(reply, status, &out, err);
}

/* What a body says about a password: absent or null is none. */
static gy_status read_password(yyjson_val *root, struct gy_arena *a, struct gy_str *ret,
                               struct gy_err *err)
{
    char hash[GY_PASSWORD_HASH_TEXT];
    yyjson_val *v = gy_json_get(root, "password");
    *ret = GY_STR_NULL;
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    if (!yyjson_is_str(v)) { /* the message must not repeat it */
        return gy_err_set(err, GY_E_INVALID, "'password' must be a string");
    }
    GY_TRY(gy_password_hash(gy_secret_of(gy_json_val_str(v)), hash, err));
    *ret = gy_arena_str(a, gy_str_c(hash));
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status read_role(yyjson_val *v, enum gy_auth_role *ret, struct gy_err *err)
{
    return gy_auth_role_parse(gy_json_val_str(v), ret)
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "a role is viewer, reviewer, operator or admin");
}

/* ---- users ---- */

static gy_status get_whoami(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    const struct gy_scope *scope = gy_scope_current();
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "actor", req->actor);
    gy_jw_kv_strc(&w, "role", gy_auth_role_name(req->role));
    gy_jw_kv_str(&w, "workspace",
                 scope && scope->workspace.p ? scope->workspace : GY_STR(GY_WORKSPACE_DEFAULT));
    gy_jw_kv_bool(&w, "logins", gy_auth_logins(app->auth));
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status get_users(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct call c = {.app = ctx, .a = req->arena};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(gy_store_read(c.app->store, read_all, &c, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "users");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c.n_users; i++) {
        write_user(&w, &c.users[i], c.lists[i], c.n_lists[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status need_self_or_admin(const struct gy_request *req, struct gy_str name,
                                    struct gy_err *err)
{
    if (req->role == GY_AUTH_ADMIN || (gy_actor_named(req->actor) && gy_str_eq(req->actor, name))) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_DENIED,
                      "Permission denied: what is another user's needs the role admin");
}

static gy_status get_user(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct call c = {.app = ctx, .a = req->arena, .name = gy_req_param(req, "name")};
    GY_TRY(need_self_or_admin(req, c.name, err));
    return reply_user(&c, 200, reply, err);
}

static gy_status add_user(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    yyjson_obj_iter it;
    yyjson_val *key;
    GY_TRY(gy_user_add(db, c->name, c->service, c->hash, c->actor, err));
    if (!c->grants) {
        return GY_OK;
    }
    it = yyjson_obj_iter_with(c->grants);
    while ((key = yyjson_obj_iter_next(&it))) {
        enum gy_auth_role role;
        GY_TRY(read_role(yyjson_obj_iter_get_val(key), &role, err));
        GY_TRY(gy_grant_set(db, c->name, gy_json_val_str(key), role, c->actor, err));
    }
    return GY_OK;
}

static gy_status post_user(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct call c = {.app = ctx, .a = req->arena, .actor = req->actor};
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    GY_TRY(gy_json_need_str(root, "name", &c.name, err));
    GY_TRY(gy_user_check_name(c.name, err));
    GY_TRY(read_password(root, c.a, &c.hash, err));
    c.service = gy_json_bool(root, "service", false);
    if (gy_json_get(root, "grants")) {
        GY_TRY(gy_json_need_obj(root, "grants", &c.grants, err));
    }
    gy_scope_current()->subject = c.name;
    GY_TRY(change(&c, add_user, err));
    return reply_user(&c, 201, reply, err);
}

static gy_status set_password(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_user_set_password(db, c->name, c->hash, err);
}

static gy_status put_password(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct call c = {.app = ctx, .a = req->arena, .name = gy_req_param(req, "name")};
    GY_TRY(need_self_or_admin(req, c.name, err));
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    GY_TRY(read_password(yyjson_doc_get_root(doc), c.a, &c.hash, err));
    GY_TRY(change(&c, set_password, err));
    return reply_user(&c, 200, reply, err);
}

static gy_status disable(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_user_disable(db, c->name, c->disable, err);
}

static gy_status switch_user(struct gy_app *app, struct gy_request *req, bool off,
                             struct gy_reply *reply, struct gy_err *err)
{
    struct call c = {
        .app = app, .a = req->arena, .name = gy_req_param(req, "name"), .disable = off};
    GY_TRY(change(&c, disable, err));
    return reply_user(&c, 200, reply, err);
}

static gy_status post_disable(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    return switch_user(ctx, req, true, reply, err);
}

static gy_status post_enable(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    return switch_user(ctx, req, false, reply, err);
}

static gy_status set_grant(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_grant_set(db, c->name, c->workspace, c->role, c->actor, err);
}

static gy_status put_grant(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct call c = {.app = ctx,
                     .a = req->arena,
                     .actor = req->actor,
                     .name = gy_req_param(req, "name"),
                     .workspace = gy_req_param(req, "workspace")};
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    GY_TRY(read_role(gy_json_get(yyjson_doc_get_root(doc), "role"), &c.role, err));
    GY_TRY(change(&c, set_grant, err));
    return reply_user(&c, 200, reply, err);
}

static gy_status remove_grant(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_grant_remove(db, c->name, c->workspace, err);
}

static gy_status delete_grant(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct call c = {.app = ctx,
                     .a = req->arena,
                     .name = gy_req_param(req, "name"),
                     .workspace = gy_req_param(req, "workspace")};
    GY_TRY(change(&c, remove_grant, err));
    return reply_user(&c, 200, reply, err);
}

/* ---- tokens ---- */

static gy_status list_tokens(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_token_list(db, c->name, c->a, &c->tokens, &c->n_tokens, err);
}

static gy_status get_tokens(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct call c = {.app = ctx, .a = req->arena, .name = gy_req_query(req, "user")};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    if (c.name.n == 0) {
        c.name = req->role == GY_AUTH_ADMIN ? GY_STR_NULL : req->actor;
    }
    GY_TRY(need_self_or_admin(req, c.name, err));
    GY_TRY(gy_store_read(c.app->store, list_tokens, &c, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "tokens");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c.n_tokens; i++) {
        write_token(&w, &c.tokens[i], NULL);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status add_token(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_token_add(db, c->name, c->label, c->expires_us, c->actor, c->a, c->secret, &c->token,
                        err);
}

static gy_status post_token(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    struct call c = {.app = ctx, .a = req->arena, .actor = req->actor};
    gy_buf_init(&out, 64 * GY_KIB);
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc), *expires = gy_json_get(root, "expires_s");
    GY_TRY(gy_api_text(root, "user", GY_MAX_NAME, &c.name, err));
    GY_TRY(gy_api_text(root, "label", GY_TOKEN_MAX_LABEL, &c.label, err));
    c.name = c.name.p ? c.name : req->actor;
    GY_TRY(need_self_or_admin(req, c.name, err));
    if (expires && !yyjson_is_null(expires)) {
        int64_t s;
        GY_TRY(gy_json_need_i64(root, "expires_s", &s, err));
        if (s < 1 || s > MAX_EXPIRES_S) {
            return gy_err_set(err, GY_E_INVALID, "'expires_s' is 1 to %lld",
                              (long long)MAX_EXPIRES_S);
        }
        c.expires_us = gy_now_us() + s * 1000000;
    }
    gy_scope_current()->subject = c.name;
    GY_TRY(change(&c, add_token, err));
    gy_jw_init(&w, &out);
    write_token(&w, &c.token, c.secret);
    return gy_reply_json(reply, 201, &out, err);
}

static gy_status read_token(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_token_get(db, c->id, c->a, &c->token, err);
}

static gy_status revoke_token(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_token_revoke(db, c->id, c->actor, err);
}

static gy_status delete_token(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    struct call c = {
        .app = ctx, .a = req->arena, .actor = req->actor, .id = gy_req_param(req, "id")};
    gy_status status = gy_store_read(c.app->store, read_token, &c, err);
    gy_buf_init(&out, 64 * GY_KIB);
    if (status == GY_E_NOTFOUND && req->role != GY_AUTH_ADMIN) {
        /* whether an id is somebody's is nobody else's business */
        return need_self_or_admin(req, GY_STR_NULL, err);
    }
    GY_TRY(status);
    GY_TRY(need_self_or_admin(req, c.token.user, err));
    GY_TRY(change(&c, revoke_token, err));
    GY_TRY(gy_store_read(c.app->store, read_token, &c, err));
    gy_jw_init(&w, &out);
    write_token(&w, &c.token, NULL);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"GET", BASE "/whoami", get_whoami, NULL, 0, "Who you are and what you may", GY_ACCESS_LOGIN,
     GY_ROUTE_SCOPED},
    {"GET", BASE "/users", get_users, NULL, 0, "Users and their roles", GY_ACCESS_ADMIN, 0},
    {"POST", BASE "/users", post_user, NULL, MAX_BODY, "Add a user or a service account",
     GY_ACCESS_ADMIN, 0},
    {"GET", BASE "/users/{name}", get_user, NULL, 0, "A user; others than yourself: admins",
     GY_ACCESS_LOGIN, GY_ROUTE_NAMED},
    {"PUT", BASE "/users/{name}/password", put_password, NULL, MAX_BODY,
     "Set a password; others' than your own: admins", GY_ACCESS_LOGIN, GY_ROUTE_NAMED},
    {"POST", BASE "/users/{name}/disable", post_disable, NULL, MAX_BODY, "Let a user in no more",
     GY_ACCESS_ADMIN, 0},
    {"POST", BASE "/users/{name}/enable", post_enable, NULL, MAX_BODY, "Let a user in again",
     GY_ACCESS_ADMIN, 0},
    {"PUT", BASE "/users/{name}/grants/{workspace}", put_grant, NULL, MAX_BODY,
     "Give a user a role in a workspace", GY_ACCESS_ADMIN, 0},
    {"DELETE", BASE "/users/{name}/grants/{workspace}", delete_grant, NULL, MAX_BODY,
     "Take a user's role in a workspace", GY_ACCESS_ADMIN, 0},
    {"GET", BASE "/tokens", get_tokens, NULL, 0, "Tokens; others' than your own: admins",
     GY_ACCESS_LOGIN, GY_ROUTE_NAMED},
    {"POST", BASE "/tokens", post_token, NULL, MAX_BODY,
     "Make a token, shown once; others' than your own: admins", GY_ACCESS_LOGIN, GY_ROUTE_NAMED},
    {"DELETE", BASE "/tokens/{id}", delete_token, NULL, 0,
     "Revoke a token; others' than your own: admins", GY_ACCESS_LOGIN, GY_ROUTE_NAMED},
};

gy_status gy_api_users_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
