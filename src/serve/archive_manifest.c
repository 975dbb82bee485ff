/* SPDX-License-Identifier: Apache-2.0 */
/* What is in an archive: manifests read back, snapshots listed, verified and pruned. */
#include "serve/archive_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "serve/refs.h"

/* ---- names ---- */

struct names {
    struct gy_arena *a;
    struct gy_str *list;
    size_t n, cap;
    struct gy_str *parts; /* what interrupted backups left */
    size_t n_parts;
};

static gy_status add_name(struct names *l, struct gy_str name, struct gy_err *err)
{
    if (l->n == GY_ARCHIVE_MAX_LIST) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d snapshots in an archive",
                          GY_ARCHIVE_MAX_LIST);
    }
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct gy_str *more = gy_arena_calloc(l->a, cap, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "listing snapshots");
        }
        if (l->n) {
            memcpy(more, l->list, l->n * sizeof *more);
        }
        l->list = more;
        l->cap = cap;
    }
    l->list[l->n] = gy_arena_str(l->a, name);
    return l->list[l->n++].p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "listing snapshots");
}

static gy_status take_name(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    return is_dir && name[0] != '.' ? add_name(ctx, gy_str_c(name), err) : GY_OK;
}

static gy_status take_part(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    return is_dir && name[0] == '.' ? add_name(ctx, gy_str_c(name), err) : GY_OK;
}

/* Sorted by name, which is by time. */
static gy_status names_of(const char *dir, gy_dir_fn fn, struct names *l, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, dir, "snapshots", err));
    if (!gy_path_is_dir(path)) {
        gy_err_set(err, GY_E_NOTFOUND, "'%s' is no archive", dir);
        return gy_err_hint(err, "an archive is a folder that `gyre backup` made");
    }
    return gy_dir_each(path, fn, l, err);
}

static gy_status resolve(const char *dir, struct gy_str id, struct gy_arena *a, struct gy_str *ret,
                         struct gy_err *err)
{
    struct names l = {.a = a};
    GY_TRY(names_of(dir, take_name, &l, err));
    for (size_t i = l.n; i-- > 0;) {
        if (!id.p || gy_str_eq(l.list[i], id)) {
            *ret = l.list[i];
            return GY_OK;
        }
    }
    if (!id.p) {
        return gy_err_set(err, GY_E_NOTFOUND, "the archive '%s' has no snapshot", dir);
    }
    gy_err_set(err, GY_E_NOTFOUND, "the archive has no snapshot '%" GY_STR_F "'", GY_STR_A(id));
    return gy_err_hint(err, "gyre backup list %s shows them", dir);
}

/* ---- manifests ---- */

void gy_manifest_done(struct gy_manifest *m)
{
    gy_json_free(m->doc);
    m->doc = NULL;
}

static gy_status read_info(struct gy_manifest *m, struct gy_str id, struct gy_err *err)
{
    yyjson_val *root = yyjson_doc_get_root(m->doc);
    int64_t format = gy_json_i64(root, "format", 0);
    if (format != GY_ARCHIVE_FORMAT) {
        return gy_err_set(err, GY_E_VERSION,
                          "snapshot '%" GY_STR_F "' has format %lld, this program reads %d",
                          GY_STR_A(id), (long long)format, GY_ARCHIVE_FORMAT);
    }
    m->info = (struct gy_archive_info){.id = id};
    GY_TRY(gy_json_need_i64(root, "point_us", &m->info.point_us, err));
    GY_TRY(gy_json_need_i64(root, "schema", &m->info.schema, err));
    GY_TRY(gy_json_need_i64(root, "objects", &m->info.objects, err));
    GY_TRY(gy_json_need_i64(root, "object_bytes", &m->info.object_bytes, err));
    GY_TRY(gy_json_need_i64(root, "segments", &m->info.segments, err));
    GY_TRY(gy_json_need_i64(root, "log_bytes", &m->info.log_bytes, err));
    GY_TRY(gy_json_need_i64(root, "rows", &m->info.rows, err));
    GY_TRY(gy_json_need_obj(root, "tables", &m->tables, err));
    return gy_json_need_arr(root, "files", &m->files, err);
}

