/* SPDX-License-Identifier: Apache-2.0 */
/* gyre trigger, gyre jobs, gyre flow logs: what starts by itself, what became of it, what it
 * printed. Triggers fire in a running server. */
#include <math.h>

#include "base/limits.h"
#include "cli/ask.h"
#include "cli/yaml_json.h"
#include "flow/project.h"
#include "flow/trigger.h"

#define BASE "/api/gyre/v1"

/* ---- triggers ---- */

struct trigger_opts {
    const char *project, *reason;
    const char *on, *every, *cooldown, *model, *endpoint, *canary;
    int64_t reviews;
    struct gy_opt_list stages;
};

/* "drift.detected", "500 reviews", "every 1d" */
static struct gy_str on_text(struct gy_cli *cli, yyjson_val *spec)
{
    yyjson_val *on = gy_json_get(spec, "on");
    int64_t reviews = gy_json_i64(on, "reviews", 0);
    if (yyjson_is_str(on)) {
        return gy_cli_cell(cli, gy_json_val_str(on));
    }
    return reviews > 0 ? gy_cli_cellf(cli, "%lld reviews", (long long)reviews)
                       : gy_cli_cellf(cli, "every %" GY_STR_F, GY_STR_A(gy_json_str(on, "every")));
}

static struct gy_str stages_text(struct gy_cli *cli, yyjson_val *spec)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    size_t i;
    size_t n;
    yyjson_val *v;
    gy_buf_init(&text, GY_MIB);
    yyjson_arr_foreach(gy_json_get(spec, "run"), i, n, v)
    {
        gy_buf_addc(&text, i > 0 ? " " : "");
        gy_buf_add(&text, gy_json_val_str(v));
    }
    return gy_cli_cell(cli, gy_buf_str(&text));
}

static struct gy_str target_text(struct gy_cli *cli, yyjson_val *spec)
{
    struct gy_str endpoint = gy_json_str(spec, "endpoint");
    struct gy_str canary = gy_json_str(spec, "canary");
    return canary.p ? gy_cli_cellf(cli, "%" GY_STR_F " (canary %" GY_STR_F ")", GY_STR_A(endpoint),
                                   GY_STR_A(canary))
                    : gy_cli_cell(cli, endpoint);
}

static struct gy_str state_text(struct gy_cli *cli, yyjson_val *t)
{
    struct gy_str cools = gy_json_str(t, "cools_down_until");
    int64_t pending = gy_json_i64(t, "pending", 0);
    if (!gy_json_bool(t, "enabled", true)) {
        return GY_STR("disabled");
    }
    if (cools.n > 0) {
        return gy_cli_cellf(cli, "cools down until %.19s", cools.p);
    }
    return pending > 0 ? gy_cli_cellf(cli, "%lld counted", (long long)pending) : GY_STR("waits");
}

static gy_status print_triggers(struct gy_cli *cli, const struct gy_cli_answer *a,
                                struct gy_err *err)
{
    static const char *const head[] = {"trigger", "project", "on",    "run",
                                       "deploys", "state",   "fired", "from"};
    enum { N = sizeof head / sizeof head[0] };
    if (cli->json) {
        return gy_cli_print_answer(cli, a, err);
    }
    yyjson_val *list = gy_json_get(a->root, "triggers");
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, N * yyjson_arr_size(list) + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    size_t i;
    size_t n;
    yyjson_val *t;
    yyjson_arr_foreach(list, i, n, t)
    {
        struct gy_str *c = cells + N * i;
        yyjson_val *spec = gy_json_get(t, "spec");
        c[0] = gy_cli_cell(cli, gy_json_str(t, "name"));
        c[1] = gy_cli_cell(cli, gy_json_str(t, "project"));
        c[2] = on_text(cli, spec);
        c[3] = stages_text(cli, spec);
        c[4] = target_text(cli, spec);
        c[5] = state_text(cli, t);
        c[6] = gy_cli_cell(cli, gy_str_sub(gy_json_str(t, "fired"), 0, 19));
        c[7] = gy_json_bool(t, "from_file", false) ? GY_STR("gyre.yaml") : GY_STR("hand");
    }
    gy_cli_table(cli, head, N, cells, yyjson_arr_size(list), (const bool[N]){false});
    return GY_OK;
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct trigger_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    const char *path = NULL;
    GY_TRY(gy_cli_path(cli, BASE "/triggers?project={}", gy_str_c(o->project ? o->project : ""),
                       &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &answer, err));
    return print_triggers(cli, &answer, err);
}

