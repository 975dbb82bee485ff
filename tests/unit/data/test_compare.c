/* SPDX-License-Identifier: Apache-2.0 */
/* Distances of columns; expected numbers are of scipy (jensenshannon(p, q, base=2) ** 2) or by
 * hand. */
#include "../unit.h"

#include <math.h>

#include "data/compare.h"

#define NEAR(x, y) assert_true(fabs((x) - (y)) < 1e-12)

static double of(enum gy_measure m, const struct gy_statistics_column *a,
                 const struct gy_statistics_column *b, bool categorical)
{
    double value = -1;
    struct gy_err err = GY_ERR_INIT;
    if (gy_compare(m, a, b, categorical, &value, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return value;
}

#define VALUES(...)                      \
    (const struct gy_statistics_value[]) \
    {                                    \
        __VA_ARGS__                      \
    }
#define V(text, n)                      \
    {                                   \
        {(text), sizeof(text) - 1}, (n) \
    }

static void test_categories(void **state)
{
    (void)state;
    struct gy_statistics_column a = {
        .count = 10, .top = VALUES(V("x", 6), V("y", 4)), .n_top = 2, .top_is_all = true};
    struct gy_statistics_column b = {
        .count = 20, .top = VALUES(V("z", 10), V("x", 10)), .n_top = 2, .top_is_all = true};
    NEAR(of(GY_MEASURE_L_INFTY, &a, &b, true), 0.5);
    NEAR(of(GY_MEASURE_JENSEN_SHANNON, &a, &b, true), 0.45328338368767396);
    NEAR(of(GY_MEASURE_ABS_DIFFERENCE, &a, &b, true), (4 + 4 + 10) / 30.0);
    NEAR(of(GY_MEASURE_L_INFTY, &a, &a, true), 0);
    NEAR(of(GY_MEASURE_JENSEN_SHANNON, &a, &a, true), 0);
    struct gy_statistics_column far = {
        .count = 3, .top = VALUES(V("q", 3)), .n_top = 1, .top_is_all = true};
    NEAR(of(GY_MEASURE_JENSEN_SHANNON, &a, &far, true), 1);
    NEAR(of(GY_MEASURE_ABS_DIFFERENCE, &a, &far, true), 1);
    struct gy_statistics_column none = {.count = 0};
    assert_true(isnan(of(GY_MEASURE_L_INFTY, &a, &none, true)));
    assert_true(isnan(of(GY_MEASURE_L_INFTY, &none, &none, true)));
}

static void test_rest_is_a_category(void **state)
{
    (void)state;
    /* 4 of 10 rows have values beyond the top ones, and 1 of 10 */
    struct gy_statistics_column a = {.count = 10, .top = VALUES(V("x", 6)), .n_top = 1};
    struct gy_statistics_column b = {.count = 10, .top = VALUES(V("x", 9)), .n_top = 1};
    NEAR(of(GY_MEASURE_L_INFTY, &a, &b, true), 0.3);
    /* Of lists, values are counted, and there are more of them than rows: 4 of 10 are beyond. */
    a.list = b.list = true;
    a.count = b.count = 5;
    a.n_values = b.n_values = 10;
    NEAR(of(GY_MEASURE_L_INFTY, &a, &b, true), 0.3);
}

static struct gy_statistics_column histogram(double min, double max, int64_t each)
{
    struct gy_statistics_column c = {
        .numeric = true, .min = min, .max = max, .count = each * GY_STATISTICS_BINS};
    for (int i = 0; i < GY_STATISTICS_BINS; i++) {
        c.bins[i] = each;
    }
    return c;
}

static void test_numbers(void **state)
{
    (void)state;
    struct gy_statistics_column a = histogram(0, 10, 5), b = histogram(5, 15, 7),
                                c = histogram(20, 30, 1);
    NEAR(of(GY_MEASURE_JENSEN_SHANNON, &a, &a, false), 0);
    NEAR(of(GY_MEASURE_JENSEN_SHANNON, &a, &b, false), 0.5); /* half of each in common */
    NEAR(of(GY_MEASURE_JENSEN_SHANNON, &b, &a, false), 0.5);
    NEAR(of(GY_MEASURE_JENSEN_SHANNON, &a, &c, false), 1);
}

static void test_points(void **state)
{
    (void)state;
    struct gy_statistics_column one = {
        .numeric = true, .min = 5, .max = 5, .count = 8, .bins = {8}};
    struct gy_statistics_column two = {
        .numeric = true, .min = 6, .max = 6, .count = 8, .bins = {8}};
    struct gy_statistics_column wide = histogram(0, 10, 5);
    NEAR(of(GY_MEASURE_JENSEN_SHANNON, &one, &one, false), 0);
    NEAR(of(GY_MEASURE_JENSEN_SHANNON, &one, &two, false), 1);
    /* A point within a spread column has no mass of it. */
    NEAR(of(GY_MEASURE_JENSEN_SHANNON, &one, &wide, false), 1);
}

static void test_names(void **state)
{
    (void)state;
    struct gy_comparator c = {0.1, 0.2, NAN};
    assert_true(gy_comparator_limit(&c, GY_MEASURE_L_INFTY) == 0.1);
    assert_true(gy_comparator_limit(&c, GY_MEASURE_JENSEN_SHANNON) == 0.2);
    assert_true(isnan(gy_comparator_limit(&c, GY_MEASURE_ABS_DIFFERENCE)));
    assert_string_equal(gy_measure_name(GY_MEASURE_JENSEN_SHANNON), "jensen_shannon_divergence");
    assert_non_null(strstr(gy_measure_formula(GY_MEASURE_L_INFTY), "max"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_categories),
                                       cmocka_unit_test(test_rest_is_a_category),
                                       cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_points), cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
