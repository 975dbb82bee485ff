/* SPDX-License-Identifier: Apache-2.0 */
/* gyre gc: api/gc.c for people. Says what would go; --yes does it. */
#include <stdio.h>

#include "base/limits.h"
#include "base/time.h"
#include "cli/ask.h"

#define MAX_SPAN_S ((int64_t)100 * 365 * 86400)

struct gc_opts {
    const char *older_than, *grace;
    bool yes;
};

static void say(struct gy_cli *cli, yyjson_val *r, bool done)
{
    char artifacts[32], objects[32];
    gy_cli_say(cli, "%s %lld runs, %lld logged models and %lld experiments that were deleted",
               done ? "removed" : "would remove", (long long)gy_json_i64(r, "runs", 0),
               (long long)gy_json_i64(r, "logged_models", 0),
               (long long)gy_json_i64(r, "experiments", 0));
    gy_cli_say(cli, " (%lld artifacts, %s)\n", (long long)gy_json_i64(r, "artifacts", 0),
               gy_cli_bytes(gy_json_i64(r, "artifact_bytes", 0), artifacts));
    if (gy_json_i64(r, "dataset_versions", 0)) {
        char datasets[32];
        gy_cli_say(cli, "%s the bytes of %lld dataset versions that were deleted (%s)\n",
                   done ? "gave up" : "would give up",
                   (long long)gy_json_i64(r, "dataset_versions", 0),
                   gy_cli_bytes(gy_json_i64(r, "dataset_bytes", 0), datasets));
    }
    gy_cli_say(cli, "%s %lld objects that nothing names (%s)\n", done ? "removed" : "would remove",
               (long long)gy_json_i64(r, "objects", 0),
               gy_cli_bytes(gy_json_i64(r, "object_bytes", 0), objects));
    if (gy_json_i64(r, "kept", 0)) {
        gy_cli_say(cli, "kept %lld that a registered version or an endpoint stands on\n",
                   (long long)gy_json_i64(r, "kept", 0));
    }
    if (gy_json_i64(r, "young_objects", 0)) {
        gy_cli_say(cli, "left %lld objects that were put within the grace\n",
                   (long long)gy_json_i64(r, "young_objects", 0));
    }
    if (!done) {
        gy_cli_say(cli, "nothing was changed; --yes does it\n");
    }
}

static gy_status run_gc(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct gc_opts *o = opts;
    int64_t age_s = 0, grace_s = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    struct gy_jw w;
    gy_buf_init(&body, 4 * GY_KIB);
    GY_TRY(gy_time_parse_span(gy_str_c(o->older_than), MAX_SPAN_S, &age_s, err));
    GY_TRY(gy_time_parse_span(gy_str_c(o->grace), MAX_SPAN_S, &grace_s, err));
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "apply", o->yes);
    gy_jw_kv_i64(&w, "older_than_s", age_s);
    gy_jw_kv_i64(&w, "grace_s", grace_s);
    gy_jw_obj_end(&w);
    GY_TRY(gy_cli_ask(cli, "POST", "/api/gyre/v1/gc", gy_buf_str(&body), &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    say(cli, answer.root, o->yes);
    return GY_OK;
}

static const struct gy_opt gc_opts[] = {
    {"older-than", 0, GY_OPT_STR, offsetof(struct gc_opts, older_than), "SPAN", "30d",
     "of what was deleted at least so long ago"},
    {"grace", 0, GY_OPT_STR, offsetof(struct gc_opts, grace), "SPAN", "1d",
     "bytes that nothing names stay so long: an upload may be under way"},
    {"yes", 0, GY_OPT_FLAG, offsetof(struct gc_opts, yes), NULL, NULL,
     "do it; without it only say what would go"},
};

static const struct gy_verb verbs[] = {
    {.noun = "gc",
     .args = "",
     .summary = "remove for good what was deleted, and bytes that nothing names any more",
     .details = "Deleting a run or an experiment only marks it (gyre keeps it restorable). gc ends "
                "that, for what was deleted long enough ago; what a registered version or an "
                "endpoint stands on is kept. Make a backup first: gyre backup DIR.",
     .examples = "  gyre gc\n  gyre gc --older-than 90d --yes\n  gyre gc --older-than 0 --json",
     .opts = gc_opts,
     .n_opts = sizeof gc_opts / sizeof gc_opts[0],
     .opts_bytes = sizeof(struct gc_opts),
     .run = run_gc},
};

const struct gy_verb_table gy_cmd_gc = GY_VERB_TABLE(verbs);
