/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between the workspace and what .dvc files and dvc.lock say, in the words of `dvc
 * status`. Files that did not change since they were last hashed are not read. */
#ifndef GY_DATA_DVC_STATUS_H
#define GY_DATA_DVC_STATUS_H

#include "data/dvc/stages.h"
#include "data/dvc/tree.h"

enum gy_dvc_state {
    GY_DVC_CLEAN,
    GY_DVC_IS_NEW,      /* nothing is recorded */
    GY_DVC_IS_MODIFIED, /* the workspace has other bytes */
    GY_DVC_IS_DELETED,  /* the workspace has nothing */
    GY_DVC_NOT_IN_CACHE /* it, or a file of it, could not be checked out */
};
const char *gy_dvc_state_name(enum gy_dvc_state s); /* "not in cache" */

struct gy_dvc_finding {
    struct gy_str path; /* from the root */
    enum gy_dvc_state state;
};

struct gy_dvc_stage_status {
    const struct gy_dvc_stage *stage;
    struct gy_dvc_finding *deps, *outs; /* only what is not clean */
    size_t n_deps, n_outs;
    bool cmd_changed, always_changed;
};

/* Is the object in the cache, of a folder with all that its list names? */
GY_CHECKED gy_status gy_dvc_cached(struct gy_dvc_repo *r, const struct gy_dvc_oid *oid,
                                   struct gy_arena *a, bool *ret, struct gy_err *err);
/* Of all stages, or of those that own what targets name. Only stages with something to tell are in
 * *ret. Fails as gy_dvc_repo_outs and gy_dvc_tree. */
GY_CHECKED gy_status gy_dvc_status(struct gy_dvc_repo *r, const char *const *targets,
                                   size_t n_targets, struct gy_dvc_progress *progress,
                                   struct gy_arena *a, struct gy_dvc_stage_status **ret,
                                   size_t *ret_n, struct gy_err *err);

#endif
