/* SPDX-License-Identifier: Apache-2.0 */
/* The outputs of Open Inference Protocol v2, over HTTP and gRPC: which there are, their values as
 * JSON and in binary form (learn/datatype.h). */
#ifndef GY_SERVE_ANSWER_H
#define GY_SERVE_ANSWER_H

#include "serve/infer.h"

/* Which outputs the endpoint has: fills e->outputs. `rule` and, of a model of tensors, `prediction`
 * are there where rules are. Fails: INVALID (the model's own output has that name), TOOBIG, NOMEM.
 */
GY_CHECKED gy_status gy_outputs_build(struct gy_endpoint *e, struct gy_err *err);

/* Was output i asked for, and is it there? i < e->n_outputs. */
static inline bool gy_answer_wants(const struct gy_endpoint *e, const struct gy_infer_work *w,
                                   size_t i)
{
    return e->outputs[i].name.n && (w->q.outputs >> i & 1);
}
/* Fails: INVALID: an output that was asked for as JSON has no such form. */
GY_CHECKED gy_status gy_answer_check(const struct gy_endpoint *e, const struct gy_infer_request *q,
                                     struct gy_err *err);

/* The whole answer: JSON, then the outputs that q.asked wants in binary form. Returns the bytes of
 * the JSON; 0: nothing is behind it. */
size_t gy_answer_v2(const struct gy_endpoint *e, const struct gy_infer_work *w,
                    const char prediction_id[GY_UUID_TEXT], struct gy_buf *out);
/* Output i of all rows in binary form, appended; and how many bytes that is. */
void gy_answer_binary(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                      struct gy_buf *out);
size_t gy_answer_binary_size(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i);

#endif
