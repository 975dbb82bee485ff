/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdio.h>

#include "base/mem.h"

enum { BLOCK_BYTES = 8192, SMALL_BLOCK_BYTES = 1024, ALIGN = 16 };

struct gy_arena_block {
    struct gy_arena_block *next;
    size_t cap;
    _Alignas(16) char data[];
};

void gy_arena_init(struct gy_arena *a, size_t max_bytes)
{
    *a = (struct gy_arena){.max_bytes = max_bytes};
}

void gy_arena_init_small(struct gy_arena *a, size_t max_bytes)
{
    *a = (struct gy_arena){.max_bytes = max_bytes, .small = true};
}

static void free_blocks(struct gy_arena_block *b, const struct gy_arena_block *stop)
{
    while (b != stop) {
        struct gy_arena_block *next = b->next;
        gy_free(b);
        b = next;
    }
}

void gy_arena_done(struct gy_arena *a)
{
    if (a) {
        free_blocks(a->blocks, NULL);
        *a = (struct gy_arena){.max_bytes = a->max_bytes, .small = a->small};
    }
}

void gy_arena_reset(struct gy_arena *a)
{
    struct gy_arena_block *first = a->blocks;
    while (first && first->next) {
        first = first->next;
    }
    free_blocks(a->blocks, first);
    a->blocks = first;
    a->used = 0;
    a->total_bytes = first ? first->cap : 0;
}

/* A small arena's blocks grow with it. */
static size_t next_block(const struct gy_arena *a)
{
    if (!a->small || a->total_bytes >= BLOCK_BYTES) {
        return BLOCK_BYTES;
    }
    return a->total_bytes > SMALL_BLOCK_BYTES ? a->total_bytes : SMALL_BLOCK_BYTES;
}

static struct gy_arena_block *add_block(struct gy_arena *a, size_t size_bytes)
{
    size_t usual = next_block(a);
    size_t cap = size_bytes > usual ? size_bytes : usual;
    if (cap > a->max_bytes) {
        cap = size_bytes; /* a small ceiling still serves what fits below it */
    }
    if (cap > a->max_bytes || a->total_bytes > a->max_bytes - cap) {
        return NULL;
    }
    struct gy_arena_block *b = gy_malloc(sizeof *b + cap);
    if (!b) {
        return NULL;
    }
    b->next = a->blocks;
    b->cap = cap;
    a->blocks = b;
    a->used = 0;
    a->total_bytes += cap;
    return b;
}

void *gy_arena_alloc(struct gy_arena *a, size_t size_bytes)
{
    if (size_bytes > a->max_bytes) {
        return NULL;
    }
    size_t size = (size_bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct gy_arena_block *b = a->blocks;
    if (!b || b->cap < a->used || b->cap - a->used < size) {
        b = add_block(a, size);
        if (!b) {
            return NULL;
        }
    }
    void *p = b->data + a->used;
    a->used += size;
    return p;
}

void *gy_arena_calloc(struct gy_arena *a, size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        return NULL;
    }
    void *p = gy_arena_alloc(a, total);
    if (p) {
        memset(p, 0, total);
    }
    return p;
}

char *gy_arena_strdup(struct gy_arena *a, struct gy_str s)
{
    char *copy = gy_arena_alloc(a, s.n + 1);
    if (copy) {
        if (s.n) {
            memcpy(copy, s.p, s.n);
        }
        copy[s.n] = '\0';
    }
    return copy;
}

struct gy_str gy_arena_str(struct gy_arena *a, struct gy_str s)
{
    char *copy = gy_arena_strdup(a, s);
    return copy ? (struct gy_str){copy, s.n} : GY_STR_NULL;
}

char *gy_arena_printf(struct gy_arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = need < 0 ? NULL : gy_arena_alloc(a, (size_t)need + 1);
    if (text) {
        va_start(args, fmt);
        (void)vsnprintf(text, (size_t)need + 1, fmt, args); /* measured above */
        va_end(args);
    }
    return text;
}
