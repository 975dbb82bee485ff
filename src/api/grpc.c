/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC methods of the Open Inference Protocol and of health checking: what is asked about models.
 * Messages stand in serve/proto/; predictions are answered by the event loops
 * (serve/protocol_grpc.c) and come here only as the deferred ones of other protocols do. The routes
 * are HTTP/1.1's, too: a POST whose body is the message. */
#include "net/grpc.h"

#include "api/health.h"
#include "api/repository.h"
#include "serve/answer.h"
#include "serve/proto/health.pb-c.h"
#include "serve/proto/inference.pb-c.h"
#include "serve/serving.h"
#include "serve/tensors.h"

#ifndef GY_VERSION
#define GY_VERSION "0.1.0"
#endif

#define SERVICE "/inference.GRPCInferenceService/"
#define HEALTH "/grpc.health.v1.Health/"
#define MAX_ASK GY_MIB         /* a question about models */
#define MAX_PROBE (4 * GY_KIB) /* of whoever asks, without a login: at most a name */

typedef Grpc__Health__V1__HealthCheckResponse health_t;
typedef Inference__ModelMetadataResponse__TensorMetadata tensor_t;

/* ---- messages ---- */

static void *arena_alloc(void *arena, size_t n)
{
    struct gy_arena *a = arena;
    return gy_arena_alloc(a, n);
}

static void arena_free(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

/* The request's message, in the request's arena; NULL only where it fails. */
static gy_status receive(struct gy_request *req, const ProtobufCMessageDescriptor *type, void *ret,
                         struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    ProtobufCAllocator allocator = {arena_alloc, arena_free, req->arena};
    gy_buf_init(&body, MAX_ASK);
    if (req->body) {
        GY_TRY(gy_req_read_body(req, &body, err));
    }
    void *message = protobuf_c_message_unpack(type, &allocator, body.n, (const uint8_t *)body.p);
    memcpy(ret, &message, sizeof message);
    return message ? GY_OK : gy_err_set(err, GY_E_PARSE, "the message is no %s", type->name);
}

static gy_status send(struct gy_reply *reply, const ProtobufCMessage *message, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    size_t n = protobuf_c_message_get_packed_size(message);
    gy_buf_init(&out, GY_MAX_REPLY);
    char *to = gy_buf_reserve(&out, n);
    if (!to) {
        return gy_buf_check(&out, "the answer", err);
    }
    gy_buf_commit(&out, protobuf_c_message_pack(message, (uint8_t *)to));
    return gy_reply_send(reply, 200, GY_GRPC_TYPE, gy_buf_str(&out), err);
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "no memory for the answer");
}

/* n messages of `size` bytes, each begun by init, and the array of pointers to them. */
static void *messages(struct gy_arena *a, size_t n, size_t size, void (*init)(void *message),
                      void *ret_list)
{
    char *all = gy_arena_calloc(a, n + 1, size);
    void **list = gy_arena_calloc(a, n + 1, sizeof *list);
    for (size_t i = 0; all && list && i < n; i++) {
        list[i] = all + i * size;
        init(list[i]);
    }
    memcpy(ret_list, &list, sizeof list);
    return all && list ? list : NULL;
}

static char *text(struct gy_arena *a, struct gy_str s)
{
    return gy_arena_strdup(a, s);
}

/* ---- the server ---- */

static gy_status server_live(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    Inference__ServerLiveResponse answer = INFERENCE__SERVER_LIVE_RESPONSE__INIT;
    (void)ctx;
    (void)req;
    answer.live = true;
    return send(reply, &answer.base, err);
}

static gy_status server_ready(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    Inference__ServerReadyResponse answer = INFERENCE__SERVER_READY_RESPONSE__INIT;
    const struct gy_app *app = ctx;
    const char *reason;
    (void)req;
    answer.ready = app->serving && gy_api_ready(app, &reason);
    return send(reply, &answer.base, err);
}

