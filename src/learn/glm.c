/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/glm.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "learn/least_squares.h"
#include "learn/linalg.h"

#define SHARD_ROWS 4096 /* rows whose sums are taken together */
#define MAX_ITERATIONS 200
#define MAX_HALVINGS 50
/* Of the mean squared change of the linear predictor that a step makes: Newton's next one would
 * change it by about the square. */
#define CONVERGED 1e-14
#define STALLED 1e-9   /* what is good enough where rounding allows no better step */
#define RUNS_AWAY 1e-3 /* a row that a last step still moves by this has no finite fit */

struct problem {
    const struct gy_glm *g;
    double *rate;   /* y / exposure */
    double *u;      /* weight times exposure */
    double total;   /* their sum */
    double *w;      /* n_features + 1, the intercept last */
    double *step;   /* as many */
    double *prior;  /* n_features */
    double *eta;    /* n_rows: w.x + b */
    double *change; /* n_rows: step.x + step b */
    double *h, *z;  /* n_rows: the least squares problem of a step */
    double t;       /* how much of the step is tried */
    size_t n_shards;
    struct sums {
        double loss, slope, curvature, farthest;
    } * sums; /* n_shards */
};

double gy_glm_deviance(double power, double y, double mean)
{
    if (!(mean > 0)) {
        return y == 0 && mean == 0 ? 0 : INFINITY;
    }
    if (power == 1) {
        return 2 * ((y > 0 ? y * log(y / mean) : 0) - (y - mean));
    }
    if (power == 2) {
        return 2 * (y / mean - 1 - log(y / mean));
    }
    double a = 1 - power;
    double b = 2 - power;
    return 2 * ((y > 0 ? pow(y, b) / (a * b) : 0) - y * pow(mean, a) / a + pow(mean, b) / b);
}

/* Half the deviance up to what does not depend on the mean, by eta = log mean. */
static double loss_of(double power, double y, double eta)
{
    if (power == 1) {
        return exp(eta) - y * eta;
    }
    if (power == 2) {
        return eta + y * exp(-eta);
    }
    double a = 1 - power;
    double b = 2 - power;
    return exp(b * eta) / b - y * exp(a * eta) / a;
}

/* Its first and second derivative by eta; the second is never negative. */
static void derivatives(double power, double y, double eta, double *ret_r, double *ret_h)
{
    double grown = exp((2 - power) * eta);
    double against = y * exp((1 - power) * eta);
    *ret_r = grown - against;
    *ret_h = (2 - power) * grown + (power - 1) * against;
}

/* ---- passes over the rows, by shards ---- */

static size_t shard_end(const struct problem *p, size_t shard)
{
    size_t end = (shard + 1) * SHARD_ROWS;
    return end < p->g->n_rows ? end : p->g->n_rows;
}

/* The least squares problem of Newton's step: sum h/2 (step.x + r/h)^2. */
static void linearise_shard(void *ctx, size_t shard)
{
    struct problem *p = ctx;
    for (size_t i = shard * SHARD_ROWS; i < shard_end(p, shard); i++) {
        double r = 0;
        double h = 0;
        derivatives(p->g->power, p->rate[i], p->eta[i], &r, &h);
        bool counts = p->u[i] * h > DBL_MIN;
        p->h[i] = counts ? p->u[i] * h : 0;
        p->z[i] = counts ? -r / h : 0;
    }
}

/* What the step changes, and the slope of the loss along it. */
static void change_shard(void *ctx, size_t shard)
{
    struct problem *p = ctx;
    size_t d = p->g->n_features;
    struct sums s = {0};
    for (size_t i = shard * SHARD_ROWS; i < shard_end(p, shard); i++) {
        double change = p->step[d] + gy_dot(p->g->x + i * d, p->step, d);
        p->change[i] = change;
        s.slope -= p->h[i] * p->z[i] * change;
        s.curvature += p->h[i];
        if (p->u[i] > 0 && !(fabs(change) <= s.farthest)) {
            s.farthest = fabs(change);
        }
    }
    p->sums[shard] = s;
}

static void loss_shard(void *ctx, size_t shard)
{
    struct problem *p = ctx;
    double loss = 0;
    for (size_t i = shard * SHARD_ROWS; i < shard_end(p, shard); i++) {
        if (p->u[i] > 0) {
            loss += p->u[i] * loss_of(p->g->power, p->rate[i], p->eta[i] + p->t * p->change[i]);
        }
    }
    p->sums[shard].loss = loss;
}

