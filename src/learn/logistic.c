/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/logistic.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "learn/linalg.h"
#include "learn/logistic_internal.h"

#define MAX_ITERATIONS 200
#define MAX_HALVINGS 50
#define MAX_CG 1000      /* products with the Hessian for one step */
#define FULL_PARAMS 1000 /* up to here the Hessian is a matrix */
#define MAX_SHARDS 16
#define SHARD_ROWS 2048           /* at least */
#define SHARD_BYTES (64 * GY_MIB) /* for the matrices of all shards */
/* Of the mean squared change of the scores that a step makes: the next one would change them by
 * about its square (full Hessian), or by a thousandth (conjugate gradients). */
#define CONVERGED 1e-14
#define CONVERGED_CG 1e-18
#define CONVERGED_REUSED 1e-17 /* with an earlier Hessian: by a tenth or less */
#define REUSE 1e-4             /* a step this small does not change the Hessian much */
#define REUSE_GAIN 1e-2        /* and each next one has to be that much smaller */
#define ROUGH 1e-4             /* what is good enough to start from */
#define SAMPLE 16              /* every so many-th row is what a start is fitted on */
#define CG_REST 1e-3
#define STALLED 1e-9
#define RUNS_AWAY 1e-3 /* a row that a last step still moves by this has no finite fit */
#define SEPARATED 1e-8 /* mean loss below which the classes are taken as separable */

typedef struct gy_logistic_work work;

size_t gy_logistic_values(size_t n_features, size_t n_classes)
{
    return (n_classes == 2 ? 1 : n_classes) * (n_features + 1);
}

/* ---- the penalty ---- */

static double penalty_at(const work *k, double t)
{
    double sum = 0;
    for (size_t c = 0; c < k->m; c++) {
        for (size_t i = c * k->k; i < c * k->k + k->p->n_features; i++) {
            double w = k->w[i] + t * k->step[i];
            sum += w * w;
        }
    }
    return k->p->l2 / 2 * sum;
}

/* out += l2 v, not for the intercepts */
static void add_penalty(const work *k, const double *v, double *out)
{
    for (size_t c = 0; c < k->m; c++) {
        gy_axpy(k->p->l2, v + c * k->k, out + c * k->k, k->p->n_features);
    }
}

/* ---- Newton's step ---- */

static gy_status no_minimum(struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID,
                     "logistic regression has no unique solution (columns depend on each other, or "
                     "the classes are separable)");
    return gy_err_hint(err, "set a penalty: logistic: {l2: 1.0}");
}

/* The blocks of pairs of classes as one matrix, lower triangle. With more than two classes all may
 * grow alike without a change: a term that holds their sum at 0 makes the matrix definite and
 * leaves the step as it is, because the gradient sums to 0 too. */
static void assemble(const work *k, double *h)
{
    size_t n = k->n_params;
    const double *block = k->hessian;
    double hold = 0;
    for (size_t a = 0; a < k->m; a++) {
        for (size_t b = 0; b <= a; b++, block += k->k * k->k) {
            for (size_t i = 0; i < k->k; i++) {
                for (size_t j = 0; j < k->k; j++) {
                    double v = block[i >= j ? i * k->k + j : j * k->k + i];
                    h[(a * k->k + i) * n + b * k->k + j] = v;
                }
            }
        }
    }
    for (size_t c = 0; c < k->m; c++) {
        for (size_t i = c * k->k; i < c * k->k + k->p->n_features; i++) {
            h[i * n + i] += k->p->l2;
        }
    }
    for (size_t j = 0; k->m > 1 && j < k->k; j++) {
        if (j < k->p->n_features && k->p->l2 > 0) {
            continue;
        }
        hold = 0;
        for (size_t a = 0; a < k->m; a++) {
            hold = fmax(hold, h[(a * k->k + j) * n + a * k->k + j]);
        }
        for (size_t a = 0; a < k->m; a++) {
            for (size_t b = 0; b <= a; b++) {
                h[(a * k->k + j) * n + b * k->k + j] += hold;
            }
            /* A class without rows: its intercept has no curvature. Only the step changes. */
            h[(a * k->k + j) * n + a * k->k + j] += k->p->l2 > 0 ? 1e-10 * hold : 0;
        }
    }
}

/* step = -H^-1 g */
static gy_status full_step(work *k, double *h, struct gy_err *err)
{
    if (!k->reuse) {
        assemble(k, h);
        if (!gy_cholesky(h, k->n_params, 1e-13)) {
            return no_minimum(err);
        }
    }
    for (size_t i = 0; i < k->n_params; i++) {
        k->step[i] = -k->gradient[i];
    }
    gy_cholesky_solve(h, k->n_params, k->step);
    return GY_OK;
}

