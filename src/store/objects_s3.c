/* SPDX-License-Identifier: Apache-2.0 */
#include "store/objects_s3.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/object_cache.h"
#include "store/object_ops.h"

#define STALE_US (24 * 3600 * INT64_C(1000000))
#define SECOND_US INT64_C(1000000) /* what S3's times are cut to */

/* An object that is being fetched; who wants it too waits for its end. On the first one's stack. */
struct fetch {
    struct fetch *next;
    const char *sha256;
    int waiting;
    bool done;
};

struct bucket {
    struct gy_s3 *s3;
    struct gy_object_cache *cache;
    char prefix[GY_OBJECTS_S3_MAX_PREFIX]; /* "" or "a/b/" */
    int64_t young_us;
    pthread_rwlock_t ages; /* read: while an object is put or made young; written: while one is
                              removed for its age */
    pthread_mutex_t lock;  /* guards fetches */
    pthread_cond_t fetched;
    struct fetch *fetches;
};

struct s3_put {
    struct bucket *bucket;
    struct gy_cache_file file;
};

static void object_key(const struct bucket *b, const char *sha256, char out[GY_S3_MAX_NAME])
{
    (void)snprintf(out, GY_S3_MAX_NAME, "%s%.2s/%s", b->prefix, sha256, sha256 + 2);
}

/* When an object was last put, at the latest: headers are cut to seconds (listings need not be),
 * and a put of the same may have left its time alone. */
static int64_t put_at_latest(const struct bucket *b, int64_t modified_us)
{
    return modified_us / SECOND_US * SECOND_US + SECOND_US + b->young_us;
}

/* ---- put ---- */

/* A copy onto itself, and a look whether that made it younger: not every server does (versitygw
 * keeps the time). *ret_young false: it has to be sent again. */
static gy_status make_young(struct bucket *b, const char *key, int64_t modified_us, bool *ret_young,
                            struct gy_err *err)
{
    int64_t size, now_us = modified_us;
    struct gy_err failed = GY_ERR_INIT;
    gy_status status = gy_s3_touch(b->s3, key, &failed);
    if (status == GY_OK) {
        status = gy_s3_head(b->s3, key, &size, &now_us, &failed);
    }
    *ret_young = now_us > modified_us;
    if (status == GY_E_NOTFOUND || status == GY_E_INVALID || status == GY_E_TOOBIG ||
        status == GY_E_UNSUPPORTED) {
        status = GY_OK; /* removed meanwhile, too large to be copied, or not known to the server */
    }
    if (status != GY_OK && err) {
        *err = failed;
    }
    return status;
}

/* Under b->ages (read). *ret_size -1: not there, or it has to be put again. */
static gy_status find_young(struct bucket *b, const char *sha256, int64_t *ret_size,
                            struct gy_err *err)
{
    char key[GY_S3_MAX_NAME];
    int64_t modified_us;
    struct gy_err failed = GY_ERR_INIT;
    object_key(b, sha256, key);
    *ret_size = -1;
    gy_status status = gy_s3_head(b->s3, key, ret_size, &modified_us, &failed);
    if (status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    bool young = true;
    if (status == GY_OK && modified_us + b->young_us <= gy_now_us()) {
        status = make_young(b, key, modified_us, &young, &failed);
    }
    if (status != GY_OK && err) {
        *err = failed;
    }
    *ret_size = young ? *ret_size : -1;
    return status;
}

static gy_status s3_find(void *self, const char *sha256, bool durable, int64_t *ret_size,
                         struct gy_err *err)
{
    struct bucket *b = self;
    if (durable) {
        pthread_rwlock_rdlock(&b->ages);
        gy_status status = find_young(b, sha256, ret_size, err);
        pthread_rwlock_unlock(&b->ages);
        return status;
    }
    char key[GY_S3_MAX_NAME];
    int64_t modified_us;
    struct gy_err failed = GY_ERR_INIT;
    object_key(b, sha256, key);
    *ret_size = -1;
    gy_status status = gy_s3_head(b->s3, key, ret_size, &modified_us, &failed);
    if (status == GY_OK || status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    if (err) {
        *err = failed;
    }
    return status;
}

static gy_status s3_put_begin(void *self, void **ret_put, struct gy_err *err)
{
    struct bucket *b = self;
    struct s3_put *p = gy_calloc(1, sizeof *p);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "storing an object");
    }
    p->bucket = b;
    gy_status status = gy_object_cache_new(b->cache, &p->file, err);
    if (status != GY_OK) {
        gy_free(p);
        return status;
    }
    *ret_put = p;
    return GY_OK;
}

static gy_status write_all(int fd, struct gy_str bytes, struct gy_err *err)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return gy_err_sys(err, errno, "writing to the object cache");
        }
        bytes = gy_str_sub(bytes, n > 0 ? (size_t)n : 0, SIZE_MAX);
    }
    return GY_OK;
}

