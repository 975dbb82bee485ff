/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in a folder: ab/cdef... (0444), written under tmp/ first. `lock` is held (flock) for the
 * moment in which an object is made young or is removed for its age, by any process. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/object_ops.h"

#define STALE_US (24 * 3600 * INT64_C(1000000)) /* an unfinished put of this age has no process */
#define NAME_ROOM 80 /* of "/ab/" and the rest, or of "/tmp/put" and what the writer adds */

struct folder {
    char dir[GY_MAX_PATH - NAME_ROOM];
    pthread_mutex_t lock;
    bool prefix_durable[256]; /* under lock: the folder ab/ is there and its entry in dir is on disk
                               */
    pthread_mutex_t age_lock; /* for threads of this process what flock(age_fd) is for others */
    int age_fd;
};

struct folder_put {
    struct folder *folder;
    struct gy_file_writer *writer;
};

static void object_path(const struct folder *f, const char *sha256, char out[GY_MAX_PATH])
{
    snprintf(out, GY_MAX_PATH, "%s/%.2s/%s", f->dir, sha256, sha256 + 2);
}

static void prefix_path(const struct folder *f, const char *sha256, char out[GY_MAX_PATH])
{
    snprintf(out, GY_MAX_PATH, "%s/%.2s", f->dir, sha256);
}

static unsigned prefix_of(const char *sha256)
{
    unsigned value = 0;
    for (int i = 0; i < 2; i++) {
        char c = sha256[i];
        value = value * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return value;
}

/* Who finds ab/ there can not know whether its maker has synced the parent yet, so each process
 * does it once. */
static gy_status make_prefix(struct folder *f, const char *sha256, struct gy_err *err)
{
    unsigned prefix = prefix_of(sha256);
    char path[GY_MAX_PATH];
    prefix_path(f, sha256, path);
    gy_status status = GY_OK;
    pthread_mutex_lock(&f->lock);
    if (!f->prefix_durable[prefix]) {
        status = gy_dir_make(path, err);
        if (status == GY_OK) {
            status = gy_dir_sync(f->dir, err);
        }
        f->prefix_durable[prefix] = status == GY_OK;
    }
    pthread_mutex_unlock(&f->lock);
    return status;
}

static int64_t modified_us(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000;
}

static gy_status lock_ages(struct folder *f, struct gy_err *err)
{
    pthread_mutex_lock(&f->age_lock);
    int failed;
    do {
        failed = flock(f->age_fd, LOCK_EX);
    } while (failed && errno == EINTR);
    if (failed) {
        int why = errno;
        pthread_mutex_unlock(&f->age_lock);
        return gy_err_sys(err, why, "locking the object store");
    }
    return GY_OK;
}

static void unlock_ages(struct folder *f)
{
    (void)flock(f->age_fd, LOCK_UN); /* can not fail for a descriptor of ours */
    pthread_mutex_unlock(&f->age_lock);
}

/* *ret_young false: it is gone, or belongs to another user. Then it has to be put anew. */
static gy_status make_young(struct folder *f, const char *path, bool *ret_young, struct gy_err *err)
{
    int64_t now = gy_now_us();
    struct timespec t = {.tv_sec = now / 1000000, .tv_nsec = now % 1000000 * 1000};
    struct timespec times[2] = {t, t};
    GY_TRY(lock_ages(f, err));
    *ret_young = utimensat(AT_FDCWD, path, times, 0) == 0;
    unlock_ages(f);
    return GY_OK;
}

static gy_status folder_find(void *self, const char *sha256, bool durable, int64_t *ret_size,
                             struct gy_err *err)
{
    struct folder *f = self;
    char path[GY_MAX_PATH];
    object_path(f, sha256, path);
    *ret_size = gy_file_size(path);
    if (*ret_size < 0 || !durable) {
        return GY_OK;
    }
    bool young;
    GY_TRY(make_young(f, path, &young, err));
    if (!young) {
        *ret_size = -1;
        return GY_OK;
    }
    GY_TRY(make_prefix(f, sha256, err));
    prefix_path(f, sha256, path);
    return gy_dir_sync(path, err); /* its maker may still be before that */
}

static gy_status folder_put_begin(void *self, void **ret_put, struct gy_err *err)
{
    struct folder *f = self;
    char path[GY_MAX_PATH];
    snprintf(path, sizeof path, "%s/tmp/put", f->dir);
    struct folder_put *p = gy_calloc(1, sizeof *p);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "storing an object");
    }
    p->folder = f;
    gy_status status = gy_file_writer_open(path, 0444, &p->writer, err);
    if (status != GY_OK) {
        gy_free(p);
        return status;
    }
    *ret_put = p;
    return GY_OK;
}

