/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "data/dvc/tree_internal.h"

static const char *const NAMES[] = {"reflink", "hardlink", "symlink", "copy"};

gy_status gy_dvc_links_read(struct gy_dvc_repo *r, struct gy_dvc_links *ret, struct gy_err *err)
{
    struct gy_str list = gy_dvc_config_get(r->config, "cache", "type", NULL);
    struct gy_str rest = list.p && list.n > 0 ? list : GY_STR("reflink,copy");
    struct gy_str word;
    ret->n = 0;
    for (size_t i = 0; i < 4; i++) {
        atomic_init(&ret->impossible[i], false);
    }
    while (gy_str_next(&rest, ',', &word)) {
        size_t i = 0;
        word = gy_str_trim(word);
        while (i < 4 && !gy_str_ieq(word, gy_str_c(NAMES[i]))) {
            i++;
        }
        if (i == 4 || ret->n == GY_DVC_MAX_LINKS) {
            (void)gy_err_set(err, GY_E_INVALID, "cache.type: '%" GY_STR_F "' is no kind of link",
                             GY_STR_A(word));
            return gy_err_hint(err, "reflink, hardlink, symlink or copy");
        }
        ret->types[ret->n++] = (enum gy_dvc_link)i;
    }
    return GY_OK;
}

/* What DVC takes for "not here" and goes on to the next type. */
static bool is_impossible(int errnum)
{
    return errnum == EPERM || errnum == ENOTSUP || errnum == EXDEV || errnum == ENOTTY ||
           errnum == ENOSYS || errnum == EINVAL || errnum == EAGAIN;
}

/* A file of its own with the object's bytes: shared extents or a copy. Its mtime says that it is
 * ours. */
static gy_status make_copy(bool clone, const char *object, bool is_exec, int at, const char *tmp,
                           bool *ret_possible, struct gy_err *err)
{
    struct stat st;
    *ret_possible = true;
    int from = open(object, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        return gy_err_sys(err, errno, "can not open the object %s", object);
    }
    int to = openat(at, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, is_exec ? 0777 : 0666);
    gy_status status = to < 0 ? gy_err_sys(err, errno, "can not write beside %s", tmp) : GY_OK;
    if (status == GY_OK && fstat(from, &st) != 0) {
        status = gy_err_sys(err, errno, "can not look at the object %s", object);
    }
    if (status == GY_OK && clone) {
        *ret_possible = gy_dvc_clone_fd(from, to);
        if (!*ret_possible && !is_impossible(errno)) {
            status = gy_err_sys(err, errno, "can not share the object %s", object);
        }
    } else if (status == GY_OK) {
        status = gy_dvc_copy_fd(from, to, st.st_size, object, err);
    }
    if (status == GY_OK && *ret_possible) {
        (void)gy_dvc_stats_stamp(to, &st); /* else it is hashed once more: slower, not wrong */
    }
    (void)close(from); /* only read from */
    if (to >= 0 && close(to) != 0 && status == GY_OK) {
        status = gy_err_sys(err, errno, "can not write %s", tmp);
    }
    if ((status != GY_OK || !*ret_possible) && to >= 0) {
        (void)unlinkat(at, tmp, 0); /* the failure at hand is what counts */
    }
    return status;
}

static gy_status make(enum gy_dvc_link type, const char *object, bool is_exec, int at,
                      const char *tmp, bool *ret_possible, struct gy_err *err)
{
    int failed = 0;
    struct stat st;
    *ret_possible = true;
    switch (type) {
    case GY_DVC_REFLINK:
    case GY_DVC_COPY:
        return make_copy(type == GY_DVC_REFLINK, object, is_exec, at, tmp, ret_possible, err);
    case GY_DVC_HARDLINK:
        if (stat(object, &st) == 0 && st.st_size == 0) { /* as DVC: else all empty files are one */
            return make_copy(false, object, is_exec, at, tmp, ret_possible, err);
        }
        failed = linkat(AT_FDCWD, object, at, tmp, 0) != 0 ? errno : 0;
        break;
    case GY_DVC_SYMLINK:
        failed = symlinkat(object, at, tmp) != 0 ? errno : 0;
        break;
    }
    *ret_possible = failed == 0;
    return failed == 0 || is_impossible(failed) || failed == EMLINK
               ? GY_OK
               : gy_err_sys(err, failed, "can not link the object %s", object);
}

/* The name of a temporary file in the folder of rel. */
static gy_status tmp_beside(const struct gy_dvc_repo *r, const char *rel, char ret[GY_MAX_PATH],
                            struct gy_err *err)
{
    char name[32];
    const char *slash = strrchr(rel, '/');
    gy_dvc_tmp_name(r, name);
    int n = snprintf(ret, GY_MAX_PATH, "%.*s%s", slash ? (int)(slash + 1 - rel) : 0, rel, name);
    return n > 0 && n < GY_MAX_PATH ? GY_OK
                                    : gy_err_set(err, GY_E_TOOBIG, "the path %s is too long", rel);
}

