/* SPDX-License-Identifier: Apache-2.0 */
/* What all places have in common: names, checks, and how to ask what is there. */
#include "data/dvc/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "data/dvc/md5.h"
#include "data/dvc/oidset.h"

#define STEP (256 * GY_KIB)
#define FEW 64         /* so many are asked for one by one, whatever there is */
#define LIST_WEIGHT 5  /* a page of a listing costs as much as so many questions (DVC's figure) */
#define SPLIT_PAGES 40 /* a longer listing is one for each of the 256 folders */

struct gy_dvc_remote {
    const struct gy_dvc_remote_ops *ops;
    void *self;
    int jobs;
    char name[GY_MAX_NAME + 1];
    char url[GY_MAX_PATH];
};

gy_status gy_dvc_remote_new(const struct gy_dvc_remote_ops *ops, void *self, const char *name,
                            const char *url, struct gy_dvc_remote **ret, struct gy_err *err)
{
    struct gy_dvc_remote *r = gy_calloc(1, sizeof *r);
    if (!r) {
        ops->free(self);
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a remote");
    }
    r->ops = ops;
    r->self = self;
    r->jobs = ops->jobs;
    (void)snprintf(r->name, sizeof r->name, "%s", name);
    (void)snprintf(r->url, sizeof r->url, "%s", url);
    *ret = r;
    return GY_OK;
}

void gy_dvc_remote_free(struct gy_dvc_remote *r)
{
    if (r) {
        r->ops->free(r->self);
        gy_free(r);
    }
}

void gy_dvc_remote_take_place(struct gy_dvc_remote *r, const struct gy_dvc_remote_ops **ret_ops,
                              void **ret_self)
{
    *ret_ops = r->ops;
    *ret_self = r->self;
    gy_free(r);
}

const char *gy_dvc_remote_name(const struct gy_dvc_remote *r)
{
    return r->name;
}

const char *gy_dvc_remote_url(const struct gy_dvc_remote *r)
{
    return r->url;
}

int gy_dvc_remote_jobs(const struct gy_dvc_remote *r)
{
    return r->jobs;
}

void gy_dvc_remote_set_jobs(struct gy_dvc_remote *r, int jobs)
{
    r->jobs = jobs < 1 ? 1 : jobs > GY_DVC_MAX_JOBS ? GY_DVC_MAX_JOBS : jobs;
}

static gy_status at(const struct gy_dvc_remote *r, gy_status status, struct gy_err *err)
{
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "remote '%s'", r->name);
}

/* ---- put ---- */

static gy_status check_bytes(const struct gy_dvc_oid *oid, const char *md5, const char *path,
                             struct gy_err *err)
{
    if (strncmp(oid->hex, md5, GY_MD5_HEX - 1) == 0) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_CORRUPT, "%s holds %s, not what its name says", path, md5);
    return gy_err_hint(err, "remove it and fetch it again, or add the data again");
}

/* Read once: bytes, digest, and off they go. */
static gy_status put_small(struct gy_dvc_remote *r, const struct gy_dvc_oid *oid, int fd,
                           size_t size, const char *path, struct gy_err *err)
{
    GY_AUTO(gy_free) char *bytes = gy_malloc(size + 1);
    char md5[GY_MD5_HEX], key[GY_DVC_KEY_BYTES];
    if (!bytes) {
        return gy_err_set(err, GY_E_NOMEM, "sending %s", path);
    }
    size_t done = 0;
    while (done <= size) { /* one byte more than there should be */
        ssize_t n = pread(fd, bytes + done, size + 1 - done, (off_t)done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            if (n < 0) {
                return gy_err_sys(err, errno, "reading %s", path);
            }
            break;
        }
        done += (size_t)n;
    }
    GY_TRY(gy_md5_hex(gy_str_n(bytes, done), md5, err));
    GY_TRY(check_bytes(oid, md5, path, err));
    struct gy_dvc_source from = {
        .bytes = gy_str_n(bytes, done), .fd = -1, .size_bytes = (int64_t)done};
    return at(r, r->ops->put(r->self, gy_dvc_oid_key(oid, key), &from, err), err);
}

