/* SPDX-License-Identifier: Apache-2.0 */
/* The general reader of Open Inference Protocol v2: its JSON, and the tensors in binary form behind
 * it. */
#include "base/json_python.h"
#include "serve/tensors.h"

struct reader {
    struct gy_tensors t;
    size_t json_bytes;
    struct gy_str binary; /* what no tensor has taken yet */
    bool has_binary;      /* the request has a length of its JSON */
    bool all_binary;      /* the outputs that do not say otherwise are asked for in binary form */
};

/* A tensor with its data as JSON. */
struct input {
    struct gy_tensor tensor;
    struct gy_place place;
    bool integer;
    double min, max;
};

/* The values of `keys` in object; a key that is there twice is refused, others are ignored. */
static gy_status get_keys(yyjson_val *object, const char *const *keys, yyjson_val **ret,
                          const char *where, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *key, *val;
    yyjson_obj_foreach(object, i, n, key, val)
    {
        for (size_t k = 0; keys[k]; k++) {
            if (gy_str_eqc(gy_json_val_str(key), keys[k])) {
                if (ret[k]) {
                    return gy_err_set(err, GY_E_INVALID, "%s: '%s' is there twice", where, keys[k]);
                }
                ret[k] = val;
            }
        }
    }
    return GY_OK;
}

/* Texts, numbers and booleans; what MLServer's clients send as headers may be an object. NULL: none
 * are there. */
static gy_status check_parameters(yyjson_val *v, const char *where, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *key, *one;
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    if (!yyjson_is_obj(v)) {
        return gy_err_set(err, GY_E_INVALID, "the 'parameters' of %s must be an object", where);
    }
    yyjson_obj_foreach(v, i, n, key, one)
    {
        struct gy_str name = gy_json_val_str(key);
        bool headers = gy_str_eqc(name, "headers") && yyjson_is_obj(one);
        if (!yyjson_is_str(one) && !yyjson_is_num(one) && !yyjson_is_bool(one) && !headers) {
            return gy_err_set(err, GY_E_INVALID,
                              "parameter '%.*s' of %s must be a string, a number or a boolean",
                              (int)(name.n > 64 ? 64 : name.n), name.p, where);
        }
    }
    return GY_OK;
}

/* A parameter that must be a boolean; `otherwise` when it is not there. */
static gy_status get_flag(yyjson_val *parameters, const char *name, bool otherwise, bool *ret,
                          struct gy_err *err)
{
    yyjson_val *v = gy_json_get(parameters, name);
    *ret = v ? yyjson_get_bool(v) : otherwise;
    return !v || yyjson_is_bool(v)
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "parameter '%s' must be true or false", name);
}

static gy_status read_shape(struct gy_tensor *t, yyjson_val *v, struct gy_err *err)
{
    t->n_dims = yyjson_arr_size(v);
    if (!yyjson_is_arr(v) || t->n_dims < 1 || t->n_dims > GY_TENSOR_MAX_DIMS) {
        return gy_err_set(err, GY_E_INVALID,
                          "input '%.*s': 'shape' must be [rows] or [rows, columns]",
                          GY_TENSOR_NAME(t));
    }
    for (size_t i = 0; i < t->n_dims; i++) {
        yyjson_val *d = yyjson_arr_get(v, i);
        if (!yyjson_is_uint(d) || yyjson_get_uint(d) == 0) {
            return gy_err_set(err, GY_E_INVALID,
                              "input '%.*s': 'shape' must be whole numbers over 0",
                              GY_TENSOR_NAME(t));
        }
        if (yyjson_get_uint(d) > GY_INFER_MAX_WIDTH) {
            return gy_err_set(err, GY_E_TOOBIG, "input '%.*s': 'shape' says %llu rows or columns",
                              GY_TENSOR_NAME(t), (unsigned long long)yyjson_get_uint(d));
        }
        t->dims[i] = yyjson_get_uint(d);
    }
    if (gy_tensor_width(t) > GY_INFER_MAX_WIDTH) {
        return gy_err_set(err, GY_E_TOOBIG, "input '%.*s': 'shape' says more than %d values a row",
                          GY_TENSOR_NAME(t), GY_INFER_MAX_WIDTH);
    }
    return GY_OK;
}

