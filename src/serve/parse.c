/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/parse_internal.h"

#include <math.h>

#include "base/json.h"
#include "base/mem.h"

/* Each key is looked for among the fields: bounds their product. */
#define FLAT_MAX_KEYS 10000

void gy_infer_request_done(struct gy_infer_request *q)
{
    if (q) {
        gy_free(q->values);
        gy_free(q->pixels);
        q->values = q->pixels = NULL;
        q->capacity = q->pixel_capacity = 0;
    }
}

void gy_infer_request_reset(struct gy_infer_request *q)
{
    q->n_rows = 0;
    q->asked = 0;
    q->outputs = 0;
    q->unseen_bytes = 0;
    q->decoded = 0;
    q->id[0] = '\0';
    q->id_bytes = 0;
}

static gy_status reserve_pixels(struct gy_infer_request *q, size_t need, struct gy_err *err)
{
    if (need > GY_INFER_MAX_PIXELS) {
        return gy_err_set(err, GY_E_TOOBIG, "the images of a request may have %zu pixels together",
                          GY_INFER_MAX_PIXELS);
    }
    if (need > q->pixel_capacity) {
        double *more = gy_reallocarray(q->pixels, need, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "images of a request");
        }
        q->pixels = more;
        q->pixel_capacity = need;
    }
    for (size_t i = 0; i < need; i++) {
        q->pixels[i] = NAN;
    }
    return GY_OK;
}

gy_status gy_infer_rows(struct gy_infer_request *q, const struct gy_infer_shape *shape,
                        size_t n_rows, struct gy_err *err)
{
    if (n_rows > GY_INFER_MAX_ROWS) {
        return gy_err_set(err, GY_E_TOOBIG, "%zu rows; a request may have at most %d", n_rows,
                          GY_INFER_MAX_ROWS);
    }
    size_t need = n_rows * shape->n_fields;
    if (need > q->capacity) {
        double *more = gy_reallocarray(q->values, need, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "rows of a request");
        }
        q->values = more;
        q->capacity = need;
    }
    for (size_t i = 0; i < need; i++) {
        q->values[i] = NAN;
    }
    q->n_rows = n_rows;
    return shape->n_pixels ? reserve_pixels(q, n_rows * shape->n_pixels, err) : GY_OK;
}