/* The same by conjugate gradients, preconditioned by the diagonal. room: 4 n_params. */
static gy_status cg_step(work *k, const double *diagonal, double *room, struct gy_err *err)
{
    size_t n = k->n_params;
    double *rest = room, *z = room + n, *v = room + 2 * n, *hv = room + 3 * n;
    memset(k->step, 0, n * sizeof *k->step);
    double was = 0;
    double first = 0;
    for (size_t i = 0; i < n; i++) {
        rest[i] = -k->gradient[i];
    }
    for (int it = 0; it < MAX_CG; it++) {
        for (size_t i = 0; i < n; i++) {
            z[i] = rest[i] / diagonal[i];
        }
        double now = gy_dot(rest, z, n);
        first = it == 0 ? now : first;
        if (!(now > CG_REST * CG_REST * first)) {
            break;
        }
        double back = was > 0 ? now / was : 0;
        for (size_t i = 0; i < n; i++) {
            v[i] = z[i] + back * v[i];
        }
        GY_TRY(gy_logistic_product(k, v, hv, err));
        add_penalty(k, v, hv);
        double curved = gy_dot(v, hv, n);
        if (!(curved > 0)) {
            break;
        }
        gy_axpy(now / curved, v, k->step, n);
        gy_axpy(-now / curved, hv, rest, n);
        was = now;
    }
    return GY_OK;
}

/* The diagonal of the Hessian. */
static void diagonal_of(const work *k, double *out)
{
    size_t d = k->p->n_features;
    memset(out, 0, k->n_params * sizeof *out);
    for (size_t i = 0; i < k->p->n_rows; i++) {
        const double *x = k->p->x + i * d;
        double u = k->p->weight ? k->p->weight[i] : 1;
        for (size_t c = 0; c < k->m; c++) {
            double p = k->prob[i * k->m + c];
            double s = u * p * (1 - p);
            for (size_t j = 0; j < d; j++) {
                out[c * k->k + j] += s * x[j] * x[j];
            }
            out[c * k->k + d] += s;
        }
    }
    for (size_t c = 0; c < k->m; c++) {
        for (size_t j = 0; j <= d; j++) {
            double *v = out + c * k->k + j;
            *v += j < d ? k->p->l2 : 0;
            *v = *v > 0 ? *v : 1;
        }
    }
}

/* ---- Newton ---- */

static void take(work *k, double t)
{
    gy_axpy(t, k->step, k->w, k->n_params);
    gy_axpy(t, k->change, k->eta, k->p->n_rows * k->m);
}

/* Halve the step until the loss falls by a little of what its slope promises. */
static gy_status search(work *k, double slope, double *loss, bool *ret_moved, struct gy_err *err)
{
    double t = 1;
    double rounding = 16 * DBL_EPSILON * fabs(*loss);
    *ret_moved = false;
    for (int i = 0; i < MAX_HALVINGS && !*ret_moved; i++, t /= 2) {
        double there = NAN;
        GY_TRY(gy_logistic_loss(k, t, &there, err));
        there += penalty_at(k, t);
        if (there <= *loss + 1e-4 * t * slope + rounding) {
            *ret_moved = true;
            *loss = there;
            take(k, t);
        }
    }
    return GY_OK;
}

static gy_status find_step(work *k, double *room, struct gy_logistic_sums *ret, struct gy_err *err)
{
    GY_TRY(gy_logistic_derive(k, err));
    add_penalty(k, k->w, k->gradient);
    if (!isfinite(gy_largest(k->gradient, k->n_params))) {
        return gy_err_set(err, GY_E_INVALID, "logistic regression needs finite numbers");
    }
    if (k->hessian) {
        GY_TRY(full_step(k, room, err));
    } else {
        diagonal_of(k, room);
        GY_TRY(cg_step(k, room, room + k->n_params, err));
    }
    GY_TRY(gy_logistic_scores(k, k->step, k->change, err));
    GY_TRY(gy_logistic_measure(k, ret, err));
    for (size_t c = 0; c < k->m; c++) {
        ret->slope += k->p->l2 * gy_dot(k->w + c * k->k, k->step + c * k->k, k->p->n_features);
    }
    return GY_OK;
}

/* Of the squared change of the scores: below it the fit is done. */
static double enough(const work *k, bool rough)
{
    return rough ? ROUGH : !k->hessian ? CONVERGED_CG : k->reuse ? CONVERGED_REUSED : CONVERGED;
}

