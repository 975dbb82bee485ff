/* SPDX-License-Identifier: Apache-2.0 */
/* The quick way of a value is gy_value_canonical's, or none at all. */
#include "../unit.h"

#include <math.h>

#include "base/id.h"
#include "data/quick.h"
#include "data/schema.h"

static int g_taken; /* how often the quick way was one */

static void check(enum gy_type type, const char *p, size_t n)
{
    char quick[80], out[GY_VALUE_TEXT];
    struct gy_str want = GY_STR_NULL;
    double number = -7, wanted = -7;
    /* On the heap, to the byte: what is read behind it is found out. */
    char *text = malloc(n ? n : 1);
    assert_non_null(text);
    memcpy(text, p, n);
    char *end = type == GY_TYPE_INT     ? gy_quick_int(quick, text, n, &number)
                : type == GY_TYPE_FLOAT ? gy_quick_float(quick, text, n, &number)
                : type == GY_TYPE_BOOL  ? gy_quick_bool(quick, text, n, &number)
                                        : gy_quick_day(quick, text, n);
    if (end) {
        g_taken++;
        if (!gy_value_canonical(type, gy_str_n(text, n), out, &want, &wanted)) {
            fail_msg("'%.*s' was taken", (int)n, p);
        }
        if (!gy_str_eq(gy_str_n(quick, (size_t)(end - quick)), want) ||
            (type != GY_TYPE_TIME && number != wanted)) {
            fail_msg("'%.*s' became '%.*s', not '%.*s'", (int)n, p, (int)(end - quick), quick,
                     (int)want.n, want.p);
        }
    }
    free(text);
}

static void test_all_spellings(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789012345678900000...--eE+ tnfalsru";
    struct gy_rng rng;
    gy_rng_init(&rng, 42);
    for (int round = 0; round < 400000; round++) {
        char text[32];
        size_t n = gy_rng_below(&rng, 22);
        const size_t letters = round % 3 ? 26 : sizeof alphabet - 1;
        for (size_t i = 0; i < n; i++) {
            text[i] = alphabet[gy_rng_below(&rng, letters)];
        }
        if (n > 0 && round % 4 == 0) {
            text[0] = '-';
        }
        check(GY_TYPE_INT, text, n);
        check(GY_TYPE_FLOAT, text, n);
        check(GY_TYPE_BOOL, text, n);
        n = (size_t)snprintf(text, sizeof text, "%04d-%02d-%02d", (int)gy_rng_below(&rng, 10000),
                             (int)gy_rng_below(&rng, 14), (int)gy_rng_below(&rng, 33));
        check(GY_TYPE_TIME, text, n);
        n = (size_t)snprintf(text, sizeof text, "%.*f", (int)gy_rng_below(&rng, 8),
                             (double)gy_rng_below(&rng, 2000000) / 1000 - 1000);
        check(GY_TYPE_FLOAT, text, n);
    }
    assert_true(g_taken > 500000);
    static const char *const texts[] = {"0",      "-0",    "-",    "",       "00",     "0.0",
                                        "-0.000", "5.",    ".5",   "0.0001", "1e5",    "0.00009",
                                        "true",   "false", "True", "9999",   "-12.50", "1.10",
                                        "100",    "-9.00", "NaN"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        check(GY_TYPE_INT, texts[i], strlen(texts[i]));
        check(GY_TYPE_FLOAT, texts[i], strlen(texts[i]));
        check(GY_TYPE_BOOL, texts[i], strlen(texts[i]));
    }
}

static void test_what_is_plain_is_taken(void **state)
{
    (void)state;
    char out[64];
    double number = 0;
    assert_non_null(gy_quick_int(out, "123456", 6, &number));
    assert_true(number == 123456);
    assert_non_null(gy_quick_float(out, "-36.70", 6, &number));
    assert_true(number == -36.7);
    assert_memory_equal(out, "-36.7", 5);
    assert_non_null(gy_quick_bool(out, "false", 5, &number));
    assert_non_null(gy_quick_day(out, "2026-02-28", 10));
    assert_null(gy_quick_day(out, "2026-02-29", 10)); /* asked of the calendar */
    assert_null(gy_quick_int(out, "007", 3, &number));
}

static void test_put(void **state)
{
    (void)state;
    char from[64], to[66];
    for (size_t i = 0; i < sizeof from; i++) {
        from[i] = (char)('A' + i);
    }
    for (size_t n = 0; n <= sizeof from; n++) {
        memset(to, '.', sizeof to);
        assert_ptr_equal(gy_quick_put(to + 1, from, n), to + 1 + n);
        assert_memory_equal(to + 1, from, n);
        assert_int_equal(to[0], '.');
        assert_int_equal(to[n + 1], '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_spellings),
        cmocka_unit_test(test_what_is_plain_is_taken),
        cmocka_unit_test(test_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
