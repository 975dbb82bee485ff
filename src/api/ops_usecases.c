/* SPDX-License-Identifier: Apache-2.0 */
/* Use cases.
 *   GET  /usecases                      -> {"usecases":[...]}
 *   POST /usecases                      -> 200|201 the use case; its text as usecase.yaml has it
 *        {name,owner,purpose,...}
 *   GET  /usecases/{name}               -> the use case with every change, newest first
 *   POST /usecases/{name}/request|approve|reject|retire {reason?}   -> the use case
 *   POST /usecases/{name}/models        -> the use case; {model}
 *   DELETE /usecases/{name}/models/{model}
 *   GET  /models/{model}/usecase        -> {"usecase": {...} or null}
 * Who writes any of it must have a name: anonymous callers get 401. */
#include "api/body.h"
#include "api/ops.h"
#include "base/limits.h"
#include "flow/usecase_file.h"
#include "store/actor.h"
#include "track/models.h"
#include "track/usecases.h"

#define BASE "/api/gyre/v1"

struct asked {
    struct gy_str name, model, reason, spec;
    bool four_eyes, made;
    enum gy_usecase_step step;
};

static void write_members(struct gy_jw *w, const struct gy_usecase *u)
{
    gy_jw_kv_str(w, "name", u->name);
    gy_jw_kv_str(w, "state", u->state);
    gy_jw_kv_i64(w, "number", u->number);
    gy_jw_kv_bool(w, "four_eyes", u->four_eyes);
    gy_jw_key(w, "spec");
    gy_jw_raw(w, u->spec);
    gy_jw_kv_str(w, "requested_by", u->requested_by);
    gy_jw_kv_str(w, "decided_by", u->decided_by);
    gy_jw_kv_str(w, "actor", u->actor);
    gy_api_kv_time(w, "created", u->created_us);
    gy_api_kv_time(w, "updated", u->updated_us);
    gy_jw_key(w, "models");
    gy_jw_arr(w);
    for (size_t i = 0; i < u->n_models; i++) {
        gy_jw_str(w, u->models[i]);
    }
    gy_jw_arr_end(w);
}

