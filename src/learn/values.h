/* SPDX-License-Identifier: Apache-2.0 */
/* gy_values: a column as its distribution: the finite values that occur, ascending, each with the
 * number of rows that have it. The order of rows is forgotten, so everything computed from it is
 * the same for any order. What a training profile keeps, and what the drift statistics compare. */
#ifndef GY_LEARN_VALUES_H
#define GY_LEARN_VALUES_H

#include "base/arena.h"

struct gy_values {
    const double *values;   /* finite, strictly ascending; -0.0 is 0.0 */
    const uint64_t *counts; /* each at least 1 */
    size_t n;               /* of values */
    uint64_t total;         /* of counts */
    uint64_t missing;       /* rows that were NaN or infinite */
    bool approximate;       /* quantiles stand for the values: gy_values_summarize */
};

/* Of n numbers; weights (NULL: each 1) count a number so many times, 0 leaves it out. The arrays
 * live in the arena. Radix sort: linear in n. Fails: NOMEM. */
GY_CHECKED gy_status gy_values_of(const double *numbers, const uint32_t *weights, size_t n,
                                  struct gy_arena *a, struct gy_values *ret, struct gy_err *err);
/* When v has more than max_exact values: n_quantiles of them, each standing for an equal share of
 * the rows (and the least and the largest among them); else v itself. Fails: NOMEM. */
GY_CHECKED gy_status gy_values_summarize(const struct gy_values *v, size_t max_exact,
                                         size_t n_quantiles, struct gy_arena *a,
                                         struct gy_values *ret, struct gy_err *err);

/* NaN when there is no value. */
double gy_values_mean(const struct gy_values *v);
double gy_values_sd(const struct gy_values *v);                    /* population form */
double gy_values_sd_about(const struct gy_values *v, double mean); /* the same, mean known */
/* The value at rank p * total, p in 0..1 (lower). NaN when there is none. */
double gy_values_quantile(const struct gy_values *v, double p);
double gy_values_missing_share(const struct gy_values *v); /* of all rows; 0 when there is no row */
/* factor * value + offset for each; factor is not 0. Values that become equal stay apart. Fails:
 * NOMEM. */
GY_CHECKED gy_status gy_values_map(const struct gy_values *v, double factor, double offset,
                                   struct gy_arena *a, struct gy_values *ret, struct gy_err *err);

#endif
