/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of stores as they may be shown and compared: no password comes through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "store/url.h"

static void expect(const char *url, const char *shown, const char *place)
{
    char out[GY_STORE_URL_SHOWN];
    assert_string_equal(gy_store_url_show(url, out), shown);
    assert_string_equal(gy_store_url_place(url, out), place);
}

static void urls_without_secrets_stay(void **state)
{
    (void)state;
    expect("sqlite:///a/b.db", "sqlite:///a/b.db", "sqlite:///a/b.db");
    expect("postgresql://h:5432/db", "postgresql://h:5432/db", "postgresql://h:5432/db");
    expect("postgresql:///db?host=/sock&port=1&user=u&sslmode=require",
           "postgresql:///db?host=/sock&port=1&user=u&sslmode=require",
           "postgresql:///db?host=/sock&port=1");
    expect("s3://bucket/prefix", "s3://bucket/prefix", "s3://bucket/prefix");
    expect("", "", "");
    expect(NULL, "", "");
    expect("/a/path", "/a/path", "/a/path");
}

static void passwords_are_stars(void **state)
{
    (void)state;
    expect("postgresql://u:pw@h/db", "postgresql://u:***@h/db", "postgresql://h/db");
    expect("postgresql://u@h/db", "postgresql://u@h/db", "postgresql://h/db");
    expect("postgresql://u:@h/db", "postgresql://u:***@h/db", "postgresql://h/db");
    expect("postgres://h/db?password=pw&user=u&sslpassword=x&PASSWORD=y",
           "postgres://h/db?password=***&user=u&sslpassword=***&PASSWORD=***", "postgres://h/db");
    expect("postgres://h/db?%70assword=pw", "postgres://h/db?%70assword=***", "postgres://h/db");
}

/* A password that should have been escaped is no way around. */
static void odd_passwords_do_not_come_through(void **state)
{
    (void)state;
    const char *const urls[] = {"postgresql://u:S3CRET@S3CRET@h/db",
                                "postgresql://u:S3CRET/S3CRET@h/db",
                                "postgresql://u:S3CRET?S3CRET@h/db",
                                "postgresql://u:S3CRET#:S3CRET@h",
                                "postgresql://:S3CRET@h",
                                "postgresql://u:S3CRET@",
                                "postgresql://h/db?password=S3CRET@x"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        char out[GY_STORE_URL_SHOWN];
        assert_null(strstr(gy_store_url_show(urls[i], out), "S3CRET"));
        assert_null(strstr(gy_store_url_place(urls[i], out), "S3CRET"));
    }
}

static void long_ones_are_cut(void **state)
{
    (void)state;
    char url[2000], out[GY_STORE_URL_SHOWN];
    memset(url, 'x', sizeof url);
    memcpy(url, "postgresql://u:pw@", 18);
    url[sizeof url - 1] = '\0';
    assert_int_equal(strlen(gy_store_url_show(url, out)), GY_STORE_URL_SHOWN - 1);
    assert_null(strstr(out, "pw"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_without_secrets_stay),
        cmocka_unit_test(passwords_are_stars),
        cmocka_unit_test(odd_passwords_do_not_come_through),
        cmocka_unit_test(long_ones_are_cut),
    };
    return cmocka_run_group_tests_name("URLs of stores", tests, NULL, NULL);
}
