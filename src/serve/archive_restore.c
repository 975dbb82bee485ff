/* SPDX-License-Identifier: Apache-2.0 */
/* The way back. Everything is read, compared and put beside the target first; the home gets its
 * name at the end. */
#include "serve/archive_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "net/call.h"
#include "serve/refs.h"
#include "store/places.h"

struct restoring {
    const char *dir;
    const struct gy_archive_target *to;
    const struct gy_manifest *m;
    gy_archive_progress progress;
    void *ctx;
    char part[GY_MAX_PATH]; /* the home that is being made */
    struct gy_objects *from, *into;
    int64_t done, total;
};

static gy_status tell(struct restoring *r, const char *phase, struct gy_err *err)
{
    return r->progress ? r->progress(r->ctx, phase, r->done++, r->total, err) : GY_OK;
}

/* ---- files ---- */

/* Where a file of the snapshot belongs in the home: "home/x" is x, the rest is as it is. */
static gy_status place_of(const struct restoring *r, const char *path, char out[GY_MAX_PATH],
                          struct gy_err *err)
{
    struct gy_str p = gy_str_c(path);
    const char *name = gy_str_starts(p, GY_STR("home/")) ? path + 5 : path;
    GY_TRY(gy_path_join(out, GY_MAX_PATH, r->part, name, err));
    return gy_dir_make_for(out, err);
}

static gy_status restore_file(void *ctx, const char *path, int64_t size_bytes, struct gy_str sha256,
                              struct gy_err *err)
{
    struct restoring *r = ctx;
    char from[GY_MAX_PATH], to[GY_MAX_PATH], found[GY_SHA256_HEX];
    int64_t size = 0;
    GY_TRY(tell(r, "files", err));
    GY_TRY(gy_archive_path(r->dir, r->m->info.id, path, from, err));
    GY_TRY(place_of(r, path, to, err));
    gy_status status = gy_archive_copy_file(from, to, -1, found, &size, err);
    if (status == GY_E_NOTFOUND) {
        return gy_err_set(err, GY_E_CORRUPT, "'%s' is missing", from);
    }
    GY_TRY(status);
    return size == size_bytes && gy_str_eqc(sha256, found)
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "'%s' is not as it was written", from);
}

/* ---- objects ---- */

static gy_status restore_object(void *ctx, struct gy_str name, struct gy_err *err)
{
    struct restoring *r = ctx;
    char sha256[GY_SHA256_HEX], stored[GY_SHA256_HEX];
    struct gy_fd_reader reader;
    int64_t size = 0;
    int fd = -1;
    GY_TRY(tell(r, "objects", err));
    (void)snprintf(sha256, sizeof sha256, "%" GY_STR_F, GY_STR_A(name));
    if (gy_objects_has(r->into, sha256)) {
        return GY_OK;
    }
    gy_status status = gy_objects_open_fd(r->from, sha256, &fd, &size, err);
    if (status == GY_E_NOTFOUND) {
        return gy_err_set(err, GY_E_CORRUPT, "object %s is missing in the archive", sha256);
    }
    GY_TRY(status);
    status = gy_objects_put_reader(r->into, gy_fd_reader_init(&reader, fd, size), size, stored,
                                   &size, err);
    (void)close(fd);
    GY_TRY(status);
    return strcmp(stored, sha256) == 0
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "object %s of the archive is damaged", sha256);
}

static gy_status restore_objects(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct restoring *r = ctx;
    r->done = 0;
    r->total = r->m->info.objects;
    return gy_refs_each(db, false, restore_object, r, err);
}

/* ---- the database ---- */

static gy_status look_for(void *ctx, struct gy_str name, struct gy_err *err)
{
    struct restoring *r = ctx;
    char sha256[GY_SHA256_HEX];
    (void)snprintf(sha256, sizeof sha256, "%" GY_STR_F, GY_STR_A(name));
    return gy_objects_has(r->into, sha256)
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "object %s is not there after restoring", sha256);
}

static gy_status compare(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct restoring *r = ctx;
    GY_TRY(gy_manifest_compare(r->m, db, err));
    return gy_refs_each(db, false, look_for, r, err);
}

/* The saved file becomes the home's database (and is brought to this program's schema), or fills
 * the database that is named. */
static gy_status restore_database(struct restoring *r, struct gy_err *err)
{
    char path[GY_MAX_PATH], url[GY_MAX_PATH + 16];
    GY_TRY(gy_path_join(path, sizeof path, r->part, "gyre.db", err));
    (void)snprintf(url, sizeof url, "sqlite://%s", path);
    GY_AUTO(gy_store_free) struct gy_store *s = NULL;
    struct gy_store_options options = {.url = url};
    if (r->to->store_url) {
        GY_TRY(gy_store_open(&options, &s, err)); /* an older one is migrated here */
        gy_store_free(GY_TAKE(s));
        options.url = r->to->store_url;
        GY_TRY(gy_store_open(&options, &s, err));
        GY_TRY(gy_store_load(s, path, err));
        if (unlink(path) != 0) {
            return gy_err_sys(err, errno, "removing '%s'", path);
        }
    } else {
        GY_TRY(gy_store_open(&options, &s, err));
    }
    GY_TRY(gy_store_check(s, err));
    return gy_store_read(s, compare, r, err);
}

