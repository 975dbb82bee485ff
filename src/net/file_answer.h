/* SPDX-License-Identifier: Apache-2.0 */
/* A file as the answer to GET or HEAD, as RFC 9110 wants it: its entity tag, so that a client that
 * has it is told so (304) or does not get another one by mistake (412, If-Range); parts of it (206,
 * 416), so that a broken download goes on where it stopped; short texts packed with gzip;
 * everything else straight from the page cache (gy_reply_send_file). A saved file never runs as a
 * page of this server: it is an attachment, and nosniff is on every answer. Any thread. */
#ifndef GY_NET_FILE_ANSWER_H
#define GY_NET_FILE_ANSWER_H

#include "net/call.h"

/* Shorter texts gain nothing. Longer ones would cost more time than most networks save, and a
 * client could not go on with them. */
#define GY_GZIP_MIN_BYTES ((int64_t)1024)
#define GY_GZIP_MAX_BYTES ((int64_t)16 * 1024 * 1024)

struct gy_file_answer {
    /* A regular file, to be read from its start, and its size, which must be size_bytes. Called
     * when bytes of it are to be sent: it may have to be fetched from far. The descriptor is taken.
     */
    gy_status (*open)(void *ctx, int *ret_fd, int64_t *ret_size, struct gy_err *err);
    void *ctx;
    int64_t size_bytes;
    struct gy_str etag;         /* without quotes; names these bytes for ever */
    struct gy_str content_type; /* "text/..." and JSON may be packed */
    struct gy_str name;         /* of the attachment, UTF-8 */
};
/* Fails: NOMEM, CORRUPT (another size), and as open and gy_reply_send_file. */
GY_CHECKED gy_status gy_file_answer(struct gy_request *req, struct gy_reply *reply,
                                    const struct gy_file_answer *f, struct gy_err *err);

/* The value of Content-Disposition (RFC 6266): attachment; filename=a.txt, or with quotes, or with
 * another spelling for old clients before filename*=UTF-8''.. (RFC 8187). Check out. */
void gy_attachment(struct gy_buf *out, struct gy_str name);

/* The first size_bytes of fd, packed, as the whole body of an answer of unknown length that has
 * begun; ends it. fd stays the caller's. Fails: NOMEM, IO, CORRUPT, as gy_reply_write. */
GY_CHECKED gy_status gy_gzip_body(struct gy_reply *reply, int fd, int64_t size_bytes,
                                  struct gy_err *err);

#endif
