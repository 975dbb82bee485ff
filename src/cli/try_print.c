/* SPDX-License-Identifier: Apache-2.0 */
/* What `gyre try` shows: tables for people, one document for programs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/ask.h"
#include "cli/try.h"
#include "data/schema.h"

enum { MAX_SHOWN_COLUMNS = 40, MAX_SHOWN_TRIALS = 8, MAX_CELL = 28, MAX_CLASSES_SHOWN = 4 };

const char *gy_try_count(int64_t n, char out[32])
{
    char plain[24];
    int digits = snprintf(plain, sizeof plain, "%lld", (long long)n);
    size_t at = 0;
    for (int i = 0; i < digits; i++) {
        if (i > 0 && (digits - i) % 3 == 0 && plain[i - 1] != '-') {
            out[at++] = ',';
        }
        out[at++] = plain[i];
    }
    out[at] = '\0';
    return out;
}

const char *gy_try_metric_name(const char *metric)
{
    return strcmp(metric, "auc") == 0 ? "AUC" : strcmp(metric, "f1_macro") == 0 ? "f1" : metric;
}

/* Long texts of a file must not tear a table. */
static struct gy_str short_cell(struct gy_cli *cli, struct gy_str s)
{
    return s.n <= MAX_CELL
               ? s
               : gy_cli_cellf(cli, "%" GY_STR_F "..", GY_STR_A(gy_str_head(s, MAX_CELL - 2)));
}

/* ---- the columns ---- */

static struct gy_str values_cell(struct gy_cli *cli, const struct gy_surveyed *c)
{
    if (c->distinct == 0) {
        return GY_STR("");
    }
    if (c->column->numeric) {
        return gy_cli_cellf(cli, "%.6g to %.6g", c->min, c->max);
    }
    return short_cell(cli, c->common);
}

static struct gy_str missing_cell(struct gy_cli *cli, const struct gy_try *t,
                                  const struct gy_surveyed *c)
{
    double share = 100 * (double)c->missing / (double)t->survey.n_rows;
    return c->missing == 0 ? GY_STR("")
           : share < 0.1   ? GY_STR("<0.1 %")
                           : gy_cli_cellf(cli, "%.1f %%", share);
}

void gy_try_say_columns(const struct gy_try *t)
{
    static const char *const head[] = {"    column",         "type", "missing", "values",
                                       "range or commonest", ""};
    static const bool right[] = {false, false, true, true, false, false};
    struct gy_cli *cli = t->cli;
    const struct gy_survey *s = &t->survey;
    size_t n = s->n_columns < MAX_SHOWN_COLUMNS ? s->n_columns : MAX_SHOWN_COLUMNS;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * 6, sizeof *cells);
    if (!cells) {
        return; /* the table is for people only */
    }
    for (size_t i = 0; i < n; i++) {
        const struct gy_surveyed *c = &s->columns[i];
        struct gy_str name = short_cell(cli, c->column->name);
        char count[32];
        cells[6 * i] = gy_cli_cellf(cli, "    %.*s", (int)name.n, name.p);
        cells[6 * i + 1] = gy_str_c(c->type);
        cells[6 * i + 2] = missing_cell(cli, t, c);
        cells[6 * i + 3] = gy_cli_cellf(cli, "%s", gy_try_count((int64_t)c->distinct, count));
        cells[6 * i + 4] = values_cell(cli, c);
        cells[6 * i + 5] = c->use == GY_USE_INPUT ? GY_STR("")
                           : c->use == GY_USE_TARGET
                               ? GY_STR("<- the target")
                               : gy_cli_cellf(cli, "left out: %.*s", (int)c->why.n, c->why.p);
    }
    gy_cli_table(cli, head, 6, cells, n, right);
    if (n < s->n_columns) {
        gy_cli_say(cli, "    ... and %zu more: reports/profile.json has all\n", s->n_columns - n);
    }
    for (size_t i = 0; i < s->n_warnings; i++) {
        gy_cli_say(cli, "    %s!%s %" GY_STR_F "\n", cli->color ? "\033[33m" : "",
                   cli->color ? "\033[0m" : "", GY_STR_A(s->warnings[i]));
    }
}

/* ---- the leaderboard ---- */

static const struct gy_search *g_sorted; /* of by_score; qsort has no context */

static int by_score(const void *a, const void *b)
{
    const struct gy_trial *x = *(const struct gy_trial *const *)a;
    const struct gy_trial *y = *(const struct gy_trial *const *)b;
    double sign = g_sorted->lower_is_better ? 1 : -1;
    if (x->ok != y->ok) {
        return x->ok ? -1 : 1;
    }
    if (x->ok && x->score != y->score) {
        return sign * x->score < sign * y->score ? -1 : 1;
    }
    return (x->number > y->number) - (x->number < y->number);
}

