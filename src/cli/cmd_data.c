/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data list, show, checkout: dataset versions, through the routes; and what DVC tracks. */
#include "base/file.h"
#include "cli/ask.h"
#include "cli/dataset_get.h"
#include "cli/dvc_work.h"
#include "cli/model_input.h"

#define BASE "/api/gyre/v1"

static struct gy_str number_cell(struct gy_cli *cli, yyjson_val *v, const char *key)
{
    return gy_str_c(gy_arena_printf(&cli->arena, "%lld", (long long)gy_json_i64(v, key, 0)));
}

/* "gold v1.0" */
static struct gy_str tags_cell(struct gy_cli *cli, yyjson_val *v)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    yyjson_val *tags = gy_json_get(v, "tags"), *tag;
    size_t i, max;
    gy_buf_init(&text, 64 * GY_KIB);
    yyjson_arr_foreach(tags, i, max, tag)
    {
        gy_buf_addc(&text, i ? " " : "");
        gy_buf_add(&text, gy_json_val_str(tag));
    }
    return text.failed == GY_OK ? gy_cli_cell(cli, gy_buf_str(&text)) : GY_STR_NULL;
}

struct list_opts {
    bool deleted;
};

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct list_opts *o = opts;
    static const char *const head[] = {"dataset", "version", "tags",   "rows",
                                       "dead",    "bytes",   "sha256", "created"};
    static const bool right[] = {false, true, false, true, true, true, false, false};
    enum { N = sizeof head / sizeof head[0] };
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    const char *path = BASE "/datasets{}";
    struct gy_str name = GY_STR("");
    if (cli->argc > 0) {
        path = o->deleted ? BASE "/datasets/{}?deleted=true" : BASE "/datasets/{}";
        name = gy_str_c(cli->argv[0]);
    } else if (o->deleted) {
        path = BASE "/datasets{}?deleted=true";
    }
    GY_TRY(gy_cli_path(cli, path, name, &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    yyjson_val *list = NULL;
    GY_TRY(gy_json_need_arr(answer.root, cli->argc > 0 ? "versions" : "datasets", &list, err));
    size_t n = yyjson_arr_size(list), i, max;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * N + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a table");
    }
    yyjson_val *v;
    yyjson_arr_foreach(list, i, max, v)
    {
        struct gy_str *row = cells + i * N;
        row[0] = gy_json_str(v, "name");
        row[1] = number_cell(cli, v, "version");
        row[2] = tags_cell(cli, v);
        row[3] = number_cell(cli, v, "rows");
        row[4] = number_cell(cli, v, "dead");
        row[5] = number_cell(cli, v, "size");
        row[6] = gy_str_sub(gy_json_str(v, "sha256"), 0, 12);
        row[7] = gy_str_sub(gy_json_str(v, "created"), 0, 19);
    }
    gy_cli_table(cli, head, N, cells, n, right);
    return GY_OK;
}

