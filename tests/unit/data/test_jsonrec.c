/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"

#include "base/id.h"
#include "data/jsonfields.h"
#include "json_items.h"

static void check(enum gy_jsonrec_shape shape, const char *bytes, const char *want)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    bool tiles = false;
    gy_buf_init(&out, GY_MIB);
    assert_int_equal(json_items(gy_str_c(bytes), shape, 0, 64, 40, &out, &tiles), GY_OK);
    assert_string_equal(out.p, want);
    assert_true(tiles);
}

static void test_arrays(void **state)
{
    (void)state;
    check(GY_JSONREC_ARRAY, "[]", "B- 0+2[]");
    check(GY_JSONREC_ARRAY, "[{\"a\":1},{\"a\":[{}, 2]} ]\n",
          "B- 0+1[]R- 1+7[{\"a\":1}]B- 8+1[]R- 9+13[{\"a\":[{}, 2]}]B- 22+3[]");
    check(GY_JSONREC_ARRAY, "\xef\xbb\xbf [\n1, \"a]\\\"b\", null]",
          "B- 0+6[]R- 6+1[1]B- 7+2[]R- 9+7[\"a]\\\"b\"]B- 16+2[]R- 18+4[null]B- 22+1[]");
    /* Without an array around them, over lines; a file that was cut off. */
    check(GY_JSONREC_ARRAY, "{\"a\":\n1}\n{}", "R- 0+8[{\"a\":\n1}]B- 8+1[]R- 9+2[{}]");
    check(GY_JSONREC_ARRAY, "[{},{\"a\":", "B- 0+1[]R- 1+2[{}]B- 3+1[]RS 4+5[{\"a\":]~");
    check(GY_JSONREC_ARRAY, "[{}", "B- 0+1[]R- 1+2[{}]~");
}

static void test_lines(void **state)
{
    (void)state;
    check(GY_JSONREC_LINES, "\xef\xbb\xbf{}\r\n \n{\"a\"\n[1]",
          "R- 0+7[{}]B- 7+2[]R- 9+5[{\"a\"]R- 14+3[[1]]");
    check(GY_JSONREC_LINES, "", "");
    check(GY_JSONREC_LINES, "{\"a\":\"0123456789012345678901234567890123456789\"}\n{}\n",
          "RT 0+49[]R- 49+3[{}]");
}

/* What is broken costs itself; reading goes on at the next object. */
static void test_goes_on_behind_damage(void **state)
{
    (void)state;
    /* A colon that lacks; a brace that lacks; a word. */
    check(GY_JSONREC_ARRAY, "[{\"a\" 1},{\"b\":2}]",
          "B- 0+1[]RS 1+7[{\"a\" 1}]B- 8+1[]R- 9+7[{\"b\":2}]B- 16+1[]");
    check(GY_JSONREC_ARRAY, "[{\"a\":1, {\"b\":2}]",
          "B- 0+1[]RS 1+6[{\"a\":1]B- 7+2[]R- 9+7[{\"b\":2}]B- 16+1[]");
    check(GY_JSONREC_ARRAY, "[{},oops!,{}]",
          "B- 0+1[]R- 1+2[{}]B- 3+1[]RS 4+5[oops!]B- 9+1[]R- 10+2[{}]B- 12+1[]");
    /* A string without an end, one object a line: a newline can not be in a string. */
    check(GY_JSONREC_ARRAY, "[{\"a\":\"x},\n {\"b\":2}]",
          "B- 0+1[]RS 1+8[{\"a\":\"x}]B- 9+3[]R- 12+7[{\"b\":2}]B- 19+1[]");
    /* On one line it takes the next object along. */
    check(GY_JSONREC_ARRAY, "[{\"a\":\"x},{\"b\":2},{\"c\":3}]",
          "B- 0+1[]RS 1+16[{\"a\":\"x},{\"b\":2}]B- 17+1[]R- 18+7[{\"c\":3}]B- 25+1[]");
    /* Something behind the array; a bracket too many; the last element broken. */
    check(GY_JSONREC_ARRAY, "[{}] x,{}", "B- 0+1[]R- 1+2[{}]B- 3+2[]RS 5+1[x]B- 6+1[]R- 7+2[{}]~");
    check(GY_JSONREC_ARRAY, "[{\"a\":}]", "B- 0+1[]RS 1+6[{\"a\":}]B- 7+1[]");
    check(GY_JSONREC_ARRAY, "[{\"a\":[1}},{}]",
          "B- 0+1[]RS 1+9[{\"a\":[1}}]B- 10+1[]R- 11+2[{}]B- 13+1[]");
    /* Too long to be kept, and whole or broken all the same. */
    check(GY_JSONREC_ARRAY, "[{\"a\":\"0123456789012345678901234567890123\"},{}]",
          "B- 0+1[]RT 1+42[]B- 43+1[]R- 44+2[{}]B- 46+1[]");
    check(GY_JSONREC_ARRAY, "[{\"a\":\"012345678901234567890123456789012345\" 1},{}]",
          "B- 0+1[]RS 1+46[]B- 47+1[]R- 48+2[{}]B- 50+1[]");
}

