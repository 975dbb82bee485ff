/* SPDX-License-Identifier: Apache-2.0 */
/* The metric gate: is a candidate good enough, and no worse than the champion? Both were evaluated
 * on the same frozen rows, so the change is the models', not the data's. Every bound is checked
 * overall and on every slice; each check is kept with its numbers, and one that fails makes the
 * verdict NOT_BLESSED. What could not be checked says so: a metric that was not computed, or is
 * undefined overall, fails; a slice without rows, an undefined metric on a slice and a comparison
 * without a champion are skipped with the reason. Pure: no file, no store; results live in the
 * arena. */
#ifndef GY_FLOW_GATE_H
#define GY_FLOW_GATE_H

#include "base/arena.h"
#include "base/json.h"
#include "flow/project.h"

struct gy_eval; /* learn/evaluate.h */

struct gy_gate_value {
    struct gy_str name;
    double value;     /* NaN: not defined on these rows */
    double low, high; /* 95 % interval; NaN: none */
};

struct gy_gate_group {
    struct gy_str slice; /* absent: all rows */
    int64_t rows;
    const struct gy_gate_value *values;
    size_t n_values;
};

/* Where a candidate comes from, as far as it is known. */
struct gy_gate_origin {
    struct gy_str code_revision; /* of the run: "<commit>[+dirty]"; absent or "unversioned": none */
    bool dirty;                  /* said otherwise than by "+dirty" */
    struct gy_str data_sha256;   /* of what it was trained on */
    struct gy_str usecase, usecase_state; /* what the model is attached to; absent: nothing */
};

/* One model's numbers. */
struct gy_gate_side {
    struct gy_str digest;
    int64_t
        trained_on; /* rows of these that this model was trained on; 0 for an honest candidate */
    const struct gy_gate_group *groups; /* the one without a slice: overall */
    size_t n_groups;
    struct gy_gate_origin origin; /* of the candidate: asked where the gate asks for it */
};

enum gy_check_result { GY_CHECK_PASSED, GY_CHECK_FAILED, GY_CHECK_SKIPPED };

struct gy_gate_check {
    struct gy_str metric, slice; /* slice absent: all rows */
    const char *kind;            /* "min", "max", "low_min", "high_max", "champion_change_min",
                                    "champion_change_max", "servable", "held_out", "clean",
                                    "pinned", "usecase" */
    double limit;
    double value, low, high; /* the candidate's; NaN: none */
    double champion;         /* NaN: none */
    int64_t rows;
    enum gy_check_result result;
    const char *reason;
};

struct gy_gate_result {
    bool blessed;
    struct gy_gate_check *checks;
    size_t n_checks;
};

/* champion NULL: there is none yet. servable: "yes" passes (the infra dry-run held), anything else
 * fails with the reason. Fails: INVALID (a gate without bounds; no overall group), NOMEM. */
GY_CHECKED gy_status gy_gate_check(const struct gy_gate_spec *spec,
                                   const struct gy_gate_side *candidate,
                                   const struct gy_gate_side *champion, struct gy_str servable,
                                   struct gy_str servable_reason, struct gy_arena *a,
                                   struct gy_gate_result *ret, struct gy_err *err);

/* The checks as the JSON list that verdicts keep:
 * [{"metric","slice","kind","bound","limit","value","low","high","champion",
 * "rows","passed","reason"}]; passed is null for a skipped one. */
void gy_gate_write(struct gy_jw *w, const struct gy_gate_result *r);
/* "BLESSED" or "NOT_BLESSED" */
const char *gy_gate_verdict(const struct gy_gate_result *r);

/* What an evaluation found, as a side. Views into e and the arena. Fails: NOMEM. */
GY_CHECKED gy_status gy_gate_side_of(const struct gy_eval *e, struct gy_arena *a,
                                     struct gy_gate_side *ret, struct gy_err *err);

#endif
