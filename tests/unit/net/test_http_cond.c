/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges, entity tags and Accept-Encoding: what RFC 9110 says, and what it says to ignore. */
#include "unit.h"

#include "net/http_cond.h"

struct range_case {
    const char *value;
    int64_t size;
    enum gy_range kind;
    int64_t first, n;
};

static void test_ranges(void **state)
{
    (void)state;
    static const struct range_case cases[] = {
        {"bytes=0-0", 10, GY_RANGE_PART, 0, 1},
        {"bytes=0-9", 10, GY_RANGE_PART, 0, 10},
        {"bytes=0-", 10, GY_RANGE_PART, 0, 10},
        {"bytes=9-", 10, GY_RANGE_PART, 9, 1},
        {"bytes=3-100", 10, GY_RANGE_PART, 3, 7},
        {"bytes=-1", 10, GY_RANGE_PART, 9, 1},
        {"bytes=-10", 10, GY_RANGE_PART, 0, 10},
        {"bytes=-11", 10, GY_RANGE_PART, 0, 10},
        {" BYTES = 2 - 3 ", 10, GY_RANGE_PART, 2, 2},
        {"bytes=3-99999999999999999999999999", 10, GY_RANGE_PART, 3, 7},
        {"bytes=-99999999999999999999999999", 10, GY_RANGE_PART, 0, 10},
        {"bytes=9223372036854775806-9223372036854775807", INT64_MAX, GY_RANGE_PART, INT64_MAX - 1,
         1},
        {"bytes=10-", 10, GY_RANGE_BEYOND, 0, 0},
        {"bytes=10-20", 10, GY_RANGE_BEYOND, 0, 0},
        {"bytes=-0", 10, GY_RANGE_BEYOND, 0, 0},
        {"bytes=0-", 0, GY_RANGE_BEYOND, 0, 0},
        {"bytes=-5", 0, GY_RANGE_BEYOND, 0, 0},
        {"bytes=99999999999999999999999999-", 10, GY_RANGE_BEYOND, 0, 0},
        {"bytes=2-1", 10, GY_RANGE_WHOLE, 0, 0},
        {"bytes=", 10, GY_RANGE_WHOLE, 0, 0},
        {"bytes", 10, GY_RANGE_WHOLE, 0, 0},
        {"bytes=-", 10, GY_RANGE_WHOLE, 0, 0},
        {"bytes=5", 10, GY_RANGE_WHOLE, 0, 0},
        {"bytes=--5", 10, GY_RANGE_WHOLE, 0, 0},
        {"bytes=1-2-3", 10, GY_RANGE_WHOLE, 0, 0},
        {"bytes=0-1,2-3", 10, GY_RANGE_WHOLE, 0, 0},
        {"bytes=+1-2", 10, GY_RANGE_WHOLE, 0, 0},
        {"lines=0-1", 10, GY_RANGE_WHOLE, 0, 0},
        {"", 10, GY_RANGE_WHOLE, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct range_case *c = &cases[i];
        int64_t first = -7, n = -7;
        if (gy_range_parse(gy_str_c(c->value), c->size, &first, &n) != c->kind) {
            fail_msg("'%s' of %lld", c->value, (long long)c->size);
        }
        if (c->kind == GY_RANGE_PART) {
            assert_int_equal(first, c->first);
            assert_int_equal(n, c->n);
        } else {
            assert_true(first == -7 && n == -7); /* the caller's own values stay */
        }
    }
    int64_t first = 0, n = 0;
    assert_int_equal(gy_range_parse(GY_STR_NULL, 10, &first, &n), GY_RANGE_WHOLE);
}

static void test_entity_tags(void **state)
{
    (void)state;
    struct gy_str a = GY_STR("abc");
    static const char *const both[] = {
        "\"abc\"",           "*", " * ", "\"x\", \"abc\"", "\"x\",\"abc\",\"y\"", "\"\" , \"abc\"",
        "W/\"abc\", \"abc\""};
    static const char *const weak[] = {"W/\"abc\"", "\"x\" , W/\"abc\""};
    static const char *const none[] = {
        "",   "abc", "\"ab\"",    "\"abcd\"",         "\"abc",     "W/abc",
        "W/", "W",   "x \"abc\"", "\"x\" y, \"abc\"", "w/\"abc\"", ",,,"};
    for (size_t i = 0; i < sizeof both / sizeof both[0]; i++) {
        assert_true(gy_etag_in(gy_str_c(both[i]), a, true));
        assert_true(gy_etag_in(gy_str_c(both[i]), a, false));
    }
    for (size_t i = 0; i < sizeof weak / sizeof weak[0]; i++) {
        assert_true(gy_etag_in(gy_str_c(weak[i]), a, true));
        assert_false(gy_etag_in(gy_str_c(weak[i]), a, false));
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        if (gy_etag_in(gy_str_c(none[i]), a, true) || gy_etag_in(gy_str_c(none[i]), a, false)) {
            fail_msg("%s", none[i]);
        }
    }
}

static void test_accept_encoding(void **state)
{
    (void)state;
    static const char *const yes[] = {"gzip",     "GZip",
                                      "x-gzip",   "deflate, gzip",
                                      "gzip;q=1", "gzip ; q=0.001",
                                      "*",        "br;q=1.0, *;q=0.1",
                                      "gzip;x=0", "identity;q=0, gzip"};
    static const char *const no[] = {"",       "identity",    "gzip;q=0",    "gzip; q=0.000",
                                     "*;q=0",  "gzip;q=0, *", "*, gzip;q=0", "deflate",
                                     "gzippy", "br"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (!gy_accepts_gzip(gy_str_c(yes[i]))) {
            fail_msg("%s", yes[i]);
        }
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        if (gy_accepts_gzip(gy_str_c(no[i]))) {
            fail_msg("%s", no[i]);
        }
    }
    assert_false(gy_accepts_gzip(GY_STR_NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_entity_tags),
        cmocka_unit_test(test_accept_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
