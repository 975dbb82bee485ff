/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of a repository: where objects are, which of them are trusted, how one gets in. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/pool.h"
#include "data/dvc/dir.h"
#include "data/dvc/md5.h"
#include "data/dvc/repo_internal.h"
#include "data/dvc/tree.h"

#define SYNC_EACH 16 /* up to so many new objects, each is synced by itself */
#define TRUSTED 0444 /* DVC hashes an object of another mode again */

bool gy_dvc_oid_set(struct gy_dvc_oid *ret, struct gy_str hex, bool legacy)
{
    *ret = (struct gy_dvc_oid){.legacy = legacy};
    bool is_dir = gy_str_ends(hex, GY_STR(".dir"));
    struct gy_str digits = gy_str_sub(hex, 0, is_dir ? hex.n - 4 : hex.n);
    if (digits.n != GY_MD5_HEX - 1 || !gy_dvc_hex_lower(digits, ret->hex)) {
        ret->hex[0] = '\0';
        return hex.n == 0;
    }
    if (is_dir) {
        memcpy(ret->hex + GY_MD5_HEX - 1, ".dir", 5);
    }
    return true;
}

gy_status gy_dvc_cache_path(const struct gy_dvc_repo *r, const struct gy_dvc_oid *oid,
                            char ret[GY_MAX_PATH], struct gy_err *err)
{
    if (!oid->hex[0]) {
        return gy_err_set(err, GY_E_INVALID, "there is no digest to look for in the cache");
    }
    int n = snprintf(ret, GY_MAX_PATH, "%s/%s%.2s/%s", r->cache, oid->legacy ? "" : "files/md5/",
                     oid->hex, oid->hex + 2);
    return n > 0 && n < GY_MAX_PATH ? GY_OK
                                    : gy_err_set(err, GY_E_TOOBIG, "the cache's path is too long");
}

/* Hash an object of a mode that tells nothing: right ones are protected, others removed. */
static gy_status judge(const char *path, const struct gy_dvc_oid *oid, bool *ret,
                       struct gy_err *err)
{
    char md5[GY_MD5_HEX];
    GY_AUTO_DONE(gy_dvc_hasher_done) struct gy_dvc_hasher h = {.hash = NULL};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "can not open %s", path);
    }
    gy_status status = gy_dvc_hasher_init(&h, err);
    if (status == GY_OK) {
        status = gy_dvc_hash_fd(&h, fd, path, oid->legacy, md5, NULL, err);
    }
    bool right = status == GY_OK && memcmp(md5, oid->hex, GY_MD5_HEX - 1) == 0;
    if (right) {
        /* It may be another user's in a shared cache: then it stays as it is, and is right. */
        (void)!fchmod(fd, TRUSTED);
    }
    (void)close(fd); /* only read from */
    GY_TRY(status);
    *ret = right;
    if (!right && unlink(path) != 0 && errno != ENOENT) {
        return gy_err_sys(err, errno, "can not remove the damaged object %s", path);
    }
    return GY_OK;
}

gy_status gy_dvc_cache_has(const struct gy_dvc_repo *r, const struct gy_dvc_oid *oid, bool *ret,
                           struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct stat st;
    *ret = false;
    GY_TRY(gy_dvc_cache_path(r, oid, path, err));
    if (stat(path, &st) != 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? GY_OK
                   : gy_err_sys(err, errno, "can not look at %s", path);
    }
    if (S_ISREG(st.st_mode) && (st.st_mode & 07777) == TRUSTED) {
        *ret = true;
        return GY_OK;
    }
    return S_ISREG(st.st_mode) ? judge(path, oid, ret, err) : GY_OK;
}

gy_status gy_dvc_cache_mkdir(const struct gy_dvc_repo *r, const char *path, struct gy_err *err)
{
    if (gy_path_is_dir(path)) {
        return GY_OK;
    }
    GY_TRY(gy_dir_make(path, err));
    if (r->shared && chmod(path, r->dir_mode) != 0) {
        return gy_err_sys(err, errno, "can not share %s with its group", path);
    }
    return GY_OK;
}

void gy_dvc_tmp_name(const struct gy_dvc_repo *r, char ret[32])
{
    static atomic_uint_least64_t g_made; /* names of one process differ by it, of two by the seed */
    (void)snprintf(ret, 32, ".%016llx.tmp",
                   (unsigned long long)(r->tmp_seed + atomic_fetch_add(&g_made, 1)));
}

