/* SPDX-License-Identifier: Apache-2.0 */
/* The table that a command on data works with: a file, standard input, or a dataset version, and
 * what is known of its columns. Main thread only. */
#ifndef GY_CLI_DATA_INPUT_H
#define GY_CLI_DATA_INPUT_H

#include "cli/cli_internal.h"
#include "data/schema.h"
#include "data/source.h"

struct gy_cli_data {
    struct gy_source_list list; /* of one */
    struct gy_source *source;
    struct gy_schema *schema; /* NULL: none was given or found */
    char path[GY_MAX_PATH];   /* of the file; "" for standard input */
    char temp[GY_MAX_PATH];   /* a dataset's bytes, removed at the end; "": none */
};
/* what: a file that exists, "-", else a dataset "name", "name@3", "name@TAG". The schema: the file
 * schema_path, else that of the dataset version, else the nearest schema.yaml. Fails: NOTFOUND, as
 * the transport does, as reading a schema does. */
GY_CHECKED gy_status gy_cli_data_open(struct gy_cli *cli, const char *what, const char *schema_path,
                                      struct gy_cli_data *ret, struct gy_err *err);
void gy_cli_data_done(struct gy_cli_data *d); /* zeroed allowed */
GY_DEFINE_AUTO_DONE(struct gy_cli_data, gy_cli_data_done);

#endif