gy_status gy_dvc_link(struct gy_dvc_repo *r, struct gy_dvc_links *links, const char *object,
                      const char *md5, bool legacy, bool is_exec, int at, const char *rel,
                      struct gy_err *err)
{
    char tmp[GY_MAX_PATH];
    struct stat st;
    bool possible = false;
    enum gy_dvc_link type = GY_DVC_COPY;
    GY_TRY(tmp_beside(r, rel, tmp, err));
    for (size_t i = 0; i < links->n && !possible; i++) {
        type = links->types[i];
        if (is_exec && (type == GY_DVC_HARDLINK || type == GY_DVC_SYMLINK)) {
            type = GY_DVC_COPY; /* a mode of its own, which an object must not have */
        }
        if (!atomic_load(&links->impossible[type])) {
            GY_TRY(make(type, object, is_exec, at, tmp, &possible, err));
            if (!possible) {
                atomic_store(&links->impossible[type], true);
            }
        }
    }
    if (!possible) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED, "none of cache.type can link %s here", object);
        return gy_err_hint(err, "`dvc config cache.type reflink,hardlink,copy`");
    }
    if (renameat(at, tmp, at, rel) != 0) {
        (void)gy_err_sys(err, errno, "can not put %s into its place", rel);
        (void)unlinkat(at, tmp, 0); /* the failure at hand is what counts */
        return err ? err->code : GY_E_IO;
    }
    /* After the rename, which changes the ctime. */
    bool own = type == GY_DVC_REFLINK || type == GY_DVC_COPY;
    if (own && fstatat(at, rel, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_mtim.tv_nsec % 1000000 != 0) {
        gy_dvc_stats_note_own(r->stats, &st, legacy, md5);
    }
    return GY_OK;
}

bool gy_dvc_link_fits(const struct gy_dvc_links *links, const struct gy_dvc_file *f,
                      const char *object, int at, const char *rel)
{
    bool is_copy = !f->is_link && f->n_links == 1;
    char target[GY_MAX_PATH];
    struct stat st;
    for (size_t i = 0; i < links->n; i++) {
        enum gy_dvc_link type = links->types[i];
        if (type == GY_DVC_REFLINK || type == GY_DVC_COPY) {
            if (is_copy) {
                return true;
            }
        } else if (type == GY_DVC_HARDLINK && !f->is_link && f->n_links > 1) {
            return stat(object, &st) == 0 && (uint64_t)st.st_ino == f->ino &&
                   (uint64_t)st.st_dev == f->dev;
        } else if (type == GY_DVC_HARDLINK && is_copy && f->size_bytes == 0) {
            return true;
        } else if (type == GY_DVC_SYMLINK && f->is_link) {
            ssize_t n = readlinkat(at, rel, target, sizeof target - 1);
            return n > 0 && gy_str_eqc(gy_str_n(target, (size_t)n), object);
        }
        if (atomic_load(&links->impossible[type])) {
            continue;
        }
        if (type == GY_DVC_HARDLINK || type == GY_DVC_SYMLINK) {
            return false;
        }
    }
    return false;
}

gy_status gy_dvc_unlink_from_cache(struct gy_dvc_repo *r, int at, const char *rel,
                                   struct gy_err *err)
{
    char tmp[GY_MAX_PATH];
    struct stat st, followed;
    if (fstatat(at, rel, &st, AT_SYMLINK_NOFOLLOW) != 0 || fstatat(at, rel, &followed, 0) != 0) {
        return gy_err_sys(err, errno, "can not look at %s", rel);
    }
    mode_t mode = (followed.st_mode & 0111) | 0666;
    mode &= ~r->umask;
    if (!S_ISLNK(st.st_mode) && st.st_nlink == 1) {
        return fchmodat(at, rel, mode, 0) == 0
                   ? GY_OK
                   : gy_err_sys(err, errno, "can not make %s writable", rel);
    }
    GY_TRY(tmp_beside(r, rel, tmp, err));
    int from = openat(at, rel, O_RDONLY | O_CLOEXEC);
    int to = from < 0 ? -1 : openat(at, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    gy_status status = to < 0 ? gy_err_sys(err, errno, "can not copy %s", rel) : GY_OK;
    if (status == GY_OK && !gy_dvc_clone_fd(from, to)) {
        status = gy_dvc_copy_fd(from, to, followed.st_size, rel, err);
    }
    if (from >= 0) {
        (void)close(from); /* only read from */
    }
    if (to >= 0 && close(to) != 0 && status == GY_OK) {
        status = gy_err_sys(err, errno, "can not write %s", tmp);
    }
    if (status == GY_OK && renameat(at, tmp, at, rel) != 0) {
        status = gy_err_sys(err, errno, "can not replace %s", rel);
    }
    if (status != GY_OK && to >= 0) {
        (void)unlinkat(at, tmp, 0); /* the failure at hand is what counts */
    }
    return status;
}
