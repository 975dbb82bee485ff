/* SPDX-License-Identifier: Apache-2.0 */
/* gy_row_filter: rows that a model shall not learn from: with gaps, far from the rest, or by an
 * expression. For TRAINING rows alone: what is measured on stays as the world has it. Applied one
 * after the other, in the order given; each says how many rows it left. Pure; thread safe. */
#ifndef GY_LEARN_ROW_FILTER_H
#define GY_LEARN_ROW_FILTER_H

#include "base/arena.h"

#define GY_ROW_FILTERS_MAX 64

struct gy_table;
struct gy_yaml;
struct gy_yaml_node;

enum gy_row_filter_kind {
    GY_ROWS_COMPLETE,  /* drop_missing: no value missing in the columns */
    GY_ROWS_WITHIN_SD, /* within_sd: mean - sd .. mean + sd times a factor, sample deviation */
    GY_ROWS_WHERE      /* where: the expression is true */
};

struct gy_row_filter {
    enum gy_row_filter_kind kind;
    const struct gy_str *columns;
    size_t n_columns;
    bool all_columns;   /* COMPLETE: of the table; else, without columns: those the model uses */
    double factor;      /* WITHIN_SD */
    bool sequential;    /* WITHIN_SD: mean and deviation of what the columns before left */
    struct gy_str text; /* WHERE */
};

/* What one filter (of one column) left. */
struct gy_row_filtered {
    struct gy_str what; /* "drop_missing", "within_sd 2.5: mpg", "where HR > 0" */
    size_t rows;
};

/* `rows:` of params.yaml. Lives in the arena. Fails: INVALID with name:line, NOMEM. */
GY_CHECKED gy_status gy_row_filters_read(const struct gy_yaml *y, const struct gy_yaml_node *list,
                                         struct gy_arena *a, struct gy_row_filter **ret,
                                         size_t *ret_n, struct gy_err *err);

/* used: the columns of the model, target included. rows[0..*n) is filtered in place, its order
 * kept. *ret lives in the arena. Fails: NOTFOUND (a column), INVALID (a column of text, an
 * expression; nothing is left), NOMEM. */
GY_CHECKED gy_status gy_row_filters_apply(const struct gy_row_filter *filters, size_t n_filters,
                                          const struct gy_table *t, const struct gy_str *used,
                                          size_t n_used, uint32_t *rows, size_t *n,
                                          struct gy_arena *a, struct gy_row_filtered **ret,
                                          size_t *ret_n, struct gy_err *err);

#endif
