/* SPDX-License-Identifier: Apache-2.0 */
/* gy_performance: how good answers were, from the counts of the join, each number with its 95 %
 * interval; a value without its uncertainty invites wrong choices. Pure; thread safe.
 *
 * Shares (accuracy, precision, recall): Wilson's score interval (Wilson 1927, JASA 22) with the
 * effective number of rows (sum of weights)^2 / sum of squared weights (Kish 1965), since sampled
 * rows count more than once, or with fewer where the weighted share varies more than that says. F1:
 * F* = tp / (tp + fp + fn) is a share of rows and F1 = 2 F* / (1 + F*) grows with it (Hand,
 * Christen and Kirielle 2021, Machine Learning 110), so the ends of F*'s interval are carried over.
 * Means of errors: normal intervals, that of the RMSE by the delta method. Macro F1 has none.
 *
 * What can not be told is NaN: recall without positives, precision without predicted and without
 * actual positives. Precision is 0 when positives exist and none is predicted, as in
 * learn/metrics.h. */
#ifndef GY_WATCH_PERFORMANCE_H
#define GY_WATCH_PERFORMANCE_H

#include "watch/join.h"

struct gy_estimate {
    double value, low, high; /* NaN: can not be told; low and high too where there is no interval */
};
struct gy_performance {
    double rows, effective; /* labelled rows that were judged; what they are worth */
    struct gy_estimate accuracy;
    struct gy_estimate precision, recall, f1; /* BINARY */
    struct gy_estimate macro_f1;              /* MULTICLASS */
    struct gy_estimate mae, rmse, bias;       /* REGRESSION */
};

/* The share part / all. */
struct gy_estimate gy_estimate_share(struct gy_join_cell part, struct gy_join_cell all);
void gy_performance_of(const struct gy_join_counts *c, enum gy_join_by by,
                       struct gy_performance *ret);
/* How many of the predictions are labelled; NaN without predictions. */
double gy_performance_coverage(const struct gy_join_counts *c);

/* Members "predictions" "labelled" "coverage" and "by" of an open object. by: {"rule","model",
 * "combined","shadow"}, each null or {"rows","effective","tp"...,"accuracy":{"value","low","high"},
 * ...}; what can not be told is null. */
void gy_performance_write(struct gy_jw *w, const struct gy_join_counts *c);

/* "15m", "12h", "7d", "4w" before now, or a time with zone, as microseconds. Fails: INVALID. */
GY_CHECKED gy_status gy_performance_since(struct gy_str text, int64_t now_us, int64_t *ret_us,
                                          struct gy_err *err);
/* "15m", "12h", "7d", "4w", "30s" as microseconds. Fails: INVALID. */
GY_CHECKED gy_status gy_performance_span(struct gy_str text, int64_t *ret_us, struct gy_err *err);

#endif