/* Best first, failed ones last; in the arena of the run; NULL: out of memory. */
static const struct gy_trial **sorted_trials(const struct gy_try *t)
{
    const struct gy_search *s = &t->search;
    const struct gy_trial **list = gy_arena_calloc(&t->cli->arena, s->n_trials + 1, sizeof *list);
    for (size_t i = 0; list && i < s->n_trials; i++) {
        list[i] = &s->trials[i];
    }
    if (list) {
        g_sorted = s;
        qsort(list, s->n_trials, sizeof *list, by_score);
    }
    return list;
}

static struct gy_str trial_text(struct gy_cli *cli, const struct gy_trial *trial)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 1024);
    gy_trial_text(trial, &text);
    return gy_cli_cell(cli, gy_buf_str(&text));
}

/* What fits on a line: "xgboost 200 x depth 6, eta 0.05, sub 0.7". */
static struct gy_str trial_line(struct gy_cli *cli, const struct gy_trial *trial)
{
    static const struct {
        const char *key, *shown;
    } g_short[] = {{"min_child_weight", "child"}, {"subsample", "sub"}, {"colsample", "col"}};
    const char *sep = " ";
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 1024);
    gy_buf_addc(&text, gy_learner_name(trial->learner));
    if (trial->rounds > 0) {
        gy_buf_addf(&text, " %d x", trial->rounds);
    }
    for (size_t i = 0; i < trial->n_settings; i++) {
        const char *shown = trial->settings[i].key;
        for (size_t k = 0; k < sizeof g_short / sizeof g_short[0]; k++) {
            shown = strcmp(shown, g_short[k].key) == 0 ? g_short[k].shown : shown;
        }
        gy_buf_addf(&text, "%s%s %s", sep, shown, trial->settings[i].value);
        sep = ", ";
    }
    return gy_cli_cell(cli, gy_buf_str(&text));
}

static void trial_row(struct gy_cli *cli, const struct gy_search *s, const struct gy_trial *trial,
                      struct gy_str row[5])
{
    const struct gy_metric *m = gy_metrics_get(&trial->metrics, gy_str_c(s->metric));
    row[0] = trial->number ? gy_cli_cellf(cli, "    %zu", trial->number) : GY_STR("    -");
    row[1] = m ? gy_cli_cellf(cli, "%.4g", m->value) : GY_STR("failed");
    row[2] = m && !isnan(m->low) ? gy_cli_cellf(cli, "%.4g to %.4g", m->low, m->high) : GY_STR("");
    row[3] = gy_cli_cellf(cli, "%.1f", trial->seconds);
    row[4] = !trial->ok           ? gy_cli_cellf(cli, "%.60s", trial->error)
             : trial->number == 0 ? GY_STR("baseline: knows nothing of a row")
                                  : trial_line(cli, trial);
}

void gy_try_say_leaderboard(const struct gy_try *t)
{
    static const bool right[] = {false, true, false, true, false};
    const char *head[] = {"    trial", gy_try_metric_name(t->search.metric), "95 % interval", "s",
                          "what"};
    const struct gy_search *s = &t->search;
    struct gy_str cells[(MAX_SHOWN_TRIALS + 1) * 5];
    const struct gy_trial **list = sorted_trials(t);
    size_t n = s->n_trials < MAX_SHOWN_TRIALS ? s->n_trials : MAX_SHOWN_TRIALS;
    if (!list) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        trial_row(t->cli, s, list[i], cells + 5 * i);
    }
    trial_row(t->cli, s, &s->baseline, cells + 5 * n);
    gy_cli_table(t->cli, head, 5, cells, n + 1, right);
}

/* ---- the end ---- */

void gy_try_say_end(const struct gy_try *t)
{
    struct gy_cli *cli = t->cli;
    const char *bold = cli->color ? "\033[1m" : "";
    const char *plain = cli->color ? "\033[0m" : "";
    gy_cli_say(cli, "\n");
    if (t->curl && t->opts->exit) {
        const char *port = strrchr(t->d.address, ':');
        gy_cli_say(cli, "%sServe it%s   cd %s && gyre server --port %s   then\n  %s\n", bold, plain,
                   t->d.dir, port ? port + 1 : "0", t->curl);
    } else if (t->curl) {
        gy_cli_say(cli, "%sAsk it%s\n  %s\n", bold, plain, t->curl);
    }
    if (!t->opts->exit && !t->opts->no_serve) {
        gy_cli_say(cli, "%sRuns%s       %s   (a browser, or any MLflow client:)\n", bold, plain,
                   t->d.address);
        gy_cli_say(cli, "  export MLFLOW_TRACKING_URI=%s\n", t->d.address);
    }
    gy_cli_say(cli, "%sProject%s    %s\n", bold, plain, t->d.dir);
    gy_cli_say(
        cli,
        "%sNext%s       in that folder, after a change to params.yaml, schema.yaml or data/raw\n",
        bold, plain);
    char check[96];
    (void)snprintf(check, sizeof check, "gyre gate check %s/%lld", t->name,
                   (long long)t->version + 1);
    gy_cli_say(cli, "  %-*s   trains again what changed, as version %lld\n", (int)strlen(check),
               "gyre run", (long long)t->version + 1);
    gy_cli_say(cli, "  %s   judges it beside the champion\n", check);
    gy_cli_say(cli, "  gyre models promote %s/%lld --alias champion && gyre endpoint deploy %s\n",
               t->name, (long long)t->version + 1, t->name);
    gy_cli_say(cli, "%sClean up%s   rm -r %s\n", bold, plain, t->d.dir);
}

