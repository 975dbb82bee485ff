/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/archive_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/call.h"
#include "serve/prune.h"
#include "serve/refs.h"
#include "store/places.h"

/* Of a home: what is not taken along, because it is taken in another way, can be made again, or is
 * of this machine and moment only. */
static const char *const left_out[] = {"gyre.db", "gyre.db-wal", "gyre.db-shm", "objects", "log",
                                       "cache",   "sock",        "server.lock", "uploads"};
#define PART ".part-" /* a snapshot that is being made */

/* A file that the snapshot has. */
struct file {
    char *path; /* below the snapshot's folder */
    int64_t size_bytes;
    char sha256[GY_SHA256_HEX];
};

struct making {
    const struct gy_archive_source *src;
    const char *dir;
    char id[GY_ARCHIVE_ID], part[GY_MAX_PATH];
    gy_archive_progress progress;
    void *progress_ctx;
    struct gy_objects *objects; /* of the archive */
    struct gy_arena *arena;
    struct file *files;
    size_t n_files, cap_files;
    struct gy_table_count *counts;
    size_t n_counts;
    int64_t point_us, schema, total_objects;
    struct gy_archive_info info;
};

static gy_status tell(struct making *m, const char *phase, int64_t done, int64_t total,
                      struct gy_err *err)
{
    return m->progress ? m->progress(m->progress_ctx, phase, done, total, err) : GY_OK;
}

/* ---- the point ---- */

static gy_status add_file(struct making *m, const char *path, int64_t size_bytes, struct file **ret,
                          struct gy_err *err)
{
    if (m->n_files == GY_ARCHIVE_MAX_FILES) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d files in one backup",
                          GY_ARCHIVE_MAX_FILES);
    }
    if (m->n_files == m->cap_files) {
        size_t cap = m->cap_files ? m->cap_files * 2 : 64;
        struct file *more = gy_reallocarray(m->files, cap, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "listing the files of a backup");
        }
        m->files = more;
        m->cap_files = cap;
    }
    struct file *f = &m->files[m->n_files];
    *f = (struct file){.path = gy_arena_strdup(m->arena, gy_str_c(path)), .size_bytes = size_bytes};
    if (!f->path) {
        return gy_err_set(err, GY_E_NOMEM, "listing the files of a backup");
    }
    m->n_files++;
    if (ret) {
        *ret = f;
    }
    return GY_OK;
}

static gy_status note_segment(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct making *m = ctx;
    char path[GY_MAX_PATH], full[GY_MAX_PATH];
    struct gy_str s = gy_str_c(name);
    if (is_dir || !(gy_str_ends(s, GY_STR(".seg")) || gy_str_ends(s, GY_STR(".idx")))) {
        return GY_OK;
    }
    GY_TRY(gy_home_path(m->src->home, "log", full, err));
    GY_TRY(gy_path_join(path, sizeof path, full, name, err));
    int64_t size = gy_file_size(path);
    GY_TRY(gy_path_join(path, sizeof path, "log", name, err));
    return size < 0 ? GY_OK : add_file(m, path, size, NULL, err);
}

/* While no write can happen: what was answered until now is in segments, and so far they count. A
 * prediction of a later revision can not be among them, since its deploy would be a write. */
static gy_status at_point(void *ctx, struct gy_err *err)
{
    struct making *m = ctx;
    char dir[GY_MAX_PATH];
    if (m->src->log) {
        GY_TRY(gy_predlog_flush(m->src->log, false, err));
    }
    m->point_us = gy_now_us();
    GY_TRY(gy_home_path(m->src->home, "log", dir, err));
    return gy_path_is_dir(dir) ? gy_dir_each(dir, note_segment, m, err) : GY_OK;
}

/* ---- files ---- */

