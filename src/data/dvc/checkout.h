/* SPDX-License-Identifier: Apache-2.0 */
/* gy_dvc_checkout with all that it can be told and tells. */
#ifndef GY_DATA_DVC_CHECKOUT_H
#define GY_DATA_DVC_CHECKOUT_H

#include "data/dvc/tree.h"

struct gy_dvc_checkout_options {
    bool force;                       /* replace what no cache holds */
    bool relink;                      /* make links anew where they are not as cache.type says */
    struct gy_dvc_progress *progress; /* MAY be NULL */
};

enum gy_dvc_change { GY_DVC_SAME, GY_DVC_ADDED, GY_DVC_MODIFIED, GY_DVC_DELETED };

struct gy_dvc_changes {
    enum gy_dvc_change *outs;              /* one for each output, in the arena */
    size_t n_added, n_modified, n_deleted; /* files */
};

/* All is looked at before anything is touched. Fails: NOTFOUND (an object is not in the cache),
 * CONFLICT (something would be lost), and as gy_dvc_tree. */
GY_CHECKED gy_status gy_dvc_checkout_with(struct gy_dvc_repo *r, const struct gy_dvc_out *outs,
                                          size_t n, const struct gy_dvc_checkout_options *o,
                                          struct gy_arena *a, struct gy_dvc_changes *ret,
                                          struct gy_err *err);

#endif
