/* SPDX-License-Identifier: Apache-2.0 */
/* Scored rows in the form that a replicate passes over, and the passes (metrics_pass.c). */
#ifndef GY_LEARN_METRICS_INTERNAL_H
#define GY_LEARN_METRICS_INTERNAL_H

#include "learn/metrics.h"

/* An order of rows whose keys tie with the one before has this bit. */
#define GY_ORDER_TIE 0x80000000u
#define GY_ORDER_ROW 0x7fffffffu

struct gy_measure {
    enum gy_task task;
    size_t n, n_classes, n_metrics;
    const char *const *names;
    double power;
    double *loss;  /* BINARY, MULTICLASS: log loss of the row; REGRESSION: prediction - truth */
    double *value; /* BINARY, MULTICLASS: Brier score of the row; REGRESSION: truth less its mean */
    double *extra; /* REGRESSION: deviance of the row */
    double *percent; /* REGRESSION: the row's share of mape */
    double *weight;  /* n; in the order of the rows here */
    double *plain;   /* REGRESSION: truth */
    uint32_t *truth; /* class */
    uint32_t *guess; /* class */
    /* BINARY: the row of the caller at each place: the rows here are sorted by probability, so that
     * nothing has to be sorted in a replicate. */
    uint32_t *rows;
    bool *tie; /* BINARY: the same probability as the place before */
    /* MULTICLASS: n for every class, ascending by its probability (NULL: too many classes);
     * REGRESSION: n by prediction, then n by truth (NULL: a truth is negative). */
    uint32_t *orders;
    bool unit; /* no weights were given */
    char *memory;
};

/* Fails as gy_metrics_compute. gy_measure_done frees. */
GY_CHECKED gy_status gy_measure_init(const struct gy_scored *s, struct gy_measure *m,
                                     struct gy_err *err);
void gy_measure_done(struct gy_measure *m);
GY_DEFINE_AUTO_DONE(struct gy_measure, gy_measure_done);

/* All metrics with these masses (in the order of the rows here). room of gy_measure_room bytes. */
size_t gy_measure_room(const struct gy_measure *m);
void gy_measure_pass(const void *measure, const double *mass, void *room, double *out);

/* GY_METRICS_MAX names of a task. */
const char *const *gy_metric_names(enum gy_task task, size_t *ret_n);
bool gy_metric_lower_is_better(const char *name);

/* precision, recall, f1 of a class by the rules of metrics.h. */
double gy_precision_of(double hits, double guesses, double truths);
double gy_ratio(double a, double b); /* NaN unless b > 0 */

#endif
