/* SPDX-License-Identifier: Apache-2.0 */
/* gyre watch: apply, status, alerts, ack, report. What is watched is the server's business; these
 * ask it. */
#include "base/file.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/watch_report.h"
#include "cli/yaml_json.h"
#include "flow/project.h"

#define BASE "/api/gyre/v1/"
enum { MAX_COLUMNS = 10 };

/* ---- apply ---- */

struct apply_opts {
    const char *project;
};

static gy_status write_apply(const struct gy_project *p, struct gy_buf *body, struct gy_err *err)
{
    const struct {
        const char *name;
        const struct gy_yaml_node *node;
    } sections[] = {{"watch", p->watch}, {"triggers", p->triggers}, {"notify", p->notify}};
    struct gy_jw w;
    gy_jw_init(&w, body);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "project", p->name);
    gy_jw_kv_strc(&w, "folder", p->dir);
    if (p->endpoints && p->endpoints->kind == GY_YAML_MAP) {
        gy_jw_key(&w, "endpoints");
        gy_jw_arr(&w);
        for (size_t i = 0; i < p->endpoints->n_items; i++) {
            gy_jw_str(&w, p->endpoints->keys[i]);
        }
        gy_jw_arr_end(&w);
    }
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (sections[i].node) {
            gy_jw_key(&w, sections[i].name);
            gy_cli_yaml_value(&w, sections[i].node);
        }
    }
    gy_jw_obj_end(&w);
    return gy_buf_check(body, "the sections of gyre.yaml", err);
}

static gy_status run_apply(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct apply_opts *o = opts;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_project_free) struct gy_project *p = NULL;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, 4 * GY_MIB);
    GY_TRY(gy_project_find(o->project, dir, err));
    GY_TRY(gy_project_load(dir, &p, err));
    if (!p->yaml) {
        return gy_err_set(err, GY_E_NOTFOUND, "there is no gyre.yaml in %s", dir);
    }
    GY_TRY(write_apply(p, &body, err));
    GY_TRY(gy_cli_ask(cli, "POST", BASE "watch/apply", gy_buf_str(&body), &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    size_t n = p->endpoints ? p->endpoints->n_items : 1;
    gy_cli_say(cli, "%" GY_STR_F ": %zu endpoint%s watched%s%s%s\n", GY_STR_A(p->name), n,
               n == 1 ? "" : "s", p->watch ? "" : ", with the usual settings (no section watch)",
               p->triggers ? ", triggers" : "", p->notify ? ", notify" : "");
    return GY_OK;
}

/* ---- tables ---- */

struct table {
    struct gy_str cells[MAX_COLUMNS * 1000];
    size_t n;
};

static void add(struct table *t, struct gy_str cell)
{
    if (t->n < sizeof t->cells / sizeof t->cells[0]) {
        t->cells[t->n++] = cell;
    }
}

static gy_status new_table(struct gy_cli *cli, struct table **ret, struct gy_err *err)
{
    *ret = gy_arena_calloc(&cli->arena, 1, sizeof **ret);
    return *ret ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* ---- status ---- */

struct status_opts {
    bool wait;
};

/* "Temp, HR", at most three. */
static struct gy_str list_cell(struct gy_cli *cli, yyjson_val *names)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 4 * GY_KIB);
    size_t n = yyjson_arr_size(names);
    for (size_t i = 0; i < n && i < 3; i++) {
        struct gy_str name = gy_json_val_str(yyjson_arr_get(names, i));
        gy_buf_addf(&b, "%s%" GY_STR_F, i ? ", " : "", GY_STR_A(name));
    }
    if (n > 3) {
        gy_buf_addf(&b, " and %zu more", n - 3);
    }
    return gy_cli_cell(cli, gy_buf_str(&b));
}

/* The one number by which answers are judged: recall of two classes, accuracy, mean error. */
static const char *quality_of(yyjson_val *performance)
{
    struct gy_str task = gy_json_str(performance, "task");
    return gy_str_eqc(task, "binary")       ? "recall"
           : gy_str_eqc(task, "regression") ? "mae"
                                            : "accuracy";
}

