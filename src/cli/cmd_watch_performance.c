/* SPDX-License-Identifier: Apache-2.0 */
/* gyre watch performance: how good the answers of an endpoint were. */
#include <math.h>

#include "base/limits.h"
#include "cli/ask.h"

struct performance_opts {
    const char *since, *until, *version, *window;
    int64_t last, revision;
    bool windows;
};

enum { MAX_COLUMNS = 10 };

struct table {
    struct gy_cli *cli;
    struct gy_str *cells;
    size_t n_columns, n, cap;
};

static void add(struct table *t, struct gy_str cell)
{
    if (t->n < t->cap) {
        t->cells[t->n++] = cell;
    }
}

static gy_status start(struct table *t, struct gy_cli *cli, size_t n_columns, size_t max_rows,
                       struct gy_err *err)
{
    *t = (struct table){.cli = cli, .n_columns = n_columns, .cap = n_columns * max_rows};
    t->cells = gy_arena_calloc(&cli->arena, t->cap + 1, sizeof *t->cells);
    return t->cells ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* "0.812 [0.790-0.833]" */
static struct gy_str estimate_cell(struct gy_cli *cli, yyjson_val *e)
{
    double value = gy_json_f64(e, "value", NAN);
    double low = gy_json_f64(e, "low", NAN);
    double high = gy_json_f64(e, "high", NAN);
    if (isnan(value)) {
        return GY_STR_NULL;
    }
    return isnan(low) || isnan(high) ? gy_cli_cellf(cli, "%.3f", value)
                                     : gy_cli_cellf(cli, "%.3f [%.3f-%.3f]", value, low, high);
}

static struct gy_str number_cell(struct gy_cli *cli, yyjson_val *v)
{
    return yyjson_is_num(v) ? gy_cli_cellf(cli, "%.6g", yyjson_get_num(v)) : GY_STR_NULL;
}

static const struct kind {
    const char *task;
    const char *counts[4], *estimates[4];
} kinds[] = {
    {"binary", {"tp", "fp", "tn", "fn"}, {"accuracy", "precision", "recall", "f1"}},
    {"multiclass", {"rows"}, {"accuracy", "macro_f1"}},
    {"regression", {"rows"}, {"mae", "rmse", "bias"}},
};

static const struct kind *kind_of(yyjson_val *root)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (gy_str_eqc(gy_json_str(root, "task"), kinds[i].task)) {
            return &kinds[i];
        }
    }
    return NULL;
}

static size_t head_of(const struct kind *k, const char *first, const char **head)
{
    size_t n = 0;
    head[n++] = first;
    for (int i = 0; i < 4 && k->counts[i]; i++) {
        head[n++] = k->counts[i];
    }
    for (int i = 0; i < 4 && k->estimates[i]; i++) {
        head[n++] = k->estimates[i];
    }
    return n;
}

static void add_way(struct table *t, const struct kind *k, struct gy_str name, yyjson_val *way)
{
    add(t, name);
    for (int i = 0; i < 4 && k->counts[i]; i++) {
        add(t, number_cell(t->cli, gy_json_get(way, k->counts[i])));
    }
    for (int i = 0; i < 4 && k->estimates[i]; i++) {
        add(t, estimate_cell(t->cli, gy_json_get(way, k->estimates[i])));
    }
}

static void print_table(const struct table *t, const char *const *head)
{
    bool right[MAX_COLUMNS];
    for (size_t i = 0; i < t->n_columns; i++) {
        right[i] = i > 0;
    }
    size_t n_rows = t->n_columns ? t->n / t->n_columns : 0;
    gy_cli_table(t->cli, head, t->n_columns, t->cells, n_rows, right);
}

static gy_status print_ways(struct gy_cli *cli, const struct kind *k, yyjson_val *by,
                            struct gy_err *err)
{
    static const char *const ways[] = {"rule", "model", "combined", "shadow"};
    const char *head[MAX_COLUMNS];
    struct table t;
    GY_TRY(start(&t, cli, head_of(k, "by", head), 4, err));
    for (int i = 0; i < 4; i++) {
        yyjson_val *way = gy_json_get(by, ways[i]);
        if (yyjson_is_obj(way)) {
            add_way(&t, k, gy_str_c(ways[i]), way);
        }
    }
    print_table(&t, head);
    return GY_OK;
}

/* What the clients got, by version or by time. */
static gy_status print_list(struct gy_cli *cli, const struct kind *k, yyjson_val *list,
                            const char *name, struct gy_err *err)
{
    const char *head[MAX_COLUMNS];
    struct table t;
    size_t i;
    size_t max;
    yyjson_val *one;
    GY_TRY(start(&t, cli, head_of(k, name, head), yyjson_arr_size(list), err));
    yyjson_arr_foreach(list, i, max, one)
    {
        struct gy_str role = gy_json_str(one, "role");
        struct gy_str text = gy_json_str(one, name);
        struct gy_str cell = role.n ? gy_cli_cellf(cli, "%" GY_STR_F " (%" GY_STR_F ")",
                                                   GY_STR_A(text), GY_STR_A(role))
                                    : gy_cli_cell(cli, gy_str_sub(text, 0, 16));
        add_way(&t, k, cell, gy_json_get(gy_json_get(one, "by"), "combined"));
    }
    gy_cli_say(cli, "\nwhat clients got, by %s\n",
               gy_str_eqc(gy_str_c(name), "start") ? "time of the prediction" : name);
    print_table(&t, head);
    return GY_OK;
}

