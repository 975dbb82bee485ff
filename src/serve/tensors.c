/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/tensors.h"

#include <endian.h>
#include <math.h>
#include <stdio.h>

#include "learn/predictor.h"

void gy_tensors_begin(struct gy_tensors *t, const struct gy_infer_shape *shape, size_t bytes,
                      struct gy_infer_request *q)
{
    gy_infer_request_reset(q);
    q->outputs = UINT32_MAX;
    t->shape = shape;
    t->q = q;
    t->bytes = bytes;
    memset(&t->seen, 0, sizeof t->seen);
    t->hint = 0;
    t->matrix = false;
    t->column = false;
}

gy_status gy_tensors_id(struct gy_infer_request *q, struct gy_str id, struct gy_err *err)
{
    if (!id.p || id.n > GY_INFER_MAX_ID || memchr(id.p, '\0', id.n)) {
        return gy_err_set(err, GY_E_INVALID, "'id' must be a string of at most %d bytes",
                          GY_INFER_MAX_ID);
    }
    memcpy(q->id, id.p, id.n);
    q->id[id.n] = '\0';
    q->id_bytes = id.n;
    return GY_OK;
}

gy_status gy_tensors_output(const struct gy_infer_shape *shape, struct gy_str name, size_t *ret,
                            struct gy_err *err)
{
    for (size_t k = 0; name.n && k < shape->n_outputs; k++) {
        if (gy_str_eq(shape->outputs[k], name)) {
            *ret = k;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID, "the model has no output '%.*s'",
                      (int)(name.n > 64 ? 64 : name.n), name.p ? name.p : "");
}

/* ---- where a tensor's values go ---- */

size_t gy_tensor_width(const struct gy_tensor *t)
{
    size_t width = 1;
    for (size_t i = 1; i < t->n_dims; i++) {
        if (t->dims[i] > GY_INFER_MAX_WIDTH / width) {
            return SIZE_MAX; /* nothing is as wide */
        }
        width *= (size_t)t->dims[i];
    }
    return width;
}

const struct gy_tensor_group *gy_tensors_group(const struct gy_infer_shape *shape,
                                               struct gy_str name)
{
    for (size_t i = 0; i < shape->n_groups; i++) {
        if (gy_str_eq(shape->groups[i].name, name)) {
            return &shape->groups[i];
        }
    }
    return NULL;
}

/* [n, 3, 4] or [n, 12] */
static bool fits_group(const struct gy_tensor *t, const struct gy_tensor_group *g)
{
    bool same = t->n_dims == g->n_dims + 1;
    for (size_t i = 0; same && i < g->n_dims; i++) {
        same = t->dims[i + 1] == g->dims[i];
    }
    return same || (t->n_dims <= 2 && gy_tensor_width(t) == g->width);
}

static gy_status wrong_group(const struct gy_tensor *t, const struct gy_tensor_group *g,
                             struct gy_err *err)
{
    char dims[160] = "";
    size_t n = 0;
    for (size_t i = 0; i < g->n_dims; i++) {
        n += (size_t)snprintf(dims + n, sizeof dims - n, ", %u", g->dims[i]);
    }
    return gy_err_set(err, GY_E_INVALID, "input '%.*s': its shape is [rows%s]", GY_TENSOR_NAME(t),
                      dims);
}

static gy_status no_such_input(const struct gy_infer_shape *shape, const struct gy_tensor *t,
                               struct gy_err *err)
{
    size_t width = gy_tensor_width(t);
    if (t->n_dims == 2 && width != shape->n_inputs && width > 1) {
        return gy_err_set(
            err, GY_E_INVALID, "input '%.*s': shape [%zu, %zu], but the model takes %zu columns",
            GY_TENSOR_NAME(t), (size_t)t->dims[0], (size_t)t->dims[1], shape->n_inputs);
    }
    return gy_err_set(err, GY_E_INVALID,
                      "'%.*s' is not an input of this model; send one tensor [rows, %zu] or one a "
                      "named input",
                      GY_TENSOR_NAME(t), shape->n_inputs);
}

/* Mark the columns as given. */
static gy_status mark(struct gy_tensors *t, const struct gy_tensor *tensor,
                      const struct gy_place *place, bool matrix, struct gy_err *err)
{
    bool is_input = place->field < t->shape->n_inputs;
    if (is_input && (t->matrix || (matrix && t->column))) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': these columns were given already",
                          GY_TENSOR_NAME(tensor));
    }
    if (matrix) {
        t->matrix = true;
        return GY_OK;
    }
    for (size_t i = 0; i < place->width; i++) {
        if (gy_seen_test_set(&t->seen, place->field + i)) {
            return gy_err_set(err, GY_E_INVALID, "input '%.*s' is there twice",
                              GY_TENSOR_NAME(tensor));
        }
    }
    t->column = t->column || is_input;
    t->hint = place->field + place->width;
    return GY_OK;
}

