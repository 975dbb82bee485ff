/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data diff NAME@1 NAME@2: what two registered dataset versions differ in. Main thread only.
 */
#ifndef GY_CLI_DATA_DIFF_VERSIONS_H
#define GY_CLI_DATA_DIFF_VERSIONS_H

#include "cli/cli_internal.h"

struct gy_cli_diff_versions {
    const char *before, *after; /* gy_cli_is_dataset_ref */
    const char *key;            /* "id" or "id,day"; NULL: the unique column of both schemas */
    int64_t limit;              /* rows of each kind that are shown */
};
/* Prints (as JSON when that is wanted). cli->exit_code stays as it is: a difference is no failure.
 * Fails: USAGE, NOTFOUND, as the transport and files do. */
GY_CHECKED gy_status gy_cli_diff_versions(struct gy_cli *cli, const struct gy_cli_diff_versions *d,
                                          struct gy_err *err);

#endif