/* The manifest is what everything else is compared with; its own digest lies beside it. */
static gy_status read_checked(const char *dir, struct gy_str id, yyjson_doc **ret,
                              struct gy_err *err)
{
    char path[GY_MAX_PATH], found[GY_SHA256_HEX];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text, want;
    gy_buf_init(&text, GY_ARCHIVE_MAX_MANIFEST);
    gy_buf_init(&want, 1024);
    GY_TRY(gy_archive_path(dir, id, "manifest.sha256", path, err));
    GY_TRY(gy_file_read(path, &want, err));
    GY_TRY(gy_archive_path(dir, id, "manifest.json", path, err));
    GY_TRY(gy_file_read(path, &text, err));
    GY_TRY(gy_sha256_hex(gy_buf_str(&text), found, err));
    if (!gy_str_eqc(gy_str_trim(gy_buf_str(&want)), found)) {
        return gy_err_set(err, GY_E_CORRUPT, "'%s' is not as it was written", path);
    }
    return gy_json_parse(gy_buf_str(&text), ret, err);
}

gy_status gy_manifest_read(const char *dir, struct gy_str id, struct gy_arena *a,
                           struct gy_manifest *ret, struct gy_err *err)
{
    struct gy_manifest m = {.doc = NULL};
    GY_TRY(resolve(dir, id, a, &id, err));
    gy_status status = read_checked(dir, id, &m.doc, err);
    if (status == GY_OK) {
        status = read_info(&m, id, err);
    }
    if (status != GY_OK) {
        gy_err_wrap(err, "snapshot '%" GY_STR_F "'", GY_STR_A(id));
        gy_manifest_done(&m);
        return status;
    }
    *ret = m;
    return GY_OK;
}

gy_status gy_manifest_each(const struct gy_manifest *m, gy_manifest_fn fn, void *ctx,
                           struct gy_err *err)
{
    size_t i, max;
    yyjson_val *f;
    yyjson_arr_foreach(m->files, i, max, f)
    {
        struct gy_str path, sha256;
        int64_t size = 0;
        char text[GY_MAX_PATH];
        GY_TRY(gy_json_need_str(f, "path", &path, err));
        GY_TRY(gy_json_need_str(f, "sha256", &sha256, err));
        GY_TRY(gy_json_need_i64(f, "size_bytes", &size, err));
        GY_TRY(gy_path_check_relative(path, err));
        if (snprintf(text, sizeof text, "%" GY_STR_F, GY_STR_A(path)) >= (int)sizeof text) {
            return gy_err_set(err, GY_E_INVALID, "a path of the manifest is too long");
        }
        GY_TRY(fn(ctx, text, size, sha256, err));
    }
    return GY_OK;
}

gy_status gy_manifest_compare(const struct gy_manifest *m, struct gy_db *db, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 4 * GY_MIB);
    struct gy_table_count *counts = NULL;
    size_t n = 0;
    GY_TRY(gy_store_count(db, &a, &counts, &n, err));
    for (size_t i = 0; i < n; i++) {
        yyjson_val *want = yyjson_obj_getn(m->tables, counts[i].table.p, counts[i].table.n);
        if (want && yyjson_get_sint(want) != counts[i].rows) {
            return gy_err_set(err, GY_E_CORRUPT,
                              "table %" GY_STR_F " has %lld rows, the manifest says %lld",
                              GY_STR_A(counts[i].table), (long long)counts[i].rows,
                              (long long)yyjson_get_sint(want));
        }
    }
    return GY_OK;
}

