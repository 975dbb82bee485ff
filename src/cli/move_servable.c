/* SPDX-License-Identifier: Apache-2.0 */
/* What Gyre can do with a model that MLflow packed, by its flavors. One table: a runtime that is
 * added changes its row. */
#include "base/yaml.h"
#include "cli/move.h"

static const struct {
    const char *flavor;
    enum gy_move_serve serve;
    const char *why;
} g_flavors[] = {
    /* the best one first: a model has several flavors */
    {"gyre", GY_MOVE_NATIVE, "a package of Gyre"},
    {"xgboost", GY_MOVE_NATIVE, "XGBoost"},
    {"onnx", GY_MOVE_EXPORT, "ONNX already; wants a build with the ONNX runtime"},
    {"lightgbm", GY_MOVE_EXPORT, "LightGBM: export to ONNX"},
    {"sklearn", GY_MOVE_EXPORT, "scikit-learn: export to ONNX with skl2onnx"},
    {"pytorch", GY_MOVE_EXPORT, "PyTorch: export with torch.onnx.export"},
    {"tensorflow", GY_MOVE_EXPORT, "TensorFlow: export with tf2onnx"},
    {"keras", GY_MOVE_EXPORT, "Keras: export with tf2onnx"},
    {"catboost", GY_MOVE_EXPORT, "CatBoost: save_model(format=\"onnx\")"},
    {"paddle", GY_MOVE_EXPORT, "Paddle: export with paddle2onnx"},
    {"spark", GY_MOVE_EXPORT, "Spark ML: export with onnxmltools"},
    {"h2o", GY_MOVE_EXPORT, "H2O: export with onnxmltools"},
    {"transformers", GY_MOVE_EXPORT, "transformers: export with optimum"},
    {"sentence_transformers", GY_MOVE_EXPORT, "sentence-transformers: export with optimum"},
};

gy_status gy_move_servable(struct gy_str ml_model, struct gy_arena *a, enum gy_move_serve *ret,
                           const char **ret_why, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_TRY(gy_yaml_parse(ml_model, "MLmodel", &y, err));
    const struct gy_yaml_node *flavors = gy_yaml_get(gy_yaml_root(y), "flavors");
    for (size_t i = 0; i < sizeof g_flavors / sizeof g_flavors[0]; i++) {
        const struct gy_yaml_node *f = gy_yaml_get(flavors, g_flavors[i].flavor);
        if (!f) {
            continue;
        }
        const struct gy_yaml_node *data = gy_yaml_get(f, "data");
        *ret = g_flavors[i].serve;
        *ret_why = g_flavors[i].why;
        if (strcmp(g_flavors[i].flavor, "xgboost") == 0 && data &&
            !gy_str_ends(data->text, GY_STR(".json")) && !gy_str_ends(data->text, GY_STR(".ubj"))) {
            *ret = GY_MOVE_EXPORT;
            *ret_why = "XGBoost's old binary format: load it with xgboost and save it as .ubj";
        }
        return GY_OK;
    }
    *ret = GY_MOVE_NOT;
    const struct gy_yaml_node *loader =
        gy_yaml_path(flavors, GY_STR("python_function.loader_module"));
    *ret_why = loader ? gy_arena_printf(a, "Python code alone (%" GY_STR_F ")",
                                        GY_STR_A(gy_str_sub(loader->text, 0, 100)))
                      : "no flavor that Gyre knows";
    return *ret_why ? GY_OK : gy_track_nomem(err);
}
