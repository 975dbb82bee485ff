/* SPDX-License-Identifier: Apache-2.0 */
/* Our SQL as PostgreSQL wants it. The rooms write what SQLite and PostgreSQL both understand
 * (store/sql.h); what is left is mechanical and is done here, token by token, so that literals,
 * quoted names and comments stay as they are. Pure functions. Not for other rooms. */
#ifndef GY_STORE_POSTGRES_SQL_H
#define GY_STORE_POSTGRES_SQL_H

#include "base/buf.h"

#define GY_PG_MAX_PARAMS 2048 /* parameters of one statement */

#define GY_PG_MAX_NULL_TESTS 16

struct gy_pg_sql {
    size_t n_params;
    size_t null_tests[GY_PG_MAX_NULL_TESTS]; /* parameters of "? IS NULL": of no type that tells */
    size_t n_null_tests;
    struct gy_str insert_table;   /* INSERT INTO this; absent: another statement */
    struct gy_str insert_columns; /* what stands in its parentheses; absent: no list */
    struct gy_str values;         /* what stands in the parentheses of its one VALUES row */
    struct gy_str after_values;   /* what follows it */
    bool returning;               /* it has a RETURNING of its own */
    bool changes_schema;          /* CREATE, ALTER or DROP */
};

/* One statement: '?' becomes $1, $2 ..; types in CAST become PostgreSQL's of the same width;
 * offsets of SUBSTR become INT4. Views in ret point into sql. Fails: INVALID (none or several
 * statements, an open literal, too many parameters), NOMEM. */
GY_CHECKED gy_status gy_pg_statement(const char *sql, struct gy_buf *out, struct gy_pg_sql *ret,
                                     struct gy_err *err);

/* The INSERT of one row, which gy_pg_statement read, for many: `INSERT .. SELECT .. FROM
 * unnest($1::bigint[], ..)`. types[i] is the array type of parameter i, or NULL where it is NULL in
 * all rows. */
GY_CHECKED gy_status gy_pg_insert_many(const char *sql, const struct gy_pg_sql *s,
                                       const char *const *types, struct gy_buf *out,
                                       struct gy_err *err);

/* A migration: several statements. In CREATE TABLE and ALTER TABLE .. ADD COLUMN: INTEGER is
 * BIGINT, INTEGER PRIMARY KEY an identity column, REAL DOUBLE PRECISION, BLOB BYTEA, TEXT TEXT
 * COLLATE "C" (bytes are compared, as SQLite does), WITHOUT ROWID goes. Fails: INVALID for what has
 * no translation (another type, AUTOINCREMENT, COLLATE, a trigger). */
GY_CHECKED gy_status gy_pg_migration(const char *sql, struct gy_buf *out, struct gy_err *err);

#endif
