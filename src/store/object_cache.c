/* SPDX-License-Identifier: Apache-2.0 */
#include "store/object_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"

#define STALE_US (24 * 3600 * INT64_C(1000000))
#define STEP_BYTES (256 * GY_KIB)

/* In a ring by use: the head's next is the oldest. */
struct entry {
    struct entry *older, *newer;
    int64_t size_bytes;
    int64_t used_us; /* only to sort what is found at the start */
    bool checked;    /* hashed, or made, by this process */
    char sha256[GY_SHA256_HEX];
};

struct gy_object_cache {
    char dir[GY_MAX_PATH - 128];
    int64_t max_bytes;
    pthread_mutex_t lock;  /* guards what follows; never held while bytes are read or written */
    struct gy_map entries; /* SHA-256 -> struct entry * */
    struct entry ring;     /* ring.newer is the oldest entry, ring.older the newest */
    int64_t bytes, hits, misses;
};

static void entry_path(const struct gy_object_cache *c, const char *sha256, char out[GY_MAX_PATH])
{
    (void)snprintf(out, GY_MAX_PATH, "%s/%.2s/%s", c->dir, sha256, sha256 + 2);
}

/* ---- under the lock ---- */

static void unlink_entry(struct entry *e)
{
    e->older->newer = e->newer;
    e->newer->older = e->older;
}

static void make_newest(struct gy_object_cache *c, struct entry *e)
{
    e->older = c->ring.older;
    e->newer = &c->ring;
    c->ring.older->newer = e;
    c->ring.older = e;
}

static void remove_entry(struct gy_object_cache *c, struct entry *e)
{
    char path[GY_MAX_PATH];
    entry_path(c, e->sha256, path);
    (void)unlink(path); /* who has it open reads on; gone already is as good */
    c->bytes -= e->size_bytes;
    unlink_entry(e);
    (void)gy_map_remove(&c->entries, gy_str_c(e->sha256));
    gy_free(e);
}

static void shrink(struct gy_object_cache *c, int64_t max_bytes, size_t max_files)
{
    while (c->ring.newer != &c->ring && (c->bytes > max_bytes || c->entries.n_live > max_files)) {
        remove_entry(c, c->ring.newer);
    }
}

/* NULL: no memory. */
static struct entry *add_entry(struct gy_object_cache *c, const char *sha256, int64_t size_bytes,
                               bool checked)
{
    struct entry *e = gy_map_get(&c->entries, gy_str_c(sha256));
    if (e) {
        unlink_entry(e);
        c->bytes -= e->size_bytes;
    } else {
        e = gy_calloc(1, sizeof *e);
        if (!e) {
            return NULL;
        }
        memcpy(e->sha256, sha256, GY_SHA256_HEX);
        if (gy_map_put(&c->entries, gy_str_c(sha256), e, NULL) != GY_OK) {
            gy_free(e);
            return NULL;
        }
    }
    e->size_bytes = size_bytes;
    e->checked = checked;
    c->bytes += size_bytes;
    make_newest(c, e);
    return e;
}

/* ---- opening: what is there, oldest use first ---- */

struct stock {
    struct gy_object_cache *cache;
    char sha256[GY_SHA256_HEX];
    char dir[GY_MAX_PATH];
    bool stale_only;
};

static int64_t time_us(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000 + t->tv_nsec / 1000;
}

static gy_status take_file(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct stock *s = ctx;
    char path[GY_MAX_PATH];
    struct stat st;
    if (is_dir || (!s->stale_only && !gy_is_hex(gy_str_c(name), GY_SHA256_HEX - 3))) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, s->dir, name, err));
    if (stat(path, &st) != 0) {
        return GY_OK; /* another process was faster */
    }
    if (s->stale_only) {
        if (time_us(&st.st_mtim) < gy_now_us() - STALE_US) {
            (void)unlink(path); /* as above */
        }
        return GY_OK;
    }
    memcpy(s->sha256 + 2, name, GY_SHA256_HEX - 2);
    struct entry *e = add_entry(s->cache, s->sha256, (int64_t)st.st_size, false);
    if (!e) {
        return gy_err_set(err, GY_E_NOMEM, "taking stock of the object cache");
    }
    e->used_us = time_us(&st.st_mtim);
    return GY_OK;
}

