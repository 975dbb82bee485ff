/* SPDX-License-Identifier: Apache-2.0 */
/* gy_statistics: what is in a table, column by column: what `gyre data profile` shows, what a
 * schema is checked against and what a dataset version keeps ("gyre.statistics/1"). Gathered in
 * one pass in bounded memory, and mergeable: the statistics of two halves make those of the whole
 * (counts, extremes and top values of small domains exactly; quantiles within the sketch's bound),
 * so that parts of a file are read side by side and spans are added up. Same table, same bytes, at
 * any number of threads. Immutable once made. */
#ifndef GY_DATA_STATISTICS_H
#define GY_DATA_STATISTICS_H

#include "base/json.h"
#include "data/schema.h"
#include "data/source.h"

#define GY_STATISTICS_FORMAT "gyre.statistics/1"
#define GY_STATISTICS_MAX_BYTES (256 * GY_MIB)
#define GY_STATISTICS_QUANTILES 11 /* 0 %, 10 %, ... 100 % */
#define GY_STATISTICS_BINS 20      /* of a histogram, of equal width from min to max */
#define GY_STATISTICS_MAX_TOP 1000 /* values that are kept with their counts */
#define GY_STATISTICS_EXACT 100000 /* different values of a column that are counted exactly */
#define GY_STATISTICS_ALL_EXACT                                                         \
    ((size_t)16000000)                   /* over all columns: wide tables get less each \
                                          */
#define GY_STATISTICS_EXACT_ROWS 1000000 /* different rows that are counted exactly */
#define GY_STATISTICS_MAX_NUMBERS 200    /* columns that correlations are told of */

struct gy_statistics_value {
    struct gy_str value; /* canonical text (schema.h) */
    int64_t count;
};

struct gy_statistics_column {
    struct gy_str name;
    enum gy_type type;
    enum gy_role role;
    int64_t count;   /* rows that have a value of the type */
    int64_t missing; /* rows that have none; count + missing + invalid = rows */
    int64_t invalid; /* rows whose value is not of the type */
    int64_t distinct;
    bool distinct_exact; /* else estimated (HyperLogLog: within 0.8 % for 2 of 3). A column of
                            numbers that ascend or descend row by row is exact, too */
    /* The most frequent values, by count, then by text; all of them when top_is_all. With more than
     * GY_STATISTICS_EXACT different values a count may be up to top_short_by too low; values that
     * are not more frequent than that are left out (tally.h). Texts longer than GY_TALLY_MAX_TEXT
     * are cut. */
    const struct gy_statistics_value *top;
    size_t n_top;
    bool top_is_all;
    int64_t top_short_by;
    /* Of a column of lists (schema.h): the values above and in top are those in the lists. */
    bool list;
    int64_t n_values, min_values, max_values; /* in all lists, in the shortest, in the longest */
    /* Of int, float and bool (0 and 1), and of time (seconds since 1970, UTC when without a zone),
     * but for lists: else all NaN. */
    bool numeric;
    double mean, sd; /* sd: of a sample (n - 1); NaN below two values */
    double min, max;
    int64_t zeros, negative;
    /* Exact (with numpy's linear interpolation) and counted when distinct_exact by counting; else
     * from a sketch, whose ranks are off by at most 0.3 % for 10 million values (sketch.h). */
    double quantiles[GY_STATISTICS_QUANTILES];
    int64_t bins[GY_STATISTICS_BINS]; /* from min to max; the last one holds max; sum: count */
    /* Of texts: in bytes */
    double mean_length;
    int64_t max_length;
};

struct gy_statistics {
    int64_t rows;
    int64_t broken; /* of these: not a value can be told; invalid in every column */
    int64_t distinct_rows;
    bool distinct_rows_exact;             /* else estimated, as above */
    struct gy_statistics_column *columns; /* in the order of the file */
    size_t n_columns;
    /* Pearson's r of the first n_numbers numeric columns (indices in numbers), over the rows where
     * both have a value: n_numbers x n_numbers, row by row; NaN where there is no spread. */
    const size_t *numbers;
    size_t n_numbers;
    const double *correlations;
    struct gy_arena arena;
};

struct gy_statistics_options {
    const struct gy_schema *schema; /* NULL: told from the head of the file */
    char delimiter;                 /* of CSV; 0: sniffed */
    unsigned threads;               /* 0: one a core; the result does not depend on it */
    void (*progress)(void *ctx, int64_t bytes_done); /* MAY be NULL */
    void *progress_ctx;
};

/* Of a file of CSV, JSON or JSONL, packed or not (source.h). The columns are those of a CSV file's
 * header, each with the type and role that the schema gives it; the type of a column that the
 * schema does not know is told from the head of the file. (Columns of the schema that the file does
 * not have are not there.) Of JSON they are the schema's columns, or the keys in the head of the
 * file. Values that are not of their column's type count as invalid, a record with another number
 * of fields, a broken quote or broken JSON as invalid in every column. Fails: NOTFOUND, DENIED, IO,
 * PARSE, SCHEMA (a column twice), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_statistics_file(const char *path, const struct gy_statistics_options *o,
                                        struct gy_statistics **ret, struct gy_err *err);
/* The same of any source, which is closed afterwards. Fails also: as its reading does. */
GY_CHECKED gy_status gy_statistics_source(struct gy_source *source,
                                          const struct gy_statistics_options *o,
                                          struct gy_statistics **ret, struct gy_err *err);
void gy_statistics_free(struct gy_statistics *s);
GY_DEFINE_AUTO(struct gy_statistics *, gy_statistics_free);

/* NULL: no such column. */
const struct gy_statistics_column *gy_statistics_find(const struct gy_statistics *s,
                                                      struct gy_str name);

/* As one JSON document, and back. Writing sticks failures to out. Fails: PARSE, CORRUPT, TOOBIG,
 * NOMEM. */
void gy_statistics_json(const struct gy_statistics *s, struct gy_buf *out);
/* The same as members of an open object, where others may follow: gy_statistics_parse passes over
 * what it does not know. */
void gy_statistics_write(struct gy_jw *w, const struct gy_statistics *s);
GY_CHECKED gy_status gy_statistics_parse(struct gy_str json, struct gy_statistics **ret,
                                         struct gy_err *err);

#endif
