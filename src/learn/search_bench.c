/* SPDX-License-Identifier: Apache-2.0 */
/* One trial, measured: boosters in pieces, every other learner in one go. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "learn/learners/learners.h"
#include "learn/runtime/trees.h"
#include "learn/runtime/ubj.h"
#include "learn/search_internal.h"

#define PATIENCE 3 /* looks without a smaller loss that end a booster */
#define MAX_ROUNDS 2000
#define TIMED 32 /* predictions of one row */

/* Threads that share so little wait for each other longer than they work. */
#define CELLS_A_THREAD 20000

/* Looked at after so many rounds x learning rate; the last of each rung is its end. */
static const double g_looks[] = {0.75, 1.5, 2.25, 3,  4.5, 6,  7.5, 9,  12, 15,
                                 18,   21,  24,   27, 36,  45, 54,  63, 72, 81};
static const size_t g_rung_ends[GY_SEARCH_RUNGS] = {4, 8, 14, 20};

/* A trial between its first piece and its end. */
struct held {
    size_t number;
    struct gy_train_params params;
    struct gy_arena arena;
    struct gy_xgb_live *boosters[GY_SEARCH_MAX_FOLDS];
    size_t looks, since_best;
    double least_loss;
    double *now, *best; /* scored rows x outputs: of the last look, of the best one */
};

struct gy_bench {
    struct gy_search_data d;
    const struct gy_search *about; /* its metric */
    size_t replicates;
    struct held *held[GY_SEARCH_BATCH];
    void (*on_progress)(void *ctx, const struct gy_search *s, double part);
    void *ctx;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a search");
}

static void progress(const struct gy_bench *b, double part)
{
    if (b->on_progress) {
        b->on_progress(b->ctx, b->about, part);
    }
}

/* ---- numbers ---- */

static double metric_of(const struct gy_metrics *m, const char *name)
{
    const struct gy_metric *found = gy_metrics_get(m, gy_str_c(name));
    return found ? found->value : NAN;
}

static gy_status measure(const struct gy_bench *b, const double *out, size_t replicates,
                         struct gy_metrics *ret, struct gy_err *err)
{
    const struct gy_search_data *d = &b->d;
    const struct gy_scored scored = {.task = d->host.model.task,
                                     .n_rows = d->n_validated,
                                     .n_classes = d->host.model.n_classes,
                                     .truth = d->truth,
                                     .out = out,
                                     .threshold = d->base->threshold};
    return gy_metrics_compute(&scored, replicates, d->base->seed, d->base->n_threads, ret, err);
}

static double loss_of(const struct gy_bench *b, const struct gy_metrics *m)
{
    return metric_of(m, b->d.host.model.task == GY_TASK_REGRESSION ? "rmse" : "log_loss");
}

static bool better(const struct gy_search *r, double a, double b)
{
    return !isnan(a) && (isnan(b) || (r->lower_is_better ? a < b : a > b));
}

/* What `now` holds is measured; the best is kept. Of equal scores that with the smaller loss. */
static gy_status settle(struct gy_bench *b, struct held *h, struct gy_trial *t, int rounds,
                        struct gy_err *err)
{
    struct gy_metrics m;
    GY_TRY(measure(b, h->now, 0, &m, err));
    double score = metric_of(&m, b->about->metric), loss = loss_of(b, &m);
    bool first = !t->begun;
    if (isnan(score)) {
        return gy_err_set(err, GY_E_INVALID, "%s is not defined on these rows", b->about->metric);
    }
    h->since_best = loss < h->least_loss ? 0 : h->since_best + 1;
    h->least_loss = fmin(loss, h->least_loss);
    if (first || better(b->about, score, t->score) || (score == t->score && loss < t->loss)) {
        double *swapped = h->best;
        h->best = h->now;
        h->now = swapped;
        t->score = score;
        t->loss = loss;
        t->rounds = rounds;
    }
    t->begun = t->ok = true;
    return GY_OK;
}

/* ---- a learner in one go ---- */

