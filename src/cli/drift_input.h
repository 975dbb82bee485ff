/* SPDX-License-Identifier: Apache-2.0 */
/* What `gyre watch drift` compares: rows of an endpoint out of the prediction log with the profile
 * of their version, or a table with a model or with another table. Main thread only. */
#ifndef GY_CLI_DRIFT_INPUT_H
#define GY_CLI_DRIFT_INPUT_H

#include "cli/cli_internal.h"
#include "watch/drift.h"

/* The columns of two files or a file and a model. */
struct gy_cli_drift_files {
    const char *current, *reference, *schema; /* schema MAY be NULL */
    struct gy_str *columns;                   /* only these; NULL: all that both have, but the id */
    size_t n_columns;
    struct gy_str *categorical;
    size_t n_categorical;
};

/* The log of an endpoint. */
struct gy_cli_drift_log {
    struct gy_str endpoint;
    const char *version; /* NULL: the stable one of what is served */
    int64_t rows;        /* the last so many */
    int64_t since_us;    /* INT64_MIN: not asked; else all rows since then */
};

struct gy_cli_drift_input {
    struct gy_profile profile;
    struct gy_drift_window *window;
    struct gy_drift_options options;
    struct gy_str reference; /* for people: "models:/sepsis/3" */
    struct gy_str version;   /* log only; else absent */
    int64_t revision;
    uint64_t skipped;            /* rows of the log with other inputs */
    struct gy_str *text_columns; /* files only: free text, not compared */
    size_t n_text_columns;
};
void gy_cli_drift_input_done(struct gy_cli_drift_input *in);
GY_DEFINE_AUTO_DONE(struct gy_cli_drift_input, gy_cli_drift_input_done);

/* a: memory of what is read. Fails: NOTFOUND (a file, a model, a column), INVALID (a column that
 * can not be compared), as tables and packages do. */
GY_CHECKED gy_status gy_cli_drift_files(struct gy_cli *cli, const struct gy_cli_drift_files *f,
                                        struct gy_arena *a, struct gy_cli_drift_input *ret,
                                        struct gy_err *err);
/* Fails: NOTFOUND (no such endpoint, no row in the log, a package without a profile), as the log
 * and the transport do. */
GY_CHECKED gy_status gy_cli_drift_log(struct gy_cli *cli, const struct gy_cli_drift_log *l,
                                      struct gy_arena *a, struct gy_cli_drift_input *ret,
                                      struct gy_err *err);

#endif
