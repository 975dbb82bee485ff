/* SPDX-License-Identifier: Apache-2.0 */
/* Open Inference Protocol over gRPC: ModelInfer and, for each message of a stream,
 * ModelStreamInfer. net/grpc.h has brought the message here; what the requests and answers are made
 * of stands in proto/inference.proto. Inputs are put into rows in their binary form, whatever they
 * came in; outputs leave in the form that the inputs came in. */
#include <math.h>
#include <stdio.h>

#include "net/grpc.h"
#include "serve/answer_internal.h"
#include "serve/proto/inference.pb-c.h"
#include "serve/protobuf.h"
#include "serve/protocol.h"
#include "serve/tensors.h"

#define SERVICE "/inference.GRPCInferenceService/"

/* q->asked: the answer is raw_output_contents. */
enum { ASKED_RAW = 1 };

/* Numbers of fields (proto/inference.proto). */
enum {
    F_REQUEST_MODEL = 1,
    F_REQUEST_VERSION = 2,
    F_MODEL = 1,
    F_VERSION = 2,
    F_ID = 3,
    F_PARAMETERS = 4,
    F_OUTPUTS = 5,
    F_RAW = 6,
    F_KEY = 1,
    F_VALUE = 2,
    F_PARAM_INT64 = 2,
    F_PARAM_STRING = 3,
    F_NAME = 1,
    F_DATATYPE = 2,
    F_SHAPE = 3,
    F_CONTENTS = 5,
    F_STREAM_ERROR = 1,
    F_STREAM_RESPONSE = 2,
};

typedef Inference__ModelInferRequest request_t;
typedef Inference__ModelInferRequest__InferInputTensor input_t;
typedef Inference__InferTensorContents contents_t;

static bool claims(struct gy_str path, struct gy_ask *ret)
{
    (void)ret;
    return gy_str_eq(path, GY_STR(SERVICE "ModelInfer"));
}

static bool claims_stream(struct gy_str path, struct gy_ask *ret)
{
    (void)ret;
    return gy_str_eq(path, GY_STR(SERVICE "ModelStreamInfer"));
}

/* ---- the request ---- */

static gy_status not_protobuf(struct gy_err *err)
{
    return gy_err_set(err, GY_E_PARSE, "the message is no inference.ModelInferRequest");
}

/* Which model, before anything is unpacked; of a field that is there twice the last one counts. */
static gy_status locate(struct gy_ask *ask, const struct gy_request *req, struct gy_str body,
                        struct gy_err *err)
{
    struct gy_pb_field f;
    bool bad = false;
    (void)req;
    ask->endpoint = GY_STR("");
    while (gy_pb_next(&body, &f, &bad)) {
        if (f.wire == GY_PB_BYTES && f.field == F_REQUEST_MODEL) {
            ask->endpoint = f.bytes;
        } else if (f.wire == GY_PB_BYTES && f.field == F_REQUEST_VERSION) {
            ask->version = f.bytes.n ? f.bytes : GY_STR_NULL;
        }
    }
    if (bad) {
        return not_protobuf(err);
    }
    return ask->endpoint.n ? GY_OK : gy_err_set(err, GY_E_INVALID, "model_name is empty");
}

static gy_status read_dims(struct gy_tensor *t, const input_t *in, struct gy_err *err)
{
    t->n_dims = in->n_shape;
    if (t->n_dims < 1 || t->n_dims > GY_TENSOR_MAX_DIMS) {
        return gy_err_set(err, GY_E_INVALID,
                          "input '%.*s': shape must be [rows] or [rows, columns]",
                          GY_TENSOR_NAME(t));
    }
    for (size_t i = 0; i < t->n_dims; i++) {
        if (in->shape[i] <= 0) {
            return gy_err_set(err, GY_E_INVALID, "input '%.*s': shape must be numbers over 0",
                              GY_TENSOR_NAME(t));
        }
        if (in->shape[i] > GY_INFER_MAX_WIDTH) {
            return gy_err_set(err, GY_E_TOOBIG, "input '%.*s': shape says %lld rows or columns",
                              GY_TENSOR_NAME(t), (long long)in->shape[i]);
        }
        t->dims[i] = (uint64_t)in->shape[i];
    }
    if (gy_tensor_width(t) > GY_INFER_MAX_WIDTH) {
        return gy_err_set(err, GY_E_TOOBIG, "input '%.*s': shape says more than %d values a row",
                          GY_TENSOR_NAME(t), GY_INFER_MAX_WIDTH);
    }
    return GY_OK;
}

