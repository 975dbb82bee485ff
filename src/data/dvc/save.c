/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the workspace into the cache: each under a temporary name first, whole when it gets its
 * own, trusted when it is on disk (gy_dvc_repo_settle). */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/limits.h"
#include "data/dvc/tree_internal.h"

#define OVERLAP_FROM                                                                         \
    ((int64_t)(8 * GY_MIB))             /* such files are copied and hashed at the same time \
                                         */
#define AHEAD ((int64_t)(256 * GY_MIB)) /* copying is ahead of hashing by this: still in memory */
#define COPY_STEP (4 * GY_MIB)
#define SMALL_COPY ((int64_t)(256 * GY_KIB))

/* ---- folders of the cache ---- */

void gy_dvc_saver_init(struct gy_dvc_saver *s, struct gy_dvc_repo *r, bool legacy)
{
    s->r = r;
    s->legacy = legacy;
    s->how = GY_DVC_BY_COPY;
    atomic_init(&s->no_clone, false);
    for (size_t i = 0; i < 256; i++) {
        atomic_init(&s->dirs[i], -1);
    }
}

void gy_dvc_saver_done(struct gy_dvc_saver *s)
{
    for (size_t i = 0; i < 256; i++) {
        int fd = atomic_load(&s->dirs[i]);
        if (fd >= 0) {
            (void)close(fd); /* only looked up from */
        }
    }
}

static gy_status dir_of(struct gy_dvc_saver *s, const char *hex, int *ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    size_t i = (size_t)(gy_hex_digit(hex[0]) * 16 + gy_hex_digit(hex[1]));
    *ret = atomic_load(&s->dirs[i]);
    if (*ret >= 0) {
        return GY_OK;
    }
    (void)snprintf(path, sizeof path, "%s/%s%.2s", s->r->cache, s->legacy ? "" : "files/md5/", hex);
    GY_TRY(gy_dvc_cache_mkdir(s->r, path, err));
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "can not open %s", path);
    }
    int none = -1;
    if (!atomic_compare_exchange_strong(&s->dirs[i], &none, fd)) {
        (void)close(fd); /* another thread was faster */
        fd = none;
    }
    *ret = fd;
    return GY_OK;
}

static void object_name(const struct gy_dvc_saver *s, const char *hex, char ret[64])
{
    (void)snprintf(ret, 64, "%s%.2s/%s", s->legacy ? "" : "files/md5/", hex, hex + 2);
}

gy_status gy_dvc_saver_has(struct gy_dvc_saver *s, const char *hex, int64_t size_bytes, bool *ret,
                           struct gy_err *err)
{
    int dir = -1;
    struct stat st;
    char name[64];
    *ret = false;
    GY_TRY(dir_of(s, hex, &dir, err));
    if (fstatat(dir, hex + 2, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "can not look into the cache");
    }
    if (!S_ISREG(st.st_mode) || (size_bytes >= 0 && st.st_size != size_bytes)) {
        return GY_OK; /* what a power loss left of it: it is written again */
    }
    object_name(s, hex, name);
    if ((st.st_mode & 07777) == 0444 || gy_dvc_fresh_has(s->r, name)) {
        *ret = true;
        return GY_OK;
    }
    struct gy_dvc_oid oid;
    if (!gy_dvc_oid_set(&oid, gy_str_c(hex), s->legacy)) {
        return gy_err_set(err, GY_E_INVALID, "'%s' names no object", hex);
    }
    return gy_dvc_cache_has(s->r, &oid, ret, err);
}

static gy_status make_tmp(const struct gy_dvc_saver *s, int dir, char name[32], int *ret,
                          struct gy_err *err)
{
    gy_dvc_tmp_name(s->r, name);
    *ret = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, GY_DVC_UNSETTLED);
    return *ret >= 0 ? GY_OK : gy_err_sys(err, errno, "can not write into the cache");
}

/* Close what was written (fd), give it its name. It is removed when anything failed before. */
static gy_status finish(struct gy_dvc_saver *s, gy_status status, int from_dir, const char *tmp,
                        int fd, const char *hex, struct gy_err *err)
{
    int to = -1;
    char name[64];
    if (fd >= 0 && close(fd) != 0 && status == GY_OK) {
        status = gy_err_sys(err, errno, "can not write into the cache");
    }
    if (status == GY_OK) {
        status = dir_of(s, hex, &to, err);
    }
    if (status == GY_OK && renameat(from_dir, tmp, to, hex + 2) != 0) {
        status = gy_err_sys(err, errno, "can not name an object of the cache");
    }
    if (status != GY_OK) {
        (void)unlinkat(from_dir, tmp, 0); /* the failure at hand is what counts */
        return status;
    }
    object_name(s, hex, name);
    return gy_dvc_fresh_add(s->r, name, err);
}

