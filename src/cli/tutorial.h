/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of docs/tutorial/, which are in the program, and what they promise. A fenced block of
 * the language `console` holds lines that begin with "$ ", which are commands, and below each the
 * lines of its output that the page promises: they come in that order, with others between them;
 * "..." stands for anything, and blanks are as good as one. Main thread only. */
#ifndef GY_CLI_TUTORIAL_H
#define GY_CLI_TUTORIAL_H

#include "cli/cli_internal.h"

#define GY_TUTORIAL_MAX_COMMANDS 40 /* of a page */
#define GY_TUTORIAL_MAX_PROMISES 40 /* lines of a command */

struct gy_tutorial_page {
    int number;
    struct gy_str title, time, text; /* views; time: "10 minutes" */
};

struct gy_tutorial_command {
    struct gy_str section; /* the heading it stands under */
    struct gy_str command;
    struct gy_str promises[GY_TUTORIAL_MAX_PROMISES];
    size_t n_promises;
};

size_t gy_tutorial_pages(void);
struct gy_tutorial_page gy_tutorial_page(size_t i); /* by number */

/* The commands of a page, in the arena. Fails: INVALID (too many of them), NOMEM. */
GY_CHECKED gy_status gy_tutorial_commands(struct gy_str text, struct gy_arena *a,
                                          struct gy_tutorial_command **ret, size_t *ret_n,
                                          struct gy_err *err);
/* Is the promised line that line of the output? */
bool gy_tutorial_line_matches(struct gy_str promise, struct gy_str line);
/* Are all promises kept by the output? *ret: the first that is not; absent: all are. */
struct gy_str gy_tutorial_broken(const struct gy_tutorial_command *c, struct gy_str output);

#endif
