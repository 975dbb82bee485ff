/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/package.h"

#include "base/id.h"
#include "base/time.h"
#include "base/yaml.h"
#include "learn/train_internal.h"

#define MAX_BYTES (16 * GY_MIB)
#define MLFLOW_VERSION "2.22.0" /* the layout that is written; MLflow warns about none at all */
#define PYTHON_VERSION "3.11.7"

static void add_kv(struct gy_buf *out, const char *indent, const char *key, struct gy_str value)
{
    gy_buf_addf(out, "%s%s: ", indent, key);
    gy_yaml_add_scalar(out, value);
    gy_buf_add_char(out, '\n');
}

/* A column of a signature. MLflow's double takes every number, also JSON's whole ones. */
static void add_column(struct gy_jw *w, struct gy_str name, const char *type, bool required)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "type", type);
    gy_jw_kv_str(w, "name", name);
    gy_jw_kv_bool(w, "required", required);
    gy_jw_obj_end(w);
}

/* A category of whole numbers is asked for as a number. */
static const char *signature_type(const struct gy_predictor_input *in)
{
    switch (in->kind) {
    case GY_INPUT_NUMBER:
        break;
    case GY_INPUT_TEXT:
        return in->integer ? "double" : "string";
    case GY_INPUT_TIME:
        return "datetime";
    case GY_INPUT_IMAGE:
        return "binary";
    }
    return "double";
}

static gy_status add_signature(struct gy_buf *out, const struct gy_model *m, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, MAX_BYTES);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_arr(&w);
    for (size_t i = 0; i < m->n_inputs; i++) {
        add_column(&w, m->inputs[i].name, signature_type(&m->inputs[i]), m->inputs[i].required);
    }
    gy_jw_arr_end(&w);
    GY_TRY(gy_buf_check(&json, "MLmodel", err));
    gy_buf_addc(out, "signature:\n");
    add_kv(out, "  ", "inputs", gy_buf_str(&json));
    gy_buf_reset(&json);
    gy_jw_init(&w, &json);
    gy_jw_arr(&w);
    if (m->task == GY_TASK_MULTICLASS) {
        for (size_t i = 0; i < m->n_classes; i++) {
            add_column(&w, m->classes[i], "double", true);
        }
    } else {
        add_column(&w, m->task == GY_TASK_BINARY ? GY_STR("probability") : m->target, "double",
                   true);
    }
    gy_jw_arr_end(&w);
    GY_TRY(gy_buf_check(&json, "MLmodel", err));
    add_kv(out, "  ", "outputs", gy_buf_str(&json));
    gy_buf_addc(out, "  params: null\n");
    return GY_OK;
}

static bool has_xgboost_flavor(const struct gy_model *m)
{
    return m->learner == GY_LEARNER_XGBOOST && gy_features_is_identity(&m->features);
}

static void add_flavors(struct gy_buf *out, const struct gy_model *m, struct gy_str xgb_version)
{
    gy_buf_addc(out, "flavors:\n  gyre:\n");
    add_kv(out, "    ", "format", gy_str_c(gy_model_format(m)));
    gy_buf_addc(out, "    model: model.json\n");
    if (!has_xgboost_flavor(m)) {
        return;
    }
    gy_buf_addc(out, "  python_function:\n"
                     "    data: model.ubj\n"
                     "    env:\n"
                     "      virtualenv: python_env.yaml\n"
                     "    loader_module: mlflow.xgboost\n");
    add_kv(out, "    ", "python_version", GY_STR(PYTHON_VERSION));
    gy_buf_addc(out, "  xgboost:\n"
                     "    code: null\n"
                     "    data: model.ubj\n"
                     "    model_class: xgboost.core.Booster\n"
                     "    model_format: ubj\n");
    add_kv(out, "    ", "xgb_version", xgb_version);
}

static gy_status write_python_env(const char *dir, struct gy_str xgb_version, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_YAML);
    gy_buf_addc(&out, "python: " PYTHON_VERSION "\ndependencies:\n- -r requirements.txt\n");
    GY_TRY(gy_buf_check(&out, "python_env.yaml", err));
    GY_TRY(gy_package_put(dir, "python_env.yaml", gy_buf_str(&out), err));
    gy_buf_reset(&out);
    gy_buf_addf(&out, "mlflow>=2.22\nnumpy\npandas\nxgboost>=%" GY_STR_F "\n",
                GY_STR_A(xgb_version));
    GY_TRY(gy_buf_check(&out, "requirements.txt", err));
    return gy_package_put(dir, "requirements.txt", gy_buf_str(&out), err);
}

/* "libxgboost" of the learner's recorded parameters. */
static gy_status trained_by(const struct gy_model *m, char out[32], struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    out[0] = '\0';
    if (m->learner != GY_LEARNER_XGBOOST) {
        return GY_OK;
    }
    GY_TRY(gy_json_parse(m->params_json, &doc, err));
    struct gy_str s = gy_json_str(yyjson_doc_get_root(doc), "libxgboost");
    size_t n = s.n < 31 ? s.n : 31;
    memcpy(out, s.p ? s.p : "", s.p ? n : 0);
    out[s.p ? n : 0] = '\0';
    return GY_OK;
}

gy_status gy_package_seal(const char *dir, const struct gy_model *m,
                          const struct gy_package_ids *ids, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    char time[32];
    char uuid[33];
    char version[32];
    gy_buf_init(&out, MAX_BYTES);
    GY_TRY(trained_by(m, version, err));
    GY_TRY(gy_new_hex32(uuid, err));
    (void)gy_time_iso(ids->created_us ? ids->created_us : gy_now_us(), time);
    time[10] = ' '; /* as Python writes it: "2026-11-21 01:31:57.123456" */
    time[26] = '\0';
    gy_buf_addc(&out, "artifact_path: model\n");
    add_flavors(&out, m, gy_str_c(version));
    add_kv(&out, "", "mlflow_version", GY_STR(MLFLOW_VERSION));
    add_kv(&out, "", "model_uuid", ids->uuid.p ? ids->uuid : gy_str_c(uuid));
    if (ids->run_id.p) {
        add_kv(&out, "", "run_id", ids->run_id);
    }
    gy_buf_addc(&out, "saved_input_example_info:\n"
                      "  artifact_path: input_example.json\n"
                      "  pandas_orient: split\n"
                      "  type: dataframe\n");
    GY_TRY(add_signature(&out, m, err));
    add_kv(&out, "", "utc_time_created", gy_str_c(time));
    GY_TRY(gy_buf_check(&out, "MLmodel", err));
    if (has_xgboost_flavor(m)) {
        GY_TRY(write_python_env(dir, gy_str_c(version), err));
    }
    return gy_package_put(dir, "MLmodel", gy_buf_str(&out), err);
}
