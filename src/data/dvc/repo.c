/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "data/dvc/ignore.h"
#include "data/dvc/lock.h"
#include "data/dvc/tree_internal.h"

/* As `dvc init` writes them. */
#define GITIGNORE "/config.local\n/tmp\n/cache\n"
#define NO_SCM "[core]\n    no_scm = True\n"
#define DVCIGNORE                                                      \
    "# Add patterns of files dvc should ignore, which could improve\n" \
    "# the performance. Learn more at\n"                               \
    "# https://dvc.org/doc/user-guide/dvcignore\n"

/* ---- finding the root ---- */

/* The nearest folder from dir upwards that holds one of names; false when none does. */
static bool find_up(const char *dir, const char *const *names, char ret[GY_MAX_PATH])
{
    char path[GY_MAX_PATH];
    (void)snprintf(ret, GY_MAX_PATH, "%s", dir);
    for (;;) {
        for (size_t i = 0; names[i]; i++) {
            int n = snprintf(path, sizeof path, "%s/%s", ret, names[i]);
            if (n > 0 && n < (int)sizeof path && gy_path_exists(path)) {
                return true;
            }
        }
        char *slash = strrchr(ret, '/');
        if (!slash || ret[1] == '\0') {
            return false;
        }
        slash[slash == ret ? 1 : 0] = '\0';
    }
}

static bool find_root(const char *dir, char ret[GY_MAX_PATH])
{
    char path[GY_MAX_PATH];
    (void)snprintf(ret, GY_MAX_PATH, "%s", dir);
    for (;;) {
        int n = snprintf(path, sizeof path, "%s/.dvc", ret);
        if (n > 0 && n < (int)sizeof path && gy_path_is_dir(path)) {
            return true;
        }
        char *slash = strrchr(ret, '/');
        if (!slash || ret[1] == '\0') {
            return false;
        }
        slash[slash == ret ? 1 : 0] = '\0';
    }
}

static gy_status real_dir(const char *dir, char ret[GY_MAX_PATH], struct gy_err *err)
{
    _Static_assert(GY_MAX_PATH >= PATH_MAX, "what realpath may write");
    if (!realpath(dir, ret)) {
        return gy_err_sys(err, errno, "can not enter %s", dir);
    }
    return strlen(ret) < GY_MAX_PATH - 64
               ? GY_OK
               : gy_err_set(err, GY_E_TOOBIG, "the path %s is too long", dir);
}

/* ---- opening ---- */

/* cache.dir: relative to the folder of the file that says it (.dvc). */
static gy_status set_cache(struct gy_dvc_repo *r, struct gy_err *err)
{
    enum gy_dvc_level level = GY_DVC_REPO;
    struct gy_str dir = gy_dvc_config_get(r->config, "cache", "dir", &level);
    int n = 0;
    if (!dir.p || dir.n == 0) {
        n = snprintf(r->cache, sizeof r->cache, "%s/cache", r->dvc);
    } else if (dir.p[0] == '/') {
        n = snprintf(r->cache, sizeof r->cache, "%" GY_STR_F, GY_STR_A(dir));
    } else {
        n = snprintf(r->cache, sizeof r->cache, "%s/%" GY_STR_F, r->dvc, GY_STR_A(dir));
    }
    while (n > 1 && n < (int)sizeof r->cache && r->cache[n - 1] == '/') {
        r->cache[--n] = '\0';
    }
    struct gy_str shared = gy_dvc_config_get(r->config, "cache", "shared", NULL);
    r->shared = shared.p && gy_str_eqc(shared, "group");
    r->dir_mode = r->shared ? 02775 : 0777;
    return n > 0 && n < GY_MAX_PATH - 128 ? GY_OK
                                          : gy_err_set(err, GY_E_TOOBIG, "cache.dir is too long");
}

/* r->root is set. */
static gy_status open_root(struct gy_dvc_repo *r, struct gy_err *err)
{
    GY_TRY(gy_path_join(r->dvc, sizeof r->dvc, r->root, ".dvc", err));
    r->bare = !gy_path_is_dir(r->dvc);
    GY_TRY(gy_dvc_config_load(r->root, &r->config, err));
    GY_TRY(set_cache(r, err));
    r->root_fd = open(r->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->root_fd < 0) {
        return gy_err_sys(err, errno, "can not open %s", r->root);
    }
    return gy_random_bytes(&r->tmp_seed, sizeof r->tmp_seed, err);
}

