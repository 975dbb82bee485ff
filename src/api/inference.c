/* SPDX-License-Identifier: Apache-2.0 */
/* Open Inference Protocol v2: what is asked about models, and the way of a prediction that the
 * event loops did not take (serve/serving.h answers the rest without coming here).
 *   GET  /v2                               {"name","version","extensions"}
 *   GET  /v2/models                        {"models":[names]}
 *   GET  /v2/models/{m}[/versions/{v}]     metadata; .../ready
 *   GET  /v2/models/{m}/versions           {"name","versions"}
 *   POST /v2/models/{m}[/versions/{v}]/infer */
#include "api/health.h"
#include "api/inference.h"
#include "serve/infer.h"
#include "serve/serving.h"
#include "serve/tensors.h"

#ifndef GY_VERSION
#define GY_VERSION "0.1.0"
#endif

static gy_status get_server(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    (void)ctx;
    (void)req;
    return gy_reply_send(reply, 200, "application/json",
                         GY_STR("{\"name\":\"gyre\",\"version\":\"" GY_VERSION
                                "\",\"extensions\":[\"binary_tensor_data\",\"parameters\","
                                "\"model_repository\",\"model_repository(unload_dependents)\","
                                "\"model_repository_extension\",\"model_configuration\","
                                "\"statistics\"]}"),
                         err);
}

gy_status gy_api_need_serving(const struct gy_app *app, struct gy_err *err)
{
    if (app->serving) {
        return GY_OK;
    }
    /* {"error"} has no place for a hint */
    return gy_err_set(err, GY_E_UNAVAILABLE,
                      "no server runs here, so nothing is served: gyre server starts one");
}

