/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/id.h"
#include "data/schema.h"

/* want NULL: refused. */
static void check(enum gy_type type, const char *text, const char *want, double number)
{
    char out[GY_VALUE_TEXT];
    struct gy_str got = GY_STR_NULL;
    double num = -1;
    bool good = gy_value_canonical(type, gy_str_c(text), out, &got, &num);
    if (good != (want != NULL)) {
        fail_msg("%s '%s': %s", gy_type_name(type), text, good ? "accepted" : "refused");
    }
    if (!want) {
        return;
    }
    if (!gy_str_eqc(got, want)) {
        fail_msg("%s '%s': '%.*s', not '%s'", gy_type_name(type), text, (int)got.n, got.p, want);
    }
    if (isnan(number) ? !isnan(num) : num != number) {
        fail_msg("%s '%s': number %g, not %g", gy_type_name(type), text, num, number);
    }
}

static void test_int(void **state)
{
    (void)state;
    check(GY_TYPE_INT, "0", "0", 0);
    check(GY_TYPE_INT, "-0", "0", 0);
    check(GY_TYPE_INT, "000", "0", 0);
    check(GY_TYPE_INT, "007", "7", 7);
    check(GY_TYPE_INT, "-007", "-7", -7);
    check(GY_TYPE_INT, "-12", "-12", -12);
    check(GY_TYPE_INT, " 5\t", "5", 5);
    check(GY_TYPE_INT, "5.0", "5", 5);
    check(GY_TYPE_INT, "-5.000", "-5", -5);
    check(GY_TYPE_INT, "9223372036854775807", "9223372036854775807", 9223372036854775807.0);
    check(GY_TYPE_INT, "-9223372036854775808", "-9223372036854775808", -9223372036854775808.0);
    check(GY_TYPE_INT, "000000000000000000000000000000000000000000000000000000000000000000000012",
          "12", 12);
    static const char *const refused[] = {"",     "-",
                                          "+5",   "5.",
                                          ".0",   "5.5",
                                          "1e3",  "0x10",
                                          "1 2",  "5.0a",
                                          "--5",  "9223372036854775808",
                                          "NaN",  "99999999999999999999999",
                                          "1,000"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        check(GY_TYPE_INT, refused[i], NULL, 0);
    }
}

static void test_float(void **state)
{
    (void)state;
    check(GY_TYPE_FLOAT, "5.0", "5", 5);
    check(GY_TYPE_FLOAT, "5", "5", 5);
    check(GY_TYPE_FLOAT, "39.30", "39.3", 39.3);
    check(GY_TYPE_FLOAT, "-39.30", "-39.3", -39.3);
    check(GY_TYPE_FLOAT, "0.10", "0.1", 0.1);
    check(GY_TYPE_FLOAT, ".5", "0.5", 0.5);
    check(GY_TYPE_FLOAT, "-.5", "-0.5", -0.5);
    check(GY_TYPE_FLOAT, "5.", "5", 5);
    check(GY_TYPE_FLOAT, "100", "100", 100);
    check(GY_TYPE_FLOAT, "007.5", "7.5", 7.5);
    check(GY_TYPE_FLOAT, "-0.0", "0", 0);
    check(GY_TYPE_FLOAT, "0e5", "0", 0);
    check(GY_TYPE_FLOAT, "1e3", "1000", 1000);
    check(GY_TYPE_FLOAT, "0.0001", "0.0001", 1e-4);
    check(GY_TYPE_FLOAT, "0.00001", "1e-05", 1e-5);
    check(GY_TYPE_FLOAT, "123456789012345", "123456789012345", 123456789012345.0);
    check(GY_TYPE_FLOAT, "1234567890123456", "1234567890123456", 1234567890123456.0);
    check(GY_TYPE_FLOAT, "0.1000000000000000055511151231257827", "0.1", 0.1);
    check(GY_TYPE_FLOAT, "0.30000000000000004", "0.30000000000000004", 0.1 + 0.2);
    check(GY_TYPE_FLOAT, "1.7976931348623157e308", "1.7976931348623157e+308",
          1.7976931348623157e308);
    static const char *const refused[] = {"",    "-",   ".",   "+5",    "1e",    "1e+", "inf",
                                          "nan", "0x1", "1,5", "1e999", "1.2.3", "--1", "1-"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        check(GY_TYPE_FLOAT, refused[i], NULL, 0);
    }
}

