/* SPDX-License-Identifier: Apache-2.0 */
/* gy_trees: models as XGBoost writes them, laid out flat for walking. The answer equals
 * libxgboost's bit for bit: float32 comparisons (x < split goes left, NaN goes the default way),
 * leaves added in tree order in float32, the same output function in float32. Nodes of two children
 * are neighbours, so a step is one load, one comparison and one add, without a branch; one row
 * walks 8 trees at once, several rows walk one tree at once, to hide the latency of those loads.
 * Three kinds of booster: gbtree, dart (the weight of a tree is multiplied into its leaves, as
 * libxgboost does in float32) and gblinear (weights instead of trees). A model with categorical
 * splits takes a walk of its own: a feature of categories holds the code of one (0, 1, ..., cut to
 * a whole number); a code outside a split's set, also a negative or huge one, goes left.
 * Immutable after loading (and gy_trees_cut); any number of threads. */
#ifndef GY_LEARN_RUNTIME_TREES_H
#define GY_LEARN_RUNTIME_TREES_H

#include "learn/runtime/runtime.h"

/* Limits of a model file that is loaded to be served. */
#define GY_TREES_MAX_TREES 100000
#define GY_TREES_MAX_NODES ((size_t)64 << 20) /* over all trees, 1 GiB in memory */
#define GY_TREES_MAX_DEPTH 512
#define GY_TREES_MAX_CLASSES 1000
#define GY_TREES_MAX_FEATURES (1 << 20)
#define GY_TREES_MAX_CATEGORY (1 << 24)           /* codes below, as in XGBoost */
#define GY_TREES_MAX_SET_WORDS ((size_t)16 << 20) /* sets of categories of all splits, 64 MiB */

enum gy_trees_output {
    GY_TREES_IDENTITY, /* reg:squarederror and its kin, rank:*, binary:logitraw */
    GY_TREES_SIGMOID,  /* binary:logistic, reg:logistic */
    GY_TREES_EXP,      /* count:poisson, reg:gamma, reg:tweedie, survival:cox, survival:aft */
    GY_TREES_SOFTMAX,  /* multi:softprob; multi:softmax, whose answer is the largest of these */
    GY_TREES_STEP      /* binary:hinge: 1 for a margin above 0, else 0 */
};

struct gy_trees;

struct gy_trees_info {
    enum gy_trees_output output;
    char objective[64];
    size_t n_features;
    size_t n_outputs; /* values a row: classes for multi:*, else 1 */
    size_t n_trees, n_nodes;
    size_t round_trees; /* trees a round of boosting: classes x num_parallel_tree; gblinear: 0 */
    bool linear;        /* gblinear: no trees */
    bool categorical;   /* a split has a set of categories */
    int64_t best_iteration; /* of a training that stopped early; -1 */
    int version[3];         /* of the XGBoost that wrote it; 0 when not said */
    /* XGBoost >= 3.1 writes base_score as a list, which libxgboost 1.7 ignores without a word: a
     * reference then has to be given the margins (gy_trees_base_margin). */
    bool base_score_list;
};

/* What the file says about a feature. Strings live as long as the trees. */
struct gy_trees_feature {
    struct gy_str name; /* absent when the file has none */
    bool categorical;   /* by the file's feature types or by a split */
    /* The texts of categories 0, 1, ...: written by XGBoost >= 3.1 that was trained on a table with
     * categories of text (numbers as categories are given as they are printed). n 0: not said. */
    const struct gy_str *categories;
    size_t n_categories;
    bool numbers; /* the categories are numbers: 10, 20, ... */
};

/* Read an XGBoost JSON or UBJSON model. Fails: NOTSERVABLE (another booster or objective, several
 * targets, vector leaves: with the reason), CORRUPT, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_trees_parse(struct gy_str bytes, struct gy_trees **ret, struct gy_err *err);
GY_CHECKED gy_status gy_trees_load(const char *path, struct gy_trees **ret, struct gy_err *err);
const struct gy_trees_info *gy_trees_get_info(const struct gy_trees *t);
/* i < n_features. */
const struct gy_trees_feature *gy_trees_get_feature(const struct gy_trees *t, size_t i);
/* Answer with the first `rounds` rounds of boosting only, as XGBoost's scikit-learn classes do
 * after a training that stopped early (best_iteration + 1). Nothing happens when there are no more.
 * To be called before the trees are shared. */
void gy_trees_cut(struct gy_trees *t, size_t rounds);
void gy_trees_free(struct gy_trees *t);
GY_DEFINE_AUTO(struct gy_trees *, gy_trees_free);

/* The margins before and the answers after the output function. x: n_rows x n_features; out: n_rows
 * x n_outputs. No allocation, no failure. */
void gy_trees_run(const struct gy_trees *t, const float *x, size_t n_rows, bool margin, float *out);

/* Where the sum of each output starts; n_outputs values, live as long as t. */
const float *gy_trees_base_margin(const struct gy_trees *t);

extern const struct gy_runtime_ops gy_trees_ops; /* self = struct gy_trees */

#endif
