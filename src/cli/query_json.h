/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON answer of a query, for `gyre data query --json` and for the server's child. */
#ifndef GY_CLI_QUERY_JSON_H
#define GY_CLI_QUERY_JSON_H

#include "data/tablefn.h"

struct gy_query_json {
    int64_t limit;    /* rows; -1: all */
    size_t max_bytes; /* rows end behind this many bytes; 0: never */
    /* MAY be NULL: all is in out at the end. Takes out's bytes when there are enough of them. */
    gy_status (*flush)(void *ctx, struct gy_str bytes, struct gy_err *err);
    void *ctx;
};

/* Rows as they come; what is not flushed stays in out. Fails as gy_duck_next and flush. */
GY_CHECKED gy_status gy_query_json(const struct gy_query_json *o, struct gy_duck_rows *rows,
                                   const struct gy_tablefn *tables, struct gy_buf *out,
                                   struct gy_err *err);
/* A member "notes" of an open object: what could not be read. */
void gy_query_json_notes(const struct gy_tablefn *tables, struct gy_jw *w);

#endif
