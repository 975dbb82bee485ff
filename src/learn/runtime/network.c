/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/network.h"

#include <math.h>

#include "base/mem.h"

/* Four outputs of a product side by side. Compilers make SSE2 or NEON of it; each lane is a sum of
 * its own, so no width changes a bit. Loaded from any address. */
typedef float v4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t m4 __attribute__((vector_size(16))); /* what comparing two gives */

#define PANEL 8 /* outputs whose weights lie together: panel[input][PANEL] */
#define TILE 4  /* rows that share a pass over a panel */

/* Dense and conv with the relu after it, or a pool. Dropout answers nothing and is left out. */
struct stage {
    enum gy_net_kind kind;
    struct gy_net_shape in, out;
    uint32_t size;
    bool relu;
    size_t k, n_out;      /* inputs and outputs of a product */
    const float *weights; /* panels, k x PANEL each, padded with zeros */
    const float *biases;  /* n_out, padded likewise */
};

struct network {
    struct gy_net_model m; /* without params: the stages have them */
    struct stage stages[GY_NET_MAX_LAYERS];
    size_t n_stages;
    size_t n_picture; /* stages before the first dense one: a row at a time */
    size_t widest[2]; /* values of a row in the picture stages, in the dense ones */
    size_t patch;     /* the longest of a convolution */
    float *memory;
    size_t n_floats; /* of it */
};

static size_t padded(size_t n)
{
    return (n + PANEL - 1) / PANEL * PANEL;
}

/* ---- products ---- */

/* TILE rows of k inputs (stride apart) times one panel. */
static void tile(const float *x, size_t stride, const struct stage *s, size_t panel,
                 float out[TILE][PANEL])
{
    const float *w = s->weights + panel * s->k * PANEL;
    v4 lo = *(const v4 *)(s->biases + panel * PANEL);
    v4 hi = *(const v4 *)(s->biases + panel * PANEL + 4);
    v4 a0 = lo, a1 = lo, a2 = lo, a3 = lo, b0 = hi, b1 = hi, b2 = hi, b3 = hi;
    for (size_t i = 0; i < s->k; i++, w += PANEL) {
        v4 wl = *(const v4 *)w, wh = *(const v4 *)(w + 4);
        float x0 = x[i], x1 = x[stride + i], x2 = x[2 * stride + i], x3 = x[3 * stride + i];
        a0 += x0 * wl, b0 += x0 * wh;
        a1 += x1 * wl, b1 += x1 * wh;
        a2 += x2 * wl, b2 += x2 * wh;
        a3 += x3 * wl, b3 += x3 * wh;
    }
    *(v4 *)out[0] = a0, *(v4 *)(out[0] + 4) = b0;
    *(v4 *)out[1] = a1, *(v4 *)(out[1] + 4) = b1;
    *(v4 *)out[2] = a2, *(v4 *)(out[2] + 4) = b2;
    *(v4 *)out[3] = a3, *(v4 *)(out[3] + 4) = b3;
}

/* One row times four panels: eight sums at once hide the time that an addition takes. */
static void four_panels(const float *x, const struct stage *s, size_t panel, float out[4 * PANEL])
{
    const float *w = s->weights + panel * s->k * PANEL;
    size_t next = s->k * PANEL;
    v4 acc[8];
    memcpy(acc, s->biases + panel * PANEL, sizeof acc);
    for (size_t i = 0; i < s->k; i++, w += PANEL) {
        float v = x[i];
        acc[0] += v * *(const v4 *)w;
        acc[1] += v * *(const v4 *)(w + 4);
        acc[2] += v * *(const v4 *)(w + next);
        acc[3] += v * *(const v4 *)(w + next + 4);
        acc[4] += v * *(const v4 *)(w + 2 * next);
        acc[5] += v * *(const v4 *)(w + 2 * next + 4);
        acc[6] += v * *(const v4 *)(w + 3 * next);
        acc[7] += v * *(const v4 *)(w + 3 * next + 4);
    }
    memcpy(out, acc, sizeof acc);
}

