/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite of gy_sql_ops (store/sql.h), over every backend: a file, memory, the
 * wrapper that passes on, and a real PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "faulty.h"
#include "postgres.h"
#include "scratch.h"

enum backend { FILE_DB, MEMORY_DB, WRAPPED, POSTGRES_DB };

struct world {
    struct scratch *s;
    struct faulty_sql faulty;
    struct gy_sql_driver driver;
    struct gy_sql_config cfg;
    const struct gy_sql_ops *ops;
    void *conn;
    char url[256];
};

static void must(gy_status status, const struct gy_err *err)
{
    if (status != GY_OK) {
        fail_msg("%s", err->msg);
    }
}

static int setup_as(void **state, enum backend b)
{
    struct world *w = calloc(1, sizeof *w);
    struct gy_err err = GY_ERR_INIT;
    w->s = scratch_new();
    w->driver = b == WRAPPED       ? faulty_sql(&w->faulty, gy_sql_sqlite)
                : b == POSTGRES_DB ? gy_sql_postgres
                                   : gy_sql_sqlite;
    w->ops = w->driver.ops;
    if (b == POSTGRES_DB) {
        postgres_url(w->url);
    }
    w->cfg = (struct gy_sql_config){.location = gy_str_c(b == MEMORY_DB     ? ":memory:"
                                                         : b == POSTGRES_DB ? w->url
                                                                            : w->s->path),
                                    .busy_timeout_ms = 50};
    must(w->ops->open(w->driver.self, &w->cfg, &w->conn, &err), &err);
    must(w->ops->exec(
             w->conn,
             "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, k "
             "TEXT UNIQUE, n INTEGER CHECK (n > 0), p INTEGER REFERENCES p (id), r REAL, b BLOB);",
             &err),
         &err);
    *state = w;
    return 0;
}

static int setup_file(void **state)
{
    return setup_as(state, FILE_DB);
}

static int setup_memory(void **state)
{
    return setup_as(state, MEMORY_DB);
}

static int setup_wrapped(void **state)
{
    return setup_as(state, WRAPPED);
}

static int setup_postgres(void **state)
{
    return setup_as(state, POSTGRES_DB);
}

static int teardown(void **state)
{
    struct world *w = *state;
    w->ops->close(w->conn);
    scratch_free(w->s);
    free(w);
    return 0;
}

static gy_status run_on(const struct gy_sql_ops *ops, void *conn, const char *sql,
                        const struct gy_val *vals, size_t n)
{
    void *st = NULL;
    bool row = true;
    GY_TRY(ops->prepare(conn, sql, &st, NULL));
    gy_status status = ops->bind(st, vals, n, false, NULL);
    while (status == GY_OK && row) {
        status = ops->step(st, &row, NULL);
    }
    ops->reset(st);
    ops->finalize(st);
    return status;
}

static gy_status run(struct world *w, const char *sql)
{
    return run_on(w->ops, w->conn, sql, GY_NO_VALS);
}

static int64_t number_on(const struct gy_sql_ops *ops, void *conn, const char *sql)
{
    void *st = NULL;
    bool row = false;
    struct gy_val v = {0};
    assert_int_equal(ops->prepare(conn, sql, &st, NULL), GY_OK);
    assert_int_equal(ops->step(st, &row, NULL), GY_OK);
    assert_true(row);
    ops->column(st, 0, GY_VAL_INT, &v);
    ops->finalize(st);
    return v.i;
}

static int64_t number(struct world *w, const char *sql)
{
    return number_on(w->ops, w->conn, sql);
}

static void the_table_is_complete(void **state)
{
    struct world *w = *state;
    const struct gy_sql_ops *o = w->ops;
    assert_int_equal(o->version, 1);
    assert_true(o->name && o->is_memory && o->open && o->close && o->prepare && o->finalize &&
                o->bind && o->step && o->reset && o->n_columns && o->column && o->changes &&
                o->last_id && o->exec && o->begin && o->commit && o->rollback &&
                o->in_transaction && o->savepoint && o->release && o->rollback_to && o->check);
    assert_true((o->wal_bytes == NULL) == (o->checkpoint == NULL));
}

