/* SPDX-License-Identifier: Apache-2.0 */
/* One "Tree=" section of a LightGBM file into flat nodes. */
#include <math.h>

#include "base/mem.h"
#include "learn/runtime/lightgbm_internal.h"

/* Bits of decision_type. */
enum { CATEGORICAL = 1, DEFAULT_LEFT = 2, MISSING_SHIFT = 2, MISSING_MASK = 3 };

/* The arrays of one tree as the file has them; n inner nodes, n + 1 leaves. */
struct raw_tree {
    size_t n;
    int64_t *feature, *decision, *left, *right;
    double *threshold, *leaf;
    int64_t *boundaries; /* n_sets + 1 */
    int64_t *bits;       /* boundaries[n_sets] words */
    size_t n_sets;
    char *sets_memory;
};

static gy_status reserve_nodes(struct gy_lightgbm *m, size_t more, struct gy_err *err)
{
    size_t need = m->info.n_nodes + more;
    if (need > GY_LIGHTGBM_MAX_NODES) {
        return gy_err_set(err, GY_E_TOOBIG, "the model has more than %zu nodes",
                          GY_LIGHTGBM_MAX_NODES);
    }
    if (need <= m->cap_nodes) {
        return GY_OK;
    }
    size_t cap = m->cap_nodes * 2 > need ? m->cap_nodes * 2 : need;
    struct gy_lightgbm_node *nodes = gy_reallocarray(m->nodes, cap, sizeof *nodes);
    if (nodes) {
        m->nodes = nodes;
    }
    double *leaves = nodes ? gy_reallocarray(m->leaves, cap, sizeof *leaves) : NULL;
    if (!leaves) {
        return gy_err_set(err, GY_E_NOMEM, "a model of %zu nodes", need);
    }
    m->leaves = leaves;
    m->cap_nodes = cap;
    return GY_OK;
}

static void place_leaf(struct gy_lightgbm *m, size_t at, double value)
{
    m->nodes[at] = (struct gy_lightgbm_node){.threshold = NAN, .value = 0, .child = (uint32_t)at};
    m->leaves[at] = value;
}

gy_status gy_lightgbm_pad(struct gy_lightgbm *m, struct gy_err *err)
{
    GY_TRY(reserve_nodes(m, 1, err));
    place_leaf(m, 0, 0);
    m->info.n_nodes = 1;
    return GY_OK;
}

/* The words of set k behind their count. */
static gy_status place_set(struct gy_lightgbm *m, const struct raw_tree *raw, double k,
                           uint32_t *ret, struct gy_err *err)
{
    if (!(k >= 0 && k < (double)raw->n_sets)) {
        return gy_lightgbm_corrupt(err, "a split has no set of categories");
    }
    int64_t begin = raw->boundaries[(size_t)k];
    size_t words = (size_t)(raw->boundaries[(size_t)k + 1] - begin);
    size_t need = m->n_sets + words + 1;
    if (need > GY_LIGHTGBM_MAX_SET_WORDS) {
        return gy_err_set(err, GY_E_TOOBIG, "the sets of categories of the model are too large");
    }
    if (need > m->cap_sets) {
        size_t cap = m->cap_sets * 2 > need ? m->cap_sets * 2 : need;
        uint32_t *sets = gy_reallocarray(m->sets, cap, sizeof *sets);
        if (!sets) {
            return gy_err_set(err, GY_E_NOMEM, "sets of categories");
        }
        m->sets = sets;
        m->cap_sets = cap;
    }
    m->sets[m->n_sets] = (uint32_t)words;
    for (size_t i = 0; i < words; i++) {
        m->sets[m->n_sets + 1 + i] = (uint32_t)raw->bits[(size_t)begin + i];
    }
    *ret = (uint32_t)m->n_sets;
    m->n_sets = need;
    return GY_OK;
}