gy_status gy_dvc_cache_tmp(const struct gy_dvc_repo *r, char ret[GY_MAX_PATH], struct gy_err *err)
{
    char name[32], dir[GY_MAX_PATH];
    gy_dvc_tmp_name(r, name);
    int n = snprintf(dir, sizeof dir, "%s/files/md5", r->cache);
    if (n < 0 || n + 64 >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "the cache's path is too long");
    }
    GY_TRY(gy_dvc_cache_mkdir(r, dir, err));
    return gy_path_join(ret, GY_MAX_PATH, dir, name, err);
}

gy_status gy_dvc_cache_take(struct gy_dvc_repo *r, const struct gy_dvc_oid *oid, const char *tmp,
                            struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_dvc_cache_path(r, oid, path, err));
    char *slash = strrchr(path, '/');
    *slash = '\0';
    GY_TRY(gy_dvc_cache_mkdir(r, path, err));
    *slash = '/';
    if (chmod(tmp, GY_DVC_UNSETTLED) != 0) {
        return gy_err_sys(err, errno, "can not change the mode of %s", tmp);
    }
    if (rename(tmp, path) != 0) {
        return gy_err_sys(err, errno, "can not make %s", path);
    }
    return gy_dvc_fresh_add(r, path + strlen(r->cache) + 1, err);
}

/* ---- objects that are not on disk yet ---- */

gy_status gy_dvc_fresh_add(struct gy_dvc_repo *r, const char *path, struct gy_err *err)
{
    (void)pthread_mutex_lock(&r->fresh_mutex);
    gy_status status = gy_map_put(&r->fresh, gy_str_c(path), r, err);
    (void)pthread_mutex_unlock(&r->fresh_mutex);
    return status;
}

bool gy_dvc_fresh_has(struct gy_dvc_repo *r, const char *path)
{
    (void)pthread_mutex_lock(&r->fresh_mutex);
    bool has = gy_map_has(&r->fresh, gy_str_c(path));
    (void)pthread_mutex_unlock(&r->fresh_mutex);
    return has;
}

struct settling {
    struct gy_dvc_repo *r;
    int cache_fd;
    bool sync;         /* each by itself */
    atomic_int failed; /* errno */
};

/* Sync the folder that an object is in: its name must last, too. */
static bool sync_folder(int at, const char *path)
{
    char dir[GY_MAX_PATH];
    (void)snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = '\0';
    int fd = openat(at, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd); /* only synced */
    }
    return good;
}

static void settle_one(void *ctx, size_t i)
{
    struct settling *s = ctx;
    const char *path = s->r->fresh.entries[i].key.p;
    bool good = true;
    if (s->sync) {
        int fd = openat(s->cache_fd, path, O_RDONLY | O_CLOEXEC);
        good = fd >= 0 && fsync(fd) == 0 && fchmod(fd, TRUSTED) == 0;
        if (fd >= 0) {
            (void)close(fd); /* only read from */
        }
        good = good && sync_folder(s->cache_fd, path);
    } else {
        good = fchmodat(s->cache_fd, path, TRUSTED, 0) == 0;
    }
    if (!good && errno != ENOENT) { /* removed meanwhile by a `dvc gc` of a shared cache */
        atomic_store(&s->failed, errno);
    }
}

gy_status gy_dvc_repo_settle(struct gy_dvc_repo *r, struct gy_err *err)
{
    struct settling s = {.r = r, .sync = r->fresh.n_entries <= SYNC_EACH};
    if (r->fresh.n_entries == 0) {
        return GY_OK;
    }
    s.cache_fd = open(r->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s.cache_fd < 0) {
        return gy_err_sys(err, errno, "can not open the cache %s", r->cache);
    }
    gy_status status = GY_OK;
    if (!s.sync && syncfs(s.cache_fd) != 0) {
        status = gy_err_sys(err, errno, "can not sync the cache %s", r->cache);
    }
    if (status == GY_OK) {
        status = gy_parallel(s.sync ? 1 : gy_dvc_cores(), r->fresh.n_entries, settle_one, &s, err);
    }
    (void)close(s.cache_fd); /* only looked up from */
    if (status == GY_OK && atomic_load(&s.failed)) {
        status = gy_err_sys(err, atomic_load(&s.failed), "can not protect what is in %s", r->cache);
    }
    GY_TRY(status);
    gy_map_done(&r->fresh);
    gy_map_init(&r->fresh, 2 * (size_t)GY_DVC_MAX_FILES);
    return GY_OK;
}
