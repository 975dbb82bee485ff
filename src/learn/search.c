/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/search.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/time.h"
#include "learn/space.h"

#define MAX_ARENA (64 * GY_MIB)
#define ETA 3    /* of a rung one in so many goes on */
#define RARE 0.2 /* share of the rarer class */
#define SE 3.92  /* standard errors in a 95 % interval */
#define KEY_VERSION "gyre.search/2"

struct search {
    size_t proposed; /* trials so far, those that never began too */
    const struct gy_train_params *base;
    const struct gy_search_options *o;
    struct gy_search *ret;
    struct gy_bench *bench;
    struct gy_space space;
    int64_t start_ns, deadline_ns;
    double plain; /* score of the last trial that was plainly better than those before it */
    size_t plain_at;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a search");
}

static bool past_budget(const struct search *s)
{
    return s->deadline_ns > 0 && gy_mono_ns() >= s->deadline_ns;
}

/* ---- which is better ---- */

static int compare(bool lower, double a, double a_loss, double b, double b_loss)
{
    if (a != b) {
        return (lower ? a < b : a > b) ? -1 : 1;
    }
    return (a_loss > b_loss) - (a_loss < b_loss);
}

bool gy_trial_better(const struct gy_search *s, const struct gy_trial *a, const struct gy_trial *b)
{
    int c = a->ok && b->ok ? compare(s->lower_is_better, a->score, a->loss, b->score, b->loss) : 0;
    return a->ok != b->ok ? a->ok : c != 0 ? c < 0 : a->number < b->number;
}

/* By merging: qsort has no context. */
static void merge(const struct gy_search *s, const struct gy_trial **list, size_t n,
                  const struct gy_trial **room)
{
    if (n < 2) {
        return;
    }
    size_t half = n / 2, a = 0, b = half;
    merge(s, list, half, room);
    merge(s, list + half, n - half, room);
    for (size_t i = 0; i < n; i++) {
        bool left = b == n || (a < half && !gy_trial_better(s, list[b], list[a]));
        room[i] = left ? list[a++] : list[b++];
    }
    memcpy(list, room, n * sizeof *list);
}

void gy_search_sorted(const struct gy_search *s, const struct gy_trial **out)
{
    const struct gy_trial *room[GY_SEARCH_MAX_TRIALS];
    for (size_t i = 0; i < s->n_trials; i++) {
        out[i] = &s->trials[i];
    }
    merge(s, out, s->n_trials, room);
}

static void find_best(struct gy_search *r)
{
    r->best = NULL;
    for (size_t i = 0; i < r->n_trials; i++) {
        const struct gy_trial *t = &r->trials[i];
        if (t->ok && (!r->best || gy_trial_better(r, t, r->best))) {
            r->best = t;
        }
    }
}

/* ---- keys ---- */

static void add_params(struct gy_buf *text, const struct gy_train_params *p)
{
    gy_buf_addf(text, "seed %llu holdout %.17g split %d %d threshold %.17g\n",
                (unsigned long long)p->seed, p->holdout, (int)p->split.by, p->split.folds,
                p->threshold);
    gy_buf_addf(text, "target %" GY_STR_F "\nby %" GY_STR_F "\nweight %" GY_STR_F "\n",
                GY_STR_A(p->target), GY_STR_A(p->split.column), GY_STR_A(p->weight));
    gy_buf_addf(text, "impute %" GY_STR_F "\nscale %" GY_STR_F "\nbalanced %d smote %d\n",
                GY_STR_A(p->impute), GY_STR_A(p->scale), p->balanced, p->has_smote);
    for (size_t i = 0; i < p->n_features; i++) {
        gy_buf_addf(text, "feature %" GY_STR_F "\n", GY_STR_A(p->features[i]));
    }
}

/* What the schema makes of the columns. */
static void add_columns(struct gy_buf *text, const struct gy_table *t)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct gy_table_column *c = &t->columns[i];
        gy_buf_addf(text, "column %" GY_STR_F " %d%d%d%d%d%d %d %.17g %.17g\n", GY_STR_A(c->name),
                    c->numeric, c->integer, c->typed, c->time, c->image, c->is_protected,
                    c->has_range, c->min, c->max);
    }
}