gy_status gy_archive_copy_file(const char *from, const char *to, int64_t max_bytes,
                               char ret_sha256[GY_SHA256_HEX], int64_t *ret_size,
                               struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *hash = NULL;
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *out = NULL;
    GY_AUTO(gy_free) char *buf = gy_malloc(GY_MIB);
    struct stat st;
    int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0) {
        gy_status status = gy_err_sys(err, errno, "reading '%s'", from);
        if (fd >= 0) {
            (void)close(fd); /* nothing was written through it */
        }
        return status;
    }
    gy_status status = buf ? gy_hash_new(GY_HASH_SHA256, &hash, err)
                           : gy_err_set(err, GY_E_NOMEM, "copying '%s'", from);
    if (status == GY_OK) {
        status = gy_file_writer_open(to, st.st_mode & 0777, &out, err);
    }
    *ret_size = 0;
    while (status == GY_OK) {
        size_t want = GY_MIB;
        if (max_bytes >= 0 && max_bytes - *ret_size < (int64_t)want) {
            want = (size_t)(max_bytes - *ret_size);
        }
        ssize_t n = want ? read(fd, buf, want) : 0;
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            status = n < 0 ? gy_err_sys(err, errno, "reading '%s'", from) : GY_OK;
            break;
        }
        gy_hash_add(hash, gy_str_n(buf, (size_t)n));
        status = gy_file_writer_write(out, gy_str_n(buf, (size_t)n), err);
        *ret_size += n;
    }
    (void)close(fd);
    if (status == GY_OK) {
        gy_hash_hex(hash, ret_sha256);
        status = gy_file_writer_commit(out, NULL, err);
    }
    return status;
}

static gy_status part_path(const struct making *m, const char *name, char out[GY_MAX_PATH],
                           struct gy_err *err)
{
    GY_TRY(gy_path_join(out, GY_MAX_PATH, m->part, name, err));
    return gy_dir_make_for(out, err);
}

/* The segments as they were at the point: a segment is only ever added to. */
static gy_status copy_segments(struct making *m, struct gy_err *err)
{
    for (size_t i = 0; i < m->n_files; i++) {
        struct file *f = &m->files[i];
        char from[GY_MAX_PATH], to[GY_MAX_PATH];
        int64_t size = 0;
        GY_TRY(tell(m, "prediction log", (int64_t)i, (int64_t)m->n_files, err));
        GY_TRY(gy_home_path(m->src->home, f->path, from, err));
        GY_TRY(part_path(m, f->path, to, err));
        GY_TRY(gy_archive_copy_file(from, to, f->size_bytes, f->sha256, &size, err));
        if (size != f->size_bytes) {
            return gy_err_set(err, GY_E_CORRUPT, "'%s' has become shorter", from);
        }
        m->info.log_bytes += size;
        m->info.segments += gy_str_ends(gy_str_c(f->path), GY_STR(".seg"));
    }
    return GY_OK;
}

struct walk {
    struct making *m;
    const char *below; /* of the home: "" or "runs/x" */
};

static bool is_left_out(const char *name)
{
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++) {
        if (strcmp(name, left_out[i]) == 0) {
            return true;
        }
    }
    return gy_place_is_file(name) || gy_str_starts(gy_str_c(name), GY_STR("gyre.db.bak-"));
}

static gy_status copy_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct walk *w = ctx;
    struct making *m = w->m;
    char below[GY_MAX_PATH], from[GY_MAX_PATH], to[GY_MAX_PATH], path[GY_MAX_PATH];
    struct stat st;
    if (!w->below[0] && is_left_out(name)) {
        return GY_OK;
    }
    if (w->below[0]) {
        GY_TRY(gy_path_join(below, sizeof below, w->below, name, err));
    } else {
        (void)snprintf(below, sizeof below, "%s", name);
    }
    GY_TRY(gy_home_path(m->src->home, below, from, err));
    if (is_dir) {
        struct walk deeper = {m, below};
        return gy_dir_each(from, copy_entry, &deeper, err);
    }
    if (lstat(from, &st) != 0 || !S_ISREG(st.st_mode)) {
        return GY_OK; /* sockets and links; or it went away meanwhile */
    }
    struct file *f = NULL;
    GY_TRY(gy_path_join(path, sizeof path, "home", below, err));
    GY_TRY(part_path(m, path, to, err));
    GY_TRY(add_file(m, path, 0, &f, err));
    gy_status status = gy_archive_copy_file(from, to, -1, f->sha256, &f->size_bytes, err);
    if (status == GY_E_NOTFOUND) {
        m->n_files--;
        return GY_OK;
    }
    return status;
}

