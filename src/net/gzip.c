/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>
#include <zlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/file_answer.h"

enum {
    PIECE = 64 * 1024,
    LEVEL = 4,        /* texts of models and logs get most of what 9 gives at a third of its time */
    GZIP_WINDOW = 31, /* 15 bits, and 16 for gzip's own head and tail */
};

struct packing {
    z_stream z;
    bool open;
    unsigned char in[PIECE], out[PIECE];
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

static void packing_free(struct packing *p)
{
    if (p && p->open) {
        (void)deflateEnd(&p->z); /* says only whether everything was flushed */
    }
    gy_free(p);
}
GY_DEFINE_AUTO(struct packing *, packing_free);

/* Pass on what is in p->in, all of it. */
static gy_status pack(struct packing *p, size_t n, bool last, struct gy_reply *reply,
                      struct gy_err *err)
{
    p->z.next_in = p->in;
    p->z.avail_in = (unsigned)n;
    do {
        p->z.next_out = p->out;
        p->z.avail_out = PIECE;
        (void)deflate(&p->z, last ? Z_FINISH : Z_NO_FLUSH); /* fails only for a broken stream */
        struct gy_str done = gy_str_n((const char *)p->out, PIECE - p->z.avail_out);
        GY_TRY(gy_reply_write(reply, done, err));
    } while (p->z.avail_out == 0);
    return GY_OK;
}

gy_status gy_gzip_body(struct gy_reply *reply, int fd, int64_t size_bytes, struct gy_err *err)
{
    GY_AUTO(packing_free) struct packing *p = gy_malloc(sizeof *p);
    if (p) {
        p->z = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_free};
        p->open =
            deflateInit2(&p->z, LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    }
    if (!p || !p->open) {
        return gy_err_set(err, GY_E_NOMEM, "packing an answer");
    }
    for (int64_t at = 0; at < size_bytes || size_bytes == 0;) {
        int64_t left = size_bytes - at;
        ssize_t n = pread(fd, p->in, left < PIECE ? (size_t)left : PIECE, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 || (n == 0 && left > 0)) {
            return n < 0 ? gy_err_sys(err, errno, "sending a file")
                         : gy_err_set(err, GY_E_CORRUPT, "the file is shorter than its size");
        }
        at += n;
        GY_TRY(pack(p, (size_t)n, at == size_bytes, reply, err));
        if (at == size_bytes) {
            break;
        }
    }
    return gy_reply_end(reply, err);
}
