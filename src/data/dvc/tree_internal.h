/* SPDX-License-Identifier: Apache-2.0 */
/* Between listing a folder (walk.c), hashing it (tree.c) and the way into the cache (save.c). */
#ifndef GY_DATA_DVC_TREE_INTERNAL_H
#define GY_DATA_DVC_TREE_INTERNAL_H

#include <sys/stat.h>

#include "data/dvc/md5.h"
#include "data/dvc/repo_internal.h"
#include "data/dvc/stat.h"
#include "data/dvc/tree.h"

/* The files of the folder at path (from the root; it is open as folder_fd), relpaths only, sorted.
 */
GY_CHECKED gy_status gy_dvc_walk(struct gy_dvc_repo *r, struct gy_str path, int folder_fd,
                                 struct gy_arena *a, struct gy_dvc_file **ret, size_t *ret_n,
                                 struct gy_err *err);

/* The stat cache, opened on first use; by the repository's owner before threads start. */
GY_CHECKED gy_status gy_dvc_repo_stats(struct gy_dvc_repo *r, struct gy_dvc_stats **ret,
                                       struct gy_err *err);

/* ---- into the cache; thread safe ---- */

/* What is needed to put many objects in: folders held open. */
struct gy_dvc_saver {
    struct gy_dvc_repo *r;
    bool legacy;
    atomic_int dirs[256]; /* of the first two digits, opened on first use; -1 */
    atomic_bool no_clone; /* the file systems can not share extents */
    enum { GY_DVC_BY_COPY, GY_DVC_BY_LINK } how; /* BY_LINK: cache.type begins with a link */
};
void gy_dvc_saver_init(struct gy_dvc_saver *s, struct gy_dvc_repo *r, bool legacy);
void gy_dvc_saver_done(struct gy_dvc_saver *s);

/* Is the object there (of this size, unless -1) and to be trusted, or of this very run? */
GY_CHECKED gy_status gy_dvc_saver_has(struct gy_dvc_saver *s, const char *md5, int64_t size_bytes,
                                      bool *ret, struct gy_err *err);
/* Bytes whose digest is `hex` (with ".dir" for a list). */
GY_CHECKED gy_status gy_dvc_save_bytes(struct gy_dvc_saver *s, const char *hex, struct gy_str bytes,
                                       struct gy_err *err);
/* The file that is open as fd (its stat is st, its name is at/name for links): hash it into md5 and
 * sha256 (MAY be NULL) and save it, reading it once. */
GY_CHECKED gy_status gy_dvc_save_file(struct gy_dvc_saver *s, struct gy_dvc_hasher *h,
                                      struct gy_hash *sha256, int fd, const struct stat *st, int at,
                                      const char *name, char md5[GY_MD5_HEX], char *sha256_hex,
                                      struct gy_err *err);
/* Both digests of what fd gives. */
GY_CHECKED gy_status gy_dvc_hash_both(struct gy_dvc_hasher *h, struct gy_hash *sha256, int fd,
                                      const char *name, char md5[GY_MD5_HEX], char *sha256_hex,
                                      struct gy_err *err);
/* Copy all of one open file into another: shared extents where the file system can, else by the
 * kernel, else by hand. */
GY_CHECKED gy_status gy_dvc_copy_fd(int from, int to, int64_t size_bytes, const char *name,
                                    struct gy_err *err);
/* Share the extents; false when that is not possible here. */
bool gy_dvc_clone_fd(int from, int to);

#endif
