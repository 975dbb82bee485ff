/* SPDX-License-Identifier: Apache-2.0 */
/* Which way a command's calls go. Used by cli.c; commands see gy_cli_caller. */
#ifndef GY_CLI_TRANSPORT_H
#define GY_CLI_TRANSPORT_H

#include "cli/cli_internal.h"

void gy_cli_close_transport(
    struct gy_cli *cli); /* what gy_cli_caller opened; nothing when it was not called */

#endif
