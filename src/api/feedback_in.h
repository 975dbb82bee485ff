/* SPDX-License-Identifier: Apache-2.0 */
/* From the bodies that clients send to pieces of feedback. Pure, but for the arena. */
#ifndef GY_API_FEEDBACK_IN_H
#define GY_API_FEEDBACK_IN_H

#include "base/json.h"
#include "net/call.h"
#include "watch/feedback.h"

#define GY_FEEDBACK_MAX_ROWS 100000 /* of one Seldon message, of one JSON list */

/* One object of ours: {"prediction_id" | "request_id", "row", "label", "reward", "source", "given",
 * "reason", "tags"}. Strings are copied into the arena; checked (gy_feedback_check). Fails:
 * INVALID, NOMEM. */
GY_CHECKED gy_status gy_feedback_parse(yyjson_val *object, struct gy_str actor, struct gy_arena *a,
                                       struct gy_feedback *ret, struct gy_err *err);
/* A Seldon feedback message: a piece for each row of its truth. The prediction is named by
 * response.meta.tags.prediction_id, response.prediction_id, response.parameters.prediction_id, the
 * header Gyre-Prediction-Id, response.meta.puid or the header Seldon-Puid, in this order; a puid
 * that is no UUIDv7 is a request id. Fails: INVALID, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_feedback_parse_seldon(const struct gy_request *req, yyjson_val *object,
                                              struct gy_arena *a, struct gy_feedback **ret,
                                              size_t *ret_n, struct gy_str *ret_puid,
                                              struct gy_err *err);

#endif
