/* SPDX-License-Identifier: Apache-2.0 */
/* gy_table_expr: an expression (base/expr.h) over the columns of a table, compiled once and asked
 * row by row. Not thread safe: one owner. The table must outlive it. */
#ifndef GY_LEARN_TABLE_EXPR_H
#define GY_LEARN_TABLE_EXPR_H

#include "base/str.h"

struct gy_table;
struct gy_table_expr;

/* Fails: INVALID (an unknown column, no expression: with the position), NOMEM. */
GY_CHECKED gy_status gy_table_expr_new(const struct gy_table *t, struct gy_str text,
                                       struct gy_table_expr **ret, struct gy_err *err);
void gy_table_expr_free(struct gy_table_expr *e);
GY_DEFINE_AUTO(struct gy_table_expr *, gy_table_expr_free);
/* Is it true of a row? A missing value makes it null, which is not true. Fails: INVALID. */
GY_CHECKED gy_status gy_table_expr_test(struct gy_table_expr *e, size_t row, bool *ret,
                                        struct gy_err *err);

#endif
