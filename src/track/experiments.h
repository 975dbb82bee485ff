/* SPDX-License-Identifier: Apache-2.0 */
/* Experiments: named groups of runs with a place for their artifacts. Id 0 is "Default" of the
 * workspace "default". Deleting is a mark: the name stays taken and the runs are marked with it.
 * Names are unique within a workspace, ids over all; what belongs to another workspace than the
 * scope's (store/scope.h) is not found. The same holds for all of this room. */
#ifndef GY_TRACK_EXPERIMENTS_H
#define GY_TRACK_EXPERIMENTS_H

#include "track/track.h"

struct gy_experiment {
    int64_t id;
    struct gy_str name, artifact_location, actor;
    bool deleted;
    int64_t created_us, updated_us;
    struct gy_tag *tags;
    size_t n_tags;
};

/* The number of the next experiment: greater than any there is or was, so that nobody who still
 * holds the number of a purged one meets another under it. Inside a write closure. */
GY_CHECKED gy_status gy_experiment_next_id(struct gy_db *db, int64_t *ret, struct gy_err *err);
/* Make "Default" when the workspace has no experiment at all. */
GY_CHECKED gy_status gy_experiments_init(struct gy_store *s, struct gy_err *err);
/* The same for a workspace that is not "default", on its first use; cheap for "default". */
GY_CHECKED gy_status gy_experiments_enter(struct gy_store *s, struct gy_err *err);
/* Clients that chose no experiment say 0: in another workspace than "default" that means its own
 * "Default". Other ids stay as they are. */
GY_CHECKED gy_status gy_experiment_resolve(struct gy_db *db, int64_t *id, struct gy_err *err);

/* location absent or empty: "mlflow-artifacts:/<id>". Fails: EXISTS (also when a deleted one has
 * the name), INVALID (name, location, tags). */
GY_CHECKED gy_status gy_experiment_create(struct gy_db *db, struct gy_str name,
                                          struct gy_str location, const struct gy_tag *tags,
                                          size_t n_tags, struct gy_str actor, struct gy_arena *a,
                                          int64_t *ret_id, struct gy_err *err);
/* Deleted ones are found too. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_experiment_get(struct gy_db *db, int64_t id, struct gy_arena *a,
                                       struct gy_experiment *ret, struct gy_err *err);
GY_CHECKED gy_status gy_experiment_get_by_name(struct gy_db *db, struct gy_str name,
                                               struct gy_arena *a, struct gy_experiment *ret,
                                               struct gy_err *err);
/* Mark it and all its runs. Fails: NOTFOUND when there is none in the other state. */
GY_CHECKED gy_status gy_experiment_set_deleted(struct gy_db *db, int64_t id, bool deleted,
                                               struct gy_err *err);
/* Fails: NOTFOUND, CONFLICT (it is deleted), EXISTS, INVALID. */
GY_CHECKED gy_status gy_experiment_rename(struct gy_db *db, int64_t id, struct gy_str name,
                                          struct gy_err *err);
/* Fails: NOTFOUND, INVALID (also when the experiment is deleted). */
GY_CHECKED gy_status gy_experiment_set_tag(struct gy_db *db, int64_t id, struct gy_str key,
                                           struct gy_str value, struct gy_err *err);
GY_CHECKED gy_status gy_experiment_delete_tag(struct gy_db *db, int64_t id, struct gy_str key,
                                              struct gy_err *err);
/* INVALID when it is deleted, NOTFOUND when there is none; *ret_location (MAY be NULL). */
GY_CHECKED gy_status gy_experiment_need_active(struct gy_db *db, int64_t id, struct gy_arena *a,
                                               struct gy_str *ret_location, struct gy_err *err);

struct gy_experiment_query {
    enum gy_view view;
    struct gy_str filter;
    const struct gy_str *order_by;
    size_t n_order_by;
    int64_t max_results; /* 1..GY_TRACK_MAX_PAGE */
    struct gy_str page_token;
};
/* *ret_token is absent on the last page. Fails: INVALID. */
GY_CHECKED gy_status gy_experiment_search(struct gy_db *db, const struct gy_experiment_query *q,
                                          struct gy_arena *a, struct gy_experiment **ret,
                                          size_t *ret_n, struct gy_str *ret_token,
                                          struct gy_err *err);

#endif
