/* SPDX-License-Identifier: Apache-2.0 */
/* KServe's V1 protocol: what is asked about models, and the way of a prediction that the event
 * loops did not take (serve/protocol_v1.c reads and answers it). What TensorFlow Serving's clients
 * look for stands in the same objects.
 *   GET  /v1/models                                       {"models":[names]}
 *   GET  /v1/models/{m}[/versions/{v}|/labels/{l}]        {"name","ready","model_version_status"}
 *   GET  /v1/models/{m}[...]/metadata                     TensorFlow Serving's signature
 *   POST /v1/models/{m}[...]:predict|:explain|:classify|:regress */
#include "api/health.h"
#include "api/inference.h"
#include "serve/infer.h"
#include "serve/serving.h"

/* Is e the one that the path names by version or label? A shadow answers nobody. */
static bool is_named(const struct gy_endpoint *e, struct gy_str version, struct gy_str label)
{
    return e->role != GY_VARIANT_SHADOW && (!version.p || gy_str_eq(version, e->version)) &&
           (!label.p || gy_str_eqc(label, gy_variant_role_name(e->role)));
}

/* The stable version of {m}; *ret: the first that {v} or {l} names. */
static gy_status find(const struct gy_table *t, const struct gy_request *req,
                      const struct gy_endpoint **ret_stable, const struct gy_endpoint **ret,
                      struct gy_err *err)
{
    struct gy_str name = gy_req_param(req, "m");
    struct gy_str version = gy_req_param(req, "v");
    struct gy_str label = gy_req_param(req, "l");
    const struct gy_endpoint *e;
    *ret_stable = gy_table_find(t, name);
    if (!*ret_stable) {
        return gy_err_set(err, GY_E_NOTFOUND, "Model with name %.100s does not exist.", name.p);
    }
    for (size_t i = 0; (e = gy_variants_at(*ret_stable, i)) != NULL; i++) {
        if (is_named(e, version, label)) {
            *ret = e;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_NOTFOUND,
                      "Servable not found for request: Specific(%.100s, %.100s)", name.p,
                      version.p ? version.p : label.p);
}

static void write_status(struct gy_jw *w, const struct gy_endpoint *e, bool ready)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "version", e->version);
    gy_jw_kv_strc(w, "state", ready ? "AVAILABLE" : "UNLOADING");
    gy_jw_key(w, "status");
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "error_code", "OK");
    gy_jw_kv_strc(w, "error_message", "");
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

static gy_status get_model(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    const struct gy_endpoint *stable = NULL;
    const struct gy_endpoint *e = NULL;
    const char *reason;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    GY_TRY(find(t, req, &stable, &e, err));
    /* A model that waits for another process is as ready as that. */
    bool ready =
        gy_api_ready(app, &reason) && gy_predictor_ready(e->model->predictor, 0, NULL) == GY_OK;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", stable->name);
    gy_jw_kv_bool(&w, "ready", ready);
    gy_jw_key(&w, "model_version_status");
    gy_jw_arr(&w);
    for (size_t i = 0; (e = gy_variants_at(stable, i)) != NULL; i++) {
        if (is_named(e, gy_req_param(req, "v"), gy_req_param(req, "l"))) {
            write_status(&w, e, ready);
        }
    }
    gy_jw_arr_end(&w);
    if (!ready) { /* KServe's clients print it */
        gy_jw_key(&w, "error");
        gy_jw_strf(&w, "Model with name %" GY_STR_F " is not ready. %s", GY_STR_A(stable->name),
                   reason);
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, ready ? 200 : 503, &out, err);
}

static void write_tensor(struct gy_jw *w, struct gy_str name, const char *dtype, bool as_column)
{
    gy_jw_keys(w, name);
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "dtype", dtype);
    gy_jw_key(w, "tensor_shape");
    gy_jw_obj(w);
    gy_jw_key(w, "dim");
    gy_jw_arr(w);
    for (int i = 0; i < (as_column ? 2 : 1); i++) {
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "size", i ? "1" : "-1");
        gy_jw_kv_strc(w, "name", "");
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_kv_bool(w, "unknown_rank", false);
    gy_jw_obj_end(w);
    gy_jw_kv_str(w, "name", name);
    gy_jw_obj_end(w);
}

