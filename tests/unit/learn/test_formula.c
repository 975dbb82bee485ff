/* SPDX-License-Identifier: Apache-2.0 */
/* A formula as a model: answers, missing values, the calibrated factor, what is refused. */
#include "unit.h"

#include <math.h>

#include "learn/formula.h"

static const struct gy_str g_names[] = {{"age", 3}, {"sex=F", 5}, {"km", 2}};
static const double g_rows[] = {40, 1, 1000, 20, 0, NAN, NAN, 1, 3000};

static struct gy_formula *make(const char *text, bool probability)
{
    struct gy_formula *f = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_formula_new(gy_str_c(text), g_names, 3, probability, &f, &err), err);
    return f;
}

static void answer(const struct gy_formula *f, double out[3])
{
    assert_int_equal(gy_formula_ops.scratch(f, 3), 0);
    gy_formula_ops.run(f, g_rows, 3, out, NULL);
}

static void answers_without_learning(void **state)
{
    (void)state;
    double out[3];
    GY_AUTO(gy_formula_free) struct gy_formula *tariff = make("0.02 + 0.001 * age", false);
    answer(tariff, out);
    assert_true(out[0] == 0.02 + 0.001 * 40 && out[1] == 0.02 + 0.001 * 20 && isnan(out[2]));
    GY_AUTO(gy_formula_free)
    struct gy_formula *rule =
        make("if(age is null, 0.5, if(`sex=F` = 1 and age > 30, 2, -1))", true);
    answer(rule, out);
    assert_true(out[0] == 1 && out[1] == 0 && out[2] == .5); /* held within 0 and 1 */
    GY_AUTO(gy_formula_free) struct gy_formula *test = make("age > 30 or km > 2000", true);
    answer(test, out);
    assert_true(out[0] == 1 && isnan(out[1]) && out[2] == 1);
    GY_AUTO(gy_formula_free)
    struct gy_formula *bent = make("1 / (1 + exp(-(age - 30) / 10))", true);
    answer(bent, out);
    assert_true(out[0] == 1 / (1 + exp(-1.0)));
}

static void one_factor_makes_the_sums_agree(void **state)
{
    (void)state;
    static const double y[] = {3, 1, 100}, weight[] = {1, 2, 5};
    double out[3], factor = 0;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_formula_free) struct gy_formula *f = make("age / 10", false);
    assert_status(GY_OK, gy_formula_fit(f, g_rows, y, NULL, 3, true, &factor, &err), err);
    assert_true(factor == 4.0 / 6); /* the row without an age does not count */
    answer(f, out);
    assert_true(fabs(out[0] + out[1] - 4) < 1e-15);
    assert_status(GY_OK, gy_formula_fit(f, g_rows, y, weight, 3, true, &factor, &err), err);
    assert_true(factor == 5.0 / 8);
    gy_formula_set_factor(f, 2);
    assert_status(GY_OK, gy_formula_fit(f, g_rows, y, NULL, 3, false, &factor, &err), err);
    assert_true(factor == 2);
}

static void says_what_is_wrong_with_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        gy_status status;
        const char *message, *hint;
    } bad[] = {
        {"0.02 + 0.001 * alter", GY_E_INVALID, "'alter'", "age, sex=F, km"},
        {"0.02 +", GY_E_PARSE, "at column 7", ""},
        {"age + 'x'", GY_E_INVALID, "number", ""},
        {"if(age > 3, 'old', 'young')", GY_E_INVALID, "gives a text", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_formula *f = NULL;
        struct gy_err err = GY_ERR_INIT;
        assert_int_equal(gy_formula_new(gy_str_c(bad[i].text), g_names, 3, false, &f, &err),
                         bad[i].status);
        if (!strstr(err.msg, bad[i].message) || !strstr(err.hint, bad[i].hint)) {
            fail_msg("%s: %s (%s)", bad[i].text, err.msg, err.hint);
        }
    }
    static const double y[] = {1, 0, 1};
    double factor = 0;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_formula_free) struct gy_formula *percent = make("age", true);
    assert_int_equal(gy_formula_fit(percent, g_rows, y, NULL, 3, false, &factor, &err),
                     GY_E_INVALID);
    assert_non_null(strstr(err.msg, "gives 40 for training row 1"));
    assert_non_null(strstr(err.hint, "min(1, max(0,"));
    GY_AUTO(gy_formula_free) struct gy_formula *negative = make("-age", false);
    assert_int_equal(gy_formula_fit(negative, g_rows, y, NULL, 3, true, &factor, &err),
                     GY_E_INVALID);
    assert_non_null(strstr(err.msg, "no positive factor"));
    GY_AUTO(gy_formula_free) struct gy_formula *never = make("age / (km - km)", false);
    assert_int_equal(gy_formula_fit(never, g_rows, y, NULL, 3, false, &factor, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "no answer for any of the 3 training rows"));
}

static gy_status run_out(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO(gy_formula_free) struct gy_formula *f = NULL;
    return gy_formula_new(GY_STR("age * 2 + `sex=F`"), g_names, 3, false, &f, err);
}

static void out_of_memory(void **state)
{
    (void)state;
    torture(run_out, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_without_learning),
        cmocka_unit_test(one_factor_makes_the_sums_agree),
        cmocka_unit_test(says_what_is_wrong_with_it),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
