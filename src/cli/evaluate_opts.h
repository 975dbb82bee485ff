/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `gyre evaluate` (cmd_evaluate.c) as the library wants them (evaluate_opts.c). Main
 * thread only. */
#ifndef GY_CLI_EVALUATE_OPTS_H
#define GY_CLI_EVALUATE_OPTS_H

#include "cli/cli_internal.h"
#include "learn/evaluate.h"
#include "learn/threshold.h"

struct gy_evaluate_opts {
    const char *schema, *against, *weight, *plots, *threshold;
    const char *predicted, *target, *classes, *task; /* of a table with predictions in it */
    struct gy_opt_list slices, groups;
    bool training, all_rows, explain, importance;
    int64_t replicates, threads, repeats;
    double power;
};

/* What they mean; arrays live in cli->arena. */
struct gy_evaluate_plan {
    struct gy_eval_options options;
    bool chooses; /* a rule for the threshold, not a number */
    struct gy_threshold_rule rule;
    enum gy_eval_which which;
};
/* Fails: USAGE, INVALID (a rule, an edge of a group), NOMEM. */
GY_CHECKED gy_status gy_evaluate_plan(struct gy_cli *cli, const struct gy_evaluate_opts *o,
                                      struct gy_evaluate_plan *ret, struct gy_err *err);
/* --predicted and what belongs to it; t tells the task and the classes where they are not said.
 * Fails: USAGE, INVALID, NOTFOUND, NOMEM. */
GY_CHECKED gy_status gy_evaluate_columns_plan(struct gy_cli *cli, const struct gy_evaluate_opts *o,
                                              const struct gy_table *t, struct gy_eval_columns *ret,
                                              struct gy_err *err);

#endif