static gy_status make_rows(struct gy_tensors *t, const struct gy_tensor *tensor, size_t most,
                           struct gy_err *err)
{
    size_t n = (size_t)tensor->dims[0];
    if (t->q->n_rows == 0) {
        if (n > most) {
            return gy_err_set(err, GY_E_INVALID,
                              "input '%.*s': 'data' does not have %zu x %zu values",
                              GY_TENSOR_NAME(tensor), n, gy_tensor_width(tensor));
        }
        /* Each input must come for each row, and takes a byte at least: the rows of one column are
         * not worth memory for all columns when the others can not be there. */
        if (n > t->bytes / (t->shape->n_inputs ? t->shape->n_inputs : 1)) {
            return gy_err_set(err, GY_E_INVALID,
                              "input '%.*s' has %zu rows: with them the %zu inputs of the model do "
                              "not fit in the %zu bytes of the request; some are missing",
                              GY_TENSOR_NAME(tensor), n, t->shape->n_inputs, t->bytes);
        }
        return gy_infer_rows(t->q, t->shape, n, err);
    }
    return t->q->n_rows == n
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "input '%.*s' has %zu rows, the one before %zu",
                            GY_TENSOR_NAME(tensor), n, t->q->n_rows);
}

gy_status gy_tensors_place(struct gy_tensors *t, const struct gy_tensor *tensor, size_t most,
                           struct gy_place *ret, struct gy_err *err)
{
    const struct gy_infer_shape *shape = t->shape;
    size_t width = gy_tensor_width(tensor);
    const struct gy_tensor_group *group = gy_tensors_group(shape, tensor->name);
    size_t field = group ? group->first : gy_infer_field_find(shape, tensor->name, t->hint, false);
    bool column = field != SIZE_MAX && (group || (width == 1 && tensor->n_dims <= 2));
    if (group && !fits_group(tensor, group)) {
        return wrong_group(tensor, group, err);
    }
    if (!column && (tensor->n_dims != 2 || width != shape->n_inputs)) {
        return no_such_input(shape, tensor, err);
    }
    *ret = (struct gy_place){
        .field = column ? field : 0, .width = width, .n_rows = (size_t)tensor->dims[0]};
    GY_TRY(make_rows(t, tensor, most, err));
    return mark(t, tensor, ret, !column, err);
}

gy_status gy_tensors_end(const struct gy_tensors *t, struct gy_err *err)
{
    for (size_t i = 0; !t->matrix && i < t->shape->n_inputs; i++) {
        if (!gy_seen_has(&t->seen, i)) {
            struct gy_str name = t->shape->fields[i].name;
            for (size_t k = 0; k < t->shape->n_groups; k++) {
                const struct gy_tensor_group *g = &t->shape->groups[k];
                name = i >= g->first && i < g->first + g->width ? g->name : name;
            }
            return gy_err_set(err, GY_E_INVALID, "input '%" GY_STR_F "' is missing",
                              GY_STR_A(name));
        }
    }
    return GY_OK;
}

