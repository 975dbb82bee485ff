/* SPDX-License-Identifier: Apache-2.0 */
#include "data/parquet_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/time.h"
#include "data/tablefn.h"

#define WRITER "gyre parquet 1 " GY_PARQUET_OF /* changes when what is written changes */
#define GY_PARQUET_OF "duckdb 1.4.4"
#define KEY_DIGITS 16
#define MAX_NOTE (4 * GY_KIB)
#define MAX_FILES 100000
#define STALE_S 86400 /* no writer takes so long */

/* The path of a file of the version: its name ends in `ending`. */
static gy_status path_of(const struct gy_parquet_cache_key *k, const char *ending,
                         char out[GY_MAX_PATH], struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    char digest[GY_SHA256_HEX], name[GY_SHA256_HEX + 64];
    gy_buf_init(&text, GY_MAX_YAML + GY_KIB);
    gy_buf_addc(&text, WRITER "\n");
    gy_buf_add(&text, k->schema_json);
    GY_TRY(gy_buf_check(&text, "the schema of a dataset", err));
    GY_TRY(gy_sha256_hex(gy_buf_str(&text), digest, err));
    if (!gy_is_hex(k->sha256, GY_SHA256_HEX - 1)) {
        return gy_err_set(err, GY_E_INVALID, "a version is named by 64 hex digits");
    }
    (void)snprintf(name, sizeof name, "%.64s-%.*s%s", k->sha256.p, KEY_DIGITS, digest, ending);
    return gy_path_join(out, GY_MAX_PATH, k->dir, name, err);
}

static gy_status write_note(const char *note, const struct stat *s, const char *sha256,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, MAX_NOTE);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "size", (int64_t)s->st_size);
    gy_jw_kv_i64(&w, "mtime_ns",
                 (int64_t)s->st_mtim.tv_sec * 1000000000 + (int64_t)s->st_mtim.tv_nsec);
    gy_jw_kv_i64(&w, "inode", (int64_t)s->st_ino);
    gy_jw_kv_strc(&w, "sha256", sha256);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&out, "a note of the cache", err));
    return gy_file_write(note, gy_buf_str(&out), 0644, err);
}

static bool is_as_noted(yyjson_val *note, const struct stat *s)
{
    return gy_json_i64(note, "size", -1) == (int64_t)s->st_size &&
           gy_json_i64(note, "mtime_ns", -1) ==
               (int64_t)s->st_mtim.tv_sec * 1000000000 + (int64_t)s->st_mtim.tv_nsec &&
           gy_json_i64(note, "inode", -1) == (int64_t)s->st_ino;
}

/* The file was touched since: is it still what was written? */
static bool has_digest(const char *path, const char *note, yyjson_val *noted, const struct stat *s)
{
    char sha256[GY_SHA256_HEX];
    if (gy_json_i64(noted, "size", -1) != (int64_t)s->st_size ||
        gy_file_digest(path, sha256, NULL, NULL, NULL) != GY_OK ||
        !gy_str_eqc(gy_json_str(noted, "sha256"), sha256)) {
        return false;
    }
    GY_IGNORE(write_note(note, s, sha256, NULL)); /* else it is asked again next time */
    return true;
}

bool gy_parquet_cache_find(const struct gy_parquet_cache_key *k, char ret_path[GY_MAX_PATH])
{
    char note[GY_MAX_PATH];
    struct stat s;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (path_of(k, ".parquet", ret_path, NULL) != GY_OK || path_of(k, ".ok", note, NULL) != GY_OK ||
        stat(ret_path, &s) != 0) {
        return false;
    }
    if (gy_json_read_file(note, MAX_NOTE, &doc, NULL) == GY_OK &&
        (is_as_noted(yyjson_doc_get_root(doc), &s) ||
         has_digest(ret_path, note, yyjson_doc_get_root(doc), &s))) {
        (void)utimensat(AT_FDCWD, note, NULL, 0); /* used now; else it goes earlier */
        return true;
    }
    (void)unlink(note); /* a damaged cache is made anew */
    (void)unlink(ret_path);
    return false;
}

