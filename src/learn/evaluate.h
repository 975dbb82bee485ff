/* SPDX-License-Identifier: Apache-2.0 */
/* gy_evaluate: how good a package is on rows of a table, overall and per slice. What training
 * reports and what the gate compares candidate and champion by: both on the same rows, which are
 * the held-out rows of the CANDIDATE (gy_eval_rows with the candidate's model). Rows a model was
 * trained on are refused unless asked for, and the result then says so. */
#ifndef GY_LEARN_EVALUATE_H
#define GY_LEARN_EVALUATE_H

#include "learn/curves.h"
#include "learn/fairness.h"
#include "learn/metrics.h"
#include "learn/model.h"
#include "learn/table.h"

#define GY_EVAL_MAX_SLICES 64
#define GY_EVAL_BINS 10 /* of the calibration */

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
    /* with options.details */
    const struct gy_str *labels; /* by class index; REGRESSION: none */
    size_t n_labels;
    double threshold;   /* BINARY */
    int64_t *confusion; /* n_labels x n_labels rows, [truth][said]; NULL: regression */
    struct gy_class_metrics *classes;  /* MULTICLASS: n_labels; else NULL */
    struct gy_calibration calibration; /* n_bins 0: regression */
    struct gy_fairness *fairness;      /* of BINARY, one a column that was asked for */
    size_t n_fairness;
    struct gy_str weight; /* the column that rows were weighted by; absent: none */
    /* with options.keep: the labelled rows, as they were measured */
    struct gy_scored scored;
    uint32_t *rows; /* of the table */
    void *kept;     /* their memory */
};

struct gy_eval_options {
    const struct gy_str *slices; /* rule expressions (base/expr.h) over the table's columns */
    size_t n_slices;
    size_t replicates; /* GY_METRICS_REPLICATES; 0: no intervals */
    uint64_t seed;
    int n_threads;
    bool details; /* classes, confusion matrix, calibration and fairness, too, of all rows */
    bool keep;    /* leave the scored rows in the result: for pictures and explanations */
    struct gy_str weight;  /* a numeric column: how much a row counts; absent: all the same */
    double threshold;      /* BINARY; 0: the model's */
    double deviance_power; /* REGRESSION; 0: the model's (gy_model_deviance), else normal */
    /* Columns to tell fairness of, besides the protected ones of the table's schema. */
    const struct gy_fairness_spec *fairness;
    size_t n_fairness;
    const double
        *given; /* n_rows x n_outputs: predicted already (k-fold); NULL: by the predictor */
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

/* Predictions of any origin, which stand in the table beside the truth. */
struct gy_eval_columns {
    struct gy_str target;
    enum gy_task task;
    /* BINARY: one column, the probability of classes[1]; MULTICLASS: one a class; REGRESSION: one,
     * the value. */
    const struct gy_str *predicted;
    size_t n_predicted;
    const struct gy_str *classes; /* labels by index; REGRESSION: none */
    size_t n_classes;
    double threshold; /* BINARY */
};
/* All rows of the table that have a truth. ret as by gy_evaluate, with n_trained_on 0: nothing is
 * known of that. Fails: NOTFOUND (a column), INVALID (a label that is no class, a prediction that
 * is missing or no probability), and as gy_evaluate. */
GY_CHECKED gy_status gy_evaluate_columns(const struct gy_table *t, const struct gy_eval_columns *c,
                                         const struct gy_eval_options *o, struct gy_eval *ret,
                                         struct gy_err *err);

/* The package in `dir` on the held-out rows of `split_of` (NULL: its own). */
GY_CHECKED gy_status gy_evaluate_package(const char *dir, const struct gy_model *split_of,
                                         const struct gy_table *t, const struct gy_eval_options *o,
                                         struct gy_eval *ret, struct gy_err *err);

/* groups[i].metrics by name; NULL when the group or the metric is not there. slice absent: all. */
const struct gy_metric *gy_eval_metric(const struct gy_eval *e, struct gy_str slice,
                                       struct gy_str name);

/* The Tweedie power of the deviance that a model made small (params_json of glm and xgboost); 0:
 * normal, or it does not say. */
double gy_model_deviance(const struct gy_model *m);
/* The model of a loaded predictor. */
const struct gy_model *gy_predictor_model(const struct gy_predictor *p);
/* Predict rows of a table with a loaded package: out has n_rows x n_outputs values. Fails:
 * NOTFOUND, INVALID, NOMEM. */
GY_CHECKED gy_status gy_predict_table(const struct gy_predictor *p, const struct gy_table *t,
                                      const uint32_t *rows, size_t n_rows, double *out,
                                      struct gy_err *err);

/* {"rows":..,"metrics":{name:{value,low,high}},"confusion":{..},"slices":[..]} as members of an
 * open object; what options.details and weight add: "weight", "classes", "confusion_matrix",
 * "calibration", "fairness". */
void gy_eval_write(struct gy_jw *w, const struct gy_eval *e);
/* What options.details adds, as members of an open object. */
void gy_eval_write_details(struct gy_jw *w, const struct gy_eval *e);
void gy_metrics_write(struct gy_jw *w, const struct gy_metrics *m, enum gy_task task);
/* "name": {"value","low","high"}; null where not defined. */
void gy_metric_write(struct gy_jw *w, const struct gy_metric *m);
/* {name: {"a","b","difference","low","high","better"}} as the value that is due. */
void gy_paired_write(struct gy_jw *w, const struct gy_paired *p);

#endif
