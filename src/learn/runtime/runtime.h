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

/* w.x + intercept, as a probability (binary) or as it is (regression). A missing feature gives NaN:
 * linear packages always impute. The weights are copied. Fails: NOMEM. */
GY_CHECKED gy_status gy_linear_new(const double *weights, size_t n_features, double intercept,
                                   bool probability, void **ret, struct gy_err *err);
extern const struct gy_runtime_ops gy_linear_ops;

/* The same answer for every row: the majority baseline. Fails: NOMEM. */
GY_CHECKED gy_status gy_constant_new(const double *values, size_t n_outputs, void **ret,
                                     struct gy_err *err);
extern const struct gy_runtime_ops gy_constant_ops;

/* 1 / (1 + exp(-x)) without overflow, in double. */
double gy_sigmoid(double x);

#endif
