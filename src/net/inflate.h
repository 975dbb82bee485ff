/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking what a client packed: bodies (serve/coding.h) and gRPC messages (net/grpc.h). It takes
 * long for an event loop: pool threads only. */
#ifndef GY_NET_INFLATE_H
#define GY_NET_INFLATE_H

#include "base/buf.h"

enum gy_packed { GY_PACKED_ZLIB, GY_PACKED_GZIP, GY_PACKED_EITHER /* told by how it begins */ };

/* All of packed, appended to out, whose ceiling bounds what a bomb can do. Fails: PARSE (damaged,
 * ends early, or more stands behind it), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_inflate(enum gy_packed form, struct gy_str packed, struct gy_buf *out,
                                struct gy_err *err);

#endif
