/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_internal.h"
#include "cli/version.h"

struct version_opts {
    char unused;
};

static gy_status run_version(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    if (!cli->json) {
        gy_cli_say(cli, "gyre %s\n", GY_VERSION);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 256);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "version", GY_VERSION);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static const struct gy_verb verbs[] = {
    {.noun = "version",
     .args = "",
     .summary = "print the version",
     .examples = "  gyre version\n  gyre version --json",
     .opts_bytes = sizeof(struct version_opts),
     .run = run_version},
};

const struct gy_verb_table gy_cmd_version = GY_VERB_TABLE(verbs);
