/* SPDX-License-Identifier: Apache-2.0 */
/* A remote in a folder. Files are written beside, under tmp/, and renamed; they are 0444 only when
 * they are whole, which DVC takes for its sign of trust. They are not synced one by one: one syncfs
 * stands between the objects and the .dir that names them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/time.h"
#include "data/dvc/remote_internal.h"

#define STEP (256 * GY_KIB)
#define STALE_S (24 * 3600) /* what a killed push left in tmp/ */
#define MAX_DEPTH 8         /* folders in each other: files/md5/ab, runs/ab/<key> */

struct folder {
    char path[GY_MAX_PATH];
    mode_t dir_mode; /* 0: 0777 & ~umask */
    atomic_bool no_clone;
    atomic_bool dirty;
    _Atomic uint64_t tmp_seq;
    char tmp_tag[24];
};

static gy_status path_of(const struct folder *f, const char *key, char ret[GY_MAX_PATH],
                         struct gy_err *err)
{
    return gy_path_join(ret, GY_MAX_PATH, f->path, key, err);
}

static gy_status folder_has(void *self, const char *key, bool *ret, bool *ret_trusted,
                            struct gy_err *err)
{
    struct folder *f = self;
    char path[GY_MAX_PATH];
    struct stat st;
    GY_TRY(path_of(f, key, path, err));
    *ret = stat(path, &st) == 0 && S_ISREG(st.st_mode);
    *ret_trusted = *ret && (st.st_mode & 07777) == 0444;
    if (!*ret && errno != ENOENT && errno != ENOTDIR) {
        return gy_err_sys(err, errno, "%s", path);
    }
    return GY_OK;
}

/* mkdir -p with the mode of a shared remote. */
static gy_status make_dirs(const struct folder *f, char *path, struct gy_err *err)
{
    char *slash = strrchr(path, '/');
    struct stat st;
    if (!slash || slash == path) {
        return GY_OK;
    }
    *slash = '\0';
    gy_status status = GY_OK;
    if (stat(path, &st) != 0) {
        status = make_dirs(f, path, err);
        if (status == GY_OK && mkdir(path, f->dir_mode ? f->dir_mode : 0777) != 0) {
            status = errno == EEXIST ? GY_OK : gy_err_sys(err, errno, "%s can not be made", path);
        } else if (status == GY_OK && f->dir_mode && chmod(path, f->dir_mode) != 0) {
            status = gy_err_sys(err, errno, "%s", path); /* the umask took bits from it */
        }
    }
    *slash = '/';
    return status;
}

static gy_status write_all(int fd, struct gy_str bytes, const char *name, struct gy_err *err)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return gy_err_sys(err, errno, "writing %s", name);
        }
        bytes = gy_str_sub(bytes, n > 0 ? (size_t)n : 0, bytes.n);
    }
    return GY_OK;
}

static gy_status copy_fd(struct folder *f, const struct gy_dvc_source *from, int to,
                         const char *name, struct gy_err *err)
{
    if (!atomic_load(&f->no_clone)) {
        if (ioctl(to, FICLONE, from->fd) == 0) {
            return GY_OK;
        }
        atomic_store(&f->no_clone, true);
    }
    GY_AUTO(gy_free) char *step = gy_malloc(STEP);
    if (!step) {
        return gy_err_set(err, GY_E_NOMEM, "copying %s", name);
    }
    for (int64_t done = 0; done < from->size_bytes;) {
        ssize_t n = pread(from->fd, step, STEP, (off_t)done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? gy_err_sys(err, errno, "reading for %s", name)
                         : gy_err_set(err, GY_E_IO, "a file became shorter while it was copied");
        }
        GY_TRY(write_all(to, gy_str_n(step, (size_t)n), name, err));
        done += n;
    }
    return GY_OK;
}

static gy_status tmp_name(struct folder *f, char ret[GY_MAX_PATH], struct gy_err *err)
{
    char name[64];
    (void)snprintf(name, sizeof name, "tmp/%s-%llu", f->tmp_tag,
                   (unsigned long long)atomic_fetch_add(&f->tmp_seq, 1));
    return path_of(f, name, ret, err);
}

