/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/oip.h"

#include <math.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/call.h"

/* ---- the spec in model.json ---- */

static const char *const g_kinds[] = {"value", "probability", "label"};

void gy_oip_write_spec(struct gy_jw *w, const struct gy_oip_spec *s)
{
    gy_jw_kv_str(w, "model", s->model);
    if (s->version.p) {
        gy_jw_kv_str(w, "version", s->version);
    }
    if (s->tensor.p) {
        gy_jw_kv_str(w, "tensor", s->tensor);
        gy_jw_kv_str(w, "datatype", s->datatype);
    } else {
        gy_jw_key(w, "tensors");
        gy_jw_arr(w);
        for (size_t i = 0; i < s->n_inputs; i++) {
            gy_jw_obj(w);
            gy_jw_kv_str(w, "datatype", s->datatypes[i]);
            gy_jw_kv_bool(w, "flat", s->flat[i]);
            gy_jw_obj_end(w);
        }
        gy_jw_arr_end(w);
    }
    gy_jw_kv_str(w, "output", s->output);
    gy_jw_kv_strc(w, "output_kind", g_kinds[s->kind]);
    gy_jw_kv_bool(w, "binary", s->binary);
}

static gy_status corrupt(struct gy_err *err, const char *what)
{
    return gy_err_set(err, GY_E_CORRUPT, "model.json: how the model is asked: %s", what);
}

static gy_status keep(struct gy_arena *a, struct gy_str s, struct gy_str *ret, struct gy_err *err)
{
    *ret = s.p ? gy_arena_str(a, s) : GY_STR_NULL;
    return s.p && !ret->p ? gy_err_set(err, GY_E_NOMEM, "reading model.json") : GY_OK;
}

static bool known_datatype(struct gy_str s)
{
    return gy_oip_width(s) > 0 || gy_str_eqc(s, "BYTES");
}

static gy_status read_tensors(yyjson_val *list, struct gy_arena *a, struct gy_oip_spec *s,
                              struct gy_err *err)
{
    if (yyjson_arr_size(list) != s->n_inputs) {
        return corrupt(err, "there is not one tensor an input");
    }
    struct gy_str *types = gy_arena_calloc(a, s->n_inputs, sizeof *types);
    bool *flat = gy_arena_calloc(a, s->n_inputs, sizeof *flat);
    if (!types || !flat) {
        return gy_err_set(err, GY_E_NOMEM, "reading model.json");
    }
    for (size_t i = 0; i < s->n_inputs; i++) {
        yyjson_val *t = yyjson_arr_get(list, i);
        GY_TRY(keep(a, gy_json_str(t, "datatype"), &types[i], err));
        flat[i] = gy_json_bool(t, "flat", true);
        bool text = s->inputs[i].kind == GY_INPUT_TEXT;
        if (!known_datatype(types[i]) || gy_str_eqc(types[i], "BYTES") != text) {
            return corrupt(err, "a datatype that its input does not have");
        }
    }
    s->datatypes = types;
    s->flat = flat;
    return GY_OK;
}

gy_status gy_oip_read_spec(yyjson_val *object, struct gy_arena *a, struct gy_oip_spec *ret,
                           struct gy_err *err)
{
    GY_TRY(keep(a, gy_json_str(object, "model"), &ret->model, err));
    GY_TRY(keep(a, gy_json_str(object, "version"), &ret->version, err));
    GY_TRY(keep(a, gy_json_str(object, "tensor"), &ret->tensor, err));
    GY_TRY(keep(a, gy_json_str(object, "datatype"), &ret->datatype, err));
    GY_TRY(keep(a, gy_json_str(object, "output"), &ret->output, err));
    ret->binary = gy_json_bool(object, "binary", false);
    if (!ret->model.n || !ret->output.n) {
        return corrupt(err, "no model or no output is named");
    }
    size_t kind = 0;
    struct gy_str name = gy_json_str(object, "output_kind");
    while (kind < 3 && !gy_str_eqc(name, g_kinds[kind])) {
        kind++;
    }
    if (kind == 3 || (kind == GY_OIP_VALUE) != (ret->n_classes == 0)) {
        return corrupt(err, "the kind of output does not fit the task");
    }
    ret->kind = (enum gy_oip_output)kind;
    if (!ret->tensor.p) {
        return read_tensors(gy_json_get(object, "tensors"), a, ret, err);
    }
    for (size_t i = 0; i < ret->n_inputs; i++) {
        if (ret->inputs[i].kind != GY_INPUT_NUMBER) {
            return corrupt(err, "texts among the columns of one tensor");
        }
    }
    return gy_oip_width(ret->datatype) ? GY_OK : corrupt(err, "no datatype of numbers");
}