/* The fast path must say what the general one says: shortest text, same double. */
static void test_float_fast_path_is_shortest(void **state)
{
    (void)state;
    struct gy_rng rng;
    gy_rng_init(&rng, 5);
    for (int i = 0; i < 200000; i++) {
        char text[64], want[32], out[GY_VALUE_TEXT];
        uint64_t digits = 1;
        for (uint64_t n = gy_rng_below(&rng, 18); n > 0; n--) {
            digits *= 10;
        }
        uint64_t whole = gy_rng_below(&rng, digits);
        int n = snprintf(text, sizeof text, "%s%llu", gy_rng_below(&rng, 4) ? "" : "-",
                         (unsigned long long)whole);
        int decimals = (int)gy_rng_below(&rng, 9);
        if (decimals) {
            text[n++] = '.';
            for (; decimals > 0; decimals--) {
                text[n++] = (char)('0' + (gy_rng_below(&rng, 2) ? 0 : gy_rng_below(&rng, 10)));
            }
            text[n] = '\0';
        }
        double value = strtod(text, NULL);
        struct gy_str got;
        double num;
        assert_true(gy_value_canonical(GY_TYPE_FLOAT, gy_str_c(text), out, &got, &num));
        assert_true(num == value);
        (void)gy_fmt_f64_trim(value, want);
        if (!gy_str_eqc(got, value == 0 ? "0" : want)) {
            fail_msg("'%s': '%.*s', not '%s'", text, (int)got.n, got.p, want);
        }
    }
}

static void test_bool(void **state)
{
    (void)state;
    check(GY_TYPE_BOOL, "true", "true", 1);
    check(GY_TYPE_BOOL, "FALSE", "false", 0);
    check(GY_TYPE_BOOL, " 1", "true", 1);
    check(GY_TYPE_BOOL, "0", "false", 0);
    check(GY_TYPE_BOOL, "yes", NULL, 0);
    check(GY_TYPE_BOOL, "2", NULL, 0);
    check(GY_TYPE_BOOL, "", NULL, 0);
}

static void test_time(void **state)
{
    (void)state;
    check(GY_TYPE_TIME, "2011-01-31", "2011-01-31", NAN);
    check(GY_TYPE_TIME, "2011-01-31 05:06:07", "2011-01-31T05:06:07", NAN);
    check(GY_TYPE_TIME, "2011-01-31T05:06:07.25", "2011-01-31T05:06:07.25", NAN);
    check(GY_TYPE_TIME, "2011-01-31T05:06:07Z", "2011-01-31T05:06:07Z", NAN);
    check(GY_TYPE_TIME, "2011-01-31 05:06:07.5+01:00", "2011-01-31T04:06:07.5Z", NAN);
    check(GY_TYPE_TIME, "2012-02-29", "2012-02-29", NAN);
    check(GY_TYPE_TIME, "2011-02-29", NULL, 0);
    check(GY_TYPE_TIME, "2011-01-31T25:00:00", NULL, 0);
    check(GY_TYPE_TIME, "31.01.2011", NULL, 0);
    check(GY_TYPE_TIME, "2011-01-31T05:06:07.123456789123456789123456789", NULL, 0);
    check(GY_TYPE_TIME, "12:00", NULL, 0);
}

static void test_string(void **state)
{
    (void)state;
    check(GY_TYPE_STRING, " as it is \xc3\xa9", " as it is \xc3\xa9", NAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int),
        cmocka_unit_test(test_float),
        cmocka_unit_test(test_float_fast_path_is_shortest),
        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
