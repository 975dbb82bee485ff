/* SPDX-License-Identifier: Apache-2.0 */
/* The trees of an XGBoost model file, one after the other, into flat nodes. */
#include <math.h>

#include "base/mem.h"
#include "learn/runtime/trees_internal.h"
#include "learn/runtime/ubj.h"

/* The arrays of one tree as the file has them. */
struct raw_tree {
    size_t n;
    float weight; /* of dart */
    int32_t *left, *right, *feature, *default_left;
    float *split, *cover;
    int32_t *part; /* which set of categories a node splits by; -1: by a number */
    /* The sets: categories[begin[k] ... begin[k] + size[k]). */
    int32_t *categories, *begin, *size;
    size_t n_categories, n_parts;
};

static gy_status reserve_nodes(struct gy_trees *t, size_t more, struct gy_err *err)
{
    size_t need = t->info.n_nodes + more;
    if (need > GY_TREES_MAX_NODES) {
        return gy_err_set(err, GY_E_TOOBIG, "the model has more than %zu nodes",
                          GY_TREES_MAX_NODES);
    }
    if (need <= t->cap_nodes) {
        return GY_OK;
    }
    size_t cap = t->cap_nodes * 2 > need ? t->cap_nodes * 2 : need;
    struct gy_tree_node *nodes = gy_reallocarray(t->nodes, cap, sizeof *nodes);
    t->nodes = nodes ? nodes : t->nodes;
    float *covers = gy_reallocarray(t->covers, cap, sizeof *covers);
    t->covers = covers ? covers : t->covers;
    if (!nodes || !covers) {
        return gy_err_set(err, GY_E_NOMEM, "a model of %zu nodes", need);
    }
    t->cap_nodes = cap;
    return GY_OK;
}

void gy_trees_trim(struct gy_trees *t)
{
    size_t n = t->info.n_nodes;
    if (n == 0 || n == t->cap_nodes) {
        return;
    }
    /* Shrinking may fail; then it stays as large as it is. */
    struct gy_tree_node *nodes = gy_reallocarray(t->nodes, n, sizeof *nodes);
    float *covers = gy_reallocarray(t->covers, n, sizeof *covers);
    t->nodes = nodes ? nodes : t->nodes;
    t->covers = covers ? covers : t->covers;
    t->cap_nodes = nodes && covers ? n : t->cap_nodes;
}

static struct gy_tree_node leaf_node(uint32_t at, float value)
{
    return (struct gy_tree_node){.split = NAN, .feature = 0, .child = at, .leaf = value};
}

/* The categories of set k as bits, behind the count of their words. */
static gy_status place_set(struct gy_trees *t, const struct raw_tree *raw, size_t k, uint32_t *ret,
                           struct gy_err *err)
{
    if (!raw->begin || k >= raw->n_parts) {
        return gy_trees_corrupt(err, "a split has no set of categories");
    }
    size_t begin = raw->begin[k] < 0 ? SIZE_MAX : (size_t)raw->begin[k];
    size_t size = raw->size[k] < 0 ? 0 : (size_t)raw->size[k];
    int32_t most = 0;
    if (size == 0 || begin > raw->n_categories || size > raw->n_categories - begin) {
        return gy_trees_corrupt(err, "a set of categories is out of range");
    }
    for (size_t i = begin; i < begin + size; i++) {
        if (raw->categories[i] < 0 || raw->categories[i] >= GY_TREES_MAX_CATEGORY) {
            return gy_trees_corrupt(err, "a category is out of range");
        }
        most = raw->categories[i] > most ? raw->categories[i] : most;
    }
    size_t words = (size_t)most / 32 + 1;
    size_t need = t->n_sets + words + 1;
    if (need > GY_TREES_MAX_SET_WORDS) {
        return gy_err_set(err, GY_E_TOOBIG, "the model's sets of categories need more than %zu MiB",
                          GY_TREES_MAX_SET_WORDS * sizeof(uint32_t) >> 20);
    }
    if (need > t->cap_sets) {
        size_t cap = t->cap_sets * 2 > need ? t->cap_sets * 2 : need;
        uint32_t *sets = gy_reallocarray(t->sets, cap, sizeof *sets);
        if (!sets) {
            return gy_err_set(err, GY_E_NOMEM, "sets of categories");
        }
        t->sets = sets;
        t->cap_sets = cap;
    }
    uint32_t *set = t->sets + t->n_sets;
    set[0] = (uint32_t)words;
    memset(set + 1, 0, words * sizeof *set);
    for (size_t i = begin; i < begin + size; i++) {
        uint32_t c = (uint32_t)raw->categories[i];
        set[1 + c / 32] |= 1U << c % 32;
    }
    *ret = (uint32_t)t->n_sets;
    t->n_sets = need;
    return GY_OK;
}

