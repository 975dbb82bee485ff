/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/trees.h"

#include <math.h>

#include "base/mem.h"
#include "learn/runtime/trees_internal.h"

/* x < split goes left and NaN the default way, without a branch: x >= split is false for NaN and
 * for leaves, the second term sends NaN right where that is the default (never at a leaf). */
static inline uint32_t step(const struct gy_tree_node *nodes, uint32_t at, const float *x)
{
    const struct gy_tree_node *n = &nodes[at];
    float v = x[n->feature];
    uint32_t right = (uint32_t)(v >= n->split) | ((uint32_t)(v != v) & (n->child >> 31));
    return (n->child & ~GY_TREE_NAN_RIGHT) + right;
}

/* Whether the set holds the category that x is the code of. */
static inline uint32_t in_set(const uint32_t *set, float x)
{
    if (!(x >= 0 && x < (float)GY_TREES_MAX_CATEGORY)) {
        return 0;
    }
    uint32_t c = (uint32_t)x;
    return c / 32 < set[0] ? set[1 + c / 32] >> c % 32 & 1 : 0;
}

/* As step, where a split may be one by categories. */
static inline uint32_t step_any(const struct gy_trees *t, uint32_t at, const float *x)
{
    const struct gy_tree_node *n = &t->nodes[at];
    if (!(n->feature & GY_TREE_CATEGORICAL)) {
        return step(t->nodes, at, x);
    }
    float v = x[n->feature & ~GY_TREE_CATEGORICAL];
    uint32_t right = v != v ? n->child >> 31 : in_set(t->sets + n->set, v);
    return (n->child & ~GY_TREE_NAN_RIGHT) + right;
}

uint32_t gy_trees_next(const struct gy_trees *t, uint32_t at, const float *x)
{
    return step_any(t, at, x);
}

/* One row down 8 trees. */
static void walk_trees(const struct gy_tree_node *nodes, const uint32_t *roots, unsigned depth,
                       const float *x, float leaves[GY_TREES_LANES])
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
    leaves[0] = nodes[a].leaf;
    leaves[1] = nodes[b].leaf;
    leaves[2] = nodes[c].leaf;
    leaves[3] = nodes[d].leaf;
    leaves[4] = nodes[e].leaf;
    leaves[5] = nodes[f].leaf;
    leaves[6] = nodes[g].leaf;
    leaves[7] = nodes[h].leaf;
}

/* 8 rows down one tree, added to their sums (stride apart). */
static void walk_rows(const struct gy_tree_node *nodes, uint32_t root, unsigned depth,
                      const float *x, size_t n_features, float *sums, size_t stride)
{
    const float *x1 = x + n_features, *x2 = x1 + n_features, *x3 = x2 + n_features;
    const float *x4 = x3 + n_features, *x5 = x4 + n_features, *x6 = x5 + n_features;
    const float *x7 = x6 + n_features;
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
    sums[0] += nodes[a].leaf;
    sums[stride] += nodes[b].leaf;
    sums[2 * stride] += nodes[c].leaf;
    sums[3 * stride] += nodes[d].leaf;
    sums[4 * stride] += nodes[e].leaf;
    sums[5 * stride] += nodes[f].leaf;
    sums[6 * stride] += nodes[g].leaf;
    sums[7 * stride] += nodes[h].leaf;
}

static void margin_one(const struct gy_trees *t, const float *x, float *out)
{
    float leaves[GY_TREES_LANES];
    for (size_t i = 0; i < t->n_padded; i += GY_TREES_LANES) {
        unsigned depth = 0;
        for (size_t k = 0; k < GY_TREES_LANES; k++) {
            depth = t->depths[i + k] > depth ? t->depths[i + k] : depth;
        }
        walk_trees(t->nodes, t->roots + i, depth, x, leaves);
        size_t n = t->info.n_trees - i < GY_TREES_LANES ? t->info.n_trees - i : GY_TREES_LANES;
        for (size_t k = 0; k < n; k++) {
            out[t->groups[i + k]] += leaves[k];
        }
    }
}

static void margin_eight(const struct gy_trees *t, const float *x, float *out)
{
    for (size_t i = 0; i < t->info.n_trees; i++) {
        walk_rows(t->nodes, t->roots[i], t->depths[i], x, t->info.n_features, out + t->groups[i],
                  t->info.n_outputs);
    }
}

/* One row of a model with splits by categories. */
static void margin_any(const struct gy_trees *t, const float *x, float *out)
{
    for (size_t i = 0; i < t->info.n_trees; i++) {
        uint32_t at = t->roots[i];
        for (unsigned d = 0; d < t->depths[i]; d++) {
            at = step_any(t, at, x);
        }
        out[t->groups[i]] += t->nodes[at].leaf;
    }
}

/* gblinear: the bias joins the base margin first; a missing feature adds nothing. */
static void margin_linear(const struct gy_trees *t, const float *x, float *out)
{
    size_t nf = t->info.n_features;
    size_t no = t->info.n_outputs;
    for (size_t k = 0; k < no; k++) {
        float sum = t->weights[nf * no + k] + out[k];
        for (size_t i = 0; i < nf; i++) {
            if (x[i] == x[i]) {
                sum += x[i] * t->weights[i * no + k];
            }
        }
        out[k] = sum;
    }
}