size_t gy_infer_field_find(const struct gy_infer_shape *shape, struct gy_str name, size_t hint,
                           bool by_key)
{
    for (size_t k = 0; k < shape->n_fields; k++) {
        size_t i = hint + k < shape->n_fields ? hint + k : (hint + k) % shape->n_fields;
        const struct gy_infer_field *f = &shape->fields[i];
        if (gy_str_eq(by_key ? f->key : f->name, name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

bool gy_infer_datatype(struct gy_str name, bool *ret_integer, double *ret_min, double *ret_max)
{
    static const struct {
        const char *name;
        bool integer;
        double min, max;
    } types[] = {
        {"FP64", false, 0, 0},
        {"FP32", false, 0, 0},
        {"INT64", true, -0x1p63, 0x1p63},
        {"INT32", true, -0x1p31, 0x1p31 - 1},
        {"INT16", true, -32768, 32767},
        {"INT8", true, -128, 127},
        {"UINT64", true, 0, 0x1p64},
        {"UINT32", true, 0, 0x1p32 - 1},
        {"UINT16", true, 0, 65535},
        {"UINT8", true, 0, 255},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (gy_str_eqc(name, types[i].name)) {
            *ret_integer = types[i].integer;
            *ret_min = types[i].min;
            *ret_max = types[i].max;
            return true;
        }
    }
    return false;
}

struct reader {
    const struct gy_infer_shape *shape;
    struct gy_infer_request *q;
    struct gy_seen seen;
    bool matrix;
    bool column; /* a model input came as a tensor of its own */
    size_t hint;
    size_t body_bytes;
};

struct tensor {
    struct gy_str name;
    size_t n;     /* rows */
    size_t width; /* values a row */
    size_t n_dims;
    bool boolean, integer;
    double min, max;
    struct gy_str datatype;
    yyjson_val *data;
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

#define TENSOR(t) (int)((t)->name.n > 64 ? 64 : (t)->name.n), (t)->name.p

static gy_status read_shape(struct tensor *t, yyjson_val *v, struct gy_err *err)
{
    size_t n_dims = yyjson_arr_size(v);
    if (!yyjson_is_arr(v) || n_dims < 1 || n_dims > 2) {
        return gy_err_set(err, GY_E_INVALID,
                          "input '%.*s': 'shape' must be [rows] or [rows, columns]", TENSOR(t));
    }
    size_t dims[2] = {0, 1};
    for (size_t i = 0; i < n_dims; i++) {
        yyjson_val *d = yyjson_arr_get(v, i);
        if (!yyjson_is_uint(d) || yyjson_get_uint(d) == 0) {
            return gy_err_set(err, GY_E_INVALID,
                              "input '%.*s': 'shape' must be whole numbers over 0", TENSOR(t));
        }
        if (yyjson_get_uint(d) > 9999999) {
            return gy_err_set(err, GY_E_TOOBIG, "input '%.*s': 'shape' says %llu rows or columns",
                              TENSOR(t), (unsigned long long)yyjson_get_uint(d));
        }
        dims[i] = (size_t)yyjson_get_uint(d);
    }
    t->n = dims[0];
    t->width = dims[1];
    t->n_dims = n_dims;
    return GY_OK;
}

static gy_status read_datatype(const struct reader *r, struct tensor *t, yyjson_val *v,
                               struct gy_err *err)
{
    t->datatype = gy_json_val_str(v);
    if (r->shape->mixed && gy_str_eqc(t->datatype, "BYTES")) {
        return GY_OK; /* strings; each field knows what it takes */
    }
    if (gy_str_eqc(t->datatype, "BOOL")) {
        t->boolean = true;
        return GY_OK;
    }
    if (gy_infer_datatype(t->datatype, &t->integer, &t->min, &t->max)) {
        return GY_OK;
    }
    if (!yyjson_is_str(v)) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': 'datatype' must be a string",
                          TENSOR(t));
    }
    return gy_err_set(err, GY_E_INVALID, "input '%.*s': datatype '%.*s' is not accepted here",
                      TENSOR(t), (int)(t->datatype.n > 32 ? 32 : t->datatype.n), t->datatype.p);
}

static gy_status read_number(const struct tensor *t, yyjson_val *v, bool required, double *ret,
                             struct gy_err *err)
{
    if (yyjson_is_null(v)) {
        *ret = NAN;
        return required ? gy_err_set(err, GY_E_INVALID,
                                     "input '%.*s': a value is required, not null", TENSOR(t))
                        : GY_OK;
    }
    if (t->boolean && yyjson_is_bool(v)) {
        *ret = yyjson_get_bool(v) ? 1 : 0;
        return GY_OK;
    }
    if (t->boolean || !yyjson_is_num(v)) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': %s, not a %s", TENSOR(t),
                          t->boolean ? "values must be true or false" : "values must be numbers",
                          yyjson_get_type_desc(v));
    }
    *ret = yyjson_get_num(v);
    if (t->integer && (*ret != rint(*ret) || *ret < t->min || *ret > t->max)) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': %.17g is not a value of %.*s",
                          TENSOR(t), *ret, (int)t->datatype.n, t->datatype.p);
    }
    return GY_OK;
}

static gy_status wrong_count(const struct tensor *t, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "input '%.*s': 'data' does not have %zu x %zu values",
                      TENSOR(t), t->n, t->width);
}

/* to: the first value's place; required: of each column, or one for all when width is 1. */
static gy_status read_data(const struct reader *r, const struct tensor *t, size_t field, double *to,
                           struct gy_err *err)
{
    size_t stride = r->shape->n_fields;
    if (!yyjson_is_arr(t->data)) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': 'data' must be an array", TENSOR(t));
    }
    bool nested = yyjson_is_arr(yyjson_arr_get_first(t->data));
    if (nested && t->n_dims == 1) {
        return wrong_count(t, err);
    }
    if (yyjson_arr_size(t->data) != (nested ? t->n : t->n * t->width)) {
        return wrong_count(t, err);
    }
    size_t at = 0;
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(t->data, i, n, v)
    {
        size_t inner = nested ? t->width : 1;
        if (nested && (!yyjson_is_arr(v) || yyjson_arr_size(v) != inner)) {
            return wrong_count(t, err);
        }
        yyjson_val *one = nested ? yyjson_arr_get_first(v) : v;
        for (size_t k = 0; k < inner; k++, at++) {
            size_t column = at % t->width, row = at / t->width;
            const struct gy_infer_field *f = &r->shape->fields[field + column];
            double *cell = to + row * stride + column;
            GY_TRY(f->input ? gy_infer_value(r->shape, r->q, field + column, row, f->name, one,
                                             cell, err)
                            : read_number(t, one, f->required, cell, err));
            one = k + 1 < inner ? yyjson_arr_get(v, k + 1) : NULL;
        }
    }
    return GY_OK;
}

