/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/json_rows.h"

#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/json_python.h"
#include "base/mem.h"
#include "learn/predictor.h"
#include "serve/parse_internal.h"

/* Values of a request that it does not hold: a row may leave out inputs, so that a small body can
 * ask for many cells. So many for each of its bytes, and at most so many. */
#define SPARSE_PER_BYTE 32
#define MAX_SPARSE ((size_t)16 << 20)
/* Keys of rows whose place is remembered from one row to the next. */
#define REMEMBERED 256
/* Names are looked for among the fields: bounds their product for those that are none. */
#define MAX_LOOKS ((size_t)20 * 1000 * 1000)
/* Names that a message lists. */
#define LISTED 400

#define NAME(s) (int)((s).n > 64 ? 64 : (s).n), (s).p

void gy_json_rows_reset(struct gy_infer_request *q)
{
    gy_infer_request_reset(q);
    q->outputs = UINT32_MAX;
}

gy_status gy_json_rows_parse(struct gy_infer_request *q, struct gy_str body, yyjson_doc **ret,
                             struct gy_err *err)
{
    gy_json_rows_reset(q);
    if (body.n == 0) {
        return gy_err_set(err, GY_E_PARSE, "the body is empty");
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse_python(body, &doc, err));
    if (!yyjson_is_obj(yyjson_doc_get_root(doc))) {
        return gy_err_set(err, GY_E_INVALID, "the body must be a JSON object");
    }
    *ret = GY_TAKE(doc);
    return GY_OK;
}

/* ---- one value ---- */

/* pandas' list of what a missing value is called. */
static bool means_missing(struct gy_str text)
{
    static const char *const words[] = {"",       "NaN",     "nan",     "NA",      "N/A",
                                        "n/a",    "#N/A",    "NULL",    "null",    "None",
                                        "<NA>",   "-NaN",    "-nan",    "#NA",     "#N/A N/A",
                                        "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (gy_str_eqc(text, words[i])) {
            return true;
        }
    }
    return false;
}

static gy_status put_missing(const struct gy_infer_field *f, struct gy_err *err)
{
    return f->required
               ? gy_err_set(err, GY_E_INVALID, "field '%.*s' must not be null", NAME(f->name))
               : GY_OK;
}

static gy_status not_a_number(const struct gy_infer_field *f, struct gy_str text,
                              struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "field '%.*s' must be a number, not '%.*s'", NAME(f->name),
                      NAME(text));
}

/* A number as text. */
static gy_status put_number_text(const struct gy_infer_field *f, struct gy_str text, double *cell,
                                 struct gy_err *err)
{
    double value;
    if (means_missing(text)) {
        return put_missing(f, err);
    }
    if (gy_parse_f64(gy_str_trim(text), &value, NULL) != GY_OK || !isfinite(value)) {
        return not_a_number(f, text, err);
    }
    *cell = value;
    return GY_OK;
}

static gy_status put_number(const struct gy_json_rows *r, const struct gy_infer_field *f,
                            yyjson_val *v, double *cell, struct gy_err *err)
{
    if (gy_infer_missing(v)) {
        return put_missing(f, err);
    }
    if (gy_infer_infinite(v)) {
        return gy_err_set(err, GY_E_INVALID, "field '%.*s' must be a finite number", NAME(f->name));
    }
    if (yyjson_is_num(v)) {
        *cell = yyjson_get_num(v);
        return GY_OK;
    }
    if (yyjson_is_bool(v)) {
        *cell = yyjson_get_bool(v) ? 1 : 0;
        return GY_OK;
    }
    if (r->as_mlflow && yyjson_is_str(v)) {
        return put_number_text(f, gy_json_val_str(v), cell, err);
    }
    return gy_err_set(err, GY_E_INVALID, "field '%.*s' must be a number, not a %s", NAME(f->name),
                      yyjson_get_type_desc(v));
}

