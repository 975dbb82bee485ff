/* SPDX-License-Identifier: Apache-2.0 */
/* gy_job: one firing of a trigger, from the pipeline run to the deployment. The row is what a job
 * is: who works on it (`gyre __exec`, a child of the server) tells it here before and after each
 * step, so that after a death, of either, whoever comes next knows where to go on.
 *
 *   queued -> running -> done | failed | refused | cancelled
 *                     -> waiting_approval -> queued (approved) | refused (rejected)
 *   steps: run -> version -> gate -> approval -> deploy -> end
 *
 * `attempt` counts the processes that took the job; what an older one tells is refused. A job has
 * at most one open state a trigger, and one row an event (dedupe_key is unique). A lease says how
 * long a claim is believed by who can not look at the process (pid and start time) itself. All
 * functions run inside a store closure; results live in the arena. */
#ifndef GY_FLOW_JOB_H
#define GY_FLOW_JOB_H

#include "base/json.h"
#include "store/store.h"

#define GY_JOB_MAX_ATTEMPTS 3  /* processes that may die over one job */
#define GY_JOB_LEASE_S 60      /* renewed well before */
#define GY_JOB_LIST_MAX 1000   /* the newest so many */
#define GY_JOB_MAX_REASON 4096 /* bytes of a reason or an error */

struct gy_job {
    struct gy_str id; /* UUIDv7 */
    struct gy_str trigger_id, trigger, project, folder;
    struct gy_str name; /* "[drift] at 2026-11-27T12:00:00Z" */
    struct gy_str spec; /* JSON of the trigger as it was (flow/trigger.h) */
    struct gy_str dedupe_key;
    struct gy_str reason; /* why it was started, or who asked */
    struct gy_str state, step;
    struct gy_str flow_run, model, digest, verdict, approval, error, actor;
    int64_t event_seq; /* 0: no event, a person or the clock */
    int64_t attempt, pid, pid_start, lease_until_us;
    int64_t version, revision; /* 0: none yet */
    bool cancel_asked;
    int64_t created_us, started_us, ended_us;
};

bool gy_job_is_open(const struct gy_job *j); /* queued, running or waiting_approval */

/* Make a job of j's trigger_id, trigger, project, folder, spec, dedupe_key, reason, actor,
 * event_seq and state (queued, or refused with its error). Its name is made. *ret_made false: there
 * is one of this dedupe_key, or an open one of the trigger; ret_id (GY_UUID_TEXT) is then that
 * one's. */
GY_CHECKED gy_status gy_job_add(struct gy_db *db, const struct gy_job *j, int64_t now_us,
                                bool *ret_made, char *ret_id, struct gy_err *err);

/* Fails: NOTFOUND. */
GY_CHECKED gy_status gy_job_get(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                                struct gy_job *ret, struct gy_err *err);
/* Newest first, at most max; project, state absent: of all; state "open": the open ones. */
GY_CHECKED gy_status gy_job_list(struct gy_db *db, struct gy_str project, struct gy_str state,
                                 size_t max, struct gy_arena *a, struct gy_job **ret, size_t *ret_n,
                                 struct gy_err *err);

/* queued -> running: attempt + 1, a lease, no pid yet. Fails: CONFLICT (it is not queued). */
GY_CHECKED gy_status gy_job_claim(struct gy_db *db, struct gy_str id, int64_t now_us,
                                  int64_t *ret_attempt, struct gy_err *err);
/* Who runs this attempt. Fails: CONFLICT. */
GY_CHECKED gy_status gy_job_set_process(struct gy_db *db, struct gy_str id, int64_t attempt,
                                        int64_t pid, int64_t pid_start, struct gy_err *err);
GY_CHECKED gy_status gy_job_renew(struct gy_db *db, struct gy_str id, int64_t attempt,
                                  int64_t now_us, struct gy_err *err);

/* What an attempt tells: absent texts and zeros leave what is there. A state that is not `running`
 * ends the attempt. The same told again changes nothing. Fails: CONFLICT (an older attempt, or the
 * job has ended otherwise), INVALID (no such step or state), NOTFOUND. */
struct gy_job_news {
    struct gy_str state, step;
    struct gy_str flow_run, model, digest, verdict, approval, error, run_id;
    int64_t version, revision;
};
/* Of the JSON object that a process tells or leaves in its exit file; views. Fails: INVALID. */
GY_CHECKED gy_status gy_job_news_read(yyjson_val *object, struct gy_job_news *ret,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_job_tell(struct gy_db *db, struct gy_str id, int64_t attempt,
                                 const struct gy_job_news *news, int64_t now_us,
                                 struct gy_err *err);

/* The process of this attempt is gone without having told how it ended (nothing of it may be left
 * running): queued again at its step, or failed after the last attempt. Its pipeline runs that
 * still count as running are cancelled, its tracked runs KILLED. *ret_again: it is queued. */
GY_CHECKED gy_status gy_job_lost(struct gy_db *db, struct gy_str id, int64_t attempt,
                                 struct gy_str why, int64_t now_us, bool *ret_again,
                                 struct gy_err *err);
/* A queued or waiting job is cancelled at once, a running one is asked to end. Refuses "anonymous"
 * (UNAUTHENTICATED). Fails: NOTFOUND, CONFLICT (it has ended). */
GY_CHECKED gy_status gy_job_cancel(struct gy_db *db, struct gy_str id, struct gy_str actor,
                                   struct gy_str reason, int64_t now_us, struct gy_err *err);
/* Does it wait for an approval on which somebody has decided? For read closures. */
GY_CHECKED gy_status gy_job_is_decided(struct gy_db *db, const struct gy_job *j, bool *ret,
                                       struct gy_err *err);
/* Look whether what the job waits for was decided: queued at `deploy`, refused, or still waiting
 * (*ret_decided false). */
GY_CHECKED gy_status gy_job_look_at_approval(struct gy_db *db, struct gy_str id, int64_t now_us,
                                             bool *ret_decided, struct gy_err *err);

#endif