static struct gy_str quality_cell(struct gy_cli *cli, yyjson_val *performance, const char *way)
{
    yyjson_val *e =
        gy_json_get(gy_json_get(gy_json_get(performance, "by"), way), quality_of(performance));
    yyjson_val *value = gy_json_get(e, "value");
    if (!yyjson_is_num(value)) {
        return GY_STR_NULL;
    }
    yyjson_val *low = gy_json_get(e, "low");
    return yyjson_is_num(low) ? gy_cli_cellf(cli, "%.3f [%.3f-%.3f]", yyjson_get_num(value),
                                             yyjson_get_num(low), gy_json_f64(e, "high", 0))
                              : gy_cli_cellf(cli, "%.3f", yyjson_get_num(value));
}

static void add_window(struct gy_cli *cli, struct table *t, yyjson_val *v)
{
    yyjson_val *last = gy_json_get(v, "last_window");
    int64_t of = gy_json_i64(v, "window_rows", 0);
    add(t, of ? gy_cli_cellf(cli, "%lld/%lld", (long long)gy_json_i64(v, "rows_waiting", 0),
                             (long long)of)
              : GY_STR_NULL);
    if (!yyjson_is_obj(last)) {
        add(t, GY_STR_NULL);
        add(t, GY_STR_NULL);
        add(t, GY_STR_NULL);
        return;
    }
    struct gy_str cause = gy_json_str(last, "cause");
    yyjson_val *names = gy_json_get(last, "features_drifted");
    add(t, gy_cli_cellf(cli, "%lld", (long long)gy_json_i64(last, "number", 0)));
    add(t, gy_json_bool(last, "dataset_drift", false) ? GY_STR("yes")
           : yyjson_arr_size(names)                   ? list_cell(cli, names)
                                                      : GY_STR("no"));
    add(t, cause.p ? gy_cli_cell(cli, cause) : GY_STR_NULL);
}

static gy_status add_version(struct gy_cli *cli, struct table *t, yyjson_val *v, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 64 * GY_KIB);
    gy_buf_addc(&path, BASE "endpoints/");
    gy_url_encode(&path, gy_json_str(v, "endpoint"), false);
    gy_buf_addc(&path, "/performance?version=");
    gy_url_encode(&path, gy_json_str(v, "version"), false);
    GY_TRY(gy_buf_check(&path, "the path", err));
    /* An endpoint that was taken away has windows and no performance. */
    bool known = gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &answer, NULL) == GY_OK;
    struct gy_str role = gy_json_str(v, "role");
    add(t, gy_cli_cell(cli, gy_json_str(v, "endpoint")));
    add(t, gy_cli_cell(cli, gy_json_str(v, "version")));
    add(t, role.p ? gy_cli_cell(cli, role) : GY_STR("retired"));
    add_window(cli, t, v);
    add(t, known ? quality_cell(cli, answer.root, "rule") : GY_STR_NULL);
    add(t, known ? quality_cell(cli, answer.root, "model") : GY_STR_NULL);
    add(t, known ? quality_cell(cli, answer.root, "combined") : GY_STR_NULL);
    return GY_OK;
}

static void say_alerts(struct gy_cli *cli, yyjson_val *alerts)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(alerts);
    for (yyjson_val *a; (a = yyjson_arr_iter_next(&it));) {
        bool seen = gy_json_str(a, "acknowledged_by").p != NULL;
        gy_cli_say(cli, "alert %lld%s: %" GY_STR_F "\n", (long long)gy_json_i64(a, "id", 0),
                   seen ? " (acknowledged)" : "", GY_STR_A(gy_json_str(a, "text")));
    }
}

static gy_status print_status(struct gy_cli *cli, yyjson_val *root, struct gy_err *err)
{
    static const char *const head[] = {"endpoint", "version", "role",  "rows",  "window",
                                       "drift",    "cause",   "rules", "model", "combined"};
    static const bool right[MAX_COLUMNS] = {[3] = true, [4] = true};
    struct table *t;
    GY_TRY(new_table(cli, &t, err));
    yyjson_val *watcher = gy_json_get(root, "watcher");
    yyjson_val *versions = gy_json_get(root, "versions");
    yyjson_arr_iter it = yyjson_arr_iter_with(versions);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&it));) {
        GY_TRY(add_version(cli, t, v, err));
    }
    gy_cli_say(cli, "watcher: %" GY_STR_F, GY_STR_A(gy_json_str(watcher, "state")));
    double lag = gy_json_f64(watcher, "lag_seconds", 0);
    if (lag > 0) {
        gy_cli_say(cli, ", %.1f s behind", lag);
    }
    struct gy_str failure = gy_json_str(watcher, "failure");
    gy_cli_say(cli, "%s%" GY_STR_F "\n", failure.n ? ": " : "", GY_STR_A(failure));
    if (t->n == 0) {
        gy_cli_say(cli, "nothing is served, and no window was judged\n");
    } else {
        gy_cli_table(cli, head, MAX_COLUMNS, t->cells, t->n / MAX_COLUMNS, right);
        gy_cli_say(cli, "rules, model, combined: recall (accuracy, mean error) with its 95 %% "
                        "interval, where labels have come\n");
    }
    say_alerts(cli, gy_json_get(root, "alerts"));
    return GY_OK;
}

