/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"

#define WRITER_BUFFER (64 * GY_KIB)
#define EARLY_BYTES ((int64_t)(16 * GY_MIB))
#define READ_STEP (64 * GY_KIB)
#define MAX_DIR_ENTRIES ((size_t)16 * 1024 * 1024)

static gy_file_fault_fn g_fault_fn;
static void *g_fault_ctx;

void gy_file_set_fault(gy_file_fault_fn fn, void *ctx)
{
    g_fault_fn = fn;
    g_fault_ctx = ctx;
}

/* True when a test wants this call to fail; errno is set then. */
static bool faulted(const char *op, const char *path)
{
    if (!g_fault_fn) {
        return false;
    }
    int wanted = g_fault_fn(g_fault_ctx, op, path);
    if (wanted == 0) {
        return false;
    }
    errno = wanted;
    return true;
}

static void close_quietly(int fd)
{
    if (fd >= 0) {
        int keep = errno;
        (void)close(fd); /* nothing was promised about these bytes: the promise is fsync's */
        errno = keep;
    }
}

gy_status gy_file_read(const char *path, struct gy_buf *buf, struct gy_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "can not open %s", path);
    }
    gy_status status = GY_OK;
    for (;;) {
        /* One byte more than may fit, so that a file of exactly the ceiling is told from a longer
         * one. */
        size_t room = buf->max_bytes > buf->n ? buf->max_bytes - buf->n : 0;
        if (room == 0) {
            char probe;
            ssize_t more = read(fd, &probe, 1);
            if (more > 0) {
                status = gy_err_set(err, GY_E_TOOBIG, "%s is larger than %zu bytes", path,
                                    buf->max_bytes);
            } else if (more < 0) {
                status = gy_err_sys(err, errno, "can not read %s", path);
            }
            break;
        }
        size_t want = room < READ_STEP ? room : READ_STEP;
        char *at = gy_buf_reserve(buf, want);
        if (!at) {
            status = gy_buf_check(buf, path, err);
            break;
        }
        ssize_t got = read(fd, at, want);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = gy_err_sys(err, errno, "can not read %s", path);
            break;
        }
        if (got == 0) {
            break;
        }
        gy_buf_commit(buf, (size_t)got);
    }
    close_quietly(fd);
    return status;
}

static gy_status write_all(int fd, const char *path, const char *p, size_t n, struct gy_err *err)
{
    while (n > 0) {
        if (faulted("write", path)) {
            return gy_err_sys(err, errno, "can not write %s", path);
        }
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return gy_err_sys(err, errno, "can not write %s", path);
        }
        p += done;
        n -= (size_t)done;
    }
    return GY_OK;
}

static gy_status sync_fd(int fd, const char *path, struct gy_err *err)
{
    if (faulted("fsync", path) || fsync(fd) != 0) {
        return gy_err_sys(err, errno, "can not make %s durable", path);
    }
    return GY_OK;
}

/* The folder part of path into dir ("." when there is none). */
static gy_status folder_of(const char *path, char dir[GY_MAX_PATH], struct gy_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "path is longer than %d bytes", GY_MAX_PATH);
    }
    if (!slash) {
        memcpy(dir, ".", 2);
    } else if (n == 0) {
        memcpy(dir, "/", 2);
    } else {
        memcpy(dir, path, n);
        dir[n] = '\0';
    }
    return GY_OK;
}

struct gy_file_writer {
    int fd;
    char *path;
    char *temp;    /* NULL once renamed */
    bool nameless; /* temp is only what it will be called for a moment */
    size_t used;
    int64_t written, begun; /* bytes given to the system, and to the disk */
    char buffer[WRITER_BUFFER];
};

/* Where an open file can be given a name from. */
static void link_path(const struct gy_file_writer *w, char out[40])
{
    (void)snprintf(out, 40, "/proc/self/fd/%d", w->fd);
}

/* -1: not here, so it takes a name. */
static int open_nameless(struct gy_file_writer *w, mode_t mode)
{
    char dir[GY_MAX_PATH], link[40];
    if (folder_of(w->path, dir, NULL) != GY_OK) {
        return -1;
    }
    w->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
    link_path(w, link);
    w->nameless = w->fd >= 0 && access(link, F_OK) == 0;
    if (!w->nameless) {
        close_quietly(w->fd);
        w->fd = -1;
    }
    return w->fd;
}