static void values_round_trip_and_convert(void **state)
{
    struct world *w = *state;
    void *st = NULL;
    bool row = false;
    struct gy_val v;
    assert_int_equal(w->ops->prepare(w->conn, "SELECT ?, ?, ?, ?, ?", &st, NULL), GY_OK);
    assert_int_equal(w->ops->n_columns(st), 5);
    const struct gy_val vals[] = {gy_vi(INT64_MIN), gy_vf(-0.5), gy_vc("a\303\266b"),
                                  gy_vb(gy_str_n("\0\xff", 2)), gy_vnull()};
    assert_int_equal(w->ops->bind(st, vals, 5, true, NULL), GY_OK);
    assert_int_equal(w->ops->step(st, &row, NULL), GY_OK);
    assert_true(row);
    const enum gy_val_kind kinds[] = {GY_VAL_INT, GY_VAL_REAL, GY_VAL_TEXT, GY_VAL_BLOB,
                                      GY_VAL_NULL};
    for (int i = 0; i < 5; i++) {
        w->ops->column(st, i, GY_VAL_NULL, &v);
        assert_int_equal(v.kind, kinds[i]);
    }
    w->ops->column(st, 0, GY_VAL_INT, &v);
    assert_true(v.i == INT64_MIN);
    w->ops->column(st, 1, GY_VAL_REAL, &v);
    assert_true(v.f == -0.5);
    w->ops->column(st, 2, GY_VAL_TEXT, &v);
    assert_true(gy_str_eqc(v.s, "a\303\266b"));
    w->ops->column(st, 3, GY_VAL_BLOB, &v);
    assert_true(gy_str_eq(v.s, gy_str_n("\0\xff", 2)));
    w->ops->column(st, 1, GY_VAL_TEXT, &v);
    assert_true(gy_str_eqc(v.s, "-0.5"));
    w->ops->column(st, 4, GY_VAL_TEXT, &v);
    assert_null(v.s.p);
    w->ops->column(st, 7, GY_VAL_INT, &v);
    assert_int_equal(v.kind, GY_VAL_NULL);
    assert_int_equal(w->ops->step(st, &row, NULL), GY_OK);
    assert_false(row);
    w->ops->reset(st);
    const struct gy_val nan[] = {gy_vf(0.0 / 0.0), gy_vf(1.0 / 0.0), gy_vi(1), gy_vi(1), gy_vi(1)};
    assert_int_equal(w->ops->bind(st, nan, 5, true, NULL), GY_OK);
    assert_int_equal(w->ops->step(st, &row, NULL), GY_OK);
    w->ops->column(st, 0, GY_VAL_REAL, &v);
    assert_int_equal(v.kind, GY_VAL_NULL); /* NaN is NULL: store.h says so */
    w->ops->column(st, 1, GY_VAL_REAL, &v);
    assert_true(v.f == 1.0 / 0.0);
    w->ops->finalize(st);
}

static void copied_parameters_outlive_their_text(void **state)
{
    struct world *w = *state;
    void *st = NULL;
    bool row;
    struct gy_val v;
    char text[] = "before";
    assert_int_equal(w->ops->prepare(w->conn, "SELECT ?", &st, NULL), GY_OK);
    assert_int_equal(w->ops->bind(st, GY_VALS(gy_vc(text)), true, NULL), GY_OK);
    memcpy(text, "after!", 6);
    assert_int_equal(w->ops->step(st, &row, NULL), GY_OK);
    w->ops->column(st, 0, GY_VAL_TEXT, &v);
    assert_true(gy_str_eqc(v.s, "before"));
    w->ops->finalize(st);
}

