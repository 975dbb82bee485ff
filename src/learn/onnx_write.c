/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/onnx_write.h"

#include <endian.h>

enum { VARINT = 0, BYTES = 2, FIXED32 = 5 };
enum { IR_VERSION = 8, OPSET = 17, OPSET_ML = 3 };
/* onnx.AttributeProto.AttributeType */
enum {
    ATTR_FLOAT = 1,
    ATTR_INT = 2,
    ATTR_STRING = 3,
    ATTR_FLOATS = 6,
    ATTR_INTS = 7,
    ATTR_STRINGS = 8
};

#define MAX_NAMES ((size_t)64 << 20)

void gy_onnx_write_init(struct gy_onnx_writer *w)
{
    *w = (struct gy_onnx_writer){0};
    gy_arena_init(&w->arena, MAX_NAMES);
    gy_buf_init(&w->graph, GY_ONNX_MAX_FILE);
    gy_buf_init(&w->node, GY_ONNX_MAX_FILE);
    gy_buf_init(&w->part, GY_ONNX_MAX_FILE);
    gy_buf_init(&w->inner, GY_ONNX_MAX_FILE);
}

void gy_onnx_write_done(struct gy_onnx_writer *w)
{
    if (w) {
        gy_arena_done(&w->arena);
        gy_buf_done(&w->graph);
        gy_buf_done(&w->node);
        gy_buf_done(&w->part);
        gy_buf_done(&w->inner);
    }
}

/* ---- the wire format ---- */

static void varint(struct gy_buf *b, uint64_t v)
{
    while (v >= 0x80) {
        gy_buf_add_char(b, (char)(v | 0x80));
        v >>= 7;
    }
    gy_buf_add_char(b, (char)v);
}

static void put_int(struct gy_buf *b, uint32_t field, int64_t v)
{
    varint(b, (uint64_t)field << 3 | VARINT);
    varint(b, (uint64_t)v);
}

static void put_bytes(struct gy_buf *b, uint32_t field, struct gy_str s)
{
    varint(b, (uint64_t)field << 3 | BYTES);
    varint(b, s.n);
    gy_buf_add(b, s);
}

static void put_text(struct gy_buf *b, uint32_t field, const char *text)
{
    put_bytes(b, field, gy_str_c(text));
}

/* What stands in part becomes a field of b; part is empty again. A failure of part goes on to b. */
static void put_part(struct gy_buf *b, uint32_t field, struct gy_buf *part, bool *failed)
{
    *failed = *failed || gy_buf_check(part, "an ONNX file", NULL) != GY_OK;
    put_bytes(b, field, gy_buf_str(part));
    gy_buf_reset(part);
}

static void add_f32(struct gy_buf *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits = htole32(bits);
    gy_buf_add_bytes(b, &bits, sizeof bits);
}

static void add_f64(struct gy_buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits = htole64(bits);
    gy_buf_add_bytes(b, &bits, sizeof bits);
}

/* ---- names and values ---- */

const char *gy_onnx_fresh(struct gy_onnx_writer *w, const char *hint)
{
    const char *name = gy_arena_printf(&w->arena, "/%s/%zu", hint, ++w->n_names);
    w->failed = w->failed || !name;
    return name ? name : "";
}

/* ValueInfoProto: name = 1, type = 2 {tensor_type = 1 {elem_type = 1, shape = 2 {dim = 1 {dim_value
 * = 1, dim_param = 2}}}}. */
static void add_value(struct gy_onnx_writer *w, uint32_t field, const char *name,
                      enum gy_onnx_type type, int64_t width)
{
    struct gy_buf *a = &w->part, *b = &w->inner;
    put_text(a, 2, "rows"); /* dim_param */
    put_part(b, 1, a, &w->failed);
    if (width >= 0) {
        put_int(a, 1, width);
        put_part(b, 1, a, &w->failed);
    }
    put_int(a, 1, type);
    put_part(a, 2, b, &w->failed);
    put_part(b, 1, a, &w->failed); /* tensor_type */
    put_text(a, 1, name);
    put_part(a, 2, b, &w->failed);
    put_part(&w->graph, field, a, &w->failed);
}

