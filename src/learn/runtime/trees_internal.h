/* SPDX-License-Identifier: Apache-2.0 */
/* The flat layout, shared by the reader (trees_read.c) and the walker (trees.c). */
#ifndef GY_LEARN_RUNTIME_TREES_INTERNAL_H
#define GY_LEARN_RUNTIME_TREES_INTERNAL_H

#include "learn/runtime/trees.h"

#define GY_TREES_LANES 8 /* trees of one row, or rows of one tree, that walk together */

/* 16 bytes. The children are nodes[child] (left) and nodes[child + 1]. A leaf is its own left child
 * and its split is NaN: no comparison with NaN holds, so every further step stays on it. */
struct gy_tree_node {
    float split;
    uint32_t feature;
    uint32_t child; /* the high bit: NaN goes right */
    float leaf;
};
#define GY_TREE_NAN_RIGHT 0x80000000u

struct gy_trees {
    struct gy_trees_info info;
    float *base_margin; /* n_outputs */
    size_t n_padded;    /* n_trees rounded up to lanes; the roots beyond are a lone leaf */
    uint32_t *roots;    /* n_padded */
    uint32_t *groups;   /* class a tree adds to, n_padded */
    uint16_t *depths;   /* steps that reach every leaf, n_padded */
    struct gy_tree_node *nodes;
    size_t cap_nodes;
};

#endif
