/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/steps/steps.h"

#include <math.h>

const struct gy_step_ops *const gy_steps[] = {&gy_step_impute, &gy_step_zscore, NULL};

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
