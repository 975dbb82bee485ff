/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by data/tablefn*.c. */
#ifndef GY_DATA_TABLEFN_INTERNAL_H
#define GY_DATA_TABLEFN_INTERNAL_H

#include "data/check.h"
#include "data/duck_internal.h"
#include "data/source.h"
#include "data/tablefn.h"

/* Columns beside those of the file. */
enum {
    GY_TABLEFN_FILE,
    GY_TABLEFN_ROW,
    GY_TABLEFN_OFFSET,
    GY_TABLEFN_LENGTH,
    GY_TABLEFN_CODES,
    GY_TABLEFN_ERROR,
    GY_TABLEFN_RAW,
    GY_TABLEFN_N_EXTRA
};

/* The first column of a table in a view, which leaves it out: DuckDB asks for the first column when
 * it wants none (count(*)), and this one costs nothing. Also the option that adds it. */
#define GY_TABLEFN_COUNTED "_counted"

/* What could not be read of one table; owned by gy_tablefn. */
struct gy_tablefn_note {
    struct gy_tablefn_note *next;
    char what[256]; /* the file or dataset */
    /* The lock of gy_tablefn guards these. */
    int64_t records, bad_values, bad_records;
    char first[300];
};

/* A version that was found: it stays what its name means. */
struct gy_tablefn_found {
    struct gy_tablefn_found *next;
    char ref[GY_MAX_PATH];
    struct gy_tablefn_dataset where;
};

struct gy_tablefn {
    struct gy_duck *duck;
    struct gy_tablefn_options o;
    pthread_mutex_t lock;
    struct gy_tablefn_note *notes, **last;
    struct gy_tablefn_found *found;
    struct gy_source_list input; /* standard input: its head is looked at by each bind, ... */
    bool input_used;             /* ... but it is read once */
};

/* One table of a query: what was told at bind; read by any number of threads. */
struct gy_tablefn_table {
    struct gy_tablefn *owner;
    struct gy_tablefn_note *note;
    char *path;
    struct gy_source_list sources; /* as found at bind; a scan looks again */
    struct gy_source_list *list;   /* `sources`, or standard input of the owner */
    enum gy_ingest_format format;
    char delimiter;
    bool all_text, records, counted;
    /* Columns come from either; missing markers from `given` where it is there. */
    struct gy_schema *given, *inferred;
    const struct gy_schema *missing;
    const struct gy_column **columns; /* in the arena, as the names */
    struct gy_str *names;             /* of the columns in SQL */
    struct gy_str *fields;            /* of the columns in the header of the first file */
    size_t n_columns;
    bool missing_starts[256]; /* first bytes of the missing markers */
    struct gy_arena arena;
};
void gy_tablefn_table_free(void *arg);

/* Find the columns of t from its first source. Fails: PARSE (no header, no record), as the source.
 */
GY_CHECKED gy_status gy_tablefn_columns(struct gy_tablefn_table *t, struct gy_err *err);

/* The callbacks of a scan, for DuckDB. */
void gy_tablefn_init(duckdb_init_info info);
void gy_tablefn_local_init(duckdb_init_info info);
void gy_tablefn_scan(duckdb_function_info info, duckdb_data_chunk output);

/* A column of the output: where a value goes. */
struct gy_tablefn_out {
    duckdb_vector vector;
    void *data;
    uint64_t *validity; /* NULL: all are valid so far */
};
void gy_tablefn_null(struct gy_tablefn_out *out, uint64_t row);
void gy_tablefn_string(struct gy_tablefn_out *out, uint64_t row, struct gy_str text);

enum gy_tablefn_read { GY_TABLEFN_FINE, GY_TABLEFN_NOT_UTF8, GY_TABLEFN_NOT_OF_TYPE };
/* Read a value into out, NULL when it is missing or can not be read. out NULL: only look. */
enum gy_tablefn_read gy_tablefn_value(const struct gy_tablefn_table *t, size_t column,
                                      const struct gy_value *v, struct gy_tablefn_out *out,
                                      uint64_t row);
enum gy_duck_type gy_tablefn_type(const struct gy_tablefn_table *t, size_t column);

#endif
