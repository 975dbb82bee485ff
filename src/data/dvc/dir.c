/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a folder, as DVC's JSON. Read by a scanner of our own, because names that are no
 * UTF-8 stand there as lone surrogates, which strict JSON readers refuse. */
#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/dvc/dir.h"

#define MAX_NESTING 32 /* of values that we pass over */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for the list of a folder");
}

/* ---- order and text as Python has them ---- */

/* The next code point of s at *at (advanced); a byte that is no UTF-8 becomes the surrogate that
 * Python gives it. */
static unsigned next_code(struct gy_str s, size_t *at)
{
    unsigned char c = (unsigned char)s.p[*at];
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (n == 1) {
        ++*at;
        return c;
    }
    if (*at + n > s.n || !gy_str_is_utf8(gy_str_n(s.p + *at, n))) {
        ++*at;
        return 0xdc00u + c;
    }
    unsigned code = n == 2 ? c & 0x1fu : n == 3 ? c & 0x0fu : c & 0x07u;
    for (size_t i = 1; i < n; i++) {
        code = code << 6 | ((unsigned char)s.p[*at + i] & 0x3fu);
    }
    *at += n;
    return code;
}

int gy_dvc_path_cmp(struct gy_str a, struct gy_str b)
{
    size_t i = 0;
    while (i < a.n && i < b.n && a.p[i] == b.p[i]) {
        i++;
    }
    bool plain = (i == a.n || (unsigned char)a.p[i] < 0x80) &&
                 (i == b.n || (unsigned char)b.p[i] < 0x80) &&
                 (i == 0 || (unsigned char)a.p[i - 1] < 0x80);
    if (plain) {
        unsigned x = i < a.n ? (unsigned char)a.p[i] + 1u : 0;
        unsigned y = i < b.n ? (unsigned char)b.p[i] + 1u : 0;
        return x < y ? -1 : x > y;
    }
    /* Decode from where code points begin for sure: the run of bytes above ASCII. */
    while (i > 0 && (unsigned char)a.p[i - 1] >= 0x80) {
        i--;
    }
    for (size_t at = i, bt = i;;) {
        unsigned x = at < a.n ? next_code(a, &at) + 1 : 0;
        unsigned y = bt < b.n ? next_code(b, &bt) + 1 : 0;
        if (x != y || x == 0) {
            return x < y ? -1 : x > y;
        }
    }
}

void gy_dvc_add_python_string(struct gy_buf *out, struct gy_str s)
{
    static const char special[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    gy_buf_add_char(out, '"');
    for (size_t at = 0; at < s.n;) {
        size_t from = at;
        while (at < s.n && s.p[at] >= 0x20 && s.p[at] < 0x7f && s.p[at] != '"' && s.p[at] != '\\') {
            at++;
        }
        gy_buf_add_bytes(out, s.p + from, at - from);
        if (at == s.n) {
            break;
        }
        unsigned code = next_code(s, &at);
        const char *found = code > 0 && code < 0x80 ? strchr(special, (int)code) : NULL;
        if (found) {
            gy_buf_addf(out, "\\%c", letters[found - special]);
        } else if (code >= 0x10000) {
            code -= 0x10000;
            gy_buf_addf(out, "\\u%04x\\u%04x", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff));
        } else {
            gy_buf_addf(out, "\\u%04x", code);
        }
    }
    gy_buf_add_char(out, '"');
}

static int by_relpath(const void *a, const void *b)
{
    return gy_dvc_path_cmp(((const struct gy_dvc_entry *)a)->relpath,
                           ((const struct gy_dvc_entry *)b)->relpath);
}

void gy_dvc_dir_sort(struct gy_dvc_entry *entries, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (gy_dvc_path_cmp(entries[i - 1].relpath, entries[i].relpath) > 0) {
            qsort(entries, n, sizeof *entries, by_relpath);
            return;
        }
    }
}

gy_status gy_dvc_dir_json(struct gy_dvc_entry *entries, size_t n, struct gy_buf *out,
                          struct gy_err *err)
{
    static const char open[] = "{\"md5\": \"", middle[] = "\", \"relpath\": ";
    gy_dvc_dir_sort(entries, n);
    gy_buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            gy_buf_add_bytes(out, ", ", 2);
        }
        gy_buf_add_bytes(out, open, sizeof open - 1);
        gy_buf_add_bytes(out, entries[i].md5, GY_MD5_HEX - 1);
        gy_buf_add_bytes(out, middle, sizeof middle - 1);
        gy_dvc_add_python_string(out, entries[i].relpath);
        gy_buf_add_char(out, '}');
    }
    gy_buf_add_char(out, ']');
    return gy_buf_check(out, "the list of a folder", err);
}

/* ---- reading ---- */

struct scan {
    const char *p, *end, *start;
    struct gy_arena *arena;
    struct gy_err *err;
};

