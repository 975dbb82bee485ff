/* SPDX-License-Identifier: Apache-2.0 */
/* gy_threshold: from which probability on a binary model says class 1. Chosen on rows that the
 * reported numbers are NOT computed on (out-of-fold predictions of the training rows, or training
 * rows set aside): the best threshold of the very rows that are reported flatters. A threshold lies
 * half-way between two probabilities that occur, so that neither is hit by rounding. Pure. */
#ifndef GY_LEARN_THRESHOLD_H
#define GY_LEARN_THRESHOLD_H

#include "base/str.h"

enum gy_threshold_kind {
    GY_THRESHOLD_FIXED,     /* `value` as it is */
    GY_THRESHOLD_PRECISION, /* the largest recall with precision >= value */
    GY_THRESHOLD_RECALL,    /* the largest precision with recall >= value */
    GY_THRESHOLD_COST,      /* the smallest cost_fp * false positives + cost_fn * false negatives */
    GY_THRESHOLD_F1         /* the largest F1 */
};

/* `train.threshold` of params.yaml: 0.3, {precision: 0.9}, {recall: 0.9}, {cost: {fp: 1, fn: 20}},
 * f1. */
struct gy_threshold_rule {
    enum gy_threshold_kind kind;
    double value;            /* FIXED, PRECISION, RECALL: in (0, 1] */
    double cost_fp, cost_fn; /* COST: finite, not negative, not both 0 */
};

/* What the chosen threshold does on the rows it was chosen on; NaN where not defined. */
struct gy_threshold {
    double value;
    double precision, recall, f1;
    double cost; /* COST: a row, on average; else NaN */
    size_t n_rows;
};

const char *gy_threshold_kind_name(enum gy_threshold_kind k); /* "precision" */

/* "0.3", "precision=0.9", "recall=0.9", "cost=1:20" (fp:fn), "f1". Fails: INVALID. */
GY_CHECKED gy_status gy_threshold_parse(struct gy_str text, struct gy_threshold_rule *ret,
                                        struct gy_err *err);
/* Fails: INVALID (a rule out of its range). */
GY_CHECKED gy_status gy_threshold_check(const struct gy_threshold_rule *r, struct gy_err *err);

/* truth: 0 or 1; p: probabilities in 0..1; weight: n, NULL: all 1. Of equally good thresholds the
 * largest. Fails: INVALID (the rule, no rows, one class only, no threshold reaches the floor: the
 * message says what the best one reaches), NOMEM. */
GY_CHECKED gy_status gy_threshold_choose(const struct gy_threshold_rule *r, const double *truth,
                                         const double *p, const double *weight, size_t n,
                                         struct gy_threshold *ret, struct gy_err *err);

#endif
