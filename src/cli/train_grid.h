/* SPDX-License-Identifier: Apache-2.0 */
/* gyre train --grid: one training for each combination of some settings of the learner, each an
 * MLflow run of its own below one parent run, all measured on the same rows; the best is
 * registered. Main thread only. */
#ifndef GY_CLI_TRAIN_GRID_H
#define GY_CLI_TRAIN_GRID_H

#include "cli/model_input.h"
#include "learn/publish.h"

#define GY_GRID_MAX_AXES 8
#define GY_GRID_MAX_RUNS 512

struct gy_cli_grid {
    const struct gy_opt_list *axes; /* "trees=50,100,150" */
    const char *metric;             /* NULL: rmse, f1_macro or auc, by the task */
    const struct gy_cli_table *in;
    struct gy_train_params *params; /* its settings are those beside the grid; left as they were */
    struct gy_publish_options publish; /* register_as: of the best one */
    struct gy_caller *caller;
    const char *out; /* where the best package stays; NULL: nowhere */
};

/* dir: a folder that does not exist yet; gone when this returns. Prints the answer. Fails: USAGE
 * (an axis that is none, too many runs), INVALID (a setting, a metric that the task has not), as
 * gy_train and gy_publish do: the runs before stay. */
GY_CHECKED gy_status gy_cli_train_grid(struct gy_cli *cli, const struct gy_cli_grid *g,
                                       const char *dir, struct gy_err *err);

#endif
