/* SPDX-License-Identifier: Apache-2.0 */
/* Our SQL as PostgreSQL wants it, text against text; no database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "store/postgres_sql.h"
#include "store/store_internal.h"

static void expect_statement(const char *sql, const char *wanted)
{
    struct gy_buf out;
    struct gy_pg_sql info;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    if (gy_pg_statement(sql, &out, &info, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    assert_string_equal(out.p, wanted);
    gy_buf_done(&out);
}

static void expect_refused(const char *sql, const char *why)
{
    struct gy_buf out;
    struct gy_pg_sql info;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    assert_int_equal(gy_pg_statement(sql, &out, &info, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, why));
    gy_buf_done(&out);
}

static void parameters_are_numbered_where_they_are_parameters(void **state)
{
    (void)state;
    expect_statement("SELECT ? , a FROM t WHERE b=?", "SELECT $1 , a FROM t WHERE b=$2");
    expect_statement("SELECT '?', 'it''s ?', \"?\", \"a\"\"?\", ? -- ?\n/* ? */ + ?",
                     "SELECT '?', 'it''s ?', \"?\", \"a\"\"?\", $1 -- ?\n/* ? */ + $2");
    expect_statement("DELETE FROM t ;  -- done?", "DELETE FROM t ");
    expect_refused("SELECT 'open", "does not end");
    expect_refused("SELECT /* open", "does not end");
    expect_refused("SELECT 1; SELECT 2", "one SQL statement");
    expect_refused(" -- nothing\n", "one SQL statement");
    expect_refused("", "one SQL statement");
}

static void types_and_offsets_have_their_width(void **state)
{
    (void)state;
    expect_statement("SELECT CAST(a AS INTEGER), CAST(b AS REAL), CAST(c AS TEXT), CAST(? AS blob)",
                     "SELECT CAST(a AS BIGINT), CAST(b AS DOUBLE PRECISION), CAST(c AS TEXT), "
                     "CAST($1 AS BYTEA)");
    expect_statement("SELECT SUBSTR(?, 1, ?), LENGTH(SUBSTR(COALESCE(a, ?), ?)), f(1, ?)",
                     "SELECT SUBSTR($1, CAST( 1 AS INT4), CAST( $2 AS INT4)), "
                     "LENGTH(SUBSTR(COALESCE(a, $3), CAST( $4 AS INT4))), f(1, $5)");
    expect_statement("SELECT SUBSTR(a,CAST(? AS INTEGER) + 1), SUBSTR(SUBSTR(a,2),3)",
                     "SELECT SUBSTR(a, CAST(CAST($1 AS BIGINT) + 1 AS INT4)), "
                     "SUBSTR(SUBSTR(a, CAST(2 AS INT4)), CAST(3 AS INT4))");
}

static void comparisons_with_null_are_known(void **state)
{
    (void)state;
    struct gy_buf out;
    struct gy_pg_sql info;
    gy_buf_init(&out, GY_MIB);
    assert_int_equal(
        gy_pg_statement("SELECT ? WHERE (? IS NULL OR a=?) AND ?  is not null", &out, &info, NULL),
        GY_OK);
    assert_int_equal(info.n_params, 4);
    assert_int_equal(info.n_null_tests, 2);
    assert_int_equal(info.null_tests[0], 1);
    assert_int_equal(info.null_tests[1], 3);
    gy_buf_done(&out);
}

static void expect_many(const char *sql, const char *const *types, const char *wanted)
{
    struct gy_buf out, one;
    struct gy_pg_sql info;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    gy_buf_init(&one, GY_MIB);
    assert_int_equal(gy_pg_statement(sql, &one, &info, NULL), GY_OK);
    gy_status status = gy_pg_insert_many(sql, &info, types, &out, &err);
    if (wanted) {
        assert_int_equal(status, GY_OK);
        assert_string_equal(out.p, wanted);
    } else {
        assert_int_equal(status, GY_E_INVALID);
    }
    gy_buf_done(&one);
    gy_buf_done(&out);
}

static void an_insert_of_one_row_becomes_one_of_many(void **state)
{
    (void)state;
    const char *const types[] = {"bigint[]", "text[]", "text[]"};
    const char *const holes[] = {NULL, "text[]", NULL};
    const char *const none[] = {NULL, NULL, NULL};
    expect_many("INSERT INTO t (a, b, c) VALUES (?,?,?)", types,
                "INSERT INTO t (a, b, c) SELECT u.p1,u.p2,u.p3 FROM unnest($1::bigint[], "
                "$2::text[], $3::text[]) WITH ORDINALITY AS u (p1, p2, p3, nth) ORDER BY u.nth");
    expect_many("INSERT INTO t (a, b, c, d) VALUES (?, SUBSTR(?, 2), 'x', COALESCE(?, 'y')) ON "
                "CONFLICT (a) DO NOTHING",
                holes,
                "INSERT INTO t (a, b, c, d) SELECT NULL, SUBSTR(u.p2, CAST( 2 AS INT4)), 'x', "
                "COALESCE(NULL, 'y') "
                "FROM unnest($1::text[]) WITH ORDINALITY AS u (p2, nth) ORDER BY u.nth ON CONFLICT "
                "(a) DO NOTHING");
    expect_many("INSERT INTO t (a, b, c) VALUES (?,?,?)", none, NULL);
    expect_many("INSERT INTO t (a, b) VALUES (?,?), (?,2)", types, NULL);
    expect_many("INSERT INTO t SELECT ?, ?, ?", types, NULL);
    expect_many("INSERT INTO t (a,b) VALUES (?,?) ON CONFLICT (a) DO UPDATE SET b=?", types, NULL);
}

