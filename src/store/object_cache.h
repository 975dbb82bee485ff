/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded folder of objects that are kept elsewhere, so that they can be opened as local files:
 * CACHE/ab/cdef..., and CACHE/tmp/ for what is being written. Losing it loses nothing, so nothing
 * is synced; in exchange an entry is hashed before its first use in each process. The least
 * recently used go when more than the ceiling is there. Several processes may share one folder.
 * Thread safe. */
#ifndef GY_STORE_OBJECT_CACHE_H
#define GY_STORE_OBJECT_CACHE_H

#include "base/hash.h"

#define GY_OBJECT_CACHE_BYTES (INT64_C(10) << 30) /* the ceiling where none is given */
#define GY_OBJECT_CACHE_FILES 200000              /* entries, whatever their size */

struct gy_object_cache;

/* Made when absent. Takes stock of what is there, and drops what is left in tmp/ from a day ago. */
GY_CHECKED gy_status gy_object_cache_open(const char *dir, int64_t max_bytes,
                                          struct gy_object_cache **ret, struct gy_err *err);
void gy_object_cache_free(struct gy_object_cache *c);
GY_DEFINE_AUTO(struct gy_object_cache *, gy_object_cache_free);

/* A new file in tmp/ for reading and writing. keep or drop it; either closes nothing. */
struct gy_cache_file {
    int fd;
    char path[256 + 4096];
};
GY_CHECKED gy_status gy_object_cache_new(struct gy_object_cache *c, struct gy_cache_file *ret,
                                         struct gy_err *err);
/* It is the object of this hash and size: known to be, it is not hashed again. When it can not be
 * kept (no space; larger than the ceiling) it is dropped. */
void gy_object_cache_keep(struct gy_object_cache *c, struct gy_cache_file *f, const char *sha256,
                          int64_t size_bytes);
void gy_object_cache_drop(struct gy_cache_file *f);

/* Open an entry: its bytes are right. False: it is not there (or was damaged, and is not any
 * more). */
bool gy_object_cache_get(struct gy_object_cache *c, const char *sha256, int *ret_fd,
                         int64_t *ret_size);
void gy_object_cache_forget(struct gy_object_cache *c, const char *sha256);

struct gy_object_cache_stats {
    int64_t hits, misses, bytes, files;
};
void gy_object_cache_get_stats(struct gy_object_cache *c, struct gy_object_cache_stats *ret);

#endif
