/* SPDX-License-Identifier: Apache-2.0 */
/* SQL of a command: DuckDB with our tables, registered datasets found through the routes. Main
 * thread only. */
#ifndef GY_CLI_QUERY_SQL_H
#define GY_CLI_QUERY_SQL_H

#include "cli/cli_internal.h"
#include "data/tablefn.h"

#define GY_QUERY_SQL_MAX_FETCHED 64 /* versions of a server elsewhere, in one command */

struct gy_query_sql {
    struct gy_cli *cli;
    struct gy_duck *duck;
    struct gy_tablefn *tables;
    int64_t memory_bytes;
    bool cache;                                    /* may Parquet of datasets be made and used? */
    char home[GY_MAX_PATH];                        /* "": there is none */
    const char *fetched[GY_QUERY_SQL_MAX_FETCHED]; /* copies of versions, removed at close */
    size_t n_fetched;
};
struct gy_query_sql_options {
    int64_t threads, memory_bytes; /* 0: as duck.h says */
    bool unordered, strict, cache;
    const char *schema;
};

/* Fails: MISSINGDEP, INVALID, NOMEM. */
GY_CHECKED gy_status gy_query_sql_open(struct gy_cli *cli, const struct gy_query_sql_options *o,
                                       struct gy_query_sql *ret, struct gy_err *err);
void gy_query_sql_close(struct gy_query_sql *q); /* zeroed allowed */
GY_DEFINE_AUTO_DONE(struct gy_query_sql, gy_query_sql_close);

/* "NAME=VALUE": an integer, a decimal, true, false or null is one; everything else, and what
 * stands in '', is a text. Views into text. Fails: USAGE. */
GY_CHECKED gy_status gy_query_sql_param(const char *text, struct gy_duck_param *ret,
                                        struct gy_err *err);

#endif