static gy_status server_metadata(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                 struct gy_err *err)
{
    static const char *const extensions[] = {"model_configuration", "statistics",
                                             "model_repository"};
    Inference__ServerMetadataResponse answer = INFERENCE__SERVER_METADATA_RESPONSE__INIT;
    (void)ctx;
    (void)req;
    answer.name = (char *)(uintptr_t) "gyre";
    answer.version = (char *)(uintptr_t)GY_VERSION;
    answer.extensions = (char **)(uintptr_t)extensions;
    answer.n_extensions = sizeof extensions / sizeof extensions[0];
    return send(reply, &answer.base, err);
}

/* ---- models ---- */

static gy_status get_table(const struct gy_app *app, struct gy_table **ret, struct gy_err *err)
{
    if (!app->serving) {
        return gy_err_set(err, GY_E_UNAVAILABLE,
                          "no server runs here, so nothing is served: gyre server starts one");
    }
    *ret = gy_serving_table(app->serving);
    return GY_OK;
}

/* version "": the one that is stable. */
static gy_status find(const struct gy_table *t, const char *name, const char *version,
                      const struct gy_endpoint **ret, struct gy_err *err)
{
    *ret = gy_table_find(t, gy_str_c(name));
    if (!*ret) {
        return gy_err_set(err, GY_E_NOTFOUND, "Model '%.100s' not found", name);
    }
    *ret = version[0] ? gy_variants_version(*ret, gy_str_c(version)) : *ret;
    return *ret ? GY_OK
                : gy_err_set(err, GY_E_NOTFOUND, "Model '%.100s' with version '%.100s' not found",
                             name, version);
}

static gy_status model_ready(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    Inference__ModelReadyResponse answer = INFERENCE__MODEL_READY_RESPONSE__INIT;
    Inference__ModelReadyRequest *asked = NULL;
    GY_AUTO(gy_table_unref) struct gy_table *t = NULL;
    const struct gy_app *app = ctx;
    const struct gy_endpoint *e;
    const char *reason;
    GY_TRY(receive(req, &inference__model_ready_request__descriptor, &asked, err));
    GY_TRY(get_table(app, &t, err));
    /* A model that is not there is not ready: clients poll this until it is. */
    answer.ready = find(t, asked->name, asked->version, &e, NULL) == GY_OK &&
                   gy_api_ready(app, &reason) &&
                   gy_predictor_ready(e->model->predictor, 0, NULL) == GY_OK;
    return send(reply, &answer.base, err);
}

/* The versions that answer: a shadow is none of them. */
static bool list_versions(const struct gy_table *t, const struct gy_endpoint *e, struct gy_arena *a,
                          char ***ret, size_t *ret_n)
{
    const struct gy_endpoint *stable = gy_table_find(t, e->name);
    char **list = gy_arena_calloc(a, GY_CANARIES_MAX + 1, sizeof *list);
    if (!list || !stable) {
        return false;
    }
    bool ok = (list[0] = text(a, stable->version)) != NULL;
    for (size_t k = 0; ok && k < stable->n_canaries; k++) {
        ok = (list[k + 1] = text(a, stable->canaries[k]->version)) != NULL;
    }
    *ret_n = stable->n_canaries + 1;
    *ret = list;
    return ok;
}

/* What a request's tensors may be: a column, or a group of them. width 0: no dimension behind the
 * rows. */
struct part {
    struct gy_str name;
    enum gy_datatype type;
    size_t n_dims;
    const uint32_t *dims;
};

static const struct gy_tensor_group *group_at(const struct gy_infer_shape *shape, size_t field)
{
    for (size_t i = 0; i < shape->n_groups; i++) {
        if (shape->groups[i].first == field) {
            return &shape->groups[i];
        }
    }
    return NULL;
}

static size_t list_inputs(const struct gy_endpoint *e, struct part *out)
{
    static const uint32_t one = 1;
    size_t n = 0;
    for (size_t i = 0; i < e->shape.n_inputs; n++) {
        const struct gy_tensor_group *g = group_at(&e->shape, i);
        const struct gy_infer_field *f = &e->shape.fields[i];
        out[n] = g ? (struct part){g->name, g->type, g->n_dims, g->dims}
                   : (struct part){f->name, gy_infer_field_type(f), 1, &one};
        i += g && g->width ? g->width : 1;
    }
    return n;
}