static gy_status read_type(struct gy_tensor *t, const input_t *in, struct gy_err *err)
{
    if (gy_datatype_parse(gy_str_c(in->datatype), &t->type)) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_INVALID, "input '%.*s': datatype '%.32s' is not accepted here",
                      GY_TENSOR_NAME(t), in->datatype);
}

/* ---- contents, as the bytes that the binary form has ---- */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "no memory for this request");
}

/* Whole numbers of less than 32 bits; is_signed: `from` has int32, else uint32. */
static gy_status narrow(const struct gy_tensor *t, const void *from, size_t n, bool is_signed,
                        struct gy_arena *a, struct gy_str *ret, struct gy_err *err)
{
    size_t size = gy_datatype_size(t->type);
    double min = 0, max = 0;
    char *to = gy_arena_alloc(a, n * size + 1);
    if (!to) {
        return no_memory(err);
    }
    (void)gy_datatype_range(t->type, &min, &max);
    for (size_t i = 0; i < n; i++) {
        double v =
            is_signed ? (double)((const int32_t *)from)[i] : (double)((const uint32_t *)from)[i];
        if (v < min || v > max) {
            return gy_err_set(err, GY_E_INVALID, "input '%.*s': %.0f is not a value of %s",
                              GY_TENSOR_NAME(t), v, gy_datatype_name(t->type));
        }
        gy_datatype_put(t->type, v, to + i * size);
    }
    *ret = gy_str_n(to, n * size);
    return GY_OK;
}

static gy_status join_texts(const contents_t *c, struct gy_arena *a, struct gy_str *ret,
                            struct gy_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_bytes_contents; i++) {
        n += sizeof(uint32_t) + c->bytes_contents[i].len;
    }
    char *to = gy_arena_alloc(a, n + 1);
    if (!to) {
        return no_memory(err);
    }
    *ret = gy_str_n(to, n);
    for (size_t i = 0; i < c->n_bytes_contents; i++) {
        uint32_t length = (uint32_t)c->bytes_contents[i].len;
        memcpy(to, &length, sizeof length); /* little-endian, like every machine Gyre runs on */
        to += sizeof length;
        if (length) {
            memcpy(to, c->bytes_contents[i].data, length);
        }
        to += length;
    }
    return GY_OK;
}

static gy_status join_bools(const contents_t *c, struct gy_arena *a, struct gy_str *ret,
                            struct gy_err *err)
{
    char *to = gy_arena_alloc(a, c->n_bool_contents + 1);
    if (!to) {
        return no_memory(err);
    }
    for (size_t i = 0; i < c->n_bool_contents; i++) {
        to[i] = c->bool_contents[i] != 0;
    }
    *ret = gy_str_n(to, c->n_bool_contents);
    return GY_OK;
}

static struct gy_str view(const void *p, size_t n, size_t size)
{
    return gy_str_n(p ? p : "", n * size);
}

/* The field that a datatype's elements stand in; NULL: there is none. */
static const char *field_of(enum gy_datatype type)
{
    static const char *const fields[GY_DATATYPES] = {
        [GY_DATATYPE_BOOL] = "bool_contents",     [GY_DATATYPE_UINT8] = "uint_contents",
        [GY_DATATYPE_UINT16] = "uint_contents",   [GY_DATATYPE_UINT32] = "uint_contents",
        [GY_DATATYPE_UINT64] = "uint64_contents", [GY_DATATYPE_INT8] = "int_contents",
        [GY_DATATYPE_INT16] = "int_contents",     [GY_DATATYPE_INT32] = "int_contents",
        [GY_DATATYPE_INT64] = "int64_contents",   [GY_DATATYPE_FP32] = "fp32_contents",
        [GY_DATATYPE_FP64] = "fp64_contents",     [GY_DATATYPE_BYTES] = "bytes_contents",
    };
    return fields[type];
}

