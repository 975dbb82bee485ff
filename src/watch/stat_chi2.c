/* SPDX-License-Identifier: Apache-2.0 */
/* Tests on counts: chi-square and two proportions. */
#include <math.h>

#include "watch/stat_internal.h"

#define MAX_STEPS 100000
#define TINY 1e-300

/* ---- P(X >= x) of chi-square: the regularized incomplete gamma function Q(df/2, x/2) ---- */

/* P(a, x) by its power series, for x < a + 1. */
static double gamma_series(double a, double x)
{
    double term = 1 / a, sum = term;
    for (int i = 1; i < MAX_STEPS && fabs(term) > fabs(sum) * 1e-17; i++) {
        term *= x / (a + i);
        sum += term;
    }
    return sum * exp(-x + a * log(x) - lgamma(a));
}

/* Q(a, x) by its continued fraction (Lentz), for x >= a + 1. */
static double gamma_fraction(double a, double x)
{
    double b = x + 1 - a, c = 1 / TINY, d = 1 / b, h = d;
    for (int i = 1; i < MAX_STEPS; i++) {
        double an = -(double)i * ((double)i - a);
        b += 2;
        d = an * d + b;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        c = b + an / c;
        c = fabs(c) < TINY ? TINY : c;
        h *= d * c;
        if (fabs(d * c - 1) < 1e-16) {
            break;
        }
    }
    return h * exp(-x + a * log(x) - lgamma(a));
}

double gy_stat_chi2_sf(double x, double df)
{
    double a = df / 2, half = x / 2;
    if (!(df > 0) || isnan(x)) {
        return NAN;
    }
    if (half <= 0) {
        return 1;
    }
    if (isinf(half)) {
        return 0;
    }
    return half < a + 1 ? 1 - gamma_series(a, half) : gamma_fraction(a, half);
}

/* ---- the tests ---- */

/* The reference's shares are taken as known, as Evidently does: more false alarms than its 5 %
 * promise when the reference is small. A value that only the current column has makes p = 0. */
double gy_stat_chisquare(const struct gy_values *reference, const struct gy_values *current)
{
    struct gy_stat_walk w = {.a = reference, .b = current};
    double scale = (double)current->total / (double)reference->total, x = 0;
    size_t cells = 0;
    while (gy_stat_step(&w)) {
        double expected = (double)w.count_a * scale, off = (double)w.count_b - expected;
        x += off * off / expected;
        cells++;
    }
    return gy_stat_chi2_sf(x, (double)cells - 1);
}

/* The smallest value against all others. */
double gy_stat_z(const struct gy_values *reference, const struct gy_values *current)
{
    struct gy_stat_walk w = {.a = reference, .b = current};
    double n1 = (double)reference->total, n2 = (double)current->total;
    (void)gy_stat_step(&w); /* neither side is empty */
    double other1 = n1 - (double)w.count_a, other2 = n2 - (double)w.count_b;
    double pooled = (other1 + other2) / (n1 + n2);
    double spread = sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2));
    if (spread == 0) {
        return 1; /* both columns have this one value alone */
    }
    return erfc(fabs(other1 / n1 - other2 / n2) / spread / M_SQRT2);
}
