/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/network/layers.h"

#include <string.h>

#include "base/id.h"
#include "learn/network/lanes.h"

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
    for (size_t i = 0; i < n; i++, dy += units) {
        size_t j = 0;
        for (; j + GY_LANES <= units; j += GY_LANES) {
            gy_lanes_store(db + j, gy_lanes_load(db + j) + gy_lanes_load(dy + j));
        }
        for (; j < units; j++) {
            db[j] += dy[j];
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

/* memo: which of the size x size values of its window each output is, counted by rows. */
static size_t pool_memo(const struct gy_net_layer *l, size_t n)
{
    return n * gy_net_cells(l->out);
}

/* Where the window of pixel `at` of the output starts in a picture. */
static size_t window_at(const struct gy_net_layer *l, size_t at)
{
    size_t y = at / l->out.width * l->size, x = at % l->out.width * l->size;
    return (y * l->in.width + x) * l->in.channels;
}

/* From there to value k of the window. */
static size_t step_of(const struct gy_net_layer *l, size_t k)
{
    return (k / l->size * l->in.width + k % l->size) * l->in.channels;
}

/* The largest of a window and which it is, channel by channel; of equal ones the first. */
static void largest(const struct gy_net_layer *l, const gy_real *window, gy_real *y, gy_real *which)
{
    size_t channels = l->in.channels, all = (size_t)l->size * l->size, c = 0;
    for (; c + GY_LANES <= channels; c += GY_LANES) {
        gy_lanes best = gy_lanes_load(window + c), at = gy_lanes_all(0);
        for (size_t k = 1; k < all; k++) {
            gy_lanes v = gy_lanes_load(window + step_of(l, k) + c);
            gy_mask more = v > best;
            best = gy_lanes_pick(more, v, best);
            at = gy_lanes_pick(more, gy_lanes_all((gy_real)k), at);
        }
        gy_lanes_store(y + c, best);
        gy_lanes_store(which + c, at);
    }
    for (; c < channels; c++) {
        size_t best = 0;
        for (size_t k = 1; k < all; k++) {
            best = window[step_of(l, k) + c] > window[step_of(l, best) + c] ? k : best;
        }
        y[c] = window[step_of(l, best) + c];
        which[c] = (gy_real)best;
    }
}

static void pool_forward(const struct gy_layer_pass *p)
{
    const struct gy_net_layer *l = p->layer;
    size_t pixels = (size_t)l->out.width * l->out.height, channels = l->out.channels;
    for (size_t i = 0; i < p->n * pixels; i++) {
        const gy_real *picture = p->x + i / pixels * gy_net_cells(l->in);
        largest(l, picture + window_at(l, i % pixels), p->y + i * channels, p->memo + i * channels);
    }
}

/* Windows do not overlap: each value of dx is written once, but for the rest, which stays 0. */
static void pool_backward(const struct gy_layer_pass *p)
{
    const struct gy_net_layer *l = p->layer;
    size_t pixels = (size_t)l->out.width * l->out.height, channels = l->out.channels;
    if (!p->dx) {
        return;
    }
    memset(p->dx, 0, p->n * gy_net_cells(l->in) * sizeof *p->dx);
    for (size_t i = 0; i < p->n * pixels; i++) {
        gy_real *window = p->dx + i / pixels * gy_net_cells(l->in) + window_at(l, i % pixels);
        for (size_t c = 0; c < channels; c++) {
            size_t k = (size_t)p->memo[i * channels + c];
            window[step_of(l, k) + c] = p->dy[i * channels + c];
        }
    }
}

const struct gy_layer_ops gy_layer_pool = {
    .name = "pool", .memo = pool_memo, .forward = pool_forward, .backward = pool_backward};

/* ---- relu ---- */

/* out = a where y is above 0, else 0. */
static void where_positive(const gy_real *y, const gy_real *a, size_t n, gy_real *out)
{
    const gy_lanes zero = gy_lanes_all(0);
    size_t i = 0;
    for (; i + GY_LANES <= n; i += GY_LANES) {
        gy_mask above = gy_lanes_load(y + i) > zero;
        gy_lanes_store(out + i, gy_lanes_pick(above, gy_lanes_load(a + i), zero));
    }
    for (; i < n; i++) {
        out[i] = y[i] > 0 ? a[i] : 0;
    }
}

static void relu_forward(const struct gy_layer_pass *p)
{
    where_positive(p->x, p->x, p->n * gy_net_cells(p->layer->in), p->y);
}

static void relu_backward(const struct gy_layer_pass *p)
{
    if (p->dx) {
        where_positive(p->y, p->dy, p->n * gy_net_cells(p->layer->in), p->dx);
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