gy_status gy_archive_list(const char *dir, struct gy_arena *a, struct gy_archive_info **ret,
                          size_t *ret_n, struct gy_err *err)
{
    struct names l = {.a = a};
    GY_TRY(names_of(dir, take_name, &l, err));
    struct gy_archive_info *list = gy_arena_calloc(a, l.n + 1, sizeof *list);
    if (!list) {
        return gy_err_set(err, GY_E_NOMEM, "listing snapshots");
    }
    for (size_t i = 0; i < l.n; i++) {
        GY_AUTO_DONE(gy_manifest_done) struct gy_manifest m = {.doc = NULL};
        GY_TRY(gy_manifest_read(dir, l.list[i], a, &m, err));
        list[i] = m.info;
    }
    *ret = list;
    *ret_n = l.n;
    return GY_OK;
}

/* ---- verifying ---- */

struct verifying {
    const char *dir;
    struct gy_str id;
    gy_archive_progress progress;
    void *ctx;
    struct gy_objects *objects;
    int64_t done, total;
    const struct gy_manifest *m;
};

static gy_status tell(struct verifying *v, const char *phase, struct gy_err *err)
{
    int64_t done = v->done++; /* counted also when nobody wants to know */
    return v->progress ? v->progress(v->ctx, phase, done, v->total, err) : GY_OK;
}

static gy_status verify_file(void *ctx, const char *path, int64_t size_bytes, struct gy_str sha256,
                             struct gy_err *err)
{
    struct verifying *v = ctx;
    char full[GY_MAX_PATH], found[GY_SHA256_HEX];
    int64_t size = 0;
    GY_TRY(tell(v, "files", err));
    GY_TRY(gy_archive_path(v->dir, v->id, path, full, err));
    gy_status status = gy_file_digest(full, found, NULL, &size, err);
    if (status == GY_E_NOTFOUND) {
        return gy_err_set(err, GY_E_CORRUPT, "'%s' is missing", full);
    }
    GY_TRY(status);
    return size == size_bytes && gy_str_eqc(sha256, found)
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "'%s' is not as it was written", full);
}

static gy_status verify_object(void *ctx, struct gy_str name, struct gy_err *err)
{
    struct verifying *v = ctx;
    char sha256[GY_SHA256_HEX];
    GY_TRY(tell(v, "objects", err));
    (void)snprintf(sha256, sizeof sha256, "%" GY_STR_F, GY_STR_A(name));
    gy_status status = gy_objects_verify(v->objects, sha256, err);
    return status == GY_E_NOTFOUND
               ? gy_err_set(err, GY_E_CORRUPT, "object %s is missing in the archive", sha256)
               : status;
}

static gy_status verify_database(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct verifying *v = ctx;
    GY_TRY(gy_manifest_compare(v->m, db, err));
    v->done = 0;
    v->total = v->m->info.objects;
    GY_TRY(gy_refs_each(db, false, verify_object, v, err));
    return v->done == v->total
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "the database names %lld objects, the manifest %lld",
                            (long long)v->done, (long long)v->total);
}

static gy_status verify(struct verifying *v, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    v->total = (int64_t)yyjson_arr_size(v->m->files);
    GY_TRY(gy_manifest_each(v->m, verify_file, v, err));
    GY_TRY(gy_archive_path(v->dir, v->id, "gyre.db", path, err));
    return gy_saved_read(path, verify_database, v, err);
}

gy_status gy_archive_verify(const char *dir, struct gy_str id, gy_archive_progress progress,
                            void *ctx, struct gy_arena *a, struct gy_archive_info *ret,
                            struct gy_err *err)
{
    int lock = -1;
    GY_TRY(gy_archive_lock(dir, true, &lock, err));
    GY_AUTO_DONE(gy_manifest_done) struct gy_manifest m = {.doc = NULL};
    GY_AUTO(gy_objects_free) struct gy_objects *objects = NULL;
    gy_status status = gy_manifest_read(dir, id, a, &m, err);
    if (status == GY_OK) {
        status = gy_archive_open_objects(dir, &objects, err);
    }
    if (status == GY_OK) {
        struct verifying v = {.dir = dir,
                              .id = m.info.id,
                              .progress = progress,
                              .ctx = ctx,
                              .objects = objects,
                              .m = &m};
        status = verify(&v, err);
        *ret = m.info;
    }
    (void)close(lock);
    return status;
}

