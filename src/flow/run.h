/* SPDX-License-Identifier: Apache-2.0 */
/* Running a pipeline: stages in order, each skipped when nothing changed (command, dependencies,
 * parameters, outputs, all by content), else run line by line, each line by its own shell as DVC
 * does ($SHELL, else /bin/sh; bash with --noprofile
 * --norc), in a process group of its own. What it prints goes to a log file and is passed on. After
 * success its outputs are digested, kept in DVC's cache, and dvc.lock is written; a failure stops
 * the pipeline and leaves dvc.lock as it was. One run at a time in a project folder:
 * `.gyre/run.lock` of the home is held. Main thread. */
#ifndef GY_FLOW_RUN_H
#define GY_FLOW_RUN_H

#include <signal.h>

#include "data/git.h"
#include "flow/lock.h"

enum gy_step_status {
    GY_STEP_PENDING,
    GY_STEP_RUNNING,
    GY_STEP_DONE,
    GY_STEP_UNCHANGED, /* not run: dvc.lock says that nothing changed */
    GY_STEP_FROZEN,    /* not run: frozen in dvc.yaml */
    GY_STEP_FAILED,
    GY_STEP_CANCELLED,
    GY_STEP_NOT_RUN, /* something before it failed */
};
const char *gy_step_status_name(enum gy_step_status s); /* "done" */

struct gy_flow_step {
    const struct gy_flow_stage *stage;
    enum gy_step_status status;
    const char *why; /* it runs: "the command changed" */
    int exit_code;   /* of the last line that ran; 128 + signal; 127: no such program */
    int64_t started_us, ended_us;
    char log[GY_MAX_PATH]; /* "" when it did not run */
    struct gy_flow_state
        state;         /* deps and params once it started, outs once it is done; arena of the run */
    const char *error; /* why it failed, beyond an exit code; NULL */
};

/* Told at each change of a step. A failure is the run's failure. */
typedef gy_status (*gy_flow_step_fn)(void *ctx, const struct gy_flow_step *step,
                                     struct gy_err *err);

struct gy_flow_run_options {
    const char *home;    /* absolute: logs go to home/runs/<run_id>/<stage>.log */
    const char *program; /* this binary: its folder comes first in the stages' PATH, so that `gyre`
                            is it; NULL: no */
    const char *server;  /* --server: exported as GYRE_SERVER, so that stages talk to the same one;
                            NULL: no */
    const char *run_id;
    const char *code_revision;  /* exported as GYRE_CODE_REVISION */
    const char *code_patch;     /* file of flow/patch.h, exported as GYRE_CODE_PATCH; NULL: none */
    const char *const *targets; /* stages; with what is upstream of them */
    size_t n_targets;           /* 0: all */
    bool force;                 /* run also what did not change */
    bool no_run_cache;          /* run also what ran in this state before (jobs always do) */
    bool held;                  /* the caller holds the project already (gy_flow_hold) */
    /* Of a job (flow/job.h): each stage that ended well leaves a mark in this folder before
     * dvc.lock tells of it. A stage whose mark fits what is there now is not run again by a resumed
     * job, not even one that is always_changed. NULL: no job. */
    const char *marks;
    const struct gy_str *recorded; /* stages of the job whose success is on record; the others get
                                      the status done once more, so that it is */
    size_t n_recorded;
    int echo_fd; /* what stages print is passed on to it; -1: only logged */
    const volatile sig_atomic_t
        *cancel;             /* set by a signal handler: the running stage is ended; MAY be NULL */
    gy_flow_step_fn on_step; /* MAY be NULL */
    void *ctx;
};

struct gy_flow_result {
    struct gy_arena arena;
    struct gy_flow_step *steps; /* the selected stages in the order they came */
    size_t n_steps;
    size_t n_done, n_unchanged;
};
void gy_flow_result_done(struct gy_flow_result *r);
GY_DEFINE_AUTO_DONE(struct gy_flow_result, gy_flow_result_done);

/* Take home/run.lock (made when absent): one run at a time. It ends with the process, or with
 * close(*ret_fd). Fails: BUSY (another run is at work), IO. */
GY_CHECKED gy_status gy_flow_hold(const char *home, int *ret_fd, struct gy_err *err);

/* GY_OK: all selected stages are done or unchanged. FAILED: a stage failed (err names it and its
 * log); CANCELLED; NOTFOUND: a target, a dependency, a parameter or an output is missing; BUSY:
 * another run holds the project. ret is filled in any case. */
GY_CHECKED gy_status gy_flow_run(const struct gy_flow *f, const struct gy_flow_run_options *o,
                                 struct gy_flow_result *ret, struct gy_err *err);

#endif