static gy_status put_large(struct gy_dvc_remote *r, const struct gy_dvc_oid *oid, int fd,
                           int64_t size, const char *path, struct gy_err *err)
{
    char md5[GY_MD5_HEX], sha256[GY_SHA256_HEX], key[GY_DVC_KEY_BYTES];
    struct gy_dvc_source from = {.fd = fd, .size_bytes = size};
    if (oid->legacy) {
        GY_AUTO_DONE(gy_dvc_hasher_done) struct gy_dvc_hasher h = {NULL, NULL};
        GY_TRY(gy_dvc_hasher_init(&h, err));
        GY_TRY(gy_dvc_hash_fd(&h, fd, path, true, md5, NULL, err));
    }
    if (!oid->legacy || r->ops->wants_sha256) {
        GY_TRY(gy_file_digest(path, r->ops->wants_sha256 ? sha256 : NULL, oid->legacy ? NULL : md5,
                              NULL, err));
        from.sha256 = r->ops->wants_sha256 ? sha256 : NULL;
    }
    GY_TRY(check_bytes(oid, md5, path, err));
    return at(r, r->ops->put(r->self, gy_dvc_oid_key(oid, key), &from, err), err);
}

gy_status gy_dvc_remote_put(struct gy_dvc_remote *r, const struct gy_dvc_oid *oid, const char *path,
                            int64_t *ret_size, struct gy_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        gy_status status = gy_err_sys(err, errno, "%s", path);
        if (fd >= 0) {
            (void)close(fd); /* was only looked at */
        }
        return status;
    }
    gy_status status = st.st_size <= (off_t)GY_DVC_SMALL_BYTES && !oid->legacy
                           ? put_small(r, oid, fd, (size_t)st.st_size, path, err)
                           : put_large(r, oid, fd, st.st_size, path, err);
    (void)close(fd); /* was only read */
    if (ret_size) {
        *ret_size = st.st_size;
    }
    return status;
}

/* ---- get ---- */

struct incoming {
    int fd;
    const char *path;
    struct gy_hash *md5; /* NULL: hashed when all is there */
    int64_t size;
};

static gy_status take_bytes(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    struct incoming *in = ctx;
    in->size += (int64_t)bytes.n;
    if (in->md5) {
        gy_hash_add(in->md5, bytes);
    }
    while (bytes.n) {
        ssize_t n = write(in->fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return gy_err_sys(err, errno, "writing %s", in->path);
        }
        bytes = gy_str_sub(bytes, n > 0 ? (size_t)n : 0, bytes.n);
    }
    return GY_OK;
}

static gy_status get_checked(struct gy_dvc_remote *r, const struct gy_dvc_oid *oid,
                             struct incoming *in, struct gy_err *err)
{
    char md5[GY_MD5_HEX], key[GY_DVC_KEY_BYTES];
    GY_TRY(at(r, r->ops->get(r->self, gy_dvc_oid_key(oid, key), take_bytes, in, err), err));
    if (in->md5) {
        gy_hash_hex(in->md5, md5);
    } else {
        GY_AUTO_DONE(gy_dvc_hasher_done) struct gy_dvc_hasher h = {NULL, NULL};
        GY_TRY(gy_dvc_hasher_init(&h, err));
        if (lseek(in->fd, 0, SEEK_SET) != 0) {
            return gy_err_sys(err, errno, "%s", in->path);
        }
        GY_TRY(gy_dvc_hash_fd(&h, in->fd, in->path, true, md5, NULL, err));
    }
    if (strncmp(oid->hex, md5, GY_MD5_HEX - 1) != 0) {
        (void)gy_err_set(err, GY_E_CORRUPT, "remote '%s': %s/%s holds %s, not what its name says",
                         r->name, r->url, key, md5);
        return gy_err_hint(err, "remove it there, and push it again from where it is right");
    }
    return GY_OK;
}

gy_status gy_dvc_remote_get(struct gy_dvc_remote *r, const struct gy_dvc_oid *oid, const char *path,
                            int64_t *ret_size, struct gy_err *err)
{
    struct incoming in = {.path = path};
    GY_AUTO(gy_hash_free) struct gy_hash *md5 = NULL;
    if (!oid->legacy) {
        GY_TRY(gy_hash_new(GY_HASH_MD5, &md5, err));
        in.md5 = md5;
    }
    in.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (in.fd < 0) {
        return errno == EEXIST ? gy_err_set(err, GY_E_EXISTS, "%s is there already", path)
                               : gy_err_sys(err, errno, "%s", path);
    }
    gy_status status = get_checked(r, oid, &in, err);
    if (close(in.fd) != 0 && status == GY_OK) {
        status = gy_err_sys(err, errno, "%s", path);
    }
    if (status != GY_OK) {
        (void)unlink(path); /* half of an object is of no use */
    } else if (ret_size) {
        *ret_size = in.size;
    }
    return status;
}

/* ---- what is there ---- */