/* Rows through a runtime, block by block. scratch is aligned as the runtime asks. */
static gy_status answer(const struct gy_runtime *r, const double *x, size_t n, size_t width,
                        size_t n_out, double *out, struct gy_err *err)
{
    size_t bytes = r->ops->scratch(r->self, GY_RUNTIME_BLOCK);
    GY_AUTO(gy_free) char *room = gy_malloc(bytes + 64);
    if (!room) {
        return no_memory(err);
    }
    char *scratch = room + (64 - (uintptr_t)room % 64) % 64;
    for (size_t i = 0; i < n; i += GY_RUNTIME_BLOCK) {
        size_t block = n - i < GY_RUNTIME_BLOCK ? n - i : GY_RUNTIME_BLOCK;
        r->ops->run(r->self, x + i * width, block, out + i * n_out, scratch);
    }
    return GY_OK;
}

/* How long one row takes; x: a row. */
static gy_status time_row(const struct gy_bench *b, const struct gy_runtime *r, const double *x,
                          size_t width, struct gy_trial *t, struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, b->d.n_out, sizeof(double));
    if (!room) {
        return no_memory(err);
    }
    int64_t start_ns = gy_mono_ns();
    for (int i = 0; i < TIMED; i++) {
        GY_TRY(answer(r, x, 1, width, b->d.n_out, (double *)(void *)room, err));
    }
    t->predict_us = (double)(gy_mono_ns() - start_ns) / 1e3 / TIMED;
    return GY_OK;
}

/* A model of the fold's own: it borrows inputs, classes and feature steps. */
static void begin_model(const struct gy_bench *b, const struct gy_search_view *v,
                        enum gy_learner learner, struct gy_model *m)
{
    const struct gy_model *of = &b->d.host.model;
    gy_model_init(m);
    m->task = of->task;
    m->learner = learner;
    m->target = of->target;
    m->inputs = of->inputs;
    m->n_inputs = of->n_inputs;
    m->classes = of->classes;
    m->n_classes = of->n_classes;
    m->threshold = of->threshold;
    m->seed = of->seed;
    m->features = v->features;
}

static void end_model(struct gy_model *m)
{
    gy_features_init(&m->features); /* the view's */
    gy_model_done(m);
}

static gy_status fit_and_answer(struct gy_bench *b, const struct gy_train_params *p, size_t fold,
                                const struct gy_search_view *v, struct gy_model *m,
                                struct gy_buf *file, double *out, struct gy_trial *t,
                                struct gy_err *err)
{
    const struct gy_learner_ops *ops = gy_learner_get(p->learner);
    struct gy_runtime r = {0};
    size_t width = v->features.n_out;
    struct gy_fit f = {.settings = &p->settings,
                       .x = v->x,
                       .y = v->y,
                       .weight = v->weight,
                       .n_rows = v->n,
                       .n_features = width,
                       .features = v->features.out,
                       .seed = b->d.base->seed,
                       .n_threads = b->d.base->n_threads,
                       .m = m,
                       .file = file};
    GY_TRY(ops->fit(&f, err));
    m->file = gy_str_c(ops->file);
    GY_TRY(gy_buf_check(file, "the model", err));
    GY_TRY(ops->load(m, gy_buf_str(file), &r, err));
    gy_status status =
        answer(&r, v->validated_x, b->d.folds[fold].n_validated, width, b->d.n_out, out, err);
    if (status == GY_OK && fold == 0) {
        t->model_bytes = (int64_t)(file->n + m->n_values * sizeof(double));
        status = time_row(b, &r, v->validated_x, width, t, err);
    }
    r.ops->free(r.self);
    return status;
}

/* Would the folds that are left take longer than there is time? Such a trial counts as not begun:
 * half of a cross-validation says nothing. The very first one is measured in any case. */
static bool too_slow(const struct gy_bench *b, const struct gy_trial *t, size_t done,
                     int64_t start_ns, int64_t deadline_ns)
{
    int64_t now_ns = gy_mono_ns();
    double a_fold = done > 0 ? (double)(now_ns - start_ns) / (double)done : 0;
    return deadline_ns > 0 && t->number > 1 && done > 0 && done < b->d.n_folds &&
           (double)now_ns + a_fold * (double)(b->d.n_folds - done) > (double)deadline_ns;
}

