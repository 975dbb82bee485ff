/* SPDX-License-Identifier: Apache-2.0 */
/* A package that MLflow's own clients logged with the flavor `xgboost`, `lightgbm` or `onnx`: the
 * same gy_model as from a model.json, made of MLmodel (names and types of the inputs) and the model
 * file (the task). */
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "learn/cells.h"
#include "learn/foreign.h"
#include "learn/runtime/python.h"
#include "learn/runtime/ubj.h"

#define MAX_NAMED 512 /* inputs of a graph that are told by name */

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

/* In the order in which they are preferred. */
static const char *const g_flavors[] = {[GY_FLAVOR_GYRE] = "gyre",
                                        [GY_FLAVOR_XGBOOST] = "xgboost",
                                        [GY_FLAVOR_LIGHTGBM] = "lightgbm",
                                        [GY_FLAVOR_ONNX] = "onnx",
                                        [GY_FLAVOR_PYTHON] = "python_function"};

static gy_status refuse_flavors(const struct gy_yaml_node *flavors, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf names;
    gy_buf_init(&names, 400);
    for (size_t i = 0; flavors && flavors->kind == GY_YAML_MAP && i < flavors->n_items; i++) {
        gy_buf_addf(&names, "%s%" GY_STR_F, i ? ", " : "", GY_STR_A(flavors->keys[i]));
    }
    (void)gy_err_set(err, GY_E_NOTSERVABLE,
                     "no flavor that is served (gyre, xgboost, lightgbm, onnx) among: %s",
                     names.n ? names.p : "none");
    return gy_err_hint(err, "log it with mlflow.onnx: skl2onnx.to_onnx(model, X[:1], "
                            "options={'zipmap': False}) for scikit-learn, torch.onnx.export for "
                            "PyTorch; or allow Python: gyre server --python-runtime auto");
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
    int n = gy_python_dir() ? GY_FLAVORS : GY_FLAVOR_PYTHON;
    for (int i = 0; i < n; i++) {
        if (gy_yaml_get(flavors, g_flavors[i])) {
            *ret = (enum gy_package_flavor)i;
            return GY_OK;
        }
    }
    return refuse_flavors(flavors, err);
}

/* ---- the model file ---- */

static bool is_scikit(const struct gy_yaml_node *flavor)
{
    const struct gy_yaml_node *c = gy_yaml_get(flavor, "model_class");
    return c && gy_str_find_str(c->text, GY_STR("sklearn")) != SIZE_MAX;
}

static gy_status read_model_file(const char *dir, enum gy_package_flavor flavor,
                                 const struct gy_yaml_node *node, size_t n_columns,
                                 struct gy_model *m, struct gy_foreign *f, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char sha256[GY_SHA256_HEX];
    enum gy_package_flavor kind = flavor;
    const struct gy_yaml_node *data = gy_yaml_get(node, "data");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MAX_MODEL_FILE);
    if (!data || gy_path_check_relative(data->text, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_CORRUPT, "MLmodel does not say where the %s model is",
                          g_flavors[flavor]);
    }
    GY_TRY(keep(m, data->text, &m->file, err));
    GY_TRY(gy_path_join(path, sizeof path, dir, m->file.p, err));
    GY_TRY(gy_file_read(path, &bytes, err));
    GY_TRY(gy_sha256_hex(gy_buf_str(&bytes), sha256, err));
    GY_TRY(keep(m, gy_str_c(sha256), &m->file_sha256, err));
    /* A file of another kind is most often the pickle that MLflow makes of scikit-learn classes. */
    if (gy_foreign_kind(gy_buf_str(&bytes), &kind, err) != GY_OK) {
        gy_status status = gy_err_wrap(err, "%.200s", m->file.p);
        return flavor == GY_FLAVOR_LIGHTGBM
                   ? gy_err_hint(err, "log the booster itself: mlflow.lightgbm.log_model("
                                      "model.booster_, ...); or model.booster_.save_model('m.txt')")
                   : status;
    }
    return gy_foreign_describe(flavor, gy_buf_str(&bytes), n_columns, is_scikit(node), m, f, err);
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