/* O_EXCL and a name of 64 random bits rather than mkstemp: the kernel then applies the umask to
 * mode. */
static gy_status open_temp(struct gy_file_writer *w, mode_t mode, bool nameless, struct gy_err *err)
{
    size_t size = strlen(w->path) + 32;
    w->temp = gy_malloc(size);
    if (!w->temp) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory writing %s", w->path);
    }
    for (int attempt = 0; attempt < 8; attempt++) {
        uint64_t random;
        GY_TRY(gy_random_bytes(&random, sizeof random, err));
        (void)snprintf(w->temp, size, "%s.%016llx.tmp", w->path, (unsigned long long)random);
        if (faulted("open", w->temp)) {
            w->fd = -1;
            break;
        }
        w->fd = nameless ? open_nameless(w, mode) : -1;
        if (w->fd < 0) {
            w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        }
        if (w->fd >= 0 || errno != EEXIST) {
            break;
        }
    }
    return w->fd >= 0 ? GY_OK : gy_err_sys(err, errno, "can not create %s", w->path);
}

static gy_status open_writer(const char *path, mode_t mode, bool nameless,
                             struct gy_file_writer **ret, struct gy_err *err)
{
    struct gy_file_writer *w = gy_malloc(sizeof *w);
    if (!w) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory writing %s", path);
    }
    w->fd = -1;
    w->temp = NULL;
    w->nameless = false;
    w->used = 0;
    w->written = w->begun = 0;
    w->path = gy_strdup(path);
    gy_status status = w->path ? open_temp(w, mode, nameless, err)
                               : gy_err_set(err, GY_E_NOMEM, "out of memory writing %s", path);
    if (status != GY_OK) {
        if (w->fd < 0) {
            gy_free(w->temp); /* never made, so there is nothing to unlink */
            w->temp = NULL;
        }
        gy_file_writer_free(w);
        return status;
    }
    *ret = w;
    return GY_OK;
}

gy_status gy_file_writer_open(const char *path, mode_t mode, struct gy_file_writer **ret,
                              struct gy_err *err)
{
    return open_writer(path, mode, false, ret, err);
}

gy_status gy_file_writer_open_nameless(const char *path, mode_t mode, struct gy_file_writer **ret,
                                       struct gy_err *err)
{
    return open_writer(path, mode, true, ret, err);
}

/* Of a large file the disk gets what is there early, so that the fsync at its end finds little to
 * do. Only a hint: what can not be begun now is fsync's, as are all errors. */
static gy_status put_out(struct gy_file_writer *w, const char *p, size_t n, struct gy_err *err)
{
    GY_TRY(write_all(w->fd, w->temp, p, n, err));
    w->written += (int64_t)n;
    if (w->written - w->begun >= EARLY_BYTES) {
        (void)sync_file_range(w->fd, w->begun, w->written - w->begun, SYNC_FILE_RANGE_WRITE);
        w->begun = w->written;
    }
    return GY_OK;
}

static gy_status flush(struct gy_file_writer *w, struct gy_err *err)
{
    GY_TRY(put_out(w, w->buffer, w->used, err));
    w->used = 0;
    return GY_OK;
}

gy_status gy_file_writer_write(struct gy_file_writer *w, struct gy_str bytes, struct gy_err *err)
{
    GY_REQUIRE(w->temp);
    if (bytes.n > sizeof w->buffer - w->used) {
        GY_TRY(flush(w, err));
    }
    if (bytes.n >= sizeof w->buffer) {
        return put_out(w, bytes.p, bytes.n, err);
    }
    if (bytes.n > 0) {
        memcpy(w->buffer + w->used, bytes.p, bytes.n);
        w->used += bytes.n;
    }
    return GY_OK;
}