/* ---- JSON ---- */

static void write_trial(struct gy_jw *w, const struct gy_try *t, const struct gy_trial *trial)
{
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "trial", (int64_t)trial->number);
    gy_jw_kv_strc(w, "learner", gy_learner_name(trial->learner));
    gy_jw_kv_str(w, "text", trial_text(t->cli, trial));
    gy_jw_kv_bool(w, "ok", trial->ok);
    gy_jw_kv_bool(w, "cut", trial->cut);
    gy_jw_kv_strc(w, "error", trial->ok ? NULL : trial->error);
    gy_metrics_write(w, &trial->metrics, t->survey.task);
    gy_jw_kv_f64(w, "seconds", trial->seconds);
    gy_jw_obj_end(w);
}

static void write_search(struct gy_jw *w, const struct gy_try *t)
{
    const struct gy_search *s = &t->search;
    const struct gy_trial **list = sorted_trials(t);
    gy_jw_kv_strc(w, "metric", s->metric);
    gy_jw_key(w, "search");
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "rows", (int64_t)s->n_rows);
    gy_jw_kv_i64(w, "training_rows", (int64_t)s->n_training);
    gy_jw_kv_i64(w, "folds", (int64_t)s->n_folds);
    gy_jw_kv_i64(w, "trials", (int64_t)s->n_trials);
    gy_jw_kv_bool(w, "deterministic", t->budget_s <= 0);
    gy_jw_kv_f64(w, "seconds", s->seconds);
    gy_jw_key(w, "baseline");
    write_trial(w, t, &s->baseline);
    gy_jw_obj_end(w);
    gy_jw_key(w, "leaderboard");
    gy_jw_arr(w);
    for (size_t i = 0; list && i < s->n_trials; i++) {
        write_trial(w, t, list[i]);
    }
    gy_jw_arr_end(w);
}

static void copy_member(struct gy_jw *w, yyjson_val *from, const char *key)
{
    gy_jw_key(w, key);
    yyjson_val *v = gy_json_get(from, key);
    if (v) {
        gy_jw_val(w, v);
    } else {
        gy_jw_null(w);
    }
}

/* What was measured on the held-out rows, once. */
static void write_best(struct gy_jw *w, const struct gy_try *t)
{
    yyjson_val *report = yyjson_doc_get_root(t->report);
    gy_jw_key(w, "best");
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "model", t->name);
    gy_jw_kv_i64(w, "version", t->version);
    gy_jw_kv_str(w, "text", trial_text(t->cli, t->search.best));
    gy_jw_kv_f64(w, "threshold", t->threshold);
    copy_member(w, report, "run_id");
    copy_member(w, report, "rows");
    copy_member(w, report, "metrics");
    copy_member(w, report, "confusion");
    gy_jw_obj_end(w);
    copy_member(w, report, "baseline");
}

static void write_verdict(struct gy_jw *w, const struct gy_try *t)
{
    yyjson_val *verdict = yyjson_doc_get_root(t->verdict);
    copy_member(w, verdict, "verdict");
    copy_member(w, verdict, "checks");
}

gy_status gy_try_print_json(const struct gy_try *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 64 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_demo_write_steps(&t->d, &w);
    gy_jw_key(&w, "profile");
    gy_jw_obj(&w);
    gy_survey_write(&w, &t->survey);
    gy_jw_obj_end(&w);
    gy_jw_kv_i64(&w, "read", t->ingested.read);
    gy_jw_kv_i64(&w, "accepted", t->ingested.accepted);
    gy_jw_kv_i64(&w, "dead", t->ingested.dead);
    write_search(&w, t);
    write_best(&w, t);
    write_verdict(&w, t);
    gy_jw_kv_strc(&w, "project", t->d.dir);
    gy_jw_kv_strc(&w, "tracking_uri", t->d.address);
    gy_jw_kv_strc(&w, "endpoint", t->curl ? t->name : NULL);
    gy_jw_key(&w, "url");
    if (t->curl) {
        gy_jw_strf(&w, "%s/predict", t->d.address);
    } else {
        gy_jw_null(&w);
    }
    gy_jw_kv_strc(&w, "curl", t->curl);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(t->cli, &out, err);
}
