/* SPDX-License-Identifier: Apache-2.0 */
/* Which way a command's calls go. Used by cli.c; commands see gy_cli_caller. */
#ifndef GY_CLI_TRANSPORT_H
#define GY_CLI_TRANSPORT_H

#include "api/app.h"
#include "cli/cli_internal.h"

/* The home, store and objects that this command was told to use. */
struct gy_app_options gy_cli_app_options(const struct gy_cli *cli);
void gy_cli_close_transport(
    struct gy_cli *cli); /* what gy_cli_caller opened; nothing when it was not called */

#endif
