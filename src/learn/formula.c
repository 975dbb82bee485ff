/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/formula.h"

#include <math.h>

#include "base/buf.h"
#include "base/expr.h"
#include "base/limits.h"
#include "base/mem.h"

#define HINT_BYTES 200

struct gy_formula {
    struct gy_expr *expr;
    size_t n_features;
    double factor;
    bool probability;
};

struct names {
    const struct gy_str *names;
    size_t n;
    bool missed;
};

static bool resolve(void *ctx, struct gy_str name, size_t *ret_slot, enum gy_expr_type *ret_type)
{
    struct names *all = ctx;
    for (size_t i = 0; i < all->n; i++) {
        if (gy_str_eq(name, all->names[i])) {
            *ret_slot = i;
            *ret_type = GY_EXPR_NUM;
            return true;
        }
    }
    all->missed = true;
    return false;
}

/* The features there are, as far as they fit. */
static gy_status name_features(const struct names *all, gy_status status, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf list;
    gy_buf_init(&list, GY_KIB);
    for (size_t i = 0; i < all->n && list.n < HINT_BYTES; i++) {
        gy_buf_addf(&list, "%s%" GY_STR_F, i ? ", " : "",
                    GY_STR_A(gy_str_sub(all->names[i], 0, 40)));
    }
    if (gy_buf_check(&list, "names", NULL) == GY_OK) {
        (void)gy_err_hint(err,
                          "the features are %.*s; one with a sign in its name stands in `back "
                          "quotes`",
                          HINT_BYTES - 80, list.p);
    }
    return status;
}

gy_status gy_formula_new(struct gy_str text, const struct gy_str *names, size_t n_names,
                         bool probability, struct gy_formula **ret, struct gy_err *err)
{
    GY_AUTO(gy_formula_free) struct gy_formula *f = gy_calloc(1, sizeof *f);
    struct names all = {.names = names, .n = n_names};
    if (!f) {
        return gy_err_set(err, GY_E_NOMEM, "a formula");
    }
    f->n_features = n_names;
    f->factor = 1;
    f->probability = probability;
    gy_status status = gy_expr_compile(text, resolve, &all, &f->expr, err);
    if (status != GY_OK) {
        return all.missed ? name_features(&all, status, err) : status;
    }
    if (gy_expr_result(f->expr) == GY_EXPR_STR) {
        return gy_err_set(err, GY_E_INVALID, "the formula gives a text, and a number is needed");
    }
    *ret = GY_TAKE(f);
    return GY_OK;
}

void gy_formula_free(struct gy_formula *f)
{
    if (f) {
        gy_expr_free(f->expr);
        gy_free(f);
    }
}

void gy_formula_set_factor(struct gy_formula *f, double factor)
{
    f->factor = factor;
}

static gy_status check_probabilities(const struct gy_formula *f, const double *x, size_t n_rows,
                                     struct gy_err *err)
{
    for (size_t i = 0; i < n_rows; i++) {
        double v = f->factor * gy_expr_number_f64(f->expr, x + i * f->n_features, f->n_features);
        if (v < 0 || v > 1) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "the formula gives %g for training row %zu: a probability is from 0 "
                             "to 1",
                             v, i + 1);
            return gy_err_hint(err, "hold it there: min(1, max(0, ...)); or bend it: 1 / (1 + "
                                    "exp(-(...)))");
        }
    }
    return GY_OK;
}

gy_status gy_formula_fit(struct gy_formula *f, const double *x, const double *y,
                         const double *weight, size_t n_rows, bool fit, double *ret_factor,
                         struct gy_err *err)
{
    double truth = 0;
    double told = 0;
    size_t n = 0;
    for (size_t i = 0; i < n_rows; i++) {
        double v = gy_expr_number_f64(f->expr, x + i * f->n_features, f->n_features);
        double w = weight ? weight[i] : 1;
        if (!isnan(v)) {
            truth += w * y[i];
            told += w * v;
            n++;
        }
    }
    if (n == 0) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "the formula has no answer for any of the %zu training "
                         "rows: something it needs is always missing",
                         n_rows);
        return gy_err_hint(err, "say what then: if(x is null, 0, x); or train: {impute: median}");
    }
    if (fit) {
        f->factor = truth / told;
        if (!(f->factor > 0) || isinf(f->factor)) {
            return gy_err_set(err, GY_E_INVALID,
                              "no positive factor scales the formula: its answers sum to %g and "
                              "the targets to %g",
                              told, truth);
        }
    }
    *ret_factor = f->factor;
    return f->probability ? check_probabilities(f, x, n_rows, err) : GY_OK;
}

/* ---- answering ---- */

static size_t no_scratch(const void *self, size_t n_rows)
{
    (void)self;
    (void)n_rows;
    return 0;
}

static void run(const void *self, const double *x, size_t n_rows, double *out, void *scratch)
{
    const struct gy_formula *f = self;
    (void)scratch;
    for (size_t i = 0; i < n_rows; i++) {
        double v = f->factor * gy_expr_number_f64(f->expr, x + i * f->n_features, f->n_features);
        if (f->probability) {
            v = v < 0 ? 0 : v > 1 ? 1 : v;
        }
        out[i] = v;
    }
}

static void free_formula(void *self)
{
    gy_formula_free(self);
}

const struct gy_runtime_ops gy_formula_ops = {
    .version = 1, .name = "formula", .scratch = no_scratch, .run = run, .free = free_formula};
