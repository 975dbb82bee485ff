/* SPDX-License-Identifier: Apache-2.0 */
/* gy_datatype: the element types of tensors as Open Inference Protocol v2 names them, and their
 * binary form: little-endian, one byte for BOOL. Inside of Gyre values are doubles, so whole
 * numbers beyond 2^53 are rounded.
 *
 * gy_tensor_group: some of the columns of a row that a model takes or gives as one tensor. */
#ifndef GY_LEARN_DATATYPE_H
#define GY_LEARN_DATATYPE_H

#include "base/err.h"
#include "base/str.h"

enum gy_datatype {
    GY_DATATYPE_BOOL,
    GY_DATATYPE_UINT8,
    GY_DATATYPE_UINT16,
    GY_DATATYPE_UINT32,
    GY_DATATYPE_UINT64,
    GY_DATATYPE_INT8,
    GY_DATATYPE_INT16,
    GY_DATATYPE_INT32,
    GY_DATATYPE_INT64,
    GY_DATATYPE_FP16,
    GY_DATATYPE_BF16,
    GY_DATATYPE_FP32,
    GY_DATATYPE_FP64,
    GY_DATATYPE_BYTES, /* texts, or whatever bytes: a length as uint32, then so many bytes */
    GY_DATATYPES
};

#define GY_TENSOR_MAX_DIMS 8

struct gy_tensor_group {
    struct gy_str name;
    size_t first, width;                   /* columns of a row */
    size_t n_dims;                         /* behind the rows; 0: one value a row */
    uint32_t dims[GY_TENSOR_MAX_DIMS - 1]; /* their product is width */
    enum gy_datatype type;
};

const char *gy_datatype_name(enum gy_datatype t); /* "FP32" */
/* By its name; false: there is no such type. */
bool gy_datatype_parse(struct gy_str name, enum gy_datatype *ret);
/* Bytes of an element; 0 of BYTES. */
size_t gy_datatype_size(enum gy_datatype t);
/* Whole numbers: the values it holds (min and max). false: BOOL, floating point, BYTES. */
bool gy_datatype_range(enum gy_datatype t, double *ret_min, double *ret_max);
/* Is there a JSON form? Not of FP16 and BF16. */
bool gy_datatype_has_json(enum gy_datatype t);

/* An element in its binary form (not BYTES). A value that a whole number can not hold becomes the
 * nearest one that it can, NaN becomes 0; floating point rounds to nearest, ties to even. */
double gy_datatype_get(enum gy_datatype t, const void *from);
/* n elements, one after another; to[i] is what gy_datatype_get gives. */
void gy_datatype_get_many(enum gy_datatype t, const void *from, size_t n, double *to);
void gy_datatype_put(enum gy_datatype t, double v, void *to);

#endif
