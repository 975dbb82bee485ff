/* SPDX-License-Identifier: Apache-2.0 */
/* ordinal: a column that names things becomes the number of the thing: 0, 1, 2, ... in the order
 * given, else sorted; as scikit-learn's OrdinalEncoder. */
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

struct ordered {
    struct gy_keys keys;
    double *codes; /* beside keys; NaN: not in the order given */
};

struct ordinal {
    struct ordered *columns; /* beside step->chosen */
    double unseen;           /* NaN: missing */
};

static const char *const g_unseen[] = {"missing", NULL};

/* The place of each key in the order given; a key that is not in there counts as unseen. */
static gy_status order_of(const struct gy_step *s, const struct gy_feature *in, struct ordered *o,
                          struct gy_err *err)
{
    char scratch[40];
    for (size_t i = 0; i < o->keys.n; i++) {
        struct gy_str order = gy_setting_text(&s->settings, "order");
        struct gy_str text = gy_key_text(in, o->keys.values[i], scratch);
        struct gy_str item;
        double at = 0;
        o->codes[i] = NAN;
        for (; isnan(o->codes[i]) && gy_setting_next(&order, &item); at++) {
            o->codes[i] = gy_str_eq(item, text) ? at : NAN;
        }
        if (isnan(o->codes[i])) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "step 'ordinal': '%" GY_STR_F "' of column '%" GY_STR_F
                             "' is not in its order",
                             GY_STR_A(text), GY_STR_A(in->name));
            return gy_err_hint(err, "order: [..] must name every value that training has");
        }
    }
    return GY_OK;
}

static gy_status fit_column(struct gy_step *s, struct ordered *o, size_t c,
                            const struct gy_step_rows *rows, struct gy_arena *a, struct gy_err *err)
{
    GY_TRY(gy_step_keys(s, rows, c, a, &o->keys, err));
    o->codes = gy_arena_calloc(a, o->keys.n + 1, sizeof *o->codes);
    if (!o->codes) {
        return gy_err_set(err, GY_E_NOMEM, "fitting a feature step");
    }
    for (size_t i = 0; i < o->keys.n; i++) {
        o->codes[i] = (double)i;
    }
    return gy_setting_given(&s->settings, "order") ? order_of(s, &s->in[c], o, err) : GY_OK;
}

static struct ordinal *new_self(const struct gy_step *s, struct gy_arena *a)
{
    struct ordinal *m = gy_arena_calloc(a, 1, sizeof *m);
    if (m) {
        m->columns = gy_arena_calloc(a, s->n_chosen + 1, sizeof *m->columns);
    }
    return m && m->columns ? m : NULL;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct ordinal *m = new_self(s, a);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
    }
    if (s->n_chosen == 0) {
        return gy_step_no_category(s, err);
    }
    if (gy_setting_given(&s->settings, "order") && s->n_chosen != 1) {
        (void)gy_err_set(err, GY_E_INVALID, "step 'ordinal': an order is for one column, not %zu",
                         s->n_chosen);
        return gy_err_hint(err, "name it: ordinal: {columns: [size], order: [S, M, L]}");
    }
    m->unseen = gy_setting_number(&s->settings, "unseen");
    for (size_t k = 0; k < s->n_chosen; k++) {
        GY_TRY(fit_column(s, &m->columns[k], s->chosen[k], rows, a, err));
    }
    s->self = m;
    return gy_step_number_outputs(s, a, err);
}

static double code_of(const struct ordered *o, double v, double unseen)
{
    size_t i = isnan(v) ? SIZE_MAX : gy_keys_find(&o->keys, v);
    return isnan(v) ? v : i == SIZE_MAX ? unseen : o->codes[i];
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct ordinal *m = s->self;
    gy_step_copy(s, in, n_rows, out);
    for (size_t r = 0; r < n_rows; r++, out += s->n_out) {
        for (size_t k = 0; k < s->n_chosen; k++) {
            out[s->chosen[k]] = code_of(&m->columns[k], out[s->chosen[k]], m->unseen);
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct ordinal *m = s->self;
    if (!isnan(m->unseen)) {
        gy_jw_kv_f64(w, "unseen", m->unseen);
    }
    gy_jw_key(w, "ordinal");
    gy_jw_arr(w);
    for (size_t k = 0; k < s->n_chosen; k++) {
        gy_jw_obj(w);
        gy_step_write_numbers(w, "values", m->columns[k].keys.values, m->columns[k].keys.n);
        gy_step_write_numbers(w, "codes", m->columns[k].codes, m->columns[k].keys.n);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct ordinal *m = new_self(s, a);
    yyjson_val *array = NULL;
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    m->unseen = gy_json_f64(v, "unseen", NAN);
    GY_TRY(gy_json_need_arr(v, "ordinal", &array, err));
    if (yyjson_arr_size(array) != s->n_chosen) {
        return gy_err_set(err, GY_E_CORRUPT, "there must be codes for every column of ordinal");
    }
    for (size_t k = 0; k < s->n_chosen; k++) {
        struct ordered *o = &m->columns[k];
        yyjson_val *item = yyjson_arr_get(array, k);
        GY_TRY(gy_keys_read(item, "values", &s->in[s->chosen[k]], a, &o->keys, err));
        GY_TRY(gy_step_read_numbers(item, "codes", o->keys.n, a, &o->codes, err));
    }
    s->self = m;
    return gy_step_number_outputs(s, a, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"unseen", GY_SETTING_NUMBER, -1e300, 1e300, "-1", g_unseen, "what training has not seen"},
    {"order", GY_SETTING_LIST, 0, 0, NULL, NULL, "the values from 0 on; usually sorted"},
    {0}};

const struct gy_step_ops gy_step_ordinal = {.version = 1,
                                            .name = "ordinal",
                                            .summary = "a category becomes its number in an order",
                                            .settings = g_settings,
                                            .takes = gy_step_takes_categories,
                                            .can = gy_step_can_tell_apart,
                                            .fit = fit,
                                            .apply = apply,
                                            .in_place = true,
                                            .write = write,
                                            .read = read};
