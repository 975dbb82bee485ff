/* SPDX-License-Identifier: Apache-2.0 */
/* Events: what happened, append-only (but for what erases a person), numbered; how a lower room
 * tells a higher one (watch appends "drift.detected", flow's triggers read it). */
#ifndef GY_STORE_EVENTS_H
#define GY_STORE_EVENTS_H

#include "store/store.h"

#define GY_EVENT_LIST_MAX 10000 /* events a call */

struct gy_event {
    int64_t seq, time_us;
    struct gy_str kind;    /* "endpoint.deployed" */
    struct gy_str subject; /* a lineage node */
    struct gy_str actor;
    struct gy_str data; /* JSON object */
};
GY_CHECKED gy_status gy_event_add(struct gy_db *db, const char *kind, struct gy_str subject,
                                  struct gy_str actor, struct gy_str data_json, struct gy_err *err);
/* What an erasure may change: the data of events of that kind about `subject` whose data holds the
 * text `part` (an id: letters, digits and "-") becomes data_json. Of any workspace. Fails as the
 * store does. */
GY_CHECKED gy_status gy_event_replace(struct gy_db *db, const char *kind, struct gy_str subject,
                                      struct gy_str part, struct gy_str data_json,
                                      struct gy_err *err);
/* Events with seq > after whose kind starts with prefix ("" = all), oldest first, at most max; in
 * the arena. */
GY_CHECKED gy_status gy_event_list(struct gy_db *db, int64_t after, const char *prefix, size_t max,
                                   struct gy_arena *a, struct gy_event **ret, size_t *ret_n,
                                   struct gy_err *err);

#endif