static int open_new(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

static gy_status rename_into(struct folder *f, const char *tmp, char *path, struct gy_err *err)
{
    if (rename(tmp, path) == 0) {
        return GY_OK;
    }
    if (errno == ENOENT) {
        GY_TRY(make_dirs(f, path, err));
        if (rename(tmp, path) == 0) {
            return GY_OK;
        }
    }
    return gy_err_sys(err, errno, "%s", path);
}

static gy_status folder_put(void *self, const char *key, const struct gy_dvc_source *from,
                            struct gy_err *err)
{
    struct folder *f = self;
    char path[GY_MAX_PATH], tmp[GY_MAX_PATH];
    GY_TRY(path_of(f, key, path, err));
    GY_TRY(tmp_name(f, tmp, err));
    int fd = open_new(tmp);
    if (fd < 0 && errno == ENOENT) {
        GY_TRY(make_dirs(f, tmp, err));
        fd = open_new(tmp);
    }
    if (fd < 0) {
        return gy_err_sys(err, errno, "%s", tmp);
    }
    gy_status status =
        from->bytes.p ? write_all(fd, from->bytes, path, err) : copy_fd(f, from, fd, path, err);
    if (status == GY_OK && fchmod(fd, 0444) != 0) {
        status = gy_err_sys(err, errno, "%s", tmp);
    }
    if (close(fd) != 0 && status == GY_OK) {
        status = gy_err_sys(err, errno, "%s", tmp);
    }
    atomic_store(&f->dirty, true);
    if (status == GY_OK) {
        status = rename_into(f, tmp, path, err);
    }
    if (status != GY_OK) {
        (void)unlink(tmp); /* what stays is cleaned up a day later */
    }
    return status;
}

static gy_status folder_get(void *self, const char *key, gy_dvc_sink_fn fn, void *ctx,
                            struct gy_err *err)
{
    struct folder *f = self;
    char path[GY_MAX_PATH];
    GY_TRY(path_of(f, key, path, err));
    GY_AUTO(gy_free) char *step = gy_malloc(STEP);
    if (!step) {
        return gy_err_set(err, GY_E_NOMEM, "reading %s", path);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno == ENOTDIR ? ENOENT : errno, "%s", path);
    }
    gy_status status = GY_OK;
    for (ssize_t n = 1; status == GY_OK && n != 0;) {
        n = read(fd, step, STEP);
        if (n > 0) {
            status = fn(ctx, gy_str_n(step, (size_t)n), err);
        } else if (n < 0 && errno != EINTR) {
            status = gy_err_sys(err, errno, "reading %s", path);
        }
    }
    (void)close(fd); /* was only read */
    return status;
}

struct listing {
    const struct folder *f;
    const char *prefix;
    gy_dvc_key_fn fn;
    void *ctx;
};

static gy_status list_at(struct listing *l, const char *key, int depth, struct gy_err *err);

static gy_status list_entry(struct listing *l, const char *key, int depth, const char *name,
                            struct gy_err *err)
{
    char child[GY_MAX_PATH], path[GY_MAX_PATH];
    struct stat st;
    int n = snprintf(child, sizeof child, "%s%s%s", key, key[0] ? "/" : "", name);
    if (n < 0 || n >= (int)sizeof child) {
        return gy_err_set(err, GY_E_TOOBIG, "a path below %s is too long", l->f->path);
    }
    size_t both = strlen(l->prefix) < (size_t)n ? strlen(l->prefix) : (size_t)n;
    if (strncmp(child, l->prefix, both) != 0) {
        return GY_OK; /* neither on the way to the prefix nor behind it */
    }
    GY_TRY(path_of(l->f, child, path, err));
    if (stat(path, &st) != 0) {
        return errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "%s", path);
    }
    if (S_ISDIR(st.st_mode)) {
        bool skip = depth >= MAX_DEPTH || (depth == 0 && strcmp(name, "tmp") == 0);
        return skip ? GY_OK : list_at(l, child, depth + 1, err);
    }
    return S_ISREG(st.st_mode) && (size_t)n >= strlen(l->prefix)
               ? l->fn(l->ctx, child, st.st_size, err)
               : GY_OK;
}