gy_status gy_tensors_infinite(const struct gy_tensor *t, size_t row, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID,
                      "input '%.*s': row %zu is infinite; send a finite number, or NaN for a "
                      "missing one",
                      GY_TENSOR_NAME(t), row);
}

/* ---- the binary form ---- */

/* A tensor being read. */
struct input {
    struct gy_tensors *t;
    const struct gy_tensor *tensor;
    struct gy_place place;
};

static gy_status put_number(const struct input *in, size_t column, size_t row, double v,
                            struct gy_err *err)
{
    const struct gy_infer_shape *shape = in->t->shape;
    const struct gy_infer_field *f = &shape->fields[column];
    double *cell = &in->t->q->values[row * shape->n_fields + column];
    char text[32];
    if (isinf(v)) {
        return gy_tensors_infinite(in->tensor, row, err);
    }
    if (isnan(v) && f->required) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': a value is required, not NaN",
                          GY_TENSOR_NAME(in->tensor));
    }
    if (!f->input || isnan(v)) {
        *cell = v;
        return GY_OK;
    }
    if (f->input->kind == GY_INPUT_IMAGE) {
        return gy_infer_wrong_type(f, f->name, gy_datatype_name(in->tensor->type), err);
    }
    struct gy_str as_text = in->tensor->type == GY_DATATYPE_BOOL
                                ? (v != 0 ? GY_STR("true") : GY_STR("false"))
                                : gy_str_n(text, gy_fmt_f64_trim(v, text));
    return gy_infer_text(shape, in->t->q, column, row, f->name, as_text,
                         gy_datatype_name(in->tensor->type), cell, err);
}

static gy_status read_numbers(const struct input *in, struct gy_str bytes, struct gy_err *err)
{
    enum gy_datatype type = in->tensor->type;
    size_t size = gy_datatype_size(type), width = in->place.width, stride = in->t->shape->n_fields;
    size_t n = in->place.n_rows * width;
    const char *p = bytes.p;
    bool plain = true;
    if (bytes.n != n * size) {
        return gy_err_set(err, GY_E_INVALID,
                          "input '%.*s': %zu bytes, but [%zu, %zu] values of %s are %zu",
                          GY_TENSOR_NAME(in->tensor), bytes.n, in->place.n_rows, width,
                          gy_datatype_name(type), n * size);
    }
    for (size_t k = 0; k < width; k++) {
        const struct gy_infer_field *f = &in->t->shape->fields[in->place.field + k];
        plain = plain && !f->input && !f->required;
    }
    double *to = in->t->q->values + in->place.field;
    for (size_t row = 0; row < in->place.n_rows; row++, p += width * size, to += stride) {
        gy_datatype_get_many(type, p, width, to);
        for (size_t k = 0; k < width; k++) {
            if (!plain || isinf(to[k])) {
                GY_TRY(put_number(in, in->place.field + k, row, to[k], err));
            }
        }
    }
    return GY_OK;
}

static gy_status put_text(const struct input *in, size_t column, size_t row, struct gy_str text,
                          struct gy_err *err)
{
    const struct gy_infer_shape *shape = in->t->shape;
    const struct gy_infer_field *f = &shape->fields[column];
    if (!f->input) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': datatype 'BYTES' is not accepted here",
                          GY_TENSOR_NAME(in->tensor));
    }
    if (f->input->kind != GY_INPUT_IMAGE && !gy_str_is_utf8(text)) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': row %zu is no UTF-8",
                          GY_TENSOR_NAME(in->tensor), row);
    }
    return gy_infer_text(shape, in->t->q, column, row, f->name, text, "string",
                         &in->t->q->values[row * shape->n_fields + column], err);
}

