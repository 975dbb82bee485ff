/* SPDX-License-Identifier: Apache-2.0 */
/* A Parquet file as a source of records: JSONL, one row a line, read by DuckDB (opened then; not
 * for a server's own process), row group by row group. Values are exact: integers and decimals with
 * all digits, doubles and floats as the shortest text that reads back, times as ISO 8601 (with a
 * zone: UTC), NULL as null, not a number as a text. Columns of lists, structs and maps are refused
 * by name. */
#ifndef GY_DATA_SOURCE_PARQUET_H
#define GY_DATA_SOURCE_PARQUET_H

#include "data/source.h"

#define GY_SOURCE_PARQUET_MEMORY (1024 * GY_MIB) /* of DuckDB */

/* ".parquet" or ".pq". */
bool gy_source_is_parquet_name(const char *name);
/* Of a file. name: as in gy_source_file. */
GY_CHECKED gy_status gy_source_parquet(const char *path, const char *name, struct gy_source **ret,
                                       struct gy_err *err);
/* Of what another source gives, which is taken over, also on failure. Parquet is read from its end:
 * opening copies it into a file without a name (in TMPDIR, else /tmp). */
GY_CHECKED gy_status gy_source_parquet_of(struct gy_source *inner, struct gy_source **ret,
                                          struct gy_err *err);

#endif
