/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of gy_train: train.c goes through them, columns.c says what the columns are, card.c
 * writes the files that people read. */
#ifndef GY_LEARN_TRAIN_INTERNAL_H
#define GY_LEARN_TRAIN_INTERNAL_H

#include "learn/holdout.h"
#include "learn/train.h"

/* One training in progress; all arrays by gy_free. */
struct gy_train_job {
    const struct gy_table *t;
    const struct gy_train_params *p;
    const char *dir;
    struct gy_trained *ret;
    char *memory;
    double *y;       /* a value a table row */
    bool *held_out;  /* a table row */
    uint32_t *train; /* rows to learn from: labelled ones of the training side, filtered */
    uint32_t *test;  /* rows to measure on */
    uint8_t *fold;   /* KFOLD: of a table row */
    size_t n_train, n_test;
    struct gy_holdout split;
};

/* The keys of `train:` that are about rows: rows, split, evaluate, weight, class_weight, smote. */
GY_CHECKED gy_status gy_train_params_rows(struct gy_train_params *p, const struct gy_yaml *y,
                                          const struct gy_yaml_node *train, struct gy_err *err);

/* Fit `m` (the job's model, one of a fold, or the baseline) to j->train and write model.json and
 * the learner's file into dir. */
GY_CHECKED gy_status gy_train_fit(struct gy_train_job *j, struct gy_model *m, const char *dir,
                                  struct gy_err *err);
/* How much each row of j->train counts: *ret is gy_free'd; NULL: all the same. */
GY_CHECKED gy_status gy_train_weights(const struct gy_train_job *j, const struct gy_model *m,
                                      double **ret, struct gy_err *err);
/* Apply the row filters to j->train. */
GY_CHECKED gy_status gy_train_filter(struct gy_train_job *j, struct gy_row_filtered **ret,
                                     size_t *ret_n, struct gy_err *err);
/* By params' rule, on rows of training that are predicted by models that have not seen them; sets
 * the model's threshold. Fails: INVALID (another task, k-fold: no rows are left to choose on). */
GY_CHECKED gy_status gy_train_threshold(struct gy_train_job *j, struct gy_err *err);
/* What the model of each fold, which did not see them, says to the rows of j->test, in their order;
 * *ret is gy_free'd. */
GY_CHECKED gy_status gy_train_folds(struct gy_train_job *j, double **ret, struct gy_err *err);

/* Fill m->inputs, m->classes and m->task of the columns; y: one value a table row, NaN = no label.
 */
GY_CHECKED gy_status gy_train_columns(const struct gy_table *t, const struct gy_train_params *p,
                                      struct gy_model *m, double *y, struct gy_err *err);

/* The half of it that is about the target. */
GY_CHECKED gy_status gy_train_labels(const struct gy_table *t, const struct gy_train_params *p,
                                     struct gy_model *m, double *y, struct gy_err *err);

/* The vocabularies of the text inputs, of these rows alone. Fails: TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_train_vocabularies(const struct gy_table *t, const uint32_t *rows,
                                           size_t n_rows, struct gy_model *m, struct gy_err *err);
/* Are the fitted steps' outputs what a learner can take? Fails: INVALID with the step to add. */
GY_CHECKED gy_status gy_train_check_features(const struct gy_model *m, struct gy_err *err);
/* Constant and empty inputs, ones that tell the target, times taken as seconds: as ret->warnings.
 * Fails: NOMEM. */
GY_CHECKED gy_status gy_train_warn(const struct gy_table *t, struct gy_trained *ret,
                                   struct gy_err *err);

/* input_example.json: the training row nearest to typical: every input at its median. */
GY_CHECKED gy_status gy_write_example(const struct gy_model *m, const struct gy_table *t,
                                      const uint32_t *rows, size_t n, const char *dir,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_write_metrics(const struct gy_trained *t, const char *dir,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_write_card(const struct gy_trained *t, const char *dir, struct gy_err *err);
/* Draw what was measured into t->pictures; p: the package that was measured. Fails: NOMEM. */
GY_CHECKED gy_status gy_train_pictures(struct gy_trained *t, const struct gy_predictor *p,
                                       const struct gy_table *table, struct gy_err *err);
/* profile.json: the training rows, and what the package in dir answers to the held-out ones. */
struct gy_profile_rows {
    const struct gy_table *t;
    const double *y; /* a value a table row */
    const uint32_t *train, *test;
    size_t n_train, n_test;
};
GY_CHECKED gy_status gy_write_profile(const struct gy_model *m, const struct gy_profile_rows *r,
                                      const char *dir, struct gy_err *err);
/* dir/name */
GY_CHECKED gy_status gy_package_put(const char *dir, const char *name, struct gy_str bytes,
                                    struct gy_err *err);

#endif
