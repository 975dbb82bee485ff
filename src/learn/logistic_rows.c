/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/pool.h"
#include "learn/linalg.h"
#include "learn/logistic_internal.h"
#include "learn/runtime/runtime.h"

static size_t shard_end(const struct gy_logistic_work *k, size_t shard)
{
    size_t end = (shard + 1) * k->shard_rows;
    return end < k->p->n_rows ? end : k->p->n_rows;
}

static double weight_of(const struct gy_logistic_work *k, size_t row)
{
    return k->p->weight ? k->p->weight[row] : 1;
}

static gy_status over_shards(struct gy_logistic_work *k, void (*fn)(void *, size_t),
                             struct gy_err *err)
{
    return gy_parallel(k->p->n_threads, k->n_shards, fn, k, err);
}

/* ---- scores ---- */

static void score_shard(void *ctx, size_t shard)
{
    struct gy_logistic_work *k = ctx;
    size_t d = k->p->n_features;
    for (size_t i = shard * k->shard_rows; i < shard_end(k, shard); i++) {
        const double *x = k->p->x + i * d;
        for (size_t c = 0; c < k->m; c++) {
            const double *w = k->along + c * k->k;
            k->scores[i * k->m + c] = w[d] + gy_dot(x, w, d);
        }
    }
}

gy_status gy_logistic_scores(struct gy_logistic_work *k, const double *along, double *scores,
                             struct gy_err *err)
{
    k->along = along;
    k->scores = scores;
    return over_shards(k, score_shard, err);
}

/* ---- gradient and Hessian ---- */

static void softmax(const double *eta, size_t m, double *prob)
{
    double most = eta[0];
    double sum = 0;
    for (size_t c = 1; c < m; c++) {
        most = eta[c] > most ? eta[c] : most;
    }
    for (size_t c = 0; c < m; c++) {
        prob[c] = exp(eta[c] - most);
        sum += prob[c];
    }
    for (size_t c = 0; c < m; c++) {
        prob[c] /= sum;
    }
}

static void probabilities(struct gy_logistic_work *k, size_t row)
{
    if (k->m == 1) {
        k->prob[row] = gy_sigmoid(k->eta[row]);
    } else {
        softmax(k->eta + row * k->m, k->m, k->prob + row * k->m);
    }
}

/* weight (p - y) of a class. */
static double residual(const struct gy_logistic_work *k, size_t row, size_t c)
{
    size_t y = (size_t)k->p->y[row];
    double truth = k->m == 1 ? (double)y : (double)(y == c);
    return weight_of(k, row) * (k->prob[row * k->m + c] - truth);
}

/* n rows with a 1 behind each. */
static void copy_rows(const struct gy_logistic_work *k, size_t first, size_t n, double *rows)
{
    size_t d = k->p->n_features;
    for (size_t i = 0; i < n; i++) {
        memcpy(rows + i * k->k, k->p->x + (first + i) * d, d * sizeof *rows);
        rows[i * k->k + d] = 1;
    }
}

static void add_hessian(struct gy_logistic_work *k, size_t shard, size_t first, size_t n,
                        const double *rows)
{
    size_t pairs = k->m * (k->m + 1) / 2;
    double *h = k->hessian + shard * pairs * k->k * k->k;
    double s[GY_LOGISTIC_BLOCK];
    for (size_t a = 0; a < k->m; a++) {
        for (size_t b = 0; b <= a; b++, h += k->k * k->k) {
            for (size_t i = 0; i < n; i++) {
                const double *p = k->prob + (first + i) * k->m;
                s[i] = weight_of(k, first + i) * p[a] * ((a == b) - p[b]);
            }
            gy_gram_add(h, k->k, k->k, rows, k->k, s, n);
        }
    }
}

static void add_gradient(const struct gy_logistic_work *k, size_t row, double *g)
{
    size_t d = k->p->n_features;
    for (size_t c = 0; c < k->m; c++) {
        double r = residual(k, row, c);
        gy_axpy(r, k->p->x + row * d, g + c * k->k, d);
        g[c * k->k + d] += r;
    }
}

static void derive_shard(void *ctx, size_t shard)
{
    struct gy_logistic_work *k = ctx;
    bool whole = k->hessian && !k->reuse;
    size_t cells = k->m * (k->m + 1) / 2 * k->k * k->k;
    double *g = k->parts + shard * k->n_params;
    double *rows = k->rows + shard * GY_LOGISTIC_BLOCK * k->k;
    size_t end = shard_end(k, shard);
    memset(g, 0, k->n_params * sizeof *g);
    if (whole) {
        memset(k->hessian + shard * cells, 0, cells * sizeof *k->hessian);
    }
    for (size_t i = shard * k->shard_rows; i < end; i += GY_LOGISTIC_BLOCK) {
        size_t n = end - i < GY_LOGISTIC_BLOCK ? end - i : GY_LOGISTIC_BLOCK;
        for (size_t r = i; r < i + n; r++) {
            probabilities(k, r);
            add_gradient(k, r, g);
        }
        if (whole) {
            copy_rows(k, i, n, rows);
            add_hessian(k, shard, i, n, rows);
        }
    }
}

/* out = the sum of the shards' parts, in their order. */
static void gather(const struct gy_logistic_work *k, double *out)
{
    memset(out, 0, k->n_params * sizeof *out);
    for (size_t s = 0; s < k->n_shards; s++) {
        gy_axpy(1, k->parts + s * k->n_params, out, k->n_params);
    }
}