static void errors_have_their_codes(void **state)
{
    struct world *w = *state;
    assert_int_equal(run(w, "INSERT INTO t (k, n) VALUES ('a', 1)"), GY_OK);
    assert_int_equal(w->ops->changes(w->conn), 1);
    assert_int_equal(w->ops->last_id(w->conn), 1);
    assert_int_equal(run(w, "INSERT INTO t (k, n) VALUES ('a', 2)"), GY_E_EXISTS);
    assert_int_equal(run(w, "INSERT INTO t (k, n) VALUES ('b', 0)"), GY_E_CONFLICT);
    assert_int_equal(run(w, "INSERT INTO t (k, n, p) VALUES ('b', 1, 99)"), GY_E_CONFLICT);
    assert_int_equal(run(w, "INSERT INTO p (id) VALUES (1)"), GY_OK);
    assert_int_equal(run(w, "INSERT INTO p (id) VALUES (1)"), GY_E_EXISTS);
    assert_int_equal(run(w, "SELEKT 1"), GY_E_INVALID);
    assert_int_equal(run(w, ""), GY_E_INVALID);
    assert_int_equal(run(w, "SELECT 1; SELECT 2"), GY_E_INVALID);
    assert_int_equal(run(w, "SELECT ?"), GY_E_INVALID);
    assert_int_equal(run_on(w->ops, w->conn, "SELECT 1", GY_VALS(gy_vi(1))), GY_E_INVALID);
    assert_int_equal(w->ops->exec(w->conn, "SELEKT 1", NULL), GY_E_INVALID);
    struct gy_err err = GY_ERR_INIT;
    void *st = NULL;
    assert_int_equal(w->ops->prepare(w->conn, "SELECT * FROM nowhere", &st, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "nowhere"));
    assert_int_equal(number(w, "SELECT COUNT(*) FROM t"), 1);
    assert_int_equal(w->ops->check(w->conn, NULL), GY_OK);
}

static void transactions_keep_or_undo(void **state)
{
    struct world *w = *state;
    assert_false(w->ops->in_transaction(w->conn));
    assert_int_equal(w->ops->begin(w->conn, true, NULL), GY_OK);
    assert_true(w->ops->in_transaction(w->conn));
    assert_int_equal(run(w, "INSERT INTO t (k, n) VALUES ('a', 1)"), GY_OK);
    w->ops->rollback(w->conn);
    assert_false(w->ops->in_transaction(w->conn));
    w->ops->rollback(w->conn); /* without one: nothing */
    assert_int_equal(w->ops->begin(w->conn, true, NULL), GY_OK);
    assert_int_equal(run(w, "INSERT INTO t (k, n) VALUES ('b', 1)"), GY_OK);
    assert_int_equal(w->ops->commit(w->conn, NULL), GY_OK);
    assert_int_equal(number(w, "SELECT COUNT(*) FROM t WHERE k='b'"), 1);
    assert_int_equal(number(w, "SELECT COUNT(*) FROM t"), 1);
    assert_int_not_equal(w->ops->commit(w->conn, NULL), GY_OK);
}

static void savepoints_undo_their_own_part(void **state)
{
    struct world *w = *state;
    assert_int_equal(w->ops->begin(w->conn, true, NULL), GY_OK);
    for (int i = 0; i < 4; i++) {
        char sql[80];
        assert_int_equal(w->ops->savepoint(w->conn, NULL), GY_OK);
        snprintf(sql, sizeof sql, "INSERT INTO t (k, n) VALUES ('%d', 1)", i);
        assert_int_equal(run(w, sql), GY_OK);
        if (i % 2) {
            assert_int_equal(run(w, sql), GY_E_EXISTS); /* then there is only the way back */
        }
        assert_int_equal(
            i % 2 ? w->ops->rollback_to(w->conn, NULL) : w->ops->release(w->conn, NULL), GY_OK);
        assert_true(w->ops->in_transaction(w->conn));
    }
    assert_int_equal(w->ops->commit(w->conn, NULL), GY_OK);
    assert_int_equal(number(w, "SELECT SUM(CAST(k AS INTEGER)) FROM t"), 0 + 2);
}

static void a_read_transaction_refuses_writes(void **state)
{
    struct world *w = *state;
    assert_int_equal(w->ops->begin(w->conn, false, NULL), GY_OK);
    assert_int_equal(number(w, "SELECT COUNT(*) FROM t"), 0);
    assert_int_equal(run(w, "INSERT INTO t (k, n) VALUES ('a', 1)"), GY_E_DENIED);
    w->ops->rollback(w->conn);
    assert_int_equal(w->ops->begin(w->conn, true, NULL),
                     GY_OK); /* the same connection may write again */
    assert_int_equal(run(w, "INSERT INTO t (k, n) VALUES ('a', 1)"), GY_OK);
    assert_int_equal(w->ops->commit(w->conn, NULL), GY_OK);
}

