/* SPDX-License-Identifier: Apache-2.0 */
/* What a dependency or output of a stage holds, by content: digests of data/dvc/tree.h in the words
 * of flow (SHA-256 is our own name for files in the lineage). Not thread safe: one repo, one owner.
 */
#ifndef GY_FLOW_DIGEST_H
#define GY_FLOW_DIGEST_H

#include "data/dvc/tree.h"

struct gy_flow_entry {
    struct gy_str path;         /* as dvc.lock calls it */
    char md5[GY_DVC_OID_HEX];   /* with ".dir" for a folder */
    char sha256[GY_SHA256_HEX]; /* of a file; "" for a folder */
    int64_t size_bytes;
    int64_t n_files; /* -1: a file */
    bool is_exec;
    const struct gy_dvc_file *files; /* of a folder, sorted by relpath */
};

/* Digest full (from the project); the entry's views live in the arena. *ret_exists false: nothing
 * is there (no failure). Fails as gy_dvc_tree. */
GY_CHECKED gy_status gy_flow_digest(struct gy_dvc_repo *r, struct gy_str full, struct gy_str path,
                                    struct gy_arena *a, bool *ret_exists, struct gy_flow_entry *ret,
                                    struct gy_err *err);

/* Put what the entry describes into DVC's cache, unless the project is no DVC repository
 * (*ret_saved false). Durable and trusted after gy_dvc_repo_settle. Fails: CONFLICT (it changed
 * since it was digested), NOSPACE, DENIED, IO, NOMEM. */
GY_CHECKED gy_status gy_flow_cache(struct gy_dvc_repo *r, struct gy_str full,
                                   const struct gy_flow_entry *entry, struct gy_arena *a,
                                   bool *ret_saved, struct gy_err *err);

#endif