static gy_status run_whole(struct gy_bench *b, struct held *h, struct gy_trial *t,
                           int64_t deadline_ns, struct gy_err *err)
{
    int64_t start_ns = gy_mono_ns();
    for (size_t f = 0; f < b->d.n_folds; f++) {
        if (too_slow(b, t, f, start_ns, deadline_ns)) {
            t->cut = true;
            return GY_OK;
        }
        struct gy_search_view *v = NULL;
        struct gy_model m;
        GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
        gy_buf_init(&file, GY_MAX_MODEL_FILE);
        GY_TRY(gy_search_view_of(&b->d, f, &h->params, &v, err));
        begin_model(b, v, t->learner, &m);
        gy_status status = fit_and_answer(b, &h->params, f, v, &m, &file,
                                          h->now + b->d.folds[f].first * b->d.n_out, t, err);
        end_model(&m);
        GY_TRY(status);
        progress(b, (double)(f + 1) / (double)b->d.n_folds);
    }
    GY_TRY(settle(b, h, t, 0, err));
    t->whole = true;
    return GY_OK;
}

/* Shares or mean of all rows searched on: were it of each fold's own rows, the pooled ranking of
 * the folds would say something, and a baseline must say nothing. */
static gy_status run_baseline(struct gy_bench *b, struct held *h, struct gy_trial *t,
                              struct gy_err *err)
{
    const struct gy_search_data *d = &b->d;
    double *mean = h->now;
    memset(mean, 0, d->n_out * sizeof *mean);
    for (size_t i = 0; i < d->n_rows; i++) {
        double y = d->y[d->rows[i]];
        mean[d->n_out > 1 ? (size_t)y : 0] += d->n_out > 1 ? 1 : y;
    }
    for (size_t k = 0; k < d->n_out; k++) {
        mean[k] /= (double)d->n_rows;
    }
    for (size_t i = 1; i < d->n_validated; i++) {
        memcpy(mean + i * d->n_out, mean, d->n_out * sizeof *mean);
    }
    t->whole = true;
    return settle(b, h, t, 0, err);
}

/* ---- boosters ---- */

static int threads_for(const struct gy_bench *b, size_t n, size_t width)
{
    size_t useful = 1 + n * width / CELLS_A_THREAD;
    return useful < (size_t)b->d.base->n_threads ? (int)useful : b->d.base->n_threads;
}

static gy_status open_boosters(struct gy_bench *b, struct held *h, struct gy_err *err)
{
    struct gy_xgb_param list[GY_XGB_MAX_PARAMS];
    size_t n = 0;
    const struct gy_train_params *p = &h->params;
    GY_TRY(gy_xgboost_params(&p->settings, &b->d.host.model, p->seed, &h->arena, list, &n, err));
    for (size_t f = 0; f < b->d.n_folds; f++) {
        struct gy_search_view *v = NULL;
        GY_TRY(gy_search_view_of(&b->d, f, p, &v, err));
        GY_TRY(gy_search_view_xgb(&b->d, f, v, err));
        GY_TRY(gy_xgb_live_new(v->fitted, v->validated, list, n,
                               threads_for(b, v->n, v->features.n_out), &h->boosters[f], err));
    }
    return GY_OK;
}

static int rounds_at(const struct held *h, size_t look)
{
    double eta = gy_setting_number(&h->params.settings, "eta");
    double rounds = ceil(g_looks[look] / (isnan(eta) ? 0.3 : fmax(eta, 1e-6)) - 1e-9);
    return rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : (int)rounds;
}

static gy_status look(struct gy_bench *b, struct held *h, struct gy_trial *t, struct gy_err *err)
{
    int rounds = rounds_at(h, h->looks);
    for (size_t f = 0; f < b->d.n_folds; f++) {
        const struct gy_search_fold *fold = &b->d.folds[f];
        const float *said = NULL;
        GY_TRY(gy_xgb_live_boost(h->boosters[f], rounds, err));
        GY_TRY(gy_xgb_live_look(h->boosters[f], fold->n_validated * b->d.n_out, &said, err));
        double *to = h->now + fold->first * b->d.n_out;
        for (size_t i = 0; i < fold->n_validated * b->d.n_out; i++) {
            to[i] = (double)said[i];
        }
        progress(b, ((double)h->looks + (double)(f + 1) / (double)b->d.n_folds) /
                        (double)g_rung_ends[GY_SEARCH_RUNGS - 1]);
    }
    h->looks++;
    return settle(b, h, t, rounds, err);
}