static void test_what_is_no_json(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", " \n", "a,b\n1,2\n", "\"x\"", "]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        bool tiles = false;
        gy_buf_init(&out, GY_MIB);
        assert_int_equal(json_items(gy_str_c(wrong[i]), GY_JSONREC_ARRAY, 0, 64, 40, &out, &tiles),
                         GY_E_PARSE);
    }
}

/* Depth has a limit; what is deeper is broken and not a crash. */
static void test_depth(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf deep, out;
    bool tiles = false;
    gy_buf_init(&deep, GY_MIB);
    gy_buf_init(&out, GY_MIB);
    for (int i = 0; i < 300; i++) {
        gy_buf_add_char(&deep, '[');
    }
    gy_buf_addc(&deep, "1,{\"a\":1}]");
    assert_int_equal(json_items(gy_buf_str(&deep), GY_JSONREC_ARRAY, 0, 64, 1000, &out, &tiles),
                     GY_OK);
    assert_true(tiles);
    assert_non_null(strstr(out.p, "R- 302+7[{\"a\":1}]"));
}

/* Random damage to a good file, read in pieces of every size. */
static void test_pieces_do_not_matter(void **state)
{
    (void)state;
    static const char good[] = "\xef\xbb\xbf[\n  {\"id\": 1, \"x\": 1.5, \"s\": \"a,\\\"b\\\"\", "
                               "\"n\": [{\"a\": 1},{}]},\n"
                               "  {\"id\": 2, \"x\": null, \"s\": \"\\u00e9\"}, {\"id\": 3} ,\n\n "
                               "{\"id\": 4, \"b\": true}]\n";
    static const char spoil[] = "{}[]\",:\\ \nx1\t";
    struct gy_rng rng;
    gy_rng_init(&rng, 11);
    for (int round = 0; round < 20000; round++) {
        char text[sizeof good + 8];
        size_t n = sizeof good - 1;
        memcpy(text, good, n);
        for (uint64_t k = gy_rng_below(&rng, 5); k > 0; k--) {
            size_t at = (size_t)gy_rng_below(&rng, n);
            if (gy_rng_below(&rng, 2)) {
                text[at] = spoil[gy_rng_below(&rng, sizeof spoil - 1)];
            } else { /* a byte is lost */
                memmove(text + at, text + at + 1, n - at - 1);
                n--;
            }
        }
        enum gy_jsonrec_shape shape = round % 2 ? GY_JSONREC_LINES : GY_JSONREC_ARRAY;
        size_t step = 1 + (size_t)gy_rng_below(&rng, 9);
        size_t chunk = 1 + (size_t)gy_rng_below(&rng, 70);
        size_t max = round % 3 ? 1000 : 1 + (size_t)gy_rng_below(&rng, 60);
        if (json_differs(gy_str_n(text, n), shape, step, chunk, max)) {
            fail_msg("round %d, step %zu, chunk %zu, max %zu: %.*s", round, step, chunk, max,
                     (int)n, text);
        }
    }
}

/* ---- values ---- */

static const char SCHEMA[] = "columns:\n"
                             "  - {name: id, type: int, required: true}\n"
                             "  - {name: x, type: float}\n"
                             "  - {name: b, type: bool}\n"
                             "  - {name: s, type: string}\n"
                             "  - {name: t, type: time, zone: none}\n"
                             "  - {name: y, type: int, required: true, not_in: [SERVING]}\n";

/* The canonical line of one record, or its codes and reason. */
static gy_status read_one(const char *json, struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_AUTO(gy_jsonfields_free) struct gy_jsonfields *f = NULL;
    GY_AUTO(gy_checker_free) struct gy_checker *c = NULL;
    GY_AUTO_DONE(gy_reasons_done) struct gy_reasons r;
    const struct gy_value *values = NULL;
    size_t n = 0;
    gy_reasons_init(&r);
    GY_TRY(gy_schema_parse(gy_str_c(SCHEMA), "s", &schema, err));
    GY_TRY(gy_jsonfields_new(schema, GY_STR("SERVING"), &f, err));
    const struct gy_csv_field *header = gy_jsonfields_header(f, &n);
    GY_TRY(gy_checker_new(schema, GY_STR("SERVING"), header, n, &c, err));
    struct gy_csv_item item = {.kind = GY_CSV_RECORD, .raw = gy_str_c(json)};
    GY_TRY(gy_jsonfields_read(f, &item, &values, &r, err));
    if (values) {
        GY_TRY(gy_checker_values(c, values, item.raw.n, out, &r, err));
    }
    for (int code = 0; code < GY_DEAD_N; code++) {
        if (r.codes >> code & 1) {
            gy_buf_addf(out, "!%s", gy_dead_name((enum gy_dead_code)code));
        }
    }
    if (r.codes) {
        gy_buf_addf(out, " %s", r.text.p);
    }
    const struct gy_unknown *u = gy_jsonfields_unknown(f);
    for (size_t i = 0; i < u->n; i++) {
        gy_buf_addf(out, "?%" GY_STR_F "=%lld", GY_STR_A(u->names[i].name),
                    (long long)u->names[i].count);
    }
    return gy_buf_check(out, "test", err);
}

