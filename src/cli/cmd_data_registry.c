/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data tag, untag, describe, lineage, delete: what is said of dataset versions, through the
 * routes. */
#include "cli/ask.h"
#include "cli/model_input.h"

#define BASE "/api/gyre/v1/datasets/"

/* "name@version" cut; version absent: none was given. */
static gy_status cut_ref(const char *ref, struct gy_str *name, struct gy_str *version,
                         struct gy_err *err)
{
    (void)gy_str_cut(gy_str_c(ref), '@', name, version);
    return name->n > 0 ? GY_OK
                       : gy_err_set(err, GY_E_USAGE,
                                    "'%s' names no dataset: want NAME or NAME@VERSION", ref);
}

static gy_status add_path(struct gy_buf *out, struct gy_str name, const char *middle,
                          struct gy_str last, struct gy_err *err)
{
    gy_buf_addc(out, BASE);
    gy_url_encode(out, name, false);
    gy_buf_addc(out, middle);
    gy_url_encode(out, last, false);
    return gy_buf_check(out, "the path of a dataset", err);
}

/* ---- tag, untag ---- */

struct tag_opts {
    const char *reason;
    bool force;
};

static gy_status run_tag(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct tag_opts *o = opts;
    struct gy_str name, version;
    struct gy_jw w;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    gy_buf_init(&path, 8 * GY_KIB);
    gy_buf_init(&body, GY_MIB);
    GY_TRY(cut_ref(cli->argv[0], &name, &version, err));
    GY_TRY(add_path(&path, name, "/tags/", gy_str_c(cli->argv[1]), err));
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "version", version.p ? version : GY_STR("latest"));
    gy_jw_kv_bool(&w, "force", o->force);
    gy_jw_kv_strc(&w, "reason", o->reason);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the reason", err));
    GY_TRY(gy_cli_ask(cli, "PUT", path.p, gy_buf_str(&body), &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    int64_t number = gy_json_i64(answer.root, "version", 0),
            from = gy_json_i64(answer.root, "from", 0);
    gy_cli_say(cli, "%" GY_STR_F "@%s is version %lld", GY_STR_A(name), cli->argv[1],
               (long long)number);
    if (from && from != number) {
        gy_cli_say(cli, "; it was %lld", (long long)from);
    }
    gy_cli_say(cli, "\n");
    return GY_OK;
}

static gy_status run_untag(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    struct gy_str name, tag;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    gy_buf_init(&path, 8 * GY_KIB);
    GY_TRY(cut_ref(cli->argv[0], &name, &tag, err));
    if (tag.n == 0) {
        return gy_err_set(err, GY_E_USAGE, "which tag? gyre data untag NAME@TAG");
    }
    GY_TRY(add_path(&path, name, "/tags/", tag, err));
    GY_TRY(gy_cli_ask(cli, "DELETE", path.p, GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    gy_cli_say(cli, "%" GY_STR_F " has no tag %" GY_STR_F " any more; it was version %lld\n",
               GY_STR_A(name), GY_STR_A(tag), (long long)gy_json_i64(answer.root, "from", 0));
    return GY_OK;
}

static const struct gy_opt tag_opts[] = {
    {"force", 0, GY_OPT_FLAG, offsetof(struct tag_opts, force), NULL, NULL,
     "move a tag that names another version"},
    {"reason", 0, GY_OPT_STR, offsetof(struct tag_opts, reason), "TEXT", NULL, "kept with it"},
};

/* ---- describe ---- */

static gy_status run_describe(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    struct gy_jw w;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    gy_buf_init(&path, 8 * GY_KIB);
    gy_buf_init(&body, GY_MIB);
    GY_TRY(add_path(&path, gy_str_c(cli->argv[0]), "", GY_STR(""), err));
    if (cli->argc > 1) {
        gy_jw_init(&w, &body);
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "description", cli->argv[1]);
        gy_jw_obj_end(&w);
        GY_TRY(gy_buf_check(&body, "the description", err));
        GY_TRY(gy_cli_ask(cli, "PATCH", path.p, gy_buf_str(&body), &answer, err));
    } else {
        GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &answer, err));
    }
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    struct gy_str text = gy_json_str(answer.root, "description");
    gy_cli_say(cli, "%s: %" GY_STR_F "\n", cli->argv[0],
               GY_STR_A(text.p ? text : GY_STR("(nothing is said of it)")));
    return GY_OK;
}