static gy_status write_all(int fd, const char *p, size_t n, struct gy_err *err)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return gy_err_sys(err, done < 0 ? errno : ENOSPC, "can not write into the cache");
        }
        p += done;
        n -= (size_t)done;
    }
    return GY_OK;
}

gy_status gy_dvc_save_bytes(struct gy_dvc_saver *s, const char *hex, struct gy_str bytes,
                            struct gy_err *err)
{
    int dir = -1, fd = -1;
    char tmp[32];
    bool has = false;
    GY_TRY(gy_dvc_saver_has(s, hex, (int64_t)bytes.n, &has, err));
    if (has) {
        return GY_OK;
    }
    GY_TRY(dir_of(s, hex, &dir, err));
    GY_TRY(make_tmp(s, dir, tmp, &fd, err));
    return finish(s, write_all(fd, bytes.p, bytes.n, err), dir, tmp, fd, hex, err);
}

/* ---- copying ---- */

bool gy_dvc_clone_fd(int from, int to)
{
    return ioctl(to, FICLONE, from) == 0;
}

/* By hand: file systems that the kernel does not copy between. */
static gy_status copy_plain(int from, int to, int64_t *at, int64_t until, const char *name,
                            struct gy_err *err)
{
    char piece[64 * 1024];
    while (*at < until) {
        ssize_t n = pread(from, piece, sizeof piece, *at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? GY_OK : gy_err_sys(err, errno, "can not read %s", name);
        }
        GY_TRY(write_all(to, piece, (size_t)n, err));
        *at += n;
    }
    return GY_OK;
}

/* One step of copying at *at; *ret_end at the end of the file. */
static gy_status copy_step(int from, int to, int64_t *at, const char *name, bool *ret_end,
                           struct gy_err *err)
{
    off_t in = *at;
    ssize_t n = copy_file_range(from, &in, to, NULL, COPY_STEP, 0);
    if (n > 0) {
        *at = in;
        return GY_OK;
    }
    if (n == 0 || errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ||
        errno == EPERM) {
        *ret_end = true; /* 0 is also what some file systems say to a file they made up */
        return copy_plain(from, to, at, INT64_MAX, name, err);
    }
    return errno == EINTR ? GY_OK : gy_err_sys(err, errno, "can not copy %s", name);
}

gy_status gy_dvc_copy_fd(int from, int to, int64_t size_bytes, const char *name, struct gy_err *err)
{
    int64_t at = 0;
    bool end = false;
    if (size_bytes <= SMALL_COPY) { /* the kernel's own copying has a price to begin with */
        end = true;
        GY_TRY(copy_plain(from, to, &at, size_bytes, name, err));
    }
    while (!end) {
        GY_TRY(copy_step(from, to, &at, name, &end, err));
    }
    return at == size_bytes
               ? GY_OK
               : gy_err_set(err, GY_E_CONFLICT, "%s changed while it was copied", name);
}

/* ---- copying and hashing at the same time ---- */

struct overlap {
    int from, to;
    const char *name;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    int64_t hashed;
    bool stop; /* hashing ended */
    gy_status status;
    struct gy_err err;
};

static void *copier(void *arg)
{
    struct overlap *o = arg;
    int64_t at = 0;
    bool end = false;
    while (!end && o->status == GY_OK) {
        (void)pthread_mutex_lock(&o->mutex);
        while (!o->stop && at > o->hashed + AHEAD) {
            (void)pthread_cond_wait(&o->moved, &o->mutex);
        }
        (void)pthread_mutex_unlock(&o->mutex);
        o->status = copy_step(o->from, o->to, &at, o->name, &end, &o->err);
    }
    return NULL;
}

