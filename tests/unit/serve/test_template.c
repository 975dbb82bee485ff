/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of aliases: places in JSON texts, what is written for them, what is refused. */
#include "unit.h"

#include "serve/template.h"

static const struct gy_template_known known = {{"se\"psis", 7}, {"m", 1}, {"3", 1}, 7};

static gy_status compile(const char *json, bool failure, struct gy_arena *a,
                         struct gy_template *ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_str_c(json), &doc, err));
    return gy_template_compile(yyjson_doc_get_root(doc), failure, &known, a, ret, err);
}

static void check(const char *json, bool failure, const char *want)
{
    static const int64_t versions[] = {1, 2, 10};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_template t = {0};
    struct gy_err err = GY_ERR_INIT;
    gy_arena_init(&a, GY_MIB);
    gy_buf_init(&out, GY_MIB);
    assert_status(GY_OK, compile(json, failure, &a, &t, &err), err);
    const struct gy_template_values v = {
        .message = GY_STR("say \"no\""), .status = 404, .versions = versions, .n_versions = 3};
    gy_template_write(&t, &v, &out);
    assert_string_equal(out.p, want);
}

static void test_answers(void **state)
{
    (void)state;
    check("{\"version\":\"v{version}\"}", false, "{\"version\":\"v3\"}");
    check("{\"a\":[\"{endpoint}: {model}\",1,null,true,{\"b\":\"\"}]}", false,
          "{\"a\":[\"se\\\"psis: m\",1,null,true,{\"b\":\"\"}]}");
    check("{\"n\":\"{revision}\",\"t\":\"r{revision}\"}", false, "{\"n\":7,\"t\":\"r7\"}");
    check("{\"all\":\"v{versions}.\",\"x\":\"}{\"}", false,
          "{\"all\":[\"v1.\",\"v2.\",\"v10.\"],\"x\":\"}{\"}");
    check("{\"k\\\"{version}\":\"a\"}", false, "{\"k\\\"{version}\":\"a\"}"); /* keys stay */
}

static void test_failures(void **state)
{
    (void)state;
    check("{\"detail\":\"{message}\"}", true, "{\"detail\":\"say \\\"no\\\"\"}");
    check("{\"errorCode\":\"{status}\",\"message\":\"{status} at {model}: {message}!\"}", true,
          "{\"errorCode\":404,\"message\":\"404 at m: say \\\"no\\\"!\"}");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool failure;
        gy_status status;
    } bad[] = {
        {"{\"a\":\"{verison}\"}", false, GY_E_INVALID},
        {"{\"a\":\"{message}\"}", false, GY_E_INVALID},
        {"{\"a\":\"{versions}\"}", true, GY_E_INVALID},
        {"[[[[[[[[[1]]]]]]]]]", false, GY_E_TOOBIG},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_template t = {0};
        struct gy_err err = GY_ERR_INIT;
        gy_arena_init(&a, GY_MIB);
        assert_status(bad[i].status, compile(bad[i].json, bad[i].failure, &a, &t, &err), err);
        assert_int_equal(t.n, 0);
    }
    char many[2000] = "[";
    for (int i = 0; i < 70; i++) {
        (void)strncat(many, i ? ",\"{message}\"" : "\"{message}\"", sizeof many - strlen(many) - 1);
    }
    (void)strncat(many, "]", 2);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_template t = {0};
    struct gy_err err = GY_ERR_INIT;
    gy_arena_init(&a, GY_MIB);
    assert_status(GY_E_TOOBIG, compile(many, true, &a, &t, &err), err);
}

static gy_status all(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_template t = {0};
    gy_arena_init(&a, GY_MIB);
    return compile("{\"a\":\"v{versions}\",\"b\":\"{model}\"}", false, &a, &t, err);
}

static void test_torture(void **state)
{
    (void)state;
    torture(all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
