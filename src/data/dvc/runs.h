/* SPDX-License-Identifier: Apache-2.0 */
/* DVC's run cache between a cache and a remote: runs/ab/<key>/<value>, small YAML files that say
 * what a command made of what. */
#ifndef GY_DATA_DVC_RUNS_H
#define GY_DATA_DVC_RUNS_H

#include "data/dvc/remote.h"

#define GY_DVC_MAX_RUN (4 * GY_MIB) /* bytes of one */
#define GY_DVC_MAX_RUNS 1000000

/* What the other side has not. Files are the same when their names are. Fails: as the remote. */
GY_CHECKED gy_status gy_dvc_push_runs(const struct gy_dvc_repo *r, struct gy_dvc_remote *remote,
                                      int jobs, int64_t *ret_n, struct gy_err *err);
GY_CHECKED gy_status gy_dvc_fetch_runs(const struct gy_dvc_repo *r, struct gy_dvc_remote *remote,
                                       int jobs, int64_t *ret_n, struct gy_err *err);

#endif
