/* SPDX-License-Identifier: Apache-2.0 */
/* gy_search: which learner and which settings suit a table? A baseline, then a portfolio of
 * learners and settings that do well on many tables, then settings that a model of the trials so
 * far proposes (space.h: TPE), each measured on rows of the TRAINING side of the split: every row
 * once by cross-validation when there are few, one validation part when there are many, divided as
 * the params divide (by id, by group, by time). The held-out rows are not looked at; whoever refits
 * the best trial measures it there, once.
 *
 * Boosters are stopped by successive halving (Li et al., "A System for Massively Parallel
 * Hyperparameter Tuning", MLSys 2020: ASHA, eta 3). The resource is rounds x learning rate, so that
 * a slow learner is not judged before it has moved: 3, 9, 27 and 81, which are 30, 90, 270 and 810
 * rounds at 0.1. A booster that goes on is continued: no round is computed twice. The trials of a
 * batch of 8 are proposed together and judged together, rung by rung, beside all that came before;
 * so equal table, params and number of trials give equal trials at any number of threads and of
 * processes; with a budget in seconds how many there are depends on the machine.
 *
 * A search ends by its budget, or when the last `patience` trials have improved nothing by more
 * than half the width of the 95 % interval of the best: what is left to gain is then smaller than
 * what can be told on these rows. Not thread safe; one owner. Lifecycle: gy_search ->
 * gy_trial_params -> gy_search_done. */
#ifndef GY_LEARN_SEARCH_H
#define GY_LEARN_SEARCH_H

#include "learn/train.h"

#define GY_SEARCH_MAX_TRIALS 1000
#define GY_SEARCH_MAX_ROWS 40000 /* searched on; of a larger table a sample chosen by hash */
#define GY_SEARCH_REPLICATES 200 /* of the intervals of a trial */
#define GY_TRIAL_MAX_SETTINGS 12
#define GY_SEARCH_RUNGS 4
#define GY_SEARCH_BATCH 8
#define GY_TRIAL_KEY 65

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
    bool found;        /* by its key among the runs of an earlier search: not run again */
    bool begun, whole; /* measured at all; there are no rounds left that are worth it */
    size_t n_rungs;    /* it was measured to the end of so many */
    double rungs[GY_SEARCH_RUNGS], losses[GY_SEARCH_RUNGS]; /* best score at their ends; its loss */
    char key[GY_TRIAL_KEY];    /* digest of the search's key and of what is tried */
    char error[256];           /* !ok: why */
    struct gy_metrics metrics; /* on the validated rows, with intervals */
    double score;              /* metrics' value of gy_search.metric; NaN when !ok */
    double loss;               /* log loss or rmse there; NaN when !ok */
    double seconds;            /* in all its pieces */
    double predict_us;         /* one row, by the model of the first fold */
    int64_t model_bytes;       /* of that model */
    /* BINARY: the probability from which on it should say class 1 so that f1 is largest on the
     * validated rows, and f1 there and at 0.5. */
    double threshold, threshold_f1, half_f1;
};

struct gy_search {
    struct gy_arena arena;
    enum gy_task task;
    struct gy_str *classes;
    double *class_rows; /* training rows of each class */
    size_t n_classes, n_inputs;
    bool positive;      /* REGRESSION: no validated value is below 0 */
    const char *metric; /* auc, f1_macro or rmse, or the one asked for */
    bool lower_is_better;
    size_t n_folds;                         /* 1: one validation part */
    size_t n_training, n_rows, n_validated; /* rows: labelled training ones, searched on, scored */
    struct gy_trial baseline;
    struct gy_trial *trials;
    size_t n_trials;                         /* with those of the batch that is under way */
    size_t n_ended;                          /* for a progress bar */
    const struct gy_trial *best;             /* NULL: none succeeded */
    double threshold, threshold_f1, half_f1; /* of the best trial */
    const char *why_ended;                   /* a sentence without its dot */
    char key[GY_TRIAL_KEY]; /* digest of rows, params, seed and folds: what the results depend on */
    double seconds;
};

/* Who measures. in: trials of one batch; each is brought to the end of the rung (GY_SEARCH_RUNGS:
 * its numbers are made and what it holds is freed). done is called for each when it is there. A
 * trial that the deadline (gy_mono_ns; 0: none) keeps from beginning stays !begun. Fails: what
 * would fail every trial. */
struct gy_search_runner {
    gy_status (*run)(void *ctx, struct gy_trial *const *in, size_t n, size_t rung,
                     int64_t deadline_ns, void (*done)(void *done_ctx, struct gy_trial *t),
                     void *done_ctx, struct gy_err *err);
    void *ctx;
};

struct gy_search_options {
    double budget_s;    /* no trial begins after it; 0: no such bound */
    size_t max_trials;  /* 0: no such bound. At least one bound is needed */
    size_t patience;    /* ends after so many trials without a plainly better one; 0: never */
    const char *metric; /* what is made best; NULL: the usual one of the task */
    const enum gy_learner *only; /* these learners alone; MAY be NULL */
    size_t n_only;
    bool
        prefer_simple; /* best: the simplest of those within one standard error of the best score */
    const struct gy_search_runner *runner; /* NULL: this process */
    /* A trial of this key that an earlier search finished: fill t as it ended. MAY be NULL. */
    bool (*recall)(void *ctx, struct gy_trial *t);
    size_t max_rows;       /* 0: GY_SEARCH_MAX_ROWS */
    struct gy_str settled; /* what else the results depend on (the text of params.yaml): for keys */
    size_t replicates;     /* 0: GY_SEARCH_REPLICATES */
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

/* The numbers of a trial that ended, as members of an open object, and back to the same bits.
 * names: metrics whose names are taken (those of the baseline). Fails: CORRUPT. */
struct gy_jw;
void gy_trial_write(struct gy_jw *w, const struct gy_trial *t);
GY_CHECKED gy_status gy_trial_read(yyjson_val *v, const struct gy_metrics *names,
                                   struct gy_trial *t, struct gy_err *err);
/* By score, then by loss; failed ones last, then by number. */
bool gy_trial_better(const struct gy_search *s, const struct gy_trial *a, const struct gy_trial *b);
/* All of them, best first; n_trials of room. */
void gy_search_sorted(const struct gy_search *s, const struct gy_trial **out);

/* ---- a process that measures for another one ---- */

/* Prepares the same rows as gy_search does with these options. */
struct gy_bench;
GY_CHECKED gy_status gy_bench_open(const struct gy_table *t, const struct gy_train_params *base,
                                   const struct gy_search_options *o, struct gy_search *ret_about,
                                   struct gy_bench **ret, struct gy_err *err);
/* As gy_search_runner.run for one trial; what it keeps of it between rungs goes by t->number. */
GY_CHECKED gy_status gy_bench_run(struct gy_bench *b, struct gy_trial *t, size_t rung,
                                  int64_t deadline_ns, struct gy_err *err);
void gy_bench_free(struct gy_bench *b);

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
