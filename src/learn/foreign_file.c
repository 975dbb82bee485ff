/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/foreign.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "learn/runtime/lightgbm.h"
#include "learn/runtime/onnx.h"
#include "learn/runtime/python.h"
#include "learn/runtime/recode.h"
#include "learn/runtime/trees.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "reading a foreign model");
}

static gy_status keep(struct gy_model *m, struct gy_str s, struct gy_str *ret, struct gy_err *err)
{
    *ret = s.p ? gy_arena_str(&m->arena, s) : GY_STR_NULL;
    return !s.p || ret->p ? GY_OK : no_memory(err);
}

/* ---- which kind ---- */

static gy_status unknown(const char *what, const char *hint, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_NOTSERVABLE, "%s", what);
    return gy_err_hint(err, "%s", hint);
}

gy_status gy_foreign_kind(struct gy_str bytes, enum gy_package_flavor *ret, struct gy_err *err)
{
    unsigned char first = bytes.n ? (unsigned char)bytes.p[0] : 0;
    if (first == '{') {
        *ret = GY_FLAVOR_XGBOOST;
        return GY_OK;
    }
    if (gy_str_starts(gy_str_trim(gy_str_sub(bytes, 0, 64)), GY_STR("tree"))) {
        *ret = GY_FLAVOR_LIGHTGBM;
        return GY_OK;
    }
    if (first == 0x80) {
        return unknown("the file is a pickle, which is Python code",
                       "export the model: booster.save_model('m.ubj') for XGBoost, "
                       "model.booster_.save_model('m.txt') for LightGBM, skl2onnx.to_onnx(model, "
                       "X[:1], options={'zipmap': False}) for scikit-learn",
                       err);
    }
    if (gy_str_starts(bytes, GY_STR("PK\x03\x04"))) {
        return unknown("the file is a zip archive (PyTorch, skops, Keras)",
                       "export the model to ONNX, e.g. torch.onnx.export(model, example, 'm.onnx')",
                       err);
    }
    if (gy_str_starts(bytes, GY_STR("binf")) || gy_str_starts(bytes, GY_STR("bs64"))) {
        return unknown("the file is in XGBoost's old binary form",
                       "load it with the XGBoost that wrote it and save it as m.json or m.ubj",
                       err);
    }
    /* ModelProto begins with ir_version, or with a text. */
    if (first == 0x08 || first == 0x12 || first == 0x3a) {
        *ret = GY_FLAVOR_ONNX;
        return GY_OK;
    }
    return unknown("the file is no model that is known here",
                   "XGBoost's .json and .ubj, LightGBM's text and .onnx are", err);
}

/* ---- what all kinds share ---- */

static gy_status set_classes(struct gy_model *m, size_t n, const struct gy_str *labels,
                             struct gy_err *err)
{
    m->n_classes = n;
    m->classes = gy_arena_calloc(&m->arena, n, sizeof *m->classes);
    if (!m->classes) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        m->classes[i] = labels ? gy_arena_str(&m->arena, labels[i])
                               : gy_str_c(gy_arena_printf(&m->arena, "%zu", i));
        if (!m->classes[i].p) {
            return no_memory(err);
        }
    }
    return GY_OK;
}

static gy_status set_task(struct gy_model *m, enum gy_task task, size_t n_classes,
                          const struct gy_str *labels, struct gy_err *err)
{
    m->task = task;
    m->threshold = task == GY_TASK_BINARY ? 0.5 : 0;
    if (n_classes > GY_MODEL_MAX_CLASSES) {
        return gy_err_set(err, GY_E_TOOBIG, "the model has %zu classes", n_classes);
    }
    return task == GY_TASK_REGRESSION ? GY_OK : set_classes(m, n_classes, labels, err);
}

static gy_status new_columns(struct gy_model *m, size_t n, struct gy_foreign *f, struct gy_err *err)
{
    if (n > GY_FEATURES_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "the model has %zu features, more than %d", n,
                          GY_FEATURES_MAX);
    }
    f->n_columns = n;
    f->columns = gy_arena_calloc(&m->arena, n + 1, sizeof *f->columns);
    return f->columns ? GY_OK : no_memory(err);
}

