/* SPDX-License-Identifier: Apache-2.0 */
/* polynomial: all products of the columns worked on up to a degree, "wght^2", "wght*year", behind
 * the columns there are. Terms, their order and how they are multiplied (the first column times the
 * term of the rest) are those of scikit-learn's PolynomialFeatures: equal bits. */
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

#define MAX_DEGREE 5

/* A term of degree 2 or more: a column times an output of one degree less. */
struct term {
    uint32_t column, parent;
};

struct polynomial {
    int degree;
    bool interaction_only, bias;
    struct term *terms;
    size_t n_terms;
};

/* How many terms of degree 2.. there are; more than GY_FEATURES_MAX: that and one. */
static size_t count_terms(size_t n, int degree, bool interaction_only)
{
    double total = 0;
    double term = 1;
    for (int d = 1; d <= degree; d++) {
        double free = interaction_only ? (double)n - d + 1 : (double)n + d - 1;
        term = free > 0 ? term * free / d : 0;
        total += d > 1 ? term : 0;
    }
    return total > GY_FEATURES_MAX ? GY_FEATURES_MAX + 1 : (size_t)llround(total);
}

/* offset: of the outputs that hold the columns themselves. before: the starts of the degree below,
 * as indices of outputs; after: of this one. */
static size_t add_degree(const struct gy_step *s, struct polynomial *m, const size_t *before,
                         size_t *after, size_t n_outputs)
{
    for (size_t k = 0; k < s->n_chosen; k++) {
        size_t first = before[m->interaction_only ? k + 1 : k];
        after[k] = n_outputs;
        for (size_t parent = first; parent < before[s->n_chosen]; parent++, n_outputs++) {
            m->terms[m->n_terms++] =
                (struct term){.column = s->chosen[k], .parent = (uint32_t)parent};
        }
    }
    after[s->n_chosen] = n_outputs;
    return n_outputs;
}

/* Degree 2 has columns as parents, which need not stand side by side. */
static size_t add_squares(const struct gy_step *s, struct polynomial *m, size_t *after,
                          size_t n_outputs)
{
    for (size_t k = 0; k < s->n_chosen; k++) {
        after[k] = n_outputs;
        for (size_t j = m->interaction_only ? k + 1 : k; j < s->n_chosen; j++, n_outputs++) {
            m->terms[m->n_terms++] =
                (struct term){.column = s->chosen[k], .parent = m->bias + s->chosen[j]};
        }
    }
    after[s->n_chosen] = n_outputs;
    return n_outputs;
}

static gy_status make_terms(const struct gy_step *s, struct polynomial *m, struct gy_arena *a,
                            struct gy_err *err)
{
    size_t n = count_terms(s->n_chosen, m->degree, m->interaction_only);
    if (n > GY_FEATURES_MAX) {
        (void)gy_err_set(err, GY_E_TOOBIG,
                         "step 'polynomial': degree %d of %zu columns is more than %d terms",
                         m->degree, s->n_chosen, GY_FEATURES_MAX);
        return gy_err_hint(err, "name the columns it is for, or a lower degree");
    }
    m->terms = gy_arena_calloc(a, n + 1, sizeof *m->terms);
    size_t *starts = gy_arena_calloc(a, 2 * (s->n_chosen + 1), sizeof *starts);
    if (!m->terms || !starts) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    size_t *before = starts;
    size_t *after = starts + s->n_chosen + 1;
    size_t n_outputs = add_squares(s, m, before, m->bias + s->n_in);
    for (int d = 3; d <= m->degree; d++) {
        n_outputs = add_degree(s, m, before, after, n_outputs);
        size_t *swap = before;
        before = after;
        after = swap;
    }
    GY_REQUIRE(m->n_terms == n);
    return GY_OK;
}

