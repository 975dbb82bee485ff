/* SPDX-License-Identifier: Apache-2.0 */
/* SHAP values of trees, path dependent (Lundberg, Erion, Lee 2018: "Consistent individualized
 * feature attribution for tree ensembles", algorithm 2): what is not known of a row goes down both
 * ways of a split by the shares of the training rows that did. A path holds each feature once, with
 * the share of rows that pass its splits when it is not known (zero), whether this row does (one),
 * and the weight of all subsets of a size. Sums are in double. */
#include <math.h>

#include "base/mem.h"
#include "learn/runtime/trees_internal.h"

#define MAX_DEPTH 256 /* a path's memory grows with its square */

struct part {
    double zero, one, weight;
    size_t feature; /* SIZE_MAX: the root, which is no feature */
};

struct walk {
    const struct gy_trees *t;
    const float *x;
    double *out; /* n_features + 1 values of the tree's class */
};

static size_t feature_of(const struct gy_tree_node *n)
{
    return n->feature & ~GY_TREE_CATEGORICAL;
}

static uint32_t left_of(const struct gy_tree_node *n)
{
    return n->child & ~GY_TREE_NAN_RIGHT;
}

/* Add a feature behind the n parts of a path. */
static void extend(struct part *path, size_t n, double zero, double one, size_t feature)
{
    path[n] = (struct part){.zero = zero, .one = one, .weight = n == 0, .feature = feature};
    double size = (double)n + 1;
    for (size_t i = n; i-- > 0;) {
        path[i + 1].weight += one * path[i].weight * (double)(i + 1) / size;
        path[i].weight = zero * path[i].weight * (double)(n - i) / size;
    }
}

/* Take part `at` out of a path of n + 1 parts. */
static void unwind(struct part *path, size_t n, size_t at)
{
    double one = path[at].one, zero = path[at].zero;
    double next = path[n].weight;
    double size = (double)n + 1;
    for (size_t i = n; i-- > 0;) {
        if (one != 0) {
            double kept = path[i].weight;
            path[i].weight = next * size / ((double)(i + 1) * one);
            next = kept - path[i].weight * zero * (double)(n - i) / size;
        } else {
            path[i].weight = path[i].weight * size / (zero * (double)(n - i));
        }
    }
    for (size_t i = at; i < n; i++) {
        path[i].feature = path[i + 1].feature;
        path[i].zero = path[i + 1].zero;
        path[i].one = path[i + 1].one;
    }
}

/* The sum of the weights of a path of n + 1 parts as if part `at` were taken out. */
static double unwound(const struct part *path, size_t n, size_t at)
{
    double one = path[at].one, zero = path[at].zero;
    double next = path[n].weight, sum = 0;
    double size = (double)n + 1;
    for (size_t i = n; i-- > 0;) {
        if (one != 0) {
            double w = next * size / ((double)(i + 1) * one);
            sum += w;
            next = path[i].weight - w * zero * (double)(n - i) / size;
        } else if (zero != 0) {
            sum += path[i].weight * size / (zero * (double)(n - i));
        }
    }
    return sum;
}

/* The parts of the parent's path are copied behind it, since both ways change them. */
static void descend(const struct walk *w, uint32_t at, struct part *parent, size_t n,
                    const struct part *added)
{
    struct part *path = parent + n + 1;
    const struct gy_tree_node *node = &w->t->nodes[at];
    if (added->zero == 0 && added->one == 0) {
        return; /* neither this row nor one of training goes here */
    }
    memcpy(path, parent, n * sizeof *path);
    extend(path, n, added->zero, added->one, added->feature);
    uint32_t left = left_of(node);
    if (left == at) {
        for (size_t i = 1; i <= n; i++) {
            w->out[path[i].feature] +=
                unwound(path, n, i) * (path[i].one - path[i].zero) * (double)node->leaf;
        }
        return;
    }
    uint32_t hot = gy_trees_next(w->t, at, w->x);
    uint32_t cold = hot == left ? left + 1 : left;
    double zero = 1, one = 1;
    size_t length = n;
    for (size_t i = 1; i <= n; i++) {
        if (path[i].feature == feature_of(node)) { /* split by before: the two become one part */
            zero = path[i].zero;
            one = path[i].one;
            unwind(path, n, i);
            length = n - 1;
            break;
        }
    }
    double cover = (double)w->t->covers[at];
    const struct part to_hot = {
        .zero = zero * (double)w->t->covers[hot] / cover, .one = one, .feature = feature_of(node)};
    const struct part to_cold = {.zero = zero * (double)w->t->covers[cold] / cover,
                                 .feature = feature_of(node)};
    descend(w, hot, path, length + 1, &to_hot);
    descend(w, cold, path, length + 1, &to_cold);
}

