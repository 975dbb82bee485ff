/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/steps/steps.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

const struct gy_step_ops *const gy_steps[] = {
    &gy_step_impute, &gy_step_zscore, &gy_step_minmax,     &gy_step_log,          &gy_step_clip,
    &gy_step_bins,   &gy_step_onehot, &gy_step_ordinal,    &gy_step_hash,         &gy_step_dates,
    &gy_step_select, &gy_step_drop,   &gy_step_polynomial, &gy_step_interactions, NULL};

const struct gy_step_ops *gy_step_find(struct gy_str name)
{
    for (size_t i = 0; gy_steps[i]; i++) {
        if (gy_str_eqc(name, gy_steps[i]->name)) {
            return gy_steps[i];
        }
    }
    return NULL;
}

gy_status gy_step_outputs(struct gy_step *s, size_t n_out, struct gy_arena *a, struct gy_err *err)
{
    if (n_out > GY_FEATURES_MAX) {
        (void)gy_err_set(err, GY_E_TOOBIG, "the step '%s' makes %zu features of %zu; at most %d",
                         s->ops->name, n_out, s->n_in, GY_FEATURES_MAX);
        return gy_err_hint(err, "name the columns it is for: columns: [..]");
    }
    s->n_out = n_out;
    s->out = gy_arena_calloc(a, n_out + 1, sizeof *s->out);
    return s->out ? GY_OK : gy_err_set(err, GY_E_NOMEM, "a feature step");
}

gy_status gy_step_same_outputs(struct gy_step *s, struct gy_arena *a, struct gy_err *err)
{
    GY_TRY(gy_step_outputs(s, s->n_in, a, err));
    for (size_t i = 0; i < s->n_in; i++) {
        s->out[i] = s->in[i];
    }
    return GY_OK;
}

bool gy_step_takes_numbers(const struct gy_feature *column)
{
    return column->kind == GY_FEATURE_NUMBER;
}

bool gy_step_takes_categories(const struct gy_feature *column)
{
    return column->kind == GY_FEATURE_CATEGORY;
}

bool gy_step_takes_none(const struct gy_feature *column)
{
    (void)column;
    return false;
}

bool gy_step_can_measure(const struct gy_feature *column)
{
    return column->kind == GY_FEATURE_NUMBER || column->kind == GY_FEATURE_TIME ||
           column->kind == GY_FEATURE_PIXEL;
}

bool gy_step_can_tell_apart(const struct gy_feature *column)
{
    return column->kind == GY_FEATURE_NUMBER || column->kind == GY_FEATURE_CATEGORY;
}

gy_status gy_step_number_outputs(struct gy_step *s, struct gy_arena *a, struct gy_err *err)
{
    GY_TRY(gy_step_same_outputs(s, a, err));
    for (size_t k = 0; k < s->n_chosen; k++) {
        s->out[s->chosen[k]] = (struct gy_feature){.name = s->in[s->chosen[k]].name};
    }
    return GY_OK;
}

gy_status gy_step_named(struct gy_feature *out, const char *name, struct gy_err *err)
{
    *out = (struct gy_feature){.name = gy_str_c(name)};
    return name ? GY_OK : gy_err_set(err, GY_E_NOMEM, "a feature");
}

void gy_step_copy(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    if (in != out) {
        memcpy(out, in, n_rows * s->n_in * sizeof *out);
    }
}

double gy_step_quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    double t = at - (double)i;
    if (i + 1 >= n) {
        return sorted[n - 1];
    }
    double step = sorted[i + 1] - sorted[i];
    return t < 0.5 ? sorted[i] + step * t : sorted[i + 1] - step * (1 - t);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

void gy_step_sort(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
}

/* ---- keys ---- */

/* sorted: n values; how many are different, and their rows into k where it has room. */
static size_t count_keys(const double *sorted, size_t n, struct gy_keys *k)
{
    size_t n_keys = 0;
    for (size_t i = 0; i < n; i++) {
        bool next = i == 0 || sorted[i] != sorted[i - 1];
        n_keys += next;
        if (k) {
            k->values[n_keys - 1] = sorted[i] == 0 ? 0 : sorted[i]; /* one zero only */
            k->counts[n_keys - 1]++;
        }
    }
    return n_keys;
}

static gy_status check_keys(const struct gy_step *s, size_t c, const double *v, size_t n,
                            struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i] != floor(v[i])) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "step '%s': column '%" GY_STR_F "' has the value %g, which is not "
                             "whole: it names no category",
                             s->ops->name, GY_STR_A(s->in[c].name), v[i]);
            return gy_err_hint(err, "a step `bins` ahead of it makes ranges of a quantity");
        }
    }
    return GY_OK;
}

