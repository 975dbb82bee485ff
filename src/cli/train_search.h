/* SPDX-License-Identifier: Apache-2.0 */
/* gyre train --search: looks for learner and settings on the training rows, each trial an MLflow
 * run below one parent run; the caller then trains the best one. Main thread only. */
#ifndef GY_CLI_TRAIN_SEARCH_H
#define GY_CLI_TRAIN_SEARCH_H

#include "cli/model_input.h"
#include "learn/search.h"
#include "learn/train.h"

struct gy_cli_search {
    const char *budget; /* "5m", "90s", "40trials", "40" */
    const char *metric; /* NULL: auc, f1_macro or rmse, by the task */
    const char *prefer; /* "best" or "simple" */
    int64_t jobs;       /* 0: a process a processor, at most 8 */
    int64_t patience;   /* 0: never ends early */
    bool resume;
    bool one_learner; /* that of params alone */
    const struct gy_cli_table *in;
    const struct gy_train_params *params;
    struct gy_str settled; /* the text of params.yaml */
    struct gy_str experiment;
    struct gy_caller *caller;
};

struct gy_cli_searched {
    struct gy_search search;
    struct gy_train_params params; /* of the best trial; of s->params where a trial says nothing */
    char parent_run_id[64];
    struct gy_buf json; /* "search" and "leaderboard" as members of an object, without braces */
};
void gy_cli_searched_done(struct gy_cli_searched *s); /* zeroed allowed */
GY_DEFINE_AUTO_DONE(struct gy_cli_searched, gy_cli_searched_done);

/* Prints the leaderboard. ret is initialised here. Fails: USAGE (the budget), FAILED (no trial
 * succeeded), as gy_search and the transport do. */
GY_CHECKED gy_status gy_cli_train_search(struct gy_cli *cli, const struct gy_cli_search *s,
                                         struct gy_cli_searched *ret, struct gy_err *err);
/* What a child process of such a search does (cli/search_jobs.h). */
GY_CHECKED gy_status gy_cli_train_search_child(const struct gy_cli_search *s, struct gy_err *err);

#endif