static gy_status folder_put_write(void *put, struct gy_str bytes, struct gy_err *err)
{
    return gy_file_writer_write(((struct folder_put *)put)->writer, bytes, err);
}

static gy_status folder_put_commit(void *put, const char *sha256, int64_t size_bytes,
                                   struct gy_err *err)
{
    struct folder_put *p = put;
    int64_t there = -1;
    GY_TRY(folder_find(p->folder, sha256, true, &there, err));
    if (there == size_bytes) {
        return GY_OK;
    }
    /* Absent, or cut short by something else than us: renaming over it heals it. */
    char path[GY_MAX_PATH];
    GY_TRY(make_prefix(p->folder, sha256, err));
    object_path(p->folder, sha256, path);
    return gy_file_writer_commit(p->writer, path, err);
}

static void folder_put_free(void *put)
{
    struct folder_put *p = put;
    gy_file_writer_free(p->writer);
    gy_free(p);
}

static gy_status folder_open_fd(void *self, const char *sha256, int *ret_fd, int64_t *ret_size,
                                struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct stat st;
    object_path(self, sha256, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return gy_err_set(err, GY_E_NOTFOUND, "no object %s", sha256);
    }
    if (fd < 0 || fstat(fd, &st) != 0) {
        int why = errno;
        if (fd >= 0) {
            (void)close(fd); /* only opened for reading */
        }
        return gy_err_sys(err, why, "opening object %s", sha256);
    }
    *ret_fd = fd;
    *ret_size = (int64_t)st.st_size;
    return GY_OK;
}

/* ---- collecting garbage ---- */

struct listing {
    const struct folder *folder;
    char sha256[GY_SHA256_HEX];
    gy_object_fn fn;
    void *ctx;
};

static gy_status list_object(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct listing *l = ctx;
    char path[GY_MAX_PATH];
    struct stat st;
    if (is_dir || !gy_is_hex(gy_str_c(name), GY_SHA256_HEX - 3)) {
        return GY_OK; /* not of ours */
    }
    memcpy(l->sha256 + 2, name, GY_SHA256_HEX - 2);
    object_path(l->folder, l->sha256, path);
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        return GY_OK; /* removed meanwhile */
    }
    return l->fn(l->ctx, l->sha256, (int64_t)st.st_size, modified_us(&st), err);
}

static gy_status list_prefix(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct listing *l = ctx;
    char path[GY_MAX_PATH];
    if (!is_dir || !gy_is_hex(gy_str_c(name), 2)) {
        return GY_OK;
    }
    memcpy(l->sha256, name, 2);
    GY_TRY(gy_path_join(path, sizeof path, l->folder->dir, name, err));
    return gy_dir_each(path, list_object, l, err);
}

static gy_status folder_list(void *self, gy_object_fn fn, void *ctx, struct gy_err *err)
{
    const struct folder *f = self;
    struct listing l = {.folder = f, .fn = fn, .ctx = ctx};
    return gy_dir_each(f->dir, list_prefix, &l, err);
}

