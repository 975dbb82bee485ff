/* SPDX-License-Identifier: Apache-2.0 */
/* What the drift tests share: the generator of the golden vectors, and columns from arrays. */
#ifndef GY_TESTS_SUPPORT_WATCH_H
#define GY_TESTS_SUPPORT_WATCH_H

#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "watch/stat.h"

static struct gy_err g_err;
static struct gy_arena g_arena; /* of the test that runs */

#define OK(expr) assert_status(GY_OK, expr, g_err)

GY_UNUSED static int arena_start(void **state)
{
    (void)state;
    gy_arena_init(&g_arena, 1024 * GY_MIB);
    return 0;
}

GY_UNUSED static int arena_end(void **state)
{
    (void)state;
    gy_arena_done(&g_arena);
    return 0;
}

GY_UNUSED static struct gy_values column(const double *x, size_t n)
{
    struct gy_values v = {0};
    OK(gy_values_of(x, NULL, n, &g_arena, &v, &g_err));
    return v;
}

/* 64 bit linear congruential steps, the upper 53 bits as [0, 1). */
struct lcg {
    uint64_t x;
};

GY_UNUSED static double lcg_next(struct lcg *g)
{
    g->x = g->x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(g->x >> 11) * 0x1p-53;
}

/* Nearly normal: twelve uniform numbers, left to right. */
GY_UNUSED static double lcg_normal(struct lcg *g)
{
    double t = 0;
    for (int i = 0; i < 12; i++) {
        t += lcg_next(g);
    }
    return t - 6;
}

GY_UNUSED static struct gy_values lcg_column(uint64_t seed, size_t n, double shift, double scale)
{
    struct lcg g = {seed};
    double *x = gy_arena_calloc(&g_arena, n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        x[i] = lcg_normal(&g) * scale + shift;
    }
    return column(x, n);
}

/* Categories 0, 1, ... by weights. */
GY_UNUSED static struct gy_values lcg_categories(uint64_t seed, size_t n, const double *weights)
{
    struct lcg g = {seed};
    double *x = gy_arena_calloc(&g_arena, n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        double u = lcg_next(&g), sum = weights[0];
        size_t k = 0;
        while (u >= sum) {
            sum += weights[++k];
        }
        x[i] = (double)k;
    }
    return column(x, n);
}

/* Categories with these counts, 0-terminated. */
GY_UNUSED static struct gy_values counted(const uint64_t *counts)
{
    struct gy_values v = {0};
    double *values = gy_arena_calloc(&g_arena, 16, sizeof *values);
    uint64_t *copy = gy_arena_calloc(&g_arena, 16, sizeof *copy);
    assert_non_null(values);
    assert_non_null(copy);
    for (; counts[v.n]; v.n++) {
        values[v.n] = (double)v.n;
        copy[v.n] = counts[v.n];
        v.total += counts[v.n];
    }
    v.values = values;
    v.counts = copy;
    return v;
}

GY_UNUSED static double run(enum gy_stat s, const struct gy_values *a, const struct gy_values *b,
                            bool categorical)
{
    double score = -1;
    OK(gy_stat_run(s, a, b, categorical, &score, &g_err));
    return score;
}

/* Relative, and below 1e-12 absolute to 1e-15. */
GY_UNUSED static void assert_near(double got, double want, double relative)
{
    double off = fabs(got - want);
    if (!(off <= fabs(want) * relative || (fabs(want) < 1e-12 && off <= 1e-15))) {
        fail_msg("%.17g is not %.17g (off by %.3g)", got, want, off / fabs(want));
    }
}

#endif
