/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include <sys/stat.h>

#include "base/arena.h"
#include "watch/review_token.h"

#define DAY_US ((int64_t)86400 * 1000000)

struct fixture {
    char dir[64], key[80];
    struct gy_arena a;
};

static int make(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    scratch_make(f->dir);
    (void)snprintf(f->key, sizeof f->key, "%s/review.key", f->dir);
    gy_arena_init(&f->a, GY_MIB);
    *state = f;
    return 0;
}

static int done(void **state)
{
    struct fixture *f = *state;
    gy_arena_done(&f->a);
    scratch_done(f->dir);
    test_free(f);
    return 0;
}

static struct gy_str token_of(struct fixture *f, const char *name, int64_t expires_us)
{
    struct gy_err err = GY_ERR_INIT;
    struct gy_str token;
    assert_status(
        GY_OK, gy_review_token_make(f->key, gy_str_c(name), expires_us, &f->a, &token, &err), err);
    return token;
}

static gy_status check(struct fixture *f, struct gy_str token, int64_t now_us, struct gy_str *name)
{
    return gy_review_token_check(f->key, token, now_us, &f->a, name, NULL);
}

static void test_a_token_names_its_reviewer_until_it_expires(void **state)
{
    struct fixture *f = *state;
    struct gy_str name = GY_STR_NULL;
    struct gy_str token = token_of(f, "Dr. Ann \xc3\x84rztin", 2 * DAY_US);
    struct stat st;
    assert_int_equal(check(f, token, DAY_US, &name), GY_OK);
    assert_str(name, "Dr. Ann \xc3\x84rztin");
    assert_int_equal(check(f, token, 2 * DAY_US, &name), GY_E_UNAUTHENTICATED);
    assert_int_equal(stat(f->key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* The key stays: an earlier token is good after a later one. */
    (void)token_of(f, "bob", 2 * DAY_US);
    assert_int_equal(check(f, token, DAY_US, &name), GY_OK);
}

static void test_every_changed_byte_makes_it_void(void **state)
{
    struct fixture *f = *state;
    struct gy_str name = GY_STR_NULL;
    struct gy_str token = token_of(f, "ann", 2 * DAY_US);
    for (size_t i = 0; i < token.n; i++) {
        char *bad = gy_arena_strdup(&f->a, token);
        assert_non_null(bad);
        bad[i] = bad[i] == '1' ? '2' : '1';
        assert_int_equal(check(f, gy_str_n(bad, token.n), 0, &name), GY_E_UNAUTHENTICATED);
        assert_int_equal(check(f, gy_str_n(token.p, i), 0, &name), GY_E_UNAUTHENTICATED);
    }
    char *longer = gy_arena_printf(&f->a, "%s.", token.p);
    assert_int_equal(check(f, gy_str_c(longer), 0, &name), GY_E_UNAUTHENTICATED);
    assert_null(name.p);
}

static void test_another_home_does_not_know_it(void **state)
{
    struct fixture *f = *state;
    struct gy_str name = GY_STR_NULL;
    struct gy_str token = token_of(f, "ann", 2 * DAY_US);
    assert_int_equal(unlink(f->key), 0);
    assert_int_equal(check(f, token, 0, &name), GY_E_UNAUTHENTICATED);
    (void)token_of(f, "bob", 2 * DAY_US); /* a new key */
    assert_int_equal(check(f, token, 0, &name), GY_E_UNAUTHENTICATED);
}

static void test_names_are_checked(void **state)
{
    static const char *const bad[] = {"", "anonymous", "a\nb", "a\x7f", "\xff"};
    struct fixture *f = *state;
    struct gy_str token;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(
            gy_review_token_make(f->key, gy_str_c(bad[i]), DAY_US, &f->a, &token, NULL),
            GY_E_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_token_names_its_reviewer_until_it_expires, make,
                                        done),
        cmocka_unit_test_setup_teardown(test_every_changed_byte_makes_it_void, make, done),
        cmocka_unit_test_setup_teardown(test_another_home_does_not_know_it, make, done),
        cmocka_unit_test_setup_teardown(test_names_are_checked, make, done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