static gy_status make_key(struct search *s, const struct gy_table *t, struct gy_err *err)
{
    const struct gy_search *r = s->ret;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 16 * GY_MIB);
    gy_buf_addf(&text, KEY_VERSION "\n%s\n%s %d\nrows %zu of %zu, folds %zu, replicates %zu\n",
                t->sha256, r->metric, (int)r->task, r->n_rows, r->n_training, r->n_folds,
                s->o->replicates);
    add_columns(&text, t);
    add_params(&text, s->base);
    gy_buf_add(&text, s->o->settled);
    GY_TRY(gy_buf_check(&text, "the key of a search", err));
    return gy_sha256_hex(gy_buf_str(&text), s->ret->key, err);
}

static gy_status key_trial(const struct search *s, struct gy_trial *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 64 * GY_KIB);
    gy_buf_addf(&text, "%s\n", s->ret->key);
    gy_trial_yaml(t, &text);
    GY_TRY(gy_buf_check(&text, "the key of a trial", err));
    return gy_sha256_hex(gy_buf_str(&text), t->key, err);
}

/* ---- a batch ---- */

static gy_status run_here(void *ctx, struct gy_trial *const *in, size_t n, size_t rung,
                          int64_t deadline_ns, void (*done)(void *done_ctx, struct gy_trial *t),
                          void *done_ctx, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_bench_run(ctx, in[i], rung, deadline_ns, err));
        done(done_ctx, in[i]);
    }
    return GY_OK;
}

/* For whoever looks on: a better score counts before its interval is known. */
static void piece_done(void *ctx, struct gy_trial *t)
{
    struct search *s = ctx;
    struct gy_search *r = s->ret;
    if (t->ok && (!r->best || gy_trial_better(r, t, r->best))) {
        r->best = t;
    }
    if (s->o->on_progress) {
        s->o->on_progress(s->o->ctx, r, 1);
    }
}

static gy_status run(struct search *s, struct gy_trial *const *in, size_t n, size_t rung,
                     struct gy_err *err)
{
    const struct gy_search_runner *there = s->o->runner;
    int64_t deadline_ns = rung == GY_SEARCH_RUNGS ? 0 : s->deadline_ns;
    if (n == 0) {
        return GY_OK;
    }
    return there ? there->run(there->ctx, in, n, rung, deadline_ns, piece_done, s, err)
                 : run_here(s->bench, in, n, rung, deadline_ns, piece_done, s, err);
}

/* Is it among the best third of all that came to the end of this rung, in whatever batch? */
static bool promoted(const struct gy_search *r, const struct gy_trial *t, size_t rung)
{
    size_t n = 0, better = 0;
    for (size_t i = 0; i < r->n_trials; i++) {
        const struct gy_trial *o = &r->trials[i];
        if (o->learner != t->learner || o->n_rungs <= rung || !o->ok) {
            continue;
        }
        int c = compare(r->lower_is_better, o->rungs[rung], o->losses[rung], t->rungs[rung],
                        t->losses[rung]);
        n++;
        better += c < 0 || (c == 0 && o->number < t->number);
    }
    return better * ETA < n;
}

/* What has no further round gets its numbers; then it is told. */
static gy_status end_trials(struct search *s, struct gy_trial *batch, size_t n, size_t rung,
                            bool *ended, struct gy_err *err)
{
    struct gy_trial *list[GY_SEARCH_BATCH];
    bool ends[GY_SEARCH_BATCH] = {false};
    size_t ok = 0;
    bool late = past_budget(s);
    for (size_t i = 0; i < n; i++) {
        struct gy_trial *t = &batch[i];
        if (ended[i] || !(t->begun || t->found)) {
            continue;
        }
        ends[i] = t->found ? t->n_rungs <= rung + 1
                           : t->whole || t->cut || late || !promoted(s->ret, t, rung);
        if (ends[i] && !t->found) {
            t->cut = t->cut || (late && !t->whole && promoted(s->ret, t, rung));
            if (t->ok) {
                list[ok++] = t;
            }
        }
    }
    GY_TRY(run(s, list, ok, GY_SEARCH_RUNGS, err));
    for (size_t i = 0; i < n; i++) {
        if (ends[i]) {
            ended[i] = true;
            s->ret->n_ended++;
            GY_TRY(s->o->on_trial ? s->o->on_trial(s->o->ctx, s->ret, &batch[i], err) : GY_OK);
        }
    }
    return GY_OK;
}

