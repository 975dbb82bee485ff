/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/profile.h"

#include <math.h>

#include "base/file.h"
#include "learn/model.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "a training profile");
}

const struct gy_profile_column *gy_profile_column(const struct gy_profile *p, struct gy_str name)
{
    for (size_t i = 0; i < p->n_columns; i++) {
        if (gy_str_eq(p->columns[i].name, name)) {
            return &p->columns[i];
        }
    }
    return NULL;
}

gy_status gy_profile_describe(const struct gy_values *v, size_t n_columns, struct gy_arena *a,
                              struct gy_profile_column *ret, struct gy_err *err)
{
    size_t exact = GY_PROFILE_PAIRS / (n_columns ? n_columns : 1);
    exact = exact > GY_PROFILE_MAX_EXACT   ? GY_PROFILE_MAX_EXACT
            : exact < GY_PROFILE_MIN_EXACT ? GY_PROFILE_MIN_EXACT
                                           : exact;
    ret->mean = gy_values_mean(v);
    ret->sd = gy_values_sd_about(v, ret->mean);
    ret->min = v->n ? v->values[0] : NAN;
    ret->max = v->n ? v->values[v->n - 1] : NAN;
    ret->distinct = v->n;
    return gy_values_summarize(v, exact,
                               exact < GY_PROFILE_QUANTILES ? exact : GY_PROFILE_QUANTILES, a,
                               &ret->values, err);
}

/* ---- writing ---- */

/* "values" and "counts" apart: two plain arrays read fast and need no object a value. */
static void write_values(struct gy_jw *w, const struct gy_values *v)
{
    gy_jw_kv_i64(w, "n", (int64_t)v->total);
    gy_jw_kv_i64(w, "missing", (int64_t)v->missing);
    gy_jw_kv_bool(w, "approximate", v->approximate);
    gy_jw_key(w, "values");
    gy_jw_arr(w);
    for (size_t i = 0; i < v->n; i++) {
        gy_jw_f64(w, v->values[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "counts");
    gy_jw_arr(w);
    for (size_t i = 0; i < v->n; i++) {
        gy_jw_u64(w, v->counts[i]);
    }
    gy_jw_arr_end(w);
}

static void write_number(struct gy_jw *w, const char *key, double v)
{
    if (isfinite(v)) {
        gy_jw_kv_f64(w, key, v);
    } else {
        gy_jw_kv_null(w, key);
    }
}

static void write_column(struct gy_jw *w, const struct gy_profile_column *c)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", c->name);
    gy_jw_kv_bool(w, "input", c->input);
    gy_jw_kv_bool(w, "integer", c->integer);
    if (c->categorical) {
        gy_jw_kv_bool(w, "categorical", true);
    }
    write_number(w, "mean", c->mean);
    write_number(w, "sd", c->sd);
    write_number(w, "min", c->min);
    write_number(w, "max", c->max);
    gy_jw_kv_i64(w, "distinct", (int64_t)c->distinct);
    write_values(w, &c->values);
    gy_jw_obj_end(w);
}

static void write_target(struct gy_jw *w, const struct gy_profile *p)
{
    gy_jw_key(w, "target");
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", p->target);
    gy_jw_kv_strc(w, "task", gy_task_name(p->task));
    if (p->task == GY_TASK_REGRESSION) {
        write_values(w, &p->target_values);
    } else {
        gy_jw_key(w, "classes");
        gy_jw_arr(w);
        for (size_t i = 0; i < p->n_classes; i++) {
            gy_jw_str(w, p->classes[i]);
        }
        gy_jw_arr_end(w);
        gy_jw_key(w, "counts");
        gy_jw_arr(w);
        for (size_t i = 0; i < p->n_classes; i++) {
            gy_jw_u64(w, p->class_counts[i]);
        }
        gy_jw_arr_end(w);
        write_number(w, "positive_share", p->positive_share);
    }
    gy_jw_obj_end(w);
}

gy_status gy_profile_write(const struct gy_profile *p, struct gy_buf *out, struct gy_err *err)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "format", GY_PROFILE_FORMAT);
    gy_jw_kv_i64(&w, "rows", (int64_t)p->rows);
    gy_jw_key(&w, "columns");
    gy_jw_arr(&w);
    for (size_t i = 0; i < p->n_columns; i++) {
        write_column(&w, &p->columns[i]);
    }
    gy_jw_arr_end(&w);
    if (p->target.p) {
        write_target(&w, p);
        gy_jw_key(&w, "score");
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "on", "held_out");
        write_values(&w, &p->score);
        gy_jw_obj_end(&w);
    }
    gy_jw_obj_end(&w);
    gy_buf_add_char(out, '\n');
    return gy_buf_check(out, GY_PROFILE_FILE, err);
}

