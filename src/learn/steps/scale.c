/* SPDX-License-Identifier: Apache-2.0 */
/* zscore: (value - mean) / sd of the training rows, population form. */
#include <float.h>
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

/* What the rounding of the mean alone can make of a constant column is no spread: divided by it,
 * any other value would become huge. As scikit-learn's _is_constant_feature. */
static bool is_constant(double variance, double n, double mean)
{
    double rounding = n * mean * DBL_EPSILON;
    return isfinite(variance) && variance <= n * DBL_EPSILON * variance + rounding * rounding;
}

static gy_status fit_column(struct gy_scaled *m, size_t c, const double *v, size_t n,
                            const struct gy_feature *column, struct gy_err *err)
{
    double sum = 0;
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += v[i];
    }
    double mean = n ? sum / (double)n : 0;
    for (size_t i = 0; i < n; i++) {
        squares += (v[i] - mean) * (v[i] - mean);
    }
    double variance = n ? squares / (double)n : 0;
    m->mean[c] = mean;
    m->sd[c] = is_constant(variance, (double)n, mean) ? 1 : sqrt(variance);
    if (!isfinite(mean) || !isfinite(m->sd[c])) {
        return gy_err_set(err, GY_E_INVALID,
                          "feature '%" GY_STR_F "' has values too large for a mean or a deviation",
                          GY_STR_A(column->name));
    }
    return GY_OK;
}

static struct gy_scaled *new_self(const struct gy_step *s, struct gy_arena *a)
{
    struct gy_scaled *m = gy_arena_calloc(a, 1, sizeof *m);
    if (m) {
        m->mean = gy_arena_calloc(a, s->n_in + 1, sizeof *m->mean);
        m->sd = gy_arena_calloc(a, s->n_in + 1, sizeof *m->sd);
    }
    return m && m->mean && m->sd ? m : NULL;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct gy_scaled *m = new_self(s, a);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, rows->n_rows + 1, sizeof(double));
    if (!m || !room) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
    }
    double *present = (double *)(void *)room;
    for (size_t c = 0; c < s->n_in; c++) {
        size_t n = 0;
        m->sd[c] = 1;
        if (gy_step_chose(s, c)) {
            GY_TRY(gy_step_present(s, rows, c, present, &n, err));
            GY_TRY(fit_column(m, c, present, n, &s->in[c], err));
        }
    }
    s->self = m;
    return gy_step_same_outputs(s, a, err);
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct gy_scaled *m = s->self;
    for (size_t r = 0; r < n_rows; r++, in += s->n_in, out += s->n_in) {
        for (size_t c = 0; c < s->n_in; c++) {
            out[c] = (in[c] - m->mean[c]) / m->sd[c];
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct gy_scaled *m = s->self;
    gy_step_write_numbers(w, "mean", m->mean, s->n_in);
    gy_step_write_numbers(w, "sd", m->sd, s->n_in);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct gy_scaled *m = gy_arena_calloc(a, 1, sizeof *m);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_step_read_numbers(v, "mean", s->n_in, a, &m->mean, err));
    GY_TRY(gy_step_read_numbers(v, "sd", s->n_in, a, &m->sd, err));
    for (size_t c = 0; c < s->n_in; c++) {
        if (!(m->sd[c] > 0)) {
            return gy_err_set(err, GY_E_INVALID, "'sd' must be positive");
        }
    }
    s->self = m;
    return gy_step_same_outputs(s, a, err);
}

const struct gy_step_ops gy_step_zscore = {.version = 1,
                                           .name = "zscore",
                                           .summary = "(value - mean) / standard deviation",
                                           .takes = gy_step_takes_numbers,
                                           .fit = fit,
                                           .apply = apply,
                                           .in_place = true,
                                           .write = write,
                                           .read = read};