/* ---- making ---- */

/* The only dataset that the writer knows. */
struct one {
    const struct gy_parquet_cache_key *key;
    const char *csv_path;
};

static gy_status find_one(void *ctx, struct gy_str ref, struct gy_tablefn_dataset *ret,
                          struct gy_err *err)
{
    const struct one *o = ctx;
    if (!gy_str_eqc(ref, "version")) {
        return gy_err_set(err, GY_E_NOTFOUND, "no such dataset");
    }
    gy_buf_add(&ret->schema_json, o->key->schema_json);
    const int n = snprintf(ret->path, sizeof ret->path, "%s", o->csv_path);
    return n < (int)sizeof ret->path ? GY_OK : gy_err_set(err, GY_E_TOOBIG, "the path is too long");
}

static gy_status copy(struct gy_duck *d, const struct one *o, const char *to, struct gy_err *err)
{
    struct gy_tablefn *tables = NULL;
    const struct gy_tablefn_options options = {.dataset = find_one, .ctx = (void *)(uintptr_t)o};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf sql;
    gy_buf_init(&sql, GY_DUCK_MAX_SQL);
    gy_buf_addc(&sql, "COPY (SELECT * FROM dataset('version')) TO ");
    gy_duck_quote(&sql, gy_str_c(to));
    gy_buf_addc(&sql, " (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)");
    gy_status status = gy_buf_check(&sql, "a path", err);
    if (status == GY_OK) {
        status = gy_tablefn_add(d, &options, &tables, err);
    }
    if (status == GY_OK) {
        status = gy_duck_run(d, gy_buf_str(&sql), err);
    }
    gy_duck_free(d); /* before what it calls */
    gy_tablefn_free(tables);
    return status;
}

static gy_status write_parquet(const struct gy_parquet_cache_key *k, const char *csv_path,
                               int64_t memory_bytes, const char *to, struct gy_err *err)
{
    const struct one o = {k, csv_path};
    struct gy_duck *d = NULL;
    /* It writes one file; what SQL it runs is ours. */
    const struct gy_duck_options options = {.memory_bytes = memory_bytes, .files = true};
    GY_TRY(gy_duck_open(&options, &d, err));
    return copy(d, &o, to, err);
}

static gy_status sync_file(const char *path, struct gy_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        gy_status status = gy_err_sys(err, errno, "writing '%s'", path);
        if (fd >= 0) {
            (void)close(fd);
        }
        return status;
    }
    (void)close(fd);
    return GY_OK;
}

/* ---- its size ---- */

struct entry {
    char name[256];
    int64_t size, used_ns;
};
struct entries {
    const char *dir;
    struct entry *items;
    size_t n, cap;
    int64_t total;
};

/* What a killed process left behind. */
static void remove_stale(const char *dir, const char *name)
{
    char path[GY_MAX_PATH];
    struct stat s;
    if (gy_path_join(path, sizeof path, dir, name, NULL) == GY_OK && stat(path, &s) == 0 &&
        gy_now_us() / 1000000 - (int64_t)s.st_mtim.tv_sec > STALE_S) {
        (void)unlink(path);
    }
}