/* One pass over the pieces of a file: into the digests, and into `to` when that is not -1. */
static gy_status hash_pass(struct gy_dvc_hasher *h, struct gy_hash *sha256, int from, int to,
                           const char *name, char md5[GY_MD5_HEX], char *sha256_hex,
                           struct overlap *o, struct gy_err *err)
{
    gy_status status = GY_OK;
    size_t n = 0;
    char none[GY_SHA256_HEX];
    do {
        status = gy_dvc_read_piece(from, name, h->piece, GY_DVC_PIECE, &n, err);
        if (status != GY_OK) {
            break;
        }
        gy_hash_add(h->hash, gy_str_n(h->piece, n));
        if (sha256) {
            gy_hash_add(sha256, gy_str_n(h->piece, n));
        }
        if (to >= 0) {
            status = write_all(to, h->piece, n, err);
        }
        if (o) {
            (void)pthread_mutex_lock(&o->mutex);
            o->hashed += (int64_t)n;
            (void)pthread_cond_signal(&o->moved);
            (void)pthread_mutex_unlock(&o->mutex);
        }
    } while (status == GY_OK && n == GY_DVC_PIECE);
    gy_hash_hex(h->hash, md5);
    if (sha256) {
        gy_hash_hex(sha256, sha256_hex ? sha256_hex : none);
    }
    return status;
}

gy_status gy_dvc_hash_both(struct gy_dvc_hasher *h, struct gy_hash *sha256, int fd,
                           const char *name, char md5[GY_MD5_HEX], char *sha256_hex,
                           struct gy_err *err)
{
    return hash_pass(h, sha256, fd, -1, name, md5, sha256_hex, NULL, err);
}

static gy_status copy_and_hash(struct gy_dvc_hasher *h, struct gy_hash *sha256, int from, int to,
                               int64_t size_bytes, const char *name, char md5[GY_MD5_HEX],
                               char *sha256_hex, struct gy_err *err)
{
    pthread_t thread;
    struct overlap o = {.from = from, .to = to, .name = name, .status = GY_OK};
    if (size_bytes < OVERLAP_FROM || pthread_mutex_init(&o.mutex, NULL) != 0) {
        return hash_pass(h, sha256, from, to, name, md5, sha256_hex, NULL, err);
    }
    (void)pthread_cond_init(&o.moved, NULL); /* can not fail on Linux */
    if (pthread_create(&thread, NULL, copier, &o) != 0) {
        (void)pthread_cond_destroy(&o.moved);
        (void)pthread_mutex_destroy(&o.mutex);
        return hash_pass(h, sha256, from, to, name, md5, sha256_hex, NULL, err);
    }
    gy_status status = hash_pass(h, sha256, from, -1, name, md5, sha256_hex, &o, err);
    (void)pthread_mutex_lock(&o.mutex);
    o.stop = true;
    (void)pthread_cond_signal(&o.moved);
    (void)pthread_mutex_unlock(&o.mutex);
    (void)pthread_join(thread, NULL);
    (void)pthread_cond_destroy(&o.moved);
    (void)pthread_mutex_destroy(&o.mutex);
    if (status == GY_OK && o.status != GY_OK) {
        if (err) {
            *err = o.err;
        }
        status = o.status;
    }
    return status;
}

/* ---- one file ---- */

static bool is_changed(int fd, const struct stat *was)
{
    struct stat now;
    return fstat(fd, &now) != 0 || now.st_size != was->st_size ||
           now.st_mtim.tv_sec != was->st_mtim.tv_sec || now.st_mtim.tv_nsec != was->st_mtim.tv_nsec;
}

static gy_status changed(const char *name, struct gy_err *err)
{
    return gy_err_set(err, GY_E_CONFLICT, "%s changed while it was saved", name);
}

/* A whole small file is in memory: what is hashed is what is saved, whatever happens to the file.
 */
static gy_status save_small(struct gy_dvc_saver *s, struct gy_dvc_hasher *h, struct gy_hash *sha256,
                            int fd, const struct stat *st, const char *name, char md5[GY_MD5_HEX],
                            char *sha256_hex, struct gy_err *err)
{
    size_t n = 0;
    bool has = false;
    int dir = -1, to = -1;
    char tmp[32];
    GY_TRY(gy_dvc_read_piece(fd, name, h->piece, GY_DVC_PIECE, &n, err));
    if ((int64_t)n != (int64_t)st->st_size) {
        return changed(name, err);
    }
    gy_hash_add(h->hash, gy_str_n(h->piece, n));
    gy_hash_hex(h->hash, md5);
    if (sha256) {
        gy_hash_add(sha256, gy_str_n(h->piece, n));
        gy_hash_hex(sha256, sha256_hex);
    }
    GY_TRY(gy_dvc_saver_has(s, md5, (int64_t)n, &has, err));
    if (has) {
        return GY_OK;
    }
    GY_TRY(dir_of(s, md5, &dir, err));
    GY_TRY(make_tmp(s, dir, tmp, &to, err));
    if (n > 0 && !atomic_load(&s->no_clone)) {
        if (gy_dvc_clone_fd(fd, to)) {
            return finish(s, is_changed(fd, st) ? changed(name, err) : GY_OK, dir, tmp, to, md5,
                          err);
        }
        atomic_store(&s->no_clone, true);
    }
    return finish(s, write_all(to, h->piece, n, err), dir, tmp, to, md5, err);
}

