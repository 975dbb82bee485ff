/* SPDX-License-Identifier: Apache-2.0 */
/* gyre runs: what was run, with which params, to which metrics. */
#include <math.h>

#include "base/limits.h"
#include "cli/ask.h"
#include "cli/comments.h"

#define BASE "/api/2.0/mlflow"

struct list_opts {
    const char *experiment, *filter;
    struct gy_opt_list order_by, metrics;
    int64_t limit;
    bool deleted;
};

/* The ids of the experiments to look in: the one named (by name or id), else all. */
static gy_status write_experiments(struct gy_cli *cli, const char *wanted, struct gy_jw *w,
                                   struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    gy_jw_key(w, "experiment_ids");
    gy_jw_arr(w);
    if (!wanted) {
        GY_TRY(gy_cli_ask(cli, "POST", BASE "/experiments/search",
                          GY_STR("{\"max_results\":20000}"), &a, err));
        size_t i, n;
        yyjson_val *e;
        yyjson_arr_foreach(gy_json_get(a.root, "experiments"), i, n, e)
        {
            gy_jw_str(w, gy_json_str(e, "experiment_id"));
        }
    } else {
        const char *path = NULL;
        GY_TRY(gy_cli_path(cli, BASE "/experiments/get-by-name?experiment_name={}",
                           gy_str_c(wanted), &path, err));
        struct gy_err missing = GY_ERR_INIT;
        gy_status status = gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, &missing);
        int64_t id = 0;
        if (status == GY_OK) {
            gy_jw_str(w, gy_json_str(gy_json_get(a.root, "experiment"), "experiment_id"));
        } else if (status == GY_E_NOTFOUND &&
                   gy_parse_i64(gy_str_c(wanted), 0, INT64_MAX, &id, NULL) == GY_OK) {
            gy_jw_strc(w, wanted);
        } else {
            return gy_err_set(err, status, "%s", missing.msg);
        }
    }
    gy_jw_arr_end(w);
    return GY_OK;
}

/* Shortest text that tells a metric apart: six digits are enough to look at. */
static struct gy_str number_cell(struct gy_cli *cli, yyjson_val *v)
{
    if (yyjson_is_str(v)) {
        return gy_cli_cell(cli, gy_json_val_str(v));
    }
    return yyjson_is_num(v) ? gy_cli_cellf(cli, "%.6g", yyjson_get_num(v)) : GY_STR_NULL;
}

static struct gy_str pair_cell(struct gy_cli *cli, yyjson_val *list, const char *key)
{
    size_t i, n;
    yyjson_val *p;
    yyjson_arr_foreach(list, i, n, p)
    {
        if (gy_str_eqc(gy_json_str(p, "key"), key)) {
            return number_cell(cli, gy_json_get(p, "value"));
        }
    }
    return GY_STR_NULL;
}

enum { FIXED_COLUMNS = 5, MAX_METRIC_COLUMNS = 16 };

/* Columns of metrics: those asked for, else the first ones met. */
static size_t metric_columns(const struct list_opts *o, yyjson_val *runs,
                             const char *names[MAX_METRIC_COLUMNS])
{
    size_t n = 0, i, max;
    for (; n < o->metrics.n && n < MAX_METRIC_COLUMNS; n++) {
        names[n] = o->metrics.items[n];
    }
    yyjson_val *run;
    if (n > 0) {
        return n;
    }
    yyjson_arr_foreach(runs, i, max, run)
    {
        size_t j, m;
        yyjson_val *metric;
        yyjson_arr_foreach(gy_json_get(gy_json_get(run, "data"), "metrics"), j, m, metric)
        {
            const char *key = yyjson_get_str(gy_json_get(metric, "key"));
            bool known = !key || n >= 4;
            for (size_t k = 0; !known && k < n; k++) {
                known = strcmp(names[k], key) == 0;
            }
            if (!known) {
                names[n++] = key;
            }
        }
    }
    return n;
}

