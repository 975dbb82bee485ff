/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/import.h"

#include "base/file.h"
#include "base/id.h"
#include "base/time.h"
#include "base/yaml.h"
#include "learn/foreign.h"
#include "learn/runtime/ubj.h"
#include "learn/train_internal.h"

#define MAX_BYTES (16 * GY_MIB)

/* What a flavor looks like in MLmodel. */
struct form {
    const char *flavor, *file, *loader, *more;
};

static struct form form_of(enum gy_package_flavor flavor, struct gy_str bytes)
{
    static const struct form forms[] = {
        [GY_FLAVOR_LIGHTGBM] = {"lightgbm", "model.lgb", "mlflow.lightgbm",
                                "    model_class: lightgbm.basic.Booster\n"},
        [GY_FLAVOR_ONNX] = {"onnx", "model.onnx", "mlflow.onnx",
                            "    onnx_session_options: null\n    providers:\n"
                            "    - CPUExecutionProvider\n"},
    };
    static const struct form json = {"xgboost", "model.json", "mlflow.xgboost",
                                     "    model_class: xgboost.core.Booster\n"
                                     "    model_format: json\n"};
    static const struct form ubj = {"xgboost", "model.ubj", "mlflow.xgboost",
                                    "    model_class: xgboost.core.Booster\n"
                                    "    model_format: ubj\n"};
    if (flavor != GY_FLAVOR_XGBOOST) {
        return forms[flavor];
    }
    bool text = bytes.n > 1 && (bytes.p[1] == '"' || bytes.p[1] == ' ' || bytes.p[1] == '\n' ||
                                bytes.p[1] == '\r' || bytes.p[1] == '\t');
    return text ? json : ubj;
}

/* ---- the signature ---- */

static bool is_text(const struct gy_foreign_column *c)
{
    return c->text || (c->categorical && c->n_categories > 0 && !c->numbers);
}

static gy_status take_names(const struct gy_import_options *o, struct gy_model *m,
                            struct gy_foreign *f, struct gy_err *err)
{
    struct gy_str rest = o->inputs, name = GY_STR_NULL;
    size_t n = 0;
    while (gy_str_next(&rest, ',', &name)) {
        name = gy_str_trim(name);
        if (name.n == 0) {
            return gy_err_set(err, GY_E_INVALID, "the names of the inputs have a hole");
        }
        for (size_t i = 0; i < n && i < f->n_columns; i++) {
            if (gy_str_eq(f->columns[i].name, name)) {
                return gy_err_set(err, GY_E_INVALID, "two inputs are named '%" GY_STR_F "'",
                                  GY_STR_A(name));
            }
        }
        if (n < f->n_columns) {
            f->columns[n].name = name;
        }
        n++;
    }
    if (o->inputs.p && n != f->n_columns) {
        (void)gy_err_set(err, GY_E_INVALID, "%zu names for a model with %zu inputs", n,
                         f->n_columns);
        return gy_err_hint(err, "name them in the order of the columns it was trained on");
    }
    for (size_t i = 0; i < f->n_columns; i++) {
        if (f->columns[i].name.n == 0) {
            f->columns[i].name = gy_str_c(gy_arena_printf(&m->arena, "f%zu", i));
        }
        if (!f->columns[i].name.p) {
            return gy_err_set(err, GY_E_NOMEM, "importing a model");
        }
    }
    return GY_OK;
}

static void add_column(struct gy_jw *w, struct gy_str name, const char *type)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "type", type);
    gy_jw_kv_str(w, "name", name);
    gy_jw_kv_bool(w, "required", false);
    gy_jw_obj_end(w);
}

