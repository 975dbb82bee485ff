/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/lightgbm.h"

#include <math.h>

#include "base/mem.h"
#include "learn/runtime/lightgbm_internal.h"

/* LightGBM's kZeroThreshold, a float32 there too: what is not farther from 0 counts as 0. */
#define ZERO ((double)1e-35F)

/* ---- rows ---- */

/* Every feature in its three forms; in each, NaN is what counts as missing. */
static void prepare(const double *x, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++, out += GY_LIGHTGBM_FORMS) {
        double v = fabs(x[i]) <= ZERO ? 0 : x[i];
        out[GY_LIGHTGBM_NAN] = v;
        out[GY_LIGHTGBM_NONE] = v == v ? v : 0;
        out[GY_LIGHTGBM_ZERO] = v != 0 ? v : NAN;
    }
}

static inline uint32_t step(const struct gy_lightgbm_node *nodes, uint32_t at, const double *x)
{
    const struct gy_lightgbm_node *n = &nodes[at];
    double v = x[n->value];
    uint32_t right = (uint32_t)(v > n->threshold) | ((uint32_t)(v != v) & (n->child >> 31));
    return (n->child & ~GY_LIGHTGBM_HIGH) + right;
}

/* Whether the set holds the category that v is the code of, cut to a whole number. */
static inline bool in_set(const uint32_t *set, double v)
{
    if (!(v > -1 && v < 2147483648.0)) {
        return false;
    }
    uint32_t c = (uint32_t)(int32_t)v;
    return c / 32 < set[0] && (set[1 + c / 32] >> c % 32 & 1);
}

/* As step, where a split may be one by categories: those of the set go left, NaN goes right. */
static inline uint32_t step_any(const struct gy_lightgbm *m, uint32_t at, const double *x)
{
    const struct gy_lightgbm_node *n = &m->nodes[at];
    if (!(n->value & GY_LIGHTGBM_HIGH)) {
        return step(m->nodes, at, x);
    }
    return n->child + !in_set(m->sets + n->set, x[n->value & ~GY_LIGHTGBM_HIGH]);
}

/* ---- walks ---- */

/* One row down 8 trees. */
static void walk_trees(const struct gy_lightgbm_node *nodes, const uint32_t *roots, unsigned depth,
                       const double *x, uint32_t ends[GY_LIGHTGBM_LANES])
{
    uint32_t a = roots[0], b = roots[1], c = roots[2], d = roots[3];
    uint32_t e = roots[4], f = roots[5], g = roots[6], h = roots[7];
    for (unsigned i = 0; i < depth; i++) {
        a = step(nodes, a, x);
        b = step(nodes, b, x);
        c = step(nodes, c, x);
        d = step(nodes, d, x);
        e = step(nodes, e, x);
        f = step(nodes, f, x);
        g = step(nodes, g, x);
        h = step(nodes, h, x);
    }
    ends[0] = a;
    ends[1] = b;
    ends[2] = c;
    ends[3] = d;
    ends[4] = e;
    ends[5] = f;
    ends[6] = g;
    ends[7] = h;
}

/* 8 rows (stride doubles apart) down one tree. */
static void walk_rows(const struct gy_lightgbm_node *nodes, uint32_t root, unsigned depth,
                      const double *x, size_t stride, uint32_t ends[GY_LIGHTGBM_LANES])
{
    const double *x1 = x + stride, *x2 = x1 + stride, *x3 = x2 + stride, *x4 = x3 + stride;
    const double *x5 = x4 + stride, *x6 = x5 + stride, *x7 = x6 + stride;
    uint32_t a = root, b = root, c = root, d = root, e = root, f = root, g = root, h = root;
    for (unsigned i = 0; i < depth; i++) {
        a = step(nodes, a, x);
        b = step(nodes, b, x1);
        c = step(nodes, c, x2);
        d = step(nodes, d, x3);
        e = step(nodes, e, x4);
        f = step(nodes, f, x5);
        g = step(nodes, g, x6);
        h = step(nodes, h, x7);
    }
    ends[0] = a;
    ends[1] = b;
    ends[2] = c;
    ends[3] = d;
    ends[4] = e;
    ends[5] = f;
    ends[6] = g;
    ends[7] = h;
}

static void sum_one(const struct gy_lightgbm *m, const double *x, double *out)
{
    uint32_t ends[GY_LIGHTGBM_LANES];
    size_t class = 0;
    for (size_t i = 0; i < m->info.n_trees; i += GY_LIGHTGBM_LANES) {
        unsigned depth = 0;
        for (size_t k = 0; k < GY_LIGHTGBM_LANES; k++) {
            depth = m->depths[i + k] > depth ? m->depths[i + k] : depth;
        }
        walk_trees(m->nodes, m->roots + i, depth, x, ends);
        for (size_t k = 0; k < GY_LIGHTGBM_LANES && i + k < m->info.n_trees; k++) {
            out[class] += m->leaves[ends[k]];
            class = class + 1 == m->info.n_outputs ? 0 : class + 1;
        }
    }
}

static void sum_eight(const struct gy_lightgbm *m, const double *x, double *out)
{
    uint32_t ends[GY_LIGHTGBM_LANES];
    size_t no = m->info.n_outputs;
    size_t class = 0;
    for (size_t i = 0; i < m->info.n_trees; i++) {
        walk_rows(m->nodes, m->roots[i], m->depths[i], x, m->info.n_features * GY_LIGHTGBM_FORMS,
                  ends);
        for (size_t k = 0; k < GY_LIGHTGBM_LANES; k++) {
            out[k * no + class] += m->leaves[ends[k]];
        }
        class = class + 1 == no ? 0 : class + 1;
    }
}

