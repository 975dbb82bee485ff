/* SPDX-License-Identifier: Apache-2.0 */
/* gy_diagnose: why has it drifted? The two answers have different cures. A SENSOR fault (an offset,
 * a wrong unit, a probe that fell off) makes values wrong, and a model trained on wrong values has
 * learnt the fault: retraining is refused until a person says otherwise. Another POPULATION makes
 * values right but new, and retraining on fresh labels is the cure.
 *
 * How they are told apart. A fault maps every value of a column by the same line, value -> factor *
 * value + offset, so mapping the current column back gives the reference's distribution again: its
 * distance collapses and its shape is the reference's, up to what chance leaves between two samples
 * of this size. A change of the population moves some people: a second mode grows, a tail thins,
 * and no line takes that back. The line is fitted to the middle of the quantiles (the median of
 * their differences, or of their ratios), which a change in one tail does not pull along.
 *
 * What guards against calling a small change of the population a fault: the column must have moved
 * clearly (twice the usual threshold; a whole standard deviation for a line of two parameters,
 * which fits more by chance); undoing the line must take back most of the distance AND leave the
 * shape within chance (a Kolmogorov-Smirnov distance that forgives rounding); few columns may have
 * moved, and all of those that have must be such maps; and labels can contradict: when the rules
 * hit more often but are right as often as before, the people really are different. Population
 * needs a column whose shape is apart beyond chance whatever line is undone. What lies between is
 * `unknown`. A population in which exactly one column shifts as a whole without changing its shape
 * (an older cohort, judged by its age alone) looks like an offset and is called so: that mistake
 * costs a person's look, the opposite one a poisoned model. Sensor and unknown never retrain by
 * themselves.
 */
#ifndef GY_WATCH_DIAGNOSE_H
#define GY_WATCH_DIAGNOSE_H

#include "watch/drift.h"

enum gy_drift_cause {
    GY_CAUSE_NONE, /* nothing has drifted */
    GY_CAUSE_SENSOR,
    GY_CAUSE_POPULATION,
    GY_CAUSE_UNKNOWN,
};
const char *gy_drift_cause_name(enum gy_drift_cause c); /* "none" "sensor" "population" "unknown" */

enum gy_drift_fault_kind {
    GY_FAULT_OFFSET,  /* every value is `offset` higher */
    GY_FAULT_FACTOR,  /* every value is `factor` times what it was */
    GY_FAULT_LINE,    /* factor * value + offset: another unit */
    GY_FAULT_MISSING, /* the value has gone missing */
    GY_FAULT_STUCK,   /* the same value always */
};
const char *gy_drift_fault_name(enum gy_drift_fault_kind k);

struct gy_drift_fault {
    struct gy_str feature;
    enum gy_drift_fault_kind kind;
    double offset, factor;
    double distance;  /* to the reference (Wasserstein over sd) ... */
    double rest;      /* ... and after mapping back */
    double explained; /* 1 - rest / distance; of MISSING the share that is gone */
};

/* Labels before the window and in it; counts of 0: not known. For a rule: a hit (positive answer of
 * it) that the label confirmed is tp, else fp. */
struct gy_drift_labels {
    uint64_t fresh; /* labelled rows that a retraining could use */
    uint64_t rule_tp_before, rule_fp_before, rule_tp_now, rule_fp_now;
    uint64_t model_tp_before, model_fn_before, model_tp_now, model_fn_now;
};

#define GY_DRIFT_MIN_LABELS 200

struct gy_drift_diagnosis {
    enum gy_drift_cause cause;
    double confidence;             /* 0..1: how clearly the signature is met */
    const struct gy_str *features; /* that moved: the faulty ones of SENSOR, else all drifted */
    size_t n_features;
    const struct gy_drift_fault *faults; /* SENSOR; of UNKNOWN and POPULATION those suspected */
    size_t n_faults;
    struct gy_str reason; /* sentences for a person */
    bool may_retrain;
    struct gy_str retrain_reason; /* why, or why not */
};

/* labels MAY be NULL. min_labels: how many fresh labels a retraining needs (GY_DRIFT_MIN_LABELS).
 * Lives in the arena. Fails: NOMEM. */
GY_CHECKED gy_status gy_drift_diagnose(const struct gy_drift_result *r,
                                       const struct gy_drift_labels *labels, uint64_t min_labels,
                                       struct gy_arena *a, struct gy_drift_diagnosis *ret,
                                       struct gy_err *err);
/* One JSON object. */
void gy_drift_diagnosis_write(struct gy_jw *w, const struct gy_drift_diagnosis *d);

#endif
