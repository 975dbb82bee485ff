/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GY_WATCH_DRIFT_INTERNAL_H
#define GY_WATCH_DRIFT_INTERNAL_H

#include "watch/drift.h"

struct gy_drift_rest {
    int64_t time_us;
    uint32_t weight;
    bool rules, rule_hit;
};

struct gy_drift_window {
    struct gy_arena arena;
    struct gy_str *names;
    size_t n_inputs;
    double *cells; /* column-major: the inputs, the score, the answer; max_rows each */
    struct gy_drift_rest *rest;
    size_t max_rows, n_rows;
    size_t next; /* where the next row goes */
    bool sliding;
    double owed; /* rows that sampled scores stand for and were not given yet */
};

static inline double *gy_drift_column(const struct gy_drift_window *w, size_t i)
{
    return w->cells + i * w->max_rows;
}

#endif
