/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/protobuf.h"

enum { MAX_VARINT = 10, LENGTH_ROOM = 5 };

static size_t varint(uint64_t v, char out[MAX_VARINT])
{
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (char)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (char)v;
    return n;
}

void gy_pb_varint(struct gy_buf *out, uint64_t v)
{
    char bytes[MAX_VARINT];
    gy_buf_add_bytes(out, bytes, varint(v, bytes));
}

void gy_pb_tag(struct gy_buf *out, unsigned field, enum gy_pb_wire wire)
{
    gy_pb_varint(out, (uint64_t)field << 3 | (uint64_t)wire);
}

void gy_pb_uint(struct gy_buf *out, unsigned field, uint64_t v)
{
    gy_pb_tag(out, field, GY_PB_VARINT);
    gy_pb_varint(out, v);
}

void gy_pb_bytes_head(struct gy_buf *out, unsigned field, size_t n)
{
    gy_pb_tag(out, field, GY_PB_BYTES);
    gy_pb_varint(out, n);
}

void gy_pb_bytes(struct gy_buf *out, unsigned field, struct gy_str v)
{
    gy_pb_bytes_head(out, field, v.n);
    gy_buf_add(out, v);
}

size_t gy_pb_begin(struct gy_buf *out, unsigned field)
{
    static const char room[LENGTH_ROOM];
    gy_pb_tag(out, field, GY_PB_BYTES);
    gy_buf_add_bytes(out, room, sizeof room);
    return out->n;
}

void gy_pb_end(struct gy_buf *out, size_t begun)
{
    char length[MAX_VARINT];
    if (out->failed != GY_OK) {
        return;
    }
    size_t n = out->n - begun, n_length = varint(n, length);
    char *at = out->p + begun - LENGTH_ROOM;
    memmove(at + n_length, out->p + begun, n); /* the shortest length, as every writer has it */
    memcpy(at, length, n_length);
    out->n -= LENGTH_ROOM - n_length;
    out->p[out->n] = '\0';
}

static bool take_varint(struct gy_str *rest, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < rest->n && i < MAX_VARINT; i++) {
        uint64_t byte = (unsigned char)rest->p[i];
        v |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            rest->p += i + 1;
            rest->n -= i + 1;
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct gy_str *rest, uint64_t n, struct gy_str *ret)
{
    if (n > rest->n) {
        return false;
    }
    *ret = gy_str_n(rest->p, (size_t)n);
    rest->p += n;
    rest->n -= (size_t)n;
    return true;
}

static bool take_fixed(struct gy_str *rest, size_t n, uint64_t *ret)
{
    struct gy_str bytes;
    *ret = 0;
    if (!take_bytes(rest, n, &bytes)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        *ret |= (uint64_t)(unsigned char)bytes.p[i] << (8 * i);
    }
    return true;
}

static bool take_value(struct gy_str *rest, struct gy_pb_field *ret)
{
    uint64_t n = 0;
    switch (ret->wire) {
    case GY_PB_VARINT:
        return take_varint(rest, &ret->value);
    case GY_PB_FIXED64:
        return take_fixed(rest, 8, &ret->value);
    case GY_PB_FIXED32:
        return take_fixed(rest, 4, &ret->value);
    case GY_PB_BYTES:
        return take_varint(rest, &n) && take_bytes(rest, n, &ret->bytes);
    }
    return false; /* what else three bits can say */
}

bool gy_pb_next(struct gy_str *rest, struct gy_pb_field *ret, bool *ret_bad)
{
    uint64_t tag = 0;
    *ret_bad = false;
    *ret = (struct gy_pb_field){0};
    if (rest->n == 0) {
        return false;
    }
    *ret_bad = !take_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911;
    if (*ret_bad) {
        return false;
    }
    ret->field = (unsigned)(tag >> 3);
    ret->wire = (enum gy_pb_wire)(tag & 7);
    *ret_bad = !take_value(rest, ret);
    return !*ret_bad;
}
