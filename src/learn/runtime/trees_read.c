/* SPDX-License-Identifier: Apache-2.0 */
/* XGBoost model file -> flat trees. The schema is the one of XGBoost's doc/model.schema. */
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "learn/runtime/trees_internal.h"
#include "learn/runtime/ubj.h"

struct objective {
    const char *name;
    enum gy_trees_output output;
};

static const struct objective g_objectives[] = {
    {"binary:logistic", GY_TREES_SIGMOID},
    {"binary:logitraw", GY_TREES_IDENTITY},
    {"reg:logistic", GY_TREES_SIGMOID},
    {"reg:squarederror", GY_TREES_IDENTITY},
    {"reg:linear", GY_TREES_IDENTITY},
    {"reg:absoluteerror", GY_TREES_IDENTITY},
    {"reg:squaredlogerror", GY_TREES_IDENTITY},
    {"reg:pseudohubererror", GY_TREES_IDENTITY},
    {"count:poisson", GY_TREES_EXP},
    {"reg:gamma", GY_TREES_EXP},
    {"reg:tweedie", GY_TREES_EXP},
    {"multi:softprob", GY_TREES_SOFTMAX},
};

static gy_status corrupt(struct gy_err *err, const char *what)
{
    return gy_err_set(err, GY_E_CORRUPT, "not an XGBoost model: %s", what);
}

/* XGBoost keeps its numbers as strings ("num_class": "0"); accept bare ones too. */
static gy_status param_i64(const struct gy_ubj *o, const char *key, int64_t absent, int64_t *ret,
                           struct gy_err *err)
{
    const struct gy_ubj *v = gy_ubj_get(o, key);
    *ret = absent;
    if (!v) {
        return GY_OK;
    }
    if (v->kind != GY_UBJ_STR || gy_parse_i64(v->text, 0, INT32_MAX, ret, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_CORRUPT, "not an XGBoost model: bad '%s'", key);
    }
    return GY_OK;
}

/* One number of base_score, as the margin that the sum starts from. */
static gy_status to_margin(struct gy_str number, enum gy_trees_output output, float *ret,
                           struct gy_err *err)
{
    char copy[64];
    char *end = NULL;
    if (number.n == 0 || number.n >= sizeof copy) {
        return corrupt(err, "no base_score");
    }
    memcpy(copy, number.p, number.n);
    copy[number.n] = '\0';
    float score = strtof(copy, &end);
    if (end != copy + number.n || !isfinite(score)) {
        return corrupt(err, "base_score is no number");
    }
    switch (output) {
    case GY_TREES_IDENTITY:
    case GY_TREES_SOFTMAX:
        *ret = score;
        break;
    case GY_TREES_SIGMOID:
        *ret = -logf(1.0F / score - 1.0F);
        break;
    case GY_TREES_EXP:
        *ret = logf(score);
        break;
    }
    return isfinite(*ret) ? GY_OK : corrupt(err, "base_score is out of range");
}

/* base_score: "5E-1", or since 3.1 a list of one "[5E-1]" or of one a class. */
static gy_status read_base_score(const struct gy_ubj *params, struct gy_trees *t,
                                 struct gy_err *err)
{
    struct gy_str rest = gy_str_trim(gy_ubj_str(params, "base_score"));
    struct gy_str piece = GY_STR_NULL;
    size_t n = 0;
    t->base_margin = gy_calloc(t->info.n_outputs, sizeof *t->base_margin);
    if (!t->base_margin) {
        return gy_err_set(err, GY_E_NOMEM, "loading trees");
    }
    if (rest.n > 2 && rest.p[0] == '[' && rest.p[rest.n - 1] == ']') {
        rest = gy_str_sub(rest, 1, rest.n - 2);
        t->info.base_score_list = true;
    }
    while (gy_str_next(&rest, ',', &piece)) {
        if (n == t->info.n_outputs) {
            return gy_err_set(
                err, GY_E_NOTSERVABLE,
                "the XGBoost model has several values of base_score (several targets)");
        }
        GY_TRY(to_margin(gy_str_trim(piece), t->info.output, &t->base_margin[n++], err));
    }
    if (n == 0) {
        return corrupt(err, "no base_score");
    }
    if (n > 1 && n < t->info.n_outputs) {
        return corrupt(err, "base_score does not fit the classes");
    }
    for (; n < t->info.n_outputs; n++) {
        t->base_margin[n] = t->base_margin[0];
    }
    return GY_OK;
}

