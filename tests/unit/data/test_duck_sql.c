/* SPDX-License-Identifier: Apache-2.0 */
/* SQL taken apart: words, statements, and which words name tables. */
#include "unit.h"

#include "data/duck_sql.h"

static void check_words(const char *sql, const char *want)
{
    static const char kinds[] = {'.', 'b', 's', 'n', 'x'};
    struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_str rest = gy_str_c(sql);
    for (;;) {
        const struct gy_duck_token t = gy_duck_token_next(&rest);
        if (t.kind == GY_DUCK_WORD_END) {
            break;
        }
        gy_buf_addf(&out, "%c[%" GY_STR_F "]", kinds[t.kind], GY_STR_A(t.text));
    }
    assert_string_equal(out.p, want);
    gy_buf_done(&out);
}

static void test_words(void **state)
{
    (void)state;
    check_words("SELECT a,1.5 FROM x", "b[SELECT]b[a]x[,]b[1]x[.]b[5]b[FROM]b[x]");
    check_words("'it''s' \"a \"\"b\"\"\"", "s['it''s']n[\"a \"\"b\"\"\"]");
    check_words("E'a\\'b' 'a\\' x", "s[E'a\\'b']s['a\\']b[x]");
    check_words("$$a;'b$$ $t$x$$y$t$ $1 $name", "s[$$a;'b$$]s[$t$x$$y$t$]b[$1]b[$name]");
    check_words("a -- x'y\nb /* c /* d */ ' */ e", "b[a]b[b]b[e]");
    check_words("a-b", "b[a]x[-]b[b]");
    check_words("'open", "s['open]");
    check_words("/* open", "");
    check_words("$t$open", "s[$t$open]");
    check_words("\xc3\xa9t\xc3\xa9", "b[\xc3\xa9t\xc3\xa9]");
    check_words("", "");
}

static void check_statements(const char *sql, const char *want)
{
    struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_str rest = gy_str_c(sql), statement;
    while (gy_duck_statement_next(&rest, &statement)) {
        gy_buf_addf(&out, "[%" GY_STR_F "]", GY_STR_A(statement));
    }
    assert_string_equal(out.p, want);
    gy_buf_done(&out);
}

static void test_statements(void **state)
{
    (void)state;
    check_statements("SELECT 1", "[SELECT 1]");
    check_statements("SELECT ';' ; ; SELECT \";\"; -- ; end\n", "[SELECT ';' ][SELECT \";\"]");
    check_statements("SELECT $$;$$;SELECT /* ; */ 2", "[SELECT $$;$$][SELECT /* ; */ 2]");
    check_statements(" ; -- nothing\n", "");
    check_statements("", "");
}

static gy_status add_name(void *ctx, struct gy_str name, struct gy_err *err)
{
    (void)err;
    gy_buf_addf(ctx, "[%" GY_STR_F "]", GY_STR_A(name));
    return GY_OK;
}

static void check_tables(const char *sql, const char *want)
{
    struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    assert_int_equal(gy_duck_tables(gy_str_c(sql), add_name, &out, NULL), GY_OK);
    if (strcmp(out.p, want) != 0) {
        fail_msg("%s: %s", sql, out.p);
    }
    gy_buf_done(&out);
}

static void test_tables(void **state)
{
    (void)state;
    check_tables("SELECT * FROM 'x.csv'", "[x.csv]");
    check_tables("SELECT 'y.csv', a FROM 'x.csv' WHERE f IN ('a.csv', 'b.csv')", "[x.csv]");
    check_tables("FROM \"sepsis@3\" s JOIN patients AS p ON s.a = p.a, 'z.csv' z, w",
                 "[sepsis@3][patients][z.csv][w]");
    check_tables("SELECT * FROM (SELECT * FROM a, b WHERE x = 'c') q, d GROUP BY e, f",
                 "[a][b][d]");
    check_tables("SELECT * FROM gyre_read('x.csv'), main.t, t2", "[t2]");
    check_tables("WITH c AS (SELECT 1) SELECT * FROM c ASOF JOIN d USING (k)", "[c][d]");
    check_tables("COPY (SELECT * FROM 'in.csv') TO 'out.csv'", "[in.csv]");
    check_tables("DESCRIBE 'x.csv'", "[x.csv]");
    check_tables("SUMMARIZE \"x.csv\"", "[x.csv]");
    check_tables("SELECT * FROM a LEFT JOIN LATERAL (SELECT * FROM b) ON true", "[a][b]");
    check_tables("SELECT * FROM 'it''s.csv' ORDER BY 'x.csv', 'y.csv'", "[it's.csv]");
    check_tables("CREATE TABLE a AS SELECT * FROM b", "[b]");
    check_tables("SELECT * FROM", "");
    check_tables("SELECT ((((", "");
    check_tables("))))) FROM a", "[a]");
}

static void check_arguments(const char *sql, const char *want)
{
    struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    assert_int_equal(gy_duck_arguments(gy_str_c(sql), "dataset", add_name, &out, NULL), GY_OK);
    assert_string_equal(out.p, want);
    gy_buf_done(&out);
}

static void test_arguments(void **state)
{
    (void)state;
    check_arguments(
        "FROM dataset('a@1'), DATASET ( 'b''s' , records := true) JOIN \"dataset\"('c')",
        "[a@1][b's][c]");
    check_arguments("FROM dataset($x), dataset(E'a'), dataset, other('d'), dataset(upper('e'))",
                    "");
    check_arguments("SELECT 'dataset(' || 'x', dataset", "");
    check_arguments("dataset(", "");
}

static gy_status refuse(void *ctx, struct gy_str name, struct gy_err *err)
{
    ++*(int *)ctx;
    return gy_err_set(err, GY_E_NOTFOUND, "no %" GY_STR_F, GY_STR_A(name));
}

static void test_the_first_failure_ends_it(void **state)
{
    (void)state;
    int n = 0;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_duck_tables(GY_STR("FROM a, b"), refuse, &n, &err), GY_E_NOTFOUND);
    assert_string_equal(err.msg, "no a");
    assert_int_equal(n, 1);
}

static void test_brackets_beyond_count(void **state)
{
    (void)state;
    struct gy_buf sql;
    gy_buf_init(&sql, GY_MIB);
    for (int i = 0; i < 1000; i++) {
        gy_buf_addc(&sql, "(SELECT * FROM ");
    }
    gy_buf_addc(&sql, "a");
    check_tables(sql.p, "[a]");
    gy_buf_done(&sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_the_first_failure_ends_it),
        cmocka_unit_test(test_brackets_beyond_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
