/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/mend.h"
#include "f64_repr.h"
#include "unit.h"

static void test_compare(void **state)
{
    (void)state;
    assert_true(gy_str_eq(GY_STR_NULL, GY_STR("")));
    assert_true(gy_str_eqc(GY_STR("ab"), "ab"));
    assert_false(gy_str_eqc(GY_STR("ab"), "abc"));
    assert_true(gy_str_ieq(GY_STR("Content"), GY_STR("cONTENT")));
    assert_false(gy_str_ieq(GY_STR("["), GY_STR("{"))); /* 0x20 apart, but no letters */
    assert_true(gy_str_cmp(GY_STR("a"), GY_STR("ab")) < 0);
    assert_true(gy_str_cmp(GY_STR("b"), GY_STR("ab")) > 0);
    assert_true(gy_str_cmp(GY_STR("\xff"), GY_STR("a")) > 0);
    assert_int_equal(gy_str_cmp(GY_STR("x"), GY_STR("x")), 0);
}

static void test_pieces(void **state)
{
    (void)state;
    struct gy_str s = GY_STR("models:/sepsis@champion");
    assert_true(gy_str_starts(s, GY_STR("models:")));
    assert_false(gy_str_starts(GY_STR("mod"), GY_STR("models:")));
    assert_true(gy_str_ends(s, GY_STR("@champion")));
    assert_str(gy_str_trim(GY_STR(" \t a b\r\n")), "a b");
    assert_str(gy_str_trim(GY_STR("  ")), "");
    assert_str(gy_str_sub(s, 8, 6), "sepsis");
    assert_str(gy_str_sub(s, 15, 99), "champion");
    assert_str(gy_str_sub(s, 99, 1), "");
    assert_int_equal(gy_str_find(s, '@'), 14);
    assert_true(gy_str_find(s, '#') == SIZE_MAX);
    assert_int_equal(gy_str_find_str(s, GY_STR("sep")), 8);
    assert_true(gy_str_find_str(s, GY_STR("nope")) == SIZE_MAX);
}

static void test_cut_and_next(void **state)
{
    (void)state;
    struct gy_str s = GY_STR("a,b,,c");
    struct gy_str head;
    struct gy_str tail;
    assert_true(gy_str_cut(s, ',', &head, &tail));
    assert_str(head, "a");
    assert_str(tail, "b,,c");
    assert_false(gy_str_cut(GY_STR("abc"), ',', &head, &tail));
    assert_str(head, "abc");
    assert_null(tail.p);
    static const char *const expected[] = {"a", "b", "", "c"};
    size_t n = 0;
    struct gy_str piece;
    while (gy_str_next(&s, ',', &piece)) {
        assert_true(n < 4);
        assert_str(piece, expected[n]);
        n++;
    }
    assert_int_equal(n, 4);
    struct gy_str empty = GY_STR("");
    assert_true(gy_str_next(&empty, ',', &piece));
    assert_false(gy_str_next(&empty, ',', &piece));
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool good;
    } rows[] = {
        {"", true},
        {"plain", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x80", false},             /* continuation alone */
        {"\xc0\x80", false},         /* overlong NUL */
        {"\xc1\xbf", false},         /* overlong */
        {"\xe0\x9f\xbf", false},     /* overlong */
        {"\xf0\x8f\xbf\xbf", false}, /* overlong */
        {"\xed\xa0\x80", false},     /* surrogate */
        {"\xed\xbf\xbf", false},     /* surrogate */
        {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"\xc2", false}, /* cut */
        {"\xe2\x82", false},
        {"\xf0\x9f\x98", false},
        {"\xc2\x41", false},
        {"a\xe2\x82\xac z", true},
        {"aaaaaaaaaaaaaaaa\x80", false}, /* behind a run that a fast path may skip */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (gy_str_is_utf8(gy_str_c(rows[i].bytes)) != rows[i].good) {
            fail_msg("row %zu", i);
        }
    }
}

static void test_hash_depends_on_all(void **state)
{
    (void)state;
    assert_true(gy_str_hash(GY_STR("abc"), 1) == gy_str_hash(GY_STR("abc"), 1));
    assert_true(gy_str_hash(GY_STR("abc"), 1) != gy_str_hash(GY_STR("abd"), 1));
    assert_true(gy_str_hash(GY_STR("abc"), 1) != gy_str_hash(GY_STR("abc"), 2));
    assert_true(gy_str_hash(gy_str_n("a\0", 2), 1) != gy_str_hash(gy_str_n("a\0", 1), 1));
}

static void test_parse_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes; /* -1: refused */
    } rows[] = {{"0", 0},
                {"7", 7},
                {"1k", 1024},
                {"3M", INT64_C(3) << 20},
                {"50G", INT64_C(50) << 30},
                {"8388607T", INT64_C(8388607) << 40},
                {"8388608T", -1},
                {"", -1},
                {"K", -1},
                {"-1", -1},
                {"-1K", -1},
                {"1KK", -1},
                {"1.5G", -1},
                {"1 G", -1},
                {" 1G", -1},
                {"1P", -1},
                {"9223372036854775808", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t bytes = 0;
        gy_status status = gy_parse_bytes(gy_str_c(rows[i].text), &bytes, NULL);
        assert_int_equal(status, rows[i].bytes < 0 ? GY_E_INVALID : GY_OK);
        if (status == GY_OK) {
            assert_int_equal(bytes, rows[i].bytes);
        }
    }
}

