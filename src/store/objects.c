/* SPDX-License-Identifier: Apache-2.0 */
#include "store/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/call.h"
#include "store/object_ops.h"
#include "store/objects_s3.h"

#define STEP_BYTES (64 * GY_KIB) /* read and hashed at a time */

struct gy_objects {
    const struct gy_objects_ops *ops;
    void *self;
};

gy_status gy_objects_new(const struct gy_objects_ops *ops, void *self, struct gy_objects **ret,
                         struct gy_err *err)
{
    struct gy_objects *o = gy_malloc(sizeof *o);
    if (!o) {
        ops->free(self);
        return gy_err_set(err, GY_E_NOMEM, "opening the object store");
    }
    *o = (struct gy_objects){.ops = ops, .self = self};
    *ret = o;
    return GY_OK;
}

void gy_objects_take_backend(struct gy_objects *o, const struct gy_objects_ops **ret_ops,
                             void **ret_self)
{
    *ret_ops = o->ops;
    *ret_self = o->self;
    gy_free(o);
}

gy_status gy_objects_open(const char *url, struct gy_objects **ret, struct gy_err *err)
{
    return gy_objects_open_with(url, NULL, ret, err);
}

gy_status gy_objects_open_with(const char *url, const struct gy_objects_options *options,
                               struct gy_objects **ret, struct gy_err *err)
{
    struct gy_str u = gy_str_c(url), file = GY_STR("file://");
    if (!url) {
        return gy_err_set(err, GY_E_INVALID, "no object store was named");
    }
    if (gy_str_eqc(u, "memory:")) {
        return gy_objects_open_memory(ret, err);
    }
    if (gy_str_starts(u, GY_STR("s3://"))) {
        struct gy_objects_s3_options s3 = {.url = url};
        if (options) {
            s3.s3.endpoint = options->s3_endpoint;
            s3.cache_dir = options->cache_dir;
        }
        return gy_objects_open_s3(&s3, ret, err);
    }
    if (gy_str_starts(u, file)) {
        url += file.n;
        if (url[0] != '/') {
            return gy_err_set(err, GY_E_INVALID, "file:// wants an absolute path: file:///folder");
        }
    } else if (gy_str_find_str(u, GY_STR("://")) != SIZE_MAX) {
        return gy_err_set(err, GY_E_UNSUPPORTED, "no such kind of object store: '%s'", url);
    }
    return gy_objects_open_folder(url, ret, err);
}

void gy_objects_free(struct gy_objects *o)
{
    if (o) {
        o->ops->free(o->self);
        gy_free(o);
    }
}

static bool is_sha256(const char *s)
{
    return s && strspn(s, "0123456789abcdef") == GY_SHA256_HEX - 1 && s[GY_SHA256_HEX - 1] == '\0';
}

static gy_status check_name(const char *sha256, struct gy_err *err)
{
    return is_sha256(sha256)
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "not a SHA-256: '%.80s'", sha256 ? sha256 : "");
}

/* ---- puts ---- */

struct put {
    const struct gy_objects_ops *ops;
    void *put;
    struct gy_hash *hash;
    int64_t size;
};

static void put_done(struct put *p)
{
    if (p->put) {
        p->ops->put_free(p->put);
    }
    gy_hash_free(p->hash);
}
GY_DEFINE_AUTO_DONE(struct put, put_done);

static gy_status put_begin(struct gy_objects *o, struct put *p, struct gy_err *err)
{
    *p = (struct put){.ops = o->ops};
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &p->hash, err));
    return o->ops->put_begin(o->self, &p->put, err);
}

static gy_status put_add(struct put *p, struct gy_str bytes, int64_t max_bytes, struct gy_err *err)
{
    if ((int64_t)bytes.n > max_bytes - p->size) {
        return gy_err_set(err, GY_E_TOOBIG, "the object is larger than %lld bytes",
                          (long long)max_bytes);
    }
    p->size += (int64_t)bytes.n;
    gy_hash_add(p->hash, bytes);
    return p->ops->put_write(p->put, bytes, err);
}

