/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/features.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

static const char *const g_impute_names[] = {"none", "mean", "median", "constant"};

const char *gy_impute_name(enum gy_impute impute)
{
    return g_impute_names[impute];
}

gy_status gy_impute_parse(struct gy_str name, enum gy_impute *ret, struct gy_err *err)
{
    if (gy_str_eqc(name, "zero")) {
        *ret = GY_IMPUTE_CONSTANT;
        return GY_OK;
    }
    for (int i = 0; i < 4; i++) {
        if (gy_str_eqc(name, g_impute_names[i])) {
            *ret = (enum gy_impute)i;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "impute '%" GY_STR_F "' is not one of none, mean, median, zero, constant",
                      GY_STR_A(name));
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean_of(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += v[i];
    }
    return sum / (double)n;
}

static double fill_value(double *present, size_t n, enum gy_impute impute, double constant)
{
    if (n == 0 || impute == GY_IMPUTE_CONSTANT || impute == GY_IMPUTE_NONE) {
        return impute == GY_IMPUTE_CONSTANT ? constant : 0;
    }
    if (impute == GY_IMPUTE_MEAN) {
        return mean_of(present, n);
    }
    qsort(present, n, sizeof *present, compare_doubles);
    return n % 2 ? present[n / 2] : present[n / 2 - 1] / 2 + present[n / 2] / 2;
}

static void fit_scale(const double *column, const uint32_t *rows, size_t n, struct gy_feature *f)
{
    double sum = 0;
    double squares = 0;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        double v =
            isnan(column[rows[i]]) && f->impute != GY_IMPUTE_NONE ? f->fill : column[rows[i]];
        if (!isnan(v)) {
            sum += v;
            count++;
        }
    }
    f->mean = count ? sum / (double)count : 0;
    for (size_t i = 0; i < n; i++) {
        double v =
            isnan(column[rows[i]]) && f->impute != GY_IMPUTE_NONE ? f->fill : column[rows[i]];
        if (!isnan(v)) {
            squares += (v - f->mean) * (v - f->mean);
        }
    }
    double n_values = (double)count;
    double variance = count ? squares / n_values : 0;
    double rounding = n_values * f->mean * DBL_EPSILON;
    /* What the rounding of the mean alone can make of a constant column is no spread: divided by
     * it, any other value would become huge. As scikit-learn's _is_constant_feature. */
    bool constant =
        isfinite(variance) && variance <= n_values * DBL_EPSILON * variance + rounding * rounding;
    f->sd = constant ? 1 : sqrt(variance);
}

gy_status gy_features_fit(const double *const *columns, size_t n_columns, const uint32_t *rows,
                          size_t n_rows, enum gy_impute impute, double constant, bool scale,
                          struct gy_features *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_features_done) struct gy_features f = {.n = n_columns};
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n_rows, sizeof(double));
    f.items = gy_calloc(n_columns, sizeof *f.items);
    if (!f.items || !room) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", n_columns);
    }
    double *present = (double *)(void *)room;
    for (size_t c = 0; c < n_columns; c++) {
        size_t n = 0;
        for (size_t i = 0; i < n_rows; i++) {
            double v = columns[c][rows[i]];
            if (isinf(v)) {
                return gy_err_set(err, GY_E_INVALID, "feature %zu has an infinite value in row %u",
                                  c, (unsigned)rows[i]);
            }
            if (!isnan(v)) {
                present[n++] = v;
            }
        }
        f.items[c] = (struct gy_feature){.impute = impute,
                                         .fill = fill_value(present, n, impute, constant),
                                         .scale = scale,
                                         .sd = 1};
        if (scale) {
            fit_scale(columns[c], rows, n_rows, &f.items[c]);
        }
        if (!isfinite(f.items[c].fill) || !isfinite(f.items[c].mean) || !isfinite(f.items[c].sd)) {
            return gy_err_set(err, GY_E_INVALID,
                              "feature %zu has values too large for a mean or a deviation", c);
        }
    }
    *ret = f;
    f.items = NULL;
    return GY_OK;
}

void gy_features_done(struct gy_features *f)
{
    if (f) {
        gy_free(f->items);
        f->items = NULL;
        f->n = 0;
    }
}

void gy_features_apply(const struct gy_features *f, const double *in, size_t n_rows, double *out)
{
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t c = 0; c < f->n; c++) {
            const struct gy_feature *step = &f->items[c];
            double v = *in++;
            if (step->impute != GY_IMPUTE_NONE && isnan(v)) {
                v = step->fill;
            }
            *out++ = step->scale ? (v - step->mean) / step->sd : v;
        }
    }
}

bool gy_features_is_identity(const struct gy_features *f)
{
    for (size_t c = 0; c < f->n; c++) {
        if (f->items[c].impute != GY_IMPUTE_NONE || f->items[c].scale) {
            return false;
        }
    }
    return true;
}

void gy_feature_write(struct gy_jw *w, const struct gy_feature *f)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "impute", gy_impute_name(f->impute));
    if (f->impute != GY_IMPUTE_NONE) {
        gy_jw_kv_f64(w, "fill", f->fill);
    }
    if (f->scale) {
        gy_jw_kv_f64(w, "mean", f->mean);
        gy_jw_kv_f64(w, "sd", f->sd);
    }
    gy_jw_obj_end(w);
}

gy_status gy_feature_read(yyjson_val *v, struct gy_feature *ret, struct gy_err *err)
{
    struct gy_str impute;
    struct gy_feature f = {.sd = 1};
    GY_TRY(gy_json_need_str(v, "impute", &impute, err));
    GY_TRY(gy_impute_parse(impute, &f.impute, err));
    if (f.impute != GY_IMPUTE_NONE) {
        GY_TRY(gy_json_need_f64(v, "fill", &f.fill, err));
    }
    if (gy_json_get(v, "mean") || gy_json_get(v, "sd")) {
        f.scale = true;
        GY_TRY(gy_json_need_f64(v, "mean", &f.mean, err));
        GY_TRY(gy_json_need_f64(v, "sd", &f.sd, err));
        if (!(f.sd > 0)) {
            return gy_err_set(err, GY_E_INVALID, "'sd' must be positive");
        }
    }
    *ret = f;
    return GY_OK;
}
