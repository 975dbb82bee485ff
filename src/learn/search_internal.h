/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of gy_search: search.c goes through the trials, search_bench.c measures one,
 * search_rows.c prepares what it is measured on, space.c and tpe.c say what to try. */
#ifndef GY_LEARN_SEARCH_INTERNAL_H
#define GY_LEARN_SEARCH_INTERNAL_H

#include "learn/search.h"
#include "learn/space.h"
#include "learn/train_internal.h"
#include "learn/xgb.h"

#define GY_SEARCH_MAX_FOLDS 10
#define GY_SEARCH_VIEWS 4 /* complete or not, scaled or not */

/* The rows of a fold as one kind of learner gets them: after the feature steps, fitted on the
 * fold's own rows. */
struct gy_search_view {
    bool ready;
    struct gy_features features;
    double *x, *y, *weight; /* n: to fit on; weight MAY be NULL */
    double *validated_x;    /* of the scored rows */
    size_t n;
    struct gy_xgb_data *fitted, *validated; /* made when a booster asks */
};

struct gy_search_fold {
    size_t first, n_validated; /* its scored rows: [first, first + n_validated) of rows */
    uint32_t *train;           /* rows of the table to fit on, filtered */
    size_t n_train;
    struct gy_search_view views[GY_SEARCH_VIEWS];
};

struct gy_search_data {
    const struct gy_table *t;
    const struct gy_train_params *base;
    struct gy_trained host; /* its model: task, inputs, classes */
    struct gy_arena arena;
    double *y;      /* a table row */
    uint32_t *rows; /* searched on; the scored ones first, fold by fold */
    size_t n_rows, n_validated, n_training, n_folds, n_out;
    struct gy_search_fold folds[GY_SEARCH_MAX_FOLDS];
    double *truth; /* of the scored rows */
};

/* d is zeroed; gy_search_data_done frees, also after a failure. */
GY_CHECKED gy_status gy_search_data_open(struct gy_search_data *d, const struct gy_table *t,
                                         const struct gy_train_params *base, size_t max_rows,
                                         struct gy_err *err);
void gy_search_data_done(struct gy_search_data *d);
/* The rows of a fold for a learner of these params; made on first use. */
GY_CHECKED gy_status gy_search_view_of(struct gy_search_data *d, size_t fold,
                                       const struct gy_train_params *p, struct gy_search_view **ret,
                                       struct gy_err *err);
/* The same as libxgboost has them. */
GY_CHECKED gy_status gy_search_view_xgb(struct gy_search_data *d, size_t fold,
                                        struct gy_search_view *v, struct gy_err *err);

#endif
