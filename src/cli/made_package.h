/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that make a package folder and register it, or leave it where -o says. Main thread only.
 */
#ifndef GY_CLI_MADE_PACKAGE_H
#define GY_CLI_MADE_PACKAGE_H

#include "cli/cli_internal.h"

/* Makes the package in dir, a folder that is there and empty, and what follows from it. */
typedef gy_status (*gy_cli_make_fn)(struct gy_cli *cli, const void *opts, const char *dir,
                                    struct gy_err *err);
/* make in the folder `out`, which is made and stays unless make fails; NULL: in a temporary one.
 * Fails: EXISTS (out), IO, as make does. */
GY_CHECKED gy_status gy_cli_make_package(struct gy_cli *cli, const char *out, gy_cli_make_fn make,
                                         const void *opts, struct gy_err *err);

#endif
