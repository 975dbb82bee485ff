/* SPDX-License-Identifier: Apache-2.0 */
/* The sqlite backend. Durability: WAL with synchronous=FULL, so COMMIT returns after the log is on
 * disk. Checkpoints are the writer's business (autocheckpoint is off): they would otherwise fall
 * into some caller's commit. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "store/sql.h"

#define WAL_FRAME_HEADER                                                     \
    24 /* bytes before each page in the log: SQLite file format, section 4.1 \
        */
#define WAL_FILE_KEEP                                                          \
    (64 * 1024 * 1024) /* the log file is cut back to this when it starts over \
                        */

/* What the writer says for every closure, prepared once, so that it costs no parsing and, for
 * ROLLBACK, no memory. */
enum fixed { BEGIN_READ, BEGIN_WRITE, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, N_FIXED };
static const char *const fixed_sql[N_FIXED] = {"BEGIN",    "BEGIN IMMEDIATE",   "COMMIT",
                                               "ROLLBACK", "SAVEPOINT closure", "RELEASE closure"};

struct sqlite_conn {
    sqlite3 *db;
    sqlite3_stmt *fixed[N_FIXED]; /* all of them, once open */
    int wal_frames;               /* in the log after the last commit of this connection */
    int page_bytes;
    bool query_only;
};

struct sqlite_stmt {
    struct sqlite_conn *conn;
    sqlite3_stmt *st;
};

static gy_status status_of(int extended)
{
    switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return GY_E_EXISTS;
    default:
        break;
    }
    switch (extended & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return GY_OK;
    case SQLITE_CONSTRAINT:
        return GY_E_CONFLICT;
    case SQLITE_FULL:
        return GY_E_NOSPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return GY_E_BUSY;
    case SQLITE_NOMEM:
        return GY_E_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return GY_E_CORRUPT;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return extended == SQLITE_IOERR_NOMEM ? GY_E_NOMEM : GY_E_IO;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return GY_E_DENIED;
    case SQLITE_TOOBIG:
        return GY_E_TOOBIG;
    case SQLITE_ERROR:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
        return GY_E_INVALID;
    case SQLITE_INTERRUPT:
        return GY_E_CANCELLED;
    default:
        return GY_E_FAILED;
    }
}

/* ENOSPC reaches SQLite as a failed write; what the file system said is kept beside the code. */
static gy_status fail_as(struct sqlite_conn *c, int rc, struct gy_err *err, const char *what)
{
    int extended = c->db ? sqlite3_extended_errcode(c->db) : rc;
    if (status_of(extended) == GY_OK) {
        extended = rc;
    }
    gy_status code = status_of(extended);
    int sys = c->db ? sqlite3_system_errno(c->db) : 0;
    if (code == GY_E_IO && (sys == ENOSPC || sys == EDQUOT)) {
        code = GY_E_NOSPACE;
    }
    const char *text = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    return gy_err_set(err, code == GY_OK ? GY_E_FAILED : code, "%s: %s (SQLite %d)", what, text,
                      extended);
}

static bool sqlite_is_memory(void *self, const struct gy_sql_config *c)
{
    (void)self;
    return gy_str_eqc(c->location, ":memory:");
}

static gy_status sqlite_exec(void *conn, const char *sql, struct gy_err *err)
{
    struct sqlite_conn *c = conn;
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        return GY_OK;
    }
    char what[96];
    snprintf(what, sizeof what, "%.60s%s", sql, strlen(sql) > 60 ? "..." : "");
    return fail_as(c, rc, err, what);
}

static int note_frames(void *conn, sqlite3 *db, const char *schema, int frames)
{
    (void)db;
    (void)schema;
    ((struct sqlite_conn *)conn)->wal_frames = frames;
    return SQLITE_OK;
}

static gy_status query_int(struct sqlite_conn *c, const char *sql, int *ret, struct gy_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    if (rc == SQLITE_ROW) {
        *ret = sqlite3_column_int(st, 0);
    }
    gy_status status = rc == SQLITE_ROW ? GY_OK : fail_as(c, rc, err, sql);
    (void)sqlite3_finalize(st); /* repeats the status of the step */
    return status;
}