/* Inner node i into nodes[at]; its children get the next two free places. */
static gy_status place_split(struct gy_lightgbm *m, const struct raw_tree *raw, size_t i, size_t at,
                             struct gy_err *err)
{
    static const uint32_t forms[] = {GY_LIGHTGBM_NONE, GY_LIGHTGBM_ZERO, GY_LIGHTGBM_NAN};
    int64_t feature = raw->feature[i];
    int64_t missing = raw->decision[i] >> MISSING_SHIFT & MISSING_MASK;
    struct gy_lightgbm_node *node = &m->nodes[at];
    if (feature < 0 || (size_t)feature >= m->info.n_features || raw->decision[i] < 0 ||
        raw->decision[i] > 15 || missing > 2 || isnan(raw->threshold[i])) {
        return gy_lightgbm_corrupt(err, "a split is out of range");
    }
    *node = (struct gy_lightgbm_node){.child = (uint32_t)m->info.n_nodes};
    if (raw->decision[i] & CATEGORICAL) {
        GY_TRY(place_set(m, raw, raw->threshold[i], &node->set, err));
        node->value = ((uint32_t)feature * GY_LIGHTGBM_FORMS + GY_LIGHTGBM_NAN) | GY_LIGHTGBM_HIGH;
        m->info.categorical = true;
        m->features[feature].categorical = true;
    } else {
        node->threshold = raw->threshold[i];
        node->value = (uint32_t)feature * GY_LIGHTGBM_FORMS + forms[missing];
        node->child |= raw->decision[i] & DEFAULT_LEFT ? 0 : GY_LIGHTGBM_HIGH;
    }
    m->info.n_nodes += 2;
    return GY_OK;
}

/* Breadth first, so that the children of a node are neighbours. A tree can have at most as many
 * nodes as the file says, so loops end too. queue[place - first]: node of the file, or ~leaf. */
static gy_status flatten(struct gy_lightgbm *m, const struct raw_tree *raw, int64_t *queue,
                         unsigned *ret_depth, struct gy_err *err)
{
    size_t first = m->info.n_nodes;
    size_t most = 2 * raw->n + 1;
    size_t level_end = first + 1;
    *ret_depth = 0;
    GY_TRY(reserve_nodes(m, most, err));
    queue[0] = raw->n == 0 ? ~(int64_t)0 : 0;
    m->info.n_nodes = first + 1;
    for (size_t at = first; at < m->info.n_nodes; at++) {
        if (at == level_end) {
            level_end = m->info.n_nodes;
            if (++*ret_depth > GY_LIGHTGBM_MAX_DEPTH) {
                return gy_err_set(err, GY_E_TOOBIG, "a tree is deeper than %d",
                                  GY_LIGHTGBM_MAX_DEPTH);
            }
        }
        int64_t i = queue[at - first];
        size_t used = m->info.n_nodes - first;
        m->leaves[at] = 0;
        if (i < 0 && (size_t)~i <= raw->n) {
            place_leaf(m, at, raw->leaf[~i]);
            continue;
        }
        if (i < 0 || (size_t)i >= raw->n || used + 2 > most) {
            return gy_lightgbm_corrupt(err, "the nodes of a tree do not form a tree");
        }
        queue[used] = raw->left[i];
        queue[used + 1] = raw->right[i];
        GY_TRY(place_split(m, raw, (size_t)i, at, err));
    }
    return GY_OK;
}

/* cat_boundaries and cat_threshold. */
static gy_status read_sets(const struct gy_lightgbm_lines *l, struct raw_tree *raw,
                           struct gy_err *err)
{
    int64_t n_sets = 0;
    struct gy_str text = gy_lightgbm_line(l, "num_cat");
    struct gy_str bits = gy_lightgbm_line(l, "cat_threshold");
    if (text.p && !gy_lightgbm_i64s(text, 1, &n_sets)) {
        return gy_lightgbm_corrupt(err, "num_cat is no number");
    }
    if (n_sets == 0) {
        return GY_OK;
    }
    /* No number is shorter than a digit and a blank, which bounds both counts by the text. */
    size_t n_words = 0;
    for (size_t i = 0; i < bits.n; i++) {
        n_words += bits.p[i] != ' ' && (i == 0 || bits.p[i - 1] == ' ');
    }
    if (n_sets < 0 || (size_t)n_sets > raw->n) {
        return gy_lightgbm_corrupt(err, "num_cat is out of range");
    }
    raw->sets_memory = gy_reallocarray(NULL, (size_t)n_sets + 1 + n_words, sizeof(int64_t));
    if (!raw->sets_memory) {
        return gy_err_set(err, GY_E_NOMEM, "sets of categories");
    }
    raw->boundaries = (int64_t *)(void *)raw->sets_memory;
    raw->bits = raw->boundaries + n_sets + 1;
    raw->n_sets = (size_t)n_sets;
    bool ok =
        gy_lightgbm_i64s(gy_lightgbm_line(l, "cat_boundaries"), raw->n_sets + 1, raw->boundaries) &&
        gy_lightgbm_i64s(bits, n_words, raw->bits) && raw->boundaries[0] == 0 &&
        (size_t)raw->boundaries[n_sets] == n_words;
    for (size_t k = 0; ok && k < raw->n_sets; k++) {
        ok = raw->boundaries[k] <= raw->boundaries[k + 1];
    }
    for (size_t i = 0; ok && i < n_words; i++) {
        ok = raw->bits[i] >= 0 && raw->bits[i] <= UINT32_MAX;
    }
    return ok ? GY_OK : gy_lightgbm_corrupt(err, "the sets of categories do not agree");
}

