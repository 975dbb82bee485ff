/* SPDX-License-Identifier: Apache-2.0 */
/* A table that a command reads as a file: a file of the person, or the bytes of a dataset version,
 * fetched into the home's cache for as long as the command runs. Main thread only. */
#ifndef GY_CLI_DATA_FILE_H
#define GY_CLI_DATA_FILE_H

#include "base/limits.h"
#include "cli/cli_internal.h"
#include "data/schema.h"

struct gy_cli_data_file {
    char path[GY_MAX_PATH];
    bool fetched;             /* path is a copy that ends with this */
    struct gy_str dataset;    /* "name@3" of a dataset, in cli->arena; absent: a file */
    struct gy_schema *schema; /* the version's own; NULL: a file, or it has none */
};

/* what: an existing file, else a dataset "name", "name@3", "name@TAG". Fails: NOTFOUND (neither),
 * as gy_cli_dataset_get. */
GY_CHECKED gy_status gy_cli_data_file_open(struct gy_cli *cli, const char *what,
                                           struct gy_cli_data_file *ret, struct gy_err *err);
void gy_cli_data_file_done(struct gy_cli_data_file *f); /* zeroed allowed */
GY_DEFINE_AUTO_DONE(struct gy_cli_data_file, gy_cli_data_file_done);

/* The schema in a file, else that of a dataset version. Fails: NOTFOUND, as both do. */
GY_CHECKED gy_status gy_cli_schema_of(struct gy_cli *cli, const char *what, struct gy_schema **ret,
                                      struct gy_err *err);

#endif