/* Check node i of the file and write it to nodes[at]; its children, if any, get the next two free
 * places. queue[place - first] = node of the file. */
static gy_status place_node(struct gy_trees *t, const struct raw_tree *raw, size_t first,
                            uint32_t at, int32_t *queue, struct gy_err *err)
{
    int32_t i = queue[at - first];
    float split = raw->split[i];
    t->covers[at] = raw->cover[i];
    if (raw->left[i] == -1) {
        if (!isfinite(split * raw->weight)) {
            return gy_trees_corrupt(err, "a leaf is not finite");
        }
        t->nodes[at] = leaf_node(at, split * raw->weight);
        return GY_OK;
    }
    size_t used = t->info.n_nodes - first;
    if (raw->left[i] < 0 || (size_t)raw->left[i] >= raw->n || raw->right[i] < 0 ||
        (size_t)raw->right[i] >= raw->n || used + 2 > raw->n) {
        return gy_trees_corrupt(err, "the nodes of a tree do not form a tree");
    }
    bool categorical = raw->part[i] >= 0;
    if (raw->feature[i] < 0 || (size_t)raw->feature[i] >= t->info.n_features ||
        (!categorical && isnan(split))) {
        return gy_trees_corrupt(err, "a split is out of range");
    }
    queue[used] = raw->left[i];
    queue[used + 1] = raw->right[i];
    t->nodes[at] = (struct gy_tree_node){
        .split = split,
        .feature = (uint32_t)raw->feature[i],
        .child = (uint32_t)t->info.n_nodes | (raw->default_left[i] ? 0 : GY_TREE_NAN_RIGHT),
    };
    if (categorical) {
        struct gy_tree_node *node = &t->nodes[at];
        GY_TRY(place_set(t, raw, (size_t)raw->part[i], &node->set, err));
        node->split = NAN;
        t->features[node->feature].categorical = true;
        node->feature |= GY_TREE_CATEGORICAL;
        t->info.categorical = true;
    }
    t->info.n_nodes += 2;
    return GY_OK;
}

/* Breadth first: the children of a node are neighbours, and a tree can have at most as many nodes
 * as the file says, so loops end too. */
static gy_status flatten(struct gy_trees *t, const struct raw_tree *raw, size_t tree,
                         int32_t *queue, struct gy_err *err)
{
    GY_TRY(reserve_nodes(t, raw->n, err));
    size_t first = t->info.n_nodes;
    size_t level_end = first + 1;
    unsigned depth = 0;
    queue[0] = 0;
    t->info.n_nodes = first + 1;
    for (size_t at = first; at < t->info.n_nodes; at++) {
        if (at == level_end) {
            level_end = t->info.n_nodes;
            if (++depth > GY_TREES_MAX_DEPTH) {
                return gy_err_set(err, GY_E_TOOBIG, "a tree is deeper than %d", GY_TREES_MAX_DEPTH);
            }
        }
        GY_TRY(place_node(t, raw, first, (uint32_t)at, queue, err));
    }
    t->roots[tree] = (uint32_t)first;
    t->depths[tree] = (uint16_t)depth;
    return GY_OK;
}

#define SET_MISSING (-2) /* each such node must be named once */

/* Which nodes split by categories, and by which. split_type says it a node; categories_nodes names
 * the nodes whose sets follow. sets: room for them, freed by the caller. */
