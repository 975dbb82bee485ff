/* SPDX-License-Identifier: Apache-2.0 */
/* The watcher of a server (watch/watcher.h) with all that lives on it: the join of predictions and
 * labels, the review queue, drift against the packages' profiles, and the bounds of gyre.yaml that
 * become alerts. */
#ifndef GY_API_WATCHING_H
#define GY_API_WATCHING_H

#include "api/app.h"
#include "base/json.h"

struct gy_watching;

/* Start the thread; sets app->watcher. After gy_app_serve_open, before the server. Fails: as
 * gy_watcher_start. */
GY_CHECKED gy_status gy_watching_start(struct gy_app *app, struct gy_watching **ret,
                                       struct gy_err *err);
/* Stop it; app->watcher is NULL then. After the server has ended. NULL allowed. */
void gy_watching_stop(struct gy_watching *w);
GY_DEFINE_AUTO(struct gy_watching *, gy_watching_stop);

/* "watching", "starting", "failing", "dead", "not running". Any thread. */
const char *gy_watching_state(struct gy_app *app);
/* A watcher that has stopped can not say so itself: raise its alert. Not inside a closure. */
GY_CHECKED gy_status gy_watching_check(struct gy_app *app, struct gy_err *err);
/* The loop's part of /metrics. */
GY_CHECKED gy_status gy_watching_metrics(struct gy_app *app, struct gy_arena *a, struct gy_buf *b,
                                         struct gy_err *err); /* watch_metrics.c */

#endif
