/* SPDX-License-Identifier: Apache-2.0 */
/* gy_recode: columns of categories in the codes that a foreign model was trained with, before its
 * runtime sees them. A raw cell of a text is its place in the sorted vocabulary, but pandas numbers
 * categories in an order of its own; and a column of numbers may have been a column of categories,
 * whose value 10 is category 0. Immutable; any number of threads. */
#ifndef GY_LEARN_RUNTIME_RECODE_H
#define GY_LEARN_RUNTIME_RECODE_H

#include "learn/runtime/runtime.h"

/* A column: the value keys[i] (ascending) becomes codes[i]; every other value becomes -1, which no
 * set of categories holds; NaN stays. */
struct gy_recode_column {
    size_t column, n;
    const double *keys;
    const double *codes;
};

/* Wrap *inner, which is taken over (also on failure); the columns are copied. n_features is the
 * width of a row. With no columns *ret is *inner. Fails: NOMEM. */
GY_CHECKED gy_status gy_recode_new(struct gy_runtime inner, size_t n_features,
                                   const struct gy_recode_column *columns, size_t n_columns,
                                   struct gy_runtime *ret, struct gy_err *err);

#endif