static gy_status read_datatype(struct gy_tensor *t, yyjson_val *v, struct gy_err *err)
{
    struct gy_str name = gy_json_val_str(v);
    if (!yyjson_is_str(v)) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': 'datatype' must be a string",
                          GY_TENSOR_NAME(t));
    }
    return gy_datatype_parse(name, &t->type)
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "input '%.*s': datatype '%.*s' is not accepted here",
                            GY_TENSOR_NAME(t), (int)(name.n > 32 ? 32 : name.n), name.p);
}

/* ---- data as JSON ---- */

static gy_status read_number(const struct input *in, yyjson_val *v, size_t row, bool required,
                             double *ret, struct gy_err *err)
{
    const struct gy_tensor *t = &in->tensor;
    bool boolean = t->type == GY_DATATYPE_BOOL;
    if (gy_infer_missing(v)) {
        *ret = NAN;
        return required ? gy_err_set(err, GY_E_INVALID, "input '%.*s': a value is required, not %s",
                                     GY_TENSOR_NAME(t), yyjson_is_null(v) ? "null" : "NaN")
                        : GY_OK;
    }
    if (gy_infer_infinite(v)) {
        return gy_tensors_infinite(t, row, err);
    }
    if (boolean && yyjson_is_bool(v)) {
        *ret = yyjson_get_bool(v) ? 1 : 0;
        return GY_OK;
    }
    if (boolean || !yyjson_is_num(v)) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': %s, not a %s", GY_TENSOR_NAME(t),
                          boolean ? "values must be true or false" : "values must be numbers",
                          yyjson_get_type_desc(v));
    }
    *ret = yyjson_get_num(v);
    if (in->integer && (*ret != rint(*ret) || *ret < in->min || *ret > in->max)) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': %.17g is not a value of %s",
                          GY_TENSOR_NAME(t), *ret, gy_datatype_name(t->type));
    }
    return GY_OK;
}

static gy_status wrong_count(const struct gy_tensor *t, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "input '%.*s': 'data' does not have %zu x %zu values",
                      GY_TENSOR_NAME(t), (size_t)t->dims[0], gy_tensor_width(t));
}

static gy_status read_value(const struct reader *r, const struct input *in, yyjson_val *v,
                            size_t at, struct gy_err *err)
{
    const struct gy_infer_shape *shape = r->t.shape;
    size_t field = in->place.field + at % in->place.width, row = at / in->place.width;
    const struct gy_infer_field *f = &shape->fields[field];
    double *cell = &r->t.q->values[row * shape->n_fields + field];
    return f->input ? gy_infer_value(shape, r->t.q, field, row, f->name, v, cell, err)
                    : read_number(in, v, row, f->required, cell, err);
}

/* What is nested at that dimension; at: values so far. Never deeper than there are dimensions. */
static gy_status read_nested(const struct reader *r, const struct input *in, yyjson_val *list,
                             size_t dim, size_t *at, struct gy_err *err)
{
    bool last = dim + 1 == in->tensor.n_dims;
    size_t i, n;
    yyjson_val *v;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) != in->tensor.dims[dim]) {
        return wrong_count(&in->tensor, err);
    }
    yyjson_arr_foreach(list, i, n, v)
    {
        GY_TRY(last ? read_value(r, in, v, (*at)++, err) : read_nested(r, in, v, dim + 1, at, err));
    }
    return GY_OK;
}

static gy_status read_data(const struct reader *r, const struct input *in, yyjson_val *data,
                           struct gy_err *err)
{
    size_t at = 0, i, n;
    yyjson_val *v;
    if (!yyjson_is_arr(data)) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': 'data' must be an array",
                          GY_TENSOR_NAME(&in->tensor));
    }
    if (yyjson_is_arr(yyjson_arr_get_first(data))) {
        return in->tensor.n_dims == 1 ? wrong_count(&in->tensor, err)
                                      : read_nested(r, in, data, 0, &at, err);
    }
    if (yyjson_arr_size(data) != in->place.n_rows * in->place.width) {
        return wrong_count(&in->tensor, err);
    }
    yyjson_arr_foreach(data, i, n, v)
    {
        GY_TRY(read_value(r, in, v, i, err));
    }
    return GY_OK;
}

