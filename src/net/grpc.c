/* SPDX-License-Identifier: Apache-2.0 */
#include "net/grpc.h"

#include <stdio.h>

#include "net/inflate.h"

/* ---- statuses ---- */

static const struct {
    int http;
    enum gy_grpc_code code;
} statuses[] = {
    {200, GY_GRPC_OK},
    {400, GY_GRPC_INVALID_ARGUMENT},
    {401, GY_GRPC_UNAUTHENTICATED},
    {403, GY_GRPC_PERMISSION_DENIED},
    {404, GY_GRPC_NOT_FOUND},
    {413, GY_GRPC_RESOURCE_EXHAUSTED},
    {422, GY_GRPC_FAILED_PRECONDITION},
    {499, GY_GRPC_CANCELLED},
    {500, GY_GRPC_INTERNAL},
    {501, GY_GRPC_UNIMPLEMENTED},
    {503, GY_GRPC_UNAVAILABLE},
    {504, GY_GRPC_DEADLINE_EXCEEDED},
    /* several become one code; the way back takes the first */
    {405, GY_GRPC_UNIMPLEMENTED},
    {409, GY_GRPC_FAILED_PRECONDITION},
    {415, GY_GRPC_UNIMPLEMENTED},
    {429, GY_GRPC_RESOURCE_EXHAUSTED},
    {502, GY_GRPC_UNAVAILABLE},
    {507, GY_GRPC_RESOURCE_EXHAUSTED},
};

enum gy_grpc_code gy_grpc_code_of_http(int http)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (statuses[i].http == http) {
            return statuses[i].code;
        }
    }
    return http < 500 && http >= 400 ? GY_GRPC_INVALID_ARGUMENT : GY_GRPC_INTERNAL;
}

int gy_grpc_http_of_code(enum gy_grpc_code code)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (statuses[i].code == code) {
            return statuses[i].http;
        }
    }
    return 500;
}

gy_status gy_grpc_errors(struct gy_request *req, struct gy_reply *reply,
                         const struct gy_err *failed, struct gy_err *err)
{
    char text[sizeof failed->msg + sizeof failed->hint + 8];
    (void)req;
    int n = failed->hint[0] ? snprintf(text, sizeof text, "%s (%s)", failed->msg, failed->hint)
                            : snprintf(text, sizeof text, "%s", failed->msg);
    return gy_reply_send(reply, gy_status_http(failed->code), "text/plain",
                         gy_str_n(text, (size_t)n), err);
}

/* ---- headers ---- */

bool gy_grpc_timeout(struct gy_str text, uint64_t *ret_ms)
{
    static const struct {
        char unit;
        uint64_t times, over; /* in milliseconds: n * times / over */
    } units[] = {{'n', 1, 1000000}, {'u', 1, 1000},      {'m', 1, 1},
                 {'S', 1000, 1},    {'M', 60 * 1000, 1}, {'H', 3600 * 1000, 1}};
    int64_t n = 0;
    if (text.n < 2 || text.n > 9 ||
        gy_parse_i64(gy_str_sub(text, 0, text.n - 1), 0, 99999999, &n, NULL) != GY_OK) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].unit == text.p[text.n - 1]) {
            *ret_ms = ((uint64_t)n * units[i].times + units[i].over - 1) / units[i].over;
            return true;
        }
    }
    return false;
}

void gy_grpc_add_text(struct gy_buf *out, struct gy_str text)
{
    static const char digits[] = "0123456789ABCDEF";
    text = gy_str_head(text, GY_GRPC_MAX_TEXT);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < ' ' || c > '~' || c == '%') {
            gy_buf_add_char(out, '%');
            gy_buf_add_char(out, digits[c >> 4]);
            gy_buf_add_char(out, digits[c & 15]);
        } else {
            gy_buf_add_char(out, (char)c);
        }
    }
}

/* ---- messages ---- */

bool gy_grpc_prefix(struct gy_str bytes, bool *ret_packed, size_t *ret_n, bool *ret_bad)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    *ret_bad = bytes.n > 0 && p[0] > 1;
    if (bytes.n < GY_GRPC_PREFIX || *ret_bad) {
        return false;
    }
    *ret_packed = p[0] == 1;
    *ret_n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    return true;
}

void gy_grpc_add_message(struct gy_buf *out, struct gy_str message)
{
    const char prefix[GY_GRPC_PREFIX] = {0, (char)(message.n >> 24), (char)(message.n >> 16),
                                         (char)(message.n >> 8), (char)message.n};
    gy_buf_add_bytes(out, prefix, sizeof prefix);
    gy_buf_add(out, message);
}

bool gy_grpc_encoding(struct gy_str name, enum gy_grpc_encoding *ret)
{
    static const char *const names[] = {"identity", "gzip", "deflate"};
    *ret = GY_GRPC_IDENTITY;
    for (size_t i = 0; name.p && i < sizeof names / sizeof names[0]; i++) {
        if (gy_str_eqc(name, names[i])) {
            *ret = (enum gy_grpc_encoding)i;
            return true;
        }
    }
    return !name.p;
}

gy_status gy_grpc_unpack(enum gy_grpc_encoding encoding, struct gy_str packed, struct gy_buf *out,
                         struct gy_err *err)
{
    gy_status status =
        gy_inflate(encoding == GY_GRPC_GZIP ? GY_PACKED_GZIP : GY_PACKED_ZLIB, packed, out, err);
    return status == GY_E_PARSE
               ? gy_err_set(err, status, "the message is not packed as its grpc-encoding says")
               : status;
}
