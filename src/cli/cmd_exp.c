/* SPDX-License-Identifier: Apache-2.0 */
/* gyre exp: experiments. */
#include "base/limits.h"
#include "cli/ask.h"

#define BASE "/api/2.0/mlflow/experiments"

struct list_opts {
    const char *filter;
    bool all;
    int64_t limit;
};

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct list_opts *o = opts;
    static const char *const head[] = {"id", "name", "state", "created", "artifacts"};
    static const bool right[] = {true, false, false, false, false};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "view_type", o->all ? "ALL" : "ACTIVE_ONLY");
    gy_jw_kv_i64(&w, "max_results", o->limit);
    if (o->filter) {
        gy_jw_kv_strc(&w, "filter", o->filter);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", BASE "/search", gy_buf_str(&body), &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *list = gy_json_get(a.root, "experiments"), *e;
    size_t i, n;
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * 5 + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, n, e)
    {
        cells[i * 5] = gy_cli_cell(cli, gy_json_str(e, "experiment_id"));
        cells[i * 5 + 1] = gy_cli_cell(cli, gy_json_str(e, "name"));
        cells[i * 5 + 2] = gy_cli_cell(cli, gy_json_str(e, "lifecycle_stage"));
        cells[i * 5 + 3] = gy_cli_cell_ms(cli, gy_json_i64(e, "creation_time", 0));
        cells[i * 5 + 4] = gy_cli_cell(cli, gy_json_str(e, "artifact_location"));
    }
    gy_cli_table(cli, head, 5, cells, yyjson_arr_size(list), right);
    return GY_OK;
}

struct create_opts {
    const char *artifacts;
};

static gy_status run_create(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct create_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "name", cli->argv[0]);
    if (o->artifacts) {
        gy_jw_kv_strc(&w, "artifact_location", o->artifacts);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", BASE "/create", gy_buf_str(&body), &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    struct gy_str id = gy_json_str(a.root, "experiment_id");
    gy_cli_say(cli, "experiment %" GY_STR_F " '%s'\n", GY_STR_A(id), cli->argv[0]);
    return GY_OK;
}

static const struct gy_opt list_options[] = {
    {"filter", 'f', GY_OPT_STR, offsetof(struct list_opts, filter), "FILTER", NULL,
     "MLflow's search grammar: \"name LIKE 'sep%' AND tags.team = 'icu'\""},
    {"all", 'a', GY_OPT_FLAG, offsetof(struct list_opts, all), NULL, NULL, "deleted ones, too"},
    {"limit", 'n', GY_OPT_INT, offsetof(struct list_opts, limit), "N", "1000", "at most N"},
};
static const struct gy_opt create_options[] = {
    {"artifacts", 0, GY_OPT_STR, offsetof(struct create_opts, artifacts), "URI", NULL,
     "where its artifacts go (default: this server)"},
};
static const struct gy_verb verbs[] = {
    {"exp", "list", "", 0, 0, "list experiments", NULL,
     "gyre exp list\ngyre exp list --filter \"name ILIKE 'sepsis%'\" --json\n",
     GY_OPTS(list_options), sizeof(struct list_opts), run_list},
    {"exp", "create", "NAME", 1, 1, "make an experiment", NULL, "gyre exp create sepsis\n",
     GY_OPTS(create_options), sizeof(struct create_opts), run_create},
};
const struct gy_verb_table gy_cmd_exp = GY_VERB_TABLE(verbs);