/* {"b64": "..."}: an image stays in base64, a text is its bytes. */
static gy_status put_b64(const struct gy_json_rows *r, size_t field, size_t row, yyjson_val *v,
                         double *cell, struct gy_err *err)
{
    const struct gy_infer_field *f = &r->shape->fields[field];
    yyjson_val *packed = gy_json_get(v, "b64");
    if (yyjson_obj_size(v) != 1 || !yyjson_is_str(packed) || !f->input) {
        return gy_err_set(err, GY_E_INVALID, "field '%.*s' must be %s, not an object",
                          NAME(f->name), f->input ? "a text or {\"b64\": \"...\"}" : "a number");
    }
    if (f->input->kind == GY_INPUT_IMAGE) {
        return gy_infer_value(r->shape, r->q, field, row, f->name, packed, cell, err);
    }
    struct gy_str text = gy_json_val_str(packed);
    GY_AUTO(gy_free) char *bytes = gy_malloc(text.n / 4 * 3 + 3);
    size_t n = 0;
    if (!bytes) {
        return gy_err_set(err, GY_E_NOMEM, "a value in base64");
    }
    if (gy_base64_decode(text, (unsigned char *)bytes, &n, NULL) != GY_OK ||
        !gy_str_is_utf8(gy_str_n(bytes, n))) {
        return gy_err_set(err, GY_E_INVALID, "field '%.*s': b64 is no UTF-8 text in base64",
                          NAME(f->name));
    }
    yyjson_val one = {0};
    yyjson_set_strn(&one, bytes, n);
    return gy_infer_value(r->shape, r->q, field, row, f->name, &one, cell, err);
}

static gy_status put_value(const struct gy_json_rows *r, size_t field, size_t row, yyjson_val *v,
                           struct gy_err *err)
{
    const struct gy_infer_field *f = &r->shape->fields[field];
    double *cell = r->q->values + row * r->shape->n_fields + field;
    if (yyjson_is_arr(v) && yyjson_arr_size(v) == 1) {
        v = yyjson_arr_get_first(v); /* a column of shape [rows, 1] */
    }
    if (yyjson_is_obj(v)) {
        return put_b64(r, field, row, v, cell, err);
    }
    if (!f->input) {
        return put_number(r, f, v, cell, err);
    }
    return gy_infer_value(r->shape, r->q, field, row, f->name, v, cell, err);
}

static gy_status put(const struct gy_json_rows *r, size_t field, size_t row, yyjson_val *v,
                     struct gy_err *err)
{
    gy_status st = put_value(r, field, row, v, err);
    return st == GY_OK || r->q->n_rows == 1 ? st : gy_err_wrap(err, "row %zu", row);
}

gy_status gy_json_rows_text(const struct gy_json_rows *r, uint16_t field, size_t row,
                            struct gy_str text, struct gy_err *err)
{
    const struct gy_infer_field *f = &r->shape->fields[field];
    double *cell = r->q->values + row * r->shape->n_fields + field;
    gy_status st;
    if (!f->input) {
        st = put_number_text(f, text, cell, err);
    } else {
        yyjson_val one = {0};
        yyjson_set_strn(&one, means_missing(text) ? "" : text.p, means_missing(text) ? 0 : text.n);
        st = gy_infer_value(r->shape, r->q, field, row, f->name, &one, cell, err);
    }
    return st == GY_OK || r->q->n_rows == 1 ? st : gy_err_wrap(err, "row %zu", row);
}

/* ---- room, and what misses ---- */

static gy_status make_room(const struct gy_json_rows *r, size_t n_rows, struct gy_err *err)
{
    if (n_rows == 0) {
        return gy_err_set(err, GY_E_INVALID, "'%s' is empty", r->what);
    }
    size_t most = r->body_bytes * SPARSE_PER_BYTE;
    most = most > MAX_SPARSE ? MAX_SPARSE : most;
    if (n_rows <= GY_INFER_MAX_ROWS && n_rows * r->shape->n_fields > most) {
        return gy_err_set(err, GY_E_TOOBIG, "%zu rows of %zu values are too many for one request",
                          n_rows, r->shape->n_fields);
    }
    return gy_infer_rows(r->q, r->shape, n_rows, err);
}

static gy_status check_missing(const struct gy_json_rows *r, const struct gy_seen *seen,
                               struct gy_str first_extra, struct gy_err *err)
{
    char names[LISTED + 100];
    size_t n = 0;
    for (size_t i = 0; i < r->shape->n_inputs && n < LISTED; i++) {
        struct gy_str name = r->shape->fields[i].name;
        if (!gy_seen_has(seen, i)) {
            n += (size_t)snprintf(names + n, sizeof names - n, "%s'%.*s'", n ? ", " : "",
                                  NAME(name));
        }
    }
    if (n == 0) {
        return GY_OK;
    }
    if (!r->as_mlflow) {
        return gy_err_set(err, GY_E_INVALID, "'%s': missing %s", r->what, names);
    }
    return first_extra.n ? gy_err_set(err, GY_E_INVALID,
                                      "Model is missing inputs [%s]. Note that there were extra "
                                      "inputs: ['%.*s']",
                                      names, NAME(first_extra))
                         : gy_err_set(err, GY_E_INVALID, "Model is missing inputs [%s].", names);
}

