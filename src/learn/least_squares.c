/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/least_squares.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/pool.h"
#include "learn/linalg.h"

#define MAX_CHUNKS 64
#define CHUNK_BYTES (128 * GY_MIB) /* for the triangles of all chunks */
#define BLOCK_CELLS 32768          /* of the block that is folded at once: fits the L2 cache */

/* Columns of the folded matrix: 0 the intercept, then the features, then y. */
struct fit {
    const struct gy_least_squares *p;
    size_t k;        /* n_features + 2 */
    double *mean;    /* k; of the intercept 0 */
    double *biggest; /* k; largest |value| as it came */
    double *scale;   /* k; a power of two */
    double *sums;    /* n_chunks x (k + 1): weighted sums, then the weight; or largest values */
    double *triangles;
    double *blocks;
    size_t n_chunks, chunk_rows, block_rows;
    double total_weight;
};

static double weight_of(const struct gy_least_squares *p, size_t row)
{
    return p->weight ? p->weight[row] : 1;
}

/* Of row i as it came: column 0 is 1. */
static double cell(const struct fit *f, size_t row, size_t column)
{
    const struct gy_least_squares *p = f->p;
    return column == 0 ? 1 : column < f->k - 1 ? p->x[row * p->n_features + column - 1] : p->y[row];
}

static size_t chunk_end(const struct fit *f, size_t chunk)
{
    size_t end = (chunk + 1) * f->chunk_rows;
    return end < f->p->n_rows ? end : f->p->n_rows;
}

/* ---- means, then the largest distances from them ---- */

static void sum_chunk(void *ctx, size_t chunk)
{
    const struct fit *f = ctx;
    double *sums = f->sums + chunk * (f->k + 1);
    memset(sums, 0, (f->k + 1) * sizeof *sums);
    for (size_t i = chunk * f->chunk_rows; i < chunk_end(f, chunk); i++) {
        double w = weight_of(f->p, i);
        for (size_t c = 0; c < f->k; c++) {
            sums[c] += w * cell(f, i, c);
        }
        sums[f->k] += w;
    }
}

/* Per column the largest |value|, kept where the sums were, and per chunk the largest distance from
 * the mean in the chunk's (still unused) triangle. Rows without weight do not count. */
static void measure_chunk(void *ctx, size_t chunk)
{
    const struct fit *f = ctx;
    double *biggest = f->sums + chunk * (f->k + 1);
    double *farthest = f->triangles + chunk * f->k * f->k;
    memset(biggest, 0, (f->k + 1) * sizeof *biggest);
    memset(farthest, 0, f->k * sizeof *farthest);
    for (size_t i = chunk * f->chunk_rows; i < chunk_end(f, chunk); i++) {
        if (weight_of(f->p, i) == 0) {
            continue;
        }
        for (size_t c = 0; c < f->k; c++) {
            double v = cell(f, i, c);
            double far = fabs(v - f->mean[c]);
            biggest[c] = !(fabs(v) <= biggest[c]) ? fabs(v) : biggest[c];
            farthest[c] = !(far <= farthest[c]) ? far : farthest[c];
        }
    }
}

static gy_status not_finite(struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID,
                      "least squares needs finite numbers, not too large to be squared");
}

static gy_status centre(struct fit *f, struct gy_err *err)
{
    size_t k = f->k;
    GY_TRY(gy_parallel(f->p->n_threads, f->n_chunks, sum_chunk, f, err));
    for (size_t i = 0; i < f->n_chunks; i++) {
        for (size_t c = 0; c < k; c++) {
            f->mean[c] += f->sums[i * (k + 1) + c];
        }
        f->total_weight += f->sums[i * (k + 1) + k];
    }
    if (!(f->total_weight > 0)) {
        return gy_err_set(err, GY_E_INVALID, "all rows have weight 0");
    }
    for (size_t c = 0; c < k; c++) {
        f->mean[c] /= f->total_weight;
        if (!isfinite(f->mean[c])) {
            return not_finite(err);
        }
    }
    f->mean[0] = 0;
    return GY_OK;
}

/* A power of two, so that dividing by it changes no digit. */
static double power_of_two(double v)
{
    int exponent = 0;
    (void)frexp(v, &exponent);
    return v > 0 ? ldexp(1, exponent) : 1;
}

static gy_status measure(struct fit *f, struct gy_err *err)
{
    size_t k = f->k;
    GY_TRY(gy_parallel(f->p->n_threads, f->n_chunks, measure_chunk, f, err));
    for (size_t c = 0; c < k; c++) {
        double far = 0;
        for (size_t i = 0; i < f->n_chunks; i++) {
            double big = f->sums[i * (k + 1) + c];
            double there = f->triangles[i * k * k + c];
            f->biggest[c] = !(big <= f->biggest[c]) ? big : f->biggest[c];
            far = !(there <= far) ? there : far;
        }
        if (!(far < 1e150) || !(f->biggest[c] < 1e300)) {
            return not_finite(err);
        }
        f->scale[c] = power_of_two(far);
    }
    return GY_OK;
}