static gy_status try_batch(struct search *s, size_t from, size_t n, struct gy_err *err)
{
    struct gy_search *r = s->ret;
    struct gy_trial *batch = &r->trials[from];
    bool ended[GY_SEARCH_BATCH] = {false};
    r->n_trials = from + n;
    for (size_t rung = 0; rung < GY_SEARCH_RUNGS; rung++) {
        struct gy_trial *list[GY_SEARCH_BATCH];
        size_t going = 0;
        for (size_t i = 0; i < n; i++) {
            if (!ended[i] && !batch[i].found && (rung == 0 || batch[i].begun)) {
                list[going++] = &batch[i];
            }
        }
        GY_TRY(run(s, list, going, rung, err));
        GY_TRY(end_trials(s, batch, n, rung, ended, err));
    }
    size_t kept = 0; /* the budget ended before some began */
    for (size_t i = 0; i < n; i++) {
        if (batch[i].begun || batch[i].found) {
            batch[kept++] = batch[i];
        }
    }
    r->n_trials = from + kept;
    find_best(r);
    return GY_OK;
}

static gy_status propose(struct search *s, size_t from, size_t n, struct gy_err *err)
{
    const struct gy_search_options *o = s->o;
    for (size_t k = from; k < from + n; k++) {
        struct gy_trial *t = &s->ret->trials[k];
        size_t i = s->proposed++;
        if (o->n_portfolio) {
            *t = o->portfolio[i];
        } else {
            gy_space_trial(&s->space, i, s->ret, t);
        }
        t->number = i + 1;
        t->score = t->loss = NAN;
        GY_TRY(key_trial(s, t, err));
        t->found = o->recall && o->recall(o->ctx, t);
    }
    return GY_OK;
}

/* ---- all of them ---- */

static double half_width(const struct gy_search *r, const struct gy_trial *t)
{
    const struct gy_metric *m = gy_metrics_get(&t->metrics, gy_str_c(r->metric));
    return m && !isnan(m->high - m->low) ? (m->high - m->low) / 2 : 0;
}

/* Which trial was the last to be better by more than half of its own interval. */
static void note_plain(struct search *s, size_t from)
{
    const struct gy_search *r = s->ret;
    for (size_t i = from; i < r->n_trials; i++) {
        const struct gy_trial *t = &r->trials[i];
        double gain = r->lower_is_better ? s->plain - t->score : t->score - s->plain;
        if (t->ok && (s->plain_at == 0 || gain > half_width(r, t))) {
            s->plain = t->score;
            s->plain_at = t->number;
        }
    }
}

/* Is there any sense in another batch? */
static bool goes_on(struct search *s, size_t max)
{
    struct gy_search *r = s->ret;
    bool stale = s->o->patience > 0 && s->proposed - s->plain_at >= s->o->patience;
    r->why_ended = s->proposed == 0     ? NULL
                   : s->proposed >= max ? "all trials are done"
                   : past_budget(s)     ? "the time is over"
                   : stale ? "the last trials improved nothing that the interval can tell"
                           : NULL;
    return r->why_ended == NULL;
}

/* The smallest model of those within one standard error of the best. */
static void prefer_simple(struct gy_search *r)
{
    const struct gy_trial *top = r->best;
    if (!top) {
        return;
    }
    double error = 2 * half_width(r, top) / SE;
    for (size_t i = 0; i < r->n_trials; i++) {
        const struct gy_trial *t = &r->trials[i];
        double behind = r->lower_is_better ? t->score - top->score : top->score - t->score;
        if (t->ok && behind <= error && t->model_bytes < r->best->model_bytes) {
            r->best = t;
        }
    }
}

