/* SPDX-License-Identifier: Apache-2.0 */
/* The object store: immutable bytes by their SHA-256, in a folder or in a bucket of S3. Puts are
 * atomic and durable; the same bytes twice are one object. Layout of the folder: objects/ab/cdef...
 * (mode 0444), of a bucket: PREFIX/ab/cdef... Thread safe. */
#ifndef GY_STORE_OBJECTS_H
#define GY_STORE_OBJECTS_H

#include "base/buf.h"
#include "base/hash.h"

struct gy_objects;
struct gy_reader; /* net/call.h */

/* What only some backends need. */
struct gy_objects_options {
    const char *s3_endpoint; /* NULL: AWS (net/s3.h) */
    const char *cache_dir;   /* where local copies of objects in S3 are kept */
};

/* url: "file:///abs/folder" or a plain folder path; made when absent. "memory:" keeps them in
 * memory. "s3://bucket/prefix" is asked whether it can be used; keys and region as net/s3.h says.
 * options MAY be NULL. Fails: INVALID, UNSUPPORTED (another scheme), DENIED, IO, NOMEM; of S3 also
 * NOTFOUND (bucket), UNAVAILABLE, NETWORK, TIMEOUT, MISSINGDEP. */
GY_CHECKED gy_status gy_objects_open_with(const char *url, const struct gy_objects_options *options,
                                          struct gy_objects **ret, struct gy_err *err);
GY_CHECKED gy_status gy_objects_open(const char *url, struct gy_objects **ret, struct gy_err *err);
void gy_objects_free(struct gy_objects *o);
GY_DEFINE_AUTO(struct gy_objects *, gy_objects_free);

GY_CHECKED gy_status gy_objects_put(struct gy_objects *o, struct gy_str bytes,
                                    char ret_sha256[GY_SHA256_HEX], struct gy_err *err);
GY_CHECKED gy_status gy_objects_put_file(struct gy_objects *o, const char *path,
                                         char ret_sha256[GY_SHA256_HEX], struct gy_err *err);
/* Streamed put in constant memory; max_bytes bounds it (TOOBIG). */
GY_CHECKED gy_status gy_objects_put_reader(struct gy_objects *o, struct gy_reader *r,
                                           int64_t max_bytes, char ret_sha256[GY_SHA256_HEX],
                                           int64_t *ret_size, struct gy_err *err);
GY_CHECKED gy_status gy_objects_get(struct gy_objects *o, const char *sha256, struct gy_buf *out,
                                    struct gy_err *err);
/* Open for reading: a file descriptor at its start, which the caller closes, and the size. It is a
 * local file, whole and right, so that it can be given to sendfile; of S3 a copy that is fetched
 * when it is not there. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_objects_open_fd(struct gy_objects *o, const char *sha256, int *ret_fd,
                                        int64_t *ret_size, struct gy_err *err);
/* Make dest a copy (reflink/hardlink never: the object must stay immutable), atomically. */
GY_CHECKED gy_status gy_objects_checkout(struct gy_objects *o, const char *sha256, const char *dest,
                                         struct gy_err *err);
bool gy_objects_has(struct gy_objects *o, const char *sha256);
/* Re-hash what is stored (not a local copy of it). CORRUPT when it differs. */
GY_CHECKED gy_status gy_objects_verify(struct gy_objects *o, const char *sha256,
                                       struct gy_err *err);

/* ---- collecting garbage ----
 * The rule that makes it safe beside puts: who puts bytes that are there already makes the object
 * young again (modified_us = now), and what references it is written after the put returned. So a
 * collector 1. takes a limit before_us that lies further back than any put takes to be referenced
 * (a day), 2. then reads the references, 3. then lists, and removes what is unreferenced with
 * gy_objects_remove_older(before_us), which looks at the age again in the moment of removal. */

/* One object: modified_us is when it was last put. A failure ends the listing with its status. */
typedef gy_status (*gy_object_fn)(void *ctx, const char *sha256, int64_t size_bytes,
                                  int64_t modified_us, struct gy_err *err);
/* Call fn for each whole object (never for half of one), in order of the names. What is put or
 * removed meanwhile may be among them or not; fn may remove the object that it is called with. */
GY_CHECKED gy_status gy_objects_list(struct gy_objects *o, gy_object_fn fn, void *ctx,
                                     struct gy_err *err);
/* Remove an object whatever its age; it is no error when there is none. Readers that have it open
 * read on. */
GY_CHECKED gy_status gy_objects_remove(struct gy_objects *o, const char *sha256,
                                       struct gy_err *err);
/* The same, unless it was put (again) at before_us or later. *ret_removed (MAY be NULL): false when
 * it was too young or not there. */
GY_CHECKED gy_status gy_objects_remove_older(struct gy_objects *o, const char *sha256,
                                             int64_t before_us, bool *ret_removed,
                                             struct gy_err *err);
/* Drop what puts left behind whose process died, when nobody has written to it since before_us.
 * *ret_n (MAY be NULL): how many there were. Opening a store does this with the limit of a day. */
GY_CHECKED gy_status gy_objects_clean(struct gy_objects *o, int64_t before_us, int64_t *ret_n,
                                      struct gy_err *err);

/* Counted since it was opened; all 0 but `up` where there is no other machine in between. */
struct gy_objects_stats {
    bool remote, up; /* up: the last request was answered */
    int64_t requests, retries, errors, sent_bytes, received_bytes;
    int64_t cache_hits, cache_misses, cache_bytes;
};
void gy_objects_get_stats(struct gy_objects *o, struct gy_objects_stats *ret);

#endif
