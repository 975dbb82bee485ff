/* SPDX-License-Identifier: Apache-2.0 */
/* impute: what a missing value becomes; of a category always the most frequent one, unless nothing
 * is to be filled in. With `indicator` a column "HR?" is added for each column
 * worked on, 1 where the value was missing. */
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

static const char *const g_names[] = {"none", "mean", "median", "mode", "constant"};

const char *gy_impute_name(enum gy_impute impute)
{
    return g_names[impute];
}

gy_status gy_impute_parse(struct gy_str name, enum gy_impute *ret, struct gy_err *err)
{
    if (gy_str_eqc(name, "zero")) {
        *ret = GY_IMPUTE_CONSTANT;
        return GY_OK;
    }
    for (size_t i = 0; i < sizeof g_names / sizeof g_names[0]; i++) {
        if (gy_str_eqc(name, g_names[i])) {
            *ret = (enum gy_impute)i;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "impute '%" GY_STR_F "' is not one of none, mean, median, mode, zero, "
                      "constant",
                      GY_STR_A(name));
}

static double mean_of(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += v[i];
    }
    return sum / (double)n;
}

/* The most frequent value, of equal ones the least. v is sorted. */
static double mode_of(const double *v, size_t n)
{
    double best = v[0];
    size_t most = 0;
    for (size_t i = 0, run = 0; i < n; i++) {
        run = i > 0 && v[i] == v[i - 1] ? run + 1 : 1;
        if (run > most) {
            most = run;
            best = v[i];
        }
    }
    return best;
}

static double fill_value(double *present, size_t n, enum gy_impute by, double constant)
{
    if (by == GY_IMPUTE_NONE) {
        return NAN;
    }
    if (by == GY_IMPUTE_CONSTANT) {
        return constant;
    }
    if (n == 0) {
        return 0;
    }
    if (by == GY_IMPUTE_MEAN) {
        return mean_of(present, n);
    }
    gy_step_sort(present, n);
    if (by == GY_IMPUTE_MODE) {
        return mode_of(present, n);
    }
    return n % 2 ? present[n / 2] : present[n / 2 - 1] / 2 + present[n / 2] / 2;
}

/* `by` is a way, or a number: that constant. */
static gy_status way_of(const struct gy_settings *s, enum gy_impute *ret, double *ret_constant,
                        struct gy_err *err)
{
    struct gy_str by = gy_setting_text(s, "by");
    double value = gy_setting_number(s, "value");
    *ret_constant = isnan(value) ? 0 : value;
    if (gy_parse_f64(by, &value, NULL) == GY_OK) {
        *ret = GY_IMPUTE_CONSTANT;
        *ret_constant = value;
        return GY_OK;
    }
    return gy_impute_parse(by, ret, err);
}

static gy_status add_indicators(struct gy_step *s, struct gy_arena *a, struct gy_err *err)
{
    GY_TRY(gy_step_outputs(s, s->n_in + s->n_chosen, a, err));
    for (size_t i = 0; i < s->n_in; i++) {
        s->out[i] = s->in[i];
    }
    for (size_t k = 0; k < s->n_chosen; k++) {
        const char *name = gy_arena_printf(a, "%" GY_STR_F "?", GY_STR_A(s->in[s->chosen[k]].name));
        if (!name) {
            return gy_err_set(err, GY_E_NOMEM, "a feature");
        }
        s->out[s->n_in + k] = (struct gy_feature){.name = gy_str_c(name)};
    }
    return GY_OK;
}

static gy_status outputs(struct gy_step *s, const struct gy_imputed *m, struct gy_arena *a,
                         struct gy_err *err)
{
    return m->indicator ? add_indicators(s, a, err) : gy_step_same_outputs(s, a, err);
}

static enum gy_impute way_for(const struct gy_feature *column, enum gy_impute by)
{
    bool names = column->kind == GY_FEATURE_CATEGORY || column->kind == GY_FEATURE_HASHED;
    return names && by != GY_IMPUTE_NONE ? GY_IMPUTE_MODE : by;
}

static bool takes(const struct gy_feature *column)
{
    return column->kind != GY_FEATURE_PIXEL;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct gy_imputed *m = gy_arena_calloc(a, 1, sizeof *m);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, rows->n_rows + 1, sizeof(double));
    double constant = 0;
    if (m) {
        m->fill = gy_arena_calloc(a, s->n_in + 1, sizeof *m->fill);
    }
    if (!m || !m->fill || !room) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
    }
    GY_TRY(way_of(&s->settings, &m->by, &constant, err));
    m->indicator = gy_setting_flag(&s->settings, "indicator");
    double *present = (double *)(void *)room;
    for (size_t c = 0; c < s->n_in; c++) {
        size_t n = 0;
        m->fill[c] = NAN;
        if (!gy_step_chose(s, c)) {
            continue;
        }
        GY_TRY(gy_step_present(s, rows, c, present, &n, err));
        m->fill[c] = fill_value(present, n, way_for(&s->in[c], m->by), constant);
        if (isinf(m->fill[c]) || (isnan(m->fill[c]) && m->by != GY_IMPUTE_NONE)) {
            return gy_err_set(err, GY_E_INVALID,
                              "feature '%" GY_STR_F "' has values too large for a mean",
                              GY_STR_A(s->in[c].name));
        }
    }
    s->self = m;
    return outputs(s, m, a, err);
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct gy_imputed *m = s->self;
    for (size_t r = 0; r < n_rows; r++, in += s->n_in, out += s->n_out) {
        for (size_t k = 0; m->indicator && k < s->n_chosen; k++) {
            out[s->n_in + k] = isnan(in[s->chosen[k]]) ? 1 : 0;
        }
        for (size_t c = 0; c < s->n_in; c++) {
            out[c] = isnan(in[c]) ? m->fill[c] : in[c];
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct gy_imputed *m = s->self;
    gy_jw_kv_strc(w, "by", gy_impute_name(m->by));
    gy_jw_kv_bool(w, "indicator", m->indicator);
    gy_step_write_numbers(w, "fill", m->fill, s->n_in);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct gy_imputed *m = gy_arena_calloc(a, 1, sizeof *m);
    struct gy_str by;
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_json_need_str(v, "by", &by, err));
    GY_TRY(gy_impute_parse(by, &m->by, err));
    m->indicator = gy_json_bool(v, "indicator", false);
    GY_TRY(gy_step_read_numbers(v, "fill", s->n_in, a, &m->fill, err));
    s->self = m;
    return outputs(s, m, a, err);
}

static const char *const g_ways[] = {"none", "mean", "median", "mode", "zero", "constant", NULL};
static const struct gy_setting_spec g_settings[] = {
    {"by", GY_SETTING_NUMBER, -1e300, 1e300, "median", g_ways, "how, or a number to put in"},
    {"value", GY_SETTING_NUMBER, -1e300, 1e300, NULL, NULL, "the number of `by: constant`"},
    {"indicator", GY_SETTING_FLAG, 0, 0, "false", NULL,
     "add a column NAME? that is 1 where the value was missing"},
    {0}};

const struct gy_step_ops gy_step_impute = {.version = 1,
                                           .name = "impute",
                                           .summary = "what a missing value becomes",
                                           .settings = g_settings,
                                           .takes = takes,
                                           .fit = fit,
                                           .apply = apply,
                                           .in_place = true,
                                           .write = write,
                                           .read = read};
