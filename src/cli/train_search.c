/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/train_search.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/time.h"
#include "cli/ask.h"
#include "cli/search_jobs.h"
#include "learn/trials.h"

#define MAX_USUAL_JOBS 8
#define MAX_SHOWN 12
#define MAX_JSON (64 * GY_MIB)
#define TUNED 0.01 /* f1 that another threshold must gain to be taken */

/* A search that runs. */
struct work {
    struct gy_cli *cli;
    const struct gy_cli_search *s;
    struct gy_cli_searched *ret;
    struct gy_search_jobs *jobs;
    struct gy_trials runs;
    char (*run_ids)[64]; /* by the number of a trial */
    double budget_s;
    size_t max_trials;
    struct gy_progress bar;
    char bar_text[112];
    gy_status recalled; /* of the last recall that failed */
    struct gy_err why;
};

/* ---- what is asked for ---- */

static gy_status read_budget(const struct gy_cli_search *s, double *ret_seconds, size_t *ret_trials,
                             struct gy_err *err)
{
    static const struct {
        const char *unit;
        double seconds; /* 0: trials */
    } units[] = {{"trials", 0}, {"trial", 0}, {"s", 1}, {"m", 60}, {"h", 3600}, {"", 0}};
    struct gy_str text = gy_str_c(s->budget);
    double v = 0;
    *ret_seconds = 0;
    *ret_trials = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct gy_str unit = gy_str_c(units[i].unit);
        if (!gy_str_ends(text, unit)) {
            continue;
        }
        struct gy_str number = gy_str_sub(text, 0, text.n - unit.n);
        if (gy_parse_f64(number, &v, NULL) != GY_OK || !(v > 0) || v > 1e6 ||
            (units[i].seconds <= 0 && (v != floor(v) || v > GY_SEARCH_MAX_TRIALS))) {
            break;
        }
        *ret_seconds = v * units[i].seconds;
        *ret_trials = units[i].seconds > 0 ? 0 : (size_t)v;
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_USAGE, "--search takes a time or a number of trials, not '%s'",
                     s->budget);
    return gy_err_hint(err, "as in --search 90s, --search 5m, --search 40trials (at most %d)",
                       GY_SEARCH_MAX_TRIALS);
}

static gy_status read_options(const struct gy_cli_search *s, struct gy_search_options *o,
                              struct gy_err *err)
{
    size_t trials = 0;
    bool simple = s->prefer && strcmp(s->prefer, "simple") == 0;
    if (s->prefer && !simple && strcmp(s->prefer, "best") != 0) {
        return gy_err_set(err, GY_E_USAGE, "--prefer takes best or simple, not '%s'", s->prefer);
    }
    if (s->jobs < 0 || s->jobs > GY_SEARCH_MAX_JOBS || s->patience < 0) {
        return gy_err_set(err, GY_E_USAGE, "--jobs takes 0 to %d, --patience 0 or more",
                          GY_SEARCH_MAX_JOBS);
    }
    *o = (struct gy_search_options){.metric = s->metric,
                                    .patience = (size_t)s->patience,
                                    .prefer_simple = simple,
                                    .settled = s->settled,
                                    .only = s->one_learner ? &s->params->learner : NULL,
                                    .n_only = s->one_learner ? 1 : 0};
    GY_TRY(read_budget(s, &o->budget_s, &trials, err));
    o->max_trials = trials;
    return GY_OK;
}

gy_status gy_cli_train_search_child(const struct gy_cli_search *s, struct gy_err *err)
{
    struct gy_search_options o;
    GY_TRY(read_options(s, &o, err));
    return gy_search_jobs_work(s->in->table, s->params, &o, err);
}

/* A table that is no file can not be read a second time by a child. */
static size_t jobs_of(const struct gy_cli *cli, const struct gy_cli_search *s)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    size_t usual = online < 1 ? 1 : online > MAX_USUAL_JOBS ? MAX_USUAL_JOBS : (size_t)online;
    struct stat st; /* what is no file and no device is a dataset's name */
    bool again = stat(cli->argv[0], &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
    return !again ? 1 : s->jobs > 0 ? (size_t)s->jobs : usual;
}

/* ---- while it runs ---- */