static size_t list_outputs(const struct gy_endpoint *e, struct part *out)
{
    size_t n = 0;
    for (size_t i = 0; i < e->n_outputs; i++) {
        const struct gy_endpoint_output *o = &e->outputs[i];
        if (o->name.n) {
            out[n++] = (struct part){o->name, o->type, o->n_dims, o->dims};
        }
    }
    return n;
}

/* Both, and how many; room for as many as there can be. */
static struct part *list_parts(const struct gy_endpoint *e, struct gy_arena *a, bool inputs,
                               size_t *ret_n)
{
    size_t room = (inputs ? e->shape.n_inputs : e->n_outputs) + 1;
    struct part *parts = gy_arena_calloc(a, room, sizeof *parts);
    *ret_n = !parts ? 0 : inputs ? list_inputs(e, parts) : list_outputs(e, parts);
    return parts;
}

static void init_tensor(void *message)
{
    inference__model_metadata_response__tensor_metadata__init(message);
}

static bool fill_tensor(struct gy_arena *a, const struct part *p, tensor_t *ret)
{
    ret->name = text(a, p->name);
    ret->datatype = (char *)(uintptr_t)gy_datatype_name(p->type);
    ret->n_shape = p->n_dims + 1;
    ret->shape = gy_arena_calloc(a, ret->n_shape, sizeof *ret->shape);
    if (!ret->name || !ret->shape) {
        return false;
    }
    ret->shape[0] = -1;
    for (size_t i = 0; i < p->n_dims; i++) {
        ret->shape[i + 1] = p->dims[i];
    }
    return true;
}

static bool add_tensors(const struct gy_endpoint *e, struct gy_arena *a, bool inputs,
                        tensor_t ***ret, size_t *ret_n)
{
    struct part *parts = list_parts(e, a, inputs, ret_n);
    if (!parts || !messages(a, *ret_n, sizeof(tensor_t), init_tensor, ret)) {
        return false;
    }
    for (size_t i = 0; i < *ret_n; i++) {
        if (!fill_tensor(a, &parts[i], (*ret)[i])) {
            return false;
        }
    }
    return true;
}

static gy_status model_metadata(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                struct gy_err *err)
{
    Inference__ModelMetadataResponse answer = INFERENCE__MODEL_METADATA_RESPONSE__INIT;
    Inference__ModelMetadataRequest *asked = NULL;
    GY_AUTO(gy_table_unref) struct gy_table *t = NULL;
    const struct gy_endpoint *e = NULL;
    struct gy_arena *a = req->arena;
    GY_TRY(receive(req, &inference__model_metadata_request__descriptor, &asked, err));
    GY_TRY(get_table(ctx, &t, err));
    GY_TRY(find(t, asked->name, asked->version, &e, err));
    answer.name = asked->name;
    answer.platform = gy_arena_printf(a, "gyre_%" GY_STR_F, GY_STR_A(e->info->learner));
    if (!answer.platform || !list_versions(t, e, a, &answer.versions, &answer.n_versions) ||
        !add_tensors(e, a, true, &answer.inputs, &answer.n_inputs) ||
        !add_tensors(e, a, false, &answer.outputs, &answer.n_outputs)) {
        return no_memory(err);
    }
    return send(reply, &answer.base, err);
}

/* ---- configuration, as clients of Triton look at it ---- */

static Inference__DataType config_type(enum gy_datatype type)
{
    static const Inference__DataType types[GY_DATATYPES] = {
        [GY_DATATYPE_BOOL] = INFERENCE__DATA_TYPE__TYPE_BOOL,
        [GY_DATATYPE_UINT8] = INFERENCE__DATA_TYPE__TYPE_UINT8,
        [GY_DATATYPE_UINT16] = INFERENCE__DATA_TYPE__TYPE_UINT16,
        [GY_DATATYPE_UINT32] = INFERENCE__DATA_TYPE__TYPE_UINT32,
        [GY_DATATYPE_UINT64] = INFERENCE__DATA_TYPE__TYPE_UINT64,
        [GY_DATATYPE_INT8] = INFERENCE__DATA_TYPE__TYPE_INT8,
        [GY_DATATYPE_INT16] = INFERENCE__DATA_TYPE__TYPE_INT16,
        [GY_DATATYPE_INT32] = INFERENCE__DATA_TYPE__TYPE_INT32,
        [GY_DATATYPE_INT64] = INFERENCE__DATA_TYPE__TYPE_INT64,
        [GY_DATATYPE_FP16] = INFERENCE__DATA_TYPE__TYPE_FP16,
        [GY_DATATYPE_BF16] = INFERENCE__DATA_TYPE__TYPE_BF16,
        [GY_DATATYPE_FP32] = INFERENCE__DATA_TYPE__TYPE_FP32,
        [GY_DATATYPE_FP64] = INFERENCE__DATA_TYPE__TYPE_FP64,
        [GY_DATATYPE_BYTES] = INFERENCE__DATA_TYPE__TYPE_STRING,
    };
    return types[type];
}

