/* SPDX-License-Identifier: Apache-2.0 */
/* Quantiles and counts of different values in bounded memory: held against sorting and counting. */
#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "data/sketch.h"
#include "data/tally.h"

#define N 300000

static double *g_sorted;

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What the bound of sketch.h says of n values, as a share of n. */
static double bound(double n)
{
    return n <= GY_SKETCH_K ? 0 : (log2(n / GY_SKETCH_K) + 1) / GY_SKETCH_K;
}

/* How far the rank of v is from q, as a share; equal values have a range of ranks. */
static double rank_error(const double *sorted, size_t n, double v, double q)
{
    size_t below = 0, upto = 0;
    while (below < n && sorted[below] < v) {
        below++;
    }
    upto = below;
    while (upto < n && sorted[upto] == v) {
        upto++;
    }
    double low = (double)below / (double)n, high = (double)upto / (double)n;
    return q < low ? low - q : q > high ? q - high : 0;
}

static void expect_quantiles(const struct gy_sketch *s, double *values, size_t n, double allowed)
{
    struct gy_point *points = NULL;
    size_t n_points = 0;
    struct gy_err err = GY_ERR_INIT;
    qsort(values, n, sizeof *values, by_number);
    assert_int_equal(s->n, n);
    assert_status(GY_OK, gy_sketch_points(s, &points, &n_points, &err), err);
    int64_t weight = 0;
    for (size_t i = 0; i < n_points; i++) {
        weight += points[i].weight;
        assert_true(i == 0 || points[i - 1].v <= points[i].v);
    }
    assert_int_equal(weight, n); /* no weight is ever lost */
    for (int i = 1; i < 100; i++) {
        double q = i / 100.0, v = gy_points_quantile(points, n_points, q);
        double off = rank_error(values, n, v, q);
        if (off > allowed + 1.0 / (double)n) {
            fail_msg("the %d %% quantile is off by %g, more than %g", i, off, allowed);
        }
    }
    gy_free(points);
}

enum shape { RANDOM, UP, DOWN, SAW, FEW, SPREAD, N_SHAPES };

static double value_of(struct gy_rng *r, enum shape shape, size_t i)
{
    switch (shape) {
    case RANDOM:
        return gy_rng_normal(r);
    case UP:
        return (double)i;
    case DOWN:
        return -(double)i;
    case SAW:
        return (double)(i % 4099) - 1000;
    case FEW:
        return (double)gy_rng_below(r, 5);
    case SPREAD:
        return ldexp(gy_rng_normal(r), (int)gy_rng_below(r, 600) - 300);
    case N_SHAPES:
        break;
    }
    return 0;
}

static void test_ranks_are_within_the_bound(void **state)
{
    (void)state;
    for (int shape = RANDOM; shape < N_SHAPES; shape++) {
        struct gy_sketch s = {0};
        struct gy_rng r;
        gy_rng_init(&r, 7);
        for (size_t i = 0; i < N; i++) {
            g_sorted[i] = value_of(&r, (enum shape)shape, i);
            assert_int_equal(gy_sketch_add(&s, g_sorted[i], 1, NULL), GY_OK);
        }
        expect_quantiles(&s, g_sorted, N, bound(N));
        gy_sketch_done(&s);
    }
}

static void test_few_values_are_exact(void **state)
{
    (void)state;
    struct gy_sketch s = {0};
    struct gy_point *points = NULL;
    size_t n = 0;
    for (int i = GY_SKETCH_K; i > 0; i--) {
        assert_int_equal(gy_sketch_add(&s, i, 1, NULL), GY_OK);
    }
    assert_int_equal(gy_sketch_points(&s, &points, &n, NULL), GY_OK);
    assert_int_equal(n, GY_SKETCH_K);
    assert_true(gy_points_quantile(points, n, 0) == 1);
    assert_true(gy_points_quantile(points, n, 1) == GY_SKETCH_K);
    assert_true(gy_points_quantile(points, n, 0.5) == (GY_SKETCH_K + 1) / 2.0);
    gy_free(points);
    gy_sketch_done(&s);
}

/* numpy.quantile([1, 1, 1, 5, 7, 7, 20], [0, .1, .25, .5, .6, .75, .9, 1]) */
static void test_interpolation_is_numpys(void **state)
{
    (void)state;
    static const struct gy_point p[] = {{1, 3}, {5, 1}, {7, 2}, {20, 1}};
    static const double q[] = {0, 0.1, 0.25, 0.5, 0.6, 0.75, 0.9, 1};
    static const double expected[] = {1, 1, 1, 5, 6.2, 7, 12.2, 20};
    for (size_t i = 0; i < 8; i++) {
        assert_true(fabs(gy_points_quantile(p, 4, q[i]) - expected[i]) < 1e-9);
    }
    assert_true(isnan(gy_points_quantile(p, 0, 0.5)));
}