gy_status gy_logistic_derive(struct gy_logistic_work *k, struct gy_err *err)
{
    GY_TRY(over_shards(k, derive_shard, err));
    gather(k, k->gradient);
    size_t cells = k->m * (k->m + 1) / 2 * k->k * k->k;
    for (size_t s = 1; k->hessian && !k->reuse && s < k->n_shards; s++) {
        gy_axpy(1, k->hessian + s * cells, k->hessian, cells);
    }
    return GY_OK;
}

/* ---- Hessian times vector ---- */

/* change holds the scores by the vector v: H v = X^T weight (diag p - p p^T) X v. */
static void product_shard(void *ctx, size_t shard)
{
    struct gy_logistic_work *k = ctx;
    size_t d = k->p->n_features;
    double *out = k->parts + shard * k->n_params;
    memset(out, 0, k->n_params * sizeof *out);
    for (size_t i = shard * k->shard_rows; i < shard_end(k, shard); i++) {
        const double *p = k->prob + i * k->m;
        const double *v = k->change + i * k->m;
        double mean = gy_dot(p, v, k->m);
        for (size_t c = 0; c < k->m; c++) {
            double s = weight_of(k, i) * p[c] * (v[c] - mean);
            gy_axpy(s, k->p->x + i * d, out + c * k->k, d);
            out[c * k->k + d] += s;
        }
    }
}

gy_status gy_logistic_product(struct gy_logistic_work *k, const double *along, double *out,
                              struct gy_err *err)
{
    GY_TRY(gy_logistic_scores(k, along, k->change, err));
    GY_TRY(over_shards(k, product_shard, err));
    gather(k, out);
    return GY_OK;
}

/* ---- the loss ---- */

/* log(1 + exp(m)) without overflow. */
static double softplus(double m)
{
    return m > 0 ? m + log1p(exp(-m)) : log1p(exp(m));
}

static double row_loss(const struct gy_logistic_work *k, size_t row)
{
    const double *eta = k->eta + row * k->m;
    const double *change = k->change + row * k->m;
    size_t y = (size_t)k->p->y[row];
    if (k->m == 1) {
        double score = eta[0] + k->t * change[0];
        return softplus(y == 1 ? -score : score);
    }
    double truth = eta[y] + k->t * change[y];
    double most = truth;
    double sum = 0;
    for (size_t c = 0; c < k->m; c++) {
        most = fmax(most, eta[c] + k->t * change[c]);
    }
    for (size_t c = 0; c < k->m; c++) {
        sum += exp(eta[c] + k->t * change[c] - most);
    }
    return most - truth + log(sum);
}

/* Two classes, all weights 1: softplus(m) = max(m, 0) + log(1 + exp(-|m|)), and the logarithms of
 * eight rows are one of a product, which is at most 2^8. */
static double plain_loss(const struct gy_logistic_work *k, size_t from, size_t to)
{
    double loss = 0;
    for (size_t i = from; i < to; i += 8) {
        double product = 1;
        for (size_t r = i; r < i + 8 && r < to; r++) {
            double score = k->eta[r] + k->t * k->change[r];
            double m = k->p->y[r] == 1 ? -score : score;
            loss += m > 0 ? m : 0;
            product *= 1 + exp(-fabs(m));
        }
        loss += log(product);
    }
    return loss;
}

static void loss_shard(void *ctx, size_t shard)
{
    struct gy_logistic_work *k = ctx;
    size_t first = shard * k->shard_rows;
    double loss = 0;
    if (k->m == 1 && !k->p->weight) {
        k->sums[shard].loss = plain_loss(k, first, shard_end(k, shard));
        return;
    }
    for (size_t i = first; i < shard_end(k, shard); i++) {
        double w = weight_of(k, i);
        loss += w > 0 ? w * row_loss(k, i) : 0;
    }
    k->sums[shard].loss = loss;
}

gy_status gy_logistic_loss(struct gy_logistic_work *k, double t, double *ret, struct gy_err *err)
{
    k->t = t;
    GY_TRY(over_shards(k, loss_shard, err));
    *ret = 0;
    for (size_t s = 0; s < k->n_shards; s++) {
        *ret += k->sums[s].loss;
    }
    return GY_OK;
}

/* ---- a step ---- */

static void measure_shard(void *ctx, size_t shard)
{
    struct gy_logistic_work *k = ctx;
    struct gy_logistic_sums s = {0};
    for (size_t i = shard * k->shard_rows; i < shard_end(k, shard); i++) {
        const double *p = k->prob + i * k->m;
        const double *change = k->change + i * k->m;
        double w = weight_of(k, i);
        for (size_t c = 0; c < k->m; c++) {
            s.slope += residual(k, i, c) * change[c];
            s.curvature += w * p[c] * (1 - p[c]);
            if (w > 0 && !(fabs(change[c]) <= s.farthest)) {
                s.farthest = fabs(change[c]);
            }
        }
    }
    k->sums[shard] = s;
}

gy_status gy_logistic_measure(struct gy_logistic_work *k, struct gy_logistic_sums *ret,
                              struct gy_err *err)
{
    GY_TRY(over_shards(k, measure_shard, err));
    *ret = (struct gy_logistic_sums){0};
    for (size_t i = 0; i < k->n_shards; i++) {
        const struct gy_logistic_sums *s = &k->sums[i];
        ret->slope += s->slope;
        ret->curvature += s->curvature;
        ret->farthest = !(s->farthest <= ret->farthest) ? s->farthest : ret->farthest;
    }
    return GY_OK;
}
