/* SPDX-License-Identifier: Apache-2.0 */
/* Questions whose answer is a stream of JSON lines: {"phase","done","total"} now and then (drawn as
 * a progress bar), others as the route says, and last {"<last>":...} or {"code","detail","hint"}.
 */
#ifndef GY_CLI_LINES_H
#define GY_CLI_LINES_H

#include "cli/cli_internal.h"

#define GY_CLI_MAX_LINE (512 * GY_MIB)

struct gy_cli_lines {
    const char *path;
    const char *last; /* the member that the last line has */
    const char *what; /* "the backup", for messages */
    /* A line that is neither progress nor the last one, parsed and as it came; MAY be NULL. */
    gy_status (*line)(void *ctx, yyjson_val *root, struct gy_str text, struct gy_err *err);
    void *ctx;
};
/* POST body; *ret_doc: the last line. Fails: as the answer says; NETWORK (it broke off). */
GY_CHECKED gy_status gy_cli_ask_lines(struct gy_cli *cli, const struct gy_cli_lines *ask,
                                      struct gy_str body, yyjson_doc **ret_doc, struct gy_err *err);

#endif
