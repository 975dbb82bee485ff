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
    return missing_fields(r, err);
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
    struct reader r = {.shape = shape, .q = q};
    return form == GY_INFER_FLAT ? read_flat(&r, root, err)
                                 : gy_infer_read_v2(shape, root, body.n, NULL, q, err);
}

gy_status gy_infer_parse(enum gy_infer_form form, const struct gy_infer_shape *shape,
                         struct gy_str body, struct gy_infer_request *q, struct gy_err *err)
{
    if (gy_infer_scan(form, shape, body, q)) {
        return GY_OK;
    }
    return gy_infer_read(form, shape, body, q, err);
}
