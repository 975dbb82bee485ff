/* SPDX-License-Identifier: Apache-2.0 */
/* The passes over the rows (logistic_rows.c) that Newton's method (logistic.c) is made of. */
#ifndef GY_LEARN_LOGISTIC_INTERNAL_H
#define GY_LEARN_LOGISTIC_INTERNAL_H

#include <stdbool.h>

#include "learn/logistic.h"

/* Parameters: m sets of k = n_features + 1 values, the intercept last. */
struct gy_logistic_work {
    const struct gy_logistic *p;
    size_t k, m, n_params;
    double *w, *step;    /* n_params */
    double *gradient;    /* n_params */
    double *eta;         /* n_rows x m: the scores by w */
    double *change;      /* n_rows x m: the scores by step */
    double *prob;        /* n_rows x m: what eta says */
    double t;            /* how much of the step is tried */
    const double *along; /* the parameters that gy_logistic_scores and _product take */
    double *scores;      /* n_rows x m, what gy_logistic_scores fills */
    double *out;         /* n_params, what gy_logistic_gather fills */
    size_t n_shards, shard_rows;
    double *parts;   /* n_shards x n_params */
    double *hessian; /* n_shards x pairs x k x k; NULL: conjugate gradients */
    bool reuse;      /* an earlier Hessian is good enough: only the gradient is taken */
    double *rows;    /* n_shards x GY_LOGISTIC_BLOCK x (k + 1) */
    struct gy_logistic_sums {
        double loss, slope, curvature, farthest;
    } * sums; /* n_shards */
};

#define GY_LOGISTIC_BLOCK 64

/* scores = X along */
GY_CHECKED gy_status gy_logistic_scores(struct gy_logistic_work *k, const double *along,
                                        double *scores, struct gy_err *err);
/* prob of eta; gradient without the penalty; the blocks of the Hessian where it is kept and not
 * reused. */
GY_CHECKED gy_status gy_logistic_derive(struct gy_logistic_work *k, struct gy_err *err);
/* out = Hessian (without the penalty) times `along`; uses `change`. */
GY_CHECKED gy_status gy_logistic_product(struct gy_logistic_work *k, const double *along,
                                         double *out, struct gy_err *err);
/* The loss at eta + t change, without the penalty. */
GY_CHECKED gy_status gy_logistic_loss(struct gy_logistic_work *k, double t, double *ret,
                                      struct gy_err *err);
/* Of `change`: how curved the loss is in it, and the farthest it moves a row. */
GY_CHECKED gy_status gy_logistic_measure(struct gy_logistic_work *k, struct gy_logistic_sums *ret,
                                         struct gy_err *err);

#endif
