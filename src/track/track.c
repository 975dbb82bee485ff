/* SPDX-License-Identifier: Apache-2.0 */
#include "track/track.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/id.h"
#include "base/json.h"

gy_status gy_track_nomem(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* ---- names ---- */

/* Letters beyond ASCII count as word characters: any byte of a multi-byte UTF-8 sequence. */
static bool is_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c >= 0x80;
}

/* posixpath.normpath of a relative or absolute path, for the message only; cut to out. */
static void normal_path(struct gy_str path, char *out, size_t out_size)
{
    struct gy_str parts[64];
    size_t n = 0;
    bool absolute = path.n > 0 && path.p[0] == '/';
    struct gy_str rest = path, piece;
    while (gy_str_next(&rest, '/', &piece)) {
        if (piece.n == 0 || gy_str_eqc(piece, ".")) {
            continue;
        }
        if (gy_str_eqc(piece, "..") && (absolute || (n > 0 && !gy_str_eqc(parts[n - 1], "..")))) {
            n -= n > 0;
            continue;
        }
        if (n < sizeof parts / sizeof parts[0]) {
            parts[n++] = piece;
        }
    }
    size_t at = (size_t)snprintf(out, out_size, "%s", absolute ? "/" : "");
    for (size_t i = 0; i < n && at < out_size; i++) {
        at += (size_t)snprintf(out + at, out_size - at, "%s%" GY_STR_F, i ? "/" : "",
                               GY_STR_A(parts[i]));
    }
    if (at == 0) {
        snprintf(out, out_size, ".");
    }
}

/* Would a file of this name be one of exactly this name? */
static bool names_one_file(struct gy_str name)
{
    if (name.n == 0 || name.p[0] == '/' || gy_str_starts(name, GY_STR(".."))) {
        return false;
    }
    struct gy_str rest = name, piece;
    while (gy_str_next(&rest, '/', &piece)) {
        if (piece.n == 0 || gy_str_eqc(piece, ".") || gy_str_eqc(piece, "..")) {
            return false;
        }
    }
    return true;
}

gy_status gy_track_check_key(struct gy_str key, const char *path, struct gy_err *err)
{
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        if (!is_word((unsigned char)c) && (c == '\0' || !strchr("/.- :", c))) {
            return gy_err_set(err, GY_E_INVALID,
                              "Invalid value \"%" GY_STR_F "\" for parameter '%s' supplied: Names "
                              "may only contain alphanumerics, underscores (_), dashes (-), "
                              "periods (.), spaces ( ), colon(:) and slashes (/).",
                              GY_STR_A(gy_str_sub(key, 0, 250)), path);
        }
    }
    if (!names_one_file(key)) {
        char normal[256];
        normal_path(gy_str_sub(key, 0, 250), normal, sizeof normal);
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid value \"%" GY_STR_F "\" for parameter '%s' supplied: Names may "
                          "be treated as files in certain cases, and must not resolve to other "
                          "names when treated as such. This name would resolve to '%.100s'",
                          GY_STR_A(gy_str_sub(key, 0, 100)), path, normal);
    }
    return GY_OK;
}

/* Bytes of the first max characters; s.n when it has no more. */
static size_t prefix_bytes(struct gy_str s, size_t max)
{
    size_t chars = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (((unsigned char)s.p[i] & 0xC0) != 0x80 && chars++ == max) {
            return i;
        }
    }
    return s.n;
}

gy_status gy_track_check_length(struct gy_str s, size_t max, const char *what, struct gy_err *err)
{
    if (s.n <= max || prefix_bytes(s, max) == s.n) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_INVALID, "'%s' exceeds the maximum length of %zu characters", what,
                      max);
}

struct gy_str gy_track_cut(struct gy_str s, size_t max)
{
    if (s.n > max) {
        s.n = prefix_bytes(s, max);
    }
    return s;
}

gy_status gy_track_parse_experiment_id(struct gy_str s, int64_t *ret, struct gy_err *err)
{
    if (gy_parse_i64(s, INT64_MIN, INT64_MAX, ret, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid experiment ID '%" GY_STR_F
                          "'. Experiment ID must be a valid integer.",
                          GY_STR_A(gy_str_sub(s, 0, 100)));
    }
    return GY_OK;
}

