/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata store: SQL behind a vtable (SQLite or PostgreSQL), so rooms write portable SQL with
 * '?' parameters and never see a driver. All writes go through one writer thread with group commit:
 * gy_store_write queues a closure, runs it inside its own SAVEPOINT of a group transaction, and
 * returns after COMMIT (durable: WAL, synchronous=FULL). A closure that fails is rolled back alone.
 * Reads run on a small pool of connections and see committed data. */
#ifndef GY_STORE_STORE_H
#define GY_STORE_STORE_H

#include "base/arena.h"
#include "base/buf.h"

struct gy_store;
struct gy_sql_driver;
struct gy_db;   /* a connection inside a read or write closure; never kept */
struct gy_stmt; /* a prepared statement of that connection, cached by SQL text */

struct gy_store_options {
    const char *url;  /* "sqlite:///abs/path/gyre.db", "sqlite://:memory:", "postgresql://.." */
    int n_readers;    /* 0: 4 */
    size_t max_queue; /* closures waiting for the writer; 0: 10000; beyond: BUSY */
    int max_group;    /* closures a transaction; 0: 1000 */
    const char *vfs;  /* tests: the name of a SQLite VFS (fault shim); NULL: the default */
    const char *home; /* which of the homes on a shared database this is; NULL: its only one */
    bool migrate;     /* PostgreSQL: an older database may be brought to this program's schema */
    const struct gy_sql_driver *driver; /* tests: another backend (store/sql.h); NULL: by the URL */
};

/* Open, back up and migrate when older (SQLite; PostgreSQL only with `migrate`). Fails: VERSION (a
 * newer database, or an older one that may not be changed, with a hint), CORRUPT, IO, UNAVAILABLE
 * (the database server), NOMEM. No message quotes a password of the URL. */
GY_CHECKED gy_status gy_store_open(const struct gy_store_options *o, struct gy_store **ret,
                                   struct gy_err *err);
void gy_store_free(struct gy_store *s); /* finishes queued writes, checkpoints, closes */
GY_DEFINE_AUTO(struct gy_store *, gy_store_free);

/* The closure's own arguments and results travel in ctx. It must not call gy_store_* itself
 * (GY_REQUIRE), may use gy_db_*, and must leave no statement mid-way (gy_db_* helpers see to that).
 */
typedef gy_status (*gy_db_fn)(struct gy_db *db, void *ctx, struct gy_err *err);
/* Run on the writer thread; returns after COMMIT. Any thread. Fails: what fn returned; BUSY;
 * IO/NOSPACE when COMMIT failed (then nothing of the group is there). */
GY_CHECKED gy_status gy_store_write(struct gy_store *s, gy_db_fn fn, void *ctx, struct gy_err *err);
/* Run on the caller's thread with a pooled read connection inside one read transaction. */
GY_CHECKED gy_status gy_store_read(struct gy_store *s, gy_db_fn fn, void *ctx, struct gy_err *err);

/* Leave nothing of what was deleted from these tables ("reviews, feedback") in the database's files
 * (gy_sql_ops.compact). Every write waits meanwhile; needs room for a second copy. Not inside a
 * closure. Fails: BUSY (a reader did not end), NOSPACE, IO, DENIED. */
GY_CHECKED gy_status gy_store_compact(struct gy_store *s, const char *tables, struct gy_err *err);

struct gy_store_stats {
    uint64_t commits, closures, failed_closures;
    int64_t queued, wal_bytes, commit_us_p50, commit_us_p99,
        commit_us_max; /* over the last 1024 commits */
};
void gy_store_get_stats(struct gy_store *s, struct gy_store_stats *ret);
/* Is this the one process, of all that have the database open, that does the work of which there is
 * one: triggers, webhooks, the guard of rollouts? The first that asks has it until it ends or loses
 * its connection; then another one gets it when it asks. Ask again before each round: the answer is
 * at most a second old. false also when the database can not be asked. Any thread. */
bool gy_store_leads(struct gy_store *s);
bool gy_store_url_is_shared(const char *url);      /* a store of that URL would be */
bool gy_store_is_shared(const struct gy_store *s); /* others may have it open, too */
GY_CHECKED gy_status gy_store_check(struct gy_store *s,
                                    struct gy_err *err); /* integrity check; CORRUPT */

