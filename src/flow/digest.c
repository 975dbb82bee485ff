/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct walk {
    const char *base; /* the folder that is digested, absolute */
    struct gy_arena *arena;
    struct gy_flow_file *files;
    size_t n, cap;
    int64_t size_bytes;
    char rel[GY_MAX_PATH]; /* of the folder we are in, with a '/' at its end unless empty */
    int depth;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory hashing files");
}

/* Version control keeps its own folders; DVC leaves them out by default. */
static bool is_ignored(const char *name, bool is_dir)
{
    return (is_dir &&
            (strcmp(name, ".git") == 0 || strcmp(name, ".hg") == 0 || strcmp(name, ".dvc") == 0)) ||
           strcmp(name, ".git") == 0;
}

static gy_status add_file(struct walk *w, const char *path, struct gy_str rel, struct gy_err *err)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 64;
        struct gy_flow_file *grown = gy_arena_calloc(w->arena, cap, sizeof *grown);
        if (w->n >= GY_FLOW_MAX_FILES) {
            return gy_err_set(err, GY_E_TOOBIG, "%s holds more than %d files", w->base,
                              GY_FLOW_MAX_FILES);
        }
        if (!grown) {
            return no_memory(err);
        }
        if (w->n > 0) {
            memcpy(grown, w->files, w->n * sizeof *grown);
        }
        w->files = grown;
        w->cap = cap;
    }
    struct gy_flow_file *f = &w->files[w->n];
    f->relpath = gy_arena_str(w->arena, rel);
    if (!f->relpath.p) {
        return no_memory(err);
    }
    GY_TRY(gy_file_digest(path, f->sha256, f->md5, &f->size_bytes, err));
    w->size_bytes += f->size_bytes;
    w->n++;
    return GY_OK;
}

static gy_status visit(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct walk *w = ctx;
    char path[GY_MAX_PATH];
    if (is_ignored(name, is_dir)) {
        return GY_OK;
    }
    if (strcmp(name, ".dvcignore") == 0) {
        return gy_err_set(err, GY_E_INVALID, "%s/%s.dvcignore: not allowed inside a tracked folder",
                          w->base, w->rel);
    }
    size_t n = strlen(w->rel);
    size_t m = strlen(name);
    if (n + m + 2 >= sizeof w->rel) {
        return gy_err_set(err, GY_E_TOOBIG, "a path in %s is too long", w->base);
    }
    memcpy(w->rel + n, name, m + 1);
    gy_status status = gy_path_join(path, sizeof path, w->base, w->rel, err);
    if (status == GY_OK && is_dir) {
        if (++w->depth > GY_FLOW_MAX_DEPTH) {
            return gy_err_set(err, GY_E_TOOBIG, "%s is nested deeper than %d folders", w->base,
                              GY_FLOW_MAX_DEPTH);
        }
        memcpy(w->rel + n + m, "/", 2);
        status = gy_dir_each(path, visit, w, err);
        w->depth--;
    } else if (status == GY_OK) {
        struct stat st;
        if (stat(path, &st) != 0) {
            status = gy_err_sys(err, errno, "can not look at %s", path);
        } else if (!S_ISREG(st.st_mode)) {
            status = gy_err_set(err, GY_E_INVALID, "%s is neither a file nor a folder", path);
        } else {
            status = add_file(w, path, gy_str_n(w->rel, n + m), err);
        }
    }
    w->rel[n] = '\0';
    return status;
}

static int by_relpath(const void *a, const void *b)
{
    return gy_str_cmp(((const struct gy_flow_file *)a)->relpath,
                      ((const struct gy_flow_file *)b)->relpath);
}

/* The next code point of s at *at (advanced); a byte that is no UTF-8 becomes the surrogate that
 * Python gives it. */
static unsigned next_code(struct gy_str s, size_t *at)
{
    unsigned char c = (unsigned char)s.p[*at];
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (!gy_str_is_utf8(gy_str_sub(s, *at, n)) || *at + n > s.n) {
        ++*at;
        return 0xdc00u + c;
    }
    unsigned code = n == 1 ? c : n == 2 ? c & 0x1fu : n == 3 ? c & 0x0fu : c & 0x07u;
    for (size_t i = 1; i < n; i++) {
        code = code << 6 | ((unsigned char)s.p[*at + i] & 0x3fu);
    }
    *at += n;
    return code;
}

/* A string as Python's json.dumps writes it with ensure_ascii. */
static void add_python_string(struct gy_buf *out, struct gy_str s)
{
    static const char special[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    gy_buf_add_char(out, '"');
    for (size_t at = 0; at < s.n;) {
        unsigned code = next_code(s, &at);
        const char *found = code > 0 && code < 0x80 ? strchr(special, (int)code) : NULL;
        if (found) {
            gy_buf_addf(out, "\\%c", letters[found - special]);
        } else if (code >= 0x10000) {
            code -= 0x10000;
            gy_buf_addf(out, "\\u%04x\\u%04x", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff));
        } else if (code < 0x20 || code > 0x7e) {
            gy_buf_addf(out, "\\u%04x", code);
        } else {
            gy_buf_add_char(out, (char)code);
        }
    }
    gy_buf_add_char(out, '"');
}

