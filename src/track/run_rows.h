/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of runs, between runs.c and run_search.c: the columns of one, and the data of many at once.
 */
#ifndef GY_TRACK_RUN_ROWS_H
#define GY_TRACK_RUN_ROWS_H

#include "track/runs.h"

/* For "SELECT " GY_RUN_COLUMNS " FROM runs r". */
#define GY_RUN_COLUMNS                                                                  \
    "r.seq, r.id, r.experiment_id, r.name, r.user_id, r.status, r.start_ms, r.end_ms, " \
    "r.artifact_uri, r.deleted, r.actor"
#define GY_RUN_N_COLUMNS 11
GY_CHECKED gy_status gy_run_read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_run *ret,
                                     struct gy_err *err);

#define GY_RUN_LOAD_MAX 32 /* runs that are loaded together */
/* Params, tags, latest metrics, inputs and outputs of n <= GY_RUN_LOAD_MAX runs: one statement for
 * each kind, however many runs. */
GY_CHECKED gy_status gy_runs_load(struct gy_db *db, struct gy_run *runs, size_t n,
                                  struct gy_arena *a, struct gy_err *err);

/* How SQLite would answer a search: each statement in one line and its plan in indented ones. For
 * tests that hold on to the plans. */
GY_CHECKED gy_status gy_run_search_explain(struct gy_db *db, const struct gy_run_query *q,
                                           struct gy_arena *a, struct gy_buf *out,
                                           struct gy_err *err);

#endif
