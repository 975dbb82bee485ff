/* SPDX-License-Identifier: Apache-2.0 */
/* gy_objects_ops: what a place has to offer to keep objects. Hashing, checking and streaming are
 * done once above it, in objects.c. Backends: folder, memory; a fault-injecting wrapper lives in
 * the tests. One conformance suite runs on all. Thread rule: every function may be called by many
 * threads at once; one put belongs to one thread. */
#ifndef GY_STORE_OBJECT_OPS_H
#define GY_STORE_OBJECT_OPS_H

#include "store/objects.h"

struct gy_objects_ops {
    uint32_t version; /* 1; the table grows at its end only */
    const char *name;

    /* A put gathers bytes that nobody sees until put_commit names them. MUST, all of them.
     * put_commit: durable once GY_OK is returned; an object of that name and size that is there
     * already stays, and is made durable too. put_free follows in any case and drops what was not
     * committed. Fails: NOSPACE, DENIED, IO, NOMEM. */
    gy_status (*put_begin)(void *self, void **ret_put, struct gy_err *err);
    gy_status (*put_write)(void *put, struct gy_str bytes, struct gy_err *err);
    gy_status (*put_commit)(void *put, const char *sha256, int64_t size_bytes, struct gy_err *err);
    void (*put_free)(void *put);

    /* A descriptor at the start of the object, for reading only; the caller closes it. MUST. Fails:
     * NOTFOUND, IO. */
    gy_status (*open_fd)(void *self, const char *sha256, int *ret_fd, int64_t *ret_size,
                         struct gy_err *err);
    /* *ret_size -1: not there. durable: when it is there, see to it that it stays there through a
     * power loss, and make it young (see remove). MUST. */
    gy_status (*find)(void *self, const char *sha256, bool durable, int64_t *ret_size,
                      struct gy_err *err);
    void (*free)(void *self); /* MUST */

    /* As gy_objects_list, gy_objects_remove_older and gy_objects_clean say; *ret_removed and *ret_n
     * are never NULL. remove must see a find with durable, or a commit, that comes before its look
     * at the age, and they must see that it has removed. MUST, all of them. */
    gy_status (*list)(void *self, gy_object_fn fn, void *ctx, struct gy_err *err);
    gy_status (*remove)(void *self, const char *sha256, int64_t before_us, bool *ret_removed,
                        struct gy_err *err);
    gy_status (*clean)(void *self, int64_t before_us, int64_t *ret_n, struct gy_err *err);

    /* The next open_fd reads what is stored, not a local copy. MAY be NULL: there is none. */
    void (*forget)(void *self, const char *sha256);
    /* MAY be NULL: nothing is counted. */
    void (*stats)(void *self, struct gy_objects_stats *ret);
};

/* An object store over a backend; self belongs to it from then on, on failure too. Fails: NOMEM. */
GY_CHECKED gy_status gy_objects_new(const struct gy_objects_ops *ops, void *self,
                                    struct gy_objects **ret, struct gy_err *err);

/* The other way round: free o alone and hand over its backend, so that it can be wrapped. */
void gy_objects_take_backend(struct gy_objects *o, const struct gy_objects_ops **ret_ops,
                             void **ret_self);

/* The backends. folder: made when absent. */
GY_CHECKED gy_status gy_objects_open_folder(const char *path, struct gy_objects **ret,
                                            struct gy_err *err);
GY_CHECKED gy_status gy_objects_open_memory(struct gy_objects **ret, struct gy_err *err);

#endif