static void note_rung(struct gy_trial *t, size_t rung)
{
    t->rungs[rung] = t->score;
    t->losses[rung] = t->loss;
    t->n_rungs = rung + 1;
}

static gy_status boost(struct gy_bench *b, struct held *h, struct gy_trial *t, size_t rung,
                       int64_t deadline_ns, struct gy_err *err)
{
    if (!h->boosters[0]) {
        GY_TRY(open_boosters(b, h, err));
    }
    while (h->looks < g_rung_ends[rung] && !t->whole) {
        if (deadline_ns > 0 && t->begun && gy_mono_ns() >= deadline_ns) {
            t->cut = true;
            return GY_OK;
        }
        bool last = rounds_at(h, h->looks) >= MAX_ROUNDS;
        GY_TRY(look(b, h, t, err));
        for (size_t r = 0; r < GY_SEARCH_RUNGS; r++) {
            if (h->looks == g_rung_ends[r]) {
                note_rung(t, r);
            }
        }
        t->whole =
            last || h->since_best >= PATIENCE || h->looks == g_rung_ends[GY_SEARCH_RUNGS - 1];
    }
    return GY_OK;
}

static gy_status note_booster(struct gy_bench *b, struct held *h, struct gy_trial *t,
                              struct gy_err *err)
{
    struct gy_search_view *v = NULL;
    struct gy_trees *trees = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    gy_buf_init(&file, GY_MAX_MODEL_FILE);
    GY_TRY(gy_search_view_of(&b->d, 0, &h->params, &v, err));
    GY_TRY(gy_xgb_live_save(h->boosters[0], t->rounds, &file, err));
    t->model_bytes = (int64_t)file.n;
    GY_TRY(gy_trees_parse(gy_buf_str(&file), &trees, err));
    const struct gy_runtime r = {.ops = &gy_trees_ops, .self = trees};
    gy_status status = time_row(b, &r, v->validated_x, v->features.n_out, t, err);
    gy_trees_ops.free(trees);
    return status;
}

/* ---- the threshold ---- */

struct ranked {
    double p;
    bool positive;
};

static int by_probability_down(const void *a, const void *b)
{
    double x = ((const struct ranked *)a)->p;
    double y = ((const struct ranked *)b)->p;
    return (x < y) - (x > y);
}

/* The cut between two probabilities with the largest f1; the middle between them, in few digits. */
static gy_status find_threshold(const struct gy_bench *b, const double *out, struct gy_trial *t,
                                struct gy_err *err)
{
    size_t n = b->d.n_validated;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, sizeof(struct ranked));
    if (!room) {
        return no_memory(err);
    }
    struct ranked *r = (struct ranked *)(void *)room;
    double positives = 0, hits = 0, best = -1, half_hits = 0, half_n = 0;
    for (size_t i = 0; i < n; i++) {
        r[i] = (struct ranked){out[i], b->d.truth[i] > 0.5};
        positives += r[i].positive;
    }
    qsort(r, n, sizeof *r, by_probability_down);
    for (size_t i = 0; i < n; i++) {
        hits += r[i].positive;
        if (r[i].p >= 0.5) {
            half_hits = hits;
            half_n = (double)(i + 1);
        }
        double f1 = 2 * hits / (positives + (double)(i + 1));
        if ((i + 1 == n || r[i + 1].p < r[i].p) && f1 > best) {
            double next = i + 1 < n ? r[i + 1].p : 0;
            double digits = floor((r[i].p + next) / 2 * 1000) / 1000;
            best = f1;
            t->threshold = digits > next && digits <= r[i].p ? digits : r[i].p;
        }
    }
    t->threshold_f1 = best;
    t->half_f1 = 2 * half_hits / (positives + half_n);
    return GY_OK;
}

/* ---- pieces ---- */