static gy_status wrong_width(const struct gy_json_rows *r, size_t row, size_t got, size_t wanted,
                             struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "'%s': row %zu has %zu values, not %zu", r->what, row, got,
                      wanted);
}

/* ---- rows as objects ---- */

struct by_name {
    const struct gy_json_rows *r;
    yyjson_obj_iter before;          /* the row before, read along with this one */
    uint16_t remembered[REMEMBERED]; /* the field of its keys */
    bool has_before;
    size_t hint, looks;
    struct gy_seen all; /* named by any row */
    struct gy_str extra;
};

static gy_status find_field(struct by_name *b, struct gy_str name, size_t *ret, struct gy_err *err)
{
    size_t field = gy_infer_field_find(b->r->shape, name, b->hint, false);
    if (field == SIZE_MAX) {
        b->looks += b->r->shape->n_fields;
        b->extra = b->extra.n ? b->extra : name;
        if (b->looks > MAX_LOOKS) {
            return gy_err_set(err, GY_E_TOOBIG, "'%s': too many names that are no input",
                              b->r->what);
        }
    } else {
        b->hint = field + 1;
    }
    *ret = field == SIZE_MAX ? GY_JSON_ROWS_NO_FIELD : field;
    return GY_OK;
}

/* The field of the i-th key: as in the row before, when it has the same key there. */
static gy_status field_of_key(struct by_name *b, size_t i, struct gy_str key, size_t *ret,
                              struct gy_err *err)
{
    yyjson_val *was = b->has_before ? yyjson_obj_iter_next(&b->before) : NULL;
    if (was && i < REMEMBERED && gy_str_eq(gy_json_val_str(was), key)) {
        *ret = b->remembered[i];
        return GY_OK;
    }
    GY_TRY(find_field(b, key, ret, err));
    if (i < REMEMBERED) {
        b->remembered[i] = (uint16_t)*ret;
    }
    return GY_OK;
}

static gy_status read_object(struct by_name *b, yyjson_val *object, size_t row, struct gy_err *err)
{
    const struct gy_infer_shape *shape = b->r->shape;
    struct gy_seen seen;
    memset(seen.bits, 0, (shape->n_fields + 63) / 64 * sizeof seen.bits[0]);
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(object, i, n, key, v)
    {
        size_t field;
        GY_TRY(field_of_key(b, i, gy_json_val_str(key), &field, err));
        if (field == GY_JSON_ROWS_NO_FIELD) {
            continue;
        }
        if (gy_seen_test_set(&seen, field)) {
            return gy_err_set(err, GY_E_INVALID, "'%s': row %zu has '%.*s' twice", b->r->what, row,
                              NAME(shape->fields[field].name));
        }
        (void)gy_seen_test_set(&b->all, field);
        GY_TRY(put(b->r, field, row, v, err));
    }
    (void)yyjson_obj_iter_init(object, &b->before);
    b->has_before = true;
    return GY_OK;
}

/* No row leaves out what is required: a required value that was put is no NaN. */
static gy_status check_required(const struct gy_json_rows *r, const struct gy_seen *all,
                                struct gy_err *err)
{
    const struct gy_infer_shape *shape = r->shape;
    for (size_t i = 0; i < shape->n_inputs; i++) {
        const struct gy_infer_field *f = &shape->fields[i];
        for (size_t row = 0; f->required && gy_seen_has(all, i) && row < r->q->n_rows; row++) {
            if (isnan(r->q->values[row * shape->n_fields + i])) {
                return gy_err_set(err, GY_E_INVALID, "'%s': row %zu has no '%.*s'", r->what, row,
                                  NAME(f->name));
            }
        }
    }
    return GY_OK;
}

