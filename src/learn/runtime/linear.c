/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/mem.h"
#include "learn/runtime/runtime.h"

struct linear {
    size_t n;
    double intercept;
    bool probability;
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

gy_status gy_linear_new(const double *weights, size_t n_features, double intercept,
                        bool probability, void **ret, struct gy_err *err)
{
    struct linear *l = gy_malloc(sizeof *l + n_features * sizeof(double));
    if (!l) {
        return gy_err_set(err, GY_E_NOMEM, "a linear model of %zu features", n_features);
    }
    l->n = n_features;
    l->intercept = intercept;
    l->probability = probability;
    for (size_t i = 0; i < n_features; i++) {
        l->weights[i] = weights[i];
    }
    *ret = l;
    return GY_OK;
}

static size_t no_scratch(const void *self, size_t n_rows)
{
    (void)self;
    (void)n_rows;
    return 0;
}

static void linear_run(const void *self, const double *x, size_t n_rows, double *out, void *scratch)
{
    (void)scratch;
    const struct linear *l = self;
    for (size_t r = 0; r < n_rows; r++, x += l->n) {
        double sum = l->intercept;
        for (size_t i = 0; i < l->n; i++) {
            sum += l->weights[i] * x[i];
        }
        out[r] = l->probability ? gy_sigmoid(sum) : sum;
    }
}

const struct gy_runtime_ops gy_linear_ops = {
    .version = 1, .name = "linear", .scratch = no_scratch, .run = linear_run, .free = gy_free};

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

const struct gy_runtime_ops gy_constant_ops = {
    .version = 1, .name = "constant", .scratch = no_scratch, .run = constant_run, .free = gy_free};
