/* SPDX-License-Identifier: Apache-2.0 */
/* A stage and DVC's run cache: what ran before with the same command, dependencies and parameters,
 * here or on another branch, by Gyre or by DVC, is brought back instead of run. The repository's
 * lock is held. */
#ifndef GY_FLOW_CACHED_H
#define GY_FLOW_CACHED_H

#include "flow/lock.h"

/* Bring the outputs of an earlier run back, when there was one and the cache holds all of them.
 * *ret: it did so. */
GY_CHECKED gy_status gy_flow_restore_run(const struct gy_flow *f, const struct gy_flow_stage *s,
                                         const struct gy_flow_state *st, struct gy_arena *a,
                                         bool *ret, struct gy_err *err);
/* Store what the stage gave, its outputs that DVC keeps no copy of included. Nothing where DVC
 * would store nothing: without a repository, for a stage that is always_changed, has no outputs or
 * nothing it depends on, or an output that persists. */
GY_CHECKED gy_status gy_flow_remember_run(const struct gy_flow *f, const struct gy_flow_stage *s,
                                          const struct gy_flow_state *st, struct gy_arena *a,
                                          struct gy_err *err);

#endif