static gy_status s3_put_write(void *put, struct gy_str bytes, struct gy_err *err)
{
    return write_all(((struct s3_put *)put)->file.fd, bytes, err);
}

static gy_status s3_put_commit(void *put, const char *sha256, int64_t size_bytes,
                               struct gy_err *err)
{
    struct s3_put *p = put;
    struct bucket *b = p->bucket;
    char key[GY_S3_MAX_NAME];
    int64_t there = -1;
    object_key(b, sha256, key);
    pthread_rwlock_rdlock(&b->ages);
    gy_status status = find_young(b, sha256, &there, err);
    if (status == GY_OK && there != size_bytes) {
        status = gy_s3_put_file(b->s3, key, p->file.fd, size_bytes, sha256, err);
    }
    pthread_rwlock_unlock(&b->ages);
    if (status == GY_OK) {
        gy_object_cache_keep(b->cache, &p->file, sha256, size_bytes);
    }
    return status;
}

static void s3_put_free(void *put)
{
    struct s3_put *p = put;
    gy_object_cache_drop(&p->file);
    (void)close(p->file.fd); /* a copy of what is in the bucket, or of nothing */
    gy_free(p);
}

/* ---- reading ---- */

struct download {
    int fd;
    int64_t size_bytes;
    struct gy_hash *hash;
};

static gy_status to_file(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    struct download *d = ctx;
    gy_hash_add(d->hash, bytes);
    d->size_bytes += (int64_t)bytes.n;
    return write_all(d->fd, bytes, err);
}

static gy_status download_once(struct bucket *b, const char *sha256, int fd, int64_t *ret_size,
                               char found[GY_SHA256_HEX], struct gy_err *err)
{
    char key[GY_S3_MAX_NAME];
    GY_AUTO(gy_hash_free) struct gy_hash *hash = NULL;
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &hash, err));
    struct download d = {.fd = fd, .hash = hash};
    object_key(b, sha256, key);
    if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0) {
        return gy_err_sys(err, errno, "writing to the object cache");
    }
    struct gy_err failed = GY_ERR_INIT;
    gy_status status = gy_s3_get(b->s3, key, to_file, &d, &failed);
    if (status == GY_E_NOTFOUND && strstr(failed.msg, "NoSuchBucket") == NULL) {
        return gy_err_set(err, GY_E_NOTFOUND, "no object %s", sha256);
    }
    if (status != GY_OK) {
        if (err) {
            *err = failed;
        }
        return status;
    }
    gy_hash_hex(hash, found);
    *ret_size = d.size_bytes;
    return GY_OK;
}

/* Bytes that do not fit their name are asked for once more: they may have been damaged on the way
 * only. */
static gy_status download(struct bucket *b, const char *sha256, int fd, int64_t *ret_size,
                          struct gy_err *err)
{
    char found[GY_SHA256_HEX] = "";
    for (int tries = 0; tries < 2; tries++) {
        GY_TRY(download_once(b, sha256, fd, ret_size, found, err));
        if (strcmp(found, sha256) == 0) {
            return lseek(fd, 0, SEEK_SET) == 0
                       ? GY_OK
                       : gy_err_sys(err, errno, "reading from the object cache");
        }
    }
    gy_err_set(err, GY_E_CORRUPT, "object %s is damaged: its bytes have the SHA-256 %s", sha256,
               found);
    return gy_err_hint(err, "remove it from the bucket, then put it again or restore it");
}

static gy_status fetch_object(struct bucket *b, const char *sha256, int *ret_fd, int64_t *ret_size,
                              struct gy_err *err)
{
    struct gy_cache_file file;
    GY_TRY(gy_object_cache_new(b->cache, &file, err));
    gy_status status = download(b, sha256, file.fd, ret_size, err);
    if (status != GY_OK) {
        gy_object_cache_drop(&file);
        (void)close(file.fd); /* of no use */
        return status;
    }
    gy_object_cache_keep(b->cache, &file, sha256, *ret_size);
    *ret_fd = file.fd;
    return GY_OK;
}

/* True: it is ours to fetch, and mine is in the list. False: somebody else had it under way, and
 * that is over. */
static bool begin_fetch(struct bucket *b, struct fetch *mine)
{
    pthread_mutex_lock(&b->lock);
    struct fetch *f = b->fetches;
    while (f && strcmp(f->sha256, mine->sha256) != 0) {
        f = f->next;
    }
    if (f) {
        f->waiting++;
        while (!f->done) {
            pthread_cond_wait(&b->fetched, &b->lock);
        }
        f->waiting--;
        pthread_cond_broadcast(&b->fetched);
    } else {
        mine->next = b->fetches;
        b->fetches = mine;
    }
    pthread_mutex_unlock(&b->lock);
    return !f;
}

