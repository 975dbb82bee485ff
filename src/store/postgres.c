/* SPDX-License-Identifier: Apache-2.0 */
/* The PostgreSQL backend. Writers of all servers take turns at one advisory lock, as SQLite's do at
 * its file, so that a write closure sees everything that was committed before it and no statement
 * of it fails for want of a row lock. Readers have one snapshot each (REPEATABLE READ). */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/postgres_internal.h"

static bool pg_is_memory(void *self, const struct gy_sql_config *cfg)
{
    (void)self;
    (void)cfg;
    return false;
}

static gy_status pg_open(void *self, const struct gy_sql_config *cfg, void **ret_conn,
                         struct gy_err *err)
{
    (void)self;
    struct gy_pg_conn *c = NULL;
    GY_TRY(gy_pg_connect(cfg, &c, err));
    *ret_conn = c;
    return GY_OK;
}

static void pg_close(void *conn)
{
    gy_pg_disconnect(conn);
}

static int64_t pg_changes(void *conn)
{
    return ((struct gy_pg_conn *)conn)->changes;
}

static int64_t pg_last_id(void *conn)
{
    return ((struct gy_pg_conn *)conn)->last_id;
}

/* ---- several statements ---- */

/* Rows that a migration copied with their numbers: each sequence goes on after the greatest. */
static const char move_sequences[] =
    "DO $$ DECLARE r record; BEGIN FOR r IN SELECT t.oid::regclass::text AS t, a.attname AS c "
    "FROM pg_catalog.pg_class t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid "
    "WHERE t.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = "
    "current_schema()) AND a.attidentity <> '' AND NOT a.attisdropped LOOP "
    "EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, %L), GREATEST(MAX(%I), 1), "
    "COALESCE(MAX(%I) >= 1, false)) FROM %s', r.t, r.c, r.c, r.c, r.t); END LOOP; END $$";

static gy_status exec_simple(struct gy_pg_conn *c, const char *sql, const char *what,
                             struct gy_err *err)
{
    struct gy_pq_result *r = c->lib->exec(c->pq, sql);
    int got = r ? c->lib->result_status(r) : GY_PQ_PIPELINE_ABORTED;
    gy_status status = got == GY_PQ_COMMAND_OK || got == GY_PQ_TUPLES_OK || got == GY_PQ_EMPTY_QUERY
                           ? GY_OK
                           : gy_pg_fail(c, r, what, err);
    c->lib->clear(r);
    return status;
}

static gy_status pg_exec(void *conn, const char *sql, struct gy_err *err)
{
    struct gy_pg_conn *c = conn;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_SQL_MAX_VALUE);
    GY_TRY(gy_pg_migration(sql, &text, err));
    GY_TRY(gy_pg_ready(c, err));
    size_t n;
    GY_TRY(gy_pg_send_deferred(c, &n, err));
    gy_status status = gy_pg_sync(c, err);
    if (status == GY_OK) {
        status = gy_pg_read_commands(c, n, NULL, err);
    }
    gy_pg_discard(c);
    GY_TRY(status);
    gy_pg_forget_identities(c);
    if (!c->lib->exit_pipeline(c->pq)) {
        return gy_pg_fail(c, NULL, "a migration", err);
    }
    status = exec_simple(c, text.p, sql, err);
    if (status == GY_OK) {
        status = exec_simple(c, move_sequences, "numbering on", err);
    }
    if (!gy_pg_is_lost(c) && !c->lib->enter_pipeline(c->pq) && status == GY_OK) {
        status = gy_pg_fail(c, NULL, "a migration", err);
    }
    return status;
}

/* ---- transactions ---- */

static void begun(struct gy_pg_conn *c, bool reading)
{
    c->in_transaction = true;
    c->reading = reading;
    c->answered = c->failed = false;
}

static void pg_rollback(void *conn)
{
    struct gy_pg_conn *c = conn;
    bool deferred = c->n_deferred > 0 && strcmp(c->deferred[0], GY_PG_BEGIN_READ) == 0;
    if (!c->in_transaction) {
        return;
    }
    c->n_deferred = 0;
    c->in_transaction = false;
    c->failed = false;
    if (deferred || gy_pg_is_lost(c)) {
        return; /* it never began, or ended with its connection */
    }
    if (c->streaming) {
        gy_pg_keep_rest(c->streaming);
    }
    gy_pg_discard(c);
    /* Nobody waits for the answer: it is read before the next statement. */
    if (c->lib->send_query(c->pq, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 1) == 1) {
        GY_IGNORE(gy_pg_sync(c, NULL)); /* a lost connection shows at its next use */
    }
}