static gy_status no_such_input(const struct reader *r, const struct tensor *t, struct gy_err *err)
{
    if (t->n_dims == 2 && t->width != r->shape->n_inputs && t->width > 1) {
        return gy_err_set(err, GY_E_INVALID,
                          "input '%.*s': shape [%zu, %zu], but the model takes %zu columns",
                          TENSOR(t), t->n, t->width, r->shape->n_inputs);
    }
    return gy_err_set(err, GY_E_INVALID,
                      "'%.*s' is not an input of this model; send one tensor [rows, %zu] or one a "
                      "named input",
                      TENSOR(t), r->shape->n_inputs);
}

static gy_status place_tensor(struct reader *r, struct tensor *t, struct gy_err *err)
{
    const struct gy_infer_shape *shape = r->shape;
    size_t field = gy_infer_field_find(shape, t->name, r->hint, false);
    bool column = field != SIZE_MAX && t->width == 1;
    if (!column && (t->n_dims != 2 || t->width != shape->n_inputs)) {
        return no_such_input(r, t, err);
    }
    if (r->q->n_rows == 0) {
        if (t->n > r->body_bytes / 2) {
            return wrong_count(t, err);
        }
        GY_TRY(gy_infer_rows(r->q, shape, t->n, err));
    } else if (r->q->n_rows != t->n) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s' has %zu rows, the one before %zu",
                          TENSOR(t), t->n, r->q->n_rows);
    }
    bool is_input = !column || field < shape->n_inputs;
    if (is_input && (r->matrix || (!column && r->column))) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s': these columns were given already",
                          TENSOR(t));
    }
    if (!column) {
        r->matrix = true;
        return read_data(r, t, 0, r->q->values, err);
    }
    if (gy_seen_test_set(&r->seen, field)) {
        return gy_err_set(err, GY_E_INVALID, "input '%.*s' is there twice", TENSOR(t));
    }
    r->column = r->column || is_input;
    r->hint = field + 1;
    return read_data(r, t, field, r->q->values + field, err);
}

static gy_status read_tensor(struct reader *r, yyjson_val *object, struct gy_err *err)
{
    static const char *const keys[] = {"name", "shape", "datatype", "data", NULL};
    yyjson_val *got[4] = {NULL};
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "each of 'inputs' must be an object");
    }
    GY_TRY(get_keys(object, keys, got, "inputs", err));
    for (size_t i = 0; i < 4; i++) {
        if (!got[i]) {
            return gy_err_set(err, GY_E_INVALID, "an input has no '%s'", keys[i]);
        }
    }
    struct tensor t = {.name = gy_json_val_str(got[0]), .data = got[3]};
    if (!t.name.p) {
        return gy_err_set(err, GY_E_INVALID, "the 'name' of an input must be a string");
    }
    GY_TRY(read_shape(&t, got[1], err));
    GY_TRY(read_datatype(r, &t, got[2], err));
    return place_tensor(r, &t, err);
}

static gy_status read_outputs(struct reader *r, yyjson_val *list, struct gy_err *err)
{
    if (!yyjson_is_arr(list)) {
        return gy_err_set(err, GY_E_INVALID, "'outputs' must be an array");
    }
    uint32_t asked = 0;
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        struct gy_str name = gy_json_str(one, "name");
        size_t k = 0;
        while (k < r->shape->n_outputs && !(name.p && gy_str_eq(r->shape->outputs[k], name))) {
            k++;
        }
        if (k == r->shape->n_outputs) {
            return gy_err_set(err, GY_E_INVALID, "the model has no output '%.*s'",
                              (int)(name.n > 64 ? 64 : name.n), name.p ? name.p : "");
        }
        asked |= (uint32_t)1 << k;
    }
    r->q->outputs = n ? asked : UINT32_MAX;
    return GY_OK;
}

static gy_status read_id(struct reader *r, yyjson_val *v, struct gy_err *err)
{
    struct gy_str id = gy_json_val_str(v);
    if (!id.p || id.n > GY_INFER_MAX_ID || memchr(id.p, '\0', id.n)) {
        return gy_err_set(err, GY_E_INVALID, "'id' must be a string of at most %d bytes",
                          GY_INFER_MAX_ID);
    }
    memcpy(r->q->id, id.p, id.n);
    r->q->id[id.n] = '\0';
    r->q->id_bytes = id.n;
    return GY_OK;
}

