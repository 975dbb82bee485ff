/* SPDX-License-Identifier: Apache-2.0 */
/* Import: entities of another store, put here with their own ids, times, users and lifecycle. Every
 * function is safe to repeat: what is there is brought up to what the source says, nothing is there
 * twice. An import is known by the name of its source; its items remember what they were when they
 * came (fingerprint) and how much of them there was, so that a repeat passes over what has not
 * changed and the end can compare. All run inside write closures but those that say otherwise.
 * Messages name the entity. */
#ifndef GY_TRACK_IMPORT_H
#define GY_TRACK_IMPORT_H

#include "track/transfer.h"

#define GY_IMPORT_MAX_SOURCE 4096    /* bytes of a source's name */
#define GY_IMPORT_MAX_DIFFERENT 1000 /* differing items that are named */

/* The number of the import from this source, made when there is none. */
GY_CHECKED gy_status gy_import_open(struct gy_db *db, struct gy_str source, struct gy_str actor,
                                    int64_t *ret_import, struct gy_err *err);
/* The same, but NOTFOUND when there is none; inside any closure. */
GY_CHECKED gy_status gy_import_find(struct gy_db *db, struct gy_str source, int64_t *ret_import,
                                    struct gy_err *err);

/* Where an experiment went. An experiment keeps its id when that is free. One of the same name that
 * is here already takes its runs in. "Default" (id 0), as long as nothing is in it, gives way. */
enum gy_import_place { GY_IMPORT_KEPT, GY_IMPORT_MERGED, GY_IMPORT_NUMBERED };
/* e->artifact_location absent: "mlflow-artifacts:/<id>". *ret_id: its number here. Fails: INVALID.
 */
GY_CHECKED gy_status gy_import_experiment(struct gy_db *db, int64_t import,
                                          const struct gy_experiment *e, struct gy_str actor,
                                          struct gy_arena *a, int64_t *ret_id,
                                          enum gy_import_place *ret_place, struct gy_err *err);
/* experiment_id is the number here. Its points come by gy_metrics_log. Fails: NOTFOUND
 * (experiment), CONFLICT (the run is in another experiment), INVALID. */
GY_CHECKED gy_status gy_import_run(struct gy_db *db, const struct gy_run *r, struct gy_str actor,
                                   struct gy_err *err);
/* Fails: NOTFOUND (no such run), INVALID. */
GY_CHECKED gy_status gy_import_points(struct gy_db *db, const struct gy_transfer_points *p,
                                      struct gy_err *err);
/* Fails: NOTFOUND (experiment), CONFLICT (it is in another experiment). */
GY_CHECKED gy_status gy_import_logged(struct gy_db *db, const struct gy_logged_model *m,
                                      struct gy_str actor, struct gy_err *err);
GY_CHECKED gy_status gy_import_model(struct gy_db *db, const struct gy_registered_model *m,
                                     struct gy_str actor, struct gy_err *err);
/* The number is kept, and a deleted one's number stays taken. v.actor absent: actor. Its digest is
 * taken when its files are here. Fails: NOTFOUND (model), EXISTS (another version has the number).
 */
GY_CHECKED gy_status gy_import_version(struct gy_db *db, const struct gy_transfer_version *v,
                                       struct gy_str actor, struct gy_err *err);

struct gy_import_item {
    struct gy_str kind, id, fingerprint;
    int64_t n_params, n_tags, n_points, n_links;
};
/* Remember that all of an item is here. */
GY_CHECKED gy_status gy_import_note(struct gy_db *db, int64_t import,
                                    const struct gy_import_item *item, struct gy_err *err);
/* *ret_found: it came in before and is still here. Inside any closure. */
GY_CHECKED gy_status gy_import_known(struct gy_db *db, int64_t import, struct gy_str kind,
                                     struct gy_str id, struct gy_arena *a, bool *ret_found,
                                     struct gy_import_item *ret, struct gy_err *err);

/* ---- the comparison (import_counts.c), inside any closure ---- */

struct gy_import_counts {
    int64_t params, tags, points, links;
};
struct gy_import_check {
    struct gy_str kind, id;
    int64_t experiment; /* its number here; -1: none */
    bool present;
    struct gy_import_counts expected, stored;
};
/* Called for each item of an import with what came and what is stored now; views live during the
 * call. A failing one ends the walk. */
typedef gy_status (*gy_import_check_fn)(void *ctx, const struct gy_import_check *c,
                                        struct gy_err *err);
GY_CHECKED gy_status gy_import_compare(struct gy_db *db, int64_t import, gy_import_check_fn fn,
                                       void *ctx, struct gy_err *err);
/* Is less of it stored than came? (More: it was written to here.) */
bool gy_import_lacks(const struct gy_import_check *c);

#endif
