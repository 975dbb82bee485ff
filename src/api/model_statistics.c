/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics and configuration of what is served, in the form of Triton's extensions, which its
 * perf_analyzer reads.
 *   GET /v2/models/stats, /v2/models/{m}[/versions/{v}]/stats    {"model_stats":[...]}
 *   GET /v2/models/{m}[/versions/{v}]/config                     {"name","max_batch_size",...}
 * Counters are those of the endpoint and version since the server started. Gyre answers a request
 * in one go, so its time is all compute_infer; nothing waits in a queue of the model's own. */
#include "api/health.h"
#include "api/inference.h"
#include "serve/infer.h"
#include "serve/serving.h"
#include "serve/tensors.h"

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
    return *ret ? GY_OK
                : gy_err_set(err, GY_E_NOTFOUND, "Model '%.100s' with version '%.100s' not found",
                             name.p, version.p);
}

/* ---- statistics ---- */

static void write_duration(struct gy_jw *w, const char *key, uint64_t count, uint64_t ns)
{
    gy_jw_key(w, key);
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "count", (int64_t)count);
    gy_jw_kv_i64(w, "ns", (int64_t)ns);
    gy_jw_obj_end(w);
}

static void write_stats(struct gy_jw *w, const struct gy_endpoint *e)
{
    struct gy_stat_sum s;
    gy_endpoint_stats_sum(e->stats, &s);
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", e->name);
    gy_jw_kv_str(w, "version", e->version);
    gy_jw_kv_i64(w, "last_inference", (int64_t)(gy_endpoint_stats_last_us(e->stats) / 1000));
    gy_jw_kv_i64(w, "inference_count", (int64_t)s.rows);
    gy_jw_kv_i64(w, "execution_count", (int64_t)s.ok);
    gy_jw_key(w, "inference_stats");
    gy_jw_obj(w);
    write_duration(w, "success", s.ok, s.latency_ns + s.queue_ns);
    write_duration(w, "fail", s.refused + s.no_number + s.failed, 0);
    write_duration(w, "queue", s.ok, s.queue_ns);
    write_duration(w, "compute_input", s.ok, 0);
    write_duration(w, "compute_infer", s.ok, s.latency_ns);
    write_duration(w, "compute_output", s.ok, 0);
    write_duration(w, "cache_hit", 0, 0);
    write_duration(w, "cache_miss", 0, 0);
    gy_jw_obj_end(w);
    gy_jw_key(w, "batch_stats");
    gy_jw_arr(w);
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

/* One endpoint and version; without a version the canary too; without a name all. */
static void write_all(struct gy_jw *w, const struct gy_table *t, const struct gy_endpoint *one,
                      bool version)
{
    for (size_t i = 0; i < gy_table_count(t); i++) {
        const struct gy_endpoint *e = gy_table_at(t, i);
        if (one && !gy_str_eq(e->name, one->name)) {
            continue;
        }
        write_stats(w, version ? one : e);
        for (size_t k = 0; !version && k < e->n_canaries; k++) {
            write_stats(w, e->canaries[k]);
        }
    }
}

static gy_status get_stats(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    const struct gy_endpoint *one = NULL;
    struct gy_jw w;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 4 * GY_MIB);
    gy_jw_init(&w, &out);
    if (gy_req_param(req, "m").p) {
        GY_TRY(find(t, req, &one, err));
    }
    gy_jw_obj(&w);
    gy_jw_key(&w, "model_stats");
    gy_jw_arr(&w);
    write_all(&w, t, one, gy_req_param(req, "v").p != NULL);
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- configuration ---- */

/* As Triton's ModelConfig names types: TYPE_FP32, TYPE_STRING. */
static void write_io(struct gy_jw *w, struct gy_str name, enum gy_datatype type,
                     const uint32_t *dims, size_t n_dims)
{
    bool text = type == GY_DATATYPE_BYTES;
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", name);
    gy_jw_key(w, "data_type");
    gy_jw_strf(w, "TYPE_%s", text ? "STRING" : gy_datatype_name(type));
    gy_jw_key(w, "dims");
    gy_jw_arr(w);
    for (size_t i = 0; i < n_dims; i++) {
        gy_jw_i64(w, dims[i]);
    }
    if (n_dims == 0) {
        gy_jw_i64(w, 1);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static void write_config(struct gy_jw *w, const struct gy_endpoint *e)
{
    static const uint32_t one = 1;
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", e->name);
    gy_jw_key(w, "platform");
    gy_jw_strf(w, "gyre_%" GY_STR_F, GY_STR_A(e->info->learner));
    gy_jw_kv_strc(w, "backend", "gyre");
    gy_jw_key(w, "version_policy");
    gy_jw_obj(w);
    gy_jw_key(w, "specific");
    gy_jw_obj(w);
    gy_jw_key(w, "versions");
    gy_jw_arr(w);
    gy_jw_raw(w, e->version);
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
    gy_jw_kv_i64(w, "max_batch_size", GY_INFER_MAX_ROWS);
    gy_jw_key(w, "input");
    gy_jw_arr(w);
    for (size_t i = 0; i < e->shape.n_groups; i++) {
        const struct gy_tensor_group *g = &e->shape.groups[i];
        write_io(w, g->name, g->type, g->dims, g->n_dims);
    }
    for (size_t i = 0; !e->shape.n_groups && i < e->shape.n_inputs; i++) {
        write_io(w, e->shape.fields[i].name, gy_infer_field_type(&e->shape.fields[i]), &one, 1);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "output");
    gy_jw_arr(w);
    for (size_t i = 0; i < e->n_outputs; i++) {
        const struct gy_endpoint_output *o = &e->outputs[i];
        if (o->name.n) {
            write_io(w, o->name, o->type, o->dims, o->n_dims);
        }
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static gy_status get_config(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    const struct gy_endpoint *e = NULL;
    struct gy_jw w;
    GY_TRY(gy_api_need_serving(app, err));
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    GY_TRY(find(t, req, &e, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 4 * GY_MIB);
    gy_jw_init(&w, &out);
    write_config(&w, e);
    return gy_reply_json(reply, 200, &out, err);
}

#define ERRORS gy_inference_errors
static const struct gy_route routes[] = {
    {"GET", "/v2/models/stats", get_stats, ERRORS, 0, "statistics of all models"},
    {"GET", "/v2/models/{m}/stats", get_stats, ERRORS, 0, "statistics of a model"},
    {"GET", "/v2/models/{m}/versions/{v}/stats", get_stats, ERRORS, 0, "statistics of a version"},
    {"GET", "/v2/models/{m}/config", get_config, ERRORS, 0, "configuration of a model"},
    {"GET", "/v2/models/{m}/versions/{v}/config", get_config, ERRORS, 0,
     "configuration of a version"},
};

gy_status gy_api_model_statistics_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
