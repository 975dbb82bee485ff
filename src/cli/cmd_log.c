/* SPDX-License-Identifier: Apache-2.0 */
/* gyre log: logged predictions, looked at. Taking them elsewhere: cmd_log_export.c. */
#include "base/limits.h"
#include "base/mem.h"
#include "cli/ask.h"

#define BASE "/api/gyre/v1/predictions"
#define COLUMNS 8

struct list_opts {
    const char *endpoint, *version, *request_id, *since, *until, *where;
    int64_t limit;
    bool oldest_first;
};

static void add_query(struct gy_buf *path, const char *key, const char *value)
{
    if (value) {
        gy_buf_addf(path, "&%s=", key);
        gy_url_encode(path, gy_str_c(value), false);
    }
}

static struct gy_str cell_of(struct gy_cli *cli, yyjson_val *v)
{
    char text[32];
    if (yyjson_is_num(v)) {
        return gy_cli_cell(cli, gy_str_n(text, gy_fmt_f64_trim(yyjson_get_num(v), text)));
    }
    return yyjson_is_arr(v) ? gy_cli_cell(cli, GY_STR("(list)")) : gy_json_val_str(v);
}

static gy_status say(struct gy_cli *cli, yyjson_val *root, struct gy_err *err)
{
    static const char *const head[COLUMNS] = {
        "time", "endpoint", "revision", "prediction", "probability", "rule", "us", "prediction_id"};
    static const bool right[COLUMNS] = {false, false, true, true, true, false, true, false};
    yyjson_val *list = gy_json_get(root, "predictions"), *row;
    size_t n = yyjson_arr_size(list), i, max;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * COLUMNS + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, max, row)
    {
        struct gy_str *c = cells + i * COLUMNS;
        bool erased = gy_json_bool(row, "erased", false);
        c[0] = gy_str_sub(gy_json_str(row, "time"), 0, 23);
        c[1] = gy_json_str(row, "endpoint");
        c[2] = cell_of(cli, gy_json_get(row, "revision"));
        c[3] = erased ? GY_STR("(erased)") : cell_of(cli, gy_json_get(row, "prediction"));
        c[4] = cell_of(cli, gy_json_get(row, "probability"));
        c[5] = gy_json_str(gy_json_get(row, "rule"), "name");
        c[6] = gy_cli_cellf(cli, "%.0f", gy_json_f64(row, "latency_us", 0));
        c[7] = gy_json_str(row, "prediction_id");
    }
    gy_cli_table(cli, head, COLUMNS, cells, n, right);
    if (gy_json_bool(root, "truncated", false)) {
        gy_cli_note(cli, "there are more: --limit, --since and --until choose others\n");
    }
    return GY_OK;
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct list_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    gy_buf_init(&path, 64 * GY_KIB);
    gy_buf_addf(&path, BASE "?limit=%lld&order=%s", (long long)o->limit,
                o->oldest_first ? "asc" : "desc");
    add_query(&path, "endpoint", o->endpoint);
    add_query(&path, "version", o->version);
    add_query(&path, "request_id", o->request_id);
    add_query(&path, "since", o->since);
    add_query(&path, "until", o->until);
    add_query(&path, "where", o->where);
    GY_TRY(gy_buf_check(&path, "the question", err));
    GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &answer, err));
    return cli->json ? gy_cli_print_answer(cli, &answer, err) : say(cli, answer.root, err);
}

static const struct gy_opt list_opts[] = {
    {"endpoint", 0, GY_OPT_STR, offsetof(struct list_opts, endpoint), "NAME", NULL,
     "of this endpoint"},
    {"version", 0, GY_OPT_STR, offsetof(struct list_opts, version), "V", NULL,
     "answered by this model version"},
    {"request-id", 0, GY_OPT_STR, offsetof(struct list_opts, request_id), "ID", NULL,
     "with this request id of the caller"},
    {"since", 0, GY_OPT_STR, offsetof(struct list_opts, since), "TIME", "1d",
     "from then on: 15m, 12h, 7d before now, or a time with zone"},
    {"until", 0, GY_OPT_STR, offsetof(struct list_opts, until), "TIME", NULL, "before then"},
    {"where", 0, GY_OPT_STR, offsetof(struct list_opts, where), "EXPR", NULL,
     "over inputs, prediction, probability, latency_us: 'HR > 90 and prediction = 1'"},
    {"limit", 'n', GY_OPT_INT, offsetof(struct list_opts, limit), "N", "100",
     "at most so many (5000)"},
    {"oldest-first", 0, GY_OPT_FLAG, offsetof(struct list_opts, oldest_first), NULL, NULL,
     "the first ones since then, instead of the newest"},
};

static const struct gy_verb verbs[] = {
    {.noun = "log",
     .verb = "list",
     .args = "",
     .summary = "logged predictions by time and by what they say, the newest first",
     .examples = "  gyre log list --endpoint sepsis --since 1h\n  gyre log list --where 'HR > 90 "
                 "and prediction = 1' --json\n  gyre log list --request-id visit-17",
     .opts = list_opts,
     .n_opts = sizeof list_opts / sizeof list_opts[0],
     .opts_bytes = sizeof(struct list_opts),
     .run = run_list},
};

const struct gy_verb_table gy_cmd_log = GY_VERB_TABLE(verbs);
