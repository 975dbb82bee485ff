/* SPDX-License-Identifier: Apache-2.0 */
/* gy_unknown: names that were met and are not known, counted, in the order they were met first.
 * Beyond a number of names, all others are counted as one. Not thread safe; one owner. */
#ifndef GY_DATA_UNKNOWN_H
#define GY_DATA_UNKNOWN_H

#include "base/arena.h"

#define GY_UNKNOWN_MAX_NAMES 64

struct gy_unknown_name {
    struct gy_str name; /* cut at GY_MAX_NAME bytes */
    int64_t count;
};
struct gy_unknown {
    struct gy_unknown_name names[GY_UNKNOWN_MAX_NAMES];
    size_t n;
    int64_t others; /* those beyond the limit */
    struct gy_arena arena;
};
void gy_unknown_init(struct gy_unknown *u);
void gy_unknown_done(struct gy_unknown *u);
void gy_unknown_reset(struct gy_unknown *u); /* none were met */
/* Fails: NOMEM. */
GY_CHECKED gy_status gy_unknown_add(struct gy_unknown *u, struct gy_str name, int64_t count,
                                    struct gy_err *err);
/* All of other, as if its names had been met behind those of u. Fails: NOMEM. */
GY_CHECKED gy_status gy_unknown_merge(struct gy_unknown *u, const struct gy_unknown *other,
                                      struct gy_err *err);

#endif
