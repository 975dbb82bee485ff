/* SPDX-License-Identifier: Apache-2.0 */
#include "data/subject.h"

#include <math.h>
#include <stdlib.h>

#include "base/limits.h"

#define MIN_MIXED 4    /* bytes of an id with letters and digits to be looked for in text */
#define MIN_LETTERS 12 /* of one without either */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static bool is_word(char c)
{
    return is_digit(c) || is_letter(c);
}

/* "42.00" -> 2, the length of its integer part; 0: no integer with a point and zeros. */
static size_t integer_part(struct gy_str s)
{
    size_t at = s.n > 0 && s.p[0] == '-';
    size_t first = at;
    while (at < s.n && is_digit(s.p[at])) {
        at++;
    }
    size_t n = at;
    if (n == first || at == s.n || s.p[at] != '.' || at + 1 == s.n ||
        (s.p[first] == '0' && n > first + 1)) {
        return 0;
    }
    for (at++; at < s.n; at++) {
        if (s.p[at] != '0') {
            return 0;
        }
    }
    return n;
}

struct gy_str gy_subject_canonical(struct gy_str text)
{
    struct gy_str s = gy_str_trim(text);
    size_t n = integer_part(s);
    return n ? gy_str_n(s.p, n) : s;
}

gy_status gy_subject_init(struct gy_subject *s, struct gy_str id, struct gy_err *err)
{
    struct gy_str canonical = gy_subject_canonical(id);
    if (canonical.n == 0 || canonical.n > GY_SUBJECT_MAX_ID || !gy_str_is_utf8(canonical)) {
        return gy_err_set(err, GY_E_INVALID, "the id of a subject has 1 to %d bytes of UTF-8",
                          GY_SUBJECT_MAX_ID);
    }
    for (size_t i = 0; i < canonical.n; i++) {
        if ((unsigned char)canonical.p[i] < ' ' || canonical.p[i] == 0x7f) {
            return gy_err_set(err, GY_E_INVALID, "the id of a subject has no control characters");
        }
    }
    *s = (struct gy_subject){.id = canonical};
    return GY_OK;
}

static int hash_cmp(const void *a, const void *b)
{
    return memcmp(a, b, GY_ERASURE_HASH);
}

void gy_subject_init_hashes(struct gy_subject *s, const struct gy_erasure_key *key,
                            unsigned char (*hashes)[GY_ERASURE_HASH], size_t n)
{
    if (n) {
        qsort(hashes, n, sizeof *hashes, hash_cmp);
    }
    *s = (struct gy_subject){
        .key = key, .hashes = (const unsigned char(*)[GY_ERASURE_HASH])hashes, .n_hashes = n};
}

static bool is_canonical(const struct gy_subject *s, struct gy_str value)
{
    if (s->id.p) {
        return gy_str_eq(s->id, value);
    }
    unsigned char hash[GY_ERASURE_HASH];
    if (value.n == 0 || value.n > GY_SUBJECT_MAX_ID || s->n_hashes == 0) {
        return false;
    }
    gy_erasure_hash(s->key, value, hash);
    return bsearch(hash, s->hashes, s->n_hashes, sizeof *s->hashes, hash_cmp) != NULL;
}

bool gy_subject_is(const struct gy_subject *s, struct gy_str value)
{
    return is_canonical(s, gy_subject_canonical(value));
}

bool gy_subject_is_number(const struct gy_subject *s, double value)
{
    char text[32];
    if (isnan(value)) {
        return false;
    }
    size_t n = gy_fmt_f64_trim(value, text);
    return gy_subject_is(s, gy_str_n(text, n));
}

/* Can it hardly be anything else? */
static bool is_telling(struct gy_str id)
{
    bool digit = false;
    bool other = false;
    bool letter = false;
    for (size_t i = 0; i < id.n; i++) {
        digit |= is_digit(id.p[i]);
        letter |= is_letter(id.p[i]);
        other |= !is_digit(id.p[i]);
    }
    return (id.n >= MIN_MIXED && digit && letter) || (id.n >= MIN_LETTERS && other);
}

static bool find_id(const struct gy_subject *s, struct gy_str text, size_t *ret_at, size_t *ret_n)
{
    if (!is_telling(s->id)) {
        return false;
    }
    for (size_t from = 0; from + s->id.n <= text.n;) {
        size_t at = gy_str_find_str(gy_str_sub(text, from, SIZE_MAX), s->id);
        if (at == SIZE_MAX) {
            return false;
        }
        at += from;
        size_t end = at + s->id.n;
        if ((at == 0 || !is_word(text.p[at - 1]) || !is_word(text.p[at])) &&
            (end == text.n || !is_word(text.p[end]) || !is_word(text.p[end - 1]))) {
            *ret_at = at;
            *ret_n = s->id.n;
            return true;
        }
        from = at + 1;
    }
    return false;
}

/* Without the id every run of whole words is tried: from each word's start, up to so many words. */
static bool find_hash(const struct gy_subject *s, struct gy_str text, size_t *ret_at, size_t *ret_n)
{
    for (size_t at = 0; s->n_hashes > 0 && at < text.n; at++) {
        if (!is_word(text.p[at]) || (at > 0 && is_word(text.p[at - 1]))) {
            continue;
        }
        size_t end = at;
        for (int words = 0; words < GY_SUBJECT_MAX_WORDS && end < text.n; words++) {
            while (end < text.n && is_word(text.p[end])) {
                end++;
            }
            struct gy_str word = gy_str_n(text.p + at, end - at);
            if (word.n > GY_SUBJECT_MAX_ID) {
                break;
            }
            if (is_telling(word) && is_canonical(s, word)) {
                *ret_at = at;
                *ret_n = word.n;
                return true;
            }
            while (end < text.n && !is_word(text.p[end])) {
                end++;
            }
        }
    }
    return false;
}

bool gy_subject_is_telling(const struct gy_subject *s)
{
    return !s->id.p || is_telling(s->id);
}

bool gy_subject_named(const struct gy_subject *s, struct gy_str text, size_t *ret_at, size_t *ret_n)
{
    size_t at = 0, n = 0;
    bool found = s->id.p ? find_id(s, text, &at, &n) : find_hash(s, text, &at, &n);
    if (!found && is_telling(text) && gy_subject_is(s, text)) { /* begins or ends with no word */
        found = true;
        at = 0;
        n = text.n;
    }
    if (found && ret_at) {
        *ret_at = at;
    }
    if (found && ret_n) {
        *ret_n = n;
    }
    return found;
}

bool gy_subject_in(const struct gy_subject *s, struct gy_str text, size_t *ret_at, size_t *ret_n)
{
    if (!gy_subject_is(s, text)) {
        return gy_subject_named(s, text, ret_at, ret_n);
    }
    if (ret_at) {
        *ret_at = 0;
    }
    if (ret_n) {
        *ret_n = text.n;
    }
    return true;
}

void gy_subject_blank(const struct gy_subject *s, struct gy_str text, struct gy_buf *out)
{
    size_t at, n;
    while (text.n && gy_subject_named(s, text, &at, &n)) {
        gy_buf_add(out, gy_str_sub(text, 0, at));
        gy_buf_addc(out, "[erased]");
        text = gy_str_sub(text, at + n, SIZE_MAX);
    }
    gy_buf_add(out, text);
}
