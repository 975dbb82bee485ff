/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mend.h"

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool gy_str_ieq(struct gy_str a, struct gy_str b)
{
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i])) {
            return false;
        }
    }
    return true;
}

int gy_str_cmp(struct gy_str a, struct gy_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order != 0) {
        return order;
    }
    return (a.n > b.n) - (a.n < b.n);
}

bool gy_str_starts(struct gy_str s, struct gy_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool gy_str_ends(struct gy_str s, struct gy_str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct gy_str gy_str_trim(struct gy_str s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

struct gy_str gy_str_sub(struct gy_str s, size_t from, size_t n)
{
    if (from > s.n) {
        from = s.n;
    }
    if (n > s.n - from) {
        n = s.n - from;
    }
    return (struct gy_str){s.p ? s.p + from : NULL, n};
}

size_t gy_str_find(struct gy_str s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

size_t gy_str_find_str(struct gy_str s, struct gy_str needle)
{
    if (needle.n == 0) {
        return 0;
    }
    const char *hit = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

bool gy_str_cut(struct gy_str s, char sep, struct gy_str *ret_head, struct gy_str *ret_tail)
{
    size_t at = gy_str_find(s, sep);
    if (at == SIZE_MAX) {
        *ret_head = s;
        *ret_tail = GY_STR_NULL;
        return false;
    }
    struct gy_str tail = {s.p + at + 1, s.n - at - 1};
    *ret_head = (struct gy_str){s.p, at};
    *ret_tail = tail;
    return true;
}

bool gy_str_next(struct gy_str *rest, char sep, struct gy_str *ret_piece)
{
    if (!rest->p) {
        return false;
    }
    struct gy_str whole = *rest;
    (void)gy_str_cut(whole, sep, ret_piece,
                     rest); /* without a sep, rest becomes absent: the last piece */
    return true;
}

/* Length of the UTF-8 sequence at p (n bytes left), 0 when malformed: the table of Unicode 15,
 * section 3.9, table 3-7. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return len;
}

struct gy_str gy_str_head(struct gy_str s, size_t max)
{
    if (!s.p || s.n <= max) {
        return s;
    }
    size_t n = max;
    while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return gy_str_n(s.p, n);
}

void gy_str_mend(char *text)
{
    char *to = text;
    for (const char *at = text; *at;) {
        unsigned char first = (unsigned char)*at;
        size_t wanted = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1, n = 1;
        while (n < wanted && ((unsigned char)at[n] & 0xc0) == 0x80) {
            n++;
        }
        if (n == wanted || first > 0xf4) {
            memmove(to, at, n);
            to += n;
        }
        at += n;
    }
    *to = '\0';
}

bool gy_str_is_utf8(struct gy_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        /* Eight ASCII bytes at a time: most text is nothing else. */
        uint64_t word;
        if (s.n - i >= sizeof word) {
            memcpy(&word, p + i, sizeof word);
            if ((word & 0x8080808080808080ULL) == 0) {
                i += sizeof word;
                continue;
            }
        }
        size_t len = utf8_len(p + i, s.n - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}

/* FNV-1a finished by the murmur3 mixer: short keys, no adversary (maps that see foreign keys bound
 * their size). */
uint64_t gy_str_hash(struct gy_str s, uint64_t seed)
{
    uint64_t h = 0xcbf29ce484222325ULL ^ seed;
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3ULL;
    }
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    return h;
}

gy_status gy_parse_i64(struct gy_str s, int64_t min, int64_t max, int64_t *ret_value,
                       struct gy_err *err)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == s.n) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is not an integer", GY_STR_A(s));
    }
    int64_t value = 0;
    for (; i < s.n; i++) {
        int digit = s.p[i] - '0';
        if (digit < 0 || digit > 9) {
            return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is not an integer", GY_STR_A(s));
        }
        /* Built downwards when negative, so that INT64_MIN is reached without overflow. */
        if (__builtin_mul_overflow(value, 10, &value) ||
            (negative ? __builtin_sub_overflow(value, digit, &value)
                      : __builtin_add_overflow(value, digit, &value))) {
            return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is too large", GY_STR_A(s));
        }
    }
    if (value < min || value > max) {
        return gy_err_set(err, GY_E_INVALID, "%lld is not within %lld..%lld", (long long)value,
                          (long long)min, (long long)max);
    }
    *ret_value = value;
    return GY_OK;
}

gy_status gy_parse_bytes(struct gy_str s, int64_t *ret_bytes, struct gy_err *err)
{
    static const char units[] = "KMGT";
    int64_t unit = 1;
    for (size_t i = 0; s.n > 1 && units[i]; i++) {
        if ((s.p[s.n - 1] & ~0x20) == units[i]) {
            unit = (int64_t)1 << (10 * (i + 1));
            s.n--;
            break;
        }
    }
    GY_TRY(gy_parse_i64(s, 0, INT64_MAX / unit, ret_bytes, err));
    *ret_bytes *= unit;
    return GY_OK;
}

/* [-] digits [. digits] [e [+-] digits], with digits on at least one side of the point. */
static bool looks_like_number(struct gy_str s)
{
    size_t i = s.n > 0 && s.p[0] == '-' ? 1 : 0;
    size_t digits = 0;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
        digits++;
    }
    if (i < s.n && s.p[i] == '.') {
        for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
            digits++;
        }
    }
    if (digits == 0) {
        return false;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (i < s.n && (s.p[i] == '+' || s.p[i] == '-')) {
            i++;
        }
        size_t exponent = i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') {
            i++;
        }
        if (i == exponent) {
            return false;
        }
    }
    return i == s.n;
}

gy_status gy_parse_f64(struct gy_str s, double *ret_value, struct gy_err *err)
{
    char text[400]; /* longer than any double needs; longer input is refused, never cut */
    if (s.n >= sizeof text || !looks_like_number(s)) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is not a number", GY_STR_A(s));
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    double value = strtod(text, NULL);
    if (!isfinite(value)) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is outside the range of a double",
                          GY_STR_A(s));
    }
    *ret_value = value;
    return GY_OK;
}
