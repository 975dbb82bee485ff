/* SPDX-License-Identifier: Apache-2.0 */
/* How long and how much of the prediction log is kept, as people write it: what gyre server, gyre
 * serve and gyre log prune share. Pure; any thread. */
#ifndef GY_CLI_RETENTION_OPTS_H
#define GY_CLI_RETENTION_OPTS_H

#include "base/err.h"
#include "base/str.h"

/* "90d", "12h", in seconds; NULL: 0. Fails: USAGE naming the option. */
GY_CHECKED gy_status gy_cli_keep(const char *option, const char *text, int64_t *ret_s,
                                 struct gy_err *err);
/* "50G", "500M", "64K", or bytes; NULL: 0. Fails: USAGE naming the option. */
GY_CHECKED gy_status gy_cli_size(const char *option, const char *text, int64_t *ret_bytes,
                                 struct gy_err *err);

#endif
