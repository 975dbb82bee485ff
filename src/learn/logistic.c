/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/logistic.h"

#include <math.h>

#include "base/mem.h"
#include "learn/runtime/runtime.h"

#define MAX_ITERATIONS 100
#define MAX_HALVINGS 40
#define TOLERANCE 1e-10 /* of the gradient, per row */
#define SEPARATED 1e-8  /* mean loss below which the classes are taken as separable */

struct problem {
    const double *x, *y;
    size_t n, d; /* d features; parameters are d + 1, the intercept last */
    double l2;
};

/* log(1 + exp(m)) without overflow. */
static double softplus(double m)
{
    return m > 0 ? m + log1p(exp(-m)) : log1p(exp(m));
}

static double linear(const struct problem *p, const double *w, size_t row)
{
    const double *x = p->x + row * p->d;
    double sum = w[p->d];
    for (size_t j = 0; j < p->d; j++) {
        sum += w[j] * x[j];
    }
    return sum;
}

static double loss_at(const struct problem *p, const double *w)
{
    double loss = 0;
    for (size_t i = 0; i < p->n; i++) {
        double m = linear(p, w, i);
        loss += softplus(p->y[i] > 0.5 ? -m : m);
    }
    for (size_t j = 0; j < p->d; j++) {
        loss += p->l2 / 2 * w[j] * w[j];
    }
    return loss;
}

/* Gradient g and the lower triangle of the Hessian h, k x k with k = d + 1. */
static void derivatives(const struct problem *p, const double *w, double *g, double *h)
{
    size_t k = p->d + 1;
    memset(g, 0, k * sizeof *g);
    memset(h, 0, k * k * sizeof *h);
    for (size_t i = 0; i < p->n; i++) {
        const double *x = p->x + i * p->d;
        double q = gy_sigmoid(linear(p, w, i));
        double r = q - p->y[i];
        double s = q * (1 - q);
        for (size_t a = 0; a < p->d; a++) {
            g[a] += r * x[a];
            double sx = s * x[a];
            for (size_t b = 0; b <= a; b++) {
                h[a * k + b] += sx * x[b];
            }
            h[p->d * k + a] += sx;
        }
        g[p->d] += r;
        h[p->d * k + p->d] += s;
    }
    for (size_t a = 0; a < p->d; a++) {
        g[a] += p->l2 * w[a];
        h[a * k + a] += p->l2;
    }
}

/* Solve h step = g by Cholesky, in place; false when h is not positive definite. */
static bool solve(double *h, double *g, size_t k)
{
    for (size_t a = 0; a < k; a++) {
        double whole = h[a * k + a];
        for (size_t b = 0; b <= a; b++) {
            double sum = h[a * k + b];
            for (size_t c = 0; c < b; c++) {
                sum -= h[a * k + c] * h[b * k + c];
            }
            if (a != b) {
                h[a * k + b] = sum / h[b * k + b];
            } else if (!(sum > 1e-13 * whole)) {
                return false;
            } else {
                h[a * k + a] = sqrt(sum);
            }
        }
    }
    for (size_t a = 0; a < k; a++) {
        for (size_t c = 0; c < a; c++) {
            g[a] -= h[a * k + c] * g[c];
        }
        g[a] /= h[a * k + a];
    }
    for (size_t a = k; a-- > 0;) {
        for (size_t c = a + 1; c < k; c++) {
            g[a] -= h[c * k + a] * g[c];
        }
        g[a] /= h[a * k + a];
    }
    return true;
}

/* Infinite when one of them is not a number: that must not pass for a small gradient. */
static double largest(const double *v, size_t n)
{
    double max = 0;
    for (size_t i = 0; i < n; i++) {
        max = !(fabs(v[i]) <= max) ? fabs(v[i]) : max;
    }
    return isnan(max) ? INFINITY : max;
}

/* w -= step, halved until the loss does not rise. False: no progress is possible any more. */
static bool descend(const struct problem *p, double *w, const double *step, double *trial,
                    double *loss)
{
    double t = 1;
    for (int i = 0; i < MAX_HALVINGS; i++, t /= 2) {
        for (size_t j = 0; j <= p->d; j++) {
            trial[j] = w[j] - t * step[j];
        }
        double there = loss_at(p, trial);
        if (there <= *loss) {
            bool moved = there < *loss;
            memcpy(w, trial, (p->d + 1) * sizeof *w);
            *loss = there;
            return moved;
        }
    }
    return false;
}

static gy_status no_minimum(struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID,
                     "logistic regression has no unique solution (columns depend on each other, or "
                     "the classes are separable)");
    return gy_err_hint(err, "set a penalty: logistic: {l2: 1.0}");
}

static gy_status newton(const struct problem *p, double *room, double *w,
                        struct gy_logistic_report *report, struct gy_err *err)
{
    size_t k = p->d + 1;
    double *g = room, *trial = room + k, *h = room + 2 * k;
    bool done = false;
    memset(w, 0, k * sizeof *w);
    report->loss = loss_at(p, w);
    for (report->iterations = 0; !done && report->iterations < MAX_ITERATIONS;
         report->iterations++) {
        derivatives(p, w, g, h);
        report->gradient = largest(g, k);
        if (report->gradient <= TOLERANCE * (double)p->n) {
            /* without a penalty the weights run away while the gradient vanishes */
            return p->l2 > 0 || report->loss > SEPARATED * (double)p->n ? GY_OK : no_minimum(err);
        }
        if (!solve(h, g, k)) {
            return no_minimum(err);
        }
        done = !descend(p, w, g, trial, &report->loss);
    }
    derivatives(p, w, g, h);
    report->gradient = largest(g, k);
    if (report->gradient > 1e-6 * (double)p->n) {
        (void)gy_err_set(err, GY_E_INVALID, "logistic regression did not converge in %d steps",
                         report->iterations);
        return gy_err_hint(err, "raise the penalty: logistic: {l2: 1.0}");
    }
    return GY_OK;
}

gy_status gy_logistic_fit(const double *x, const double *y, size_t n_rows, size_t n_features,
                          double l2, double *ret, struct gy_logistic_report *ret_report,
                          struct gy_err *err)
{
    if (!(l2 >= 0) || isinf(l2)) {
        return gy_err_set(err, GY_E_INVALID, "l2 must not be negative");
    }
    if (n_features > GY_LOGISTIC_MAX_FEATURES) {
        return gy_err_set(err, GY_E_TOOBIG, "logistic regression takes at most %d features",
                          GY_LOGISTIC_MAX_FEATURES);
    }
    double positives = 0;
    for (size_t i = 0; i < n_rows; i++) {
        positives += y[i];
    }
    if (positives <= 0 || positives >= (double)n_rows) {
        return gy_err_set(err, GY_E_INVALID, "the training rows hold one class only");
    }
    size_t k = n_features + 1;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, (k + 2) * k, sizeof(double));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "logistic regression of %zu features", n_features);
    }
    struct problem p = {.x = x, .y = y, .n = n_rows, .d = n_features, .l2 = l2};
    struct gy_logistic_report report = {0};
    GY_TRY(newton(&p, (double *)(void *)room, ret, &report, err));
    if (ret_report) {
        *ret_report = report;
    }
    return GY_OK;
}
