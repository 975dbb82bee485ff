/* SPDX-License-Identifier: Apache-2.0 */
/* gy_split: which rows are held out, by the hash of data/split.h: the rows of the last part that
 * gyre data split --by hash makes with the same seed and share. The key is the text of the column
 * with role id, else the whole record. Pure; thread safe. */
#ifndef GY_LEARN_SPLIT_H
#define GY_LEARN_SPLIT_H

#include "data/split.h"

struct gy_split {
    uint64_t seed;
    double holdout; /* share that is held out, [0, 1) */
};

/* held_out[i] for n rows; key(ctx, row) gives a row's key. Fails: INVALID (holdout not in [0, 1)),
 * NOMEM. */
typedef struct gy_str (*gy_split_key_fn)(const void *ctx, size_t row);
GY_CHECKED gy_status gy_split_rows(const struct gy_split *s, gy_split_key_fn key, const void *ctx,
                                   size_t n, bool *held_out, struct gy_err *err);

#endif
