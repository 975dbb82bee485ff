/* SPDX-License-Identifier: Apache-2.0 */
/* A transport that says who asks and where: each request gets the header Authorization (a token,
 * for servers reached over HTTP) and X-MLFLOW-WORKSPACE. */
#ifndef GY_CLI_HEADED_H
#define GY_CLI_HEADED_H

#include "base/secret.h"
#include "cli/cli_internal.h"

/* Owns inner, also when it fails. token and workspace MAY be empty; both are copied. Fails: NOMEM,
 * INVALID (a line end in one of them). */
GY_CHECKED gy_status gy_headed_new(struct gy_caller *inner, struct gy_secret token,
                                   struct gy_str workspace, struct gy_caller **ret,
                                   struct gy_err *err);
/* The token for servers: GYRE_TOKEN, else the first line of gyre/token in $XDG_CONFIG_HOME or
 * ~/.config; empty when there is none. In the arena of the run. Fails: DENIED (others may read the
 * file), IO. */
GY_CHECKED gy_status gy_headed_token(struct gy_cli *cli, struct gy_secret *ret, struct gy_err *err);

#endif