/* ---- lineage ---- */

static void say_edges(const struct gy_cli *cli, const char *title, yyjson_val *edges)
{
    size_t i, max;
    yyjson_val *e;
    gy_cli_say(cli, "%s\n", title);
    if (yyjson_arr_size(edges) == 0) {
        gy_cli_say(cli, "  nothing\n");
    }
    yyjson_arr_foreach(edges, i, max, e)
    {
        gy_cli_say(cli, "  %" GY_STR_F "  -%" GY_STR_F "->  %" GY_STR_F "\n",
                   GY_STR_A(gy_json_str(e, "from")), GY_STR_A(gy_json_str(e, "rel")),
                   GY_STR_A(gy_json_str(e, "to")));
    }
}

static void say_uses(const struct gy_cli *cli, yyjson_val *answer)
{
    yyjson_val *uses = gy_json_get(answer, "used_by"), *node;
    size_t i, max;
    if (yyjson_arr_size(uses) == 0) {
        gy_cli_say(cli, "nothing stands on it\n");
        return;
    }
    gy_cli_say(cli, "used by\n");
    yyjson_arr_foreach(uses, i, max, node)
    {
        gy_cli_say(cli, "  %" GY_STR_F "\n", GY_STR_A(gy_json_val_str(node)));
    }
    if (gy_json_bool(answer, "used_by_more", false)) {
        gy_cli_say(cli, "  and others\n");
    }
}

static gy_status run_lineage(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    gy_buf_init(&path, 8 * GY_KIB);
    GY_TRY(gy_cli_dataset_path(cli->argv[0], &path, err));
    gy_buf_addc(&path, "/lineage");
    GY_TRY(gy_buf_check(&path, "the path of a dataset", err));
    GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    gy_cli_say(cli, "%" GY_STR_F "@%lld  sha256 %" GY_STR_F "\n",
               GY_STR_A(gy_json_str(answer.root, "name")),
               (long long)gy_json_i64(answer.root, "version", 0),
               GY_STR_A(gy_json_str(answer.root, "sha256")));
    say_edges(cli, "comes from", gy_json_get(answer.root, "upstream"));
    say_edges(cli, "led to", gy_json_get(answer.root, "downstream"));
    if (gy_json_bool(answer.root, "more", false)) {
        gy_cli_say(cli, "  and more: only the nearest are shown\n");
    }
    say_uses(cli, answer.root);
    return GY_OK;
}

/* ---- delete ---- */

struct delete_opts {
    bool yes, force, undo;
};

/* Tags and "latest" move: what is deleted is named by its number. */
static gy_status need_number(const char *ref, struct gy_str *name, struct gy_str *version,
                             struct gy_err *err)
{
    int64_t number = 0;
    GY_TRY(cut_ref(ref, name, version, err));
    if (gy_str_starts(*version, GY_STR("v"))) {
        *version = gy_str_sub(*version, 1, SIZE_MAX);
    }
    return gy_parse_i64(*version, 1, INT64_MAX, &number, NULL) == GY_OK
               ? GY_OK
               : gy_err_set(err, GY_E_USAGE,
                            "'%s': name the version by its number, as NAME@3, since tags move",
                            ref);
}

static void say_delete(const struct gy_cli *cli, const struct delete_opts *o, yyjson_val *answer)
{
    char bytes[32];
    if (o->undo) {
        gy_cli_say(cli, "%s is there again\n", cli->argv[0]);
        return;
    }
    gy_cli_say(cli, "%s %s: %lld rows, %s\n", o->yes ? "deleted" : "would delete", cli->argv[0],
               (long long)gy_json_i64(answer, "rows", 0),
               gy_cli_bytes(gy_json_i64(answer, "size", 0), bytes));
    say_uses(cli, answer);
    if (o->yes) {
        gy_cli_say(cli, "gyre gc gives up its bytes; until then: gyre data delete %s --undo\n",
                   cli->argv[0]);
    } else {
        gy_cli_say(cli, "nothing was changed; --yes does it%s\n",
                   yyjson_arr_size(gy_json_get(answer, "used_by")) > 0
                       ? ", with --force, since it is used"
                       : "");
    }
}

