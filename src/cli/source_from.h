/* SPDX-License-Identifier: Apache-2.0 */
/* --from: records from elsewhere than files. Main thread only. */
#ifndef GY_CLI_SOURCE_FROM_H
#define GY_CLI_SOURCE_FROM_H

#include "cli/cli_internal.h"
#include "data/source_s3.h"

/* What the options say. */
struct gy_cli_from {
    const char *url, *query; /* NULL: not given */
};

/* What sources need as long as they live. */
struct gy_cli_origin {
    struct gy_s3 *s3; /* NULL: none */
};
void gy_cli_origin_done(struct gy_cli_origin *o); /* after the sources */
GY_DEFINE_AUTO_DONE(struct gy_cli_origin, gy_cli_origin_done);

/* Add what is meant; objects below a prefix are listed now. Fails: USAGE, INVALID, NOMEM, as
 * gy_source_list_add_s3. */
GY_CHECKED gy_status gy_cli_source_from(struct gy_cli *cli, const struct gy_cli_from *from,
                                        struct gy_cli_origin *origin, struct gy_source_list *ret,
                                        struct gy_err *err);

#endif
