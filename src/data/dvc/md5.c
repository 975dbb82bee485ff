/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/md5.h"

#include <errno.h>
#include <unistd.h>

#include "base/mem.h"

#define TEXT_LOOK 512

gy_status gy_dvc_hasher_init(struct gy_dvc_hasher *h, struct gy_err *err)
{
    h->hash = NULL;
    h->piece = gy_malloc(GY_DVC_PIECE);
    if (!h->piece) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a digest");
    }
    return gy_hash_new(GY_HASH_MD5, &h->hash, err);
}

void gy_dvc_hasher_done(struct gy_dvc_hasher *h)
{
    if (h) {
        gy_hash_free(h->hash);
        gy_free(h->piece);
        h->hash = NULL;
        h->piece = NULL;
    }
}

bool gy_dvc_is_text(struct gy_str piece)
{
    size_t n = piece.n < TEXT_LOOK ? piece.n : TEXT_LOOK;
    size_t others = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)piece.p[i];
        if (c == 0) {
            return false;
        }
        others += !((c >= 32 && c <= 126) || c == '\n' || c == '\r' || c == '\t' || c == '\f' ||
                    c == '\b');
    }
    return others * 10 <= n * 3; /* at most 30 % */
}

gy_status gy_dvc_read_piece(int fd, const char *name, char *piece, size_t size, size_t *ret_n,
                            struct gy_err *err)
{
    size_t n = 0;
    while (n < size) {
        ssize_t got = read(fd, piece + n, size - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return gy_err_sys(err, errno, "can not read %s", name);
        }
        if (got == 0) {
            break;
        }
        n += (size_t)got;
    }
    *ret_n = n;
    return GY_OK;
}

/* CRLF becomes LF, in place. */
static size_t to_unix(char *p, size_t n)
{
    char *cr = memchr(p, '\r', n);
    if (!cr) {
        return n;
    }
    size_t out = (size_t)(cr - p);
    for (size_t i = out; i < n; i++) {
        if (!(p[i] == '\r' && i + 1 < n && p[i + 1] == '\n')) {
            p[out++] = p[i];
        }
    }
    return out;
}

gy_status gy_dvc_hash_fd(struct gy_dvc_hasher *h, int fd, const char *name, bool legacy,
                         char md5[GY_MD5_HEX], int64_t *ret_size, struct gy_err *err)
{
    int64_t size = 0;
    size_t n = 0;
    do {
        gy_status status = gy_dvc_read_piece(fd, name, h->piece, GY_DVC_PIECE, &n, err);
        if (status != GY_OK) {
            gy_hash_hex(h->hash, md5); /* the hasher starts anew */
            return status;
        }
        size += (int64_t)n;
        size_t used = legacy && gy_dvc_is_text(gy_str_n(h->piece, n)) ? to_unix(h->piece, n) : n;
        gy_hash_add(h->hash, gy_str_n(h->piece, used));
    } while (n == GY_DVC_PIECE);
    gy_hash_hex(h->hash, md5);
    if (ret_size) {
        *ret_size = size;
    }
    return GY_OK;
}