static gy_status read_contents(const struct gy_tensor *t, const contents_t *c, struct gy_arena *a,
                               struct gy_str *ret, struct gy_err *err)
{
    switch (t->type) {
    case GY_DATATYPE_BOOL:
        return join_bools(c, a, ret, err);
    case GY_DATATYPE_UINT8:
    case GY_DATATYPE_UINT16:
    case GY_DATATYPE_UINT32:
        return narrow(t, c->uint_contents, c->n_uint_contents, false, a, ret, err);
    case GY_DATATYPE_INT8:
    case GY_DATATYPE_INT16:
    case GY_DATATYPE_INT32:
        return narrow(t, c->int_contents, c->n_int_contents, true, a, ret, err);
    case GY_DATATYPE_UINT64:
        *ret = view(c->uint64_contents, c->n_uint64_contents, 8);
        return GY_OK;
    case GY_DATATYPE_INT64:
        *ret = view(c->int64_contents, c->n_int64_contents, 8);
        return GY_OK;
    case GY_DATATYPE_FP32:
        *ret = view(c->fp32_contents, c->n_fp32_contents, 4);
        return GY_OK;
    case GY_DATATYPE_FP64:
        *ret = view(c->fp64_contents, c->n_fp64_contents, 8);
        return GY_OK;
    case GY_DATATYPE_BYTES:
        return join_texts(c, a, ret, err);
    case GY_DATATYPE_FP16:
    case GY_DATATYPE_BF16:
    case GY_DATATYPES:
        break;
    }
    return gy_err_set(err, GY_E_INVALID, "input '%.*s': %s is sent in raw_input_contents alone",
                      GY_TENSOR_NAME(t), gy_datatype_name(t->type));
}

/* The input in its binary form. */
static gy_status bytes_of(const request_t *r, size_t i, const struct gy_tensor *t,
                          struct gy_arena *a, struct gy_str *ret, struct gy_err *err)
{
    static const contents_t nothing = INFERENCE__INFER_TENSOR_CONTENTS__INIT;
    const contents_t *c = r->inputs[i]->contents;
    if (r->n_raw_input_contents) {
        if (c) {
            return gy_err_set(err, GY_E_INVALID,
                              "input '%.*s' has contents, but others are in raw_input_contents: "
                              "send all inputs in the same form",
                              GY_TENSOR_NAME(t));
        }
        *ret = view(r->raw_input_contents[i].data, r->raw_input_contents[i].len, 1);
        return GY_OK;
    }
    GY_TRY(read_contents(t, c ? c : &nothing, a, ret, err));
    if (ret->n == 0) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s' has no values: %s is sent in %s",
                          GY_TENSOR_NAME(t), gy_datatype_name(t->type), field_of(t->type));
    }
    return GY_OK;
}

static gy_status read_outputs(const request_t *r, const struct gy_infer_shape *shape,
                              struct gy_infer_request *q, struct gy_err *err)
{
    uint32_t asked = 0;
    for (size_t i = 0; i < r->n_outputs; i++) {
        size_t k = 0;
        GY_TRY(gy_tensors_output(shape, gy_str_c(r->outputs[i]->name), &k, err));
        asked |= (uint32_t)1 << k;
    }
    q->outputs = r->n_outputs ? asked : UINT32_MAX;
    return GY_OK;
}

