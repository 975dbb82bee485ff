/* SPDX-License-Identifier: Apache-2.0 */
/* Local times in UTC; expected values were computed with Python's zoneinfo (fold=0). */
#include "../unit.h"

#include "base/file.h"
#include "base/time.h"
#include "base/zone.h"

static int64_t utc(const char *iso)
{
    int64_t us = 0;
    assert_int_equal(gy_time_parse_iso(gy_str_c(iso), &us, NULL), GY_OK);
    return us / 1000000;
}

static void check(const char *zone, const char *local, const char *wanted)
{
    GY_AUTO(gy_zone_free) struct gy_zone *z = NULL;
    struct gy_err err = GY_ERR_INIT;
    char as_utc[40];
    if (gy_zone_open(gy_str_c(zone), &z, &err) != GY_OK) {
        fail_msg("%s: %s", zone, err.msg);
    }
    (void)snprintf(as_utc, sizeof as_utc, "%sZ", local);
    assert_int_equal(gy_zone_to_utc(z, utc(as_utc)), utc(wanted));
}

static void test_fixed(void **state)
{
    (void)state;
    check("UTC", "2011-01-01T05:00:00", "2011-01-01T05:00:00Z");
    check("+01:00", "2011-01-01T05:00:00", "2011-01-01T04:00:00Z");
    check("-0330", "2011-01-01T05:00:00", "2011-01-01T08:30:00Z");
    check("+05", "1969-12-31T23:00:00", "1969-12-31T18:00:00Z");
}

static void test_names(void **state)
{
    (void)state;
    if (gy_file_size("/usr/share/zoneinfo/Europe/Berlin") < 0) {
        skip(); /* no tzdata here */
    }
    check("Europe/Berlin", "2011-01-15T12:00:00", "2011-01-15T11:00:00Z");
    check("Europe/Berlin", "2011-07-15T12:00:00", "2011-07-15T10:00:00Z");
    check("Europe/Berlin", "2011-03-27T01:59:59", "2011-03-27T00:59:59Z");
    check("Europe/Berlin", "2011-03-27T02:30:00", "2011-03-27T01:30:00Z"); /* does not exist */
    check("Europe/Berlin", "2011-03-27T03:00:00", "2011-03-27T01:00:00Z");
    check("Europe/Berlin", "2011-10-30T02:30:00", "2011-10-30T00:30:00Z"); /* twice: the first */
    check("Europe/Berlin", "2011-10-30T03:00:00", "2011-10-30T02:00:00Z");
    check("Europe/Berlin", "1914-01-01T00:00:00", "1913-12-31T23:00:00Z");
    /* behind the last transition of the file: by its footer */
    check("Europe/Berlin", "2077-01-15T12:00:00", "2077-01-15T11:00:00Z");
    check("Europe/Berlin", "2077-03-28T02:30:00", "2077-03-28T01:30:00Z");
    check("Europe/Berlin", "2077-07-15T12:00:00", "2077-07-15T10:00:00Z");
    check("Europe/Berlin", "2077-10-31T02:30:00", "2077-10-31T00:30:00Z");
    check("America/New_York", "2050-07-04T09:00:00", "2050-07-04T13:00:00Z");
    check("Australia/Sydney", "2050-01-04T09:00:00", "2050-01-03T22:00:00Z");
    check("Australia/Sydney", "2050-07-04T09:00:00", "2050-07-03T23:00:00Z");
    check("Asia/Kolkata", "2020-07-04T09:00:00", "2020-07-04T03:30:00Z");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "Europe/Nowhere",
                                      "../../etc/passwd",
                                      "/etc/passwd",
                                      "+15:00",
                                      "+1",
                                      "+01:60",
                                      "01:00",
                                      "a b",
                                      "Europe/../UTC",
                                      "+ab:cd"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_zone *z = NULL;
        struct gy_err err = GY_ERR_INIT;
        if (gy_zone_open(gy_str_c(bad[i]), &z, &err) == GY_OK) {
            fail_msg("'%s' passed for a zone", bad[i]);
        }
        assert_int_equal(err.code, GY_E_INVALID);
        assert_non_null(strstr(err.hint, "Europe/Berlin"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fixed), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