static void say_version(struct gy_cli *cli, yyjson_val *v)
{
    static const char *const texts[] = {"sha256",        "md5",   "source",
                                        "source_sha256", "actor", "created"};
    static const char *const numbers[] = {"rows", "read", "accepted", "dead", "size"};
    gy_cli_say(cli, "%" GY_STR_F "@%lld\n", GY_STR_A(gy_json_str(v, "name")),
               (long long)gy_json_i64(v, "version", 0));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        gy_cli_say(cli, "  %-14s %lld\n", numbers[i], (long long)gy_json_i64(v, numbers[i], 0));
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct gy_str text = gy_json_str(v, texts[i]);
        gy_cli_say(cli, "  %-14s %" GY_STR_F "\n", texts[i], GY_STR_A(text.p ? text : GY_STR("-")));
    }
    struct gy_str tags = tags_cell(cli, v);
    gy_cli_say(cli, "  %-14s %" GY_STR_F "\n", "tags", GY_STR_A(tags.p ? tags : GY_STR("-")));
    yyjson_val *columns = gy_json_get(gy_json_get(v, "schema"), "columns"), *c;
    size_t i, max;
    yyjson_arr_foreach(columns, i, max, c)
    {
        gy_cli_say(cli, "  %s%-12" GY_STR_F " %" GY_STR_F "\n",
                   i ? "               " : "columns        ", GY_STR_A(gy_json_str(c, "name")),
                   GY_STR_A(gy_json_str(c, "type")));
    }
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 4 * GY_KIB);
    GY_TRY(gy_cli_dataset_path(cli->argv[0], &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    say_version(cli, answer.root);
    return GY_OK;
}

struct checkout_opts {
    const char *output;
    bool force, relink;
};

static gy_status checkout_dataset(struct gy_cli *cli, const struct checkout_opts *o,
                                  struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    GY_TRY(gy_dir_make_for(o->output, err));
    GY_TRY(gy_cli_dataset_get(cli, cli->argv[0], o->output, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    gy_cli_say(cli, "%s: %" GY_STR_F "@%lld, %lld rows\n", o->output,
               GY_STR_A(gy_json_str(answer.root, "name")),
               (long long)gy_json_i64(answer.root, "version", 0),
               (long long)gy_json_i64(answer.root, "rows", 0));
    return GY_OK;
}

/* "name@3" is a registered dataset; anything else what DVC tracks here; and a bare name that DVC
 * does not know a dataset's newest version. */
static gy_status run_checkout(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct checkout_opts *o = opts;
    struct gy_err why = GY_ERR_INIT;
    if (cli->argc == 1 && gy_cli_is_dataset_ref(cli->argv[0])) {
        return checkout_dataset(cli, o, err);
    }
    gy_status status = gy_cli_dvc_checkout(cli, o->force, o->relink, &why);
    if (status == GY_E_NOTFOUND && cli->argc == 1 && !strchr(cli->argv[0], '/') &&
        !gy_path_exists(cli->argv[0]) && !gy_str_ends(gy_str_c(cli->argv[0]), GY_STR(".dvc"))) {
        return checkout_dataset(cli, o, err);
    }
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

static const struct gy_opt checkout_opts[] = {
    {"force", 'f', GY_OPT_FLAG, offsetof(struct checkout_opts, force), NULL, NULL,
     "tracked: replace files that no cache holds"},
    {"relink", 0, GY_OPT_FLAG, offsetof(struct checkout_opts, relink), NULL, NULL,
     "tracked: make links anew where they are not as cache.type says"},
    {"output", 'o', GY_OPT_STR, offsetof(struct checkout_opts, output), "FILE", "data.csv",
     "the file to write"},
};

static const struct gy_opt list_opts[] = {
    {"deleted", 0, GY_OPT_FLAG, offsetof(struct list_opts, deleted), NULL, NULL,
     "those that were deleted, instead"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "list",
     .args = "[NAME]",
     .max_args = 1,
     .summary = "all dataset versions, or those of a name",
     .examples = "  gyre data list\n  gyre data list --deleted",
     .opts = list_opts,
     .n_opts = sizeof list_opts / sizeof list_opts[0],
     .opts_bytes = sizeof(struct list_opts),
     .run = run_list},
    {.noun = "data",
     .verb = "show",
     .args = "NAME[@VERSION|@TAG]",
     .min_args = 1,
     .max_args = 1,
     .summary = "one dataset version: counts, digests, columns",
     .examples = "  gyre data show sepsis@1",
     .run = run_show},
    {.noun = "data",
     .verb = "checkout",
     .args = "[NAME@VERSION | TARGET...]",
     .max_args = -1,
     .summary = "bring data here: a registered version into a file, or what DVC tracks",
     .details = "NAME@VERSION or NAME@TAG: the bytes of a registered dataset, into --output.\n"
                "TARGET: a .dvc file, a tracked path, a path inside or above one, a stage; none: "
                "all of them.",
     .examples = "  gyre data checkout sepsis@1 -o data.csv\n  gyre data checkout\n"
                 "  gyre data checkout images.dvc",
     .opts = checkout_opts,
     .n_opts = sizeof checkout_opts / sizeof checkout_opts[0],
     .opts_bytes = sizeof(struct checkout_opts),
     .run = run_checkout},
};

const struct gy_verb_table gy_cmd_data = GY_VERB_TABLE(verbs);
