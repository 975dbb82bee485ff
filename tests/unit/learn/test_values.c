/* SPDX-License-Identifier: Apache-2.0 */
/* A column as its distribution: sorting, counting, quantiles, moments. */
#include "unit.h"

#include <float.h>
#include <math.h>

#include "base/id.h"
#include "learn/values.h"

static struct gy_err g_err;

static struct gy_values values_of(struct gy_arena *a, const double *x, const uint32_t *w, size_t n)
{
    struct gy_values v = {0};
    assert_status(GY_OK, gy_values_of(x, w, n, a, &v, &g_err), g_err);
    return v;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Against qsort, on sizes around the change of algorithm, over the whole range of doubles. */
static void counts_what_is_there(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 63, 64, 65, 1000, 20000};
    static double x[20000];
    struct gy_rng r;
    gy_rng_init(&r, 5);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (int kind = 0; kind < 4; kind++) {
            GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
            gy_arena_init(&a, 64 * GY_MIB);
            size_t n = sizes[s];
            for (size_t i = 0; i < n; i++) {
                uint64_t bits = gy_rng_u64(&r);
                memcpy(&x[i], &bits, sizeof bits);
                x[i] = kind == 0        ? (double)gy_rng_below(&r, 50) - 25
                       : kind == 1      ? gy_rng_normal(&r) * 1e-300
                       : kind == 2      ? 1 + (double)gy_rng_below(&r, 1000) * DBL_EPSILON
                       : isfinite(x[i]) ? x[i]
                                        : 0;
            }
            struct gy_values v = values_of(&a, x, NULL, n);
            assert_int_equal(v.total, n);
            assert_int_equal(v.missing, 0);
            qsort(x, n, sizeof x[0], compare);
            size_t at = 0;
            for (size_t i = 0; i < v.n; i++) {
                assert_true(i == 0 || v.values[i] > v.values[i - 1]);
                for (uint64_t k = 0; k < v.counts[i]; k++) {
                    assert_true(x[at++] == v.values[i]);
                }
            }
            assert_int_equal(at, n);
        }
    }
}

static void odd_numbers(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    const double x[] = {0.0,          -0.0,          NAN,     INFINITY,          -INFINITY,
                        DBL_TRUE_MIN, -DBL_TRUE_MIN, DBL_MAX, 9007199254740993.0};
    struct gy_values v = values_of(&a, x, NULL, sizeof x / sizeof x[0]);
    assert_int_equal(v.n, 5);
    assert_int_equal(v.total, 6);
    assert_int_equal(v.missing, 3);
    assert_true(v.values[0] == -DBL_TRUE_MIN && v.values[1] == 0 && !signbit(v.values[1]));
    assert_int_equal(v.counts[1], 2);
    assert_true(v.values[2] == DBL_TRUE_MIN && v.values[4] == DBL_MAX);
    assert_true(gy_values_missing_share(&v) == 3.0 / 9);
    const double none[] = {NAN};
    v = values_of(&a, none, NULL, 1);
    assert_true(isnan(gy_values_mean(&v)) && isnan(gy_values_sd(&v)));
    assert_true(isnan(gy_values_quantile(&v, 0.5)));
}

static void weights_are_repetition(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    const double x[] = {3, 1, 2, 1, NAN};
    const uint32_t w[] = {2, 1, 0, 10, 4};
    struct gy_values v = values_of(&a, x, w, 5);
    assert_int_equal(v.n, 2);
    assert_true(v.values[0] == 1 && v.counts[0] == 11 && v.values[1] == 3 && v.counts[1] == 2);
    assert_int_equal(v.total, 13);
    assert_int_equal(v.missing, 4);
}