/* ---- reading: the bytes may be anybody's ---- */

static gy_status corrupt(struct gy_err *err, struct gy_str where, const char *what)
{
    return gy_err_set(err, GY_E_CORRUPT, "%s: '%" GY_STR_F "': %s", GY_PROFILE_FILE,
                      GY_STR_A(where), what);
}

static bool is_count(yyjson_val *v)
{
    return yyjson_is_uint(v) && yyjson_get_uint(v) <= (uint64_t)GY_PROFILE_MAX_ROWS;
}

static gy_status read_count(yyjson_val *object, const char *key, struct gy_str where, uint64_t *ret,
                            struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, key);
    if (!is_count(v)) {
        return corrupt(err, where, "a count is missing or no count");
    }
    *ret = yyjson_get_uint(v);
    return GY_OK;
}

/* null and absent: NaN. */
static double read_number(yyjson_val *object, const char *key)
{
    yyjson_val *v = gy_json_get(object, key);
    return yyjson_is_num(v) ? yyjson_get_num(v) : NAN;
}

static gy_status read_counts(yyjson_val *list, struct gy_arena *a, struct gy_str where,
                             uint64_t least, uint64_t **ret, uint64_t *ret_total,
                             struct gy_err *err)
{
    size_t i;
    size_t n;
    yyjson_val *one;
    uint64_t *counts = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof *counts);
    if (!counts) {
        return no_memory(err);
    }
    *ret_total = 0;
    yyjson_arr_foreach(list, i, n, one)
    {
        if (!is_count(one) || yyjson_get_uint(one) < least) {
            return corrupt(err, where, "a count that is none");
        }
        counts[i] = yyjson_get_uint(one);
        *ret_total += counts[i];
        if (*ret_total > (uint64_t)GY_PROFILE_MAX_ROWS) {
            return corrupt(err, where, "too many rows");
        }
    }
    *ret = counts;
    return GY_OK;
}

static gy_status read_values(yyjson_val *object, struct gy_arena *a, struct gy_str where,
                             struct gy_values *ret, struct gy_err *err)
{
    yyjson_val *values = gy_json_get(object, "values");
    yyjson_val *counts = gy_json_get(object, "counts");
    struct gy_values v = {.n = yyjson_arr_size(values),
                          .approximate = gy_json_bool(object, "approximate", false)};
    uint64_t *count = NULL;
    uint64_t total = 0;
    if (!yyjson_is_arr(values) || !yyjson_is_arr(counts) || yyjson_arr_size(counts) != v.n ||
        v.n > GY_PROFILE_MAX_EXACT) {
        return corrupt(err, where, "values and counts do not fit");
    }
    double *value = gy_arena_calloc(a, v.n + 1, sizeof *value);
    if (!value) {
        return no_memory(err);
    }
    size_t i;
    size_t n;
    yyjson_val *one;
    yyjson_arr_foreach(values, i, n, one)
    {
        value[i] = yyjson_is_num(one) ? yyjson_get_num(one) + 0.0 : NAN;
        if (!isfinite(value[i]) || (i > 0 && value[i] <= value[i - 1])) {
            return corrupt(err, where, "values that do not ascend");
        }
    }
    GY_TRY(read_counts(counts, a, where, 1, &count, &total, err));
    GY_TRY(read_count(object, "n", where, &v.total, err));
    GY_TRY(read_count(object, "missing", where, &v.missing, err));
    if (total != v.total) {
        return corrupt(err, where, "counts that do not add up");
    }
    v.values = value;
    v.counts = count;
    *ret = v;
    return GY_OK;
}

static gy_status read_column(yyjson_val *object, struct gy_arena *a, struct gy_profile_column *ret,
                             struct gy_err *err)
{
    struct gy_str name = gy_json_str(object, "name");
    if (name.n == 0 || name.n > GY_MAX_CSV_RECORD) {
        return corrupt(err, name, "a column without a name");
    }
    *ret = (struct gy_profile_column){
        .name = gy_arena_str(a, name),
        .input = gy_json_bool(object, "input", false),
        .integer = gy_json_bool(object, "integer", false),
        .categorical = gy_json_bool(object, "categorical", false),
        .mean = read_number(object, "mean"),
        .sd = read_number(object, "sd"),
        .min = read_number(object, "min"),
        .max = read_number(object, "max"),
    };
    if (!ret->name.p) {
        return no_memory(err);
    }
    GY_TRY(read_count(object, "distinct", name, &ret->distinct, err));
    GY_TRY(read_values(object, a, name, &ret->values, err));
    bool told = isfinite(ret->mean) && ret->sd >= 0 && isfinite(ret->sd) && ret->min <= ret->max;
    if (ret->values.n > 0 && !told) {
        return corrupt(err, name, "no mean, sd, min and max");
    }
    return ret->distinct >= ret->values.n ? GY_OK : corrupt(err, name, "too few distinct values");
}