static gy_status prepare_fixed(struct sqlite_conn *c, struct gy_err *err)
{
    for (int i = 0; i < N_FIXED; i++) {
        int rc = sqlite3_prepare_v3(c->db, fixed_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &c->fixed[i], NULL);
        if (rc != SQLITE_OK) {
            return fail_as(c, rc, err, fixed_sql[i]);
        }
    }
    return GY_OK;
}

static gy_status configure(struct sqlite_conn *c, const struct gy_sql_config *cfg,
                           struct gy_err *err)
{
    (void)sqlite3_extended_result_codes(c->db, 1);
    GY_TRY(prepare_fixed(c, err));
    (void)sqlite3_busy_timeout(c->db, cfg->busy_timeout_ms);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, (int)GY_SQL_MAX_VALUE);
    (void)sqlite3_limit(c->db, SQLITE_LIMIT_ATTACHED, 1); /* VACUUM INTO takes one */
    if (cfg->read_only) {
        return sqlite_exec(c, "PRAGMA query_only=ON", err);
    }
    if (sqlite_is_memory(NULL, cfg)) {
        return sqlite_exec(c, "PRAGMA foreign_keys=ON; PRAGMA case_sensitive_like=ON", err);
    }
    char sql[256];
    snprintf(sql, sizeof sql,
             "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
             "PRAGMA case_sensitive_like=ON;" /* as PostgreSQL's LIKE */
             "PRAGMA journal_size_limit=%d; PRAGMA cache_size=-8000; PRAGMA mmap_size=2147418112",
             WAL_FILE_KEEP);
    GY_TRY(sqlite_exec(c, sql, err));
    GY_TRY(query_int(c, "PRAGMA page_size", &c->page_bytes, err));
    (void)sqlite3_wal_hook(c->db, note_frames, c); /* replaces the autocheckpoint */
    return GY_OK;
}

static void sqlite_close(void *conn)
{
    struct sqlite_conn *c = conn;
    for (int i = 0; i < N_FIXED; i++) {
        (void)sqlite3_finalize(c->fixed[i]); /* repeats the status of its last step */
    }
    int rc = sqlite3_close(c->db);
    GY_REQUIRE(rc == SQLITE_OK); /* a statement was not finalized */
    gy_free(c);
}

static gy_status sqlite_open(void *self, const struct gy_sql_config *cfg, void **ret_conn,
                             struct gy_err *err)
{
    (void)self;
    char path[GY_MAX_PATH];
    if (cfg->location.n == 0 || cfg->location.n >= sizeof path ||
        memchr(cfg->location.p, 0, cfg->location.n)) {
        return gy_err_set(err, GY_E_INVALID, "not a database path: '%" GY_STR_F "'",
                          GY_STR_A(cfg->location));
    }
    memcpy(path, cfg->location.p, cfg->location.n);
    path[cfg->location.n] = '\0';
    struct sqlite_conn *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "opening the database");
    }
    /* One thread at a time is the rule of the store, so SQLite's own mutex would only cost. */
    int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
        (cfg->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    int rc = sqlite3_open_v2(path, &c->db, flags, cfg->vfs);
    gy_status status = rc == SQLITE_OK ? configure(c, cfg, err) : fail_as(c, rc, err, "open");
    if (status != GY_OK) {
        sqlite_close(c);
        gy_err_wrap(err, "database '%s'", path);
        return status;
    }
    *ret_conn = c;
    return GY_OK;
}