static gy_status read_objects(const struct gy_json_rows *r, yyjson_val *list, struct gy_err *err)
{
    struct by_name b = {.r = r};
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, n, v)
    {
        if (!yyjson_is_obj(v)) {
            return gy_err_set(err, GY_E_INVALID, "'%s': row %zu is no object as the rows before",
                              r->what, i);
        }
        GY_TRY(read_object(&b, v, i, err));
    }
    GY_TRY(check_missing(r, &b.all, b.extra, err));
    return check_required(r, &b.all, err);
}

/* ---- rows as lists ---- */

static gy_status read_lists(const struct gy_json_rows *r, const struct gy_json_rows_map *map,
                            yyjson_val *list, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *row;
    yyjson_arr_foreach(list, i, n, row)
    {
        size_t k, width;
        yyjson_val *v;
        yyjson_arr_foreach(row, k, width, v)
        {
            if (map->field[k] != GY_JSON_ROWS_NO_FIELD) {
                GY_TRY(put(r, map->field[k], i, v, err));
            }
        }
    }
    return GY_OK;
}

static gy_status check_widths(const struct gy_json_rows *r, yyjson_val *list, size_t width,
                              struct gy_err *err)
{
    size_t i, n;
    yyjson_val *row;
    yyjson_arr_foreach(list, i, n, row)
    {
        if (!yyjson_is_arr(row)) {
            return gy_err_set(err, GY_E_INVALID,
                              "'%s': row %zu must be a list of %zu values, not a %s", r->what, i,
                              width, yyjson_get_type_desc(row));
        }
        if (yyjson_arr_size(row) != width) {
            return wrong_width(r, i, yyjson_arr_size(row), width, err);
        }
    }
    return GY_OK;
}

gy_status gy_json_rows_name(const struct gy_json_rows *r, struct gy_json_rows_map *map,
                            struct gy_str name, struct gy_err *err)
{
    if (map->n == GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d columns", GY_MAX_COLUMNS);
    }
    size_t field = name.p ? gy_infer_field_find(r->shape, name, map->n, false) : SIZE_MAX;
    for (size_t i = 0; field != SIZE_MAX && i < map->n; i++) {
        if (map->field[i] == field) {
            return gy_err_set(err, GY_E_INVALID, "'%s': column '%.*s' is there twice", r->what,
                              NAME(name));
        }
    }
    map->field[map->n++] = field == SIZE_MAX ? GY_JSON_ROWS_NO_FIELD : (uint16_t)field;
    return GY_OK;
}

gy_status gy_json_rows_begin(const struct gy_json_rows *r, const struct gy_json_rows_map *map,
                             size_t n_rows, struct gy_err *err)
{
    struct gy_seen seen = {{0}};
    for (size_t i = 0; i < map->n; i++) {
        if (map->field[i] != GY_JSON_ROWS_NO_FIELD) {
            (void)gy_seen_test_set(&seen, map->field[i]);
        }
    }
    GY_TRY(check_missing(r, &seen, GY_STR_NULL, err));
    return make_room(r, n_rows, err);
}

/* names NULL, null or empty: the model's order. */
static gy_status read_names(const struct gy_json_rows *r, yyjson_val *names,
                            struct gy_json_rows_map *map, struct gy_err *err)
{
    map->n = 0;
    if (names && !yyjson_is_null(names) && !yyjson_is_arr(names)) {
        return gy_err_set(err, GY_E_INVALID, "'%s': the names of columns must be a list", r->what);
    }
    if (yyjson_arr_size(names) == 0) {
        for (size_t i = 0; i < r->shape->n_inputs; i++) {
            map->field[map->n++] = (uint16_t)i;
        }
        return GY_OK;
    }
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(names, i, n, v)
    {
        GY_TRY(gy_json_rows_name(r, map, gy_json_val_str(v), err));
    }
    return GY_OK;
}

gy_status gy_json_rows_split(const struct gy_json_rows *r, yyjson_val *names, yyjson_val *list,
                             struct gy_err *err)
{
    struct gy_json_rows_map map;
    if (!yyjson_is_arr(list)) {
        return gy_err_set(err, GY_E_INVALID, "'%s' must be a list of rows", r->what);
    }
    GY_TRY(read_names(r, names, &map, err));
    GY_TRY(check_widths(r, list, map.n, err));
    GY_TRY(gy_json_rows_begin(r, &map, yyjson_arr_size(list), err));
    return read_lists(r, &map, list, err);
}

