/* SPDX-License-Identifier: Apache-2.0 */
/* DuckDB behind data/duck.h: each type's text and JSON, parameters, failures and their codes, what
 * is locked, interrupting. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

#include "data/duck.h"
#include "data/duck_lib.h"
#include "duck_here.h"

static struct gy_duck *open_duck(const struct gy_duck_options *o)
{
    struct gy_duck *d = NULL;
    struct gy_err err = GY_ERR_INIT;
    gy_status status = gy_duck_open(o, &d, &err);
    if (status != GY_OK) {
        print_message("%s\n", err.msg);
    }
    assert_int_equal(status, GY_OK);
    return d;
}

static struct gy_duck_rows *query(struct gy_duck *d, const char *sql)
{
    struct gy_duck_rows *r = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_duck_query(d, gy_str_c(sql), NULL, 0, &r, &err) != GY_OK) {
        print_message("%s: %s\n", sql, err.msg);
        fail();
    }
    return r;
}

static gy_status status_of(struct gy_duck *d, const char *sql, struct gy_err *err)
{
    *err = (struct gy_err)GY_ERR_INIT;
    return gy_duck_run(d, gy_str_c(sql), err);
}

/* Each value's text is what DuckDB itself makes of it. */
static void test_texts_of_all_types(void **state)
{
    NEEDS_DUCK();
    (void)state;
    static const char *const values[] = {
        "true",
        "false",
        "(-128)::TINYINT",
        "32767::SMALLINT",
        "(-2147483648)::INTEGER",
        "9223372036854775807",
        "(-9223372036854775808)::BIGINT",
        "255::UTINYINT",
        "65535::USMALLINT",
        "4294967295::UINTEGER",
        "18446744073709551615::UBIGINT",
        "170141183460469231731687303715884105727::HUGEINT",
        "(-170141183460469231731687303715884105728)::HUGEINT",
        "340282366920938463463374607431768211455::UHUGEINT",
        "0.1::FLOAT",
        "(-1.5)::FLOAT",
        "3.4e38::FLOAT",
        "1e-10::FLOAT",
        "16777216::FLOAT",
        "0::FLOAT",
        "'nan'::FLOAT",
        "'-inf'::FLOAT",
        "0.1::DOUBLE",
        "1e300::DOUBLE",
        "5e-324::DOUBLE",
        "100::DOUBLE",
        "'inf'::DOUBLE",
        "12.34::DECIMAL(4,2)",
        "(-0.05)::DECIMAL(4,2)",
        "1.000::DECIMAL(9,3)",
        "123456789012.5::DECIMAL(18,1)",
        "99999999999999999999999999.99::DECIMAL(28,2)",
        "7::DECIMAL(4,0)",
        "DATE '1970-01-01'",
        "DATE '2024-02-29'",
        "DATE '1600-02-29'",
        "DATE '0001-01-01'",
        "DATE '0044-03-15 (BC)'",
        "DATE '9999-12-31'",
        "DATE '12345-06-07'",
        "'infinity'::DATE",
        "'-infinity'::DATE",
        "TIME '00:00:00'",
        "TIME '23:59:59.5'",
        "TIME '12:34:56.000001'",
        "'12:00:00+01'::TIMETZ",
        "'12:00:00-03:30'::TIMETZ",
        "TIMESTAMP '2011-01-01 05:00:00'",
        "TIMESTAMP '1969-12-31 23:59:59.999999'",
        "TIMESTAMP '0044-03-15 (BC) 01:02:03'",
        "'infinity'::TIMESTAMP",
        "TIMESTAMP '1677-09-22 00:00:00.25'",
        "TIMESTAMP_S '2020-01-01 00:00:01'",
        "TIMESTAMP_MS '2020-01-01 00:00:01.5'",
        "TIMESTAMP_NS '2020-01-01 00:00:01.123456789'",
        "TIMESTAMPTZ '2020-06-01 12:00:00+02'",
        "INTERVAL '1 year 2 months 3 days 4 hours'",
        "INTERVAL '-1 month'",
        "INTERVAL '0 seconds'",
        "INTERVAL '-90 minutes'",
        "INTERVAL '100 hours'",
        "INTERVAL '2 days -1 second'",
        "''",
        "'abc'",
        "'twelve bytes'",
        "'thirteen byte'",
        "'\xc3\xa9t\xc3\xa9 \xf0\x9f\xa6\x86 and more of it'",
        "'\\x00\\xFFab''\"'::BLOB",
        "'0101'::BIT",
        "'1'::BIT",
        "'110000111'::BIT",
        "'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::UUID",
        "'00000000-0000-0000-0000-000000000000'::UUID",
        "'b'::ENUM('a', 'b')",
        "NULL",
    };
    struct gy_duck *d = open_duck(&(struct gy_duck_options){.threads = 1});
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char sql[512];
        (void)snprintf(sql, sizeof sql, "SELECT v, v::VARCHAR FROM (SELECT %s AS v)", values[i]);
        struct gy_duck_rows *r = query(d, sql);
        size_t n = 0;
        assert_int_equal(gy_duck_next(r, &n, NULL), GY_OK);
        assert_int_equal(n, 1);
        struct gy_buf ours, theirs;
        gy_buf_init(&ours, GY_MIB);
        gy_buf_init(&theirs, GY_MIB);
        const bool there = gy_duck_cell(r, 0, 0, &ours);
        if (there != gy_duck_cell(r, 0, 1, &theirs) || strcmp(ours.p, theirs.p) != 0) {
            print_message("%s (%s): '%s', not '%s'\n", values[i], gy_duck_type(r, 0), ours.p,
                          theirs.p);
            fail();
        }
        gy_buf_done(&ours);
        gy_buf_done(&theirs);
        gy_duck_rows_free(r);
    }
    gy_duck_free(d);
}

