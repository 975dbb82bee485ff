/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "unit.h"

static void test_building(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 1000);
    assert_string_equal(b.p, ""); /* never NULL, even before anything is allocated */
    gy_buf_add(&b, GY_STR("ab"));
    gy_buf_addc(&b, "cd");
    gy_buf_add_char(&b, '!');
    gy_buf_addf(&b, " %d", 42);
    gy_buf_add_bytes(&b, "\0x", 2);
    assert_int_equal(b.n, 10);
    assert_memory_equal(b.p, "abcd! 42\0x", 11);
    gy_buf_drop_front(&b, 6);
    assert_memory_equal(b.p, "42\0x", 5);
    gy_buf_drop_front(&b, 100);
    assert_int_equal(b.n, 0);
    memcpy(gy_buf_reserve(&b, 3), "xyz", 3);
    gy_buf_commit(&b, 3);
    assert_string_equal(b.p, "xyz");
    assert_int_equal(gy_buf_check(&b, "it", NULL), GY_OK);
}

static void test_ceiling_sticks(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&b, 5);
    gy_buf_addc(&b, "12345");
    assert_int_equal(gy_buf_check(&b, "it", &err), GY_OK);
    gy_buf_addc(&b, "6");
    gy_buf_addc(&b, "");
    assert_int_equal(b.n, 5);
    assert_string_equal(b.p, "12345");
    assert_int_equal(gy_buf_check(&b, "the reply", &err), GY_E_TOOBIG);
    assert_non_null(strstr(err.msg, "the reply"));
    assert_null(gy_buf_take(&b));
    gy_buf_reset(&b);
    gy_buf_addf(&b, "%s", "abc");
    assert_int_equal(gy_buf_check(&b, "it", NULL), GY_OK);
    gy_buf_addf(&b, "%s", "toolong");
    assert_int_equal(gy_buf_check(&b, "it", NULL), GY_E_TOOBIG);
    assert_null(gy_buf_reserve(&b, 1));
}

static void test_take(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    struct gy_buf b;
    gy_buf_init(&b, 100);
    char *nothing = gy_buf_take(&b); /* an empty buffer still gives an owned string */
    assert_string_equal(nothing, "");
    gy_free(nothing);
    gy_buf_addc(&b, "abc");
    char *text = gy_buf_take(&b);
    assert_string_equal(text, "abc");
    assert_int_equal(b.n, 0);
    gy_free(text);
    gy_buf_done(&b);
    gy_buf_done(&b);
    gy_buf_done(NULL);
    assert_int_equal(gy_mem_live(), live);
}

static gy_status build(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    for (int i = 0; i < 2000; i++) {
        gy_buf_addf(&b, "%d,", i);
        gy_buf_addc(&b, "some more text to make it grow");
    }
    GY_TRY(gy_buf_check(&b, "it", err));
    GY_AUTO(gy_free) char *text = gy_buf_take(&b);
    return text ? GY_OK : gy_err_set(err, GY_E_NOMEM, "take");
}

static void test_torture(void **state)
{
    (void)state;
    torture(build, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_building),
        cmocka_unit_test(test_ceiling_sticks),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