static void other_connections_see_what_was_committed(void **state)
{
    struct world *w = *state;
    void *other = NULL;
    if (w->ops->is_memory(w->driver.self, &w->cfg)) {
        assert_int_equal(w->ops->wal_bytes(w->conn), 0);
        return;
    }
    assert_int_equal(w->ops->open(w->driver.self, &w->cfg, &other, NULL), GY_OK);
    assert_int_equal(w->ops->begin(w->conn, true, NULL), GY_OK);
    assert_int_equal(run(w, "INSERT INTO t (k, n) VALUES ('a', 1)"), GY_OK);
    assert_int_equal(number_on(w->ops, other, "SELECT COUNT(*) FROM t"), 0);
    assert_int_equal(w->ops->begin(other, true, NULL),
                     GY_E_BUSY); /* one writer; waits busy_timeout_ms first */
    assert_false(w->ops->in_transaction(other));
    assert_int_equal(w->ops->begin(other, false, NULL),
                     GY_OK); /* its snapshot starts with its first statement */
    assert_int_equal(number_on(w->ops, other, "SELECT COUNT(*) FROM t"), 0);
    assert_int_equal(w->ops->commit(w->conn, NULL), GY_OK);
    assert_int_equal(number_on(w->ops, other, "SELECT COUNT(*) FROM t"), 0);
    w->ops->rollback(other);
    assert_int_equal(number_on(w->ops, other, "SELECT COUNT(*) FROM t"), 1);
    w->ops->close(other);
}

static void checkpoints_shrink_the_log(void **state)
{
    struct world *w = *state;
    if (!w->ops->checkpoint || w->ops->is_memory(w->driver.self, &w->cfg)) {
        return;
    }
    assert_int_equal(run(w, "INSERT INTO t (k, n) VALUES ('a', 1)"), GY_OK);
    assert_true(w->ops->wal_bytes(w->conn) > 0);
    assert_int_equal(w->ops->checkpoint(w->conn, NULL), GY_OK);
    assert_int_equal(w->ops->wal_bytes(w->conn), 0);
    assert_int_equal(number(w, "SELECT COUNT(*) FROM t"), 1);
}

static void a_backup_is_a_database(void **state)
{
    struct world *w = *state;
    char path[160];
    void *copy = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (!w->ops->backup) {
        return;
    }
    assert_int_equal(run(w, "INSERT INTO t (k, n) VALUES ('a', 1)"), GY_OK);
    snprintf(path, sizeof path, "%s/it's a copy.db", w->s->dir);
    must(w->ops->backup(w->conn, path, &err), &err);
    assert_int_not_equal(w->ops->backup(w->conn, path, NULL), GY_OK); /* never over something */
    struct gy_sql_config cfg = {.location = gy_str_c(path)};
    assert_int_equal(gy_sql_sqlite.ops->open(NULL, &cfg, &copy, NULL), GY_OK);
    assert_int_equal(number_on(gy_sql_sqlite.ops, copy, "SELECT COUNT(*) FROM t"), 1);
    gy_sql_sqlite.ops->close(copy);
}

static void damage_is_found(void **state)
{
    struct world *w = *state;
    if (w->ops->dialect == GY_SQL_POSTGRES) {
        assert_int_equal(run(w, "ALTER TABLE t ADD CHECK (n > 9) NOT VALID"), GY_OK);
    } else {
        assert_int_equal(w->ops->exec(w->conn,
                                      "PRAGMA foreign_keys=OFF; INSERT INTO t (k, n, p) VALUES "
                                      "('a', 1, 77)",
                                      NULL),
                         GY_OK);
    }
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(w->ops->check(w->conn, &err), GY_E_CORRUPT);
}

static void texts_with_zero_bytes_are_kept_or_refused(void **state)
{
    struct world *w = *state;
    const struct gy_val v = gy_vs(gy_str_n("a\0b", 3));
    gy_status status = run_on(w->ops, w->conn, "INSERT INTO t (k) VALUES (?)", &v, 1);
    assert_int_equal(status, w->ops->dialect == GY_SQL_POSTGRES ? GY_E_INVALID : GY_OK);
    int64_t n = number(w, "SELECT COALESCE(MAX(LENGTH(k)), 0) FROM t");
    assert_int_equal(n, w->ops->dialect == GY_SQL_POSTGRES ? 0 : 1); /* SQLite counts up to it */
}

