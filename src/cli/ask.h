/* SPDX-License-Identifier: Apache-2.0 */
/* One question of a command to the routes, and its JSON answer. Main thread only. */
#ifndef GY_CLI_ASK_H
#define GY_CLI_ASK_H

#include "cli/cli_internal.h"

struct gy_cli_answer {
    struct gy_collect collect; /* body: the text of the answer */
    yyjson_doc *doc;
    yyjson_val *root; /* views into doc live until gy_cli_answer_done */
};
void gy_cli_answer_done(struct gy_cli_answer *a); /* zeroed allowed */
GY_DEFINE_AUTO_DONE(struct gy_cli_answer, gy_cli_answer_done);

/* body absent: none. *ret is initialized here, also on failure. Fails as gy_cli_caller and
 * gy_call_json do. */
GY_CHECKED gy_status gy_cli_ask(struct gy_cli *cli, const char *method, const char *path,
                                struct gy_str body, struct gy_cli_answer *ret, struct gy_err *err);
/* A path in the arena of the run: "{}" in format is replaced by the %-encoded value; exactly one.
 * Fails: NOMEM. */
GY_CHECKED gy_status gy_cli_path(struct gy_cli *cli, const char *format, struct gy_str value,
                                 const char **ret, struct gy_err *err);
/* The answer's own text as the --json answer. */
GY_CHECKED gy_status gy_cli_print_answer(struct gy_cli *cli, const struct gy_cli_answer *a,
                                         struct gy_err *err);

/* ---- cells of a table, in the arena of the run; out of memory shows as "-" ---- */
struct gy_str gy_cli_cell(struct gy_cli *cli, struct gy_str text); /* a copy */
struct gy_str gy_cli_cellf(struct gy_cli *cli, const char *fmt, ...) GY_PRINTF(2, 3);
struct gy_str gy_cli_cell_ms(struct gy_cli *cli, int64_t time_ms); /* "2026-11-21 01:31:57" UTC */

#endif