static gy_status list_at(struct listing *l, const char *key, int depth, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(path_of(l->f, key, path, err));
    DIR *d = opendir(path);
    if (!d) {
        return errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "%s", path);
    }
    gy_status status = GY_OK;
    struct dirent *e = NULL;
    while (status == GY_OK && (errno = 0, e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            status = list_entry(l, key, depth, e->d_name, err);
        }
    }
    if (status == GY_OK && errno != 0) {
        status = gy_err_sys(err, errno, "%s", path);
    }
    (void)closedir(d); /* was only read */
    return status;
}

static gy_status folder_list(void *self, const char *prefix, gy_dvc_key_fn fn, void *ctx,
                             struct gy_err *err)
{
    struct listing l = {self, prefix, fn, ctx};
    /* What lies on the way is known: begin there. */
    char start[GY_MAX_PATH];
    (void)snprintf(start, sizeof start, "%s", prefix);
    char *slash = strrchr(start, '/');
    int depth = 0;
    for (const char *c = start; *c; c++) {
        depth += *c == '/';
    }
    *(slash ? slash : start) = '\0';
    return list_at(&l, start, depth, err);
}

static gy_status folder_remove(void *self, const char *key, struct gy_err *err)
{
    struct folder *f = self;
    char path[GY_MAX_PATH];
    GY_TRY(path_of(f, key, path, err));
    if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR) {
        return gy_err_sys(err, errno, "%s", path);
    }
    return GY_OK;
}

static gy_status folder_sync(void *self, struct gy_err *err)
{
    struct folder *f = self;
    if (!atomic_exchange(&f->dirty, false)) {
        return GY_OK;
    }
    int fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "%s", f->path);
    }
    gy_status status = syncfs(fd) == 0 ? GY_OK : gy_err_sys(err, errno, "syncing %s", f->path);
    (void)close(fd); /* syncfs has told */
    return status;
}

static void folder_free(void *self)
{
    gy_free(self);
}

static const struct gy_dvc_remote_ops folder_ops = {.version = 1,
                                                    .name = "folder",
                                                    .jobs = 8,
                                                    .has = folder_has,
                                                    .put = folder_put,
                                                    .get = folder_get,
                                                    .list = folder_list,
                                                    .remove = folder_remove,
                                                    .sync = folder_sync,
                                                    .free = folder_free};

/* What killed pushes left behind. Others of theirs may be at work: only what is old goes. */
static void clean_tmp(const struct folder *f)
{
    char dir[GY_MAX_PATH], path[GY_MAX_PATH + 256];
    struct stat st;
    if (path_of(f, "tmp", dir, NULL) != GY_OK) {
        return;
    }
    DIR *d = opendir(dir);
    for (struct dirent *e = NULL; d && (e = readdir(d)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (strncmp(e->d_name, "gyre-", 5) == 0 && stat(path, &st) == 0 &&
            time(NULL) - st.st_mtime > STALE_S) {
            (void)unlink(path); /* the next one tries again */
        }
    }
    if (d) {
        (void)closedir(d); /* was only read */
    }
}

gy_status gy_dvc_folder_open(const struct gy_dvc_settings *s,
                             const struct gy_dvc_remote_ops **ret_ops, void **ret_self,
                             struct gy_err *err)
{
    struct gy_str shared = gy_dvc_setting(s, "shared");
    if (shared.p && !gy_str_ieq(shared, GY_STR("group"))) {
        return gy_err_set(err, GY_E_INVALID,
                          "the setting 'shared' of a remote is 'group' or not set");
    }
    struct folder *f = gy_calloc(1, sizeof *f);
    if (!f) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a remote");
    }
    (void)snprintf(f->path, sizeof f->path, "%s", s->url);
    struct gy_rng rng;
    gy_rng_init(&rng, (uint64_t)gy_mono_ns() ^ (uint64_t)getpid() << 32);
    (void)snprintf(f->tmp_tag, sizeof f->tmp_tag, "gyre-%016llx",
                   (unsigned long long)gy_rng_u64(&rng));
    f->dir_mode = shared.p ? 02775 : 0;
    clean_tmp(f);
    *ret_ops = &folder_ops;
    *ret_self = f;
    return GY_OK;
}
