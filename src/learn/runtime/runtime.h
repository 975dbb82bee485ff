/* SPDX-License-Identifier: Apache-2.0 */
/* gy_runtime: what answers a prediction once the feature steps are done. One instance belongs to
 * one gy_predictor, is immutable after it was made and is used by any number of threads, each with
 * its own scratch. */
#ifndef GY_LEARN_RUNTIME_RUNTIME_H
#define GY_LEARN_RUNTIME_RUNTIME_H

#include "base/err.h"
#include "base/str.h"

/* Rows that gy_predictor_run hands to a runtime at once; scratch never has to be larger. */
#define GY_RUNTIME_BLOCK 64

struct gy_runtime_ops {
    uint32_t version; /* 1; 2, 3: what stands below them counts too */
    const char *name;
    /* Bytes of scratch for n_rows <= GY_RUNTIME_BLOCK rows, a multiple of 64; may be 0. */
    size_t (*scratch)(const void *self, size_t n_rows);
    /* x: n_rows x n_features after the feature steps, NaN = missing; out: n_rows x n_outputs. MUST
     * NOT allocate and can not fail. scratch is 64-byte aligned. NULL where try_run is not. */
    void (*run)(const void *self, const double *x, size_t n_rows, double *out, void *scratch);
    void (*free)(void *self); /* MAY get NULL */

    /* ---- version 2: each MAY be NULL ---- */
    /* A runtime that waits for somebody else, and may fail. Any number of rows. The answer must be
     * there before deadline_ns (gy_mono_ns; 0: within the runtime's own time limit). Fails:
     * UNAVAILABLE, TIMEOUT, NETWORK (its peer broke the protocol), INVALID (the peer refuses the
     * rows), NOMEM. */
    gy_status (*try_run)(const void *self, const double *x, size_t n_rows, double *out,
                         int64_t deadline_ns, struct gy_err *err);
    /* Wait until it could answer, at most until deadline_ns; with 0 only look. Fails: as try_run.
     * Of runtimes with try_run. */
    gy_status (*ready)(const void *self, int64_t deadline_ns, struct gy_err *err);
    /* What each feature adds to the margins (learn/contributions.h), then the base. means:
     * n_features, of the training rows; NULL when the package does not say them. out: n_rows x
     * n_outputs x (n_features + 1). Fails: UNSUPPORTED (with the reason), NOMEM. */
    gy_status (*explain)(const void *self, const double *x, size_t n_rows, const double *means,
                         double *out, struct gy_err *err);

    /* ---- version 3 ---- */
    /* Bytes of memory that the instance takes: what freeing it gives back, more or less. MAY be
     * NULL: next to none. */
    size_t (*bytes)(const void *self);
};

/* What an instance says of its memory; 0 where it says nothing. */
static inline size_t gy_runtime_bytes(const struct gy_runtime_ops *ops, const void *self)
{
    return ops->version >= 3 && ops->bytes ? ops->bytes(self) : 0;
}

/* An instance: ops->free(self) ends it. */
struct gy_runtime {
    const struct gy_runtime_ops *ops;
    void *self;
    size_t n_trees;     /* 0 when no tree model */
    int64_t timeout_ms; /* of one with try_run: its own time limit */
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
