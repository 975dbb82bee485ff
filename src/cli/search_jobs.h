/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that measure the trials of a search beside each other: children of this binary with
 * this command line, told apart by an environment variable. They get a line a piece of work on
 * their standard input and answer with a line; a booster stays where it was begun, so that it is
 * continued. One that dies fails its trial and is started again. Main thread only. */
#ifndef GY_CLI_SEARCH_JOBS_H
#define GY_CLI_SEARCH_JOBS_H

#include "cli/cli_internal.h"
#include "learn/search.h"

#define GY_SEARCH_MAX_JOBS 64

struct gy_search_jobs;

/* Is this process one of the children? */
bool gy_search_jobs_child(void);
/* What a child does: reads work until its standard input ends. Fails: as gy_bench_open does. */
GY_CHECKED gy_status gy_search_jobs_work(const struct gy_table *t,
                                         const struct gy_train_params *base,
                                         const struct gy_search_options *o, struct gy_err *err);

/* n children. names: as gy_trial_read takes them; it must outlive this, and be filled before the
 * first piece ends. Fails: as processes do. */
GY_CHECKED gy_status gy_search_jobs_start(struct gy_cli *cli, size_t n,
                                          const struct gy_metrics *names,
                                          struct gy_search_jobs **ret, struct gy_err *err);
/* gy_search_runner.run of these children; ctx: the struct gy_search_jobs. */
GY_CHECKED gy_status gy_search_jobs_run(void *ctx, struct gy_trial *const *in, size_t n,
                                        size_t rung, int64_t deadline_ns,
                                        void (*done)(void *done_ctx, struct gy_trial *t),
                                        void *done_ctx, struct gy_err *err);
void gy_search_jobs_free(struct gy_search_jobs *j); /* ends the children; NULL allowed */

#endif