static gy_status run_status(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct status_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 64 * GY_KIB);
    gy_buf_addf(&path, BASE "watch?%s", o->wait ? "wait=1" : "");
    if (cli->argc) {
        gy_buf_addc(&path, "&endpoint=");
        gy_url_encode(&path, gy_str_c(cli->argv[0]), false);
    }
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &answer, err));
    return cli->json ? gy_cli_print_answer(cli, &answer, err) : print_status(cli, answer.root, err);
}

/* ---- alerts ---- */

struct alerts_opts {
    bool all;
    const char *endpoint;
};

/* "2026-11-27 11:50:27" of "2026-11-27T11:50:27.137311Z" */
static struct gy_str time_cell(struct gy_cli *cli, struct gy_str iso)
{
    return iso.n >= 19 ? gy_cli_cellf(cli, "%.10s %.8s", iso.p, iso.p + 11) : GY_STR_NULL;
}

static gy_status run_alerts(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    static const char *const head[] = {"id",     "state",   "kind", "endpoint",    "subject",
                                       "raised", "cleared", "by",   "acknowledged"};
    static const bool right[] = {true, false, false, false, false, false, false, false, false};
    enum { COLUMNS = sizeof head / sizeof head[0] };
    const struct alerts_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    struct table *t;
    gy_buf_init(&path, 64 * GY_KIB);
    gy_buf_addf(&path, BASE "alerts?%s", o->all ? "all=1" : "");
    if (o->endpoint) {
        gy_buf_addc(&path, "&endpoint=");
        gy_url_encode(&path, gy_str_c(o->endpoint), false);
    }
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    GY_TRY(new_table(cli, &t, err));
    yyjson_val *alerts = gy_json_get(answer.root, "alerts");
    yyjson_arr_iter it = yyjson_arr_iter_with(alerts);
    for (yyjson_val *a; (a = yyjson_arr_iter_next(&it));) {
        add(t, gy_cli_cellf(cli, "%lld", (long long)gy_json_i64(a, "id", 0)));
        add(t, gy_cli_cell(cli, gy_json_str(a, "state")));
        add(t, gy_cli_cell(cli, gy_json_str(a, "kind")));
        add(t, gy_cli_cell(cli, gy_json_str(a, "endpoint")));
        add(t, gy_cli_cell(cli, gy_json_str(a, "subject")));
        add(t, time_cell(cli, gy_json_str(a, "raised")));
        add(t, time_cell(cli, gy_json_str(a, "cleared")));
        add(t, gy_cli_cell(cli, gy_json_str(a, "raised_by")));
        add(t, gy_cli_cell(cli, gy_json_str(a, "acknowledged_by")));
    }
    if (t->n == 0) {
        gy_cli_say(cli, "no alert fires%s\n", o->all ? ", and none did" : "");
        return GY_OK;
    }
    gy_cli_table(cli, head, COLUMNS, t->cells, t->n / COLUMNS, right);
    say_alerts(cli, alerts);
    return GY_OK;
}

struct ack_opts {
    const char *reason;
};

static gy_status run_ack(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct ack_opts *o = opts;
    if (!o->reason) {
        (void)gy_err_set(err, GY_E_USAGE, "--reason is wanted");
        return gy_err_hint(err, "it is what others read who see the alert");
    }
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    const char *path;
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "reason", o->reason);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the reason", err));
    GY_TRY(gy_cli_path(cli, BASE "alerts/{}/acknowledge", gy_str_c(cli->argv[0]), &path, err));
    GY_TRY(gy_cli_ask(cli, "POST", path, gy_buf_str(&body), &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    gy_cli_say(cli, "alert %s is acknowledged; it goes on firing until what it says is over\n",
               cli->argv[0]);
    return GY_OK;
}

/* ---- report ---- */

struct report_opts {
    const char *out;
    bool wait;
};

static gy_status run_report(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct report_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf html;
    gy_buf_init(&html, 64 * GY_MIB);
    GY_TRY(gy_watch_report(cli, gy_str_c(cli->argv[0]), o->wait, &html, err));
    GY_TRY(gy_file_write(o->out, gy_buf_str(&html), 0644, err));
    if (!cli->json) {
        gy_cli_say(cli, "%s: %zu KB, one file, nothing from elsewhere\n", o->out, html.n / 1024);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    struct gy_jw w;
    gy_buf_init(&json, GY_MIB);
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "file", o->out);
    gy_jw_kv_i64(&w, "bytes", (int64_t)html.n);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &json, err);
}

