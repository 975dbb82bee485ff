/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/coding.h"

#include <zlib.h>

#include "base/mem.h"
#include "net/http_cond.h"
#include "net/inflate.h"

enum {
    PIECE = 16 * 1024,
    GZIP_WINDOW = 31,
    ZLIB_WINDOW = 15,
    LEVEL = 1, /* an answer is worth little time */
};

static void *zlib_alloc(void *opaque, unsigned n, unsigned size)
{
    (void)opaque;
    return gy_calloc(n, size);
}

static void zlib_free(void *opaque, void *p)
{
    (void)opaque;
    gy_free(p);
}

gy_status gy_coding_parse(struct gy_str content_encoding, enum gy_coding *ret, struct gy_err *err)
{
    struct gy_str name = gy_str_trim(content_encoding);
    *ret = GY_CODING_NONE;
    if (name.n == 0 || gy_str_ieq(name, GY_STR("identity"))) {
        return GY_OK;
    }
    if (gy_str_ieq(name, GY_STR("gzip")) || gy_str_ieq(name, GY_STR("x-gzip"))) {
        *ret = GY_CODING_GZIP;
        return GY_OK;
    }
    if (gy_str_ieq(name, GY_STR("deflate"))) {
        *ret = GY_CODING_DEFLATE;
        return GY_OK;
    }
    return gy_err_set(err, GY_E_MEDIATYPE,
                      "Content-Encoding '%.*s' is not accepted: gzip and deflate are",
                      (int)(name.n > 64 ? 64 : name.n), name.p);
}

enum gy_coding gy_coding_accepted(struct gy_str accept_encoding)
{
    return gy_accepts_gzip(accept_encoding)      ? GY_CODING_GZIP
           : gy_accepts_deflate(accept_encoding) ? GY_CODING_DEFLATE
                                                 : GY_CODING_NONE;
}

const char *gy_coding_name(enum gy_coding coding)
{
    static const char *const names[] = {"identity", "gzip", "deflate"};
    return names[coding];
}

/* Room for a piece at the end of out. */
static gy_status take(struct gy_buf *out, const unsigned char *piece, size_t n, const char *what,
                      struct gy_err *err)
{
    gy_buf_add_bytes(out, piece, n);
    return gy_buf_check(out, what, err);
}

gy_status gy_coding_unpack(struct gy_str body, struct gy_buf *out, struct gy_err *err)
{
    return gy_inflate(GY_PACKED_EITHER, body, out, err);
}

gy_status gy_coding_pack(enum gy_coding coding, struct gy_str bytes, struct gy_buf *out,
                         struct gy_err *err)
{
    unsigned char piece[PIECE];
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, coding == GY_CODING_GZIP ? GZIP_WINDOW : ZLIB_WINDOW, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        return gy_err_set(err, GY_E_NOMEM, "packing an answer");
    }
    z.next_in = (unsigned char *)(uintptr_t)bytes.p;
    z.avail_in = (unsigned)bytes.n;
    gy_status status = GY_OK;
    int got = Z_OK;
    while (status == GY_OK && got == Z_OK) {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        got = deflate(&z, Z_FINISH);
        status = take(out, piece, sizeof piece - z.avail_out, "the packed answer", err);
    }
    (void)deflateEnd(&z); /* says only whether everything was flushed */
    return status;
}
