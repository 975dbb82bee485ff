/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with their intervals. The expected ones of Wilson were worked out
 * with Python's floats from the formula of the paper. */
#include "support_join.h"

#include "watch/performance.h"

#define assert_near(a, b)                                            \
    do {                                                             \
        double near_a_ = (a);                                        \
        double near_b_ = (b);                                        \
        if (!(fabs(near_a_ - near_b_) < 1e-9)) {                     \
            fail_msg("%s = %.12g, not %.12g", #a, near_a_, near_b_); \
        }                                                            \
    } while (0)

static struct gy_err err;

static struct gy_join_cell cell(double n)
{
    return (struct gy_join_cell){n, n};
}

static void test_shares(void **state)
{
    (void)state;
    struct gy_estimate e = gy_estimate_share(cell(8), cell(10));
    assert_near(e.value, 0.8);
    assert_near(e.low, 0.49016247153664183);
    assert_near(e.high, 0.9433178485456247);
    e = gy_estimate_share(cell(0), cell(10));
    assert_near(e.low, 0);
    assert_near(e.high, 0.2775327998628892);
    e = gy_estimate_share(cell(10), cell(10));
    assert_near(e.high, 1);
    assert_near(e.low, 1 - 0.2775327998628892);
    e = gy_estimate_share(cell(0), cell(0));
    assert_true(isnan(e.value) && isnan(e.low) && isnan(e.high));
    /* ten rows that count four times each are as uncertain as ten rows */
    e = gy_estimate_share((struct gy_join_cell){32, 128}, (struct gy_join_cell){40, 160});
    assert_near(e.value, 0.8);
    assert_near(e.low, 0.49016247153664183);
}

static const struct gy_shape binary = {.task = GY_TASK_BINARY};

static struct gy_join_counts counts(double tp, double fp, double tn, double fn)
{
    struct gy_join_counts c = {.task = GY_TASK_BINARY, .shape = &binary};
    struct gy_join_way *way = &c.by[GY_BY_COMBINED];
    way->tp = cell(tp);
    way->fp = cell(fp);
    way->tn = cell(tn);
    way->fn = cell(fn);
    way->all = cell(tp + fp + tn + fn);
    way->correct = cell(tp + tn);
    way->rows = (uint64_t)(tp + fp + tn + fn);
    return c;
}

static void test_binary(void **state)
{
    (void)state;
    struct gy_performance p;
    struct gy_join_counts c = counts(8, 1, 20, 3);
    gy_performance_of(&c, GY_BY_COMBINED, &p);
    assert_near(p.accuracy.value, 28.0 / 32);
    assert_near(p.precision.value, 8.0 / 9);
    assert_near(p.recall.value, 8.0 / 11);
    assert_near(p.f1.value, 16.0 / 20);
    assert_near(p.effective, 32);
    /* F1 through F* = 8/12 */
    struct gy_estimate j = gy_estimate_share(cell(8), cell(12));
    assert_near(p.f1.low, 2 * j.low / (1 + j.low));
    assert_near(p.f1.high, 2 * j.high / (1 + j.high));
    assert_true(p.f1.low < p.f1.value && p.f1.value < p.f1.high);
    c = counts(0, 0, 20, 3);
    gy_performance_of(&c, GY_BY_COMBINED, &p);
    assert_near(p.precision.value, 0);
    assert_near(p.recall.value, 0);
    assert_near(p.f1.value, 0);
    c = counts(0, 0, 20, 0);
    gy_performance_of(&c, GY_BY_COMBINED, &p);
    assert_true(isnan(p.precision.value) && isnan(p.recall.value) && isnan(p.f1.value));
    assert_near(p.accuracy.value, 1);
    gy_performance_of(&c, GY_BY_RULE, &p);
    assert_true(isnan(p.accuracy.value));
}

/* The interval holds the truth about as often as it says. */
static void test_coverage(void **state)
{
    (void)state;
    int held = 0;
    uint64_t x = 42;
    for (int round = 0; round < 2000; round++) {
        double tp = 0;
        double fp = 0;
        double fn = 0;
        for (int i = 0; i < 200; i++) {
            x = x * 6364136223846793005ULL + 1442695040888963407ULL;
            double u = (double)(x >> 11) * 0x1p-53;
            tp += u < 0.2;
            fp += u >= 0.2 && u < 0.25;
            fn += u >= 0.25 && u < 0.35;
        }
        struct gy_join_counts c = counts(tp, fp, 200 - tp - fp - fn, fn);
        struct gy_performance p;
        gy_performance_of(&c, GY_BY_COMBINED, &p);
        double truth = 2 * 0.2 / (2 * 0.2 + 0.05 + 0.1);
        held += p.f1.low <= truth && truth <= p.f1.high;
    }
    assert_in_range(held, 2000 * 0.93, 2000 * 0.97);
}

static double uniform(uint64_t *x)
{
    *x = *x * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(*x >> 11) * 0x1p-53;
}

/* A model is right in most rows, but not in those that a rule decides, of which a tenth was given
 * to it: the interval that takes all rows for alike held the truth in 75 of 100 cases only. */
static void test_coverage_of_rows_that_count_more(void **state)
{
    (void)state;
    const double plain = 900;
    const double ruled = 100;
    const double truth = (plain * 0.95 + ruled * 0.3) / (plain + ruled);
    int held = 0;
    uint64_t x = 7;
    for (int round = 0; round < 2000; round++) {
        struct gy_join_cell part = {0, 0};
        struct gy_join_cell all = {plain, plain};
        for (int i = 0; i < plain; i++) {
            bool hit = uniform(&x) < 0.95;
            part.n += hit;
            part.n2 += hit;
        }
        for (int i = 0; i < ruled; i++) {
            bool asked = uniform(&x) < 0.1;
            bool hit = uniform(&x) < 0.3;
            all.n += asked ? 10 : 0;
            all.n2 += asked ? 100 : 0;
            part.n += asked && hit ? 10 : 0;
            part.n2 += asked && hit ? 100 : 0;
        }
        struct gy_estimate e = gy_estimate_share(part, all);
        held += e.low <= truth && truth <= e.high;
    }
    assert_in_range(held, 2000 * 0.93, 2000 * 0.98);
    /* two rows that count ten times and are both right promise no more than their number */
    struct gy_estimate few =
        gy_estimate_share((struct gy_join_cell){29, 209}, (struct gy_join_cell){30, 210});
    assert_true(few.low < 0.7);
}

static void test_regression(void **state)
{
    (void)state;
    static const struct gy_shape shape = {.task = GY_TASK_REGRESSION};
    struct gy_join_counts c = {.task = GY_TASK_REGRESSION, .shape = &shape};
    struct gy_join_way *way = &c.by[GY_BY_MODEL];
    way->rows = 4; /* errors 1, -1, 3, 1 */
    way->all = cell(4);
    way->mae = 1.5;
    way->rmse = sqrt(3);
    way->bias = 1;
    way->square_variance = (1 + 1 + 81 + 1) / 4.0 - 9;
    struct gy_performance p;
    gy_performance_of(&c, GY_BY_MODEL, &p);
    assert_near(p.mae.high - p.mae.value, 1.959963984540054 * sqrt(0.75 / 4));
    assert_near(p.bias.value - p.bias.low, 1.959963984540054 * sqrt(2.0 / 4));
    assert_near(p.rmse.high - p.rmse.value, 1.959963984540054 * sqrt(12.0 / 4) / (2 * sqrt(3)));
}

static void test_times(void **state)
{
    (void)state;
    int64_t us;
    const int64_t now = 1000000000000000;
    assert_status(GY_OK, gy_performance_since(GY_STR("7d"), now, &us, &err), err);
    assert_int_equal(us, now - 7LL * 86400 * 1000000);
    assert_status(GY_OK, gy_performance_since(GY_STR("2001-09-09T01:46:40Z"), now, &us, &err), err);
    assert_int_equal(us, now);
    assert_status(GY_OK, gy_performance_span(GY_STR("15m"), &us, &err), err);
    assert_int_equal(us, 900LL * 1000000);
    static const char *const bad[] = {"", "d", "0d", "-1d", "7", "7y", "1.5d", "yesterday"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_status(GY_E_INVALID, gy_performance_since(gy_str_c(bad[i]), now, &us, &err), err);
    }
}

static void test_json(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w;
    struct gy_join_counts c = counts(3, 0, 5, 0);
    c.predictions = 16;
    c.labelled = 8;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_performance_write(&w, &c);
    gy_jw_obj_end(&w);
    assert_status(GY_OK, gy_json_parse(gy_buf_str(&out), &doc, &err), err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_near(gy_json_f64(root, "coverage", -1), 0.5);
    yyjson_val *by = gy_json_get(root, "by");
    assert_true(yyjson_is_null(gy_json_get(by, "rule")));
    yyjson_val *combined = gy_json_get(by, "combined");
    assert_int_equal(gy_json_i64(combined, "tp", -1), 3);
    assert_near(gy_json_f64(gy_json_get(combined, "recall"), "value", -1), 1);
    assert_near(gy_json_f64(gy_json_get(combined, "recall"), "low", -1), 0.4385029682449546);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),     cmocka_unit_test(test_binary),
        cmocka_unit_test(test_coverage),   cmocka_unit_test(test_coverage_of_rows_that_count_more),
        cmocka_unit_test(test_regression), cmocka_unit_test(test_times),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
