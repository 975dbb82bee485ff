/* SPDX-License-Identifier: Apache-2.0 */
/* Pipeline runs in the store: flow_runs and flow_steps, and the lineage of what a stage read and
 * made: code:<revision> -code-> step:<run>/<stage>,  <input> -input-> step,  step -output->
 * <output> where an input or output is data:<sha256> when a dataset version with these bytes is
 * known, else file:<sha256>, or dir:<md5> for a folder (its files get edges of their own, the first
 * GY_FLOW_MAX_EDGES). Functions run inside a store closure; results live in the arena. */
#ifndef GY_FLOW_RECORDS_H
#define GY_FLOW_RECORDS_H

#include "store/store.h"

#define GY_FLOW_MAX_EDGES 1000 /* files of one folder that lineage names one by one */
#define GY_FLOW_LIST_MAX 1000  /* the newest so many runs */
#define GY_FLOW_ABANDON_MAX 1000

struct gy_flow_run_record {
    struct gy_str id; /* UUIDv7; absent: made */
    struct gy_str project, folder, code_revision;
    struct gy_str status; /* running, done, failed, cancelled */
    struct gy_str targets_json, error, actor;
    struct gy_str name;  /* a person's or a trigger's: "[drift] at 2026-11-27T12:00:00Z" */
    struct gy_str job;   /* the job it belongs to (flow/job.h); absent: none */
    struct gy_str place; /* host and home whose run.lock it holds: one run there at a time */
    int64_t started_us, ended_us; /* 0: not yet */
};

struct gy_flow_step_record {
    struct gy_str run_id, stage;
    int64_t position;
    struct gy_str status; /* gy_step_status_name */
    struct gy_str why, cmd, log, error;
    int64_t exit_code;
    int64_t started_us, ended_us;
    struct gy_str deps_json, params_json,
        outs_json; /* [{"path","md5","size","sha256","files":[{"path","sha256"}]}] */
};

/* The same id of the same job again is the same start: a client that lost the answer may ask again.
 * Fails: EXISTS (id), INVALID. */
GY_CHECKED gy_status gy_flow_record_start(struct gy_db *db, const struct gy_flow_run_record *r,
                                          char *ret_id, struct gy_err *err);
/* Insert the step or replace its state; a step that is done gets its lineage edges and an event.
 * Fails: NOTFOUND (run), CONFLICT (the run ended), INVALID. */
GY_CHECKED gy_status gy_flow_record_step(struct gy_db *db, const struct gy_flow_step_record *s,
                                         struct gy_str actor, struct gy_err *err);
/* status: done, failed or cancelled. Fails: NOTFOUND, CONFLICT (ended already), INVALID. */
GY_CHECKED gy_status gy_flow_record_end(struct gy_db *db, struct gy_str id, struct gy_str status,
                                        struct gy_str error, struct gy_str actor,
                                        struct gy_err *err);

/* End as cancelled, with their running steps, runs that still count as running though their process
 * is gone: those of `place` (its lock is in the hands of the run `by`, so nobody else is at work
 * there), or those of `job`. One of both is given. Their ids, in the arena; ret MAY be NULL. */
GY_CHECKED gy_status gy_flow_record_abandon(struct gy_db *db, struct gy_str place,
                                            struct gy_str job, struct gy_str by,
                                            struct gy_str actor, struct gy_arena *a,
                                            struct gy_str **ret, size_t *ret_n, struct gy_err *err);
/* The stages that runs of this job ended as done. */
GY_CHECKED gy_status gy_flow_record_job_done(struct gy_db *db, struct gy_str job,
                                             struct gy_arena *a, struct gy_str **ret, size_t *ret_n,
                                             struct gy_err *err);

GY_CHECKED gy_status gy_flow_record_get(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                                        bool *ret_found, struct gy_flow_run_record *ret,
                                        struct gy_err *err);
/* Newest first, at most max (up to GY_FLOW_LIST_MAX). project, job absent: of all. */
GY_CHECKED gy_status gy_flow_record_list(struct gy_db *db, struct gy_str project, struct gy_str job,
                                         size_t max, struct gy_arena *a,
                                         struct gy_flow_run_record **ret, size_t *ret_n,
                                         struct gy_err *err);
GY_CHECKED gy_status gy_flow_record_steps(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                                          struct gy_flow_step_record **ret, size_t *ret_n,
                                          struct gy_err *err);

#endif