static void check_json(struct gy_duck *d, const char *value, const char *want)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql, "SELECT %s", value);
    struct gy_duck_rows *r = query(d, sql);
    size_t n = 0;
    assert_int_equal(gy_duck_next(r, &n, NULL), GY_OK);
    struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_duck_cell_json(r, 0, 0, &w);
    assert_string_equal(out.p, want);
    yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_buf_str(&out), &doc, NULL), GY_OK);
    gy_json_free(doc);
    gy_buf_done(&out);
    gy_duck_rows_free(r);
}

static void test_json_of_nested_values(void **state)
{
    NEEDS_DUCK();
    (void)state;
    struct gy_duck *d = open_duck(&(struct gy_duck_options){.threads = 1});
    check_json(d, "NULL", "null");
    check_json(d, "42", "42");
    check_json(d, "1.50::DECIMAL(5,2)", "1.50");
    check_json(d, "'nan'::DOUBLE", "\"nan\"");
    check_json(d, "'say \"hi\"'", "\"say \\\"hi\\\"\"");
    check_json(d, "DATE '2020-01-02'", "\"2020-01-02\"");
    check_json(d, "[1, NULL, 3]", "[1,null,3]");
    check_json(d, "[]::INT[]", "[]");
    check_json(d, "[[1], [], NULL]", "[[1],[],null]");
    check_json(d, "array_value(1.5::DOUBLE, 2.5::DOUBLE)", "[1.5,2.5]");
    check_json(d, "{'a': 1, 'b': ['x', 'y']}", "{\"a\":1,\"b\":[\"x\",\"y\"]}");
    check_json(d, "MAP {'k': 1, 'l': NULL}", "{\"k\":1,\"l\":null}");
    check_json(d, "MAP {7: true}", "{\"7\":true}");
    check_json(d, "union_value(num := 2)", "2");
    check_json(d, "NULL::INT[]", "null");
    gy_duck_free(d);
}

static void test_streams_rows_in_order(void **state)
{
    NEEDS_DUCK();
    (void)state;
    struct gy_duck *d = open_duck(&(struct gy_duck_options){.threads = 2});
    struct gy_duck_rows *r = query(d, "SELECT range AS i, 'r' || range AS t FROM range(100000)");
    assert_int_equal(gy_duck_n_columns(r), 2);
    assert_string_equal(gy_duck_name(r, 0), "i");
    assert_string_equal(gy_duck_name(r, 1), "t");
    assert_string_equal(gy_duck_type(r, 1), "VARCHAR");
    assert_true(gy_duck_is_number(r, 0) && !gy_duck_is_number(r, 1));
    struct gy_buf cell;
    gy_buf_init(&cell, GY_KIB);
    size_t n = 0, seen = 0;
    do {
        assert_int_equal(gy_duck_next(r, &n, NULL), GY_OK);
        for (size_t i = 0; i < n; i++, seen++) {
            char want[32];
            (void)snprintf(want, sizeof want, "r%zu", seen);
            gy_buf_reset(&cell);
            assert_true(gy_duck_cell(r, i, 1, &cell));
            assert_string_equal(cell.p, want);
        }
    } while (n > 0);
    assert_int_equal(seen, 100000);
    gy_buf_done(&cell);
    gy_duck_rows_free(r);
    gy_duck_free(d);
}