/* {"name": "INPUT0", "type": "tensor", "tensor-spec": {"dtype": "int32", "shape": [-1, 16]}} */
static void add_tensor(struct gy_jw *w, const struct gy_tensor_group *g)
{
    static const char *const dtypes[GY_DATATYPES] = {
        [GY_DATATYPE_BOOL] = "bool",     [GY_DATATYPE_UINT8] = "uint8",
        [GY_DATATYPE_UINT16] = "uint16", [GY_DATATYPE_UINT32] = "uint32",
        [GY_DATATYPE_UINT64] = "uint64", [GY_DATATYPE_INT8] = "int8",
        [GY_DATATYPE_INT16] = "int16",   [GY_DATATYPE_INT32] = "int32",
        [GY_DATATYPE_INT64] = "int64",   [GY_DATATYPE_FP16] = "float16",
        [GY_DATATYPE_BF16] = "float32", /* numpy has none of its own */
        [GY_DATATYPE_FP32] = "float32",  [GY_DATATYPE_FP64] = "float64",
        [GY_DATATYPE_BYTES] = "str"};
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", g->name);
    gy_jw_kv_strc(w, "type", "tensor");
    gy_jw_key(w, "tensor-spec");
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "dtype", dtypes[g->type]);
    gy_jw_key(w, "shape");
    gy_jw_arr(w);
    gy_jw_i64(w, -1);
    for (size_t i = 0; i < g->n_dims; i++) {
        gy_jw_i64(w, g->dims[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

static gy_status add_signature(struct gy_buf *out, const struct gy_model *m,
                               const struct gy_foreign *f, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    struct gy_jw w;
    gy_buf_init(&json, MAX_BYTES);
    gy_jw_init(&w, &json);
    gy_jw_arr(&w);
    for (size_t i = 0; i < m->n_in_tensors; i++) {
        add_tensor(&w, &m->in_tensors[i]);
    }
    for (size_t i = 0; !m->n_in_tensors && i < f->n_columns; i++) {
        add_column(&w, f->columns[i].name, is_text(&f->columns[i]) ? "string" : "double");
    }
    gy_jw_arr_end(&w);
    GY_TRY(gy_buf_check(&json, "MLmodel", err));
    gy_buf_addc(out, "signature:\n  inputs: ");
    gy_yaml_add_scalar(out, gy_buf_str(&json));
    gy_buf_addc(out, "\n  outputs: null\n  params: null\n");
    return GY_OK;
}

/* ---- MLmodel ---- */

static gy_status write_ml_model(const struct form *form, const struct gy_import_options *o,
                                const struct gy_model *m, const struct gy_foreign *f,
                                const char *dir, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    char time[32], uuid[33];
    gy_buf_init(&out, MAX_BYTES);
    GY_TRY(gy_new_hex32(uuid, err));
    (void)gy_time_iso(gy_now_us(), time);
    time[10] = ' ';
    time[26] = '\0';
    gy_buf_addf(&out, "flavors:\n  %s:\n    data: %s\n%s", form->flavor, form->file, form->more);
    gy_buf_addf(&out, "  python_function:\n    data: %s\n    loader_module: %s\n", form->file,
                form->loader);
    gy_buf_addc(&out, "metadata:\n  gyre:\n    imported: ");
    gy_yaml_add_scalar(&out, gy_str_c(f->made_by));
    if (o->target.n) {
        gy_buf_addc(&out, "\n    target: ");
        gy_yaml_add_scalar(&out, o->target);
    }
    gy_buf_addf(&out, "\nmodel_uuid: %s\n", uuid);
    GY_TRY(add_signature(&out, m, f, err));
    gy_buf_addf(&out, "utc_time_created: '%s'\n", time);
    GY_TRY(gy_buf_check(&out, "MLmodel", err));
    return gy_package_put(dir, "MLmodel", gy_buf_str(&out), err);
}

gy_status gy_import_package(const char *file, const struct gy_import_options *o, const char *dir,
                            struct gy_imported *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    GY_AUTO_DONE(gy_model_done) struct gy_model m;
    struct gy_foreign f;
    enum gy_package_flavor flavor = GY_FLAVOR_GYRE;
    size_t n_names = o->inputs.n > 0;
    gy_buf_init(&bytes, GY_MAX_MODEL_FILE);
    gy_model_init(&m);
    for (size_t i = 0; i < o->inputs.n; i++) {
        n_names += o->inputs.p[i] == ',';
    }
    GY_TRY(gy_file_read(file, &bytes, err));
    gy_status status = gy_foreign_kind(gy_buf_str(&bytes), &flavor, err);
    if (status == GY_OK) {
        status = gy_foreign_describe(flavor, gy_buf_str(&bytes), n_names, false, &m, &f, err);
    }
    if (status != GY_OK) {
        return gy_err_wrap(err, "%s", file);
    }
    GY_TRY(take_names(o, &m, &f, err));
    struct form form = form_of(flavor, gy_buf_str(&bytes));
    GY_TRY(gy_package_put(dir, form.file, gy_buf_str(&bytes), err));
    GY_TRY(write_ml_model(&form, o, &m, &f, dir, err));
    *ret = (struct gy_imported){.n_inputs = f.n_columns, .file = form.file, .flavor = form.flavor};
    memcpy(ret->made_by, f.made_by, sizeof ret->made_by);
    return GY_OK;
}
