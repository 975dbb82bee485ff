/* SPDX-License-Identifier: Apache-2.0 */
#include "data/unpack.h"

#include <zlib.h>
#include <zstd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/call.h"

#define IN_BYTES (128 * GY_KIB)
#define MAX_WINDOW_LOG 27 /* 128 MiB, what the zstd program takes without being asked */
#define MAGIC_BYTES 4

enum packing { UNKNOWN, PLAIN, GZIP, ZSTD };

struct gy_unpack {
    struct gy_reader reader;
    struct gy_reader *in;
    const char *name;
    enum packing packing;
    z_stream gzip;
    ZSTD_DStream *zstd;
    size_t from, n; /* of buf: what was read and not used */
    int64_t taken;  /* packed bytes that were used */
    bool eof;       /* of in */
    bool within;    /* a member or frame has begun and not ended */
    bool any;       /* one has ended before */
    unsigned char buf[IN_BYTES];
};

static gy_status damaged(const struct gy_unpack *u, const char *why, struct gy_err *err)
{
    return gy_err_set(err, GY_E_PARSE, "'%s': the %s data is damaged near its byte %lld: %s",
                      u->name, u->packing == GZIP ? "gzip" : "zstd", (long long)u->taken, why);
}

static gy_status ends_early(const struct gy_unpack *u, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_PARSE, "'%s': the %s data ends early, after %lld bytes", u->name,
                     u->packing == GZIP ? "gzip" : "zstd", (long long)u->taken);
    return gy_err_hint(err, "it was cut off, or is still being written");
}

static void use(struct gy_unpack *u, size_t n)
{
    u->from += n;
    u->n -= n;
    u->taken += (int64_t)n;
}

/* Have at least want bytes in buf, unless there are no more. */
static gy_status have(struct gy_unpack *u, size_t want, struct gy_err *err)
{
    while (u->n < want && !u->eof) {
        if (u->from > 0) {
            memmove(u->buf, u->buf + u->from, u->n);
            u->from = 0;
        }
        size_t got = 0;
        GY_TRY(u->in->read(u->in, (char *)u->buf + u->n, sizeof u->buf - u->n, &got, err));
        u->n += got;
        u->eof = got == 0;
    }
    return GY_OK;
}

static bool is_gzip(const struct gy_unpack *u)
{
    return u->n >= 2 && u->buf[u->from] == 0x1f && u->buf[u->from + 1] == 0x8b;
}

/* A frame, or one that is to be skipped. */
static bool is_zstd(const struct gy_unpack *u)
{
    const unsigned char *p = u->buf + u->from;
    return u->n >= MAGIC_BYTES &&
           ((p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd) ||
            ((p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18));
}

static gy_status start(struct gy_unpack *u, struct gy_err *err)
{
    GY_TRY(have(u, MAGIC_BYTES, err));
    if (is_gzip(u)) {
        if (inflateInit2(&u->gzip, 15 + 16) != Z_OK) { /* 16: gzip alone */
            return gy_err_set(err, GY_E_NOMEM, "out of memory for unpacking '%s'", u->name);
        }
        u->packing = GZIP;
    } else if (is_zstd(u)) {
        u->zstd = ZSTD_createDStream();
        if (!u->zstd) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for unpacking '%s'", u->name);
        }
        (void)ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, MAX_WINDOW_LOG);
        u->packing = ZSTD;
    } else {
        u->packing = PLAIN;
    }
    return GY_OK;
}

/* Before a member or frame: *ret false at the end of the file. */
static gy_status begin(struct gy_unpack *u, bool *ret, struct gy_err *err)
{
    GY_TRY(have(u, MAGIC_BYTES, err));
    while (u->packing == GZIP && u->any && u->n > 0 && u->buf[u->from] == 0) { /* padding */
        use(u, 1);
        GY_TRY(have(u, MAGIC_BYTES, err));
    }
    *ret = u->n > 0;
    if (*ret && !(u->packing == GZIP ? is_gzip(u) : is_zstd(u))) {
        return damaged(u, "other bytes follow what was packed", err);
    }
    if (*ret && u->any && u->packing == GZIP) {
        (void)inflateReset(&u->gzip); /* fails for a stream without a state alone */
    }
    u->within = *ret;
    return GY_OK;
}