static void test_parameters(void **state)
{
    NEEDS_DUCK();
    (void)state;
    struct gy_duck *d = open_duck(&(struct gy_duck_options){.threads = 1});
    const struct gy_duck_param named[] = {
        {.name = GY_STR("t"), .kind = GY_DUCK_TEXT, .text = GY_STR("it's; DROP")},
        {.name = GY_STR("i"), .kind = GY_DUCK_INT, .i = -7},
        {.name = GY_STR("f"), .kind = GY_DUCK_REAL, .f = 0.5},
        {.name = GY_STR("b"), .kind = GY_DUCK_BOOL, .b = true},
        {.name = GY_STR("n"), .kind = GY_DUCK_NULL},
    };
    struct gy_err err = GY_ERR_INIT;
    struct gy_duck_rows *r = NULL;
    const struct gy_str sql = GY_STR("CREATE TEMP TABLE x AS SELECT 1 AS one;"
                                     "SELECT $t || $i || $f || $b || ($n IS NULL) FROM x");
    assert_int_equal(gy_duck_query(d, sql, named, 5, &r, &err), GY_OK);
    size_t n = 0;
    struct gy_buf cell;
    gy_buf_init(&cell, GY_KIB);
    assert_int_equal(gy_duck_next(r, &n, NULL), GY_OK);
    assert_true(gy_duck_cell(r, 0, 0, &cell));
    assert_string_equal(cell.p, "it's; DROP-70.5truetrue");
    gy_buf_done(&cell);
    gy_duck_rows_free(r);
    r = NULL;
    const struct gy_duck_param numbered = {.name = GY_STR("1"), .kind = GY_DUCK_INT, .i = 3};
    assert_int_equal(gy_duck_query(d, GY_STR("SELECT ?"), &numbered, 1, &r, &err), GY_OK);
    gy_duck_rows_free(r);
    r = NULL;
    assert_int_equal(gy_duck_query(d, GY_STR("SELECT $t"), NULL, 0, &r, &err), GY_E_INVALID);
    assert_string_equal(err.msg, "the parameter $t has no value");
    assert_int_equal(gy_duck_query(d, GY_STR("SELECT 1"), named, 1, &r, &err), GY_E_INVALID);
    assert_string_equal(err.msg, "the statement has no parameter $t");
    const struct gy_duck_param bad = {
        .name = GY_STR("t"), .kind = GY_DUCK_TEXT, .text = GY_STR("\xff")};
    assert_int_equal(gy_duck_query(d, GY_STR("SELECT $t"), &bad, 1, &r, &err), GY_E_INVALID);
    assert_null(r);
    gy_duck_free(d);
}

static void test_failures_say_what_and_where(void **state)
{
    NEEDS_DUCK();
    (void)state;
    struct gy_duck *d = open_duck(&(struct gy_duck_options){.threads = 1, .files = true});
    struct gy_err err;
    assert_int_equal(status_of(d, "SELECT 1;\nSELECT * FORM x", &err), GY_E_INVALID);
    assert_string_equal(err.msg, "Parser Error: syntax error at or near \"x\" (LINE 2)");
    assert_int_equal(status_of(d, "SELECT * FROM nothing_here", &err), GY_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "nothing_here"));
    assert_int_equal(status_of(d, "SELECT 'a'::INT", &err), GY_E_INVALID);
    assert_int_equal(status_of(d, "SELECT * FROM '/nonexistent/x.parquet'", &err), GY_E_IO);
    assert_int_equal(status_of(d, "", &err), GY_E_INVALID);
    assert_int_equal(status_of(d, " ; ", &err), GY_E_INVALID);
    assert_int_equal(status_of(d, "SELECT '\xff'", &err), GY_E_INVALID);
    assert_int_equal(gy_duck_run(d, GY_STR("SELECT 1\0"), &err), GY_E_INVALID);
    /* Found only while rows are made, after the first ones were there. */
    assert_int_equal(
        status_of(d,
                  "SELECT (CASE WHEN range = 50000 THEN 'x' ELSE '1' END)::INT FROM range(60000)",
                  &err),
        GY_E_INVALID);
    assert_int_equal(status_of(d, "SELECT 1", &err), GY_OK); /* it goes on */
    gy_duck_free(d);
}