static gy_status read_message(const request_t *r, const struct gy_infer_shape *shape, size_t size,
                              struct gy_arena *a, struct gy_infer_request *q, struct gy_err *err)
{
    struct gy_tensors tensors;
    gy_tensors_begin(&tensors, shape, size, q);
    if (r->id[0]) {
        GY_TRY(gy_tensors_id(q, gy_str_c(r->id), err));
    }
    GY_TRY(read_outputs(r, shape, q, err));
    if (r->n_inputs == 0) {
        return gy_err_set(err, GY_E_INVALID, "the request has no inputs");
    }
    if (r->n_raw_input_contents && r->n_raw_input_contents != r->n_inputs) {
        return gy_err_set(err, GY_E_INVALID, "%zu inputs, but %zu raw_input_contents", r->n_inputs,
                          r->n_raw_input_contents);
    }
    q->asked = r->n_raw_input_contents ? ASKED_RAW : 0;
    for (size_t i = 0; i < r->n_inputs; i++) {
        struct gy_tensor t = {.name = gy_str_c(r->inputs[i]->name)};
        struct gy_str bytes = GY_STR_NULL;
        GY_TRY(read_dims(&t, r->inputs[i], err));
        GY_TRY(read_type(&t, r->inputs[i], err));
        GY_TRY(bytes_of(r, i, &t, a, &bytes, err));
        GY_TRY(gy_tensors_add(&tensors, &t, bytes, err));
    }
    return gy_tensors_end(&tensors, err);
}

/* What libprotobuf-c unpacks lives in the request's arena. */
struct memory {
    struct gy_arena *arena;
    bool failed;
};

static void *arena_alloc(void *memory, size_t n)
{
    struct memory *m = memory;
    void *p = gy_arena_alloc(m->arena, n);
    m->failed = m->failed || !p;
    return p;
}

static void arena_free(void *memory, void *p)
{
    (void)memory;
    (void)p;
}

static gy_status read_grpc(const struct gy_ask *ask, const struct gy_request *req,
                           const struct gy_endpoint *stable, struct gy_str body,
                           struct gy_infer_request *q, struct gy_err *err)
{
    struct memory memory = {req->arena, false};
    ProtobufCAllocator allocator = {arena_alloc, arena_free, &memory};
    (void)ask;
    const request_t *r =
        inference__model_infer_request__unpack(&allocator, body.n, (const uint8_t *)body.p);
    if (!r) {
        return memory.failed ? no_memory(err) : not_protobuf(err);
    }
    return read_message(r, &stable->shape, body.n, req->arena, q, err);
}

/* ---- the answer ---- */

static void add_int(struct gy_buf *out, const char *key, uint64_t v)
{
    size_t entry = gy_pb_begin(out, F_PARAMETERS);
    gy_pb_bytes(out, F_KEY, gy_str_c(key));
    size_t value = gy_pb_begin(out, F_VALUE);
    gy_pb_uint(out, F_PARAM_INT64, v);
    gy_pb_end(out, value);
    gy_pb_end(out, entry);
}

static void add_string(struct gy_buf *out, const char *key, struct gy_str v)
{
    size_t entry = gy_pb_begin(out, F_PARAMETERS);
    gy_pb_bytes(out, F_KEY, gy_str_c(key));
    size_t value = gy_pb_begin(out, F_VALUE);
    gy_pb_bytes(out, F_PARAM_STRING, v);
    gy_pb_end(out, value);
    gy_pb_end(out, entry);
}

/* As the JSON form has them. */
static void add_parameters(const struct gy_endpoint *e, const struct gy_infer_work *w,
                           const char *prediction_id, struct gy_buf *out)
{
    add_string(out, "prediction_id", gy_str_n(prediction_id, GY_UUID_TEXT - 1));
    add_int(out, "revision", e->revision);
    if (e->n_rules && w->q.n_rows == 1) {
        const struct gy_rule_outcome *o = &w->rules[0];
        if (o->rule >= 0) {
            add_string(out, "rule", gy_rules_at(e->rules, (size_t)o->rule)->name);
        }
        add_int(out, "rule_conditions_true", o->hits);
        add_int(out, "rule_conditions_evaluated", o->evaluated);
        add_int(out, "rule_conditions", o->of);
    }
    if (w->out_of_range) {
        char text[GY_ANSWER_WARNING];
        add_string(out, "warning", gy_answer_warning_text(e, w, text));
    }
}