gy_status gy_file_writer_commit(struct gy_file_writer *w, const char *path_or_null,
                                struct gy_err *err)
{
    GY_REQUIRE(w->temp);
    const char *path = path_or_null ? path_or_null : w->path;
    char dir[GY_MAX_PATH];
    GY_TRY(folder_of(path, dir, err));
    GY_TRY(flush(w, err));
    GY_TRY(sync_fd(w->fd, w->temp, err));
    if (w->nameless) {
        char link[40];
        link_path(w, link);
        if (linkat(AT_FDCWD, link, AT_FDCWD, w->temp, AT_SYMLINK_FOLLOW) != 0) {
            return gy_err_sys(err, errno, "can not write %s", path);
        }
        w->nameless = false;
    }
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0) {
        return gy_err_sys(err, errno, "can not write %s", path);
    }
    if (faulted("rename", path) || rename(w->temp, path) != 0) {
        return gy_err_sys(err, errno, "can not rename to %s", path);
    }
    gy_free(w->temp);
    w->temp = NULL;
    return gy_dir_sync(dir, err);
}

void gy_file_writer_free(struct gy_file_writer *w)
{
    if (!w) {
        return;
    }
    close_quietly(w->fd);
    if (w->temp && !w->nameless) {
        (void)unlink(w->temp); /* aborting: a leftover is only clutter */
    }
    gy_free(w->temp);
    gy_free(w->path);
    gy_free(w);
}

gy_status gy_file_write(const char *path, struct gy_str bytes, mode_t mode, struct gy_err *err)
{
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
    GY_TRY(gy_file_writer_open(path, mode, &w, err));
    GY_TRY(gy_file_writer_write(w, bytes, err));
    return gy_file_writer_commit(w, NULL, err);
}

struct gy_file_appender {
    int fd;
    int64_t size; /* before; -1: not known */
    bool locked, committed;
    char path[GY_MAX_PATH];
};

/* Open the file that has the name once the lock is held: while it was waited for, another one may
 * have been put in its place. */
static gy_status open_locked(struct gy_file_appender *a, mode_t mode, struct gy_err *err)
{
    for (;;) {
        struct stat mine, named;
        a->fd = faulted("open", a->path)
                    ? -1
                    : open(a->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, mode);
        if (a->fd < 0) {
            return gy_err_sys(err, errno, "can not open %s", a->path);
        }
        while (!(a->locked = flock(a->fd, LOCK_EX) == 0) && errno == EINTR) {
        }
        /* A file system without locks is no reason to lose what is to be written. */
        if (fstat(a->fd, &mine) != 0) {
            return gy_err_sys(err, errno, "can not open %s", a->path);
        }
        if (stat(a->path, &named) == 0 && mine.st_dev == named.st_dev &&
            mine.st_ino == named.st_ino) {
            a->size = mine.st_size;
            return GY_OK;
        }
        close_quietly(a->fd);
    }
}

gy_status gy_file_appender_open(const char *path, mode_t mode, struct gy_file_appender **ret,
                                struct gy_err *err)
{
    char last = '\n';
    GY_AUTO(gy_file_appender_free) struct gy_file_appender *a = gy_calloc(1, sizeof *a);
    if (!a) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory writing %s", path);
    }
    a->fd = -1;
    a->size = -1;
    if (strlen(path) >= sizeof a->path) {
        return gy_err_set(err, GY_E_TOOBIG, "path is longer than %d bytes", GY_MAX_PATH);
    }
    memcpy(a->path, path, strlen(path) + 1);
    GY_TRY(open_locked(a, mode, err));
    if (a->size > 0) {
        GY_TRY(gy_fd_read_at(a->fd, path, &last, 1, a->size - 1, err));
    }
    if (last != '\n') {
        GY_TRY(write_all(a->fd, path, "\n", 1, err));
    }
    *ret = GY_TAKE(a);
    return GY_OK;
}

gy_status gy_file_appender_write(struct gy_file_appender *a, struct gy_str bytes,
                                 struct gy_err *err)
{
    return write_all(a->fd, a->path, bytes.p, bytes.n, err);
}

gy_status gy_file_appender_commit(struct gy_file_appender *a, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    GY_TRY(sync_fd(a->fd, a->path, err));
    if (a->size == 0) { /* it may have been made just now: its name has to last, too */
        GY_TRY(folder_of(a->path, dir, err));
        GY_TRY(gy_dir_sync(dir, err));
    }
    a->committed = true;
    return GY_OK;
}

