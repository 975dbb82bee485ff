/* SPDX-License-Identifier: Apache-2.0 */
/* Content-Encoding of requests and answers: gzip and deflate (zlib's form). It takes long for an
 * event loop: pool threads only. */
#ifndef GY_SERVE_CODING_H
#define GY_SERVE_CODING_H

#include "base/buf.h"

enum gy_coding { GY_CODING_NONE, GY_CODING_GZIP, GY_CODING_DEFLATE };

/* The value of Content-Encoding; absent, "" and "identity": none. Fails: MEDIATYPE. */
GY_CHECKED gy_status gy_coding_parse(struct gy_str content_encoding, enum gy_coding *ret,
                                     struct gy_err *err);
/* The one to answer with, by Accept-Encoding. */
enum gy_coding gy_coding_accepted(struct gy_str accept_encoding);
const char *gy_coding_name(enum gy_coding coding); /* "gzip" */

/* Unpack all of body, appended to out; its ceiling bounds what a bomb can do. Fails: PARSE
 * (damaged, ends early, more behind it), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_coding_unpack(struct gy_str body, struct gy_buf *out, struct gy_err *err);
/* Pack bytes, appended to out. Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_coding_pack(enum gy_coding coding, struct gy_str bytes, struct gy_buf *out,
                                    struct gy_err *err);

#endif