static void check_value(const char *json, const char *want)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    assert_status(GY_OK, read_one(json, &out, &err), err);
    assert_string_equal(out.p, want);
}

static void test_values_by_type(void **state)
{
    (void)state;
    check_value("{\"id\":7.0,\"x\":39.30,\"b\":true,\"s\":\"a,\\\"b\\u00e9\",\"t\":\"2011-01-01 "
                "05:00:00\"}",
                "7,39.3,true,\"a,\"\"b\xc3\xa9\",2011-01-01T05:00:00\n");
    check_value("{\"x\":null,\"id\":1,\"s\":\"\"}", "1,,,,\n");
    check_value("{\"id\":1,\"x\":NaN}", "1,,,,\n"); /* as Python writes it */
    check_value("{\"id\":1,\"x\":\"NaN\"}", "1,,,,\n");
    check_value("{\"id\":1,\"x\":1e400}", "!TYPE x: '1e400' is not of type float");
    check_value("{}", "!REQUIRED id: the value is missing");
    check_value("{\"id\":\"1\",\"x\":true,\"b\":1,\"s\":2,\"t\":3}",
                "!TYPE id: '1' is not of type int; x: 'true' is not of type float; b: '1' is not "
                "of type bool; s: '2' is not of type string; t: '3' is not of type time");
    check_value("{\"id\":1,\"s\":{\"a\":1}}", "!TYPE s: '{...}' is not of type string");
    check_value("{\"id\":1,\"x\":[1]}", "!TYPE x: '[...]' is not of type float");
    /* Keys that are not columns (here), of any value. */
    check_value("{\"id\":1,\"more\":[1,{}],\"y\":1,\"\":2}", "1,,,,\n?more=1?y=1?=1");
}

static void test_no_records(void **state)
{
    (void)state;
    check_value("[1]", "!JSON not an object");
    check_value("{\"id\":1,\"id\":1}", "!JSON a key comes twice: id");
    check_value("{\"id\":1,}", "!JSON not valid JSON: trailing comma is not allowed at byte 7");
    check_value("{\"id\":\xff}", "!UTF8 not UTF-8");
}

static gy_status torture_read(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    return read_one("{\"id\":1,\"x\":2.5,\"s\":\"a\",\"more\":[1]}", &out, err);
}

static gy_status torture_infer(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    return gy_schema_infer_json(GY_STR("[{\"id\":1,\"s\":\"a\"},{\"id\":2,\"x\":0.5}]"), false,
                                true, &s, err);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    torture(torture_read, NULL);
    torture(torture_infer, NULL);
}

static void test_inference(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK,
                  gy_schema_infer_json(
                      GY_STR("{\"p_id\":1,\"n\":\"7\",\"x\":2,\"gone\":[1]}\nbroken\n"
                             "{\"p_id\":2,\"t\":\"2011-01-01\",\"x\":2.5,\"b\":false}\n{\"cut"),
                      true, false, &s, &err),
                  err);
    static const char *const names[] = {"p_id", "n", "x", "t", "b"};
    static const enum gy_type types[] = {GY_TYPE_INT, GY_TYPE_STRING, GY_TYPE_FLOAT, GY_TYPE_TIME,
                                         GY_TYPE_BOOL};
    assert_int_equal(s->n_columns, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_str(s->columns[i].name, names[i]);
        assert_int_equal(s->columns[i].type, types[i]);
    }
    assert_int_equal(s->columns[0].role, GY_ROLE_ID);
    struct gy_schema *none = NULL;
    assert_int_equal(gy_schema_infer_json(GY_STR("[1,2]"), false, true, &none, &err), GY_E_PARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_goes_on_behind_damage),
        cmocka_unit_test(test_what_is_no_json),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_pieces_do_not_matter),
        cmocka_unit_test(test_values_by_type),
        cmocka_unit_test(test_no_records),
        cmocka_unit_test(test_inference),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
