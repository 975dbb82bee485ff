/* SPDX-License-Identifier: Apache-2.0 */
/* "Report a problem", on every prediction.
 *   POST /api/gyre/v1/predictions/{id}/problems {"reason","text"?,"row"?} -> 201 the problem;
 *                 its row is in the review queue
 *   GET  /api/gyre/v1/predictions/{id}/problems -> {"problems":[...]}
 * Who may ask for predictions may report; how often, is limited by caller. */
#include "api/app.h"
#include "api/auth_limit.h"
#include "api/body.h"
#include "base/id.h"
#include "base/time.h"
#include "serve/gap.h"
#include "serve/serving.h"
#include "watch/problem.h"
#include "watch/review.h"

/* Reports a minute: of one caller, and of one address whoever it says it is. */
#define GY_PROBLEMS_PER_CALLER GY_AUTH_USER_FAILS
#define GY_PROBLEMS_PER_ADDRESS GY_AUTH_PEER_FAILS
#define MAX_BODY (16 * GY_KIB)
#define WORK_ARENA (64 * GY_MIB)
#define BASE "/api/gyre/v1/predictions/{id}/problems"

struct report {
    struct gy_problem problem;
    const struct gy_record *record; /* the part of the prediction that has the row */
    uint32_t at;                    /* where in it */
    struct gy_review_batch *batch;
    struct gy_arena *a;
    struct gy_problem *list;
    size_t n;
};

static gy_status limit(struct gy_app *app, const struct gy_request *req, struct gy_err *err)
{
    struct gy_str peer = req->peer_address.p ? req->peer_address : GY_STR("local");
    int64_t now = gy_now_us();
    if (!gy_auth_limit_allows(app->reports, req->actor, peer, now)) {
        (void)gy_err_set(err, GY_E_LIMITED,
                         "more than %d reports a minute of one caller, or %d of one address",
                         GY_PROBLEMS_PER_CALLER, GY_PROBLEMS_PER_ADDRESS);
        return gy_err_hint(err, "try again in a minute");
    }
    gy_auth_limit_failed(app->reports, req->actor, peer, now); /* counts one */
    return GY_OK;
}

static gy_status find_row(struct gy_app *app, struct gy_str id_text, struct report *r,
                          struct gy_err *err)
{
    unsigned char id[16];
    char dir[GY_MAX_PATH];
    struct gy_record *parts = NULL;
    size_t n = 0;
    struct gy_predlog *live = app->serving ? gy_serving_log(app->serving) : NULL;
    GY_TRY(gy_uuid_parse(id_text, id, err));
    char *text = gy_arena_alloc(r->a, GY_UUID_TEXT); /* as we spell it, whoever asks */
    if (!text) {
        return gy_err_set(err, GY_E_NOMEM, "a problem");
    }
    gy_uuid_text(id, text);
    r->problem.prediction_id = gy_str_c(text);
    GY_TRY(gy_home_path(&app->home, "log", dir, err));
    GY_TRY(gy_predlog_find(live, dir, NULL, id, r->a, &parts, &n, err));
    GY_TRY(gy_gap_refuse(parts, n, err));
    for (size_t i = 0; i < n; i++) {
        if (r->problem.row >= parts[i].first_row &&
            r->problem.row < (int64_t)parts[i].first_row + parts[i].n_rows) {
            r->record = &parts[i];
            r->at = (uint32_t)(r->problem.row - parts[i].first_row);
            r->problem.endpoint = parts[i].endpoint;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID, "the prediction has no row %lld",
                      (long long)r->problem.row);
}

static gy_status pick(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct report *r = ctx;
    struct gy_revision revision;
    struct gy_shape shape;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_revision_get(db, r->record->endpoint, r->record->revision, r->a, &revision, err));
    GY_TRY(gy_shape_read(&revision, r->a, &doc, &shape, err));
    return gy_review_pick_row(r->batch, r->record, r->at, &shape, r->problem.actor, err);
}

static gy_status keep(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct report *r = ctx;
    GY_TRY(gy_problem_add(db, &r->problem, err));
    return gy_review_store(db, r->batch, err);
}

static gy_status read_body(struct gy_request *req, yyjson_val *body, struct gy_problem *p,
                           struct gy_err *err)
{
    char *id = gy_arena_alloc(req->arena, GY_UUID_TEXT);
    unsigned char bytes[16];
    struct gy_uuid_gen gen;
    if (!id) {
        return gy_err_set(err, GY_E_NOMEM, "a problem");
    }
    GY_TRY(gy_uuid_gen_init(&gen, err));
    gy_uuid7(&gen, bytes);
    gy_uuid_text(bytes, id);
    p->id = gy_str_c(id);
    p->prediction_id = gy_req_param(req, "id");
    p->actor = req->actor;
    p->created_us = gy_now_us();
    GY_TRY(gy_json_need_str(body, "reason", &p->reason, err));
    p->text = gy_json_str(body, "text");
    yyjson_val *row = gy_json_get(body, "row"), *text = gy_json_get(body, "text");
    if ((row && !yyjson_is_null(row) && !yyjson_is_int(row)) ||
        (text && !yyjson_is_null(text) && !yyjson_is_str(text))) {
        return gy_err_set(err, GY_E_INVALID, "'row' must be a whole number, 'text' a string");
    }
    p->row = gy_json_i64(body, "row", 0);
    return GY_OK;
}

static gy_status post_problem(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO(gy_review_batch_free) struct gy_review_batch *batch = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, WORK_ARENA);
    struct report r = {.a = &a};
    GY_TRY(limit(app, req, err));
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    GY_TRY(read_body(req, yyjson_doc_get_root(doc), &r.problem, err));
    GY_TRY(find_row(app, r.problem.prediction_id, &r, err));
    GY_TRY(gy_review_batch_new(0, &batch, err));
    r.batch = batch;
    GY_TRY(gy_store_read(app->store, pick, &r, err));
    GY_TRY(gy_store_write(app->store, keep, &r, err));
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_problem_write(&w, &r.problem);
    return gy_reply_json(reply, 201, &out, err);
}

static gy_status list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct report *r = ctx;
    return gy_problem_list(db, r->problem.prediction_id, r->a, &r->list, &r->n, err);
}

static gy_status get_problems(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct report r = {.problem.prediction_id = gy_req_param(req, "id"), .a = req->arena};
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(gy_store_read(app->store, list, &r, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "problems");
    gy_jw_arr(&w);
    for (size_t i = 0; i < r.n; i++) {
        gy_problem_write(&w, &r.list[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"POST", BASE, post_problem, NULL, MAX_BODY, "Report a problem with a prediction",
     GY_ACCESS_VIEWER, 0},
    {"GET", BASE, get_problems, NULL, 0, "What was reported of a prediction", GY_ACCESS_VIEWER, 0},
};

gy_status gy_api_problems_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
