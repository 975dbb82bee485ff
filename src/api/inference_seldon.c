/* SPDX-License-Identifier: Apache-2.0 */
/* Seldon's protocol, the v1 line, beside predictions on the event loops (serve/protocol_seldon.c)
 * and feedback (feedback.c).
 *   POST /api/v1.0/predictions, /api/v0.1/predictions, /seldon/{ns}/{m}/api/v1.0/predictions
 *   GET  /api/v1.0/health/{live|ready|status}      200, or 503 with the reason
 *   GET  /api/v1.0/metadata                        what is served, as a graph of one node each
 *   GET  /api/v1.0/metadata/{m}                    inputs and outputs of an endpoint
 *   GET  /seldon.json                              an OpenAPI document of the above */
#include "api/health.h"
#include "api/inference.h"
#include "serve/infer.h"
#include "serve/seldon.h"
#include "serve/serving.h"

gy_status gy_api_seldon_errors(struct gy_request *req, struct gy_reply *reply,
                               const struct gy_err *failed, struct gy_err *err)
{
    (void)req;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_KIB);
    gy_seldon_failure(failed, &out);
    return gy_reply_json(reply, gy_status_http(failed->code), &out, err);
}

/* ---- health ---- */

static gy_status send_status(struct gy_reply *reply, const char *info, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "status");
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "code", 200);
    gy_jw_kv_strc(&w, "info", info);
    gy_jw_kv_strc(&w, "status", "SUCCESS");
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status get_live(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    (void)ctx;
    (void)req;
    return send_status(reply, "live", err);
}

static gy_status get_ready(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    const char *reason;
    (void)req;
    if (!gy_api_ready(ctx, &reason)) {
        return gy_err_set(err, GY_E_UNAVAILABLE, "%s", reason);
    }
    return send_status(reply, "ready", err);
}

/* ---- metadata ---- */

static void write_side(struct gy_jw *w, const char *key, const struct gy_str *names, size_t n)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "messagetype", "tensor");
    gy_jw_key(w, "schema");
    gy_jw_obj(w);
    gy_jw_key(w, "names");
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_str(w, names[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "shape");
    gy_jw_arr(w);
    gy_jw_u64(w, n);
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
    gy_jw_arr_end(w);
}

static gy_status write_sides(struct gy_jw *w, const struct gy_endpoint *e, struct gy_arena *a,
                             const char *inputs, const char *outputs, struct gy_err *err)
{
    const struct gy_predictor_info *info = e->info;
    struct gy_str *names = gy_arena_calloc(a, info->n_inputs + 1, sizeof *names);
    if (!names) {
        return gy_err_set(err, GY_E_NOMEM, "the metadata");
    }
    for (size_t i = 0; i < info->n_inputs; i++) {
        names[i] = info->inputs[i].name;
    }
    write_side(w, inputs, names, info->n_inputs);
    if (info->task == GY_TASK_REGRESSION) {
        write_side(w, outputs, &info->target, 1);
    } else {
        write_side(w, outputs, info->classes, info->n_classes);
    }
    return GY_OK;
}

