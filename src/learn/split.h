/* SPDX-License-Identifier: Apache-2.0 */
/* gy_split: which rows are held out. A row's place depends on its key and the seed alone, never on
 * its position or on the other rows, so a patient stays on one side when the table grows or is
 * sorted, and every tool can repeat it: in Python
 *   int.from_bytes(hashlib.sha256(f"{seed}\n{key}".encode()).digest()[:8], "big") / 2**64 < holdout
 * (compared exactly). The key is the text of the column with role id, else the whole record. Pure;
 * thread safe. */
#ifndef GY_LEARN_SPLIT_H
#define GY_LEARN_SPLIT_H

#include "base/str.h"

struct gy_split {
    uint64_t seed;
    double holdout; /* share that is held out, [0, 1) */
};

/* The first 8 bytes of SHA-256("<seed in decimal>\n<key>"), big-endian. Fails: NOMEM. */
GY_CHECKED gy_status gy_split_hash(uint64_t seed, struct gy_str key, uint64_t *ret,
                                   struct gy_err *err);
/* hash / 2^64 < holdout, without rounding. */
bool gy_split_below(uint64_t hash, double holdout);

/* held_out[i] for n rows; key(ctx, row) gives a row's key. Fails: INVALID (holdout not in [0, 1)),
 * NOMEM. */
typedef struct gy_str (*gy_split_key_fn)(const void *ctx, size_t row);
GY_CHECKED gy_status gy_split_rows(const struct gy_split *s, gy_split_key_fn key, const void *ctx,
                                   size_t n, bool *held_out, struct gy_err *err);

#endif
