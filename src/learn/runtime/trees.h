/* SPDX-License-Identifier: Apache-2.0 */
/* gy_trees: boosted trees as XGBoost writes them, laid out flat for walking. The answer equals
 * libxgboost's bit for bit: float32 comparisons (x < split goes left, NaN goes the default way),
 * leaves added in tree order in float32, the same output function in float32. Nodes of two children
 * are neighbours, so a step is one load, one comparison and one add, without a branch; one row
 * walks 8 trees at once, several rows walk one tree at once, to hide the latency of those loads.
 * Immutable after loading; any number of threads. */
#ifndef GY_LEARN_RUNTIME_TREES_H
#define GY_LEARN_RUNTIME_TREES_H

#include "learn/runtime/runtime.h"

/* Limits of a model file that is loaded to be served. */
#define GY_TREES_MAX_TREES 100000
#define GY_TREES_MAX_NODES ((size_t)64 << 20) /* over all trees, 1 GiB in memory */
#define GY_TREES_MAX_DEPTH 512
#define GY_TREES_MAX_CLASSES 1000

enum gy_trees_output {
    GY_TREES_IDENTITY, /* reg:squarederror, reg:absoluteerror, reg:pseudohubererror, binary:logitraw
                        */
    GY_TREES_SIGMOID,  /* binary:logistic, reg:logistic */
    GY_TREES_EXP,      /* count:poisson, reg:gamma, reg:tweedie */
    GY_TREES_SOFTMAX   /* multi:softprob */
};

struct gy_trees;

struct gy_trees_info {
    enum gy_trees_output output;
    char objective[64];
    size_t n_features;
    size_t n_outputs; /* values a row: classes for multi:softprob, else 1 */
    size_t n_trees, n_nodes;
    int64_t best_iteration; /* of a training that stopped early; -1 */
    int version[3];         /* of the XGBoost that wrote it; 0 when not said */
    /* XGBoost >= 3.1 writes base_score as a list, which libxgboost 1.7 ignores without a word: a
     * reference then has to be given the margins (gy_trees_base_margin). */
    bool base_score_list;
};

/* Read an XGBoost JSON or UBJSON model. Fails: NOTSERVABLE (dart, gblinear, categorical splits,
 * other objectives, several targets: with the reason), CORRUPT, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_trees_parse(struct gy_str bytes, struct gy_trees **ret, struct gy_err *err);
GY_CHECKED gy_status gy_trees_load(const char *path, struct gy_trees **ret, struct gy_err *err);
const struct gy_trees_info *gy_trees_get_info(const struct gy_trees *t);
void gy_trees_free(struct gy_trees *t);
GY_DEFINE_AUTO(struct gy_trees *, gy_trees_free);

/* The margins before and the answers after the output function. x: n_rows x n_features; out: n_rows
 * x n_outputs. No allocation, no failure. */
void gy_trees_run(const struct gy_trees *t, const float *x, size_t n_rows, bool margin, float *out);

/* Where the sum of each output starts; n_outputs values, live as long as t. */
const float *gy_trees_base_margin(const struct gy_trees *t);

extern const struct gy_runtime_ops gy_trees_ops; /* self = struct gy_trees */

#endif
