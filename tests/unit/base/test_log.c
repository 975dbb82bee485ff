/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "base/json.h"
#include "base/log.h"
#include "base/time.h"
#include "unit.h"

static int g_pipe[2];

static int setup(void **state)
{
    (void)state;
    if (pipe2(g_pipe, O_NONBLOCK) != 0) {
        return -1;
    }
    gy_log_set_output(g_pipe[1], GY_LOG_JSON);
    gy_time_set_fake(INT64_C(1795224717123456));
    return gy_log_setup(GY_STR("info"), NULL) == GY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    (void)close(g_pipe[0]);
    (void)close(g_pipe[1]);
    gy_log_set_output(2, GY_LOG_AUTO);
    gy_time_set_fake(0);
    return 0;
}

static size_t take(char *text, size_t size)
{
    ssize_t n = read(g_pipe[0], text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void test_json_line(void **state)
{
    (void)state;
    char text[2000];
    gy_log(GY_LOG_WARN, "drift", "share passed", GY_KV_C("model", "a\"b\n"), GY_KV_I("rows", 7),
           GY_KV_F("share", 0.5));
    size_t n = take(text, sizeof text);
    assert_string_equal(
        text,
        "{\"time\":\"2026-11-21T01:31:57.123456Z\",\"level\":\"warn\",\"component\":\"drift\","
        "\"message\":\"share passed\",\"model\":\"a\\\"b\\n\",\"rows\":7,\"share\":0.5}\n");
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_str_n(text, n), &doc, NULL), GY_OK);
}

static void test_text_is_one_harmless_line(void **state)
{
    (void)state;
    char text[2000];
    gy_log_set_output(g_pipe[1], GY_LOG_TEXT);
    gy_log(GY_LOG_ERROR, "http", "bad", GY_KV_C("name", "x\x1b[2J\ny"), GY_KV_C("none", NULL));
    (void)take(text, sizeof text);
    assert_string_equal(text, "01:31:57.123 error http: bad  name=x\\x1b[2J\\x0ay  none=-\n");
}

static void test_levels(void **state)
{
    (void)state;
    char text[2000];
    assert_int_equal(gy_log_setup(GY_STR("drift=debug, http=off,WARN"), NULL), GY_OK);
    assert_true(gy_log_on(GY_LOG_DEBUG, "drift"));
    assert_false(gy_log_on(GY_LOG_INFO, "store"));
    assert_true(gy_log_on(GY_LOG_WARN, "store"));
    assert_false(gy_log_on(GY_LOG_ERROR, "http"));
    gy_log(GY_LOG_ERROR, "http", "not shown");
    assert_int_equal(take(text, sizeof text), 0);
    static const char *const bad[] = {
        "", "loud", "=info", "a=b", "info,,warn", "a-name-that-is-much-too-long-for-this=info"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        assert_int_equal(gy_log_setup(gy_str_c(bad[i]), &err), GY_E_INVALID);
    }
    assert_true(gy_log_on(GY_LOG_DEBUG, "drift")); /* a refused setup changes nothing */
}

static void test_errors(void **state)
{
    (void)state;
    char text[2000];
    struct gy_err err = GY_ERR_INIT;
    (void)gy_err_set(&err, GY_E_NOSPACE, "disk is full");
    (void)gy_err_hint(&err, "free some");
    gy_log_err(GY_LOG_ERROR, "store", "commit failed", &err);
    (void)take(text, sizeof text);
    assert_non_null(
        strstr(text, "\"code\":\"NOSPACE\",\"error\":\"disk is full\",\"hint\":\"free some\""));
}

static void test_without_memory_and_too_long(void **state)
{
    (void)state;
    char text[4000];
    gy_mem_fail_at(1, 0);
    gy_log(GY_LOG_ERROR, "store", "a message");
    gy_mem_fail_at(0, 0);
    assert_true(take(text, sizeof text) > 0);
    GY_AUTO(gy_free) char *large = gy_malloc(100000);
    memset(large, 'x', 100000);
    gy_log(GY_LOG_ERROR, "store", "still told", GY_KV_S("v", gy_str_n(large, 100000)));
    (void)take(text, sizeof text);
    assert_non_null(strstr(text, "still told"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_json_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_is_one_harmless_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_memory_and_too_long, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
