/* SPDX-License-Identifier: Apache-2.0 */
/* A transport whose other end serves endpoints: that of a running server, else this process itself,
 * which then has the home's lock for as long as it is open. Main thread only. */
#ifndef GY_CLI_SERVING_HERE_H
#define GY_CLI_SERVING_HERE_H

#include "cli/cli_internal.h"

struct gy_serving_here {
    struct gy_app *app; /* NULL: a server runs */
    struct gy_caller *caller;
};
/* here is zeroed, and done with by gy_serving_here_done, also on failure. *ret lives as long. Fails
 * as the transport does, and as opening a serving does. */
GY_CHECKED gy_status gy_serving_here_open(struct gy_cli *cli, struct gy_serving_here *here,
                                          struct gy_caller **ret, struct gy_err *err);
void gy_serving_here_done(struct gy_serving_here *here);
GY_DEFINE_AUTO_DONE(struct gy_serving_here, gy_serving_here_done);

#endif
