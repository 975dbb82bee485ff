/* SPDX-License-Identifier: Apache-2.0 */
/* `gyre try FILE.csv --target Y`: from a person's own file to a served model, and a project that
 * repeats it. Steps that other commands do are done by these commands; the survey and the search
 * are done here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/try.h"
#include "data/schema.h"
#include "learn/split.h"
#include "net/http_client.h"

#define MIN_ROWS 20
#define MAX_THREADS 16
#define MAX_NAMES 256
#define MAX_SHOWN_CURL 90
#define STANDARD_BUDGET_S 20
#define MAX_BUDGET_S (24 * 3600.0)

/* ---- step 1: the file ---- */

static gy_status survey(struct gy_try *t, struct gy_err *err)
{
    struct gy_str drop[MAX_NAMES];
    struct gy_str keep[MAX_NAMES];
    if (t->opts->drop.n > MAX_NAMES || t->opts->keep.n > MAX_NAMES) {
        return gy_err_set(err, GY_E_USAGE, "at most %d --drop and --keep", MAX_NAMES);
    }
    struct gy_survey_options o = {.target = gy_str_c(t->opts->target),
                                  .schema = t->schema,
                                  .drop = drop,
                                  .n_drop = t->opts->drop.n,
                                  .keep = keep,
                                  .n_keep = t->opts->keep.n};
    for (size_t i = 0; i < o.n_drop; i++) {
        drop[i] = gy_str_c(t->opts->drop.items[i]);
    }
    for (size_t i = 0; i < o.n_keep; i++) {
        keep[i] = gy_str_c(t->opts->keep.items[i]);
    }
    if (t->opts->task) {
        o.has_task = true;
        if (gy_task_parse(gy_str_c(t->opts->task), &o.task, err) != GY_OK) {
            return gy_err_wrap(err, "--task");
        }
    }
    GY_TRY(gy_survey(t->table, &o, &t->survey, err));
    t->surveyed = true;
    size_t labelled = t->survey.n_rows - t->survey.n_unlabelled;
    if (labelled < MIN_ROWS) {
        gy_err_set(err, GY_E_INVALID, "%s has %zu rows with a value of '%s'; %d are the least",
                   t->file, labelled, t->opts->target, MIN_ROWS);
        return gy_err_hint(err, "with fewer nothing can be learnt and measured");
    }
    return GY_OK;
}

static gy_status keep_profile(const struct gy_try *t, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_jw w;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_MIB);
    gy_jw_init(&w, &out);
    w.pretty = true;
    gy_jw_obj(&w);
    gy_survey_write(&w, &t->survey);
    gy_jw_obj_end(&w);
    gy_buf_add_char(&out, '\n');
    GY_TRY(gy_buf_check(&out, "the profile", err));
    GY_TRY(gy_path_join(path, sizeof path, t->d.dir, "reports/profile.json", err));
    GY_TRY(gy_dir_make_for(path, err));
    return gy_file_write(path, gy_buf_str(&out), 0644, err);
}

static gy_status step_read(struct gy_try *t, struct gy_buf *text, struct gy_err *err)
{
    char rows[32];
    char dead[32];
    gy_demo_begin(&t->d, "read the file", "%s", "");
    GY_TRY(gy_try_load(t, text, err));
    GY_TRY(survey(t, err));
    GY_TRY(keep_profile(t, err));
    GY_TRY(gy_try_write_data(t, err));
    GY_TRY(gy_demo_done(&t->d, true, err, "%s rows, %zu columns: %zu to learn from",
                        gy_try_count((int64_t)t->survey.n_rows, rows), t->survey.n_columns,
                        t->survey.n_inputs));
    gy_try_say_columns(t);
    if (t->ingested.dead > 0) {
        gy_cli_say(t->cli, "    %s!%s %s damaged records are set aside, the first is %s\n",
                   t->cli->color ? "\033[33m" : "", t->cli->color ? "\033[0m" : "",
                   gy_try_count(t->ingested.dead, dead), t->complaint);
    }
    if (t->n_unnamed > 0) {
        gy_cli_say(t->cli, "    %s!%s columns without a name got one, unnamed_N: %zu\n",
                   t->cli->color ? "\033[33m" : "", t->cli->color ? "\033[0m" : "", t->n_unnamed);
    }
    return GY_OK;
}

