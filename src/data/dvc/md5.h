/* SPDX-License-Identifier: Apache-2.0 */
/* The MD5 of a file as DVC computes it: 3.x over its bytes; 2.x ("md5-dos2unix") with CRLF made LF
 * in each piece of 1 MiB that looks like text. A hasher belongs to one thread. */
#ifndef GY_DATA_DVC_MD5_H
#define GY_DATA_DVC_MD5_H

#include "base/hash.h"
#include "base/limits.h"

#define GY_DVC_PIECE GY_MIB /* DVC's chunk: what is text is decided for each */

struct gy_dvc_hasher {
    struct gy_hash *hash;
    char *piece; /* GY_DVC_PIECE bytes */
};

GY_CHECKED gy_status gy_dvc_hasher_init(struct gy_dvc_hasher *h, struct gy_err *err); /* NOMEM */
void gy_dvc_hasher_done(struct gy_dvc_hasher *h); /* zeroed is fine */
GY_DEFINE_AUTO_DONE(struct gy_dvc_hasher, gy_dvc_hasher_done);

/* Of what fd gives from where it stands; name is for messages. *ret_size (MAY be NULL): bytes
 * read. Fails: IO. */
GY_CHECKED gy_status gy_dvc_hash_fd(struct gy_dvc_hasher *h, int fd, const char *name, bool legacy,
                                    char md5[GY_MD5_HEX], int64_t *ret_size, struct gy_err *err);
/* The next piece of a file, whole unless the file ends: n < size is its end. Fails: IO. */
GY_CHECKED gy_status gy_dvc_read_piece(int fd, const char *name, char *piece, size_t size,
                                       size_t *ret_n, struct gy_err *err);
/* Does a piece look like text to DVC? By its first 512 bytes. */
bool gy_dvc_is_text(struct gy_str piece);

#endif
