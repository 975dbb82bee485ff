/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format of protobuf, piece by piece: what the answers of the gRPC protocol are written
 * with, straight into the reply, and how a request's model is found before it is unpacked. Whole
 * messages are libprotobuf-c's. Nothing here allocates beside the buffer. */
#ifndef GY_SERVE_PROTOBUF_H
#define GY_SERVE_PROTOBUF_H

#include "base/buf.h"

enum gy_pb_wire { GY_PB_VARINT = 0, GY_PB_FIXED64 = 1, GY_PB_BYTES = 2, GY_PB_FIXED32 = 5 };

/* ---- writing; failures stick to out ---- */
void gy_pb_varint(struct gy_buf *out, uint64_t v); /* without a tag */
void gy_pb_tag(struct gy_buf *out, unsigned field, enum gy_pb_wire wire);
void gy_pb_uint(struct gy_buf *out, unsigned field, uint64_t v);
void gy_pb_bytes(struct gy_buf *out, unsigned field, struct gy_str v); /* strings, too */
/* Tag and length of n bytes that the caller writes next. */
void gy_pb_bytes_head(struct gy_buf *out, unsigned field, size_t n);
/* A message inside of the message: what is written between the two. */
GY_CHECKED size_t gy_pb_begin(struct gy_buf *out, unsigned field);
void gy_pb_end(struct gy_buf *out, size_t begun);

/* ---- reading ---- */
struct gy_pb_field {
    unsigned field;
    enum gy_pb_wire wire;
    uint64_t value;      /* VARINT, FIXED64, FIXED32 */
    struct gy_str bytes; /* BYTES: a view */
};
/* The next field of *rest, which is advanced. False: there is none, or (*ret_bad) the bytes are not
 * protobuf. Groups are bad: nobody writes them any more. */
bool gy_pb_next(struct gy_str *rest, struct gy_pb_field *ret, bool *ret_bad);

#endif