/* ---- steps 2 to 5 ---- */

static gy_status step_server(struct gy_try *t, struct gy_err *err)
{
    gy_demo_begin(&t->d, "a server of its own", "gyre server");
    GY_TRY(gy_demo_serve(&t->d, err));
    return gy_demo_done(&t->d, true, err, "%s shows the runs as they come", t->d.address);
}

/* The rows that the project's own ingest accepts are those that were surveyed; when the schema got
 * an id, they divide in another way. */
static gy_status reload(struct gy_try *t, struct gy_str sha256, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    bool new_id = false;
    for (size_t i = 0; i < t->survey.n_columns; i++) {
        new_id = new_id || (t->survey.columns[i].use == GY_USE_ID && !t->table->id);
    }
    if (!new_id && gy_str_eqc(sha256, t->table->sha256)) {
        return GY_OK;
    }
    gy_survey_done(&t->survey);
    t->surveyed = false;
    gy_table_free(t->table);
    gy_schema_free(t->schema);
    t->table = NULL;
    t->schema = NULL;
    GY_TRY(gy_path_join(path, sizeof path, t->d.dir, "schema.yaml", err));
    GY_TRY(gy_schema_read(path, &t->schema, err));
    const char *name = gy_arena_printf(&t->cli->arena, "data/%s/data.csv", t->name);
    GY_TRY(name ? gy_path_join(path, sizeof path, t->d.dir, name, err)
                : gy_err_set(err, GY_E_NOMEM, "out of memory"));
    GY_TRY(gy_table_load(path, t->schema, &t->table, err));
    return survey(t, err);
}

