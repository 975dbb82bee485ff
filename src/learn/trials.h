/* SPDX-License-Identifier: Apache-2.0 */
/* gy_trials: a search as MLflow runs: one parent run, one child run a trial (mlflow.parentRunId),
 * FAILED ones with their reason, through the call seam like any MLflow client. Not thread safe; one
 * owner. Lifecycle: gy_trials_begin -> gy_trials_add* -> gy_trials_end. */
#ifndef GY_LEARN_TRIALS_H
#define GY_LEARN_TRIALS_H

#include "learn/search.h"
#include "net/call.h"

struct gy_trials {
    struct gy_caller *c;
    struct gy_collect answer;
    struct gy_buf body;
    char experiment_id[32];
    char parent_run_id[64];  /* "": not begun */
    char trial_run_id[64];   /* of the trial that was added last */
    bool resumed;            /* the parent run was there before */
    char artifact_root[512]; /* of the parent run, below the artifact route; "": not known */
};

struct gy_trials_options {
    struct gy_str experiment; /* made when absent */
    struct gy_str name;       /* of the parent run */
    struct gy_str source;     /* mlflow.source.name: "gyre try" */
    struct gy_str data_sha256;
    struct gy_str target;
    struct gy_str key; /* gy_search.key, so that the search can be resumed; MAY be absent */
    bool resume;       /* go on with the newest parent run of this key, when there is one */
};

/* ret is initialised here, also on failure; gy_trials_done frees. Fails: as the transport and the
 * server do. */
GY_CHECKED gy_status gy_trials_begin(struct gy_caller *c, const struct gy_trials_options *o,
                                     struct gy_trials *ret, struct gy_err *err);
GY_CHECKED gy_status gy_trials_add(struct gy_trials *r, const struct gy_trial *t,
                                   struct gy_err *err);
/* What the best trial was goes to the parent run; s NULL: the search failed, and so does the run.
 */
GY_CHECKED gy_status gy_trials_end(struct gy_trials *r, const struct gy_search *s,
                                   struct gy_err *err);
/* The trial of this key (t->key) that finished: t as it ended, its run in r->trial_run_id. names:
 * as gy_trial_read takes them. *ret_found false: there is none. Fails as the transport does. */
GY_CHECKED gy_status gy_trials_recall(struct gy_trials *r, const struct gy_metrics *names,
                                      struct gy_trial *t, bool *ret_found, struct gy_err *err);
/* Keep bytes as an artifact of the parent run. */
GY_CHECKED gy_status gy_trials_artifact(struct gy_trials *r, const char *name, struct gy_str bytes,
                                        struct gy_err *err);
void gy_trials_done(struct gy_trials *r); /* zeroed allowed */
GY_DEFINE_AUTO_DONE(struct gy_trials, gy_trials_done);

#endif
