/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/dvc/dir.h"
#include "data/dvc/ignore.h"
#include "data/dvc/stages.h"
#include "data/dvc/tree_internal.h"

struct walk {
    struct gy_dvc_ignore *ignore;
    struct gy_arena *a;
    struct gy_err *err;
    struct gy_str *names; /* relpaths so far, in the arena */
    size_t n, cap;
    char path[2 * GY_MAX_PATH]; /* from the root, of the entry at hand */
    size_t base;                /* bytes of it before the relpath */
    int depth;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for the files of a folder");
}

static gy_status add(struct walk *w)
{
    if (w->n == GY_DVC_MAX_FILES) {
        return gy_err_set(w->err, GY_E_TOOBIG, "a folder has over %d files", GY_DVC_MAX_FILES);
    }
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 256;
        struct gy_str *grown = gy_reallocarray(w->names, cap, sizeof *grown);
        if (!grown) {
            return no_memory(w->err);
        }
        w->names = grown;
        w->cap = cap;
    }
    struct gy_str s = gy_arena_str(w->a, gy_str_c(w->path + w->base));
    if (!s.p) {
        return no_memory(w->err);
    }
    w->names[w->n++] = s;
    return GY_OK;
}

enum kind { A_FILE, A_FOLDER, NOTHING };

/* Links to files count as files; to folders, they are not followed. */
static gy_status kind_of(struct walk *w, int dir, const struct dirent *e, enum kind *ret)
{
    struct stat st;
    *ret = e->d_type == DT_DIR ? A_FOLDER : A_FILE;
    if (e->d_type == DT_REG || e->d_type == DT_DIR) {
        return GY_OK;
    }
    if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return gy_err_sys(w->err, errno, "can not look at %s", w->path);
    }
    if (S_ISDIR(st.st_mode)) {
        *ret = A_FOLDER;
        return GY_OK;
    }
    if (S_ISLNK(st.st_mode) && fstatat(dir, e->d_name, &st, 0) != 0) {
        return gy_err_set(w->err, GY_E_INVALID, "%s is a link to nothing", w->path);
    }
    if (S_ISDIR(st.st_mode)) {
        *ret = NOTHING;
        return GY_OK;
    }
    return S_ISREG(st.st_mode)
               ? GY_OK
               : gy_err_set(w->err, GY_E_INVALID, "%s is neither a file nor a folder", w->path);
}

static gy_status folder(struct walk *w, int fd, const struct gy_dvc_rules *above);

static gy_status entry(struct walk *w, int dir, const struct dirent *e,
                       const struct gy_dvc_rules *rules)
{
    enum kind kind = A_FILE;
    size_t n = strlen(w->path), m = strlen(e->d_name);
    if (n + m + 2 >= GY_MAX_PATH) {
        return gy_err_set(w->err, GY_E_TOOBIG, "a path in %s is too long", w->path);
    }
    w->path[n] = '/';
    memcpy(w->path + n + 1, e->d_name, m + 1);
    struct gy_str path = gy_str_n(w->path, n + 1 + m);
    /* Before it is looked at: what is ignored may be anything. A pattern for folders only needs to
     * know; that is so for links' sake alone. */
    gy_status status = GY_OK;
    if (!gy_dvc_ignored(rules, path, e->d_type == DT_DIR)) {
        status = kind_of(w, dir, e, &kind);
        if (status == GY_OK && kind == A_FILE && strcmp(e->d_name, ".dvcignore") == 0) {
            status = gy_err_set(w->err, GY_E_INVALID, "%s: not allowed inside a tracked folder",
                                w->path);
            (void)gy_err_hint(w->err, "put its patterns into the .dvcignore above the folder");
        } else if (status == GY_OK && kind == A_FILE) {
            status = add(w);
        } else if (status == GY_OK && kind == A_FOLDER) {
            int fd = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            status = fd < 0 ? gy_err_sys(w->err, errno, "can not enter %s", w->path)
                            : folder(w, fd, rules);
        }
    }
    w->path[n] = '\0';
    return status;
}

/* Takes fd over. */
static gy_status folder(struct walk *w, int fd, const struct gy_dvc_rules *above)
{
    const struct gy_dvc_rules *rules = above;
    struct stat st;
    if (w->depth > 0 && fstatat(fd, ".dvc", &st, 0) == 0 && S_ISDIR(st.st_mode)) {
        (void)close(fd); /* a repository of its own: not part of this one */
        return GY_OK;
    }
    gy_status status =
        ++w->depth > GY_DVC_MAX_DEPTH
            ? gy_err_set(w->err, GY_E_TOOBIG, "folders are nested deeper than %d", GY_DVC_MAX_DEPTH)
            : GY_OK;
    DIR *d = status == GY_OK ? fdopendir(fd) : NULL;
    if (!d) {
        int errnum = errno;
        (void)close(fd); /* nothing was read from it */
        return status != GY_OK ? status : gy_err_sys(w->err, errnum, "can not list %s", w->path);
    }
    errno = 0;
    for (struct dirent *e = NULL; status == GY_OK && (e = readdir(d)); errno = 0) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            status = entry(w, dirfd(d), e, rules);
        }
    }
    if (status == GY_OK && errno != 0) {
        status = gy_err_sys(w->err, errno, "can not list %s", w->path);
    }
    (void)closedir(d);
    w->depth--;
    return status;
}

static int by_name(const void *a, const void *b)
{
    return gy_dvc_path_cmp(*(const struct gy_str *)a, *(const struct gy_str *)b);
}

/* The rules that count inside path: those of all folders above it. */
static gy_status rules_above(struct gy_dvc_ignore *g, struct gy_str path,
                             const struct gy_dvc_rules **ret, struct gy_err *err)
{
    *ret = gy_dvc_ignore_root(g);
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '/') {
            GY_TRY(gy_dvc_ignore_enter(g, *ret, gy_str_sub(path, 0, i), ret, err));
        }
    }
    return GY_OK;
}

gy_status gy_dvc_walk(struct gy_dvc_repo *r, struct gy_str path, int folder_fd, struct gy_arena *a,
                      struct gy_dvc_file **ret, size_t *ret_n, struct gy_err *err)
{
    const struct gy_dvc_rules *rules = NULL;
    struct walk *w = gy_calloc(1, sizeof *w);
    int fd = w ? fcntl(folder_fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (!w || fd < 0) {
        gy_free(w);
        return w ? gy_err_sys(err, errno, "can not list a folder") : no_memory(err);
    }
    w->a = a;
    w->err = err;
    w->base = path.n + 1;
    (void)snprintf(w->path, sizeof w->path, "%" GY_STR_F, GY_STR_A(path));
    gy_status status = gy_dvc_repo_ignore(r, &w->ignore, err);
    if (status == GY_OK) {
        status = rules_above(w->ignore, path, &rules, err);
    }
    if (status == GY_OK) {
        status = folder(w, fd, rules);
    } else {
        (void)close(fd);
    }
    struct gy_dvc_file *files =
        status == GY_OK ? gy_arena_calloc(a, w->n + 1, sizeof *files) : NULL;
    if (files && w->n > 0) {
        qsort(w->names, w->n, sizeof *w->names, by_name);
        for (size_t i = 0; i < w->n; i++) {
            files[i].relpath = w->names[i];
        }
    }
    *ret = files;
    *ret_n = w->n;
    gy_free(w->names);
    gy_free(w);
    GY_TRY(status);
    return files ? GY_OK : no_memory(err);
}
