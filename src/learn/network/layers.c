/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/network/layers.h"

#include <string.h>

#include "base/id.h"

const struct gy_layer_ops *gy_layer_ops_of(enum gy_net_kind kind)
{
    switch (kind) {
    case GY_NET_DENSE:
        return &gy_layer_dense;
    case GY_NET_CONV:
        return &gy_layer_conv;
    case GY_NET_POOL:
        return &gy_layer_pool;
    case GY_NET_RELU:
        return &gy_layer_relu;
    case GY_NET_DROPOUT:
        return &gy_layer_dropout;
    }
    return NULL;
}

static size_t no_memo(const struct gy_net_layer *l, size_t n)
{
    (void)l;
    (void)n;
    return 0;
}

void gy_layer_put_biases(const gy_real *b, size_t n, size_t units, gy_real *y)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(y + i * units, b, units * sizeof *y);
    }
}

void gy_layer_sum_biases(const gy_real *dy, size_t n, size_t units, gy_real *db)
{
    memset(db, 0, units * sizeof *db);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < units; j++) {
            db[j] += dy[i * units + j];
        }
    }
}

/* ---- dense ---- */

static void dense_forward(const struct gy_layer_pass *p)
{
    const struct gy_net_layer *l = p->layer;
    gy_layer_put_biases(p->w + l->n_weights, p->n, l->units, p->y);
    gy_gemm(GY_BLAS_PLAIN, GY_BLAS_PLAIN, p->n, l->units, gy_net_cells(l->in), p->x, p->w, 1, p->y);
}

/* dW = x' dy, db = sum of dy, dx = dy W'. */
static void dense_backward(const struct gy_layer_pass *p)
{
    const struct gy_net_layer *l = p->layer;
    size_t k = gy_net_cells(l->in);
    gy_gemm(GY_BLAS_TRANSPOSED, GY_BLAS_PLAIN, k, l->units, p->n, p->x, p->dy, 0, p->dw);
    gy_layer_sum_biases(p->dy, p->n, l->units, p->dw + l->n_weights);
    if (p->dx) {
        gy_gemm(GY_BLAS_PLAIN, GY_BLAS_TRANSPOSED, p->n, k, l->units, p->dy, p->w, 0, p->dx);
    }
}

const struct gy_layer_ops gy_layer_dense = {
    .name = "dense", .memo = no_memo, .forward = dense_forward, .backward = dense_backward};

/* ---- max-pool ---- */

/* Where the window of out cell (row, oy, ox, c) starts in x. */
static size_t window_at(const struct gy_net_layer *l, size_t row, size_t oy, size_t ox, size_t c)
{
    return ((row * l->in.height + oy * l->size) * l->in.width + ox * l->size) * l->in.channels + c;
}

/* Offset of the largest value of a window; of equal ones the first, by rows. */
static size_t largest(const struct gy_net_layer *l, const gy_real *window)
{
    size_t best = 0;
    for (size_t ky = 0; ky < l->size; ky++) {
        for (size_t kx = 0; kx < l->size; kx++) {
            size_t at = (ky * l->in.width + kx) * l->in.channels;
            best = window[at] > window[best] ? at : best;
        }
    }
    return best;
}

/* Forward (dx NULL) writes the largest values to y; backward adds dy to dx where they were. */
static void pool(const struct gy_layer_pass *p, gy_real *dx)
{
    const struct gy_net_layer *l = p->layer;
    size_t at = 0;
    for (size_t row = 0; row < p->n; row++) {
        for (size_t oy = 0; oy < l->out.height; oy++) {
            for (size_t ox = 0; ox < l->out.width; ox++) {
                for (size_t c = 0; c < l->out.channels; c++, at++) {
                    size_t from = window_at(l, row, oy, ox, c);
                    from += largest(l, p->x + from);
                    if (dx) {
                        dx[from] += p->dy[at];
                    } else {
                        p->y[at] = p->x[from];
                    }
                }
            }
        }
    }
}

static void pool_forward(const struct gy_layer_pass *p)
{
    pool(p, NULL);
}

static void pool_backward(const struct gy_layer_pass *p)
{
    if (p->dx) {
        memset(p->dx, 0, p->n * gy_net_cells(p->layer->in) * sizeof *p->dx);
        pool(p, p->dx);
    }
}

const struct gy_layer_ops gy_layer_pool = {
    .name = "pool", .memo = no_memo, .forward = pool_forward, .backward = pool_backward};

/* ---- relu ---- */

static void relu_forward(const struct gy_layer_pass *p)
{
    size_t n = p->n * gy_net_cells(p->layer->in);
    for (size_t i = 0; i < n; i++) {
        p->y[i] = p->x[i] > 0 ? p->x[i] : 0;
    }
}

static void relu_backward(const struct gy_layer_pass *p)
{
    size_t n = p->dx ? p->n * gy_net_cells(p->layer->in) : 0;
    for (size_t i = 0; i < n; i++) {
        p->dx[i] = p->y[i] > 0 ? p->dy[i] : 0;
    }
}

const struct gy_layer_ops gy_layer_relu = {
    .name = "relu", .memo = no_memo, .forward = relu_forward, .backward = relu_backward};

/* ---- dropout ---- */

static size_t dropout_memo(const struct gy_net_layer *l, size_t n)
{
    return n * gy_net_cells(l->in); /* the factor of each value */
}

static void dropout_forward(const struct gy_layer_pass *p)
{
    size_t n = p->n * gy_net_cells(p->layer->in);
    double rate = (double)p->layer->rate;
    gy_real keep = (gy_real)(1 / (1 - rate));
    if (!p->rng) {
        memcpy(p->y, p->x, n * sizeof *p->y);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        p->memo[i] = gy_rng_f64(p->rng) < rate ? 0 : keep;
        p->y[i] = p->x[i] * p->memo[i];
    }
}

static void dropout_backward(const struct gy_layer_pass *p)
{
    size_t n = p->dx ? p->n * gy_net_cells(p->layer->in) : 0;
    for (size_t i = 0; i < n; i++) {
        p->dx[i] = p->dy[i] * p->memo[i];
    }
}

const struct gy_layer_ops gy_layer_dropout = {.name = "dropout",
                                              .memo = dropout_memo,
                                              .forward = dropout_forward,
                                              .backward = dropout_backward};
