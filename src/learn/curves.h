/* SPDX-License-Identifier: Apache-2.0 */
/* gy_curve: what a binary model does at every threshold (ROC, precision and recall), and whether
 * its probabilities mean what they say (calibration). Points and bins live in the caller's arena.
 * Definitions are scikit-learn's (tests compare). Pure; thread safe. */
#ifndef GY_LEARN_CURVES_H
#define GY_LEARN_CURVES_H

#include "learn/metrics.h"

#define GY_CALIBRATION_MAX_BINS 50

struct gy_arena;

struct gy_curve_point {
    double x, y, threshold; /* class 1 when probability >= threshold; inf: none is */
};
struct gy_curve {
    struct gy_curve_point *points;
    size_t n;
};

/* x: false positive rate, y: true positive rate; from (0, 0) to (1, 1), one point a distinct
 * probability (roc_curve without dropping). s is BINARY. With one class only: n 0. Fails: NOMEM. */
GY_CHECKED gy_status gy_roc_curve(const struct gy_scored *s, struct gy_arena *a,
                                  struct gy_curve *ret, struct gy_err *err);
/* x: recall, y: precision; thresholds descending, from (0, 1) on (precision_recall_curve, which
 * goes the other way). Without positives: n 0. Fails: NOMEM. */
GY_CHECKED gy_status gy_pr_curve(const struct gy_scored *s, struct gy_arena *a,
                                 struct gy_curve *ret, struct gy_err *err);
/* At most max of the points, with the first and the last, near evenly by index. */
GY_CHECKED gy_status gy_curve_thin(const struct gy_curve *c, size_t max, struct gy_arena *a,
                                   struct gy_curve *ret, struct gy_err *err);

struct gy_calibration_bin {
    double low, high;          /* of the probability: (low, high], the first one [0, high] */
    size_t n_rows;             /* 0: predicted and observed are NaN */
    double predicted;          /* mean probability */
    struct gy_metric observed; /* share that was class 1, with its interval */
};
struct gy_calibration {
    struct gy_calibration_bin *bins;
    size_t n_bins;
    struct gy_metric ece; /* expected calibration error: mean |observed - predicted| over the rows
                             (Naeini, Cooper and Hauskrecht 2015), equal-width bins */
    size_t n_rows;
};

/* BINARY: of the probability of class 1; MULTICLASS: of the probability of the class that was said,
 * against whether it was right (Guo and others 2017). Fails: INVALID (a regression, n_bins, no
 * rows), NOMEM. */
GY_CHECKED gy_status gy_calibration_of(const struct gy_scored *s, size_t n_bins, size_t replicates,
                                       uint64_t seed, int n_threads, struct gy_arena *a,
                                       struct gy_calibration *ret, struct gy_err *err);

#endif
