/* SPDX-License-Identifier: Apache-2.0 */
/* Dataset versions as Parquet, for SQL: a cache that is made from the canonical CSV when it is
 * first wanted, can be removed at any time, and is never an identity of anything.
 * In its folder (HOME/cache/parquet) a version is SHA256-KEY.parquet, where KEY stands for the
 * schema that its types come from and for what writes it, and SHA256-KEY.ok says which bytes it
 * has: it is used while size, time and inode are those; else its digest is asked, and a file with
 * another one is removed. The folder is kept below GY_PARQUET_CACHE_MAX: what was not used longest
 * goes first. Any number of processes. */
#ifndef GY_DATA_PARQUET_CACHE_H
#define GY_DATA_PARQUET_CACHE_H

#include "base/buf.h"
#include "base/limits.h"

#define GY_PARQUET_CACHE_MAX ((int64_t)(20 * GY_GIB))
/* Smaller CSVs are read as fast as their Parquet is looked for. */
#define GY_PARQUET_CACHE_MIN_CSV ((int64_t)(4 * GY_MIB))

struct gy_parquet_cache_key {
    const char *dir;           /* of the cache */
    struct gy_str sha256;      /* of the canonical CSV */
    struct gy_str schema_json; /* absent: there is none */
};

/* Is it there and whole? Damaged files are removed. */
bool gy_parquet_cache_find(const struct gy_parquet_cache_key *k, char ret_path[GY_MAX_PATH]);
/* Make it from the CSV at csv_path. Fails: MISSINGDEP, NOSPACE, IO, NOMEM, CANCELLED ... */
GY_CHECKED gy_status gy_parquet_cache_make(const struct gy_parquet_cache_key *k,
                                           const char *csv_path, int64_t memory_bytes,
                                           char ret_path[GY_MAX_PATH], struct gy_err *err);
#endif
