/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket of S3, or of what speaks its protocol: MinIO, Ceph, SeaweedFS, versitygw. Requests are
 * signed by us (net/s3_sign.h) and sent over the HTTP client. Failures that pass by themselves
 * (5xx, 429, SlowDown, a lost connection) are tried again, GY_S3_TRIES times in all, with waits
 * that double and are drawn by chance; other 4xx are not. A clock that is wrong is corrected once
 * by the server's. Bodies are streamed, in constant memory. Errors name bucket and key and say what
 * can be done; keys and tokens are in none. Thread safe; every call blocks. */
#ifndef GY_NET_S3_H
#define GY_NET_S3_H

#include "net/s3_sign.h"

#define GY_S3_TRIES 6           /* of a request, or of a download that makes no headway */
#define GY_S3_WAIT_FIRST_MS 100 /* before the second try at most; then twice that, ... */
#define GY_S3_WAIT_MAX_MS 10000 /* ... up to this */
#define GY_S3_STALL_S 30        /* a transfer that moves nothing for so long is given up */
#define GY_S3_PART_BYTES (INT64_C(16) << 20) /* of a multipart upload; more when there are many */
#define GY_S3_ONE_PUT_BYTES (INT64_C(32) << 20) /* up to this an object is sent in one request */
#define GY_S3_MAX_PARTS 9000                    /* S3's own limit is 10000 */
#define GY_S3_PART_THREADS 4                    /* parts sent at a time */
#define GY_S3_MAX_COPY_BYTES (INT64_C(5) << 30) /* S3's limit of one server-side copy */
#define GY_S3_MAX_ANSWER (8u << 20)             /* an XML answer: 1000 keys are below 2 MiB */
#define GY_S3_MAX_NAME 1024                     /* a key, S3's own limit; with the NUL */
#define GY_S3_MAX_ETAG 160                      /* with the NUL */
#define GY_S3_MAX_UPLOAD_ID 1024                /* with the NUL */

struct gy_s3;

struct gy_s3_options {
    const char *bucket;
    /* "http://127.0.0.1:9000": bucket in the path; "https://{bucket}.s3.example.org": bucket in the
     * host. NULL: AWS, by region. */
    const char *endpoint;
    const char *region;            /* NULL: as gy_s3_keys_find says */
    const struct gy_s3_keys *keys; /* NULL: as gy_s3_keys_find says */
    long stall_s;                  /* 0: GY_S3_STALL_S */
    /* For tests. A caller that requests go to instead of HTTP (taken over, on failure too), and
     * what waits between tries. */
    struct gy_caller *caller;
    void (*wait)(void *ctx, int64_t ms);
    void *wait_ctx;
};

/* Keys from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, else from the profile
 * AWS_PROFILE ("default") in ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE). Region from
 * AWS_REGION, AWS_DEFAULT_REGION, the profile there or in ~/.aws/config (AWS_CONFIG_FILE), else
 * us-east-1. Fails: DENIED (no keys, with a hint), INVALID. */
GY_CHECKED gy_status gy_s3_keys_find(struct gy_s3_keys *ret, char ret_region[GY_S3_MAX_REGION],
                                     struct gy_err *err);

/* The same where a profile or files are named (each MAY be NULL). With a profile the keys of the
 * environment do not count, nor does AWS_PROFILE. */
struct gy_s3_keys_from {
    const char *profile, *credentials_file, *config_file;
};
GY_CHECKED gy_status gy_s3_keys_find_in(const struct gy_s3_keys_from *from, struct gy_s3_keys *ret,
                                        char ret_region[GY_S3_MAX_REGION], struct gy_err *err);

/* Sends nothing yet. Fails: INVALID (bucket, endpoint), DENIED (no keys), MISSINGDEP, NOMEM. */
GY_CHECKED gy_status gy_s3_open(const struct gy_s3_options *o, struct gy_s3 **ret,
                                struct gy_err *err);
void gy_s3_free(struct gy_s3 *s3);
GY_DEFINE_AUTO(struct gy_s3 *, gy_s3_free);

/* Common failures: DENIED (keys, rights, clock), NOTFOUND (bucket; key), INVALID (region), TOOBIG,
 * NOSPACE (quota), and after all tries UNAVAILABLE, TIMEOUT, NETWORK, which a later try may not
 * give. */