static gy_status save_database(struct making *m, struct gy_snapshot *snap, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct file *f = NULL;
    GY_TRY(tell(m, "database", 0, 0, err));
    GY_TRY(part_path(m, "gyre.db", path, err));
    GY_TRY(gy_snapshot_save(snap, path, err));
    GY_TRY(add_file(m, "gyre.db", 0, &f, err));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        gy_status status = gy_err_sys(err, errno, "syncing '%s'", path);
        if (fd >= 0) {
            (void)close(fd); /* nothing was written through it */
        }
        return status;
    }
    (void)close(fd);
    return gy_file_digest(path, f->sha256, NULL, &f->size_bytes, err);
}

/* ---- objects ---- */

static gy_status count_object(void *ctx, struct gy_str sha256, struct gy_err *err)
{
    struct making *m = ctx;
    (void)sha256;
    (void)err;
    m->total_objects++;
    return GY_OK;
}

/* Into the archive, unless it is there from an earlier snapshot. */
static gy_status copy_object(struct gy_objects *from, struct gy_objects *to, const char *sha256,
                             bool *ret_new, int64_t *ret_size, struct gy_err *err)
{
    char stored[GY_SHA256_HEX];
    struct gy_fd_reader reader;
    int fd = -1;
    GY_TRY(gy_objects_open_fd(from, sha256, &fd, ret_size, err));
    gy_status status = GY_OK;
    *ret_new = !gy_objects_has(to, sha256);
    if (*ret_new) {
        int64_t size = 0;
        status = gy_objects_put_reader(to, gy_fd_reader_init(&reader, fd, *ret_size), *ret_size,
                                       stored, &size, err);
        if (status == GY_OK && strcmp(stored, sha256) != 0) {
            status = gy_err_set(err, GY_E_CORRUPT, "object %s has become %s", sha256, stored);
        }
    }
    (void)close(fd);
    return status;
}

static gy_status take_object(void *ctx, struct gy_str name, struct gy_err *err)
{
    struct making *m = ctx;
    char sha256[GY_SHA256_HEX];
    bool is_new = false;
    int64_t size = 0;
    (void)snprintf(sha256, sizeof sha256, "%" GY_STR_F, GY_STR_A(name));
    GY_TRY(tell(m, "objects", m->info.objects, m->total_objects, err));
    gy_status status = copy_object(m->src->objects, m->objects, sha256, &is_new, &size, err);
    if (status != GY_OK) {
        gy_err_wrap(err, "backing up object %s", sha256);
        return status;
    }
    m->info.objects++;
    m->info.object_bytes += size;
    m->info.new_objects += is_new;
    m->info.new_bytes += is_new ? size : 0;
    return GY_OK;
}

static gy_status copy_objects(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct making *m = ctx;
    bool found;
    GY_TRY(gy_db_get_i64(db, "SELECT MAX(number) FROM schema_migrations", GY_NO_VALS, &found,
                         &m->schema, err));
    GY_TRY(gy_store_count(db, m->arena, &m->counts, &m->n_counts, err));
    GY_TRY(gy_refs_each(db, false, count_object, m, err));
    return gy_refs_each(db, false, take_object, m, err);
}

/* ---- the manifest ---- */

static void write_manifest(struct gy_jw *w, struct making *m)
{
    char time[32];
    (void)gy_time_iso(m->point_us, time);
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "format", GY_ARCHIVE_FORMAT);
    gy_jw_kv_strc(w, "id", m->id);
    gy_jw_kv_strc(w, "point", time);
    gy_jw_kv_i64(w, "point_us", m->point_us);
    gy_jw_kv_i64(w, "schema", m->schema);
    gy_jw_kv_i64(w, "objects", m->info.objects);
    gy_jw_kv_i64(w, "object_bytes", m->info.object_bytes);
    gy_jw_kv_i64(w, "segments", m->info.segments);
    gy_jw_kv_i64(w, "log_bytes", m->info.log_bytes);
    gy_jw_key(w, "tables");
    gy_jw_obj(w);
    for (size_t i = 0; i < m->n_counts; i++) {
        m->info.rows += m->counts[i].rows;
        gy_jw_keys(w, m->counts[i].table);
        gy_jw_i64(w, m->counts[i].rows);
    }
    gy_jw_obj_end(w);
    gy_jw_kv_i64(w, "rows", m->info.rows);
    gy_jw_key(w, "files");
    gy_jw_arr(w);
    for (size_t i = 0; i < m->n_files; i++) {
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "path", m->files[i].path);
        gy_jw_kv_i64(w, "size_bytes", m->files[i].size_bytes);
        gy_jw_kv_strc(w, "sha256", m->files[i].sha256);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