void gy_file_appender_free(struct gy_file_appender *a)
{
    if (!a) {
        return;
    }
    /* Without a lock, lines of others may stand behind ours. */
    const bool undo = a->fd >= 0 && a->locked && a->size >= 0 && !a->committed;
    if (undo && ftruncate(a->fd, a->size) != 0) {
        /* Lines of a run that failed stay: they are true all the same. */
    }
    close_quietly(a->fd);
    gy_free(a);
}

gy_status gy_file_append(const char *path, struct gy_str bytes, mode_t mode, struct gy_err *err)
{
    GY_AUTO(gy_file_appender_free) struct gy_file_appender *a = NULL;
    GY_TRY(gy_file_appender_open(path, mode, &a, err));
    GY_TRY(gy_file_appender_write(a, bytes, err));
    return gy_file_appender_commit(a, err);
}

const char *gy_temp_dir(void)
{
    const char *dir = getenv("TMPDIR");
    return dir && dir[0] ? dir : "/tmp";
}

gy_status gy_file_aside(const char *dir, int *ret_fd, struct gy_err *err)
{
    if (faulted("open", dir)) {
        return gy_err_sys(err, errno, "can not put anything aside in %s", dir);
    }
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) { /* not every file system has such files */
        char path[GY_MAX_PATH];
        GY_TRY(gy_path_join(path, sizeof path, dir, ".aside-XXXXXX", err));
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) {
            (void)unlink(path); /* a leftover is only clutter */
        }
    }
    if (fd < 0) {
        return gy_err_sys(err, errno, "can not put anything aside in %s", dir);
    }
    *ret_fd = fd;
    return GY_OK;
}

gy_status gy_fd_write(int fd, const char *name, struct gy_str bytes, struct gy_err *err)
{
    return write_all(fd, name, bytes.p, bytes.n, err);
}

gy_status gy_fd_read_at(int fd, const char *name, char *buf, size_t n, int64_t offset,
                        struct gy_err *err)
{
    for (size_t got = 0; got < n;) {
        ssize_t more = pread(fd, buf + got, n - got, offset + (off_t)got);
        if (more < 0 && errno == EINTR) {
            continue;
        }
        if (more <= 0) {
            return gy_err_sys(err, more < 0 ? errno : EIO, "can not read %s", name);
        }
        got += (size_t)more;
    }
    return GY_OK;
}

gy_status gy_dir_make(const char *path, struct gy_err *err)
{
    char part[GY_MAX_PATH];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part) {
        return gy_err_set(err, n ? GY_E_TOOBIG : GY_E_INVALID, "a folder's path has 1 to %d bytes",
                          GY_MAX_PATH - 1);
    }
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != '\0') {
            continue;
        }
        part[i] = '\0';
        /* Asked first, so that a parent that may not be written does not matter when the folder is
         * there. */
        if (!gy_path_is_dir(part)) {
            if (faulted("mkdir", part) || mkdir(part, 0777) != 0) {
                int why = errno;
                if (why != EEXIST || !gy_path_is_dir(part)) {
                    return gy_err_sys(err, why, "can not make the folder %s", part);
                }
            }
        }
        if (i < n) {
            part[i] = '/';
        }
    }
    return GY_OK;
}

gy_status gy_dir_make_private(const char *path, struct gy_err *err)
{
    bool had = gy_path_is_dir(path);
    GY_TRY(gy_dir_make(path, err));
    /* It is empty yet: nothing could be read in between. */
    return had || chmod(path, S_IRWXU) == 0
               ? GY_OK
               : gy_err_sys(err, errno, "can not keep others from the folder %s", path);
}

gy_status gy_dir_make_for(const char *path, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    GY_TRY(folder_of(path, dir, err));
    return gy_dir_make(dir, err);
}

gy_status gy_dir_sync(const char *path, struct gy_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "can not open the folder %s", path);
    }
    gy_status status = sync_fd(fd, path, err);
    close_quietly(fd);
    return status;
}

static gy_status remove_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, ctx, name, err));
    if (is_dir) {
        return gy_dir_remove(path, err);
    }
    if (faulted("unlink", path) || (unlink(path) != 0 && errno != ENOENT)) {
        return gy_err_sys(err, errno, "can not remove %s", path);
    }
    return GY_OK;
}