/* By a second name of the same file: nothing is copied; the workspace gets a link to it anyway. */
static gy_status save_linked(struct gy_dvc_saver *s, int fd, const struct stat *st, int at,
                             const char *name, const char *md5, bool *ret, struct gy_err *err)
{
    int dir = -1;
    char tmp[32];
    *ret = false;
    if (s->how != GY_DVC_BY_LINK || st->st_nlink != 1 || st->st_size == 0) {
        return GY_OK;
    }
    GY_TRY(dir_of(s, md5, &dir, err));
    gy_dvc_tmp_name(s->r, tmp);
    if (linkat(at, name, dir, tmp, 0) != 0) {
        return GY_OK; /* another file system: it is copied */
    }
    struct stat linked;
    bool same = fstatat(dir, tmp, &linked, AT_SYMLINK_NOFOLLOW) == 0 &&
                linked.st_ino == st->st_ino && !is_changed(fd, st);
    *ret = true;
    return finish(s, same ? GY_OK : changed(name, err), dir, tmp, -1, md5, err);
}

gy_status gy_dvc_save_file(struct gy_dvc_saver *s, struct gy_dvc_hasher *h, struct gy_hash *sha256,
                           int fd, const struct stat *st, int at, const char *name,
                           char md5[GY_MD5_HEX], char *sha256_hex, struct gy_err *err)
{
    bool done = false;
    char tmp[GY_MAX_PATH];
    bool small = st->st_size < (off_t)GY_DVC_PIECE && !s->legacy;
    if (small && s->how == GY_DVC_BY_COPY) {
        return save_small(s, h, sha256, fd, st, name, md5, sha256_hex, err);
    }
    if (s->legacy || s->how == GY_DVC_BY_LINK) { /* the name first, then the object */
        GY_TRY(gy_dvc_hash_fd(h, fd, name, s->legacy, md5, NULL, err));
        GY_TRY(gy_dvc_saver_has(s, md5, s->legacy ? -1 : st->st_size, &done, err));
        if (!done) {
            GY_TRY(save_linked(s, fd, st, at, name, md5, &done, err));
        }
        if (done && !sha256) {
            return is_changed(fd, st) ? changed(name, err) : GY_OK;
        }
        if (lseek(fd, 0, SEEK_SET) != 0) {
            return gy_err_sys(err, errno, "can not read %s again", name);
        }
    }
    GY_TRY(gy_dvc_cache_tmp(s->r, tmp, err));
    int to = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, GY_DVC_UNSETTLED);
    if (to < 0) {
        return gy_err_sys(err, errno, "can not write into the cache");
    }
    gy_status status = GY_OK;
    char again[GY_MD5_HEX];
    char *hex = s->legacy ? again : md5; /* a legacy name is not the MD5 of the bytes */
    if (!atomic_load(&s->no_clone) && gy_dvc_clone_fd(fd, to)) {
        status = hash_pass(h, sha256, to, -1, name, hex, sha256_hex, NULL, err);
    } else {
        atomic_store(&s->no_clone, true);
        status = copy_and_hash(h, sha256, fd, to, st->st_size, name, hex, sha256_hex, err);
    }
    if (status == GY_OK && is_changed(fd, st)) {
        status = changed(name, err);
    }
    if (status == GY_OK && !done) {
        status = gy_dvc_saver_has(s, md5, s->legacy ? -1 : st->st_size, &done, err);
    }
    if (status == GY_OK && done) {
        (void)close(to);
        (void)unlink(tmp); /* the object is there already */
        return GY_OK;
    }
    return finish(s, status, AT_FDCWD, tmp, to, md5, err);
}