static gy_status try_begin_write(struct gy_pg_conn *c, struct gy_err *err)
{
    size_t n;
    GY_TRY(gy_pg_ready(c, err));
    GY_TRY(gy_pg_send_deferred(c, &n, err));
    begun(c, false);
    bool sent = c->lib->send_query(c->pq, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", 0,
                                   NULL, NULL, NULL, NULL, 1) == 1 &&
                c->lib->send_prepared(c->pq, "gyre_lock", 0, NULL, NULL, NULL, 1) == 1;
    gy_status status = sent ? gy_pg_sync(c, err) : gy_pg_fail(c, NULL, "begin", err);
    if (status == GY_OK) {
        status = gy_pg_read_commands(c, n + 2, NULL, err);
    }
    gy_pg_discard(c);
    return status;
}

static gy_status begin_write(struct gy_pg_conn *c, struct gy_err *err)
{
    struct gy_err first = GY_ERR_INIT;
    gy_status status = try_begin_write(c, &first);
    if (status != GY_OK && gy_pg_is_lost(c)) {
        c->in_transaction = false; /* nothing was done on the connection that died while idle */
        return try_begin_write(c, err);
    }
    if (status != GY_OK && err) {
        *err = first;
    }
    return status;
}

static gy_status pg_begin(void *conn, bool write, struct gy_err *err)
{
    struct gy_pg_conn *c = conn;
    if (c->in_transaction && !gy_pg_is_lost(c)) {
        return gy_err_set(err, GY_E_CONFLICT, "a transaction is open already");
    }
    c->in_transaction = false;
    GY_TRY(gy_pg_ready(c, err));
    if (!write) {
        begun(c, true);
        gy_pg_defer(c, GY_PG_BEGIN_READ);
        return GY_OK;
    }
    gy_status status = begin_write(c, err);
    if (status != GY_OK) {
        if (status == GY_E_BUSY) {
            (void)gy_err_hint(err, "another server's write takes long; try again");
        }
        pg_rollback(c);
        c->in_transaction = false;
    }
    return status;
}

static gy_status pg_commit(void *conn, struct gy_err *err)
{
    struct gy_pg_conn *c = conn;
    char tag[64] = "";
    if (!c->in_transaction) {
        return gy_err_set(err, GY_E_CONFLICT, "no transaction is open");
    }
    if (c->n_deferred > 0 && strcmp(c->deferred[0], GY_PG_BEGIN_READ) == 0) {
        pg_rollback(c);
        return GY_OK;
    }
    gy_status status = gy_pg_command(c, "COMMIT", tag, err);
    if (status != GY_OK) {
        if (gy_pg_is_lost(c)) {
            c->in_transaction = false;
            gy_err_wrap(err, "while it was committed, so it may be there or not");
        }
        return status;
    }
    c->in_transaction = c->failed = false;
    if (strcmp(tag, "COMMIT") != 0) { /* of a transaction that had failed */
        return gy_err_set(err, GY_E_CONFLICT, "the database gave up the transaction");
    }
    return GY_OK;
}

static bool pg_in_transaction(void *conn)
{
    struct gy_pg_conn *c = conn;
    return c->in_transaction && !gy_pg_is_lost(c);
}

#define SAVEPOINT "SAVEPOINT closure"
#define RELEASE "RELEASE closure"

/* A savepoint in which nothing was done needs no undoing either. */
static bool drop_empty_savepoint(struct gy_pg_conn *c)
{
    bool empty = c->n_deferred > 0 && strcmp(c->deferred[c->n_deferred - 1], SAVEPOINT) == 0;
    c->n_deferred -= empty;
    return empty;
}

static gy_status pg_savepoint(void *conn, struct gy_err *err)
{
    struct gy_pg_conn *c = conn;
    if (!pg_in_transaction(c)) {
        return gy_err_set(err, GY_E_CONFLICT, "no transaction is open");
    }
    gy_pg_defer(c, SAVEPOINT);
    return GY_OK;
}

static gy_status pg_release(void *conn, struct gy_err *err)
{
    struct gy_pg_conn *c = conn;
    if (!pg_in_transaction(c)) {
        return gy_err_set(err, GY_E_CONFLICT, "no transaction is open");
    }
    if (c->failed) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "a statement failed, so what was done since the savepoint is lost");
    }
    if (!drop_empty_savepoint(c)) {
        gy_pg_defer(c, RELEASE);
    }
    return GY_OK;
}

