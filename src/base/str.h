/* SPDX-License-Identifier: Apache-2.0 */
/* gy_str: a view of bytes, passed by value. It owns nothing and need not end in NUL; {NULL, 0} is
 * the absent string and {p, 0} the empty one. Views live as long as what they point into. All
 * functions are pure and thread safe. */
#ifndef GY_BASE_STR_H
#define GY_BASE_STR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct gy_str {
    const char *p;
    size_t n;
};

#define GY_STR(literal) ((struct gy_str){(literal), sizeof(literal) - 1})
#define GY_STR_NULL ((struct gy_str){NULL, 0})
/* For printf: ("%" GY_STR_F, GY_STR_A(s)). */
#define GY_STR_F ".*s"
#define GY_STR_A(s) ((int)((s).n > 4096 ? 4096 : (s).n)), ((s).p ? (s).p : "")

/* NULL gives the absent string. */
static inline struct gy_str gy_str_c(const char *text)
{
    return (struct gy_str){text, text ? strlen(text) : 0};
}
static inline struct gy_str gy_str_n(const char *p, size_t n)
{
    return (struct gy_str){p, n};
}
static inline bool gy_str_eq(struct gy_str a, struct gy_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool gy_str_eqc(struct gy_str a, const char *b)
{
    return gy_str_eq(a, gy_str_c(b));
}
bool gy_str_ieq(struct gy_str a, struct gy_str b); /* ASCII letters compare without case */
int gy_str_cmp(struct gy_str a, struct gy_str b);  /* bytewise, as memcmp then length */
bool gy_str_starts(struct gy_str s, struct gy_str prefix);
bool gy_str_ends(struct gy_str s, struct gy_str suffix);
struct gy_str gy_str_trim(struct gy_str s); /* ASCII blanks, CR and LF at both ends */
struct gy_str gy_str_sub(struct gy_str s, size_t from, size_t n); /* clamped to s */
/* Position of the first c / needle; SIZE_MAX when absent. */
size_t gy_str_find(struct gy_str s, char c);
size_t gy_str_find_str(struct gy_str s, struct gy_str needle);
/* Split at the first sep: *ret_head is what stands before it, *ret_tail what follows. Without a
 * sep: head = s, tail absent, false. The outputs may be the same object as s. */
bool gy_str_cut(struct gy_str s, char sep, struct gy_str *ret_head, struct gy_str *ret_tail);
/* The next sep-separated piece of *rest, which is advanced; false when *rest is absent (p == NULL).
 */
bool gy_str_next(struct gy_str *rest, char sep, struct gy_str *ret_piece);
/* The start of a UTF-8 text, at most max bytes, never a part of a character. A view. */
struct gy_str gy_str_head(struct gy_str s, size_t max);
bool gy_str_is_utf8(
    struct gy_str s); /* strict: no overlong forms, no surrogates, nothing above U+10FFFF */
uint64_t gy_str_hash(struct gy_str s, uint64_t seed);

/* Whole-string parsers (no blanks, no sign tricks): decimal integers within [min, max], floats as
 * JSON writes them plus "inf", "nan" and a leading '+' refused. Fail with INVALID and say what was
 * expected. */
GY_CHECKED gy_status gy_parse_i64(struct gy_str s, int64_t min, int64_t max, int64_t *ret_value,
                                  struct gy_err *err);
/* A number of bytes: a whole number, alone or with K, M, G or T (powers of 1024, either case)
 * behind it. Fails: INVALID. */
GY_CHECKED gy_status gy_parse_bytes(struct gy_str s, int64_t *ret_bytes, struct gy_err *err);
GY_CHECKED gy_status gy_parse_f64(struct gy_str s, double *ret_value, struct gy_err *err);

/* Shortest decimal text that reads back as exactly `value`, as Python's repr writes it ("1.0",
 * "1e-05", "1e+16", "nan", "inf", "-inf"). out gets at most 32 bytes and a NUL; returns the length.
 */
size_t gy_fmt_f64(double value, char out[32]);
/* As JSON and canonical CSV write it: an integral value below 1e15 has no ".0" when `trim` is set.
 */
size_t gy_fmt_f64_trim(double value, char out[32]);

#endif
