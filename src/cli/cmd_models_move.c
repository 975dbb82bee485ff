/* SPDX-License-Identifier: Apache-2.0 */
/* gyre models promote, rollback, history, comment: where aliases point, and who moved them when and
 * why. */
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/comments.h"

#define GYRE "/api/gyre/v1/models"

struct alias_opts {
    const char *alias, *reason;
    int64_t to;
};

/* POST to a route of the model and tell what moved. */
static gy_status move_alias(struct gy_cli *cli, struct gy_str name, const char *verb,
                            const struct alias_opts *o, const char *key, int64_t version,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body = {0};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *format = gy_arena_printf(&cli->arena, GYRE "/{}/%s", verb), *path = NULL;
    struct gy_jw w;
    if (!format) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_cli_path(cli, format, name, &path, err));
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "alias", o->alias);
    if (version) {
        gy_jw_kv_i64(&w, key, version);
    }
    if (o->reason) {
        gy_jw_kv_strc(&w, "reason", o->reason);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", path, gy_buf_str(&body), &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    int64_t to = gy_json_i64(a.root, "version", 0), from = gy_json_i64(a.root, "from", 0);
    gy_cli_say(cli, "%" GY_STR_F "@%s -> version %lld", GY_STR_A(name), o->alias, (long long)to);
    gy_cli_say(cli, from && from != to ? " (was %lld)\n" : "\n", (long long)from);
    return GY_OK;
}

