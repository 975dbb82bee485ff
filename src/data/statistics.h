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

#define GY_STATISTICS_FORMAT "gyre.statistics/1"
#define GY_STATISTICS_MAX_BYTES (256 * GY_MIB)
#define GY_STATISTICS_QUANTILES 11    /* 0 %, 10 %, ... 100 % */
#define GY_STATISTICS_BINS 20         /* of a histogram, of equal width from min to max */
#define GY_STATISTICS_MAX_TOP 1000    /* values that are kept with their counts */
#define GY_STATISTICS_EXACT 100000    /* different values of a column that are counted exactly */
#define GY_STATISTICS_MAX_NUMBERS 200 /* columns that correlations are told of */

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
    bool distinct_exact; /* else estimated (HyperLogLog, Flajolet et al. 2007: within 2 % for 2 of
                            3) */
    /* The most frequent values, by count, then by text; all of them when top_is_all. */
    const struct gy_statistics_value *top;
    size_t n_top;
    bool top_is_all;
    /* Of int, float and bool (0 and 1), and of time (seconds since 1970, UTC when without a zone):
     * else all NaN. */
    bool numeric;
    double mean, sd; /* sd: of a sample (n - 1); NaN below two values */
    double min, max;
    int64_t zeros, negative;
    double quantiles[GY_STATISTICS_QUANTILES];
    int64_t bins[GY_STATISTICS_BINS]; /* from min to max; the last one holds max */
    /* Of texts: in bytes */
    double mean_length;
    int64_t max_length;
};

struct gy_statistics {
    int64_t rows;
    struct gy_statistics_column *columns; /* in the order of the table */
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
    struct gy_str environment;
    char delimiter;                                  /* 0: sniffed */
    unsigned threads;                                /* 0: one a core */
    void (*progress)(void *ctx, int64_t bytes_done); /* MAY be NULL */
    void *progress_ctx;
};

/* Of a CSV file. Values that are not of their column's type are counted as invalid; a record with
 * another number of fields or a broken quote counts as invalid in every column. Fails: NOTFOUND,
 * DENIED, IO, PARSE, SCHEMA, NOMEM. */
GY_CHECKED gy_status gy_statistics_file(const char *path, const struct gy_statistics_options *o,
                                        struct gy_statistics **ret, struct gy_err *err);
void gy_statistics_free(struct gy_statistics *s);
GY_DEFINE_AUTO(struct gy_statistics *, gy_statistics_free);

/* NULL: no such column. */
const struct gy_statistics_column *gy_statistics_find(const struct gy_statistics *s,
                                                      struct gy_str name);

/* As one JSON document, and back. Writing sticks failures to out. Fails: PARSE, CORRUPT, TOOBIG,
 * NOMEM. */
void gy_statistics_json(const struct gy_statistics *s, struct gy_buf *out);
GY_CHECKED gy_status gy_statistics_parse(struct gy_str json, struct gy_statistics **ret,
                                         struct gy_err *err);

#endif
