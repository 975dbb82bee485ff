/* SPDX-License-Identifier: Apache-2.0 */
/* gy_statistics as a value: looking up, writing, reading back. */
#include "data/statistics.h"

#include <math.h>

#include "base/mem.h"

#define PARSED_MAX (2 * GY_GIB)

void gy_statistics_free(struct gy_statistics *s)
{
    if (s) {
        gy_arena_done(&s->arena);
        gy_free(s);
    }
}

const struct gy_statistics_column *gy_statistics_find(const struct gy_statistics *s,
                                                      struct gy_str name)
{
    for (size_t i = 0; i < s->n_columns; i++) {
        if (gy_str_eq(s->columns[i].name, name)) {
            return &s->columns[i];
        }
    }
    return NULL;
}

/* ---- writing ---- */

/* What is not a number is null: JSON has no word for it, and readers would get a text. */
static void number(struct gy_jw *w, double v)
{
    if (isfinite(v)) {
        gy_jw_f64(w, v);
    } else {
        gy_jw_null(w);
    }
}

static void kv_number(struct gy_jw *w, const char *key, double v)
{
    gy_jw_key(w, key);
    number(w, v);
}

static void write_top(struct gy_jw *w, const struct gy_statistics_column *c)
{
    gy_jw_key(w, "top");
    gy_jw_arr(w);
    for (size_t i = 0; i < c->n_top; i++) {
        gy_jw_arr(w);
        gy_jw_str(w, c->top[i].value);
        gy_jw_i64(w, c->top[i].count);
        gy_jw_arr_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_kv_bool(w, "top_is_all", c->top_is_all);
    if (c->top_short_by > 0) {
        gy_jw_kv_i64(w, "top_short_by", c->top_short_by);
    }
}

static void write_numbers(struct gy_jw *w, const struct gy_statistics_column *c)
{
    kv_number(w, "mean", c->mean);
    kv_number(w, "sd", c->sd);
    kv_number(w, "min", c->min);
    kv_number(w, "max", c->max);
    gy_jw_kv_i64(w, "zeros", c->zeros);
    gy_jw_kv_i64(w, "negative", c->negative);
    gy_jw_key(w, "quantiles");
    gy_jw_arr(w);
    for (size_t i = 0; i < GY_STATISTICS_QUANTILES; i++) {
        number(w, c->quantiles[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "bins");
    gy_jw_arr(w);
    for (size_t i = 0; i < GY_STATISTICS_BINS; i++) {
        gy_jw_i64(w, c->bins[i]);
    }
    gy_jw_arr_end(w);
}

static void write_column(struct gy_jw *w, const struct gy_statistics_column *c)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", c->name);
    gy_jw_kv_strc(w, "type", gy_type_name(c->type));
    gy_jw_kv_strc(w, "role", gy_role_name(c->role));
    gy_jw_kv_i64(w, "count", c->count);
    gy_jw_kv_i64(w, "missing", c->missing);
    gy_jw_kv_i64(w, "invalid", c->invalid);
    gy_jw_kv_i64(w, "distinct", c->distinct);
    gy_jw_kv_bool(w, "distinct_exact", c->distinct_exact);
    if (c->list) {
        gy_jw_kv_bool(w, "list", true);
        gy_jw_kv_i64(w, "n_values", c->n_values);
        gy_jw_kv_i64(w, "min_values", c->min_values);
        gy_jw_kv_i64(w, "max_values", c->max_values);
    }
    if (c->numeric) {
        write_numbers(w, c);
    } else {
        kv_number(w, "mean_length", c->mean_length);
        gy_jw_kv_i64(w, "max_length", c->max_length);
    }
    write_top(w, c);
    gy_jw_obj_end(w);
}

void gy_statistics_json(const struct gy_statistics *s, struct gy_buf *out)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_statistics_write(&w, s);
    gy_jw_obj_end(&w);
}

void gy_statistics_write(struct gy_jw *w, const struct gy_statistics *s)
{
    gy_jw_kv_strc(w, "format", GY_STATISTICS_FORMAT);
    gy_jw_kv_i64(w, "rows", s->rows);
    gy_jw_kv_i64(w, "broken", s->broken);
    gy_jw_kv_i64(w, "distinct_rows", s->distinct_rows);
    gy_jw_kv_bool(w, "distinct_rows_exact", s->distinct_rows_exact);
    gy_jw_key(w, "columns");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_columns; i++) {
        write_column(w, &s->columns[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "numbers"); /* names, since places mean nothing to people */
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_numbers; i++) {
        gy_jw_str(w, s->columns[s->numbers[i]].name);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "correlations");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_numbers; i++) {
        gy_jw_arr(w);
        for (size_t k = 0; k < s->n_numbers; k++) {
            number(w, s->correlations[i * s->n_numbers + k]);
        }
        gy_jw_arr_end(w);
    }
    gy_jw_arr_end(w);
}

