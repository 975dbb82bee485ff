/* SPDX-License-Identifier: Apache-2.0 */
/* --from: records from elsewhere than files. Main thread only. */
#ifndef GY_CLI_SOURCE_FROM_H
#define GY_CLI_SOURCE_FROM_H

#include "cli/append.h"
#include "data/source_s3.h"

/* What the options say. */
struct gy_cli_from {
    const char *url, *query; /* NULL: not given */
    struct gy_cli_append_options append;
    bool equal_too; /* rows of the same watermark again: what is there already is told by its key */
    struct gy_str name; /* of the dataset */
    const char *output; /* folder of data.csv */
};

/* What sources need as long as they live. */
struct gy_cli_origin {
    struct gy_s3 *s3;            /* NULL: none */
    struct gy_cli_append append; /* not on: it was not asked for */
    struct gy_source *query;     /* in the list; NULL: none */
};
void gy_cli_origin_done(struct gy_cli_origin *o); /* after the sources */
GY_DEFINE_AUTO_DONE(struct gy_cli_origin, gy_cli_origin_done);

/* Add what is meant; objects below a prefix are listed now. When it is to be appended, the rows of
 * the newest version come first, and only what is new is added. Fails: USAGE, INVALID, NOMEM, as
 * gy_source_list_add_s3 and gy_cli_append_open. */
GY_CHECKED gy_status gy_cli_source_from(struct gy_cli *cli, const struct gy_cli_from *from,
                                        struct gy_cli_origin *origin, struct gy_source_list *ret,
                                        struct gy_err *err);

/* The same for files, which are in ret already. */
GY_CHECKED gy_status gy_cli_source_append_files(struct gy_cli *cli, const struct gy_cli_from *from,
                                                struct gy_cli_origin *origin,
                                                struct gy_source_list *ret, struct gy_err *err);
/* Is there anything to append? (Looks at the first row of a query.) */
GY_CHECKED gy_status gy_cli_source_is_new(const struct gy_cli_origin *origin,
                                          const struct gy_source_list *list, bool *ret,
                                          struct gy_err *err);
/* After the ingest: the member "taken" of the version; nothing is written when nothing is appended.
 */
GY_CHECKED gy_status gy_cli_source_taken(const struct gy_cli_origin *origin, struct gy_buf *out,
                                         struct gy_err *err);

#endif