static gy_status sqlite_prepare(void *conn, const char *sql, void **ret_stmt, struct gy_err *err)
{
    struct sqlite_conn *c = conn;
    struct sqlite_stmt *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return gy_err_set(err, GY_E_NOMEM, "preparing a statement");
    }
    const char *tail = NULL;
    s->conn = c;
    int rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->st, &tail);
    gy_status status = rc == SQLITE_OK ? GY_OK : fail_as(c, rc, err, sql);
    if (status == GY_OK && (!s->st || tail[strspn(tail, " \t\r\n;")] != '\0')) {
        (void)sqlite3_finalize(s->st);
        status = gy_err_set(err, GY_E_INVALID, "one SQL statement is wanted: %s", sql);
    }
    if (status != GY_OK) {
        gy_free(s);
        return status;
    }
    *ret_stmt = s;
    return GY_OK;
}

static void sqlite_finalize(void *stmt)
{
    struct sqlite_stmt *s = stmt;
    (void)sqlite3_finalize(s->st); /* repeats the status of the last step */
    gy_free(s);
}

static int bind_one(sqlite3_stmt *st, int index, const struct gy_val *v, bool copy)
{
    sqlite3_destructor_type life = copy ? SQLITE_TRANSIENT : SQLITE_STATIC;
    const char *p = v->s.p ? v->s.p : "";
    switch (v->kind) {
    case GY_VAL_NULL:
        return sqlite3_bind_null(st, index);
    case GY_VAL_INT:
        return sqlite3_bind_int64(st, index, v->i);
    case GY_VAL_REAL:
        return sqlite3_bind_double(st, index, v->f);
    case GY_VAL_TEXT:
        return sqlite3_bind_text64(st, index, p, v->s.n, life, SQLITE_UTF8);
    case GY_VAL_BLOB:
        return sqlite3_bind_blob64(st, index, p, v->s.n, life);
    }
    return SQLITE_MISUSE;
}

static gy_status sqlite_bind(void *stmt, const struct gy_val *vals, size_t n, bool copy,
                             struct gy_err *err)
{
    struct sqlite_stmt *s = stmt;
    int wanted = sqlite3_bind_parameter_count(s->st);
    if (n != (size_t)wanted) {
        return gy_err_set(err, GY_E_INVALID, "%zu values for %d parameters: %s", n, wanted,
                          sqlite3_sql(s->st));
    }
    for (size_t i = 0; i < n; i++) {
        int rc = bind_one(s->st, (int)i + 1, &vals[i], copy);
        if (rc != SQLITE_OK) {
            return fail_as(s->conn, rc, err, "binding a value");
        }
    }
    return GY_OK;
}

static gy_status sqlite_step(void *stmt, bool *ret_row, struct gy_err *err)
{
    struct sqlite_stmt *s = stmt;
    int rc = sqlite3_step(s->st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return fail_as(s->conn, rc, err, sqlite3_sql(s->st));
    }
    *ret_row = rc == SQLITE_ROW;
    return GY_OK;
}

static void sqlite_reset(void *stmt)
{
    struct sqlite_stmt *s = stmt;
    (void)sqlite3_reset(s->st); /* repeats the status of the last step */
    (void)sqlite3_clear_bindings(s->st);
}

static int sqlite_n_columns(void *stmt)
{
    return sqlite3_column_count(((struct sqlite_stmt *)stmt)->st);
}

static enum gy_val_kind kind_of(int type)
{
    switch (type) {
    case SQLITE_INTEGER:
        return GY_VAL_INT;
    case SQLITE_FLOAT:
        return GY_VAL_REAL;
    case SQLITE_TEXT:
        return GY_VAL_TEXT;
    case SQLITE_BLOB:
        return GY_VAL_BLOB;
    default:
        return GY_VAL_NULL;
    }
}