static gy_status folder_remove(void *self, const char *sha256, int64_t before_us, bool *ret_removed,
                               struct gy_err *err)
{
    struct folder *f = self;
    char path[GY_MAX_PATH];
    struct stat st;
    object_path(f, sha256, path);
    GY_TRY(lock_ages(f, err));
    bool old = lstat(path, &st) == 0 && modified_us(&st) < before_us;
    int why = old && unlink(path) != 0 ? errno : 0;
    unlock_ages(f);
    *ret_removed = old && why == 0;
    return why == 0 || why == ENOENT ? GY_OK : gy_err_sys(err, why, "removing object %s", sha256);
}

struct cleaning {
    char tmp[GY_MAX_PATH];
    int64_t before_us;
    int64_t n;
};

static gy_status remove_stale(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct cleaning *c = ctx;
    char path[GY_MAX_PATH];
    struct stat st;
    GY_TRY(gy_path_join(path, sizeof path, c->tmp, name, err));
    if (!is_dir && stat(path, &st) == 0 && modified_us(&st) < c->before_us && unlink(path) == 0) {
        c->n++; /* when unlink fails another process was faster, or it is another user's */
    }
    return GY_OK;
}

static gy_status folder_clean(void *self, int64_t before_us, int64_t *ret_n, struct gy_err *err)
{
    const struct folder *f = self;
    struct cleaning c = {.before_us = before_us};
    GY_TRY(gy_path_join(c.tmp, sizeof c.tmp, f->dir, "tmp", err));
    GY_TRY(gy_dir_each(c.tmp, remove_stale, &c, err));
    *ret_n = c.n;
    return GY_OK;
}

static void folder_free(void *self)
{
    struct folder *f = self;
    if (f->age_fd >= 0) {
        (void)close(f->age_fd); /* nothing was written to it */
    }
    pthread_mutex_destroy(&f->age_lock);
    pthread_mutex_destroy(&f->lock);
    gy_free(f);
}

static const struct gy_objects_ops folder_ops = {
    .version = 1,
    .name = "folder",
    .put_begin = folder_put_begin,
    .put_write = folder_put_write,
    .put_commit = folder_put_commit,
    .put_free = folder_put_free,
    .open_fd = folder_open_fd,
    .find = folder_find,
    .free = folder_free,
    .list = folder_list,
    .remove = folder_remove,
    .clean = folder_clean,
};

/* The folder and tmp/ in it, both durable, and the lock. */
static gy_status make_folder(struct folder *f, struct gy_err *err)
{
    char tmp[GY_MAX_PATH], parent[GY_MAX_PATH], lock[GY_MAX_PATH];
    int64_t n;
    bool made = !gy_path_is_dir(f->dir);
    GY_TRY(gy_path_join(tmp, sizeof tmp, f->dir, "tmp", err));
    GY_TRY(gy_path_join(parent, sizeof parent, f->dir, "..", err));
    GY_TRY(gy_path_join(lock, sizeof lock, f->dir, "lock", err));
    GY_TRY(gy_dir_make(tmp, err));
    if (made) {
        GY_TRY(gy_dir_sync(parent, err));
    }
    f->age_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666); /* & ~umask: who may put may lock */
    if (f->age_fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", lock);
    }
    /* A crash leaves its unfinished put behind. */
    return folder_clean(f, gy_now_us() - STALE_US, &n, err);
}

gy_status gy_objects_open_folder(const char *path, struct gy_objects **ret, struct gy_err *err)
{
    struct folder *f = gy_calloc(1, sizeof *f);
    if (!f) {
        return gy_err_set(err, GY_E_NOMEM, "opening the object store");
    }
    GY_REQUIRE(pthread_mutex_init(&f->lock, NULL) == 0);
    GY_REQUIRE(pthread_mutex_init(&f->age_lock, NULL) == 0);
    f->age_fd = -1;
    gy_status status;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    if (n == 0 || n >= sizeof f->dir) {
        status = gy_err_set(err, GY_E_INVALID, "the object folder's path has 1 to %zu bytes",
                            sizeof f->dir - 1);
    } else {
        memcpy(f->dir, path, n);
        status = make_folder(f, err);
    }
    if (status != GY_OK) {
        folder_free(f);
        return status;
    }
    return gy_objects_new(&folder_ops, f, ret, err);
}
