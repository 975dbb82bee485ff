/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing models, and model cards.
 *   GET  /models/diff?a=&b=                        -> flow/model_diff.h; refs as models/resolve,
 * run:ID GET  /models/{name}/versions/{v}/card?number=  -> flow/model_card.h; a saved one as it
 * was, else as of now with what was stated last GET  /models/{name}/versions/{v}/card.html     ->
 * the same as a page POST /models/{name}/versions/{v}/card          -> 201 the card; every version
 * is kept {set?: {key: text|[texts]|null}, reason?, expect?: number} GET
 * /models/{name}/versions/{v}/cards         -> {"cards":[{number,actor,time,reason}]} GET
 * /models/{name}/versions/{v}/card/diff?a=&b=   numbers; b absent: as of now Who saves a card must
 * have a name: anonymous callers get 401. */
#include "api/body.h"
#include "api/ops.h"
#include "base/limits.h"
#include "base/time.h"
#include "flow/model_card.h"
#include "flow/model_diff.h"
#include "store/actor.h"
#include "track/cards.h"
#include "track/models.h"

#define BASE "/api/gyre/v1/models"

struct asked {
    struct gy_str name;
    int64_t version, number;
    bool found;
    struct gy_card card; /* what was read, or is to be saved */
    int64_t expect;
};

static gy_status subject(struct gy_ops_call *c, struct asked *x, struct gy_err *err)
{
    c->in = x;
    x->name = gy_req_param(c->req, "name");
    return gy_model_parse_version(gy_req_param(c->req, "version"), &x->version, err);
}

static void start_answer(struct gy_ops_call *c)
{
    gy_buf_done(&c->out);
    gy_buf_init(&c->out, GY_MAX_REPLY);
    gy_jw_init(&c->w, &c->out);
}

/* ---- diff ---- */

static gy_status h_diff(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    GY_AUTO_DONE(gy_facts_done) struct gy_facts a = {.doc = NULL};
    GY_AUTO_DONE(gy_facts_done) struct gy_facts b = {.doc = NULL};
    struct gy_str ra = gy_req_query(req, "a"), rb = gy_req_query(req, "b");
    if (ra.n == 0 || rb.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "missing 'a' or 'b': name/3, name@alias or run:ID");
    }
    GY_TRY(gy_facts_gather(c.app->store, c.app->objects, ra, &a, err));
    GY_TRY(gy_facts_gather(c.app->store, c.app->objects, rb, &b, err));
    start_answer(&c);
    gy_model_diff(a.root, b.root, &c.w);
    return gy_ops_send(&c, reply, err);
}

/* ---- cards ---- */

static gy_status read_card(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    struct asked *x = c->in;
    struct gy_model_version v;
    GY_TRY(gy_version_get(db, x->name, x->version, c->req->arena, &v, err));
    return gy_card_get(db, x->name, x->version, x->number, c->req->arena, &x->found, &x->card, err);
}

static gy_status gather(struct gy_ops_call *c, const struct asked *x, struct gy_facts *ret,
                        struct gy_err *err)
{
    const char *ref = gy_arena_printf(c->req->arena, "%" GY_STR_F "/%lld", GY_STR_A(x->name),
                                      (long long)x->version);
    return ref ? gy_facts_gather(c->app->store, c->app->objects, gy_str_c(ref), ret, err)
               : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* What was stated last, else what the package states, changed by set. */
static gy_status state(const struct asked *x, const struct gy_facts *facts, yyjson_val *set,
                       struct gy_buf *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf start;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&start, GY_CARD_MAX_STATED);
    if (!x->found) {
        GY_TRY(gy_card_start(facts->root, &start, err));
    }
    GY_TRY(gy_json_parse(x->found ? x->card.stated : gy_buf_str(&start), &doc, err));
    return gy_card_state(yyjson_doc_get_root(doc), set, ret, err);
}

/* A saved card as it was, or the card as of now. */
static gy_status make_card(struct gy_ops_call *c, struct asked *x, struct gy_buf *ret,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_facts_done) struct gy_facts facts = {.doc = NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf stated;
    struct gy_jw w;
    gy_buf_init(&stated, GY_CARD_MAX_STATED);
    GY_TRY(gy_ops_run(c, read_card, false, err));
    if (x->number > 0) {
        gy_buf_add(ret, x->card.card);
        return gy_buf_check(ret, "the card", err);
    }
    GY_TRY(gather(c, x, &facts, err));
    GY_TRY(state(x, &facts, NULL, &stated, err));
    const struct gy_card_mark mark = {.number = x->found ? x->card.number : 0,
                                      .time_us = x->found ? x->card.time_us : 0,
                                      .actor = x->found ? x->card.actor : GY_STR_NULL,
                                      .reason = x->found ? x->card.reason : GY_STR_NULL};
    gy_jw_init(&w, ret);
    gy_card_write(&w, facts.root, gy_buf_str(&stated), &mark);
    return gy_buf_check(ret, "the card", err);
}

static gy_status h_card(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf card;
    struct asked x = {0};
    gy_buf_init(&card, GY_FACTS_MAX_BYTES);
    GY_TRY(subject(&c, &x, err));
    GY_TRY(gy_ops_query(&c, "number", 1, INT64_MAX, 0, &x.number, err));
    GY_TRY(make_card(&c, &x, &card, err));
    return gy_reply_json(reply, 200, &card, err);
}

static gy_status h_card_html(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf card;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf html;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct asked x = {0};
    gy_buf_init(&card, GY_FACTS_MAX_BYTES);
    gy_buf_init(&html, GY_MAX_REPLY);
    GY_TRY(subject(&c, &x, err));
    GY_TRY(gy_ops_query(&c, "number", 1, INT64_MAX, 0, &x.number, err));
    GY_TRY(make_card(&c, &x, &card, err));
    GY_TRY(gy_json_parse(gy_buf_str(&card), &doc, err));
    gy_card_html(yyjson_doc_get_root(doc), &html);
    GY_TRY(gy_buf_check(&html, "the card", err));
    return gy_reply_send(reply, 200, "text/html; charset=utf-8", gy_buf_str(&html), err);
}