static void moments(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    const double x[] = {2, 4, 4, 4, 5, 5, 7, 9};
    struct gy_values v = values_of(&a, x, NULL, 8);
    assert_true(gy_values_mean(&v) == 5 && gy_values_sd(&v) == 2);
    assert_true(gy_values_quantile(&v, 0) == 2 && gy_values_quantile(&v, 0.5) == 4);
    assert_true(gy_values_quantile(&v, 1) == 9);
    /* large mean, small spread: a naive sum of squares has no digit left */
    const double far[] = {1e9 + 1, 1e9 + 2, 1e9 + 3};
    v = values_of(&a, far, NULL, 3);
    assert_true(fabs(gy_values_sd(&v) - sqrt(2.0 / 3)) < 1e-12);
    struct gy_values m;
    assert_status(GY_OK, gy_values_map(&v, -2, 1, &a, &m, &g_err), g_err);
    assert_true(m.values[0] == -2 * (1e9 + 3) + 1 && m.values[2] == -2 * (1e9 + 1) + 1);
}

/* A column that marks what is missing by the largest number there is must not leave a profile
 * without a mean, which nobody could read again. */
static void moments_of_the_largest_numbers(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    const double most = 1.7976931348623157e308;
    const double x[] = {most, most, -most, -most};
    struct gy_values v = values_of(&a, x, NULL, 4);
    assert_true(gy_values_mean(&v) == 0);
    assert_true(fabs(gy_values_sd(&v) / most - 1) < 1e-12);
    const double y[] = {0, 0, 0, 1e200};
    v = values_of(&a, y, NULL, 4);
    assert_true(fabs(gy_values_mean(&v) / 2.5e199 - 1) < 1e-12);
    assert_true(fabs(gy_values_sd(&v) / (sqrt(3.0 / 16) * 1e200) - 1) < 1e-12);
    const double same[] = {most, most, most};
    v = values_of(&a, same, NULL, 3);
    assert_true(fabs(gy_values_mean(&v) / most - 1) < 1e-12);
    assert_true(gy_values_sd(&v) == 0);
}

/* Quantiles: the rows add up, ends are kept, and no rank is further off than a share. */
static void quantiles_stand_for_equal_shares(void **state)
{
    (void)state;
    enum { N = 30000, K = 100 };
    static double x[N];
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 16 * GY_MIB);
    struct gy_rng r;
    gy_rng_init(&r, 9);
    for (size_t i = 0; i < N; i++) {
        x[i] = i % 3 ? gy_rng_normal(&r) : 7; /* a third has one value */
    }
    struct gy_values all = values_of(&a, x, NULL, N), q;
    assert_status(GY_OK, gy_values_summarize(&all, all.n, K, &a, &q, &g_err), g_err);
    assert_true(q.n == all.n && !q.approximate);
    assert_status(GY_OK, gy_values_summarize(&all, 1000, K, &a, &q, &g_err), g_err);
    assert_true(q.approximate && q.n <= K && q.n > K / 2);
    assert_int_equal(q.total, N);
    assert_true(q.values[0] == all.values[0] && q.values[q.n - 1] == all.values[all.n - 1]);
    uint64_t below = 0, covered = 0;
    for (size_t i = 0, at = 0; i < q.n; i++) {
        assert_true(i == 0 || q.values[i] > q.values[i - 1]);
        covered += q.counts[i];
        while (at < all.n && all.values[at] <= q.values[i]) {
            below += all.counts[at++];
        }
        assert_true(fabs((double)below - (double)covered) <= (double)N / K);
    }
    assert_int_equal(covered, N);
}

static gy_status make(void *ctx, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_values v, q;
    gy_arena_init(&a, GY_MIB);
    GY_TRY(gy_values_of(ctx, NULL, 100, &a, &v, err));
    return gy_values_summarize(&v, 10, 5, &a, &q, err);
}

static void no_memory(void **state)
{
    (void)state;
    double x[100];
    for (size_t i = 0; i < 100; i++) {
        x[i] = (double)i;
    }
    torture(make, x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_there),
        cmocka_unit_test(odd_numbers),
        cmocka_unit_test(weights_are_repetition),
        cmocka_unit_test(moments),
        cmocka_unit_test(moments_of_the_largest_numbers),
        cmocka_unit_test(quantiles_stand_for_equal_shares),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