/* One row of a model with splits by categories. */
static void sum_any(const struct gy_lightgbm *m, const double *x, double *out)
{
    size_t class = 0;
    for (size_t i = 0; i < m->info.n_trees; i++) {
        uint32_t at = m->roots[i];
        for (unsigned d = 0; d < m->depths[i]; d++) {
            at = step_any(m, at, x);
        }
        out[class] += m->leaves[at];
        class = class + 1 == m->info.n_outputs ? 0 : class + 1;
    }
}

/* ---- the output function ---- */

static void softmax(double *v, size_t n)
{
    double max = v[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++) {
        max = v[i] > max ? v[i] : max;
    }
    for (size_t i = 0; i < n; i++) {
        v[i] = exp(v[i] - max);
        sum += v[i];
    }
    for (size_t i = 0; i < n; i++) {
        v[i] /= sum;
    }
}

static double convert_one(const struct gy_lightgbm_info *info, double v)
{
    switch (info->output) {
    case GY_LIGHTGBM_IDENTITY:
    case GY_LIGHTGBM_SOFTMAX:
        return v;
    case GY_LIGHTGBM_SQUARE:
        return v < 0 ? -v * v : v * v;
    case GY_LIGHTGBM_SIGMOID:
        return 1.0 / (1.0 + exp(-info->sigmoid * v));
    case GY_LIGHTGBM_EXP:
        return exp(v);
    case GY_LIGHTGBM_LOG1P:
        return log1p(exp(v));
    }
    return v;
}

static void convert(const struct gy_lightgbm_info *info, double *out, size_t n_rows)
{
    size_t no = info->n_outputs;
    if (info->average && info->n_trees > 0) {
        int rounds = (int)(info->n_trees / no);
        for (size_t i = 0; i < n_rows * no; i++) {
            out[i] /= rounds;
        }
    }
    if (info->output == GY_LIGHTGBM_SOFTMAX) {
        for (size_t r = 0; r < n_rows; r++) {
            softmax(out + r * no, no);
        }
        return;
    }
    for (size_t i = 0; i < n_rows * no; i++) {
        out[i] = convert_one(info, out[i]);
    }
}

void gy_lightgbm_run(const struct gy_lightgbm *m, const double *x, size_t n_rows, bool raw,
                     double *out, void *scratch)
{
    size_t no = m->info.n_outputs;
    size_t wide = m->info.n_features * GY_LIGHTGBM_FORMS;
    double *ready = scratch;
    size_t r = 0;
    prepare(x, n_rows * m->info.n_features, ready);
    memset(out, 0, n_rows * no * sizeof *out);
    for (; m->info.categorical && r < n_rows; r++) {
        sum_any(m, ready + r * wide, out + r * no);
    }
    for (; r + GY_LIGHTGBM_LANES <= n_rows; r += GY_LIGHTGBM_LANES) {
        sum_eight(m, ready + r * wide, out + r * no);
    }
    for (; r < n_rows; r++) {
        sum_one(m, ready + r * wide, out + r * no);
    }
    if (!raw) {
        convert(&m->info, out, n_rows);
    }
}

size_t gy_lightgbm_scratch(const struct gy_lightgbm *m, size_t n_rows)
{
    size_t bytes = n_rows * m->info.n_features * GY_LIGHTGBM_FORMS * sizeof(double);
    return (bytes + 63) & ~(size_t)63;
}

const struct gy_lightgbm_info *gy_lightgbm_get_info(const struct gy_lightgbm *m)
{
    return &m->info;
}

const struct gy_lightgbm_feature *gy_lightgbm_get_feature(const struct gy_lightgbm *m, size_t i)
{
    return &m->features[i];
}

void gy_lightgbm_free(struct gy_lightgbm *m)
{
    if (m) {
        gy_free(m->roots);
        gy_free(m->depths);
        gy_free(m->nodes);
        gy_free(m->leaves);
        gy_free(m->sets);
        gy_free(m->features);
        gy_arena_done(&m->arena);
        gy_free(m);
    }
}

/* ---- as a runtime ---- */

static size_t runtime_scratch(const void *self, size_t n_rows)
{
    return gy_lightgbm_scratch(self, n_rows);
}

static void runtime_run(const void *self, const double *x, size_t n_rows, double *out,
                        void *scratch)
{
    gy_lightgbm_run(self, x, n_rows, false, out, scratch);
}

static void runtime_free(void *self)
{
    gy_lightgbm_free(self);
}

static size_t runtime_bytes(const void *self)
{
    const struct gy_lightgbm *m = self;
    return sizeof *m + m->cap_trees * (sizeof *m->roots + sizeof *m->depths) +
           m->cap_nodes * (sizeof *m->nodes + sizeof *m->leaves) + m->cap_sets * sizeof *m->sets +
           m->info.n_features * sizeof *m->features + m->arena.total_bytes;
}

const struct gy_runtime_ops gy_lightgbm_ops = {.version = 3,
                                               .name = "lightgbm",
                                               .scratch = runtime_scratch,
                                               .run = runtime_run,
                                               .free = runtime_free,
                                               .bytes = runtime_bytes};
