/* SPDX-License-Identifier: Apache-2.0 */
/* log: the logarithm of value + offset. Offset 1 is log1p, which keeps small values exact. What has
 * no logarithm stops the fit, because a column with such values is a mistake; at serving it is
 * missing. */
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

enum base { BASE_E, BASE_2, BASE_10, BASES };
static const char *const g_bases[] = {"e", "2", "10", NULL};

struct logged {
    double offset;
    enum base base;
};

static double log_of(const struct logged *m, double v)
{
    double moved = v + m->offset;
    if (!(moved > 0)) {
        return NAN;
    }
    switch (m->base) {
    case BASE_2:
        return log2(moved);
    case BASE_10:
        return log10(moved);
    case BASE_E:
    case BASES:
        break;
    }
    return m->offset == 1 ? log1p(v) : log(moved);
}

static gy_status check_column(const struct gy_step *s, const struct logged *m, size_t c,
                              const struct gy_step_rows *rows, double *room, struct gy_err *err)
{
    size_t n = 0;
    GY_TRY(gy_step_present(s, rows, c, room, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (!(room[i] + m->offset > 0)) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "step 'log': column '%" GY_STR_F
                             "' has the value %g: %g + offset %g has no logarithm",
                             GY_STR_A(s->in[c].name), room[i], room[i], m->offset);
            return gy_err_hint(err, "a greater offset, another column, or clip ahead of it");
        }
    }
    return GY_OK;
}

static enum base base_of(struct gy_str text)
{
    for (int i = 0; i < BASES; i++) {
        if (gy_str_eqc(text, g_bases[i])) {
            return (enum base)i;
        }
    }
    return BASES;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct logged *m = gy_arena_calloc(a, 1, sizeof *m);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, rows->n_rows + 1, sizeof(double));
    if (!m || !room) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
    }
    m->offset = gy_setting_number(&s->settings, "offset");
    m->base = base_of(gy_setting_text(&s->settings, "base"));
    for (size_t k = 0; k < s->n_chosen; k++) {
        GY_TRY(check_column(s, m, s->chosen[k], rows, (double *)(void *)room, err));
    }
    s->self = m;
    return gy_step_number_outputs(s, a, err);
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct logged *m = s->self;
    gy_step_copy(s, in, n_rows, out);
    for (size_t r = 0; r < n_rows; r++, out += s->n_out) {
        for (size_t k = 0; k < s->n_chosen; k++) {
            out[s->chosen[k]] = log_of(m, out[s->chosen[k]]);
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct logged *m = s->self;
    gy_jw_kv_f64(w, "offset", m->offset);
    gy_jw_kv_strc(w, "base", g_bases[m->base]);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct logged *m = gy_arena_calloc(a, 1, sizeof *m);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_json_need_f64(v, "offset", &m->offset, err));
    m->base = base_of(gy_json_str(v, "base"));
    if (m->base == BASES) {
        return gy_err_set(err, GY_E_CORRUPT, "a logarithm's base is not known");
    }
    s->self = m;
    return gy_step_number_outputs(s, a, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"offset", GY_SETTING_NUMBER, -1e300, 1e300, "1", NULL, "added before; 0: the plain logarithm"},
    {"base", GY_SETTING_WORD, 0, 0, "e", g_bases, "of the logarithm"},
    {0}};

const struct gy_step_ops gy_step_log = {.version = 1,
                                        .name = "log",
                                        .summary = "log(value + 1), or log(value + offset)",
                                        .settings = g_settings,
                                        .takes = gy_step_takes_numbers,
                                        .can = gy_step_can_measure,
                                        .fit = fit,
                                        .apply = apply,
                                        .in_place = true,
                                        .write = write,
                                        .read = read};
