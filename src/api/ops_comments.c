/* SPDX-License-Identifier: Apache-2.0 */
/* Comments on runs and versions.
 *   GET    /comments?subject=run:ID|model:NAME/3&deleted=1  -> {"subject","comments":[...]}
 *   POST   /comments               -> 201 the comment; {subject,text}
 *   GET    /comments/{id}          -> the comment with every text it had
 *   POST   /comments/{id}          -> the comment; {text}: edited, by who wrote it
 *   DELETE /comments/{id}          -> the comment; by who wrote it or an administrator
 * Who writes any of it must have a name: anonymous callers get 401. */
#include "api/body.h"
#include "api/ops.h"
#include "base/limits.h"
#include "store/actor.h"
#include "track/comments.h"

#define BASE "/api/gyre/v1/comments"

struct asked {
    struct gy_str id, subject, text;
    bool deleted;
};

static void write_members(struct gy_jw *w, const struct gy_comment *c)
{
    gy_jw_kv_str(w, "id", c->id);
    gy_jw_kv_str(w, "subject", c->subject);
    gy_jw_kv_str(w, "text", c->text);
    gy_jw_kv_str(w, "actor", c->actor);
    gy_api_kv_time(w, "created", c->created_us);
    gy_api_kv_time(w, "edited", c->edited_us);
    gy_api_kv_time(w, "deleted", c->deleted_us);
    gy_jw_kv_str(w, "deleted_by", c->deleted_by);
}

static gy_status write_one(struct gy_ops_call *c, const struct gy_comment *one)
{
    gy_jw_obj(&c->w);
    write_members(&c->w, one);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status run_list(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_comment *list = NULL;
    size_t n = 0;
    GY_TRY(gy_comment_list(db, x->subject, x->deleted, c->req->arena, &list, &n, err));
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "comments");
    gy_jw_arr(&c->w);
    for (size_t i = 0; i < n; i++) {
        GY_TRY(write_one(c, &list[i]));
    }
    gy_jw_arr_end(&c->w);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status h_list(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {.subject = gy_req_query(req, "subject")};
    int64_t deleted = 0;
    c.in = &x;
    if (x.subject.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "missing 'subject': run:ID or model:NAME/VERSION");
    }
    GY_TRY(gy_ops_query(&c, "deleted", 0, 1, 0, &deleted, err));
    x.deleted = deleted != 0;
    return gy_ops_answer(&c, run_list, false, reply, err);
}

static gy_status run_get(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_comment one;
    struct gy_comment_text *texts = NULL;
    size_t n = 0;
    GY_TRY(gy_comment_get(db, x->id, c->req->arena, &one, err));
    GY_TRY(gy_comment_texts(db, x->id, c->req->arena, &texts, &n, err));
    gy_jw_obj(&c->w);
    write_members(&c->w, &one);
    gy_jw_key(&c->w, "texts");
    gy_jw_arr(&c->w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(&c->w);
        gy_jw_kv_i64(&c->w, "number", texts[i].number);
        gy_jw_kv_str(&c->w, "text", texts[i].text);
        gy_jw_kv_str(&c->w, "actor", texts[i].actor);
        gy_api_kv_time(&c->w, "time", texts[i].time_us);
        gy_jw_obj_end(&c->w);
    }
    gy_jw_arr_end(&c->w);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status h_get(void *ctx, struct gy_request *req, struct gy_reply *reply,
                       struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {.id = gy_req_param(req, "id")};
    c.in = &x;
    return gy_ops_answer(&c, run_get, false, reply, err);
}

static gy_status run_add(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_comment one;
    GY_TRY(gy_comment_add(db, x->subject, x->text, c->req->actor, c->req->arena, &one, err));
    return write_one(c, &one);
}

static gy_status run_edit(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_comment one;
    GY_TRY(gy_comment_edit(db, x->id, x->text, c->req->actor, c->req->arena, &one, err));
    return write_one(c, &one);
}

static gy_status run_delete(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_comment one;
    GY_TRY(gy_comment_delete(db, x->id, c->req->actor, c->req->role == GY_AUTH_ADMIN, c->req->arena,
                             &one, err));
    return write_one(c, &one);
}

static gy_status h_add(void *ctx, struct gy_request *req, struct gy_reply *reply,
                       struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {0};
    c.in = &x;
    c.http = 201;
    GY_TRY(gy_actor_need(req->actor, "a comment", err));
    GY_TRY(gy_ops_body(&c, err));
    GY_TRY(gy_json_need_str(c.body, "subject", &x.subject, err));
    GY_TRY(gy_json_need_str(c.body, "text", &x.text, err));
    return gy_ops_answer(&c, run_add, true, reply, err);
}

static gy_status h_edit(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {.id = gy_req_param(req, "id")};
    c.in = &x;
    GY_TRY(gy_actor_need(req->actor, "a comment", err));
    GY_TRY(gy_ops_body(&c, err));
    GY_TRY(gy_json_need_str(c.body, "text", &x.text, err));
    return gy_ops_answer(&c, run_edit, true, reply, err);
}

static gy_status h_delete(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {.id = gy_req_param(req, "id")};
    c.in = &x;
    GY_TRY(gy_actor_need(req->actor, "deleting a comment", err));
    return gy_ops_answer(&c, run_delete, true, reply, err);
}

static const struct gy_route g_routes[] = {
    {"GET", BASE, h_list, NULL, 0, "Comments on a run or a version, oldest first",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"POST", BASE, h_add, NULL, 0, "Comment on a run or a version", GY_ACCESS_REVIEWER,
     GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"GET", BASE "/{id}", h_get, NULL, 0, "A comment with every text it had", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
    {"POST", BASE "/{id}", h_edit, NULL, 0, "Edit a comment", GY_ACCESS_REVIEWER,
     GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"DELETE", BASE "/{id}", h_delete, NULL, 0, "Hide a comment", GY_ACCESS_REVIEWER,
     GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
};

gy_status gy_api_comments_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