static void one_panel(const float *x, const struct stage *s, size_t panel, float out[PANEL])
{
    const float *w = s->weights + panel * s->k * PANEL;
    v4 lo = *(const v4 *)(s->biases + panel * PANEL);
    v4 hi = *(const v4 *)(s->biases + panel * PANEL + 4);
    for (size_t i = 0; i < s->k; i++, w += PANEL) {
        lo += x[i] * *(const v4 *)w;
        hi += x[i] * *(const v4 *)(w + 4);
    }
    *(v4 *)out = lo, *(v4 *)(out + 4) = hi;
}

/* n sums (a multiple of PANEL) through the relu: outputs from `first` on, as many as there are. */
static void put(const struct stage *s, float *sums, size_t n, size_t first, float *y)
{
    for (size_t j = 0; s->relu && j < n; j += 4) {
        v4 v = *(v4 *)(sums + j);
        m4 below = v < (v4){0}; /* not for NaN, which passes on */
        *(v4 *)(sums + j) = (v4)((m4)v & ~below);
    }
    n = s->n_out - first < n ? s->n_out - first : n;
    memcpy(y + first, sums, n * sizeof *y);
}

static void row_product(const struct stage *s, const float *x, float *y)
{
    float sums[4 * PANEL];
    size_t panels = padded(s->n_out) / PANEL, p = 0;
    for (; p + 4 <= panels; p += 4) {
        four_panels(x, s, p, sums);
        put(s, sums, sizeof sums / sizeof *sums, p * PANEL, y);
    }
    for (; p < panels; p++) {
        one_panel(x, s, p, sums);
        put(s, sums, PANEL, p * PANEL, y);
    }
}

/* y (n x n_out) of n rows of k inputs. */
static void product(const struct stage *s, const float *x, size_t n, float *y)
{
    size_t r = 0;
    for (; r + TILE <= n; r += TILE) {
        for (size_t p = 0; p * PANEL < s->n_out; p++) {
            float sums[TILE][PANEL];
            tile(x + r * s->k, s->k, s, p, sums);
            for (size_t i = 0; i < TILE; i++) {
                put(s, sums[i], PANEL, p * PANEL, y + (r + i) * s->n_out);
            }
        }
    }
    for (; r < n; r++) {
        row_product(s, x + r * s->k, y + r * s->n_out);
    }
}

/* ---- pictures, one at a time ---- */

static void take_patch(const struct stage *s, const float *x, size_t at, float *out)
{
    size_t half = s->size / 2, c = s->in.channels, row = s->size * c;
    size_t y0 = at / s->in.width, x0 = at % s->in.width;
    size_t from = x0 < half ? half - x0 : 0;
    size_t to = x0 + half >= s->in.width ? s->in.width + half - x0 : s->size;
    for (size_t ky = 0; ky < s->size; ky++, out += row) {
        size_t y = y0 + ky - half; /* wraps above the picture, and is no row of it then */
        memset(out, 0, row * sizeof *out);
        if (y < s->in.height) {
            memcpy(out + from * c, x + (y * s->in.width + x0 + from - half) * c,
                   (to - from) * c * sizeof *out);
        }
    }
}

static void convolve(const struct stage *s, const float *x, float *y, float *patches)
{
    size_t all = (size_t)s->in.width * s->in.height;
    for (size_t at = 0; at < all; at += TILE) {
        size_t n = all - at < TILE ? all - at : TILE;
        for (size_t i = 0; i < n; i++) {
            take_patch(s, x, at + i, patches + i * s->k);
        }
        product(s, patches, n, y + at * s->n_out);
    }
}

