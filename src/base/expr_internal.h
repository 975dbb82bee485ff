/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler (expr.c) and the evaluator (expr_eval.c) share: the tree as an array of nodes
 * linked by index. */
#ifndef GY_BASE_EXPR_INTERNAL_H
#define GY_BASE_EXPR_INTERNAL_H

#include "base/expr.h"

enum expr_op {
    OP_CONST,
    OP_SLOT,
    OP_OR,  /* n-ary, so that a long list of alternatives is not a deep tree */
    OP_AND, /* n-ary */
    OP_NOT,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IS_NULL,
    OP_IS_NOT_NULL,
    OP_IN, /* first child against the others */
    OP_NOT_IN,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_NEG,
    OP_ABS,
    OP_MIN, /* n-ary */
    OP_MAX, /* n-ary */
    OP_FLOOR,
    OP_CEIL,
    OP_ROUND,
    OP_LOG,
    OP_EXP,
    OP_SQRT,
    OP_IF,
    OP_LEN,
    OP_LOWER,
    OP_UPPER,
};

#define EXPR_NONE UINT16_MAX

struct expr_node {
    uint8_t op; /* enum expr_op */
    uint8_t
        type; /* enum gy_expr_type as far as it is known while compiling; GY_EXPR_NULL: not known */
    uint16_t first;             /* first child, EXPR_NONE without */
    uint16_t next;              /* next child of the same parent */
    uint16_t depth;             /* of the subtree, 1 for a leaf */
    uint16_t column;            /* in the text, from 1 */
    size_t slot;                /* OP_SLOT */
    struct gy_expr_value value; /* OP_CONST */
};

struct gy_expr {
    char *text;
    size_t text_n;
    char *pool; /* unescaped strings; never longer than the text */
    size_t pool_n;
    struct expr_node *nodes;
    size_t n_nodes;
    uint16_t root;
    size_t slots[GY_EXPR_MAX_NAMES];
    size_t n_slots;
};

#endif