static bool copy_dims(struct gy_arena *a, const struct part *p, int64_t **ret, size_t *ret_n)
{
    /* An output without dimensions behind its rows is [1] there. */
    *ret_n = p->n_dims ? p->n_dims : 1;
    *ret = gy_arena_calloc(a, *ret_n, sizeof **ret);
    for (size_t i = 0; *ret && i < *ret_n; i++) {
        (*ret)[i] = p->n_dims ? p->dims[i] : 1;
    }
    return *ret != NULL;
}

static void init_input(void *message)
{
    inference__model_input__init(message);
}

static void init_output(void *message)
{
    inference__model_output__init(message);
}

static bool config_inputs(const struct gy_endpoint *e, struct gy_arena *a,
                          Inference__ModelConfig *ret)
{
    struct part *parts = list_parts(e, a, true, &ret->n_input);
    if (!parts ||
        !messages(a, ret->n_input, sizeof(Inference__ModelInput), init_input, &ret->input)) {
        return false;
    }
    bool ok = true;
    for (size_t i = 0; i < ret->n_input; i++) {
        Inference__ModelInput *in = ret->input[i];
        in->name = text(a, parts[i].name);
        in->data_type = config_type(parts[i].type);
        ok = ok && in->name && copy_dims(a, &parts[i], &in->dims, &in->n_dims);
    }
    return ok;
}

static bool config_outputs(const struct gy_endpoint *e, struct gy_arena *a,
                           Inference__ModelConfig *ret)
{
    struct part *parts = list_parts(e, a, false, &ret->n_output);
    if (!parts ||
        !messages(a, ret->n_output, sizeof(Inference__ModelOutput), init_output, &ret->output)) {
        return false;
    }
    bool ok = true;
    for (size_t i = 0; i < ret->n_output; i++) {
        Inference__ModelOutput *out = ret->output[i];
        out->name = text(a, parts[i].name);
        out->data_type = config_type(parts[i].type);
        ok = ok && out->name && copy_dims(a, &parts[i], &out->dims, &out->n_dims);
    }
    return ok;
}

static gy_status model_config(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    Inference__ModelConfigResponse answer = INFERENCE__MODEL_CONFIG_RESPONSE__INIT;
    Inference__ModelConfig config = INFERENCE__MODEL_CONFIG__INIT;
    Inference__ModelConfigRequest *asked = NULL;
    GY_AUTO(gy_table_unref) struct gy_table *t = NULL;
    const struct gy_endpoint *e = NULL;
    struct gy_arena *a = req->arena;
    GY_TRY(receive(req, &inference__model_config_request__descriptor, &asked, err));
    GY_TRY(get_table(ctx, &t, err));
    GY_TRY(find(t, asked->name, asked->version, &e, err));
    config.name = asked->name;
    config.platform = gy_arena_printf(a, "gyre_%" GY_STR_F, GY_STR_A(e->info->learner));
    config.backend = (char *)(uintptr_t) "gyre";
    config.max_batch_size = GY_INFER_MAX_ROWS;
    answer.config = &config;
    if (!config.platform || !config_inputs(e, a, &config) || !config_outputs(e, a, &config)) {
        return no_memory(err);
    }
    return send(reply, &answer.base, err);
}

/* ---- statistics ---- */

struct counted {
    Inference__ModelStatistics model;
    Inference__InferStatistics stats;
    Inference__StatisticDuration success, fail, queue, compute_input, compute_infer, compute_output;
};