/* The larger of each pair; NaN passes on. */
static void take_larger(const float *x, size_t n, float *most)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        v4 v = *(const v4 *)(x + i), m = *(v4 *)(most + i);
        m4 take = (v > m) | (v != v);
        *(v4 *)(most + i) = (v4)(((m4)v & take) | ((m4)m & ~take));
    }
    for (; i < n; i++) {
        most[i] = x[i] > most[i] || isnan(x[i]) ? x[i] : most[i];
    }
}

static void pool(const struct stage *s, const float *x, float *y)
{
    size_t c = s->in.channels, row = s->in.width * c, n = gy_net_cells(s->out);
    for (size_t at = 0; at < n; at += c) {
        size_t oy = at / c / s->out.width, ox = at / c % s->out.width;
        const float *window = x + oy * s->size * row + ox * s->size * c;
        memcpy(y + at, window, c * sizeof *y);
        for (size_t k = 1; k < (size_t)s->size * s->size; k++) {
            take_larger(window + k / s->size * row + k % s->size * c, c, y + at);
        }
    }
    for (size_t i = 0; s->relu && i < n; i++) {
        y[i] = y[i] < 0 ? 0 : y[i];
    }
}

/* A picture through the stages before the first dense one. The values are in one of the two
 * buffers, each of widest[0], at the end. */
static const float *run_picture(const struct network *n, float *in, float *other, float *patches)
{
    for (size_t i = 0; i < n->n_picture; i++) {
        const struct stage *s = &n->stages[i];
        if (s->kind == GY_NET_POOL) {
            pool(s, in, other);
        } else {
            convolve(s, in, other, patches);
        }
        float *swap = in;
        in = other;
        other = swap;
    }
    return in;
}

/* ---- the runtime ---- */

static size_t network_scratch(const void *self, size_t n_rows)
{
    const struct network *n = self;
    size_t floats = 2 * n->widest[0] + TILE * n->patch + 2 * n_rows * n->widest[1];
    return (floats * sizeof(float) + 63) / 64 * 64;
}

static void softmax(const float *z, size_t n, double *out)
{
    double most = (double)z[0], sum = 0;
    for (size_t j = 1; j < n; j++) {
        most = (double)z[j] > most ? (double)z[j] : most;
    }
    for (size_t j = 0; j < n; j++) {
        out[j] = exp((double)z[j] - most);
        sum += out[j];
    }
    for (size_t j = 0; j < n; j++) {
        out[j] /= sum;
    }
}

static void answer(const struct network *n, const float *z, double *out)
{
    switch (n->m.spec.head) {
    case GY_NET_IDENTITY:
        *out = (double)*z * n->m.out_scale + n->m.out_shift;
        return;
    case GY_NET_SIGMOID:
        *out = gy_sigmoid((double)*z);
        return;
    case GY_NET_SOFTMAX:
        softmax(z, n->m.spec.n_outputs, out);
        return;
    }
}

static void network_run(const void *self, const double *x, size_t n_rows, double *out,
                        void *scratch)
{
    const struct network *n = self;
    size_t cells = gy_net_cells(n->m.spec.input), k = n->stages[n->n_picture].k;
    float *picture = scratch, *other = picture + n->widest[0];
    float *patches = other + n->widest[0];
    float *in = patches + TILE * n->patch, *next = in + n_rows * n->widest[1];
    for (size_t r = 0; r < n_rows; r++) {
        if (n->n_picture == 0) {
            gy_net_model_take(&n->m, x + r * cells, in + r * k);
        } else {
            gy_net_model_take(&n->m, x + r * cells, picture);
            memcpy(in + r * k, run_picture(n, picture, other, patches), k * sizeof *in);
        }
    }
    for (size_t i = n->n_picture; i < n->n_stages; i++) {
        product(&n->stages[i], in, n_rows, next);
        float *swap = in;
        in = next;
        next = swap;
    }
    for (size_t r = 0; r < n_rows; r++) {
        answer(n, in + r * n->m.spec.n_outputs, out + r * n->m.spec.n_outputs);
    }
}