static void on_progress(void *ctx, const struct gy_search *s, double part)
{
    struct work *w = ctx;
    (void)part; /* trials go on beside each other: what counts is what ended */
    if (s->best) {
        (void)snprintf(w->bar_text, sizeof w->bar_text,
                       "    trial %-4zu best so far: %s %-9.4g %-8s", s->n_ended, s->metric,
                       s->best->score, gy_learner_name(s->best->learner));
    } else {
        (void)snprintf(w->bar_text, sizeof w->bar_text, "    %-46s", "searching");
    }
    double seconds = (double)(gy_mono_ns() - w->bar.start_ns) / 1e9;
    double by_time = w->budget_s > 0 ? seconds / w->budget_s : 0;
    double by_trials = w->max_trials > 0 ? (double)s->n_ended / (double)w->max_trials : 0;
    gy_progress_at(&w->bar, (int64_t)(1000 * fmin(1, fmax(by_time, by_trials))));
}

static gy_status begin_runs(struct work *w, const struct gy_search *s, struct gy_err *err)
{
    const struct gy_trials_options o = {.experiment = w->s->experiment.p ? w->s->experiment
                                                                         : GY_STR("Default"),
                                        .name = GY_STR("search"),
                                        .source = GY_STR("gyre train --search"),
                                        .data_sha256 = gy_str_c(w->s->in->table->sha256),
                                        .target = w->s->params->target,
                                        .key = gy_str_c(s->key),
                                        .resume = w->s->resume};
    GY_TRY(gy_trials_begin(w->s->caller, &o, &w->runs, err));
    memcpy(w->ret->parent_run_id, w->runs.parent_run_id, sizeof w->ret->parent_run_id);
    return GY_OK;
}

static gy_status on_trial(void *ctx, const struct gy_search *s, const struct gy_trial *t,
                          struct gy_err *err)
{
    struct work *w = ctx;
    if (w->recalled != GY_OK) {
        if (err) {
            *err = w->why;
        }
        return w->recalled;
    }
    if (t->number == 0) {
        GY_TRY(begin_runs(w, s, err));
        if (w->runs.resumed) {
            return GY_OK;
        }
    }
    on_progress(ctx, s, 1);
    if (!t->found) {
        GY_TRY(gy_trials_add(&w->runs, t, err));
        memcpy(w->run_ids[t->number], w->runs.trial_run_id, sizeof w->run_ids[0]);
    }
    return GY_OK;
}

static bool recall(void *ctx, struct gy_trial *t)
{
    struct work *w = ctx;
    bool found = false;
    gy_status status =
        gy_trials_recall(&w->runs, &w->ret->search.baseline.metrics, t, &found, &w->why);
    if (status != GY_OK) {
        w->recalled = status;
        return false;
    }
    if (found) {
        memcpy(w->run_ids[t->number], w->runs.trial_run_id, sizeof w->run_ids[0]);
    }
    return found;
}

/* ---- the leaderboard ---- */

static void write_trial(struct gy_jw *j, const struct work *w, const struct gy_trial *t,
                        size_t rank)
{
    const struct gy_search *s = &w->ret->search;
    const struct gy_metric *m = gy_metrics_get(&t->metrics, gy_str_c(s->metric));
    gy_jw_obj(j);
    gy_jw_kv_i64(j, "rank", (int64_t)rank);
    gy_jw_kv_i64(j, "trial", (int64_t)t->number);
    gy_jw_kv_strc(j, "learner", gy_learner_name(t->learner));
    gy_jw_key(j, "settings");
    gy_jw_obj(j);
    for (size_t i = 0; i < t->n_settings; i++) {
        gy_jw_kv_strc(j, t->settings[i].key, t->settings[i].value);
    }
    if (t->rounds > 0) {
        gy_jw_kv_i64(j, "rounds", t->rounds);
    }
    gy_jw_obj_end(j);
    gy_jw_kv_bool(j, "ok", t->ok);
    gy_jw_kv_strc(j, "error", t->ok ? NULL : t->error);
    gy_jw_key(j, s->metric);
    if (m) {
        gy_jw_f64(j, m->value);
        gy_jw_key(j, "interval");
        gy_jw_arr(j);
        gy_jw_f64(j, m->low);
        gy_jw_f64(j, m->high);
        gy_jw_arr_end(j);
    } else {
        gy_jw_null(j);
        gy_jw_kv_null(j, "interval");
    }
    gy_jw_kv_f64(j, "seconds", t->seconds);
    gy_jw_kv_f64(j, "predict_us", t->predict_us);
    gy_jw_kv_i64(j, "model_bytes", t->model_bytes);
    gy_jw_kv_strc(j, "run_id", w->run_ids[t->number]);
    gy_jw_kv_bool(j, "found", t->found);
    gy_jw_kv_bool(j, "cut", t->cut);
    gy_jw_obj_end(j);
}