static const struct gy_opt apply_opts[] = {
    {"project", 0, GY_OPT_STR, offsetof(struct apply_opts, project), "DIR", NULL,
     "the project; else the nearest folder with a gyre.yaml"},
};
static const struct gy_opt status_opts[] = {
    {"wait", 'w', GY_OPT_FLAG, offsetof(struct status_opts, wait), NULL, NULL,
     "until everything answered so far is looked at"},
};
static const struct gy_opt alerts_opts[] = {
    {"all", 'a', GY_OPT_FLAG, offsetof(struct alerts_opts, all), NULL, NULL,
     "those that were cleared, too"},
    {"endpoint", 0, GY_OPT_STR, offsetof(struct alerts_opts, endpoint), "NAME", NULL,
     "of this endpoint only"},
};
static const struct gy_opt ack_opts[] = {
    {"reason", 0, GY_OPT_STR, offsetof(struct ack_opts, reason), "TEXT", NULL,
     "why it is known, or what is done about it"},
};
static const struct gy_opt report_opts[] = {
    {"out", 'o', GY_OPT_STR, offsetof(struct report_opts, out), "FILE", "report.html",
     "the file to write"},
    {"wait", 'w', GY_OPT_FLAG, offsetof(struct report_opts, wait), NULL, NULL,
     "until everything answered so far is looked at"},
};

static const struct gy_verb verbs[] = {
    {.noun = "watch",
     .verb = "apply",
     .args = "",
     .summary = "watch the endpoints of this project as its gyre.yaml says",
     .details = "Sends the sections watch, triggers and notify to the server, which keeps them. "
                "Endpoints that no project watches\nhave the usual settings. docs/formats.md lists "
                "the keys.",
     .examples = "  gyre watch apply",
     .opts = apply_opts,
     .n_opts = sizeof apply_opts / sizeof apply_opts[0],
     .opts_bytes = sizeof(struct apply_opts),
     .run = run_apply},
    {.noun = "watch",
     .verb = "status",
     .args = "[ENDPOINT]",
     .max_args = 1,
     .summary = "what the watcher sees: windows, drift, how good answers are, alerts",
     .examples = "  gyre watch status\n  gyre watch status sepsis --wait",
     .opts = status_opts,
     .n_opts = sizeof status_opts / sizeof status_opts[0],
     .opts_bytes = sizeof(struct status_opts),
     .run = run_status},
    {.noun = "watch",
     .verb = "alerts",
     .args = "",
     .summary = "the alerts that fire",
     .examples = "  gyre watch alerts\n  gyre watch alerts --all --endpoint sepsis",
     .opts = alerts_opts,
     .n_opts = sizeof alerts_opts / sizeof alerts_opts[0],
     .opts_bytes = sizeof(struct alerts_opts),
     .run = run_alerts},
    {.noun = "watch",
     .verb = "ack",
     .args = "ID",
     .min_args = 1,
     .max_args = 1,
     .summary = "say, as yourself, that an alert was seen",
     .examples = "  gyre watch ack 3 --reason 'the ward gets new thermometers on Monday'",
     .opts = ack_opts,
     .n_opts = sizeof ack_opts / sizeof ack_opts[0],
     .opts_bytes = sizeof(struct ack_opts),
     .run = run_ack},
    {.noun = "watch",
     .verb = "report",
     .args = "ENDPOINT",
     .min_args = 1,
     .max_args = 1,
     .summary = "write one HTML file: drift, performance, reviews, rollouts, alerts",
     .details = "Holds everything it shows, so it can be mailed, archived and printed.",
     .examples = "  gyre watch report sepsis -o sepsis.html",
     .opts = report_opts,
     .n_opts = sizeof report_opts / sizeof report_opts[0],
     .opts_bytes = sizeof(struct report_opts),
     .run = run_report},
};

const struct gy_verb_table gy_cmd_watch = GY_VERB_TABLE(verbs);