/* One statement takes values of any kind, NULL among them, in any order. */
static void kinds_of_parameters_may_change(void **state)
{
    struct world *w = *state;
    const char *sql = "INSERT INTO t (k, n, r, b) VALUES (?, ?, ?, ?)";
    const struct gy_val rows[][4] = {
        {gy_vc("a"), gy_vnull(), gy_vnull(), gy_vnull()},
        {gy_vc("b"), gy_vi(7), gy_vf(1e300), gy_vb(gy_str_n("\0\1", 2))},
        {gy_vnull(), gy_vnull(), gy_vf(-1.0 / 0.0), gy_vnull()},
        {gy_vc("c"), gy_vi(INT64_MAX), gy_vi(3), gy_vb(GY_STR(""))},
        {gy_vnull(), gy_vi(1), gy_vnull(), gy_vb(GY_STR("x"))},
        {gy_vc(""), gy_vi(1), gy_vf(0.0 / 0.0), gy_vnull()},
    };
    void *st = NULL;
    bool row = true;
    struct gy_err err = GY_ERR_INIT;
    must(w->ops->prepare(w->conn, sql, &st, &err), &err);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            must(w->ops->bind(st, rows[i], 4, true, &err), &err);
            must(w->ops->step(st, &row, &err), &err);
            assert_false(row);
            w->ops->reset(st);
        }
        assert_int_equal(number(w, "SELECT COUNT(*) FROM t WHERE k IS NULL"), 2);
        assert_int_equal(number(w, "SELECT COUNT(*) FROM t WHERE r IS NULL"), 3);
        assert_int_equal(number(w, "SELECT n FROM t WHERE k = 'c'"), INT64_MAX);
        assert_int_equal(number(w, "SELECT COUNT(*) FROM t WHERE r < -1e308"), 1);
        assert_int_equal(number(w, "SELECT COUNT(*) FROM t WHERE k = ''"), 1);
        assert_int_equal(number(w, "SELECT LENGTH(b) FROM t WHERE k = 'b'"), 2);
        must(w->ops->exec(w->conn, "DELETE FROM t", &err), &err);
    }
    w->ops->finalize(st);
}

static void a_mark_in_a_text_or_a_name_is_no_parameter(void **state)
{
    struct world *w = *state;
    const char *sql = "SELECT '?''?' /* ? */ AS \"what?\", ? -- ?\n, CAST('12' AS INTEGER) + 1";
    void *st = NULL;
    bool row = false;
    struct gy_val v;
    struct gy_err err = GY_ERR_INIT;
    must(w->ops->prepare(w->conn, sql, &st, &err), &err);
    must(w->ops->bind(st, GY_VALS(gy_vc("p")), true, &err), &err);
    must(w->ops->step(st, &row, &err), &err);
    w->ops->column(st, 0, GY_VAL_TEXT, &v);
    assert_true(gy_str_eqc(v.s, "?'?"));
    w->ops->column(st, 1, GY_VAL_TEXT, &v);
    assert_true(gy_str_eqc(v.s, "p"));
    w->ops->column(st, 2, GY_VAL_INT, &v);
    assert_int_equal(v.i, 13);
    w->ops->finalize(st);
}

static void sums_and_comparisons_are_numbers(void **state)
{
    struct world *w = *state;
    assert_int_equal(run(w, "INSERT INTO t (k, n, r) VALUES ('a', 4000000000000000000, 0.5), "
                            "('b', 3, 0.25), ('c', 30000, 1)"),
                     GY_OK);
    assert_int_equal(w->ops->changes(w->conn), 3);
    assert_int_equal(number(w, "SELECT SUM(n) FROM t"), 4000000000000030003);
    assert_int_equal(number(w, "SELECT SUM(-n) FROM t WHERE k <> 'a'"), -30003);
    assert_int_equal(number(w, "SELECT SUM(n) FROM t WHERE k = 'c'"), 30000);
    assert_int_equal(number(w, "SELECT SUM(0 * n) FROM t"), 0);
    assert_int_equal(number(w, "SELECT COUNT(*) = 3 FROM t"), 1);
    assert_int_equal(number(w, "SELECT EXISTS (SELECT 1 FROM t WHERE k = 'x')"), 0);
    void *st = NULL;
    bool row;
    struct gy_val v;
    assert_int_equal(w->ops->prepare(w->conn,
                                     "SELECT AVG(n), SUM(r), SUBSTR(MIN(k), 1, 1) FROM t "
                                     "WHERE k <> 'a'",
                                     &st, NULL),
                     GY_OK);
    assert_int_equal(w->ops->step(st, &row, NULL), GY_OK);
    w->ops->column(st, 0, GY_VAL_REAL, &v);
    assert_true(v.f == 15001.5 && v.kind == GY_VAL_REAL);
    w->ops->column(st, 1, GY_VAL_REAL, &v);
    assert_true(v.f == 1.25);
    w->ops->column(st, 2, GY_VAL_TEXT, &v);
    assert_true(gy_str_eqc(v.s, "b"));
    w->ops->finalize(st);
}

