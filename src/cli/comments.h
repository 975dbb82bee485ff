/* SPDX-License-Identifier: Apache-2.0 */
/* Comments as `gyre runs comment`, `gyre models comment` and the show commands need them. Main
 * thread only. */
#ifndef GY_CLI_COMMENTS_H
#define GY_CLI_COMMENTS_H

#include "cli/cli_internal.h"

struct gy_cli_comment_opts {
    const char *edit, *remove; /* ids; NULL: none */
    bool history, deleted;
};
#define GY_CLI_COMMENT_OPTIONS                                                                \
    {"edit",                                                                                  \
     0,                                                                                       \
     GY_OPT_STR,                                                                              \
     offsetof(struct gy_cli_comment_opts, edit),                                              \
     "ID",                                                                                    \
     NULL,                                                                                    \
     "TEXT replaces this comment of yours; what it said is kept"},                            \
        {"delete",                                                                            \
         0,                                                                                   \
         GY_OPT_STR,                                                                          \
         offsetof(struct gy_cli_comment_opts, remove),                                        \
         "ID",                                                                                \
         NULL,                                                                                \
         "hide this comment of yours"},                                                       \
        {"history",                                                                           \
         0,                                                                                   \
         GY_OPT_FLAG,                                                                         \
         offsetof(struct gy_cli_comment_opts, history),                                       \
         NULL,                                                                                \
         NULL,                                                                                \
         "with every text that a comment had"},                                               \
    {                                                                                         \
        "deleted", 0, GY_OPT_FLAG, offsetof(struct gy_cli_comment_opts, deleted), NULL, NULL, \
            "list those that were deleted, too"                                               \
    }

/* Without a text: list. subject: "run:ID" or "model:NAME/VERSION". Fails: as the routes do. */
GY_CHECKED gy_status gy_cli_comment(struct gy_cli *cli, const char *subject, const char *text,
                                    const struct gy_cli_comment_opts *o, struct gy_err *err);
/* For people: a blank line and the comments; nothing when there is none. */
GY_CHECKED gy_status gy_cli_show_comments(struct gy_cli *cli, const char *subject,
                                          struct gy_err *err);

#endif
