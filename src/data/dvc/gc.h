/* SPDX-License-Identifier: Apache-2.0 */
/* Removing objects that nothing names any more, from the cache and where asked from a remote. What
 * any of the chosen revisions or the workspace names stays, and so does all that a folder's list
 * names; when such a list can not be read nothing is removed. */
#ifndef GY_DATA_DVC_GC_H
#define GY_DATA_DVC_GC_H

#include "data/dvc/remote.h"
#include "data/dvc/revisions.h"

struct gy_dvc_gc_options {
    struct gy_dvc_scope scope;   /* over the workspace, which always counts */
    const char *const *projects; /* other repositories that share the cache; the same scope */
    size_t n_projects;
    struct gy_dvc_remote *remote; /* MAY be NULL: the cache alone */
    bool apply;                   /* false: only the plan */
};

struct gy_dvc_gc_side {
    int64_t n_objects, n_unused, unused_bytes, n_removed;
};

struct gy_dvc_gc {
    int64_t n_used, n_revisions;
    struct gy_dvc_gc_side cache, remote;
};

/* The caller holds r's lock. Fails: CONFLICT (a list that is needed is nowhere), as gy_dvc_commits,
 * gy_dvc_named_by and the remote. */
GY_CHECKED gy_status gy_dvc_gc(struct gy_dvc_repo *r, const struct gy_dvc_gc_options *o,
                               struct gy_dvc_gc *ret, struct gy_err *err);

#endif