static const char *dtype_of(const struct gy_predictor_input *in)
{
    if (in->kind == GY_INPUT_NUMBER) {
        return "DT_DOUBLE";
    }
    return in->kind == GY_INPUT_TEXT && in->integer ? "DT_INT64" : "DT_STRING";
}

static void write_signature(struct gy_jw *w, const struct gy_endpoint *e)
{
    gy_jw_key(w, "serving_default");
    gy_jw_obj(w);
    gy_jw_key(w, "inputs");
    gy_jw_obj(w);
    for (size_t i = 0; i < e->info->n_inputs; i++) {
        write_tensor(w, e->info->inputs[i].name, dtype_of(&e->info->inputs[i]), true);
    }
    gy_jw_obj_end(w);
    gy_jw_key(w, "outputs");
    gy_jw_obj(w);
    write_tensor(w, GY_STR("predictions"),
                 e->info->task == GY_TASK_REGRESSION ? "DT_DOUBLE"
                 : e->numeric_classes                ? "DT_INT64"
                                                     : "DT_STRING",
                 false);
    gy_jw_obj_end(w);
    gy_jw_kv_strc(w, "method_name", "tensorflow/serving/predict");
    gy_jw_obj_end(w);
}

static gy_status get_metadata(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    const struct gy_endpoint *stable = NULL;
    const struct gy_endpoint *e = NULL;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    GY_TRY(find(t, req, &stable, &e, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 8 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "model_spec");
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", e->name);
    gy_jw_kv_strc(&w, "signature_name", "");
    gy_jw_kv_str(&w, "version", e->version);
    gy_jw_obj_end(&w);
    gy_jw_key(&w, "metadata");
    gy_jw_obj(&w);
    gy_jw_key(&w, "signature_def");
    gy_jw_obj(&w);
    gy_jw_key(&w, "signature_def"); /* twice: the inner one is the map of the message */
    gy_jw_obj(&w);
    write_signature(&w, e);
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

#define ERRORS gy_inference_errors
#define GET(pattern, handler, title)              \
    {                                             \
        "GET", pattern, handler, ERRORS, 0, title \
    }
#define POST(pattern, title)                                                                 \
    {                                                                                        \
        "POST", pattern, gy_api_predict, ERRORS, GY_INFER_MAX_BODY, title, GY_ACCESS_VIEWER, \
            GY_ROUTE_BULK                                                                    \
    }
#define MODEL "/v1/models/{m}"
static const struct gy_route routes[] = {
    GET("/v1/models", gy_api_served_models, "the models that are served (KServe V1)"),
    GET(MODEL, get_model, "a model is ready (KServe V1)"),
    GET(MODEL "/versions/{v}", get_model, "a version is ready"),
    GET(MODEL "/labels/{l}", get_model, "the version of that role is ready"),
    GET(MODEL "/metadata", get_metadata, "its signature as TensorFlow Serving tells it"),
    GET(MODEL "/versions/{v}/metadata", get_metadata, "the signature of a version"),
    GET(MODEL "/labels/{l}/metadata", get_metadata, "the signature of the version of that role"),
    POST(MODEL ":predict", "predict (KServe V1)"),
    POST(MODEL ":explain", "explain a prediction (KServe V1)"),
    POST(MODEL ":classify", "all classes with their probabilities"),
    POST(MODEL ":regress", "predict a number"),
    POST(MODEL "/versions/{v}:predict", "predict with a version"),
    POST(MODEL "/versions/{v}:explain", "explain a prediction of a version"),
    POST(MODEL "/versions/{v}:classify", "all classes of a version"),
    POST(MODEL "/versions/{v}:regress", "predict a number with a version"),
    POST(MODEL "/labels/{l}:predict", "predict with the version of that role"),
    POST(MODEL "/labels/{l}:explain", "explain a prediction of the version of that role"),
    POST(MODEL "/labels/{l}:classify", "all classes of the version of that role"),
    POST(MODEL "/labels/{l}:regress", "predict a number with the version of that role"),
};

gy_status gy_api_inference_v1_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
