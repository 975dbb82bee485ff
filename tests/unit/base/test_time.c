/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"
#include "unit.h"

static void test_iso_table(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
        const char *canonical; /* NULL: the same */
    } rows[] = {
        {"1970-01-01T00:00:00.000000Z", 0, NULL},
        {"1969-12-31T23:59:59.999999Z", -1, NULL},
        {"2026-11-21T01:31:57.123456Z", 1795224717123456, NULL},
        {"2000-02-29T00:00:00.000000Z", 951782400000000, NULL},
        {"1600-02-29T12:00:00.000000Z", -11670955200000000, NULL},
        {"0001-01-01T00:00:00.000000Z", -62135596800000000, NULL},
        {"9999-12-31T23:59:59.999999Z", 253402300799999999, NULL},
        {"2026-11-21T01:31:57Z", 1795224717000000, "2026-11-21T01:31:57.000000Z"},
        {"2026-11-21t01:31:57.5z", 1795224717500000, "2026-11-21T01:31:57.500000Z"},
        {"2026-11-21 03:31:57+02:00", 1795224717000000, "2026-11-21T01:31:57.000000Z"},
        {"2026-11-20T20:01:57-05:30", 1795224717000000, "2026-11-21T01:31:57.000000Z"},
        {"2026-11-21T01:31:57.123456789Z", 1795224717123456, "2026-11-21T01:31:57.123456Z"},
        {"2016-12-31T23:59:60Z", 1483228800000000, "2017-01-01T00:00:00.000000Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t us = 0;
        char text[32];
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_OK, gy_time_parse_iso(gy_str_c(rows[i].text), &us, &err), err);
        assert_true(us == rows[i].us);
        const char *canonical = rows[i].canonical ? rows[i].canonical : rows[i].text;
        assert_int_equal(gy_time_iso(us, text), strlen(canonical));
        assert_string_equal(text, canonical);
    }
}

static void test_iso_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-11-21",
        "2026-11-21T01:31:57",
        "2026-11-21T01:31:57+0200",
        "2026-13-21T01:31:57Z",
        "2026-02-29T01:31:57Z",
        "1900-02-29T01:31:57Z",
        "2026-11-31T01:31:57Z",
        "2026-11-00T01:31:57Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T01:60:00Z",
        "2026-11-21T01:31:61Z",
        "2026-11-21T01:31:57.Z",
        "2026-11-21T01:31:57.1234567890Z",
        "2026-11-21T01:31:57Zx",
        "2026-11-21T01:31:57+24:00",
        "+026-11-21T01:31:57Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t us = 7;
        if (gy_time_parse_iso(gy_str_c(bad[i]), &us, NULL) != GY_E_INVALID || us != 7) {
            fail_msg("accepted %s", bad[i]);
        }
    }
}

/* Every day of 800 years there and back: the calendar arithmetic has no gap. */
static void test_every_day(void **state)
{
    (void)state;
    char text[32];
    for (int64_t day = -146097; day < 146097; day++) {
        int64_t us = day * INT64_C(86400000000) + 1;
        int64_t back = 0;
        size_t n = gy_time_iso(us, text);
        assert_int_equal(gy_time_parse_iso(gy_str_n(text, n), &back, NULL), GY_OK);
        assert_true(back == us);
    }
}

static void test_http_date(void **state)
{
    (void)state;
    char text[32];
    assert_int_equal(gy_time_http(784111777000000, text), 29);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110's example */
    (void)gy_time_http(0, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    (void)gy_time_http(-1000000, text);
    assert_string_equal(text, "Wed, 31 Dec 1969 23:59:59 GMT");
}

static void test_clocks(void **state)
{
    (void)state;
    gy_time_set_fake(42);
    assert_int_equal(gy_now_us(), 42);
    gy_time_set_fake(0);
    assert_true(gy_now_us() > INT64_C(1700000000000000));
    int64_t a = gy_mono_ns();
    assert_true(gy_mono_ns() >= a);
}

static void spans_have_units_and_bounds(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } rows[] = {
        {"0", 0},          {"45", 45},
        {"45s", 45},       {"90m", 5400},
        {"12h", 43200},    {"30d", 2592000},
        {"100d", 8640000}, {"101d", -1},
        {"", -1},          {"d", -1},
        {"-1d", -1},       {"1.5h", -1},
        {"1w", -1},        {"99999999999999999999d", -1},
        {" 1d", -1},       {"1D", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t s = 7;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = gy_time_parse_span(gy_str_c(rows[i].text), 8640000, &s, &err);
        if (status != (rows[i].seconds < 0 ? GY_E_INVALID : GY_OK) ||
            (status == GY_OK && s != rows[i].seconds) ||
            (status != GY_OK && !strstr(err.hint, "30d"))) {
            fail_msg("%s: %lld", rows[i].text, (long long)s);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_have_units_and_bounds),
        cmocka_unit_test(test_iso_table),
        cmocka_unit_test(test_iso_refused),
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_http_date),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