static void write_report(struct gy_jw *j, const struct work *w, const struct gy_trial **sorted)
{
    const struct gy_search *s = &w->ret->search;
    size_t found = 0;
    for (size_t i = 0; i < s->n_trials; i++) {
        found += s->trials[i].found;
    }
    gy_jw_key(j, "search");
    gy_jw_obj(j);
    gy_jw_kv_strc(j, "run_id", w->ret->parent_run_id);
    gy_jw_kv_strc(j, "metric", s->metric);
    gy_jw_kv_bool(j, "lower_is_better", s->lower_is_better);
    gy_jw_kv_f64(j, "baseline", s->baseline.score);
    gy_jw_kv_i64(j, "rows", (int64_t)s->n_rows);
    gy_jw_kv_i64(j, "training_rows", (int64_t)s->n_training);
    gy_jw_kv_i64(j, "folds", (int64_t)s->n_folds);
    gy_jw_kv_i64(j, "trials", (int64_t)s->n_trials);
    gy_jw_kv_i64(j, "found", (int64_t)found);
    gy_jw_kv_i64(j, "best_trial", s->best ? (int64_t)s->best->number : 0);
    gy_jw_kv_strc(j, "ended", s->why_ended);
    gy_jw_kv_bool(j, "deterministic", w->budget_s <= 0);
    gy_jw_kv_f64(j, "threshold", w->ret->params.threshold);
    gy_jw_kv_f64(j, "seconds", s->seconds);
    gy_jw_obj_end(j);
    gy_jw_key(j, "leaderboard");
    gy_jw_arr(j);
    for (size_t i = 0; i < s->n_trials; i++) {
        write_trial(j, w, sorted[i], i + 1);
    }
    gy_jw_arr_end(j);
}

static void say_trial(const struct work *w, const struct gy_trial *t, size_t rank,
                      struct gy_str *row)
{
    struct gy_cli *cli = w->cli;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    const struct gy_search *s = &w->ret->search;
    const struct gy_metric *m = gy_metrics_get(&t->metrics, gy_str_c(s->metric));
    char size[32];
    gy_buf_init(&text, 4 * GY_KIB);
    gy_trial_text(t, &text);
    row[0] = rank ? gy_cli_cellf(cli, "%zu", rank) : GY_STR("-");
    row[1] = m ? gy_cli_cellf(cli, "%.4g", m->value) : GY_STR("failed");
    row[2] = m && !isnan(m->low) ? gy_cli_cellf(cli, "%.4g to %.4g", m->low, m->high) : GY_STR("");
    row[3] = gy_cli_cellf(cli, "%.1f", t->seconds);
    row[4] = rank && m ? gy_cli_cellf(cli, "%.1f", t->predict_us) : GY_STR("");
    row[5] = rank && m ? gy_cli_cellf(cli, "%s", gy_cli_bytes(t->model_bytes, size)) : GY_STR("");
    row[6] = !t->ok  ? gy_cli_cellf(cli, "%s: %.70s", gy_learner_name(t->learner), t->error)
             : !rank ? GY_STR("baseline: knows nothing of a row")
                     : gy_cli_cell(cli, gy_buf_str(&text));
}

static void say_leaderboard(const struct work *w, const struct gy_trial **sorted)
{
    static const bool right[] = {true, true, false, true, true, true, false};
    const struct gy_search *s = &w->ret->search;
    const char *head[] = {"rank", s->metric, "95 % interval", "s", "us/row", "size", "what"};
    struct gy_str cells[(MAX_SHOWN + 1) * 7];
    size_t n = s->n_trials < MAX_SHOWN ? s->n_trials : MAX_SHOWN;
    for (size_t i = 0; i < n; i++) {
        say_trial(w, sorted[i], i + 1, cells + 7 * i);
    }
    say_trial(w, &s->baseline, 0, cells + 7 * n);
    gy_cli_say(w->cli, "searched with %zu trials on %zu rows, %zu fold%s (%.1f s): %s\n",
               s->n_trials, s->n_rows, s->n_folds, s->n_folds == 1 ? "" : "s", s->seconds,
               s->why_ended);
    gy_cli_table(w->cli, head, 7, cells, n + 1, right);
    if (s->best && sorted[0] != s->best) {
        gy_cli_say(w->cli,
                   "taken: trial %zu, the smallest model within a standard error of the best\n",
                   s->best->number);
    }
}

