/* SPDX-License-Identifier: Apache-2.0 */
/* gy_layer_ops: what a kind of layer computes, forwards and backwards (Rumelhart, Hinton and
 * Williams 1986). Pure functions of their arguments: thread safe, no allocation, sums in a fixed
 * order. gy_blas_open must have succeeded. */
#ifndef GY_LEARN_NETWORK_LAYERS_H
#define GY_LEARN_NETWORK_LAYERS_H

#include "learn/network/real.h"
#include "learn/network/spec.h"

struct gy_rng;

/* One layer and n rows. */
struct gy_layer_pass {
    const struct gy_net_layer *layer;
    size_t n;
    const gy_real *w;   /* n_weights, then n_biases */
    const gy_real *x;   /* n x cells of layer->in */
    gy_real *y;         /* n x cells of layer->out: forward writes it, backward may read it */
    gy_real *memo;      /* from forward to backward of the same rows */
    struct gy_rng *rng; /* forward in training; NULL: not training */
    const gy_real *dy;  /* backward: d loss / d y */
    gy_real *dx;        /* backward: written; NULL: not wanted */
    gy_real *dw;        /* backward: written, in the order of w */
};

struct gy_layer_ops {
    const char *name;
    /* Values of memo for n rows; may be 0. */
    size_t (*memo)(const struct gy_net_layer *l, size_t n);
    void (*forward)(const struct gy_layer_pass *p);
    void (*backward)(const struct gy_layer_pass *p);
};

/* Of a kind in a resolved spec. */
const struct gy_layer_ops *gy_layer_ops_of(enum gy_net_kind kind);

extern const struct gy_layer_ops gy_layer_dense, gy_layer_conv, gy_layer_pool, gy_layer_relu,
    gy_layer_dropout;

/* For dense and conv, whose products have many rows: each of n rows of y becomes the biases (the
 * product is added to it); db is the sum of the rows of dy, from the first to the last. */
void gy_layer_put_biases(const gy_real *b, size_t n, size_t units, gy_real *y);
void gy_layer_sum_biases(const gy_real *dy, size_t n, size_t units, gy_real *db);

#endif
