/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/contributions.h"

#include "base/mem.h"
#include "learn/bootstrap.h"
#include "learn/evaluate.h"
#include "learn/predictor_internal.h"

#define MAX_FACTORS 8

/* The inputs that a feature is made of. */
struct made_of {
    size_t inputs[MAX_FACTORS];
    size_t n;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "explaining");
}

/* The input with the longest name that text begins with, as steps append to it ("season=2",
 * "when.hour", "weight^2", "text#7", "age?", "image[3]"). SIZE_MAX: none. */
static size_t input_of(const struct gy_model *m, struct gy_str text, size_t *ret_n)
{
    size_t best = SIZE_MAX;
    *ret_n = 0;
    for (size_t i = 0; i < m->n_inputs; i++) {
        struct gy_str name = m->inputs[i].name;
        bool ends =
            gy_str_starts(text, name) && (text.n == name.n || memchr("=.^#?[*", text.p[name.n], 7));
        if (ends && (best == SIZE_MAX || name.n > *ret_n)) {
            best = i;
            *ret_n = name.n;
        }
    }
    return best;
}

/* "a*b^2": a and b. A category's value may hold anything, so nothing behind "=" is looked at. */
static bool inputs_of(const struct gy_model *m, struct gy_str feature, struct made_of *ret)
{
    ret->n = 0;
    while (feature.n > 0 && ret->n < MAX_FACTORS) {
        size_t n = 0;
        size_t input = input_of(m, feature, &n);
        if (input == SIZE_MAX) {
            return false;
        }
        ret->inputs[ret->n++] = input;
        feature = gy_str_sub(feature, n, feature.n);
        size_t star = feature.n && feature.p[0] != '=' ? gy_str_find(feature, '*') : SIZE_MAX;
        feature = star == SIZE_MAX ? GY_STR("") : gy_str_sub(feature, star + 1, feature.n);
    }
    return ret->n > 0 && feature.n == 0;
}

static gy_status to_inputs(const struct gy_model *m, const double *values, size_t n_margins,
                           double *out, struct gy_err *err)
{
    size_t width = m->features.n_out + 1;
    memset(out, 0, n_margins * (m->n_inputs + 1) * sizeof *out);
    for (size_t i = 0; i < m->features.n_out; i++) {
        struct made_of of;
        if (!inputs_of(m, m->features.out[i].name, &of)) {
            return gy_err_set(err, GY_E_UNSUPPORTED,
                              "feature '%" GY_STR_F "' is made of no single input: gyre "
                              "predict --explain tells contributions by feature",
                              GY_STR_A(m->features.out[i].name));
        }
        for (size_t r = 0; r < n_margins; r++) {
            for (size_t k = 0; k < of.n; k++) {
                out[r * (m->n_inputs + 1) + of.inputs[k]] += values[r * width + i] / (double)of.n;
            }
        }
    }
    for (size_t r = 0; r < n_margins; r++) {
        out[r * (m->n_inputs + 1) + m->n_inputs] = values[r * width + width - 1];
    }
    return GY_OK;
}

gy_status gy_contributions(const struct gy_predictor *p, const double *cells, size_t n_rows,
                           double *out, struct gy_err *err)
{
    const struct gy_model *m = gy_predictor_model(p);
    const struct gy_runtime *runtime = gy_predictor_runtime(p);
    const struct gy_features *f = &m->features;
    size_t n_margins = n_rows * gy_predictor_info(p)->n_outputs;
    if (runtime->ops->version < 2 || !runtime->ops->explain) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED,
                         "contributions are told of linear and of tree models, not of '%s'",
                         gy_learner_name(m->learner));
        return gy_err_hint(err, "gyre evaluate --importance tells what any model looks at");
    }
    if (n_margins > GY_CONTRIBUTIONS_MAX / (f->n_out + 1)) {
        return gy_err_set(err, GY_E_TOOBIG, "%zu rows are too many to explain at once", n_rows);
    }
    size_t scratch = gy_features_scratch(f, n_rows) + 1;
    GY_AUTO(gy_doubles_free) double *x = gy_doubles_new(n_rows, f->n_out);
    GY_AUTO(gy_doubles_free) double *steps = gy_doubles_new(scratch, 1);
    GY_AUTO(gy_doubles_free) double *values = gy_doubles_new(n_margins, f->n_out + 1);
    if (!x || !steps || !values) {
        return no_memory(err);
    }
    if (f->n_steps) {
        gy_features_apply(f, cells, n_rows, x, steps);
    } else {
        memcpy(x, cells, n_rows * f->n_out * sizeof *x);
    }
    GY_TRY(runtime->ops->explain(runtime->self, x, n_rows, gy_predictor_means(p), values, err));
    return to_inputs(m, values, n_margins, out, err);
}