static void test_weights_are_repetitions(void **state)
{
    (void)state;
    struct gy_sketch s = {0};
    struct gy_rng r;
    gy_rng_init(&r, 3);
    size_t n = 0;
    while (n + 5000 < N) {
        double v = gy_rng_normal(&r);
        int64_t weight = 1 + (int64_t)gy_rng_below(&r, 5000);
        assert_int_equal(gy_sketch_add(&s, v, weight, NULL), GY_OK);
        for (int64_t i = 0; i < weight; i++) {
            g_sorted[n++] = v;
        }
    }
    expect_quantiles(&s, g_sorted, n, bound(N));
    gy_sketch_done(&s);
}

static void test_merged_sketches_keep_the_bound(void **state)
{
    (void)state;
    struct gy_sketch whole = {0};
    struct gy_rng r;
    gy_rng_init(&r, 11);
    size_t n = 0;
    while (n < N) {
        struct gy_sketch part = {0};
        size_t size = 1 + gy_rng_below(&r, 30000);
        for (size_t i = 0; i < size && n < N; i++) {
            g_sorted[n] = gy_rng_normal(&r) + (double)n / N;
            assert_int_equal(gy_sketch_add(&part, g_sorted[n++], 1, NULL), GY_OK);
        }
        assert_int_equal(gy_sketch_merge(&whole, &part, NULL), GY_OK);
        gy_sketch_done(&part);
    }
    expect_quantiles(&whole, g_sorted, N, 2 * bound(N));
    gy_sketch_done(&whole);
}

/* ---- tallies ---- */

static void test_hyperloglog_is_within_four_errors(void **state)
{
    (void)state;
    static const int64_t sizes[] = {150000, 300000, 1000000};
    for (size_t k = 0; k < 3; k++) {
        struct gy_tally t;
        gy_tally_init(&t, GY_TALLY_HASH, 100000);
        for (int64_t i = 0; i < sizes[k]; i++) {
            assert_int_equal(gy_tally_add(&t, (uint64_t)i * 3, NULL), GY_OK);
            assert_int_equal(gy_tally_add(&t, (uint64_t)i * 3, NULL), GY_OK);
        }
        assert_true(t.over && t.n == 0);
        double off = (double)gy_tally_distinct(&t) / (double)sizes[k] - 1;
        assert_true(fabs(off) < 4 * 0.0082);
        gy_tally_done(&t);
    }
}

/* A skewed stream: value v comes about N / v^2 times, and many come once. */
static uint64_t skewed(struct gy_rng *r)
{
    double u = gy_rng_f64(r);
    return gy_rng_below(r, 3) == 0 ? 1000000 + gy_rng_below(r, 1000000)
                                   : (uint64_t)(1 / (u + 1e-6));
}

static void expect_frequent(const struct gy_tally *t, const int64_t *counts, size_t n_counts,
                            int64_t total)
{
    assert_true(t->short_by <= total / (int64_t)t->exact);
    for (size_t v = 0; v < n_counts; v++) {
        int64_t found = 0;
        for (size_t i = 0; i < t->n; i++) {
            found = t->entries[i].key == v ? t->entries[i].count : found;
        }
        assert_true(found <= counts[v]);
        assert_true(found >= counts[v] - t->short_by);
    }
}

static void test_frequent_values_survive(void **state)
{
    (void)state;
    enum { VALUES = 200, EXACT = 500 };
    int64_t counts[VALUES] = {0};
    struct gy_tally whole, parts[4];
    struct gy_rng r;
    gy_rng_init(&r, 5);
    gy_tally_init(&whole, GY_TALLY_INT, EXACT);
    for (int p = 0; p < 4; p++) {
        gy_tally_init(&parts[p], GY_TALLY_INT, EXACT);
    }
    for (int i = 0; i < N; i++) {
        uint64_t v = skewed(&r);
        if (v < VALUES) {
            counts[v]++;
        }
        assert_int_equal(gy_tally_add(&whole, v, NULL), GY_OK);
        assert_int_equal(gy_tally_add(&parts[i % 4], v, NULL), GY_OK);
    }
    assert_true(whole.over);
    expect_frequent(&whole, counts, VALUES, N);
    for (int p = 1; p < 4; p++) {
        assert_int_equal(gy_tally_merge(&parts[0], &parts[p], NULL), GY_OK);
    }
    expect_frequent(&parts[0], counts, VALUES, N);
    assert_int_equal(parts[0].sketch.n, N);
    assert_int_equal(gy_tally_distinct(&parts[0]), gy_tally_distinct(&whole)); /* of a set */
    for (int p = 0; p < 4; p++) {
        gy_tally_done(&parts[p]);
    }
    gy_tally_done(&whole);
}

static void test_an_exact_and_a_full_tally_merge_both_ways(void **state)
{
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        struct gy_tally small, large;
        gy_tally_init(&small, GY_TALLY_INT, 100);
        gy_tally_init(&large, GY_TALLY_INT, 100);
        for (uint64_t i = 0; i < 1000; i++) {
            assert_int_equal(gy_tally_add(&large, i, NULL), GY_OK);
            assert_int_equal(gy_tally_add(&small, 5, NULL), GY_OK);
        }
        struct gy_tally *into = turn ? &small : &large;
        assert_int_equal(gy_tally_merge(into, turn ? &large : &small, NULL), GY_OK);
        assert_true(into->over);
        assert_int_equal(into->sketch.n, 2000);
        assert_in_range(gy_tally_distinct(into), 980, 1020);
        int64_t five = 0;
        for (size_t i = 0; i < into->n; i++) {
            five = into->entries[i].key == 5 ? into->entries[i].count : five;
        }
        assert_in_range(five, 1001 - into->short_by, 1001);
        gy_tally_done(&small);
        gy_tally_done(&large);
    }
}

