/* SPDX-License-Identifier: Apache-2.0 */
/* What /metrics says about performance. */
#ifndef GY_API_PERFORMANCE_H
#define GY_API_PERFORMANCE_H

#include "api/app.h"

/* Adds families to b; works in the arena. Any thread. Fails as gy_app_join_refresh and
 * gy_join_counts. */
GY_CHECKED gy_status gy_performance_metrics(struct gy_app *app, struct gy_arena *a,
                                            struct gy_buf *b, struct gy_err *err);

#endif
