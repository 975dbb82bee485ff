/* SPDX-License-Identifier: Apache-2.0 */
/* gy_duck: SQL by DuckDB, in memory, for as long as it is open. The library is opened on first use
 * (some 20 ms and 30 MB), so only what asks for SQL pays for it; a server never does in its own
 * process. Nothing is fetched: extensions are neither installed nor loaded by themselves, and what
 * was set when it was opened can not be changed by SQL. Times are UTC.
 * One owner and one query at a time; gy_duck_interrupt and gy_duck_progress from any thread.
 * Lifecycle: gy_duck_open -> (gy_duck_run | gy_duck_query -> gy_duck_next* -> gy_duck_rows_free)*
 * -> gy_duck_free. */
#ifndef GY_DATA_DUCK_H
#define GY_DATA_DUCK_H

#include "base/buf.h"
#include "base/json.h"
#include "base/limits.h"

struct gy_duck;
struct gy_duck_rows;

#define GY_DUCK_MAX_CELL (64 * GY_MIB) /* one value as text */
#define GY_DUCK_MAX_SQL GY_MIB
#define GY_DUCK_MAX_PARAMS 1000
#define GY_DUCK_MIN_MEMORY ((int64_t)(64 * GY_MIB))

struct gy_duck_options {
    int64_t threads; /* 0: one a CPU */
    /* What the process may use, as far as DuckDB can bound it: its buffers get 60 % of it (the
     * process was seen to use 1.5 to 1.8 times its buffers). 0: half of the machine's. */
    int64_t memory_bytes;
    const char *temp_dir; /* where sorts and joins spill to; NULL: what does not fit is NOMEM */
    bool files;           /* may SQL read and write files, attach databases? */
    const char *const *readable; /* files that it may read even so; absolute paths */
    size_t n_readable;
    bool unordered; /* rows need not come in the order of their files: writes are parallel */
};

/* Fails: MISSINGDEP (the library is not there, or of another version), INVALID, NOMEM. */
GY_CHECKED gy_status gy_duck_open(const struct gy_duck_options *o, struct gy_duck **ret,
                                  struct gy_err *err);
void gy_duck_free(struct gy_duck *d);
GY_DEFINE_AUTO(struct gy_duck *, gy_duck_free);

/* A value for $name (or $1, and for the n-th '?', which is named by its number). */
enum gy_duck_kind { GY_DUCK_NULL, GY_DUCK_BOOL, GY_DUCK_INT, GY_DUCK_REAL, GY_DUCK_TEXT };
struct gy_duck_param {
    struct gy_str name;
    enum gy_duck_kind kind;
    bool b;
    int64_t i;
    double f;
    struct gy_str text;
};

/* Run statements whose rows nobody wants. Fails as gy_duck_query. */
GY_CHECKED gy_status gy_duck_run(struct gy_duck *d, struct gy_str sql, struct gy_err *err);
/* Run statements, separated by ';': the last one takes the parameters and gives the rows, which are
 * made while they are fetched. Fails: INVALID (what the SQL says is wrong: the message is DuckDB's;
 * a parameter without a value or a value without a parameter), NOTFOUND (a table), DENIED (it is
 * not allowed to), NOMEM, IO, CANCELLED (interrupted), UNSUPPORTED, and as the reader of records
 * does (tablefn.h). */
GY_CHECKED gy_status gy_duck_query(struct gy_duck *d, struct gy_str sql,
                                   const struct gy_duck_param *params, size_t n_params,
                                   struct gy_duck_rows **ret, struct gy_err *err);
void gy_duck_rows_free(struct gy_duck_rows *r);
GY_DEFINE_AUTO(struct gy_duck_rows *, gy_duck_rows_free);

/* Columns of the result; views that live as long as r. A statement without rows has none. */
size_t gy_duck_n_columns(const struct gy_duck_rows *r);
const char *gy_duck_name(const struct gy_duck_rows *r, size_t column);
const char *gy_duck_type(const struct gy_duck_rows *r, size_t column); /* "BIGINT" */
bool gy_duck_is_number(const struct gy_duck_rows *r, size_t column);
/* Rows inserted, updated or copied, by a statement that says so; else 0. */
int64_t gy_duck_changed(const struct gy_duck_rows *r);

/* The next rows (some 2048 at most); *ret_n 0 at the end. Fails as gy_duck_query. */
GY_CHECKED gy_status gy_duck_next(struct gy_duck_rows *r, size_t *ret_n, struct gy_err *err);
/* Append a value of the rows at hand as text, as DuckDB casts it to VARCHAR; lists, structs and
 * maps as JSON. False when it is NULL (nothing was appended). Failures stick to out. */
bool gy_duck_cell(const struct gy_duck_rows *r, size_t row, size_t column, struct gy_buf *out);
/* The same as a JSON value. */
void gy_duck_cell_json(const struct gy_duck_rows *r, size_t row, size_t column, struct gy_jw *w);

/* End the query that runs: it fails with CANCELLED. */
void gy_duck_interrupt(struct gy_duck *d);
/* 0 to 1; negative when it is not known. */
double gy_duck_progress(struct gy_duck *d);

/* Append text as SQL wants a string ('it''s') or a name ("a ""b"""). */
void gy_duck_quote(struct gy_buf *out, struct gy_str text);
void gy_duck_quote_name(struct gy_buf *out, struct gy_str name);

#endif