static gy_status read_sets(const struct gy_ubj *j, struct raw_tree *raw, char **sets,
                           struct gy_err *err)
{
    const struct gy_ubj *types = gy_ubj_get(j, "split_type");
    size_t n_sets = 0;
    if (gy_ubj_len(types) == 0) { /* before 1.5 */
        memset(raw->part, 0xff, raw->n * sizeof *raw->part);
        return GY_OK;
    }
    if (!gy_ubj_i32s(types, raw->n, raw->part)) {
        return gy_trees_corrupt(err, "split_type does not agree with the nodes");
    }
    for (size_t i = 0; i < raw->n; i++) {
        if (raw->part[i] != 0 && raw->part[i] != 1) {
            return gy_err_set(err, GY_E_NOTSERVABLE, "XGBoost trees with splits of type %d",
                              (int)raw->part[i]);
        }
        bool set = raw->part[i] == 1 && raw->left[i] != -1;
        n_sets += set;
        raw->part[i] = set ? SET_MISSING : -1;
    }
    if (n_sets == 0) {
        return GY_OK;
    }
    const struct gy_ubj *nodes = gy_ubj_get(j, "categories_nodes");
    raw->n_parts = gy_ubj_len(nodes);
    raw->n_categories = gy_ubj_len(gy_ubj_get(j, "categories"));
    if (raw->n_parts != n_sets || n_sets > raw->n) {
        return gy_trees_corrupt(err, "categories_nodes does not agree with split_type");
    }
    *sets = gy_reallocarray(NULL, 3 * n_sets + raw->n_categories, sizeof(int32_t));
    if (!*sets) {
        return gy_err_set(err, GY_E_NOMEM, "sets of categories");
    }
    int32_t *at = (int32_t *)(void *)*sets;
    raw->begin = at + n_sets;
    raw->size = at + 2 * n_sets;
    raw->categories = at + 3 * n_sets;
    if (!gy_ubj_i32s(nodes, n_sets, at) ||
        !gy_ubj_i32s(gy_ubj_get(j, "categories_segments"), n_sets, raw->begin) ||
        !gy_ubj_i32s(gy_ubj_get(j, "categories_sizes"), n_sets, raw->size) ||
        !gy_ubj_i32s(gy_ubj_get(j, "categories"), raw->n_categories, raw->categories)) {
        return gy_trees_corrupt(err, "the sets of categories do not agree");
    }
    size_t all = 0; /* XGBoost's segments lie behind each other */
    for (size_t k = 0; k < n_sets; k++) {
        all += raw->size[k] > 0 ? (size_t)raw->size[k] : 0;
    }
    if (all > raw->n_categories) {
        return gy_trees_corrupt(err, "the sets of categories overlap");
    }
    for (size_t k = 0; k < n_sets; k++) {
        if (at[k] < 0 || (size_t)at[k] >= raw->n || raw->part[at[k]] != SET_MISSING) {
            return gy_trees_corrupt(err, "categories_nodes is out of range");
        }
        raw->part[at[k]] = (int32_t)k;
    }
    return GY_OK;
}