static gy_status add_json(struct reader *r, struct input *in, yyjson_val *data, struct gy_err *err)
{
    const struct gy_tensor *t = &in->tensor;
    if (!gy_datatype_has_json(t->type)) {
        return gy_err_set(err, GY_E_INVALID,
                          "input '%.*s': datatype '%s' is not accepted here: it has no JSON form; "
                          "send it as a binary tensor",
                          GY_TENSOR_NAME(t), gy_datatype_name(t->type));
    }
    if (t->type == GY_DATATYPE_BYTES && !r->t.shape->mixed) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': datatype 'BYTES' is not accepted here",
                          GY_TENSOR_NAME(t));
    }
    in->integer = gy_datatype_range(t->type, &in->min, &in->max);
    /* A value takes two bytes of text: what can not be there is not worth memory. */
    GY_TRY(gy_tensors_place(&r->t, t, r->json_bytes / 2, &in->place, err));
    return read_data(r, in, data, err);
}

/* ---- tensors ---- */

static gy_status add_binary(struct reader *r, const struct gy_tensor *t, yyjson_val *size,
                            struct gy_err *err)
{
    uint64_t n = yyjson_get_uint(size);
    if (!yyjson_is_uint(size)) {
        return gy_err_set(err, GY_E_INVALID,
                          "input '%.*s': 'binary_data_size' must be a number of bytes",
                          GY_TENSOR_NAME(t));
    }
    if (!r->has_binary) {
        return gy_err_set(err, GY_E_INVALID,
                          "input '%.*s' is binary, but the request has no header "
                          "Inference-Header-Content-Length",
                          GY_TENSOR_NAME(t));
    }
    if (n > r->binary.n) {
        return gy_err_set(
            err, GY_E_INVALID,
            "input '%.*s': 'binary_data_size' is %llu, but the body has %zu bytes left",
            GY_TENSOR_NAME(t), (unsigned long long)n, r->binary.n);
    }
    struct gy_str bytes = gy_str_n(r->binary.p, (size_t)n);
    r->binary = gy_str_n(r->binary.p + n, r->binary.n - (size_t)n);
    return gy_tensors_add(&r->t, t, bytes, err);
}

static gy_status read_tensor(struct reader *r, yyjson_val *object, struct gy_err *err)
{
    static const char *const keys[] = {"name", "shape", "datatype", "data", "parameters", NULL};
    yyjson_val *got[5] = {NULL};
    struct input in = {.integer = false};
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "each of 'inputs' must be an object");
    }
    GY_TRY(get_keys(object, keys, got, "inputs", err));
    GY_TRY(check_parameters(got[4], "an input", err));
    yyjson_val *size = gy_json_get(got[4], "binary_data_size");
    for (size_t i = 0; i < (size ? 3 : 4); i++) {
        if (!got[i]) {
            return gy_err_set(err, GY_E_INVALID, "an input has no '%s'", keys[i]);
        }
    }
    in.tensor.name = gy_json_val_str(got[0]);
    if (!in.tensor.name.p) {
        return gy_err_set(err, GY_E_INVALID, "the 'name' of an input must be a string");
    }
    if (size && got[3]) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s' has 'data' and 'binary_data_size'",
                          GY_TENSOR_NAME(&in.tensor));
    }
    GY_TRY(read_shape(&in.tensor, got[1], err));
    GY_TRY(read_datatype(&in.tensor, got[2], err));
    return size ? add_binary(r, &in.tensor, size, err) : add_json(r, &in, got[3], err);
}

/* ---- outputs ---- */

