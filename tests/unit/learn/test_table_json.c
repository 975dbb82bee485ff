/* SPDX-License-Identifier: Apache-2.0 */
/* Tables in JSON are the tables that the same CSV gives. */
#include "../unit.h"

#include <math.h>

#include "learn/table.h"
#include "learn/table_json.h"

static void check_csv(const char *json, bool lines, const char *want)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&csv, GY_MIB);
    assert_status(GY_OK, gy_table_json(gy_str_c(json), lines, "t", &csv, &err), err);
    assert_string_equal(csv.p, want);
}

static void test_columns_in_the_order_of_appearance(void **state)
{
    (void)state;
    check_csv("[{\"b\":1.50,\"a\":\"x,y\"},{\"a\":null,\"c\":true,\"n\":[1]},{}]", false,
              "b,a,c\n1.50,\"x,y\",\n,,true\n,,\n");
    check_csv("{\"a\":NaN}\n\n{\"a\":\"say \\\"hi\\\"\"}", true, "a\nNaN\n\"say \"\"hi\"\"\"\n");
    check_csv("[{\"a\":1},{\"a\":null}]", false, "a\n1\n\"\"\n"); /* no blank line */
    check_csv("[{\"a;b;c\":1,\"d\":2}]", false, "a;b;c,d\n1,2\n");
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool lines;
        gy_status want;
        const char *message;
    } cases[] = {
        {"a,b\n1,2\n", false, GY_E_PARSE, "t: it starts with"},
        {"[]", false, GY_E_SCHEMA, "t is empty"},
        {"", true, GY_E_SCHEMA, "t is empty"},
        {"[{\"a\":1},2]", false, GY_E_SCHEMA, "record 1: it is no object"},
        {"{\"a\":1}\n{\"a\" 1}\n", true, GY_E_SCHEMA, "record 1: not valid JSON"},
        {"[{\"a\":1},{\"a\":[2]}]", false, GY_E_SCHEMA, "record 1: a value is nested"},
        {"[{\" a\":1}]", false, GY_E_SCHEMA, "record 0: a key"},
        {"[{\"a\":1}", false, GY_E_SCHEMA, "cut off"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
        struct gy_err err = GY_ERR_INIT;
        gy_buf_init(&csv, GY_MIB);
        assert_status(cases[i].want,
                      gy_table_json(gy_str_c(cases[i].json), cases[i].lines, "t", &csv, &err), err);
        if (!strstr(err.msg, cases[i].message)) {
            fail_msg("case %zu: %s", i, err.msg);
        }
    }
}

static void test_a_file_is_a_table(void **state)
{
    (void)state;
    char dir[64], path[128];
    struct gy_err err = GY_ERR_INIT;
    scratch_make(dir);
    (void)snprintf(path, sizeof path, "%s/t.json", dir);
    static const char json[] = "\xef\xbb\xbf[{\"x;y\":1,\"s\":\"a\"},\n{\"x;y\":2.5,\"s\":null}]";
    assert_int_equal(gy_file_write(path, gy_str_c(json), 0644, NULL), GY_OK);
    GY_AUTO(gy_table_free) struct gy_table *t = NULL;
    assert_status(GY_OK, gy_table_load(path, NULL, &t, &err), err);
    assert_int_equal(t->n_rows, 2);
    assert_int_equal(t->n_columns, 2);
    const struct gy_table_column *x = gy_table_column(t, GY_STR("x;y"));
    assert_true(x && x->numeric && !x->integer && x->num[1] == 2.5);
    char sha256[GY_SHA256_HEX];
    assert_int_equal(gy_sha256_hex(gy_str_c(json), sha256, NULL), GY_OK);
    assert_string_equal(t->sha256, sha256); /* of the file, not of its CSV */
    scratch_done(dir);
}

static gy_status torture_json(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    gy_buf_init(&csv, GY_MIB);
    return gy_table_json(GY_STR("[{\"a\":1,\"b\":\"x\"},{\"c\":2}]"), false, "t", &csv, err);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    torture(torture_json, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_in_the_order_of_appearance),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_file_is_a_table),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
