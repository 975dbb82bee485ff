/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/json.h"
#include "unit.h"

static void test_parse_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",         "{",        "[1,]",    "{\"a\":}",    "nul",   "1 2",       "NaN",
        "[01]",     "'a'",      "\"\\x\"", "\"\xff\"",    "{a:1}", "[1]]",      "-",
        "\"a\nb\"", "Infinity", "// c\n1", "\"\\ud800\"", "+1",    "{\"a\" 1}", ".5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        yyjson_doc *doc = NULL;
        struct gy_err err = GY_ERR_INIT;
        if (gy_json_parse(gy_str_c(bad[i]), &doc, &err) != GY_E_PARSE) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_null(doc);
    }
}

static void test_depth(void **state)
{
    (void)state;
    char text[2 * (GY_MAX_JSON_DEPTH + 1) + 1];
    for (int over = 0; over <= 1; over++) {
        size_t depth = GY_MAX_JSON_DEPTH + (size_t)over;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        assert_int_equal(gy_json_parse(gy_str_n(text, 2 * depth), &doc, NULL),
                         over ? GY_E_TOOBIG : GY_OK);
    }
    /* Brackets inside strings are no depth. */
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    gy_buf_addc(&b, "[\"\\\"");
    for (int i = 0; i < 1000; i++) {
        gy_buf_add_char(&b, '[');
    }
    gy_buf_addc(&b, "\"]");
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_buf_str(&b), &doc, NULL), GY_OK);
}

static void test_getters(void **state)
{
    (void)state;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(
        GY_OK,
        gy_json_parse(
            GY_STR("{\"s\":\"x\",\"i\":7,\"f\":1.5,\"b\":true,\"n\":null,\"a\":[1],\"o\":{}}"),
            &doc, &err),
        err);
    yyjson_val *o = yyjson_doc_get_root(doc);
    assert_str(gy_json_str(o, "s"), "x");
    assert_null(gy_json_str(o, "i").p);
    assert_int_equal(gy_json_i64(o, "i", -1), 7);
    assert_int_equal(gy_json_i64(o, "s", -1), -1);
    assert_true(gy_json_f64(o, "f", 0) == 1.5);
    assert_true(gy_json_f64(o, "i", 0) == 7);
    assert_true(gy_json_bool(o, "b", false));
    assert_false(gy_json_bool(o, "absent", false));
    struct gy_str s;
    int64_t i;
    double f;
    yyjson_val *v;
    assert_status(GY_OK, gy_json_need_str(o, "s", &s, &err), err);
    assert_status(GY_OK, gy_json_need_i64(o, "i", &i, &err), err);
    assert_status(GY_OK, gy_json_need_f64(o, "f", &f, &err), err);
    assert_status(GY_OK, gy_json_need_arr(o, "a", &v, &err), err);
    assert_status(GY_OK, gy_json_need_obj(o, "o", &v, &err), err);
    assert_int_equal(gy_json_need_str(o, "absent", &s, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "absent"));
    assert_int_equal(gy_json_need_i64(o, "f", &i, &err), GY_E_INVALID);
    assert_int_equal(gy_json_need_f64(o, "n", &f, &err), GY_E_INVALID);
    assert_int_equal(gy_json_need_arr(o, "o", &v, &err), GY_E_INVALID);
    assert_int_equal(gy_json_need_obj(NULL, "o", &v, &err), GY_E_INVALID);
}

static void write_all_kinds(struct gy_jw *w)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "s", "a\"\\\n\x01\xff");
    gy_jw_kv_i64(w, "i", INT64_MIN);
    gy_jw_kv_f64(w, "f", 0.1);
    gy_jw_kv_f64(w, "nan", NAN);
    gy_jw_kv_bool(w, "b", true);
    gy_jw_kv_null(w, "z");
    gy_jw_key(w, "a");
    gy_jw_arr(w);
    gy_jw_u64(w, UINT64_MAX);
    gy_jw_strf(w, "%d%%", 5);
    gy_jw_str(w, GY_STR_NULL);
    gy_jw_raw(w, GY_STR("{\"k\":1}"));
    gy_jw_arr(w);
    gy_jw_arr_end(w);
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static void test_writer(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_jw w;
    gy_buf_init(&b, GY_MIB);
    gy_jw_init(&w, &b);
    write_all_kinds(&w);
    assert_string_equal(
        b.p, "{\"s\":\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\",\"i\":-9223372036854775808,\"f\":0.1,"
             "\"nan\":\"NaN\",\"b\":true,\"z\":null,\"a\":[18446744073709551615,\"5%\",null,"
             "{\"k\":1},[]]}");
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_buf_str(&b), &doc, NULL), GY_OK);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf again;
    gy_buf_init(&again, GY_MIB);
    gy_jw_init(&w, &again);
    gy_jw_val(&w, yyjson_doc_get_root(doc));
    assert_string_equal(again.p, b.p); /* copying a parsed value changes nothing */
}

static void test_pretty(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_jw w;
    gy_buf_init(&b, GY_MIB);
    gy_jw_init(&w, &b);
    w.pretty = true;
    write_all_kinds(&w);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_buf_str(&b), &doc, NULL), GY_OK);
    assert_non_null(strstr(b.p, "\n  \"i\": -9223372036854775808,\n"));
}

static gy_status parse(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(GY_STR("{\"a\":[1,2,{\"b\":\"text\"}],\"c\":null}"), &doc, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_jw w;
    gy_buf_init(&b, GY_MIB);
    gy_jw_init(&w, &b);
    gy_jw_val(&w, yyjson_doc_get_root(doc));
    return gy_buf_check(&b, "it", err);
}

static void test_torture(void **state)
{
    (void)state;
    torture(parse, NULL);
}

static void test_read_file(void **state)
{
    (void)state;
    char dir[64];
    char path[128];
    scratch_make(dir);
    (void)snprintf(path, sizeof path, "%s/a.json", dir);
    struct gy_err err = GY_ERR_INIT;
    yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_read_file(path, 100, &doc, &err), GY_E_NOTFOUND);
    assert_status(GY_OK, gy_file_write(path, GY_STR("{\"a\": 1}"), 0644, &err), err);
    assert_int_equal(gy_json_read_file(path, 5, &doc, &err), GY_E_TOOBIG);
    assert_status(GY_OK, gy_json_read_file(path, 8, &doc, &err), err);
    assert_int_equal(gy_json_i64(yyjson_doc_get_root(doc), "a", 0), 1);
    gy_json_free(doc);
    scratch_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_bad), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_getters),   cmocka_unit_test(test_writer),
        cmocka_unit_test(test_pretty),    cmocka_unit_test(test_torture),
        cmocka_unit_test(test_read_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
