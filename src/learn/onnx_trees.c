/* SPDX-License-Identifier: Apache-2.0 */
/* XGBoost's flat trees as ONNX's TreeEnsembleRegressor: the same comparisons in float32 (x < split;
 * NaN goes the way of the file), the sums from the base margin; and gblinear as a product. */
#include "base/mem.h"
#include "learn/onnx_export.h"
#include "learn/runtime/trees_internal.h"

/* Attributes of all nodes; one block of memory, freed by the caller. */
struct arrays {
    char *memory;
    int64_t *tree, *node, *feature, *yes, *no, *missing;
    int64_t *leaf_tree, *leaf_node, *leaf_target;
    float *value, *leaf_value;
    struct gy_str *mode;
    size_t n, n_leaves;
};

static gy_status allocate(size_t n, struct arrays *a, struct gy_err *err)
{
    a->memory = gy_reallocarray(NULL, n, 9 * sizeof(int64_t) + sizeof *a->mode + 2 * sizeof(float));
    if (!a->memory) {
        return gy_err_set(err, GY_E_NOMEM, "writing %zu nodes of trees", n);
    }
    a->mode = (struct gy_str *)(void *)a->memory;
    a->tree = (int64_t *)(void *)(a->mode + n);
    a->node = a->tree + n;
    a->feature = a->tree + 2 * n;
    a->yes = a->tree + 3 * n;
    a->no = a->tree + 4 * n;
    a->missing = a->tree + 5 * n;
    a->leaf_tree = a->tree + 6 * n;
    a->leaf_node = a->tree + 7 * n;
    a->leaf_target = a->tree + 8 * n;
    a->value = (float *)(void *)(a->tree + 9 * n);
    a->leaf_value = a->value + n;
    return GY_OK;
}

static void add_node(const struct gy_trees *t, size_t tree, size_t at, struct arrays *a)
{
    const struct gy_tree_node *node = &t->nodes[at];
    size_t root = t->roots[tree];
    uint32_t child = node->child & ~GY_TREE_NAN_RIGHT;
    size_t i = a->n++;
    a->tree[i] = (int64_t)tree;
    a->node[i] = (int64_t)(at - root);
    a->feature[i] = node->feature;
    if (child == at) {
        size_t k = a->n_leaves++;
        a->mode[i] = GY_STR("LEAF");
        a->yes[i] = a->no[i] = a->missing[i] = 0;
        a->value[i] = 0;
        a->leaf_tree[k] = (int64_t)tree;
        a->leaf_node[k] = a->node[i];
        a->leaf_target[k] = t->groups[tree];
        a->leaf_value[k] = node->leaf;
        return;
    }
    a->mode[i] = GY_STR("BRANCH_LT");
    a->value[i] = node->split;
    a->yes[i] = (int64_t)(child - root);
    a->no[i] = a->yes[i] + 1;
    a->missing[i] = (node->child & GY_TREE_NAN_RIGHT) == 0;
}

static const char *write_ensemble(struct gy_onnx_writer *w, const struct gy_trees *t,
                                  const struct arrays *a, const char *x)
{
    gy_onnx_begin(w, "TreeEnsembleRegressor", true);
    gy_onnx_in(w, x);
    gy_onnx_attr_s(w, "aggregate_function", "SUM");
    gy_onnx_attr_s(w, "post_transform", "NONE");
    gy_onnx_attr_i(w, "n_targets", (int64_t)t->info.n_outputs);
    gy_onnx_attr_f32s(w, "base_values", t->base_margin, t->info.n_outputs);
    gy_onnx_attr_i64s(w, "nodes_treeids", a->tree, a->n);
    gy_onnx_attr_i64s(w, "nodes_nodeids", a->node, a->n);
    gy_onnx_attr_i64s(w, "nodes_featureids", a->feature, a->n);
    gy_onnx_attr_strings(w, "nodes_modes", a->mode, a->n);
    gy_onnx_attr_f32s(w, "nodes_values", a->value, a->n);
    gy_onnx_attr_i64s(w, "nodes_truenodeids", a->yes, a->n);
    gy_onnx_attr_i64s(w, "nodes_falsenodeids", a->no, a->n);
    gy_onnx_attr_i64s(w, "nodes_missing_value_tracks_true", a->missing, a->n);
    gy_onnx_attr_i64s(w, "target_treeids", a->leaf_tree, a->n_leaves);
    gy_onnx_attr_i64s(w, "target_nodeids", a->leaf_node, a->n_leaves);
    gy_onnx_attr_i64s(w, "target_ids", a->leaf_target, a->n_leaves);
    gy_onnx_attr_f32s(w, "target_weights", a->leaf_value, a->n_leaves);
    return gy_onnx_end(w, NULL);
}

