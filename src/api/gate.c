/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of the gate: verdicts, protected aliases, approvals.
 *   POST /verdicts                       -> 201 the verdict
 *        {model_digest,gate,blessed,checks,model_name,model_version,champion_digest,data_sha256}
 *   GET  /verdicts?digest=&gate=         -> {"verdicts":[...]}, newest first: the first one counts
 *   POST /gate/protect                   -> 200; approval: "required" or "none"
 *        {model,alias,gate,approval,four_eyes?}
 *   POST /approvals                      -> 201 the approval
 *        {model_digest,gate,model_name,model_version,reason}
 *   GET  /approvals                      -> {"approvals":[...]}, newest first
 *   POST /approvals/{id}/approve|reject  -> 200 {reason}
 * Who writes any of it must have a name: anonymous callers get 401. */
#include "api/app.h"
#include "api/body.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/actor.h"
#include "store/verdicts.h"

#define BASE "/api/gyre/v1"
#define MAX_CHECKS (4 * GY_MIB)

/* ---- verdicts ---- */

static void write_verdict(struct gy_jw *w, const struct gy_verdict *v)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "id", v->id);
    gy_jw_kv_strc(w, "verdict", v->blessed ? "BLESSED" : "NOT_BLESSED");
    gy_jw_kv_bool(w, "blessed", v->blessed);
    gy_jw_kv_str(w, "gate", v->gate);
    gy_jw_kv_str(w, "model_name", v->model_name);
    gy_jw_kv_str(w, "model_version", v->model_version);
    gy_jw_kv_str(w, "model_digest", v->model_digest);
    gy_jw_kv_str(w, "champion_digest", v->champion_digest);
    gy_jw_kv_str(w, "data_sha256", v->data_sha256);
    gy_jw_kv_str(w, "actor", v->actor);
    gy_api_kv_time(w, "time", v->time_us);
    gy_jw_key(w, "checks");
    gy_jw_raw(w, v->checks);
    gy_jw_obj_end(w);
}

struct verdict_call {
    struct gy_verdict v;
    char id[GY_UUID_TEXT];
};

static gy_status verdict_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct verdict_call *c = ctx;
    return gy_verdict_add(db, &c->v, c->id, err);
}

static gy_status post_verdict(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_actor_need(req->actor, "a verdict", err));
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct verdict_call call = {.v = {.actor = req->actor, .time_us = gy_now_us()}};
    struct gy_verdict *v = &call.v;
    GY_TRY(gy_json_need_str(root, "model_digest", &v->model_digest, err));
    GY_TRY(gy_json_need_str(root, "gate", &v->gate, err));
    yyjson_val *blessed = gy_json_get(root, "blessed");
    if (!yyjson_is_bool(blessed)) {
        return gy_err_set(err, GY_E_INVALID, "'blessed' must be true or false");
    }
    v->blessed = yyjson_get_bool(blessed);
    GY_TRY(gy_api_text(root, "model_name", GY_MAX_NAME, &v->model_name, err));
    GY_TRY(gy_api_text(root, "model_version", GY_MAX_NAME, &v->model_version, err));
    GY_TRY(gy_api_text(root, "champion_digest", GY_MAX_NAME, &v->champion_digest, err));
    GY_TRY(gy_api_text(root, "data_sha256", GY_MAX_NAME, &v->data_sha256, err));
    yyjson_val *checks = NULL;
    GY_TRY(gy_json_need_arr(root, "checks", &checks, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, MAX_CHECKS);
    gy_jw_init(&w, &text);
    gy_jw_val(&w, checks);
    GY_TRY(gy_buf_check(&text, "the checks", err));
    v->checks = gy_buf_str(&text);
    GY_TRY(gy_store_write(app->store, verdict_closure, &call, err));
    v->id = gy_str_c(call.id);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    write_verdict(&w, v);
    return gy_reply_json(reply, 201, &out, err);
}

struct verdicts_call {
    struct gy_str digest, gate;
    struct gy_arena *arena;
    struct gy_verdict *list;
    size_t n;
};