/* Whole numbers as varints; of less than 64 bits, signs are extended as protobuf wants it. */
static void add_varints(enum gy_datatype type, struct gy_str raw, struct gy_buf *out)
{
    size_t size = gy_datatype_size(type);
    for (size_t at = 0; at + size <= raw.n; at += size) {
        uint64_t whole = 0;
        if (type == GY_DATATYPE_INT64 || type == GY_DATATYPE_UINT64) {
            memcpy(&whole, raw.p + at, sizeof whole);
        } else {
            whole = (uint64_t)(int64_t)gy_datatype_get(type, raw.p + at);
        }
        gy_pb_varint(out, whole);
    }
}

static void add_texts(struct gy_str raw, unsigned field, struct gy_buf *out)
{
    for (uint32_t n = 0; raw.n >= sizeof n; raw = gy_str_sub(raw, n, raw.n)) {
        memcpy(&n, raw.p, sizeof n);
        raw = gy_str_sub(raw, sizeof n, raw.n);
        gy_pb_bytes(out, field, gy_str_sub(raw, 0, n));
    }
}

/* The field of InferTensorContents; 0: there is none. */
static unsigned contents_field(enum gy_datatype type)
{
    static const unsigned char fields[GY_DATATYPES] = {
        [GY_DATATYPE_BOOL] = 1,   [GY_DATATYPE_INT8] = 2,   [GY_DATATYPE_INT16] = 2,
        [GY_DATATYPE_INT32] = 2,  [GY_DATATYPE_INT64] = 3,  [GY_DATATYPE_UINT8] = 4,
        [GY_DATATYPE_UINT16] = 4, [GY_DATATYPE_UINT32] = 4, [GY_DATATYPE_UINT64] = 5,
        [GY_DATATYPE_FP32] = 6,   [GY_DATATYPE_FP64] = 7,   [GY_DATATYPE_BYTES] = 8,
    };
    return fields[type];
}

/* Values in the field of their datatype. They are made of the binary form, which is written to the
 * end of out, read there, and taken away again. */
static void add_contents(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                         struct gy_buf *out)
{
    enum gy_datatype type = e->outputs[i].type;
    unsigned field = contents_field(type);
    size_t n_raw = gy_answer_binary_size(e, w, i), contents = gy_pb_begin(out, F_CONTENTS);
    if (type == GY_DATATYPE_FP64 || type == GY_DATATYPE_FP32) { /* packed is the binary form */
        gy_pb_bytes_head(out, field, n_raw);
        gy_answer_binary(e, w, i, out);
        gy_pb_end(out, contents);
        return;
    }
    size_t from = out->n, packed = 0;
    gy_answer_binary(e, w, i, out);
    size_t written = out->n;
    /* Room for all that follows first: what is read must not move. */
    size_t size = gy_datatype_size(type), most = size ? n_raw / size * 10 : n_raw * 2;
    if (out->failed != GY_OK || !gy_buf_reserve(out, most + 16)) {
        return;
    }
    struct gy_str raw = gy_str_n(out->p + from, written - from);
    if (type == GY_DATATYPE_BYTES) {
        add_texts(raw, field, out);
    } else {
        packed = gy_pb_begin(out, field);
        add_varints(type, raw, out);
        gy_pb_end(out, packed);
    }
    memmove(out->p + from, out->p + written, out->n - written);
    out->n -= written - from;
    gy_pb_end(out, contents);
}

