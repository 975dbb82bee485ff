/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in memory, for tests and for trying things out: gone when freed. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/object_ops.h"

#define MAX_OBJECTS ((size_t)1000000)
#define MAX_OBJECT_BYTES GY_GIB

/* One object; its bytes never change once it is in the map. */
struct blob {
    struct gy_buf bytes;
    int refs;            /* under lock: the map's, and one a reader */
    int64_t modified_us; /* under lock */
};

struct memory {
    pthread_mutex_t lock;
    struct gy_map objects; /* under lock: SHA-256 -> struct blob * */
};

struct memory_put {
    struct memory *memory;
    struct blob *blob;
};

static void blob_free(struct blob *b)
{
    gy_buf_done(&b->bytes);
    gy_free(b);
}

static gy_status memory_put_begin(void *self, void **ret_put, struct gy_err *err)
{
    struct memory_put *p = gy_calloc(1, sizeof *p);
    struct blob *b = gy_calloc(1, sizeof *b);
    if (!p || !b) {
        gy_free(p);
        gy_free(b);
        return gy_err_set(err, GY_E_NOMEM, "storing an object");
    }
    gy_buf_init(&b->bytes, MAX_OBJECT_BYTES);
    b->refs = 1;
    *p = (struct memory_put){self, b};
    *ret_put = p;
    return GY_OK;
}

static gy_status memory_put_write(void *put, struct gy_str bytes, struct gy_err *err)
{
    struct memory_put *p = put;
    gy_buf_add(&p->blob->bytes, bytes);
    return gy_buf_check(&p->blob->bytes, "the object", err);
}

static gy_status memory_put_commit(void *put, const char *sha256, int64_t size_bytes,
                                   struct gy_err *err)
{
    struct memory_put *p = put;
    struct memory *m = p->memory;
    GY_REQUIRE((int64_t)p->blob->bytes.n == size_bytes);
    gy_status status = GY_OK;
    pthread_mutex_lock(&m->lock);
    struct blob *there = gy_map_get(&m->objects, gy_str_c(sha256));
    if (there) {
        there->modified_us = gy_now_us();
    } else {
        p->blob->modified_us = gy_now_us();
        status = gy_map_put(&m->objects, gy_str_c(sha256), p->blob, err);
        if (status == GY_OK) {
            p->blob = NULL;
        }
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

static void memory_put_free(void *put)
{
    struct memory_put *p = put;
    if (p->blob) {
        blob_free(p->blob);
    }
    gy_free(p);
}

/* A reference, to be given back by blob_unref; NULL: not there. */
static struct blob *lookup(struct memory *m, const char *sha256)
{
    pthread_mutex_lock(&m->lock);
    struct blob *b = gy_map_get(&m->objects, gy_str_c(sha256));
    if (b) {
        b->refs++;
    }
    pthread_mutex_unlock(&m->lock);
    return b;
}

static void blob_unref(struct memory *m, struct blob *b)
{
    pthread_mutex_lock(&m->lock);
    bool last = --b->refs == 0;
    pthread_mutex_unlock(&m->lock);
    if (last) {
        blob_free(b);
    }
}

static gy_status fill(int fd, struct gy_str bytes, struct gy_err *err)
{
    for (size_t done = 0; done < bytes.n;) {
        ssize_t n = pwrite(fd, bytes.p + done, bytes.n - done, (off_t)done);
        if (n < 0 && errno != EINTR) {
            return gy_err_sys(err, errno, "copying an object");
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return GY_OK;
}

static gy_status copy_out(const struct blob *b, const char *sha256, int *ret_fd, struct gy_err *err)
{
    int fd = memfd_create("gyre-object", MFD_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening object %s", sha256);
    }
    gy_status status = fill(fd, gy_buf_str(&b->bytes), err);
    if (status != GY_OK) {
        (void)close(fd); /* only a copy in memory */
        return status;
    }
    *ret_fd = fd;
    return GY_OK;
}

static gy_status memory_open_fd(void *self, const char *sha256, int *ret_fd, int64_t *ret_size,
                                struct gy_err *err)
{
    struct blob *b = lookup(self, sha256);
    if (!b) {
        return gy_err_set(err, GY_E_NOTFOUND, "no object %s", sha256);
    }
    gy_status status = copy_out(b, sha256, ret_fd, err);
    *ret_size = (int64_t)b->bytes.n;
    blob_unref(self, b);
    return status;
}

static gy_status memory_find(void *self, const char *sha256, bool durable, int64_t *ret_size,
                             struct gy_err *err)
{
    struct memory *m = self;
    (void)err;
    pthread_mutex_lock(&m->lock);
    struct blob *b = gy_map_get(&m->objects, gy_str_c(sha256));
    *ret_size = b ? (int64_t)b->bytes.n : -1;
    if (b && durable) {
        b->modified_us = gy_now_us();
    }
    pthread_mutex_unlock(&m->lock);
    return GY_OK;
}

/* ---- collecting garbage ---- */

struct listed {
    char sha256[GY_SHA256_HEX];
    int64_t size_bytes;
    int64_t modified_us;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct listed *)a)->sha256, ((const struct listed *)b)->sha256);
}

static gy_status memory_list(void *self, gy_object_fn fn, void *ctx, struct gy_err *err)
{
    struct memory *m = self;
    size_t n = 0, pos = 0;
    pthread_mutex_lock(&m->lock);
    struct listed *all = gy_calloc(m->objects.n_live + 1, sizeof *all);
    for (struct gy_map_entry *e; all && (e = gy_map_next(&m->objects, &pos));) {
        const struct blob *b = e->value;
        memcpy(all[n].sha256, e->key.p, GY_SHA256_HEX - 1);
        all[n].size_bytes = (int64_t)b->bytes.n;
        all[n++].modified_us = b->modified_us;
    }
    pthread_mutex_unlock(&m->lock);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "listing the objects");
    }
    qsort(all, n, sizeof *all, by_name);
    gy_status status = GY_OK;
    for (size_t i = 0; i < n && status == GY_OK; i++) {
        status = fn(ctx, all[i].sha256, all[i].size_bytes, all[i].modified_us, err);
    }
    gy_free(all);
    return status;
}

