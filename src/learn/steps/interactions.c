/* SPDX-License-Identifier: Apache-2.0 */
/* interactions: products of two columns, "wght*year", behind the columns there are: of the pairs
 * named, or of every pair of the columns worked on. */
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

struct interactions {
    uint32_t (*pairs)[2];
    size_t n_pairs;
};

static size_t find_column(const struct gy_step *s, struct gy_str name)
{
    for (size_t i = 0; i < s->n_in; i++) {
        if (gy_str_eq(s->in[i].name, name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* "a*b"; names may hold a star themselves: the first one with a column on both sides. */
static gy_status read_pair(const struct gy_step *s, struct gy_str text, uint32_t ret[2],
                           struct gy_err *err)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '*') {
            continue;
        }
        size_t a = find_column(s, gy_str_trim(gy_str_n(text.p, i)));
        size_t b = find_column(s, gy_str_trim(gy_str_n(text.p + i + 1, text.n - i - 1)));
        if (a != SIZE_MAX && b != SIZE_MAX) {
            ret[0] = (uint32_t)a;
            ret[1] = (uint32_t)b;
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_NOTFOUND,
                     "step 'interactions': '%" GY_STR_F "' is not two columns, a*b",
                     GY_STR_A(text));
    return gy_err_hint(err, "a step sees what the steps before it made");
}

static gy_status need_number(const struct gy_step *s, const uint32_t pair[2], struct gy_err *err)
{
    for (int i = 0; i < 2; i++) {
        if (s->in[pair[i]].kind != GY_FEATURE_NUMBER) {
            return gy_err_set(err, GY_E_INVALID,
                              "step 'interactions': column '%" GY_STR_F "' holds no numbers",
                              GY_STR_A(s->in[pair[i]].name));
        }
    }
    return GY_OK;
}

static gy_status room_for(struct interactions *m, size_t n, struct gy_arena *a, struct gy_err *err)
{
    if (n > GY_FEATURES_MAX) {
        (void)gy_err_set(err, GY_E_TOOBIG, "step 'interactions': %zu pairs; at most %d", n,
                         GY_FEATURES_MAX);
        return gy_err_hint(err, "name the pairs: interactions: [a*b, a*c]");
    }
    m->pairs = gy_arena_calloc(a, n + 1, sizeof *m->pairs);
    return m->pairs ? GY_OK : gy_err_set(err, GY_E_NOMEM, "a feature step");
}

static gy_status named_pairs(const struct gy_step *s, struct interactions *m, struct gy_arena *a,
                             struct gy_err *err)
{
    struct gy_str text = gy_setting_text(&s->settings, "pairs");
    struct gy_str item;
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == '\n';
    }
    GY_TRY(room_for(m, n, a, err));
    while (gy_setting_next(&text, &item)) {
        GY_TRY(read_pair(s, item, m->pairs[m->n_pairs], err));
        GY_TRY(need_number(s, m->pairs[m->n_pairs++], err));
    }
    return GY_OK;
}

static gy_status all_pairs(const struct gy_step *s, struct interactions *m, struct gy_arena *a,
                           struct gy_err *err)
{
    size_t n = s->n_chosen;
    GY_TRY(room_for(m, n ? n * (n - 1) / 2 : 0, a, err));
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            m->pairs[m->n_pairs][0] = s->chosen[i];
            m->pairs[m->n_pairs++][1] = s->chosen[j];
        }
    }
    return GY_OK;
}

static gy_status outputs(struct gy_step *s, struct interactions *m, struct gy_arena *a,
                         struct gy_err *err)
{
    GY_TRY(gy_step_outputs(s, s->n_in + m->n_pairs, a, err));
    for (size_t i = 0; i < s->n_in; i++) {
        s->out[i] = s->in[i];
    }
    for (size_t i = 0; i < m->n_pairs; i++) {
        GY_TRY(gy_step_named(&s->out[s->n_in + i],
                             gy_arena_printf(a, "%" GY_STR_F "*%" GY_STR_F,
                                             GY_STR_A(s->in[m->pairs[i][0]].name),
                                             GY_STR_A(s->in[m->pairs[i][1]].name)),
                             err));
    }
    s->self = m;
    return GY_OK;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct interactions *m = gy_arena_calloc(a, 1, sizeof *m);
    (void)rows; /* nothing to learn */
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_setting_given(&s->settings, "pairs") ? named_pairs(s, m, a, err)
                                                   : all_pairs(s, m, a, err));
    return outputs(s, m, a, err);
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct interactions *m = s->self;
    for (size_t r = 0; r < n_rows; r++, in += s->n_in, out += s->n_out) {
        memcpy(out, in, s->n_in * sizeof *out);
        for (size_t i = 0; i < m->n_pairs; i++) {
            out[s->n_in + i] = in[m->pairs[i][0]] * in[m->pairs[i][1]];
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct interactions *m = s->self;
    gy_jw_key(w, "pairs");
    gy_jw_arr(w);
    for (size_t i = 0; i < m->n_pairs; i++) {
        gy_jw_arr(w);
        gy_jw_u64(w, m->pairs[i][0]);
        gy_jw_u64(w, m->pairs[i][1]);
        gy_jw_arr_end(w);
    }
    gy_jw_arr_end(w);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct interactions *m = gy_arena_calloc(a, 1, sizeof *m);
    yyjson_val *array = NULL;
    yyjson_val *item;
    yyjson_arr_iter it;
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_json_need_arr(v, "pairs", &array, err));
    GY_TRY(room_for(m, yyjson_arr_size(array), a, err));
    yyjson_arr_iter_init(array, &it);
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        for (size_t i = 0; i < 2; i++) {
            yyjson_val *at = yyjson_arr_get(item, i);
            if (!yyjson_is_uint(at) || yyjson_get_uint(at) >= s->n_in) {
                return gy_err_set(err, GY_E_CORRUPT, "a pair names a column that is not there");
            }
            m->pairs[m->n_pairs][i] = (uint32_t)yyjson_get_uint(at);
        }
        m->n_pairs++;
    }
    return outputs(s, m, a, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"pairs", GY_SETTING_LIST, 0, 0, NULL, NULL, "[a*b, a*c]; usually every pair"}, {0}};

const struct gy_step_ops gy_step_interactions = {.version = 1,
                                                 .name = "interactions",
                                                 .summary = "products of two columns",
                                                 .settings = g_settings,
                                                 .takes = gy_step_takes_numbers,
                                                 .fit = fit,
                                                 .apply = apply,
                                                 .write = write,
                                                 .read = read};
