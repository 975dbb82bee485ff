/* SPDX-License-Identifier: Apache-2.0 */
/* The flat layout, shared by the reader (lightgbm_read.c, lightgbm_tree.c) and the walker. */
#ifndef GY_LEARN_RUNTIME_LIGHTGBM_INTERNAL_H
#define GY_LEARN_RUNTIME_LIGHTGBM_INTERNAL_H

#include "base/arena.h"
#include "learn/runtime/lightgbm.h"

#define GY_LIGHTGBM_LANES 8 /* trees of one row, or rows of one tree, that walk together */

/* The forms in which a feature is prepared: value 3 f + form. */
enum { GY_LIGHTGBM_NAN, GY_LIGHTGBM_NONE, GY_LIGHTGBM_ZERO, GY_LIGHTGBM_FORMS };

/* 16 bytes. The children are nodes[child] (left) and nodes[child + 1]. A leaf is its own left child
 * and its threshold is NaN: nothing is greater than that, so every further step stays on it. */
struct gy_lightgbm_node {
    union {
        double threshold;
        uint32_t set; /* of a split by categories: sets[set] words of bits follow */
    };
    uint32_t value; /* 3 feature + form; the high bit: a split by categories */
    uint32_t child; /* the high bit: NaN goes right */
};
#define GY_LIGHTGBM_HIGH 0x80000000u

struct gy_lightgbm {
    struct gy_lightgbm_info info;
    size_t n_padded;  /* n_trees rounded up to lanes; the roots beyond are a lone leaf */
    uint32_t *roots;  /* n_padded */
    uint16_t *depths; /* steps that reach every leaf, n_padded */
    size_t cap_trees;
    struct gy_lightgbm_node *nodes;
    double *leaves; /* by node; 0 where no leaf */
    size_t cap_nodes;
    uint32_t *sets;
    size_t n_sets, cap_sets;
    struct gy_lightgbm_feature *features; /* n_features; what they point to is in the arena */
    struct gy_arena arena;
};

/* Lines of "key=value", one tree or the header: found by name. Views into the file. */
struct gy_lightgbm_lines {
    struct gy_str keys[64], values[64];
    size_t n;
};

gy_status gy_lightgbm_corrupt(struct gy_err *err, const char *what);
/* The absent string when there is no such line. */
struct gy_str gy_lightgbm_line(const struct gy_lightgbm_lines *l, const char *key);
/* n numbers, blanks between them, and no more. */
GY_CHECKED bool gy_lightgbm_i64s(struct gy_str text, size_t n, int64_t *out);
GY_CHECKED bool gy_lightgbm_f64s(struct gy_str text, size_t n, double *out);
/* Append one tree. Fails: NOTSERVABLE, CORRUPT, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_lightgbm_add_tree(struct gy_lightgbm *m,
                                          const struct gy_lightgbm_lines *lines,
                                          struct gy_err *err);
/* The lone leaf of the padding. */
GY_CHECKED gy_status gy_lightgbm_pad(struct gy_lightgbm *m, struct gy_err *err);

#endif
