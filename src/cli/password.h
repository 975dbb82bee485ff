/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a password: never from the command line, where other users could see it. Main thread
 * only. */
#ifndef GY_CLI_PASSWORD_H
#define GY_CLI_PASSWORD_H

#include "base/secret.h"
#include "cli/cli_internal.h"

/* from_stdin: the first line of it; else asked for twice on the terminal, without echo. In the
 * arena of the run. Fails: USAGE (no terminal), INVALID (the two differ, too long), IO. */
GY_CHECKED gy_status gy_cli_password(struct gy_cli *cli, bool from_stdin, struct gy_secret *ret,
                                     struct gy_err *err);

#endif
