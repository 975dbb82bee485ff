/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of gy_evaluate: evaluate.c chooses rows and predicts them, evaluate_detail.c tells what
 * goes beyond the metrics. */
#ifndef GY_LEARN_EVALUATE_INTERNAL_H
#define GY_LEARN_EVALUATE_INTERNAL_H

#include "learn/evaluate.h"

/* Rows that have their truth and their prediction. */
struct gy_scoring {
    const struct gy_table *t;
    const struct gy_eval_options *o;
    struct gy_scored all;         /* the labelled rows */
    const uint32_t *rows;         /* of the table, one a scored row */
    double *truth, *out, *weight; /* room for one slice */
    size_t n_outputs;
    struct gy_eval *ret;
};
/* Fill ret: metrics, slices, and what the options ask for. Fails as gy_evaluate. */
GY_CHECKED gy_status gy_eval_tell(struct gy_scoring *s, const struct gy_str *classes,
                                  struct gy_err *err);
/* How much each row counts, by a column of the table. Fails: NOTFOUND, INVALID. */
GY_CHECKED gy_status gy_eval_weights(const struct gy_table *t, struct gy_str name,
                                     const uint32_t *rows, size_t n, double *weight,
                                     struct gy_err *err);

/* options.details into e, whose arena is ready. rows: the table's row of each scored row. Fails:
 * INVALID and NOTFOUND (fairness), NOMEM. */
GY_CHECKED gy_status gy_eval_details(const struct gy_table *t, const uint32_t *rows,
                                     const struct gy_scored *s, const struct gy_str *classes,
                                     size_t n_classes, const struct gy_eval_options *o,
                                     struct gy_eval *e, struct gy_err *err);
/* options.keep: copies, which gy_eval_done frees. Fails: NOMEM. */
GY_CHECKED gy_status gy_eval_keep(const uint32_t *rows, const struct gy_scored *s, size_t n_outputs,
                                  struct gy_eval *e, struct gy_err *err);

#endif
