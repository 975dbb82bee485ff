/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/digest.h"

gy_status gy_flow_digest(struct gy_dvc_repo *r, struct gy_str full, struct gy_str path,
                         struct gy_arena *a, bool *ret_exists, struct gy_flow_entry *ret,
                         struct gy_err *err)
{
    struct gy_dvc_tree t;
    struct gy_dvc_tree_options o = {.sha256 = true};
    *ret = (struct gy_flow_entry){.path = path, .n_files = -1};
    GY_TRY(gy_dvc_tree(r, full, &o, a, &t, err));
    *ret_exists = t.exists;
    if (!t.exists) {
        return GY_OK;
    }
    memcpy(ret->md5, t.oid.hex, sizeof ret->md5);
    ret->size_bytes = t.size_bytes;
    ret->is_exec = t.is_exec;
    if (t.is_dir) {
        ret->n_files = (int64_t)t.n_files;
        ret->files = t.files;
    } else {
        memcpy(ret->sha256, t.files[0].sha256, sizeof ret->sha256);
    }
    return GY_OK;
}

gy_status gy_flow_cache(struct gy_dvc_repo *r, struct gy_str full,
                        const struct gy_flow_entry *entry, struct gy_arena *a, bool *ret_saved,
                        struct gy_err *err)
{
    struct gy_dvc_tree t;
    struct gy_dvc_tree_options o = {.save = true};
    *ret_saved = false;
    if (gy_dvc_repo_is_bare(r)) {
        return GY_OK;
    }
    GY_TRY(gy_dvc_tree(r, full, &o, a, &t, err));
    if (strcmp(t.oid.hex, entry->md5) != 0) {
        return gy_err_set(err, GY_E_CONFLICT, "%" GY_STR_F " changed while it was saved",
                          GY_STR_A(full));
    }
    *ret_saved = true;
    return GY_OK;
}
