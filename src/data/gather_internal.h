/* SPDX-License-Identifier: Apache-2.0 */
/* What gather.c (records in, merging) and gather_finish.c (results out) share. */
#ifndef GY_DATA_GATHER_INTERNAL_H
#define GY_DATA_GATHER_INTERNAL_H

#include "data/gather.h"
#include "data/tally.h"

/* The mean is told from the column's shift on: where values are large and close together, their
 * differences keep all digits. */
struct moments {
    double n, mean, m2;
};
/* Of the rows where both columns have a value; means as above. */
struct pair {
    double n, mx, my, xx, yy, xy;
};
/* A column within the block at hand. */
struct block {
    size_t n;
    double mean, m2;
};

struct gather_column {
    struct gy_str name;
    enum gy_type type;
    enum gy_role role;
    const struct gy_column *column;
    char list; /* separator, 0: one value a row */
    int64_t n_values, min_values, max_values;
    bool numeric;
    size_t slot; /* numeric: which of the numeric columns */
    int64_t count, missing, invalid, zeros, negative, length_sum, max_length;
    struct moments moments;
    double shift; /* the first value that was met, here or in what is merged; NaN: none yet */
    double min, max, first, last;
    bool ascending, descending; /* strictly, row by row */
    struct gy_tally tally;
};

struct gy_gather {
    struct gather_column *columns;
    size_t n_columns;
    size_t *number_of; /* slot to column */
    size_t n_numbers, n_paired;
    struct pair *pairs; /* the lower triangle with the diagonal, line by line */
    int64_t rows, broken;
    struct gy_tally rows_seen;
    struct gy_str *missing;
    size_t n_missing;
    bool missing_starts[256], missing_number; /* first bytes; a marker may read as a number */
    /* The block: GY_GATHER_BLOCK values a slot, NaN where there is none. */
    size_t in_block;
    double *values, *centred;
    uint64_t *keys; /* what the tally gets */
    struct block *blocks;
    struct gy_buf scratch;
    struct gy_arena arena;
};

#endif