static gy_status newton(work *k, bool rough, double *room, struct gy_logistic_report *report,
                        struct gy_err *err)
{
    double n = (double)k->p->n_rows;
    double last = INFINITY;
    GY_TRY(gy_logistic_loss(k, 0, &report->loss, err));
    for (report->iterations = 1; report->iterations <= MAX_ITERATIONS; report->iterations++) {
        struct gy_logistic_sums s;
        bool moved = false;
        GY_TRY(find_step(k, room, &s, err));
        double size = fabs(s.slope) / s.curvature;
        bool small = size <= enough(k, rough);
        if (k->p->l2 == 0 && (report->loss <= SEPARATED * n || (small && s.farthest > RUNS_AWAY))) {
            return no_minimum(err);
        }
        if (small) {
            take(k, 1);
            return GY_OK;
        }
        GY_TRY(search(k, s.slope, &report->loss, &moved, err));
        if (!moved && !k->reuse) {
            if (size <= STALLED) {
                return GY_OK;
            }
            break;
        }
        k->reuse = k->hessian && moved && size <= REUSE && (!k->reuse || size <= last * REUSE_GAIN);
        last = size;
    }
    (void)gy_err_set(err, GY_E_INVALID, "logistic regression did not converge in %d steps",
                     report->iterations);
    return gy_err_hint(err, "raise the penalty: logistic: {l2: 1.0}");
}

/* Weights (where nothing else holds them) and intercepts that sum to 0 over the classes. */
static void centre(work *k)
{
    for (size_t j = 0; k->m > 1 && j < k->k; j++) {
        double mean = 0;
        if (j < k->p->n_features && k->p->l2 > 0) {
            continue;
        }
        for (size_t c = 0; c < k->m; c++) {
            mean += k->w[c * k->k + j] / (double)k->m;
        }
        for (size_t c = 0; c < k->m; c++) {
            k->w[c * k->k + j] -= mean;
        }
    }
}

/* Loss and gradient at the end. */
static gy_status tell(work *k, struct gy_logistic_report *report, struct gy_err *err)
{
    GY_TRY(gy_logistic_scores(k, k->w, k->eta, err));
    GY_TRY(gy_logistic_loss(k, 0, &report->loss, err));
    memset(k->step, 0, k->n_params * sizeof *k->step);
    report->loss += penalty_at(k, 0);
    k->reuse = true; /* only the gradient */
    GY_TRY(gy_logistic_derive(k, err));
    add_penalty(k, k->w, k->gradient);
    report->gradient = gy_largest(k->gradient, k->n_params);
    return GY_OK;
}

/* ---- what comes in ---- */

static gy_status check_classes(const struct gy_logistic *p, struct gy_err *err)
{
    GY_AUTO(gy_free) char *memory = gy_calloc(p->n_classes, sizeof(double));
    double *seen = (double *)(void *)memory;
    size_t n_seen = 0;
    if (!seen) {
        return gy_err_set(err, GY_E_NOMEM, "%zu classes", p->n_classes);
    }
    for (size_t i = 0; i < p->n_rows; i++) {
        double w = p->weight ? p->weight[i] : 1;
        if (!(w >= 0) || isinf(w)) {
            return gy_err_set(err, GY_E_INVALID, "the weight of training row %zu is %g", i + 1, w);
        }
        if (!(p->y[i] >= 0 && p->y[i] < (double)p->n_classes)) {
            return gy_err_set(err, GY_E_INVALID, "training row %zu has no class", i + 1);
        }
        n_seen += w > 0 && seen[(size_t)p->y[i]] == 0;
        seen[(size_t)p->y[i]] += w;
    }
    if (n_seen == 0) {
        return gy_err_set(err, GY_E_INVALID, "all rows have weight 0");
    }
    if (n_seen < 2) {
        return gy_err_set(err, GY_E_INVALID, "the training rows hold one class only");
    }
    if (n_seen < p->n_classes && p->l2 == 0) {
        return no_minimum(err);
    }
    return GY_OK;
}

static gy_status check(const struct gy_logistic *p, struct gy_err *err)
{
    if (!(p->l2 >= 0) || isinf(p->l2)) {
        return gy_err_set(err, GY_E_INVALID, "l2 must not be negative");
    }
    if (p->n_classes < 2) {
        return gy_err_set(err, GY_E_INVALID, "the training rows hold one class only");
    }
    if (p->n_features > GY_LOGISTIC_MAX_FEATURES ||
        gy_logistic_values(p->n_features, p->n_classes) > GY_LOGISTIC_MAX_PARAMS) {
        return gy_err_set(err, GY_E_TOOBIG,
                          "logistic regression takes at most %d features, and %d of them times the "
                          "number of classes",
                          GY_LOGISTIC_MAX_FEATURES, GY_LOGISTIC_MAX_PARAMS);
    }
    return check_classes(p, err);
}

static void divide(work *k, size_t cells)
{
    size_t shards = SHARD_BYTES / (cells * sizeof(double));
    shards = shards < 1 ? 1 : shards > MAX_SHARDS ? MAX_SHARDS : shards;
    k->shard_rows = (k->p->n_rows + shards - 1) / shards;
    k->shard_rows = k->shard_rows < SHARD_ROWS ? SHARD_ROWS : k->shard_rows;
    k->n_shards = (k->p->n_rows + k->shard_rows - 1) / k->shard_rows;
}