static gy_status take_folder(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct stock *s = ctx;
    s->stale_only = strcmp(name, "tmp") == 0;
    if (!is_dir || (!s->stale_only && !gy_is_hex(gy_str_c(name), 2))) {
        return GY_OK;
    }
    memcpy(s->sha256, name, 2);
    GY_TRY(gy_path_join(s->dir, sizeof s->dir, s->cache->dir, name, err));
    return gy_dir_each(s->dir, take_file, s, err);
}

static int by_use(const void *a, const void *b)
{
    int64_t x = (*(struct entry *const *)a)->used_us, y = (*(struct entry *const *)b)->used_us;
    return x < y ? -1 : x > y;
}

static gy_status sort_by_use(struct gy_object_cache *c, struct gy_err *err)
{
    size_t n = 0, pos = 0;
    struct entry **all = gy_calloc(c->entries.n_live + 1, sizeof *all);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "taking stock of the object cache");
    }
    for (struct gy_map_entry *e; (e = gy_map_next(&c->entries, &pos));) {
        all[n++] = e->value;
    }
    qsort(all, n, sizeof *all, by_use);
    c->ring.older = c->ring.newer = &c->ring;
    for (size_t i = 0; i < n; i++) {
        make_newest(c, all[i]);
    }
    gy_free(all);
    return GY_OK;
}

static gy_status take_stock(struct gy_object_cache *c, const char *dir, struct gy_err *err)
{
    char tmp[GY_MAX_PATH];
    if (strlen(dir) >= sizeof c->dir) {
        return gy_err_set(err, GY_E_INVALID, "the path of the object cache is too long");
    }
    (void)snprintf(c->dir, sizeof c->dir, "%s", dir);
    (void)snprintf(tmp, sizeof tmp, "%s/tmp", c->dir);
    GY_TRY(gy_dir_make(tmp, err));
    struct stock s = {.cache = c};
    GY_TRY(gy_dir_each(c->dir, take_folder, &s, err));
    GY_TRY(sort_by_use(c, err));
    shrink(c, c->max_bytes, GY_OBJECT_CACHE_FILES);
    return GY_OK;
}

gy_status gy_object_cache_open(const char *dir, int64_t max_bytes, struct gy_object_cache **ret,
                               struct gy_err *err)
{
    struct gy_object_cache *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "opening the object cache");
    }
    GY_REQUIRE(pthread_mutex_init(&c->lock, NULL) == 0);
    gy_map_init(&c->entries, (size_t)4 * GY_OBJECT_CACHE_FILES);
    c->ring.older = c->ring.newer = &c->ring;
    c->max_bytes = max_bytes;
    gy_status status = take_stock(c, dir, err);
    if (status != GY_OK) {
        gy_object_cache_free(c);
        return status;
    }
    *ret = c;
    return GY_OK;
}

void gy_object_cache_free(struct gy_object_cache *c)
{
    if (!c) {
        return;
    }
    size_t pos = 0;
    for (struct gy_map_entry *e; (e = gy_map_next(&c->entries, &pos));) {
        gy_free(e->value);
    }
    gy_map_done(&c->entries);
    pthread_mutex_destroy(&c->lock);
    gy_free(c);
}

/* ---- files ---- */