/* "a^2*b" of the powers of a term. */
static gy_status name_term(const struct gy_step *s, const struct polynomial *m, size_t t,
                           struct gy_arena *a, struct gy_feature *out, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf name;
    uint32_t columns[MAX_DEGREE];
    size_t base = m->bias + s->n_in;
    size_t n = 0;
    gy_buf_init(&name, GY_MIB);
    for (;;) {
        columns[n++] = m->terms[t].column;
        if (m->terms[t].parent < base) {
            columns[n++] = m->terms[t].parent - m->bias;
            break;
        }
        t = m->terms[t].parent - base;
    }
    for (size_t i = 0; i < n;) {
        size_t power = 1;
        while (i + power < n && columns[i + power] == columns[i]) {
            power++;
        }
        gy_buf_addf(&name, "%s%" GY_STR_F, i ? "*" : "", GY_STR_A(s->in[columns[i]].name));
        if (power > 1) {
            gy_buf_addf(&name, "^%zu", power);
        }
        i += power;
    }
    GY_TRY(gy_buf_check(&name, "the name of a feature", err));
    return gy_step_named(out, gy_arena_printf(a, "%s", name.p), err);
}

static gy_status outputs(struct gy_step *s, struct polynomial *m, struct gy_arena *a,
                         struct gy_err *err)
{
    GY_TRY(make_terms(s, m, a, err));
    GY_TRY(gy_step_outputs(s, m->bias + s->n_in + m->n_terms, a, err));
    if (m->bias) {
        GY_TRY(gy_step_named(&s->out[0], "1", err));
    }
    for (size_t i = 0; i < s->n_in; i++) {
        s->out[m->bias + i] = s->in[i];
    }
    for (size_t t = 0; t < m->n_terms; t++) {
        GY_TRY(name_term(s, m, t, a, &s->out[m->bias + s->n_in + t], err));
    }
    s->self = m;
    return GY_OK;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct polynomial *m = gy_arena_calloc(a, 1, sizeof *m);
    (void)rows; /* nothing to learn */
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    m->degree = (int)gy_setting_whole(&s->settings, "degree");
    m->interaction_only = gy_setting_flag(&s->settings, "interaction_only");
    m->bias = gy_setting_flag(&s->settings, "bias");
    return outputs(s, m, a, err);
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct polynomial *m = s->self;
    for (size_t r = 0; r < n_rows; r++, in += s->n_in, out += s->n_out) {
        double *term = out + m->bias + s->n_in;
        if (m->bias) {
            out[0] = 1;
        }
        memcpy(out + m->bias, in, s->n_in * sizeof *out);
        for (size_t t = 0; t < m->n_terms; t++) {
            term[t] = in[m->terms[t].column] * out[m->terms[t].parent];
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct polynomial *m = s->self;
    gy_jw_kv_i64(w, "degree", m->degree);
    gy_jw_kv_bool(w, "interaction_only", m->interaction_only);
    gy_jw_kv_bool(w, "bias", m->bias);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct polynomial *m = gy_arena_calloc(a, 1, sizeof *m);
    int64_t degree = 0;
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_json_need_i64(v, "degree", &degree, err));
    if (degree < 2 || degree > MAX_DEGREE) {
        return gy_err_set(err, GY_E_CORRUPT, "the degree of a polynomial is out of range");
    }
    m->degree = (int)degree;
    m->interaction_only = gy_json_bool(v, "interaction_only", false);
    m->bias = gy_json_bool(v, "bias", false);
    return outputs(s, m, a, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"degree", GY_SETTING_WHOLE, 2, MAX_DEGREE, "2", NULL, "of the highest products"},
    {"interaction_only", GY_SETTING_FLAG, 0, 0, "false", NULL, "no column times itself"},
    {"bias", GY_SETTING_FLAG, 0, 0, "false", NULL, "a column of ones ahead"},
    {0}};

const struct gy_step_ops gy_step_polynomial = {.version = 1,
                                               .name = "polynomial",
                                               .summary = "all products up to a degree",
                                               .settings = g_settings,
                                               .takes = gy_step_takes_numbers,
                                               .fit = fit,
                                               .apply = apply,
                                               .write = write,
                                               .read = read};