static gy_status read_columns(yyjson_val *root, struct gy_arena *a, struct gy_profile *p,
                              struct gy_err *err)
{
    yyjson_val *list = gy_json_get(root, "columns");
    p->n_columns = yyjson_arr_size(list);
    if (!yyjson_is_arr(list) || p->n_columns > GY_PROFILE_MAX_COLUMNS) {
        return corrupt(err, GY_STR("columns"), "missing, or too many");
    }
    struct gy_profile_column *columns = gy_arena_calloc(a, p->n_columns + 1, sizeof *columns);
    if (!columns) {
        return no_memory(err);
    }
    size_t i;
    size_t n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        GY_TRY(read_column(one, a, &columns[i], err));
    }
    p->columns = columns;
    return GY_OK;
}

static gy_status read_classes(yyjson_val *object, struct gy_arena *a, struct gy_profile *p,
                              struct gy_err *err)
{
    yyjson_val *names = gy_json_get(object, "classes");
    yyjson_val *list = gy_json_get(object, "counts");
    uint64_t *counts = NULL;
    uint64_t total = 0;
    p->n_classes = yyjson_arr_size(names);
    if (!yyjson_is_arr(names) || !yyjson_is_arr(list) || yyjson_arr_size(list) != p->n_classes ||
        p->n_classes > GY_MODEL_MAX_CLASSES) {
        return corrupt(err, p->target, "classes and counts do not fit");
    }
    struct gy_str *classes = gy_arena_calloc(a, p->n_classes + 1, sizeof *classes);
    if (!classes) {
        return no_memory(err);
    }
    size_t i;
    size_t n;
    yyjson_val *one;
    yyjson_arr_foreach(names, i, n, one)
    {
        if (!yyjson_is_str(one)) {
            return corrupt(err, p->target, "a class that is no text");
        }
        classes[i] = gy_arena_str(a, gy_json_val_str(one));
        if (!classes[i].p) {
            return no_memory(err);
        }
    }
    GY_TRY(read_counts(list, a, p->target, 0, &counts, &total, err));
    p->classes = classes;
    p->class_counts = counts;
    if (p->task == GY_TASK_BINARY && p->n_classes == 2 && total > 0) {
        p->positive_share = (double)counts[1] / (double)total;
    }
    return GY_OK;
}

/* Absent: the profile of a table, not of a model. */
static gy_status read_target(yyjson_val *root, struct gy_arena *a, struct gy_profile *p,
                             struct gy_err *err)
{
    yyjson_val *object = gy_json_get(root, "target");
    if (!object) {
        return GY_OK;
    }
    struct gy_str name = gy_json_str(object, "name");
    if (!name.p || gy_task_parse(gy_json_str(object, "task"), &p->task, NULL) != GY_OK) {
        return corrupt(err, GY_STR("target"), "no name or no task");
    }
    p->target = gy_arena_str(a, name);
    if (!p->target.p) {
        return no_memory(err);
    }
    GY_TRY(p->task == GY_TASK_REGRESSION ? read_values(object, a, p->target, &p->target_values, err)
                                         : read_classes(object, a, p, err));
    return read_values(gy_json_get(root, "score"), a, GY_STR("score"), &p->score, err);
}

gy_status gy_profile_parse(struct gy_str text, struct gy_arena *a, struct gy_profile *ret,
                           struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_profile p = {.positive_share = NAN};
    gy_status status = gy_json_parse(text, &doc, err);
    if (status == GY_E_NOMEM) {
        return status;
    }
    if (status != GY_OK) {
        return gy_err_set(err, GY_E_CORRUPT, "%s can not be read", GY_PROFILE_FILE);
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!gy_str_eqc(gy_json_str(root, "format"), GY_PROFILE_FORMAT)) {
        return corrupt(err, GY_STR("format"), "not " GY_PROFILE_FORMAT);
    }
    GY_TRY(read_count(root, "rows", GY_STR("rows"), &p.rows, err));
    GY_TRY(read_columns(root, a, &p, err));
    GY_TRY(read_target(root, a, &p, err));
    *ret = p;
    return GY_OK;
}

gy_status gy_profile_read(const char *dir, struct gy_arena *a, struct gy_profile *ret,
                          struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_PROFILE_MAX_BYTES);
    GY_TRY(gy_path_join(path, sizeof path, dir, GY_PROFILE_FILE, err));
    if (!gy_path_exists(path)) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "the package says nothing about its training data");
        return gy_err_hint(err, "packages that gyre train writes have a %s", GY_PROFILE_FILE);
    }
    GY_TRY(gy_file_read(path, &text, err));
    return gy_profile_parse(gy_buf_str(&text), a, ret, err);
}