static void held_free(struct held *h)
{
    if (h) {
        for (size_t f = 0; f < GY_SEARCH_MAX_FOLDS; f++) {
            gy_xgb_live_free(h->boosters[f]);
        }
        gy_free(h->now);
        gy_free(h->best);
        gy_train_params_done(&h->params);
        gy_arena_done(&h->arena);
        gy_free(h);
    }
}

static struct held **slot_of(struct gy_bench *b, size_t number)
{
    struct held **empty = NULL;
    for (size_t i = 0; i < GY_SEARCH_BATCH; i++) {
        if (b->held[i] && b->held[i]->number == number) {
            return &b->held[i];
        }
        empty = b->held[i] ? empty : &b->held[i];
    }
    GY_REQUIRE(empty != NULL); /* a batch is ended before the next one begins */
    return empty;
}

static gy_status hold(struct gy_bench *b, const struct gy_trial *t, struct held **ret,
                      struct gy_err *err)
{
    size_t n = b->d.n_validated * b->d.n_out;
    struct held *h = gy_calloc(1, sizeof *h);
    if (!h) {
        return no_memory(err);
    }
    *ret = h;
    h->number = t->number;
    h->least_loss = INFINITY;
    gy_arena_init(&h->arena, GY_MIB);
    gy_train_params_init(&h->params);
    h->now = gy_reallocarray(NULL, n + 1, sizeof *h->now);
    h->best = gy_reallocarray(NULL, n + 1, sizeof *h->best);
    if (!h->now || !h->best) {
        return no_memory(err);
    }
    if (t->learner == GY_LEARNER_MAJORITY) {
        return GY_OK;
    }
    gy_train_params_done(&h->params);
    return gy_trial_params(t, b->d.base, &h->params, err);
}

static gy_status finish(struct gy_bench *b, struct held *h, struct gy_trial *t, struct gy_err *err)
{
    GY_TRY(measure(b, h->best, b->replicates, &t->metrics, err));
    if (b->d.host.model.task == GY_TASK_BINARY) {
        GY_TRY(find_threshold(b, h->best, t, err));
    }
    return h->boosters[0] ? note_booster(b, h, t, err) : GY_OK;
}

static gy_status piece(struct gy_bench *b, struct held **slot, struct gy_trial *t, size_t rung,
                       int64_t deadline_ns, struct gy_err *err)
{
    if (!*slot) {
        GY_TRY(hold(b, t, slot, err));
    }
    if (rung == GY_SEARCH_RUNGS) {
        return finish(b, *slot, t, err);
    }
    GY_TRY(t->learner == GY_LEARNER_MAJORITY  ? run_baseline(b, *slot, t, err)
           : t->learner == GY_LEARNER_XGBOOST ? boost(b, *slot, t, rung, deadline_ns, err)
                                              : run_whole(b, *slot, t, deadline_ns, err));
    if (!t->cut) {
        note_rung(t, rung);
    }
    return GY_OK;
}

/* A trial that fails is a result, too; only what would fail every trial is a failure. */
gy_status gy_bench_run(struct gy_bench *b, struct gy_trial *t, size_t rung, int64_t deadline_ns,
                       struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    int64_t start_ns = gy_mono_ns();
    if (rung == 0 && t->number > 1 && deadline_ns > 0 && start_ns >= deadline_ns) {
        return GY_OK;
    }
    struct held **slot = slot_of(b, t->number);
    gy_status status = piece(b, slot, t, rung, deadline_ns, &why);
    t->seconds += (double)(gy_mono_ns() - start_ns) / 1e9;
    if (status != GY_OK || rung == GY_SEARCH_RUNGS || !t->begun) {
        held_free(*slot);
        *slot = NULL;
    }
    if (status == GY_E_MISSINGDEP || status == GY_E_VERSION || status == GY_E_NOMEM) {
        if (err) {
            *err = why;
        }
        return status;
    }
    if (status != GY_OK) {
        t->begun = t->whole = true;
        t->ok = false;
        t->score = t->loss = NAN;
        t->metrics.n = 0;
        t->rounds = 0;
        (void)snprintf(t->error, sizeof t->error, "%.255s", why.msg);
    }
    return GY_OK;
}

