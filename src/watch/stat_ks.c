/* SPDX-License-Identifier: Apache-2.0 */
/* Kolmogorov-Smirnov, with the same numbers as scipy.stats.ks_2samp(method="auto"). */
#include <math.h>

#include "base/mem.h"
#include "watch/stat_internal.h"

#define MAX_EXACT 10000              /* rows a side: scipy's MAX_AUTO_N */
#define MAX_MATRIX 140               /* one sample: exact by matrix powers up to this n */
#define MAX_SUMMED UINT64_C(1000000) /* one-sided: summed term by term up to this n */

double gy_stat_ks_distance(const struct gy_values *a, const struct gy_values *b)
{
    struct gy_stat_walk w = {.a = a, .b = b};
    uint64_t below_a = 0, below_b = 0;
    double most = 0;
    while (gy_stat_step(&w)) {
        below_a += w.count_a;
        below_b += w.count_b;
        double gap = fabs((double)below_a / (double)a->total - (double)below_b / (double)b->total);
        most = gap > most ? gap : most;
    }
    return most;
}

/* ---- two samples, exact ---- */

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Equal sizes: the share of lattice paths that leave |x - y| < h (Feller's reflections). */
static double p_equal_sizes(double n, double h)
{
    double p = 0;
    for (int64_t i = (int64_t)floor(n / h); i >= 0; i--) {
        double k = (double)i;
        double p1 = 1;
        for (int64_t x = 0; x < (int64_t)h; x++) {
            double j = (double)x;
            p1 = (n - k * h - j) * p1 / (n + k * h + j + 1);
        }
        p = p1 * (1 - p);
    }
    return 2 * p;
}

/* The share of lattice paths from (0, 0) to (m, n), m >= n, that touch or leave the band
 * |x n/g - y m/g| < h: P(x, y) = (x P(x-1, y) + y P(x, y-1)) / (x + y), 1 outside. One column is
 * kept, and of it the window that is inside. */
static gy_status p_lattice(int64_t m, int64_t n, int64_t g, int64_t h, double *ret,
                           struct gy_err *err)
{
    int64_t mg = m / g, ng = n / g;
    GY_AUTO(gy_free) char *memory = gy_reallocarray(NULL, (size_t)n + 2, sizeof(double));
    if (!memory) {
        return gy_err_set(err, GY_E_NOMEM, "Kolmogorov-Smirnov");
    }
    double *p = (double *)(void *)memory;
    int64_t from = 0, to = (h + mg - 1) / mg < n + 1 ? (h + mg - 1) / mg : n + 1;
    for (int64_t y = 0; y < n + 2; y++) {
        p[y] = y < to ? 0 : 1;
    }
    *ret = 1;
    for (int64_t x = 1; x <= m; x++) {
        int64_t last_from = from, last_to = to;
        int64_t low = ng * x - h; /* below 0 the window starts at 0 */
        from = low < 0 ? 0 : low / mg + 1;
        from = from < n ? from : n;
        to = (ng * x + h + mg - 1) / mg;
        to = to < n + 1 ? to : n + 1;
        if (to <= from) {
            return GY_OK;
        }
        double value = from == 0 ? 0 : 1;
        for (int64_t y = from; y < to; y++) {
            double left = y >= last_from && y < last_to ? p[y] : 1;
            value = (left * (double)x + value * (double)y) / (double)(x + y);
            p[y] = value;
        }
    }
    *ret = p[to - 1];
    return GY_OK;
}

static gy_status p_exact(double d, uint64_t n1, uint64_t n2, double *ret, struct gy_err *err)
{
    uint64_t g = common_divisor(n1, n2);
    uint64_t multiple = n1 / g * n2;
    uint64_t h = (uint64_t)llround(d * (double)multiple);
    if (h == 0) {
        *ret = 1;
        return GY_OK;
    }
    if (n1 == n2) {
        *ret = p_equal_sizes((double)n1, (double)h);
        return GY_OK;
    }
    return p_lattice((int64_t)(n1 > n2 ? n1 : n2), (int64_t)(n1 > n2 ? n2 : n1), (int64_t)g,
                     (int64_t)h, ret, err);
}

/* ---- one sample ---- */

/* P(D+ >= d): Birnbaum and Tingey's sum, in logarithms. */
static double one_sided(double d, uint64_t count)
{
    double n = (double)count, sum = 0;
    if (count > MAX_SUMMED) {
        double x = 6 * n * d + 1;
        return exp(-x * x / (18 * n));
    }
    double log_n = lgamma(n + 1);
    int64_t last = (int64_t)floor(n * (1 - d));
    for (int64_t i = 0; i <= last; i++) {
        double j = (double)i;
        double rest = 1 - d - j / n;
        double term = log_n - lgamma(j + 1) - lgamma(n - j + 1) + (j - 1) * log(d + j / n);
        if (rest > 0) {
            sum += exp(term + (n - j) * log(rest));
        } else if (j == n) {
            sum += exp(term);
        }
    }
    return d * sum;
}

static void multiply(const double *a, const double *b, double *to, int m)
{
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < m; j++) {
            double s = 0;
            for (int k = 0; k < m; k++) {
                s += a[i * m + k] * b[k * m + j];
            }
            to[i * m + j] = s;
        }
    }
}

/* P(D < d), exact: Durbin's matrix as Marsaglia, Tsang and Wang (2003) take its power. Here n is at
 * most MAX_MATRIX and n d^2 at most 4: the matrix has at most 47 rows, and nothing overflows. */
