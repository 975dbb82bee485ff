/* SPDX-License-Identifier: Apache-2.0 */
/* Between trigger.c and trigger_look.c: rows, events and starts of triggers. Inside store closures.
 */
#ifndef GY_FLOW_TRIGGER_INTERNAL_H
#define GY_FLOW_TRIGGER_INTERNAL_H

#include "flow/trigger.h"

/* What an event about a trigger says besides it. */
struct gy_trigger_told {
    struct gy_str reason, job, features_json;
    int64_t event_seq; /* 0: none */
};

/* `where` is a constant of ours. */
GY_CHECKED gy_status gy_trigger_select(struct gy_db *db, const char *where,
                                       const struct gy_val *vals, size_t n_vals, struct gy_arena *a,
                                       struct gy_trigger **ret, size_t *ret_n, struct gy_err *err);
GY_CHECKED gy_status gy_trigger_tell(struct gy_db *db, const char *kind, const struct gy_trigger *t,
                                     const struct gy_trigger_told *told, struct gy_str actor,
                                     struct gy_err *err);
/* A queued job and the event trigger.fired; *ret_started false: as gy_job_add, ret_job names the
 * one in the way. */
GY_CHECKED gy_status gy_trigger_start(struct gy_db *db, const struct gy_trigger *t,
                                      const struct gy_trigger_told *why, struct gy_str dedupe_key,
                                      struct gy_str actor, int64_t now_us, bool *ret_started,
                                      char *ret_job, struct gy_err *err);

#endif