/* ---- reading ---- */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for statistics");
}

static gy_status bad(struct gy_err *err, const char *what)
{
    return gy_err_set(err, GY_E_CORRUPT, "statistics: %s", what);
}

/* A count: absent is 0, negative is not one. */
static gy_status read_count(yyjson_val *v, const char *key, int64_t *ret, struct gy_err *err)
{
    yyjson_val *n = yyjson_obj_get(v, key);
    *ret = n ? yyjson_get_sint(n) : 0;
    if (n && (!yyjson_is_int(n) || *ret < 0)) {
        return gy_err_set(err, GY_E_CORRUPT, "statistics: '%s' is not a count", key);
    }
    return GY_OK;
}

static double read_number(yyjson_val *v)
{
    return yyjson_is_num(v) ? yyjson_get_num(v) : NAN;
}

static gy_status read_type(yyjson_val *v, struct gy_statistics_column *c, struct gy_err *err)
{
    struct gy_str type = gy_json_str(v, "type"), role = gy_json_str(v, "role");
    bool has_type = false, has_role = false;
    for (int t = GY_TYPE_INT; t <= GY_TYPE_IMAGE; t++) {
        if (gy_str_eqc(type, gy_type_name((enum gy_type)t))) {
            c->type = (enum gy_type)t;
            c->numeric = t != GY_TYPE_STRING && t != GY_TYPE_IMAGE && !c->list;
            has_type = true;
        }
    }
    for (int r = GY_ROLE_FEATURE; r <= GY_ROLE_WEIGHT; r++) {
        if (gy_str_eqc(role, gy_role_name((enum gy_role)r))) {
            c->role = (enum gy_role)r;
            has_role = true;
        }
    }
    return has_type && has_role ? GY_OK : bad(err, "a type or role that is not known");
}

static gy_status read_top(yyjson_val *v, struct gy_arena *arena, struct gy_statistics_column *c,
                          struct gy_err *err)
{
    yyjson_val *top = yyjson_obj_get(v, "top"), *item;
    size_t n = yyjson_arr_size(top), i, max;
    if (n > GY_STATISTICS_MAX_TOP) {
        return bad(err, "too many top values");
    }
    struct gy_statistics_value *values = gy_arena_calloc(arena, n, sizeof *values);
    if (!values) {
        return no_memory(err);
    }
    yyjson_arr_foreach(top, i, max, item)
    {
        struct gy_str text = gy_json_val_str(yyjson_arr_get(item, 0));
        yyjson_val *count = yyjson_arr_get(item, 1);
        if (!text.p || !yyjson_is_int(count) || yyjson_get_sint(count) < 0) {
            return bad(err, "a top value is not a text and a count");
        }
        values[i] = (struct gy_statistics_value){gy_arena_str(arena, text), yyjson_get_sint(count)};
        if (!values[i].value.p) {
            return no_memory(err);
        }
    }
    c->top = values;
    c->n_top = n;
    c->top_is_all = gy_json_bool(v, "top_is_all", false);
    return read_count(v, "top_short_by", &c->top_short_by, err);
}

static gy_status read_numbers(yyjson_val *v, struct gy_statistics_column *c, struct gy_err *err)
{
    yyjson_val *quantiles = yyjson_obj_get(v, "quantiles"), *bins = yyjson_obj_get(v, "bins"),
               *item;
    size_t i, max;
    c->mean = read_number(yyjson_obj_get(v, "mean"));
    c->sd = read_number(yyjson_obj_get(v, "sd"));
    c->min = read_number(yyjson_obj_get(v, "min"));
    c->max = read_number(yyjson_obj_get(v, "max"));
    for (i = 0; i < GY_STATISTICS_QUANTILES; i++) {
        c->quantiles[i] = NAN;
    }
    if (!c->numeric) {
        return GY_OK;
    }
    GY_TRY(read_count(v, "zeros", &c->zeros, err));
    GY_TRY(read_count(v, "negative", &c->negative, err));
    if (yyjson_arr_size(quantiles) != GY_STATISTICS_QUANTILES ||
        yyjson_arr_size(bins) != GY_STATISTICS_BINS) {
        return bad(err, "another number of quantiles or bins");
    }
    yyjson_arr_foreach(quantiles, i, max, item)
    {
        c->quantiles[i] = read_number(item);
    }
    yyjson_arr_foreach(bins, i, max, item)
    {
        c->bins[i] = yyjson_get_sint(item);
        if (!yyjson_is_int(item) || c->bins[i] < 0) {
            return bad(err, "a bin is not a count");
        }
    }
    return GY_OK;
}

