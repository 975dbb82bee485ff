/* SPDX-License-Identifier: Apache-2.0 */
/* --param NAME=VALUE of gyre data query: which values are numbers, and which are texts. */
#include "unit.h"

#include "cli/query_sql.h"

static struct gy_duck_param param(const char *text)
{
    struct gy_duck_param p;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_query_sql_param(text, &p, &err), err);
    return p;
}

static void check_text(const char *text, const char *want)
{
    struct gy_duck_param p = param(text);
    assert_int_equal(p.kind, GY_DUCK_TEXT);
    assert_str(p.text, want);
}

static void test_numbers(void **state)
{
    (void)state;
    struct gy_duck_param p = param("n=42");
    assert_str(p.name, "n");
    assert_int_equal(p.kind, GY_DUCK_INT);
    assert_int_equal(p.i, 42);
    assert_int_equal(param("n=-7").i, -7);
    assert_int_equal(param("n=0").kind, GY_DUCK_INT);
    assert_int_equal(param("n=9223372036854775807").i, INT64_MAX);
    assert_int_equal(param("n=9223372036854775808").kind, GY_DUCK_REAL);
    assert_true(param("n=0.5").f == 0.5);
    assert_true(param("n=-1e-3").f == -0.001);
    assert_int_equal(param("n=null").kind, GY_DUCK_NULL);
    assert_true(param("n=true").b && param("n=true").kind == GY_DUCK_BOOL);
    assert_true(!param("n=false").b && param("n=false").kind == GY_DUCK_BOOL);
}

static void test_texts(void **state)
{
    (void)state;
    check_text("n=", "");
    check_text("n=a=b", "a=b");
    check_text("n=007", "007");
    check_text("n=-01", "-01");
    check_text("n='12'", "12");
    check_text("n=''", "");
    check_text("n='", "'");
    check_text("n=2024-01-02", "2024-01-02");
    check_text("n=NULL", "NULL");
    check_text("n= 1", " 1");
    check_text("n=nan", "nan");
}

static void test_none(void **state)
{
    (void)state;
    struct gy_duck_param p;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_query_sql_param("novalue", &p, &err), GY_E_USAGE);
    assert_int_equal(gy_query_sql_param("=1", &p, &err), GY_E_USAGE);
    assert_int_equal(gy_query_sql_param("", &p, &err), GY_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