gy_status gy_oip_path(const struct gy_oip_spec *s, const char *tail, struct gy_buf *out,
                      struct gy_err *err)
{
    gy_buf_addc(out, "/v2/models/");
    gy_url_encode(out, s->model, false);
    if (s->version.n) {
        gy_buf_addc(out, "/versions/");
        gy_url_encode(out, s->version, false);
    }
    gy_buf_addc(out, tail);
    return gy_buf_check(out, "the path of a model", err);
}

/* ---- datatypes ---- */

static const struct datatype {
    const char *name;
    size_t width;
    bool real, is_signed;
} g_types[] = {
    {"FP64", 8, true, true},     {"FP32", 4, true, true},     {"INT64", 8, false, true},
    {"INT32", 4, false, true},   {"INT16", 2, false, true},   {"INT8", 1, false, true},
    {"UINT64", 8, false, false}, {"UINT32", 4, false, false}, {"UINT16", 2, false, false},
    {"UINT8", 1, false, false},  {"BOOL", 1, false, false},
};

static const struct datatype *type_of(struct gy_str name)
{
    for (size_t i = 0; i < sizeof g_types / sizeof g_types[0]; i++) {
        if (gy_str_eqc(name, g_types[i].name)) {
            return &g_types[i];
        }
    }
    return NULL;
}

size_t gy_oip_width(struct gy_str datatype)
{
    const struct datatype *t = type_of(datatype);
    return t ? t->width : 0;
}

/* ---- asking ---- */

static void write_cell(struct gy_jw *w, const struct gy_predictor_input *in, struct gy_str datatype,
                       double v)
{
    if (in->kind == GY_INPUT_TEXT) {
        bool known = v >= 0 && v < (double)in->n_values;
        gy_jw_str(w, known ? in->values[(size_t)v] : GY_STR(""));
    } else if (isnan(v)) {
        gy_jw_null(w);
    } else if (gy_str_eqc(datatype, "BOOL")) {
        gy_jw_bool(w, v != 0);
    } else if (type_of(datatype)->real || fabs(v) >= 9e15) {
        gy_jw_f64(w, v);
    } else {
        gy_jw_i64(w, (int64_t)llround(v));
    }
}

static void open_tensor(struct gy_jw *w, struct gy_str name, struct gy_str datatype, size_t n_rows,
                        size_t columns)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", name);
    gy_jw_kv_str(w, "datatype", datatype);
    gy_jw_key(w, "shape");
    gy_jw_arr(w);
    gy_jw_i64(w, (int64_t)n_rows);
    if (columns) {
        gy_jw_i64(w, (int64_t)columns);
    }
    gy_jw_arr_end(w);
}

static void close_binary(struct gy_jw *w, size_t bytes)
{
    gy_jw_key(w, "parameters");
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "binary_data_size", (int64_t)bytes);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

/* Columns [from, from + n) of the rows as JSON. */
static void write_data(struct gy_jw *w, const struct gy_oip_spec *s, struct gy_str datatype,
                       const double *x, size_t n_rows, size_t from, size_t n)
{
    gy_jw_key(w, "data");
    gy_jw_arr(w);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = from; i < from + n; i++) {
            write_cell(w, &s->inputs[i], datatype, x[r * s->n_inputs + i]);
        }
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static bool is_real(struct gy_str datatype)
{
    const struct datatype *t = type_of(datatype);
    return t && t->real;
}

/* Bytes are for floats alone: a missing value has no form in other datatypes. */
static bool goes_binary(const struct gy_oip_spec *s)
{
    bool all = s->binary;
    for (size_t i = 0; all && i < s->n_inputs; i++) {
        all = is_real(s->tensor.p ? s->datatype : s->datatypes[i]);
    }
    return all;
}

static void write_tensors(struct gy_jw *w, const struct gy_oip_spec *s, const double *x,
                          size_t n_rows, bool binary)
{
    gy_jw_key(w, "inputs");
    gy_jw_arr(w);
    for (size_t i = 0; i < (s->tensor.p ? 1 : s->n_inputs); i++) {
        struct gy_str type = s->tensor.p ? s->datatype : s->datatypes[i];
        size_t n = s->tensor.p ? s->n_inputs : 1;
        open_tensor(w, s->tensor.p ? s->tensor : s->inputs[i].name, type, n_rows,
                    s->tensor.p ? n : !s->flat[i]);
        if (binary) {
            close_binary(w, n_rows * n * gy_oip_width(type));
        } else {
            write_data(w, s, type, x, n_rows, i, n);
        }
    }
    gy_jw_arr_end(w);
}

static void add_float(struct gy_buf *out, double v, size_t width)
{
    float f = (float)v;
    gy_buf_add_bytes(out, width == 8 ? (const char *)&v : (const char *)&f, width);
}