static void init_counted(void *message)
{
    struct counted *c = message;
    inference__model_statistics__init(&c->model);
    inference__infer_statistics__init(&c->stats);
    Inference__StatisticDuration *const all[] = {
        &c->success, &c->fail, &c->queue, &c->compute_input, &c->compute_infer, &c->compute_output};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        inference__statistic_duration__init(all[i]);
    }
    c->stats.success = &c->success;
    c->stats.fail = &c->fail;
    c->stats.queue = &c->queue;
    c->stats.compute_input = &c->compute_input;
    c->stats.compute_infer = &c->compute_infer;
    c->stats.compute_output = &c->compute_output;
    c->model.inference_stats = &c->stats;
}

/* Reading, predicting and writing are one measure here: it stands under compute_infer. */
static bool fill_counted(struct gy_arena *a, const struct gy_endpoint *e, struct counted *c)
{
    struct gy_stat_sum sum;
    gy_endpoint_stats_sum(e->stats, &sum);
    c->model.name = text(a, e->name);
    c->model.version = text(a, e->version);
    c->model.inference_count = sum.rows;
    c->model.execution_count = sum.ok;
    c->model.last_inference = gy_endpoint_stats_last_us(e->stats) / 1000;
    c->success.count = c->queue.count = c->compute_input.count = sum.ok;
    c->compute_infer.count = c->compute_output.count = sum.ok;
    c->success.ns = sum.latency_ns + sum.queue_ns;
    c->queue.ns = sum.queue_ns;
    c->compute_infer.ns = sum.latency_ns;
    c->fail.count = sum.refused + sum.no_number + sum.failed;
    return c->model.name && c->model.version;
}

static size_t count_variants(const struct gy_endpoint *e)
{
    size_t n = 0;
    while (gy_variants_at(e, n)) {
        n++;
    }
    return n;
}

/* Those of one endpoint (and version), or of all. */
static gy_status list_counted(const struct gy_table *t, struct gy_arena *a, const char *name,
                              const char *version, Inference__ModelStatisticsResponse *ret,
                              struct gy_err *err)
{
    const struct gy_endpoint *only = NULL;
    struct counted **list = NULL;
    size_t room = 0;
    if (name[0]) {
        GY_TRY(find(t, name, version, &only, err));
    }
    for (size_t i = 0; i < gy_table_count(t); i++) {
        room += count_variants(gy_table_at(t, i));
    }
    if (!messages(a, room, sizeof(struct counted), init_counted, &list)) {
        return no_memory(err);
    }
    for (size_t i = 0; i < gy_table_count(t); i++) {
        const struct gy_endpoint *e;
        for (size_t k = 0; (e = gy_variants_at(gy_table_at(t, i), k)) != NULL; k++) {
            bool wanted = !only || (version[0] ? e == only : gy_str_eq(e->name, only->name));
            if (wanted && !fill_counted(a, e, list[ret->n_model_stats++])) {
                return no_memory(err);
            }
        }
    }
    ret->model_stats = (Inference__ModelStatistics **)list; /* each begins with its message */
    return GY_OK;
}

static gy_status model_statistics(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                  struct gy_err *err)
{
    Inference__ModelStatisticsResponse answer = INFERENCE__MODEL_STATISTICS_RESPONSE__INIT;
    Inference__ModelStatisticsRequest *asked = NULL;
    GY_AUTO(gy_table_unref) struct gy_table *t = NULL;
    GY_TRY(receive(req, &inference__model_statistics_request__descriptor, &asked, err));
    GY_TRY(get_table(ctx, &t, err));
    GY_TRY(list_counted(t, req->arena, asked->name, asked->version, &answer, err));
    return send(reply, &answer.base, err);
}

/* ---- the repository ---- */

typedef Inference__RepositoryIndexResponse__ModelIndex index_t;

static void init_index(void *message)
{
    inference__repository_index_response__model_index__init(message);
}

