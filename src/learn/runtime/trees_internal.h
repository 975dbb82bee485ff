/* SPDX-License-Identifier: Apache-2.0 */
/* The flat layout, shared by the reader (trees_read.c) and the walker (trees.c). */
#ifndef GY_LEARN_RUNTIME_TREES_INTERNAL_H
#define GY_LEARN_RUNTIME_TREES_INTERNAL_H

#include "base/arena.h"
#include "learn/runtime/trees.h"

#define GY_TREES_LANES 8 /* trees of one row, or rows of one tree, that walk together */

/* 16 bytes. The children are nodes[child] (left) and nodes[child + 1]. A leaf is its own left child
 * and its split is NaN: no comparison with NaN holds, so every further step stays on it. */
struct gy_tree_node {
    float split;
    uint32_t
        feature; /* the high bit: a split by categories, of which `set` tells those to the right */
    uint32_t child; /* the high bit: NaN goes right */
    union {
        float leaf;
        uint32_t set; /* sets[set] words of bits follow at sets[set + 1] */
    };
};
#define GY_TREE_NAN_RIGHT 0x80000000u
#define GY_TREE_CATEGORICAL 0x80000000u

struct gy_trees {
    struct gy_trees_info info;
    float *base_margin; /* n_outputs */
    size_t n_padded;    /* n_trees rounded up to lanes; the roots beyond are a lone leaf */
    uint32_t *roots;    /* n_padded */
    uint32_t *groups;   /* class a tree adds to, n_padded */
    uint16_t *depths;   /* steps that reach every leaf, n_padded */
    struct gy_tree_node *nodes;
    float *covers; /* by node: the training rows (hessians) that passed it; for contributions */
    size_t cap_nodes;
    bool no_covers; /* the file of some tree does not say them */
    uint32_t *sets; /* n_sets words */
    size_t n_sets, cap_sets;
    float *weights; /* gblinear: (n_features + 1) x n_outputs, the last row is the bias */
    struct gy_trees_feature *features; /* n_features; what they point to is in the arena */
    struct gy_arena arena;
};

/* Where a row goes from node `at`; at itself when that is a leaf. */
uint32_t gy_trees_next(const struct gy_trees *t, uint32_t at, const float *x);
/* trees_shap.c: runtime.h's explain. */
GY_CHECKED gy_status gy_trees_explain(const void *self, const double *x, size_t n_rows,
                                      const double *means, double *out, struct gy_err *err);

/* ---- the reader's parts ---- */

struct gy_ubj;

gy_status gy_trees_corrupt(struct gy_err *err, const char *what);
/* XGBoost keeps its numbers as strings ("num_class": "0"). */
GY_CHECKED gy_status gy_trees_param(const struct gy_ubj *o, const char *key, int64_t absent,
                                    int64_t *ret, struct gy_err *err);
/* trees_node.c: the trees of a booster's "model". weights: of dart, one a tree; NULL: all 1. */
GY_CHECKED gy_status gy_trees_read_trees(const struct gy_ubj *model, const struct gy_ubj *weights,
                                         struct gy_trees *t, struct gy_err *err);
/* When all are read: the room that was left for more. */
void gy_trees_trim(struct gy_trees *t);
/* trees_feature.c: names, types and categories, where the file has them. */
GY_CHECKED gy_status gy_trees_read_features(const struct gy_ubj *learner,
                                            const struct gy_ubj *model, struct gy_trees *t,
                                            struct gy_err *err);

#endif