/* The loss with `t` of the step taken, penalty included, times the total weight. */
static gy_status loss_at(struct problem *p, double t, double *ret, struct gy_err *err)
{
    double penalty = 0;
    p->t = t;
    GY_TRY(gy_parallel(p->g->n_threads, p->n_shards, loss_shard, p, err));
    *ret = 0;
    for (size_t i = 0; i < p->n_shards; i++) {
        *ret += p->sums[i].loss;
    }
    for (size_t j = 0; j < p->g->n_features; j++) {
        double w = p->w[j] + t * p->step[j];
        penalty += w * w;
    }
    *ret += p->g->l2 * p->total / 2 * penalty;
    return GY_OK;
}

static void take(struct problem *p, double t)
{
    for (size_t j = 0; j <= p->g->n_features; j++) {
        p->w[j] += t * p->step[j];
    }
    for (size_t i = 0; i < p->g->n_rows; i++) {
        p->eta[i] += t * p->change[i];
    }
}

/* ---- Newton ---- */

static gy_status find_step(struct problem *p, struct sums *ret, size_t *ret_rank,
                           struct gy_err *err)
{
    const struct gy_glm *g = p->g;
    GY_TRY(gy_parallel(g->n_threads, p->n_shards, linearise_shard, p, err));
    for (size_t j = 0; j < g->n_features; j++) {
        p->prior[j] = -p->w[j];
    }
    const struct gy_least_squares step = {.x = g->x,
                                          .y = p->z,
                                          .weight = p->h,
                                          .n_rows = g->n_rows,
                                          .n_features = g->n_features,
                                          .l2 = g->l2 * p->total,
                                          .prior = p->prior,
                                          .n_threads = g->n_threads};
    struct gy_least_squares_report report;
    GY_TRY(gy_least_squares_fit(&step, p->step, &report, err));
    GY_TRY(gy_parallel(g->n_threads, p->n_shards, change_shard, p, err));
    *ret_rank = report.rank;
    *ret = (struct sums){0};
    for (size_t i = 0; i < p->n_shards; i++) {
        ret->slope += p->sums[i].slope;
        ret->curvature += p->sums[i].curvature;
        if (!(p->sums[i].farthest <= ret->farthest)) {
            ret->farthest = p->sums[i].farthest;
        }
    }
    ret->slope += g->l2 * p->total * gy_dot(p->w, p->step, g->n_features);
    return GY_OK;
}

static gy_status no_minimum(struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID,
                     "the model has no finite solution: some rows (a group with no event at all, "
                     "say) could only be fitted by an infinite weight");
    return gy_err_hint(err, "set a penalty: glm: {l2: 0.001}");
}

/* Halve the step until the loss falls by a little of what its slope promises. */
static gy_status search(struct problem *p, const struct sums *s, double *loss, bool *ret_moved,
                        struct gy_err *err)
{
    double t = 1;
    double rounding = 16 * DBL_EPSILON * fabs(*loss);
    *ret_moved = false;
    for (int i = 0; i < MAX_HALVINGS && !*ret_moved; i++, t /= 2) {
        double there = NAN;
        GY_TRY(loss_at(p, t, &there, err));
        if (there <= *loss + 1e-4 * t * s->slope + rounding && isfinite(there)) {
            *ret_moved = true;
            *loss = there;
            take(p, t);
        }
    }
    return GY_OK;
}

static gy_status newton(struct problem *p, struct gy_glm_report *report, struct gy_err *err)
{
    double loss = NAN;
    GY_TRY(loss_at(p, 0, &loss, err));
    for (report->iterations = 1; report->iterations <= MAX_ITERATIONS; report->iterations++) {
        struct sums s;
        bool moved = false;
        GY_TRY(find_step(p, &s, &report->rank, err));
        if (fabs(s.slope) <= CONVERGED * s.curvature) {
            if (p->g->l2 == 0 && s.farthest > RUNS_AWAY) {
                return no_minimum(err);
            }
            take(p, 1);
            return GY_OK;
        }
        GY_TRY(search(p, &s, &loss, &moved, err));
        if (!moved && fabs(s.slope) <= STALLED * s.curvature) {
            return GY_OK;
        }
        if (!moved) {
            break;
        }
    }
    return no_minimum(err);
}

/* ---- what comes in ---- */

