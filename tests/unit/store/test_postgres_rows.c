/* SPDX-License-Identifier: Apache-2.0 */
/* gy_pg_rows on a real PostgreSQL: rows as JSON, watermarks with equal and late values, names that
 * need quotes, queries that are none, a server that goes away. */
#include "../unit.h"

#include "postgres.h"
#include "store/postgres_lib.h"
#include "store/postgres_rows.h"

static char g_url[256];

static void sql(const char *text)
{
    const struct gy_pq_lib *lib = NULL;
    const char *const keywords[] = {"dbname", NULL}, *const values[] = {g_url, NULL};
    assert_int_equal(gy_pq_load(&lib, NULL), GY_OK);
    struct gy_pq *c = lib->connect(keywords, values, 1);
    struct gy_pq_result *r = lib->exec(c, text);
    int got = lib->result_status(r);
    if (got != GY_PQ_COMMAND_OK && got != GY_PQ_TUPLES_OK) {
        fail_msg("%s: %s", text, lib->error_message(c));
    }
    lib->clear(r);
    lib->finish(c);
}

static int set_up(void **state)
{
    (void)state;
    postgres_password_url(g_url);
    sql("CREATE TABLE m (id int, \"a \"\"b\" timestamptz, s text);"
        "INSERT INTO m SELECT i, '2024-01-01T00:00:00Z'::timestamptz + i / 3 * interval '1 s', 'v' "
        "|| i "
        "FROM generate_series(0, 9) i");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(gy_mem_live(), 0);
    return 0;
}

#define ALL "SELECT id, \"a \"\"b\", s FROM m"

static gy_status read_all(const struct gy_pg_rows_options *o, struct gy_buf *out,
                          struct gy_buf *mark, struct gy_err *err)
{
    GY_AUTO(gy_pg_rows_free) struct gy_pg_rows *rows = NULL;
    GY_TRY(gy_pg_rows_open(o, &rows, err));
    for (bool more = true; more;) {
        struct gy_str json;
        GY_TRY(gy_pg_rows_next(rows, &json, &more, err));
        if (more) {
            assert_null(memchr(json.p, '\n', json.n));
            gy_buf_add(out, json);
            gy_buf_add_char(out, '\n');
        }
    }
    gy_buf_reset(mark);
    gy_buf_add(mark, gy_pg_rows_watermark(rows));
    struct gy_str none;
    bool more = true;
    assert_int_equal(gy_pg_rows_next(rows, &none, &more, err), GY_OK); /* the end stays the end */
    assert_false(more);
    return GY_OK;
}

/* The ids that come after a watermark. */
static void check_ids(const char *query, const char *after, bool equal_too, const char *want_ids,
                      const char *want_mark)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out, mark, ids;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    gy_buf_init(&mark, GY_MIB);
    gy_buf_init(&ids, GY_MIB);
    const struct gy_pg_rows_options o = {g_url, query, "a \"b", after, equal_too};
    assert_status(GY_OK, read_all(&o, &out, &mark, &err), err);
    struct gy_str rest = gy_buf_str(&out), line;
    while (gy_str_next(&rest, '\n', &line)) {
        if (line.n > 6) {
            size_t comma = gy_str_find(line, ',');
            gy_buf_add(&ids, gy_str_sub(line, 6, comma - 6)); /* {"id": */
            gy_buf_add_char(&ids, ' ');
        }
    }
    assert_string_equal(ids.p, want_ids);
    assert_string_equal(mark.p, want_mark);
}

static void test_watermarks(void **state)
{
    (void)state;
    static const char at[] = "2024-01-01 00:00:03+00";
    check_ids(ALL, NULL, false, "0 1 2 3 4 5 6 7 8 9 ", at);
    check_ids(ALL " ORDER BY id DESC;", at, false, "", at);
    check_ids(ALL, at, true, "9 ", at);
    check_ids(ALL, "2024-01-01 00:00:02+00", false, "9 ", at);
    check_ids(ALL, "2024-01-01 00:00:02+00", true, "6 7 8 9 ", at);
    check_ids(ALL " WHERE id < 0", NULL, false, "", "");
    /* What came later with an equal value is seen only when equal ones are asked for. */
    sql("INSERT INTO m VALUES (10, '2024-01-01T00:00:03Z', 'late'), (11, "
        "'2024-01-01T00:00:03.000001Z', 'new')");
    check_ids(ALL, at, false, "11 ", "2024-01-01 00:00:03.000001+00");
    check_ids(ALL " WHERE id > 9 /* ; */ -- ;", at, true, "10 11 ",
              "2024-01-01 00:00:03.000001+00");
    sql("DELETE FROM m WHERE id > 9");
}

