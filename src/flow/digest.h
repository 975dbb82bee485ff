/* SPDX-License-Identifier: Apache-2.0 */
/* What a dependency or output holds, by content: a file's MD5 (DVC's name for it) and SHA-256
 * (ours), or a folder's
 * ".dir" digest, byte for byte as DVC 3 computes it (the JSON list of {md5, relpath}, sorted). And
 * DVC's cache: .dvc/cache/files/md5/ab/cdef..., objects of mode 0444. Thread safe. */
#ifndef GY_FLOW_DIGEST_H
#define GY_FLOW_DIGEST_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/limits.h"

#define GY_FLOW_MAX_FILES 2000000 /* files of one folder */
#define GY_FLOW_MAX_DEPTH 64      /* folders in each other */

struct gy_flow_file {
    struct gy_str relpath; /* within the folder, with '/' */
    char md5[GY_MD5_HEX];
    char sha256[GY_SHA256_HEX];
    int64_t size_bytes;
};

struct gy_flow_entry {
    struct gy_str path;         /* as dvc.lock calls it */
    char md5[GY_MD5_HEX + 4];   /* with ".dir" for a folder */
    char sha256[GY_SHA256_HEX]; /* of a file; "" for a folder */
    int64_t size_bytes;
    int64_t n_files; /* -1: a file */
    bool is_exec;
    const struct gy_flow_file *files; /* of a folder, sorted by relpath */
    struct gy_str dir_json;           /* of a folder: the bytes its md5 is of */
};

/* Digest root/full; the entry's views live in the arena. *ret_exists false: nothing is there (no
 * failure). Fails: INVALID (a device, a link to a folder, a .dvcignore inside), UNSUPPORTED
 * (patterns in the project's .dvcignore), TOOBIG, IO, NOMEM. */
GY_CHECKED gy_status gy_flow_digest(const char *root, struct gy_str full, struct gy_str path,
                                    struct gy_arena *a, bool *ret_exists, struct gy_flow_entry *ret,
                                    struct gy_err *err);

/* Put what the entry describes into DVC's cache, unless the project is no DVC repository
 * (*ret_saved false). Objects that are there already stay. Fails: NOSPACE, DENIED, IO, NOMEM. */
GY_CHECKED gy_status gy_flow_cache(const char *root, struct gy_str full,
                                   const struct gy_flow_entry *entry, bool *ret_saved,
                                   struct gy_err *err);

#endif