static void test_long_texts_are_cut_between_characters_and_told_apart(void **state)
{
    (void)state;
    char a[GY_TALLY_MAX_TEXT + 10], b[sizeof a];
    struct gy_tally t;
    memset(a, 'x', sizeof a);
    memcpy(a + GY_TALLY_MAX_TEXT - 1, "\xc3\xa9", 2); /* the limit lies within the character */
    memcpy(b, a, sizeof a);
    b[sizeof b - 1] = 'y';
    gy_tally_init(&t, GY_TALLY_TEXT, 100);
    assert_int_equal(gy_tally_add_text(&t, gy_str_n(a, sizeof a), NULL), GY_OK);
    assert_int_equal(gy_tally_add_text(&t, gy_str_n(b, sizeof b), NULL), GY_OK);
    assert_int_equal(gy_tally_add_text(&t, gy_str_n(a, sizeof a), NULL), GY_OK);
    assert_int_equal(gy_tally_distinct(&t), 2);
    assert_int_equal(t.entries[0].count, 2);
    assert_true(t.texts[0].cut);
    assert_int_equal(gy_tally_text(&t, 0).n, GY_TALLY_MAX_TEXT - 1);
    gy_tally_done(&t);
}

static void test_hash_reads_every_byte(void **state)
{
    (void)state;
    char text[70] = {0};
    for (size_t n = 0; n <= sizeof text; n++) {
        uint64_t whole = gy_tally_hash(gy_str_n(text, n));
        for (size_t i = 0; i < n; i++) {
            text[i] = 1;
            assert_true(gy_tally_hash(gy_str_n(text, n)) != whole);
            text[i] = 0;
        }
        assert_true(n == 0 || gy_tally_hash(gy_str_n(text, n - 1)) != whole);
    }
}

static gy_status fill_tally(void *ctx, struct gy_err *err)
{
    (void)ctx;
    struct gy_tally a, b;
    gy_tally_init(&a, GY_TALLY_TEXT, 20);
    gy_tally_init(&b, GY_TALLY_TEXT, 20);
    gy_status status = GY_OK;
    for (int i = 0; i < 100 && status == GY_OK; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "%d", i);
        status = gy_tally_add_text(i % 3 ? &a : &b, gy_str_n(text, (size_t)n), err);
    }
    if (status == GY_OK) {
        status = gy_tally_merge(&a, &b, err);
    }
    gy_tally_done(&a);
    gy_tally_done(&b);
    return status;
}

static gy_status fill_numbers(void *ctx, struct gy_err *err)
{
    (void)ctx;
    struct gy_tally t;
    struct gy_point *points = NULL;
    size_t n = 0;
    gy_tally_init(&t, GY_TALLY_INT, 20);
    gy_status status = GY_OK;
    for (uint64_t i = 0; i < 100 && status == GY_OK; i++) {
        status = gy_tally_add(&t, i, err);
    }
    if (status == GY_OK) {
        status = gy_tally_points(&t, &points, &n, err);
    }
    gy_free(points);
    gy_tally_done(&t);
    return status;
}

static void test_select(void **state)
{
    (void)state;
    struct gy_rng r;
    gy_rng_init(&r, 1);
    for (int round = 0; round < 300; round++) {
        int64_t a[50], b[50];
        size_t n = 1 + gy_rng_below(&r, 50), k = gy_rng_below(&r, n), larger = 0, equal = 0;
        for (size_t i = 0; i < n; i++) {
            a[i] = b[i] = (int64_t)gy_rng_below(&r, 1 + gy_rng_below(&r, 60));
        }
        int64_t found = gy_count_select(a, n, k);
        for (size_t i = 0; i < n; i++) {
            larger += b[i] > found;
            equal += b[i] == found;
        }
        assert_true(larger <= k && k < larger + equal);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    torture(fill_numbers, NULL);
    torture(fill_tally, NULL);
}

static int make_room(void **state)
{
    (void)state;
    g_sorted = gy_calloc(N, sizeof *g_sorted);
    return g_sorted ? 0 : -1;
}

static int free_room(void **state)
{
    (void)state;
    gy_free(g_sorted);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks_are_within_the_bound),
        cmocka_unit_test(test_few_values_are_exact),
        cmocka_unit_test(test_interpolation_is_numpys),
        cmocka_unit_test(test_weights_are_repetitions),
        cmocka_unit_test(test_merged_sketches_keep_the_bound),
        cmocka_unit_test(test_hyperloglog_is_within_four_errors),
        cmocka_unit_test(test_frequent_values_survive),
        cmocka_unit_test(test_an_exact_and_a_full_tally_merge_both_ways),
        cmocka_unit_test(test_long_texts_are_cut_between_characters_and_told_apart),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_hash_reads_every_byte),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_room, free_room);
}