static gy_status read_tree(struct gy_trees *t, const struct gy_ubj *j, size_t tree, float weight,
                           struct gy_err *err)
{
    int64_t vector = 0;
    GY_TRY(gy_trees_param(gy_ubj_get(j, "tree_param"), "size_leaf_vector", 0, &vector, err));
    if (vector > 1) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "XGBoost trees with vector leaves (multi_strategy multi_output_tree)");
    }
    size_t n = gy_ubj_len(gy_ubj_get(j, "left_children"));
    if (n == 0 || n > GY_TREES_MAX_NODES) {
        return gy_trees_corrupt(err, "a tree without nodes");
    }
    GY_AUTO(gy_free) char *room = gy_malloc(n * 8 * sizeof(int32_t));
    GY_AUTO(gy_free) char *sets = NULL;
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "a tree of %zu nodes", n);
    }
    int32_t *ints = (int32_t *)(void *)room;
    struct raw_tree raw = {.n = n,
                           .weight = weight,
                           .left = ints,
                           .right = ints + n,
                           .feature = ints + 2 * n,
                           .default_left = ints + 3 * n,
                           .split = (float *)(void *)(ints + 4 * n),
                           .part = ints + 6 * n,
                           .cover = (float *)(void *)(ints + 7 * n)};
    int32_t *queue = ints + 5 * n;
    if (!gy_ubj_i32s(gy_ubj_get(j, "left_children"), n, raw.left) ||
        !gy_ubj_i32s(gy_ubj_get(j, "right_children"), n, raw.right) ||
        !gy_ubj_i32s(gy_ubj_get(j, "split_indices"), n, raw.feature) ||
        !gy_ubj_i32s(gy_ubj_get(j, "default_left"), n, raw.default_left) ||
        !gy_ubj_f32s(gy_ubj_get(j, "split_conditions"), n, raw.split)) {
        return gy_trees_corrupt(err, "the arrays of a tree do not agree");
    }
    if (!gy_ubj_f32s(gy_ubj_get(j, "sum_hessian"), n, raw.cover)) {
        memset(raw.cover, 0, n * sizeof *raw.cover);
        t->no_covers = true; /* the answer does not need them */
    }
    GY_TRY(read_sets(j, &raw, &sets, err));
    return flatten(t, &raw, tree, queue, err);
}

static gy_status alloc_trees(struct gy_trees *t, size_t n, struct gy_err *err)
{
    if (n > GY_TREES_MAX_TREES) {
        return gy_err_set(err, GY_E_TOOBIG, "the model has more than %d trees", GY_TREES_MAX_TREES);
    }
    t->info.n_trees = n;
    t->n_padded = (n + GY_TREES_LANES - 1) / GY_TREES_LANES * GY_TREES_LANES;
    t->roots = gy_calloc(t->n_padded, sizeof *t->roots);
    t->groups = gy_calloc(t->n_padded, sizeof *t->groups);
    t->depths = gy_calloc(t->n_padded, sizeof *t->depths);
    if (!t->roots || !t->groups || !t->depths) {
        return gy_err_set(err, GY_E_NOMEM, "a model of %zu trees", n);
    }
    /* Node 0 is the lone leaf of the padding. */
    GY_TRY(reserve_nodes(t, 1, err));
    t->nodes[0] = leaf_node(0, 0);
    t->covers[0] = 0;
    t->info.n_nodes = 1;
    return GY_OK;
}

gy_status gy_trees_read_trees(const struct gy_ubj *model, const struct gy_ubj *weights,
                              struct gy_trees *t, struct gy_err *err)
{
    const struct gy_ubj *trees = gy_ubj_get(model, "trees");
    if (!trees || trees->kind != GY_UBJ_ARR) {
        return gy_trees_corrupt(err, "no trees");
    }
    GY_TRY(alloc_trees(t, trees->n, err));
    GY_AUTO(gy_free) char *room = gy_malloc(trees->n * 2 * sizeof(int32_t));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "a model of %zu trees", trees->n);
    }
    int32_t *groups = (int32_t *)(void *)room;
    if (!gy_ubj_i32s(gy_ubj_get(model, "tree_info"), trees->n, groups)) {
        return gy_trees_corrupt(err, "tree_info does not agree with the trees");
    }
    float *weight = (float *)(void *)(groups + trees->n);
    for (size_t i = 0; i < trees->n; i++) {
        weight[i] = 1;
    }
    if (weights && !gy_ubj_f32s(weights, trees->n, weight)) {
        return gy_trees_corrupt(err, "weight_drop does not agree with the trees");
    }
    size_t i = 0;
    for (const struct gy_ubj *tree = trees->first; tree; tree = tree->next, i++) {
        if (groups[i] < 0 || (size_t)groups[i] >= t->info.n_outputs) {
            return gy_trees_corrupt(err, "tree_info is out of range");
        }
        t->groups[i] = (uint32_t)groups[i];
        GY_TRY(read_tree(t, tree, i, weight[i], err));
    }
    return GY_OK;
}
