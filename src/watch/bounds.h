/* SPDX-License-Identifier: Apache-2.0 */
/* gy_bounds: what a project's `watch` section bounds besides drift, looked at every few seconds and
 * told as alerts: recall of the combined answers, precision of the rules (also when it fell without
 * a bound), share of predictions with a label, length of the review queue, lag of the watcher.
 * A share is told only when its whole interval (95 %, at each look) is beyond the bound, so that a
 * handful of labels raises nothing. Looks are many: a share that lies right at its bound will be
 * told now and then, and cleared again. Labels are taken as they come: where reviewers see chosen
 * rows only (policies uncertain, mixed), the shares are of those rows. On the watcher's thread. */
#ifndef GY_WATCH_BOUNDS_H
#define GY_WATCH_BOUNDS_H

#include "watch/join.h"
#include "watch/watcher.h"

#define GY_BOUNDS_EVERY_MS 2000
#define GY_BOUNDS_FALL 0.05 /* precision of rules: a smaller fall is not told */
#define GY_BOUNDS_MAX 10000 /* alerts that are kept in mind */

struct gy_bounds;

/* All must outlive it. Fails: NOMEM. */
GY_CHECKED gy_status gy_bounds_new(struct gy_store *store, struct gy_shapes *shapes,
                                   struct gy_join *join, struct gy_bounds **ret,
                                   struct gy_err *err);
void gy_bounds_free(struct gy_bounds *b);
GY_DEFINE_AUTO(struct gy_bounds *, gy_bounds_free);
/* As a gy_watch_hook: self is the gy_bounds. */
gy_status gy_bounds_tick(void *self, struct gy_watcher *w, bool fresh, struct gy_err *err);

#endif
