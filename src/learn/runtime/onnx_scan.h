/* SPDX-License-Identifier: Apache-2.0 */
/* gy_onnx_scan: what an ONNX file says about itself, read from its protobuf before ONNX Runtime
 * sees it: inputs, outputs, labels of classes, texts that it knows; and a refusal of what must not
 * come from a stranger: weights in other files, endless loops. Field numbers are those of
 * onnx.proto. Untrusted input: depth and memory are bounded, and every length is checked. */
#ifndef GY_LEARN_RUNTIME_ONNX_SCAN_H
#define GY_LEARN_RUNTIME_ONNX_SCAN_H

#include "base/arena.h"

#define GY_ONNX_MAX_DIMS 8
#define GY_ONNX_MAX_VALUES 4096 /* inputs or outputs of a graph */
#define GY_ONNX_MAX_DEPTH 16
#define GY_ONNX_MAX_MEMORY ((size_t)1024 << 20) /* bytes of what is kept */

/* An input or output. */
struct gy_onnx_value {
    struct gy_str name;
    bool tensor;  /* else a sequence or map, as ZipMap makes */
    int32_t type; /* of a tensor's elements, onnx.TensorProto.DataType */
    bool shaped;  /* the dimensions are said */
    size_t n_dims;
    int64_t dims[GY_ONNX_MAX_DIMS]; /* -1: any */
};

struct gy_onnx_node {
    struct gy_str op, input, output; /* the first of each; views into the file */
    struct gy_onnx_node *next;
};

struct gy_onnx_graph {
    struct gy_str producer;
    struct gy_onnx_value *inputs, *outputs; /* without inputs that are weights */
    size_t n_inputs, n_outputs;
    struct gy_onnx_node *nodes; /* the last one first */
    /* Labels of the classes as texts, of the last classifier that has them; n 0: none. */
    struct gy_str *labels;
    size_t n_labels;
    /* Texts that encoders compare with, sorted, each once. */
    struct gy_str *texts;
    size_t n_texts;
};

/* Read the graph of a model into the arena (initialised by the caller); views point into bytes.
 * Fails: NOTSERVABLE (external data, Loop), CORRUPT, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_onnx_scan(struct gy_str bytes, struct gy_arena *a,
                                  struct gy_onnx_graph *ret, struct gy_err *err);

/* The operation whose result the value is, past those that only hand it on (Identity, Cast,
 * Reshape, Squeeze, Flatten); the absent string when it is none's. */
struct gy_str gy_onnx_made_by(const struct gy_onnx_graph *g, struct gy_str value);

#endif