/* Can this bucket be reached and listed with these keys? */
GY_CHECKED gy_status gy_s3_check(struct gy_s3 *s3, struct gy_err *err);

/* Store size bytes of fd from its start as key. sha256 is theirs: the server checks it, of each
 * part when it is more than GY_S3_ONE_PUT_BYTES. One key is for one content only. Nothing is
 * visible before all of it is; a failure takes back what was sent (as far as the server answers;
 * see gy_s3_uploads). fd is read with pread. */
GY_CHECKED gy_status gy_s3_put_file(struct gy_s3 *s3, const char *key, int fd, int64_t size_bytes,
                                    const char *sha256, struct gy_err *err);
GY_CHECKED gy_status gy_s3_put(struct gy_s3 *s3, const char *key, struct gy_str bytes,
                               struct gy_err *err);

/* Pass the bytes of key to fn, in order, each once; after a broken connection it goes on where it
 * was. A failing fn ends it. The bytes are not checked against any digest here. */
typedef gy_status (*gy_s3_sink_fn)(void *ctx, struct gy_str bytes, struct gy_err *err);
GY_CHECKED gy_status gy_s3_get(struct gy_s3 *s3, const char *key, gy_s3_sink_fn fn, void *ctx,
                               struct gy_err *err);

/* The same for n_bytes > 0 from offset on, fewer only where the object ends. etag: as a listing
 * gave it, MAY be NULL. CONFLICT: the object has another one by now (what fn was given is worth
 * nothing). INVALID: offset is behind its end. */
GY_CHECKED gy_status gy_s3_get_range(struct gy_s3 *s3, const char *key, const char *etag,
                                     int64_t offset, int64_t n_bytes, gy_s3_sink_fn fn, void *ctx,
                                     struct gy_err *err);

/* NOTFOUND: no such key. */
GY_CHECKED gy_status gy_s3_head(struct gy_s3 *s3, const char *key, int64_t *ret_size,
                                int64_t *ret_modified_us, struct gy_err *err);
/* Copy key onto itself on the server, which sets its time of modification. NOTFOUND; TOOBIG (over
 * GY_S3_MAX_COPY_BYTES, as the server says). */
GY_CHECKED gy_status gy_s3_touch(struct gy_s3 *s3, const char *key, struct gy_err *err);
/* It is no error when there is none. */
GY_CHECKED gy_status gy_s3_delete(struct gy_s3 *s3, const char *key, struct gy_err *err);

/* Each key that begins with prefix, in order, page by page; fn may delete it. */
typedef gy_status (*gy_s3_key_fn)(void *ctx, const char *key, int64_t size_bytes,
                                  int64_t modified_us, struct gy_err *err);
GY_CHECKED gy_status gy_s3_list(struct gy_s3 *s3, const char *prefix, gy_s3_key_fn fn, void *ctx,
                                struct gy_err *err);

struct gy_s3_object {
    const char *key, *etag; /* etag: with its quotes, as If-Match wants it; "" when none was told */
    int64_t size_bytes, modified_us;
};
/* The same with what tells one content of a key from another. */
typedef gy_status (*gy_s3_object_fn)(void *ctx, const struct gy_s3_object *o, struct gy_err *err);
GY_CHECKED gy_status gy_s3_list_objects(struct gy_s3 *s3, const char *prefix, gy_s3_object_fn fn,
                                        void *ctx, struct gy_err *err);

/* Multipart uploads that were begun and neither completed nor aborted; fn may abort them. */
typedef gy_status (*gy_s3_upload_fn)(void *ctx, const char *key, const char *upload_id,
                                     int64_t begun_us, struct gy_err *err);
GY_CHECKED gy_status gy_s3_uploads(struct gy_s3 *s3, const char *prefix, gy_s3_upload_fn fn,
                                   void *ctx, struct gy_err *err);
GY_CHECKED gy_status gy_s3_abort(struct gy_s3 *s3, const char *key, const char *upload_id,
                                 struct gy_err *err);

/* Counted since it was opened. */
struct gy_s3_stats {
    int64_t requests, retries, errors;  /* errors: requests that failed for good */
    int64_t sent_bytes, received_bytes; /* of bodies */
    bool up;                            /* the last request was answered */
};
void gy_s3_get_stats(struct gy_s3 *s3, struct gy_s3_stats *ret);

#endif
