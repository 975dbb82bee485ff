/* SPDX-License-Identifier: Apache-2.0 */
/* gyre token: what programs log in with. A token is shown once, when it is made. */
#include "base/limits.h"
#include "cli/ask.h"

#define BASE "/api/gyre/v1/tokens"

struct token_opts {
    const char *expires, *label;
    bool all;
};

enum { CELLS = 7 };
static const char *const head[CELLS] = {"id",      "user",      "begins with", "label",
                                        "expires", "last used", "state"};

static struct gy_str time_cell(struct gy_cli *cli, yyjson_val *t, const char *key)
{
    return gy_cli_cell(cli, gy_str_sub(gy_json_str(t, key), 0, 19));
}

static void token_cells(struct gy_cli *cli, yyjson_val *t, struct gy_str *c)
{
    c[0] = gy_cli_cell(cli, gy_json_str(t, "id"));
    c[1] = gy_cli_cell(cli, gy_json_str(t, "user"));
    c[2] = gy_cli_cell(cli, gy_json_str(t, "prefix"));
    c[3] = gy_cli_cell(cli, gy_json_str(t, "label"));
    c[4] = time_cell(cli, t, "expires");
    c[5] = time_cell(cli, t, "last_used");
    c[6] = gy_json_str(t, "revoked").p ? GY_STR("revoked") : GY_STR("live");
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct token_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    const char *path = BASE;
    if (cli->argc > 0) {
        GY_TRY(gy_cli_path(cli, BASE "?user={}", gy_str_c(cli->argv[0]), &path, err));
    }
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *list = gy_json_get(a.root, "tokens"), *t;
    size_t i, n, shown = 0;
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, CELLS * yyjson_arr_size(list) + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, n, t)
    {
        if (o->all || !gy_json_str(t, "revoked").p) {
            token_cells(cli, t, cells + CELLS * shown++);
        }
    }
    gy_cli_table(cli, head, CELLS, cells, shown, (const bool[CELLS]){false});
    return GY_OK;
}

/* "30d", "12h", "90m", "2026-..." is not taken: a span is what people mean. */
static gy_status read_span(const char *text, int64_t *ret_s, struct gy_err *err)
{
    struct gy_str s = gy_str_c(text);
    int64_t unit = 0, n = 0;
    switch (s.n ? s.p[s.n - 1] : '\0') {
    case 'm':
        unit = 60;
        break;
    case 'h':
        unit = 3600;
        break;
    case 'd':
        unit = 86400;
        break;
    default:
        break;
    }
    if (unit == 0 || gy_parse_i64(gy_str_sub(s, 0, s.n - 1), 1, 1000000, &n, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_USAGE, "--expires takes a span: 30d, 12h or 90m");
    }
    *ret_s = n * unit;
    return GY_OK;
}

static gy_status run_create(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct token_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    int64_t expires_s = 0;
    gy_buf_init(&body, 64 * GY_KIB);
    if (o->expires && strcmp(o->expires, "never") != 0) {
        GY_TRY(read_span(o->expires, &expires_s, err));
    }
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "user", gy_str_c(cli->argc > 0 ? cli->argv[0] : NULL));
    gy_jw_kv_str(&w, "label", gy_str_c(o->label));
    if (expires_s) {
        gy_jw_kv_i64(&w, "expires_s", expires_s);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", BASE, gy_buf_str(&body), &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    gy_cli_note(cli, "This is the only time that the token is shown:\n");
    /* The result, not news about it: --quiet does not take it away. */
    gy_cli_put(stdout, gy_json_str(a.root, "token"), false, false);
    return fputc('\n', stdout) != EOF ? GY_OK
                                      : gy_err_set(err, GY_E_IO, "stdout can not be written");
}

static gy_status run_revoke(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    const char *path;
    (void)opts;
    GY_TRY(gy_cli_path(cli, BASE "/{}", gy_str_c(cli->argv[0]), &path, err));
    GY_TRY(gy_cli_ask(cli, "DELETE", path, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    gy_cli_say(cli, "the token of %" GY_STR_F " is revoked\n",
               GY_STR_A(gy_json_str(a.root, "user")));
    return GY_OK;
}

static const struct gy_opt list_options[] = {
    {"all", 'a', GY_OPT_FLAG, offsetof(struct token_opts, all), NULL, NULL, "revoked ones, too"},
};
static const struct gy_opt create_options[] = {
    {"expires", 0, GY_OPT_STR, offsetof(struct token_opts, expires), "SPAN", "90d",
     "30d, 12h, 90m or never"},
    {"label", 0, GY_OPT_STR, offsetof(struct token_opts, label), "TEXT", NULL,
     "what it is for, to know it again"},
};

static const struct gy_verb verbs[] = {
    {.noun = "token",
     .verb = "create",
     .args = "[USER]",
     .max_args = 1,
     .summary = "make a token for a user (default: yourself); it is shown once",
     .details = "Programs send it as `Authorization: Bearer ..` or as the password of Basic. gyre "
                "takes it from GYRE_TOKEN or ~/.config/gyre/token, MLflow from "
                "MLFLOW_TRACKING_TOKEN.",
     .examples = "  gyre token create ci --expires 30d --label pipeline\n"
                 "  MLFLOW_TRACKING_TOKEN=$(gyre token create ci -q) python train.py",
     GY_OPTS(create_options),
     .opts_bytes = sizeof(struct token_opts),
     .run = run_create},
    {.noun = "token",
     .verb = "list",
     .args = "[USER]",
     .max_args = 1,
     .summary = "list tokens: whose, for what, how long, when last used",
     .examples = "  gyre token list\n  gyre token list ci --all --json",
     GY_OPTS(list_options),
     .opts_bytes = sizeof(struct token_opts),
     .run = run_list},
    {.noun = "token",
     .verb = "revoke",
     .args = "ID",
     .min_args = 1,
     .max_args = 1,
     .summary = "make a token void, at once and for ever",
     .examples = "  gyre token revoke 01a1fbcc-3977-7408-9a4a-d48b4a3e925c",
     .opts_bytes = sizeof(struct token_opts),
     .run = run_revoke},
};

const struct gy_verb_table gy_cmd_token = GY_VERB_TABLE(verbs);
