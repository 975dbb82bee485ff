/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's own conventions on top of HTTP/2: length-prefixed messages, statuses, deadlines, packed
 * messages. Pure functions without sockets; h2_call.c uses them for calls, handlers of gRPC methods
 * for their answers.
 *
 * A gRPC method is a route like any other ("POST /package.Service/Method" with GY_ROUTE_GRPC): the
 * body of its request is one message, its answer of type GY_GRPC_TYPE the answer's message. Any
 * other answer is a failure: its HTTP status becomes the grpc-status, its text the grpc-message. */
#ifndef GY_NET_GRPC_H
#define GY_NET_GRPC_H

#include "net/call.h"

#define GY_GRPC_TYPE "application/grpc+proto"

enum {
    GY_GRPC_PREFIX = 5,                /* packed or not, then the length */
    GY_GRPC_MAX_TEXT = 1024,           /* of a grpc-message, before it is %-encoded */
    GY_GRPC_MAX_TIMEOUT_S = 24 * 3600, /* a longer deadline is none */
};

enum gy_grpc_code {
    GY_GRPC_OK = 0,
    GY_GRPC_CANCELLED = 1,
    GY_GRPC_UNKNOWN = 2,
    GY_GRPC_INVALID_ARGUMENT = 3,
    GY_GRPC_DEADLINE_EXCEEDED = 4,
    GY_GRPC_NOT_FOUND = 5,
    GY_GRPC_PERMISSION_DENIED = 7,
    GY_GRPC_RESOURCE_EXHAUSTED = 8,
    GY_GRPC_FAILED_PRECONDITION = 9,
    GY_GRPC_UNIMPLEMENTED = 12,
    GY_GRPC_INTERNAL = 13,
    GY_GRPC_UNAVAILABLE = 14,
    GY_GRPC_UNAUTHENTICATED = 16,
};

/* The code that stands for the HTTP status of a failure. */
enum gy_grpc_code gy_grpc_code_of_http(int http);
/* The other way, for counters and the access log. */
int gy_grpc_http_of_code(enum gy_grpc_code code);

/* "250m" (n, u, m, S, M, H; at most 8 digits) in milliseconds, rounded up. False: not a deadline.
 */
bool gy_grpc_timeout(struct gy_str text, uint64_t *ret_ms);
/* A grpc-message as it travels: %-encoded, the first GY_GRPC_MAX_TEXT bytes of it. */
void gy_grpc_add_text(struct gy_buf *out, struct gy_str text);

/* The prefix at the head of bytes; false: it is not wholly here, or its first byte is neither 0 nor
 * 1 (*ret_bad). */
bool gy_grpc_prefix(struct gy_str bytes, bool *ret_packed, size_t *ret_n, bool *ret_bad);
/* A message with its prefix. */
void gy_grpc_add_message(struct gy_buf *out, struct gy_str message);

enum gy_grpc_encoding {
    GY_GRPC_IDENTITY,
    GY_GRPC_GZIP,
    GY_GRPC_DEFLATE, /* zlib's format, as HTTP has it */
};
/* From grpc-encoding; absent is identity. False: one that is not known here. */
bool gy_grpc_encoding(struct gy_str name, enum gy_grpc_encoding *ret);
/* Unpack one message behind out, whose ceiling is the limit. MAY take long: not on a loop. Fails:
 * PARSE (not packed so, or it breaks off), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_grpc_unpack(enum gy_grpc_encoding encoding, struct gy_str packed,
                                    struct gy_buf *out, struct gy_err *err);

/* The error style of routes that are gRPC methods: the text alone. */
GY_CHECKED gy_status gy_grpc_errors(struct gy_request *req, struct gy_reply *reply,
                                    const struct gy_err *failed, struct gy_err *err);

#endif
