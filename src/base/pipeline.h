/* SPDX-License-Identifier: Apache-2.0 */
/* gy_pipeline: work that comes in an order, done by several threads in stages, with results that do
 * not depend on how many threads there are. Slots go round: each is made (in order), passed through
 * the stages, and made anew. An ordered stage sees one slot at a time, in the order they were made;
 * the others see any number at once. Threads take the last stage that has something to do, so that
 * what was begun is finished first; memory is the slots', whatever the input. With one thread all
 * runs on the caller's; others are started when a second slot was made.
 * The first failure ends the run; what other threads have at hand is finished before it returns. */
#ifndef GY_BASE_PIPELINE_H
#define GY_BASE_PIPELINE_H

#include <stdbool.h>

#include "base/err.h"

#define GY_PIPELINE_MAX_STAGES 8
#define GY_PIPELINE_MAX_THREADS 64

/* thread: 0 to n_threads - 1, the same number for no two at a time. */
typedef gy_status (*gy_stage_fn)(void *ctx, void *slot, int thread, struct gy_err *err);

struct gy_stage {
    gy_stage_fn run;
    bool ordered;
};

struct gy_pipeline {
    /* Fill the slot; ordered, as if it was a stage before the first. *ret_more false: there is
     * nothing left, and the slot was not filled. */
    gy_status (*make)(void *ctx, void *slot, bool *ret_more, struct gy_err *err);
    struct gy_stage stages[GY_PIPELINE_MAX_STAGES]; /* the last one is ordered */
    size_t n_stages;
    void *const *slots;
    size_t n_slots; /* at least 1 */
    int n_threads;  /* 1 to GY_PIPELINE_MAX_THREADS */
    void *ctx;
};

/* Fails: as make and the stages do. A thread that can not be started is done without. */
GY_CHECKED gy_status gy_pipeline_run(const struct gy_pipeline *p, struct gy_err *err);
/* How many processors this process may use, at most GY_PIPELINE_MAX_THREADS. */
int gy_pipeline_processors(void);

#endif
