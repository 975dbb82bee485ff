/* SPDX-License-Identifier: Apache-2.0 */
#include "net/inflate.h"

#include <limits.h>
#include <zlib.h>

#include "base/mem.h"

enum { PIECE = 32 * 1024 };

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

static gy_status inflate_all(z_stream *z, struct gy_buf *out, struct gy_err *err)
{
    unsigned char piece[PIECE];
    int got = Z_OK;
    while (got == Z_OK) {
        z->next_out = piece;
        z->avail_out = sizeof piece;
        got = inflate(z, Z_NO_FLUSH);
        gy_buf_add_bytes(out, piece, sizeof piece - z->avail_out);
        GY_TRY(gy_buf_check(out, "the unpacked body", err));
    }
    if (got == Z_MEM_ERROR) {
        return gy_err_set(err, GY_E_NOMEM, "unpacking");
    }
    if (got != Z_STREAM_END) {
        return gy_err_set(err, GY_E_PARSE, "the packed body is damaged, or ends early");
    }
    return z->avail_in == 0
               ? GY_OK
               : gy_err_set(err, GY_E_PARSE, "%u bytes stand behind the packed body", z->avail_in);
}

gy_status gy_inflate(enum gy_packed form, struct gy_str packed, struct gy_buf *out,
                     struct gy_err *err)
{
    static const int windows[] = {15, 31, 47}; /* 15 bits; 16: gzip, 32: either */
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    if (packed.n > UINT_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "more is packed than can be unpacked");
    }
    if (inflateInit2(&z, windows[form]) != Z_OK) {
        return gy_err_set(err, GY_E_NOMEM, "unpacking");
    }
    /* zlib's interface reads through a pointer that is not const. */
    z.next_in = (unsigned char *)(uintptr_t)packed.p;
    z.avail_in = (unsigned)packed.n;
    gy_status status = inflate_all(&z, out, err);
    (void)inflateEnd(&z); /* fails for a stream without a state alone */
    return status;
}