void gy_onnx_add_input(struct gy_onnx_writer *w, const char *name, enum gy_onnx_type type,
                       int64_t width)
{
    add_value(w, 11, name, type, width);
}

void gy_onnx_add_output(struct gy_onnx_writer *w, const char *name, enum gy_onnx_type type,
                        int64_t width)
{
    add_value(w, 12, name, type, width);
}

/* TensorProto: dims = 1, data_type = 2, string_data = 6, name = 8, raw_data = 9. `inner` holds the
 * raw data. */
static const char *end_tensor(struct gy_onnx_writer *w, const char *hint, enum gy_onnx_type type,
                              const int64_t *dims, size_t n_dims)
{
    const char *name = gy_onnx_fresh(w, hint);
    for (size_t i = 0; i < n_dims; i++) {
        put_int(&w->part, 1, dims[i]);
    }
    put_int(&w->part, 2, type);
    put_text(&w->part, 8, name);
    put_part(&w->part, 9, &w->inner, &w->failed);
    put_part(&w->graph, 5, &w->part, &w->failed);
    return name;
}

static size_t product(const int64_t *dims, size_t n_dims)
{
    size_t n = 1;
    for (size_t i = 0; i < n_dims; i++) {
        n *= (size_t)dims[i];
    }
    return n;
}

const char *gy_onnx_f64s(struct gy_onnx_writer *w, const double *v, const int64_t *dims,
                         size_t n_dims)
{
    for (size_t i = 0; i < product(dims, n_dims); i++) {
        add_f64(&w->inner, v[i]);
    }
    return end_tensor(w, "weights", GY_ONNX_DOUBLE, dims, n_dims);
}

const char *gy_onnx_f64(struct gy_onnx_writer *w, double v)
{
    return gy_onnx_f64s(w, &v, NULL, 0);
}

const char *gy_onnx_f32s(struct gy_onnx_writer *w, const float *v, const int64_t *dims,
                         size_t n_dims)
{
    for (size_t i = 0; i < product(dims, n_dims); i++) {
        add_f32(&w->inner, v[i]);
    }
    return end_tensor(w, "weights", GY_ONNX_FLOAT, dims, n_dims);
}

const char *gy_onnx_i64s(struct gy_onnx_writer *w, const int64_t *v, size_t n)
{
    const int64_t dims[1] = {(int64_t)n};
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = htole64((uint64_t)v[i]);
        gy_buf_add_bytes(&w->inner, &bits, sizeof bits);
    }
    return end_tensor(w, "shape", GY_ONNX_INT64, dims, 1);
}

const char *gy_onnx_strings(struct gy_onnx_writer *w, const char *name, const struct gy_str *v,
                            size_t n)
{
    put_int(&w->part, 1, (int64_t)n);
    put_int(&w->part, 2, GY_ONNX_STRING);
    for (size_t i = 0; i < n; i++) {
        put_bytes(&w->part, 6, v[i]);
    }
    put_text(&w->part, 8, name);
    put_part(&w->graph, 5, &w->part, &w->failed);
    return name;
}

/* ---- nodes ---- */

/* NodeProto: input = 1, output = 2, op_type = 4, attribute = 5, domain = 7. */
void gy_onnx_begin(struct gy_onnx_writer *w, const char *op, bool ml)
{
    GY_REQUIRE(w->node.n == 0); /* the last one was ended */
    put_text(&w->node, 4, op);
    if (ml) {
        put_text(&w->node, 7, "ai.onnx.ml");
    }
}

void gy_onnx_in(struct gy_onnx_writer *w, const char *value)
{
    put_text(&w->node, 1, value);
}

/* AttributeProto: name = 1, f = 2, i = 3, s = 4, floats = 7, ints = 8, strings = 9, type = 20. */
static void end_attr(struct gy_onnx_writer *w, const char *name, int type)
{
    put_text(&w->part, 1, name);
    put_int(&w->part, 20, type);
    put_part(&w->node, 5, &w->part, &w->failed);
}

