/* SPDX-License-Identifier: Apache-2.0 */
/* What a dirty working tree has beside its commit, as one text that `git apply` takes on a clean
 * checkout of that commit: the changes of tracked text files, and untracked text files that git
 * does not ignore. What does not fit or must not travel is named in comments at its head, binary
 * files by their SHA-256:
 *
 *   # gyre: the working tree beside commit <40 hex>; git checkout <40 hex> && git apply <this file>
 *   # binary: images/a.png sha256 <64 hex> 1234 bytes
 *   # left out: notes.bin 300000 bytes (over 262144)
 *   # left out: .env 34 bytes (may hold secrets)
 *   diff --git a/train.py b/train.py
 *   ... */
#ifndef GY_FLOW_PATCH_H
#define GY_FLOW_PATCH_H

#include "base/limits.h"
#include "data/git.h"

#define GY_PATCH_MAX_BYTES (16 * GY_MIB) /* of the whole text */
#define GY_PATCH_MAX_FILE (256 * 1024)   /* of an untracked file, bytes */
#define GY_PATCH_MAX_FILES 1000          /* untracked files, and binary ones, each */
#define GY_PATCH_NAME "code/dirty.patch" /* the artifact of the run */

struct gy_patch {
    bool dirty;       /* the tree differs; else nothing was written */
    size_t n_binary;  /* files that are only named */
    size_t n_omitted; /* files that were left out */
};
/* revision: as gy_git_revision gave it; without "+dirty" nothing happens. Fails: TOOBIG (the
 * changes are more than the text may be), IO, NOMEM, FAILED (git did not answer). */
GY_CHECKED gy_status gy_flow_code_patch(const char *dir, const char *revision, struct gy_buf *out,
                                        struct gy_patch *ret, struct gy_err *err);

#endif