/* Margins of gblinear: missing values count as 0. */
static const char *write_linear(struct gy_onnx_writer *w, const struct gy_trees *t, const char *x,
                                struct gy_err *err, gy_status *status)
{
    size_t no = t->info.n_outputs;
    const int64_t dims[2] = {(int64_t)t->info.n_features, (int64_t)no};
    const float zero = 0;
    GY_AUTO(gy_free) char *memory = gy_reallocarray(NULL, no, sizeof(float));
    if (!memory) {
        *status = gy_err_set(err, GY_E_NOMEM, "writing a linear model");
        return x;
    }
    float *bias = (float *)(void *)memory;
    for (size_t k = 0; k < no; k++) {
        bias[k] = t->weights[t->info.n_features * no + k] + t->base_margin[k];
    }
    const char *missing = gy_onnx_op1(w, "IsNaN", x);
    gy_onnx_begin(w, "Where", false);
    gy_onnx_in(w, missing);
    gy_onnx_in(w, gy_onnx_f32s(w, &zero, NULL, 0));
    gy_onnx_in(w, x);
    x = gy_onnx_end(w, NULL);
    x = gy_onnx_op2(w, "MatMul", x, gy_onnx_f32s(w, t->weights, dims, 2));
    return gy_onnx_op2(w, "Add", x, gy_onnx_f32s(w, bias, dims + 1, 1));
}

/* What the objective makes of the margins. */
static const char *write_output(struct gy_onnx_writer *w, const struct gy_trees *t,
                                const char *margin)
{
    const float zero = 0;
    switch (t->info.output) {
    case GY_TREES_IDENTITY:
        return margin;
    case GY_TREES_SIGMOID:
        return gy_onnx_op1(w, "Sigmoid", margin);
    case GY_TREES_EXP:
        return gy_onnx_op1(w, "Exp", margin);
    case GY_TREES_SOFTMAX:
        return gy_onnx_op1(w, "Softmax", margin);
    case GY_TREES_STEP:
        margin = gy_onnx_op2(w, "Greater", margin, gy_onnx_f32s(w, &zero, NULL, 0));
        return gy_onnx_cast(w, margin, GY_ONNX_FLOAT);
    }
    return margin;
}

gy_status gy_onnx_add_trees(struct gy_onnx_writer *w, const struct gy_trees *t, const char *x,
                            const char **ret, struct gy_err *err)
{
    gy_status status = GY_OK;
    if (t->info.categorical) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED,
                         "trees with splits by categories have no form in "
                         "the ONNX operators that are written");
        return gy_err_hint(err, "one-hot encode the texts before the trees");
    }
    x = gy_onnx_cast(w, x, GY_ONNX_FLOAT);
    if (t->info.linear) {
        x = write_linear(w, t, x, err, &status);
    } else {
        struct arrays a = {0};
        GY_TRY(allocate(t->info.n_nodes + 1, &a, err));
        for (size_t i = 0; i < t->info.n_trees; i++) {
            /* Breadth first: the last child of a tree is its end. What was cut off behind the last
             * tree (an early stop) is not written. */
            size_t end = (size_t)t->roots[i] + 1;
            for (size_t at = t->roots[i]; at < end; at++) {
                uint32_t child = t->nodes[at].child & ~GY_TREE_NAN_RIGHT;
                end = child != at ? (size_t)child + 2 : end;
                add_node(t, i, at, &a);
            }
        }
        x = write_ensemble(w, t, &a, x);
        gy_free(a.memory);
    }
    *ret = gy_onnx_cast(w, write_output(w, t, x), GY_ONNX_DOUBLE);
    return status;
}