static gy_status bad(const struct scan *s, const char *what)
{
    return gy_err_set(s->err, GY_E_PARSE, "the list of a folder: %s at byte %zu", what,
                      (size_t)(s->p - s->start));
}

static void blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t')) {
        s->p++;
    }
}

static bool take(struct scan *s, char c)
{
    blanks(s);
    if (s->p < s->end && *s->p == c) {
        s->p++;
        return true;
    }
    return false;
}

static bool hex4(struct scan *s, unsigned *ret)
{
    if (s->end - s->p < 4) {
        return false;
    }
    *ret = 0;
    for (int i = 0; i < 4; i++) {
        int digit = gy_hex_digit(s->p[i]);
        if (digit < 0) {
            return false;
        }
        *ret = *ret << 4 | (unsigned)digit;
    }
    s->p += 4;
    return true;
}

static char *put_code(char *out, unsigned code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    } else {
        *out++ = (char)(0xf0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    }
    return out;
}

/* \uXXXX, after the u: pairs are one code point, a lone low one of U+DC80..U+DCFF is a byte. */
static gy_status unicode_escape(struct scan *s, char **out)
{
    unsigned code = 0, low = 0;
    if (!hex4(s, &code)) {
        return bad(s, "a bad \\u");
    }
    if (code >= 0xdc80 && code <= 0xdcff) {
        *(*out)++ = (char)(code - 0xdc00);
        return GY_OK;
    }
    if (code >= 0xd800 && code <= 0xdbff && s->end - s->p >= 6 && s->p[0] == '\\' &&
        s->p[1] == 'u') {
        s->p += 2;
        if (!hex4(s, &low) || low < 0xdc00 || low > 0xdfff) {
            return bad(s, "half a surrogate pair");
        }
        *out = put_code(*out, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
        return GY_OK;
    }
    if ((code >= 0xd800 && code <= 0xdfff) || code == 0) {
        return bad(s, "a code point that no name has");
    }
    *out = put_code(*out, code);
    return GY_OK;
}

static gy_status escape(struct scan *s, char **out)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    if (s->p == s->end) {
        return bad(s, "an unfinished string");
    }
    char c = *s->p++;
    if (c == 'u') {
        return unicode_escape(s, out);
    }
    const char *found = c ? strchr(letters, c) : NULL;
    if (!found) {
        return bad(s, "an unknown escape");
    }
    *(*out)++ = meant[found - letters];
    return GY_OK;
}

/* A string, after blanks; a view of the text where nothing is escaped. */
static gy_status string(struct scan *s, struct gy_str *ret)
{
    if (!take(s, '"')) {
        return bad(s, "a string is missing");
    }
    const char *from = s->p;
    while (s->p < s->end && *s->p != '"' && *s->p != '\\') {
        s->p++;
    }
    if (s->p < s->end && *s->p == '"') {
        *ret = gy_str_n(from, (size_t)(s->p++ - from));
        return GY_OK;
    }
    const char *end = s->p; /* escapes only make it shorter: find the end for the size */
    while (end < s->end && *end != '"') {
        end += *end == '\\' ? 2 : 1;
    }
    if (end >= s->end) {
        return bad(s, "an unfinished string");
    }
    char *text = gy_arena_alloc(s->arena, (size_t)(end - from) + 1);
    if (!text) {
        return no_memory(s->err);
    }
    size_t n = (size_t)(s->p - from);
    memcpy(text, from, n);
    char *out = text + n;
    while (s->p < end) {
        if (*s->p == '\\') {
            s->p++;
            GY_TRY(escape(s, &out));
        } else {
            *out++ = *s->p++;
        }
    }
    s->p = end + 1;
    *ret = gy_str_n(text, (size_t)(out - text));
    return GY_OK;
}

/* Pass over any value: lists of cloud-versioned folders hold more than names. */
static gy_status skip(struct scan *s)
{
    int depth = 0;
    do {
        struct gy_str none;
        blanks(s);
        if (s->p == s->end) {
            return bad(s, "an unfinished value");
        }
        char c = *s->p;
        if (c == '"') {
            GY_TRY(string(s, &none));
        } else if (c == '{' || c == '[') {
            s->p++;
            if (++depth > MAX_NESTING) {
                return bad(s, "too much nesting");
            }
        } else if (c == '}' || c == ']') {
            if (depth == 0) {
                return bad(s, "a value is missing");
            }
            s->p++;
            depth--;
        } else {
            const char *from = s->p;
            while (s->p < s->end && !strchr(" \n\r\t\"{}[]", *s->p) &&
                   (depth > 0 || *s->p != ',')) {
                s->p++;
            }
            if (s->p == from) {
                return bad(s, "a value is missing");
            }
        }
    } while (depth > 0);
    return GY_OK;
}

