/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/mem.h"
#include "learn/runtime/runtime.h"

struct linear {
    struct gy_linear_spec spec;
    double weights[];
};

struct constant {
    size_t n_outputs;
    double values[];
};

double gy_sigmoid(double x)
{
    if (x >= 0) {
        return 1.0 / (1.0 + exp(-x));
    }
    double e = exp(x);
    return e / (1.0 + e);
}

gy_status gy_linear_new(const struct gy_linear_spec *spec, void **ret, struct gy_err *err)
{
    size_t n = spec->n_sets * (spec->n_features + 1);
    struct linear *l = gy_malloc(sizeof *l + n * sizeof(double));
    if (!l) {
        return gy_err_set(err, GY_E_NOMEM, "a linear model of %zu features", spec->n_features);
    }
    memcpy(l->weights, spec->weights, n * sizeof(double));
    l->spec = *spec;
    l->spec.weights = l->weights;
    *ret = l;
    return GY_OK;
}

const struct gy_linear_spec *gy_linear_get_spec(const void *self)
{
    const struct linear *l = self;
    return &l->spec;
}

static size_t no_scratch(const void *self, size_t n_rows)
{
    (void)self;
    (void)n_rows;
    return 0;
}

static double score(const double *w, const double *x, size_t n)
{
    double sum = w[n];
    for (size_t i = 0; i < n; i++) {
        sum += w[i] * x[i];
    }
    return sum;
}

/* In place; a score that is not a number makes all of them so. */
static void softmax(double *v, size_t n)
{
    double most = v[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++) {
        most = v[i] > most ? v[i] : most;
    }
    for (size_t i = 0; i < n; i++) {
        v[i] = exp(v[i] - most);
        sum += v[i];
    }
    for (size_t i = 0; i < n; i++) {
        v[i] /= sum;
    }
}

static void linear_run(const void *self, const double *x, size_t n_rows, double *out, void *scratch)
{
    (void)scratch;
    const struct gy_linear_spec *l = &((const struct linear *)self)->spec;
    for (size_t r = 0; r < n_rows; r++, x += l->n_features, out += l->n_sets) {
        for (size_t k = 0; k < l->n_sets; k++) {
            out[k] = score(l->weights + k * (l->n_features + 1), x, l->n_features);
        }
        if (l->link == GY_LINK_SOFTMAX) {
            softmax(out, l->n_sets);
        } else if (l->link == GY_LINK_SIGMOID) {
            out[0] = gy_sigmoid(out[0]);
        } else if (l->link == GY_LINK_EXP) {
            out[0] = exp(out[0]);
        }
        if (l->exposure < l->n_features) {
            out[0] *= x[l->exposure];
        }
    }
}

/* w_j (x_j - mean_j): the SHAP values of independent features. An exposure multiplies the answer of
 * a logarithmic link, so it adds its logarithm; the means have it so. */
static gy_status linear_explain(const void *self, const double *x, size_t n_rows,
                                const double *means, double *out, struct gy_err *err)
{
    const struct gy_linear_spec *l = &((const struct linear *)self)->spec;
    if (!means) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED,
                         "the package has no means of the training rows (background.json), from "
                         "which contributions are counted");
        return gy_err_hint(err, "train the model again with this version of Gyre");
    }
    for (size_t r = 0; r < n_rows; r++, x += l->n_features) {
        for (size_t k = 0; k < l->n_sets; k++, out += l->n_features + 1) {
            const double *w = l->weights + k * (l->n_features + 1);
            double base = w[l->n_features];
            for (size_t i = 0; i < l->n_features; i++) {
                double weight = i == l->exposure ? 1 : w[i];
                out[i] = weight * ((i == l->exposure ? log(x[i]) : x[i]) - means[i]);
                base += weight * means[i];
            }
            out[l->n_features] = base;
        }
    }
    return GY_OK;
}

static size_t linear_bytes(const void *self)
{
    const struct linear *l = self;
    return sizeof *l + l->spec.n_sets * (l->spec.n_features + 1) * sizeof(double);
}

const struct gy_runtime_ops gy_linear_ops = {.version = 3,
                                             .name = "linear",
                                             .scratch = no_scratch,
                                             .run = linear_run,
                                             .free = gy_free,
                                             .explain = linear_explain,
                                             .bytes = linear_bytes};

gy_status gy_constant_new(const double *values, size_t n_outputs, void **ret, struct gy_err *err)
{
    struct constant *c = gy_malloc(sizeof *c + n_outputs * sizeof(double));
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "a constant model");
    }
    c->n_outputs = n_outputs;
    memcpy(c->values, values, n_outputs * sizeof(double));
    *ret = c;
    return GY_OK;
}

static void constant_run(const void *self, const double *x, size_t n_rows, double *out,
                         void *scratch)
{
    (void)x;
    (void)scratch;
    const struct constant *c = self;
    for (size_t r = 0; r < n_rows; r++) {
        memcpy(out + r * c->n_outputs, c->values, c->n_outputs * sizeof(double));
    }
}

static size_t constant_bytes(const void *self)
{
    const struct constant *c = self;
    return sizeof *c + c->n_outputs * sizeof(double);
}

const struct gy_runtime_ops gy_constant_ops = {.version = 3,
                                               .name = "constant",
                                               .scratch = no_scratch,
                                               .run = constant_run,
                                               .free = gy_free,
                                               .bytes = constant_bytes};