static gy_status missing_inputs(const struct reader *r, const char *what, bool by_key,
                                struct gy_err *err)
{
    for (size_t i = 0; !r->matrix && i < r->shape->n_inputs; i++) {
        if (!gy_seen_has(&r->seen, i)) {
            struct gy_str name = by_key ? r->shape->fields[i].key : r->shape->fields[i].name;
            return gy_err_set(err, GY_E_INVALID, "%s '%" GY_STR_F "' is missing", what,
                              GY_STR_A(name));
        }
    }
    return GY_OK;
}

static gy_status read_v2(struct reader *r, yyjson_val *root, struct gy_err *err)
{
    static const char *const keys[] = {"id", "inputs", "outputs", NULL};
    yyjson_val *got[3] = {NULL};
    GY_TRY(get_keys(root, keys, got, "the request", err));
    if (!yyjson_is_arr(got[1])) {
        return gy_err_set(err, GY_E_INVALID, "%s",
                          got[1] ? "'inputs' must be an array" : "missing 'inputs'");
    }
    if (got[0] && !yyjson_is_null(got[0])) {
        GY_TRY(read_id(r, got[0], err));
    }
    if (got[2] && !yyjson_is_null(got[2])) {
        GY_TRY(read_outputs(r, got[2], err));
    }
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(got[1], i, n, one)
    {
        GY_TRY(read_tensor(r, one, err));
    }
    if (n == 0) {
        return gy_err_set(err, GY_E_INVALID, "'inputs' is empty");
    }
    return missing_inputs(r, "input", false, err);
}

static gy_status read_flat(struct reader *r, yyjson_val *root, struct gy_err *err)
{
    if (yyjson_obj_size(root) > FLAT_MAX_KEYS) {
        return gy_err_set(err, GY_E_INVALID, "more than %d fields", FLAT_MAX_KEYS);
    }
    GY_TRY(gy_infer_rows(r->q, r->shape, 1, err));
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(root, i, n, key, v)
    {
        size_t field = gy_infer_field_find(r->shape, gy_json_val_str(key), r->hint, true);
        if (field == SIZE_MAX) {
            continue;
        }
        struct gy_str name = r->shape->fields[field].key;
        if (gy_seen_test_set(&r->seen, field)) {
            return gy_err_set(err, GY_E_INVALID, "field '%" GY_STR_F "' is there twice",
                              GY_STR_A(name));
        }
        if (r->shape->fields[field].input) {
            GY_TRY(gy_infer_value(r->shape, r->q, field, 0, name, v, &r->q->values[field], err));
        } else if (yyjson_is_null(v)) {
            if (r->shape->fields[field].required) {
                return gy_err_set(err, GY_E_INVALID, "field '%" GY_STR_F "' must not be null",
                                  GY_STR_A(name));
            }
        } else if (yyjson_is_num(v)) {
            r->q->values[field] = yyjson_get_num(v);
        } else {
            return gy_err_set(err, GY_E_INVALID, "field '%" GY_STR_F "' must be a number, not a %s",
                              GY_STR_A(name), yyjson_get_type_desc(v));
        }
        r->hint = field + 1;
    }
    return missing_inputs(r, "field", true, err);
}

gy_status gy_infer_read(enum gy_infer_form form, const struct gy_infer_shape *shape,
                        struct gy_str body, struct gy_infer_request *q, struct gy_err *err)
{
    gy_infer_request_reset(q);
    q->outputs = UINT32_MAX;
    if (body.n == 0) {
        return gy_err_set(err, GY_E_PARSE, "the body is empty");
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(body, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!yyjson_is_obj(root)) {
        return gy_err_set(err, GY_E_INVALID, "the body must be a JSON object");
    }
    struct reader r = {.shape = shape, .q = q, .body_bytes = body.n};
    return form == GY_INFER_FLAT ? read_flat(&r, root, err) : read_v2(&r, root, err);
}

gy_status gy_infer_parse(enum gy_infer_form form, const struct gy_infer_shape *shape,
                         struct gy_str body, struct gy_infer_request *q, struct gy_err *err)
{
    if (gy_infer_scan(form, shape, body, q)) {
        return GY_OK;
    }
    return gy_infer_read(form, shape, body, q, err);
}