/* The snapshot is there once it has its name. */
static gy_status publish(struct making *m, struct gy_err *err)
{
    char path[GY_MAX_PATH], snapshots[GY_MAX_PATH], sha256[GY_SHA256_HEX];
    struct gy_jw w;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_ARCHIVE_MAX_MANIFEST);
    gy_jw_init(&w, &out);
    w.pretty = true;
    write_manifest(&w, m);
    gy_buf_add_char(&out, '\n');
    GY_TRY(gy_buf_check(&out, "the manifest", err));
    GY_TRY(part_path(m, "manifest.json", path, err));
    GY_TRY(gy_file_write(path, gy_buf_str(&out), 0644, err));
    GY_TRY(gy_sha256_hex(gy_buf_str(&out), sha256, err));
    GY_TRY(part_path(m, "manifest.sha256", path, err));
    GY_TRY(gy_file_write(path, gy_str_c(sha256), 0644, err));
    GY_TRY(gy_dir_sync(m->part, err));
    GY_TRY(gy_archive_path(m->dir, gy_str_c(m->id), NULL, path, err));
    if (rename(m->part, path) != 0) {
        return gy_err_sys(err, errno, "naming the snapshot '%s'", path);
    }
    GY_TRY(gy_path_join(snapshots, sizeof snapshots, m->dir, "snapshots", err));
    return gy_dir_sync(snapshots, err);
}

/* ---- the archive ---- */

gy_status gy_archive_path(const char *dir, struct gy_str id, const char *name,
                          char out[GY_MAX_PATH], struct gy_err *err)
{
    int n = snprintf(out, GY_MAX_PATH, "%s/snapshots/%" GY_STR_F "%s%s", dir, GY_STR_A(id),
                     name ? "/" : "", name ? name : "");
    return n > 0 && n < GY_MAX_PATH ? GY_OK : gy_err_set(err, GY_E_TOOBIG, "the path is too long");
}

gy_status gy_archive_open_objects(const char *dir, struct gy_objects **ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, dir, "objects", err));
    return gy_objects_open(path, ret, err);
}

gy_status gy_archive_lock(const char *dir, bool shared, int *ret_fd, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct flock lock = {.l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    GY_TRY(gy_path_join(path, sizeof path, dir, "archive.lock", err));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        gy_status status = gy_err_sys(err, errno, "opening '%s'", path);
        (void)gy_err_hint(err, "an archive is a folder that `gyre backup` made");
        return status;
    }
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        int why = errno;
        (void)close(fd);                      /* nothing was written through it */
        if (why != EAGAIN && why != EACCES) { /* a file system without locks */
            return gy_err_sys(err, why, "locking '%s'", path);
        }
        return gy_err_set(err, GY_E_BUSY,
                          shared ? "the archive '%s' is being pruned"
                                 : "the archive '%s' is being written or read",
                          dir);
    }
    *ret_fd = fd;
    return GY_OK;
}

static gy_status find_other(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    (void)is_dir;
    (void)err;
    *(bool *)ctx = *(bool *)ctx || strcmp(name, "archive.lock") != 0;
    return GY_OK;
}

/* The way to dir as far as it exists, links resolved. */
static gy_status real_start(const char *dir, char out[GY_MAX_PATH], struct gy_err *err)
{
    char part[GY_MAX_PATH];
    if (snprintf(part, sizeof part, "%s", dir) >= (int)sizeof part) {
        return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
    }
    while (!realpath(part, out)) { /* GY_MAX_PATH is PATH_MAX, what realpath wants */
        char *slash = strrchr(part, '/');
        if (errno != ENOENT || !slash) {
            return gy_err_sys(err, errno, "looking for '%s'", dir);
        }
        slash[slash == part] = '\0';
    }
    return GY_OK;
}

/* An archive in the home would be a part of the next snapshot, and of this one while it grows. */
static gy_status refuse_inside(const struct gy_home *home, const char *dir, struct gy_err *err)
{
    char inner[GY_MAX_PATH], outer[GY_MAX_PATH];
    GY_TRY(real_start(dir, inner, err));
    GY_TRY(real_start(home->dir, outer, err));
    size_t n = strlen(outer);
    if (strncmp(inner, outer, n) != 0 || (inner[n] != '/' && inner[n] != '\0')) {
        return GY_OK;
    }
    gy_err_set(err, GY_E_CONFLICT, "'%s' lies in the home that is to be backed up", dir);
    return gy_err_hint(err, "name a folder outside %s, best on another disk", outer);
}

