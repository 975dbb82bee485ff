/* SPDX-License-Identifier: Apache-2.0 */
/* clip: values beyond a bound become the bound. The bounds are given, or are quantiles of the
 * training rows. */
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

struct clip {
    double *low, *high; /* beside step->in; NaN: no bound */
};

static gy_status fit_quantiles(const struct gy_step *s, struct clip *m,
                               const struct gy_step_rows *rows, struct gy_err *err)
{
    struct gy_str text = gy_setting_text(&s->settings, "quantiles");
    double q[2] = {NAN, NAN};
    struct gy_str item;
    size_t n_q = 0;
    while (gy_setting_next(&text, &item)) {
        if (n_q == 2 || gy_parse_f64(item, &q[n_q], NULL) != GY_OK) {
            n_q = 0;
            break;
        }
        n_q++;
    }
    if (n_q != 2 || !(q[0] < q[1])) {
        return gy_err_set(err, GY_E_INVALID, "step 'clip': quantiles must be two, [0.01, 0.99]");
    }
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, rows->n_rows + 1, sizeof(double));
    double *v = (double *)(void *)room;
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
    }
    for (size_t k = 0; k < s->n_chosen; k++) {
        size_t n = 0;
        GY_TRY(gy_step_present(s, rows, s->chosen[k], v, &n, err));
        gy_step_sort(v, n);
        if (n > 0) {
            m->low[s->chosen[k]] = gy_step_quantile(v, n, q[0]);
            m->high[s->chosen[k]] = gy_step_quantile(v, n, q[1]);
        }
    }
    return GY_OK;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct clip *m = gy_arena_calloc(a, 1, sizeof *m);
    double *numbers = gy_arena_calloc(a, 2 * s->n_in + 1, sizeof *numbers);
    double low = gy_setting_number(&s->settings, "low");
    double high = gy_setting_number(&s->settings, "high");
    bool fitted = gy_setting_given(&s->settings, "quantiles");
    if (!m || !numbers) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
    }
    if (fitted != (isnan(low) && isnan(high)) || low > high) {
        (void)gy_err_set(err, GY_E_INVALID, "step 'clip' needs low, high or both, or quantiles");
        return gy_err_hint(err, "clip: {low: 0, high: 300} or clip: {quantiles: [0.01, 0.99]}");
    }
    m->low = numbers;
    m->high = numbers + s->n_in;
    for (size_t c = 0; c < s->n_in; c++) {
        bool chosen = gy_step_chose(s, c);
        m->low[c] = chosen ? low : NAN;
        m->high[c] = chosen ? high : NAN;
    }
    s->self = m;
    if (fitted) {
        GY_TRY(fit_quantiles(s, m, rows, err));
    }
    return gy_step_same_outputs(s, a, err);
}

/* A comparison with NaN is false: no bound, and a missing value stays missing. */
static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct clip *m = s->self;
    gy_step_copy(s, in, n_rows, out);
    for (size_t r = 0; r < n_rows; r++, out += s->n_out) {
        for (size_t k = 0; k < s->n_chosen; k++) {
            size_t c = s->chosen[k];
            out[c] = out[c] < m->low[c] ? m->low[c] : out[c] > m->high[c] ? m->high[c] : out[c];
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct clip *m = s->self;
    gy_step_write_numbers(w, "low", m->low, s->n_in);
    gy_step_write_numbers(w, "high", m->high, s->n_in);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct clip *m = gy_arena_calloc(a, 1, sizeof *m);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_step_read_numbers(v, "low", s->n_in, a, &m->low, err));
    GY_TRY(gy_step_read_numbers(v, "high", s->n_in, a, &m->high, err));
    s->self = m;
    return gy_step_same_outputs(s, a, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"quantiles", GY_SETTING_LIST, 0, 1, NULL, NULL, "of the training rows, [0.01, 0.99]"},
    {"low", GY_SETTING_NUMBER, -1e300, 1e300, NULL, NULL, "the least value"},
    {"high", GY_SETTING_NUMBER, -1e300, 1e300, NULL, NULL, "the greatest value"},
    {0}};

const struct gy_step_ops gy_step_clip = {.version = 1,
                                         .name = "clip",
                                         .summary = "no value beyond given bounds or quantiles",
                                         .settings = g_settings,
                                         .takes = gy_step_takes_numbers,
                                         .can = gy_step_can_measure,
                                         .fit = fit,
                                         .apply = apply,
                                         .in_place = true,
                                         .write = write,
                                         .read = read};