static gy_status run_baseline(struct search *s, struct gy_err *err)
{
    struct gy_trial *t = &s->ret->baseline;
    *t = (struct gy_trial){.learner = GY_LEARNER_MAJORITY};
    GY_TRY(gy_bench_run(s->bench, t, 0, 0, err));
    GY_TRY(gy_bench_run(s->bench, t, GY_SEARCH_RUNGS, 0, err));
    return s->o->on_trial ? s->o->on_trial(s->o->ctx, s->ret, t, err) : GY_OK;
}

static gy_status try_all(struct search *s, struct gy_err *err)
{
    struct gy_search *r = s->ret;
    const struct gy_search_options *o = s->o;
    size_t max = o->n_portfolio                                          ? o->n_portfolio
                 : o->max_trials && o->max_trials < GY_SEARCH_MAX_TRIALS ? o->max_trials
                                                                         : GY_SEARCH_MAX_TRIALS;
    r->trials = gy_arena_calloc(&r->arena, max, sizeof *r->trials);
    if (!r->trials) {
        return no_memory(err);
    }
    GY_TRY(run_baseline(s, err));
    while (goes_on(s, max)) {
        size_t from = r->n_trials, left = max - s->proposed;
        size_t n = left < GY_SEARCH_BATCH ? left : GY_SEARCH_BATCH;
        GY_TRY(propose(s, from, n, err));
        GY_TRY(try_batch(s, from, n, err));
        note_plain(s, from);
    }
    if (o->prefer_simple) {
        prefer_simple(r);
    }
    if (r->best && r->task == GY_TASK_BINARY) {
        r->threshold = r->best->threshold;
        r->threshold_f1 = r->best->threshold_f1;
        r->half_f1 = r->best->half_f1;
    }
    return GY_OK;
}

static gy_status describe_space(struct search *s, struct gy_err *err)
{
    const struct gy_search *r = s->ret;
    enum gy_learner learners[GY_LEARNERS];
    double rows = 0, least = INFINITY;
    for (size_t c = 0; c < r->n_classes; c++) {
        rows += r->class_rows[c];
        least = fmin(least, r->class_rows[c]);
    }
    s->space = (struct gy_space){.task = r->task,
                                 .n_rows = r->n_rows,
                                 .n_inputs = r->n_inputs,
                                 .rare = r->task == GY_TASK_BINARY && least < RARE * rows,
                                 .positive = r->positive,
                                 .only = s->o->only,
                                 .n_only = s->o->n_only,
                                 .seed = s->base->seed};
    if (s->o->n_portfolio == 0 && gy_space_learners(&s->space, learners) == 0) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "none of the learners asked for can be searched for a "
                         "%s task",
                         gy_task_name(r->task));
        return gy_err_hint(err, "gyre train -h lists the learners and their tasks");
    }
    return GY_OK;
}

gy_status gy_search(const struct gy_table *t, const struct gy_train_params *base,
                    const struct gy_search_options *o, struct gy_search *ret, struct gy_err *err)
{
    struct search s = {.base = base, .o = o, .ret = ret};
    memset(ret, 0, sizeof *ret);
    gy_arena_init(&ret->arena, MAX_ARENA);
    s.start_ns = gy_mono_ns();
    s.deadline_ns = o->budget_s > 0 ? s.start_ns + (int64_t)(o->budget_s * 1e9) : 0;
    ret->threshold = base->threshold;
    gy_status status =
        o->budget_s <= 0 && o->max_trials == 0 && o->n_portfolio == 0
            ? gy_err_set(err, GY_E_INVALID, "a search needs a budget or a number of trials")
            : gy_bench_open(t, base, o, ret, &s.bench, err);
    if (status == GY_OK) {
        status = describe_space(&s, err);
    }
    if (status == GY_OK) {
        status = make_key(&s, t, err);
    }
    if (status == GY_OK) {
        status = try_all(&s, err);
    }
    ret->seconds = (double)(gy_mono_ns() - s.start_ns) / 1e9;
    gy_bench_free(s.bench);
    if (status != GY_OK) {
        gy_search_done(ret);
    }
    return status;
}

void gy_search_done(struct gy_search *s)
{
    if (s) {
        gy_arena_done(&s->arena);
        s->trials = NULL;
        s->n_trials = 0;
        s->best = NULL;
    }
}
