/* SPDX-License-Identifier: Apache-2.0 */
/* DVC's run cache: what a stage with this command, these dependencies and parameters gave before,
 * in <cache>/runs/<k[:2]>/<k>/<v>. Entries are those of dvc.lock. A stage that ran on another
 * branch, under either program, need not run again. */
#ifndef GY_DATA_DVC_RUNCACHE_H
#define GY_DATA_DVC_RUNCACHE_H

#include "base/yaml.h"
#include "data/dvc/repo.h"

/* SHA-256 of the entry (a map: cmd, deps, params, outs) as Python's JSON, without sizes and numbers
 * of files; as a key with the paths of its outputs only. Fails: INVALID, NOMEM. */
GY_CHECKED gy_status gy_dvc_run_hash(const struct gy_yaml_node *entry, bool as_key,
                                     char ret[GY_SHA256_HEX], struct gy_err *err);
/* Store the entry; one that is there stays. Its outputs are in the cache, those with `cache: false`
 * too. Fails: NOSPACE, DENIED, IO, NOMEM. */
GY_CHECKED gy_status gy_dvc_run_save(struct gy_dvc_repo *r, const struct gy_yaml_node *entry,
                                     struct gy_err *err);
/* The newest entry for what this one says besides the digests of its outputs. *ret NULL: none, or
 * none that can be read. The root of *ret is the entry. */
GY_CHECKED gy_status gy_dvc_run_find(struct gy_dvc_repo *r, const struct gy_yaml_node *entry,
                                     struct gy_yaml **ret, struct gy_err *err);

#endif
