/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>

#include "base/mem.h"

static char g_empty[1]; /* what an empty buffer points at; never written */

void gy_buf_init(struct gy_buf *b, size_t max_bytes)
{
    *b = (struct gy_buf){.p = g_empty, .max_bytes = max_bytes};
}

void gy_buf_done(struct gy_buf *b)
{
    if (!b) {
        return;
    }
    if (b->cap) {
        gy_free(b->p);
    }
    gy_buf_init(b, b->max_bytes);
}

void gy_buf_reset(struct gy_buf *b)
{
    b->n = 0;
    b->failed = GY_OK;
    if (b->cap) {
        b->p[0] = '\0';
    }
}

char *gy_buf_reserve(struct gy_buf *b, size_t n)
{
    if (b->failed != GY_OK) {
        return NULL;
    }
    if (n > b->max_bytes || b->n > b->max_bytes - n) {
        b->failed = GY_E_TOOBIG;
        return NULL;
    }
    size_t need = b->n + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 64;
        if (cap < need) {
            cap = need;
        }
        if (cap > b->max_bytes + 1) {
            cap = b->max_bytes + 1;
        }
        char *p = gy_realloc(b->cap ? b->p : NULL, cap);
        if (!p) {
            b->failed = GY_E_NOMEM;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
        b->p[b->n] = '\0'; /* the first time nothing stands there yet */
    }
    return b->p + b->n;
}

void gy_buf_commit(struct gy_buf *b, size_t n)
{
    GY_REQUIRE(b->cap > b->n + n);
    b->n += n;
    b->p[b->n] = '\0';
}

void gy_buf_add_bytes(struct gy_buf *b, const void *p, size_t n)
{
    if (n == 0) {
        return;
    }
    char *to = gy_buf_reserve(b, n);
    if (to) {
        memcpy(to, p, n);
        gy_buf_commit(b, n);
    }
}

void gy_buf_add(struct gy_buf *b, struct gy_str s)
{
    gy_buf_add_bytes(b, s.p, s.n);
}

void gy_buf_addc(struct gy_buf *b, const char *text)
{
    gy_buf_add_bytes(b, text, strlen(text));
}

void gy_buf_add_char(struct gy_buf *b, char c)
{
    gy_buf_add_bytes(b, &c, 1);
}

void gy_buf_addf(struct gy_buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (need <= 0) {
        return;
    }
    char *to = gy_buf_reserve(b, (size_t)need);
    if (to) {
        va_start(args, fmt);
        (void)vsnprintf(to, (size_t)need + 1, fmt, args); /* measured above */
        va_end(args);
        gy_buf_commit(b, (size_t)need);
    }
}

void gy_buf_drop_front(struct gy_buf *b, size_t n)
{
    if (n >= b->n) {
        n = b->n;
    }
    if (n == 0) {
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = '\0';
}

gy_status gy_buf_check(const struct gy_buf *b, const char *what, struct gy_err *err)
{
    if (b->failed == GY_E_TOOBIG) {
        return gy_err_set(err, GY_E_TOOBIG, "%s is larger than %zu bytes", what, b->max_bytes);
    }
    if (b->failed != GY_OK) {
        return gy_err_set(err, b->failed, "out of memory for %s", what);
    }
    return GY_OK;
}

char *gy_buf_take(struct gy_buf *b)
{
    if (b->failed != GY_OK) {
        return NULL;
    }
    char *p = b->cap ? b->p : gy_strndup("", 0);
    if (b->cap) {
        gy_buf_init(b, b->max_bytes);
    }
    return p;
}
