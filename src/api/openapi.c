/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/gyre/v1/openapi.json: every route, MLflow's and the inference protocols' too, described
 * from the router's own tables, so that the document can not name a route that does not exist or
 * miss one that does. Each operation says which role it wants (x-gyre-role: public, login, viewer,
 * reviewer, operator, admin), whether it works in other workspaces than "default"
 * (x-gyre-workspaces) and whether somebody with a name must ask (x-gyre-named). */
#include "api/app.h"
#include "api/auth.h"
#include "base/json.h"
#include "base/limits.h"

/* {name} of a pattern as OpenAPI path parameters. */
static void write_parameters(struct gy_jw *w, struct gy_str pattern)
{
    struct gy_str rest = pattern;
    gy_jw_key(w, "parameters");
    gy_jw_arr(w);
    for (;;) {
        size_t open = gy_str_find(rest, '{');
        size_t close = gy_str_find(rest, '}');
        if (open == SIZE_MAX || close == SIZE_MAX || close < open) {
            break;
        }
        struct gy_str name = gy_str_sub(rest, open + 1, close - open - 1);
        if (gy_str_ends(name, GY_STR("*"))) {
            name.n--;
        }
        gy_jw_obj(w);
        gy_jw_kv_str(w, "name", name);
        gy_jw_kv_strc(w, "in", "path");
        gy_jw_kv_bool(w, "required", true);
        gy_jw_key(w, "schema");
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "type", "string");
        gy_jw_obj_end(w);
        gy_jw_obj_end(w);
        rest = gy_str_sub(rest, close + 1, rest.n);
    }
    gy_jw_arr_end(w);
}

/* Where logins are asked for at all (gyre server --auth): which role, and how it is shown. */
static void write_security(struct gy_jw *w, const struct gy_route *route)
{
    enum gy_access access = gy_access_of(route->access, route->method);
    gy_jw_kv_strc(w, "x-gyre-role", gy_access_name(access));
    gy_jw_kv_bool(w, "x-gyre-workspaces", (route->flags & GY_ROUTE_SCOPED) != 0);
    gy_jw_kv_bool(w, "x-gyre-named", (route->flags & GY_ROUTE_NAMED) != 0);
    gy_jw_kv_bool(w, "x-gyre-audited", gy_auth_audited(route));
    gy_jw_key(w, "security");
    gy_jw_arr(w);
    static const char *const schemes[] = {"bearer", "basic"};
    for (size_t i = 0; access != GY_ACCESS_PUBLIC && i < 2; i++) {
        gy_jw_obj(w);
        gy_jw_key(w, schemes[i]);
        gy_jw_arr(w);
        gy_jw_arr_end(w);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static void write_schemes(struct gy_jw *w)
{
    static const char *const schemes[] = {"bearer", "basic"};
    gy_jw_key(w, "components");
    gy_jw_obj(w);
    gy_jw_key(w, "securitySchemes");
    gy_jw_obj(w);
    for (size_t i = 0; i < 2; i++) {
        gy_jw_key(w, schemes[i]);
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "type", "http");
        gy_jw_kv_strc(w, "scheme", schemes[i]);
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

static void write_operation(struct gy_jw *w, const struct gy_route *route)
{
    char method[16];
    size_t n = strlen(route->method);
    for (size_t i = 0; i <= n && i < sizeof method; i++) {
        char c = route->method[i];
        method[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    method[sizeof method - 1] = '\0';
    gy_jw_key(w, method);
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "summary", route->title ? route->title : route->pattern);
    write_security(w, route);
    write_parameters(w, gy_str_c(route->pattern));
    gy_jw_key(w, "responses");
    gy_jw_obj(w);
    gy_jw_key(w, "200");
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "description", "the answer");
    gy_jw_obj_end(w);
    gy_jw_key(w, "default");
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "description", "a failure, in the words of its protocol");
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

/* "/a/{path*}" is "/a/{path}" to OpenAPI. */
static void write_path(struct gy_jw *w, const char *pattern, struct gy_buf *text)
{
    gy_buf_reset(text);
    for (const char *p = pattern; *p; p++) {
        if (*p != '*') {
            gy_buf_add_char(text, *p);
        }
    }
    gy_jw_keys(w, gy_buf_str(text));
}

/* All methods of one path stand together in OpenAPI; the path is written where it appears first. */
static bool seen_before(struct gy_router *router, size_t i)
{
    const struct gy_route *route = gy_router_at(router, i);
    for (size_t k = 0; k < i; k++) {
        if (strcmp(gy_router_at(router, k)->pattern, route->pattern) == 0) {
            return true;
        }
    }
    return false;
}

static void write_paths(struct gy_jw *w, struct gy_router *router)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 4 * GY_KIB);
    for (size_t i = 0; gy_router_at(router, i); i++) {
        const struct gy_route *route = gy_router_at(router, i);
        if (seen_before(router, i)) {
            continue;
        }
        write_path(w, route->pattern, &text);
        gy_jw_obj(w);
        for (size_t k = i; gy_router_at(router, k); k++) {
            if (strcmp(gy_router_at(router, k)->pattern, route->pattern) == 0) {
                write_operation(w, gy_router_at(router, k));
            }
        }
        gy_jw_obj_end(w);
    }
}

static gy_status get_openapi(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    (void)req;
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 4 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "openapi", "3.1.0");
    gy_jw_key(&w, "info");
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "title", "Gyre");
    gy_jw_kv_strc(&w, "version", "1");
    gy_jw_obj_end(&w);
    write_schemes(&w);
    gy_jw_key(&w, "paths");
    gy_jw_obj(&w);
    write_paths(&w, app->router);
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"GET", "/api/gyre/v1/openapi.json", get_openapi, NULL, 0, "this document"},
};

gy_status gy_api_openapi_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
