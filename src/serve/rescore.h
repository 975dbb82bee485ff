/* SPDX-License-Identifier: Apache-2.0 */
/* gy_rescore: what would another model version have answered to a row that the prediction log has?
 * The rules are those of the row's revision: same inputs, same rules, so the outcome that the log
 * has of rules before the model is taken as it is; where one decided it still decides, else the
 * version does, by its own threshold, and then the rules after the model are asked anew about what
 * it says. Answers are class values, as in serve/shape.h. A plan is immutable from
 * gy_rescore_plan to gy_rescore_plan_done; any number of threads use it, each with its own batch.
 */
#ifndef GY_SERVE_RESCORE_H
#define GY_SERVE_RESCORE_H

#include "serve/rules.h"
#include "serve/shape.h"

#define GY_RESCORE_ROWS 64 /* rows of a batch */

/* How a version reads the records of one revision. */
struct gy_rescore_plan {
    const struct gy_predictor *predictor;
    const struct gy_predictor_info *info;
    const struct gy_shape *shape;
    double threshold;
    size_t *columns;        /* model input i is the record's input columns[i]; in the arena */
    struct gy_rules *after; /* those after the model; NULL: there are none */
    bool hidden[GY_RULES_MAX_READS]; /* the log has not what the rule read: hashed, left out */
};
/* threshold NaN: the version's own. Fails: INVALID with the reason (an input that the revision did
 * not log, another task, other classes), NOMEM. */
GY_CHECKED gy_status gy_rescore_plan(const struct gy_predictor *p, const struct gy_shape *shape,
                                     double threshold, struct gy_arena *a,
                                     struct gy_rescore_plan *ret, struct gy_err *err);
void gy_rescore_plan_done(struct gy_rescore_plan *plan); /* zeroed allowed */

/* Rows that wait to be scored together. */
struct gy_rescore_batch {
    double *rows;  /* GY_RESCORE_ROWS x n_inputs of the model */
    double *out;   /* GY_RESCORE_ROWS x n_outputs */
    double *said;  /* GY_RESCORE_ROWS x GY_RULES_SLOTS: for rules after the model */
    void *scratch; /* of the model */
    char *memory;
    size_t n;
};
/* For plans of this predictor. Fails: NOMEM. */
GY_CHECKED gy_status gy_rescore_batch_init(struct gy_rescore_batch *b, const struct gy_predictor *p,
                                           struct gy_err *err);
void gy_rescore_batch_done(struct gy_rescore_batch *b);
GY_DEFINE_AUTO_DONE(struct gy_rescore_batch, gy_rescore_batch_done);

/* Add a row of a record (inputs: its values; the batch is not full). false: the version would have
 * refused it, since a required input is missing; then it is not added. */
bool gy_rescore_add(struct gy_rescore_batch *b, const struct gy_rescore_plan *plan,
                    const double *inputs);
/* Score what was added; results by gy_rescore_value until n is set to 0. */
void gy_rescore_run(struct gy_rescore_batch *b, const struct gy_rescore_plan *plan);
/* Of row i: what the model says as a class value, and its score (gy_shape_score). */
double gy_rescore_value(const struct gy_rescore_batch *b, const struct gy_rescore_plan *plan,
                        size_t i, double *ret_score);
/* The answer to row i: the rule's where it decides, else the model's or that of a rule after it.
 * rule: what the log has, MAY be NULL; model_value, score: of gy_rescore_value. */
double gy_rescore_answer(const struct gy_rescore_batch *b, const struct gy_rescore_plan *plan,
                         size_t i, const struct gy_shape_rule *rule, double model_value,
                         double score);

#endif
