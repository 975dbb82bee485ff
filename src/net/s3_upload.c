/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: one PUT, or a multipart upload whose parts are read from the file as they are sent. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/s3_internal.h"
#include "net/s3_xml.h"

#define HASH_STEP (256 * GY_KIB)

static gy_status put_body(struct gy_s3 *s3, const char *key, const struct s3_body *body,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_s3_answer_init(&a);
    struct s3_request rq = {.method = "PUT", .key = key, .body = body};
    return gy_s3_perform(s3, &rq, &a, err);
}

gy_status gy_s3_put(struct gy_s3 *s3, const char *key, struct gy_str bytes, struct gy_err *err)
{
    struct s3_body body = {.bytes = bytes, .fd = -1, .size_bytes = (int64_t)bytes.n};
    GY_TRY(gy_sha256_hex(bytes, body.sha256, err));
    return put_body(s3, key, &body, err);
}

/* ---- multipart ---- */

struct upload {
    struct gy_s3 *s3;
    const char *key;
    char id[GY_S3_MAX_UPLOAD_ID];
    char query[4 * GY_S3_MAX_UPLOAD_ID]; /* "uploadId=..." */
    int fd;
    int64_t size_bytes, part_bytes;
    int64_t n_parts;
    char (*etags)[GY_S3_MAX_ETAG];
    pthread_mutex_t lock; /* guards what follows */
    int64_t next_part;
    gy_status status;
    struct gy_err err; /* of the first failure */
};

static gy_status hash_part(struct s3_body *b, struct gy_err *err)
{
    GY_AUTO(gy_free) char *step = gy_malloc(HASH_STEP);
    GY_AUTO(gy_hash_free) struct gy_hash *hash = NULL;
    if (!step) {
        return gy_err_set(err, GY_E_NOMEM, "sending an object");
    }
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &hash, err));
    for (int64_t done = 0; done < b->size_bytes;) {
        int64_t left = b->size_bytes - done;
        size_t want = left < (int64_t)HASH_STEP ? (size_t)left : HASH_STEP;
        ssize_t n = pread(b->fd, step, want, (off_t)(b->offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return gy_err_sys(err, n < 0 ? errno : EIO, "reading what is to be sent");
        }
        gy_hash_add(hash, gy_str_n(step, (size_t)n));
        done += n;
    }
    gy_hash_hex(hash, b->sha256);
    return GY_OK;
}

static gy_status send_part(struct upload *u, int64_t part, struct gy_err *err)
{
    char query[sizeof u->query + 64], name[GY_S3_MAX_NAME + 80];
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_s3_answer_init(&a);
    int n = snprintf(query, sizeof query, "partNumber=%lld&%s", (long long)part + 1, u->query);
    struct s3_body body = {.fd = u->fd, .offset = part * u->part_bytes};
    int64_t left = u->size_bytes - body.offset;
    body.size_bytes = left < u->part_bytes ? left : u->part_bytes;
    GY_TRY(hash_part(&body, err));
    struct s3_request rq = {
        .method = "PUT", .key = u->key, .query = gy_str_n(query, (size_t)n), .body = &body};
    GY_TRY(gy_s3_perform(u->s3, &rq, &a, err));
    if (!a.etag[0]) {
        return gy_err_set(err, GY_E_NETWORK, "%.300s: a part was taken without an ETag",
                          gy_s3_name(u->s3, u->key, name));
    }
    memcpy(u->etags[part], a.etag, sizeof a.etag);
    return GY_OK;
}

/* The next part that nobody sends yet; -1: none is left, or one has failed. */
static int64_t take_part(struct upload *u)
{
    pthread_mutex_lock(&u->lock);
    int64_t part = u->status == GY_OK && u->next_part < u->n_parts ? u->next_part++ : -1;
    pthread_mutex_unlock(&u->lock);
    return part;
}

static void *send_parts(void *arg)
{
    struct upload *u = arg;
    for (int64_t part; (part = take_part(u)) >= 0;) {
        struct gy_err err = GY_ERR_INIT;
        gy_status status = send_part(u, part, &err);
        if (status != GY_OK) {
            pthread_mutex_lock(&u->lock);
            if (u->status == GY_OK) {
                u->status = status;
                u->err = err;
            }
            pthread_mutex_unlock(&u->lock);
        }
    }
    return NULL;
}

