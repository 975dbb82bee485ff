/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of answers that more than one protocol writes: values of a row as JSON. */
#ifndef GY_SERVE_ANSWER_PLAIN_H
#define GY_SERVE_ANSWER_PLAIN_H

#include "serve/infer.h"

/* The class as its label (a number where all labels are numbers), or the value of a regression. */
void gy_plain_prediction(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                         struct gy_buf *out);
/* [p, ...] of all predictions. */
void gy_plain_predictions(const struct gy_endpoint *e, const struct gy_infer_work *w,
                          struct gy_buf *out);
/* The probability of a class; NaN where the model was not asked. Not of a regression. */
double gy_plain_probability(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                            size_t class);
/* The same, but what a rule decided is certain: 1 of its class, 0 of the others. */
double gy_plain_certainty(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                          size_t class);
/* A number as JSON; null for NaN. */
void gy_plain_number(double value, struct gy_buf *out);

/* A model of several values a row has no such answer. Fails: UNSUPPORTED. */
GY_CHECKED gy_status gy_plain_check(const struct gy_endpoint *e, struct gy_err *err);

#endif