static gy_status read_arrays(const struct gy_lightgbm_lines *l, struct raw_tree *raw,
                             struct gy_err *err)
{
    bool ok = gy_lightgbm_f64s(gy_lightgbm_line(l, "leaf_value"), raw->n + 1, raw->leaf);
    if (raw->n > 0) {
        ok = ok && gy_lightgbm_i64s(gy_lightgbm_line(l, "split_feature"), raw->n, raw->feature) &&
             gy_lightgbm_i64s(gy_lightgbm_line(l, "decision_type"), raw->n, raw->decision) &&
             gy_lightgbm_i64s(gy_lightgbm_line(l, "left_child"), raw->n, raw->left) &&
             gy_lightgbm_i64s(gy_lightgbm_line(l, "right_child"), raw->n, raw->right) &&
             gy_lightgbm_f64s(gy_lightgbm_line(l, "threshold"), raw->n, raw->threshold);
    }
    for (size_t i = 0; ok && i <= raw->n; i++) {
        ok = isfinite(raw->leaf[i]);
    }
    return ok ? GY_OK : gy_lightgbm_corrupt(err, "the arrays of a tree do not agree");
}

static gy_status reserve_tree(struct gy_lightgbm *m, struct gy_err *err)
{
    if (m->info.n_trees >= GY_LIGHTGBM_MAX_TREES) {
        return gy_err_set(err, GY_E_TOOBIG, "the model has more than %d trees",
                          GY_LIGHTGBM_MAX_TREES);
    }
    if (m->info.n_trees < m->cap_trees) {
        return GY_OK;
    }
    size_t cap = m->cap_trees ? 2 * m->cap_trees : 64; /* a multiple of the lanes */
    uint32_t *roots = gy_reallocarray(m->roots, cap, sizeof *roots);
    if (roots) {
        m->roots = roots;
    }
    uint16_t *depths = roots ? gy_reallocarray(m->depths, cap, sizeof *depths) : NULL;
    if (!depths) {
        return gy_err_set(err, GY_E_NOMEM, "a model of %zu trees", cap);
    }
    m->depths = depths;
    memset(roots + m->cap_trees, 0, (cap - m->cap_trees) * sizeof *roots);
    memset(depths + m->cap_trees, 0, (cap - m->cap_trees) * sizeof *depths);
    m->cap_trees = cap;
    return GY_OK;
}

gy_status gy_lightgbm_add_tree(struct gy_lightgbm *m, const struct gy_lightgbm_lines *l,
                               struct gy_err *err)
{
    int64_t leaves = 0;
    struct gy_str leaf_text = gy_lightgbm_line(l, "leaf_value");
    struct gy_str linear = gy_lightgbm_line(l, "is_linear");
    if (linear.p && !gy_str_eqc(linear, "0")) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "LightGBM with linear_tree (a linear model in each leaf)");
    }
    /* Each value takes a digit and a blank: memory is bounded by the size of the file. */
    if (!gy_lightgbm_i64s(gy_lightgbm_line(l, "num_leaves"), 1, &leaves) || leaves < 1 ||
        (size_t)leaves > leaf_text.n / 2 + 1) {
        return gy_lightgbm_corrupt(err, "num_leaves is out of range");
    }
    GY_TRY(reserve_tree(m, err));
    size_t n = (size_t)leaves - 1;
    /* 4 arrays of inner nodes, thresholds, leaves, and a queue of all nodes. */
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, 8 * n + 2, sizeof(int64_t));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "a tree of %zu leaves", n + 1);
    }
    int64_t *ints = (int64_t *)(void *)room;
    double *doubles = (double *)(void *)(ints + 4 * n);
    struct raw_tree raw = {.n = n,
                           .feature = ints,
                           .decision = ints + n,
                           .left = ints + 2 * n,
                           .right = ints + 3 * n,
                           .threshold = doubles,
                           .leaf = doubles + n};
    int64_t *queue = ints + 6 * n + 1;
    unsigned depth = 0;
    size_t root = m->info.n_nodes;
    GY_TRY(read_arrays(l, &raw, err));
    gy_status status = read_sets(l, &raw, err);
    if (status == GY_OK) {
        status = flatten(m, &raw, queue, &depth, err);
    }
    gy_free(raw.sets_memory);
    GY_TRY(status);
    m->roots[m->info.n_trees] = (uint32_t)root;
    m->depths[m->info.n_trees++] = (uint16_t)depth;
    return GY_OK;
}