/* One trigger as the options say it, in the form of gyre.yaml. */
static gy_status write_spec(struct gy_jw *w, const char *name, const struct trigger_opts *o,
                            struct gy_err *err)
{
    if ((o->on != NULL) + (o->reviews > 0) + (o->every != NULL) != 1) {
        return gy_err_set(err, GY_E_USAGE,
                          "when does it fire? one of --on EVENT, --reviews N, --every 1d");
    }
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "name", name);
    gy_jw_key(w, "on");
    if (o->on) {
        gy_jw_strc(w, o->on);
    } else {
        gy_jw_obj(w);
        if (o->every) {
            gy_jw_kv_strc(w, "every", o->every);
        } else {
            gy_jw_kv_i64(w, "reviews", o->reviews);
        }
        gy_jw_obj_end(w);
    }
    gy_jw_key(w, "run");
    gy_jw_arr(w);
    for (size_t i = 0; i < o->stages.n; i++) {
        gy_jw_strc(w, o->stages.items[i]);
    }
    gy_jw_arr_end(w);
    const char *const texts[][2] = {{"cooldown", o->cooldown},
                                    {"model", o->model},
                                    {"endpoint", o->endpoint},
                                    {"canary", o->canary}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i][1]) {
            gy_jw_kv_strc(w, texts[i][0], texts[i][1]);
        }
    }
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status run_add(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct trigger_opts *o = opts;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_project_free) struct gy_project *project = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body = {0};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    struct gy_jw w;
    bool by_hand = cli->argc > 0;
    GY_TRY(gy_project_find(NULL, dir, err));
    GY_TRY(gy_project_load(dir, &project, err));
    if (!by_hand && (o->on || o->every || o->reviews > 0 || o->stages.n > 0)) {
        return gy_err_set(err, GY_E_USAGE, "a trigger by hand needs a name");
    }
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "project", project->name);
    gy_jw_kv_strc(&w, "folder", project->dir);
    gy_jw_key(&w, by_hand ? "trigger" : "triggers");
    if (by_hand) {
        GY_TRY(write_spec(&w, cli->argv[0], o, err));
    } else {
        gy_cli_yaml_value(&w, project->triggers);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the triggers", err));
    GY_TRY(gy_cli_ask(cli, by_hand ? "POST" : "PUT", BASE "/triggers", gy_buf_str(&body), &answer,
                      err));
    return print_triggers(cli, &answer, err);
}

static gy_status post_reason(struct gy_cli *cli, const char *format, const char *project,
                             const char *reason, struct gy_cli_answer *answer, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    const char *path = NULL;
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "project", project);
    gy_jw_kv_strc(&w, "reason", reason);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the reason", err));
    GY_TRY(gy_cli_path(cli, format, gy_str_c(cli->argv[0]), &path, err));
    return gy_cli_ask(cli, "POST", path, gy_buf_str(&body), answer, err);
}

