/* SPDX-License-Identifier: Apache-2.0 */
/* gy_search: which learner and which settings suit a table? A baseline, then a portfolio of
 * settings that do well on many tables, then random ones and neighbours of the best, each measured
 * on rows of the TRAINING side of the split: every row once by cross-validation when there are few,
 * one validation part when there are many. The held-out rows are not looked at; whoever refits the
 * best trial measures it there, once. The rounds of boosting are not part of the settings: a trial
 * is looked at after 10, 20, 30 ... rounds and keeps the best number. Equal table, params and
 * number of trials give equal trials at any number of threads; with a budget in seconds how many
 * there are depends on the machine. Not thread safe; one owner. Lifecycle: gy_search ->
 * gy_search_params -> gy_search_done. */
#ifndef GY_LEARN_SEARCH_H
#define GY_LEARN_SEARCH_H

#include "learn/train.h"

#define GY_SEARCH_MAX_TRIALS 1000
#define GY_SEARCH_MAX_ROWS 40000 /* searched on; of a larger table a sample chosen by hash */
#define GY_SEARCH_REPLICATES 200 /* of the intervals of a trial */
#define GY_TRIAL_MAX_SETTINGS 10

/* A line of `train.<learner>` in params.yaml: depth 6. */
struct gy_trial_setting {
    const char *key;
    char value[24];
};

struct gy_trial {
    size_t number; /* from 1, in the order tried; the baseline is 0 */
    enum gy_learner learner;
    struct gy_trial_setting settings[GY_TRIAL_MAX_SETTINGS];
    size_t n_settings;
    int rounds; /* xgboost: the best number of those looked at; 0 for other learners */
    bool cut;   /* stopped by the budget before its last round */
    bool ok;
    char error[256];           /* !ok: why */
    struct gy_metrics metrics; /* on the validated rows, with intervals */
    double score;              /* metrics' value of gy_search.metric; NaN when !ok */
    double seconds;
};

struct gy_search {
    struct gy_arena arena;
    enum gy_task task;
    struct gy_str *classes;
    double *class_rows; /* training rows of each class */
    size_t n_classes, n_inputs;
    const char *metric; /* auc, f1_macro or rmse */
    bool lower_is_better;
    size_t n_folds;                         /* 1: one validation part */
    size_t n_training, n_rows, n_validated; /* rows: labelled training ones, searched on, scored */
    struct gy_trial baseline;
    struct gy_trial *trials;
    size_t n_trials;
    const struct gy_trial *best; /* NULL: none succeeded */
    /* BINARY: the probability from which on the best trial should say class 1 so that f1 is largest
     * on the validated rows, and f1 there and at 0.5. */
    double threshold, threshold_f1, half_f1;
    double seconds;
};

struct gy_search_options {
    double budget_s;   /* no trial begins after it; 0: no such bound */
    size_t max_trials; /* 0: no such bound. At least one bound is needed */
    size_t patience;   /* ends after so many trials without a better one; 0: never */
    size_t max_rows;   /* 0: GY_SEARCH_MAX_ROWS */
    size_t replicates; /* 0: GY_SEARCH_REPLICATES */
    /* Tried instead of the portfolio; neither `number` nor results need be set. MAY be NULL. */
    const struct gy_trial *portfolio;
    size_t n_portfolio;
    /* After the baseline and after each trial, failed ones too. A failure ends the search. MAY be
     * NULL. */
    gy_status (*on_trial)(void *ctx, const struct gy_search *s, const struct gy_trial *t,
                          struct gy_err *err);
    /* Often: part of the running trial that is done. MAY be NULL. */
    void (*on_progress)(void *ctx, const struct gy_search *s, double part_of_trial);
    void *ctx;
};

/* base: target, features, task, seed, holdout, threads; learner and its settings are what is
 * searched. A trial that fails is kept as failed. ret is initialised here; gy_search_done frees.
 * Fails: INVALID (labels; too few rows on one side; no bound), NOTFOUND (a column), MISSINGDEP, as
 * on_trial does. */
GY_CHECKED gy_status gy_search(const struct gy_table *t, const struct gy_train_params *base,
                               const struct gy_search_options *o, struct gy_search *ret,
                               struct gy_err *err);
void gy_search_done(struct gy_search *s);
GY_DEFINE_AUTO_DONE(struct gy_search, gy_search_done);

/* "xgboost: depth 6, eta 0.1, rounds 150" */
void gy_trial_text(const struct gy_trial *t, struct gy_buf *out);
/* The lines under `train:` of a params.yaml that make gy_train do what the trial did, each indented
 * by two blanks. */
void gy_trial_yaml(const struct gy_trial *t, struct gy_buf *out);
/* base with the trial's learner and settings; ret is initialised here, gy_train_params_done frees;
 * base must outlive it. Fails: INVALID (a setting that params.yaml would not take), NOMEM. */
GY_CHECKED gy_status gy_trial_params(const struct gy_trial *t, const struct gy_train_params *base,
                                     struct gy_train_params *ret, struct gy_err *err);

#endif
