/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint_fast64_t g_count;
static atomic_uint_fast64_t g_fail_at;
static atomic_int g_fail_once;
static atomic_int_fast64_t g_live;

static int must_fail(void)
{
    uint64_t at = atomic_load_explicit(&g_fail_at, memory_order_relaxed);
    uint64_t n = atomic_fetch_add_explicit(&g_count, 1, memory_order_relaxed) + 1;
    if (at == 0) {
        return 0;
    }
    return atomic_load_explicit(&g_fail_once, memory_order_relaxed) ? n == at : n >= at;
}

static void *std_alloc(void *self, size_t size_bytes)
{
    (void)self;
    return malloc(size_bytes);
}

static void *std_resize(void *self, void *p, size_t size_bytes)
{
    (void)self;
    return realloc(p, size_bytes);
}

static void std_release(void *self, void *p)
{
    (void)self;
    free(p);
}

static const struct gy_allocator std_allocator = {std_alloc, std_resize, std_release, NULL};
static const struct gy_allocator *g_allocator = &std_allocator;

void gy_mem_use(const struct gy_allocator *allocator)
{
    g_allocator = allocator ? allocator : &std_allocator;
}

void gy_mem_fail_at(uint64_t nth, int once)
{
    atomic_store(&g_fail_at, 0);
    atomic_store(&g_count, 0);
    atomic_store(&g_fail_once, once);
    atomic_store(&g_fail_at, nth);
}

uint64_t gy_mem_count(void)
{
    return atomic_load(&g_count);
}

int64_t gy_mem_live(void)
{
    return atomic_load(&g_live);
}

void *gy_malloc(size_t size_bytes)
{
    if (must_fail()) {
        return NULL;
    }
    void *p = g_allocator->alloc(g_allocator->self, size_bytes ? size_bytes : 1);
    if (p) {
        atomic_fetch_add_explicit(&g_live, 1, memory_order_relaxed);
    }
    return p;
}

void *gy_calloc(size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        return NULL;
    }
    void *p = gy_malloc(total);
    if (p) {
        memset(p, 0, total ? total : 1);
    }
    return p;
}

void *gy_realloc(void *p, size_t size_bytes)
{
    if (must_fail()) {
        return NULL;
    }
    void *q = g_allocator->resize(g_allocator->self, p, size_bytes ? size_bytes : 1);
    if (q && !p) {
        atomic_fetch_add_explicit(&g_live, 1, memory_order_relaxed);
    }
    return q;
}

void *gy_reallocarray(void *p, size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        return NULL;
    }
    return gy_realloc(p, total);
}

void gy_free(void *p)
{
    if (p) {
        atomic_fetch_sub_explicit(&g_live, 1, memory_order_relaxed);
        g_allocator->release(g_allocator->self, p);
    }
}

char *gy_strndup(const char *text, size_t n)
{
    char *copy = gy_malloc(n + 1);
    if (copy) {
        if (n) {
            memcpy(copy, text, n);
        }
        copy[n] = '\0';
    }
    return copy;
}

char *gy_strdup(const char *text)
{
    return gy_strndup(text, strlen(text));
}