/* Bytes are compared, not what a language makes of them. */
static void text_has_the_order_of_its_bytes(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        run(w, "INSERT INTO t (k) VALUES ('b'), ('B'), ('a'), ('A'), ('_'), ('\303\244')"), GY_OK);
    void *st = NULL;
    bool row;
    struct gy_val v;
    char all[32] = "";
    assert_int_equal(w->ops->prepare(w->conn, "SELECT k FROM t WHERE k > ? ORDER BY k", &st, NULL),
                     GY_OK);
    assert_int_equal(w->ops->bind(st, GY_VALS(gy_vc("A")), true, NULL), GY_OK);
    for (;;) {
        assert_int_equal(w->ops->step(st, &row, NULL), GY_OK);
        if (!row) {
            break;
        }
        w->ops->column(st, 0, GY_VAL_TEXT, &v);
        strncat(all, v.s.p, v.s.n);
    }
    assert_string_equal(all, "B_ab\303\244");
    w->ops->finalize(st);
}

static void fill(struct world *w, int64_t n)
{
    const struct gy_val v = gy_vi(n);
    assert_int_equal(run_on(w->ops, w->conn,
                            "INSERT INTO t (k, n) WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL "
                            "SELECT x + 1 FROM c WHERE x < ?) SELECT 'k' || x, x FROM c",
                            &v, 1),
                     GY_OK);
    assert_int_equal(w->ops->changes(w->conn), n);
}

/* While one statement is being read others run, and one can be left at any place. */
static void statements_may_be_interleaved(void **state)
{
    struct world *w = *state;
    void *outer = NULL, *inner = NULL;
    bool row;
    struct gy_val v;
    int64_t sum = 0;
    fill(w, 500);
    assert_int_equal(w->ops->begin(w->conn, true, NULL), GY_OK);
    assert_int_equal(w->ops->prepare(w->conn, "SELECT n, k FROM t ORDER BY n", &outer, NULL),
                     GY_OK);
    assert_int_equal(w->ops->prepare(w->conn, "SELECT n FROM t WHERE k >= ?", &inner, NULL), GY_OK);
    for (;;) {
        assert_int_equal(w->ops->step(outer, &row, NULL), GY_OK);
        if (!row) {
            break;
        }
        w->ops->column(outer, 1, GY_VAL_TEXT, &v);
        assert_int_equal(w->ops->bind(inner, &v, 1, false, NULL), GY_OK);
        bool other;
        assert_int_equal(w->ops->step(inner, &other, NULL), GY_OK);
        assert_true(other);
        w->ops->reset(inner);
        w->ops->column(outer, 0, GY_VAL_INT, &v);
        sum += v.i;
        if (v.i % 100 == 0) {
            assert_int_equal(run(w, "INSERT INTO t (n) VALUES (9)"), GY_OK);
        }
    }
    assert_true(sum >= 500 * 501 / 2);
    w->ops->reset(outer);
    assert_int_equal(w->ops->step(outer, &row, NULL), GY_OK);
    assert_true(row);
    w->ops->reset(outer); /* left in the middle */
    assert_int_equal(number(w, "SELECT COUNT(*) FROM t WHERE n = 9"), 6);
    w->ops->finalize(inner);
    w->ops->finalize(outer);
    assert_int_equal(w->ops->commit(w->conn, NULL), GY_OK);
}