static gy_status put_end(struct put *p, char ret_sha256[GY_SHA256_HEX], struct gy_err *err)
{
    gy_hash_hex(p->hash, ret_sha256);
    return p->ops->put_commit(p->put, ret_sha256, p->size, err);
}

gy_status gy_objects_put(struct gy_objects *o, struct gy_str bytes, char ret_sha256[GY_SHA256_HEX],
                         struct gy_err *err)
{
    int64_t size = -1;
    GY_TRY(gy_sha256_hex(bytes, ret_sha256, err));
    GY_TRY(o->ops->find(o->self, ret_sha256, true, &size, err));
    if (size == (int64_t)bytes.n) {
        return GY_OK;
    }
    GY_AUTO_DONE(put_done) struct put p = {0};
    GY_TRY(put_begin(o, &p, err));
    GY_TRY(put_add(&p, bytes, INT64_MAX, err));
    return put_end(&p, ret_sha256, err);
}

gy_status gy_objects_put_reader(struct gy_objects *o, struct gy_reader *r, int64_t max_bytes,
                                char ret_sha256[GY_SHA256_HEX], int64_t *ret_size,
                                struct gy_err *err)
{
    GY_AUTO(gy_free) char *step = gy_malloc(STEP_BYTES);
    if (!step) {
        return gy_err_set(err, GY_E_NOMEM, "storing an object");
    }
    GY_AUTO_DONE(put_done) struct put p = {0};
    GY_TRY(put_begin(o, &p, err));
    for (;;) {
        struct gy_str bytes = gy_str_n(step, 0);
        GY_TRY(r->next ? r->next(r, &bytes, err) : r->read(r, step, STEP_BYTES, &bytes.n, err));
        if (bytes.n == 0) {
            break;
        }
        GY_TRY(put_add(&p, bytes, max_bytes, err));
    }
    GY_TRY(put_end(&p, ret_sha256, err));
    if (ret_size) {
        *ret_size = p.size;
    }
    return GY_OK;
}

/* ---- reading ---- */

/* What is done with the bytes of an object, in order. */
typedef gy_status (*sink_fn)(void *ctx, struct gy_str bytes, struct gy_err *err);

static gy_status drain(int fd, sink_fn fn, void *ctx, struct gy_err *err)
{
    GY_AUTO(gy_free) char *step = gy_malloc(STEP_BYTES);
    if (!step) {
        return gy_err_set(err, GY_E_NOMEM, "reading an object");
    }
    for (;;) {
        ssize_t n = read(fd, step, STEP_BYTES);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return gy_err_sys(err, errno, "reading an object");
        }
        if (n == 0) {
            return GY_OK;
        }
        GY_TRY(fn(ctx, gy_str_n(step, (size_t)n), err));
    }
}

static gy_status to_put(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    return put_add(ctx, bytes, INT64_MAX, err);
}

gy_status gy_objects_put_file(struct gy_objects *o, const char *path,
                              char ret_sha256[GY_SHA256_HEX], struct gy_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", path);
    }
    GY_AUTO_DONE(put_done) struct put p = {0};
    gy_status status = put_begin(o, &p, err);
    if (status == GY_OK) {
        status = drain(fd, to_put, &p, err);
    }
    (void)close(fd); /* only read from */
    if (status == GY_OK) {
        status = put_end(&p, ret_sha256, err);
    }
    if (status != GY_OK) {
        gy_err_wrap(err, "storing '%s'", path);
    }
    return status;
}

gy_status gy_objects_open_fd(struct gy_objects *o, const char *sha256, int *ret_fd,
                             int64_t *ret_size, struct gy_err *err)
{
    GY_TRY(check_name(sha256, err));
    return o->ops->open_fd(o->self, sha256, ret_fd, ret_size, err);
}