/* ---- values ---- */
enum gy_val_kind { GY_VAL_NULL, GY_VAL_INT, GY_VAL_REAL, GY_VAL_TEXT, GY_VAL_BLOB };
struct gy_val {
    enum gy_val_kind kind;
    int64_t i;
    double f;
    struct gy_str s;
};
static inline struct gy_val gy_vi(int64_t i)
{
    return (struct gy_val){.kind = GY_VAL_INT, .i = i};
}
static inline struct gy_val gy_vf(double f) /* NaN is stored as NULL; infinities stay */
{
    return (struct gy_val){.kind = GY_VAL_REAL, .f = f};
}
static inline struct gy_val gy_vs(struct gy_str s) /* the absent string is NULL */
{
    return (struct gy_val){.kind = s.p ? GY_VAL_TEXT : GY_VAL_NULL, .s = s};
}
static inline struct gy_val gy_vc(const char *s)
{
    return gy_vs(gy_str_c(s));
}
static inline struct gy_val gy_vb(struct gy_str bytes)
{
    return (struct gy_val){.kind = GY_VAL_BLOB, .s = bytes};
}
static inline struct gy_val gy_vnull(void)
{
    return (struct gy_val){.kind = GY_VAL_NULL};
}

/* ---- statements, inside closures ----
 * gy_db_exec(db, "INSERT INTO t(a,b) VALUES(?,?)", GY_VALS(gy_vc(a), gy_vi(b)), &n, err): bound
 * parameters only. */
#define GY_VALS(...)                        \
    ((const struct gy_val[]){__VA_ARGS__}), \
        (sizeof((const struct gy_val[]){__VA_ARGS__}) / sizeof(struct gy_val))
#define GY_NO_VALS NULL, 0

/* Run to the end; *ret_changes (MAY be NULL) = rows changed. Fails: EXISTS (unique constraint),
 * CONFLICT (other constraint), INVALID (SQL), IO, NOSPACE, BUSY, NOMEM, CORRUPT. */
GY_CHECKED gy_status gy_db_exec(struct gy_db *db, const char *sql, const struct gy_val *vals,
                                size_t n_vals, int64_t *ret_changes, struct gy_err *err);
/* The same statement for many rows, at the price of few round trips where the database is far: an
 * INSERT of one row of parameters, with or without ON CONFLICT; no two rows may meet in one DO
 * UPDATE. vals has n_rows times n_vals values, row by row; a column has one kind in all rows (or
 * NULL). n_rows 0 does nothing. */
GY_CHECKED gy_status gy_db_exec_many(struct gy_db *db, const char *sql, const struct gy_val *vals,
                                     size_t n_vals, size_t n_rows, int64_t *ret_changes,
                                     struct gy_err *err);
/* Start a query; step with gy_stmt_step until *ret_row is false; then (or earlier) gy_stmt_finish.
 */
GY_CHECKED gy_status gy_db_query(struct gy_db *db, const char *sql, const struct gy_val *vals,
                                 size_t n_vals, struct gy_stmt **ret, struct gy_err *err);
GY_CHECKED gy_status gy_stmt_step(struct gy_stmt *st, bool *ret_row, struct gy_err *err);
void gy_stmt_finish(struct gy_stmt *st); /* back to the cache; NULL allowed */
GY_DEFINE_AUTO(struct gy_stmt *, gy_stmt_finish);
/* Columns of the current row, from 0; views live until the next step. NULL: 0, 0.0, the absent
 * string. */
int64_t gy_col_i64(struct gy_stmt *st, int column);
double gy_col_f64(struct gy_stmt *st, int column);
struct gy_str gy_col_str(struct gy_stmt *st, int column);
struct gy_str gy_col_blob(struct gy_stmt *st, int column);
bool gy_col_null(struct gy_stmt *st, int column);
enum gy_val_kind gy_col_kind(struct gy_stmt *st, int column); /* as it is stored */
/* Copy into an arena. */
struct gy_str gy_col_dup(struct gy_stmt *st, int column, struct gy_arena *a);
/* The same, telling NULL (GY_OK, the absent string) from want of memory (NOMEM). */
GY_CHECKED gy_status gy_col_copy(struct gy_stmt *st, int column, struct gy_arena *a,
                                 struct gy_str *ret, struct gy_err *err);
/* First column of the first row; *ret_found false without a row. */
GY_CHECKED gy_status gy_db_get_i64(struct gy_db *db, const char *sql, const struct gy_val *vals,
                                   size_t n_vals, bool *ret_found, int64_t *ret,
                                   struct gy_err *err);
GY_CHECKED gy_status gy_db_get_str(struct gy_db *db, const char *sql, const struct gy_val *vals,
                                   size_t n_vals, struct gy_arena *a, bool *ret_found,
                                   struct gy_str *ret, struct gy_err *err);
int64_t gy_db_last_id(struct gy_db *db); /* rowid of the last INSERT */

#endif