static gy_status read_objective(const struct gy_ubj *learner, struct gy_trees *t,
                                struct gy_err *err)
{
    struct gy_str name = gy_ubj_str(gy_ubj_get(learner, "objective"), "name");
    for (size_t i = 0; i < sizeof g_objectives / sizeof g_objectives[0]; i++) {
        if (gy_str_eqc(name, g_objectives[i].name)) {
            t->info.output = g_objectives[i].output;
            memcpy(t->info.objective, name.p, name.n);
            return GY_OK;
        }
    }
    if (!name.p) {
        return corrupt(err, "no objective");
    }
    return gy_err_set(err, GY_E_NOTSERVABLE, "XGBoost objective '%" GY_STR_F "' is not supported",
                      GY_STR_A(name));
}

static gy_status read_version(const struct gy_ubj *root, struct gy_trees *t)
{
    int32_t v[3];
    if (gy_ubj_i32s(gy_ubj_get(root, "version"), 3, v)) {
        for (size_t i = 0; i < 3; i++) {
            t->info.version[i] = v[i];
        }
    }
    return GY_OK;
}

/* ---- one tree ---- */

struct raw_tree {
    size_t n;
    int32_t *left, *right, *feature, *default_left;
    float *split;
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
    if (!nodes) {
        return gy_err_set(err, GY_E_NOMEM, "a model of %zu nodes", need);
    }
    t->nodes = nodes;
    t->cap_nodes = cap;
    return GY_OK;
}

static struct gy_tree_node leaf_node(uint32_t at, float value)
{
    return (struct gy_tree_node){.split = NAN, .feature = 0, .child = at, .leaf = value};
}

/* Check node i of the file and write it to nodes[at]; its children, if any, get the next two free
 * places. queue[place - first] = node of the file. */
static gy_status place_node(struct gy_trees *t, const struct raw_tree *raw, size_t first,
                            uint32_t at, int32_t *queue, struct gy_err *err)
{
    int32_t i = queue[at - first];
    float split = raw->split[i];
    if (raw->left[i] == -1) {
        if (!isfinite(split)) {
            return corrupt(err, "a leaf is not finite");
        }
        t->nodes[at] = leaf_node(at, split);
        return GY_OK;
    }
    size_t used = t->info.n_nodes - first;
    if (raw->left[i] < 0 || (size_t)raw->left[i] >= raw->n || raw->right[i] < 0 ||
        (size_t)raw->right[i] >= raw->n || used + 2 > raw->n) {
        return corrupt(err, "the nodes of a tree do not form a tree");
    }
    if (raw->feature[i] < 0 || (size_t)raw->feature[i] >= t->info.n_features || isnan(split)) {
        return corrupt(err, "a split is out of range");
    }
    queue[used] = raw->left[i];
    queue[used + 1] = raw->right[i];
    t->nodes[at] = (struct gy_tree_node){
        .split = split,
        .feature = (uint32_t)raw->feature[i],
        .child = (uint32_t)t->info.n_nodes | (raw->default_left[i] ? 0 : GY_TREE_NAN_RIGHT),
    };
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

/* All 0 or absent: no categorical split. */
static bool all_zero(const struct gy_ubj *v, size_t n, int32_t *room)
{
    if (!v || gy_ubj_len(v) == 0) {
        return true;
    }
    if (!gy_ubj_i32s(v, n, room)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (room[i] != 0) {
            return false;
        }
    }
    return true;
}

static gy_status read_tree(struct gy_trees *t, const struct gy_ubj *j, size_t tree,
                           struct gy_err *err)
{
    int64_t vector = 0;
    GY_TRY(param_i64(gy_ubj_get(j, "tree_param"), "size_leaf_vector", 0, &vector, err));
    if (vector > 1) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "XGBoost trees with vector leaves");
    }
    size_t n = gy_ubj_len(gy_ubj_get(j, "left_children"));
    if (n == 0 || n > GY_TREES_MAX_NODES) {
        return corrupt(err, "a tree without nodes");
    }
    GY_AUTO(gy_free) char *room = gy_malloc(n * 6 * sizeof(int32_t));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "a tree of %zu nodes", n);
    }
    int32_t *ints = (int32_t *)(void *)room;
    struct raw_tree raw = {.n = n,
                           .left = ints,
                           .right = ints + n,
                           .feature = ints + 2 * n,
                           .default_left = ints + 3 * n,
                           .split = (float *)(void *)(ints + 4 * n)};
    int32_t *queue = ints + 5 * n;
    if (!all_zero(gy_ubj_get(j, "split_type"), n, queue)) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "XGBoost trees with categorical splits");
    }
    if (!gy_ubj_i32s(gy_ubj_get(j, "left_children"), n, raw.left) ||
        !gy_ubj_i32s(gy_ubj_get(j, "right_children"), n, raw.right) ||
        !gy_ubj_i32s(gy_ubj_get(j, "split_indices"), n, raw.feature) ||
        !gy_ubj_i32s(gy_ubj_get(j, "default_left"), n, raw.default_left) ||
        !gy_ubj_f32s(gy_ubj_get(j, "split_conditions"), n, raw.split)) {
        return corrupt(err, "the arrays of a tree do not agree");
    }
    return flatten(t, &raw, tree, queue, err);
}