/* ---- the triangle ---- */

/* m rows from `first` on, column-major, centred, scaled, times the root of their weight. */
static void fill_block(const struct fit *f, size_t first, size_t m, double *block)
{
    for (size_t i = 0; i < m; i++) {
        double root = sqrt(weight_of(f->p, first + i));
        for (size_t c = 0; c < f->k; c++) {
            block[c * m + i] = root * ((cell(f, first + i, c) - f->mean[c]) / f->scale[c]);
        }
    }
}

static void fold_chunk(void *ctx, size_t chunk)
{
    const struct fit *f = ctx;
    double *r = f->triangles + chunk * f->k * f->k;
    double *block = f->blocks + chunk * f->k * f->block_rows;
    size_t end = chunk_end(f, chunk);
    memset(r, 0, f->k * f->k * sizeof *r);
    for (size_t i = chunk * f->chunk_rows; i < end; i += f->block_rows) {
        size_t m = end - i < f->block_rows ? end - i : f->block_rows;
        fill_block(f, i, m, block);
        gy_qr_fold(r, f->k, block, m);
    }
}

/* Rows of `source` (k x k, row-major, upper triangular) into the triangle `r`, by blocks. */
static void fold_triangle(const struct fit *f, double *r, const double *source)
{
    size_t k = f->k;
    for (size_t first = 0; first < k; first += f->block_rows) {
        size_t m = k - first < f->block_rows ? k - first : f->block_rows;
        for (size_t c = 0; c < k; c++) {
            for (size_t i = 0; i < m; i++) {
                f->blocks[c * m + i] = c < first + i ? 0 : source[(first + i) * k + c];
            }
        }
        gy_qr_fold(r, k, f->blocks, m);
    }
}

/* l2 |w - prior|^2 as rows: root(l2) w_j = root(l2) prior_j, in the scaled units. The second
 * triangle's place is free by now: it holds a matrix with one row a feature. */
static void fold_penalty(const struct fit *f, double *r)
{
    const struct gy_least_squares *p = f->p;
    size_t k = f->k;
    double root = sqrt(p->l2);
    for (size_t first = 0; first < p->n_features; first += f->block_rows) {
        size_t m = p->n_features - first < f->block_rows ? p->n_features - first : f->block_rows;
        memset(f->blocks, 0, k * m * sizeof *f->blocks);
        for (size_t i = 0; i < m; i++) {
            size_t c = first + i + 1;
            f->blocks[c * m + i] = root / f->scale[c];
            f->blocks[(k - 1) * m + i] =
                p->prior ? root * p->prior[first + i] / f->scale[k - 1] : 0;
        }
        gy_qr_fold(r, k, f->blocks, m);
    }
}

/* ---- from the triangle to the weights ---- */

/* Bring columns to norm 1 and say what part of them is below their own rounding. room: 2 d for
 * scale and tolerance. */
static void equilibrate(const struct fit *f, double *r, double *scale, double *tolerance)
{
    size_t d = f->p->n_features;
    size_t k = f->k;
    size_t most = f->p->n_rows > d ? f->p->n_rows : d;
    double usual = fmin(fmax((double)most * DBL_EPSILON, 1e-13), 1e-10);
    for (size_t j = 0; j < d; j++) {
        double norm = 0;
        for (size_t i = 0; i <= j; i++) {
            norm = hypot(norm, r[(i + 1) * k + j + 1]);
        }
        double rounding =
            4 * DBL_EPSILON * sqrt(f->total_weight) * f->biggest[j + 1] / f->scale[j + 1];
        bool constant = !(norm > rounding) && f->p->l2 == 0;
        scale[j] = constant || norm == 0 ? 1 : norm;
        tolerance[j] = constant ? INFINITY : fmin(fmax(usual, rounding / scale[j]), 0.1);
        for (size_t i = 0; i <= j; i++) {
            r[(i + 1) * k + j + 1] /= scale[j];
        }
        /* what w is multiplied by in the column of norm 1 */
        scale[j] *= f->scale[j + 1] / f->scale[k - 1];
    }
}

