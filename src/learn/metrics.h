/* SPDX-License-Identifier: Apache-2.0 */
/* gy_metrics: how good predictions are on rows that were not trained on, each number with its 95 %
 * bootstrap percentile interval: a value without its uncertainty invites wrong choices. Replicate b
 * draws its rows from the random stream (seed, b), so the intervals do not depend on the number of
 * threads. Definitions are those of scikit-learn (tests compare), except that what can not be told
 * is NaN instead of a made-up 0 or 1: recall without positives, precision without predicted and
 * without actual positives, AUC with one class only. Precision is 0 when positives exist and none
 * is predicted. Pure; thread safe. */
#ifndef GY_LEARN_METRICS_H
#define GY_LEARN_METRICS_H

#include "learn/predictor.h"

#define GY_METRICS_MAX 8
#define GY_METRICS_REPLICATES 1000 /* usual number of bootstrap replicates */
#define GY_METRICS_MAX_REPLICATES 100000

struct gy_metric {
    const char *name; /* static: accuracy precision recall f1 auc log_loss | accuracy f1_macro
                         log_loss | rmse mae r2 */
    double value, low, high; /* NaN where not defined; low = high = NaN without replicates */
    bool lower_is_better;
};

struct gy_metrics {
    size_t n_rows;
    struct gy_metric items[GY_METRICS_MAX];
    size_t n;
    int64_t tp, fp, tn, fn; /* BINARY: the confusion matrix at the threshold */
};

struct gy_scored {
    enum gy_task task;
    size_t n_rows;
    size_t n_classes;
    const double *truth; /* class index (BINARY, MULTICLASS) or value */
    const double *out; /* BINARY: probability of class 1; MULTICLASS: n_classes a row; else value */
    double threshold;  /* BINARY: class 1 when probability >= threshold */
};

/* replicates 0: values only. Fails: NOMEM, INVALID (no rows). */
GY_CHECKED gy_status gy_metrics_compute(const struct gy_scored *s, size_t replicates, uint64_t seed,
                                        int n_threads, struct gy_metrics *ret, struct gy_err *err);
/* NULL when there is no such metric. */
const struct gy_metric *gy_metrics_get(const struct gy_metrics *m, struct gy_str name);

#endif