gy_status gy_object_cache_new(struct gy_object_cache *c, struct gy_cache_file *ret,
                              struct gy_err *err)
{
    char id[33];
    GY_TRY(gy_new_hex32(id, err));
    (void)snprintf(ret->path, sizeof ret->path, "%s/tmp/%s", c->dir, id);
    ret->fd = open(ret->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return ret->fd >= 0 ? GY_OK : gy_err_sys(err, errno, "opening '%s'", ret->path);
}

void gy_object_cache_drop(struct gy_cache_file *f)
{
    if (f->path[0]) {
        (void)unlink(f->path); /* else it goes a day later */
        f->path[0] = '\0';
    }
}

void gy_object_cache_keep(struct gy_object_cache *c, struct gy_cache_file *f, const char *sha256,
                          int64_t size_bytes)
{
    char path[GY_MAX_PATH];
    bool kept = false;
    entry_path(c, sha256, path);
    if (size_bytes <= c->max_bytes && gy_dir_make_for(path, NULL) == GY_OK) {
        pthread_mutex_lock(&c->lock);
        shrink(c, c->max_bytes - size_bytes, GY_OBJECT_CACHE_FILES - 1);
        kept = rename(f->path, path) == 0 && add_entry(c, sha256, size_bytes, true);
        pthread_mutex_unlock(&c->lock);
    }
    if (kept) {
        f->path[0] = '\0';
    } else {
        gy_object_cache_drop(f);
    }
}

static bool has_hash(int fd, const char *sha256)
{
    char found[GY_SHA256_HEX] = "";
    GY_AUTO(gy_free) char *step = gy_malloc(STEP_BYTES);
    GY_AUTO(gy_hash_free) struct gy_hash *hash = NULL;
    if (!step || gy_hash_new(GY_HASH_SHA256, &hash, NULL) != GY_OK) {
        return false;
    }
    for (off_t at = 0;;) {
        ssize_t n = pread(fd, step, STEP_BYTES, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        gy_hash_add(hash, gy_str_n(step, (size_t)n));
        at += n;
    }
    gy_hash_hex(hash, found);
    return strcmp(found, sha256) == 0;
}

/* What the caller does not find as it should be is not there. *ret_checked: by this process. */
static int open_entry(struct gy_object_cache *c, const char *sha256, bool *ret_checked)
{
    char path[GY_MAX_PATH];
    int fd = -1;
    pthread_mutex_lock(&c->lock);
    struct entry *e = gy_map_get(&c->entries, gy_str_c(sha256));
    if (e) {
        struct stat st;
        entry_path(c, sha256, path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) != 0 || (int64_t)st.st_size != e->size_bytes) {
            if (fd >= 0) {
                (void)close(fd); /* only opened for reading */
                fd = -1;
            }
            remove_entry(c, e); /* another process removed it, or it is damaged */
        } else {
            *ret_checked = e->checked;
            unlink_entry(e);
            make_newest(c, e);
        }
    }
    c->hits += fd >= 0;
    c->misses += fd < 0;
    pthread_mutex_unlock(&c->lock);
    return fd;
}

bool gy_object_cache_get(struct gy_object_cache *c, const char *sha256, int *ret_fd,
                         int64_t *ret_size)
{
    bool checked = false;
    struct stat st;
    int fd = open_entry(c, sha256, &checked);
    if (fd < 0) {
        return false;
    }
    if (fstat(fd, &st) != 0 || (!checked && !has_hash(fd, sha256))) {
        (void)close(fd); /* only opened for reading */
        gy_object_cache_forget(c, sha256);
        return false;
    }
    if (!checked) {
        pthread_mutex_lock(&c->lock);
        struct entry *e = gy_map_get(&c->entries, gy_str_c(sha256));
        if (e) {
            e->checked = true;
        }
        pthread_mutex_unlock(&c->lock);
    }
    (void)futimens(fd, NULL); /* for the order after a restart; only a hint */
    *ret_fd = fd;
    *ret_size = (int64_t)st.st_size;
    return true;
}

void gy_object_cache_forget(struct gy_object_cache *c, const char *sha256)
{
    pthread_mutex_lock(&c->lock);
    struct entry *e = gy_map_get(&c->entries, gy_str_c(sha256));
    if (e) {
        remove_entry(c, e);
    }
    pthread_mutex_unlock(&c->lock);
}

void gy_object_cache_get_stats(struct gy_object_cache *c, struct gy_object_cache_stats *ret)
{
    pthread_mutex_lock(&c->lock);
    *ret = (struct gy_object_cache_stats){c->hits, c->misses, c->bytes, (int64_t)c->entries.n_live};
    pthread_mutex_unlock(&c->lock);
}