static void rows_that_number_themselves_go_on_after_given_numbers(void **state)
{
    struct world *w = *state;
    assert_int_equal(run(w, "INSERT INTO p (id) VALUES (0)"), GY_OK);
    assert_int_equal(run(w, "INSERT INTO t (k) VALUES ('a')"), GY_OK);
    assert_int_equal(w->ops->last_id(w->conn), 1);
    assert_int_equal(run(w, "INSERT INTO t (id, k) VALUES (900719925474099312, 'b')"), GY_OK);
    assert_int_equal(w->ops->last_id(w->conn), 900719925474099312);
    assert_int_equal(run(w, "INSERT INTO t (k) VALUES ('c')"), GY_OK);
    assert_int_equal(w->ops->last_id(w->conn), 900719925474099313);
    assert_int_equal(run(w, "INSERT INTO t (k) VALUES ('c') ON CONFLICT (k) DO NOTHING"), GY_OK);
    assert_int_equal(w->ops->changes(w->conn), 0);
    assert_int_equal(
        w->ops->exec(w->conn,
                     "CREATE TABLE q (id INTEGER PRIMARY KEY, k TEXT); INSERT INTO q (id, "
                     "k) SELECT id, k FROM t WHERE id < 5; DROP TABLE IF EXISTS z",
                     NULL),
        GY_OK);
    assert_int_equal(run(w, "INSERT INTO q (k) VALUES ('c')"), GY_OK);
    assert_int_equal(w->ops->last_id(w->conn), 2);
}

static void many_rows_go_at_once(void **state)
{
    struct world *w = *state;
    enum { N = 25000, C = 4 };
    struct gy_val *vals = calloc((size_t)N * C, sizeof *vals);
    char(*keys)[16] = calloc(N, sizeof *keys);
    void *st = NULL;
    int64_t changes = -1;
    struct gy_err err = GY_ERR_INIT;
    if (!w->ops->exec_many) {
        free(vals);
        free(keys);
        return; /* gy_db_exec_many goes row by row: test_store.c */
    }
    for (int i = 0; i < N; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i % (N - 5));
        vals[i * C] = gy_vc(keys[i]);
        vals[i * C + 1] = i % 7 ? gy_vi(i) : gy_vnull();
        vals[i * C + 2] = i % 3 ? gy_vf(i * 0.5) : gy_vf(0.0 / 0.0);
        vals[i * C + 3] = gy_vnull();
    }
    const char *sql = "INSERT INTO t (k, n, r, b) VALUES (?, ?, ?, ?) ON CONFLICT (k) DO NOTHING";
    must(w->ops->prepare(w->conn, sql, &st, &err), &err);
    must(w->ops->exec_many(st, vals, C, N, &changes, &err), &err);
    assert_int_equal(changes, N - 5);
    must(w->ops->exec_many(st, vals, C, 100, &changes, &err), &err);
    assert_int_equal(changes, 0);
    vals[3] = gy_vb(GY_STR("x"));
    vals[0] = gy_vc("new");
    must(w->ops->exec_many(st, vals, C, 2, &changes, &err), &err); /* other kinds */
    assert_int_equal(changes, 1);
    assert_int_equal(w->ops->exec_many(st, vals, C - 1, 2, &changes, &err), GY_E_INVALID);
    w->ops->finalize(st);
    assert_int_equal(number(w, "SELECT COUNT(*) FROM t"), N - 4);
    assert_int_equal(number(w, "SELECT COUNT(*) FROM t WHERE r IS NULL"), (N - 5 + 2) / 3 + 1);
    assert_int_equal(number(w, "SELECT n FROM t WHERE k = 'k9'"), 9);
    must(w->ops->prepare(w->conn,
                         "INSERT INTO t (k, n) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET n = "
                         "excluded.n + t.n",
                         &st, &err),
         &err);
    const struct gy_val more[] = {gy_vc("k8"), gy_vi(1),    gy_vc("k9"),
                                  gy_vi(2),    gy_vc("k9"), gy_vi(3)};
    must(w->ops->exec_many(st, more, 2, 2, &changes, &err), &err);
    assert_int_equal(changes, 2);
    assert_int_equal(number(w, "SELECT n FROM t WHERE k = 'k9'"), 11);
    assert_int_equal(w->ops->exec_many(st, more, 2, 3, &changes, NULL), GY_E_INVALID);
    w->ops->finalize(st);
    /* Expressions and literals among the parameters, and a failure in the middle: nothing of it. */
    must(
        w->ops->prepare(w->conn, "INSERT INTO t (k, n) VALUES (UPPER(?) || 'x', ? + 1)", &st, &err),
        &err);
    const struct gy_val few[] = {gy_vc("a"), gy_vi(1), gy_vc("b"), gy_vi(2), gy_vc("c"), gy_vi(-5)};
    must(w->ops->exec_many(st, few, 2, 2, &changes, &err), &err);
    assert_int_equal(number(w, "SELECT n FROM t WHERE k = 'Bx'"), 3);
    assert_int_equal(w->ops->exec_many(st, few, 2, 2, &changes, NULL), GY_E_EXISTS);
    assert_int_equal(w->ops->exec_many(st, few + 4, 2, 1, &changes, NULL), GY_E_CONFLICT);
    w->ops->finalize(st);
    free(keys);
    free(vals);
}

