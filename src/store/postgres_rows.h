/* SPDX-License-Identifier: Apache-2.0 */
/* gy_pg_rows: the rows of one query of somebody's PostgreSQL database, each as the text of one JSON
 * object that PostgreSQL itself made (row_to_json): numbers with all their digits, NULL as null,
 * times as ISO 8601 (those with a zone in UTC). Read row by row in one transaction, REPEATABLE READ
 * READ ONLY, so in constant memory and of one moment; the query can change nothing.
 *
 * With a watermark column, only rows whose value of it is above (or not below) the last one, in its
 * order, so that the value of the last row is the next watermark. Rows without a value there would
 * never be read, and are refused.
 * Errors and names never hold the password. Not thread safe; one owner. Open -> next* -> free. */
#ifndef GY_STORE_POSTGRES_ROWS_H
#define GY_STORE_POSTGRES_ROWS_H

#include "base/buf.h"

#define GY_PG_ROWS_MAX_COLUMNS 1600 /* PostgreSQL's own limit is 1664 */
#define GY_PG_ROWS_MAX_WATERMARK 8192

struct gy_pg_rows;

struct gy_pg_rows_options {
    const char *url;       /* postgresql://... */
    const char *query;     /* one SELECT (VALUES, TABLE, WITH); a semicolon may end it */
    const char *watermark; /* name of a column of the query's result; NULL: all rows */
    const char *after; /* its last value, as gy_pg_rows_watermark gave it; NULL: from the start */
    bool equal_too;    /* rows that have just that value are read (again), too */
};

/* What a column's value looks like in JSON. */
enum gy_pg_kind {
    GY_PG_KIND_INT,
    GY_PG_KIND_FLOAT, /* numeric too */
    GY_PG_KIND_BOOL,
    GY_PG_KIND_TIME,       /* date, timestamp with zone */
    GY_PG_KIND_LOCAL_TIME, /* timestamp without */
    GY_PG_KIND_TEXT,  /* and what is written as text: uuid, interval, enum, bytea in hex, ... */
    GY_PG_KIND_NESTED /* json, arrays */
};

/* Connect and look at the query; it starts to run at the first gy_pg_rows_next. Fails: MISSINGDEP
 * (libpq), INVALID (URL; the query, in PostgreSQL's words; no such watermark column; a name twice;
 * rows without a watermark), UNAVAILABLE, UNAUTHENTICATED, NOTFOUND (database), DENIED, VERSION,
 * NOMEM. */
GY_CHECKED gy_status gy_pg_rows_open(const struct gy_pg_rows_options *o, struct gy_pg_rows **ret,
                                     struct gy_err *err);
void gy_pg_rows_free(struct gy_pg_rows *r);
GY_DEFINE_AUTO(struct gy_pg_rows *, gy_pg_rows_free);

size_t gy_pg_rows_n_columns(const struct gy_pg_rows *r);
const char *gy_pg_rows_column(const struct gy_pg_rows *r, size_t i, enum gy_pg_kind *ret_kind);

/* The next row as one line of JSON without its newline, a view until the next call; *ret_more false
 * at the end. Fails: UNAVAILABLE (the connection was lost, whatever came before), and as above. */
GY_CHECKED gy_status gy_pg_rows_next(struct gy_pg_rows *r, struct gy_str *ret_json, bool *ret_more,
                                     struct gy_err *err);
/* After the end: the watermark of the last row, else the one that was given; absent: there is none
 * yet. Lives as long as r. */
struct gy_str gy_pg_rows_watermark(const struct gy_pg_rows *r);

#endif
