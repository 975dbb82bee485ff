/* SPDX-License-Identifier: Apache-2.0 */
/* gy_sql_ops: what a database has to offer to carry the store, at the level of SQL text and rows.
 * The rest of the store (writer thread, statement cache, migrations) and every room stand on it and
 * see no driver. Backends: sqlite (gy_sql_sqlite; file and memory) and PostgreSQL
 * (gy_sql_postgres); a fault-injecting wrapper lives in the tests. One conformance suite runs on
 * all.
 *
 * Portability: statements use '?' parameters, are one statement each (exec alone takes several),
 * and stay within what SQLite and PostgreSQL both understand: ON CONFLICT .. DO UPDATE/NOTHING,
 * RETURNING, WITH RECURSIVE.
 *
 * Thread rule: a connection and its statements are used by one thread at a time; the store sees to
 * that. */
#ifndef GY_STORE_SQL_H
#define GY_STORE_SQL_H

#include "base/limits.h"
#include "store/store.h"

#define GY_SQL_MAX_VALUE (256 * GY_MIB) /* bytes of a text, a blob or a row: TOOBIG beyond */

enum gy_sql_dialect { GY_SQL_SQLITE, GY_SQL_POSTGRES };

struct gy_sql_config {
    struct gy_str
        location;    /* sqlite: what follows "sqlite://", a path or ":memory:"; else the URL */
    const char *vfs; /* sqlite: the VFS to use; NULL: the default */
    int busy_timeout_ms;
    bool read_only; /* another program's database: nothing is made, changed or configured */
};

/* Errors, all functions: EXISTS (unique constraint), CONFLICT (another constraint), INVALID (SQL or
 * parameters), BUSY, NOSPACE, NOMEM, TOOBIG, CORRUPT (damaged or no database), DENIED (read only),
 * IO. */
struct gy_sql_ops {
    uint32_t version; /* 1; the table grows at its end only */
    const char *name;
    enum gy_sql_dialect dialect;
    /* A memory database lives in its one connection: the store then shares that connection under a
     * lock. MUST. */
    bool (*is_memory)(void *self, const struct gy_sql_config *c);
    /* Open durable: after commit returned GY_OK the changes survive a power loss. MUST. */
    gy_status (*open)(void *self, const struct gy_sql_config *c, void **ret_conn,
                      struct gy_err *err);
    void (*close)(void *conn); /* statements were finalized before; NULL is not passed. MUST */

    /* Statements. MUST, all of them. */
    gy_status (*prepare)(void *conn, const char *sql, void **ret_stmt, struct gy_err *err);
    void (*finalize)(void *stmt);
    /* Exactly the parameters the text has, else INVALID. copy false: text and blobs stay valid
     * until reset. */
    gy_status (*bind)(void *stmt, const struct gy_val *vals, size_t n, bool copy,
                      struct gy_err *err);
    gy_status (*step)(void *stmt, bool *ret_row, struct gy_err *err);
    void (*reset)(void *stmt); /* also after errors; parameters are forgotten */
    int (*n_columns)(void *stmt);
    /* Column of the current row as `want` (GY_VAL_NULL: only its kind): ret->kind is what is
     * stored, and the member of `want` is filled, converted where needed. Out of range:
     * GY_VAL_NULL. Views live until the next step or reset. */
    void (*column)(void *stmt, int column, enum gy_val_kind want, struct gy_val *ret);
    int64_t (*changes)(void *conn); /* rows changed by the last INSERT, UPDATE or DELETE */
    int64_t (*last_id)(void *conn);

    /* Several statements without parameters, for migrations. MUST. */
    gy_status (*exec)(void *conn, const char *sql, struct gy_err *err);

    /* Transactions. MUST. Inside begin(write false) statements that write fail with DENIED.
     * begin(write true) takes the write lock at once, so that no later statement fails for want of
     * it. A failed commit leaves the transaction open or ended (in_transaction tells); rollback
     * ends it in any case. */
    gy_status (*begin)(void *conn, bool write, struct gy_err *err);
    gy_status (*commit)(void *conn, struct gy_err *err);
    void (*rollback)(void *conn);
    bool (*in_transaction)(
        void *conn); /* false when an error made the database roll back by itself */
    /* After a statement failed, rollback_to or rollback is all that is sure to work: SQLite goes
     * on, PostgreSQL refuses what comes (a closure must not live on failures: ON CONFLICT DO
     * NOTHING). */
    gy_status (*savepoint)(void *conn, struct gy_err *err);
    gy_status (*release)(void *conn, struct gy_err *err); /* keep what came since the savepoint */
    gy_status (*rollback_to)(void *conn, struct gy_err *err); /* undo it; ends the savepoint */

    /* Bytes of log not yet moved into the database, and moving what no reader still needs, without
     * waiting for anyone. MAY be NULL both: the database does that alone. */
    int64_t (*wal_bytes)(void *conn);
    gy_status (*checkpoint)(void *conn, struct gy_err *err);
    /* Write a consistent copy to a new file; inside a transaction: of the state it sees. MAY be
     * NULL: no backup before a migration. */
    gy_status (*backup)(void *conn, const char *path, struct gy_err *err);
    /* Verify the stored structures: CORRUPT with the first finding. MUST. */
    gy_status (*check)(void *conn, struct gy_err *err);

    /* gy_db_exec_many over a statement of this connection. MAY be NULL: row by row. */
    gy_status (*exec_many)(void *stmt, const struct gy_val *vals, size_t n_vals, size_t n_rows,
                           int64_t *ret_changes, struct gy_err *err);

    /* Take the database's one lease of background work, or make sure that this connection still has
     * it: *ret_held. It ends with the connection, and with the process however that dies. Outside
     * of transactions. MAY be NULL: the database belongs to one process, which has it. */
    gy_status (*lease)(void *conn, bool *ret_held, struct gy_err *err);

    /* Write these tables ("a, b") anew, so that nothing of what was deleted is left in the files
     * that the database reads, outside of transactions. SQLite: of all tables, and of the log of
     * writes. Waits for readers, at most for the busy timeout: BUSY. MAY be NULL: nothing is ever
     * left. */
    gy_status (*compact)(void *conn, const char *tables, struct gy_err *err);
};

/* A backend and its own state (wrappers: the wrapped driver; sqlite: NULL). Outlives every
 * connection. */
struct gy_sql_driver {
    const struct gy_sql_ops *ops;
    void *self;
};

extern const struct gy_sql_driver gy_sql_sqlite;
extern const struct gy_sql_driver gy_sql_postgres;

#endif