#define MATRIX_ROWS 49
static double cdf_matrix(double d, int n)
{
    double base[MATRIX_ROWS * MATRIX_ROWS], power[MATRIX_ROWS * MATRIX_ROWS];
    double room[MATRIX_ROWS * MATRIX_ROWS];
    int k = (int)(n * d) + 1, m = 2 * k - 1;
    double h = k - n * d;
    GY_REQUIRE(m <= MATRIX_ROWS);
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < m; j++) {
            base[i * m + j] = i - j + 1 < 0 ? 0 : 1;
            power[i * m + j] = i == j;
        }
    }
    for (int i = 0; i < m; i++) {
        base[i * m] -= pow(h, i + 1);
        base[(m - 1) * m + i] -= pow(h, m - i);
    }
    base[(m - 1) * m] += 2 * h - 1 > 0 ? pow(2 * h - 1, m) : 0;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < m; j++) {
            for (int f = 1; f <= i - j + 1; f++) {
                base[i * m + j] /= f;
            }
        }
    }
    for (int i = 1; i <= n; i++) { /* times i / n at each step: n!/n^n without its range */
        multiply(power, base, room, m);
        for (int c = 0; c < m * m; c++) {
            power[c] = room[c] * i / n;
        }
    }
    return power[(k - 1) * m + k - 1];
}

/* P(D >= d) by Pelz and Good (1976): the limit law and three terms in powers of 1/sqrt(n). */
static double sf_pelz_good(double d, double n)
{
    const double pi2 = M_PI * M_PI, pi4 = pi2 * pi2, pi6 = pi4 * pi2;
    double z = sqrt(n) * d, z2 = z * z, z4 = z2 * z2, z6 = z4 * z2, z8 = z4 * z4;
    double k[4] = {0};
    double q = exp(-pi2 / 8 / z2);
    int terms = (int)ceil(16 * z / M_PI);
    for (int i = terms; i > 0; i--) {
        double m2 = (2.0 * i - 1) * (2.0 * i - 1), m4 = m2 * m2, m6 = m4 * m2;
        double by = pow(q, 8.0 * i);
        k[0] = k[0] * by + 1;
        k[1] = k[1] * by - z2 + pi2 / 4 * m2;
        k[2] = k[2] * by + 6 * z6 + 2 * z4 + (2 * z4 - 5 * z2) * pi2 / 4 * m2 +
               pi4 * (1 - 2 * z2) / 16 * m4;
        k[3] = k[3] * by - 30 * z6 - 90 * z8 + pi2 * (135 * z4 - 96 * z6) / 4 * m2 +
               pi4 * (-60 * z2 + 212 * z4) / 16 * m4 + pi6 * (5 - 30 * z2) / 64 * m6;
    }
    double scale = q * sqrt(2 * M_PI);
    k[0] *= scale / z;
    k[1] *= scale / (6 * z4);
    k[2] *= scale / (72 * z6 * z);
    k[3] *= scale / (6480 * z8 * z2);
    double even = exp(-pi2 / 2 / z2), extra2 = 0, extra3 = 0;
    for (int i = terms - 1; i > 0; i--) {
        double i2 = (double)i * i, by = pow(even, i2);
        extra2 += i2 * by;
        extra3 += (3 * z2 - pi2 * i2) * i2 * by;
    }
    k[2] += extra2 * pi2 * sqrt(2 * M_PI) / (-36 * z2 * z);
    k[3] += extra3 * pi2 * sqrt(2 * M_PI) / (216 * z6);
    return 1 - k[0] - k[1] / sqrt(n) - k[2] / n - k[3] / (n * sqrt(n));
}

static double clip(double p)
{
    return p < 0 ? 0 : p > 1 ? 1 : p;
}

double gy_stat_kolmogorov_sf(double d, uint64_t count)
{
    double n = (double)count, t = n * d;
    if (count == 0 || isnan(d)) {
        return NAN;
    }
    if (d >= 1 || t <= 0.5) {
        return d >= 1 ? 0 : 1;
    }
    if (t <= 1) { /* Ruben and Gambino: n! (2d - 1/n)^n */
        return clip(1 - exp(lgamma(n + 1) + n * log(2 * d - 1 / n)));
    }
    if (t >= n - 1) {
        return clip(2 * pow(1 - d, n));
    }
    double exact_above = count <= MAX_MATRIX ? 4 : 2.2; /* of n d^2: there both sides can not be */
    if (d >= 0.5 || n * d * d >= exact_above) {
        return clip(2 * one_sided(d, count));
    }
    return clip(count <= MAX_MATRIX ? 1 - cdf_matrix(d, (int)count) : sf_pelz_good(d, n));
}

gy_status gy_stat_ks_p(double d, uint64_t n1, uint64_t n2, double *ret, struct gy_err *err)
{
    *ret = NAN;
    if (n1 == 0 || n2 == 0 || isnan(d)) {
        return GY_OK;
    }
    if (n1 <= MAX_EXACT && n2 <= MAX_EXACT) {
        GY_TRY(p_exact(d, n1, n2, ret, err));
        *ret = clip(*ret);
        return GY_OK;
    }
    double a = (double)n1, b = (double)n2;
    double n = rint(a * (b / (a + b)));
    *ret = gy_stat_kolmogorov_sf(d, n < 1 ? 1 : (uint64_t)n);
    return GY_OK;
}