gy_status gy_track_check_run_id(struct gy_str s, struct gy_err *err)
{
    bool good = s.n >= 1 && s.n <= 256 && s.p[0] != '_' && s.p[0] != '-';
    for (size_t i = 0; good && i < s.n; i++) {
        good = (is_word((unsigned char)s.p[i]) || s.p[i] == '-') && (unsigned char)s.p[i] < 0x80;
    }
    if (!good) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid value \"%" GY_STR_F "\" for parameter 'run_id' supplied.",
                          GY_STR_A(gy_str_sub(s, 0, 300)));
    }
    return GY_OK;
}

/* ---- small makers ---- */

struct gy_str gy_track_uri_join(struct gy_arena *a, struct gy_str base, const char *tail)
{
    struct gy_str path, query;
    bool has_query = gy_str_cut(base, '?', &path, &query);
    while (path.n > 0 && path.p[path.n - 1] == '/') {
        path.n--;
    }
    char *text = gy_arena_alloc(a, base.n + strlen(tail) + 2);
    if (!text) {
        return GY_STR_NULL;
    }
    int n = snprintf(text, base.n + strlen(tail) + 2, "%.*s/%s%s%.*s", (int)path.n, path.p, tail,
                     has_query ? "?" : "", has_query ? (int)query.n : 0, has_query ? query.p : "");
    return gy_str_n(text, (size_t)n);
}

gy_status gy_track_random_name(char out[32], struct gy_err *err)
{
    static const char *const adjectives[] = {
        "able",  "amused", "bold",  "brave",   "bright", "calm",   "clean",  "clever", "crisp",
        "eager", "fair",   "fine",  "gentle",  "glad",   "grand",  "honest", "humble", "keen",
        "kind",  "lively", "loyal", "lucky",   "merry",  "mighty", "noble",  "polite", "proud",
        "quiet", "rapid",  "rare",  "sincere", "smart",  "sunny",  "swift",  "tidy",   "wise",
    };
    static const char *const nouns[] = {
        "ant",  "bear",  "bee",   "bird",  "calf",  "carp", "cod",   "crab",  "crane",
        "crow", "deer",  "dove",  "duck",  "finch", "fish", "fox",   "frog",  "goat",
        "gull", "hare",  "hawk",  "hen",   "horse", "koi",  "lamb",  "lark",  "loon",
        "mole", "moth",  "mouse", "newt",  "otter", "owl",  "panda", "quail", "rook",
        "seal", "shark", "sheep", "shrew", "swan",  "toad", "trout", "whale", "wren",
    };
    uint32_t r[3];
    GY_TRY(gy_random_bytes(r, sizeof r, err));
    snprintf(out, 32, "%s-%s-%u", adjectives[r[0] % (sizeof adjectives / sizeof adjectives[0])],
             nouns[r[1] % (sizeof nouns / sizeof nouns[0])], r[2] % 1000);
    return GY_OK;
}

gy_status gy_track_grow(struct gy_arena *a, void **items, size_t n, size_t *cap, size_t item_bytes,
                        struct gy_err *err)
{
    if (n < *cap) {
        return GY_OK;
    }
    size_t new_cap = *cap ? *cap * 2 : 8;
    void *grown = gy_arena_calloc(a, new_cap, item_bytes);
    if (!grown) {
        return gy_track_nomem(err);
    }
    if (n > 0) {
        memcpy(grown, *items, n * item_bytes);
    }
    *items = grown;
    *cap = new_cap;
    return GY_OK;
}

gy_status gy_track_tags(struct gy_db *db, const char *sql, struct gy_val id, struct gy_arena *a,
                        struct gy_tag **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, sql, GY_VALS(id), &st, err));
    void *items = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_tag), err));
        struct gy_tag *t = &((struct gy_tag *)items)[n++];
        t->key = gy_col_dup(st, 0, a);
        t->value = gy_col_dup(st, 1, a);
        if (!t->key.p || !t->value.p) {
            return gy_track_nomem(err);
        }
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}