/* ---- pruning ---- */

struct pruning {
    const char *dir;
    struct gy_objects *objects;
    struct gy_arena *arena;
    struct gy_refs kept;
    bool dry;
    int64_t n_objects, bytes;
};

static gy_status keep_all(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct pruning *p = ctx;
    return gy_refs_add(&p->kept, db, false, err);
}

static gy_status prune_object(void *ctx, const char *sha256, int64_t size_bytes,
                              int64_t modified_us, struct gy_err *err)
{
    struct pruning *p = ctx;
    (void)modified_us;
    if (gy_refs_has(&p->kept, sha256)) {
        return GY_OK;
    }
    p->n_objects++;
    p->bytes += size_bytes;
    return p->dry ? GY_OK : gy_objects_remove(p->objects, sha256, err);
}

static gy_status remove_snapshot(const char *dir, struct gy_str id, struct gy_err *err)
{
    char path[GY_MAX_PATH], part[GY_MAX_PATH], name[128];
    (void)snprintf(name, sizeof name, ".gone-%" GY_STR_F, GY_STR_A(id));
    GY_TRY(gy_archive_path(dir, id, NULL, path, err));
    GY_TRY(gy_archive_path(dir, gy_str_c(name), NULL, part, err));
    if (rename(path, part) != 0) { /* never half a snapshot under its name */
        return gy_err_sys(err, errno, "removing '%s'", path);
    }
    return gy_dir_remove(part, err);
}

static gy_status remove_parts(struct pruning *p, struct gy_err *err)
{
    struct names l = {.a = p->arena};
    GY_TRY(names_of(p->dir, take_part, &l, err));
    for (size_t i = 0; i < l.n && !p->dry; i++) {
        char path[GY_MAX_PATH];
        GY_TRY(gy_archive_path(p->dir, l.list[i], NULL, path, err));
        GY_TRY(gy_dir_remove(path, err));
    }
    return GY_OK;
}

/* Objects go after the snapshots that named them, so that what is interrupted leaves whole ones. */
static gy_status prune(struct pruning *p, size_t keep, int64_t *ret_snapshots, struct gy_err *err)
{
    struct names l = {.a = p->arena};
    GY_TRY(names_of(p->dir, take_name, &l, err));
    size_t n_gone = l.n > keep ? l.n - keep : 0;
    for (size_t i = n_gone; i < l.n; i++) {
        char path[GY_MAX_PATH];
        GY_TRY(gy_archive_path(p->dir, l.list[i], "gyre.db", path, err));
        GY_TRY(gy_saved_read(path, keep_all, p, err));
    }
    for (size_t i = 0; i < n_gone && !p->dry; i++) {
        GY_TRY(remove_snapshot(p->dir, l.list[i], err));
    }
    *ret_snapshots = (int64_t)n_gone;
    GY_TRY(remove_parts(p, err));
    return gy_objects_list(p->objects, prune_object, p, err);
}

gy_status gy_archive_prune(const char *dir, size_t keep, bool dry, int64_t *ret_snapshots,
                           int64_t *ret_objects, int64_t *ret_bytes, struct gy_err *err)
{
    if (keep == 0) {
        return gy_err_set(err, GY_E_INVALID, "at least one snapshot is kept");
    }
    int lock = -1;
    GY_TRY(gy_archive_lock(dir, false, &lock, err));
    GY_AUTO(gy_objects_free) struct gy_objects *objects = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 16 * GY_MIB);
    struct pruning p = {.dir = dir, .arena = &a, .dry = dry};
    gy_status status = gy_archive_open_objects(dir, &objects, err);
    if (status == GY_OK) {
        p.objects = objects;
        status = prune(&p, keep, ret_snapshots, err);
    }
    gy_refs_done(&p.kept);
    (void)close(lock);
    *ret_objects = p.n_objects;
    *ret_bytes = p.bytes;
    return status;
}