static void write_bytes(struct gy_buf *out, const struct gy_oip_spec *s, const double *x,
                        size_t n_rows)
{
    size_t n = s->n_inputs;
    for (size_t i = 0; s->tensor.p && i < n_rows * n; i++) {
        add_float(out, x[i], gy_oip_width(s->datatype));
    }
    for (size_t i = 0; !s->tensor.p && i < n; i++) {
        for (size_t r = 0; r < n_rows; r++) {
            add_float(out, x[r * n + i], gy_oip_width(s->datatypes[i]));
        }
    }
}

gy_status gy_oip_write(const struct gy_oip_spec *s, const double *x, size_t n_rows,
                       struct gy_buf *out, size_t *ret_json_bytes, struct gy_err *err)
{
    bool binary = goes_binary(s);
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    write_tensors(&w, s, x, n_rows, binary);
    gy_jw_key(&w, "outputs");
    gy_jw_arr(&w);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", s->output);
    if (binary) {
        gy_jw_key(&w, "parameters");
        gy_jw_obj(&w);
        gy_jw_kv_bool(&w, "binary_data", s->kind != GY_OIP_LABEL);
        gy_jw_obj_end(&w);
    }
    gy_jw_obj_end(&w);
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    *ret_json_bytes = binary ? out->n : 0;
    if (binary) {
        write_bytes(out, s, x, n_rows);
    }
    return gy_buf_check(out, "a request", err);
}

/* ---- the answer ---- */

static gy_status broken(struct gy_err *err, const char *what)
{
    return gy_err_set(err, GY_E_NETWORK, "the upstream's answer %s", what);
}

/* The elements of nested or flat arrays, in order. */
struct elements {
    yyjson_val **items;
    size_t n, max;
};

static bool flatten(yyjson_val *v, struct elements *e)
{
    if (!yyjson_is_arr(v)) {
        if (e->n == e->max) {
            return false;
        }
        e->items[e->n++] = v;
        return true;
    }
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(v, i, n, one)
    {
        if (!flatten(one, e)) { /* as deep as gy_json_parse lets it be */
            return false;
        }
    }
    return true;
}

static double number_of(yyjson_val *v)
{
    return yyjson_is_num(v)    ? yyjson_get_num(v)
           : yyjson_is_bool(v) ? (double)yyjson_get_bool(v)
                               : NAN;
}

static double number_at(const char *p, const struct datatype *t)
{
    union {
        double d;
        float f;
        int64_t i64;
        int32_t i32;
        int16_t i16;
        int8_t i8;
        uint64_t u64;
        uint32_t u32;
        uint16_t u16;
        uint8_t u8;
    } u;
    memcpy(&u, p, t->width);
    if (t->real) {
        return t->width == 8 ? u.d : (double)u.f;
    }
    switch (t->width) {
    case 8:
        return t->is_signed ? (double)u.i64 : (double)u.u64;
    case 4:
        return t->is_signed ? (double)u.i32 : (double)u.u32;
    case 2:
        return t->is_signed ? (double)u.i16 : (double)u.u16;
    default:
        return t->is_signed ? (double)u.i8 : (double)u.u8;
    }
}

static bool label_is(yyjson_val *v, struct gy_str class)
{
    double number = 0;
    if (yyjson_is_str(v)) {
        return gy_str_eq(gy_json_val_str(v), class);
    }
    return gy_parse_f64(class, &number, NULL) == GY_OK && number_of(v) == number;
}

/* A label as probabilities: 1 of its class. */
static gy_status put_label(const struct gy_oip_spec *s, yyjson_val *v, double *out,
                           struct gy_err *err)
{
    for (size_t k = 0; k < s->n_classes; k++) {
        if (label_is(v, s->classes[k])) {
            for (size_t i = 0; i < s->n_outputs; i++) {
                out[i] = s->n_outputs == 1 ? (double)(k == 1) : (double)(i == k);
            }
            return GY_OK;
        }
    }
    return broken(err, "names a class that the model does not have");
}

/* [n], [n, 1], [n, k]: the values a row, 0 when it is none of them. */
static size_t columns_of(yyjson_val *shape, size_t n_rows)
{
    size_t n = yyjson_arr_size(shape), columns = 1;
    if (n == 0 || yyjson_get_uint(yyjson_arr_get(shape, 0)) != n_rows) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        uint64_t d = yyjson_get_uint(yyjson_arr_get(shape, i));
        if (d == 0 || d > GY_MAX_FEATURES || (columns > 1 && d > 1)) {
            return 0;
        }
        columns *= (size_t)d;
    }
    return columns;
}

