/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/hash.h"
#include "net/authorization.h"

static char g_room[GY_AUTHORIZATION_MAX];

static gy_status parse(struct gy_str value, struct gy_authorization *ret, struct gy_err *err)
{
    memset(g_room, 'x', sizeof g_room);
    return gy_authorization_parse(value, g_room, ret, err);
}

static gy_status basic(const char *pair, struct gy_authorization *ret, struct gy_err *err)
{
    char text[4096] = "Basic ";
    gy_base64(pair, strlen(pair), text + 6);
    return parse(gy_str_c(text), ret, err);
}

static void test_bearer(void **state)
{
    (void)state;
    struct gy_authorization a;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, parse(GY_STR("Bearer gyre_a-b._~+/=="), &a, &err), err);
    assert_null(a.user.p);
    assert_str(gy_secret_reveal(a.secret), "gyre_a-b._~+/==");
    assert_status(GY_OK, parse(GY_STR("  bEARER   tok  "), &a, &err), err);
    assert_str(gy_secret_reveal(a.secret), "tok");
}

static void test_basic(void **state)
{
    (void)state;
    struct gy_authorization a;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, basic("alice:correct: horse", &a, &err), err);
    assert_str(a.user, "alice");
    assert_str(gy_secret_reveal(a.secret), "correct: horse");
    assert_status(GY_OK, basic(":", &a, &err), err);
    assert_true(a.user.p && a.user.n == 0);
    assert_int_equal(gy_secret_reveal(a.secret).n, 0);
    assert_status(GY_OK, basic("ali\xc3\xa7:\xe2\x82\xac", &a, &err), err);
    assert_str(a.user, "ali\xc3\xa7");
}

/* Refused, and the text of the refusal holds nothing of what was sent. */
static void test_refusals(void **state)
{
    (void)state;
    static char longest[GY_AUTHORIZATION_MAX + 8];
    memset(longest, 'a', sizeof longest - 1);
    memcpy(longest, "Bearer ", 7);
    const char *const bad[] = {
        "",
        "Bearer",
        "Bearer ",
        "Bearer s3cret word",
        "Bearers3cret",
        "Basic",
        "Basic s3cret!",
        "Basic czNjcmV0", /* s3cret, no colon */
        "Digest s3cret",
        "Basic YTpiCg==", /* a:b and a line end */
        "s3cret",
        "Bearer s3\x01cret",
        longest,
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_authorization a;
        struct gy_err err = GY_ERR_INIT;
        assert_int_equal(parse(gy_str_c(bad[i]), &a, &err), GY_E_UNAUTHENTICATED);
        assert_true(err.msg[0] != '\0');
        assert_null(strstr(err.msg, "s3"));
        assert_null(strstr(err.msg, "czN"));
        assert_null(strstr(err.hint, "s3"));
    }
    /* a NUL ends no token early */
    struct gy_authorization a;
    assert_int_equal(parse(gy_str_n("Bearer a\0b", 10), &a, NULL), GY_E_UNAUTHENTICATED);
}

/* The longest that fits, decoded into a room of that size. */
static void test_longest_basic(void **state)
{
    (void)state;
    char pair[760], text[GY_AUTHORIZATION_MAX + 64] = "Basic ";
    struct gy_authorization a;
    struct gy_err err = GY_ERR_INIT;
    memset(pair, 'p', sizeof pair);
    pair[1] = ':';
    gy_base64(pair, sizeof pair, text + 6);
    assert_true(strlen(text) <= GY_AUTHORIZATION_MAX);
    assert_status(GY_OK, parse(gy_str_c(text), &a, &err), err);
    assert_int_equal(gy_secret_reveal(a.secret).n, sizeof pair - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bearer),
        cmocka_unit_test(test_basic),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_longest_basic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
