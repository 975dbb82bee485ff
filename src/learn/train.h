/* SPDX-License-Identifier: Apache-2.0 */
/* gy_train: a table in, a package folder out, measured on rows the model has not seen. The feature
 * steps and the learner are fitted on the training rows alone; the numbers come from loading the
 * written package and predicting the held-out rows with it, through the code that serves. Beside
 * them stand those of the majority baseline on the same rows. Equal data, params and seed give
 * equal model.json and model.ubj at any number of threads. */
#ifndef GY_LEARN_TRAIN_H
#define GY_LEARN_TRAIN_H

#include "learn/evaluate.h"
#include "learn/holdout.h"
#include "learn/learner.h"
#include "learn/model.h"
#include "learn/pictures.h"
#include "learn/row_filter.h"
#include "learn/smote.h"
#include "learn/table.h"
#include "learn/threshold.h"

#define GY_TRAIN_MAX_THREADS 256
#define GY_TRAIN_MAX_HISTORY 1000000 /* measures of rounds that are kept */

struct gy_yaml;
struct gy_yaml_node;

struct gy_class_weight {
    struct gy_str label;
    double weight;
};

/* What the numbers of a training were measured on. */
enum gy_measured_on {
    GY_MEASURED_HELD_OUT,
    GY_MEASURED_FOLDS,   /* each row by a model that had not seen it (k-fold) */
    GY_MEASURED_TRAINING /* on rows trained on: flatters; only when asked for */
};
const char *gy_measured_name(
    enum gy_measured_on on); /* "held_out", "cross_validation", "training" */

struct gy_train_params {
    struct gy_arena arena;
    enum gy_learner learner;
    bool learner_fixed; /* the command line said it: `train.learner` of a file does not count */
    bool has_task;      /* else told from the labels */
    bool has_steps;     /* `steps` were listed */
    bool has_image;     /* images are inputs */
    enum gy_task task;
    uint16_t image_width, image_height;
    uint8_t image_channels;
    bool on_training; /* measure on the rows trained on */
    bool balanced;    /* classes weigh the same, however many rows each has */
    bool has_smote;
    int n_threads; /* 1 */
    struct gy_str target;
    struct gy_str *features; /* NULL: every numeric column that is neither target nor id */
    size_t n_features;
    struct gy_str *categorical; /* columns of whole numbers that name things */
    size_t n_categorical;
    struct gy_str image_column; /* the one that names their files; absent: as the schema says */
    /* Feature steps: `steps` as they are listed; else what `impute` and `scale` say, else what the
     * learner usually gets (median and z-score when it needs complete rows, nothing otherwise). */
    struct gy_step_plan *steps;
    size_t n_steps;
    struct gy_str impute; /* "median", "zero", a number, ...; absent: not said */
    struct gy_str scale;  /* "zscore", "none"; absent: not said */
    double threshold;     /* BINARY; 0.5 */
    /* BINARY: how the threshold is chosen, on rows of training that a model has not seen; FIXED: it
     * is the one above. */
    struct gy_threshold_rule threshold_rule;
    struct gy_settings settings;   /* of the learner */
    uint64_t seed;                 /* 0 */
    double holdout;                /* 1/3 */
    struct gy_holdout split;       /* by, column and folds; seed and share are the two above */
    struct gy_row_filter *filters; /* of the rows trained on */
    size_t n_filters;
    struct gy_str weight; /* a column: how much each row counts in training; absent: all the same */
    struct gy_class_weight *class_weights;
    size_t n_class_weights;
    struct gy_smote smote;
    size_t replicates; /* GY_METRICS_REPLICATES */
    struct gy_str *slices;
    size_t n_slices;
    void (*on_round)(void *ctx, int64_t done); /* after each of gy_train_rounds; MAY be NULL */
    void *on_round_ctx;
};

/* Defaults. */
void gy_train_params_init(struct gy_train_params *p);
void gy_train_params_done(struct gy_train_params *p);
GY_DEFINE_AUTO_DONE(struct gy_train_params, gy_train_params_done);
/* Take seed, holdout and `train:` of a params.yaml (its other top-level keys are not ours). With
 * `train.learner` absent the learner stays; impute, scale and steps stand under `train` or, for one
 * learner, under `train.<learner>`, beside that learner's settings (its table says which). Fails:
 * INVALID with name:line for unknown keys and values. */
GY_CHECKED gy_status gy_train_params_read(struct gy_train_params *p, const struct gy_yaml *y,
                                          struct gy_err *err);

/* Rounds of the fit, for a progress bar; 0: it has none. */
int64_t gy_train_rounds(const struct gy_train_params *p);
/* The learner, with none of its settings said. */
void gy_train_set_learner(struct gy_train_params *p, enum gy_learner learner);
/* The feature steps in force, at most two made of impute and scale; plans live in the arena. Fails:
 * INVALID, NOMEM. */
GY_CHECKED gy_status gy_train_steps(const struct gy_train_params *p, struct gy_arena *a,
                                    const struct gy_step_plan **ret, size_t *ret_n,
                                    struct gy_err *err);

/* A metric of one round of the fit: "val_loss" 0.31 after round 7. */
struct gy_measure {
    const char *name; /* static */
    int64_t step;
    double value;
};
#define GY_TRAIN_MAX_WARNINGS 64

struct gy_trained {
    struct gy_model model;
    enum gy_measured_on on;
    struct gy_eval eval;     /* on the held-out rows, or as `on` says */
    struct gy_eval baseline; /* the majority baseline there; n_groups 0 for the majority learner */
    struct gy_threshold threshold; /* by a rule: what it did where it was chosen; n_rows 0: fixed */
    size_t rows_read;              /* of the training side, before the filters */
    const struct gy_row_filtered *filtered; /* what each row filter left; in the model's arena */
    size_t n_filtered;
    struct gy_measure *history; /* what the learner told round by round, in order */
    size_t n_history, cap_history;
    /* What a person should know of the columns before believing the numbers: sentences. */
    struct gy_str warnings[GY_TRAIN_MAX_WARNINGS];
    size_t n_warnings;
    struct gy_pictures pictures; /* of eval; they go to the run, not into the package */
    double seconds;
};

/* Train and write model.json, model.ubj (xgboost), input_example.json, profile.json, metrics.json
 * and card.json into dir (made; what stood there under these names is replaced). gy_package_seal
 * then makes it a package. ret is initialised here; gy_trained_done frees. Fails: NOTFOUND (target,
 * feature), INVALID (labels, parameters, no rows on one side;
 * nothing held out and not asked to measure on training rows), MISSINGDEP (libxgboost), NOMEM, and
 * as files do. */
GY_CHECKED gy_status gy_train(const struct gy_table *t, const struct gy_train_params *p,
                              const char *dir, struct gy_trained *ret, struct gy_err *err);
void gy_trained_done(struct gy_trained *t);
GY_DEFINE_AUTO_DONE(struct gy_trained, gy_trained_done);

#endif
