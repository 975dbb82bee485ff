/* SPDX-License-Identifier: Apache-2.0 */
/* How this process is, for readiness probes, /metrics and the status page. Any thread. */
#ifndef GY_API_HEALTH_H
#define GY_API_HEALTH_H

#include "api/app.h"
#include "base/json.h"

/* Readiness goes false below this, before writes fail. GYRE_DISK_MIN_MB replaces it. */
#define GY_DISK_MIN_MB 64

struct gy_process_stats {
    int64_t rss_bytes, virtual_bytes, threads, open_fds, max_fds;
    double cpu_seconds;
};
void gy_process_get_stats(struct gy_process_stats *ret);

struct gy_disk_stats {
    int64_t free_bytes, total_bytes; /* of the file system of the home; -1: not known */
    int64_t min_bytes;
};
void gy_disk_get_stats(const struct gy_app *app, struct gy_disk_stats *ret);

/* May new work be sent here? false with the reason: draining, low disk, the log can not be written.
 */
bool gy_api_ready(const struct gy_app *app, const char **ret_reason);

/* {"error": "..."}: the error style of inference routes. */
GY_CHECKED gy_status gy_inference_errors(struct gy_request *req, struct gy_reply *reply,
                                         const struct gy_err *failed, struct gy_err *err);

#endif
