/* SPDX-License-Identifier: Apache-2.0 */
/* gy_arena: memory of one request or job, given back all at once. Allocation is a pointer bump;
 * nothing is freed singly. gy_arena_reset keeps the first block for the next request. Not thread
 * safe; one owner. */
#ifndef GY_BASE_ARENA_H
#define GY_BASE_ARENA_H

#include "base/str.h"

struct gy_arena_block;

struct gy_arena {
    struct gy_arena_block *blocks; /* newest first */
    size_t used;                   /* in the newest block */
    size_t total_bytes;            /* over all blocks */
    size_t max_bytes;              /* ceiling of total_bytes */
    bool small;                    /* of gy_arena_init_small */
};

void gy_arena_init(struct gy_arena *a, size_t max_bytes); /* allocates nothing */
/* The same for what lives long and there are many of: its first blocks are small. */
void gy_arena_init_small(struct gy_arena *a, size_t max_bytes);
void gy_arena_done(struct gy_arena *a);  /* frees all; NULL and zeroed allowed */
void gy_arena_reset(struct gy_arena *a); /* all pointers into it become invalid */
GY_DEFINE_AUTO_DONE(struct gy_arena, gy_arena_done);

/* Aligned to 16. NULL: out of memory or over the ceiling; the caller answers NOMEM. */
GY_CHECKED void *gy_arena_alloc(struct gy_arena *a, size_t size_bytes);
GY_CHECKED void *gy_arena_calloc(struct gy_arena *a, size_t count, size_t size_bytes);
/* Copies end in NUL. The gy_str form gives the absent string on failure. */
GY_CHECKED char *gy_arena_strdup(struct gy_arena *a, struct gy_str s);
struct gy_str gy_arena_str(struct gy_arena *a, struct gy_str s);
GY_CHECKED char *gy_arena_printf(struct gy_arena *a, const char *fmt, ...) GY_PRINTF(2, 3);

#endif