static void test_parse_i64(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x10", false, 0},
        {"1e3", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t value = 77;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = gy_parse_i64(gy_str_c(rows[i].text), INT64_MIN, INT64_MAX, &value, &err);
        assert_int_equal(status, rows[i].good ? GY_OK : GY_E_INVALID);
        assert_int_equal(value, rows[i].good ? rows[i].value : 77);
        assert_int_equal(err.code, status);
    }
    int64_t value;
    assert_int_equal(gy_parse_i64(GY_STR("65536"), 0, 65535, &value, NULL), GY_E_INVALID);
    assert_int_equal(gy_parse_i64(GY_STR("-1"), 0, 65535, &value, NULL), GY_E_INVALID);
}

static void test_parse_f64(void **state)
{
    (void)state;
    static const char *const good[] = {
        "0", "-0.0", "1e3", ".5", "5.", "1E-5", "1.7976931348623157e308"};
    static const char *const bad[] = {"",    "-",   ".",     "+1",    "1e", "1e+",
                                      "inf", "nan", "0x1p3", "1e999", "1 ", "1,5"};
    double value;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(gy_parse_f64(gy_str_c(good[i]), &value, NULL), GY_OK);
        assert_true(value == strtod(good[i], NULL));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_parse_f64(gy_str_c(bad[i]), &value, NULL), GY_E_INVALID);
    }
}

/* Python's repr decides; the loop that tries precisions with printf alone fails this at 15 powers
 * of two. */
static void test_fmt_f64_is_repr(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof f64_repr / sizeof f64_repr[0]; i++) {
        double value;
        char text[32];
        char negative[32];
        memcpy(&value, &f64_repr[i].bits, sizeof value);
        assert_int_equal(gy_fmt_f64(value, text), strlen(f64_repr[i].text));
        assert_string_equal(text, f64_repr[i].text);
        (void)gy_fmt_f64(-value, negative);
        if (!signbit(value)) {
            assert_int_equal(negative[0], '-');
            assert_string_equal(negative + 1, text);
        }
        assert_true(strtod(text, NULL) == value);
    }
    char text[32];
    (void)gy_fmt_f64(NAN, text);
    assert_string_equal(text, "nan");
    (void)gy_fmt_f64(-INFINITY, text);
    assert_string_equal(text, "-inf");
}

static int significant_digits(const char *text)
{
    int n = 0, zeros = 0;
    for (const char *p = text; *p && *p != 'e'; p++) {
        if (*p > '0' && *p <= '9') {
            n += zeros + 1;
            zeros = 0;
        } else if (*p == '0') {
            zeros += n > 0;
        }
    }
    return n;
}

/* Doubles of every magnitude from a fixed seed: the text reads back, and no shorter one that printf
 * knows does. */
static void test_fmt_f64_is_shortest(void **state)
{
    (void)state;
    uint64_t s = 88172645463325252;
    for (int i = 0; i < 20000; i++) {
        double value;
        char text[32], shorter[32];
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        memcpy(&value, &s, sizeof value);
        value = i % 2 ? (double)(float)((double)(s >> 11) * 0x1p-53) : value;
        if (!isfinite(value)) {
            continue;
        }
        size_t n = gy_fmt_f64(value, text);
        assert_int_equal(n, strlen(text));
        assert_true(strtod(text, NULL) == value);
        int digits = significant_digits(text);
        assert_in_range(digits, 1, 17);
        if (digits > 1) {
            (void)snprintf(shorter, sizeof shorter, "%.*e", digits - 2, value);
            assert_true(strtod(shorter, NULL) != value);
        }
    }
}

static void test_fmt_f64_trim(void **state)
{
    (void)state;
    char text[32];
    (void)gy_fmt_f64_trim(80, text);
    assert_string_equal(text, "80");
    (void)gy_fmt_f64_trim(-0.0, text);
    assert_string_equal(text, "-0");
    (void)gy_fmt_f64_trim(0.1, text);
    assert_string_equal(text, "0.1");
    (void)gy_fmt_f64_trim(1e16, text);
    assert_string_equal(text, "1e+16");
}

static void test_head(void **state)
{
    (void)state;
    struct gy_str s = gy_str_c("a\xc3\xa9\xe2\x82\xac"); /* a, 2 bytes, 3 bytes */
    static const size_t wanted[] = {0, 1, 1, 3, 3, 3, 6, 6};
    for (size_t max = 0; max < sizeof wanted / sizeof wanted[0]; max++) {
        assert_int_equal(gy_str_head(s, max).n, wanted[max]);
        assert_ptr_equal(gy_str_head(s, max).p, s.p);
    }
    assert_null(gy_str_head(GY_STR_NULL, 3).p);
    assert_int_equal(gy_str_head(gy_str_c("\x80\x80"), 1).n, 0); /* no character begins there */
}

/* What cuts leave, at the end and in the middle; other bytes are the writer's. */
static void test_mend(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9f", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9f"},
        {"a\xc3", "a"},
        {"'a\xe2\x82' is not known", "'a' is not known"},
        {"\xf0\x9f\x90", ""},
        {"\xf0\x9f\x90.\xc3\xc3\xa9", ".\xc3\xa9"},
        {"latin \x80 \xff", "latin \x80 \xff"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s", rows[i][0]);
        gy_str_mend(text);
        assert_string_equal(text, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_mend),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_cut_and_next),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_hash_depends_on_all),
        cmocka_unit_test(test_parse_bytes),
        cmocka_unit_test(test_parse_i64),
        cmocka_unit_test(test_parse_f64),
        cmocka_unit_test(test_fmt_f64_is_repr),
        cmocka_unit_test(test_fmt_f64_is_shortest),
        cmocka_unit_test(test_fmt_f64_trim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