static void print_notes(struct gy_cli *cli, yyjson_val *root)
{
    static const struct {
        const char *key, *one, *many;
    } notes[] = {
        {"orphans", "label waits for a prediction that is not known",
         "labels wait for predictions that are not known"},
        {"unreadable", "label is no class or number of the model",
         "labels are no class or number of the model"},
        {"conflicts", "row has labels that disagree: the higher source counts, then the later",
         "rows have labels that disagree: the higher source counts, then the later"},
        {"repeated", "row was named by a request id that several predictions have",
         "rows were named by request ids that several predictions have"},
        {"other_task", "row is of a revision with another task or other classes",
         "rows are of revisions with another task or other classes"},
    };
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        int64_t n = gy_json_i64(root, notes[i].key, 0);
        if (n > 0) {
            gy_cli_say(cli, "%lld %s\n", (long long)n, n == 1 ? notes[i].one : notes[i].many);
        }
    }
}

static gy_status print_performance(struct gy_cli *cli, const struct performance_opts *o,
                                   yyjson_val *root, struct gy_err *err)
{
    const struct kind *k = kind_of(root);
    int64_t labelled = gy_json_i64(root, "labelled", 0);
    double coverage = gy_json_f64(root, "coverage", 0);
    yyjson_val *delay = gy_json_get(root, "label_delay_seconds");
    gy_cli_say(cli, "%" GY_STR_F ": %lld of %lld predictions labelled (%.1f %%)",
               GY_STR_A(gy_json_str(root, "endpoint")), (long long)labelled,
               (long long)gy_json_i64(root, "predictions", 0), coverage * 100);
    if (labelled) {
        gy_cli_say(cli, ", half of them within %.3g s", gy_json_f64(delay, "p50", 0));
    }
    gy_cli_say(cli, "\n");
    if (k && labelled) {
        yyjson_val *versions = gy_json_get(root, "versions");
        GY_TRY(print_ways(cli, k, gy_json_get(root, "by"), err));
        if (yyjson_arr_size(versions) > 1) {
            GY_TRY(print_list(cli, k, versions, "version", err));
        }
        if (o->windows) {
            GY_TRY(print_list(cli, k, gy_json_get(gy_json_get(root, "windows"), "list"), "start",
                              err));
        }
    }
    print_notes(cli, root);
    return GY_OK;
}

static void add_query(struct gy_buf *path, const char *key, const char *value)
{
    if (value && value[0]) {
        gy_buf_add_char(path, gy_str_find(gy_buf_str(path), '?') == SIZE_MAX ? '?' : '&');
        gy_buf_addf(path, "%s=", key);
        gy_url_encode(path, gy_str_c(value), false);
    }
}

static gy_status run_performance(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct performance_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    char number[32];
    gy_buf_init(&path, 64 * GY_KIB);
    gy_buf_addc(&path, "/api/gyre/v1/endpoints/");
    gy_url_encode(&path, gy_str_c(cli->argv[0]), false);
    gy_buf_addc(&path, "/performance");
    add_query(&path, "since", o->since);
    add_query(&path, "until", o->until);
    add_query(&path, "version", o->version);
    add_query(&path, "window", o->window);
    if (o->last) {
        (void)snprintf(number, sizeof number, "%lld", (long long)o->last);
        add_query(&path, "last", number);
    }
    if (o->revision) {
        (void)snprintf(number, sizeof number, "%lld", (long long)o->revision);
        add_query(&path, "revision", number);
    }
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &answer, err));
    return cli->json ? gy_cli_print_answer(cli, &answer, err)
                     : print_performance(cli, o, answer.root, err);
}

static const struct gy_opt performance_opts[] = {
    {"since", 0, GY_OPT_STR, offsetof(struct performance_opts, since), "TIME", NULL,
     "predictions from then on: 12h, 7d, or a time with its zone"},
    {"until", 0, GY_OPT_STR, offsetof(struct performance_opts, until), "TIME", NULL,
     "predictions before then"},
    {"last", 'n', GY_OPT_INT, offsetof(struct performance_opts, last), "N", NULL,
     "the newest N labelled rows only"},
    {"version", 'V', GY_OPT_STR, offsetof(struct performance_opts, version), "N", NULL,
     "what this version answered"},
    {"revision", 0, GY_OPT_INT, offsetof(struct performance_opts, revision), "N", NULL,
     "what this revision answered"},
    {"windows", 'w', GY_OPT_FLAG, offsetof(struct performance_opts, windows), NULL, NULL,
     "over time too"},
    {"window", 0, GY_OPT_STR, offsetof(struct performance_opts, window), "SPAN", NULL,
     "the width of a window: 15m, 1h, 1d"},
};

static const struct gy_verb verbs[] = {
    {.noun = "watch",
     .verb = "performance",
     .args = "ENDPOINT",
     .min_args = 1,
     .max_args = 1,
     .summary = "how good answers were: rule, model and both combined",
     .details = "Needs labels (gyre feedback, reviews). Each number stands with its 95 % interval. "
                "rule: what the rules alone say,\nmodel: what the model said by itself, combined: "
                "what clients got. Rows of the sample that the model scores where\na rule answers "
                "count for all rows like them.",
     .examples = "  gyre watch performance sepsis\n"
                 "  gyre watch performance sepsis --since 7d --windows\n"
                 "  gyre watch performance sepsis --last 1000 --version 3 --json",
     .opts = performance_opts,
     .n_opts = sizeof performance_opts / sizeof performance_opts[0],
     .opts_bytes = sizeof(struct performance_opts),
     .run = run_performance},
};

const struct gy_verb_table gy_cmd_watch_performance = GY_VERB_TABLE(verbs);