/* ---- the home ---- */

static gy_status refuse_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    (void)is_dir;
    gy_err_set(err, GY_E_CONFLICT, "'%s' is not empty: it has '%s'", (const char *)ctx, name);
    return gy_err_hint(err, "restore into a new folder; an existing home is never overwritten");
}

static gy_status prepare(struct restoring *r, struct gy_err *err)
{
    static const char *const folders[] = {"objects", "log", "runs", "cache"};
    const char *home = r->to->home_dir;
    if (gy_path_exists(home)) {
        GY_TRY(gy_dir_each(home, refuse_entry, (void *)(uintptr_t)home, err));
    }
    if (snprintf(r->part, sizeof r->part, "%s.restore-part", home) >= (int)sizeof r->part) {
        return gy_err_set(err, GY_E_INVALID, "the home's path is too long");
    }
    GY_TRY(gy_dir_remove(r->part, err)); /* of a restore that was interrupted */
    GY_TRY(gy_dir_make_private(r->part, err));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[GY_MAX_PATH];
        GY_TRY(gy_path_join(path, sizeof path, r->part, folders[i], err));
        GY_TRY(gy_dir_make(path, err));
    }
    return GY_OK;
}

static gy_status finish(struct restoring *r, struct gy_err *err)
{
    char parent[GY_MAX_PATH];
    (void)snprintf(parent, sizeof parent, "%s", r->to->home_dir);
    char *slash = strrchr(parent, '/');
    if (gy_path_exists(r->to->home_dir) && rmdir(r->to->home_dir) != 0) {
        return gy_err_sys(err, errno, "replacing the empty '%s'", r->to->home_dir);
    }
    if (rename(r->part, r->to->home_dir) != 0) {
        return gy_err_sys(err, errno, "naming '%s'", r->to->home_dir);
    }
    if (slash) {
        slash[slash == parent] = '\0';
    }
    return gy_dir_sync(slash ? parent : ".", err);
}

/* A command that is not told the URLs must not begin an empty store in the home. */
static gy_status remember_places(const struct restoring *r, struct gy_err *err)
{
    struct gy_home part = {.lock_fd = -1};
    memcpy(part.dir, r->part, sizeof part.dir);
    GY_TRY(gy_place_remember(&part, GY_PLACE_STORE, r->to->store_url, err));
    return gy_place_remember(&part, GY_PLACE_OBJECTS, r->to->objects_url, err);
}

static gy_status restore(struct restoring *r, struct gy_err *err)
{
    char path[GY_MAX_PATH], cache[GY_MAX_PATH];
    GY_AUTO(gy_objects_free) struct gy_objects *into = NULL;
    GY_TRY(prepare(r, err));
    GY_TRY(gy_path_join(path, sizeof path, r->part, "objects", err));
    GY_TRY(gy_path_join(cache, sizeof cache, r->part, "cache/objects", err));
    const struct gy_objects_options options = {.s3_endpoint = r->to->s3_endpoint,
                                               .cache_dir = cache};
    GY_TRY(
        gy_objects_open_with(r->to->objects_url ? r->to->objects_url : path, &options, &into, err));
    r->into = into;
    r->total = (int64_t)yyjson_arr_size(r->m->files);
    GY_TRY(gy_manifest_each(r->m, restore_file, r, err));
    GY_TRY(gy_archive_path(r->dir, r->m->info.id, "gyre.db", path, err));
    GY_TRY(gy_saved_read(path, restore_objects, r, err));
    r->done = r->total = 0;
    GY_TRY(tell(r, "database", err));
    GY_TRY(restore_database(r, err));
    return remember_places(r, err);
}

gy_status gy_archive_restore(const char *dir, struct gy_str id, const struct gy_archive_target *to,
                             gy_archive_progress progress, void *ctx, struct gy_arena *a,
                             struct gy_archive_info *ret, struct gy_err *err)
{
    int lock = -1;
    GY_TRY(gy_archive_lock(dir, true, &lock, err));
    GY_AUTO_DONE(gy_manifest_done) struct gy_manifest m = {.doc = NULL};
    GY_AUTO(gy_objects_free) struct gy_objects *from = NULL;
    struct restoring r = {.dir = dir, .to = to, .m = &m, .progress = progress, .ctx = ctx};
    gy_status status = gy_manifest_read(dir, id, a, &m, err);
    if (status == GY_OK) {
        status = gy_archive_open_objects(dir, &from, err);
        r.from = from;
    }
    if (status == GY_OK) {
        status = restore(&r, err);
        if (status == GY_OK && to->last) {
            status = to->last(to->last_ctx, r.part, err);
        }
        if (status == GY_OK) {
            status = finish(&r, err);
        }
        if (status != GY_OK && r.part[0] && gy_dir_remove(r.part, NULL) != GY_OK) {
            gy_log(GY_LOG_WARN, "archive", "what could not be finished could not be removed either",
                   GY_KV_C("folder", r.part));
        }
        *ret = m.info;
    }
    (void)close(lock);
    return status;
}