static gy_status memory_remove(void *self, const char *sha256, int64_t before_us, bool *ret_removed,
                               struct gy_err *err)
{
    struct memory *m = self;
    struct gy_str name = gy_str_c(sha256);
    (void)err;
    pthread_mutex_lock(&m->lock);
    struct blob *b = gy_map_get(&m->objects, name);
    *ret_removed = b && b->modified_us < before_us && gy_map_remove(&m->objects, name);
    pthread_mutex_unlock(&m->lock);
    if (*ret_removed) {
        blob_unref(m, b);
    }
    return GY_OK;
}

static gy_status memory_clean(void *self, int64_t before_us, int64_t *ret_n, struct gy_err *err)
{
    (void)self;
    (void)before_us;
    (void)err;
    *ret_n = 0; /* what a dead process had in memory is gone with it */
    return GY_OK;
}

static void memory_free(void *self)
{
    struct memory *m = self;
    size_t pos = 0;
    for (struct gy_map_entry *e; (e = gy_map_next(&m->objects, &pos));) {
        blob_free(e->value);
    }
    gy_map_done(&m->objects);
    pthread_mutex_destroy(&m->lock);
    gy_free(m);
}

static const struct gy_objects_ops memory_ops = {
    .version = 1,
    .name = "memory",
    .put_begin = memory_put_begin,
    .put_write = memory_put_write,
    .put_commit = memory_put_commit,
    .put_free = memory_put_free,
    .open_fd = memory_open_fd,
    .find = memory_find,
    .free = memory_free,
    .list = memory_list,
    .remove = memory_remove,
    .clean = memory_clean,
};

gy_status gy_objects_open_memory(struct gy_objects **ret, struct gy_err *err)
{
    struct memory *m = gy_calloc(1, sizeof *m);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "opening the object store");
    }
    GY_REQUIRE(pthread_mutex_init(&m->lock, NULL) == 0);
    gy_map_init(&m->objects, MAX_OBJECTS);
    return gy_objects_new(&memory_ops, m, ret, err);
}