struct asking {
    struct gy_dvc_remote *r;
    const struct gy_dvc_oid *oids;
    const struct gy_dvc_oidset *set; /* of oids, with the same numbers; when listing */
    bool *ret;
    size_t seen, enough;  /* when estimating */
    pthread_mutex_t lock; /* guards what follows */
    gy_status status;
    struct gy_err err; /* of the first failure */
    atomic_bool failed;
};

static void note_failure(struct asking *a, gy_status status, const struct gy_err *err)
{
    (void)pthread_mutex_lock(&a->lock); /* an error-free default mutex */
    if (a->status == GY_OK) {
        a->status = status;
        a->err = *err;
    }
    (void)pthread_mutex_unlock(&a->lock);
    atomic_store(&a->failed, true);
}

static gy_status drop_bytes(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    (void)err;
    gy_hash_add(ctx, bytes);
    return GY_OK;
}

/* Something that no finished writer left there: is it whole? Then it is as good as any. */
static gy_status is_whole(struct gy_dvc_remote *r, const struct gy_dvc_oid *oid, const char *key,
                          bool *ret, struct gy_err *err)
{
    char md5[GY_MD5_HEX];
    GY_AUTO(gy_hash_free) struct gy_hash *hash = NULL;
    if (oid->legacy) {
        *ret = true; /* of DVC 2.x, which trusted it; it is checked when it is read */
        return GY_OK;
    }
    GY_TRY(gy_hash_new(GY_HASH_MD5, &hash, err));
    GY_TRY(r->ops->get(r->self, key, drop_bytes, hash, err));
    gy_hash_hex(hash, md5);
    *ret = strncmp(md5, oid->hex, GY_MD5_HEX - 1) == 0;
    return GY_OK;
}

static void ask_one(void *ctx, size_t i)
{
    struct asking *a = ctx;
    char key[GY_DVC_KEY_BYTES];
    struct gy_err err = GY_ERR_INIT;
    bool there = false, trusted = false;
    if (atomic_load(&a->failed)) {
        return;
    }
    gy_dvc_oid_key(&a->oids[i], key);
    gy_status status = a->r->ops->has(a->r->self, key, &there, &trusted, &err);
    if (status == GY_OK && there && !trusted) {
        status = is_whole(a->r, &a->oids[i], key, &there, &err);
    }
    a->ret[i] = status == GY_OK && there;
    if (status != GY_OK) {
        note_failure(a, status, &err);
    }
}

static gy_status mark(void *ctx, const char *key, int64_t size_bytes, struct gy_err *err)
{
    struct asking *a = ctx;
    struct gy_dvc_oid oid;
    (void)size_bytes;
    (void)err;
    if (gy_dvc_oid_of_key(gy_str_c(key), &oid)) {
        size_t i = gy_dvc_oidset_find(a->set, &oid);
        if (i != SIZE_MAX) {
            a->ret[i] = true; /* each by one thread: a key is in one listing */
        }
    }
    return GY_OK;
}

static void list_part(void *ctx, size_t i)
{
    struct asking *a = ctx;
    char prefix[GY_DVC_KEY_BYTES];
    struct gy_err err = GY_ERR_INIT;
    if (atomic_load(&a->failed)) {
        return;
    }
    (void)snprintf(prefix, sizeof prefix, "%s%02zx/", i < 256 ? "files/md5/" : "", i % 256);
    gy_status status = a->r->ops->list(a->r->self, prefix, mark, a, &err);
    if (status != GY_OK) {
        note_failure(a, status, &err);
    }
}

static gy_status count(void *ctx, const char *key, int64_t size_bytes, struct gy_err *err)
{
    struct asking *a = ctx;
    (void)key;
    (void)size_bytes;
    return ++a->seen < a->enough
               ? GY_OK
               : gy_err_set(err, GY_E_CANCELLED, "enough of the listing is known");
}

/* About how many objects there are: names are evenly spread, so a 4096th of them begins with 000.
 */
static gy_status estimate(struct asking *a, size_t enough, bool legacy, size_t *ret,
                          struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    a->seen = 0;
    a->enough = enough / 4096 + 2;
    gy_status status =
        a->r->ops->list(a->r->self, legacy ? "00/0" : "files/md5/00/0", count, a, &why);
    if (status != GY_OK && status != GY_E_CANCELLED) {
        if (err) {
            *err = why;
        }
        return status;
    }
    *ret = a->seen * 4096;
    return GY_OK;
}

