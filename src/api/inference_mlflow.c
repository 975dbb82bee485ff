/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow's scoring protocol, beside predictions on the event loops (serve/protocol_mlflow.c).
 *   POST /invocations, /endpoints/{m}/invocations, /serving-endpoints/{m}/invocations
 *   GET  /ping                     200 and an empty line; 404 when there is nothing to ask
 * (/health and /version are the tracking server's; on the inference port they answer as a scoring
 * server does: mlflow.c) */
#include "api/health.h"
#include "api/inference.h"
#include "serve/infer.h"
#include "serve/protocol.h"
#include "serve/serving.h"

static gy_status errors(struct gy_request *req, struct gy_reply *reply, const struct gy_err *failed,
                        struct gy_err *err)
{
    (void)req;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_KIB);
    const struct gy_ask ask = {.protocol = &gy_protocol_mlflow};
    struct gy_fast_reply got = {.body = &out};
    gy_protocol_mlflow.fail(&ask, failed, &got);
    return gy_reply_send(reply, gy_status_http(failed->code), got.content_type, gy_buf_str(&out),
                         err);
}

gy_status gy_api_scoring_ping(struct gy_app *app, struct gy_reply *reply, struct gy_err *err)
{
    const struct gy_endpoint *e = NULL;
    const char *reason;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    if (gy_table_default(t, &e, NULL) != GY_OK) {
        return gy_reply_send(reply, 404, "application/json", GY_STR("\n"), err);
    }
    return gy_reply_send(reply, gy_api_ready(app, &reason) ? 200 : 503, "application/json",
                         GY_STR("\n"), err);
}

static gy_status get_ping(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    (void)req;
    return gy_api_scoring_ping(ctx, reply, err);
}

static const struct gy_route routes[] = {
    {"GET", "/ping", get_ping, errors, 0, "the default endpoint can answer (MLflow scoring)",
     GY_ACCESS_PUBLIC, 0},
    {"POST", "/invocations", gy_api_predict, errors, GY_INFER_MAX_BODY, "predict (MLflow scoring)",
     GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"POST", "/endpoints/{m}/invocations", gy_api_predict, errors, GY_INFER_MAX_BODY,
     "predict with an endpoint (MLflow scoring)", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"POST", "/serving-endpoints/{m}/invocations", gy_api_predict, errors, GY_INFER_MAX_BODY,
     "the same by its other path", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
};

gy_status gy_api_inference_mlflow_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