static void network_free(void *self)
{
    struct network *n = self;
    if (n) {
        gy_free(n->memory);
        gy_free(n);
    }
}

static size_t network_bytes(const void *self)
{
    const struct network *n = self;
    return sizeof *n + n->n_floats * sizeof *n->memory;
}

const struct gy_runtime_ops gy_network_ops = {.version = 3,
                                              .name = "network",
                                              .scratch = network_scratch,
                                              .run = network_run,
                                              .free = network_free,
                                              .bytes = network_bytes};

/* ---- making one ---- */

/* Weights k x units into panels. */
static float *pack(const struct gy_net_layer *l, const float *params, struct stage *s, float *room)
{
    s->weights = room;
    s->n_out = l->units;
    s->k = l->n_weights / l->units;
    for (size_t p = 0; p * PANEL < s->n_out; p++) {
        for (size_t i = 0; i < s->k; i++) {
            for (size_t j = p * PANEL; j < (p + 1) * PANEL; j++) {
                *room++ = j < s->n_out ? params[l->at + i * s->n_out + j] : 0;
            }
        }
    }
    s->biases = room;
    memset(room, 0, padded(s->n_out) * sizeof *room);
    memcpy(room, params + l->at + l->n_weights, s->n_out * sizeof *room);
    return room + padded(s->n_out);
}

static void widen(size_t *most, size_t n)
{
    *most = n > *most ? n : *most;
}

static void add_stages(struct network *n, const float *params)
{
    const struct gy_net_spec *spec = &n->m.spec;
    float *room = n->memory + 2 * (size_t)spec->input.channels;
    bool dense = false;
    for (size_t i = 0; i < spec->n_layers; i++) {
        const struct gy_net_layer *l = &spec->layers[i];
        struct stage *s = &n->stages[n->n_stages];
        if (l->kind == GY_NET_RELU) { /* a spec has a stage before it */
            s[-1].relu = true;
        }
        if (l->kind == GY_NET_RELU || l->kind == GY_NET_DROPOUT) {
            continue;
        }
        *s = (struct stage){.kind = l->kind, .in = l->in, .out = l->out, .size = l->size};
        n->n_stages++;
        if (l->n_weights) {
            room = pack(l, params, s, room);
        }
        dense = dense || l->kind == GY_NET_DENSE;
        n->n_picture += !dense;
        widen(&n->widest[dense], gy_net_cells(l->in));
        widen(&n->widest[dense], gy_net_cells(l->out));
        if (l->kind == GY_NET_CONV) {
            widen(&n->patch, s->k);
        }
    }
}

static size_t packed_size(const struct gy_net_spec *spec)
{
    size_t n = 2 * (size_t)spec->input.channels;
    for (size_t i = 0; i < spec->n_layers; i++) {
        const struct gy_net_layer *l = &spec->layers[i];
        n += l->n_weights ? (l->n_weights / l->units + 1) * padded(l->units) : 0;
    }
    return n;
}

gy_status gy_network_new(const struct gy_net_model *m, void **ret, struct gy_err *err)
{
    struct network *n = gy_calloc(1, sizeof *n);
    size_t n_floats = packed_size(&m->spec);
    float *memory = n ? gy_reallocarray(NULL, n_floats, sizeof *memory) : NULL;
    if (!memory) {
        gy_free(n);
        return gy_err_set(err, GY_E_NOMEM, "a network of %zu parameters", m->spec.n_params);
    }
    n->m = *m;
    n->memory = memory;
    n->n_floats = n_floats;
    n->m.params = NULL;
    n->m.shift = memory;
    n->m.scale = memory + m->spec.input.channels;
    memcpy(n->m.shift, m->shift, m->spec.input.channels * sizeof *memory);
    memcpy(n->m.scale, m->scale, m->spec.input.channels * sizeof *memory);
    add_stages(n, m->params);
    *ret = n;
    return GY_OK;
}