bool gy_dvc_relpath_ok(struct gy_str path)
{
    struct gy_str rest = path, part;
    if (path.n == 0 || path.n >= GY_MAX_PATH || memchr(path.p, 0, path.n)) {
        return false;
    }
    while (gy_str_next(&rest, '/', &part)) {
        if (part.n == 0 || gy_str_eqc(part, ".") || gy_str_eqc(part, "..")) {
            return false;
        }
    }
    return true;
}

static gy_status object(struct scan *s, struct gy_dvc_entry *e)
{
    struct gy_str key, md5 = GY_STR_NULL, relpath = GY_STR_NULL;
    if (!take(s, '{')) {
        return bad(s, "an entry is missing");
    }
    bool more = !take(s, '}');
    while (more) {
        GY_TRY(string(s, &key));
        if (!take(s, ':')) {
            return bad(s, "a ':' is missing");
        }
        if (gy_str_eqc(key, "md5")) {
            GY_TRY(string(s, &md5));
        } else if (gy_str_eqc(key, "relpath")) {
            GY_TRY(string(s, &relpath));
        } else {
            GY_TRY(skip(s));
        }
        more = take(s, ',');
        if (!more && !take(s, '}')) {
            return bad(s, "a ',' is missing");
        }
    }
    if (!relpath.p || !gy_dvc_relpath_ok(relpath)) {
        return bad(s, "an entry has no path that stays in the folder");
    }
    if (md5.n != GY_MD5_HEX - 1 || !gy_dvc_hex_lower(md5, e->md5)) {
        return bad(s, "an entry has no MD5");
    }
    e->relpath = relpath;
    return GY_OK;
}

bool gy_dvc_hex_lower(struct gy_str hex, char *out)
{
    for (size_t i = 0; i < hex.n; i++) {
        if (gy_hex_digit(hex.p[i]) < 0) {
            return false;
        }
        out[i] = (char)(hex.p[i] >= 'A' && hex.p[i] <= 'F' ? hex.p[i] + 32 : hex.p[i]);
    }
    out[hex.n] = '\0';
    return true;
}

gy_status gy_dvc_dir_parse(struct gy_str json, struct gy_arena *a, struct gy_dvc_entry **ret,
                           size_t *ret_n, struct gy_err *err)
{
    struct gy_str text = gy_arena_str(a, json);
    GY_AUTO(gy_free) char *room = NULL;
    size_t n = 0, cap = 0;
    if (!text.p) {
        return no_memory(err);
    }
    struct scan s = {text.p, text.p + text.n, text.p, a, err};
    if (!take(&s, '[')) {
        return bad(&s, "it is no list");
    }
    bool more = !take(&s, ']');
    while (more) {
        if (n == cap) {
            cap = cap ? 2 * cap : 64;
            char *grown = gy_reallocarray(room, cap, sizeof **ret);
            if (!grown) {
                return no_memory(err);
            }
            room = grown;
        }
        if (n >= GY_DVC_MAX_FILES) {
            return gy_err_set(err, GY_E_TOOBIG, "the list of a folder has over %d files",
                              GY_DVC_MAX_FILES);
        }
        GY_TRY(object(&s, (struct gy_dvc_entry *)(void *)room + n));
        n++;
        more = take(&s, ',');
        if (!more && !take(&s, ']')) {
            return bad(&s, "a ',' is missing");
        }
    }
    blanks(&s);
    if (s.p != s.end) {
        return bad(&s, "something follows it");
    }
    struct gy_dvc_entry *entries = gy_arena_alloc(a, (n + 1) * sizeof *entries);
    if (!entries) {
        return no_memory(err);
    }
    if (n > 0) {
        memcpy(entries, room, n * sizeof *entries);
    }
    gy_dvc_dir_sort(entries, n);
    for (size_t i = 1; i < n; i++) {
        if (gy_str_eq(entries[i - 1].relpath, entries[i].relpath)) {
            return gy_err_set(err, GY_E_PARSE, "the list of a folder names '%" GY_STR_F "' twice",
                              GY_STR_A(entries[i].relpath));
        }
    }
    *ret = entries;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_dvc_dir_load(const struct gy_dvc_repo *r, const struct gy_dvc_oid *oid,
                          struct gy_arena *a, struct gy_dvc_entry **ret, size_t *ret_n,
                          struct gy_err *err)
{
    char path[GY_MAX_PATH];
    bool there = false;
    GY_TRY(gy_dvc_cache_has(r, oid, &there, err));
    GY_TRY(gy_dvc_cache_path(r, oid, path, err));
    if (!there) {
        return gy_err_set(err, GY_E_NOTFOUND, "the list of a folder is not in the cache: %s",
                          oid->hex);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_DVC_MAX_LIST);
    GY_TRY(gy_file_read(path, &text, err));
    gy_status status = gy_dvc_dir_parse(gy_buf_str(&text), a, ret, ret_n, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "%s", path);
}