/* Pass the object's bytes to fn (MAY be NULL), then compare their hash with its name. */
struct checked {
    struct gy_hash *hash;
    sink_fn fn;
    void *ctx;
};

static gy_status to_checked(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    struct checked *c = ctx;
    gy_hash_add(c->hash, bytes);
    return c->fn ? c->fn(c->ctx, bytes, err) : GY_OK;
}

static gy_status read_checked(struct gy_objects *o, const char *sha256, sink_fn fn, void *ctx,
                              struct gy_err *err)
{
    int fd;
    int64_t size;
    GY_AUTO(gy_hash_free) struct gy_hash *hash = NULL;
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &hash, err));
    GY_TRY(gy_objects_open_fd(o, sha256, &fd, &size, err));
    struct checked c = {.hash = hash, .fn = fn, .ctx = ctx};
    gy_status status = drain(fd, to_checked, &c, err);
    (void)close(fd); /* only read from */
    if (status != GY_OK) {
        return status;
    }
    char found[GY_SHA256_HEX];
    gy_hash_hex(hash, found);
    return strcmp(found, sha256) == 0
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT,
                            "object %s is damaged: its bytes have the SHA-256 %s", sha256, found);
}

static gy_status to_buf(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    gy_buf_add(ctx, bytes);
    return gy_buf_check(ctx, "the object", err);
}

gy_status gy_objects_get(struct gy_objects *o, const char *sha256, struct gy_buf *out,
                         struct gy_err *err)
{
    return read_checked(o, sha256, to_buf, out, err);
}

static gy_status to_file(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    return gy_file_writer_write(ctx, bytes, err);
}

gy_status gy_objects_checkout(struct gy_objects *o, const char *sha256, const char *dest,
                              struct gy_err *err)
{
    GY_TRY(check_name(sha256, err));
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
    GY_TRY(gy_file_writer_open(dest, 0644, &w, err));
    GY_TRY(read_checked(o, sha256, to_file, w, err));
    return gy_file_writer_commit(w, NULL, err);
}

bool gy_objects_has(struct gy_objects *o, const char *sha256)
{
    int64_t size = -1;
    return is_sha256(sha256) && o->ops->find(o->self, sha256, false, &size, NULL) == GY_OK &&
           size >= 0;
}

gy_status gy_objects_verify(struct gy_objects *o, const char *sha256, struct gy_err *err)
{
    GY_TRY(check_name(sha256, err));
    if (o->ops->forget) {
        o->ops->forget(o->self, sha256);
    }
    return read_checked(o, sha256, NULL, NULL, err);
}

void gy_objects_get_stats(struct gy_objects *o, struct gy_objects_stats *ret)
{
    *ret = (struct gy_objects_stats){.up = true};
    if (o->ops->stats) {
        o->ops->stats(o->self, ret);
    }
}

/* ---- collecting garbage ---- */

gy_status gy_objects_list(struct gy_objects *o, gy_object_fn fn, void *ctx, struct gy_err *err)
{
    return o->ops->list(o->self, fn, ctx, err);
}

gy_status gy_objects_remove_older(struct gy_objects *o, const char *sha256, int64_t before_us,
                                  bool *ret_removed, struct gy_err *err)
{
    bool removed = false;
    GY_TRY(check_name(sha256, err));
    GY_TRY(o->ops->remove(o->self, sha256, before_us, &removed, err));
    if (ret_removed) {
        *ret_removed = removed;
    }
    return GY_OK;
}

gy_status gy_objects_remove(struct gy_objects *o, const char *sha256, struct gy_err *err)
{
    return gy_objects_remove_older(o, sha256, INT64_MAX, NULL, err);
}

gy_status gy_objects_clean(struct gy_objects *o, int64_t before_us, int64_t *ret_n,
                           struct gy_err *err)
{
    int64_t n = 0;
    GY_TRY(o->ops->clean(o->self, before_us, &n, err));
    if (ret_n) {
        *ret_n = n;
    }
    return GY_OK;
}