gy_status gy_api_served_models(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    struct gy_app *app = ctx;
    (void)req;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "models");
    gy_jw_arr(&w);
    for (size_t i = 0; i < gy_table_count(t); i++) {
        gy_jw_str(&w, gy_table_at(t, i)->name);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* The endpoint of {m} and, where given, {v}. */
static gy_status find(const struct gy_table *t, const struct gy_request *req,
                      const struct gy_endpoint **ret, struct gy_err *err)
{
    struct gy_str name = gy_req_param(req, "m");
    struct gy_str version = gy_req_param(req, "v");
    *ret = gy_table_find(t, name);
    if (!*ret) {
        return gy_err_set(err, GY_E_NOTFOUND, "Model '%.100s' not found", name.p);
    }
    *ret = version.p ? gy_variants_version(*ret, version) : *ret;
    if (!*ret) {
        return gy_err_set(err, GY_E_NOTFOUND, "Model '%.100s' with version '%.100s' not found",
                          name.p, version.p);
    }
    return GY_OK;
}

static void write_tensor(struct gy_jw *w, struct gy_str name, enum gy_datatype type,
                         const uint32_t *dims, size_t n_dims)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", name);
    gy_jw_kv_strc(w, "datatype", gy_datatype_name(type));
    gy_jw_key(w, "shape");
    gy_jw_arr(w);
    gy_jw_i64(w, -1);
    for (size_t i = 0; i < n_dims; i++) {
        gy_jw_i64(w, dims[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static void write_inputs(struct gy_jw *w, const struct gy_endpoint *e)
{
    static const uint32_t one = 1;
    gy_jw_key(w, "inputs");
    gy_jw_arr(w);
    for (size_t i = 0; i < e->shape.n_groups; i++) {
        const struct gy_tensor_group *g = &e->shape.groups[i];
        write_tensor(w, g->name, g->type, g->dims, g->n_dims);
    }
    for (size_t i = 0; !e->shape.n_groups && i < e->shape.n_inputs; i++) {
        const struct gy_infer_field *f = &e->shape.fields[i];
        write_tensor(w, f->name, gy_infer_field_type(f), &one, 1);
    }
    gy_jw_arr_end(w);
}

static void write_outputs(struct gy_jw *w, const struct gy_endpoint *e)
{
    gy_jw_key(w, "outputs");
    gy_jw_arr(w);
    for (size_t i = 0; i < e->n_outputs; i++) {
        const struct gy_endpoint_output *o = &e->outputs[i];
        if (o->name.n) {
            write_tensor(w, o->name, o->type, o->dims, o->n_dims);
        }
    }
    gy_jw_arr_end(w);
}

/* The versions that answer: a shadow is none of them. */
static void write_versions(struct gy_jw *w, const struct gy_table *t, const struct gy_endpoint *e)
{
    const struct gy_endpoint *stable = gy_table_find(t, e->name);
    gy_jw_key(w, "versions");
    gy_jw_arr(w);
    gy_jw_str(w, stable->version);
    for (size_t i = 0; i < stable->n_canaries; i++) {
        gy_jw_str(w, stable->canaries[i]->version);
    }
    gy_jw_arr_end(w);
}

static gy_status get_model(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    const struct gy_endpoint *e = NULL;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    GY_TRY(find(t, req, &e, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 8 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", e->name);
    write_versions(&w, t, e);
    gy_jw_key(&w, "platform");
    gy_jw_strf(&w, "gyre_%" GY_STR_F, GY_STR_A(e->info->learner));
    write_inputs(&w, e);
    write_outputs(&w, e);
    gy_jw_key(&w, "properties");
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "model", e->model_name);
    gy_jw_kv_str(&w, "digest", e->digest);
    gy_jw_key(&w, "revision");
    gy_jw_strf(&w, "%u", e->revision);
    if (e->info->input_example.p) {
        gy_jw_kv_str(&w, "input_example", e->info->input_example);
    }
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status get_versions(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    const struct gy_endpoint *e = NULL;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    GY_TRY(find(t, req, &e, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", e->name);
    write_versions(&w, t, e);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status get_model_ready(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                 struct gy_err *err)
{
    struct gy_app *app = ctx;
    const struct gy_endpoint *e = NULL;
    const char *reason;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    GY_TRY(find(t, req, &e, err));
    /* A model that waits for another process is as ready as that. */
    bool ready =
        gy_api_ready(app, &reason) && gy_predictor_ready(e->model->predictor, 0, NULL) == GY_OK;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", e->name);
    gy_jw_kv_bool(&w, "ready", ready);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, ready ? 200 : 503, &out, err);
}

static gy_status send_fast(struct gy_reply *reply, struct gy_fast_reply *got, struct gy_err *err)
{
    /* "Name: value\r\n" lines as headers. */
    struct gy_header headers[16] = {{GY_STR("Content-Type"), gy_str_c(got->content_type)}};
    size_t n = 1;
    struct gy_str rest = gy_str_c(got->extra_headers);
    struct gy_str line;
    while (n < sizeof headers / sizeof headers[0] && gy_str_next(&rest, '\n', &line)) {
        struct gy_str value;
        if (gy_str_cut(line, ':', &headers[n].name, &value)) {
            headers[n++].value = gy_str_trim(value);
        }
    }
    GY_TRY(gy_buf_check(got->body, "the answer", err));
    GY_TRY(gy_reply_begin(reply, got->status, headers, n, (int64_t)got->body->n, err));
    GY_TRY(gy_reply_write(reply, gy_buf_str(got->body), err));
    return gy_reply_end(reply, err);
}

gy_status gy_api_predict(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&body, GY_INFER_MAX_BODY);
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(gy_req_read_body(req, &body, err));
    struct gy_fast_reply got = {.body = &out};
    gy_serving_answer(app->serving, req, gy_buf_str(&body), &got);
    return send_fast(reply, &got, err);
}

#define ERRORS gy_inference_errors
static const struct gy_route routes[] = {
    {"GET", "/v2", get_server, ERRORS, 0, "the server"},
    {"GET", "/v2/models", gy_api_served_models, ERRORS, 0, "the models that are served"},
    {"GET", "/v2/models/{m}", get_model, ERRORS, 0, "inputs and outputs of a model"},
    {"GET", "/v2/models/{m}/versions", get_versions, ERRORS, 0, "its versions"},
    {"GET", "/v2/models/{m}/versions/{v}", get_model, ERRORS, 0, "inputs and outputs of a version"},
    {"GET", "/v2/models/{m}/ready", get_model_ready, ERRORS, 0, "a model can answer"},
    {"GET", "/v2/models/{m}/versions/{v}/ready", get_model_ready, ERRORS, 0,
     "a version can answer"},
    {"POST", "/v2/models/{m}/infer", gy_api_predict, ERRORS, GY_INFER_MAX_BODY, "predict",
     GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"POST", "/v2/models/{m}/versions/{v}/infer", gy_api_predict, ERRORS, GY_INFER_MAX_BODY,
     "predict with a version", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"POST", "/v2/models/{m}/explain", gy_api_predict, ERRORS, GY_INFER_MAX_BODY,
     "predict, and tell what moved the answer", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"POST", "/v2/models/{m}/versions/{v}/explain", gy_api_predict, ERRORS, GY_INFER_MAX_BODY,
     "the same with a version", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
};

gy_status gy_api_inference_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
