/* SPDX-License-Identifier: Apache-2.0 */
/* gy_tablefn: our own readers of records (records.h, jsonrec.h) as tables of SQL, because DuckDB's
 * lose records behind a broken quote. What SQL can say then:
 *
 *   FROM 'x.csv'                       .csv .tsv .json .jsonl .ndjson, also .gz and .zst, folders
 *                                      of such files ('data/'), patterns ('data/x-*.csv'), '-'
 *   FROM sepsis, FROM "sepsis@3"       versions of registered datasets
 *   FROM gyre_read('x.csv', ...)       the same file with options
 *   FROM dataset('sepsis@3', ...)      the same version with options
 *
 * Options: records := true   adds _file, _row (0-based), _offset, _length of each record in its
 *                            file, _codes and _error (why something in it could not be read: NULL
 *                            when all could) and _raw (its bytes, a BLOB)
 *          all_text := true  every column is VARCHAR, as it is written
 *          schema := 'schema.yaml'   types of the columns it knows (gyre_read)
 *          format := 'csv', delimiter := ';'   instead of what is sniffed (gyre_read)
 *
 * Columns: names of the header ("column3" where it says none, a number added to a name that comes
 * again). Types: of the schema, of a dataset's version its own, else told from the first 2 MiB:
 * int BIGINT, float DOUBLE, bool BOOLEAN, time TIMESTAMP (UTC where the text or the column says a
 * zone), all others VARCHAR. Missing values are NULL.
 * Nothing is dropped: count(*) is the number of records. A value that is not of its column's type,
 * or not UTF-8, is NULL; a record whose fields can not be told apart is a row of NULLs. Of what
 * was read that way (only columns that the query needs are read) gy_tablefn_note tells, or the
 * query fails when `strict` is set.
 * Rows of several threads come in no order where the query asks for none and needs none.
 * Everything here belongs to the gy_duck that it was added to, and to its thread. */
#ifndef GY_DATA_TABLEFN_H
#define GY_DATA_TABLEFN_H

#include "data/duck.h"

#define GY_TABLEFN_MAX_NOTES 100

struct gy_tablefn;

/* Where a version of a dataset lies. */
struct gy_tablefn_dataset {
    char path[GY_MAX_PATH];    /* its canonical CSV */
    char parquet[GY_MAX_PATH]; /* the same as Parquet; "": there is none */
    struct gy_buf schema_json; /* empty: told from the file */
};

struct gy_tablefn_options {
    bool files;         /* may SQL name files? */
    bool strict;        /* what can not be read fails the query */
    const char *schema; /* for all files that SQL names alone; NULL: types are told from them */
    /* Find a version ("sepsis", "sepsis@3"); NULL: there are no datasets. Called while a query is
     * planned, on its thread. Fails: NOTFOUND. */
    gy_status (*dataset)(void *ctx, struct gy_str ref, struct gy_tablefn_dataset *ret,
                         struct gy_err *err);
    void *ctx;
};

/* Once for a gy_duck. *ret is freed after it. */
GY_CHECKED gy_status gy_tablefn_add(struct gy_duck *d, const struct gy_tablefn_options *o,
                                    struct gy_tablefn **ret, struct gy_err *err);
void gy_tablefn_free(struct gy_tablefn *t);
GY_DEFINE_AUTO(struct gy_tablefn *, gy_tablefn_free);

/* What queries so far could not read, one line a table: "x.csv: 3 of 10 records: ..."; false
 * behind the last one. Not while a query runs. */
bool gy_tablefn_note(const struct gy_tablefn *t, size_t index, struct gy_buf *out);

#endif
