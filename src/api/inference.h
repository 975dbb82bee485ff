/* SPDX-License-Identifier: Apache-2.0 */
/* What the routes of the serving protocols share (inference*.c). */
#ifndef GY_API_INFERENCE_H
#define GY_API_INFERENCE_H

#include "api/app.h"

/* Fails with UNAVAILABLE when nothing is served by this process. */
GY_CHECKED gy_status gy_api_need_serving(const struct gy_app *app, struct gy_err *err);
/* A handler: the way of a prediction that the event loops did not take, whatever its protocol. */
GY_CHECKED gy_status gy_api_predict(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                    struct gy_err *err);
/* MLflow's /ping: 200 and an empty line, 404 when there is nothing to ask, 503 when it is not ready
 * (inference_mlflow.c). */
GY_CHECKED gy_status gy_api_scoring_ping(struct gy_app *app, struct gy_reply *reply,
                                         struct gy_err *err);
/* A handler: {"models":[names]} of what is served. */
GY_CHECKED gy_status gy_api_served_models(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                          struct gy_err *err);
/* The errors of routes of Seldon's protocol (inference_seldon.c). */
GY_CHECKED gy_status gy_api_seldon_errors(struct gy_request *req, struct gy_reply *reply,
                                          const struct gy_err *failed, struct gy_err *err);

#endif