static gy_status write_model(struct gy_jw *w, const struct gy_endpoint *e, struct gy_arena *a,
                             struct gy_err *err)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", e->name);
    gy_jw_key(w, "platform");
    gy_jw_strf(w, "gyre_%" GY_STR_F, GY_STR_A(e->info->learner));
    gy_jw_key(w, "versions");
    gy_jw_arr(w);
    const struct gy_endpoint *one;
    for (size_t i = 0; (one = gy_variants_at(e, i)) != NULL; i++) {
        if (one->role != GY_VARIANT_SHADOW) {
            gy_jw_strf(w, "%" GY_STR_F "/%" GY_STR_F, GY_STR_A(one->model_name),
                       GY_STR_A(one->version));
        }
    }
    gy_jw_arr_end(w);
    GY_TRY(write_sides(w, e, a, "inputs", "outputs", err));
    gy_jw_key(w, "custom");
    gy_jw_obj(w);
    gy_jw_kv_str(w, "digest", e->digest);
    gy_jw_key(w, "revision");
    gy_jw_strf(w, "%u", e->revision);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status get_graph(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    const struct gy_endpoint *first = NULL;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    GY_TRY(gy_table_default(t, &first, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", first->name);
    gy_jw_key(&w, "models");
    gy_jw_obj(&w);
    for (size_t i = 0; i < gy_table_count(t); i++) {
        gy_jw_keys(&w, gy_table_at(t, i)->name);
        GY_TRY(write_model(&w, gy_table_at(t, i), req->arena, err));
    }
    gy_jw_obj_end(&w);
    GY_TRY(write_sides(&w, first, req->arena, "graphinputs", "graphoutputs", err));
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status get_metadata(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_str name = gy_req_param(req, "m");
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    const struct gy_endpoint *e = gy_table_find(t, name);
    if (!e) {
        return gy_err_set(err, GY_E_NOTFOUND, "Model '%.100s' not found", name.p);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 8 * GY_MIB);
    gy_jw_init(&w, &out);
    GY_TRY(write_model(&w, e, req->arena, err));
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- the API document ---- */

#define OK_MESSAGE                                                                              \
    "{\"200\":{\"description\":\"a SeldonMessage\",\"content\":{\"application/json\":{\"schema" \
    "\":{\"$ref\":\"#/components/schemas/SeldonMessage\"}}}},\"default\":{\"description\":\"a " \
    "SeldonMessage with a status of FAILURE\",\"content\":{\"application/json\":{\"schema\":{"  \
    "\"$ref\":\"#/components/schemas/SeldonMessage\"}}}}}"
#define BODY(schema)                                                                             \
    "{\"required\":true,\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/" \
    "schemas/" schema "\"}}}}"
static const char document[] =
    "{\"openapi\":\"3.0.3\",\"info\":{\"title\":\"Seldon protocol of Gyre\",\"version\":\"1.0\"},"
    "\"paths\":{"
    "\"/api/v1.0/predictions\":{\"post\":{\"operationId\":\"Predict\",\"requestBody\":" BODY(
        "SeldonMessage") ",\"responses\":" OK_MESSAGE "}},"
                         "\"/api/v1.0/"
                         "feedback\":{\"post\":{\"operationId\":\"SendFeedback\","
                         "\"requestBody\":" BODY(
                             "Feedback") ",\"responses\":" OK_MESSAGE "}}},"
                                         "\"components\":{\"schemas\":{"
                                         "\"SeldonMessage\":{\"type\":\"object\",\"properties\":{"
                                         "\"status\":{\"type\":\"object\",\"properties\":{\"code\":"
                                         "{\"type\":\"integer\"},\"info\":{"
                                         "\"type\":\"string\"},\"reason\":{\"type\":\"string\"},"
                                         "\"status\":{\"type\":\"string\","
                                         "\"enum\":[\"SUCCESS\",\"FAILURE\"]}}},"
                                         "\"meta\":{\"type\":\"object\",\"properties\":{\"puid\":{"
                                         "\"type\":\"string\"},\"tags\":{"
                                         "\"type\":\"object\"},\"routing\":{\"type\":\"object\","
                                         "\"additionalProperties\":{\"type\":"
                                         "\"integer\"}},\"requestPath\":{\"type\":\"object\"},"
                                         "\"metrics\":{\"type\":\"array\","
                                         "\"items\":{\"type\":\"object\"}}}},"
                                         "\"data\":{\"type\":\"object\",\"properties\":{\"names\":{"
                                         "\"type\":\"array\",\"items\":{"
                                         "\"type\":\"string\"}},\"ndarray\":{\"type\":\"array\","
                                         "\"items\":{}},\"tensor\":{\"type\":"
                                         "\"object\",\"properties\":{\"shape\":{\"type\":\"array\","
                                         "\"items\":{\"type\":\"integer\"}},"
                                         "\"values\":{\"type\":\"array\",\"items\":{}}}}}},"
                                         "\"jsonData\":{},\"strData\":{\"type\":\"string\"},"
                                         "\"binData\":{\"type\":\"string\","
                                         "\"format\":\"byte\"}}},"
                                         "\"Feedback\":{\"type\":\"object\",\"properties\":{"
                                         "\"request\":{\"$ref\":\"#/components/"
                                         "schemas/SeldonMessage\"},\"response\":{\"$ref\":\"#/"
                                         "components/schemas/SeldonMessage\"},"
                                         "\"truth\":{\"$ref\":\"#/components/schemas/"
                                         "SeldonMessage\"},\"reward\":{\"type\":\"number\"}"
                                         "}}}}}";

static gy_status get_document(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    (void)ctx;
    (void)req;
    return gy_reply_send(reply, 200, "application/json", gy_str_c(document), err);
}

#define ERRORS gy_api_seldon_errors
static const struct gy_route routes[] = {
    {"POST", "/api/v1.0/predictions", gy_api_predict, ERRORS, GY_INFER_MAX_BODY, "predict (Seldon)",
     GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"POST", "/api/v0.1/predictions", gy_api_predict, ERRORS, GY_INFER_MAX_BODY,
     "predict (Seldon, its older path)", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"POST", "/seldon/{ns}/{m}/api/v1.0/predictions", gy_api_predict, ERRORS, GY_INFER_MAX_BODY,
     "predict (Seldon, by the path of its ingress)", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"POST", "/seldon/{ns}/{m}/api/v0.1/predictions", gy_api_predict, ERRORS, GY_INFER_MAX_BODY,
     "predict (Seldon, by the path of its ingress, older)", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"GET", "/api/v1.0/health/live", get_live, ERRORS, 0, "the process answers (Seldon)",
     GY_ACCESS_PUBLIC, 0},
    {"GET", "/api/v1.0/health/ready", get_ready, ERRORS, 0, "new work may be sent here (Seldon)",
     GY_ACCESS_PUBLIC, 0},
    {"GET", "/api/v1.0/health/status", get_ready, ERRORS, 0, "the same (Seldon)", GY_ACCESS_PUBLIC,
     0},
    {"GET", "/api/v1.0/metadata", get_graph, ERRORS, 0, "what is served (Seldon)"},
    {"GET", "/api/v1.0/metadata/{m}", get_metadata, ERRORS, 0,
     "inputs and outputs of an endpoint (Seldon)"},
    {"GET", "/seldon.json", get_document, ERRORS, 0, "OpenAPI document of Seldon's protocol"},
};

gy_status gy_api_inference_seldon_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
