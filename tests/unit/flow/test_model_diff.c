/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/model_diff.h"
#include "unit.h"

static yyjson_doc *parse(const char *text)
{
    struct gy_err err = GY_ERR_INIT;
    yyjson_doc *doc = NULL;
    assert_status(GY_OK, gy_json_parse(gy_str_c(text), &doc, &err), err);
    return doc;
}

static void expect_rows(const char *a, const char *b, bool metrics, size_t n, const char *rows)
{
    GY_AUTO(gy_json_free) yyjson_doc *x = a ? parse(a) : NULL;
    GY_AUTO(gy_json_free) yyjson_doc *y = b ? parse(b) : NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    size_t got = gy_diff_rows(yyjson_doc_get_root(x), yyjson_doc_get_root(y), metrics, &w);
    assert_string_equal(out.p, rows);
    assert_int_equal(got, n);
}

static void test_rows(void **state)
{
    (void)state;
    expect_rows("{}", "{}", false, 0, "[]");
    expect_rows(NULL, NULL, false, 0, "[]");
    expect_rows("{\"a\":1,\"b\":\"x\",\"c\":[1,{\"d\":2}]}",
                "{\"c\":[1.0,{\"d\":2.0}],\"b\":\"x\",\"a\":1.0}", false, 0, "[]");
    expect_rows("{\"a\":1,\"b\":2}", "{\"b\":3,\"c\":null}", false, 3,
                "[{\"key\":\"a\",\"change\":\"removed\",\"a\":1,\"b\":null},"
                "{\"key\":\"b\",\"change\":\"changed\",\"a\":2,\"b\":3},"
                "{\"key\":\"c\",\"change\":\"added\",\"a\":null,\"b\":null}]");
    expect_rows(NULL, "{\"a\":true}", false, 1,
                "[{\"key\":\"a\",\"change\":\"added\",\"a\":null,\"b\":true}]");
    expect_rows("{\"a\":[1]}", "{\"a\":[1,2]}", false, 1,
                "[{\"key\":\"a\",\"change\":\"changed\",\"a\":[1],\"b\":[1,2]}]");
    expect_rows("{\"a\":{\"x\":1}}", "{\"a\":{\"y\":1}}", false, 1,
                "[{\"key\":\"a\",\"change\":\"changed\",\"a\":{\"x\":1},\"b\":{\"y\":1}}]");
    expect_rows("{\"a\":\"1\"}", "{\"a\":1}", false, 1,
                "[{\"key\":\"a\",\"change\":\"changed\",\"a\":\"1\",\"b\":1}]");
}

static void test_metrics(void **state)
{
    (void)state;
    expect_rows("{\"f1\":{\"value\":0.5,\"low\":0.25,\"high\":0.75}}",
                "{\"f1\":{\"value\":0.5,\"low\":0.25,\"high\":0.75}}", true, 0,
                "[{\"key\":\"f1\",\"change\":\"same\",\"a\":{\"value\":0.5,\"low\":0.25,\"high\":"
                "0.75},\"b\":{\"value\":0.5,\"low\":0.25,\"high\":0.75},\"difference\":0.0,"
                "\"overlap\":true}]");
    expect_rows("{\"f1\":{\"value\":0.5,\"low\":0.25,\"high\":0.5}}",
                "{\"f1\":{\"value\":0.75,\"low\":0.625,\"high\":1}}", true, 1,
                "[{\"key\":\"f1\",\"change\":\"changed\",\"a\":{\"value\":0.5,\"low\":0.25,"
                "\"high\":0.5},\"b\":{\"value\":0.75,\"low\":0.625,\"high\":1},\"difference\":0.25,"
                "\"overlap\":false}]");
    expect_rows("{}", "{\"f1\":{\"value\":1}}", true, 1,
                "[{\"key\":\"f1\",\"change\":\"added\",\"a\":null,\"b\":{\"value\":1},"
                "\"difference\":null,\"overlap\":null}]");
}

static void test_whole(void **state)
{
    (void)state;
    GY_AUTO(gy_json_free)
    yyjson_doc *a = parse("{\"kind\":\"version\",\"name\":\"m\",\"version\":2,\"sections\":{"
                          "\"params\":{\"C\":\"1\"}}}");
    GY_AUTO(gy_json_free)
    yyjson_doc *b =
        parse("{\"kind\":\"run\",\"run_id\":\"abc\",\"sections\":{\"params\":{\"C\":\"2\"}}}");
    GY_AUTO(gy_json_free) yyjson_doc *diff = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_err err = GY_ERR_INIT;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_model_diff(yyjson_doc_get_root(a), yyjson_doc_get_root(b), &w);
    assert_status(GY_OK, gy_json_parse(gy_buf_str(&out), &diff, &err), err);
    yyjson_val *root = yyjson_doc_get_root(diff), *sections = gy_json_get(root, "sections");
    assert_str(gy_json_str(root, "a"), "m/2");
    assert_str(gy_json_str(root, "b"), "run:abc");
    assert_false(gy_json_bool(root, "same", true));
    size_t n = 0;
    while (gy_facts_sections[n]) {
        yyjson_val *s = yyjson_arr_get(sections, n);
        assert_str(gy_json_str(s, "section"), gy_facts_sections[n]);
        bool params = strcmp(gy_facts_sections[n], "params") == 0;
        assert_int_equal(gy_json_i64(s, "changed", -1), params);
        n++;
    }
    assert_int_equal(yyjson_arr_size(sections), n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_whole),
    };
    return cmocka_run_group_tests_name("model diff", tests, NULL, NULL);
}
