/* SPDX-License-Identifier: Apache-2.0 */
/* gy_table: a CSV dataset in memory, by column: numbers as doubles (NaN = missing), the rest as
 * text. Reads what `gyre data ingest` wrote (canonical), or any clean CSV: a damaged record is an
 * error here, because training on part of a file without saying so would be worse. Immutable after
 * loading; any number of threads may read it. */
#ifndef GY_LEARN_TABLE_H
#define GY_LEARN_TABLE_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/limits.h"

#define GY_TABLE_MAX_BYTES ((size_t)4096 << 20) /* of the file; it is kept in memory */
#define GY_TABLE_MAX_ROWS ((size_t)1 << 30)

struct gy_schema; /* data/schema.h */
struct gy_arena;

struct gy_table_column {
    struct gy_str name;
    bool numeric;  /* every value that is there is a number (or the schema says int, float, bool) */
    bool integer;  /* whole numbers only (or the schema says int) */
    bool required; /* by the schema */
    bool typed;    /* the schema says its type */
    bool time, image;  /* by the schema: texts are times, name image files */
    bool is_protected; /* by the schema: its role */
    bool has_range;
    double min, max;     /* the schema's bounds */
    double *num;         /* numeric: n_rows */
    struct gy_str *text; /* else: n_rows; the absent string = missing */
};

struct gy_table {
    struct gy_table_column *columns;
    size_t n_columns;
    size_t n_rows;
    struct gy_str *records;     /* each row as it stands in the file, without line end */
    struct gy_table_column *id; /* the column of role id, as text too (id_text); NULL: none */
    struct gy_str *id_text;     /* n_rows, when id is there */
    char sha256[GY_SHA256_HEX]; /* of the file */
    struct gy_str folder; /* of the file, which names of images are relative to; else absent */
    struct gy_arena *arena;
    struct gy_buf bytes;
};

/* A CSV file, or JSON by its name or first byte (data/ingest.h: gy_ingest_format_of): keys are
 * columns, `records` are then CSV lines. schema MAY be NULL: types are then told from the values,
 * "" and "NaN" are missing, nothing has the role id. Columns the schema does not name are told from
 * the values too. Fails: NOTFOUND, IO, SCHEMA (a damaged record, a value that is not of the
 * schema's type: with its row), TOOBIG, NOMEM.
 */
GY_CHECKED gy_status gy_table_load(const char *path, const struct gy_schema *schema,
                                   struct gy_table **ret, struct gy_err *err);
/* The same from bytes of CSV, which are copied. name is for messages. */
GY_CHECKED gy_status gy_table_parse(struct gy_str bytes, const char *name,
                                    const struct gy_schema *schema, struct gy_table **ret,
                                    struct gy_err *err);
void gy_table_free(struct gy_table *t);
GY_DEFINE_AUTO(struct gy_table *, gy_table_free);

/* NULL when there is none. */
const struct gy_table_column *gy_table_column(const struct gy_table *t, struct gy_str name);
/* What the split hashes: the id's text, else the record. For gy_split_rows with ctx = the table. */
struct gy_str gy_table_key(const void *table, size_t row);
/* The text of a value: integral numbers without ".0"; the absent string when missing. scratch of 32
 * bytes backs numbers. */
struct gy_str gy_table_text(const struct gy_table_column *c, size_t row, char scratch[32]);

/* The values of the named numeric columns for some rows, row-major n_rows x n_names. Fails:
 * NOTFOUND (no such column), INVALID (a text column). */
GY_CHECKED gy_status gy_table_matrix(const struct gy_table *t, const struct gy_str *names,
                                     size_t n_names, const uint32_t *rows, size_t n_rows,
                                     double *out, struct gy_err *err);

#endif
