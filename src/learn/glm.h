/* SPDX-License-Identifier: Apache-2.0 */
/* gy_glm: generalised linear models with a log link, E[y] = exposure exp(w.x + b): Poisson counts
 * (power 1), Gamma amounts (power 2) and Tweedie in between (mostly 0, else an amount), where the
 * variance grows with the mean to the power. Minimises
 *     sum_i u_i d(y_i / e_i, exp(w.x_i + b)) / (2 sum_i u_i) + l2/2 |w|^2,   u_i = weight_i e_i,
 * with d the unit deviance and b not penalised: scikit-learn's PoissonRegressor, GammaRegressor and
 * TweedieRegressor(power) with alpha = l2, fitted on rates y/e with sample_weight = weight e. For
 * counts that is the same as the offset log(e). Source: McCullagh and Nelder, Generalized Linear
 * Models, 2nd edition, chapters 2, 6 and 8; Dunn and Smyth, Statistics and Computing 15 (2005), for
 * Tweedie.
 *
 * Newton's method with halved steps; each step is a weighted least squares problem
 * (learn/least_squares.h), so that columns which depend on each other share the weight here too.
 * Deterministic; pure; thread safe. */
#ifndef GY_LEARN_GLM_H
#define GY_LEARN_GLM_H

#include "base/err.h"

struct gy_glm {
    const double *x;        /* n_rows x n_features, row-major, finite */
    const double *y;        /* >= 0; power 2: > 0 */
    const double *weight;   /* >= 0; NULL: all 1 */
    const double *exposure; /* > 0; NULL: all 1 */
    size_t n_rows, n_features;
    double power; /* 1 to 2 */
    double l2;
    int n_threads;
};

struct gy_glm_report {
    int iterations;
    size_t rank;          /* columns that count */
    double deviance;      /* sum of u_i d(...) */
    double null_deviance; /* of the mean rate alone: 1 - deviance / null_deviance is D2 */
};

/* ret: n_features weights, then the intercept. ret_report MAY be NULL. Fails: INVALID (a target,
 * weight or exposure out of range, named by its row; all targets 0; all weights 0; a power outside
 * 1 to 2; no minimum: rows that could only be fitted by an infinite weight), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_glm_fit(const struct gy_glm *p, double *ret,
                                struct gy_glm_report *ret_report, struct gy_err *err);

/* The unit deviance d(y, mean) >= 0 of a power from 1 to 2; 0 is the best. Infinite where the mean
 * is not positive and y is not met by it. */
double gy_glm_deviance(double power, double y, double mean);

#endif
