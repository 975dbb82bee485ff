/* SPDX-License-Identifier: Apache-2.0 */
/* A package that MLflow's own clients logged with the `xgboost` flavor: the same gy_model as from a
 * model.json, made of MLmodel (names and types of the inputs) and the model file (the task). */
#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "learn/cells.h"
#include "learn/model_internal.h"
#include "learn/runtime/trees.h"
#include "learn/runtime/ubj.h"

static gy_status keep(struct gy_model *m, struct gy_str s, struct gy_str *ret, struct gy_err *err)
{
    *ret = gy_arena_str(&m->arena, s);
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "reading MLmodel");
}

static gy_status open_ml_model(const char *dir, struct gy_yaml **ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(gy_path_join(path, sizeof path, dir, "MLmodel", err));
    gy_status status = gy_yaml_read_file(path, ret, &why);
    if (status == GY_E_PARSE || status == GY_E_INVALID) {
        return gy_err_set(err, GY_E_CORRUPT, "%s", why.msg);
    }
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

gy_status gy_package_flavor(const char *dir, enum gy_package_flavor *ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_TRY(gy_path_join(path, sizeof path, dir, "MLmodel", err));
    if (!gy_path_exists(path)) { /* not sealed yet */
        GY_TRY(gy_path_join(path, sizeof path, dir, "model.json", err));
        *ret = GY_FLAVOR_GYRE;
        return gy_path_exists(path) ? GY_OK
                                    : gy_err_set(err, GY_E_NOTSERVABLE,
                                                 "the folder has neither MLmodel nor model.json: "
                                                 "it is no model package");
    }
    GY_TRY(open_ml_model(dir, &y, err));
    const struct gy_yaml_node *flavors = gy_yaml_get(gy_yaml_root(y), "flavors");
    if (gy_yaml_get(flavors, "gyre")) {
        *ret = GY_FLAVOR_GYRE;
        return GY_OK;
    }
    if (gy_yaml_get(flavors, "xgboost")) {
        *ret = GY_FLAVOR_XGBOOST;
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf names;
    gy_buf_init(&names, 400);
    for (size_t i = 0; flavors && flavors->kind == GY_YAML_MAP && i < flavors->n_items; i++) {
        gy_buf_addf(&names, "%s%" GY_STR_F, i ? ", " : "", GY_STR_A(flavors->keys[i]));
    }
    return gy_err_set(err, GY_E_NOTSERVABLE, "no flavor that is served (gyre, xgboost) among: %s",
                      names.n ? names.p : "none");
}

/* ---- the model file ---- */

static bool is_scikit(const struct gy_yaml_node *flavor)
{
    const struct gy_yaml_node *c = gy_yaml_get(flavor, "model_class");
    return c && gy_str_find_str(c->text, GY_STR("sklearn")) != SIZE_MAX;
}

static gy_status set_task(const struct gy_trees_info *t, struct gy_model *m, struct gy_err *err)
{
    struct gy_str objective = gy_str_c(t->objective);
    m->task = GY_TASK_REGRESSION;
    if (gy_str_eqc(objective, "binary:logistic")) {
        m->task = GY_TASK_BINARY;
        m->n_classes = 2;
        m->threshold = 0.5;
    } else if (t->output == GY_TREES_SOFTMAX) {
        m->task = GY_TASK_MULTICLASS;
        m->n_classes = t->n_outputs;
    } else if (gy_str_starts(objective, GY_STR("binary:"))) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "XGBoost objective '%s' gives no probability",
                          t->objective);
    }
    m->classes = gy_arena_calloc(&m->arena, m->n_classes, sizeof *m->classes);
    if (!m->classes) {
        return gy_err_set(err, GY_E_NOMEM, "reading MLmodel");
    }
    for (size_t i = 0; i < m->n_classes; i++) {
        m->classes[i] = gy_str_c(gy_arena_printf(&m->arena, "%zu", i));
        if (!m->classes[i].p) {
            return gy_err_set(err, GY_E_NOMEM, "reading MLmodel");
        }
    }
    return GY_OK;
}

