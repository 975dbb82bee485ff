/* SPDX-License-Identifier: Apache-2.0 */
/* Files and descriptors as sources of records. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "data/source.h"
#include "net/call.h"

struct file {
    struct gy_source source;
    struct gy_reader reader;
    int fd;
    bool mine; /* opened here */
    char *path, *name, *folder;
    struct stat before; /* of a regular file, as it was opened */
    bool regular;
};

static struct file *file_of(struct gy_source *s)
{
    return (struct file *)(void *)s;
}

/* At its end: is it still the file that was opened? Records read from a file that someone writes
 * would be neither the old ones nor the new ones. */
static gy_status check_unchanged(const struct file *f, struct gy_err *err)
{
    struct stat now;
    if (!f->regular) {
        return GY_OK;
    }
    if (fstat(f->fd, &now) != 0) {
        return gy_err_sys(err, errno, "reading '%s'", f->source.name);
    }
    if (now.st_size == f->before.st_size && f->source.done_bytes == now.st_size &&
        now.st_mtim.tv_sec == f->before.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == f->before.st_mtim.tv_nsec) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_CONFLICT,
                     "'%s' changed while it was read: it had %lld bytes, then %lld, and %lld were "
                     "read",
                     f->source.name, (long long)f->before.st_size, (long long)now.st_size,
                     (long long)f->source.done_bytes);
    return gy_err_hint(err, "run the command again when its writer is done");
}

static gy_status file_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                           struct gy_err *err)
{
    struct file *f = (struct file *)(void *)((char *)self - offsetof(struct file, reader));
    ssize_t got;
    do {
        got = read(f->fd, buf, n);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return gy_err_sys(err, errno, "reading '%s'", f->source.name);
    }
    *ret_n = (size_t)got;
    f->source.done_bytes += got;
    return got == 0 ? check_unchanged(f, err) : GY_OK;
}

static gy_status file_open(struct gy_source *s, struct gy_reader **ret, struct gy_err *err)
{
    struct file *f = file_of(s);
    if (f->path) {
        f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
        if (f->fd < 0) {
            return gy_err_sys(err, errno, "opening '%s'", s->name);
        }
        f->mine = true;
    }
    if (fstat(f->fd, &f->before) != 0) {
        return gy_err_sys(err, errno, "opening '%s'", s->name);
    }
    /* A descriptor that was given may stand anywhere in its file: only a path is read whole. */
    f->regular = f->path && S_ISREG(f->before.st_mode);
    if (f->regular) {
        s->size_bytes = f->before.st_size;
        (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint, nothing more */
    }
    f->reader = (struct gy_reader){.read = file_read, .size_bytes = s->size_bytes};
    *ret = &f->reader;
    return GY_OK;
}

static void file_close(struct gy_source *s)
{
    struct file *f = file_of(s);
    if (f->mine) {
        (void)close(f->fd);
        f->fd = -1;
        f->mine = false;
    }
}

static gy_status file_check(struct gy_source *s, struct gy_err *err)
{
    const struct file *f = file_of(s);
    return f->path && access(f->path, R_OK) != 0 ? gy_err_sys(err, errno, "opening '%s'", s->name)
                                                 : GY_OK;
}

static void file_free(struct gy_source *s)
{
    struct file *f = file_of(s);
    gy_free(f->path);
    gy_free(f->name);
    gy_free(f->folder);
    gy_free(f);
}

static const struct gy_source_ops file_ops = {"file", file_open, file_close, file_check, file_free};

static gy_status new_file(const char *name, struct file **ret, struct gy_err *err)
{
    struct file *f = gy_calloc(1, sizeof *f);
    if (!f) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for reading '%s'", name);
    }
    f->source.ops = &file_ops;
    f->source.size_bytes = -1;
    f->fd = -1;
    f->name = gy_strdup(name);
    f->source.name = f->name;
    *ret = f;
    return GY_OK;
}

gy_status gy_source_file(const char *path, const char *name, struct gy_source **ret,
                         struct gy_err *err)
{
    struct file *f = NULL;
    struct stat st;
    GY_TRY(new_file(name ? name : path, &f, err));
    GY_AUTO(gy_source_free) struct gy_source *s = &f->source;
    const char *slash = strrchr(path, '/');
    f->path = gy_strdup(path);
    f->folder = slash ? gy_strndup(path, (size_t)(slash - path) + 1) : gy_strdup(".");
    if (!f->name || !f->path || !f->folder) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for reading '%s'", path);
    }
    f->source.folder = f->folder;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        f->source.size_bytes = st.st_size;
    }
    *ret = GY_TAKE(s);
    return GY_OK;
}

gy_status gy_source_fd(int fd, const char *name, struct gy_source **ret, struct gy_err *err)
{
    struct file *f = NULL;
    GY_TRY(new_file(name, &f, err));
    if (!f->name) {
        file_free(&f->source);
        return gy_err_set(err, GY_E_NOMEM, "out of memory for reading '%s'", name);
    }
    f->fd = fd;
    *ret = &f->source;
    return GY_OK;
}