static gy_status read_output(struct reader *r, yyjson_val *object, uint32_t *named,
                             struct gy_err *err)
{
    static const char *const keys[] = {"name", "parameters", NULL};
    yyjson_val *got[2] = {NULL};
    size_t k = 0;
    bool binary = false;
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "each of 'outputs' must be an object");
    }
    GY_TRY(get_keys(object, keys, got, "outputs", err));
    GY_TRY(check_parameters(got[1], "an output", err));
    GY_TRY(gy_tensors_output(r->t.shape, gy_json_val_str(got[0]), &k, err));
    if (gy_json_get(got[1], "classification")) {
        return gy_err_set(err, GY_E_INVALID,
                          "the classification extension is not offered: ask for the output "
                          "'probability'");
    }
    GY_TRY(get_flag(got[1], "binary_data", r->all_binary, &binary, err));
    uint32_t bit = (uint32_t)1 << k;
    *named |= bit;
    r->t.q->asked = binary ? r->t.q->asked | bit : r->t.q->asked & ~bit;
    return GY_OK;
}

static gy_status read_outputs(struct reader *r, yyjson_val *list, struct gy_err *err)
{
    uint32_t named = 0;
    size_t i, n = 0;
    yyjson_val *one;
    if (list && !yyjson_is_null(list) && !yyjson_is_arr(list)) {
        return gy_err_set(err, GY_E_INVALID, "'outputs' must be an array");
    }
    r->t.q->asked = r->all_binary ? UINT32_MAX : 0;
    yyjson_arr_foreach(list, i, n, one)
    {
        GY_TRY(read_output(r, one, &named, err));
    }
    r->t.q->outputs = n ? named : UINT32_MAX;
    return GY_OK;
}

/* ---- the request ---- */

static gy_status read_request(struct reader *r, yyjson_val *root, struct gy_err *err)
{
    static const char *const keys[] = {"id", "inputs", "outputs", "parameters", NULL};
    yyjson_val *got[4] = {NULL};
    GY_TRY(get_keys(root, keys, got, "the request", err));
    if (!yyjson_is_arr(got[1])) {
        return gy_err_set(err, GY_E_INVALID, "%s",
                          got[1] ? "'inputs' must be an array" : "missing 'inputs'");
    }
    if (got[0] && !yyjson_is_null(got[0])) {
        GY_TRY(gy_tensors_id(r->t.q, gy_json_val_str(got[0]), err));
    }
    GY_TRY(check_parameters(got[3], "the request", err));
    GY_TRY(get_flag(got[3], "binary_data_output", false, &r->all_binary, err));
    GY_TRY(read_outputs(r, got[2], err));
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(got[1], i, n, one)
    {
        GY_TRY(read_tensor(r, one, err));
    }
    if (n == 0) {
        return gy_err_set(err, GY_E_INVALID, "'inputs' is empty");
    }
    if (r->binary.n) {
        return gy_err_set(err, GY_E_INVALID, "%zu bytes at the end of the body belong to no tensor",
                          r->binary.n);
    }
    return gy_tensors_end(&r->t, err);
}

gy_status gy_infer_read_v2(const struct gy_infer_shape *shape, yyjson_val *root, size_t json_bytes,
                           const struct gy_str *binary, struct gy_infer_request *q,
                           struct gy_err *err)
{
    struct reader r = {.json_bytes = json_bytes};
    r.binary = binary ? *binary : GY_STR("");
    r.has_binary = binary != NULL;
    gy_tensors_begin(&r.t, shape, json_bytes + r.binary.n, q);
    return read_request(&r, root, err);
}

gy_status gy_infer_read_binary(const struct gy_infer_shape *shape, struct gy_str body,
                               size_t header_bytes, struct gy_infer_request *q, struct gy_err *err)
{
    gy_infer_request_reset(q);
    q->outputs = UINT32_MAX;
    if (header_bytes > body.n) {
        return gy_err_set(err, GY_E_INVALID,
                          "Inference-Header-Content-Length is %zu, but the body has %zu bytes",
                          header_bytes, body.n);
    }
    if (header_bytes == 0) {
        GY_TRY(gy_tensors_raw(shape, body, q, err));
        q->asked = UINT32_MAX; /* who sends no JSON reads none */
        return GY_OK;
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse_python(gy_str_n(body.p, header_bytes), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gy_str binary = gy_str_n(body.p + header_bytes, body.n - header_bytes);
    if (!yyjson_is_obj(root)) {
        return gy_err_set(err, GY_E_INVALID, "the body must be a JSON object");
    }
    return gy_infer_read_v2(shape, root, header_bytes, &binary, q, err);
}
