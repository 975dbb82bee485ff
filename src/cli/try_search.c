/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/try.h"
#include "net/http_client.h"

/* Of a small file there are soon enough trials: more would only find luck. */
#define PATIENCE 24

/* The line beside the bar; always as long, so that it overwrites itself. */
static void set_bar_text(struct gy_try *t, const struct gy_search *s)
{
    if (s->best) {
        (void)snprintf(t->bar_text, sizeof t->bar_text, "    best so far: %s %-9.4g trial %-4zu",
                       gy_try_metric_name(s->metric), s->best->score, s->best->number);
    } else {
        (void)snprintf(t->bar_text, sizeof t->bar_text, "    %-36s", "searching");
    }
}

static void on_progress(void *ctx, const struct gy_search *s, double part)
{
    struct gy_try *t = ctx;
    (void)part; /* trials of a batch go on beside each other: what counts is what ended */
    set_bar_text(t, s);
    double seconds = (double)(gy_mono_ns() - t->bar.start_ns) / 1e9;
    double done = (double)s->n_ended;
    double by_time = t->budget_s > 0 ? seconds / t->budget_s : 0;
    double by_trials = t->opts->trials > 0 ? done / (double)t->opts->trials : 0;
    gy_progress_at(&t->bar, (int64_t)(1000 * fmax(by_time, by_trials)));
}

static gy_status on_trial(void *ctx, const struct gy_search *s, const struct gy_trial *trial,
                          struct gy_err *err)
{
    struct gy_try *t = ctx;
    if (trial->number > 0) {
        on_progress(ctx, s, 1);
    }
    return gy_trials_add(&t->runs, trial, err);
}

/* What every trial, and the refit, has in common. */
static gy_status set_params(struct gy_try *t, struct gy_err *err)
{
    struct gy_train_params *p = &t->params;
    p->target = t->survey.target->column->name;
    p->has_task = true;
    p->task = t->survey.task;
    p->seed = (uint64_t)t->opts->seed;
    p->holdout = 0.25;
    p->n_threads = t->n_threads;
    p->features = gy_arena_calloc(&p->arena, t->survey.n_inputs + 1, sizeof *p->features);
    if (!p->features) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < t->survey.n_columns; i++) {
        if (t->survey.columns[i].use == GY_USE_INPUT) {
            p->features[p->n_features++] = t->survey.columns[i].column->name;
        }
    }
    return GY_OK;
}

static gy_status search(struct gy_try *t, struct gy_err *err)
{
    const struct gy_search_options o = {.budget_s = t->budget_s,
                                        .max_trials = (size_t)t->opts->trials,
                                        .patience = t->budget_s > 0 ? PATIENCE : 0,
                                        .on_trial = on_trial,
                                        .on_progress = on_progress,
                                        .ctx = t};
    gy_progress_start(&t->bar, t->cli, t->bar_text, 1000);
    gy_status status = gy_search(t->table, &t->params, &o, &t->search, err);
    gy_progress_end(&t->bar);
    GY_TRY(status);
    if (!t->search.best) {
        return gy_err_set(err, GY_E_FAILED, "every trial failed: %s", t->search.trials[0].error);
    }
    return GY_OK;
}

gy_status gy_try_search(struct gy_try *t, struct gy_err *err)
{
    GY_TRY(set_params(t, err));
    GY_TRY(gy_http_client_new(t->d.address, &t->client, err));
    const struct gy_trials_options o = {.experiment = gy_str_c(t->name),
                                        .name = GY_STR("search"),
                                        .source = GY_STR("gyre try"),
                                        .data_sha256 = gy_str_c(t->table->sha256),
                                        .target = t->params.target};
    GY_TRY(gy_trials_begin(t->client, &o, &t->runs, err));
    gy_status status = search(t, err);
    gy_status ended =
        gy_trials_end(&t->runs, status == GY_OK ? &t->search : NULL, status == GY_OK ? err : NULL);
    return status == GY_OK ? ended : status;
}