/* Value k of row r of an output with so many columns. */
static double pick(const struct gy_oip_spec *s, const double *row, size_t columns, size_t k)
{
    return s->kind == GY_OIP_PROBABILITY && s->n_outputs == 1 && columns == 2 ? row[1] : row[k];
}

static gy_status put_numbers(const struct gy_oip_spec *s, const double *values, size_t columns,
                             size_t n_rows, double *out)
{
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t k = 0; k < s->n_outputs; k++) {
            out[r * s->n_outputs + k] = pick(s, values + r * columns, columns, k);
        }
    }
    return GY_OK;
}

static gy_status read_json(const struct gy_oip_spec *s, yyjson_val *data, size_t columns,
                           size_t n_rows, double *out, struct gy_err *err)
{
    GY_AUTO(gy_free)
    char *room = gy_reallocarray(NULL, n_rows * columns, sizeof(yyjson_val *) + sizeof(double));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "an answer");
    }
    struct elements e = {.items = (yyjson_val **)(void *)room, .max = n_rows * columns};
    double *values = (double *)(void *)(e.items + e.max);
    if (!yyjson_is_arr(data) || !flatten(data, &e) || e.n != e.max) {
        return broken(err, "has another number of elements than its shape says");
    }
    for (size_t i = 0; s->kind == GY_OIP_LABEL && i < n_rows; i++) {
        GY_TRY(put_label(s, e.items[i], out + i * s->n_outputs, err));
    }
    for (size_t i = 0; i < e.n && s->kind != GY_OIP_LABEL; i++) {
        values[i] = number_of(e.items[i]);
    }
    return s->kind == GY_OIP_LABEL ? GY_OK : put_numbers(s, values, columns, n_rows, out);
}

static gy_status read_bytes(const struct gy_oip_spec *s, struct gy_str bytes, struct gy_str type,
                            size_t columns, size_t n_rows, double *out, struct gy_err *err)
{
    const struct datatype *t = type_of(type);
    size_t n = n_rows * columns;
    if (!t || bytes.n != n * t->width || s->kind == GY_OIP_LABEL) {
        return broken(err, "has another number of bytes than its shape says");
    }
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, sizeof(double));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "an answer");
    }
    double *values = (double *)(void *)room;
    for (size_t i = 0; i < n; i++) {
        values[i] = number_at(bytes.p + i * t->width, t);
    }
    return put_numbers(s, values, columns, n_rows, out);
}

/* The output that was asked for, and where its bytes lie (absent: it has none). */
static yyjson_val *find_output(const struct gy_oip_spec *s, yyjson_val *root, struct gy_str rest,
                               struct gy_str *ret_bytes)
{
    size_t i, n, at = 0;
    yyjson_val *o;
    yyjson_arr_foreach(gy_json_get(root, "outputs"), i, n, o)
    {
        int64_t size = gy_json_i64(gy_json_get(o, "parameters"), "binary_data_size", -1);
        bool binary = size >= 0 && (uint64_t)size <= rest.n - at;
        *ret_bytes = binary ? gy_str_n(rest.p + at, (size_t)size) : GY_STR_NULL;
        if (gy_str_eq(gy_json_str(o, "name"), s->output)) {
            return o;
        }
        at += binary ? (size_t)size : 0;
    }
    return NULL;
}

gy_status gy_oip_read(const struct gy_oip_spec *s, struct gy_str body, size_t json_bytes,
                      size_t n_rows, double *out, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str bytes = GY_STR_NULL;
    if (json_bytes > body.n) {
        return broken(err, "is shorter than its header says");
    }
    struct gy_str json = json_bytes ? gy_str_n(body.p, json_bytes) : body;
    struct gy_str rest = json_bytes ? gy_str_sub(body, json_bytes, body.n) : GY_STR("");
    if (gy_json_parse(json, &doc, NULL) != GY_OK) {
        return broken(err, "is no JSON");
    }
    yyjson_val *o = find_output(s, yyjson_doc_get_root(doc), rest, &bytes);
    if (!o) {
        return gy_err_set(err, GY_E_NETWORK, "the upstream's answer has no output '%" GY_STR_F "'",
                          GY_STR_A(s->output));
    }
    size_t columns = columns_of(gy_json_get(o, "shape"), n_rows);
    bool second = s->kind == GY_OIP_PROBABILITY && s->n_outputs == 1 && columns == 2;
    size_t want = s->kind == GY_OIP_LABEL ? 1 : s->n_outputs;
    if (columns != want && !second) {
        return broken(err, "has another shape than the rows that were asked for");
    }
    return bytes.p ? read_bytes(s, bytes, gy_json_str(o, "datatype"), columns, n_rows, out, err)
                   : read_json(s, gy_json_get(o, "data"), columns, n_rows, out, err);
}
