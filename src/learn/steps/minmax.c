/* SPDX-License-Identifier: Apache-2.0 */
/* minmax: the training rows' least value becomes `low`, their greatest `high`, the rest in
 * proportion; as scikit-learn's MinMaxScaler. */
#include <float.h>
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

struct minmax {
    double *scale, *shift; /* beside step->in; those worked on alone */
    double low, high;
    bool clip;
};

static gy_status fit_column(const struct gy_step *s, struct minmax *m, size_t c,
                            const struct gy_step_rows *rows, double *room, struct gy_err *err)
{
    size_t n = 0;
    GY_TRY(gy_step_present(s, rows, c, room, &n, err));
    double least = n ? room[0] : 0;
    double most = least;
    for (size_t i = 0; i < n; i++) {
        least = room[i] < least ? room[i] : least;
        most = room[i] > most ? room[i] : most;
    }
    double range = most - least;
    if (range < 10 * DBL_EPSILON) { /* a constant: not blown up */
        range = 1;
    }
    m->scale[c] = (m->high - m->low) / range;
    m->shift[c] = m->low - least * m->scale[c];
    if (!isfinite(range) || !isfinite(m->shift[c])) {
        return gy_err_set(err, GY_E_INVALID, "feature '%" GY_STR_F "' has values too far apart",
                          GY_STR_A(s->in[c].name));
    }
    return GY_OK;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct minmax *m = gy_arena_calloc(a, 1, sizeof *m);
    double *numbers = gy_arena_calloc(a, 2 * s->n_in + 1, sizeof *numbers);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, rows->n_rows + 1, sizeof(double));
    if (!m || !numbers || !room) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
    }
    m->scale = numbers;
    m->shift = numbers + s->n_in;
    m->low = gy_setting_number(&s->settings, "low");
    m->high = gy_setting_number(&s->settings, "high");
    m->clip = gy_setting_flag(&s->settings, "clip");
    if (!(m->low < m->high)) {
        return gy_err_set(err, GY_E_INVALID, "step 'minmax': low must be less than high");
    }
    for (size_t c = 0; c < s->n_in; c++) {
        m->scale[c] = 1;
    }
    for (size_t k = 0; k < s->n_chosen; k++) {
        GY_TRY(fit_column(s, m, s->chosen[k], rows, (double *)(void *)room, err));
    }
    s->self = m;
    return gy_step_number_outputs(s, a, err);
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct minmax *m = s->self;
    gy_step_copy(s, in, n_rows, out);
    for (size_t r = 0; r < n_rows; r++, out += s->n_out) {
        for (size_t k = 0; k < s->n_chosen; k++) {
            size_t c = s->chosen[k];
            double v = out[c] * m->scale[c] + m->shift[c];
            if (m->clip) {
                v = v < m->low ? m->low : v > m->high ? m->high : v;
            }
            out[c] = v;
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct minmax *m = s->self;
    gy_jw_kv_f64(w, "low", m->low);
    gy_jw_kv_f64(w, "high", m->high);
    gy_jw_kv_bool(w, "clip", m->clip);
    gy_step_write_numbers(w, "scale", m->scale, s->n_in);
    gy_step_write_numbers(w, "shift", m->shift, s->n_in);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct minmax *m = gy_arena_calloc(a, 1, sizeof *m);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_json_need_f64(v, "low", &m->low, err));
    GY_TRY(gy_json_need_f64(v, "high", &m->high, err));
    m->clip = gy_json_bool(v, "clip", false);
    GY_TRY(gy_step_read_numbers(v, "scale", s->n_in, a, &m->scale, err));
    GY_TRY(gy_step_read_numbers(v, "shift", s->n_in, a, &m->shift, err));
    s->self = m;
    return gy_step_number_outputs(s, a, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"low", GY_SETTING_NUMBER, -1e300, 1e300, "0", NULL, "what the least value becomes"},
    {"high", GY_SETTING_NUMBER, -1e300, 1e300, "1", NULL, "what the greatest value becomes"},
    {"clip", GY_SETTING_FLAG, 0, 0, "false", NULL, "keep later values within low and high"},
    {0}};

const struct gy_step_ops gy_step_minmax = {.version = 1,
                                           .name = "minmax",
                                           .summary = "scaled to 0..1, or to low..high",
                                           .settings = g_settings,
                                           .takes = gy_step_takes_numbers,
                                           .can = gy_step_can_measure,
                                           .fit = fit,
                                           .apply = apply,
                                           .in_place = true,
                                           .write = write,
                                           .read = read};
