/* SPDX-License-Identifier: Apache-2.0 */
/* gy_runtime: what answers a prediction once the feature steps are done. One instance belongs to
 * one gy_predictor, is immutable after it was made and is used by any number of threads, each with
 * its own scratch. */
#ifndef GY_LEARN_RUNTIME_RUNTIME_H
#define GY_LEARN_RUNTIME_RUNTIME_H

#include "base/str.h"

/* Rows that gy_predictor_run hands to a runtime at once; scratch never has to be larger. */
#define GY_RUNTIME_BLOCK 64

struct gy_runtime_ops {
    uint32_t version; /* 1 */
    const char *name;
    /* Bytes of scratch for n_rows <= GY_RUNTIME_BLOCK rows, a multiple of 64; may be 0. */
    size_t (*scratch)(const void *self, size_t n_rows);
    /* x: n_rows x n_features after the feature steps, NaN = missing; out: n_rows x n_outputs. MUST
     * NOT allocate and can not fail. scratch is 64-byte aligned. */
    void (*run)(const void *self, const double *x, size_t n_rows, double *out, void *scratch);
    void (*free)(void *self); /* MAY get NULL */
};

/* An instance: ops->free(self) ends it. */
struct gy_runtime {
    const struct gy_runtime_ops *ops;
    void *self;
    size_t n_trees; /* 0 when no tree model */
};

enum gy_link { GY_LINK_IDENTITY, GY_LINK_SIGMOID, GY_LINK_SOFTMAX, GY_LINK_EXP };

/* What a linear model is: for each set of weights w.x + intercept, then the inverse of its link. */
struct gy_linear_spec {
    const double *weights; /* n_sets x (n_features + 1), the intercept last; copied */
    size_t n_features;
    size_t n_sets; /* SOFTMAX: one a class; else 1 */
    enum gy_link link;
    size_t exposure; /* the feature that the answer is multiplied by; SIZE_MAX: none */
};

/* A missing feature gives NaN: linear packages always impute. Fails: NOMEM. */
GY_CHECKED gy_status gy_linear_new(const struct gy_linear_spec *spec, void **ret,
                                   struct gy_err *err);
extern const struct gy_runtime_ops gy_linear_ops;
/* What a runtime of gy_linear_ops was made of; lives as long as it. */
const struct gy_linear_spec *gy_linear_get_spec(const void *self);

/* The same answer for every row: the majority baseline. Fails: NOMEM. */
GY_CHECKED gy_status gy_constant_new(const double *values, size_t n_outputs, void **ret,
                                     struct gy_err *err);
extern const struct gy_runtime_ops gy_constant_ops;

/* 1 / (1 + exp(-x)) without overflow, in double. */
double gy_sigmoid(double x);

#endif