static void test_rows_without_a_watermark_are_refused(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out, mark;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    gy_buf_init(&mark, GY_MIB);
    sql("INSERT INTO m VALUES (12, NULL, 'x')");
    struct gy_pg_rows_options o = {g_url, ALL, "a \"b", NULL, false};
    assert_status(GY_E_INVALID, read_all(&o, &out, &mark, &err), err);
    assert_non_null(strstr(err.msg, "would never be read"));
    o.query = ALL " WHERE \"a \"\"b\" IS NOT NULL";
    assert_status(GY_OK, read_all(&o, &out, &mark, &err), err);
    o.watermark = "other";
    assert_status(GY_E_INVALID, read_all(&o, &out, &mark, &err), err);
    assert_non_null(strstr(err.msg, "no column 'other'"));
    sql("DELETE FROM m WHERE id = 12");
}

static void test_columns_and_values(void **state)
{
    (void)state;
    GY_AUTO(gy_pg_rows_free) struct gy_pg_rows *rows = NULL;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_pg_rows_options o = {
        .url = g_url,
        .query =
            "SELECT 1::int2 AS i, 2::numeric AS n, true AS b, now()::date AS d, now()::timestamp "
            "AS t, now() AS z, 'x'::text AS s, '{}'::jsonb AS j, '{1}'::int[] AS a, "
            "interval '90 min' AS v, 1.5::float4 AS gyre_row, E'{\"k\":\\r\\n[]}'::json AS js"};
    static const enum gy_pg_kind kinds[] = {
        GY_PG_KIND_INT,        GY_PG_KIND_FLOAT, GY_PG_KIND_BOOL,  GY_PG_KIND_TIME,
        GY_PG_KIND_LOCAL_TIME, GY_PG_KIND_TIME,  GY_PG_KIND_TEXT,  GY_PG_KIND_NESTED,
        GY_PG_KIND_NESTED,     GY_PG_KIND_TEXT,  GY_PG_KIND_FLOAT, GY_PG_KIND_NESTED};
    static const char *const names[] = {"i", "n", "b", "d", "t",        "z",
                                        "s", "j", "a", "v", "gyre_row", "js"};
    assert_status(GY_OK, gy_pg_rows_open(&o, &rows, &err), err);
    assert_int_equal(gy_pg_rows_n_columns(rows), 12);
    for (size_t i = 0; i < 12; i++) {
        enum gy_pg_kind kind;
        assert_string_equal(gy_pg_rows_column(rows, i, &kind), names[i]);
        assert_int_equal(kind, kinds[i]);
    }
    struct gy_str json;
    bool more = false;
    assert_status(GY_OK, gy_pg_rows_next(rows, &json, &more, &err), err);
    assert_true(more);
    assert_true(gy_str_find_str(json, GY_STR("\"v\":\"PT1H30M\"")) != SIZE_MAX);
    assert_true(gy_str_find_str(json, GY_STR("\"gyre_row\":1.5,")) != SIZE_MAX);
    assert_true(gy_str_find_str(json, GY_STR("\"js\":{\"k\":  []}")) != SIZE_MAX);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *query, *message;
        gy_status status;
    } cases[] = {
        {"", "gives 0 columns", GY_E_INVALID},
        {"SELECT", "gives 0 columns", GY_E_INVALID},
        {"SELECT 1 AS a, 2 AS a", "two columns 'a'", GY_E_INVALID},
        {"SELECT 1 AS a; SELECT 2 AS b", "multiple commands", GY_E_INVALID},
        {"SELECT $1::int AS a", "parameters", GY_E_INVALID},
        {"SELECT 1 AS a ; --", "semicolon", GY_E_INVALID},
        {"SHOW TimeZone", "syntax error", GY_E_INVALID},
        {"COPY m TO STDOUT", "gives 0 columns", GY_E_INVALID},
        {"SELECT 1/0 AS a", "division by zero", GY_E_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out, mark;
        struct gy_err err = GY_ERR_INIT;
        gy_buf_init(&out, GY_MIB);
        gy_buf_init(&mark, GY_MIB);
        const struct gy_pg_rows_options o = {.url = g_url, .query = cases[i].query};
        gy_status status = read_all(&o, &out, &mark, &err);
        if (status != cases[i].status ||
            (!strstr(err.msg, cases[i].message) && !strstr(err.hint, cases[i].message))) {
            fail_msg("%s: %s: %s (%s)", cases[i].query, gy_status_name(status), err.msg, err.hint);
        }
        assert_int_equal(out.n, 0);
        assert_null(strstr(err.msg, POSTGRES_PASSWORD));
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf query;
    GY_AUTO(gy_pg_rows_free) struct gy_pg_rows *rows = NULL;
    gy_buf_init(&query, 2 * GY_MIB);
    gy_buf_addf(&query, "SELECT 1 AS a --%*s", (int)GY_MIB, "");
    const struct gy_pg_rows_options o = {.url = g_url, .query = query.p};
    assert_int_equal(gy_pg_rows_open(&o, &rows, NULL), GY_E_TOOBIG);
}

static void test_a_server_that_goes_away(void **state)
{
    (void)state;
    GY_AUTO(gy_pg_rows_free) struct gy_pg_rows *rows = NULL;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_pg_rows_options o = {
        .url = g_url,
        .query = "SELECT i, repeat('x', 1000) AS s FROM generate_series(1, 100000) i"};
    assert_status(GY_OK, gy_pg_rows_open(&o, &rows, &err), err);
    gy_status status = GY_OK;
    int n = 0;
    for (bool more = true; more && status == GY_OK; n += status == GY_OK) {
        struct gy_str json;
        status = gy_pg_rows_next(rows, &json, &more, &err);
        if (n == 10) {
            postgres_down();
        }
    }
    assert_true(n > 10 && n < 100000);
    assert_status(GY_E_UNAVAILABLE, status, err);
    assert_non_null(strstr(err.msg, "connection to the database was lost"));
    struct gy_pg_rows *again = NULL;
    assert_int_equal(gy_pg_rows_open(&o, &again, &err), GY_E_UNAVAILABLE);
    assert_null(strstr(err.msg, POSTGRES_PASSWORD));
    postgres_up();
}

static gy_status torture_read(void *ctx, struct gy_err *err)
{
    struct gy_buf *b = ctx;
    gy_buf_reset(b);
    const struct gy_pg_rows_options o = {g_url, "SELECT 1 AS a, E'[\\n]'::json AS j", "a", "0",
                                         true};
    gy_status status = read_all(&o, b, b + 1, err);
    return b->failed != GY_OK || b[1].failed != GY_OK ? gy_err_set(err, GY_E_NOMEM, "the test's")
                                                      : status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    struct gy_buf b[2];
    gy_buf_init(&b[0], GY_MIB);
    gy_buf_init(&b[1], GY_MIB);
    gy_buf_addf(&b[0], "%*s", 1000, ""); /* its own memory is there already */
    gy_buf_addf(&b[1], "%*s", 1000, "");
    torture(torture_read, b);
    gy_buf_done(&b[0]);
    gy_buf_done(&b[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watermarks),
        cmocka_unit_test(test_rows_without_a_watermark_are_refused),
        cmocka_unit_test(test_columns_and_values),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_a_server_that_goes_away),
    };
    const struct CMUnitTest none[] = {cmocka_unit_test(postgres_skipped)};
    return postgres_there() ? cmocka_run_group_tests(tests, set_up, tear_down)
                            : cmocka_run_group_tests(none, NULL, NULL);
}