/* What a tree answers on average over its training rows. */
static double mean_of(const struct gy_trees *t, uint32_t at)
{
    const struct gy_tree_node *n = &t->nodes[at];
    uint32_t left = left_of(n);
    if (left == at) {
        return (double)n->leaf;
    }
    double a = (double)t->covers[left], b = (double)t->covers[left + 1];
    return (a * mean_of(t, left) + b * mean_of(t, left + 1)) / (double)t->covers[at];
}

static gy_status unsupported(const char *why, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_UNSUPPORTED, "no contributions of these trees: %s", why);
    return gy_err_hint(err, "gyre evaluate --importance tells what any model looks at");
}

/* Each node's rows are divided among its children. */
static gy_status check(const struct gy_trees *t, unsigned *ret_depth, struct gy_err *err)
{
    unsigned depth = 0;
    for (size_t i = 0; i < t->info.n_trees; i++) {
        depth = t->depths[i] > depth ? t->depths[i] : depth;
    }
    if (depth > MAX_DEPTH) {
        return unsupported("they are too deep", err);
    }
    for (size_t i = 1; i < t->info.n_nodes && !t->no_covers; i++) {
        bool leaf = left_of(&t->nodes[i]) == i;
        if (!leaf && (!(t->covers[i] > 0) || !(t->covers[left_of(&t->nodes[i])] >= 0) ||
                      !(t->covers[left_of(&t->nodes[i]) + 1] >= 0))) {
            return unsupported("the file says splits that no row has passed", err);
        }
    }
    *ret_depth = depth;
    return t->no_covers ? unsupported("the file does not say how many rows passed a split", err)
                        : GY_OK;
}

/* gblinear: what a feature adds; one that is missing adds nothing. */
static void explain_linear(const struct gy_trees *t, const double *x, double *out)
{
    size_t nf = t->info.n_features, no = t->info.n_outputs;
    for (size_t k = 0; k < no; k++, out += nf + 1) {
        for (size_t i = 0; i < nf; i++) {
            out[i] = isnan(x[i]) ? 0 : (double)(float)x[i] * (double)t->weights[i * no + k];
        }
        out[nf] = (double)t->weights[nf * no + k] + (double)t->base_margin[k];
    }
}

static void explain_row(const struct gy_trees *t, const float *x, const double *base,
                        struct part *path, double *out)
{
    size_t width = t->info.n_features + 1;
    const struct part root = {.zero = 1, .one = 1, .feature = SIZE_MAX};
    memset(out, 0, t->info.n_outputs * width * sizeof *out);
    for (size_t i = 0; i < t->info.n_trees; i++) {
        struct walk w = {.t = t, .x = x, .out = out + t->groups[i] * width};
        descend(&w, t->roots[i], path, 0, &root);
    }
    for (size_t k = 0; k < t->info.n_outputs; k++) {
        out[k * width + width - 1] = base[k];
    }
}

gy_status gy_trees_explain(const void *self, const double *x, size_t n_rows, const double *means,
                           double *out, struct gy_err *err)
{
    const struct gy_trees *t = self;
    size_t nf = t->info.n_features, no = t->info.n_outputs;
    unsigned depth = 0;
    (void)means;
    if (t->info.linear) {
        for (size_t r = 0; r < n_rows; r++) {
            explain_linear(t, x + r * nf, out + r * no * (nf + 1));
        }
        return GY_OK;
    }
    GY_TRY(check(t, &depth, err));
    /* Each level of a path needs room for one part more than the one above. */
    size_t n_parts = ((size_t)depth + 3) * ((size_t)depth + 4) / 2 + depth + 3;
    GY_AUTO(gy_free) char *parts = gy_reallocarray(NULL, n_parts, sizeof(struct part));
    GY_AUTO(gy_free) char *base_room = gy_calloc(no, sizeof(double));
    GY_AUTO(gy_free) char *row_room = gy_reallocarray(NULL, nf + 1, sizeof(float));
    if (!parts || !base_room || !row_room) {
        return gy_err_set(err, GY_E_NOMEM, "explaining");
    }
    double *base = (double *)(void *)base_room;
    float *row = (float *)(void *)row_room;
    for (size_t k = 0; k < no; k++) {
        base[k] = (double)t->base_margin[k];
    }
    for (size_t i = 0; i < t->info.n_trees; i++) {
        base[t->groups[i]] += mean_of(t, t->roots[i]);
    }
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = 0; i < nf; i++) {
            row[i] = (float)x[r * nf + i];
        }
        explain_row(t, row, base, (struct part *)(void *)parts, out + r * no * (nf + 1));
    }
    return GY_OK;
}