static gy_status solve(const struct fit *f, double *r, double *ret,
                       struct gy_least_squares_report *report, struct gy_err *err)
{
    size_t d = f->p->n_features;
    size_t k = f->k;
    GY_AUTO(gy_free)
    char *memory = gy_reallocarray(NULL, 4 * d + gy_least_norm_room(d) + 1, sizeof(double));
    if (!memory) {
        return gy_err_set(err, GY_E_NOMEM, "least squares of %zu features", d);
    }
    double *scale = (double *)(void *)memory;
    double *tolerance = scale + d;
    double *c = tolerance + d;
    double *top = c + d; /* the intercept's row, before columns are scaled */
    double *room = top + d;
    for (size_t j = 0; j < d; j++) {
        c[j] = r[(j + 1) * k + k - 1];
        top[j] = r[j + 1];
    }
    double unit = f->scale[k - 1];
    double about_mean = gy_dot(c, c, d);
    equilibrate(f, r, scale, tolerance);
    report->rank = gy_least_norm(r + k + 1, k, d, c, scale, tolerance, ret, room);
    /* c now holds Q^T c: what stands below the rank could not be explained. */
    double last = r[k * k - 1];
    double left = last * last + gy_dot(c + report->rank, c + report->rank, d - report->rank);
    report->residual = left * unit * unit;
    report->total = (last * last + about_mean) * unit * unit;
    double rest = r[k - 1];
    double intercept = f->mean[k - 1];
    for (size_t j = 0; j < d; j++) {
        rest -= top[j] * (ret[j] * (f->scale[j + 1] / unit));
        intercept -= f->mean[j + 1] * ret[j];
    }
    ret[d] = intercept + rest / r[0] * unit;
    return isfinite(ret[d]) ? GY_OK : not_finite(err);
}

/* ---- memory ---- */

static void divide(struct fit *f)
{
    size_t n = f->p->n_rows;
    size_t triangle = f->k * f->k * sizeof(double);
    size_t chunks = CHUNK_BYTES / triangle;
    chunks = chunks < 1 ? 1 : chunks > MAX_CHUNKS ? MAX_CHUNKS : chunks;
    f->block_rows = BLOCK_CELLS / f->k;
    f->block_rows = f->block_rows < 64 ? 64 : f->block_rows > 1024 ? 1024 : f->block_rows;
    /* a chunk has at least 4 k rows: its triangle is folded once more at the end */
    size_t least = 4 * f->k > f->block_rows ? 4 * f->k : f->block_rows;
    f->chunk_rows = (n + chunks - 1) / chunks;
    f->chunk_rows = f->chunk_rows < least ? least : f->chunk_rows;
    f->n_chunks = (n + f->chunk_rows - 1) / f->chunk_rows;
}

static gy_status run(struct fit *f, double *ret, struct gy_least_squares_report *report,
                     struct gy_err *err)
{
    GY_TRY(centre(f, err));
    GY_TRY(measure(f, err));
    GY_TRY(gy_parallel(f->p->n_threads, f->n_chunks, fold_chunk, f, err));
    double *r = f->triangles;
    for (size_t i = 1; i < f->n_chunks; i++) {
        fold_triangle(f, r, r + i * f->k * f->k);
    }
    if (f->p->l2 > 0) {
        fold_penalty(f, r);
    }
    return solve(f, r, ret, report, err);
}

static gy_status check(const struct gy_least_squares *p, struct gy_err *err)
{
    if (p->n_rows == 0) {
        return gy_err_set(err, GY_E_INVALID, "no rows to train on");
    }
    if (!(p->l2 >= 0) || isinf(p->l2)) {
        return gy_err_set(err, GY_E_INVALID, "l2 must not be negative");
    }
    if (p->n_features > GY_LEAST_SQUARES_MAX_FEATURES) {
        return gy_err_set(err, GY_E_TOOBIG, "least squares takes at most %d features",
                          GY_LEAST_SQUARES_MAX_FEATURES);
    }
    for (size_t i = 0; p->weight && i < p->n_rows; i++) {
        if (!(p->weight[i] >= 0) || isinf(p->weight[i])) {
            return gy_err_set(err, GY_E_INVALID, "the weight of training row %zu is %g", i + 1,
                              p->weight[i]);
        }
    }
    return GY_OK;
}

gy_status gy_least_squares_fit(const struct gy_least_squares *p, double *ret,
                               struct gy_least_squares_report *ret_report, struct gy_err *err)
{
    GY_TRY(check(p, err));
    struct fit f = {.p = p, .k = p->n_features + 2};
    divide(&f);
    size_t k = f.k;
    size_t cells = 3 * k + f.n_chunks * (k + 1 + k * k + k * f.block_rows);
    GY_AUTO(gy_free) char *memory = gy_calloc(cells, sizeof(double));
    if (!memory) {
        return gy_err_set(err, GY_E_NOMEM, "least squares of %zu features", p->n_features);
    }
    f.mean = (double *)(void *)memory;
    f.biggest = f.mean + k;
    f.scale = f.biggest + k;
    f.sums = f.scale + k;
    f.triangles = f.sums + f.n_chunks * (k + 1);
    f.blocks = f.triangles + f.n_chunks * k * k;
    struct gy_least_squares_report report = {0};
    GY_TRY(run(&f, ret, &report, err));
    if (ret_report) {
        *ret_report = report;
    }
    return GY_OK;
}