static gy_status run_delete(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct delete_opts *o = opts;
    struct gy_str name, version;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    gy_buf_init(&path, 8 * GY_KIB);
    GY_TRY(need_number(cli->argv[0], &name, &version, err));
    GY_TRY(add_path(&path, name, "/versions/", version, err));
    gy_buf_addc(&path, o->undo    ? "/restore"
                       : !o->yes  ? "?plan=true"
                       : o->force ? "?force=true"
                                  : "");
    GY_TRY(gy_buf_check(&path, "the path of a dataset", err));
    GY_TRY(gy_cli_ask(cli, o->undo ? "POST" : "DELETE", path.p,
                      o->undo ? GY_STR("{}") : GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    say_delete(cli, o, answer.root);
    return GY_OK;
}

static const struct gy_opt delete_opts[] = {
    {"yes", 'y', GY_OPT_FLAG, offsetof(struct delete_opts, yes), NULL, NULL,
     "do it; without it the command tells what it would do"},
    {"force", 0, GY_OPT_FLAG, offsetof(struct delete_opts, force), NULL, NULL,
     "also when runs, models, endpoints or tags stand on it"},
    {"undo", 0, GY_OPT_FLAG, offsetof(struct delete_opts, undo), NULL, NULL,
     "take the deletion back, while gyre gc has not ended it"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "tag",
     .args = "NAME[@VERSION] TAG",
     .min_args = 2,
     .max_args = 2,
     .summary = "let a tag name a dataset version",
     .details = "Without a version it is the newest. A tag names one version; letting it name\n"
                "another one takes --force, and is kept in the history of tags.",
     .examples = "  gyre data tag sepsis@1 v1.0\n"
                 "  gyre data tag sepsis gold --force --reason 'reviewed'",
     .opts = tag_opts,
     .n_opts = sizeof tag_opts / sizeof tag_opts[0],
     .opts_bytes = sizeof(struct tag_opts),
     .run = run_tag},
    {.noun = "data",
     .verb = "untag",
     .args = "NAME@TAG",
     .min_args = 1,
     .max_args = 1,
     .summary = "take a tag off a dataset",
     .examples = "  gyre data untag sepsis@gold",
     .run = run_untag},
    {.noun = "data",
     .verb = "describe",
     .args = "NAME [TEXT]",
     .min_args = 1,
     .max_args = 2,
     .summary = "say, or show, what a dataset is",
     .examples = "  gyre data describe sepsis 'vital signs, one row a patient and hour'",
     .run = run_describe},
    {.noun = "data",
     .verb = "lineage",
     .args = "NAME[@VERSION|@TAG]",
     .min_args = 1,
     .max_args = 1,
     .summary = "what a dataset version comes from and what stands on it",
     .examples = "  gyre data lineage sepsis@1",
     .run = run_lineage},
    {.noun = "data",
     .verb = "delete",
     .args = "NAME@VERSION",
     .min_args = 1,
     .max_args = 1,
     .summary = "delete a dataset version: tells first, --yes does it",
     .details = "A version that runs, models, endpoints or tags stand on is refused, unless\n"
                "--force is given. Deleting is a mark: gyre gc gives the bytes up later, and\n"
                "until then --undo takes it back. The number is never used again.",
     .examples = "  gyre data delete sepsis@1\n  gyre data delete sepsis@1 --yes",
     .opts = delete_opts,
     .n_opts = sizeof delete_opts / sizeof delete_opts[0],
     .opts_bytes = sizeof(struct delete_opts),
     .run = run_delete},
};

const struct gy_verb_table gy_cmd_data_registry = GY_VERB_TABLE(verbs);