static gy_status pg_rollback_to(void *conn, struct gy_err *err)
{
    struct gy_pg_conn *c = conn;
    if (!pg_in_transaction(c)) {
        return gy_err_set(err, GY_E_CONFLICT, "no transaction is open");
    }
    if (!drop_empty_savepoint(c)) {
        gy_pg_defer(c, "ROLLBACK TO closure");
        gy_pg_defer(c, RELEASE);
    }
    c->failed = false;
    return GY_OK;
}

/* ---- damage ---- */

/* PostgreSQL has no check of its own that any user may run: what it knows to be unsound is told.
 * Damaged pages are found by its checksums when they are read (XX001). */
static const char *const unsound[] = {
    "SELECT 'constraint ' || conname || ' of ' || conrelid::regclass::text || ' is not validated' "
    "FROM pg_catalog.pg_constraint WHERE NOT convalidated AND connamespace = "
    "(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema()) LIMIT 1",
    "SELECT 'index ' || i.indexrelid::regclass::text || ' is not valid' FROM pg_catalog.pg_index i "
    "JOIN pg_catalog.pg_class t ON t.oid = i.indrelid WHERE NOT (i.indisvalid AND i.indisready) "
    "AND t.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = "
    "current_schema()) LIMIT 1",
};

static gy_status check_one(struct gy_pg_conn *c, const char *sql, struct gy_err *err)
{
    void *st = NULL;
    bool row = false;
    GY_TRY(gy_pg_prepare(c, sql, &st, err));
    gy_status status = gy_pg_step(st, &row, err);
    if (status == GY_OK && row) {
        struct gy_val v;
        gy_pg_column(st, 0, GY_VAL_TEXT, &v);
        status = gy_err_set(err, GY_E_CORRUPT, "%" GY_STR_F, GY_STR_A(v.s));
    }
    gy_pg_finalize(st);
    return status;
}

static gy_status pg_check(void *conn, struct gy_err *err)
{
    for (size_t i = 0; i < sizeof unsound / sizeof unsound[0]; i++) {
        GY_TRY(check_one(conn, unsound[i], err));
    }
    return GY_OK;
}

/* ---- the lease ---- */

/* A lock of the session: PostgreSQL ends it when the connection ends. Taken again it would count,
 * so a held one is only asked whether it is still there, which the connection's life tells. */
static gy_status pg_lease(void *conn, bool *ret_held, struct gy_err *err)
{
    struct gy_pg_conn *c = conn;
    void *st = NULL;
    bool row = false;
    struct gy_val v = {0};
    *ret_held = false;
    GY_TRY(gy_pg_ready(c, err));
    bool held = c->lease_epoch == c->epoch;
    GY_TRY(gy_pg_prepare(c,
                         held ? "SELECT true"
                              : "SELECT pg_try_advisory_lock(1735225958, "
                                "hashtext(COALESCE(current_schema(), '')))",
                         &st, err));
    gy_status status = gy_pg_step(st, &row, err);
    if (status == GY_OK && row) {
        gy_pg_column(st, 0, GY_VAL_INT, &v);
        c->lease_epoch = v.i ? c->epoch : 0;
        *ret_held = v.i != 0;
    }
    gy_pg_finalize(st);
    return status;
}

/* FULL writes the table into a new file; the old one goes. What the server's own write-ahead log
 * and its archives hold is its operator's (docs/erasure.md). */
static gy_status pg_compact(void *conn, const char *tables, struct gy_err *err)
{
    struct gy_str rest = gy_str_c(tables), table;
    while (gy_str_next(&rest, ',', &table)) {
        char sql[256];
        table = gy_str_trim(table);
        (void)snprintf(sql, sizeof sql, "VACUUM (FULL) %" GY_STR_F, GY_STR_A(table));
        GY_TRY(pg_exec(conn, sql, err));
    }
    return GY_OK;
}

static const struct gy_sql_ops postgres_ops = {
    .version = 1,
    .name = "postgresql",
    .dialect = GY_SQL_POSTGRES,
    .is_memory = pg_is_memory,
    .open = pg_open,
    .close = pg_close,
    .prepare = gy_pg_prepare,
    .finalize = gy_pg_finalize,
    .bind = gy_pg_bind,
    .step = gy_pg_step,
    .reset = gy_pg_reset,
    .n_columns = gy_pg_n_columns,
    .column = gy_pg_column,
    .changes = pg_changes,
    .last_id = pg_last_id,
    .exec = pg_exec,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .in_transaction = pg_in_transaction,
    .savepoint = pg_savepoint,
    .release = pg_release,
    .rollback_to = pg_rollback_to,
    .check = pg_check,
    .exec_many = gy_pg_exec_many,
    .lease = pg_lease,
    .compact = pg_compact,
};

const struct gy_sql_driver gy_sql_postgres = {&postgres_ops, NULL};