static gy_status check_rows(const struct gy_glm *g, struct gy_err *err)
{
    for (size_t i = 0; i < g->n_rows; i++) {
        double y = g->y[i];
        double e = g->exposure ? g->exposure[i] : 1;
        double w = g->weight ? g->weight[i] : 1;
        if (!(g->power < 2 ? y >= 0 : y > 0) || isinf(y)) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "the target of training row %zu is %g: a %s model "
                             "needs targets %s",
                             i + 1, y,
                             g->power == 1   ? "Poisson"
                             : g->power == 2 ? "Gamma"
                                             : "Tweedie",
                             g->power < 2 ? "of 0 or more" : "above 0");
            return gy_err_hint(err, g->power < 2 ? "take learner: linear for a target that can be "
                                                   "negative"
                                                 : "train on rows with an amount, or take family: "
                                                   "tweedie where 0 is an answer");
        }
        if (!(e > 0) || isinf(e)) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "the exposure of training row %zu is %g: it must "
                             "be above 0",
                             i + 1, e);
            return gy_err_hint(err, "leave rows without exposure out of the training data");
        }
        if (!(w >= 0) || isinf(w)) {
            return gy_err_set(err, GY_E_INVALID, "the weight of training row %zu is %g", i + 1, w);
        }
    }
    return GY_OK;
}

static gy_status check(const struct gy_glm *g, struct gy_err *err)
{
    if (g->n_rows == 0) {
        return gy_err_set(err, GY_E_INVALID, "no rows to train on");
    }
    if (!(g->power >= 1 && g->power <= 2)) {
        return gy_err_set(err, GY_E_INVALID, "the power must be from 1 (Poisson) to 2 (Gamma)");
    }
    if (!(g->l2 >= 0) || isinf(g->l2)) {
        return gy_err_set(err, GY_E_INVALID, "l2 must not be negative");
    }
    if (g->n_features > GY_LEAST_SQUARES_MAX_FEATURES) {
        return gy_err_set(err, GY_E_TOOBIG, "a generalised linear model takes at most %d features",
                          GY_LEAST_SQUARES_MAX_FEATURES);
    }
    return check_rows(g, err);
}

/* Rates and weights, and the model of the mean rate to start from. */
static gy_status start(struct problem *p, struct gy_err *err)
{
    const struct gy_glm *g = p->g;
    double events = 0;
    for (size_t i = 0; i < g->n_rows; i++) {
        double e = g->exposure ? g->exposure[i] : 1;
        p->rate[i] = g->y[i] / e;
        p->u[i] = (g->weight ? g->weight[i] : 1) * e;
        p->total += p->u[i];
        events += p->u[i] * p->rate[i];
    }
    if (!(p->total > 0)) {
        return gy_err_set(err, GY_E_INVALID, "all rows have weight 0");
    }
    if (!(events > 0)) {
        (void)gy_err_set(err, GY_E_INVALID, "all targets are 0: there is nothing to learn");
        return gy_err_hint(err, "train on a longer period, or on more rows");
    }
    p->w[g->n_features] = log(events / p->total);
    for (size_t i = 0; i < g->n_rows; i++) {
        p->eta[i] = p->w[g->n_features];
    }
    return GY_OK;
}

static double deviance(const struct problem *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->g->n_rows; i++) {
        if (p->u[i] > 0) {
            sum += p->u[i] * gy_glm_deviance(p->g->power, p->rate[i], exp(p->eta[i]));
        }
    }
    return sum;
}

gy_status gy_glm_fit(const struct gy_glm *g, double *ret, struct gy_glm_report *ret_report,
                     struct gy_err *err)
{
    GY_TRY(check(g, err));
    struct problem p = {.g = g, .w = ret, .n_shards = (g->n_rows + SHARD_ROWS - 1) / SHARD_ROWS};
    size_t d = g->n_features;
    size_t n = g->n_rows;
    GY_AUTO(gy_free) char *rows = gy_calloc(n, 6 * sizeof(double));
    GY_AUTO(gy_free) char *rest = gy_calloc(2 * d + 1, sizeof(double));
    GY_AUTO(gy_free) char *sums = gy_calloc(p.n_shards, sizeof *p.sums);
    if (!rows || !rest || !sums) {
        return gy_err_set(err, GY_E_NOMEM, "a model of %zu rows", n);
    }
    p.rate = (double *)(void *)rows;
    p.u = p.rate + n;
    p.eta = p.u + n;
    p.change = p.eta + n;
    p.h = p.change + n;
    p.z = p.h + n;
    p.step = (double *)(void *)rest;
    p.prior = p.step + d + 1;
    p.sums = (struct sums *)(void *)sums;
    memset(ret, 0, (d + 1) * sizeof *ret);
    struct gy_glm_report report = {0};
    GY_TRY(start(&p, err));
    report.null_deviance = deviance(&p);
    GY_TRY(newton(&p, &report, err));
    report.deviance = deviance(&p);
    if (ret_report) {
        *ret_report = report;
    }
    return GY_OK;
}
