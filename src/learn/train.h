/* SPDX-License-Identifier: Apache-2.0 */
/* gy_train: a table in, a package folder out, measured on rows the model has not seen. The feature
 * steps and the learner are fitted on the training rows alone; the numbers come from loading the
 * written package and predicting the held-out rows with it, through the code that serves. Beside
 * them stand those of the majority baseline on the same rows. Equal data, params and seed give
 * equal model.json and model.ubj at any number of threads. */
#ifndef GY_LEARN_TRAIN_H
#define GY_LEARN_TRAIN_H

#include "learn/evaluate.h"
#include "learn/model.h"
#include "learn/table.h"

#define GY_TRAIN_MAX_ROUNDS 10000
#define GY_TRAIN_MAX_PARAMS 32
#define GY_TRAIN_MAX_THREADS 256

struct gy_yaml;
struct gy_yaml_node;

/* One parameter of libxgboost by its own name: {"max_depth", "5"}. */
struct gy_train_param {
    struct gy_str name, value;
};

struct gy_train_params {
    struct gy_arena arena;
    enum gy_learner learner;
    bool learner_fixed; /* the command line said it: `train.learner` of a file does not count */
    bool has_task;      /* else told from the labels */
    enum gy_task task;
    struct gy_str target;
    struct gy_str *features; /* NULL: every numeric column that is neither target nor id */
    size_t n_features;
    bool has_impute; /* else median for logistic, none for xgboost and majority */
    enum gy_impute impute;
    double constant;
    bool has_scale; /* else z-score for logistic, none for xgboost and majority */
    bool scale;
    double threshold; /* BINARY; 0.5 */
    double l2;        /* logistic; 1 */
    int rounds;       /* xgboost; 100 */
    struct gy_train_param xgb[GY_TRAIN_MAX_PARAMS];
    size_t n_xgb;
    uint64_t seed;     /* 0 */
    double holdout;    /* 1/3 */
    int n_threads;     /* 1 */
    size_t replicates; /* GY_METRICS_REPLICATES */
    struct gy_str *slices;
    size_t n_slices;
    void (*on_round)(void *ctx, int64_t done); /* xgboost: after each of `rounds`; MAY be NULL */
    void *on_round_ctx;
};

/* Defaults. */
void gy_train_params_init(struct gy_train_params *p);
void gy_train_params_done(struct gy_train_params *p);
GY_DEFINE_AUTO_DONE(struct gy_train_params, gy_train_params_done);
/* Take seed, holdout and `train:` of a params.yaml (its other top-level keys are not ours). With
 * `train.learner` absent the learner stays; impute and scale stand under `train` or, for one
 * learner, under `train.<learner>`. Keys of `train.xgboost`: rounds, depth, eta, min_child_weight,
 * subsample, colsample, lambda, alpha, gamma, max_bin, scale_pos_weight. Fails: INVALID with
 * name:line for unknown keys and values. */
GY_CHECKED gy_status gy_train_params_read(struct gy_train_params *p, const struct gy_yaml *y,
                                          struct gy_err *err);

struct gy_trained {
    struct gy_model model;
    struct gy_eval eval;     /* on the held-out rows */
    struct gy_eval baseline; /* the majority baseline there; n_groups 0 for the majority learner */
    double seconds;
};

/* Train and write model.json, model.ubj (xgboost), input_example.json, profile.json, metrics.json
 * and card.json into dir (made; what stood there under these names is replaced). gy_package_seal
 * then makes it a package. ret is initialised here; gy_trained_done frees. Fails: NOTFOUND (target,
 * feature), INVALID (labels, parameters, no rows on one side), MISSINGDEP (libxgboost), NOMEM, and
 * as files do. */
GY_CHECKED gy_status gy_train(const struct gy_table *t, const struct gy_train_params *p,
                              const char *dir, struct gy_trained *ret, struct gy_err *err);
void gy_trained_done(struct gy_trained *t);
GY_DEFINE_AUTO_DONE(struct gy_trained, gy_trained_done);

#endif
