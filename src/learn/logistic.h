/* SPDX-License-Identifier: Apache-2.0 */
/* gy_logistic: logistic regression with an L2 penalty, of two classes or more (softmax). Minimises
 *     sum_i weight_i (-log p(y_i | x_i)) + l2/2 |W|^2,
 * the intercepts not penalised: scikit-learn's LogisticRegression(C=1/l2). With more than two
 * classes the weights of the classes sum to zero, and so do the intercepts: the softmax does not
 * change when all of them grow alike.
 *
 * Newton's method with halved steps; the full Hessian by Cholesky where it is small, else conjugate
 * gradients on products with it (Nocedal and Wright, Numerical Optimization, 2nd edition, 3.3 and
 * 7.1; Boehning, Annals of the Institute of Statistical Mathematics 44 (1992), for the softmax).
 * Deterministic: sums are taken over shards of rows whose bounds follow from the sizes alone. Pure;
 * thread safe. */
#ifndef GY_LEARN_LOGISTIC_H
#define GY_LEARN_LOGISTIC_H

#include "base/err.h"

#define GY_LOGISTIC_MAX_FEATURES 100000
#define GY_LOGISTIC_MAX_PARAMS 1000000 /* classes times features */

struct gy_logistic {
    const double *x;      /* n_rows x n_features, row-major, finite */
    const double *y;      /* class index, 0 to n_classes - 1 */
    const double *weight; /* >= 0; NULL: all 1 */
    size_t n_rows, n_features;
    size_t n_classes;
    double l2;
    int n_threads;
};

struct gy_logistic_report {
    int iterations;
    double loss;     /* the minimised sum */
    double gradient; /* largest absolute component at the end */
};

/* The values of `ret` below: two classes have one set of weights, which speaks for class 1. */
size_t gy_logistic_values(size_t n_features, size_t n_classes);

/* ret: for each set the n_features weights, then the intercept. ret_report MAY be NULL. Fails:
 * INVALID (a negative l2 or weight; one class only; a class without a row; numbers that are not
 * finite; no minimum: separable or depending columns without a penalty), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_logistic_fit(const struct gy_logistic *p, double *ret,
                                     struct gy_logistic_report *ret_report, struct gy_err *err);

#endif
