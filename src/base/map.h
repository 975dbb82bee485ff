/* SPDX-License-Identifier: Apache-2.0 */
/* gy_map: string keys to pointers, open addressing. Keys are copied; values are the caller's (never
 * freed here). Iteration is in insertion order. Not thread safe; readers may share it while nobody
 * writes. */
#ifndef GY_BASE_MAP_H
#define GY_BASE_MAP_H

#include "base/str.h"

struct gy_map_entry {
    struct gy_str key; /* ends in NUL */
    void *value;
    uint64_t hash;
    bool live;
};

struct gy_map {
    struct gy_map_entry *entries; /* in insertion order, dead ones included */
    size_t n_entries, cap_entries;
    uint32_t *slots; /* index + 1 into entries, 0 = free */
    size_t n_slots;
    size_t n_live;
    size_t max_entries;
};

void gy_map_init(struct gy_map *m, size_t max_entries); /* allocates nothing */
void gy_map_done(struct gy_map *m);
GY_DEFINE_AUTO_DONE(struct gy_map, gy_map_done);

/* Insert or replace. Fails: NOMEM, TOOBIG (max_entries). */
GY_CHECKED gy_status gy_map_put(struct gy_map *m, struct gy_str key, void *value,
                                struct gy_err *err);
/* The value, NULL when absent (store non-NULL values, or ask gy_map_has). */
void *gy_map_get(const struct gy_map *m, struct gy_str key);
bool gy_map_has(const struct gy_map *m, struct gy_str key);
bool gy_map_remove(struct gy_map *m, struct gy_str key);
/* The next live entry at or after *pos, which is advanced; NULL at the end. Start with pos = 0. */
struct gy_map_entry *gy_map_next(const struct gy_map *m, size_t *pos);

#endif
