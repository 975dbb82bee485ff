/* SPDX-License-Identifier: Apache-2.0 */
/* select: keep the columns whose correlation with the target is strong enough, or the columns
 * named; drop: leave the columns named out. Both are a list of columns kept. */
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

struct kept {
    uint32_t *columns; /* ascending; n_out */
};

/* Pearson's r of column c with the target over the rows that have both; 0 for a constant. */
static double correlation(const struct gy_step *s, const struct gy_step_rows *rows, size_t c)
{
    double n = 0, mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < rows->n_rows; i++) {
        double x = rows->x[i * s->n_in + c];
        if (!isnan(x) && !isnan(rows->y[i])) {
            n++;
            mean_x += x;
            mean_y += rows->y[i];
        }
    }
    mean_x /= n > 0 ? n : 1;
    mean_y /= n > 0 ? n : 1;
    for (size_t i = 0; i < rows->n_rows; i++) {
        double x = rows->x[i * s->n_in + c];
        if (!isnan(x) && !isnan(rows->y[i])) {
            double dx = x - mean_x;
            double dy = rows->y[i] - mean_y;
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }
    }
    double r = xx > 0 && yy > 0 ? xy / (sqrt(xx) * sqrt(yy)) : 0;
    return isfinite(r) ? r : 0;
}

static gy_status outputs(struct gy_step *s, const uint32_t *columns, size_t n, struct gy_arena *a,
                         struct gy_err *err)
{
    GY_TRY(gy_step_outputs(s, n, a, err));
    for (size_t i = 0; i < n; i++) {
        s->out[i] = s->in[columns[i]];
    }
    return GY_OK;
}

static gy_status new_self(const struct gy_step *s, struct gy_arena *a, struct kept **ret,
                          struct gy_err *err)
{
    *ret = gy_arena_calloc(a, 1, sizeof **ret);
    if (*ret) {
        (*ret)->columns = gy_arena_calloc(a, s->n_in + 1, sizeof *(*ret)->columns);
    }
    return *ret && (*ret)->columns ? GY_OK : gy_err_set(err, GY_E_NOMEM, "a feature step");
}

static gy_status none_left(const struct gy_step *s, double wanted, double best, size_t at,
                           struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID,
                     "step 'select': no column's |r| with the target reaches %g; the strongest is "
                     "'%" GY_STR_F "' with %.3g",
                     wanted, GY_STR_A(s->in[at].name), best);
    return gy_err_hint(err, "a lower r, or the columns by name: select: [a, b]");
}

/* With r, only the columns worked on are measured; the others stay. Without, only they stay. */
static gy_status fit_select(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                            struct gy_err *err)
{
    struct kept *m = NULL;
    double wanted = gy_setting_number(&s->settings, "r");
    double best = -1;
    size_t n = 0, best_at = 0, n_strong = 0;
    GY_TRY(new_self(s, a, &m, err));
    if (s->n_chosen == 0) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "step 'select': there is no column of numbers to choose from");
        return gy_err_hint(err, "ahead of it, onehot or ordinal make numbers of categories");
    }
    for (size_t i = 0; i < s->n_in; i++) {
        bool chosen = gy_step_chose(s, i);
        bool keep = chosen == (isnan(wanted) != 0);
        if (chosen && !isnan(wanted)) {
            double r = fabs(correlation(s, rows, i));
            best_at = r > best ? i : best_at;
            best = r > best ? r : best;
            keep = r >= wanted;
            n_strong += keep;
        }
        if (keep) {
            m->columns[n++] = (uint32_t)i;
        }
    }
    s->self = m;
    bool weak = !isnan(wanted) && n_strong == 0;
    return weak ? none_left(s, wanted, best, best_at, err) : outputs(s, m->columns, n, a, err);
}

static gy_status fit_drop(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                          struct gy_err *err)
{
    struct kept *m = NULL;
    size_t n = 0;
    (void)rows; /* nothing to learn */
    GY_TRY(new_self(s, a, &m, err));
    for (size_t i = 0; i < s->n_in; i++) {
        if (!gy_step_chose(s, i)) {
            m->columns[n++] = (uint32_t)i;
        }
    }
    if (n == 0 || n == s->n_in) {
        (void)gy_err_set(err, GY_E_INVALID, "step 'drop' leaves %s column out", n ? "no" : "every");
        return gy_err_hint(err, "name what to leave out: drop: [a, b]");
    }
    s->self = m;
    return outputs(s, m->columns, n, a, err);
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct kept *m = s->self;
    for (size_t r = 0; r < n_rows; r++, in += s->n_in, out += s->n_out) {
        for (size_t i = 0; i < s->n_out; i++) {
            out[i] = in[m->columns[i]];
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct kept *m = s->self;
    gy_jw_key(w, "kept");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_out; i++) {
        gy_jw_u64(w, m->columns[i]);
    }
    gy_jw_arr_end(w);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct kept *m = NULL;
    yyjson_val *array = NULL;
    GY_TRY(gy_json_need_arr(v, "kept", &array, err));
    GY_TRY(new_self(s, a, &m, err));
    size_t n = yyjson_arr_size(array);
    for (size_t i = 0; i < n; i++) {
        yyjson_val *item = yyjson_arr_get(array, i);
        uint64_t at = yyjson_is_uint(item) ? yyjson_get_uint(item) : UINT64_MAX;
        if (at >= s->n_in || (i > 0 && at <= m->columns[i - 1])) {
            return gy_err_set(err, GY_E_CORRUPT, "a step keeps a column that is not there");
        }
        m->columns[i] = (uint32_t)at;
    }
    s->self = m;
    return outputs(s, m->columns, n, a, err);
}

static bool any(const struct gy_feature *column)
{
    (void)column;
    return true;
}

static const struct gy_setting_spec g_settings[] = {
    {"r", GY_SETTING_NUMBER, 0, 1, NULL, NULL,
     "keep where |Pearson r| with the target (a class: its number) is at least this"},
    {0}};

const struct gy_step_ops gy_step_select = {.version = 1,
                                           .name = "select",
                                           .summary = "keep columns by correlation or by name",
                                           .settings = g_settings,
                                           .takes = gy_step_takes_numbers,
                                           .can = any,
                                           .fit = fit_select,
                                           .apply = apply,
                                           .write = write,
                                           .read = read};

const struct gy_step_ops gy_step_drop = {.version = 1,
                                         .name = "drop",
                                         .summary = "leave columns out",
                                         .takes = gy_step_takes_none,
                                         .can = any,
                                         .fit = fit_drop,
                                         .apply = apply,
                                         .write = write,
                                         .read = read};
