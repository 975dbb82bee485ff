/* SPDX-License-Identifier: Apache-2.0 */
/* gy_evaluate: how good a package is on rows of a table, overall and per slice. What training
 * reports and what the gate compares candidate and champion by: both on the same rows, which are
 * the held-out rows of the CANDIDATE (gy_eval_rows with the candidate's model). Rows a model was
 * trained on are refused unless asked for, and the result then says so. */
#ifndef GY_LEARN_EVALUATE_H
#define GY_LEARN_EVALUATE_H

#include "learn/metrics.h"
#include "learn/model.h"
#include "learn/table.h"

#define GY_EVAL_MAX_SLICES 64

struct gy_eval_group {
    struct gy_str slice; /* its expression; absent: all rows */
    struct gy_metrics metrics;
    bool empty; /* no row is in it: n_rows 0, no metrics */
};

struct gy_eval {
    struct gy_arena arena;
    enum gy_task task;
    char digest[GY_SHA256_HEX];      /* of the package; "" when none was written yet */
    char data_sha256[GY_SHA256_HEX]; /* of the table's file */
    size_t n_rows;
    size_t n_unlabelled; /* rows without a label, left out */
    size_t
        n_trained_on; /* of n_rows: rows that this model's own split puts into its training. On
                         another table than it was trained on that is a possibility, not a fact */
    bool same_data;   /* the model was trained on this very table */
    struct gy_eval_group *groups; /* groups[0]: all rows; then the slices in the order given */
    size_t n_groups;
};

struct gy_eval_options {
    const struct gy_str *slices; /* rule expressions (base/expr.h) over the table's columns */
    size_t n_slices;
    size_t replicates; /* GY_METRICS_REPLICATES; 0: no intervals */
    uint64_t seed;
    int n_threads;
};

enum gy_eval_which {
    GY_EVAL_HELD_OUT, /* what the model's split holds out */
    GY_EVAL_TRAINING, /* the rest: flatters, and is marked by n_trained_on */
    GY_EVAL_ALL
};

/* The rows of t that are to be evaluated on, ascending; *ret_rows by gy_eval_rows_free. Fails:
 * INVALID (the model says no split), NOMEM. */
GY_CHECKED gy_status gy_eval_rows(const struct gy_model *m, const struct gy_table *t,
                                  enum gy_eval_which which, uint32_t **ret_rows, size_t *ret_n,
                                  struct gy_err *err);

void gy_eval_rows_free(uint32_t *rows);

/* ret is initialised here; gy_eval_done frees. Fails: NOTFOUND (a column), INVALID (a slice, a
 * label the model does not know, no labelled row), NOMEM. */
GY_CHECKED gy_status gy_evaluate(const struct gy_predictor *p, const struct gy_table *t,
                                 const uint32_t *rows, size_t n_rows,
                                 const struct gy_eval_options *o, struct gy_eval *ret,
                                 struct gy_err *err);
void gy_eval_done(struct gy_eval *e);
GY_DEFINE_AUTO_DONE(struct gy_eval, gy_eval_done);

/* The package in `dir` on the held-out rows of `split_of` (NULL: its own). */
GY_CHECKED gy_status gy_evaluate_package(const char *dir, const struct gy_model *split_of,
                                         const struct gy_table *t, const struct gy_eval_options *o,
                                         struct gy_eval *ret, struct gy_err *err);

/* groups[i].metrics by name; NULL when the group or the metric is not there. slice absent: all. */
const struct gy_metric *gy_eval_metric(const struct gy_eval *e, struct gy_str slice,
                                       struct gy_str name);

/* The model of a loaded predictor. */
const struct gy_model *gy_predictor_model(const struct gy_predictor *p);
/* Predict rows of a table with a loaded package: out has n_rows x n_outputs values. Fails:
 * NOTFOUND, INVALID, NOMEM. */
GY_CHECKED gy_status gy_predict_table(const struct gy_predictor *p, const struct gy_table *t,
                                      const uint32_t *rows, size_t n_rows, double *out,
                                      struct gy_err *err);

/* {"rows":..,"metrics":{name:{value,low,high}},"confusion":{..},"slices":[..]} as members of an
 * open object. */
void gy_eval_write(struct gy_jw *w, const struct gy_eval *e);
void gy_metrics_write(struct gy_jw *w, const struct gy_metrics *m, enum gy_task task);

#endif