static int by_text(const void *a, const void *b)
{
    return gy_str_cmp(*(const struct gy_str *)a, *(const struct gy_str *)b);
}

/* A text: its vocabulary is what the model knows, sorted. */
static gy_status make_text(struct gy_model *m, const struct gy_foreign_column *c,
                           struct gy_predictor_input *in, struct gy_err *err)
{
    struct gy_str *values = gy_arena_calloc(&m->arena, c->n_categories + 1, sizeof *values);
    if (!values) {
        return gy_err_set(err, GY_E_NOMEM, "reading MLmodel");
    }
    if (c->n_categories == 0) {
        (void)gy_err_set(err, GY_E_NOTSERVABLE,
                         "input '%" GY_STR_F "' is a text, and the model file does not tell which "
                         "texts it knows",
                         GY_STR_A(in->name));
        return gy_err_hint(err, "XGBoost 3.1 and later and LightGBM keep the categories of a "
                                "pandas table with the model");
    }
    memcpy(values, c->categories, c->n_categories * sizeof *values);
    qsort(values, c->n_categories, sizeof *values, by_text);
    in->kind = GY_INPUT_TEXT;
    in->values = values;
    in->n_values = c->n_categories;
    return GY_OK;
}

static yyjson_val *entry_named(yyjson_val *columns, struct gy_str name)
{
    size_t i, n;
    yyjson_val *entry;
    yyjson_arr_foreach(columns, i, n, entry)
    {
        if (gy_str_eq(gy_json_str(entry, "name"), name)) {
            return entry;
        }
    }
    return NULL;
}

/* Does the signature name every input of the graph? Then they are told by name, since it may list
 * them in another order; else by their place. */
static bool is_by_name(yyjson_val *columns, const struct gy_foreign *f)
{
    for (size_t i = 0; i < f->n_columns; i++) {
        if (f->n_columns > MAX_NAMED || !f->columns[i].name.n ||
            !entry_named(columns, f->columns[i].name)) {
            return false;
        }
    }
    return true;
}

/* [{"type": "double", "name": "HR", "required": true}, ...] */
static gy_status from_signature(yyjson_val *columns, struct gy_model *m, const struct gy_foreign *f,
                                struct gy_err *err)
{
    bool by_name = m->learner == GY_LEARNER_ONNX && is_by_name(columns, f);
    for (size_t i = 0; i < m->n_inputs; i++) {
        yyjson_val *c =
            by_name ? entry_named(columns, f->columns[i].name) : yyjson_arr_get(columns, i);
        struct gy_predictor_input *in = &m->inputs[i];
        struct gy_str type = gy_json_str(c, "type");
        struct gy_str name = gy_json_str(c, "name");
        bool text = gy_str_eqc(type, "string");
        if ((!text && !is_number(type)) || name.n == 0) {
            return gy_err_set(err, GY_E_NOTSERVABLE,
                              "input %zu of the signature is no named number or text but "
                              "'%" GY_STR_F "'",
                              i, GY_STR_A(type));
        }
        GY_TRY(keep(m, name, &in->name, err));
        in->integer = gy_str_eqc(type, "long") || gy_str_eqc(type, "integer");
        /* MLflow requires the column, which all protocols do; a value may miss where a column of
         * pandas can say so. */
        bool may_miss = gy_str_eqc(type, "double") || gy_str_eqc(type, "float");
        in->required = !may_miss && gy_json_bool(c, "required", true);
        if (text != f->columns[i].text && !f->columns[i].categorical) {
            return gy_err_set(err, GY_E_NOTSERVABLE,
                              "input '%" GY_STR_F "' is a %s in the signature, not in the model",
                              GY_STR_A(name), text ? "text" : "number");
        }
        if (text) {
            GY_TRY(make_text(m, &f->columns[i], in, err));
        }
    }
    return GY_OK;
}