static struct gy_dvc_repo *new_repo(void)
{
    struct gy_dvc_repo *r = gy_calloc(1, sizeof *r);
    if (r) {
        r->lock_fd = -1;
        r->root_fd = -1;
        (void)pthread_mutex_init(&r->fresh_mutex, NULL); /* can not fail for a plain mutex */
        gy_map_init(&r->fresh, 2 * (size_t)GY_DVC_MAX_FILES);
        r->umask = umask(0); /* there is no other way to ask; no other thread is ours yet */
        (void)umask(r->umask);
    }
    return r;
}

gy_status gy_dvc_repo_open(const char *dir, struct gy_dvc_repo **ret, struct gy_err *err)
{
    char at[GY_MAX_PATH];
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = new_repo();
    if (!r) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a DVC repository");
    }
    GY_TRY(real_dir(dir, at, err));
    if (!find_root(at, r->root)) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "%s is in no DVC repository: there is no .dvc", dir);
        return gy_err_hint(err, "`gyre data add PATH` or `dvc init` makes one");
    }
    GY_TRY(open_root(r, err));
    *ret = GY_TAKE(r);
    return GY_OK;
}

gy_status gy_dvc_repo_open_at(const char *root, struct gy_dvc_repo **ret, struct gy_err *err)
{
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = new_repo();
    if (!r) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a DVC repository");
    }
    GY_TRY(real_dir(root, r->root, err));
    GY_TRY(open_root(r, err));
    *ret = GY_TAKE(r);
    return GY_OK;
}

bool gy_dvc_repo_is_bare(const struct gy_dvc_repo *r)
{
    return r->bare;
}

void gy_dvc_repo_free(struct gy_dvc_repo *r)
{
    if (!r) {
        return;
    }
    /* Objects that were not settled are hashed by whoever meets them: slower, not wrong. */
    GY_IGNORE(gy_dvc_repo_settle(r, NULL));
    gy_dvc_repo_unlock(r);
    gy_map_done(&r->fresh);
    (void)pthread_mutex_destroy(&r->fresh_mutex);
    gy_dvc_stats_free(r->stats);
    gy_dvc_ignore_free(r->ignore);
    gy_dvc_config_free(r->config);
    if (r->root_fd >= 0) {
        (void)close(r->root_fd);
    }
    gy_free(r);
}

static gy_status write_new(const char *dir, const char *name, const char *text, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, dir, name, err));
    return gy_path_exists(path) ? GY_OK : gy_file_write(path, gy_str_c(text), 0666, err);
}

gy_status gy_dvc_repo_init(const char *dir, struct gy_dvc_repo **ret, struct gy_err *err)
{
    static const char *const project[] = {"gyre.yaml", "dvc.yaml", NULL};
    static const char *const git[] = {".git", NULL};
    char at[GY_MAX_PATH], root[GY_MAX_PATH], top[GY_MAX_PATH], dvc[GY_MAX_PATH];
    GY_TRY(real_dir(dir, at, err));
    if (!find_root(at, root)) {
        bool has_git = find_up(at, git, top);
        if (!find_up(at, project, root) || (has_git && strlen(root) < strlen(top))) {
            (void)snprintf(root, sizeof root, "%s", has_git ? top : at);
        }
        GY_TRY(gy_path_join(dvc, sizeof dvc, root, ".dvc", err));
        GY_TRY(gy_dir_make(dvc, err));
        if (has_git) {
            GY_TRY(write_new(dvc, ".gitignore", GITIGNORE, err));
        }
        GY_TRY(write_new(dvc, "config", has_git ? "" : NO_SCM, err));
        GY_TRY(write_new(root, ".dvcignore", DVCIGNORE, err));
    }
    return gy_dvc_repo_open(at, ret, err);
}

gy_status gy_dvc_repo_stats(struct gy_dvc_repo *r, struct gy_dvc_stats **ret, struct gy_err *err)
{
    if (!r->stats) {
        char path[GY_MAX_PATH];
        GY_TRY(gy_path_join(path, sizeof path, r->dvc, "tmp/gyre.stats", err));
        GY_TRY(gy_dvc_stats_open(path, &r->stats, err));
    }
    *ret = r->stats;
    return GY_OK;
}

gy_status gy_dvc_repo_remember(struct gy_dvc_repo *r, struct gy_err *err)
{
    return r->stats && !r->bare ? gy_dvc_stats_save(r->stats, err) : GY_OK;
}

const char *gy_dvc_repo_root(const struct gy_dvc_repo *r)
{
    return r->root;
}

const char *gy_dvc_repo_cache(const struct gy_dvc_repo *r)
{
    return r->cache;
}

struct gy_dvc_config *gy_dvc_repo_config(struct gy_dvc_repo *r)
{
    return r->config;
}