/* As /v2/repository/index tells it. */
static gy_status repository_index(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                  struct gy_err *err)
{
    Inference__RepositoryIndexResponse answer = INFERENCE__REPOSITORY_INDEX_RESPONSE__INIT;
    Inference__RepositoryIndexRequest *asked = NULL;
    struct gy_repository_entry *all = NULL;
    struct gy_arena *a = req->arena;
    GY_TRY(receive(req, &inference__repository_index_request__descriptor, &asked, err));
    GY_TRY(gy_api_repository_index(ctx, req, asked->ready, &all, &answer.n_models, err));
    if (!messages(a, answer.n_models, sizeof(index_t), init_index, &answer.models)) {
        return no_memory(err);
    }
    for (size_t i = 0; i < answer.n_models; i++) {
        index_t *one = answer.models[i];
        one->name = text(a, all[i].name);
        one->version = text(a, all[i].version);
        one->state = (char *)(uintptr_t)all[i].state;
        one->reason = (char *)(uintptr_t)all[i].reason;
        if (!one->name || !one->version) {
            return no_memory(err);
        }
    }
    return send(reply, &answer.base, err);
}

typedef Inference__RepositoryModelLoadRequest load_t;

/* The parameters as HTTP's JSON has them: files are named, their bytes are not wanted. */
static gy_status write_parameters(const load_t *asked, struct gy_buf *out, struct gy_err *err)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "parameters");
    gy_jw_obj(&w);
    for (size_t i = 0; i < asked->n_parameters; i++) {
        const Inference__ModelRepositoryParameter *v = asked->parameters[i]->value;
        bool is_text =
            v && v->parameter_choice_case ==
                     INFERENCE__MODEL_REPOSITORY_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
        gy_jw_keys(&w, gy_str_c(asked->parameters[i]->key));
        gy_jw_str(&w, gy_str_c(is_text ? v->string_param : ""));
    }
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "the parameters", err);
}

static gy_status repository_load(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                 struct gy_err *err)
{
    Inference__RepositoryModelLoadResponse answer = INFERENCE__REPOSITORY_MODEL_LOAD_RESPONSE__INIT;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    load_t *asked = NULL;
    gy_buf_init(&body, 8 * MAX_ASK);
    GY_TRY(receive(req, &inference__repository_model_load_request__descriptor, &asked, err));
    GY_TRY(write_parameters(asked, &body, err));
    GY_TRY(gy_json_parse(gy_buf_str(&body), &doc, err));
    GY_TRY(gy_api_repository_load(ctx, req, gy_str_c(asked->model_name), yyjson_doc_get_root(doc),
                                  err));
    return send(reply, &answer.base, err);
}

static gy_status repository_unload(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                   struct gy_err *err)
{
    Inference__RepositoryModelUnloadResponse answer =
        INFERENCE__REPOSITORY_MODEL_UNLOAD_RESPONSE__INIT;
    Inference__RepositoryModelUnloadRequest *asked = NULL;
    GY_TRY(receive(req, &inference__repository_model_unload_request__descriptor, &asked, err));
    GY_TRY(gy_api_repository_unload(ctx, req, gy_str_c(asked->model_name), err));
    return send(reply, &answer.base, err);
}

/* ---- predictions that no loop has taken ---- */

static gy_status infer(void *ctx, struct gy_request *req, struct gy_reply *reply,
                       struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&body, GY_INFER_MAX_BODY);
    gy_buf_init(&out, GY_MAX_REPLY);
    if (!app->serving) {
        return gy_err_set(err, GY_E_UNAVAILABLE,
                          "no server runs here, so nothing is served: gyre server starts one");
    }
    if (req->body) {
        GY_TRY(gy_req_read_body(req, &body, err));
    }
    struct gy_fast_reply got = {.body = &out};
    gy_serving_answer(app->serving, req, gy_buf_str(&body), &got);
    GY_TRY(gy_buf_check(&out, "the answer", err));
    return gy_reply_send(reply, got.status, got.content_type, gy_buf_str(&out), err);
}

/* ---- health checking ---- */

