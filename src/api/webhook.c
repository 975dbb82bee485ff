/* SPDX-License-Identifier: Apache-2.0 */
/* How the webhooks do.
 *   GET /webhooks -> {"webhooks":[{"url","events","seen","delivered","pending","failed",
 *                    "last_error"}]}
 * Needs a name, since an address may hold a secret. They are set by the section `notify` of a
 * project: POST /watch/apply. */
#include "api/app.h"
#include "api/body.h"
#include "store/actor.h"
#include "watch/webhook.h"

struct list_call {
    struct gy_arena *a;
    struct gy_webhook *list;
    size_t n;
};

static gy_status list_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct list_call *c = ctx;
    return gy_webhook_list(db, c->a, &c->list, &c->n, err);
}

static void write_webhook(struct gy_jw *w, const struct gy_webhook *h)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "url", h->url);
    gy_jw_key(w, "events");
    gy_jw_raw(w, h->events);
    gy_jw_kv_i64(w, "seen", h->seen);
    gy_jw_kv_i64(w, "delivered", h->delivered);
    gy_jw_kv_i64(w, "pending", h->pending);
    gy_jw_kv_i64(w, "failed", h->failed);
    gy_jw_kv_str(w, "last_error", h->last_error);
    gy_jw_obj_end(w);
}

static gy_status get_webhooks(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct list_call call = {.a = req->arena};
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(gy_actor_need(req->actor, "reading the addresses of webhooks", err));
    GY_TRY(gy_store_read(app->store, list_closure, &call, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "webhooks");
    gy_jw_arr(&w);
    for (size_t i = 0; i < call.n; i++) {
        write_webhook(&w, &call.list[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"GET", "/api/gyre/v1/webhooks", get_webhooks, NULL, 0, "Who is told of events, and how far",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED},
};

gy_status gy_api_webhook_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
