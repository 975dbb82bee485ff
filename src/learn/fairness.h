/* SPDX-License-Identifier: Apache-2.0 */
/* gy_fairness: whether a binary model treats groups of people alike. For every group of a column
 * (role `protected` of schema.yaml) its selection rate (share said to be class 1), true and false
 * positive rate and precision; over the groups their distances:
 *
 *   disparate_impact               smallest / largest selection rate; the four-fifths rule of the
 *                                  EEOC's Uniform Guidelines (1978) asks for 0.8
 *   equal_opportunity_difference   largest - smallest true positive rate (Hardt, Price, Srebro
 * 2016) predictive_equality_difference the same of the false positive rates
 *   predictive_parity_difference   the same of the precisions (Chouldechova 2017)
 *
 * each with its bootstrap interval. No number here proves that a model is fair, and with unequal
 * base rates not all of them can be good at once (Kleinberg and others 2017): people judge. Groups
 * of fewer than GY_FAIRNESS_MIN_ROWS rows are told, but do not count in the distances: a rate of a
 * handful of rows is mostly chance. Rows without a value are counted apart. Pure; thread safe. */
#ifndef GY_LEARN_FAIRNESS_H
#define GY_LEARN_FAIRNESS_H

#include "learn/bootstrap.h"
#include "learn/metrics.h"
#include "learn/table.h"

#define GY_FAIRNESS_MAX_GROUPS 50
#define GY_FAIRNESS_MAX_COLUMNS 16
#define GY_FAIRNESS_MIN_ROWS 20
#define GY_FAIRNESS_FOUR_FIFTHS 0.8

struct gy_arena;

/* Groups of a text column are its values. A numeric one has those of its edges, else of its values
 * when there are at most 10, else of its quartiles over the rows. */
struct gy_fairness_spec {
    struct gy_str column;
    const double *edges; /* ascending, finite: (-inf, e0), [e0, e1), ... */
    size_t n_edges;      /* 0: told from the values; at most GY_FAIRNESS_MAX_GROUPS - 1 */
};

struct gy_fairness_group {
    struct gy_str name; /* "female", "< 30", "30 to 50", ">= 50" */
    size_t n_rows;
    bool counted; /* in the distances */
    struct gy_metric selection_rate, tpr, fpr, precision;
};

struct gy_fairness {
    struct gy_str column;
    struct gy_fairness_group *groups; /* texts bytewise, numbers ascending */
    size_t n_groups;
    size_t n_missing; /* rows without a value */
    struct gy_metric disparate_impact, equal_opportunity, predictive_equality, predictive_parity;
    struct gy_str reason; /* why it is not told (n_groups 0); absent: it is */
    bool four_fifths;     /* disparate_impact >= 0.8; false too when it can not be told */
};

/* rows: the table's row of each scored row. Strings and groups live in the arena. Fails: NOTFOUND
 * (the column), INVALID (no binary task, edges that do not ascend, too many groups), NOMEM. */
GY_CHECKED gy_status gy_fairness_of(const struct gy_table *t, const struct gy_fairness_spec *spec,
                                    const uint32_t *rows, const struct gy_scored *s,
                                    const struct gy_bootstrap_options *o, struct gy_arena *a,
                                    struct gy_fairness *ret, struct gy_err *err);

/* An object with the above as members. */
struct gy_jw;
void gy_fairness_write(struct gy_jw *w, const struct gy_fairness *f);

#endif
