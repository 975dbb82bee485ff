/* SPDX-License-Identifier: Apache-2.0 */
/* gy_buf: growing bytes with a ceiling. `p` is never NULL and always ends in NUL (not counted in
 * n). Appends return nothing: the first failure (out of memory, ceiling passed) sticks and later
 * appends do nothing, so that code which writes long replies asks once at the end with
 * gy_buf_check. Not thread safe; one owner. */
#ifndef GY_BASE_BUF_H
#define GY_BASE_BUF_H

#include "base/str.h"

struct gy_buf {
    char *p;
    size_t n;
    size_t cap;       /* allocated bytes, 0 while p is the shared empty string */
    size_t max_bytes; /* ceiling of n */
    gy_status failed; /* GY_OK, or the first failure: NOMEM or TOOBIG */
};

void gy_buf_init(struct gy_buf *b, size_t max_bytes); /* allocates nothing */
void gy_buf_done(struct gy_buf *b);  /* frees; b may be zeroed, NULL or done already */
void gy_buf_reset(struct gy_buf *b); /* n = 0 and the failure forgotten; keeps the memory */
GY_DEFINE_AUTO_DONE(struct gy_buf, gy_buf_done);

void gy_buf_add(struct gy_buf *b, struct gy_str s);
void gy_buf_addc(struct gy_buf *b, const char *text);
void gy_buf_add_bytes(struct gy_buf *b, const void *p, size_t n);
void gy_buf_add_char(struct gy_buf *b, char c);
void gy_buf_addf(struct gy_buf *b, const char *fmt, ...) GY_PRINTF(2, 3);
/* Make room for n more bytes and return where they go (NULL when failed); after writing set n with
 * gy_buf_commit. */
char *gy_buf_reserve(struct gy_buf *b, size_t n);
void gy_buf_commit(struct gy_buf *b, size_t n);
void gy_buf_drop_front(struct gy_buf *b, size_t n); /* remove the first n bytes (clamped) */

/* GY_OK, or fills err with what stuck: `what` names the thing, "the reply". */
GY_CHECKED gy_status gy_buf_check(const struct gy_buf *b, const char *what, struct gy_err *err);
static inline struct gy_str gy_buf_str(const struct gy_buf *b)
{
    return (struct gy_str){b->p, b->n};
}
/* Hand the bytes over (gy_free); b is empty afterwards. NULL when b failed or memory ran out. */
GY_CHECKED char *gy_buf_take(struct gy_buf *b);

#endif
