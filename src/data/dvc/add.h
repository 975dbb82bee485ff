/* SPDX-License-Identifier: Apache-2.0 */
/* Tracking: `add`, `commit`, `remove` and `unprotect` of paths and outputs. The caller holds the
 * repository's lock. */
#ifndef GY_DATA_DVC_ADD_H
#define GY_DATA_DVC_ADD_H

#include "data/dvc/tree.h"

struct gy_dvc_add_options {
    const char *file; /* name of the .dvc file, in the output's folder; NULL: "<name>.dvc" */
    bool no_commit;   /* nothing goes into the cache */
    bool no_relink;   /* the workspace stays as it is, whatever cache.type says */
    struct gy_dvc_progress *progress; /* MAY be NULL */
};

struct gy_dvc_added {
    struct gy_str path, file; /* from the root, in the arena */
    struct gy_dvc_oid oid;
    int64_t size_bytes, n_files; /* n_files -1: a file */
    bool changed;                /* the .dvc file is new or another one now */
    bool empty;
};

/* Track path (as the user named it): a file or folder that is new, or one that is tracked by a .dvc
 * file already, or something inside such a folder (then only that part of it is looked at). Writes
 * the .dvc file and .gitignore after the cache is on disk. Fails: NOTFOUND, INVALID (ignored, part
 * of a stage's output, inside a link, above an output, in git), CONFLICT, as gy_dvc_tree. */
GY_CHECKED gy_status gy_dvc_add(struct gy_dvc_repo *r, const char *path,
                                const struct gy_dvc_add_options *o, struct gy_arena *a,
                                struct gy_dvc_added *ret, struct gy_err *err);
/* Bring what is in the workspace now into the cache and the .dvc file of an output. */
GY_CHECKED gy_status gy_dvc_commit(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                                   const struct gy_dvc_add_options *o, struct gy_arena *a,
                                   struct gy_dvc_added *ret, struct gy_err *err);
/* Stop tracking what a .dvc file names: the file and its lines of .gitignore go; with outs the data
 * in the workspace, too. The cache stays. Fails: CONFLICT (no cache holds some of the data, and
 * force is not given: nothing was removed), INVALID (behind a link). */
GY_CHECKED gy_status gy_dvc_remove(struct gy_dvc_repo *r, struct gy_str file, bool outs, bool force,
                                   struct gy_arena *a, struct gy_err *err);
/* Files of one's own instead of links to the cache. *ret_n: files looked at. */
GY_CHECKED gy_status gy_dvc_unprotect(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                                      struct gy_arena *a, size_t *ret_n, struct gy_err *err);

#endif