static gy_status run_promote(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = NULL;
    GY_TRY(gy_cli_path(cli, GYRE "/resolve?ref={}", gy_str_c(cli->argv[0]), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    return move_alias(cli, gy_json_str(a.root, "name"), "promote", opts, "version",
                      gy_json_i64(a.root, "version", 0), err);
}

static gy_status run_rollback(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct alias_opts *o = opts;
    if (o->to < 0) {
        return gy_err_set(err, GY_E_USAGE, "--to is the number of a version");
    }
    return move_alias(cli, gy_str_c(cli->argv[0]), "rollback", o, "to", o->to, err);
}

/* ---- history ---- */

struct history_opts {
    const char *alias;
    int64_t limit;
};

/* "alias champion", "endpoint ward (revision 3)", "version 2" */
static struct gy_str what_cell(struct gy_cli *cli, yyjson_val *e)
{
    struct gy_str kind = gy_json_str(e, "kind"), what = gy_json_str(e, "what");
    int64_t revision = gy_json_i64(e, "revision", 0);
    if (revision) {
        return gy_cli_cellf(cli, "%" GY_STR_F " %" GY_STR_F " (revision %lld)", GY_STR_A(kind),
                            GY_STR_A(what), (long long)revision);
    }
    bool model = what.n == 0; /* of the model itself */
    return gy_cli_cellf(cli, "%" GY_STR_F " %" GY_STR_F, GY_STR_A(model ? GY_STR("model") : kind),
                        GY_STR_A(model ? kind : what));
}

static struct gy_str change_cell(struct gy_cli *cli, yyjson_val *e)
{
    struct gy_str from = gy_json_str(e, "from"), to = gy_json_str(e, "to");
    if (from.n == 0) {
        return gy_cli_cell(cli, to);
    }
    return gy_cli_cellf(cli, "%" GY_STR_F " -> %" GY_STR_F, GY_STR_A(from),
                        GY_STR_A(to.n ? to : GY_STR("-")));
}

static gy_status run_history(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct history_opts *o = opts;
    static const char *const head[] = {"time", "what", "action", "version", "by", "reason"};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *base = NULL, *path = NULL;
    GY_TRY(gy_cli_path(cli, GYRE "/{}/history?max=", gy_str_c(cli->argv[0]), &base, err));
    base = gy_arena_printf(&cli->arena, "%s%lld&alias={}", base, (long long)o->limit);
    if (!base) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_cli_path(cli, base, gy_str_c(o->alias ? o->alias : ""), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *list = gy_json_get(a.root, "history"), *e;
    size_t i, n;
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * 6 + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, n, e)
    {
        struct gy_str *row = cells + i * 6;
        row[0] = gy_cli_cell(cli, gy_str_sub(gy_json_str(e, "time"), 0, 19));
        row[1] = what_cell(cli, e);
        row[2] = gy_cli_cell(cli, gy_json_str(e, "action"));
        row[3] = change_cell(cli, e);
        row[4] = gy_cli_cell(cli, gy_json_str(e, "actor"));
        row[5] = gy_cli_cell(cli, gy_json_str(e, "reason"));
    }
    gy_cli_table(cli, head, 6, cells, yyjson_arr_size(list), NULL);
    return GY_OK;
}

static gy_status run_comment(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const char *ref = cli->argv[0];
    ref = strncmp(ref, "models:/", 8) == 0 ? ref + 8 : ref;
    const char *subject = gy_arena_printf(&cli->arena, "model:%s", ref);
    return subject ? gy_cli_comment(cli, subject, cli->argc > 1 ? cli->argv[1] : NULL, opts, err)
                   : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static const struct gy_opt comment_options[] = {GY_CLI_COMMENT_OPTIONS};
static const struct gy_opt promote_options[] = {
    {"alias", 'a', GY_OPT_STR, offsetof(struct alias_opts, alias), "ALIAS", "champion",
     "the alias to move"},
    {"reason", 'r', GY_OPT_STR, offsetof(struct alias_opts, reason), "TEXT", NULL,
     "why; kept in the history"},
};
static const struct gy_opt rollback_options[] = {
    {"alias", 'a', GY_OPT_STR, offsetof(struct alias_opts, alias), "ALIAS", "champion",
     "the alias to move back"},
    {"to", 0, GY_OPT_INT, offsetof(struct alias_opts, to), "N", NULL,
     "this version (default: the one it pointed to before)"},
    {"reason", 'r', GY_OPT_STR, offsetof(struct alias_opts, reason), "TEXT", NULL,
     "why; kept in the history"},
};
static const struct gy_opt history_options[] = {
    {"alias", 'a', GY_OPT_STR, offsetof(struct history_opts, alias), "ALIAS", NULL,
     "only the moves of this alias"},
    {"limit", 'n', GY_OPT_INT, offsetof(struct history_opts, limit), "N", "100", "at most N"},
};
static const struct gy_verb verbs[] = {
    {"models", "promote", "NAME/VERSION", 1, 1, "point an alias to a version",
     "A protected alias moves only to a version that its gate has blessed. Who does it must have a "
     "name.",
     "gyre models promote sepsis/3 --reason \"recall 0.91 on ward 3\"\n"
     "gyre models promote sepsis/3 --alias shadow\n",
     GY_OPTS(promote_options), sizeof(struct alias_opts), run_promote},
    {"models", "rollback", "NAME", 1, 1, "point an alias back to where it was",
     "Two in a row go back two. A version that held the alias before needs no new verdict.",
     "gyre models rollback sepsis --reason \"too many alarms at night\"\n"
     "gyre models rollback sepsis --to 2\n",
     GY_OPTS(rollback_options), sizeof(struct alias_opts), run_rollback},
    {"models", "history", "NAME", 1, 1, "who moved what when and why",
     "Moves of aliases, changes of stages, endpoints that were deployed, promoted or rolled back, "
     "versions and deletions.",
     "gyre models history sepsis\ngyre models history sepsis --alias champion --json\n",
     GY_OPTS(history_options), sizeof(struct history_opts), run_history},
    {"models", "comment", "NAME/VERSION|NAME@ALIAS [TEXT]", 1, 2,
     "comment on a version, or list what was said",
     "Nothing is lost: an edit keeps what was said, a deletion hides it.",
     "gyre models comment sepsis/3 \"fewer alarms at night\"\ngyre models comment sepsis/3\n",
     GY_OPTS(comment_options), sizeof(struct gy_cli_comment_opts), run_comment},
};
const struct gy_verb_table gy_cmd_models_move = GY_VERB_TABLE(verbs);
