/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's allocator (SQLITE_CONFIG_MALLOC): malloc with the size in front, failing on demand. */
#include <sqlite3.h>
#include <stdlib.h>

#include "base/mem.h"
#include "faulty.h"

#define HEAD 16 /* keeps the alignment of malloc */

static struct fault g_fault;
static atomic_long g_live;

static void *block_alloc(int n)
{
    if (fault_hit(&g_fault, FAULT_ALLOC)) {
        return NULL;
    }
    char *p = malloc((size_t)n + HEAD);
    if (!p) {
        return NULL;
    }
    *(int *)(void *)p = n;
    atomic_fetch_add(&g_live, 1);
    return p + HEAD;
}

static void block_free(void *p)
{
    atomic_fetch_sub(&g_live, 1);
    free((char *)p - HEAD);
}

static void *block_resize(void *p, int n)
{
    if (fault_hit(&g_fault, FAULT_ALLOC)) {
        return NULL;
    }
    char *q = realloc((char *)p - HEAD, (size_t)n + HEAD);
    if (!q) {
        return NULL;
    }
    *(int *)(void *)q = n;
    return q + HEAD;
}

static int block_size(void *p)
{
    return p ? *(int *)(void *)((char *)p - HEAD) : 0;
}

static int block_roundup(int n)
{
    return (n + 7) & ~7;
}

static int block_init(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static void block_shutdown(void *unused)
{
    (void)unused;
}

struct fault *fault_sqlite_memory(void)
{
    static const sqlite3_mem_methods methods = {block_alloc,    block_free,    block_resize,
                                                block_size,     block_roundup, block_init,
                                                block_shutdown, NULL};
    GY_REQUIRE(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
    /* Without the lookaside pool of each connection every small allocation comes here. */
    GY_REQUIRE(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK);
    return &g_fault;
}

int64_t fault_sqlite_live(void)
{
    return atomic_load(&g_live);
}
