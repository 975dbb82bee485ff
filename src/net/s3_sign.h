/* SPDX-License-Identifier: Apache-2.0 */
/* AWS Signature Version 4 for S3: what makes a request ours. libcurl's own is wrong for streamed
 * bodies, unsorted queries and keys with reserved characters, so requests are signed here and sent
 * as they were signed. S3's rules: the path is %-encoded once and taken as it is sent, and the hash
 * of the body is a header. Pure functions, thread safe. */
#ifndef GY_NET_S3_SIGN_H
#define GY_NET_S3_SIGN_H

#include "net/call.h"

#define GY_S3_UNSIGNED "UNSIGNED-PAYLOAD" /* in place of the SHA-256 of a body */
#define GY_S3_MAX_KEY 256                 /* an access key or a secret, with the NUL */
#define GY_S3_MAX_TOKEN 4096              /* a session token, with the NUL */
#define GY_S3_MAX_REGION 64               /* with the NUL */
#define GY_S3_MAX_SIGNED_HEADERS 32
#define GY_S3_MAX_SIGNED_QUERY 32
#define GY_S3_MAX_EXPIRES_S (7 * 24 * 3600) /* of a presigned URL: AWS's own limit */

struct gy_s3_keys {
    char access[GY_S3_MAX_KEY];
    char secret[GY_S3_MAX_KEY];  /* never in a log or an error */
    char token[GY_S3_MAX_TOKEN]; /* "": none */
};

struct gy_s3_signing {
    const struct gy_s3_keys *keys;
    const char *region;
    const char *service; /* "s3" */
    int64_t time_us;
};

/* "20130524T000000Z" for x-amz-date. */
void gy_s3_time(int64_t time_us, char out[17]);

/* The value of the Authorization header, appended to out. All headers of req are signed (of equal
 * names the values are joined in their order), so it holds Host, x-amz-date, x-amz-content-sha256
 * and x-amz-security-token already; path and query are as they will be sent. payload_sha256: 64 hex
 * digits, or GY_S3_UNSIGNED. Fails: TOOBIG (headers, query), NOMEM. */
GY_CHECKED gy_status gy_s3_authorize(const struct gy_s3_signing *s, const struct gy_request *req,
                                     const char *payload_sha256, struct gy_buf *out,
                                     struct gy_err *err);
/* The query of a URL that does method on path for who holds it, for expires_s seconds, appended to
 * out: req's own query and the signature. Signed headers (Host at least) must be sent with it.
 * Fails: INVALID (expires_s), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_s3_presign(const struct gy_s3_signing *s, const struct gy_request *req,
                                   int64_t expires_s, struct gy_buf *out, struct gy_err *err);

#endif
