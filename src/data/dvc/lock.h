/* SPDX-License-Identifier: Apache-2.0 */
/* DVC's second lock, .dvc/tmp/rwlock: which process reads or writes which path while the repository
 * itself is not locked (`dvc repro` while a command runs). Asked and written under the first one.
 */
#ifndef GY_DATA_DVC_LOCK_H
#define GY_DATA_DVC_LOCK_H

#include "data/dvc/repo.h"

void gy_dvc_repo_unlock(struct gy_dvc_repo *r); /* nothing when it is not held */

/* As gy_dvc_repo_lock, and until no live process but ours uses one of the paths (from the root)
 * against us: writers of what we read, readers and writers of what we write. Meanwhile the lock is
 * given back, for they need it to end; *ret_waited says so: what was read of
 * the repository before may be old then. Fails: BUSY (names the process), PARSE, IO. */
GY_CHECKED gy_status gy_dvc_repo_lock_paths(struct gy_dvc_repo *r, const struct gy_str *reads,
                                            size_t n_reads, const struct gy_str *writes,
                                            size_t n_writes, int64_t wait_ms, bool *ret_waited,
                                            struct gy_err *err);
/* Say (on) or no longer say (off) in the rwlock file that this process uses the paths; the lock is
 * held. For work during which it is not. */
GY_CHECKED gy_status gy_dvc_repo_claim(struct gy_dvc_repo *r, const struct gy_str *reads,
                                       size_t n_reads, const struct gy_str *writes, size_t n_writes,
                                       const char *cmd, bool on, struct gy_err *err);

#endif