gy_status gy_dir_remove(const char *path, struct gy_err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "can not look at %s", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return gy_err_set(err, GY_E_INVALID, "%s is not a folder", path);
    }
    GY_TRY(gy_dir_each(path, remove_entry, (void *)(uintptr_t)path, err));
    if (faulted("unlink", path) || (rmdir(path) != 0 && errno != ENOENT)) {
        return gy_err_sys(err, errno, "can not remove %s", path);
    }
    return GY_OK;
}

bool gy_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool gy_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int64_t gy_file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
}

gy_status gy_path_join(char *out, size_t out_size, const char *dir, const char *name,
                       struct gy_err *err)
{
    size_t n = strlen(dir);
    const char *sep = n > 0 && dir[n - 1] == '/' ? "" : "/";
    int need = snprintf(out, out_size, "%s%s%s", dir, sep, name);
    if (need < 0 || (size_t)need >= out_size) {
        return gy_err_set(err, GY_E_TOOBIG, "the path of '%.64s' is longer than %zu bytes", name,
                          out_size - 1);
    }
    return GY_OK;
}

gy_status gy_path_check_relative(struct gy_str path, struct gy_err *err)
{
    if (path.n == 0 || path.n >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_INVALID, "a path has 1 to %d bytes", GY_MAX_PATH - 1);
    }
    if (memchr(path.p, '\0', path.n) || memchr(path.p, '\\', path.n)) {
        return gy_err_set(err, GY_E_INVALID, "a path must not hold NUL or a backslash");
    }
    struct gy_str rest = path;
    struct gy_str part;
    while (gy_str_next(&rest, '/', &part)) {
        if (part.n == 0 || gy_str_eqc(part, ".") || gy_str_eqc(part, "..")) {
            return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is not a plain relative path",
                              GY_STR_A(path));
        }
    }
    return GY_OK;
}

struct dir_entry {
    char *name;
    bool is_dir;
};

struct dir_list {
    struct dir_entry *entries;
    size_t n;
    size_t cap;
};

static void dir_list_done(struct dir_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        gy_free(l->entries[i].name);
    }
    gy_free(l->entries);
}
GY_DEFINE_AUTO_DONE(struct dir_list, dir_list_done);

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct dir_entry *)a)->name, ((const struct dir_entry *)b)->name);
}

static gy_status dir_list_add(struct dir_list *l, DIR *d, const struct dirent *e,
                              struct gy_err *err)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 32;
        struct dir_entry *grown =
            cap > MAX_DIR_ENTRIES ? NULL : gy_reallocarray(l->entries, cap, sizeof *grown);
        if (!grown) {
            return gy_err_set(err, cap > MAX_DIR_ENTRIES ? GY_E_TOOBIG : GY_E_NOMEM,
                              "too many entries in a folder");
        }
        l->entries = grown;
        l->cap = cap;
    }
    bool is_dir = e->d_type == DT_DIR;
    if (e->d_type == DT_UNKNOWN) { /* some file systems do not tell */
        struct stat st;
        is_dir = fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    }
    char *name = gy_strdup(e->d_name);
    if (!name) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory listing a folder");
    }
    l->entries[l->n++] = (struct dir_entry){name, is_dir};
    return GY_OK;
}

static gy_status dir_list_read(struct dir_list *l, const char *path, struct gy_err *err)
{
    DIR *d = opendir(path);
    if (!d) {
        return gy_err_sys(err, errno, "can not open the folder %s", path);
    }
    gy_status status = GY_OK;
    while (status == GY_OK) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e) {
            if (errno != 0) {
                status = gy_err_sys(err, errno, "can not read the folder %s", path);
            }
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            status = dir_list_add(l, d, e, err);
        }
    }
    (void)closedir(d); /* only read from */
    return status;
}

gy_status gy_dir_each(const char *path, gy_dir_fn fn, void *ctx, struct gy_err *err)
{
    GY_AUTO_DONE(dir_list_done) struct dir_list list = {NULL, 0, 0};
    GY_TRY(dir_list_read(&list, path, err));
    if (list.n > 0) {
        qsort(list.entries, list.n, sizeof list.entries[0], by_name);
    }
    for (size_t i = 0; i < list.n; i++) {
        GY_TRY(fn(ctx, list.entries[i].name, list.entries[i].is_dir, err));
    }
    return GY_OK;
}