static gy_status dir_json(struct walk *w, struct gy_flow_entry *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_GIB);
    gy_buf_add_char(&json, '[');
    for (size_t i = 0; i < w->n; i++) {
        gy_buf_addf(&json, "%s{\"md5\": \"%s\", \"relpath\": ", i ? ", " : "", w->files[i].md5);
        add_python_string(&json, w->files[i].relpath);
        gy_buf_add_char(&json, '}');
    }
    gy_buf_add_char(&json, ']');
    GY_TRY(gy_buf_check(&json, "the list of a folder", err));
    ret->dir_json = gy_arena_str(w->arena, gy_buf_str(&json));
    if (!ret->dir_json.p) {
        return no_memory(err);
    }
    GY_TRY(gy_md5_hex(ret->dir_json, ret->md5, err));
    memcpy(ret->md5 + GY_MD5_HEX - 1, ".dir", 5);
    return GY_OK;
}

/* Patterns would change what belongs to a folder; reading them wrongly would give wrong digests, so
 * they are refused. */
static gy_status check_dvcignore(const char *root, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, root, ".dvcignore", err));
    if (!gy_path_exists(path)) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MIB);
    GY_TRY(gy_file_read(path, &text, err));
    struct gy_str rest = gy_buf_str(&text);
    struct gy_str line;
    while (gy_str_next(&rest, '\n', &line)) {
        line = gy_str_trim(line);
        if (line.n > 0 && line.p[0] != '#') {
            return gy_err_set(err, GY_E_UNSUPPORTED,
                              ".dvcignore: the pattern '%" GY_STR_F "' is not supported yet",
                              GY_STR_A(line));
        }
    }
    return GY_OK;
}

static gy_status digest_dir(const char *root, const char *path, struct gy_arena *a,
                            struct gy_flow_entry *ret, struct gy_err *err)
{
    GY_TRY(check_dvcignore(root, err));
    struct walk *w = gy_arena_calloc(a, 1, sizeof *w);
    if (!w) {
        return no_memory(err);
    }
    w->base = path;
    w->arena = a;
    GY_TRY(gy_dir_each(path, visit, w, err));
    if (w->n > 0) {
        qsort(w->files, w->n, sizeof *w->files, by_relpath);
    }
    ret->files = w->files;
    ret->n_files = (int64_t)w->n;
    ret->size_bytes = w->size_bytes;
    return dir_json(w, ret, err);
}

gy_status gy_flow_digest(const char *root, struct gy_str full, struct gy_str path,
                         struct gy_arena *a, bool *ret_exists, struct gy_flow_entry *ret,
                         struct gy_err *err)
{
    const char *where = gy_arena_printf(a, "%s/%" GY_STR_F, root, GY_STR_A(full));
    if (!where) {
        return no_memory(err);
    }
    struct stat st;
    *ret_exists = false;
    *ret = (struct gy_flow_entry){.path = path, .n_files = -1};
    if (stat(where, &st) != 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? GY_OK
                   : gy_err_sys(err, errno, "can not look at %s", where);
    }
    *ret_exists = true;
    if (S_ISDIR(st.st_mode)) {
        return digest_dir(root, where, a, ret, err);
    }
    if (!S_ISREG(st.st_mode)) {
        return gy_err_set(err, GY_E_INVALID, "%s is neither a file nor a folder", where);
    }
    ret->is_exec = (st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
    return gy_file_digest(where, ret->sha256, ret->md5, &ret->size_bytes, err);
}

/* cache.dir of an ini file of DVC's, into out; left alone when the file does not set it. */
static gy_status read_cache_dir(const char *dvc, const char *name, char out[GY_MAX_PATH],
                                struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, dvc, name, err));
    if (!gy_path_exists(path)) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MIB);
    GY_TRY(gy_file_read(path, &text, err));
    struct gy_str rest = gy_buf_str(&text);
    struct gy_str line;
    bool in_cache = false;
    while (gy_str_next(&rest, '\n', &line)) {
        struct gy_str key;
        struct gy_str value;
        line = gy_str_trim(line);
        if (line.n > 0 && line.p[0] == '[') {
            in_cache = gy_str_eqc(line, "[cache]");
        } else if (in_cache && gy_str_cut(line, '=', &key, &value) &&
                   gy_str_eqc(gy_str_trim(key), "dir")) {
            value = gy_str_trim(value);
            bool absolute = value.n > 0 && value.p[0] == '/';
            int n = snprintf(out, GY_MAX_PATH, "%s%s%" GY_STR_F, absolute ? "" : dvc,
                             absolute ? "" : "/", GY_STR_A(value));
            if (n < 0 || n >= GY_MAX_PATH) {
                return gy_err_set(err, GY_E_TOOBIG, "%s: cache.dir is too long", path);
            }
        }
    }
    return GY_OK;
}