static gy_status read_model_file(const char *dir, const struct gy_yaml_node *flavor,
                                 struct gy_model *m, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char sha256[GY_SHA256_HEX];
    const struct gy_yaml_node *data = gy_yaml_get(flavor, "data");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    gy_buf_init(&bytes, GY_MAX_MODEL_FILE);
    if (!data || gy_path_check_relative(data->text, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_CORRUPT, "MLmodel does not say where the XGBoost model is");
    }
    GY_TRY(keep(m, data->text, &m->file, err));
    GY_TRY(gy_path_join(path, sizeof path, dir, m->file.p, err));
    GY_TRY(gy_file_read(path, &bytes, err));
    GY_TRY(gy_sha256_hex(gy_buf_str(&bytes), sha256, err));
    GY_TRY(keep(m, gy_str_c(sha256), &m->file_sha256, err));
    GY_TRY(gy_trees_parse(gy_buf_str(&bytes), &t, err));
    const struct gy_trees_info *info = gy_trees_get_info(t);
    if (info->n_features > GY_MAX_FEATURES || info->n_outputs > GY_MODEL_MAX_CLASSES) {
        return gy_err_set(err, GY_E_TOOBIG, "the model has %zu features", info->n_features);
    }
    if (is_scikit(flavor) && info->best_iteration >= 0 &&
        (size_t)(info->best_iteration + 1) * info->n_outputs < info->n_trees) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "the model stopped early: XGBoost's scikit-learn classes answer with its "
                          "first %lld rounds only; save it cut to those",
                          (long long)info->best_iteration + 1);
    }
    m->n_inputs = info->n_features;
    m->n_trees = (int64_t)info->n_trees;
    return set_task(info, m, err);
}

/* ---- the inputs ---- */

static bool is_number(struct gy_str type)
{
    static const char *const numbers[] = {"double", "float", "long", "integer", "boolean"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (gy_str_eqc(type, numbers[i])) {
            return true;
        }
    }
    return false;
}

/* [{"type": "double", "name": "HR", "required": true}, ...] */
static gy_status from_signature(yyjson_val *columns, struct gy_model *m, struct gy_err *err)
{
    for (size_t i = 0; i < m->n_inputs; i++) {
        yyjson_val *c = yyjson_arr_get(columns, i);
        struct gy_predictor_input *in = &m->inputs[i];
        struct gy_str type = gy_json_str(c, "type");
        struct gy_str name = gy_json_str(c, "name");
        if (!is_number(type) || name.n == 0) {
            return gy_err_set(err, GY_E_NOTSERVABLE,
                              "input %zu of the signature is no named number but '%" GY_STR_F "'",
                              i, GY_STR_A(type));
        }
        GY_TRY(keep(m, name, &in->name, err));
        in->integer = gy_str_eqc(type, "long") || gy_str_eqc(type, "integer");
        in->required = gy_json_bool(c, "required", true);
    }
    return GY_OK;
}

/* Without names the inputs are f0, f1, ... as XGBoost itself calls them. */
static gy_status read_inputs(const struct gy_yaml_node *root, struct gy_model *m,
                             struct gy_err *err)
{
    const struct gy_yaml_node *text = gy_yaml_path(root, GY_STR("signature.inputs"));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    m->inputs = gy_arena_calloc(&m->arena, m->n_inputs, sizeof *m->inputs);
    if (!m->inputs) {
        return gy_err_set(err, GY_E_NOMEM, "reading MLmodel");
    }
    for (size_t i = 0; i < m->n_inputs; i++) {
        struct gy_predictor_input *in = &m->inputs[i];
        *in = (struct gy_predictor_input){.min = -INFINITY, .max = INFINITY, .width = 1};
        in->name = gy_str_c(gy_arena_printf(&m->arena, "f%zu", i));
        if (!in->name.p) {
            return gy_err_set(err, GY_E_NOMEM, "reading MLmodel");
        }
    }
    if (!text || text->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    if (gy_json_parse(text->text, &doc, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_CORRUPT, "MLmodel: the signature is no JSON");
    }
    yyjson_val *columns = yyjson_doc_get_root(doc);
    if (gy_str_eqc(gy_json_str(yyjson_arr_get_first(columns), "type"), "tensor")) {
        return GY_OK;
    }
    if (yyjson_arr_size(columns) != m->n_inputs) {
        return gy_err_set(err, GY_E_CORRUPT, "the signature has %zu inputs, the model %zu",
                          yyjson_arr_size(columns), m->n_inputs);
    }
    return from_signature(columns, m, err);
}

gy_status gy_model_from_xgboost(const char *dir, struct gy_model *m, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_TRY(open_ml_model(dir, &y, err));
    const struct gy_yaml_node *root = gy_yaml_root(y);
    m->learner = GY_LEARNER_XGBOOST;
    m->target = GY_STR("prediction");
    GY_TRY(gy_foreign_said(root, m, err));
    GY_TRY(read_model_file(dir, gy_yaml_path(root, GY_STR("flavors.xgboost")), m, err));
    GY_TRY(read_inputs(root, m, err));
    struct gy_feature *cells = NULL;
    size_t n_cells = 0;
    GY_TRY(gy_cells_columns(m->inputs, m->n_inputs, &m->arena, &cells, &n_cells, err));
    return gy_features_empty(&m->features, cells, n_cells, 0, err);
}