static gy_status keep_categories(struct gy_model *m, const struct gy_str *categories, size_t n,
                                 struct gy_foreign_column *c, struct gy_err *err)
{
    struct gy_str *copy = gy_arena_calloc(&m->arena, n + 1, sizeof *copy);
    if (!copy) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(keep(m, categories[i], &copy[i], err));
    }
    c->categories = copy;
    c->n_categories = n;
    return GY_OK;
}

/* ---- XGBoost ---- */

static bool trees_give_labels(const struct gy_trees_info *t)
{
    return t->output == GY_TREES_STEP || gy_str_eqc(gy_str_c(t->objective), "binary:logistic");
}

/* Rounds to answer with, kept as the model's only value. */
static gy_status keep_rounds(const struct gy_trees_info *t, struct gy_model *m, struct gy_err *err)
{
    if (t->best_iteration < 0 || t->round_trees == 0) {
        return GY_OK;
    }
    m->values = gy_arena_calloc(&m->arena, 1, sizeof *m->values);
    if (!m->values) {
        return no_memory(err);
    }
    m->values[0] = (double)(t->best_iteration + 1);
    m->n_values = 1;
    return GY_OK;
}

static gy_status describe_xgboost(struct gy_str bytes, bool early_stop, struct gy_model *m,
                                  struct gy_foreign *f, struct gy_err *err)
{
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    GY_TRY(gy_trees_parse(bytes, &t, err));
    const struct gy_trees_info *info = gy_trees_get_info(t);
    m->learner = GY_LEARNER_XGBOOST;
    m->n_trees = (int64_t)info->n_trees;
    (void)snprintf(f->made_by, sizeof f->made_by, "XGBoost %d.%d.%d", info->version[0],
                   info->version[1], info->version[2]);
    if (early_stop) {
        GY_TRY(keep_rounds(info, m, err));
    }
    GY_TRY(set_task(m,
                    info->output == GY_TREES_SOFTMAX ? GY_TASK_MULTICLASS
                    : trees_give_labels(info)        ? GY_TASK_BINARY
                                                     : GY_TASK_REGRESSION,
                    info->output == GY_TREES_SOFTMAX ? info->n_outputs : 2, NULL, err));
    GY_TRY(new_columns(m, info->n_features, f, err));
    for (size_t i = 0; i < f->n_columns; i++) {
        const struct gy_trees_feature *from = gy_trees_get_feature(t, i);
        struct gy_foreign_column *c = &f->columns[i];
        c->categorical = from->categorical;
        c->numbers = from->numbers;
        GY_TRY(keep(m, from->name, &c->name, err));
        GY_TRY(keep_categories(m, from->categories, from->n_categories, c, err));
    }
    return GY_OK;
}

/* ---- LightGBM ---- */

static gy_status describe_lightgbm(struct gy_str bytes, struct gy_model *m, struct gy_foreign *f,
                                   struct gy_err *err)
{
    GY_AUTO(gy_lightgbm_free) struct gy_lightgbm *t = NULL;
    GY_TRY(gy_lightgbm_parse(bytes, &t, err));
    const struct gy_lightgbm_info *info = gy_lightgbm_get_info(t);
    m->learner = GY_LEARNER_LIGHTGBM;
    m->n_trees = (int64_t)info->n_trees;
    (void)snprintf(f->made_by, sizeof f->made_by, "LightGBM");
    GY_TRY(set_task(m,
                    info->n_outputs > 1                               ? GY_TASK_MULTICLASS
                    : gy_str_eqc(gy_str_c(info->objective), "binary") ? GY_TASK_BINARY
                                                                      : GY_TASK_REGRESSION,
                    info->n_outputs > 1 ? info->n_outputs : 2, NULL, err));
    GY_TRY(new_columns(m, info->n_features, f, err));
    for (size_t i = 0; i < f->n_columns; i++) {
        const struct gy_lightgbm_feature *from = gy_lightgbm_get_feature(t, i);
        struct gy_foreign_column *c = &f->columns[i];
        c->categorical = from->categorical;
        c->numbers = from->numbers;
        GY_TRY(keep(m, from->name, &c->name, err));
        GY_TRY(keep_categories(m, from->categories, from->n_categories, c, err));
    }
    return GY_OK;
}

/* ---- ONNX ---- */

static gy_status keep_groups(struct gy_model *m, const struct gy_tensor_group *from, size_t n,
                             struct gy_tensor_group **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_tensor_group *groups = gy_arena_calloc(&m->arena, n + 1, sizeof *groups);
    if (!groups) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        groups[i] = from[i];
        GY_TRY(keep(m, from[i].name, &groups[i].name, err));
    }
    *ret = groups;
    *ret_n = n;
    return GY_OK;
}

