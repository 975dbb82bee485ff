/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in memory, for tests and for trying things out: gone when freed. */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/object_ops.h"

#define MAX_OBJECTS ((size_t)1000000)
#define MAX_OBJECT_BYTES GY_GIB

struct memory {
    pthread_mutex_t lock;
    struct gy_map objects; /* under lock: SHA-256 -> struct gy_buf *, never changed once in */
};

struct memory_put {
    struct memory *memory;
    struct gy_buf *bytes;
};

static void free_bytes(struct gy_buf *b)
{
    gy_buf_done(b);
    gy_free(b);
}

static gy_status memory_put_begin(void *self, void **ret_put, struct gy_err *err)
{
    struct memory_put *p = gy_calloc(1, sizeof *p);
    struct gy_buf *bytes = gy_calloc(1, sizeof *bytes);
    if (!p || !bytes) {
        gy_free(p);
        gy_free(bytes);
        return gy_err_set(err, GY_E_NOMEM, "storing an object");
    }
    gy_buf_init(bytes, MAX_OBJECT_BYTES);
    *p = (struct memory_put){self, bytes};
    *ret_put = p;
    return GY_OK;
}

static gy_status memory_put_write(void *put, struct gy_str bytes, struct gy_err *err)
{
    struct memory_put *p = put;
    gy_buf_add(p->bytes, bytes);
    return gy_buf_check(p->bytes, "the object", err);
}

static gy_status memory_put_commit(void *put, const char *sha256, int64_t size_bytes,
                                   struct gy_err *err)
{
    struct memory_put *p = put;
    struct memory *m = p->memory;
    GY_REQUIRE((int64_t)p->bytes->n == size_bytes);
    gy_status status = GY_OK;
    pthread_mutex_lock(&m->lock);
    if (!gy_map_has(&m->objects, gy_str_c(sha256))) {
        status = gy_map_put(&m->objects, gy_str_c(sha256), p->bytes, err);
        if (status == GY_OK) {
            p->bytes = NULL;
        }
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

static void memory_put_free(void *put)
{
    struct memory_put *p = put;
    if (p->bytes) {
        free_bytes(p->bytes);
    }
    gy_free(p);
}

static const struct gy_buf *lookup(struct memory *m, const char *sha256)
{
    pthread_mutex_lock(&m->lock);
    const struct gy_buf *b = gy_map_get(&m->objects, gy_str_c(sha256));
    pthread_mutex_unlock(&m->lock);
    return b; /* stays while m does */
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

static gy_status memory_open_fd(void *self, const char *sha256, int *ret_fd, int64_t *ret_size,
                                struct gy_err *err)
{
    const struct gy_buf *b = lookup(self, sha256);
    if (!b) {
        return gy_err_set(err, GY_E_NOTFOUND, "no object %s", sha256);
    }
    int fd = memfd_create("gyre-object", MFD_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening object %s", sha256);
    }
    gy_status status = fill(fd, gy_buf_str(b), err);
    if (status != GY_OK) {
        (void)close(fd); /* only a copy in memory */
        return status;
    }
    *ret_fd = fd;
    *ret_size = (int64_t)b->n;
    return GY_OK;
}

static gy_status memory_find(void *self, const char *sha256, bool durable, int64_t *ret_size,
                             struct gy_err *err)
{
    (void)durable;
    (void)err;
    const struct gy_buf *b = lookup(self, sha256);
    *ret_size = b ? (int64_t)b->n : -1;
    return GY_OK;
}

static void memory_free(void *self)
{
    struct memory *m = self;
    size_t pos = 0;
    for (struct gy_map_entry *e; (e = gy_map_next(&m->objects, &pos));) {
        free_bytes(e->value);
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
