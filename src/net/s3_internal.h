/* SPDX-License-Identifier: Apache-2.0 */
/* One request to S3 with its tries (s3.c), for the operations in s3_ops.c and s3_upload.c. */
#ifndef GY_NET_S3_INTERNAL_H
#define GY_NET_S3_INTERNAL_H

#include <stdatomic.h>

#include "base/hash.h"
#include "net/s3.h"

struct gy_s3 {
    struct gy_caller *caller;
    char bucket[64];
    char host[320]; /* the Host header */
    bool bucket_in_path;
    char region[GY_S3_MAX_REGION];
    struct gy_s3_keys keys;
    void (*wait)(void *ctx, int64_t ms);
    void *wait_ctx;
    _Atomic int64_t skew_us; /* what the server's clock is ahead of ours */
    _Atomic int64_t requests, retries, errors, sent_bytes, received_bytes;
    atomic_bool up;
};

/* A body that can be sent again: bytes in memory, or a range of a file. */
struct s3_body {
    struct gy_str bytes;
    int fd; /* -1: bytes */
    int64_t offset, size_bytes;
    char sha256[GY_SHA256_HEX];
};

struct s3_request {
    const char *method;
    const char *key;     /* NULL: the bucket */
    struct gy_str query; /* encoded */
    struct gy_header headers[3];
    size_t n_headers;
    const struct s3_body *body; /* NULL: none */
};

/* What came back. With a sink, bodies of 200 and 206 go there; all others into `body`. */
struct s3_answer {
    struct gy_reply reply;
    int status;
    struct gy_buf body;
    int64_t size_bytes;           /* Content-Length, -1: none */
    int64_t range_from;           /* of Content-Range, -1: none */
    int64_t modified_us, date_us; /* -1: none */
    char etag[GY_S3_MAX_ETAG];
    char bucket_region[GY_S3_MAX_REGION];
    char error_code[64]; /* of an XML error, else "" */
    char error_message[200];
    gy_s3_sink_fn sink;
    void *sink_ctx;
    int64_t range_first;  /* of the object: where the sink begins */
    int64_t range_last;   /* and ends; -1: at its end */
    int64_t range_wanted; /* where the body is to begin: the sink has what comes before */
    int64_t skip_bytes;   /* of the body, from a server that does not know ranges */
    int64_t sunk_bytes;
    bool sink_failed;
};

void gy_s3_answer_init(struct s3_answer *a);
void gy_s3_answer_done(struct s3_answer *a);
GY_DEFINE_AUTO_DONE(struct s3_answer, gy_s3_answer_done);

/* Sent until it is answered with a 2xx that is no error in disguise, or has failed for good.
 * a is of the last try. With a sink, a try goes on where the one before it broke off, and one that
 * brought bytes is headway: the count of tries begins anew. */
GY_CHECKED gy_status gy_s3_perform(struct gy_s3 *s3, const struct s3_request *rq,
                                   struct s3_answer *a, struct gy_err *err);
/* "s3://bucket/key" for messages. */
const char *gy_s3_name(const struct gy_s3 *s3, const char *key, char out[GY_S3_MAX_NAME + 80]);
/* The decoded text of one leaf of an answer, copied; "" when it is not there or too long. */
GY_CHECKED gy_status gy_s3_leaf(const struct s3_answer *a, const char *path, char *out,
                                size_t out_size, struct gy_err *err);
/* "Fri, 24 May 2013 00:00:00 GMT"; -1: it is no such date. */
int64_t gy_s3_parse_http_date(struct gy_str s);

#endif
