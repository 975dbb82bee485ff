/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data ingest --append: the next version of a dataset is its newest one and what is new in a
 * source since the last time, each row once (data/taken.h). This is the command's side: what was
 * taken before, the rows of the newest version as the first source, and what is taken now.
 * Main thread only. Lifecycle: gy_cli_append_open -> gy_cli_append_base -> [pick*] -> ingest ->
 * gy_cli_append_taken -> gy_cli_append_done. */
#ifndef GY_CLI_APPEND_H
#define GY_CLI_APPEND_H

#include "cli/ask.h"
#include "data/schema.h"
#include "data/source.h"
#include "data/taken.h"

/* What the options say. */
struct gy_cli_append_options {
    bool append;
    bool restart;    /* all of the source again, nothing else */
    bool new_source; /* one more source of the dataset, or of one that was made otherwise */
    const char *watermark;
};

struct gy_cli_append {
    bool on; /* by gy_cli_append_open */
    struct gy_cli *cli;
    struct gy_str name;
    bool restart;
    const char *source; /* as taken.h means it */
    int64_t newest;     /* of the dataset when it began; 0: none */
    int64_t base;       /* the version whose rows come first; 0: none */
    int64_t base_rows;
    struct gy_str base_sha256;
    int64_t from_version;
    struct gy_str from_watermark;        /* absent: none */
    struct gy_cli_answer state, of_base; /* what the texts above point into */
    struct gy_map before;                /* digest of an object's name to its mark */
    struct gy_taken_object *now;
    size_t n_now, cap_now;
    int fd; /* of the base's rows; -1: none */
};

/* Ask how far the source was read. Fails: USAGE (a dataset that has other sources, without
 * new_source), CONFLICT (its newest version does not come from what was taken), as the transport.
 */
GY_CHECKED gy_status gy_cli_append_open(struct gy_cli *cli, const struct gy_cli_append_options *o,
                                        struct gy_str name, const char *source,
                                        struct gy_cli_append *ret, struct gy_err *err);
void gy_cli_append_done(struct gy_cli_append *a); /* zeroed, or not opened: fine */
GY_DEFINE_AUTO_DONE(struct gy_cli_append, gy_cli_append_done);

/* The rows of the base as the first source of the list; none without a base. They are fetched into
 * a file without a name in folder. */
GY_CHECKED gy_status gy_cli_append_base(struct gy_cli_append *a, const char *folder,
                                        struct gy_source_list *list, struct gy_err *err);
/* Is the object to be taken? mark tells its content. Fails: CONFLICT (taken with another content),
 * TOOBIG (too many at once), NOMEM. */
GY_CHECKED gy_status gy_cli_append_pick(struct gy_cli_append *a, struct gy_str object,
                                        struct gy_str mark, bool *ret_take, struct gy_err *err);
/* Keep those files of the list that are new. Their content is digested. */
GY_CHECKED gy_status gy_cli_append_files(struct gy_cli_append *a, struct gy_source_list *list,
                                         struct gy_err *err);
/* After the ingest: are the files that were taken still those that were digested? */
GY_CHECKED gy_status gy_cli_append_files_check(const struct gy_cli_append *a, struct gy_err *err);
/* The schema of the base, which its rows fit. Fails: PARSE. */
GY_CHECKED gy_status gy_cli_append_schema(const struct gy_cli_append *a, struct gy_schema **ret,
                                          struct gy_err *err);
/* Do the rows of the base fit this schema, because it is theirs? Fails: SCHEMA. */
GY_CHECKED gy_status gy_cli_append_check_schema(const struct gy_cli_append *a,
                                                const struct gy_schema *s, struct gy_err *err);
/* Write the member "taken" of the new version. watermark absent: none. */
GY_CHECKED gy_status gy_cli_append_taken(const struct gy_cli_append *a, struct gy_str watermark,
                                         struct gy_buf *out, struct gy_err *err);

#endif
