/* SPDX-License-Identifier: Apache-2.0 */
/* What of a project is watched and how: the sections `watch`, `triggers` and `notify` of gyre.yaml
 * as `gyre watch apply` stored them. This room reads `watch`; `triggers` and `notify` are kept as
 * they are for their owners. An endpoint that no project watches has the defaults.
 *
 *   watch:
 *     reference: training            # or first_window
 *     window: {rows: 1000}           # rows of an endpoint's version that make a window
 *     drift: {share: 0.5, features: {Temp: {test: wasserstein, threshold: 0.1}}}  # watch/drift.h
 *     on_drift: alert                # or retrain: said in the event, for triggers
 *     performance: {rows: 1000}      # the newest labelled rows that bounds are held against
 *     recall_min: 0.75               # of the combined answers; absent: no bound
 *     rule_precision_min: 0.9        # absent: only a fall is told
 *     labels_min: 0.2                # share of predictions with a label; absent: no bound
 *     review_max: 1000               # open review items; absent: no bound
 *     lag_max_seconds: 30            # how far the watcher may be behind */
#ifndef GY_WATCH_CONFIG_H
#define GY_WATCH_CONFIG_H

#include "base/json.h"
#include "store/store.h"
#include "watch/drift.h"

#define GY_WATCH_MAX_PROJECTS 1000
#define GY_WATCH_MAX_ENDPOINTS 1000 /* of a project */
#define GY_WATCH_MAX_SECTIONS (1 * GY_MIB)
#define GY_WATCH_MAX_ROWS 1000000 /* of a window */
#define GY_WATCH_MIN_ROWS 10

enum gy_watch_reference { GY_WATCH_TRAINING, GY_WATCH_FIRST_WINDOW };

struct gy_watch_settings {
    enum gy_watch_reference reference;
    int64_t window_rows;
    struct gy_drift_options drift;
    bool retrain; /* on_drift */
    int64_t performance_rows;
    double recall_min, rule_precision_min, labels_min; /* NaN: no bound */
    int64_t review_max;                                /* 0: no bound */
    double lag_max_seconds;
};
void gy_watch_settings_init(struct gy_watch_settings *s); /* the defaults */
/* The section `watch` as JSON; NULL: the defaults. Names and lists are views into section or lie in
 * the arena. Fails: INVALID naming what is wrong, with a hint; NOMEM. */
GY_CHECKED gy_status gy_watch_settings_read(yyjson_val *section, struct gy_arena *a,
                                            struct gy_watch_settings *ret, struct gy_err *err);

struct gy_watch_config {
    struct gy_str project, folder, actor;
    struct gy_str endpoints; /* JSON array of names */
    struct gy_str sections;  /* JSON object: watch, triggers, notify; absent ones are not there */
    int64_t created_us, updated_us;
};
/* Inside closures; results live in the arena. */
/* Store, or replace what the project had. Fails: INVALID (the watch section, no name), TOOBIG. */
GY_CHECKED gy_status gy_watch_config_put(struct gy_db *db, const struct gy_watch_config *c,
                                         struct gy_err *err);
/* All, the newest change first: where two projects name one endpoint, the first of them counts. */
GY_CHECKED gy_status gy_watch_config_list(struct gy_db *db, struct gy_arena *a,
                                          struct gy_watch_config **ret, size_t *ret_n,
                                          struct gy_err *err);
/* Of one project. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_watch_config_get(struct gy_db *db, struct gy_str project,
                                         struct gy_arena *a, struct gy_watch_config *ret,
                                         struct gy_err *err);
/* Does the project watch this endpoint? */
bool gy_watch_config_has(const struct gy_watch_config *c, struct gy_str endpoint);

#endif
