/* SPDX-License-Identifier: Apache-2.0 */
/* gy_tensors: the tensors of a request of Open Inference Protocol v2, wherever they come from
 * (JSON, its binary extension, gRPC), put into the rows of a gy_infer_request.
 *
 * A tensor is a column (named as an input; shape [n] or [n, 1]), a group of columns (named as one
 * of shape->groups; [n, width] or the group's own dimensions), or all inputs of the model in its
 * order (any name; [n, inputs]). All tensors of a request have the same n; none of an input's
 * columns may be given twice, and each must be given.
 *
 *   gy_tensors_begin -> gy_tensors_add each -> gy_tensors_end. One thread; the reader is the
 * caller's. */
#ifndef GY_SERVE_TENSORS_H
#define GY_SERVE_TENSORS_H

#include "learn/datatype.h"
#include "serve/parse_internal.h"

struct gy_tensors {
    const struct gy_infer_shape *shape;
    struct gy_infer_request *q;
    size_t bytes;        /* of the request: bounds what it may ask for */
    struct gy_seen seen; /* fields */
    size_t hint;         /* the field that most likely comes next */
    bool matrix;         /* all inputs came as one tensor */
    bool column;         /* an input came otherwise */
};

struct gy_tensor {
    struct gy_str name;
    uint64_t dims[GY_TENSOR_MAX_DIMS]; /* dims[0]: rows */
    size_t n_dims;                     /* 1.. */
    enum gy_datatype type;
};

/* Resets q; all outputs are asked for. bytes: of the whole request. */
void gy_tensors_begin(struct gy_tensors *t, const struct gy_infer_shape *shape, size_t bytes,
                      struct gy_infer_request *q);
/* A tensor in its binary form: elements in row-major order. NaN is a missing value. Fails: INVALID
 * (no such input, a shape or datatype that does not fit, bytes that do not), TOOBIG, PARSE (an
 * image), NOMEM. */
GY_CHECKED gy_status gy_tensors_add(struct gy_tensors *t, const struct gy_tensor *tensor,
                                    struct gy_str bytes, struct gy_err *err);
/* INVALID: an input is missing. */
GY_CHECKED gy_status gy_tensors_end(const struct gy_tensors *t, struct gy_err *err);

/* The caller's id. Fails: INVALID (too long, a NUL). */
GY_CHECKED gy_status gy_tensors_id(struct gy_infer_request *q, struct gy_str id,
                                   struct gy_err *err);
/* The number of the output of that name. Fails: INVALID. */
GY_CHECKED gy_status gy_tensors_output(const struct gy_infer_shape *shape, struct gy_str name,
                                       size_t *ret, struct gy_err *err);
/* The whole body is one tensor's bytes, without a name or a shape: for models with one input and
 * one open dimension. Fails: INVALID, as gy_tensors_add. */
GY_CHECKED gy_status gy_tensors_raw(const struct gy_infer_shape *shape, struct gy_str bytes,
                                    struct gy_infer_request *q, struct gy_err *err);

/* ---- for readers of other forms ---- */

/* Where the values of a tensor go. */
struct gy_place {
    size_t field; /* the first column */
    size_t width; /* columns, at neighbouring fields */
    size_t n_rows;
};
/* Finds the place of a tensor and makes room; most: rows that the sender can have sent, as far as
 * the size of the request tells. Fails: INVALID, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_tensors_place(struct gy_tensors *t, const struct gy_tensor *tensor,
                                      size_t most, struct gy_place *ret, struct gy_err *err);
/* The group of that name; NULL: there is none. */
const struct gy_tensor_group *gy_tensors_group(const struct gy_infer_shape *shape,
                                               struct gy_str name);
/* Values a row: the product of what stands behind the rows. */
size_t gy_tensor_width(const struct gy_tensor *t);
/* INVALID: the row has an infinite value. */
GY_CHECKED gy_status gy_tensors_infinite(const struct gy_tensor *t, size_t row, struct gy_err *err);
/* What a field takes that is a tensor of its own. */
enum gy_datatype gy_infer_field_type(const struct gy_infer_field *f);

#define GY_TENSOR_NAME(t) (int)((t)->name.n > 64 ? 64 : (t)->name.n), (t)->name.p

#endif