static void sqlite_column(void *stmt, int column, enum gy_val_kind want, struct gy_val *ret)
{
    sqlite3_stmt *st = ((struct sqlite_stmt *)stmt)->st;
    *ret = (struct gy_val){.kind = kind_of(sqlite3_column_type(st, column))};
    if (ret->kind == GY_VAL_NULL) {
        return;
    }
    switch (want) {
    case GY_VAL_NULL:
        break;
    case GY_VAL_INT:
        ret->i = sqlite3_column_int64(st, column);
        break;
    case GY_VAL_REAL:
        ret->f = sqlite3_column_double(st, column);
        break;
    case GY_VAL_TEXT:
        ret->s.p = (const char *)sqlite3_column_text(st, column);
        ret->s.n = ret->s.p ? (size_t)sqlite3_column_bytes(st, column) : 0;
        break;
    case GY_VAL_BLOB:
        ret->s.p = sqlite3_column_blob(st, column);
        ret->s.n = (size_t)sqlite3_column_bytes(st, column);
        ret->s.p = ret->s.p ? ret->s.p : ""; /* SQLite gives NULL for an empty blob */
        break;
    }
}

static int64_t sqlite_changes(void *conn)
{
    return sqlite3_changes64(((struct sqlite_conn *)conn)->db);
}

static int64_t sqlite_last_id(void *conn)
{
    return sqlite3_last_insert_rowid(((struct sqlite_conn *)conn)->db);
}

static gy_status run_fixed(struct sqlite_conn *c, enum fixed which, struct gy_err *err)
{
    int rc = sqlite3_step(c->fixed[which]);
    gy_status status = rc == SQLITE_DONE ? GY_OK : fail_as(c, rc, err, fixed_sql[which]);
    (void)sqlite3_reset(c->fixed[which]); /* repeats the status of the step */
    return status;
}

/* Readers ask for query_only once; the shared connection of a memory database changes sides. */
static gy_status sqlite_begin(void *conn, bool write, struct gy_err *err)
{
    struct sqlite_conn *c = conn;
    if (c->query_only == write) {
        GY_TRY(sqlite_exec(c, write ? "PRAGMA query_only=OFF" : "PRAGMA query_only=ON", err));
        c->query_only = !write;
    }
    return run_fixed(c, write ? BEGIN_WRITE : BEGIN_READ, err);
}

static gy_status sqlite_commit(void *conn, struct gy_err *err)
{
    return run_fixed(conn, COMMIT, err);
}

static bool sqlite_in_transaction(void *conn)
{
    return !sqlite3_get_autocommit(((struct sqlite_conn *)conn)->db);
}

static void sqlite_rollback(void *conn)
{
    struct sqlite_conn *c = conn;
    if (sqlite_in_transaction(conn)) {
        (void)sqlite3_step(c->fixed[ROLLBACK]); /* ends the transaction whatever it reports */
        (void)sqlite3_reset(c->fixed[ROLLBACK]);
        GY_REQUIRE(!sqlite_in_transaction(conn));
    }
}

static gy_status sqlite_savepoint(void *conn, struct gy_err *err)
{
    return run_fixed(conn, SAVEPOINT, err);
}

static gy_status sqlite_release(void *conn, struct gy_err *err)
{
    return run_fixed(conn, RELEASE, err);
}

static gy_status sqlite_rollback_to(void *conn, struct gy_err *err)
{
    return sqlite_exec(conn, "ROLLBACK TO closure; RELEASE closure", err);
}

static int64_t sqlite_wal_bytes(void *conn)
{
    struct sqlite_conn *c = conn;
    return (int64_t)c->wal_frames * (c->page_bytes + WAL_FRAME_HEADER);
}

static gy_status sqlite_checkpoint(void *conn, struct gy_err *err)
{
    struct sqlite_conn *c = conn;
    int frames = 0, moved = 0;
    int rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
    if (rc != SQLITE_OK) {
        return fail_as(c, rc, err, "checkpoint");
    }
    c->wal_frames = frames > moved ? frames - moved : 0;
    return GY_OK;
}

/* VACUUM writes the whole database anew, into the log; a truncating checkpoint then moves it into
 * the file and empties the log. */
static gy_status sqlite_compact(void *conn, const char *tables, struct gy_err *err)
{
    struct sqlite_conn *c = conn;
    int frames = 0, moved = 0;
    (void)tables;
    if (c->query_only) {
        GY_TRY(sqlite_exec(conn, "PRAGMA query_only=OFF", err));
        c->query_only = false;
    }
    GY_TRY(sqlite_exec(conn, "VACUUM", err));
    int rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &frames, &moved);
    if (rc != SQLITE_OK) {
        return fail_as(c, rc, err, "emptying the log of the database");
    }
    c->wal_frames = 0;
    return GY_OK;
}

