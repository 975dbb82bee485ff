/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the PostgreSQL backend share. A connection speaks in libpq's pipeline mode:
 * what needs no answer of its own (BEGIN of a reader, SAVEPOINT, RELEASE, DEALLOCATE) is deferred
 * and goes out with the next statement, so that a statement costs one round trip, its first use
 * included. A result comes row by row; only when another statement is run while one is being read
 * are the rest of its rows kept in memory.
 *
 * A connection that was lost is opened again where nothing depends on it: at the begin of a
 * transaction, or for the first statement of a read. Prepared statements know the epoch of the
 * connection that they belong to. */
#ifndef GY_STORE_POSTGRES_INTERNAL_H
#define GY_STORE_POSTGRES_INTERNAL_H

#include "base/arena.h"
#include "store/postgres_lib.h"
#include "store/postgres_sql.h"
#include "store/sql.h"

#define GY_PG_MAX_DEFERRED 8
#define GY_PG_MAX_DEAD 64               /* prepared statements to be forgotten with the next one */
#define GY_PG_MAX_KEPT GY_SQL_MAX_VALUE /* bytes of rows kept for a statement that was left */
#define GY_PG_BEGIN_READ "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
#define GY_PG_VARIANTS 4                      /* prepared statements of one text, by types */
#define GY_PG_MANY_ROWS 10000                 /* rows of one exec_many statement */
#define GY_PG_MANY_BYTES (size_t)(8 * GY_MIB) /* of its parameters, about */

enum gy_pg_type { /* object identifiers of PostgreSQL's own types: fixed for good */
                  GY_PG_UNKNOWN = 0,
                  GY_PG_BOOL = 16,
                  GY_PG_BYTEA = 17,
                  GY_PG_NAME = 19,
                  GY_PG_INT8 = 20,
                  GY_PG_INT2 = 21,
                  GY_PG_INT4 = 23,
                  GY_PG_TEXT = 25,
                  GY_PG_OID = 26,
                  GY_PG_FLOAT4 = 700,
                  GY_PG_FLOAT8 = 701,
                  GY_PG_VARCHAR = 1043,
                  GY_PG_NUMERIC = 1700,
                  GY_PG_BYTEA_ARRAY = 1001,
                  GY_PG_TEXT_ARRAY = 1009,
                  GY_PG_INT8_ARRAY = 1016,
                  GY_PG_FLOAT8_ARRAY = 1022,
};

struct gy_pg_stmt;

struct gy_pg_conn {
    const struct gy_pq_lib *lib;
    struct gy_pq *pq;
    char *url;
    char *password; /* of the URL, never to be shown; NULL: it has none */
    int busy_timeout_ms;
    bool foreign;   /* somebody's database, that is only read (postgres_rows.h): no pipeline */
    unsigned epoch; /* counts the connections */
    uint64_t n_names;
    const char *deferred[GY_PG_MAX_DEFERRED];
    size_t n_deferred;
    uint64_t dead[GY_PG_MAX_DEAD];
    size_t n_dead;
    bool in_transaction;          /* also while its BEGIN is deferred */
    bool reading;                 /* it is one of a reader */
    bool answered;                /* a statement of it was answered: it can not begin anew */
    bool failed;                  /* a statement of it failed: nothing runs until the savepoint */
    bool broken;                  /* it has ended, whatever libpq says */
    bool waiting;                 /* answers are under way that nobody reads */
    struct gy_pg_stmt *streaming; /* whose rows are under way */
    unsigned lease_epoch;         /* the epoch in which it has the lease; 0: it has not */
    int64_t changes, last_id;
    struct gy_arena arena; /* of identities */
    struct gy_pg_identity {
        struct gy_str table, column;
    } * identities; /* columns that number themselves; NULL: not asked yet */
    size_t n_identities;
};

/* A prepared statement of the server: one text with one list of parameter types. PostgreSQL is told
 * the type of each value, and infers it where the value is NULL; what it inferred is remembered, so
 * that the next value of that type finds the same one. */
struct gy_pg_variant {
    uint64_t name;     /* "gy<name>"; 0: none */
    unsigned epoch;    /* of the connection that it belongs to */
    unsigned *types;   /* n_params */
    uint64_t last_use; /* counts binds */
};

struct gy_pg_stmt {
    struct gy_pg_conn *c;
    char *sql;  /* as given; info points into it */
    char *text; /* as PostgreSQL wants it */
    struct gy_pg_sql info;
    struct gy_str identity; /* the column of an INSERT that numbers itself, returned unasked */
    bool sets_identity;     /* the INSERT gives that column itself */
    struct gy_pg_variant variants[GY_PG_VARIANTS];
    uint64_t n_binds;

    /* parameters, all as bytes in PostgreSQL's binary form */
    unsigned *kinds; /* the type of each value; GY_PG_UNKNOWN: NULL */
    const char **values;
    int *lengths, *formats;
    char (*numbers)[8];
    struct gy_buf copied;
    bool bound;