static gy_status print_runs(struct gy_cli *cli, const struct list_opts *o, yyjson_val *runs,
                            struct gy_err *err)
{
    const char *head[FIXED_COLUMNS + MAX_METRIC_COLUMNS] = {"run", "name", "exp", "status",
                                                            "started"};
    bool right[FIXED_COLUMNS + MAX_METRIC_COLUMNS] = {false, false, true, false, false};
    size_t n_metrics = metric_columns(o, runs, head + FIXED_COLUMNS);
    size_t columns = FIXED_COLUMNS + n_metrics, i, n;
    for (size_t k = FIXED_COLUMNS; k < columns; k++) {
        right[k] = true;
    }
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(runs) * columns + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_val *run;
    yyjson_arr_foreach(runs, i, n, run)
    {
        yyjson_val *info = gy_json_get(run, "info");
        struct gy_str *row = cells + i * columns;
        row[0] = gy_cli_cell(cli, gy_json_str(info, "run_id"));
        row[1] = gy_cli_cell(cli, gy_json_str(info, "run_name"));
        row[2] = gy_cli_cell(cli, gy_json_str(info, "experiment_id"));
        row[3] = gy_cli_cell(cli, gy_json_str(info, "status"));
        row[4] = gy_cli_cell_ms(cli, gy_json_i64(info, "start_time", 0));
        for (size_t k = 0; k < n_metrics; k++) {
            row[FIXED_COLUMNS + k] = pair_cell(
                cli, gy_json_get(gy_json_get(run, "data"), "metrics"), head[FIXED_COLUMNS + k]);
        }
    }
    gy_cli_table(cli, head, columns, cells, yyjson_arr_size(runs), right);
    return GY_OK;
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct list_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    GY_TRY(write_experiments(cli, o->experiment, &w, err));
    gy_jw_kv_i64(&w, "max_results", o->limit);
    gy_jw_kv_strc(&w, "run_view_type", o->deleted ? "DELETED_ONLY" : "ACTIVE_ONLY");
    if (o->filter) {
        gy_jw_kv_strc(&w, "filter", o->filter);
    }
    if (o->order_by.n > 0) {
        gy_jw_key(&w, "order_by");
        gy_jw_arr(&w);
        for (size_t i = 0; i < o->order_by.n; i++) {
            gy_jw_strc(&w, o->order_by.items[i]);
        }
        gy_jw_arr_end(&w);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", BASE "/runs/search", gy_buf_str(&body), &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    return print_runs(cli, o, gy_json_get(a.root, "runs"), err);
}

static gy_status print_pairs(struct gy_cli *cli, const char *title, yyjson_val *list,
                             struct gy_err *err)
{
    const char *const head[] = {title, "value"};
    bool right[] = {false, false};
    size_t i, n = yyjson_arr_size(list), max;
    yyjson_val *p;
    if (n == 0) {
        return GY_OK;
    }
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * 2, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, max, p)
    {
        yyjson_val *v = gy_json_get(p, "value");
        cells[i * 2] = gy_cli_cell(cli, gy_json_str(p, "key"));
        cells[i * 2 + 1] = yyjson_is_str(v)
                               ? gy_cli_cell(cli, gy_str_sub(gy_json_val_str(v), 0, 100))
                               : number_cell(cli, v);
        right[1] = yyjson_is_num(v);
    }
    gy_cli_say(cli, "\n");
    gy_cli_table(cli, head, 2, cells, n, right);
    return GY_OK;
}

static struct gy_str tag_of(yyjson_val *tags, const char *key)
{
    size_t i, n;
    yyjson_val *t;
    yyjson_arr_foreach(tags, i, n, t)
    {
        if (gy_str_eqc(gy_json_str(t, "key"), key)) {
            return gy_json_str(t, "value");
        }
    }
    return GY_STR_NULL;
}