/* ---- the model ---- */

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
    t->info.n_nodes = 1;
    return GY_OK;
}

static gy_status read_trees(const struct gy_ubj *model, struct gy_trees *t, struct gy_err *err)
{
    const struct gy_ubj *trees = gy_ubj_get(model, "trees");
    if (!trees || trees->kind != GY_UBJ_ARR) {
        return corrupt(err, "no trees");
    }
    GY_TRY(alloc_trees(t, trees->n, err));
    GY_AUTO(gy_free) char *room = gy_malloc(trees->n * sizeof(int32_t));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "a model of %zu trees", trees->n);
    }
    int32_t *groups = (int32_t *)(void *)room;
    if (!gy_ubj_i32s(gy_ubj_get(model, "tree_info"), trees->n, groups)) {
        return corrupt(err, "tree_info does not agree with the trees");
    }
    size_t i = 0;
    for (const struct gy_ubj *tree = trees->first; tree; tree = tree->next, i++) {
        if (groups[i] < 0 || (size_t)groups[i] >= t->info.n_outputs) {
            return corrupt(err, "tree_info is out of range");
        }
        t->groups[i] = (uint32_t)groups[i];
        GY_TRY(read_tree(t, tree, i, err));
    }
    return GY_OK;
}

static gy_status read_learner(const struct gy_ubj *root, struct gy_trees *t, struct gy_err *err)
{
    const struct gy_ubj *learner = gy_ubj_get(root, "learner");
    const struct gy_ubj *params = gy_ubj_get(learner, "learner_model_param");
    const struct gy_ubj *booster = gy_ubj_get(learner, "gradient_booster");
    struct gy_str name = gy_ubj_str(booster, "name");
    int64_t n_features = 0;
    int64_t n_classes = 0;
    int64_t n_targets = 1;
    if (!params || !name.p) {
        return corrupt(err, "no learner");
    }
    if (!gy_str_eqc(name, "gbtree")) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "XGBoost booster '%" GY_STR_F "' is not supported",
                          GY_STR_A(name));
    }
    struct gy_str best = gy_ubj_str(gy_ubj_get(learner, "attributes"), "best_iteration");
    if (!best.p ||
        gy_parse_i64(best, 0, GY_TREES_MAX_TREES, &t->info.best_iteration, NULL) != GY_OK) {
        t->info.best_iteration = -1;
    }
    GY_TRY(read_objective(learner, t, err));
    GY_TRY(param_i64(params, "num_feature", 0, &n_features, err));
    GY_TRY(param_i64(params, "num_class", 0, &n_classes, err));
    GY_TRY(param_i64(params, "num_target", 1, &n_targets, err));
    if (n_targets > 1) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "XGBoost model with several targets");
    }
    if (n_features == 0 || n_features > INT32_MAX / 2 || n_classes > GY_TREES_MAX_CLASSES ||
        (t->info.output == GY_TREES_SOFTMAX) != (n_classes > 1)) {
        return corrupt(err, "num_feature or num_class is out of range");
    }
    t->info.n_features = (size_t)n_features;
    t->info.n_outputs = n_classes > 1 ? (size_t)n_classes : 1;
    GY_TRY(read_base_score(params, t, err));
    return read_trees(gy_ubj_get(booster, "model"), t, err);
}

gy_status gy_trees_parse(struct gy_str bytes, struct gy_trees **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MAX_MODEL_MEMORY);
    struct gy_ubj *root = NULL;
    GY_TRY(gy_ubj_parse(bytes, &arena, &root, err));
    GY_AUTO(gy_trees_free) struct gy_trees *t = gy_calloc(1, sizeof *t);
    if (!t) {
        return gy_err_set(err, GY_E_NOMEM, "loading trees");
    }
    GY_TRY(read_version(root, t));
    GY_TRY(read_learner(root, t, err));
    *ret = GY_TAKE(t);
    return GY_OK;
}

gy_status gy_trees_load(const char *path, struct gy_trees **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MAX_MODEL_FILE);
    GY_TRY(gy_file_read(path, &bytes, err));
    gy_status status = gy_trees_parse(gy_buf_str(&bytes), ret, err);
    if (status != GY_OK) {
        (void)gy_err_wrap(err, "%s", path);
    }
    return status;
}
