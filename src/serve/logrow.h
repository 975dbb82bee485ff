/* SPDX-License-Identifier: Apache-2.0 */
/* A logged row as JSON: what lists, exports and sinks of predictions give. Members:
 *   prediction_id, row, rows (of the request), time, endpoint, revision, model_version, request_id,
 *   status, latency_us, inputs {name: value}, prediction, probability (a number, a list by class,
 * or null), rule {name, reason} or null; and, only where the record has them: shadow
 * {model_version, prediction}, sample_rate, propensity, trace_id, parent_span, left_out, body or
 * body_b64, body_type. Of a row that was erased only what is not the row's: prediction_id ...
 * status, and "erased": true. Pure; any thread. */
#ifndef GY_SERVE_LOGROW_H
#define GY_SERVE_LOGROW_H

#include "serve/shape.h"

/* shape NULL: the revision is gone; then inputs are named by their number. */
void gy_logrow_write(struct gy_jw *w, const struct gy_record *r, uint32_t row,
                     const struct gy_shape *shape);
/* Member inputs, and left_out where columns are, by the frozen configuration (NULL: inputs are
 * named by their number). */
void gy_logrow_inputs(struct gy_jw *w, const struct gy_record *r, uint32_t row, yyjson_val *config);
/* A value; a missing one is null. */
void gy_logrow_value(struct gy_jw *w, double v);
/* Member "body" or "body_b64", and "body_type"; nothing without a body. */
void gy_logrow_body(struct gy_jw *w, const struct gy_record *r);
/* Members trace_id and parent_span; nothing without. */
void gy_logrow_trace(struct gy_jw *w, const struct gy_record *r);

#endif
