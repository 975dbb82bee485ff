/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite of gy_sql_ops (store/sql.h), over every backend: a file, memory, and the
 * wrapper that passes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "faulty.h"
#include "scratch.h"

enum backend { FILE_DB, MEMORY_DB, WRAPPED };

struct world {
    struct scratch *s;
    struct faulty_sql faulty;
    struct gy_sql_driver driver;
    struct gy_sql_config cfg;
    const struct gy_sql_ops *ops;
    void *conn;
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
    w->driver = b == WRAPPED ? faulty_sql(&w->faulty, gy_sql_sqlite) : gy_sql_sqlite;
    w->ops = w->driver.ops;
    w->cfg = (struct gy_sql_config){.location = gy_str_c(b == MEMORY_DB ? ":memory:" : w->s->path),
                                    .busy_timeout_ms = 50};
    must(w->ops->open(w->driver.self, &w->cfg, &w->conn, &err), &err);
    must(w->ops->exec(
             w->conn,
             "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (k TEXT UNIQUE, n INTEGER "
             "CHECK (n > 0), p INTEGER REFERENCES p (id));",
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
    const struct gy_val vals[] = {gy_vi(INT64_MIN), gy_vf(-0.5), gy_vs(gy_str_n("a\0b", 3)),
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
    assert_true(gy_str_eq(v.s, gy_str_n("a\0b", 3)));
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
        assert_int_equal(run(w, sql), GY_E_EXISTS);
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
    assert_int_equal(
        w->ops->exec(w->conn,
                     "PRAGMA foreign_keys=OFF; INSERT INTO t (k, n, p) VALUES ('a', 1, 77)", NULL),
        GY_OK);
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(w->ops->check(w->conn, &err), GY_E_CORRUPT);
}

#define ON_ALL(test)                                             \
    {#test " (file)", test, setup_file, teardown, NULL},         \
        {#test " (memory)", test, setup_memory, teardown, NULL}, \
    {                                                            \
#test " (wrapped)", test, setup_wrapped, teardown, NULL  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL(the_table_is_complete),
        ON_ALL(values_round_trip_and_convert),
        ON_ALL(copied_parameters_outlive_their_text),
        ON_ALL(errors_have_their_codes),
        ON_ALL(transactions_keep_or_undo),
        ON_ALL(savepoints_undo_their_own_part),
        ON_ALL(a_read_transaction_refuses_writes),
        ON_ALL(other_connections_see_what_was_committed),
        ON_ALL(checkpoints_shrink_the_log),
        ON_ALL(a_backup_is_a_database),
        ON_ALL(damage_is_found),
    };
    return cmocka_run_group_tests_name("SQL backends", tests, NULL, NULL);
}