static void a_failed_statement_spoils_only_its_savepoint(void **state)
{
    struct world *w = *state;
    assert_int_equal(w->ops->begin(w->conn, true, NULL), GY_OK);
    assert_int_equal(w->ops->savepoint(w->conn, NULL), GY_OK);
    assert_int_equal(w->ops->release(w->conn, NULL), GY_OK); /* nothing was done in it */
    assert_int_equal(w->ops->savepoint(w->conn, NULL), GY_OK);
    assert_int_equal(w->ops->rollback_to(w->conn, NULL), GY_OK);
    assert_int_equal(w->ops->savepoint(w->conn, NULL), GY_OK);
    assert_int_equal(run(w, "INSERT INTO t (k) VALUES ('a')"), GY_OK);
    assert_int_equal(w->ops->release(w->conn, NULL), GY_OK);
    assert_int_equal(w->ops->savepoint(w->conn, NULL), GY_OK);
    assert_int_equal(run(w, "INSERT INTO t (k) VALUES ('b')"), GY_OK);
    assert_int_equal(run(w, "INSERT INTO nowhere (k) VALUES ('a')"), GY_E_INVALID);
    assert_int_equal(w->ops->rollback_to(w->conn, NULL), GY_OK);
    assert_int_equal(w->ops->savepoint(w->conn, NULL), GY_OK);
    assert_int_equal(run(w, "INSERT INTO t (k) VALUES ('c')"), GY_OK);
    assert_int_equal(w->ops->release(w->conn, NULL), GY_OK);
    assert_int_equal(w->ops->commit(w->conn, NULL), GY_OK);
    assert_int_equal(number(w, "SELECT COUNT(*) FROM t"), 2);
    assert_int_equal(number(w, "SELECT COUNT(*) FROM t WHERE k = 'b'"), 0);
}

#define ON_ALL(test)                                             \
    {#test " (file)", test, setup_file, teardown, NULL},         \
        {#test " (memory)", test, setup_memory, teardown, NULL}, \
    {                                                            \
#test " (wrapped)", test, setup_wrapped, teardown, NULL  \
    }
#define ON_POSTGRES(test)                                           \
    {                                                               \
#test " (postgresql)", test, setup_postgres, teardown, NULL \
    }
#define EACH_TEST(ON)                                                                         \
    ON(the_table_is_complete), ON(values_round_trip_and_convert),                             \
        ON(copied_parameters_outlive_their_text), ON(errors_have_their_codes),                \
        ON(transactions_keep_or_undo), ON(savepoints_undo_their_own_part),                    \
        ON(a_read_transaction_refuses_writes), ON(other_connections_see_what_was_committed),  \
        ON(checkpoints_shrink_the_log), ON(a_backup_is_a_database), ON(damage_is_found),      \
        ON(texts_with_zero_bytes_are_kept_or_refused), ON(kinds_of_parameters_may_change),    \
        ON(a_mark_in_a_text_or_a_name_is_no_parameter), ON(sums_and_comparisons_are_numbers), \
        ON(text_has_the_order_of_its_bytes), ON(statements_may_be_interleaved),               \
        ON(rows_that_number_themselves_go_on_after_given_numbers), ON(many_rows_go_at_once),  \
        ON(a_failed_statement_spoils_only_its_savepoint)

int main(void)
{
    const struct CMUnitTest tests[] = {EACH_TEST(ON_ALL)};
    const struct CMUnitTest postgres[] = {EACH_TEST(ON_POSTGRES)};
    const struct CMUnitTest none[] = {cmocka_unit_test(postgres_skipped)};
    int failed = cmocka_run_group_tests_name("SQL backends", tests, NULL, NULL);
    failed += postgres_there()
                  ? cmocka_run_group_tests_name("PostgreSQL backend", postgres, NULL, NULL)
                  : cmocka_run_group_tests_name("PostgreSQL backend", none, NULL, NULL);
    return failed;
}
