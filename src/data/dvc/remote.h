/* SPDX-License-Identifier: Apache-2.0 */
/* gy_dvc_remote: where versions are pushed to, laid out as DVC does: a folder or a bucket of S3
 * (another place is a table of functions, below). What is read from it is checked against its name
 * before anybody gets it, and what is written as well: a damaged cache never becomes a damaged
 * remote. Thread safe; every call blocks. */
#ifndef GY_DATA_DVC_REMOTE_H
#define GY_DATA_DVC_REMOTE_H

#include "data/dvc/repo.h"

#define GY_DVC_MAX_JOBS 64
#define GY_DVC_SMALL_BYTES GY_MIB /* up to this an object is read once into memory */

struct gy_dvc_remote;

/* The remote of this name (NULL: core.remote) as the configuration has it; `remote://` urls
 * inherit. Nothing is sent yet. Fails: NOTFOUND (no such remote, or none at all; with a hint),
 * UNSUPPORTED (another kind of place, or a setting that Gyre can not honour: named), INVALID,
 * DENIED (no keys), MISSINGDEP, NOMEM. */
GY_CHECKED gy_status gy_dvc_remote_open(const struct gy_dvc_config *c, const char *name,
                                        struct gy_dvc_remote **ret, struct gy_err *err);
void gy_dvc_remote_free(struct gy_dvc_remote *r);
GY_DEFINE_AUTO(struct gy_dvc_remote *, gy_dvc_remote_free);

const char *gy_dvc_remote_name(const struct gy_dvc_remote *r);
const char *gy_dvc_remote_url(const struct gy_dvc_remote *r); /* without keys */
int gy_dvc_remote_jobs(
    const struct gy_dvc_remote *r); /* at a time: its `jobs`, else a good number */

void gy_dvc_remote_set_jobs(struct gy_dvc_remote *r, int jobs); /* clamped; before threads use it */

/* ret[i]: is oids[i] there? (Each stands in oids once.) Asked one by one, or listed, whichever
 * costs less. Common failures of all calls: DENIED, NOTFOUND (the bucket), NOSPACE, IO, and
 * UNAVAILABLE, TIMEOUT, NETWORK, which a later try may not give. */
GY_CHECKED gy_status gy_dvc_remote_has(struct gy_dvc_remote *r, const struct gy_dvc_oid *oids,
                                       size_t n, int jobs, bool *ret, struct gy_err *err);
/* Send the file at path as oid. Fails: NOTFOUND (no such file), CORRUPT (it is another content:
 * nothing was sent). */
GY_CHECKED gy_status gy_dvc_remote_put(struct gy_dvc_remote *r, const struct gy_dvc_oid *oid,
                                       const char *path, int64_t *ret_size, struct gy_err *err);
/* Fetch oid into a new file at path. On failure there is none. Fails: NOTFOUND, CORRUPT (the remote
 * has other bytes under this name), EXISTS. */
GY_CHECKED gy_status gy_dvc_remote_get(struct gy_dvc_remote *r, const struct gy_dvc_oid *oid,
                                       const char *path, int64_t *ret_size, struct gy_err *err);
/* What was put is durable after this: to be called before a .dir that names it is put, and at the
 * end. */
GY_CHECKED gy_status gy_dvc_remote_sync(struct gy_dvc_remote *r, struct gy_err *err);
/* Each object, of 3.x and of 2.x; fn may remove it. */
typedef gy_status (*gy_dvc_oid_fn)(void *ctx, const struct gy_dvc_oid *oid, int64_t size_bytes,
                                   struct gy_err *err);
GY_CHECKED gy_status gy_dvc_remote_list(struct gy_dvc_remote *r, gy_dvc_oid_fn fn, void *ctx,
                                        struct gy_err *err);
/* It is no error when there is none. */
GY_CHECKED gy_status gy_dvc_remote_remove(struct gy_dvc_remote *r, const struct gy_dvc_oid *oid,
                                          struct gy_err *err);

/* What is no object: the run cache, "runs/ab/<key>/<value>". Not checked. */
GY_CHECKED gy_status gy_dvc_remote_put_key(struct gy_dvc_remote *r, const char *key,
                                           struct gy_str bytes, struct gy_err *err);
GY_CHECKED gy_status gy_dvc_remote_get_key(struct gy_dvc_remote *r, const char *key,
                                           struct gy_buf *out, struct gy_err *err);
typedef gy_status (*gy_dvc_key_fn)(void *ctx, const char *key, int64_t size_bytes,
                                   struct gy_err *err);
GY_CHECKED gy_status gy_dvc_remote_list_keys(struct gy_dvc_remote *r, const char *prefix,
                                             gy_dvc_key_fn fn, void *ctx, struct gy_err *err);

/* ---- what a place has to offer ----
 * One conformance suite runs on all of them. Every function may be called by many threads at once.
 * Keys are relative, of '/'-separated plain parts. */
typedef gy_status (*gy_dvc_sink_fn)(void *ctx, struct gy_str bytes, struct gy_err *err);

/* What is to be stored: bytes in memory, or size_bytes of an open file. */
struct gy_dvc_source {
    struct gy_str bytes; /* absent: of fd, from its start; read with pread */
    int fd;
    int64_t size_bytes;
    const char *sha256; /* of a file; NULL unless wants_sha256 */
};

struct gy_dvc_remote_ops {
    uint32_t version; /* 1; the table grows at its end only */
    const char *name; /* "s3" */
    bool wants_sha256;
    int jobs;      /* that many at a time are good */
    int page_keys; /* a request of a listing gives so many; 0: asking for one costs hardly anything
                    */
    /* *ret_trusted false: it is there, but whether it is whole is not known. MUST. */
    gy_status (*has)(void *self, const char *key, bool *ret, bool *ret_trusted, struct gy_err *err);
    /* Nobody sees half of it; what is there is replaced. MUST. */
    gy_status (*put)(void *self, const char *key, const struct gy_dvc_source *from,
                     struct gy_err *err);
    /* Bytes in order, each once. A failing fn ends it with its status. MUST. Fails: NOTFOUND. */
    gy_status (*get)(void *self, const char *key, gy_dvc_sink_fn fn, void *ctx, struct gy_err *err);
    /* Each key that begins with prefix; a failing fn ends it. MUST. */
    gy_status (*list)(void *self, const char *prefix, gy_dvc_key_fn fn, void *ctx,
                      struct gy_err *err);
    gy_status (*remove)(void *self, const char *key, struct gy_err *err); /* MUST */
    gy_status (*sync)(void *self, struct gy_err *err); /* MAY be NULL: what is put is durable */
    void (*free)(void *self);                          /* MUST */
};

/* A remote over a place; self belongs to it from then on, on failure too. url is for messages.
 * Fails: NOMEM. */
GY_CHECKED gy_status gy_dvc_remote_new(const struct gy_dvc_remote_ops *ops, void *self,
                                       const char *name, const char *url,
                                       struct gy_dvc_remote **ret, struct gy_err *err);
/* The other way round, so that it can be wrapped: free r alone and hand over its place. */
void gy_dvc_remote_take_place(struct gy_dvc_remote *r, const struct gy_dvc_remote_ops **ret_ops,
                              void **ret_self);

#endif
