/* SPDX-License-Identifier: Apache-2.0 */
/* gy_trigger: what starts a job (flow/job.h) by itself. In gyre.yaml:
 *
 *   triggers:
 *     - {name: drift, on: drift.detected, run: [retrain], cooldown: 1h, endpoint: sepsis, canary:
 * 10%}
 *     - {name: reviews, on: {reviews: 500}, run: [retrain]}     # so many verdicts since it last
 * fired
 *     - {name: nightly, on: {every: 1d}, run: [retrain]}
 *
 * gy_triggers_look reads the events after its cursor, which is kept in the same transaction as the
 * jobs that come of them: an event starts at most one job a trigger, whatever is killed when. What
 * does not start is told as event `trigger.refused` with its reason: within the cooldown, while a
 * job of the trigger is open, and a drift that retraining can not cure. That is a rule of this
 * file: a `drift.detected` starts a job only when its cause is `population` and it does not say
 * "may_retrain": false; a sensor that lies would teach the model its lie, so a person has to say so
 * (gy_trigger_fire). Functions on db run inside a store closure; results live in the arena. */
#ifndef GY_FLOW_TRIGGER_H
#define GY_FLOW_TRIGGER_H

#include "base/json.h"
#include "store/store.h"

#define GY_TRIGGER_MAX 100              /* of one project */
#define GY_TRIGGER_LIST_MAX 10000       /* of all */
#define GY_TRIGGER_MAX_STAGES 50        /* that one names */
#define GY_TRIGGER_MAX_SPEC (64 * 1024) /* bytes of JSON */
#define GY_TRIGGER_LOOK_MAX 1000        /* events of one look */

enum gy_trigger_on { GY_ON_EVENT, GY_ON_REVIEWS, GY_ON_EVERY };

/* One entry of `triggers`; texts in an arena. */
struct gy_trigger_spec {
    struct gy_str name;
    enum gy_trigger_on on;
    struct gy_str event; /* GY_ON_EVENT: "drift.detected" */
    int64_t reviews;     /* GY_ON_REVIEWS */
    int64_t every_us;    /* GY_ON_EVERY */
    const struct gy_str *stages;
    size_t n_stages;
    int64_t cooldown_us;
    struct gy_str model;    /* absent: the one that the job registers */
    struct gy_str endpoint; /* absent: nothing is deployed */
    double canary;          /* share of the traffic at first; 0: all at once */
};
/* Read and check. Fails: INVALID, naming the trigger, with a hint for a key or a word that is near
 * a known one; NOMEM. */
GY_CHECKED gy_status gy_trigger_parse(yyjson_val *entry, struct gy_arena *a,
                                      struct gy_trigger_spec *ret, struct gy_err *err);
/* The same as JSON of one form: what is stored, what a job carries and what routes answer. */
void gy_trigger_write(struct gy_jw *w, const struct gy_trigger_spec *s);
/* "45s", "30m", "1h", "1.5d" in microseconds. Fails: INVALID. */
GY_CHECKED gy_status gy_trigger_duration(struct gy_str s, int64_t *ret_us, struct gy_err *err);

struct gy_trigger {
    struct gy_str id, project, name, folder, actor;
    struct gy_str spec_json; /* as gy_trigger_write */
    struct gy_trigger_spec spec;
    bool from_file; /* of gyre.yaml: gy_triggers_replace may remove it */
    bool enabled;
    int64_t pending; /* verdicts since it last fired */
    bool deferred;   /* due, but within the cooldown or while a job is open: told once */
    int64_t fired_us, created_us;
    int64_t since_us; /* it was added, enabled, or waits for its kind of event: older ones do not
                         concern it */
};

/* Make the triggers of the project that come from its gyre.yaml these (json: the list; absent or
 * null: none), which run in folder. Those that stay keep their history; those that were added by
 * hand stay unless they have a name of the list. Refuses nothing by halves. Fails: INVALID (as
 * gy_trigger_parse; a name twice), NOMEM. */
GY_CHECKED gy_status gy_triggers_replace(struct gy_db *db, struct gy_str project,
                                         struct gy_str folder, struct gy_str json,
                                         struct gy_str actor, struct gy_err *err);
/* Add or change one by hand (json: one entry). */
GY_CHECKED gy_status gy_trigger_put(struct gy_db *db, struct gy_str project, struct gy_str folder,
                                    struct gy_str json, struct gy_str actor, struct gy_err *err);
/* project absent: of all; by project and name. */
GY_CHECKED gy_status gy_trigger_list(struct gy_db *db, struct gy_str project, struct gy_arena *a,
                                     struct gy_trigger **ret, size_t *ret_n, struct gy_err *err);
/* project absent: the name must be the only one. Fails: NOTFOUND, CONFLICT (several projects). */
GY_CHECKED gy_status gy_trigger_get(struct gy_db *db, struct gy_str project, struct gy_str name,
                                    struct gy_arena *a, struct gy_trigger *ret, struct gy_err *err);
GY_CHECKED gy_status gy_trigger_enable(struct gy_db *db, struct gy_str project, struct gy_str name,
                                       bool enabled, struct gy_str actor, struct gy_err *err);
GY_CHECKED gy_status gy_trigger_remove(struct gy_db *db, struct gy_str project, struct gy_str name,
                                       struct gy_str actor, struct gy_err *err);
/* A named person starts it, whatever the cooldown and the cause say; ret_job of GY_UUID_TEXT.
 * Fails: UNAUTHENTICATED ("anonymous"), INVALID (no reason), NOTFOUND, CONFLICT (a job of it is
 * open). */
GY_CHECKED gy_status gy_trigger_fire(struct gy_db *db, struct gy_str project, struct gy_str name,
                                     struct gy_str actor, struct gy_str reason, int64_t now_us,
                                     char *ret_job, struct gy_err *err);

/* Is there anything for gy_triggers_look? Cheap, for a read closure some times a second. */
GY_CHECKED gy_status gy_triggers_due(struct gy_db *db, int64_t now_us, bool *ret_due,
                                     struct gy_err *err);
/* Look at the events since the last time, at the counts and at the clock; start what is due.
 * *ret_more: there were more events than one look takes. */
GY_CHECKED gy_status gy_triggers_look(struct gy_db *db, int64_t now_us, bool *ret_more,
                                      struct gy_err *err);

#endif
