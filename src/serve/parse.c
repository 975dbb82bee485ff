/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/parse_internal.h"

#include "base/json_python.h"
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
    q->coding = 0;
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
    size_t hint;
};

static gy_status missing_fields(const struct reader *r, struct gy_err *err)
{
    for (size_t i = 0; i < r->shape->n_inputs; i++) {
        if (!gy_seen_has(&r->seen, i)) {
            return gy_err_set(err, GY_E_INVALID, "field '%" GY_STR_F "' is missing",
                              GY_STR_A(r->shape->fields[i].key));
        }
    }
    return GY_OK;
}

static gy_status flat_value(struct reader *r, size_t row, struct gy_str key, yyjson_val *v,
                            struct gy_err *err)
{
    size_t field = gy_infer_field_find(r->shape, key, r->hint, true);
    if (field == SIZE_MAX) {
        return GY_OK;
    }
    const struct gy_infer_field *f = &r->shape->fields[field];
    double *ret = &r->q->values[row * r->shape->n_fields + field];
    r->hint = field + 1;
    if (gy_seen_test_set(&r->seen, field)) {
        return gy_err_set(err, GY_E_INVALID, "field '%" GY_STR_F "' is there twice",
                          GY_STR_A(f->key));
    }
    if (f->input) {
        return gy_infer_value(r->shape, r->q, field, row, f->key, v, ret, err);
    }
    if (gy_infer_missing(v)) {
        return f->required ? gy_err_set(err, GY_E_INVALID, "field '%" GY_STR_F "' must not be null",
                                        GY_STR_A(f->key))
                           : GY_OK;
    }
    if (gy_infer_infinite(v)) {
        return gy_err_set(err, GY_E_INVALID, "field '%" GY_STR_F "' must be a finite number",
                          GY_STR_A(f->key));
    }
    if (!yyjson_is_num(v)) {
        return gy_err_set(err, GY_E_INVALID, "field '%" GY_STR_F "' must be a number, not a %s",
                          GY_STR_A(f->key), yyjson_get_type_desc(v));
    }
    *ret = yyjson_get_num(v);
    return GY_OK;
}

static gy_status flat_row(struct reader *r, yyjson_val *object, size_t row, struct gy_err *err)
{
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "must be a JSON object");
    }
    if (yyjson_obj_size(object) > FLAT_MAX_KEYS) {
        return gy_err_set(err, GY_E_INVALID, "more than %d fields", FLAT_MAX_KEYS);
    }
    r->seen = (struct gy_seen){{0}};
    r->hint = 0;
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(object, i, n, key, v)
    {
        GY_TRY(flat_value(r, row, gy_json_val_str(key), v, err));
    }
    return missing_fields(r, err);
}

/* A list of flat objects: a row each. */
static gy_status flat_list(struct reader *r, yyjson_val *list, size_t body_bytes,
                           struct gy_err *err)
{
    size_t i, n = yyjson_arr_size(list);
    yyjson_val *one;
    if (n == 0) {
        return gy_err_set(err, GY_E_INVALID, "the list is empty");
    }
    /* Memory for rows only when there may be as many: each has its fields. */
    size_t needed = r->shape->n_inputs ? r->shape->n_inputs : 1;
    size_t n_rows = n > body_bytes / needed ? 1 : n;
    GY_TRY(gy_infer_rows(r->q, r->shape, n_rows, err));
    yyjson_arr_foreach(list, i, n, one)
    {
        gy_status st = i < n_rows ? flat_row(r, one, i, err)
                                  : gy_err_set(err, GY_E_INVALID, "fields are missing");
        if (st != GY_OK) {
            return gy_err_wrap(err, "row %zu", i);
        }
    }
    return GY_OK;
}

static gy_status read_flat(struct reader *r, yyjson_val *root, size_t body_bytes,
                           struct gy_err *err)
{
    if (yyjson_is_arr(root)) {
        return flat_list(r, root, body_bytes, err);
    }
    GY_TRY(gy_infer_rows(r->q, r->shape, 1, err));
    return flat_row(r, root, 0, err);
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
    GY_TRY(gy_json_parse_python(body, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!yyjson_is_obj(root) && !(form == GY_INFER_FLAT && yyjson_is_arr(root))) {
        return gy_err_set(err, GY_E_INVALID, "the body must be a JSON object");
    }
    struct reader r = {.shape = shape, .q = q};
    return form == GY_INFER_FLAT ? read_flat(&r, root, body.n, err)
                                 : gy_infer_read_v2(shape, root, body.n, NULL, q, err);
}

gy_status gy_infer_parse(enum gy_infer_form form, const struct gy_infer_shape *shape,
                         struct gy_str body, struct gy_infer_request *q, struct gy_err *err)
{
    gy_status st =
        gy_infer_scan(form, shape, body, q) ? GY_OK : gy_infer_read(form, shape, body, q, err);
    q->flat = form == GY_INFER_FLAT;
    return st;
}
