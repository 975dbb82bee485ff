/* SPDX-License-Identifier: Apache-2.0 */
/* What the writers of /metrics share. */
#ifndef GY_API_METRICS_INTERNAL_H
#define GY_API_METRICS_INTERNAL_H

#include "base/buf.h"
#include "serve/stats.h"

void gy_metric_family(struct gy_buf *b, const char *name, const char *type, const char *help);
void gy_metric_number(struct gy_buf *b, double v); /* the value and the end of the line */
/* A family of one value without labels. */
void gy_metric_one(struct gy_buf *b, const char *name, const char *type, const char *help,
                   double v);

/* The counters of endpoints under the names that dashboards of Triton, Seldon, KServe and MLServer
 * ask for (docs/metrics.md says which, and what they can not tell). */
void gy_metrics_peers(struct gy_buf *b, const struct gy_endpoint_stats *all);

/* The machine: processors, memory, load, and graphics processors where NVML is there. */
void gy_metrics_host(struct gy_buf *b);

#endif