/* By the model file: its names, else f0, f1, ... as XGBoost calls them. */
static gy_status from_file(struct gy_model *m, const struct gy_foreign *f, struct gy_err *err)
{
    for (size_t i = 0; i < m->n_inputs; i++) {
        const struct gy_foreign_column *c = &f->columns[i];
        struct gy_predictor_input *in = &m->inputs[i];
        in->name = c->name.n ? c->name : gy_str_c(gy_arena_printf(&m->arena, "f%zu", i));
        in->integer = c->integer;
        in->required = c->integer && m->n_in_tensors > 0; /* a whole number can not be missing */
        if (!in->name.p) {
            return gy_err_set(err, GY_E_NOMEM, "reading MLmodel");
        }
        if (c->text || (c->categorical && c->n_categories > 0 && !c->numbers)) {
            GY_TRY(make_text(m, c, in, err));
        }
    }
    return GY_OK;
}

static gy_status read_inputs(yyjson_val *columns, struct gy_model *m, const struct gy_foreign *f,
                             struct gy_err *err)
{
    m->n_inputs = f->n_columns;
    m->inputs = gy_arena_calloc(&m->arena, m->n_inputs + 1, sizeof *m->inputs);
    if (!m->inputs) {
        return gy_err_set(err, GY_E_NOMEM, "reading MLmodel");
    }
    for (size_t i = 0; i < m->n_inputs; i++) {
        m->inputs[i] = (struct gy_predictor_input){.min = -INFINITY, .max = INFINITY, .width = 1};
    }
    if (!columns) {
        return from_file(m, f, err);
    }
    if (yyjson_arr_size(columns) != m->n_inputs) {
        return gy_err_set(err, GY_E_CORRUPT, "the signature has %zu inputs, the model %zu",
                          yyjson_arr_size(columns), m->n_inputs);
    }
    return from_signature(columns, m, f, err);
}

/* The named columns of the signature, NULL when there are none; of a tensor *ret_width says how
 * many columns it has, 0 when that is open. */
static gy_status read_signature(const struct gy_yaml_node *root, yyjson_doc **ret_doc,
                                yyjson_val **ret_columns, size_t *ret_width, struct gy_err *err)
{
    const struct gy_yaml_node *text = gy_yaml_path(root, GY_STR("signature.inputs"));
    *ret_columns = NULL;
    *ret_width = 0;
    if (!text || text->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    if (gy_json_parse(text->text, ret_doc, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_CORRUPT, "MLmodel: the signature is no JSON");
    }
    yyjson_val *columns = yyjson_doc_get_root(*ret_doc);
    yyjson_val *first = yyjson_arr_get_first(columns);
    if (!gy_str_eqc(gy_json_str(first, "type"), "tensor")) {
        *ret_columns = columns;
        *ret_width = yyjson_arr_size(columns);
        return GY_OK;
    }
    yyjson_val *shape = gy_json_get(gy_json_get(first, "tensor-spec"), "shape");
    int64_t width = yyjson_get_sint(yyjson_arr_get(shape, 1));
    *ret_width = yyjson_arr_size(shape) == 2 && width > 0 ? (size_t)width : 0;
    return GY_OK;
}

gy_status gy_model_from_foreign(const char *dir, enum gy_package_flavor flavor, struct gy_model *m,
                                struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *columns = NULL;
    size_t width = 0;
    struct gy_foreign f;
    GY_TRY(open_ml_model(dir, &y, err));
    const struct gy_yaml_node *root = gy_yaml_root(y);
    const struct gy_yaml_node *flavors = gy_yaml_get(root, "flavors");
    m->target = GY_STR("prediction");
    GY_TRY(gy_foreign_said(root, m, err));
    if (flavor == GY_FLAVOR_PYTHON) {
        return gy_python_describe(dir, m, err);
    }
    GY_TRY(read_signature(root, &doc, &columns, &width, err));
    GY_TRY(
        read_model_file(dir, flavor, gy_yaml_get(flavors, g_flavors[flavor]), width, m, &f, err));
    GY_TRY(read_inputs(columns, m, &f, err));
    struct gy_feature *cells = NULL;
    size_t n_cells = 0;
    GY_TRY(gy_cells_columns(m->inputs, m->n_inputs, &m->arena, &cells, &n_cells, err));
    return gy_features_empty(&m->features, cells, n_cells, 0, err);
}