static gy_status save_card(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    struct asked *x = c->in;
    int64_t number = 0;
    return gy_card_add(db, x->name, x->version, x->expect, &x->card, &number, err);
}

/* The number stands in the card itself, so it is decided here and asked for again when it is
 * saved: who came between gets a CONFLICT. */
static gy_status h_save(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    GY_AUTO_DONE(gy_facts_done) struct gy_facts facts = {.doc = NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf stated;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf card;
    struct gy_card_mark mark = {.actor = req->actor, .time_us = gy_now_us()};
    struct asked x = {0};
    struct gy_jw w;
    gy_buf_init(&stated, GY_CARD_MAX_STATED);
    gy_buf_init(&card, GY_CARD_MAX_BYTES);
    GY_TRY(gy_actor_need(req->actor, "a model card", err));
    GY_TRY(subject(&c, &x, err));
    GY_TRY(gy_ops_body(&c, err));
    GY_TRY(gy_ops_reason(&c, &mark.reason, err));
    GY_TRY(gy_ops_i64(&c, "expect", 0, -1, &x.expect, err));
    GY_TRY(gy_ops_run(&c, read_card, false, err));
    int64_t newest = x.found ? x.card.number : 0;
    if (x.expect >= 0 && x.expect != newest) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "the card was changed meanwhile: its newest version is %lld",
                          (long long)newest);
    }
    GY_TRY(gather(&c, &x, &facts, err));
    GY_TRY(state(&x, &facts, gy_json_get(c.body, "set"), &stated, err));
    mark.number = newest + 1;
    gy_jw_init(&w, &card);
    gy_card_write(&w, facts.root, gy_buf_str(&stated), &mark);
    GY_TRY(gy_buf_check(&card, "the card", err));
    x.expect = newest;
    x.card = (struct gy_card){.stated = gy_buf_str(&stated),
                              .card = gy_buf_str(&card),
                              .reason = mark.reason,
                              .actor = mark.actor,
                              .time_us = mark.time_us};
    GY_TRY(gy_ops_run(&c, save_card, true, err));
    return gy_reply_json(reply, 201, &card, err);
}

static gy_status list_cards(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err)
{
    const struct asked *x = c->in;
    struct gy_model_version v;
    struct gy_card *list = NULL;
    size_t n = 0;
    GY_TRY(gy_version_get(db, x->name, x->version, c->req->arena, &v, err));
    GY_TRY(gy_card_list(db, x->name, x->version, c->req->arena, &list, &n, err));
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "cards");
    gy_jw_arr(&c->w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(&c->w);
        gy_jw_kv_i64(&c->w, "number", list[i].number);
        gy_api_kv_time(&c->w, "time", list[i].time_us);
        gy_jw_kv_str(&c->w, "actor", list[i].actor);
        gy_jw_kv_str(&c->w, "reason", list[i].reason);
        gy_jw_key(&c->w, "stated");
        gy_jw_raw(&c->w, list[i].stated);
        gy_jw_obj_end(&c->w);
    }
    gy_jw_arr_end(&c->w);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status h_cards(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    struct asked x = {0};
    GY_TRY(subject(&c, &x, err));
    return gy_ops_answer(&c, list_cards, false, reply, err);
}

static gy_status h_card_diff(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    GY_AUTO_DONE(gy_ops_done) struct gy_ops_call c = GY_OPS_CALL(ctx, req);
    GY_AUTO(gy_json_free) yyjson_doc *first = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *second = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct asked x = {0};
    int64_t other = 0;
    gy_buf_init(&a, GY_FACTS_MAX_BYTES);
    gy_buf_init(&b, GY_FACTS_MAX_BYTES);
    GY_TRY(subject(&c, &x, err));
    GY_TRY(gy_ops_query(&c, "a", 1, INT64_MAX, 0, &x.number, err));
    GY_TRY(gy_ops_query(&c, "b", 1, INT64_MAX, 0, &other, err));
    if (x.number == 0) {
        return gy_err_set(err, GY_E_INVALID, "missing 'a': the number of a saved card");
    }
    GY_TRY(make_card(&c, &x, &a, err));
    x.number = other;
    GY_TRY(make_card(&c, &x, &b, err));
    GY_TRY(gy_json_parse(gy_buf_str(&a), &first, err));
    GY_TRY(gy_json_parse(gy_buf_str(&b), &second, err));
    start_answer(&c);
    gy_card_diff(yyjson_doc_get_root(first), yyjson_doc_get_root(second), &c.w);
    return gy_ops_send(&c, reply, err);
}

static const struct gy_route g_routes[] = {
    {"GET", BASE "/diff", h_diff, NULL, 0, "What two versions or runs differ in", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
    {"GET", BASE "/{name}/versions/{version}/card", h_card, NULL, 0, "The card of a version",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/{name}/versions/{version}/card.html", h_card_html, NULL, 0,
     "The card of a version as a page", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"POST", BASE "/{name}/versions/{version}/card", h_save, NULL, GY_OPS_MAX_BODY,
     "State something on a card; every version of it is kept", GY_ACCESS_OPERATOR,
     GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"GET", BASE "/{name}/versions/{version}/cards", h_cards, NULL, 0,
     "The saved versions of a card, newest first", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/{name}/versions/{version}/card/diff", h_card_diff, NULL, 0,
     "What two versions of a card differ in", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
};

gy_status gy_api_cards_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