static gy_status list_all(struct asking *a, size_t there, bool legacy, int jobs, struct gy_err *err)
{
    size_t pages = there / (size_t)a->r->ops->page_keys;
    if (pages < SPLIT_PAGES) {
        return a->r->ops->list(a->r->self, legacy ? "" : "files/md5/", mark, a, err);
    }
    return gy_parallel(jobs, legacy ? 512 : 256, list_part, a, err);
}

static gy_status ask(struct asking *a, size_t n, int jobs, struct gy_err *err)
{
    size_t n_legacy = 0, there = 0;
    for (size_t i = 0; i < n; i++) {
        n_legacy += a->oids[i].legacy ? 1 : 0;
    }
    size_t page = (size_t)a->r->ops->page_keys;
    bool list = page && n > FEW;
    if (list) {
        size_t worth = n / LIST_WEIGHT * page; /* so many can be listed for the price of asking */
        bool mostly_legacy = n_legacy > n / 2;
        GY_TRY(estimate(a, worth, mostly_legacy, &there, err));
        list = there <= worth || there <= page;
    }
    if (!list) {
        return gy_parallel(jobs, n, ask_one, a, err);
    }
    GY_AUTO_DONE(gy_dvc_oidset_done) struct gy_dvc_oidset set = {NULL, 0, 0, NULL, 0};
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        GY_TRY(gy_dvc_oidset_add(&set, &a->oids[i], &k, NULL, err));
        GY_REQUIRE(k == i); /* each is there once */
    }
    a->set = &set;
    return list_all(a, there, n_legacy > 0, jobs, err);
}

gy_status gy_dvc_remote_has(struct gy_dvc_remote *r, const struct gy_dvc_oid *oids, size_t n,
                            int jobs, bool *ret, struct gy_err *err)
{
    struct asking a = {.r = r, .oids = oids, .ret = ret};
    memset(ret, 0, n * sizeof *ret);
    if (n == 0) {
        return GY_OK;
    }
    (void)pthread_mutex_init(&a.lock, NULL); /* a default mutex can not fail on Linux */
    gy_status status = ask(&a, n, jobs ? jobs : r->jobs, err);
    if (status == GY_OK && a.status != GY_OK) {
        status = a.status;
        if (err) {
            *err = a.err;
        }
    }
    (void)pthread_mutex_destroy(&a.lock);
    return at(r, status, err);
}

struct each {
    gy_dvc_oid_fn fn;
    void *ctx;
};

static gy_status each_key(void *ctx, const char *key, int64_t size_bytes, struct gy_err *err)
{
    struct each *e = ctx;
    struct gy_dvc_oid oid;
    return gy_dvc_oid_of_key(gy_str_c(key), &oid) ? e->fn(e->ctx, &oid, size_bytes, err) : GY_OK;
}

gy_status gy_dvc_remote_list(struct gy_dvc_remote *r, gy_dvc_oid_fn fn, void *ctx,
                             struct gy_err *err)
{
    struct each e = {fn, ctx};
    return at(r, r->ops->list(r->self, "", each_key, &e, err), err);
}

gy_status gy_dvc_remote_remove(struct gy_dvc_remote *r, const struct gy_dvc_oid *oid,
                               struct gy_err *err)
{
    char key[GY_DVC_KEY_BYTES];
    return at(r, r->ops->remove(r->self, gy_dvc_oid_key(oid, key), err), err);
}

gy_status gy_dvc_remote_sync(struct gy_dvc_remote *r, struct gy_err *err)
{
    return r->ops->sync ? at(r, r->ops->sync(r->self, err), err) : GY_OK;
}

/* ---- the run cache ---- */

gy_status gy_dvc_remote_put_key(struct gy_dvc_remote *r, const char *key, struct gy_str bytes,
                                struct gy_err *err)
{
    struct gy_dvc_source from = {
        .bytes = bytes.p ? bytes : GY_STR(""), .fd = -1, .size_bytes = (int64_t)bytes.n};
    return at(r, r->ops->put(r->self, key, &from, err), err);
}

static gy_status to_buf(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    gy_buf_add(ctx, bytes);
    return gy_buf_check(ctx, "what is fetched", err);
}

gy_status gy_dvc_remote_get_key(struct gy_dvc_remote *r, const char *key, struct gy_buf *out,
                                struct gy_err *err)
{
    return at(r, r->ops->get(r->self, key, to_buf, out, err), err);
}

gy_status gy_dvc_remote_list_keys(struct gy_dvc_remote *r, const char *prefix, gy_dvc_key_fn fn,
                                  void *ctx, struct gy_err *err)
{
    return at(r, r->ops->list(r->self, prefix, fn, ctx, err), err);
}