static void test_nothing_from_outside(void **state)
{
    NEEDS_DUCK();
    (void)state;
    char path[] = "/tmp/duck-outside-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "a\n1\n", 4), 4);
    (void)close(fd);
    char sql[256];
    struct gy_err err;
    struct gy_duck *d = open_duck(&(struct gy_duck_options){.threads = 1});
    static const char *const refused[] = {
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd.csv'",
        "SELECT * FROM glob('/etc/*')",
        "COPY (SELECT 1) TO '/tmp/duck-was-here.csv'",
        "ATTACH '/tmp/duck-was-here.db' AS x",
        "EXPORT DATABASE '/tmp/duck-was-here'",
        "INSTALL httpfs",
        "LOAD '/tmp/x.duckdb_extension'",
        "CREATE PERSISTENT SECRET s (TYPE http)",
        "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
        "SET enable_external_access=true",
        "SET GLOBAL memory_limit='1TB'",
        "RESET lock_configuration",
        "SET lock_configuration=false",
        "PRAGMA enable_profiling; PRAGMA profiling_output='/tmp/duck-was-here'; SELECT 1",
        "SET threads=64",
        "PRAGMA temp_directory='/tmp/duck-was-here'",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (status_of(d, refused[i], &err) == GY_OK) {
            print_message("not refused: %s\n", refused[i]);
            fail();
        }
        assert_int_not_equal(access("/tmp/duck-was-here.csv", F_OK), 0);
        assert_int_not_equal(access("/tmp/duck-was-here.db", F_OK), 0);
        assert_int_not_equal(access("/tmp/duck-was-here", F_OK), 0);
    }
    (void)snprintf(sql, sizeof sql, "SELECT * FROM read_csv('%s')", path);
    assert_int_equal(status_of(d, sql, &err), GY_E_DENIED);
    gy_duck_free(d);
    const char *readable[] = {path};
    d = open_duck(&(struct gy_duck_options){.threads = 1, .readable = readable, .n_readable = 1});
    assert_int_equal(status_of(d, sql, &err), GY_OK);
    assert_int_equal(status_of(d, "SELECT * FROM read_csv('/etc/passwd')", &err), GY_E_DENIED);
    gy_duck_free(d);
    d = open_duck(&(struct gy_duck_options){.threads = 1, .files = true});
    assert_int_equal(status_of(d, sql, &err), GY_OK);
    assert_int_not_equal(status_of(d, "SET memory_limit='1TB'", &err), GY_OK);
    gy_duck_free(d);
    (void)unlink(path);
}

static void test_memory_is_bounded(void **state)
{
    NEEDS_DUCK();
    (void)state;
    struct gy_err err;
    struct gy_duck *d = NULL;
    assert_int_equal(gy_duck_open(&(struct gy_duck_options){.memory_bytes = 1}, &d, &err),
                     GY_E_INVALID);
    d = open_duck(&(struct gy_duck_options){.threads = 1, .memory_bytes = GY_DUCK_MIN_MEMORY});
    assert_int_equal(
        status_of(d, "SELECT max(l) FROM (SELECT list(range) AS l FROM range(20000000))", &err),
        GY_E_NOMEM);
    gy_duck_free(d);
}

static void *interrupt_soon(void *arg)
{
    (void)usleep(100000);
    gy_duck_interrupt(arg);
    return NULL;
}

static void test_interrupt(void **state)
{
    NEEDS_DUCK();
    (void)state;
    struct gy_err err;
    struct gy_duck *d = open_duck(&(struct gy_duck_options){.threads = 2});
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, d), 0);
    assert_int_equal(
        status_of(d, "SELECT count(*) FROM range(10000000000) a, range(1000000) b", &err),
        GY_E_CANCELLED);
    (void)pthread_join(thread, NULL);
    assert_int_equal(status_of(d, "SELECT 1", &err), GY_OK);
    gy_duck_free(d);
}

static void test_quotes(void **state)
{
    (void)state;
    struct gy_buf out;
    gy_buf_init(&out, GY_KIB);
    gy_duck_quote(&out, GY_STR("it's"));
    gy_duck_quote_name(&out, GY_STR("a \"b\""));
    assert_string_equal(out.p, "'it''s'\"a \"\"b\"\"\"");
    gy_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_texts_of_all_types),
        cmocka_unit_test(test_json_of_nested_values),
        cmocka_unit_test(test_streams_rows_in_order),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_failures_say_what_and_where),
        cmocka_unit_test(test_nothing_from_outside),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_interrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