static gy_status describe_onnx(struct gy_str bytes, size_t n_columns, struct gy_model *m,
                               struct gy_foreign *f, struct gy_err *err)
{
    GY_AUTO(gy_onnx_free) struct gy_onnx *o = NULL;
    struct gy_foreign_column texts = {0};
    GY_TRY(gy_onnx_parse(bytes, n_columns, &o, err));
    const struct gy_onnx_info *info = gy_onnx_get_info(o);
    m->learner = GY_LEARNER_ONNX;
    (void)snprintf(f->made_by, sizeof f->made_by, "ONNX by %.50s",
                   info->producer.p ? info->producer.p : "?");
    GY_TRY(set_task(m,
                    info->task == GY_ONNX_CLASSES  ? GY_TASK_MULTICLASS
                    : info->task == GY_ONNX_BINARY ? GY_TASK_BINARY
                                                   : GY_TASK_REGRESSION,
                    info->n_classes, info->classes, err));
    GY_TRY(new_columns(m, info->n_features, f, err));
    GY_TRY(keep_categories(m, info->vocabulary, info->n_vocabulary, &texts, err));
    for (size_t i = 0; i < f->n_columns; i++) {
        const struct gy_onnx_column *from = &info->columns[i];
        struct gy_foreign_column *c = &f->columns[i];
        c->integer = from->integer;
        c->text = from->text;
        bool named = from->alone || info->n_in_tensors > 0;
        GY_TRY(keep(m, named ? from->name : GY_STR_NULL, &c->name, err));
        if (c->text) {
            c->categories = texts.categories;
            c->n_categories = texts.n_categories;
        }
    }
    GY_TRY(keep_groups(m, info->in_tensors, info->n_in_tensors, &m->in_tensors, &m->n_in_tensors,
                       err));
    GY_TRY(keep_groups(m, info->out_tensors, info->n_out_tensors, &m->out_tensors,
                       &m->n_out_tensors, err));
    /* The number of columns is kept for loading: the graph may leave it open. */
    m->values = gy_arena_calloc(&m->arena, 1, sizeof *m->values);
    if (!m->values) {
        return no_memory(err);
    }
    m->values[0] = (double)n_columns;
    m->n_values = 1;
    return GY_OK;
}

gy_status gy_foreign_describe(enum gy_package_flavor flavor, struct gy_str bytes, size_t n_columns,
                              bool early_stop, struct gy_model *m, struct gy_foreign *ret,
                              struct gy_err *err)
{
    *ret = (struct gy_foreign){0};
    switch (flavor) {
    case GY_FLAVOR_PYTHON:
    case GY_FLAVOR_GYRE:
    case GY_FLAVORS:
        break;
    case GY_FLAVOR_XGBOOST:
        return describe_xgboost(bytes, early_stop, m, ret, err);
    case GY_FLAVOR_LIGHTGBM:
        return describe_lightgbm(bytes, m, ret, err);
    case GY_FLAVOR_ONNX:
        return describe_onnx(bytes, n_columns, m, ret, err);
    }
    return gy_err_set(err, GY_E_NOTSERVABLE, "no foreign model");
}

/* ---- loading ---- */

struct pair {
    double key, code;
};

static int by_key(const void *a, const void *b)
{
    double x = ((const struct pair *)a)->key, y = ((const struct pair *)b)->key;
    return (x > y) - (x < y);
}