static gy_status step_ingest(struct gy_try *t, struct gy_err *err)
{
    char a[32];
    char d[32];
    char r[32];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_demo_begin(&t->d, "ingest", "gyre run ingest");
    GY_TRY(gy_demo_gyre(&t->d, "run ingest", 0, NULL, err));
    GY_TRY(gy_demo_read(&t->d, "reports/ingest.json", &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    int64_t accepted = gy_json_i64(root, "accepted", -1);
    int64_t dead = gy_json_i64(root, "dead", -1);
    int64_t read = gy_json_i64(root, "read", -1);
    struct gy_str sha256 = gy_json_str(root, "sha256");
    GY_TRY(reload(t, sha256, err));
    return gy_demo_done(&t->d, accepted > 0 && accepted + dead == read, err,
                        "accepted %s + dead %s = read %s; dataset %s@1 is sha256:%.12s",
                        gy_try_count(accepted, a), gy_try_count(dead, d), gy_try_count(read, r),
                        t->name, sha256.p ? sha256.p : "?");
}

/* What is to be predicted, and what one reaches without looking at a row. */
static void describe_task(const struct gy_try *t, char *out, size_t size)
{
    const struct gy_search *s = &t->search;
    const struct gy_metrics *m = &s->baseline.metrics;
    const struct gy_metric *accuracy = gy_metrics_get(m, GY_STR("accuracy"));
    size_t common = 0;
    double n = 0;
    for (size_t k = 0; k < s->n_classes; k++) {
        n += s->class_rows[k];
        common = s->class_rows[k] > s->class_rows[common] ? k : common;
    }
    if (s->task == GY_TASK_REGRESSION) {
        (void)snprintf(out, size, "a quantity; always saying the mean is off by %.4g (rmse)",
                       s->baseline.score);
        return;
    }
    (void)snprintf(out, size,
                   "%zu classes; always saying '%.*s' (%.1f %% of the rows) has accuracy %.3f, %s "
                   "%.3f",
                   s->n_classes, (int)(s->classes[common].n < 40 ? s->classes[common].n : 40),
                   s->classes[common].p, 100 * s->class_rows[common] / n,
                   accuracy ? accuracy->value : NAN, gy_try_metric_name(s->metric),
                   s->baseline.score);
}

static void say_rows(const struct gy_try *t)
{
    const struct gy_search *s = &t->search;
    char searched[32];
    char all[32];
    char how[64];
    (void)snprintf(how, sizeof how,
                   s->n_folds > 1 ? "by %zu-fold cross-validation"
                                  : "a quarter of them to validate",
                   s->n_folds);
    (void)gy_try_count((int64_t)s->n_rows, searched);
    (void)gy_try_count((int64_t)s->n_training, all);
    if (s->n_rows < s->n_training) {
        gy_cli_say(t->cli, "    on a sample of %s of %s training rows, %s; held-out rows unseen\n",
                   searched, all, how);
    } else {
        gy_cli_say(t->cli, "    on %s training rows, %s; held-out rows unseen\n", searched, how);
    }
}

static gy_status step_search(struct gy_try *t, struct gy_err *err)
{
    char limit[64] = "";
    char task[256];
    if (t->budget_s > 0) {
        (void)snprintf(limit, sizeof limit, "search for %g seconds", t->budget_s);
    } else {
        (void)snprintf(limit, sizeof limit, "search with %lld trials", (long long)t->opts->trials);
    }
    gy_demo_begin(&t->d, limit, "%s", "");
    t->d.steps[t->d.n_steps - 1].name = "search";
    GY_TRY(gy_try_search(t, err));
    describe_task(t, task, sizeof task);
    GY_TRY(gy_demo_done(&t->d, true, err, "%s %.4g by trial %zu of %zu, %s",
                        gy_try_metric_name(t->search.metric), t->search.best->score,
                        t->search.best->number, t->search.n_trials,
                        gy_learner_name(t->search.best->learner)));
    gy_cli_say(t->cli, "    %s: %s\n", t->opts->target, task);
    say_rows(t);
    gy_try_say_leaderboard(t);
    return GY_OK;
}

/* ---- step 6: the model ---- */

static double metric(const struct gy_try *t, bool baseline, const char *name, const char *part)
{
    yyjson_val *root = yyjson_doc_get_root(t->report);
    yyjson_val *of = baseline ? gy_json_get(root, "baseline") : root;
    return gy_json_f64(gy_json_get(gy_json_get(of, "metrics"), name), part, NAN);
}

static gy_status step_model(struct gy_try *t, struct gy_err *err)
{
    static const char *const shown[] = {"auc",      "accuracy", "recall", "precision", "f1",
                                        "f1_macro", "log_loss", "r2",     "rmse",      "mae"};
    char rows[32];
    const char *name = t->search.metric;
    GY_TRY(gy_try_write_model(t, err));
    GY_TRY(gy_try_mark(t, err));
    gy_demo_begin(&t->d, "train the best on all training rows", "gyre run");
    t->d.steps[t->d.n_steps - 1].name = "train";
    GY_TRY(gy_demo_gyre(&t->d, "run", 0, NULL, err));
    GY_TRY(gy_demo_read(&t->d, "reports/model.json", &t->report, err));
    yyjson_val *root = yyjson_doc_get_root(t->report);
    t->version = gy_json_i64(root, "version", 0);
    int64_t held_out = gy_json_i64(gy_json_get(root, "rows"), "held_out", 0);
    GY_TRY(gy_demo_done(&t->d, t->version > 0, err,
                        "%s %.4g [%.4g, %.4g] on %s rows held out (baseline %.4g): %s/%lld",
                        gy_try_metric_name(name), metric(t, false, name, "value"),
                        metric(t, false, name, "low"), metric(t, false, name, "high"),
                        gy_try_count(held_out, rows), metric(t, true, name, "value"), t->name,
                        (long long)t->version));
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        double v = metric(t, false, shown[i], "value");
        if (strcmp(shown[i], name) != 0 && !isnan(v)) {
            gy_cli_say(t->cli, "    %-9s %8.4g  [%.4g, %.4g]  baseline %.4g\n",
                       gy_try_metric_name(shown[i]), v, metric(t, false, shown[i], "low"),
                       metric(t, false, shown[i], "high"), metric(t, true, shown[i], "value"));
        }
    }
    if (t->threshold != 0.5) {
        gy_cli_say(t->cli,
                   "    says 1 from a probability of %.3g on, where f1 was largest in the "
                   "search\n",
                   t->threshold);
    }
    return GY_OK;
}

/* ---- step 7: the gate ---- */

static void say_checks(const struct gy_try *t)
{
    size_t i, n;
    yyjson_val *c;
    yyjson_arr_foreach(gy_json_get(yyjson_doc_get_root(t->verdict), "checks"), i, n, c)
    {
        if (!gy_json_bool(c, "passed", true)) {
            struct gy_str m = gy_json_str(c, "metric");
            struct gy_str why = gy_json_str(c, "reason");
            gy_cli_say(t->cli, "    %.*s: %.*s\n", (int)m.n, m.p, (int)why.n, why.p);
        }
    }
}

static gy_status step_gate(struct gy_try *t, struct gy_err *err)
{
    char words[160];
    char log[128];
    (void)snprintf(words, sizeof words, "gate check %s/%lld --threads %d", t->name,
                   (long long)t->version, t->n_threads);
    gy_demo_begin(&t->d, "gate", "gyre gate check %s/%lld", t->name, (long long)t->version);
    GY_TRY(gy_demo_gyre(&t->d, words, -1, &t->verdict, err));
    t->blessed = t->d.exit_code == 0;
    if (!t->blessed && t->d.exit_code != gy_status_exit(GY_E_NOTBLESSED)) {
        struct gy_str why =
            gy_json_str(gy_json_get(yyjson_doc_get_root(t->verdict), "error"), "message");
        return gy_err_set(err, GY_E_FAILED, "gyre %s: %.*s", words, (int)why.n, why.p ? why.p : "");
    }
    yyjson_val *checks = gy_json_get(yyjson_doc_get_root(t->verdict), "checks");
    size_t held = 0, skipped = 0, i, n;
    yyjson_val *c;
    yyjson_arr_foreach(checks, i, n, c)
    {
        held += gy_json_bool(c, "passed", false);
        skipped += yyjson_is_null(gy_json_get(c, "passed"));
    }
    (void)snprintf(log, sizeof log, "%s: %zu of %zu checks held",
                   t->blessed ? "BLESSED" : "NOT BLESSED", held, yyjson_arr_size(checks) - skipped);
    GY_TRY(gy_demo_done(&t->d, true, err, "%s", log));
    say_checks(t);
    return GY_OK;
}

/* ---- steps 8 and 9: serving ---- */

static gy_status step_deploy(struct gy_try *t, struct gy_err *err)
{
    char words[160];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_demo_begin(&t->d, "promote and deploy",
                  "gyre models promote %s/%lld --alias champion && gyre endpoint deploy %s",
                  t->name, (long long)t->version, t->name);
    (void)snprintf(words, sizeof words, "models promote %s/%lld --alias champion", t->name,
                   (long long)t->version);
    GY_TRY(gy_demo_gyre(&t->d, words, 0, NULL, err));
    if (t->opts->no_serve) {
        return gy_demo_done(&t->d, true, err, "models:/%s@champion is version %lld, not deployed",
                            t->name, (long long)t->version);
    }
    (void)snprintf(words, sizeof words, "endpoint deploy %s", t->name);
    GY_TRY(gy_demo_gyre(&t->d, words, 0, &doc, err));
    int64_t version = gy_json_i64(yyjson_doc_get_root(doc), "version", 0);
    return gy_demo_done(&t->d, version == t->version, err,
                        "models:/%s@champion is version %lld; endpoint %s answers", t->name,
                        (long long)version, t->name);
}

/* A held-out row with a label and as few gaps as there are: the model has not seen it. */
static gy_status choose_example(const struct gy_try *t, size_t *ret, struct gy_err *err)
{
    size_t best_gaps = SIZE_MAX;
    const struct gy_table_column *target = t->survey.target->column;
    *ret = 0;
    for (size_t i = 0; i < t->table->n_rows && best_gaps > 0; i++) {
        char scratch[32];
        size_t gaps = 0;
        uint64_t h = 0;
        for (size_t c = 0; c < t->params.n_features; c++) {
            gaps += isnan(gy_table_column(t->table, t->params.features[c])->num[i]);
        }
        if (gaps >= best_gaps || !gy_table_text(target, i, scratch).p) {
            continue;
        }
        GY_TRY(gy_split_hash(t->params.seed, gy_table_key(t->table, i), &h, err));
        if (gy_split_below(h, t->params.holdout)) {
            best_gaps = gaps;
            *ret = i;
        }
    }
    return GY_OK;
}

/* {"HR": 63, "Temp": 40.3}: gaps are left out. */
static gy_status make_example(struct gy_try *t, struct gy_err *err)
{
    size_t row = 0;
    char number[32];
    GY_TRY(choose_example(t, &row, err));
    gy_buf_init(&t->body, 4 * GY_MIB);
    const char *sep = "{";
    for (size_t c = 0; c < t->params.n_features; c++) {
        struct gy_jw w;
        const struct gy_table_column *column = gy_table_column(t->table, t->params.features[c]);
        struct gy_str text = gy_table_text(column, row, number);
        if (!text.p) {
            continue;
        }
        gy_buf_addc(&t->body, sep);
        gy_jw_init(&w, &t->body);
        gy_jw_str(&w, column->name);
        gy_buf_addf(&t->body, ": %" GY_STR_F, GY_STR_A(text));
        sep = ", ";
    }
    gy_buf_addc(&t->body, sep[0] == '{' ? "{}" : "}");
    struct gy_str label = gy_table_text(t->survey.target->column, row, number);
    t->example_label = gy_arena_str(&t->cli->arena, label);
    return gy_buf_check(&t->body, "an example", err);
}

/* For a shell: a quote in a column's name ends the quoted text, and begins it again. */
static gy_status make_curl(struct gy_try *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 8 * GY_MIB);
    gy_buf_addf(&out, "curl %s/predict -d '", t->d.address);
    for (size_t i = 0; i < t->body.n; i++) {
        if (t->body.p[i] == '\'') {
            gy_buf_addc(&out, "'\\''");
        } else {
            gy_buf_add_char(&out, t->body.p[i]);
        }
    }
    gy_buf_addc(&out, "'");
    GY_TRY(gy_buf_check(&out, "a curl line", err));
    t->curl = gy_arena_strdup(&t->cli->arena, gy_buf_str(&out));
    return t->curl ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* What a person wants of the answer; the whole of it is one curl away. */
static gy_status tell_answer(struct gy_try *t, struct gy_str body, struct gy_err *err)
{
    char chance[96] = "";
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf said;
    struct gy_jw w;
    gy_buf_init(&said, 64 * GY_KIB);
    GY_TRY(gy_json_parse(body, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *p = gy_json_get(root, "probability");
    double most = yyjson_is_num(p) ? yyjson_get_num(p) : NAN;
    gy_jw_init(&w, &said);
    yyjson_val *v = gy_json_get(root, t->opts->target);
    if (v && t->survey.task == GY_TASK_REGRESSION) {
        gy_buf_addf(&said, "%.5g", yyjson_get_num(v));
    } else if (v) {
        gy_jw_val(&w, v);
    }
    if (!isnan(most)) {
        struct gy_str second = t->survey.classes[1].name; /* a number: there are two classes */
        (void)snprintf(chance, sizeof chance, ", probability of %.*s %.3g",
                       (int)(second.n < 40 ? second.n : 40), second.p, most);
    }
    return gy_demo_done(&t->d, v != NULL, err, "%s is %.*s%s; the file says %.*s", t->opts->target,
                        (int)(said.n < 60 ? said.n : 60), said.p, chance,
                        (int)(t->example_label.n < 40 ? t->example_label.n : 40),
                        t->example_label.p);
}

static gy_status step_ask(struct gy_try *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, GY_MIB);
    GY_TRY(make_example(t, err));
    GY_TRY(make_curl(t, err));
    bool wide = strlen(t->curl) > MAX_SHOWN_CURL + 10; /* the whole line stands at the end */
    gy_demo_begin(&t->d, "ask it about a row it has not seen", "%.*s%s",
                  MAX_SHOWN_CURL + (wide ? 0 : 10), t->curl, wide ? "...}'" : "");
    t->d.steps[t->d.n_steps - 1].name = "ask";
    GY_TRY(gy_call_json(t->client, "POST", "/predict", gy_buf_str(&t->body), &answer, err));
    return tell_answer(t, gy_buf_str(&answer.body), err);
}

/* ---- the whole ---- */

static gy_status play(struct gy_try *t, struct gy_buf *text, struct gy_err *err)
{
    gy_status status = step_read(t, text, err);
    if (status != GY_OK && t->made_dir) {         /* a mistyped column leaves no folder behind */
        GY_IGNORE(gy_dir_remove(t->d.dir, NULL)); /* the first failure is the one to tell */
    }
    GY_TRY(status);
    GY_TRY(step_server(t, err));
    GY_TRY(step_ingest(t, err));
    GY_TRY(step_search(t, err));
    GY_TRY(step_model(t, err));
    GY_TRY(step_gate(t, err));
    if (t->blessed) {
        GY_TRY(step_deploy(t, err));
        return t->opts->no_serve ? GY_OK : step_ask(t, err);
    }
    gy_cli_say(t->cli,
               "\n    The model is not surely better than one that knows nothing, so it is not "
               "served. More rows or other\n    columns may help; gyre.yaml has the gate.\n");
    t->cli->exit_code = gy_status_exit(GY_E_NOTBLESSED);
    return GY_OK;
}

/* "20s", "90", "2m" */
static gy_status read_budget(struct gy_try *t, struct gy_err *err)
{
    struct gy_str s = gy_str_c(t->opts->budget);
    t->budget_s = t->opts->trials > 0 ? 0 : STANDARD_BUDGET_S;
    if (!s.p) {
        return GY_OK;
    }
    double unit = gy_str_ends(s, GY_STR("m")) ? 60 : 1;
    struct gy_str number =
        s.n > 0 && (s.p[s.n - 1] == 's' || unit > 1) ? gy_str_sub(s, 0, s.n - 1) : s;
    double v = 0;
    if (gy_parse_f64(number, &v, NULL) != GY_OK || !(v > 0) || v * unit > MAX_BUDGET_S) {
        return gy_err_set(err, GY_E_USAGE, "--budget is a time like 20s or 2m, not '%s'",
                          t->opts->budget);
    }
    t->budget_s = v * unit;
    return GY_OK;
}

static gy_status check_options(struct gy_try *t, struct gy_err *err)
{
    const struct gy_try_opts *o = t->opts;
    if (!o->target || !o->target[0]) {
        gy_err_set(err, GY_E_USAGE, "what is to be predicted? --target COLUMN");
        return gy_err_hint(err, "gyre try %s --target COLUMN", t->file);
    }
    if (t->cli->server && t->cli->server[0]) {
        gy_err_set(err, GY_E_USAGE, "gyre try has a server of its own");
        return gy_err_hint(err, "without --server and GYRE_SERVER, please");
    }
    if (t->cli->home) {
        gy_err_set(err, GY_E_USAGE, "gyre try makes a project with a home of its own");
        return gy_err_hint(err, "--dir says where");
    }
    if (o->trials < 0 || o->trials > GY_SEARCH_MAX_TRIALS || o->seed < 0 || o->threads < 0 ||
        o->threads > GY_TRAIN_MAX_THREADS) {
        return gy_err_set(err, GY_E_USAGE,
                          "--trials is 1 to %d, --threads 1 to %d, --seed not negative",
                          GY_SEARCH_MAX_TRIALS, GY_TRAIN_MAX_THREADS);
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    t->n_threads = o->threads > 0        ? (int)o->threads
                   : cores > MAX_THREADS ? MAX_THREADS
                   : cores > 0           ? (int)cores
                                         : 1;
    return read_budget(t, err);
}

static gy_status open_folder(struct gy_try *t, struct gy_err *err)
{
    const char *dir = t->opts->dir;
    if (!dir) {
        dir = gy_arena_printf(&t->cli->arena, "gyre-try-%s", t->name);
    }
    if (!dir) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_try_prepare(t, dir, err));
    t->made_dir = !gy_path_exists(dir);
    GY_TRY(gy_demo_open(t->cli, dir, &t->d, err));
    GY_TRY(gy_try_mark(t, err));
    gy_cli_say(t->cli, "%s, to predict %s; all of it in %s\n\n", t->file, t->opts->target,
               t->d.dir);
    return GY_OK;
}

static gy_status whole(struct gy_try *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_TABLE_MAX_BYTES);
    GY_TRY(check_options(t, err));
    GY_TRY(gy_try_read(t, &text, err)); /* before a folder is made for it */
    gy_try_name(t->file, t->name);
    GY_TRY(open_folder(t, err));
    GY_TRY(play(t, &text, err));
    gy_try_say_end(t);
    if (t->cli->json) {
        GY_TRY(gy_try_print_json(t, err));
    }
    if (!t->opts->exit && !t->opts->no_serve) {
        gy_cli_say(t->cli, "\nThe server stays up until Ctrl-C.\n");
        (void)fflush(stdout);
        gy_demo_wait(&t->d);
    }
    return GY_OK;
}

static gy_status run_try(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    struct gy_try t = {.cli = cli, .opts = opts, .file = cli->argv[0], .threshold = 0.5};
    t.d.server_out = -1;
    /* Set before libxgboost is opened: its threads spin while they wait, which on a busy machine
     * costs more than it gives. */
    (void)setenv("OMP_WAIT_POLICY", "passive", 0); /* fails only without memory */
    gy_train_params_init(&t.params);
    gy_status status = whole(&t, err);
    gy_demo_close(&t.d);
    gy_trials_done(&t.runs);
    gy_caller_free(t.client);
    gy_search_done(&t.search);
    if (t.surveyed) {
        gy_survey_done(&t.survey);
    }
    gy_train_params_done(&t.params);
    gy_table_free(t.table);
    gy_schema_free(t.schema);
    gy_json_free(t.report);
    gy_json_free(t.verdict);
    gy_buf_done(&t.body);
    return status;
}

static const struct gy_opt try_opts[] = {
    {"target", 0, GY_OPT_STR, offsetof(struct gy_try_opts, target), "COLUMN", NULL,
     "the column to predict"},
    {"budget", 0, GY_OPT_STR, offsetof(struct gy_try_opts, budget), "TIME", NULL,
     "how long to search: 20s (the usual one), 2m"},
    {"trials", 0, GY_OPT_INT, offsetof(struct gy_try_opts, trials), "N", NULL,
     "search so many trials instead: the same result every time"},
    {"drop", 0, GY_OPT_LIST, offsetof(struct gy_try_opts, drop), "COLUMN", NULL,
     "do not learn from it (repeatable)"},
    {"keep", 0, GY_OPT_LIST, offsetof(struct gy_try_opts, keep), "COLUMN", NULL,
     "learn from it though it looks like a leak or a row number (repeatable)"},
    {"task", 0, GY_OPT_STR, offsetof(struct gy_try_opts, task), "NAME", NULL,
     "binary, multiclass or regression; else told from the target"},
    {"seed", 0, GY_OPT_INT, offsetof(struct gy_try_opts, seed), "N", "7",
     "of the split, the search and the learner"},
    {"threads", 0, GY_OPT_INT, offsetof(struct gy_try_opts, threads), "N", NULL,
     "default: the cores there are; results do not depend on it"},
    {"dir", 0, GY_OPT_STR, offsetof(struct gy_try_opts, dir), "DIR", NULL,
     "the project's folder [./gyre-try-NAME]"},
    {"force", 0, GY_OPT_FLAG, offsetof(struct gy_try_opts, force), NULL, NULL,
     "make the folder anew though a person changed it"},
    {"no-serve", 0, GY_OPT_FLAG, offsetof(struct gy_try_opts, no_serve), NULL, NULL,
     "stop before the endpoint"},
    {"exit", 0, GY_OPT_FLAG, offsetof(struct gy_try_opts, exit), NULL, NULL,
     "end when done; else the server stays up"},
};

static const struct gy_verb verbs[] = {
    {.noun = "try",
     .args = "FILE.csv",
     .min_args = 1,
     .max_args = 1,
     .summary = "from your own file to a served model, in a minute",
     .details = "Looks at the file, searches for a good model on the training rows, measures the "
                "best once on rows held out,\nand serves it when it is surely better than a model "
                "that knows nothing. Leaves a project that repeats it.\nLearns from columns of "
                "numbers; says which others it left out, and why.",
     .examples = "  gyre try patients.csv --target isSepsis\n  gyre try cars.csv --target mpg "
                 "--budget 1m --drop name\n  gyre try cars.csv --target mpg --trials 12 --exit "
                 "--json",
     .opts = try_opts,
     .n_opts = sizeof try_opts / sizeof try_opts[0],
     .opts_bytes = sizeof(struct gy_try_opts),
     .run = run_try},
};

const struct gy_verb_table gy_cmd_try = GY_VERB_TABLE(verbs);
