/* SPDX-License-Identifier: Apache-2.0 */
/* When an endpoint's inputs were wrong: the windows that the watch has told to be a sensor's fault.
 * What was reviewed then is a right verdict on wrong values, and a model must not learn it. Main
 * thread only. */
#ifndef GY_CLI_FAULTS_H
#define GY_CLI_FAULTS_H

#include "cli/cli_internal.h"

struct gy_fault_span {
    struct gy_str version; /* that answered */
    int64_t from_us, to_us;
};
struct gy_faults {
    struct gy_fault_span *spans;
    size_t n;
};

/* Of the newest 10,000 windows; everything in cli->arena. An endpoint that was never watched has
 * none. Fails as the transport does. */
GY_CHECKED gy_status gy_faults_load(struct gy_cli *cli, const char *endpoint, struct gy_faults *ret,
                                    struct gy_err *err);
bool gy_faults_has(const struct gy_faults *f, struct gy_str version, int64_t time_us);

#endif