static gy_status object_path(const char *cache, const char *md5, char out[GY_MAX_PATH],
                             struct gy_err *err)
{
    int n = snprintf(out, GY_MAX_PATH, "%s/files/md5/%.2s", cache, md5);
    if (n < 0 || n + 64 >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "the path of DVC's cache is too long");
    }
    GY_TRY(gy_dir_make(out, err));
    (void)snprintf(out + n, GY_MAX_PATH - (size_t)n, "/%s", md5 + 2);
    return GY_OK;
}

/* DVC trusts an object of mode 0444 without hashing it again, and so do we, when its size is right.
 */
static bool is_there(const char *object, int64_t size_bytes)
{
    struct stat st;
    return stat(object, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0777) == 0444 &&
           st.st_size == size_bytes;
}

static gy_status commit_readonly(struct gy_file_writer *w, const char *object, struct gy_err *err)
{
    GY_TRY(gy_file_writer_commit(w, NULL, err));
    /* Mode 0444 is the mark of a complete object, so a umask must not make it less. */
    return chmod(object, 0444) == 0 ? GY_OK : gy_err_sys(err, errno, "can not protect %s", object);
}

static gy_status copy_into(const char *from, struct gy_file_writer *w, const char *md5,
                           struct gy_err *err)
{
    GY_AUTO(gy_free) char *step = gy_malloc(256 * GY_KIB);
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    if (!step) {
        return no_memory(err);
    }
    GY_TRY(gy_hash_new(GY_HASH_MD5, &h, err));
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "can not open %s", from);
    }
    gy_status status = GY_OK;
    for (;;) {
        ssize_t n = read(fd, step, 256 * GY_KIB);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            status = n < 0 ? gy_err_sys(err, errno, "can not read %s", from) : GY_OK;
            break;
        }
        gy_hash_add(h, gy_str_n(step, (size_t)n));
        status = gy_file_writer_write(w, gy_str_n(step, (size_t)n), err);
        if (status != GY_OK) {
            break;
        }
    }
    (void)close(fd); /* only read from */
    GY_TRY(status);
    char hex[GY_MD5_HEX];
    gy_hash_hex(h, hex);
    if (memcmp(hex, md5, GY_MD5_HEX - 1) != 0) {
        return gy_err_set(err, GY_E_CONFLICT, "%s changed while it was saved", from);
    }
    return GY_OK;
}

static gy_status save_file(const char *cache, const char *from, const char *md5, int64_t size_bytes,
                           struct gy_err *err)
{
    char object[GY_MAX_PATH];
    GY_TRY(object_path(cache, md5, object, err));
    if (is_there(object, size_bytes)) {
        return GY_OK;
    }
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
    GY_TRY(gy_file_writer_open(object, 0444, &w, err));
    GY_TRY(copy_into(from, w, md5, err));
    return commit_readonly(w, object, err);
}

static gy_status save_bytes(const char *cache, const char *md5, struct gy_str bytes,
                            struct gy_err *err)
{
    char object[GY_MAX_PATH];
    GY_TRY(object_path(cache, md5, object, err));
    if (is_there(object, (int64_t)bytes.n)) {
        return GY_OK;
    }
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
    GY_TRY(gy_file_writer_open(object, 0444, &w, err));
    GY_TRY(gy_file_writer_write(w, bytes, err));
    return commit_readonly(w, object, err);
}

gy_status gy_flow_cache(const char *root, struct gy_str full, const struct gy_flow_entry *entry,
                        bool *ret_saved, struct gy_err *err)
{
    char dvc[GY_MAX_PATH];
    char cache[GY_MAX_PATH];
    char from[GY_MAX_PATH];
    *ret_saved = false;
    GY_TRY(gy_path_join(dvc, sizeof dvc, root, ".dvc", err));
    if (!gy_path_is_dir(dvc)) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(cache, sizeof cache, dvc, "cache", err));
    GY_TRY(read_cache_dir(dvc, "config", cache, err));
    GY_TRY(read_cache_dir(dvc, "config.local", cache, err));
    for (int64_t i = 0; i < entry->n_files; i++) {
        const struct gy_flow_file *f = &entry->files[i];
        int n = snprintf(from, sizeof from, "%s/%" GY_STR_F "/%" GY_STR_F, root, GY_STR_A(full),
                         GY_STR_A(f->relpath));
        if (n < 0 || n >= (int)sizeof from) {
            return gy_err_set(err, GY_E_TOOBIG, "a path is too long to be saved");
        }
        GY_TRY(save_file(cache, from, f->md5, f->size_bytes, err));
    }
    if (entry->n_files >= 0) {
        /* The list comes last: where it stands, DVC takes for granted that what it lists is there.
         */
        GY_TRY(save_bytes(cache, entry->md5, entry->dir_json, err));
    } else {
        int n = snprintf(from, sizeof from, "%s/%" GY_STR_F, root, GY_STR_A(full));
        if (n < 0 || n >= (int)sizeof from) {
            return gy_err_set(err, GY_E_TOOBIG, "a path is too long to be saved");
        }
        GY_TRY(save_file(cache, from, entry->md5, entry->size_bytes, err));
    }
    *ret_saved = true;
    return GY_OK;
}