static gy_status health_of(const struct gy_app *app, struct gy_request *req, health_t *ret,
                           struct gy_err *err)
{
    Grpc__Health__V1__HealthCheckRequest *asked = NULL;
    const char *reason;
    GY_TRY(receive(req, &grpc__health__v1__health_check_request__descriptor, &asked, err));
    GY_AUTO(gy_table_unref)
    struct gy_table *t = app->serving ? gy_serving_table(app->serving) : NULL;
    bool known =
        !asked->service[0] || strcmp(asked->service, "inference.GRPCInferenceService") == 0;
    const struct gy_endpoint *e = t ? gy_table_find(t, gy_str_c(asked->service)) : NULL;
    known = known || e;
    bool ready = t && gy_api_ready(app, &reason) &&
                 (!e || gy_predictor_ready(e->model->predictor, 0, NULL) == GY_OK);
    ret->status = !known  ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN
                  : ready ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                          : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    return GY_OK;
}

static gy_status health_check(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    health_t answer = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    GY_TRY(health_of(ctx, req, &answer, err));
    if (answer.status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN) {
        return gy_err_set(err, GY_E_NOTFOUND, "there is no such service here");
    }
    return send(reply, &answer.base, err);
}

/* Asked again and again by the connection (net/h2_call.c), which tells changes. */
static gy_status health_watch(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    health_t answer = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    GY_TRY(health_of(ctx, req, &answer, err));
    return send(reply, &answer.base, err);
}

#define METHOD(name, handler, title)                                                     \
    {                                                                                    \
        "POST", SERVICE name, handler, gy_grpc_errors, MAX_ASK, title, GY_ACCESS_VIEWER, \
            GY_ROUTE_GRPC | GY_ROUTE_BULK                                                \
    }
static const struct gy_route routes[] = {
    {"POST", SERVICE "ServerLive", server_live, gy_grpc_errors, MAX_PROBE,
     "the server is there (gRPC)", GY_ACCESS_PUBLIC, GY_ROUTE_GRPC | GY_ROUTE_BULK},
    {"POST", SERVICE "ServerReady", server_ready, gy_grpc_errors, MAX_PROBE,
     "the server can answer (gRPC)", GY_ACCESS_PUBLIC, GY_ROUTE_GRPC | GY_ROUTE_BULK},
    {"POST", HEALTH "Check", health_check, gy_grpc_errors, MAX_PROBE, "health (gRPC)",
     GY_ACCESS_PUBLIC, GY_ROUTE_GRPC | GY_ROUTE_BULK},
    {"POST", HEALTH "Watch", health_watch, gy_grpc_errors, MAX_PROBE, "health, told anew (gRPC)",
     GY_ACCESS_PUBLIC, GY_ROUTE_GRPC | GY_ROUTE_BULK | GY_ROUTE_GRPC_WATCH},
    METHOD("ModelReady", model_ready, "a model can answer (gRPC)"),
    METHOD("ServerMetadata", server_metadata, "the server (gRPC)"),
    METHOD("ModelMetadata", model_metadata, "inputs and outputs of a model (gRPC)"),
    METHOD("ModelConfig", model_config, "a model's configuration (gRPC)"),
    METHOD("RepositoryIndex", repository_index, "the models that are served (gRPC)"),
    {"POST", SERVICE "RepositoryModelLoad", repository_load, gy_grpc_errors, MAX_ASK,
     "serve it (again) (gRPC)", GY_ACCESS_DEFAULT, GY_ROUTE_GRPC},
    {"POST", SERVICE "RepositoryModelUnload", repository_unload, gy_grpc_errors, MAX_ASK,
     "stop serving it (gRPC)", GY_ACCESS_DEFAULT, GY_ROUTE_GRPC},
    METHOD("ModelStatistics", model_statistics, "what a model has answered (gRPC)"),
    {"POST", SERVICE "ModelInfer", infer, gy_grpc_errors, GY_INFER_MAX_BODY, "predict (gRPC)",
     GY_ACCESS_VIEWER, GY_ROUTE_GRPC | GY_ROUTE_BULK},
    {"POST", SERVICE "ModelStreamInfer", infer, gy_grpc_errors, GY_INFER_MAX_BODY,
     "predict, message by message (gRPC)", GY_ACCESS_VIEWER,
     GY_ROUTE_GRPC | GY_ROUTE_BULK | GY_ROUTE_GRPC_STREAM},
};

gy_status gy_api_grpc_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
