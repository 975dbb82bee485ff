/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a query of a PostgreSQL database as a source of records: JSONL, one row a line (see
 * store/postgres_rows.h for what the values look like). Its name is the URL without user, password
 * and options. Connecting and looking at the query happens when the source is checked, or opened.
 * The order of the rows is the query's: without ORDER BY, or a watermark, none in particular. */
#ifndef GY_DATA_SOURCE_PG_H
#define GY_DATA_SOURCE_PG_H

#include "data/source.h"
#include "store/postgres_rows.h"

/* o is copied. Fails: NOMEM. */
GY_CHECKED gy_status gy_source_pg(const struct gy_pg_rows_options *o, struct gy_source **ret,
                                  struct gy_err *err);
/* After it was read to its end: as gy_pg_rows_watermark. Lives as long as s. */
struct gy_str gy_source_pg_watermark(const struct gy_source *s);

#endif