static gy_status fit(const struct gy_logistic *p, bool rough, double *ret,
                     struct gy_logistic_report *ret_report, struct gy_err *err);

/* ret from every 16th row of a long table, roughly: a few steps on few rows save as many on all.
 * What can not be told from those rows starts at zero. */
static gy_status start(const struct gy_logistic *p, double *ret, bool *ret_started,
                       struct gy_err *err)
{
    size_t n = p->n_rows / SAMPLE;
    size_t d = p->n_features;
    size_t n_params = gy_logistic_values(d, p->n_classes);
    *ret_started = false;
    if (n < SHARD_ROWS || n < 40 * n_params) {
        return GY_OK;
    }
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, (d + 2) * sizeof(double));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "logistic regression of %zu features", d);
    }
    double *x = (double *)(void *)room;
    double *y = x + n * d;
    double *weight = y + n;
    for (size_t i = 0; i < n; i++) {
        memcpy(x + i * d, p->x + i * SAMPLE * d, d * sizeof *x);
        y[i] = p->y[i * SAMPLE];
        weight[i] = p->weight ? p->weight[i * SAMPLE] : 1;
    }
    struct gy_logistic sample = *p;
    sample.x = x;
    sample.y = y;
    sample.weight = p->weight ? weight : NULL;
    sample.n_rows = n;
    sample.l2 = p->l2 / SAMPLE;
    gy_status status = fit(&sample, true, ret, NULL, NULL);
    *ret_started = status == GY_OK;
    if (status != GY_OK) {
        memset(ret, 0, n_params * sizeof *ret);
    }
    return status == GY_E_NOMEM ? gy_err_set(err, status, "logistic regression") : GY_OK;
}

static gy_status run(work *k, bool rough, double *room, struct gy_logistic_report *ret_report,
                     struct gy_err *err)
{
    struct gy_logistic_report report = {0};
    bool started = false;
    if (!rough) {
        GY_TRY(start(k->p, k->w, &started, err));
    }
    if (started) {
        GY_TRY(gy_logistic_scores(k, k->w, k->eta, err));
    }
    GY_TRY(newton(k, rough, room, &report, err));
    centre(k);
    if (ret_report) {
        GY_TRY(tell(k, &report, err));
        *ret_report = report;
    }
    return GY_OK;
}

static gy_status fit(const struct gy_logistic *p, bool rough, double *ret,
                     struct gy_logistic_report *ret_report, struct gy_err *err)
{
    GY_TRY(check(p, err));
    work k = {.p = p, .k = p->n_features + 1, .m = p->n_classes == 2 ? 1 : p->n_classes, .w = ret};
    k.n_params = k.k * k.m;
    bool full = k.n_params <= FULL_PARAMS;
    size_t cells = full ? k.m * (k.m + 1) / 2 * k.k * k.k : k.n_params;
    divide(&k, cells);
    size_t room = full ? k.n_params * k.n_params : 5 * k.n_params;
    size_t rows = GY_LOGISTIC_BLOCK * k.k;
    GY_AUTO(gy_free) char *a = gy_calloc(p->n_rows, 3 * k.m * sizeof(double));
    GY_AUTO(gy_free) char *b = gy_calloc(k.n_params, 2 * sizeof(double));
    GY_AUTO(gy_free)
    char *c = gy_calloc(k.n_shards, (k.n_params + rows + (full ? cells : 0)) * sizeof(double));
    GY_AUTO(gy_free) char *sums = gy_calloc(k.n_shards, sizeof *k.sums);
    GY_AUTO(gy_free) char *solver = gy_calloc(room, sizeof(double));
    if (!a || !b || !c || !sums || !solver) {
        return gy_err_set(err, GY_E_NOMEM, "logistic regression of %zu features", p->n_features);
    }
    k.eta = (double *)(void *)a;
    k.change = k.eta + p->n_rows * k.m;
    k.prob = k.change + p->n_rows * k.m;
    k.step = (double *)(void *)b;
    k.gradient = k.step + k.n_params;
    k.parts = (double *)(void *)c;
    k.rows = k.parts + k.n_shards * k.n_params;
    k.hessian = full ? k.rows + k.n_shards * rows : NULL;
    k.sums = (struct gy_logistic_sums *)(void *)sums;
    memset(ret, 0, k.n_params * sizeof *ret);
    return run(&k, rough, (double *)(void *)solver, ret_report, err);
}

gy_status gy_logistic_fit(const struct gy_logistic *p, double *ret,
                          struct gy_logistic_report *ret_report, struct gy_err *err)
{
    return fit(p, false, ret, ret_report, err);
}
