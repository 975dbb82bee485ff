/* SPDX-License-Identifier: Apache-2.0 */
/* gy_judge: how the watcher's windows (watch/windows.h) are judged: their rows against the training
 * profile of the version's package (watch/drift.h), and why they differ (watch/diagnose.h), with
 * what labels say. A version without a profile, or one that is watched with `reference:
 * first_window`, is held against its own first window, and the result says so.
 *
 * result = {"reference": "training" | "first_window", "note", "diagnosis", and the members of
 * gy_drift_write}. On the watcher's thread. */
#ifndef GY_WATCH_JUDGE_H
#define GY_WATCH_JUDGE_H

#include "watch/join.h"
#include "watch/windows.h"

#define GY_JUDGE_MAX_PROFILES 8 /* kept in memory; beyond, the one that nobody uses goes first */

/* Zeroed but for the first two; gy_judge_done after the last window was closed. */
struct gy_judge {
    const char *cache_dir;             /* packages by digest */
    struct gy_join *join;              /* NULL: no labels */
    struct gy_judge_profile *profiles; /* read once, for all windows of their version */
};
void gy_judge_done(struct gy_judge *j);

/* self: struct gy_judge *. */
extern const struct gy_window_ops gy_judge_ops;

#endif
