/* SPDX-License-Identifier: Apache-2.0 */
/* gyre log prune and gyre log pruned: api/retention.c for people. Says what would go; --yes does
 * it.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/retention_opts.h"

#define PRUNE "/api/gyre/v1/log/prune"
#define PRUNED "/api/gyre/v1/log/pruned"
#define SHOWN 20 /* segments of a plan; --json has more */

struct prune_opts {
    const char *keep, *max;
    bool yes;
};

static struct gy_str short_time(yyjson_val *of, const char *key)
{
    return gy_str_sub(gy_json_str(of, key), 0, 19);
}

static void say_list(struct gy_cli *cli, yyjson_val *list)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        char bytes[32];
        if (i == SHOWN) {
            gy_cli_say(cli, "  ... and others: --json\n");
            break;
        }
        gy_cli_say(
            cli,
            "  %" GY_STR_F "  %" GY_STR_F " to %" GY_STR_F "  %lld records, %s (%" GY_STR_F ")\n",
            GY_STR_A(gy_json_str(one, "segment")), GY_STR_A(short_time(one, "from")),
            GY_STR_A(short_time(one, "to")), (long long)gy_json_i64(one, "records", 0),
            gy_cli_bytes(gy_json_i64(one, "bytes", 0), bytes), GY_STR_A(gy_json_str(one, "why")));
    }
}

static const char *reason_of(struct gy_str why)
{
    static const struct {
        const char *why, *text;
    } reasons[] = {
        {"open", "still open, or unreadable"},
        {"newest", "the newest of a running server"},
        {"unread", "not read yet by"},
        {"legal", "it holds records of somebody under a legal hold (gyre subject holds)"},
        {"behind", "of a stream in which an earlier one must stay"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (gy_str_eqc(why, reasons[i].why)) {
            return reasons[i].text;
        }
    }
    return "it must stay";
}

static void say(struct gy_cli *cli, yyjson_val *r, bool done)
{
    char bytes[32], all[32];
    int64_t segments = gy_json_i64(r, "segments", 0);
    gy_cli_say(cli, "%s %lld segments of the prediction log: %lld records, %s of %s",
               done ? "removed" : "would remove", (long long)segments,
               (long long)gy_json_i64(r, "records", 0),
               gy_cli_bytes(gy_json_i64(r, "bytes", 0), bytes),
               gy_cli_bytes(gy_json_i64(r, "log_bytes", 0), all));
    if (segments) {
        gy_cli_say(cli, ", from %" GY_STR_F " to %" GY_STR_F, GY_STR_A(short_time(r, "from")),
                   GY_STR_A(short_time(r, "to")));
    }
    gy_cli_say(cli, "\n");
    say_list(cli, gy_json_get(r, "list"));
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(r, "stays"), i, n, one)
    {
        struct gy_str reader = gy_json_str(one, "reader");
        gy_cli_say(cli, "kept %lld (%s): %s%s%" GY_STR_F "\n",
                   (long long)gy_json_i64(one, "segments", 0),
                   gy_cli_bytes(gy_json_i64(one, "bytes", 0), bytes),
                   reason_of(gy_json_str(one, "why")), reader.n ? " " : "", GY_STR_A(reader));
    }
    if (!done && segments) {
        gy_cli_say(cli, "nothing was changed; --yes does it\n");
    }
}