/* Page by page, of the state that the open transaction sees. */
static gy_status copy_pages(struct sqlite_conn *c, const char *path, struct gy_err *err)
{
    sqlite3 *to = NULL;
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (!to) { /* what SQLite could not even allocate must not be touched */
        return gy_err_set(err, GY_E_NOMEM, "copying the database to '%s'", path);
    }
    (void)sqlite3_extended_result_codes(to, 1);
    sqlite3_backup *b = rc == SQLITE_OK ? sqlite3_backup_init(to, "main", c->db, "main") : NULL;
    if (b) {
        (void)sqlite3_backup_step(b, -1); /* finish repeats what failed */
        (void)sqlite3_backup_finish(b);
    }
    rc = sqlite3_extended_errcode(to);
    gy_status status = rc == SQLITE_OK || rc == SQLITE_DONE
                           ? GY_OK
                           : gy_err_set(err, status_of(rc), "copying the database to '%s': %s",
                                        path, sqlite3_errstr(rc));
    (void)sqlite3_close(to);
    return status;
}

static gy_status sqlite_backup(void *conn, const char *path, struct gy_err *err)
{
    if (sqlite_in_transaction(conn)) {
        return copy_pages(conn, path, err);
    }
    void *stmt = NULL;
    GY_TRY(sqlite_prepare(conn, "VACUUM INTO ?", &stmt, err));
    bool row = false;
    gy_status status = sqlite_bind(stmt, GY_VALS(gy_vc(path)), false, err);
    if (status == GY_OK) {
        status = sqlite_step(stmt, &row, err);
    }
    sqlite_finalize(stmt);
    return status;
}

static gy_status check_with(void *conn, const char *pragma, bool any_row_is_bad, struct gy_err *err)
{
    void *stmt = NULL;
    GY_TRY(sqlite_prepare(conn, pragma, &stmt, err));
    bool row = false;
    gy_status status = sqlite_step(stmt, &row, err);
    if (status == GY_OK && row) {
        struct gy_val v;
        sqlite_column(stmt, 0, GY_VAL_TEXT, &v);
        if (any_row_is_bad || !gy_str_eqc(v.s, "ok")) {
            status = gy_err_set(err, GY_E_CORRUPT, "%s: %" GY_STR_F, pragma, GY_STR_A(v.s));
        }
    }
    sqlite_finalize(stmt);
    return status;
}

static gy_status sqlite_check(void *conn, struct gy_err *err)
{
    GY_TRY(check_with(conn, "PRAGMA integrity_check(1)", false, err));
    return check_with(conn, "PRAGMA foreign_key_check", true, err);
}

static const struct gy_sql_ops sqlite_ops = {
    .version = 1,
    .name = "sqlite",
    .dialect = GY_SQL_SQLITE,
    .is_memory = sqlite_is_memory,
    .open = sqlite_open,
    .close = sqlite_close,
    .prepare = sqlite_prepare,
    .finalize = sqlite_finalize,
    .bind = sqlite_bind,
    .step = sqlite_step,
    .reset = sqlite_reset,
    .n_columns = sqlite_n_columns,
    .column = sqlite_column,
    .changes = sqlite_changes,
    .last_id = sqlite_last_id,
    .exec = sqlite_exec,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .in_transaction = sqlite_in_transaction,
    .savepoint = sqlite_savepoint,
    .release = sqlite_release,
    .rollback_to = sqlite_rollback_to,
    .wal_bytes = sqlite_wal_bytes,
    .checkpoint = sqlite_checkpoint,
    .backup = sqlite_backup,
    .check = sqlite_check,
    .compact = sqlite_compact,
};

const struct gy_sql_driver gy_sql_sqlite = {&sqlite_ops, NULL};