static const char *usual_metric(enum gy_task task)
{
    return task == GY_TASK_BINARY ? "auc" : task == GY_TASK_MULTICLASS ? "f1_macro" : "rmse";
}

/* What the caller may know of the rows, in its own memory. */
static gy_status describe(const struct gy_search_data *d, struct gy_search *s, struct gy_err *err)
{
    const struct gy_model *m = &d->host.model;
    s->task = m->task;
    s->n_inputs = m->n_inputs;
    s->n_folds = d->n_folds;
    s->n_training = d->n_training;
    s->n_rows = d->n_rows;
    s->n_validated = d->n_validated;
    s->n_classes = m->n_classes;
    s->classes = gy_arena_calloc(&s->arena, m->n_classes + 1, sizeof *s->classes);
    s->class_rows = gy_arena_calloc(&s->arena, m->n_classes + 1, sizeof *s->class_rows);
    if (!s->classes || !s->class_rows) {
        return no_memory(err);
    }
    for (size_t c = 0; c < m->n_classes; c++) {
        s->classes[c] = gy_arena_str(&s->arena, m->classes[c]);
        if (!s->classes[c].p) {
            return no_memory(err);
        }
    }
    s->positive = m->task == GY_TASK_REGRESSION;
    for (size_t i = 0; i < d->n_validated; i++) {
        s->positive = s->positive && d->truth[i] >= 0;
    }
    for (size_t i = 0; m->n_classes && i < d->n_validated; i++) {
        s->class_rows[(size_t)d->truth[i]]++;
    }
    return GY_OK;
}

/* The metric asked for must be one that this task has and that has a better end. */
static gy_status choose_metric(struct gy_bench *b, const char *asked, struct gy_search *s,
                               struct gy_err *err)
{
    struct gy_trial t = {.learner = GY_LEARNER_MAJORITY};
    s->metric = usual_metric(s->task);
    s->lower_is_better = s->task == GY_TASK_REGRESSION;
    GY_TRY(gy_bench_run(b, &t, 0, 0, err));
    GY_TRY(gy_bench_run(b, &t, GY_SEARCH_RUNGS, 0, err));
    if (!t.ok) {
        return gy_err_set(err, GY_E_INVALID, "%s", t.error);
    }
    if (!asked) {
        return GY_OK;
    }
    const struct gy_metric *m = gy_metrics_get(&t.metrics, gy_str_c(asked));
    if (!m || strcmp(asked, "me") == 0) {
        (void)gy_err_set(err, GY_E_INVALID, "a search can not go by the metric '%s' of a %s task",
                         asked, gy_task_name(s->task));
        return gy_err_hint(err, "the usual one is %s; metrics.json of a model has all", s->metric);
    }
    s->metric = m->name;
    s->lower_is_better = m->lower_is_better;
    return GY_OK;
}

gy_status gy_bench_open(const struct gy_table *t, const struct gy_train_params *base,
                        const struct gy_search_options *o, struct gy_search *ret_about,
                        struct gy_bench **ret, struct gy_err *err)
{
    struct gy_bench *b = gy_calloc(1, sizeof *b);
    if (!b) {
        return no_memory(err);
    }
    b->about = ret_about;
    b->replicates = o->replicates ? o->replicates : GY_SEARCH_REPLICATES;
    gy_status status =
        gy_search_data_open(&b->d, t, base, o->max_rows ? o->max_rows : GY_SEARCH_MAX_ROWS, err);
    if (status == GY_OK) {
        status = describe(&b->d, ret_about, err);
    }
    if (status == GY_OK) {
        status = choose_metric(b, o->metric, ret_about, err);
    }
    b->on_progress = o->on_progress;
    b->ctx = o->ctx;
    if (status != GY_OK) {
        gy_bench_free(b);
        return status;
    }
    *ret = b;
    return GY_OK;
}

void gy_bench_free(struct gy_bench *b)
{
    if (b) {
        for (size_t i = 0; i < GY_SEARCH_BATCH; i++) {
            held_free(b->held[i]);
        }
        gy_search_data_done(&b->d);
        gy_free(b);
    }
}