static gy_status run_prune(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct prune_opts *o = opts;
    int64_t keep_s = 0, max_bytes = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    struct gy_jw w;
    gy_buf_init(&body, 4 * GY_KIB);
    GY_TRY(gy_cli_keep("--keep", o->keep, &keep_s, err));
    GY_TRY(gy_cli_size("--max", o->max, &max_bytes, err));
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "apply", o->yes);
    gy_jw_kv_i64(&w, "keep_s", keep_s);
    gy_jw_kv_i64(&w, "max_bytes", max_bytes);
    gy_jw_obj_end(&w);
    GY_TRY(gy_cli_ask(cli, "POST", PRUNE, gy_buf_str(&body), &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    say(cli, answer.root, o->yes);
    return GY_OK;
}

/* ---- pruned ---- */

struct pruned_opts {
    int64_t limit;
};

static gy_status say_pruned(struct gy_cli *cli, yyjson_val *list, struct gy_err *err)
{
    static const char *const head[] = {"pruned",  "from",  "to",  "segments",
                                       "records", "bytes", "why", "by"};
    enum { COLUMNS = sizeof head / sizeof head[0] };
    static const bool right[COLUMNS] = {false, false, false, true, true, true, false, false};
    size_t n = yyjson_arr_size(list), i, max;
    yyjson_val *one;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * COLUMNS + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, max, one)
    {
        struct gy_str *c = cells + i * COLUMNS;
        char bytes[32];
        c[0] = short_time(one, "time");
        c[1] = short_time(one, "from");
        c[2] = short_time(one, "to");
        c[3] = gy_cli_cellf(cli, "%lld", (long long)gy_json_i64(one, "segments", 0));
        c[4] = gy_cli_cellf(cli, "%lld", (long long)gy_json_i64(one, "records", 0));
        c[5] = gy_cli_cellf(cli, "%s", gy_cli_bytes(gy_json_i64(one, "bytes", 0), bytes));
        c[6] = gy_json_str(one, "why");
        c[7] = gy_json_str(one, "actor");
    }
    gy_cli_table(cli, head, COLUMNS, cells, n, right);
    return GY_OK;
}

static gy_status run_pruned(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct pruned_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    char path[128];
    (void)snprintf(path, sizeof path, PRUNED "?limit=%lld", (long long)o->limit);
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &answer, err));
    return cli->json ? gy_cli_print_answer(cli, &answer, err)
                     : say_pruned(cli, gy_json_get(answer.root, "pruned"), err);
}

static const struct gy_opt prune_opts[] = {
    {"keep", 0, GY_OPT_STR, offsetof(struct prune_opts, keep), "SPAN", NULL,
     "what is older goes: 90d, 12h"},
    {"max", 0, GY_OPT_STR, offsetof(struct prune_opts, max), "SIZE", NULL,
     "the oldest go until the log is not larger: 50G, 500M"},
    {"yes", 0, GY_OPT_FLAG, offsetof(struct prune_opts, yes), NULL, NULL,
     "do it; without it only say what would go"},
};

static const struct gy_opt pruned_opts[] = {
    {"limit", 'n', GY_OPT_INT, offsetof(struct pruned_opts, limit), "N", "100",
     "at most so many (10000)"},
};

static const struct gy_verb verbs[] = {
    {.noun = "log",
     .verb = "prune",
     .args = "",
     .summary = "remove logged predictions that retention does not keep any more",
     .details =
         "Whole sealed segments go, the oldest of each stream first. What the watcher or a "
         "gyre log ship has not read, what a replica has not shipped, and what holds records "
         "of somebody under a legal hold stays. Without --keep and --max: as the running "
         "server was told (--log-keep, --log-max), which prunes by itself.",
     .examples = "  gyre log prune --keep 90d\n  gyre log prune --keep 90d --max 50G --yes",
     .opts = prune_opts,
     .n_opts = sizeof prune_opts / sizeof prune_opts[0],
     .opts_bytes = sizeof(struct prune_opts),
     .run = run_prune},
    {.noun = "log",
     .verb = "pruned",
     .args = "",
     .summary = "what retention has removed of the prediction log, the newest first",
     .examples = "  gyre log pruned\n  gyre log pruned --json",
     .opts = pruned_opts,
     .n_opts = sizeof pruned_opts / sizeof pruned_opts[0],
     .opts_bytes = sizeof(struct pruned_opts),
     .run = run_pruned},
};

const struct gy_verb_table gy_cmd_log_prune = GY_VERB_TABLE(verbs);
