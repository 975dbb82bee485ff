/* SPDX-License-Identifier: Apache-2.0 */
/* gy_lightgbm: boosted trees as LightGBM's Booster.save_model writes them (text, version v2 to v4),
 * laid out flat for walking. The answer equals LightGBM's bit for bit: values in double, x <=
 * threshold goes left, the three ways to treat a missing value (none: NaN counts as 0; zero: NaN
 * and 0 go the default way; nan: NaN goes the default way), sets of categories, leaves added in the
 * order of the trees, then the output function of the objective, as lib_lightgbm 4 computes them.
 *
 * A step is free of branches: each feature is prepared three times, once for every way of missing,
 * so that in each of them "missing" is NaN, and a node names the one it needs. Immutable after
 * loading; any number of threads. */
#ifndef GY_LEARN_RUNTIME_LIGHTGBM_H
#define GY_LEARN_RUNTIME_LIGHTGBM_H

#include "learn/runtime/runtime.h"

/* Limits of a model file that is loaded to be served. */
#define GY_LIGHTGBM_MAX_SET_WORDS ((size_t)16 << 20) /* 32 categories each, over all splits */
#define GY_LIGHTGBM_MAX_TREES 100000
#define GY_LIGHTGBM_MAX_NODES ((size_t)32 << 20) /* over all trees, 768 MiB in memory */
#define GY_LIGHTGBM_MAX_DEPTH 4096               /* trees grow leaf by leaf, so they can be deep */
#define GY_LIGHTGBM_MAX_CLASSES 1000
#define GY_LIGHTGBM_MAX_FEATURES (1 << 20)

enum gy_lightgbm_output {
    GY_LIGHTGBM_IDENTITY, /* regression and its kin, lambdarank, rank_xendcg, no objective */
    GY_LIGHTGBM_SQUARE,   /* regression with reg_sqrt: sign(x) x^2 */
    GY_LIGHTGBM_SIGMOID,  /* binary, multiclassova, cross_entropy: 1 / (1 + exp(-sigmoid x)) */
    GY_LIGHTGBM_EXP,      /* poisson, gamma, tweedie */
    GY_LIGHTGBM_SOFTMAX,  /* multiclass */
    GY_LIGHTGBM_LOG1P     /* cross_entropy_lambda: log(1 + exp(x)) */
};

struct gy_lightgbm;

struct gy_lightgbm_info {
    enum gy_lightgbm_output output;
    char objective[64]; /* its name alone; "" when the file has none */
    double sigmoid;
    size_t n_features;
    size_t n_outputs; /* values a row: the classes, else 1 */
    size_t n_trees, n_nodes;
    bool average;     /* a random forest: the sum is divided by the number of rounds */
    bool categorical; /* a split has a set of categories */
};

struct gy_lightgbm_feature {
    struct gy_str name;
    bool categorical;
    /* The texts of categories 0, 1, ..., of a model that was trained on pandas categories. n 0: not
     * said, then a value is the code itself. */
    const struct gy_str *categories;
    size_t n_categories;
    bool numbers; /* the categories are numbers: 10, 20, ... */
};

/* Read a model. Fails: NOTSERVABLE (linear trees, another objective or version: with the reason),
 * CORRUPT, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_lightgbm_parse(struct gy_str text, struct gy_lightgbm **ret,
                                       struct gy_err *err);
const struct gy_lightgbm_info *gy_lightgbm_get_info(const struct gy_lightgbm *m);
/* i < n_features; lives as long as m. */
const struct gy_lightgbm_feature *gy_lightgbm_get_feature(const struct gy_lightgbm *m, size_t i);
void gy_lightgbm_free(struct gy_lightgbm *m);
GY_DEFINE_AUTO(struct gy_lightgbm *, gy_lightgbm_free);

/* Bytes of scratch for n_rows <= GY_RUNTIME_BLOCK rows. */
size_t gy_lightgbm_scratch(const struct gy_lightgbm *m, size_t n_rows);
/* The sums of leaves (raw) or the answers. x: n_rows x n_features, n_rows <= GY_RUNTIME_BLOCK; out:
 * n_rows x n_outputs. No allocation, no failure. */
void gy_lightgbm_run(const struct gy_lightgbm *m, const double *x, size_t n_rows, bool raw,
                     double *out, void *scratch);

extern const struct gy_runtime_ops gy_lightgbm_ops; /* self = struct gy_lightgbm */

#endif