/* A folder that is an archive, or becomes one. */
static gy_status prepare(const char *dir, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_dir_make_private(dir, err)); /* as a home is */
    GY_TRY(gy_path_join(path, sizeof path, dir, "snapshots", err));
    if (!gy_path_is_dir(path)) {
        bool other = false;
        GY_TRY(gy_dir_each(dir, find_other, &other, err));
        if (other) {
            gy_err_set(err, GY_E_CONFLICT, "'%s' holds something that is no archive", dir);
            return gy_err_hint(err, "name a new or empty folder, or one that `gyre backup` made");
        }
    }
    GY_TRY(gy_dir_make(path, err));
    GY_TRY(gy_path_join(path, sizeof path, dir, "archive.lock", err));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return gy_err_sys(err, errno, "making '%s'", path);
    }
    (void)close(fd);
    return GY_OK;
}

/* The point, and the log as it was then: no retention removes any of it before it is copied. */
static gy_status copy_log(struct making *m, struct gy_snapshot **ret, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    int files = -1;
    GY_TRY(gy_home_path(m->src->home, "log", dir, err));
    GY_TRY(gy_predlog_files_lock(dir, false, &files, err));
    gy_status st = gy_snapshot_open(m->src->store, at_point, m, ret, err);
    if (st == GY_OK) {
        st = copy_segments(m, err);
    }
    if (files >= 0) {
        (void)close(files); /* and so the lock */
    }
    return st;
}

static gy_status make(struct making *m, struct gy_err *err)
{
    struct walk home = {m, ""};
    GY_AUTO(gy_snapshot_free) struct gy_snapshot *snap = NULL;
    GY_TRY(gy_dir_make(m->part, err));
    GY_TRY(tell(m, "the point", 0, 0, err));
    GY_TRY(copy_log(m, &snap, err));
    GY_TRY(save_database(m, snap, err));
    GY_TRY(gy_snapshot_read(snap, copy_objects, m, err));
    gy_snapshot_free(GY_TAKE(snap)); /* writers may tidy up again */
    GY_TRY(gy_dir_each(m->src->home->dir, copy_entry, &home, err));
    return publish(m, err);
}

gy_status gy_archive_make(const struct gy_archive_source *src, const char *dir,
                          gy_archive_progress progress, void *ctx, struct gy_arena *a,
                          struct gy_archive_info *ret, struct gy_err *err)
{
    struct making m = {
        .src = src, .dir = dir, .progress = progress, .progress_ctx = ctx, .arena = a};
    char time[32];
    int lock = -1;
    GY_TRY(refuse_inside(src->home, dir, err));
    GY_TRY(prepare(dir, err));
    GY_TRY(gy_archive_lock(dir, true, &lock, err));
    (void)gy_time_iso(gy_now_us(), time);
    for (size_t i = 0; time[i]; i++) {
        time[i] = time[i] == ':' ? '-' : time[i]; /* some file systems keep it for themselves */
    }
    (void)snprintf(m.id, sizeof m.id, "%s", time);
    char name[64];
    (void)snprintf(name, sizeof name, PART "%s", m.id);
    gy_status status = gy_archive_path(dir, gy_str_c(name), NULL, m.part, err);
    if (status == GY_OK) {
        status = gy_archive_open_objects(dir, &m.objects, err);
    }
    if (status == GY_OK) {
        status = make(&m, err);
    }
    if (status != GY_OK && m.part[0] && gy_dir_remove(m.part, NULL) != GY_OK) {
        gy_log(GY_LOG_WARN, "archive", "what could not be finished could not be removed either",
               GY_KV_C("folder", m.part));
    }
    gy_objects_free(m.objects);
    gy_free(m.files);
    (void)close(lock);
    if (status != GY_OK) {
        return status;
    }
    m.info.id = gy_arena_str(a, gy_str_c(m.id));
    m.info.point_us = m.point_us;
    m.info.schema = m.schema;
    *ret = m.info;
    return m.info.id.p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "backing up");
}