static void add_output(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                       bool raw, struct gy_buf *out)
{
    const struct gy_endpoint_output *o = &e->outputs[i];
    size_t output = gy_pb_begin(out, F_OUTPUTS);
    gy_pb_bytes(out, F_NAME, o->name);
    gy_pb_bytes(out, F_DATATYPE, gy_str_c(gy_datatype_name(o->type)));
    size_t shape = gy_pb_begin(out, F_SHAPE);
    gy_pb_varint(out, w->q.n_rows);
    for (size_t k = 0; k < o->n_dims; k++) {
        gy_pb_varint(out, o->dims[k]);
    }
    gy_pb_end(out, shape);
    if (!raw) {
        add_contents(e, w, i, out);
    }
    gy_pb_end(out, output);
}

/* Half floats have no contents: then all is raw. */
static bool is_raw(const struct gy_endpoint *e, const struct gy_infer_work *w)
{
    bool raw = w->q.asked & ASKED_RAW;
    for (size_t i = 0; i < e->n_outputs; i++) {
        raw = raw || (gy_answer_wants(e, w, i) && contents_field(e->outputs[i].type) == 0);
    }
    return raw;
}

static void add_response(const struct gy_endpoint *e, const struct gy_infer_work *w,
                         const char *prediction_id, struct gy_buf *out)
{
    bool raw = is_raw(e, w);
    gy_pb_bytes(out, F_MODEL, e->name);
    gy_pb_bytes(out, F_VERSION, e->version);
    if (w->q.id_bytes) {
        gy_pb_bytes(out, F_ID, gy_str_n(w->q.id, w->q.id_bytes));
    }
    add_parameters(e, w, prediction_id, out);
    for (size_t i = 0; i < e->n_outputs; i++) {
        if (gy_answer_wants(e, w, i)) {
            add_output(e, w, i, raw, out);
        }
    }
    for (size_t i = 0; raw && i < e->n_outputs; i++) {
        if (gy_answer_wants(e, w, i)) {
            gy_pb_bytes_head(out, F_RAW, gy_answer_binary_size(e, w, i));
            gy_answer_binary(e, w, i, out);
        }
    }
}

static void answer(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out)
{
    (void)ask;
    out->status = 200;
    out->content_type = GY_GRPC_TYPE;
    add_response(e, w, prediction_id, out->body);
}

static void answer_stream(const struct gy_ask *ask, const struct gy_endpoint *e,
                          const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                          struct gy_fast_reply *out)
{
    (void)ask;
    out->status = 200;
    out->content_type = GY_GRPC_TYPE;
    size_t response = gy_pb_begin(out->body, F_STREAM_RESPONSE);
    add_response(e, w, prediction_id, out->body);
    gy_pb_end(out->body, response);
}

static void fail(const struct gy_ask *ask, const struct gy_err *failed, struct gy_fast_reply *out)
{
    (void)ask;
    out->status = gy_infer_http(failed->code);
    out->content_type = "text/plain"; /* what becomes the grpc-message */
    gy_buf_addc(out->body, failed->msg);
    if (failed->hint[0]) {
        gy_buf_addf(out->body, " (%s)", failed->hint);
    }
}

/* Of one message: the stream goes on. Who may not ask is told so by its end. */
static void fail_stream(const struct gy_ask *ask, const struct gy_err *failed,
                        struct gy_fast_reply *out)
{
    if (failed->code == GY_E_UNAUTHENTICATED || failed->code == GY_E_DENIED) {
        fail(ask, failed, out);
        return;
    }
    out->status = gy_infer_http(failed->code);
    out->content_type = GY_GRPC_TYPE;
    gy_pb_bytes(out->body, F_STREAM_ERROR, gy_str_c(failed->msg));
}

const struct gy_protocol gy_protocol_grpc = {
    .ops_version = 1,
    .name = "grpc",
    .claims = claims,
    .locate = locate,
    .read = read_grpc,
    .answer = answer,
    .fail = fail,
};

const struct gy_protocol gy_protocol_grpc_stream = {
    .ops_version = 1,
    .name = "grpc_stream",
    .claims = claims_stream,
    .locate = locate,
    .read = read_grpc,
    .answer = answer_stream,
    .fail = fail_stream,
};