static gy_status verdicts_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct verdicts_call *c = ctx;
    return gy_verdict_list(db, c->digest, c->gate, c->arena, &c->list, &c->n, err);
}

static gy_status get_verdicts(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct verdicts_call call = {.digest = gy_req_query(req, "digest"),
                                 .gate = gy_req_query(req, "gate"),
                                 .arena = req->arena};
    GY_TRY(gy_store_read(app->store, verdicts_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "verdicts");
    gy_jw_arr(&w);
    for (size_t i = 0; i < call.n; i++) {
        write_verdict(&w, &call.list[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- protected aliases ---- */

struct protect_call {
    struct gy_str model, alias, gate, actor;
    bool needs_approval, four_eyes;
    bool may_loosen; /* else whoever deploys could do without the people who are to look at it */
};

static gy_status protect_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct protect_call *c = ctx;
    bool loosens;
    GY_TRY(
        gy_protect_loosens(db, c->model, c->alias, c->needs_approval, c->four_eyes, &loosens, err));
    if (loosens && !c->may_loosen) {
        (void)gy_err_set(err, GY_E_DENIED,
                         "Permission denied: asking for less than now ('%" GY_STR_F
                         "' of '%" GY_STR_F "': approval, four eyes) needs the role admin",
                         GY_STR_A(c->alias), GY_STR_A(c->model));
        return gy_err_hint(err, "leave `approval` in gyre.yaml as it was, or ask an admin");
    }
    GY_TRY(gy_protect_alias(db, c->model, c->alias, c->gate, c->needs_approval, c->actor, err));
    return gy_protect_four_eyes(db, c->model, c->alias, c->four_eyes, c->actor, err);
}

static gy_status post_protect(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_actor_need(req->actor, "protecting an alias", err));
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct protect_call call = {.actor = req->actor, .may_loosen = req->role >= GY_AUTH_ADMIN};
    GY_TRY(gy_json_need_str(root, "model", &call.model, err));
    GY_TRY(gy_json_need_str(root, "alias", &call.alias, err));
    GY_TRY(gy_json_need_str(root, "gate", &call.gate, err));
    struct gy_str approval;
    GY_TRY(gy_api_text(root, "approval", GY_MAX_NAME, &approval, err));
    call.needs_approval = gy_str_eqc(approval, "required");
    if (!call.needs_approval && approval.p && !gy_str_eqc(approval, "none")) {
        return gy_err_set(err, GY_E_INVALID, "'approval' must be \"required\" or \"none\"");
    }
    yyjson_val *four_eyes = gy_json_get(root, "four_eyes");
    if (four_eyes && !yyjson_is_bool(four_eyes)) {
        return gy_err_set(err, GY_E_INVALID, "'four_eyes' must be true or false");
    }
    call.four_eyes = yyjson_is_true(four_eyes);
    GY_TRY(gy_store_write(app->store, protect_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "model", call.model);
    gy_jw_kv_str(&w, "alias", call.alias);
    gy_jw_kv_str(&w, "gate", call.gate);
    gy_jw_kv_strc(&w, "approval", call.needs_approval ? "required" : "none");
    gy_jw_kv_bool(&w, "four_eyes", call.four_eyes);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- approvals ---- */

static void write_approval(struct gy_jw *w, const struct gy_approval *a)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "id", a->id);
    gy_jw_kv_str(w, "state", a->state);
    gy_jw_kv_str(w, "gate", a->gate);
    gy_jw_kv_str(w, "model_name", a->model_name);
    gy_jw_kv_str(w, "model_version", a->model_version);
    gy_jw_kv_str(w, "model_digest", a->model_digest);
    gy_jw_kv_str(w, "requested_by", a->requested_by);
    gy_api_kv_time(w, "requested", a->requested_us);
    gy_jw_kv_str(w, "decided_by", a->decided_by);
    gy_api_kv_time(w, "decided", a->decided_us);
    gy_jw_kv_str(w, "reason", a->reason);
    gy_jw_obj_end(w);
}

struct request_call {
    struct gy_approval a;
    char id[GY_UUID_TEXT];
};

static gy_status request_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct request_call *c = ctx;
    return gy_approval_request(db, &c->a, c->id, err);
}

static gy_status post_approval(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_actor_need(req->actor, "asking for an approval", err));
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct request_call call = {.a = {.requested_by = req->actor,
                                      .requested_us = gy_now_us(),
                                      .state = GY_STR("requested")}};
    GY_TRY(gy_json_need_str(root, "model_digest", &call.a.model_digest, err));
    GY_TRY(gy_json_need_str(root, "gate", &call.a.gate, err));
    GY_TRY(gy_api_text(root, "model_name", GY_MAX_NAME, &call.a.model_name, err));
    GY_TRY(gy_api_text(root, "model_version", GY_MAX_NAME, &call.a.model_version, err));
    GY_TRY(gy_api_text(root, "reason", GY_API_MAX_TEXT, &call.a.reason, err));
    GY_TRY(gy_store_write(app->store, request_closure, &call, err));
    call.a.id = gy_str_c(call.id);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    write_approval(&w, &call.a);
    return gy_reply_json(reply, 201, &out, err);
}

struct approvals_call {
    struct gy_arena *arena;
    struct gy_approval *list;
    size_t n;
};

static gy_status approvals_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct approvals_call *c = ctx;
    return gy_approval_list(db, c->arena, &c->list, &c->n, err);
}

