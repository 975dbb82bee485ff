/* SPDX-License-Identifier: Apache-2.0 */
/* gy_query: SQL over the datasets of a workspace, for clients of a server. The server never opens
 * DuckDB in its own process: each query is a child (`gyre __query`) that lives for it alone. What
 * it may read was found before, with the caller's rights: the versions that the SQL names, as
 * files. The child reads nothing else and writes nothing (base/jail.h, and DuckDB's own lock), and
 * ends when it used its memory, its CPU or its time. Any thread.
 *
 * The request that the child reads from its standard input, and the answer on its standard output:
 *   {"sql","params":{},"limit","max_bytes","memory_bytes","threads","cpu_s",
 *    "datasets":[{"ref","path","parquet","schema"}]}
 *   {"columns":[{"name","type"}],"rows":[[...]],"row_count","truncated","changed","notes":[...]}
 *   or {"error":{"code","message","hint"}} */
#ifndef GY_API_QUERY_H
#define GY_API_QUERY_H

#include "api/app.h"

#define GY_QUERY_MAX_SQL (64 * GY_KIB)
#define GY_QUERY_MAX_ROWS 100000
#define GY_QUERY_STANDARD_ROWS 1000
#define GY_QUERY_MAX_ANSWER (16 * GY_MIB) /* further rows are left out: "truncated" */
#define GY_QUERY_MAX_SECONDS 60
#define GY_QUERY_STANDARD_SECONDS 30
#define GY_QUERY_MEMORY ((int64_t)(1 * GY_GIB))
#define GY_QUERY_THREADS 2
#define GY_QUERY_MAX_TABLES 64
#define GY_QUERY_MAX_RUNNING 2 /* at once; more are BUSY */

struct gy_query_runner;

/* program: this binary. Fails: NOMEM. */
GY_CHECKED gy_status gy_query_runner_new(const char *program, struct gy_query_runner **ret,
                                         struct gy_err *err);
/* End what runs, and refuse what comes: before the server stops, so that it need not wait. NULL
 * allowed. */
void gy_query_runner_stop(struct gy_query_runner *r);
void gy_query_runner_free(struct gy_query_runner *r); /* when no request is left */
GY_DEFINE_AUTO(struct gy_query_runner *, gy_query_runner_free);

#endif