/* Which code it was, and how to have it again. */
static void say_code(struct gy_cli *cli, struct gy_str run_id, yyjson_val *tags)
{
    struct gy_str revision = tag_of(tags, "gyre.code_revision");
    struct gy_str patch = tag_of(tags, "gyre.code_patch_sha256");
    revision = revision.n ? revision : tag_of(tags, "mlflow.source.git.commit");
    if (revision.n == 0) {
        return;
    }
    gy_cli_say(cli, "code %" GY_STR_F "\n", GY_STR_A(revision));
    bool dirty = gy_str_ends(revision, GY_STR("+dirty"));
    struct gy_str commit = dirty ? gy_str_sub(revision, 0, revision.n - 6) : revision;
    if (patch.n > 0) {
        gy_cli_say(cli,
                   "  the tree was dirty: git checkout %.12s && gyre runs patch %" GY_STR_F
                   " | git apply\n",
                   commit.p, GY_STR_A(run_id));
    } else if (dirty) {
        gy_cli_say(cli, "  the tree was dirty and its changes were not kept\n");
    }
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    const char *path = NULL;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    GY_TRY(gy_cli_path(cli, BASE "/runs/get?run_id={}", gy_str_c(cli->argv[0]), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *run = gy_json_get(a.root, "run"), *info = gy_json_get(run, "info");
    yyjson_val *data = gy_json_get(run, "data");
    gy_cli_say(cli,
               "run %" GY_STR_F " '%" GY_STR_F "' of experiment %" GY_STR_F ": %" GY_STR_F "\n",
               GY_STR_A(gy_json_str(info, "run_id")), GY_STR_A(gy_json_str(info, "run_name")),
               GY_STR_A(gy_json_str(info, "experiment_id")), GY_STR_A(gy_json_str(info, "status")));
    struct gy_str started = gy_cli_cell_ms(cli, gy_json_i64(info, "start_time", 0));
    struct gy_str ended = gy_cli_cell_ms(cli, gy_json_i64(info, "end_time", 0));
    gy_cli_say(cli, "started %" GY_STR_F "  ended %" GY_STR_F "  by %" GY_STR_F "\n",
               GY_STR_A(started.p ? started : GY_STR("-")), GY_STR_A(ended.p ? ended : GY_STR("-")),
               GY_STR_A(gy_json_str(info, "user_id")));
    gy_cli_say(cli, "artifacts %" GY_STR_F "\n", GY_STR_A(gy_json_str(info, "artifact_uri")));
    say_code(cli, gy_json_str(info, "run_id"), gy_json_get(data, "tags"));
    GY_TRY(print_pairs(cli, "metric", gy_json_get(data, "metrics"), err));
    GY_TRY(print_pairs(cli, "param", gy_json_get(data, "params"), err));
    GY_TRY(print_pairs(cli, "tag", gy_json_get(data, "tags"), err));
    const char *subject =
        gy_arena_printf(&cli->arena, "run:%" GY_STR_F, GY_STR_A(gy_json_str(info, "run_id")));
    return subject ? gy_cli_show_comments(cli, subject, err)
                   : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static const struct gy_opt list_options[] = {
    {"experiment", 'e', GY_OPT_STR, offsetof(struct list_opts, experiment), "NAME", NULL,
     "name or id (default: all)"},
    {"filter", 'f', GY_OPT_STR, offsetof(struct list_opts, filter), "FILTER", NULL,
     "MLflow's search grammar: \"metrics.recall > 0.8 AND params.learner = 'xgboost'\""},
    {"order-by", 0, GY_OPT_LIST, offsetof(struct list_opts, order_by), "FIELD", NULL,
     "\"metrics.recall DESC\"; may be repeated"},
    {"metric", 'm', GY_OPT_LIST, offsetof(struct list_opts, metrics), "NAME", NULL,
     "a metric to show; may be repeated (default: the first four met)"},
    {"limit", 'n', GY_OPT_INT, offsetof(struct list_opts, limit), "N", "100", "at most N"},
    {"deleted", 0, GY_OPT_FLAG, offsetof(struct list_opts, deleted), NULL, NULL, "deleted ones"},
};
static const struct gy_verb verbs[] = {
    {"runs", "list", "", 0, 0, "list runs, newest first", NULL,
     "gyre runs list\ngyre runs list -e sepsis -f \"metrics.recall > 0.8\" --order-by "
     "\"metrics.recall DESC\"\n",
     GY_OPTS(list_options), sizeof(struct list_opts), run_list},
    {"runs", "show", "RUN_ID", 1, 1, "one run: metrics, params, tags", NULL,
     "gyre runs show 5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5\n", NULL, 0, 0, run_show},
};
const struct gy_verb_table gy_cmd_runs = GY_VERB_TABLE(verbs);
