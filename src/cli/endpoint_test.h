/* SPDX-License-Identifier: Apache-2.0 */
/* gyre endpoint test --count: real predictions, sent to a served endpoint, and what came of them.
 */
#ifndef GY_CLI_ENDPOINT_TEST_H
#define GY_CLI_ENDPOINT_TEST_H

#include "cli/cli_internal.h"

#define GY_TEST_MAX_COUNT 100000
#define GY_TEST_MAX_CONCURRENCY 64
#define GY_TEST_MAX_FILE (256 * GY_MIB)

struct gy_endpoint_test_opts {
    int64_t count, concurrency;
    double rate;      /* requests a second, all together; 0: as fast as they are answered */
    const char *file; /* CSV whose rows are sent; NULL: rows are made of the signature */
};
/* Prints what came of it, as a table or (cli->json) as one object. A request that failed or was
 * answered oddly makes exit code 1. Fails: USAGE, NOTFOUND (the endpoint), as the transport. */
GY_CHECKED gy_status gy_endpoint_test(struct gy_cli *cli, struct gy_str name,
                                      const struct gy_endpoint_test_opts *o, struct gy_err *err);

#endif
