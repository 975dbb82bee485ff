/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution as a product of matrices ("im2col", Chellapilla, Puri and Simard 2006): the
 * size x size x channels values around a pixel become a row of a matrix, for so many pixels at a
 * time that it stays in the cache. Backward makes that matrix again instead of keeping it. */
#include <string.h>

#include "learn/network/layers.h"

/* Values of the matrix. How many pixels that is depends on the layer alone, and so do the sums. */
#define BLOCK_VALUES ((size_t)1 << 16)

static size_t places(const struct gy_net_layer *l)
{
    return (size_t)l->in.width * l->in.height;
}

static size_t patch(const struct gy_net_layer *l)
{
    return (size_t)l->size * l->size * l->in.channels;
}

/* Pixels of a block when there are n in all. */
static size_t block_of(const struct gy_net_layer *l, size_t n)
{
    size_t fit = BLOCK_VALUES / patch(l);
    return fit == 0 ? 1 : fit < n ? fit : n;
}

static size_t conv_memo(const struct gy_net_layer *l, size_t n)
{
    return block_of(l, n * places(l)) * patch(l);
}

/* Pixel i, counted through all pictures: where its picture starts, and where it is in there. */
struct place {
    size_t picture, y, x;
};

static struct place place_of(const struct gy_net_layer *l, size_t i)
{
    size_t n = places(l), width = l->in.width;
    GY_REQUIRE(n > 0 && width > 0);
    return (struct place){i / n * gy_net_cells(l->in), i % n / width, i % n % width};
}

/* The part of a row of the kernel that lies inside the picture: columns [*from, *to) of size. */
static void inside(const struct gy_net_layer *l, size_t x, size_t *from, size_t *to)
{
    size_t half = l->size / 2;
    *from = x < half ? half - x : 0;
    *to = x + half >= l->in.width ? l->in.width + half - x : l->size;
}

/* The patch around pixel i, zeros outside. */
static void take_patch(const struct gy_net_layer *l, const gy_real *pictures, size_t i,
                       gy_real *out)
{
    const struct place p = place_of(l, i);
    size_t half = l->size / 2, c = l->in.channels, from = 0, to = 0;
    inside(l, p.x, &from, &to);
    for (size_t ky = 0; ky < l->size; ky++, out += l->size * c) {
        size_t y = p.y + ky - half; /* wraps above the picture, and is no row of it then */
        if (y >= l->in.height) {
            memset(out, 0, l->size * c * sizeof *out);
            continue;
        }
        const gy_real *row = pictures + p.picture + (y * l->in.width + p.x + from - half) * c;
        memset(out, 0, from * c * sizeof *out);
        memcpy(out + from * c, row, (to - from) * c * sizeof *out);
        memset(out + to * c, 0, (l->size - to) * c * sizeof *out);
    }
}

/* Add the patch around pixel i to the places it came from. */
static void add_patch(const struct gy_net_layer *l, gy_real *pictures, size_t i, const gy_real *in)
{
    const struct place p = place_of(l, i);
    size_t half = l->size / 2, c = l->in.channels, from = 0, to = 0;
    inside(l, p.x, &from, &to);
    for (size_t ky = 0; ky < l->size; ky++, in += l->size * c) {
        size_t y = p.y + ky - half;
        if (y >= l->in.height) {
            continue;
        }
        gy_real *row = pictures + p.picture + (y * l->in.width + p.x + from - half) * c;
        for (size_t k = 0; k < (to - from) * c; k++) {
            row[k] += in[from * c + k];
        }
    }
}

/* Of pixels [first, first + n). */
static void take_patches(const struct gy_net_layer *l, const gy_real *x, size_t first, size_t n,
                         gy_real *out)
{
    for (size_t i = first; i < first + n; i++, out += patch(l)) {
        take_patch(l, x, i, out);
    }
}

static void add_patches(const struct gy_net_layer *l, const gy_real *in, size_t first, size_t n,
                        gy_real *dx)
{
    for (size_t i = first; i < first + n; i++, in += patch(l)) {
        add_patch(l, dx, i, in);
    }
}

static void conv_forward(const struct gy_layer_pass *p)
{
    const struct gy_net_layer *l = p->layer;
    size_t all = p->n * places(l), block = block_of(l, all);
    gy_layer_put_biases(p->w + l->n_weights, all, l->units, p->y);
    for (size_t first = 0; first < all; first += block) {
        size_t n = all - first < block ? all - first : block;
        take_patches(l, p->x, first, n, p->memo);
        gy_gemm(GY_BLAS_PLAIN, GY_BLAS_PLAIN, n, l->units, patch(l), p->memo, p->w, 1,
                p->y + first * l->units);
    }
}

static void conv_backward(const struct gy_layer_pass *p)
{
    const struct gy_net_layer *l = p->layer;
    size_t all = p->n * places(l), block = block_of(l, all);
    gy_layer_sum_biases(p->dy, all, l->units, p->dw + l->n_weights);
    if (p->dx) {
        memset(p->dx, 0, p->n * gy_net_cells(l->in) * sizeof *p->dx);
    }
    for (size_t first = 0; first < all; first += block) {
        size_t n = all - first < block ? all - first : block;
        const gy_real *dy = p->dy + first * l->units;
        take_patches(l, p->x, first, n, p->memo);
        gy_gemm(GY_BLAS_TRANSPOSED, GY_BLAS_PLAIN, patch(l), l->units, n, p->memo, dy,
                first ? 1 : 0, p->dw);
        if (p->dx) {
            gy_gemm(GY_BLAS_PLAIN, GY_BLAS_TRANSPOSED, n, patch(l), l->units, dy, p->w, 0, p->memo);
            add_patches(l, p->memo, first, n, p->dx);
        }
    }
}

const struct gy_layer_ops gy_layer_conv = {
    .name = "conv", .memo = conv_memo, .forward = conv_forward, .backward = conv_backward};
