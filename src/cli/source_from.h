/* SPDX-License-Identifier: Apache-2.0 */
/* --from: records from elsewhere than files. Main thread only. */
#ifndef GY_CLI_SOURCE_FROM_H
#define GY_CLI_SOURCE_FROM_H

#include "cli/cli_internal.h"
#include "data/source.h"

struct gy_cli_from {
    const char *url, *query;
};

/* Add what is meant. Nothing is connected to yet. Fails: USAGE, INVALID, NOMEM. */
GY_CHECKED gy_status gy_cli_source_from(struct gy_cli *cli, const struct gy_cli_from *from,
                                        struct gy_source_list *ret, struct gy_err *err);

#endif