static bool next_text(struct gy_str *rest, struct gy_str *ret)
{
    uint32_t n;
    if (rest->n < sizeof n) {
        return false;
    }
    memcpy(&n, rest->p, sizeof n);
    n = le32toh(n);
    if (n > rest->n - sizeof n) {
        return false;
    }
    *ret = gy_str_n(rest->p + sizeof n, n);
    *rest = gy_str_n(rest->p + sizeof n + n, rest->n - sizeof n - n);
    return true;
}

static gy_status read_texts(const struct input *in, struct gy_str bytes, struct gy_err *err)
{
    size_t width = in->place.width;
    struct gy_str text;
    for (size_t row = 0; row < in->place.n_rows; row++) {
        for (size_t k = 0; k < width; k++) {
            if (!next_text(&bytes, &text)) {
                return gy_err_set(err, GY_E_INVALID,
                                  "input '%.*s': its bytes end inside of element %zu of %zu (each "
                                  "is a length of 4 bytes, then so many bytes)",
                                  GY_TENSOR_NAME(in->tensor), row * width + k,
                                  in->place.n_rows * width);
            }
            GY_TRY(put_text(in, in->place.field + k, row, text, err));
        }
    }
    return bytes.n == 0 ? GY_OK
                        : gy_err_set(err, GY_E_INVALID,
                                     "input '%.*s': %zu bytes are left behind its %zu elements",
                                     GY_TENSOR_NAME(in->tensor), bytes.n, in->place.n_rows * width);
}

gy_status gy_tensors_add(struct gy_tensors *t, const struct gy_tensor *tensor, struct gy_str bytes,
                         struct gy_err *err)
{
    struct input in = {.t = t, .tensor = tensor};
    size_t size = gy_datatype_size(tensor->type);
    size_t least = size ? size : sizeof(uint32_t); /* bytes of an element */
    GY_TRY(gy_tensors_place(t, tensor, bytes.n / least, &in.place, err));
    return size ? read_numbers(&in, bytes, err) : read_texts(&in, bytes, err);
}

/* ---- without a header ---- */

enum gy_datatype gy_infer_field_type(const struct gy_infer_field *f)
{
    bool number = !f->input || f->input->kind == GY_INPUT_NUMBER;
    bool whole = f->input && f->input->kind == GY_INPUT_TEXT && f->input->integer;
    return number ? GY_DATATYPE_FP64 : whole ? GY_DATATYPE_INT64 : GY_DATATYPE_BYTES;
}

static size_t count_texts(struct gy_str bytes)
{
    struct gy_str text;
    size_t n = 0;
    while (next_text(&bytes, &text)) {
        n++;
    }
    return n;
}

gy_status gy_tensors_raw(const struct gy_infer_shape *shape, struct gy_str bytes,
                         struct gy_infer_request *q, struct gy_err *err)
{
    struct gy_tensors t;
    const struct gy_tensor_group *g = shape->n_groups ? &shape->groups[0] : NULL;
    if (shape->n_groups > 1 || (!g && shape->n_inputs != 1) || shape->n_inputs != shape->n_fields) {
        return gy_err_set(
            err, GY_E_INVALID,
            "a body without a JSON header (Inference-Header-Content-Length: 0) is for "
            "models with one input; this one has %zu",
            g ? shape->n_groups : shape->n_fields);
    }
    struct gy_tensor one = {.name = g ? g->name : shape->fields[0].name,
                            .type = g ? g->type : gy_infer_field_type(&shape->fields[0]),
                            .n_dims = 2};
    size_t width = g ? g->width : 1, size = gy_datatype_size(one.type);
    size_t n = size ? bytes.n / size : count_texts(bytes);
    if (n == 0 || n % width != 0) {
        return gy_err_set(err, GY_E_INVALID,
                          "the body has %zu elements of %s; input '%.*s' takes %zu a row", n,
                          gy_datatype_name(one.type), GY_TENSOR_NAME(&one), width);
    }
    one.dims[0] = n / width;
    one.dims[1] = width;
    gy_tensors_begin(&t, shape, bytes.n, q);
    return gy_tensors_add(&t, &one, bytes, err);
}