gy_status gy_json_rows_flat(const struct gy_json_rows *r, yyjson_val *names, yyjson_val *values,
                            size_t n_rows, size_t width, struct gy_err *err)
{
    struct gy_json_rows_map map;
    if (!yyjson_is_arr(values) || n_rows > yyjson_arr_size(values) ||
        yyjson_arr_size(values) != n_rows * width) {
        return gy_err_set(err, GY_E_INVALID, "'%s' does not have %zu x %zu values", r->what, n_rows,
                          width);
    }
    GY_TRY(read_names(r, names, &map, err));
    if (map.n != width) {
        return wrong_width(r, 0, width, map.n, err);
    }
    GY_TRY(gy_json_rows_begin(r, &map, n_rows, err));
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(values, i, n, v)
    {
        if (map.field[i % width] != GY_JSON_ROWS_NO_FIELD) {
            GY_TRY(put(r, map.field[i % width], i / width, v, err));
        }
    }
    return GY_OK;
}

/* A model of one input: its values, one after the other. */
static gy_status read_scalars(const struct gy_json_rows *r, yyjson_val *list, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *v;
    GY_TRY(make_room(r, yyjson_arr_size(list), err));
    yyjson_arr_foreach(list, i, n, v)
    {
        GY_TRY(put(r, 0, i, v, err));
    }
    return GY_OK;
}

gy_status gy_json_rows_list(const struct gy_json_rows *r, yyjson_val *list, struct gy_err *err)
{
    if (!yyjson_is_arr(list)) {
        return gy_err_set(err, GY_E_INVALID, "Expected \"%s\" to be a list", r->what);
    }
    yyjson_val *first = yyjson_arr_get_first(list);
    bool one = r->shape->n_inputs == 1;
    if (one && first && (!yyjson_is_obj(first) || gy_json_get(first, "b64"))) {
        return read_scalars(r, list, err);
    }
    if (yyjson_is_obj(first)) {
        GY_TRY(make_room(r, yyjson_arr_size(list), err));
        return read_objects(r, list, err);
    }
    return gy_json_rows_split(r, NULL, list, err);
}

/* ---- columns ---- */

static size_t column_rows(yyjson_val *v)
{
    return yyjson_is_arr(v) ? yyjson_arr_size(v) : 1;
}

/* The map of the object's keys, and how long its columns are. */
static gy_status read_column_names(const struct gy_json_rows *r, yyjson_val *object,
                                   struct gy_json_rows_map *map, size_t *ret_rows,
                                   struct gy_err *err)
{
    size_t i, n;
    yyjson_val *key, *v;
    map->n = 0;
    *ret_rows = SIZE_MAX;
    yyjson_obj_foreach(object, i, n, key, v)
    {
        struct gy_str name = gy_json_val_str(key);
        GY_TRY(gy_json_rows_name(r, map, name, err));
        if (map->field[i] == GY_JSON_ROWS_NO_FIELD) {
            continue;
        }
        if (*ret_rows != SIZE_MAX && *ret_rows != column_rows(v)) {
            return gy_err_set(err, GY_E_INVALID,
                              r->as_mlflow
                                  ? "The length of values for each input/column name are not the "
                                    "same: '%.*s' has %zu, another %zu"
                                  : "column '%.*s' has %zu values, another %zu",
                              NAME(name), column_rows(v), *ret_rows);
        }
        *ret_rows = column_rows(v);
    }
    *ret_rows = *ret_rows == SIZE_MAX ? 0 : *ret_rows;
    return GY_OK;
}

static gy_status read_column(const struct gy_json_rows *r, size_t field, yyjson_val *column,
                             struct gy_err *err)
{
    if (!yyjson_is_arr(column)) {
        return put(r, field, 0, column, err);
    }
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(column, i, n, v)
    {
        GY_TRY(put(r, field, i, v, err));
    }
    return GY_OK;
}

gy_status gy_json_rows_columns(const struct gy_json_rows *r, yyjson_val *object, struct gy_err *err)
{
    struct gy_json_rows_map map;
    size_t n_rows;
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "'%s' must be an object of columns", r->what);
    }
    GY_TRY(read_column_names(r, object, &map, &n_rows, err));
    GY_TRY(gy_json_rows_begin(r, &map, n_rows, err));
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(object, i, n, key, v)
    {
        if (map.field[i] != GY_JSON_ROWS_NO_FIELD) {
            GY_TRY(read_column(r, map.field[i], v, err));
        }
    }
    return GY_OK;
}