static void parts_of_an_insert_are_found(void **state)
{
    (void)state;
    struct gy_buf out;
    struct gy_pg_sql i;
    gy_buf_init(&out, GY_MIB);
    assert_int_equal(gy_pg_statement("insert into T (a, \"b\") values (f(1), ')') on conflict (a) "
                                     "do update set a=excluded.a returning a",
                                     &out, &i, NULL),
                     GY_OK);
    assert_true(gy_str_eqc(i.insert_table, "T") && gy_str_eqc(i.insert_columns, "a, \"b\""));
    assert_true(gy_str_eqc(i.values, "f(1), ')'") && i.returning);
    assert_false(i.changes_schema);
    gy_buf_reset(&out);
    assert_int_equal(gy_pg_statement("UPDATE t SET a=1", &out, &i, NULL), GY_OK);
    assert_null(i.insert_table.p);
    gy_buf_done(&out);
}

static void expect_migration(const char *sql, const char *wanted)
{
    struct gy_buf out;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    gy_status status = gy_pg_migration(sql, &out, &err);
    if (!wanted) {
        assert_int_equal(status, GY_E_INVALID);
    } else if (status != GY_OK) {
        fail_msg("%s", err.msg);
    } else {
        assert_string_equal(out.p, wanted);
    }
    gy_buf_done(&out);
}

static void tables_get_postgresql_types(void **state)
{
    (void)state;
    expect_migration(
        "CREATE TABLE t (\n    id INTEGER PRIMARY KEY, -- a TEXT\n    text TEXT NOT NULL DEFAULT "
        "'INTEGER',\n    f REAL, n INTEGER NOT NULL PRIMARY KEY,\n    b BLOB CHECK (b IN (1, 2)),\n"
        "    \"real\" INTEGER REFERENCES p (id),\n    PRIMARY KEY (text, f), UNIQUE (n)\n) WITHOUT "
        "ROWID;\n",
        "CREATE TABLE t (\n    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, -- a TEXT\n "
        "   text TEXT COLLATE \"C\" NOT NULL DEFAULT 'INTEGER',\n    f DOUBLE PRECISION, n BIGINT "
        "NOT NULL PRIMARY KEY,\n    b BYTEA CHECK (b IN (1, 2)),\n    \"real\" BIGINT REFERENCES p "
        "(id),\n    PRIMARY KEY (text, f), UNIQUE (n)\n);\n");
    expect_migration(
        "ALTER TABLE t ADD COLUMN a TEXT; ALTER TABLE t ADD b REAL NOT NULL DEFAULT 0;",
        "ALTER TABLE t ADD COLUMN a TEXT COLLATE \"C\"; ALTER TABLE t ADD b DOUBLE "
        "PRECISION NOT NULL DEFAULT 0;");
    expect_migration("ALTER TABLE t DROP COLUMN a; ALTER TABLE t RENAME COLUMN a TO b;",
                     "ALTER TABLE t DROP COLUMN a; ALTER TABLE t RENAME COLUMN a TO b;");
    expect_migration("INSERT INTO t SELECT CAST(a AS INTEGER) FROM u; -- integer\nDROP TABLE u",
                     "INSERT INTO t SELECT CAST(a AS BIGINT) FROM u; -- integer\nDROP TABLE u");
}

static void what_has_no_translation_is_refused(void **state)
{
    (void)state;
    expect_migration("CREATE TABLE t (a VARCHAR)", NULL);
    expect_migration("CREATE TABLE t (a)", NULL);
    expect_migration("CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)", NULL);
    expect_migration("CREATE TABLE t (a TEXT COLLATE NOCASE)", NULL);
    expect_migration("CREATE TABLE t (a TEXT", NULL);
    expect_migration("CREATE TABLE t", NULL);
    expect_migration("CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END", NULL);
    expect_migration("PRAGMA foreign_keys=OFF", NULL);
    expect_migration("INSERT INTO t VALUES ('open)", NULL);
}

/* Every migration of the program, whoever adds the next one. */
static void all_migrations_have_a_translation(void **state)
{
    (void)state;
    for (size_t i = 0; i < gy_migrations_count; i++) {
        struct gy_buf out;
        struct gy_err err = GY_ERR_INIT;
        gy_buf_init(&out, GY_MIB);
        if (gy_pg_migration(gy_migrations[i].bytes, &out, &err) != GY_OK) {
            fail_msg("%s: %s", gy_migrations[i].name, err.msg);
        }
        assert_null(strstr(out.p, "WITHOUT ROWID"));
        assert_null(strstr(out.p, " INTEGER NOT NULL"));
        gy_buf_done(&out);
    }
    assert_int_equal(gy_mem_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_numbered_where_they_are_parameters),
        cmocka_unit_test(types_and_offsets_have_their_width),
        cmocka_unit_test(comparisons_with_null_are_known),
        cmocka_unit_test(an_insert_of_one_row_becomes_one_of_many),
        cmocka_unit_test(parts_of_an_insert_are_found),
        cmocka_unit_test(tables_get_postgresql_types),
        cmocka_unit_test(what_has_no_translation_is_refused),
        cmocka_unit_test(all_migrations_have_a_translation),
    };
    return cmocka_run_group_tests_name("SQL for PostgreSQL", tests, NULL, NULL);
}