/* The place of a text in the sorted vocabulary; n when it is not there. */
static size_t place_of(const struct gy_predictor_input *in, struct gy_str text)
{
    size_t low = 0, high = in->n_values;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (gy_str_cmp(in->values[mid], text) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < in->n_values && gy_str_eq(in->values[low], text) ? low : in->n_values;
}

/* What the raw cells of an input become for the model, in the arena; n 0: what they are. */
static gy_status recode_input(const struct gy_predictor_input *in, const struct gy_str *categories,
                              size_t n, size_t column, struct gy_arena *a,
                              struct gy_recode_column *ret, struct gy_err *err)
{
    struct pair *pairs = gy_arena_calloc(a, n + 1, sizeof *pairs);
    double *keys = gy_arena_calloc(a, n + 1, sizeof *keys);
    double *codes = gy_arena_calloc(a, n + 1, sizeof *codes);
    bool same = true;
    *ret = (struct gy_recode_column){.column = column};
    if (!pairs || !keys || !codes) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        pairs[i].code = (double)i;
        if (in->kind == GY_INPUT_TEXT) {
            pairs[i].key = (double)place_of(in, categories[i]);
        } else if (gy_parse_f64(categories[i], &pairs[i].key, NULL) != GY_OK) {
            return GY_OK; /* texts, and the input is the code itself */
        }
    }
    qsort(pairs, n, sizeof *pairs, by_key);
    for (size_t i = 0; i < n; i++) {
        keys[i] = pairs[i].key;
        codes[i] = pairs[i].code;
        same = same && keys[i] == codes[i];
    }
    *ret = (struct gy_recode_column){
        .column = column, .n = same ? 0 : n, .keys = keys, .codes = codes};
    return GY_OK;
}

struct categories {
    const struct gy_str *items;
    size_t n;
};

/* Wrap the runtime, which is taken over, where a column has categories. */
static gy_status recode(const struct gy_model *m, struct gy_runtime inner,
                        struct categories (*of)(const void *self, size_t i), struct gy_runtime *ret,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_ONNX_MAX_FEATURES * (size_t)1024);
    struct gy_recode_column *columns = gy_arena_calloc(&a, m->n_inputs + 1, sizeof *columns);
    gy_status status = GY_OK;
    size_t n = 0;
    if (!columns) {
        inner.ops->free(inner.self);
        return no_memory(err);
    }
    for (size_t i = 0; status == GY_OK && i < m->n_inputs; i++) {
        struct categories c = of(inner.self, i);
        if (c.n > 0) {
            status = recode_input(&m->inputs[i], c.items, c.n, i, &a, &columns[n], err);
            n += columns[n].n > 0;
        }
    }
    if (status != GY_OK) {
        inner.ops->free(inner.self);
        return status;
    }
    return gy_recode_new(inner, m->n_inputs, columns, n, ret, err);
}

static struct categories of_trees(const void *self, size_t i)
{
    const struct gy_trees_feature *f = gy_trees_get_feature(self, i);
    return (struct categories){f->categories, f->n_categories};
}

static struct categories of_lightgbm(const void *self, size_t i)
{
    const struct gy_lightgbm_feature *f = gy_lightgbm_get_feature(self, i);
    return (struct categories){f->categories, f->n_categories};
}

static gy_status load_xgboost(const struct gy_model *m, struct gy_str bytes, struct gy_runtime *ret,
                              struct gy_err *err)
{
    struct gy_trees *t = NULL;
    GY_TRY(gy_trees_parse(bytes, &t, err));
    if (m->n_values == 1) {
        gy_trees_cut(t, (size_t)m->values[0]);
    }
    return recode(m,
                  (struct gy_runtime){
                      .ops = &gy_trees_ops, .self = t, .n_trees = gy_trees_get_info(t)->n_trees},
                  of_trees, ret, err);
}

static gy_status load_lightgbm(const struct gy_model *m, struct gy_str bytes,
                               struct gy_runtime *ret, struct gy_err *err)
{
    struct gy_lightgbm *t = NULL;
    GY_TRY(gy_lightgbm_parse(bytes, &t, err));
    return recode(m,
                  (struct gy_runtime){.ops = &gy_lightgbm_ops,
                                      .self = t,
                                      .n_trees = gy_lightgbm_get_info(t)->n_trees},
                  of_lightgbm, ret, err);
}

gy_status gy_foreign_load(const struct gy_model *m, struct gy_str bytes, struct gy_runtime *ret,
                          struct gy_err *err)
{
    struct gy_onnx *o = NULL;
    if (m->learner == GY_LEARNER_PYTHON) {
        return gy_python_load(m, ret, err);
    }
    if (m->learner == GY_LEARNER_XGBOOST) {
        return load_xgboost(m, bytes, ret, err);
    }
    if (m->learner == GY_LEARNER_LIGHTGBM) {
        return load_lightgbm(m, bytes, ret, err);
    }
    GY_TRY(gy_onnx_parse(bytes, (size_t)m->values[0], &o, err));
    *ret = (struct gy_runtime){.ops = &gy_onnx_ops, .self = o};
    return GY_OK;
}
