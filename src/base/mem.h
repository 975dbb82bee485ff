/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: every allocation of Gyre passes through here, so that tests can count what is live and
 * make the Nth allocation fail. Allocation never aborts: NULL is returned and the caller answers
 * GY_E_NOMEM. All functions are thread safe; the hooks are set once, before other threads start.
 * Foreign libraries keep their own allocator. */
#ifndef GY_BASE_MEM_H
#define GY_BASE_MEM_H

#include <stdint.h>

#include "base/err.h"

struct gy_allocator {
    void *(*alloc)(void *self, size_t size_bytes);
    void *(*resize)(void *self, void *p, size_t size_bytes); /* p may be NULL */
    void (*release)(void *self, void *p);                    /* p is never NULL */
    void *self;
};

/* size 0 is served as 1. The result is owned by the caller (gy_free). NULL: out of memory or size
 * overflow. */
GY_CHECKED void *gy_malloc(size_t size_bytes);
GY_CHECKED void *gy_calloc(size_t count, size_t size_bytes);
GY_CHECKED void *gy_realloc(void *p, size_t size_bytes);
GY_CHECKED void *gy_reallocarray(void *p, size_t count, size_t size_bytes);
void gy_free(void *p);
GY_CHECKED char *gy_strdup(const char *text);
GY_CHECKED char *gy_strndup(const char *text, size_t n);
GY_DEFINE_AUTO(char *, gy_free);

/* Replace the allocator (NULL: the default, malloc). Only while no memory of the old one is live.
 */
void gy_mem_use(const struct gy_allocator *allocator);

/* Test hooks of the default allocator: the Nth allocation from now (1 = the next) and all after it
 * fail until the next call; 0 switches failing off. `once` makes only the Nth fail. */
void gy_mem_fail_at(uint64_t nth, int once);
uint64_t gy_mem_count(void); /* allocations since gy_mem_fail_at was last called */
int64_t gy_mem_live(void);   /* blocks allocated and not yet freed */

#endif
