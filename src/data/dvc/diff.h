/* SPDX-License-Identifier: Apache-2.0 */
/* What differs in tracked data between two revisions, or a revision and the workspace, in the words
 * of `dvc diff`: outputs and, of folders, each file. */
#ifndef GY_DATA_DVC_DIFF_H
#define GY_DATA_DVC_DIFF_H

#include "data/dvc/repo.h"

enum gy_dvc_delta { GY_DVC_D_ADDED, GY_DVC_D_DELETED, GY_DVC_D_MODIFIED, GY_DVC_D_RENAMED };

struct gy_dvc_difference {
    enum gy_dvc_delta delta;
    struct gy_str old_path, new_path; /* a folder's ends in '/'; absent where there is none */
    struct gy_dvc_oid old_oid, new_oid;
};

/* old_rev: of git; new_rev NULL: the workspace, whose files are hashed where they changed. Sorted
 * by kind and path, all in the arena. Fails: NOTFOUND (a revision), as gy_dvc_repo_outs. */
GY_CHECKED gy_status gy_dvc_diff(struct gy_dvc_repo *r, const char *old_rev, const char *new_rev,
                                 struct gy_arena *a, struct gy_dvc_difference **ret, size_t *ret_n,
                                 struct gy_err *err);

#endif