void gy_onnx_attr_i(struct gy_onnx_writer *w, const char *name, int64_t v)
{
    put_int(&w->part, 3, v);
    end_attr(w, name, ATTR_INT);
}

void gy_onnx_attr_f(struct gy_onnx_writer *w, const char *name, float v)
{
    varint(&w->part, 2U << 3 | FIXED32);
    add_f32(&w->part, v);
    end_attr(w, name, ATTR_FLOAT);
}

void gy_onnx_attr_s(struct gy_onnx_writer *w, const char *name, const char *v)
{
    put_text(&w->part, 4, v);
    end_attr(w, name, ATTR_STRING);
}

void gy_onnx_attr_i64s(struct gy_onnx_writer *w, const char *name, const int64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_int(&w->part, 8, v[i]);
    }
    end_attr(w, name, ATTR_INTS);
}

void gy_onnx_attr_f32s(struct gy_onnx_writer *w, const char *name, const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        varint(&w->part, 7U << 3 | FIXED32);
        add_f32(&w->part, v[i]);
    }
    end_attr(w, name, ATTR_FLOATS);
}

void gy_onnx_attr_strings(struct gy_onnx_writer *w, const char *name, const struct gy_str *v,
                          size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_bytes(&w->part, 9, v[i]);
    }
    end_attr(w, name, ATTR_STRINGS);
}

const char *gy_onnx_end(struct gy_onnx_writer *w, const char *result)
{
    const char *name = result ? result : gy_onnx_fresh(w, "v");
    put_text(&w->node, 2, name);
    put_part(&w->graph, 1, &w->node, &w->failed);
    return name;
}

const char *gy_onnx_op1(struct gy_onnx_writer *w, const char *op, const char *a)
{
    gy_onnx_begin(w, op, false);
    gy_onnx_in(w, a);
    return gy_onnx_end(w, NULL);
}

const char *gy_onnx_op2(struct gy_onnx_writer *w, const char *op, const char *a, const char *b)
{
    gy_onnx_begin(w, op, false);
    gy_onnx_in(w, a);
    gy_onnx_in(w, b);
    return gy_onnx_end(w, NULL);
}

const char *gy_onnx_cast(struct gy_onnx_writer *w, const char *a, enum gy_onnx_type to)
{
    gy_onnx_begin(w, "Cast", false);
    gy_onnx_in(w, a);
    gy_onnx_attr_i(w, "to", to);
    return gy_onnx_end(w, NULL);
}

const char *gy_onnx_concat(struct gy_onnx_writer *w, const char *const *values, size_t n)
{
    if (n == 1) {
        return values[0];
    }
    gy_onnx_begin(w, "Concat", false);
    for (size_t i = 0; i < n; i++) {
        gy_onnx_in(w, values[i]);
    }
    gy_onnx_attr_i(w, "axis", 1);
    return gy_onnx_end(w, NULL);
}

/* ---- the file ---- */

/* OperatorSetIdProto: domain = 1, version = 2. */
static void add_opset(struct gy_onnx_writer *w, struct gy_buf *out, const char *domain, int version)
{
    put_text(&w->part, 1, domain);
    put_int(&w->part, 2, version);
    put_part(out, 8, &w->part, &w->failed);
}

/* ModelProto: ir_version = 1, producer_name = 2, doc_string = 6, graph = 7, opset_import = 8;
 * GraphProto: name = 2. */
gy_status gy_onnx_write_end(struct gy_onnx_writer *w, const char *name, const char *producer,
                            const char *doc, struct gy_buf *out, struct gy_err *err)
{
    put_text(&w->graph, 2, name);
    GY_TRY(gy_buf_check(&w->graph, "an ONNX file", err));
    put_int(out, 1, IR_VERSION);
    put_text(out, 2, producer);
    put_text(out, 6, doc);
    put_bytes(out, 7, gy_buf_str(&w->graph));
    add_opset(w, out, "", OPSET);
    add_opset(w, out, "ai.onnx.ml", OPSET_ML);
    if (w->failed) {
        return gy_err_set(err, GY_E_NOMEM, "writing an ONNX file");
    }
    return gy_buf_check(out, "an ONNX file", err);
}
