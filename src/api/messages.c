/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions that come many at a time, each with an id of its own (serve/message.h has the form).
 *   POST /api/gyre/v1/endpoints/{name}/messages[?log=off]   when it answers, all of them are in the
 *        prediction log, on the disk; log=off: they are neither logged nor counted */
#include "api/app.h"
#include "serve/message.h"

static gy_status post_messages(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    struct gy_app *app = ctx;
    if (!app->serving) {
        gy_err_set(err, GY_E_UNAVAILABLE, "no server runs here, so nothing is served");
        return gy_err_hint(err, "gyre server starts one");
    }
    struct gy_str log = gy_req_query(req, "log");
    if (log.p && !gy_str_eqc(log, "off") && !gy_str_eqc(log, "on")) {
        return gy_err_set(err, GY_E_INVALID, "log takes on or off");
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf batch;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&batch, GY_MESSAGES_MAX_BODY);
    gy_buf_init(&out, GY_MESSAGES_MAX_ANSWER);
    GY_TRY(gy_req_read_body(req, &batch, err));
    GY_TRY(gy_serving_messages(app->serving, gy_req_param(req, "name"), gy_str_eqc(log, "off"),
                               gy_buf_str(&batch), &out, err));
    return gy_reply_send(reply, 200, GY_MESSAGES_TYPE, gy_buf_str(&out), err);
}

static const struct gy_route routes[] = {
    {"POST", "/api/gyre/v1/endpoints/{name}/messages", post_messages, NULL, GY_MESSAGES_MAX_BODY,
     "predict a batch of messages", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
};

gy_status gy_api_messages_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