/* For --json and, with braces, as the artifact leaderboard.json. */
static gy_status report(struct work *w, struct gy_err *err)
{
    const struct gy_search *s = &w->ret->search;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf all;
    struct gy_jw j;
    const struct gy_trial **sorted =
        gy_arena_calloc(&w->cli->arena, s->n_trials + 1, sizeof *sorted);
    gy_buf_init(&all, MAX_JSON);
    if (!sorted) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    gy_search_sorted(s, sorted);
    gy_jw_init(&j, &all);
    gy_jw_obj(&j);
    write_report(&j, w, sorted);
    gy_jw_obj_end(&j);
    GY_TRY(gy_buf_check(&all, "the leaderboard", err));
    struct gy_str text = gy_buf_str(&all);
    gy_buf_add(&w->ret->json, gy_str_sub(text, 1, text.n - 2));
    GY_TRY(gy_buf_check(&w->ret->json, "the leaderboard", err));
    say_leaderboard(w, sorted);
    return gy_trials_artifact(&w->runs, "leaderboard.json", text, err);
}

/* ---- all of it ---- */

/* The best trial as params; of a rare class the threshold that the search found, unless the params
 * have one of their own. */
static gy_status take_best(struct work *w, struct gy_err *err)
{
    const struct gy_search *s = &w->ret->search;
    if (!s->best) {
        return gy_err_set(err, GY_E_FAILED, "every trial failed: %s", s->trials[0].error);
    }
    GY_TRY(gy_trial_params(s->best, w->s->params, &w->ret->params, err));
    if (s->task == GY_TASK_BINARY && w->s->params->threshold == 0.5 &&
        s->threshold_f1 > s->half_f1 + TUNED) {
        w->ret->params.threshold = s->threshold;
    }
    return GY_OK;
}

static gy_status search(struct work *w, struct gy_search_options *o, struct gy_err *err)
{
    struct gy_cli_searched *ret = w->ret;
    size_t n = jobs_of(w->cli, w->s);
    o->on_trial = on_trial;
    o->on_progress = on_progress;
    o->recall = w->s->resume ? recall : NULL;
    o->ctx = w;
    struct gy_search_runner runner = {.run = gy_search_jobs_run};
    if (n > 1) {
        GY_TRY(gy_search_jobs_start(w->cli, n, &ret->search.baseline.metrics, &w->jobs, err));
        runner.ctx = w->jobs;
        o->runner = &runner;
    }
    gy_progress_start(&w->bar, w->cli, w->bar_text, 1000);
    gy_status status = gy_search(w->s->in->table, w->s->params, o, &ret->search, err);
    gy_progress_end(&w->bar);
    return status;
}

static gy_status search_and_report(struct work *w, struct gy_search_options *o, struct gy_err *err)
{
    GY_TRY(search(w, o, err));
    GY_TRY(take_best(w, err));
    return report(w, err);
}

gy_status gy_cli_train_search(struct gy_cli *cli, const struct gy_cli_search *s,
                              struct gy_cli_searched *ret, struct gy_err *err)
{
    struct work w = {.cli = cli, .s = s, .ret = ret};
    struct gy_search_options o;
    memset(ret, 0, sizeof *ret);
    gy_buf_init(&ret->json, MAX_JSON);
    gy_train_params_init(&ret->params);
    GY_TRY(read_options(s, &o, err));
    w.budget_s = o.budget_s;
    w.max_trials = o.max_trials;
    w.run_ids = gy_arena_calloc(&cli->arena, GY_SEARCH_MAX_TRIALS + 1, sizeof w.run_ids[0]);
    if (!w.run_ids) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    gy_status status = search_and_report(&w, &o, err);
    if (w.runs.parent_run_id[0]) {
        gy_status ended = gy_trials_end(&w.runs, status == GY_OK ? &ret->search : NULL,
                                        status == GY_OK ? err : NULL);
        status = status == GY_OK ? ended : status;
    }
    gy_search_jobs_free(w.jobs);
    gy_trials_done(&w.runs);
    return status;
}

void gy_cli_searched_done(struct gy_cli_searched *s)
{
    if (s && s->json.max_bytes) {
        gy_search_done(&s->search);
        gy_train_params_done(&s->params);
        gy_buf_done(&s->json);
    }
}