static gy_status run_fire(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct trigger_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    if (!o->reason) {
        return gy_err_set(err, GY_E_USAGE, "why? --reason TEXT");
    }
    GY_TRY(post_reason(cli, BASE "/triggers/{}/fire", o->project, o->reason, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    gy_cli_say(cli, "job %" GY_STR_F "\n", GY_STR_A(gy_json_str(answer.root, "job")));
    if (cli->app) {
        gy_cli_note(cli, "no server runs on this home: the job waits for one\n");
    }
    return GY_OK;
}

static gy_status switch_trigger(struct gy_cli *cli, const struct trigger_opts *o,
                                const char *format, const char *what, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    GY_TRY(post_reason(cli, format, o->project, NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    gy_cli_say(cli, "%s is %s\n", cli->argv[0], what);
    return GY_OK;
}

static gy_status run_enable(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return switch_trigger(cli, opts, BASE "/triggers/{}/enable", "enabled", err);
}

static gy_status run_disable(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return switch_trigger(cli, opts, BASE "/triggers/{}/disable", "disabled", err);
}

static gy_status run_remove(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct trigger_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH);
    gy_buf_addc(&path, BASE "/triggers/");
    gy_url_encode(&path, gy_str_c(cli->argv[0]), false);
    gy_buf_addc(&path, "?project=");
    gy_url_encode(&path, gy_str_c(o->project ? o->project : ""), false);
    GY_TRY(gy_buf_check(&path, "the name of the trigger", err));
    GY_TRY(gy_cli_ask(cli, "DELETE", path.p, GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    gy_cli_say(cli, "%s is removed\n", cli->argv[0]);
    return GY_OK;
}

/* ---- jobs ---- */

struct job_opts {
    const char *project, *state, *reason;
    int64_t limit;
};

/* Of a reason as much as a table has room for. */
static struct gy_str beginning(struct gy_cli *cli, struct gy_str text)
{
    enum { MOST = 60 };
    if (text.n <= MOST) {
        return text;
    }
    const char *cut =
        gy_arena_printf(&cli->arena, "%" GY_STR_F "...", GY_STR_A(gy_str_head(text, MOST - 3)));
    return gy_str_c(cut ? cut : "...");
}

static gy_status run_jobs(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    static const char *const head[] = {"job",     "name",  "state",   "step",
                                       "version", "tries", "started", "why"};
    enum { N = sizeof head / sizeof head[0] };
    const struct job_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH);
    gy_buf_addf(&path, BASE "/jobs?limit=%lld&state=", (long long)o->limit);
    gy_url_encode(&path, gy_str_c(o->state ? o->state : ""), false);
    gy_buf_addc(&path, "&project=");
    gy_url_encode(&path, gy_str_c(o->project ? o->project : ""), false);
    GY_TRY(gy_buf_check(&path, "the project's name", err));
    GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    yyjson_val *list = gy_json_get(answer.root, "jobs");
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, N * yyjson_arr_size(list) + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    size_t i;
    size_t n;
    yyjson_val *j;
    yyjson_arr_foreach(list, i, n, j)
    {
        struct gy_str *c = cells + N * i;
        struct gy_str why = gy_json_str(j, "error");
        int64_t version = gy_json_i64(j, "version", 0);
        c[0] = gy_cli_cell(cli, gy_json_str(j, "id"));
        c[1] = gy_cli_cell(cli, gy_json_str(j, "name"));
        c[2] = gy_cli_cell(cli, gy_json_str(j, "state"));
        c[3] = gy_cli_cell(cli, gy_json_str(j, "step"));
        c[4] = version > 0 ? gy_cli_cellf(cli, "%" GY_STR_F "/%lld",
                                          GY_STR_A(gy_json_str(j, "model")), (long long)version)
                           : GY_STR_NULL;
        c[5] = gy_cli_cellf(cli, "%lld", (long long)gy_json_i64(j, "attempt", 0));
        c[6] = gy_cli_cell(cli, gy_str_sub(gy_json_str(j, "started"), 0, 19));
        c[7] = gy_cli_cell(cli, beginning(cli, why.p ? why : gy_json_str(j, "reason")));
    }
    gy_cli_table(cli, head, N, cells, yyjson_arr_size(list),
                 (const bool[N]){false, false, false, false, false, true, false, false});
    return GY_OK;
}

static void say_text(struct gy_cli *cli, const char *label, struct gy_str text)
{
    if (text.n > 0) {
        gy_cli_say(cli, "%-10s %" GY_STR_F "\n", label, GY_STR_A(text));
    }
}

static gy_status print_job(struct gy_cli *cli, const struct gy_cli_answer *a, struct gy_err *err)
{
    static const char *const shown[] = {"id",      "name",    "state",   "step",   "reason",
                                        "error",   "project", "folder",  "actor",  "created",
                                        "started", "ended",   "verdict", "digest", "approval"};
    if (cli->json) {
        return gy_cli_print_answer(cli, a, err);
    }
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        say_text(cli, shown[i], gy_json_str(a->root, shown[i]));
    }
    int64_t version = gy_json_i64(a->root, "version", 0);
    int64_t revision = gy_json_i64(a->root, "revision", 0);
    if (version > 0) {
        gy_cli_say(cli, "%-10s %" GY_STR_F "/%lld\n", "version",
                   GY_STR_A(gy_json_str(a->root, "model")), (long long)version);
    }
    if (revision > 0) {
        gy_cli_say(cli, "%-10s %lld\n", "revision", (long long)revision);
    }
    size_t i;
    size_t n;
    yyjson_val *r;
    yyjson_arr_foreach(gy_json_get(a->root, "runs"), i, n, r)
    {
        gy_cli_say(cli, "%-10s %" GY_STR_F " %" GY_STR_F "\n", "run",
                   GY_STR_A(gy_json_str(r, "id")), GY_STR_A(gy_json_str(r, "status")));
    }
    return GY_OK;
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    const char *path = NULL;
    GY_TRY(gy_cli_path(cli, BASE "/jobs/{}", gy_str_c(cli->argv[0]), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &answer, err));
    return print_job(cli, &answer, err);
}

static gy_status run_cancel(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct job_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    GY_TRY(post_reason(cli, BASE "/jobs/{}/cancel", NULL, o->reason, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    gy_cli_say(cli, "job %s is %s\n", cli->argv[0],
               gy_str_eqc(gy_json_str(answer.root, "state"), "running") ? "asked to end"
                                                                        : "cancelled");
    return GY_OK;
}

/* ---- logs ---- */

static gy_status fetch_log(struct gy_cli *cli, const char *path, struct gy_collect *c,
                           struct gy_err *err)
{
    struct gy_caller *caller = NULL;
    GY_TRY(gy_cli_caller(cli, &caller, err));
    return gy_call_json(caller, "GET", path, GY_STR_NULL, c, err);
}

static gy_status run_job_logs(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect c;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    const char *path = NULL;
    struct gy_jw w;
    gy_collect_init(&c, 4 * GY_MIB);
    gy_buf_init(&out, 64 * GY_MIB);
    GY_TRY(gy_cli_path(cli, BASE "/jobs/{}/log", gy_str_c(cli->argv[0]), &path, err));
    GY_TRY(fetch_log(cli, path, &c, err));
    if (!cli->json) {
        gy_cli_put(stdout, gy_buf_str(&c.body), true, cli->color);
        return GY_OK;
    }
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "job", cli->argv[0]);
    gy_jw_kv_str(&w, "log", gy_buf_str(&c.body));
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

/* One stage's log: printed, or as a member of the list. Without one there is nothing to show. */
static gy_status show_stage_log(struct gy_cli *cli, struct gy_str stage, struct gy_jw *w,
                                struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect c;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    struct gy_err why = GY_ERR_INIT;
    gy_collect_init(&c, 4 * GY_MIB);
    gy_buf_init(&path, GY_MAX_PATH);
    gy_buf_addc(&path, BASE "/flow/runs/");
    gy_url_encode(&path, gy_str_c(cli->argv[0]), false);
    gy_buf_addc(&path, "/log?stage=");
    gy_url_encode(&path, stage, false);
    GY_TRY(gy_buf_check(&path, "the stage's name", err));
    gy_status status = fetch_log(cli, path.p, &c, &why);
    if (status != GY_OK && status != GY_E_NOTFOUND) {
        if (err) {
            *err = why;
        }
        return status;
    }
    gy_jw_obj(w);
    gy_jw_kv_str(w, "stage", stage);
    gy_jw_kv_str(w, "log", status == GY_OK ? gy_buf_str(&c.body) : GY_STR_NULL);
    gy_jw_obj_end(w);
    if (status == GY_OK && !cli->json) {
        gy_cli_say(cli, "== %" GY_STR_F " ==\n", GY_STR_A(stage));
        gy_cli_put(stdout, gy_buf_str(&c.body), true, cli->color);
    }
    return GY_OK;
}

static gy_status run_flow_logs(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    const char *path = NULL;
    struct gy_jw w;
    size_t i;
    size_t n;
    yyjson_val *s;
    bool any = false;
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(gy_cli_path(cli, BASE "/flow/runs/{}", gy_str_c(cli->argv[0]), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &answer, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "run", cli->argv[0]);
    gy_jw_key(&w, "stages");
    gy_jw_arr(&w);
    yyjson_arr_foreach(gy_json_get(answer.root, "steps"), i, n, s)
    {
        struct gy_str stage = gy_json_str(s, "stage");
        if (cli->argc < 2 || gy_str_eqc(stage, cli->argv[1])) {
            any = true;
            GY_TRY(show_stage_log(cli, stage, &w, err));
        }
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    if (!any && cli->argc > 1) {
        return gy_err_set(err, GY_E_NOTFOUND, "the run has no stage '%s'", cli->argv[1]);
    }
    return cli->json ? gy_cli_print_json(cli, &out, err) : GY_OK;
}

/* ---- tables ---- */

#define PROJECT(type)                                                                             \
    {                                                                                             \
        "project", 0, GY_OPT_STR, offsetof(struct type, project), "NAME", NULL, "of this project" \
    }

static const struct gy_opt project_options[] = {PROJECT(trigger_opts)};
static const struct gy_opt fire_options[] = {
    PROJECT(trigger_opts),
    {"reason", 0, GY_OPT_STR, offsetof(struct trigger_opts, reason), "TEXT", NULL,
     "why; kept with the job"},
};
static const struct gy_opt add_options[] = {
    {"on", 0, GY_OPT_STR, offsetof(struct trigger_opts, on), "EVENT", NULL,
     "fire at this event: drift.detected, alert.raised, rollout.rolled_back ..."},
    {"reviews", 0, GY_OPT_INT, offsetof(struct trigger_opts, reviews), "N", NULL,
     "fire when N verdicts came since it last fired"},
    {"every", 0, GY_OPT_STR, offsetof(struct trigger_opts, every), "TIME", NULL,
     "fire by the clock: 12h, 1d"},
    {"run", 0, GY_OPT_LIST, offsetof(struct trigger_opts, stages), "STAGE", NULL,
     "the stage to run (repeatable)"},
    {"cooldown", 0, GY_OPT_STR, offsetof(struct trigger_opts, cooldown), "TIME", NULL,
     "at least so long from one firing to the next: 1h"},
    {"model", 0, GY_OPT_STR, offsetof(struct trigger_opts, model), "NAME", NULL,
     "the registered model that counts; default: the newest version of the job"},
    {"endpoint", 0, GY_OPT_STR, offsetof(struct trigger_opts, endpoint), "NAME", NULL,
     "deploy what the gate blessed here"},
    {"canary", 0, GY_OPT_STR, offsetof(struct trigger_opts, canary), "SHARE", NULL,
     "with this share of the traffic at first: 10%"},
};
static const struct gy_opt jobs_options[] = {
    PROJECT(job_opts),
    {"state", 0, GY_OPT_STR, offsetof(struct job_opts, state), "STATE", NULL,
     "open, queued, running, waiting_approval, done, failed, refused or cancelled"},
    {"limit", 'n', GY_OPT_INT, offsetof(struct job_opts, limit), "N", "50", "at most N"},
};
static const struct gy_opt cancel_options[] = {
    {"reason", 0, GY_OPT_STR, offsetof(struct job_opts, reason), "TEXT", NULL,
     "why; kept with the job"},
};

#define JOB_ID "01a1fbcc-3977-7408-9a4a-d48b4a3e925c"

static const struct gy_verb verbs[] = {
    {.noun = "trigger",
     .verb = "list",
     .args = "",
     .summary = "list what starts by itself",
     .examples = "  gyre trigger list --project sepsis",
     GY_OPTS(project_options),
     .opts_bytes = sizeof(struct trigger_opts),
     .run = run_list},
    {.noun = "trigger",
     .verb = "add",
     .args = "[NAME]",
     .max_args = 1,
     .summary = "take over the triggers of gyre.yaml, or add one by hand",
     .details =
         "Without a name the project's triggers become those of its gyre.yaml. A trigger fires in "
         "a running server: it starts a job that runs\nthe stages, lets the gate judge the version "
         "that they registered, waits for an approval where one is asked for, and deploys it.\n"
         "A drift starts it only when its cause is a changed population that has labels; an "
         "offset of a sensor is refused.",
     .examples = "  gyre trigger add\n"
                 "  gyre trigger add drift --on drift.detected --run retrain --cooldown 1h "
                 "--endpoint sepsis --canary 10%\n"
                 "  gyre trigger add reviews --reviews 500 --run retrain",
     GY_OPTS(add_options),
     .opts_bytes = sizeof(struct trigger_opts),
     .run = run_add},
    {.noun = "trigger",
     .verb = "fire",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "start its job now, as yourself",
     .details = "Neither the cooldown nor the cause of a drift is asked about: that is what the "
                "reason is for.",
     .examples = "  gyre trigger fire drift --reason 'the sensors were changed on purpose'",
     GY_OPTS(fire_options),
     .opts_bytes = sizeof(struct trigger_opts),
     .run = run_fire},
    {.noun = "trigger",
     .verb = "enable",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "let a trigger fire again",
     .examples = "  gyre trigger enable drift",
     GY_OPTS(project_options),
     .opts_bytes = sizeof(struct trigger_opts),
     .run = run_enable},
    {.noun = "trigger",
     .verb = "disable",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "keep a trigger from firing",
     .examples = "  gyre trigger disable drift",
     GY_OPTS(project_options),
     .opts_bytes = sizeof(struct trigger_opts),
     .run = run_disable},
    {.noun = "trigger",
     .verb = "remove",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "forget a trigger; its jobs stay",
     .examples = "  gyre trigger remove nightly",
     GY_OPTS(project_options),
     .opts_bytes = sizeof(struct trigger_opts),
     .run = run_remove},
    {.noun = "jobs",
     .verb = "list",
     .args = "",
     .summary = "list what triggers started, newest first",
     .examples = "  gyre jobs list --state open",
     GY_OPTS(jobs_options),
     .opts_bytes = sizeof(struct job_opts),
     .run = run_jobs},
    {.noun = "jobs",
     .verb = "show",
     .args = "JOB",
     .min_args = 1,
     .max_args = 1,
     .summary = "show a job: its step, its runs, why it ended",
     .examples = "  gyre jobs show " JOB_ID,
     .opts_bytes = sizeof(struct job_opts),
     .run = run_show},
    {.noun = "jobs",
     .verb = "cancel",
     .args = "JOB",
     .min_args = 1,
     .max_args = 1,
     .summary = "end a job, as yourself",
     .examples = "  gyre jobs cancel " JOB_ID " --reason 'the data is not complete'",
     GY_OPTS(cancel_options),
     .opts_bytes = sizeof(struct job_opts),
     .run = run_cancel},
    {.noun = "jobs",
     .verb = "logs",
     .args = "JOB",
     .min_args = 1,
     .max_args = 1,
     .summary = "print the end of what a job printed",
     .examples = "  gyre jobs logs " JOB_ID,
     .opts_bytes = sizeof(struct job_opts),
     .run = run_job_logs},
    {.noun = "flow",
     .verb = "logs",
     .args = "RUN [STAGE]",
     .min_args = 1,
     .max_args = 2,
     .summary = "print what the stages of a pipeline run printed",
     .examples = "  gyre flow logs " JOB_ID " retrain",
     .opts_bytes = sizeof(struct job_opts),
     .run = run_flow_logs},
};

const struct gy_verb_table gy_cmd_trigger = GY_VERB_TABLE(verbs);
