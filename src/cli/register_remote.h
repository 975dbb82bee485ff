/* SPDX-License-Identifier: Apache-2.0 */
/* gyre models register NAME --remote URL: an upstream as a model version. Main thread only. */
#ifndef GY_CLI_REGISTER_REMOTE_H
#define GY_CLI_REGISTER_REMOTE_H

#include "cli/cli_internal.h"

struct gy_cli_remote {
    const char *url, *model, *version, *timeout, *classes, *output, *inputs, *schema;
    const char *token_env, *token_file;
};
/* Describe the upstream as a package, register it as cli->argv[0] and prove it. Fails: USAGE, as
 * gy_remote_package and the transport do. */
GY_CHECKED gy_status gy_cli_register_remote(struct gy_cli *cli, const struct gy_cli_remote *o,
                                            struct gy_err *err);

#endif
