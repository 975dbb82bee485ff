/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands on DVC's files share: the repository that we stand in, locked; a bar that
 * follows worker threads. Main thread. */
#ifndef GY_CLI_DVC_WORK_H
#define GY_CLI_DVC_WORK_H

#include <pthread.h>

#include "cli/cli_internal.h"
#include "data/dvc/tree.h"

struct gy_cli_dvc_bar {
    struct gy_dvc_progress at;
    struct gy_progress bar;
    pthread_t thread;
    bool running;
    atomic_bool stop;
};

/* Open the repository (made when make is set and there is none) and take DVC's lock, waiting as
 * long as it takes; a note says so after a second. */
GY_CHECKED gy_status gy_cli_dvc_open(struct gy_cli *cli, bool make, struct gy_dvc_repo **ret,
                                     struct gy_err *err);
/* The outputs that arguments name, when nobody who runs a stage uses them any more (DVC's rwlock):
 * for all that changes the workspace. Waits as long as it takes, with a note; inside a stage, which
 * may wait for itself, it fails with BUSY. */
GY_CHECKED gy_status gy_cli_dvc_outs_to_write(struct gy_cli *cli, struct gy_dvc_repo *r,
                                              struct gy_arena *a, struct gy_dvc_out **ret,
                                              size_t *ret_n, struct gy_err *err);
/* A bar over files; silent where no bar is wanted. */
void gy_cli_dvc_bar_start(struct gy_cli_dvc_bar *b, const struct gy_cli *cli, const char *what);
void gy_cli_dvc_bar_end(struct gy_cli_dvc_bar *b);
GY_DEFINE_AUTO_DONE(struct gy_cli_dvc_bar, gy_cli_dvc_bar_end);

/* cmd_data_track.c: `gyre data checkout [TARGET...]` of what DVC tracks. */
GY_CHECKED gy_status gy_cli_dvc_checkout(struct gy_cli *cli, bool force, bool relink,
                                         struct gy_err *err);

/* cmd_data_import.c: `gyre data diff [REV [REV]]` of what DVC tracks. */
GY_CHECKED gy_status gy_cli_dvc_diff(struct gy_cli *cli, bool hashes, struct gy_err *err);

/* cmd_data_push.c: `gyre data status -c`; remote NULL: the default one. */
GY_CHECKED gy_status gy_cli_dvc_compare(struct gy_cli *cli, const char *remote, struct gy_err *err);

#endif