static gy_status get_approvals(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct approvals_call call = {.arena = req->arena};
    GY_TRY(gy_store_read(app->store, approvals_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "approvals");
    gy_jw_arr(&w);
    for (size_t i = 0; i < call.n; i++) {
        write_approval(&w, &call.list[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

struct decide_call {
    struct gy_str id, actor, reason;
    bool approve;
};

static gy_status decide_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct decide_call *c = ctx;
    return gy_approval_decide(db, c->id, c->approve, c->actor, c->reason, err);
}

static gy_status decide(struct gy_app *app, struct gy_request *req, bool approve,
                        struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_actor_need(req->actor, "a decision", err));
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    struct decide_call call = {
        .id = gy_req_param(req, "id"), .actor = req->actor, .approve = approve};
    GY_TRY(gy_api_text(yyjson_doc_get_root(doc), "reason", GY_API_MAX_TEXT, &call.reason, err));
    GY_TRY(gy_store_write(app->store, decide_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "id", call.id);
    gy_jw_kv_strc(&w, "state", approve ? "approved" : "rejected");
    gy_jw_kv_str(&w, "decided_by", req->actor);
    gy_jw_kv_str(&w, "reason", call.reason);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status post_approve(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    return decide(ctx, req, true, reply, err);
}

static gy_status post_reject(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    return decide(ctx, req, false, reply, err);
}

static const struct gy_route routes[] = {
    {"POST", BASE "/verdicts", post_verdict, NULL, 0, "Record what a gate found",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED},
    {"GET", BASE "/verdicts", get_verdicts, NULL, 0, "Verdicts, newest first (digest, gate)"},
    {"POST", BASE "/gate/protect", post_protect, NULL, 0,
     "Let an alias move to blessed versions only", GY_ACCESS_OPERATOR, GY_ROUTE_NAMED},
    {"POST", BASE "/approvals", post_approval, NULL, 0, "Ask a person to approve a version",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED},
    {"GET", BASE "/approvals", get_approvals, NULL, 0, "Approvals, newest first"},
    {"POST", BASE "/approvals/{id}/approve", post_approve, NULL, 0, "Approve", GY_ACCESS_REVIEWER,
     GY_ROUTE_NAMED},
    {"POST", BASE "/approvals/{id}/reject", post_reject, NULL, 0, "Reject", GY_ACCESS_REVIEWER,
     GY_ROUTE_NAMED},
};

gy_status gy_api_gate_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