static gy_status take_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct entries *e = ctx;
    char path[GY_MAX_PATH], note[GY_MAX_PATH];
    struct stat s, used;
    const size_t n = strlen(name);
    (void)is_dir;
    if (gy_str_ends(gy_str_c(name), GY_STR(".tmp"))) {
        remove_stale(e->dir, name);
    }
    if (n < 9 || n >= sizeof e->items->name || strcmp(name + n - 8, ".parquet") != 0 ||
        e->n >= MAX_FILES || gy_path_join(path, sizeof path, e->dir, name, NULL) != GY_OK ||
        stat(path, &s) != 0) {
        return GY_OK;
    }
    (void)snprintf(note, sizeof note, "%.*s.ok", (int)(strlen(path) - 8), path);
    if (e->n == e->cap) {
        const size_t cap = e->cap ? 2 * e->cap : 64;
        struct entry *items = gy_reallocarray(e->items, cap, sizeof *items);
        if (!items) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for the cache of Parquet");
        }
        e->items = items;
        e->cap = cap;
    }
    struct entry *item = &e->items[e->n++];
    (void)snprintf(item->name, sizeof item->name, "%s", name);
    item->size = (int64_t)s.st_size;
    item->used_ns = stat(note, &used) == 0
                        ? (int64_t)used.st_mtim.tv_sec * 1000000000 + (int64_t)used.st_mtim.tv_nsec
                        : 0;
    e->total += item->size;
    return GY_OK;
}

static int by_use(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

static void remove_entry(const char *dir, const char *name)
{
    char path[GY_MAX_PATH], note[GY_MAX_PATH];
    if (gy_path_join(path, sizeof path, dir, name, NULL) == GY_OK) {
        (void)snprintf(note, sizeof note, "%.*s.ok", (int)(strlen(path) - 8), path);
        (void)unlink(note); /* both: what can not be removed is no worse than before */
        (void)unlink(path);
    }
}

/* Make room for what comes: the least used go. */
static gy_status shrink(const char *dir, int64_t room, struct gy_err *err)
{
    struct entries e = {.dir = dir};
    gy_status status = gy_dir_each(dir, take_entry, &e, err);
    if (status == GY_OK && e.n > 0 && e.total + room > GY_PARQUET_CACHE_MAX) {
        qsort(e.items, e.n, sizeof *e.items, by_use);
        for (size_t i = 0; i < e.n && e.total + room > GY_PARQUET_CACHE_MAX; i++) {
            remove_entry(dir, e.items[i].name);
            e.total -= e.items[i].size;
        }
    }
    gy_free(e.items);
    return status;
}

gy_status gy_parquet_cache_make(const struct gy_parquet_cache_key *k, const char *csv_path,
                                int64_t memory_bytes, char ret_path[GY_MAX_PATH],
                                struct gy_err *err)
{
    char note[GY_MAX_PATH], fresh[GY_MAX_PATH], id[GY_UUID_TEXT], sha256[GY_SHA256_HEX];
    char ending[GY_UUID_TEXT + 16];
    struct stat s;
    GY_TRY(path_of(k, ".parquet", ret_path, err));
    GY_TRY(path_of(k, ".ok", note, err));
    GY_TRY(gy_dir_make(k->dir, err));
    if (stat(csv_path, &s) != 0) {
        return gy_err_sys(err, errno, "reading '%s'", csv_path);
    }
    GY_TRY(shrink(k->dir, (int64_t)s.st_size, err)); /* Parquet is smaller than its CSV */
    GY_TRY(gy_new_id(id, err));
    (void)snprintf(ending, sizeof ending, ".%s.tmp", id);
    GY_TRY(path_of(k, ending, fresh, err));
    gy_status status = write_parquet(k, csv_path, memory_bytes, fresh, err);
    if (status == GY_OK) {
        status = sync_file(fresh, err);
    }
    if (status == GY_OK) {
        status = gy_file_digest(fresh, sha256, NULL, NULL, err);
    }
    if (status == GY_OK && stat(fresh, &s) != 0) {
        status = gy_err_sys(err, errno, "writing '%s'", fresh);
    }
    if (status == GY_OK) { /* first: a file without a note is taken for damaged, and removed */
        status = write_note(note, &s, sha256, err);
    }
    if (status == GY_OK && rename(fresh, ret_path) != 0) {
        status = gy_err_sys(err, errno, "writing '%s'", ret_path);
    }
    if (status != GY_OK) {
        (void)unlink(fresh);
    }
    return status;
}
