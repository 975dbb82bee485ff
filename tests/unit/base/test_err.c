/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "unit.h"

static void test_set_fills_and_returns(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_err_set(&err, GY_E_NOTFOUND, "run '%s'", "x"), GY_E_NOTFOUND);
    assert_int_equal(err.code, GY_E_NOTFOUND);
    assert_string_equal(err.msg, "run 'x'");
    assert_string_equal(err.hint, "");
    assert_int_equal(err.sys_errno, 0);
    assert_true(err.line > 0);
    assert_int_equal(gy_err_set(NULL, GY_E_IO, "nobody listens"), GY_E_IO);
}

static void test_sys_maps_errno(void **state)
{
    (void)state;
    static const struct {
        int errnum;
        gy_status code;
    } rows[] = {{ENOSPC, GY_E_NOSPACE},  {EDQUOT, GY_E_NOSPACE}, {ENOMEM, GY_E_NOMEM},
                {ENOENT, GY_E_NOTFOUND}, {EACCES, GY_E_DENIED},  {EPERM, GY_E_DENIED},
                {EIO, GY_E_IO},          {ENOTDIR, GY_E_IO}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        assert_int_equal(gy_err_sys(&err, rows[i].errnum, "open %s", "f"), rows[i].code);
        assert_int_equal(err.sys_errno, rows[i].errnum);
        assert_int_equal(strncmp(err.msg, "open f: ", 8), 0);
        assert_true(strlen(err.msg) > 8);
    }
}

static void test_wrap_prefixes_and_keeps_the_rest(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    (void)gy_err_sys(&err, ENOSPC, "write");
    (void)gy_err_hint(&err, "free some space");
    assert_int_equal(gy_err_wrap(&err, "pipeline '%s'", "p"), GY_E_NOSPACE);
    assert_int_equal(strncmp(err.msg, "pipeline 'p': write: ", 21), 0);
    assert_string_equal(err.hint, "free some space");
    assert_int_equal(err.sys_errno, ENOSPC);
}

static gy_status fails_with_a_hint(struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_CONFLICT, "taken");
    return gy_err_hint(err, "choose another");
}

static gy_status fails_wrapped(struct gy_err *err)
{
    if (gy_err_sys(err, ENOSPC, "write") != GY_OK) {
        return gy_err_wrap(err, "the report");
    }
    return GY_OK;
}

static void test_status_is_kept_without_err(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(fails_with_a_hint(NULL), GY_E_CONFLICT);
    assert_int_equal(fails_wrapped(NULL), GY_E_NOSPACE);
    assert_int_equal(fails_with_a_hint(&err), GY_E_CONFLICT);
    assert_int_equal(fails_wrapped(&err), GY_E_NOSPACE);
}

static void test_long_texts_are_cut_not_overrun(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct gy_err err = GY_ERR_INIT;
    (void)gy_err_set(&err, GY_E_FAILED, "%s", text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    (void)gy_err_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    (void)gy_err_hint(&err, "%s", text);
    assert_int_equal(strlen(err.hint), sizeof err.hint - 1);
}

static void test_no_part_of_a_character_is_told(void **state)
{
    (void)state;
    char text[2001] = "";
    for (size_t i = 0; i + 1 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa9", 2);
    }
    struct gy_err err = GY_ERR_INIT;
    for (int pad = 0; pad < 2; pad++) {
        (void)gy_err_set(&err, GY_E_FAILED, "%.*s%s", pad, "a", text);
        assert_true(gy_str_is_utf8(gy_str_c(err.msg)));
        assert_true(strlen(err.msg) >= sizeof err.msg - 2);
        (void)gy_err_wrap(&err, "%.*s%s", pad, "b", text);
        assert_true(gy_str_is_utf8(gy_str_c(err.msg)));
        (void)gy_err_sys(&err, 2, "%.*s%s", pad, "b", text);
        assert_true(gy_str_is_utf8(gy_str_c(err.msg)));
        (void)gy_err_hint(&err, "%.*s%s", pad, "a", text);
        assert_true(gy_str_is_utf8(gy_str_c(err.hint)));
    }
    (void)gy_err_set(&err, GY_E_NOTFOUND, "Model '%.3s' not found", "a\xc3\xa9\xc3\xa9");
    assert_string_equal(err.msg, "Model 'a\xc3\xa9' not found");
    (void)gy_err_set(&err, GY_E_NOTFOUND, "Model '%.4s' not found", "a\xc3\xa9\xc3\xa9");
    assert_string_equal(err.msg, "Model 'a\xc3\xa9' not found");
}

static void test_table(void **state)
{
    (void)state;
    static const gy_status all[] = {
#define X(code, number, http, exit_code, retryable, text) GY_E_##code,
#include "base/errors.def"
#undef X
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal((int)all[i], (int)i); /* append-only: no gap, no reuse */
        assert_int_equal(gy_status_from_name(gy_status_name(all[i])), all[i]);
        assert_true(gy_status_http(all[i]) >= 200 && gy_status_http(all[i]) < 600);
        assert_true((gy_status_exit(all[i]) == 0) == (all[i] == GY_OK));
        assert_true(gy_status_text(all[i])[0] != '\0');
    }
    assert_int_equal(gy_status_http(GY_E_NOTBLESSED), 403);
    assert_int_equal(gy_status_exit(GY_E_USAGE), 2);
    assert_true(gy_status_retryable(GY_E_BUSY));
    assert_false(gy_status_retryable(GY_E_PARSE));
    assert_string_equal(gy_status_name((gy_status)9999), "UNKNOWN");
    assert_int_equal(gy_status_http((gy_status)9999), 500);
    assert_int_equal(gy_status_from_name("NOSUCH"), GY_E_FAILED);
}

static void release(char *p)
{
    gy_free(p);
}
GY_DEFINE_AUTO(char *, release);

static char *make(void)
{
    GY_AUTO(release) char *p = gy_strdup("x");
    return p ? GY_TAKE(p) : NULL;
}

static void test_take_outlives_the_scope(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    char *p = make();
    assert_string_equal(p, "x");
    assert_int_equal(gy_mem_live(), live + 1);
    gy_free(p);
    assert_int_equal(gy_mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_fills_and_returns),
        cmocka_unit_test(test_sys_maps_errno),
        cmocka_unit_test(test_wrap_prefixes_and_keeps_the_rest),
        cmocka_unit_test(test_status_is_kept_without_err),
        cmocka_unit_test(test_long_texts_are_cut_not_overrun),
        cmocka_unit_test(test_no_part_of_a_character_is_told),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_take_outlives_the_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