gy_status gy_step_keys(const struct gy_step *s, const struct gy_step_rows *rows, size_t c,
                       struct gy_arena *a, struct gy_keys *ret, struct gy_err *err)
{
    size_t n = 0, kept = 0;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, rows->n_rows + 1, sizeof(double));
    double *v = (double *)(void *)room;
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "fitting a feature step");
    }
    GY_TRY(gy_step_present(s, rows, c, v, &n, err));
    GY_TRY(check_keys(s, c, v, n, err));
    for (size_t i = 0; i < n; i++) {
        if (s->in[c].kind != GY_FEATURE_CATEGORY || v[i] != GY_CELL_UNSEEN) {
            v[kept++] = v[i];
        }
    }
    gy_step_sort(v, kept);
    ret->n = count_keys(v, kept, NULL);
    if (ret->n > GY_FEATURES_MAX) {
        (void)gy_err_set(err, GY_E_TOOBIG,
                         "step '%s': column '%" GY_STR_F "' has %zu different values; at most %d",
                         s->ops->name, GY_STR_A(s->in[c].name), ret->n, GY_FEATURES_MAX);
        return gy_err_hint(err, "a text with that many values is for the step `hash`");
    }
    ret->values = gy_arena_calloc(a, ret->n + 1, sizeof *ret->values);
    ret->counts = gy_arena_calloc(a, ret->n + 1, sizeof *ret->counts);
    if (!ret->values || !ret->counts) {
        return gy_err_set(err, GY_E_NOMEM, "fitting a feature step");
    }
    (void)count_keys(v, kept, ret);
    return GY_OK;
}

size_t gy_keys_find(const struct gy_keys *k, double value)
{
    size_t low = 0, high = k->n;
    if (value >= 0 && value < (double)k->n && k->values[(size_t)value] == value) {
        return (size_t)value; /* a vocabulary: every index is a key */
    }
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (k->values[mid] < value) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < k->n && k->values[low] == value ? low : SIZE_MAX;
}

struct gy_str gy_key_text(const struct gy_feature *column, double key, char scratch[40])
{
    if (column->kind == GY_FEATURE_CATEGORY && key >= 0 && key < (double)column->n_values) {
        return column->values[(size_t)key];
    }
    return gy_str_n(scratch, gy_fmt_f64_trim(key, scratch));
}

gy_status gy_keys_read(yyjson_val *v, const char *key, const struct gy_feature *column,
                       struct gy_arena *a, struct gy_keys *ret, struct gy_err *err)
{
    yyjson_val *array = NULL;
    GY_TRY(gy_json_need_arr(v, key, &array, err));
    ret->n = yyjson_arr_size(array);
    GY_TRY(gy_step_read_numbers(v, key, ret->n, a, &ret->values, err));
    ret->counts = NULL;
    for (size_t i = 0; i < ret->n; i++) {
        double now = ret->values[i];
        bool known =
            column->kind != GY_FEATURE_CATEGORY || (now >= 0 && now < (double)column->n_values);
        if (!(now == floor(now)) || (i > 0 && !(now > ret->values[i - 1])) || !known) {
            return gy_err_set(err, GY_E_CORRUPT, "'%s' holds what is no category", key);
        }
    }
    return GY_OK;
}

gy_status gy_step_no_category(const struct gy_step *s, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID, "step '%s': there is no text among the columns",
                     s->ops->name);
    return gy_err_hint(err, "name what it is for: %s: [season]; whole numbers may name things, too",
                       s->ops->name);
}

/* ---- columns ---- */

bool gy_step_chose(const struct gy_step *s, size_t i)
{
    size_t low = 0, high = s->n_chosen;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->chosen[mid] < i) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < s->n_chosen && s->chosen[low] == i;
}

gy_status gy_step_present(const struct gy_step *s, const struct gy_step_rows *rows, size_t c,
                          double *out, size_t *ret_n, struct gy_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < rows->n_rows; i++) {
        double v = rows->x[i * s->n_in + c];
        if (isinf(v)) {
            return gy_err_set(err, GY_E_INVALID, "feature '%" GY_STR_F "' has an infinite value",
                              GY_STR_A(s->in[c].name));
        }
        if (!isnan(v)) {
            out[n++] = v;
        }
    }
    *ret_n = n;
    return GY_OK;
}

gy_status gy_step_read_numbers(yyjson_val *v, const char *key, size_t n, struct gy_arena *a,
                               double **ret, struct gy_err *err)
{
    yyjson_val *array = NULL;
    GY_TRY(gy_json_need_arr(v, key, &array, err));
    if (yyjson_arr_size(array) != n) {
        return gy_err_set(err, GY_E_CORRUPT, "'%s' has %zu numbers where %zu belong", key,
                          yyjson_arr_size(array), n);
    }
    *ret = gy_arena_calloc(a, n + 1, sizeof **ret);
    if (!*ret) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    for (size_t i = 0; i < n; i++) {
        yyjson_val *item = yyjson_arr_get(array, i);
        if (!yyjson_is_num(item) && !yyjson_is_null(item)) {
            return gy_err_set(err, GY_E_CORRUPT, "'%s' holds what is no number", key);
        }
        (*ret)[i] = yyjson_is_null(item) ? NAN : yyjson_get_num(item);
    }
    return GY_OK;
}

void gy_step_write_numbers(struct gy_jw *w, const char *key, const double *values, size_t n)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        if (isnan(values[i])) {
            gy_jw_null(w);
        } else {
            gy_jw_f64(w, values[i]);
        }
    }
    gy_jw_arr_end(w);
}
