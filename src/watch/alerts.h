/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts: something that a person should look at. At most one fires for a (kind, endpoint,
 * subject); it is cleared when what it says no longer holds, and stays in the table. A person may
 * acknowledge it: seen, with a reason; it goes on firing. Each raising and clearing is an event.
 *
 *   kind             subject       when
 *   drift            version       the newest window differs from its reference
 *   sensor           feature       ... and it looks like a sensor's offset: retraining does not
 * cure it rule_precision   version       rules are right less often than they were, or than the
 * bound recall           version       recall is below the bound, even the upper end of its
 * interval labels           version       too few predictions have got a label review_queue     ""
 * too many items wait for a reviewer log_lag          ""            the watcher is behind watcher
 * ""            the watcher fails, or has stopped */
#ifndef GY_WATCH_ALERTS_H
#define GY_WATCH_ALERTS_H

#include "store/store.h"

#define GY_ALERTS_LIST_MAX 10000

struct gy_alert {
    int64_t id;
    struct gy_str kind, endpoint, subject, state, text, data;    /* data: JSON object */
    struct gy_str actor;                                         /* who raised it */
    int64_t created_us, updated_us, cleared_us, acknowledged_us; /* 0: not */
    struct gy_str cleared_by, acknowledged_by, acknowledge_reason;
};

/* All inside closures. */
/* It holds now: raised, or, where it fires already, its text and data are brought up to date.
 * a->kind, endpoint, subject, text, data, actor are read. *ret_raised (MAY be NULL): it is new. */
GY_CHECKED gy_status gy_alert_raise(struct gy_db *db, const struct gy_alert *a, bool *ret_raised,
                                    struct gy_err *err);
/* It does not hold now: the one of this (kind, endpoint, subject) is cleared, or with an absent
 * subject all of this kind and endpoint but `keep` (absent: all). */
GY_CHECKED gy_status gy_alert_clear(struct gy_db *db, const char *kind, struct gy_str endpoint,
                                    struct gy_str subject, struct gy_str keep, struct gy_str actor,
                                    struct gy_err *err);
/* Fails: NOTFOUND, CONFLICT (cleared), UNAUTHENTICATED (anonymous), INVALID (no reason). */
GY_CHECKED gy_status gy_alert_acknowledge(struct gy_db *db, int64_t id, struct gy_str actor,
                                          struct gy_str reason, struct gy_err *err);
/* The newest max, firing ones first; all: cleared ones too; endpoint absent: of all. In the arena.
 */
GY_CHECKED gy_status gy_alert_list(struct gy_db *db, struct gy_str endpoint, bool all, size_t max,
                                   struct gy_arena *a, struct gy_alert **ret, size_t *ret_n,
                                   struct gy_err *err);

#endif
