/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/linalg.h"

#include <math.h>
#include <string.h>

/* Two doubles in one register, at any address of a double. */
typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));

static inline pair load(const double *p)
{
    return *(const pair *)(const void *)p;
}

static inline void store(double *p, pair v)
{
    *(pair *)(void *)p = v;
}

double gy_dot(const double *a, const double *b, size_t n)
{
    pair even = {0, 0};
    pair odd = {0, 0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        even += load(a + i) * load(b + i);
        odd += load(a + i + 2) * load(b + i + 2);
    }
    even += odd;
    double sum = even[0] + even[1];
    for (; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

void gy_axpy(double k, const double *x, double *y, size_t n)
{
    const pair factor = {k, k};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        store(y + i, load(y + i) + factor * load(x + i));
        store(y + i + 2, load(y + i + 2) + factor * load(x + i + 2));
    }
    for (; i < n; i++) {
        y[i] += k * x[i];
    }
}

double gy_largest(const double *v, size_t n)
{
    double max = 0;
    for (size_t i = 0; i < n; i++) {
        max = !(fabs(v[i]) <= max) ? fabs(v[i]) : max;
    }
    return isnan(max) ? INFINITY : max;
}

/* ---- s x x^T ---- */

/* h[0..n) += f[0] x0 + f[1] x1 + f[2] x2 + f[3] x3 */
static void add_four(double *h, const double f[4], const double *const x[4], size_t n)
{
    const pair f0 = {f[0], f[0]}, f1 = {f[1], f[1]}, f2 = {f[2], f[2]}, f3 = {f[3], f[3]};
    size_t i = 0;
    for (; i + 2 <= n; i += 2) {
        pair sum = load(h + i);
        sum += f0 * load(x[0] + i);
        sum += f1 * load(x[1] + i);
        sum += f2 * load(x[2] + i);
        sum += f3 * load(x[3] + i);
        store(h + i, sum);
    }
    for (; i < n; i++) {
        double sum = h[i];
        for (size_t r = 0; r < 4; r++) {
            sum += f[r] * x[r][i];
        }
        h[i] = sum;
    }
}

void gy_gram_add(double *h, size_t stride, size_t k, const double *x, size_t x_stride,
                 const double *s, size_t n_rows)
{
    size_t i = 0;
    for (; i + 4 <= n_rows; i += 4) {
        const double *const rows[4] = {x + i * x_stride, x + (i + 1) * x_stride,
                                       x + (i + 2) * x_stride, x + (i + 3) * x_stride};
        for (size_t a = 0; a < k; a++) {
            const double f[4] = {s[i] * rows[0][a], s[i + 1] * rows[1][a], s[i + 2] * rows[2][a],
                                 s[i + 3] * rows[3][a]};
            add_four(h + a * stride, f, rows, a + 1);
        }
    }
    for (; i < n_rows; i++) {
        const double *row = x + i * x_stride;
        for (size_t a = 0; a < k; a++) {
            gy_axpy(s[i] * row[a], row, h + a * stride, a + 1);
        }
    }
}

/* ---- Cholesky ---- */

bool gy_cholesky(double *h, size_t k, double floor)
{
    for (size_t a = 0; a < k; a++) {
        double *row = h + a * k;
        for (size_t b = 0; b < a; b++) {
            row[b] = (row[b] - gy_dot(row, h + b * k, b)) / h[b * k + b];
        }
        double pivot = row[a] - gy_dot(row, row, a);
        if (!(pivot > floor * row[a])) {
            return false;
        }
        row[a] = sqrt(pivot);
    }
    return true;
}

void gy_cholesky_solve(const double *l, size_t k, double *g)
{
    for (size_t a = 0; a < k; a++) {
        g[a] = (g[a] - gy_dot(l + a * k, g, a)) / l[a * k + a];
    }
    for (size_t a = k; a-- > 0;) {
        g[a] /= l[a * k + a];
        gy_axpy(-g[a], l + a * k, g, a);
    }
}

/* ---- Householder ---- */

/* The reflection that sends (alpha, x) to (beta, 0): v = (v0, x), H = I - factor v v^T. False when
 * there is nothing to reflect. */
static bool reflector(double alpha, double tail, double *ret_beta, double *ret_v0,
                      double *ret_factor)
{
    if (tail == 0) {
        return false;
    }
    double norm = sqrt(alpha * alpha + tail);
    *ret_beta = alpha > 0 ? -norm : norm;
    *ret_v0 = alpha - *ret_beta;
    *ret_factor = 2 / (*ret_v0 * *ret_v0 + tail);
    return true;
}

void gy_qr_fold(double *r, size_t k, double *block, size_t m)
{
    for (size_t j = 0; j < k; j++) {
        double *row = r + j * k;
        const double *v = block + j * m;
        double beta = 0;
        double v0 = 0;
        double factor = 0;
        if (!reflector(row[j], gy_dot(v, v, m), &beta, &v0, &factor)) {
            continue;
        }
        row[j] = beta;
        for (size_t c = j + 1; c < k; c++) {
            double *column = block + c * m;
            double t = factor * (row[c] * v0 + gy_dot(v, column, m));
            row[c] -= t * v0;
            gy_axpy(-t, v, column, m);
        }
    }
}

/* ---- the least norm ---- */

struct pivoted {
    double *a; /* d x d, column-major: columns are swapped and reflected */
    double *v; /* d x d, column-major: what is left from the right, then the reflections */
    double *z; /* d */
    double *factors;
    size_t *order;
    size_t d;
};

size_t gy_least_norm_room(size_t d)
{
    return 2 * d * d + 3 * d + 1;
}

static void swap_columns(struct pivoted *p, size_t i, size_t k)
{
    for (size_t r = 0; r < p->d && i != k; r++) {
        double t = p->a[i * p->d + r];
        p->a[i * p->d + r] = p->a[k * p->d + r];
        p->a[k * p->d + r] = t;
    }
    size_t t = p->order[i];
    p->order[i] = p->order[k];
    p->order[k] = t;
}

/* The column from `at` on with the largest rest that counts; d when there is none. */
static size_t next_pivot(const struct pivoted *p, size_t at, const double *tolerance)
{
    size_t best = p->d;
    double most = 0;
    for (size_t c = at; c < p->d; c++) {
        const double *rest = p->a + c * p->d + at;
        double norm = sqrt(gy_dot(rest, rest, p->d - at));
        if (norm > most && norm >= tolerance[p->order[c]]) {
            most = norm;
            best = c;
        }
    }
    return best;
}

/* Upper triangle by reflections from the left, largest column first. Returns the rank. */
static size_t triangle(struct pivoted *p, double *c, const double *tolerance)
{
    size_t d = p->d;
    for (size_t k = 0; k < d; k++) {
        size_t pivot = next_pivot(p, k, tolerance);
        if (pivot == d) {
            return k;
        }
        swap_columns(p, k, pivot);
        double *v = p->a + k * d + k;
        size_t n = d - k - 1;
        double beta = 0;
        double v0 = 0;
        double factor = 0;
        if (!reflector(v[0], gy_dot(v + 1, v + 1, n), &beta, &v0, &factor)) {
            continue;
        }
        for (size_t i = k + 1; i <= d; i++) {
            double *column = i < d ? p->a + i * d + k : c + k;
            double t = factor * (v0 * column[0] + gy_dot(v + 1, column + 1, n));
            column[0] -= t * v0;
            gy_axpy(-t, v + 1, column + 1, n);
        }
        v[0] = beta;
    }
    return d;
}

/* a[0..rank) rows, in original units, transposed into v: d x rank, column i = row i. */
static void transpose(struct pivoted *p, size_t rank, const double *scale)
{
    size_t d = p->d;
    for (size_t i = 0; i < rank; i++) {
        for (size_t c = 0; c < d; c++) {
            p->v[i * d + c] = c < i ? 0 : p->a[c * d + i] * scale[p->order[c]];
        }
    }
}

/* B w = c with B = v^T (rank x d, full row rank): v = Q T, so that w = Q T^-T c is the shortest. */
static void shortest(struct pivoted *p, size_t rank, const double *c)
{
    size_t d = p->d;
    double *z = p->z;
    memset(z, 0, d * sizeof *z);
    for (size_t k = 0; k < rank; k++) {
        double *v = p->v + k * d + k;
        size_t n = d - k - 1;
        double beta = v[0];
        double v0 = 0;
        p->factors[k] = 0;
        if (reflector(v[0], gy_dot(v + 1, v + 1, n), &beta, &v0, &p->factors[k])) {
            for (size_t i = k + 1; i < rank; i++) {
                double *column = p->v + i * d + k;
                double t = p->factors[k] * (v0 * column[0] + gy_dot(v + 1, column + 1, n));
                column[0] -= t * v0;
                gy_axpy(-t, v + 1, column + 1, n);
            }
        }
        /* row k of T^T z = c: T's column k lies in p->v above the diagonal, its end is beta */
        z[k] = (c[k] - gy_dot(p->v + k * d, z, k)) / beta;
        v[0] = v0;
    }
    for (size_t k = rank; k-- > 0;) {
        const double *v = p->v + k * d + k;
        size_t n = d - k - 1;
        double t = p->factors[k] * (v[0] * z[k] + gy_dot(v + 1, z + k + 1, n));
        z[k] -= t * v[0];
        gy_axpy(-t, v + 1, z + k + 1, n);
    }
}

/* No column depends on others: the triangle says it all, and columns of any size keep their digits.
 */
static void substitute(const struct pivoted *p, size_t rank, const double *c, const double *scale,
                       double *w)
{
    memcpy(p->z, c, rank * sizeof *c);
    for (size_t k = p->d; k-- > rank;) {
        w[p->order[k]] = 0;
    }
    for (size_t k = rank; k-- > 0;) {
        p->z[k] /= p->a[k * p->d + k];
        gy_axpy(-p->z[k], p->a + k * p->d, p->z, k);
        w[p->order[k]] = p->z[k] / scale[p->order[k]];
    }
}

size_t gy_least_norm(const double *r, size_t stride, size_t d, double *c, const double *scale,
                     const double *tolerance, double *w, double *room)
{
    struct pivoted p = {.a = room,
                        .v = room + d * d,
                        .z = room + 2 * d * d,
                        .factors = room + 2 * d * d + d,
                        .order = (size_t *)(void *)(room + 2 * d * d + 2 * d),
                        .d = d};
    size_t live = 0;
    for (size_t j = 0; j < d; j++) {
        bool counts = !isinf(tolerance[j]);
        live += counts;
        p.order[j] = j;
        for (size_t i = 0; i < d; i++) {
            p.a[j * d + i] = i > j || !counts ? 0 : r[i * stride + j];
        }
    }
    size_t rank = triangle(&p, c, tolerance);
    if (rank == live) {
        substitute(&p, rank, c, scale, w);
        return rank;
    }
    transpose(&p, rank, scale);
    shortest(&p, rank, c);
    for (size_t k = 0; k < d; k++) {
        w[p.order[k]] = p.z[k];
    }
    return rank;
}