    /* rows */
    bool started, done;
    int n_columns;
    unsigned *column_types;
    char (*texts)[64];        /* a number of a column as text */
    struct gy_pq_result *row; /* the current one */
    struct gy_str *cells;     /* of the current one; absent: NULL */
    bool has_row;
    struct gy_buf
        kept; /* rows read ahead: of each cell its length (4 bytes; -1 NULL), bytes, NUL */
    size_t kept_at;
    struct gy_err late; /* what ended the rows read ahead */

    struct gy_pg_stmt *many; /* the same for many rows, made at its first use */
    char *many_types;        /* the kinds of columns that it is for */
};

/* ---- postgres_conn.c ---- */

/* Open cfg->location. Fails: MISSINGDEP, INVALID (URL), UNAVAILABLE, UNAUTHENTICATED, NOTFOUND (no
 * such database), VERSION (too old), NOMEM. */
GY_CHECKED gy_status gy_pg_connect(const struct gy_sql_config *cfg, struct gy_pg_conn **ret,
                                   struct gy_err *err);
/* The same for somebody's database, of any encoding, that is asked plain queries only. */
GY_CHECKED gy_status gy_pg_connect_foreign(const char *url, struct gy_pg_conn **ret,
                                           struct gy_err *err);
void gy_pg_disconnect(struct gy_pg_conn *c);
/* Open again when it was lost and no transaction is open. */
GY_CHECKED gy_status gy_pg_ready(struct gy_pg_conn *c, struct gy_err *err);
GY_CHECKED gy_status gy_pg_reconnect(struct gy_pg_conn *c, struct gy_err *err);
bool gy_pg_is_lost(const struct gy_pg_conn *c);

void gy_pg_defer(struct gy_pg_conn *c, const char *sql);
/* Send what was deferred, *ret_n commands; the statement and gy_pg_sync are the caller's next
 * calls. What is under way is read to its end before. */
GY_CHECKED gy_status gy_pg_send_deferred(struct gy_pg_conn *c, size_t *ret_n, struct gy_err *err);
GY_CHECKED gy_status gy_pg_sync(struct gy_pg_conn *c, struct gy_err *err);
/* The answers of n commands that give no rows; the first failure is told, the others are read all
 * the same. ret_tag (MAY be NULL): what the last one says it did. */
GY_CHECKED gy_status gy_pg_read_commands(struct gy_pg_conn *c, size_t n, char ret_tag[64],
                                         struct gy_err *err);
/* Read to the end of what is under way and keep nothing. */
void gy_pg_discard(struct gy_pg_conn *c);
/* One command without parameters and rows, after what is deferred. */
GY_CHECKED gy_status gy_pg_command(struct gy_pg_conn *c, const char *sql, char ret_tag[64],
                                   struct gy_err *err);
/* What a failed result, or a lost connection (r NULL), says. */
gy_status gy_pg_fail(struct gy_pg_conn *c, const struct gy_pq_result *r, const char *what,
                     struct gy_err *err);
gy_status gy_pg_status_of(const char *sqlstate);

/* ---- postgres_stmt.c ---- */

GY_CHECKED gy_status gy_pg_prepare(void *conn, const char *sql, void **ret_stmt,
                                   struct gy_err *err);
void gy_pg_finalize(void *stmt);
GY_CHECKED gy_status gy_pg_bind(void *stmt, const struct gy_val *vals, size_t n, bool copy,
                                struct gy_err *err);
GY_CHECKED gy_status gy_pg_step(void *stmt, bool *ret_row, struct gy_err *err);
void gy_pg_reset(void *stmt);
int gy_pg_n_columns(void *stmt);
void gy_pg_column(void *stmt, int column, enum gy_val_kind want, struct gy_val *ret);
/* A statement for a text that PostgreSQL understands already; it is taken over, also on failure. */
GY_CHECKED gy_status gy_pg_stmt_new(struct gy_pg_conn *c, const char *sql, char *text,
                                    size_t n_params, struct gy_pg_stmt **ret, struct gy_err *err);
void gy_pg_stmt_free(struct gy_pg_stmt *s); /* not prepared, or that is done with */
/* Keep the rest of its rows in memory, so that the connection is free. */
void gy_pg_keep_rest(struct gy_pg_stmt *s);
void gy_pg_forget_identities(struct gy_pg_conn *c);

/* ---- postgres_many.c ---- */

GY_CHECKED gy_status gy_pg_exec_many(void *stmt, const struct gy_val *vals, size_t n_vals,
                                     size_t n_rows, int64_t *ret_changes, struct gy_err *err);

/* ---- postgres_value.c ---- */

/* A cell in PostgreSQL's binary form as a value. text[64] is where a number is written when a text
 * is wanted of it. */
void gy_pg_decode(unsigned type, struct gy_str bytes, enum gy_val_kind want, char text[64],
                  struct gy_val *ret);
/* Eight bytes, most significant first. */
void gy_pg_put64(char out[8], uint64_t v);
void gy_pg_put32(char out[4], uint32_t v);
uint64_t gy_pg_double_bits(double v);

#endif
