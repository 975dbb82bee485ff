/* SPDX-License-Identifier: Apache-2.0 */
/* gy_onnx_writer: an ONNX file, written node by node (the wire format of protobuf with the field
 * numbers of onnx.proto, IR version 8, operator sets ai.onnx 17 and ai.onnx.ml 3, which ONNX
 * Runtime reads since 1.12). Calls can not fail one by one: what went wrong is told by
 * gy_onnx_write_end. Values of the graph are named by the caller; gy_onnx_fresh makes names. One
 * owner. */
#ifndef GY_LEARN_ONNX_WRITE_H
#define GY_LEARN_ONNX_WRITE_H

#include "base/arena.h"
#include "base/buf.h"

/* The labels of the classes, as an importer finds them. */
#define GY_ONNX_CLASSES_NAME "/classes"
#define GY_ONNX_MAX_FILE ((size_t)512 << 20)

/* onnx.TensorProto.DataType */
enum gy_onnx_type {
    GY_ONNX_FLOAT = 1,
    GY_ONNX_INT64 = 7,
    GY_ONNX_STRING = 8,
    GY_ONNX_BOOL = 9,
    GY_ONNX_DOUBLE = 11
};

struct gy_onnx_writer {
    struct gy_arena arena; /* names */
    struct gy_buf graph;   /* nodes, tensors, inputs, outputs */
    struct gy_buf node;    /* the one that is being written */
    struct gy_buf part;    /* an attribute, a tensor, a type */
    struct gy_buf inner;   /* what is inside of that */
    size_t n_names;
    bool failed; /* a name could not be made */
};

void gy_onnx_write_init(struct gy_onnx_writer *w);
void gy_onnx_write_done(struct gy_onnx_writer *w);
GY_DEFINE_AUTO_DONE(struct gy_onnx_writer, gy_onnx_write_done);

/* A name that no other value has: "/hint/7". Lives as long as w; never NULL. */
const char *gy_onnx_fresh(struct gy_onnx_writer *w, const char *hint);

/* A value [rows, width] (width < 0: [rows]) that the graph takes or gives. */
void gy_onnx_add_input(struct gy_onnx_writer *w, const char *name, enum gy_onnx_type type,
                       int64_t width);
void gy_onnx_add_output(struct gy_onnx_writer *w, const char *name, enum gy_onnx_type type,
                        int64_t width);

/* Constants; n_dims 0: one number. They return their name. */
const char *gy_onnx_f64s(struct gy_onnx_writer *w, const double *v, const int64_t *dims,
                         size_t n_dims);
const char *gy_onnx_f64(struct gy_onnx_writer *w, double v);
const char *gy_onnx_f32s(struct gy_onnx_writer *w, const float *v, const int64_t *dims,
                         size_t n_dims);
const char *gy_onnx_i64s(struct gy_onnx_writer *w, const int64_t *v, size_t n);
const char *gy_onnx_strings(struct gy_onnx_writer *w, const char *name, const struct gy_str *v,
                            size_t n);

/* A node: begin, its inputs, its attributes, end, which names the result (NULL: a fresh name). No
 * other node in between; constants may be. */
void gy_onnx_begin(struct gy_onnx_writer *w, const char *op, bool ml);
void gy_onnx_in(struct gy_onnx_writer *w, const char *value);
void gy_onnx_attr_i(struct gy_onnx_writer *w, const char *name, int64_t v);
void gy_onnx_attr_f(struct gy_onnx_writer *w, const char *name, float v);
void gy_onnx_attr_s(struct gy_onnx_writer *w, const char *name, const char *v);
void gy_onnx_attr_i64s(struct gy_onnx_writer *w, const char *name, const int64_t *v, size_t n);
void gy_onnx_attr_f32s(struct gy_onnx_writer *w, const char *name, const float *v, size_t n);
void gy_onnx_attr_strings(struct gy_onnx_writer *w, const char *name, const struct gy_str *v,
                          size_t n);
const char *gy_onnx_end(struct gy_onnx_writer *w, const char *result);

/* The usual nodes in one call. */
const char *gy_onnx_op1(struct gy_onnx_writer *w, const char *op, const char *a);
const char *gy_onnx_op2(struct gy_onnx_writer *w, const char *op, const char *a, const char *b);
const char *gy_onnx_cast(struct gy_onnx_writer *w, const char *a, enum gy_onnx_type to);
/* Columns side by side; one alone is handed on. */
const char *gy_onnx_concat(struct gy_onnx_writer *w, const char *const *values, size_t n);

/* The file. producer: "gyre 1.0"; doc: what the model is. Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_onnx_write_end(struct gy_onnx_writer *w, const char *name,
                                       const char *producer, const char *doc, struct gy_buf *out,
                                       struct gy_err *err);

#endif
