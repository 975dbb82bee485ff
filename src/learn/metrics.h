/* SPDX-License-Identifier: Apache-2.0 */
/* gy_metrics: how good predictions are on rows that were not trained on, each number with its 95 %
 * bootstrap percentile interval: a value without its uncertainty invites wrong choices. Replicate b
 * draws its rows from the random stream (seed, b), so the intervals do not depend on the number of
 * threads. Definitions are those of scikit-learn (tests compare), except that what can not be told
 * is NaN instead of a made-up 0 or 1: recall without positives, precision without predicted and
 * without actual positives, AUC with one class only. Precision is 0 when positives exist and none
 * is predicted. Rows may have weights (an exposure, a sampling weight): every sum is then a
 * weighted one. Pure; thread safe.
 *
 *   BINARY      accuracy precision recall f1 auc log_loss average_precision brier
 *               balanced_accuracy mcc recall_at_precision_90
 *   MULTICLASS  accuracy f1_macro log_loss balanced_accuracy precision_macro recall_macro
 *               f1_weighted auc_ovr mcc brier
 *   REGRESSION  rmse mae r2 mape me deviance gini
 *
 * recall_at_precision_90: the largest recall of a threshold that has precision >= 0.9 on these very
 * rows (0: none has), the best point of their curve; what a chosen threshold does on rows it was
 * not chosen on is `recall` (learn/threshold.h). auc_ovr: the mean of each class against the rest,
 * over the classes where it is defined; NaN with more than GY_METRICS_MAX_OVR classes. me: the mean
 * of prediction - truth, positive when too much is predicted. mape: as scikit-learn's, a share; a
 * truth of 0 makes it huge. deviance: mean Tweedie deviance of the power asked for (0: normal, the
 * mean squared error; 1: Poisson; 2: gamma). gini: Gini coefficient of the concentration curve that
 * ordering by prediction gives, divided by the one that ordering by truth gives (Frees, Meyers and
 * Cummings 2014; ties count half); only for truths that are not negative. */
#ifndef GY_LEARN_METRICS_H
#define GY_LEARN_METRICS_H

#include "learn/predictor.h"

#define GY_METRICS_MAX 16
#define GY_METRICS_REPLICATES 1000 /* usual number of bootstrap replicates */
#define GY_METRICS_MAX_REPLICATES 100000
#define GY_METRICS_MAX_OVR 32 /* classes up to which auc_ovr is computed */

struct gy_metric {
    const char *name;        /* static, one of the above */
    double value, low, high; /* NaN where not defined; low = high = NaN without replicates */
    bool lower_is_better;    /* me: the nearer to 0 the better (gy_metric_gain) */
};

struct gy_metrics {
    size_t n_rows;
    struct gy_metric items[GY_METRICS_MAX];
    size_t n;
    int64_t tp, fp, tn, fn; /* BINARY: rows of the confusion matrix at the threshold */
};

struct gy_scored {
    enum gy_task task;
    size_t n_rows;
    size_t n_classes;
    const double *truth; /* class index (BINARY, MULTICLASS) or value */
    const double *out; /* BINARY: probability of class 1; MULTICLASS: n_classes a row; else value */
    double threshold;  /* BINARY: class 1 when probability >= threshold */
    const double *weight;  /* n_rows, finite, not negative; NULL: all 1 */
    double deviance_power; /* REGRESSION: of the deviance: 0, or 1 and more */
};

/* replicates 0: values only. Fails: NOMEM, INVALID (no rows, a prediction that is no number, a
 * weight that is none). */
GY_CHECKED gy_status gy_metrics_compute(const struct gy_scored *s, size_t replicates, uint64_t seed,
                                        int n_threads, struct gy_metrics *ret, struct gy_err *err);
/* NULL when there is no such metric. */
const struct gy_metric *gy_metrics_get(const struct gy_metrics *m, struct gy_str name);

/* How much better a is than b by this metric: a - b, b - a or |b| - |a|. */
double gy_metric_gain(const char *name, double a, double b);

/* ---- per class ---- */

struct gy_class_metrics {
    struct gy_metric precision, recall, f1;
    int64_t support, predicted; /* rows that are of the class, rows said to be */
};

/* MULTICLASS and BINARY; ret has n_classes (BINARY: 2). Fails as gy_metrics_compute. */
GY_CHECKED gy_status gy_metrics_classes(const struct gy_scored *s, size_t replicates, uint64_t seed,
                                        int n_threads, struct gy_class_metrics *ret,
                                        struct gy_err *err);
/* Rows by truth and guess: cells[truth * n_classes + guess]. BINARY counts as two classes. */
void gy_metrics_confusion(const struct gy_scored *s, int64_t *cells);
/* The class that row i is said to be. */
size_t gy_scored_guess(const struct gy_scored *s, size_t i);

/* ---- two models on the same rows ---- */

/* Each replicate draws the same rows for both: what makes both easier or harder cancels out, so a
 * difference that two intervals beside each other hide may be plain here. */
struct gy_difference {
    const char *name;
    double a, b;
    double difference, low, high; /* a - b */
    double better; /* share of the replicates in which a is the better one, draws half */
    bool lower_is_better;
};
struct gy_paired {
    size_t n_rows;
    struct gy_difference items[GY_METRICS_MAX];
    size_t n;
};
/* Fails: INVALID (other rows, truths, task or weights), and as gy_metrics_compute. */
GY_CHECKED gy_status gy_metrics_paired(const struct gy_scored *a, const struct gy_scored *b,
                                       size_t replicates, uint64_t seed, int n_threads,
                                       struct gy_paired *ret, struct gy_err *err);

#endif
