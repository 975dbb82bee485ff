/* SPDX-License-Identifier: Apache-2.0 */
/* gy_logistic: logistic regression with an L2 penalty, by Newton's method (IRLS) with a Cholesky
 * factorisation. Minimises sum_i log(1 + exp(-s_i (w.x_i + b))) + l2/2 |w|^2, the intercept b not
 * penalised: scikit-learn's LogisticRegression(C=1/l2). One thread, sums in row order: the same
 * bits every time. */
#ifndef GY_LEARN_LOGISTIC_H
#define GY_LEARN_LOGISTIC_H

#include "base/str.h"

#define GY_LOGISTIC_MAX_FEATURES 2000 /* the Hessian is a full matrix */

struct gy_logistic_report {
    int iterations;
    double loss;     /* the minimised sum */
    double gradient; /* largest absolute component at the end */
};

/* x: n_rows x n_features without NaN; y: 0 or 1. ret: n_features weights, then the intercept.
 * Fails: INVALID (l2 < 0; one class only; no minimum: separable without penalty), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_logistic_fit(const double *x, const double *y, size_t n_rows,
                                     size_t n_features, double l2, double *ret,
                                     struct gy_logistic_report *ret_report, struct gy_err *err);

#endif
