/* SPDX-License-Identifier: Apache-2.0 */
/* gy_least_squares: linear regression, plain (ordinary or weighted least squares) or with an L2
 * penalty (ridge). Minimises
 *     sum_i weight_i (y_i - w.x_i - b)^2 + l2 |w - prior|^2,
 * the intercept b not penalised: scikit-learn's LinearRegression (l2 = 0) and Ridge(alpha = l2).
 * By Householder QR (Golub and Van Loan, 5.2 and 5.5) on centred columns, each scaled by a power of
 * two, never by the normal equations: columns of very different sizes (a weight in pounds and its
 * square) keep their digits.
 *
 * Columns that depend on each other share the weight: without a penalty the answer is the shortest
 * w among the best, as NumPy's lstsq gives. A column depends on others when less than about 1e-13
 * of it (more where rounding of its own values is coarser) is its own; a constant column gets 0.
 * This rule does not look at the units of the columns; scikit-learn's does, and from 1.7 on its
 * default (tol=1e-6) drops small columns beside large ones: compare with tol=1e-15.
 *
 * Deterministic: rows are folded in blocks whose bounds follow from the sizes alone. Pure; thread
 * safe. */
#ifndef GY_LEARN_LEAST_SQUARES_H
#define GY_LEARN_LEAST_SQUARES_H

#include "base/err.h"

#define GY_LEAST_SQUARES_MAX_FEATURES 2000 /* its triangle is a full matrix */

struct gy_least_squares {
    const double *x; /* n_rows x n_features, row-major, finite */
    const double *y;
    const double *weight; /* >= 0; NULL: all 1 */
    size_t n_rows, n_features;
    double l2;
    const double *prior; /* n_features; NULL: 0 */
    int n_threads;
};

struct gy_least_squares_report {
    size_t rank;     /* columns that count: n_features where none depends on others */
    double residual; /* the weighted sum of squares that is left (with l2 > 0: the penalty too) */
    double total;    /* the same about the weighted mean of y: 1 - residual / total is R2 */
};

/* ret: n_features weights, then the intercept. ret_report MAY be NULL. Fails: INVALID (no rows, a
 * negative l2 or weight, all weights 0, numbers that are not finite or too large to square),
 * TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_least_squares_fit(const struct gy_least_squares *p, double *ret,
                                          struct gy_least_squares_report *ret_report,
                                          struct gy_err *err);

#endif
