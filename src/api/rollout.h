/* SPDX-License-Identifier: Apache-2.0 */
/* What rollouts add to the answers of endpoints. */
#ifndef GY_API_ROLLOUT_H
#define GY_API_ROLLOUT_H

#include "base/json.h"
#include "serve/serving.h"

/* "warmup": [{"version", "rows", ...}] of the versions that are served now; serving MAY be NULL.
 * Any thread. */
void gy_rollout_write_warmup(struct gy_jw *w, struct gy_serving *serving, struct gy_str name);

#endif
