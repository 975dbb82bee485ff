/* SPDX-License-Identifier: Apache-2.0 */
/* gy_table_diff: the rows of two canonical tables (data.csv of two versions), held against each
 * other by a key: the rows that only one of them has, and those whose other columns differ. Without
 * a key a row is all of its columns, so that rows are only added and removed. Columns are compared
 * by name; those that only one table has are told and not compared. A key that comes several times
 * is no error: equal rows pair off first. Rows are told apart by 128 bits of hash under a seed of
 * this run. Memory: 56 bytes a row. Not thread safe; one owner. */
#ifndef GY_DATA_TABLE_DIFF_H
#define GY_DATA_TABLE_DIFF_H

#include "base/arena.h"
#include "base/buf.h"

#define GY_TABLE_DIFF_MAX_ROWS ((size_t)50 * 1000 * 1000) /* of both tables */

struct gy_table_diff_options {
    const char *before, *after; /* paths */
    const struct gy_str *key;   /* names of columns that both have; n_key 0: none */
    size_t n_key;
    int64_t samples; /* rows of each kind that are kept */
};

/* A row as its values by the columns of its table. */
struct gy_table_row {
    const struct gy_str *values;
};

struct gy_table_diff {
    const struct gy_str *before_columns, *after_columns;
    size_t n_before_columns, n_after_columns;
    int64_t before_rows, after_rows;
    int64_t same, added, removed, changed;
    const int64_t *changed_by; /* by column of before: rows that differ in it */
    /* The first ones, in the order of the tables (changed: of the one before). */
    const struct gy_table_row *added_rows, *removed_rows, *changed_before, *changed_after;
    size_t n_added, n_removed, n_changed;
    struct gy_arena arena;
};

/* Fails: as files do; PARSE (no table), NOTFOUND (a key column that one of them does not have),
 * TOOBIG, NOMEM. *ret is freed by gy_table_diff_free. */
GY_CHECKED gy_status gy_table_diff_make(const struct gy_table_diff_options *o,
                                        struct gy_table_diff **ret, struct gy_err *err);
void gy_table_diff_free(struct gy_table_diff *d);
GY_DEFINE_AUTO(struct gy_table_diff *, gy_table_diff_free);

#endif