/* As XGBoost's common/math.h computes them: in float32, exp clamped. */
static float sigmoid_f32(float x)
{
    float neg = -x < 88.7F ? -x : 88.7F;
    return 1.0F / (expf(neg) + 1.0F + 1e-16F);
}

static void softmax_f32(float *v, size_t n)
{
    float max = v[0];
    for (size_t i = 1; i < n; i++) {
        max = fmaxf(v[i], max);
    }
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        v[i] = expf(v[i] - max);
        sum += (double)v[i];
    }
    for (size_t i = 0; i < n; i++) {
        v[i] /= (float)sum;
    }
}

static void transform(const struct gy_trees *t, float *out, size_t n_rows)
{
    size_t n = t->info.n_outputs;
    switch (t->info.output) {
    case GY_TREES_IDENTITY:
        return;
    case GY_TREES_SIGMOID:
        for (size_t i = 0; i < n_rows * n; i++) {
            out[i] = sigmoid_f32(out[i]);
        }
        return;
    case GY_TREES_EXP:
        for (size_t i = 0; i < n_rows * n; i++) {
            out[i] = expf(out[i]);
        }
        return;
    case GY_TREES_SOFTMAX:
        for (size_t i = 0; i < n_rows; i++) {
            softmax_f32(out + i * n, n);
        }
        return;
    case GY_TREES_STEP:
        for (size_t i = 0; i < n_rows * n; i++) {
            out[i] = out[i] > 0 ? 1.0F : 0.0F;
        }
        return;
    }
}

void gy_trees_run(const struct gy_trees *t, const float *x, size_t n_rows, bool margin, float *out)
{
    size_t nf = t->info.n_features;
    size_t no = t->info.n_outputs;
    for (size_t i = 0; i < n_rows; i++) {
        for (size_t k = 0; k < no; k++) {
            out[i * no + k] = t->base_margin[k];
        }
    }
    size_t r = 0;
    if (t->info.linear || t->info.categorical) {
        for (; r < n_rows; r++) {
            (t->info.linear ? margin_linear : margin_any)(t, x + r * nf, out + r * no);
        }
    }
    for (; r + GY_TREES_LANES <= n_rows; r += GY_TREES_LANES) {
        margin_eight(t, x + r * nf, out + r * no);
    }
    for (; r < n_rows; r++) {
        margin_one(t, x + r * nf, out + r * no);
    }
    if (!margin) {
        transform(t, out, n_rows);
    }
}

const struct gy_trees_info *gy_trees_get_info(const struct gy_trees *t)
{
    return &t->info;
}

const struct gy_trees_feature *gy_trees_get_feature(const struct gy_trees *t, size_t i)
{
    return &t->features[i];
}

void gy_trees_cut(struct gy_trees *t, size_t rounds)
{
    if (t->info.round_trees > 0 && rounds < t->info.n_trees / t->info.round_trees) {
        t->info.n_trees = rounds * t->info.round_trees;
        t->n_padded = (t->info.n_trees + GY_TREES_LANES - 1) / GY_TREES_LANES * GY_TREES_LANES;
    }
}

const float *gy_trees_base_margin(const struct gy_trees *t)
{
    return t->base_margin;
}

void gy_trees_free(struct gy_trees *t)
{
    if (t) {
        gy_free(t->base_margin);
        gy_free(t->roots);
        gy_free(t->groups);
        gy_free(t->depths);
        gy_free(t->nodes);
        gy_free(t->covers);
        gy_free(t->sets);
        gy_free(t->weights);
        gy_free(t->features);
        gy_arena_done(&t->arena);
        gy_free(t);
    }
}

/* ---- as a runtime ---- */

static size_t floats(size_t n)
{
    return (n * sizeof(float) + 63) & ~(size_t)63;
}

static size_t runtime_scratch(const void *self, size_t n_rows)
{
    const struct gy_trees *t = self;
    return floats(n_rows * t->info.n_features) + floats(n_rows * t->info.n_outputs);
}

static void runtime_run(const void *self, const double *x, size_t n_rows, double *out,
                        void *scratch)
{
    const struct gy_trees *t = self;
    float *in = scratch;
    float *answers = (float *)(void *)((char *)scratch + floats(n_rows * t->info.n_features));
    for (size_t i = 0; i < n_rows * t->info.n_features; i++) {
        in[i] = (float)x[i];
    }
    gy_trees_run(t, in, n_rows, false, answers);
    for (size_t i = 0; i < n_rows * t->info.n_outputs; i++) {
        out[i] = (double)answers[i];
    }
}

static void runtime_free(void *self)
{
    gy_trees_free(self);
}

static size_t runtime_bytes(const void *self)
{
    const struct gy_trees *t = self;
    size_t padded = t->n_padded * (sizeof *t->roots + sizeof *t->groups + sizeof *t->depths);
    size_t weights =
        t->weights ? (t->info.n_features + 1) * t->info.n_outputs * sizeof *t->weights : 0;
    return sizeof *t + t->info.n_outputs * sizeof *t->base_margin + padded +
           t->cap_nodes * (sizeof *t->nodes + sizeof *t->covers) + t->cap_sets * sizeof *t->sets +
           weights + t->info.n_features * sizeof *t->features + t->arena.total_bytes;
}

const struct gy_runtime_ops gy_trees_ops = {.version = 3,
                                            .name = "trees",
                                            .scratch = runtime_scratch,
                                            .run = runtime_run,
                                            .free = runtime_free,
                                            .explain = gy_trees_explain,
                                            .bytes = runtime_bytes};