static gy_status step_gzip(struct gy_unpack *u, char *out, size_t n, size_t *ret_n,
                           struct gy_err *err)
{
    u->gzip.next_in = u->buf + u->from;
    u->gzip.avail_in = (uInt)u->n;
    u->gzip.next_out = (unsigned char *)out;
    u->gzip.avail_out = n > IN_BYTES * 8 ? IN_BYTES * 8 : (uInt)n;
    const uInt room = u->gzip.avail_out;
    int what = inflate(&u->gzip, Z_NO_FLUSH);
    use(u, u->n - u->gzip.avail_in);
    *ret_n = room - u->gzip.avail_out;
    if (what == Z_STREAM_END) {
        u->within = false;
        u->any = true;
        return GY_OK;
    }
    if (what == Z_MEM_ERROR) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for unpacking '%s'", u->name);
    }
    return what == Z_OK || what == Z_BUF_ERROR
               ? GY_OK
               : damaged(u, u->gzip.msg ? u->gzip.msg : "no gzip stream", err);
}

static gy_status step_zstd(struct gy_unpack *u, char *out, size_t n, size_t *ret_n,
                           struct gy_err *err)
{
    ZSTD_inBuffer in = {u->buf + u->from, u->n, 0};
    ZSTD_outBuffer to = {out, n, 0};
    size_t what = ZSTD_decompressStream(u->zstd, &to, &in);
    use(u, in.pos);
    *ret_n = to.pos;
    if (ZSTD_isError(what)) {
        return damaged(u, ZSTD_getErrorName(what), err);
    }
    if (what == 0) {
        u->within = false;
        u->any = true;
    }
    return GY_OK;
}

static gy_status read_packed(struct gy_unpack *u, char *buf, size_t n, size_t *ret_n,
                             struct gy_err *err)
{
    *ret_n = 0;
    while (*ret_n == 0) {
        if (!u->within) {
            bool more = false;
            GY_TRY(begin(u, &more, err));
            if (!more) {
                return GY_OK;
            }
        }
        const size_t before = u->n;
        GY_TRY(u->packing == GZIP ? step_gzip(u, buf, n, ret_n, err)
                                  : step_zstd(u, buf, n, ret_n, err));
        if (u->within && *ret_n == 0 && u->n == before) { /* it wants more than is there */
            GY_TRY(have(u, u->n + 1, err));
            if (u->n == before) {
                return ends_early(u, err);
            }
        }
    }
    return GY_OK;
}

static gy_status unpack_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                             struct gy_err *err)
{
    struct gy_unpack *u = (struct gy_unpack *)(void *)self;
    if (u->packing == UNKNOWN) {
        GY_TRY(start(u, err));
    }
    if (u->packing != PLAIN) {
        return read_packed(u, buf, n, ret_n, err);
    }
    if (u->n > 0) {
        *ret_n = u->n < n ? u->n : n;
        memcpy(buf, u->buf + u->from, *ret_n);
        use(u, *ret_n);
        return GY_OK;
    }
    *ret_n = 0;
    return u->eof ? GY_OK : u->in->read(u->in, buf, n, ret_n, err);
}

gy_status gy_unpack_new(struct gy_reader *in, const char *name, struct gy_unpack **ret,
                        struct gy_err *err)
{
    struct gy_unpack *u = gy_calloc(1, sizeof *u);
    if (!u) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for reading '%s'", name);
    }
    u->reader = (struct gy_reader){.read = unpack_read, .size_bytes = -1};
    u->in = in;
    u->name = name;
    *ret = u;
    return GY_OK;
}

struct gy_reader *gy_unpack_reader(struct gy_unpack *u)
{
    return &u->reader;
}

void gy_unpack_free(struct gy_unpack *u)
{
    if (u) {
        if (u->packing == GZIP) {
            (void)inflateEnd(&u->gzip);
        }
        (void)ZSTD_freeDStream(u->zstd);
        gy_free(u);
    }
}