static gy_status write_one(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_usecase u;
    struct gy_usecase_change *list = NULL;
    size_t n = 0;
    struct gy_jw *w = &c->w;
    GY_TRY(gy_usecase_get(db, x->name, c->req->arena, &u, err));
    GY_TRY(gy_usecase_changes(db, x->name, c->req->arena, &list, &n, err));
    gy_jw_obj(w);
    write_members(w, &u);
    gy_jw_key(w, "changes");
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(w);
        gy_api_kv_time(w, "time", list[i].time_us);
        gy_jw_kv_str(w, "action", list[i].action);
        gy_jw_kv_str(w, "state", list[i].state);
        gy_jw_kv_i64(w, "number", list[i].number);
        gy_jw_kv_str(w, "actor", list[i].actor);
        gy_jw_kv_str(w, "reason", list[i].reason);
        gy_jw_kv_str(w, "model", list[i].model);
        gy_jw_key(w, "spec");
        gy_jw_raw(w, list[i].spec.n > 0 ? list[i].spec : GY_STR("null"));
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status run_list(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    struct gy_usecase *list = NULL;
    size_t n = 0;
    GY_TRY(gy_usecase_list(db, c->req->arena, &list, &n, err));
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "usecases");
    gy_jw_arr(&c->w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(&c->w);
        write_members(&c->w, &list[i]);
        gy_jw_obj_end(&c->w);
    }
    gy_jw_arr_end(&c->w);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status h_list(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    return gy_ops_answer(&c, run_list, false, reply, err);
}

static gy_status h_get(void *ctx, struct gy_request *req, struct gy_reply *reply,
                       struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {.name = gy_req_param(req, "name")};
    c.in = &x;
    return gy_ops_answer(&c, write_one, false, reply, err);
}

/* ---- apply ---- */

/* Else whoever asks for the approval could do without the second person, and give it. */
static gy_status may_apply(struct gy_db *db, const struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_usecase u;
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_usecase_get(db, x->name, c->req->arena, &u, &why);
    if (status == GY_E_NOTFOUND || c->req->role >= GY_AUTH_ADMIN) {
        return GY_OK;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    return !u.four_eyes || x->four_eyes
               ? GY_OK
               : gy_err_set(err, GY_E_DENIED,
                            "Permission denied: to do without four eyes needs the role admin");
}

static gy_status run_apply(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    bool changed = false;
    GY_TRY(may_apply(db, c, err));
    GY_TRY(gy_usecase_apply(db, x->name, x->spec, x->four_eyes, c->req->actor, &changed, err));
    c->http = changed ? 201 : 200;
    return write_one(db, c, err);
}

static gy_status h_apply(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf spec;
    struct asked x = {0};
    c.in = &x;
    gy_buf_init(&spec, GY_USECASE_MAX_SPEC);
    GY_TRY(gy_actor_need(req->actor, "a use case", err));
    GY_TRY(gy_ops_body(&c, err));
    GY_TRY(gy_usecase_read(c.body, &spec, &x.name, &x.four_eyes, err));
    x.spec = gy_buf_str(&spec);
    return gy_ops_answer(&c, run_apply, true, reply, err);
}

/* ---- steps ---- */

static gy_status run_step(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    GY_TRY(gy_usecase_step(db, x->name, x->step, c->req->actor, x->reason, err));
    return write_one(db, c, err);
}

static gy_status take_step(void *ctx, struct gy_request *req, enum gy_usecase_step step,
                           struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {.name = gy_req_param(req, "name"), .step = step};
    c.in = &x;
    GY_TRY(gy_actor_need(req->actor, "a use case", err));
    GY_TRY(gy_ops_body(&c, err));
    GY_TRY(gy_ops_reason(&c, &x.reason, err));
    return gy_ops_answer(&c, run_step, true, reply, err);
}

static gy_status h_request(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    return take_step(ctx, req, GY_USECASE_REQUEST, reply, err);
}

static gy_status h_approve(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    return take_step(ctx, req, GY_USECASE_APPROVE, reply, err);
}

static gy_status h_reject(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    return take_step(ctx, req, GY_USECASE_REJECT, reply, err);
}

static gy_status h_retire(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    return take_step(ctx, req, GY_USECASE_RETIRE, reply, err);
}

/* ---- models ---- */

static gy_status run_attach(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    GY_TRY(gy_usecase_attach(db, x->name, x->model, c->req->actor, err));
    return write_one(db, c, err);
}

static gy_status h_attach(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {.name = gy_req_param(req, "name")};
    c.in = &x;
    GY_TRY(gy_actor_need(req->actor, "attaching a model", err));
    GY_TRY(gy_ops_body(&c, err));
    GY_TRY(gy_json_need_str(c.body, "model", &x.model, err));
    return gy_ops_answer(&c, run_attach, true, reply, err);
}

static gy_status run_detach(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    GY_TRY(gy_usecase_detach(db, x->name, x->model, c->req->actor, err));
    return write_one(db, c, err);
}

static gy_status h_detach(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {.name = gy_req_param(req, "name"), .model = gy_req_param(req, "model")};
    c.in = &x;
    GY_TRY(gy_actor_need(req->actor, "detaching a model", err));
    return gy_ops_answer(&c, run_detach, true, reply, err);
}

static gy_status run_of_model(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_usecase u;
    int64_t id = 0;
    bool found = false;
    GY_TRY(gy_model_find(db, x->model, &id, err));
    GY_TRY(gy_usecase_of_model(db, x->model, c->req->arena, &found, &u, err));
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "usecase");
    if (found) {
        gy_jw_obj(&c->w);
        write_members(&c->w, &u);
        gy_jw_obj_end(&c->w);
    } else {
        gy_jw_null(&c->w);
    }
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status h_of_model(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {.model = gy_req_param(req, "name")};
    c.in = &x;
    return gy_ops_answer(&c, run_of_model, false, reply, err);
}

static const struct gy_route g_routes[] = {
    {"GET", BASE "/usecases", h_list, NULL, 0, "Use cases, by name", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
    {"POST", BASE "/usecases", h_apply, NULL, GY_OPS_MAX_BODY, "Make or change a use case",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"GET", BASE "/usecases/{name}", h_get, NULL, 0, "A use case with every change of it",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"POST", BASE "/usecases/{name}/request", h_request, NULL, 0, "Ask for its approval",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"POST", BASE "/usecases/{name}/approve", h_approve, NULL, 0, "Approve a use case",
     GY_ACCESS_REVIEWER, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"POST", BASE "/usecases/{name}/reject", h_reject, NULL, 0, "Reject a use case",
     GY_ACCESS_REVIEWER, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"POST", BASE "/usecases/{name}/retire", h_retire, NULL, 0, "Retire a use case",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"POST", BASE "/usecases/{name}/models", h_attach, NULL, 0, "Attach a model to a use case",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"DELETE", BASE "/usecases/{name}/models/{model}", h_detach, NULL, 0, "Detach a model",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"GET", BASE "/models/{name}/usecase", h_of_model, NULL, 0, "The use case of a model",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
};

gy_status gy_api_usecases_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