static void end_fetch(struct bucket *b, struct fetch *mine)
{
    pthread_mutex_lock(&b->lock);
    struct fetch **at = &b->fetches;
    while (*at != mine) {
        at = &(*at)->next;
    }
    *at = mine->next;
    mine->done = true;
    pthread_cond_broadcast(&b->fetched);
    while (mine->waiting) { /* they look at it until they have seen the end */
        pthread_cond_wait(&b->fetched, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
}

static gy_status s3_open_fd(void *self, const char *sha256, int *ret_fd, int64_t *ret_size,
                            struct gy_err *err)
{
    struct bucket *b = self;
    for (bool waited = false;; waited = true) {
        struct fetch mine = {.sha256 = sha256};
        if (gy_object_cache_get(b->cache, sha256, ret_fd, ret_size)) {
            return GY_OK;
        }
        /* After a wait in vain (it failed, or was too large to be kept) everyone for himself. */
        if (waited) {
            return fetch_object(b, sha256, ret_fd, ret_size, err);
        }
        if (begin_fetch(b, &mine)) {
            gy_status status = fetch_object(b, sha256, ret_fd, ret_size, err);
            end_fetch(b, &mine);
            return status;
        }
    }
}

static void s3_forget(void *self, const char *sha256)
{
    gy_object_cache_forget(((struct bucket *)self)->cache, sha256);
}

/* ---- collecting garbage ---- */

/* The name in "PREFIX/ab/cdef..."; false: it is no object of ours. */
static bool name_of(const struct bucket *b, const char *key, char ret_sha256[GY_SHA256_HEX])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = strlen(b->prefix);
    if (strncmp(key, b->prefix, n) != 0 || strlen(key + n) != GY_SHA256_HEX || key[n + 2] != '/') {
        return false;
    }
    (void)snprintf(ret_sha256, GY_SHA256_HEX, "%.2s%s", key + n, key + n + 3);
    return strspn(ret_sha256, hex) == GY_SHA256_HEX - 1;
}

struct listing {
    struct bucket *bucket;
    gy_object_fn fn;
    void *ctx;
    int64_t before_us; /* of uploads */
    int64_t n;
};

static gy_status list_key(void *ctx, const char *key, int64_t size_bytes, int64_t modified_us,
                          struct gy_err *err)
{
    struct listing *l = ctx;
    char sha256[GY_SHA256_HEX];
    if (!name_of(l->bucket, key, sha256)) {
        return GY_OK;
    }
    return l->fn(l->ctx, sha256, size_bytes, put_at_latest(l->bucket, modified_us), err);
}

static gy_status s3_list(void *self, gy_object_fn fn, void *ctx, struct gy_err *err)
{
    struct bucket *b = self;
    struct listing l = {.bucket = b, .fn = fn, .ctx = ctx};
    return gy_s3_list(b->s3, b->prefix, list_key, &l, err);
}

static gy_status s3_remove(void *self, const char *sha256, int64_t before_us, bool *ret_removed,
                           struct gy_err *err)
{
    struct bucket *b = self;
    char key[GY_S3_MAX_NAME];
    int64_t size, modified_us;
    struct gy_err failed = GY_ERR_INIT;
    object_key(b, sha256, key);
    pthread_rwlock_wrlock(&b->ages);
    gy_status status = gy_s3_head(b->s3, key, &size, &modified_us, &failed);
    if (status == GY_OK && put_at_latest(b, modified_us) < before_us) {
        status = gy_s3_delete(b->s3, key, &failed);
        *ret_removed = status == GY_OK;
    }
    pthread_rwlock_unlock(&b->ages);
    if (*ret_removed || status == GY_E_NOTFOUND) {
        gy_object_cache_forget(b->cache, sha256);
    }
    if (status == GY_OK || status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    if (err) {
        *err = failed;
    }
    return status;
}

static gy_status abort_stale(void *ctx, const char *key, const char *upload_id, int64_t begun_us,
                             struct gy_err *err)
{
    struct listing *l = ctx;
    char sha256[GY_SHA256_HEX];
    if (begun_us >= l->before_us || !name_of(l->bucket, key, sha256)) {
        return GY_OK;
    }
    GY_TRY(gy_s3_abort(l->bucket->s3, key, upload_id, err));
    l->n++;
    return GY_OK;
}

static gy_status s3_clean(void *self, int64_t before_us, int64_t *ret_n, struct gy_err *err)
{
    struct bucket *b = self;
    struct listing l = {.bucket = b, .before_us = before_us};
    GY_TRY(gy_s3_uploads(b->s3, b->prefix, abort_stale, &l, err));
    *ret_n = l.n;
    return GY_OK;
}

static void s3_stats(void *self, struct gy_objects_stats *ret)
{
    struct bucket *b = self;
    struct gy_s3_stats s3;
    struct gy_object_cache_stats cache;
    gy_s3_get_stats(b->s3, &s3);
    gy_object_cache_get_stats(b->cache, &cache);
    *ret = (struct gy_objects_stats){.remote = true,
                                     .up = s3.up,
                                     .requests = s3.requests,
                                     .retries = s3.retries,
                                     .errors = s3.errors,
                                     .sent_bytes = s3.sent_bytes,
                                     .received_bytes = s3.received_bytes,
                                     .cache_hits = cache.hits,
                                     .cache_misses = cache.misses,
                                     .cache_bytes = cache.bytes};
}

static void s3_free(void *self)
{
    struct bucket *b = self;
    gy_s3_free(b->s3);
    gy_object_cache_free(b->cache);
    pthread_rwlock_destroy(&b->ages);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->fetched);
    gy_free(b);
}

static const struct gy_objects_ops s3_ops = {
    .version = 1,
    .name = "s3",
    .put_begin = s3_put_begin,
    .put_write = s3_put_write,
    .put_commit = s3_put_commit,
    .put_free = s3_put_free,
    .open_fd = s3_open_fd,
    .find = s3_find,
    .free = s3_free,
    .list = s3_list,
    .remove = s3_remove,
    .clean = s3_clean,
    .forget = s3_forget,
    .stats = s3_stats,
};

/* ---- opening ---- */

/* "s3://bucket/prefix/" -> the bucket, and b->prefix with one slash at its end. */
static gy_status split_url(struct bucket *b, const char *url, char bucket[64], struct gy_err *err)
{
    struct gy_str u = gy_str_c(url), name, prefix;
    if (!gy_str_starts(u, GY_STR("s3://"))) {
        return gy_err_set(err, GY_E_INVALID, "'%.200s' is no s3://bucket/prefix", url);
    }
    (void)gy_str_cut(gy_str_sub(u, 5, SIZE_MAX), '/', &name, &prefix);
    while (gy_str_ends(prefix, GY_STR("/"))) {
        prefix.n--;
    }
    if (name.n >= 64 || prefix.n + 2 > sizeof b->prefix || gy_str_starts(prefix, GY_STR("/")) ||
        gy_str_find_str(prefix, GY_STR("//")) != SIZE_MAX || !gy_str_is_utf8(prefix)) {
        return gy_err_set(err, GY_E_INVALID, "'%.200s' is no s3://bucket/prefix", url);
    }
    (void)snprintf(bucket, 64, "%" GY_STR_F, GY_STR_A(name));
    (void)snprintf(b->prefix, sizeof b->prefix, "%" GY_STR_F "%s", GY_STR_A(prefix),
                   prefix.n ? "/" : "");
    return GY_OK;
}

static gy_status set_up(struct bucket *b, const struct gy_objects_s3_options *o, struct gy_err *err)
{
    char bucket[64];
    struct gy_s3_options s3 = o->s3;
    int64_t n = 0;
    gy_status status = split_url(b, o->url, bucket, err);
    if (status == GY_OK && !o->cache_dir) {
        status = gy_err_set(err, GY_E_INVALID, "objects in S3 want a folder for local copies");
    }
    if (status != GY_OK) {
        gy_caller_free(s3.caller);
        return status;
    }
    s3.bucket = bucket;
    b->young_us = o->young_us == 0 ? GY_OBJECTS_S3_YOUNG_US : o->young_us < 0 ? 0 : o->young_us;
    GY_TRY(gy_s3_open(&s3, &b->s3, err));
    GY_TRY(gy_object_cache_open(
        o->cache_dir, o->cache_bytes ? o->cache_bytes : GY_OBJECT_CACHE_BYTES, &b->cache, err));
    GY_TRY(gy_s3_check(b->s3, err));
    /* Not every server or policy lets us see uploads: then they are not ours to clean. */
    GY_IGNORE(s3_clean(b, gy_now_us() - STALE_US, &n, NULL));
    return GY_OK;
}

gy_status gy_objects_open_s3(const struct gy_objects_s3_options *o, struct gy_objects **ret,
                             struct gy_err *err)
{
    struct bucket *b = gy_calloc(1, sizeof *b);
    if (!b) {
        gy_caller_free(o->s3.caller);
        return gy_err_set(err, GY_E_NOMEM, "opening the object store");
    }
    GY_REQUIRE(pthread_rwlock_init(&b->ages, NULL) == 0);
    GY_REQUIRE(pthread_mutex_init(&b->lock, NULL) == 0);
    GY_REQUIRE(pthread_cond_init(&b->fetched, NULL) == 0);
    gy_status status = set_up(b, o, err);
    if (status != GY_OK) {
        s3_free(b);
        return status;
    }
    return gy_objects_new(&s3_ops, b, ret, err);
}