static gy_status read_column(yyjson_val *v, struct gy_arena *arena, struct gy_statistics_column *c,
                             struct gy_err *err)
{
    struct gy_str name = gy_json_str(v, "name");
    if (!name.p || name.n == 0 || name.n > GY_MAX_NAME) {
        return bad(err, "a column without a name, or with too long a one");
    }
    c->name = gy_arena_str(arena, name);
    if (!c->name.p) {
        return no_memory(err);
    }
    c->list = gy_json_bool(v, "list", false);
    GY_TRY(read_type(v, c, err));
    GY_TRY(read_count(v, "count", &c->count, err));
    GY_TRY(read_count(v, "n_values", &c->n_values, err));
    GY_TRY(read_count(v, "min_values", &c->min_values, err));
    GY_TRY(read_count(v, "max_values", &c->max_values, err));
    if (!c->list) {
        c->n_values = c->count;
        c->min_values = c->max_values = c->count > 0;
    }
    GY_TRY(read_count(v, "missing", &c->missing, err));
    GY_TRY(read_count(v, "invalid", &c->invalid, err));
    GY_TRY(read_count(v, "distinct", &c->distinct, err));
    GY_TRY(read_count(v, "max_length", &c->max_length, err));
    c->distinct_exact = gy_json_bool(v, "distinct_exact", false);
    c->mean_length = read_number(yyjson_obj_get(v, "mean_length"));
    GY_TRY(read_numbers(v, c, err));
    return read_top(v, arena, c, err);
}

static gy_status read_correlations(yyjson_val *root, struct gy_statistics *s, struct gy_err *err)
{
    yyjson_val *names = yyjson_obj_get(root, "numbers"), *item;
    yyjson_val *lines = yyjson_obj_get(root, "correlations"), *line;
    size_t n = yyjson_arr_size(names), i, k, max, max_k;
    if (n > GY_STATISTICS_MAX_NUMBERS || yyjson_arr_size(lines) != n) {
        return bad(err, "correlations of another number of columns");
    }
    size_t *numbers = gy_arena_calloc(&s->arena, n, sizeof *numbers);
    double *r = gy_arena_calloc(&s->arena, n * n, sizeof *r);
    if (!numbers || !r) {
        return no_memory(err);
    }
    yyjson_arr_foreach(names, i, max, item)
    {
        const struct gy_statistics_column *c = gy_statistics_find(s, gy_json_val_str(item));
        if (!c || !c->numeric) {
            return bad(err, "a correlation of a column that has no numbers");
        }
        numbers[i] = (size_t)(c - s->columns);
    }
    yyjson_arr_foreach(lines, i, max, line)
    {
        if (yyjson_arr_size(line) != n) {
            return bad(err, "correlations of another number of columns");
        }
        yyjson_arr_foreach(line, k, max_k, item)
        {
            r[i * n + k] = read_number(item);
        }
    }
    s->numbers = numbers;
    s->n_numbers = n;
    s->correlations = r;
    return GY_OK;
}

static gy_status read_all(yyjson_val *root, struct gy_statistics *s, struct gy_err *err)
{
    yyjson_val *columns = yyjson_obj_get(root, "columns"), *v;
    size_t n = yyjson_arr_size(columns), i, max;
    if (!gy_str_eqc(gy_json_str(root, "format"), GY_STATISTICS_FORMAT)) {
        return bad(err, "the format is not " GY_STATISTICS_FORMAT);
    }
    if (n > GY_MAX_COLUMNS) {
        return bad(err, "too many columns");
    }
    GY_TRY(read_count(root, "rows", &s->rows, err));
    GY_TRY(read_count(root, "broken", &s->broken, err));
    GY_TRY(read_count(root, "distinct_rows", &s->distinct_rows, err));
    s->distinct_rows_exact = gy_json_bool(root, "distinct_rows_exact", false);
    s->columns = gy_arena_calloc(&s->arena, n, sizeof *s->columns);
    if (!s->columns) {
        return no_memory(err);
    }
    yyjson_arr_foreach(columns, i, max, v)
    {
        GY_TRY(read_column(v, &s->arena, &s->columns[i], err));
        if (gy_statistics_find(s, s->columns[i].name)) { /* n_columns is still i */
            return bad(err, "a column is there twice");
        }
        s->n_columns++;
    }
    return read_correlations(root, s, err);
}

gy_status gy_statistics_parse(struct gy_str json, struct gy_statistics **ret, struct gy_err *err)
{
    if (json.n > GY_STATISTICS_MAX_BYTES) {
        return gy_err_set(err, GY_E_TOOBIG, "statistics of more than %zu bytes",
                          GY_STATISTICS_MAX_BYTES);
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(json, &doc, err));
    GY_AUTO(gy_statistics_free) struct gy_statistics *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return no_memory(err);
    }
    gy_arena_init(&s->arena, PARSED_MAX);
    GY_TRY(read_all(yyjson_doc_get_root(doc), s, err));
    *ret = GY_TAKE(s);
    return GY_OK;
}