/* This thread and some more; fewer when they can not be had. */
static gy_status send_all_parts(struct upload *u, struct gy_err *err)
{
    pthread_t threads[GY_S3_PART_THREADS - 1];
    size_t n = 0;
    while (n < GY_S3_PART_THREADS - 1 && (int64_t)n + 1 < u->n_parts &&
           pthread_create(&threads[n], NULL, send_parts, u) == 0) {
        n++;
    }
    send_parts(u);
    for (size_t i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    if (u->status != GY_OK && err) {
        *err = u->err;
    }
    return u->status;
}

static gy_status begin_upload(struct upload *u, struct gy_err *err)
{
    char name[GY_S3_MAX_NAME + 80];
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_s3_answer_init(&a);
    struct s3_request rq = {.method = "POST", .key = u->key, .query = GY_STR("uploads")};
    GY_TRY(gy_s3_perform(u->s3, &rq, &a, err));
    GY_TRY(gy_s3_leaf(&a, "InitiateMultipartUploadResult/UploadId", u->id, sizeof u->id, err));
    if (!u->id[0]) {
        return gy_err_set(err, GY_E_NETWORK, "%.300s: a multipart upload was begun without an id",
                          gy_s3_name(u->s3, u->key, name));
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf query;
    gy_buf_init(&query, sizeof u->query - 1);
    gy_buf_addc(&query, "uploadId=");
    gy_url_encode(&query, gy_str_c(u->id), false);
    GY_TRY(gy_buf_check(&query, "an upload's id", err));
    memcpy(u->query, query.p, query.n + 1);
    return GY_OK;
}

static void add_escaped(struct gy_buf *b, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            gy_buf_addc(b, "&amp;");
            break;
        case '<':
            gy_buf_addc(b, "&lt;");
            break;
        case '>':
            gy_buf_addc(b, "&gt;");
            break;
        default:
            gy_buf_add_char(b, *text);
        }
    }
}

/* Answers may be lost, and a later try is then told that there is no such upload: was it completed?
 * A key is used for one content only (store/objects_s3), so what has the size is it. */
static bool is_complete(struct upload *u)
{
    int64_t size = -1, modified;
    return gy_s3_head(u->s3, u->key, &size, &modified, NULL) == GY_OK && size == u->size_bytes;
}

static gy_status complete_upload(struct upload *u, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf xml;
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_buf_init(&xml, (size_t)GY_S3_MAX_PARTS * (GY_S3_MAX_ETAG * 5 + 80));
    gy_s3_answer_init(&a);
    gy_buf_addc(&xml, "<CompleteMultipartUpload>");
    for (int64_t i = 0; i < u->n_parts; i++) {
        gy_buf_addf(&xml, "<Part><PartNumber>%lld</PartNumber><ETag>", (long long)i + 1);
        add_escaped(&xml, u->etags[i]);
        gy_buf_addc(&xml, "</ETag></Part>");
    }
    gy_buf_addc(&xml, "</CompleteMultipartUpload>");
    GY_TRY(gy_buf_check(&xml, "the list of parts", err));
    struct s3_body body = {.bytes = gy_buf_str(&xml), .fd = -1, .size_bytes = (int64_t)xml.n};
    GY_TRY(gy_sha256_hex(body.bytes, body.sha256, err));
    struct s3_request rq = {
        .method = "POST", .key = u->key, .query = gy_str_c(u->query), .body = &body};
    struct gy_err failed = GY_ERR_INIT;
    gy_status status = gy_s3_perform(u->s3, &rq, &a, &failed);
    if (status == GY_OK || is_complete(u)) {
        return GY_OK;
    }
    if (err) {
        *err = failed;
    }
    return status;
}

static gy_status run_upload(struct upload *u, struct gy_err *err)
{
    u->etags = gy_calloc((size_t)u->n_parts, sizeof u->etags[0]);
    if (!u->etags) {
        return gy_err_set(err, GY_E_NOMEM, "sending an object");
    }
    GY_TRY(begin_upload(u, err));
    gy_status status = send_all_parts(u, err);
    return status == GY_OK ? complete_upload(u, err) : status;
}

static gy_status put_parts(struct gy_s3 *s3, const char *key, int fd, int64_t size_bytes,
                           struct gy_err *err)
{
    struct upload *u = gy_calloc(1, sizeof *u);
    if (!u) {
        return gy_err_set(err, GY_E_NOMEM, "sending an object");
    }
    GY_REQUIRE(pthread_mutex_init(&u->lock, NULL) == 0);
    int64_t mib = INT64_C(1) << 20, least = (size_bytes / GY_S3_MAX_PARTS / mib + 1) * mib;
    u->s3 = s3;
    u->key = key;
    u->fd = fd;
    u->size_bytes = size_bytes;
    u->part_bytes = least > GY_S3_PART_BYTES ? least : GY_S3_PART_BYTES;
    u->n_parts = (size_bytes + u->part_bytes - 1) / u->part_bytes;
    gy_status status = run_upload(u, err);
    if (status != GY_OK && u->id[0]) {
        /* Its parts would be paid for. When this fails too it is an old upload for gy_s3_uploads.
         */
        GY_IGNORE(gy_s3_abort(s3, key, u->id, NULL));
    }
    pthread_mutex_destroy(&u->lock);
    gy_free(u->etags);
    gy_free(u);
    return status;
}

gy_status gy_s3_put_file(struct gy_s3 *s3, const char *key, int fd, int64_t size_bytes,
                         const char *sha256, struct gy_err *err)
{
    if (size_bytes > GY_S3_ONE_PUT_BYTES) {
        return put_parts(s3, key, fd, size_bytes, err);
    }
    struct s3_body body = {.fd = fd, .size_bytes = size_bytes};
    (void)snprintf(body.sha256, sizeof body.sha256, "%s", sha256);
    return put_body(s3, key, &body, err);
}
