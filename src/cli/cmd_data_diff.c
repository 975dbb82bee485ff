/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data diff: two versions of a dataset held against each other, or what DVC tracks at two
 * revisions of git. */
#include "cli/data_diff_versions.h"
#include "cli/dvc_work.h"
#include "cli/model_input.h"

struct diff_opts {
    const char *key;
    int64_t limit;
    bool hashes;
};

static gy_status run_diff(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct diff_opts *o = opts;
    if (cli->argc < 2 || !gy_cli_is_dataset_ref(cli->argv[0]) ||
        !gy_cli_is_dataset_ref(cli->argv[1])) {
        return gy_cli_dvc_diff(cli, o->hashes, err);
    }
    const struct gy_cli_diff_versions d = {
        .before = cli->argv[0], .after = cli->argv[1], .key = o->key, .limit = o->limit};
    return gy_cli_diff_versions(cli, &d, err);
}

static const struct gy_opt diff_opts[] = {
    {"key", 0, GY_OPT_STR, offsetof(struct diff_opts, key), "COLUMN,...", NULL,
     "what rows are known by; default: the column that is unique in both schemas"},
    {"limit", 'n', GY_OPT_INT, offsetof(struct diff_opts, limit), "N", "10",
     "rows of each kind that are shown"},
    {"show-hash", 0, GY_OPT_FLAG, offsetof(struct diff_opts, hashes), NULL, NULL,
     "of revisions: digests, too (--json)"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "diff",
     .args = "NAME@VERSION NAME@VERSION | [REV [REV]]",
     .max_args = 2,
     .summary = "what two dataset versions, or data that DVC tracks at two revisions, differ in",
     .details =
         "Of revisions (HEAD and the workspace when none is named): files that were added,\n"
         "deleted, modified or renamed, as dvc diff says it. Of dataset versions: rows and\n"
         "columns. Rows are held against each other by a key; without one a row is all of its\n"
         "columns, so that rows are only added and removed. Columns that only one version\n"
         "has are told and not compared.",
     .examples = "  gyre data diff sepsis@1 sepsis@2\n"
                 "  gyre data diff sepsis@v1.0 sepsis@latest --key patient,hour\n"
                 "  gyre data diff\n  gyre data diff v1.0 HEAD --json",
     .opts = diff_opts,
     .n_opts = sizeof diff_opts / sizeof diff_opts[0],
     .opts_bytes = sizeof(struct diff_opts),
     .run = run_diff},
};

const struct gy_verb_table gy_cmd_data_diff = GY_VERB_TABLE(verbs);
