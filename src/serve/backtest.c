/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/backtest.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "base/expr.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/time.h"
#include "serve/gap.h"

#define MAX_SEGMENTS 1000000

/* A revision as this run reads it. */
struct revision {
    int64_t number;
    bool readable, comparable;
    struct gy_rescore_plan plan;
    struct gy_expr *slices[GY_BACKTEST_MAX_SLICES];
    struct revision *next;
};

struct run {
    const struct gy_backtest_options *o;
    struct gy_arena *a; /* the caller's; with mu */
    size_t n_groups;
    const char **paths; /* segments, in order */
    struct part *parts; /* one a segment: what it adds, so that the sum has one order */
    size_t n_segments;
    pthread_mutex_t mu; /* the list of revisions, why_other, failed */
    struct revision *revisions;
    size_t n_revisions;
    struct gy_backtest_result *r;
    gy_status failed; /* the first failure; the others stop */
    struct gy_err failure;
};

/* What one segment has. */
struct part {
    struct gy_backtest_counts *groups;
    uint64_t records, refused, unreadable, other;
    int64_t first_us, last_us;
    enum gy_task task;
    bool any, skipped;
};

/* A row in the batch, as it was then. */
struct then {
    double answer, score, truth;
    const struct gy_shape_rule *rule;
    uint32_t slices;
};

struct worker {
    struct run *run;
    struct part *part;
    const struct revision *revision; /* of the batch */
    struct gy_rescore_batch batch;
    struct then then[GY_RESCORE_ROWS];
};

/* ---- revisions ---- */

static bool resolve(void *ctx, struct gy_str name, size_t *ret_slot, enum gy_expr_type *ret_type)
{
    const struct gy_shape *s = ctx;
    for (size_t i = 0; i < s->n_inputs; i++) {
        if (gy_str_eq(s->inputs[i], name)) {
            *ret_slot = i;
            *ret_type = GY_EXPR_NUM;
            return true;
        }
    }
    return false;
}

static gy_status compile_slices(struct run *run, struct revision *v, struct gy_err *err)
{
    for (size_t i = 0; i < run->o->n_slices; i++) {
        struct gy_str text = run->o->slices[i];
        if (gy_expr_compile(text, resolve, (void *)(uintptr_t)v->plan.shape, &v->slices[i], err) !=
            GY_OK) {
            return gy_err_wrap(err, "slice '%" GY_STR_F "', revision %lld", GY_STR_A(text),
                               (long long)v->number);
        }
    }
    return GY_OK;
}

/* With mu held. */
static gy_status load_revision(struct run *run, int64_t number, struct revision *v,
                               struct gy_err *err)
{
    const struct gy_backtest_options *o = run->o;
    const struct gy_shape *shape = NULL;
    struct gy_err why = GY_ERR_INIT;
    v->number = number;
    gy_status st = o->shape(o->shape_ctx, number, &shape, &why);
    if (st == GY_OK) {
        v->readable = true;
        st = gy_rescore_plan(o->predictor, shape, o->threshold, run->a, &v->plan, &why);
        v->comparable = st == GY_OK;
    }
    if (st == GY_E_INVALID && !run->r->why_other[0]) {
        (void)snprintf(run->r->why_other, sizeof run->r->why_other, "%s", why.msg);
    }
    if (st != GY_OK && st != GY_E_INVALID && st != GY_E_NOTFOUND) {
        if (err) {
            *err = why;
        }
        return st;
    }
    if (!v->comparable) {
        return GY_OK;
    }
    st = compile_slices(run, v, err);
    v->comparable = st == GY_OK; /* another thread may find it in the list before the run ends */
    return st;
}

static gy_status find_revision(struct run *run, int64_t number, const struct revision **ret,
                               struct gy_err *err)
{
    gy_status st = GY_OK;
    pthread_mutex_lock(&run->mu);
    struct revision *v = run->revisions;
    while (v && v->number != number) {
        v = v->next;
    }
    if (!v && run->n_revisions >= GY_BACKTEST_MAX_REVISIONS) {
        st = gy_err_set(err, GY_E_TOOBIG, "more than %d revisions in the log",
                        GY_BACKTEST_MAX_REVISIONS);
    } else if (!v) {
        v = gy_arena_calloc(run->a, 1, sizeof *v);
        if (v) { /* listed first: what it holds is freed with the list */
            v->next = run->revisions;
            run->revisions = v;
            run->n_revisions++;
        }
        st = v ? load_revision(run, number, v, err)
               : gy_err_set(err, GY_E_NOMEM, "out of memory for a backtest");
    }
    pthread_mutex_unlock(&run->mu);
    *ret = v;
    return st;
}

/* ---- counting ---- */

static void count_quality(struct gy_backtest_quality *q, const struct gy_shape *s, double answer,
                          double truth)
{
    double error = answer - truth;
    if (s->task == GY_TASK_REGRESSION) {
        q->abs_error += fabs(error);
        q->squared_error += error * error;
        return;
    }
    q->correct += answer == truth ? 1 : 0;
    if (s->task == GY_TASK_BINARY) {
        bool said = answer == s->class_values[1], is = truth == s->class_values[1];
        *(is ? said ? &q->tp : &q->fn : said ? &q->fp : &q->tn) += 1;
    }
}

static void count_row(struct gy_backtest_counts *c, const struct gy_shape *s, const struct then *t,
                      double now, double score)
{
    c->rows++;
    c->by_rule += t->rule && t->rule->decides ? 1 : 0;
    c->same += t->answer == now ? 1 : 0;
    if (s->task == GY_TASK_BINARY && t->answer != now) {
        *(now == s->class_values[1] ? &c->up : &c->down) += 1;
    }
    if (!isnan(t->score) && !isnan(score)) {
        c->scored++;
        c->score_change += score - t->score;
        c->score_change_abs += fabs(score - t->score);
    }
    if (!isnan(t->truth)) {
        c->labelled++;
        count_quality(&c->then, s, t->answer, t->truth);
        count_quality(&c->now, s, now, t->truth);
    }
}

static void flush(struct worker *w)
{
    if (w->batch.n == 0) {
        return;
    }
    const struct gy_rescore_plan *plan = &w->revision->plan;
    gy_rescore_run(&w->batch, plan);
    for (size_t i = 0; i < w->batch.n; i++) {
        const struct then *t = &w->then[i];
        double score = NAN;
        double model = gy_rescore_value(&w->batch, plan, i, &score);
        double now = gy_rescore_answer(&w->batch, plan, i, t->rule, model, score);
        count_row(&w->part->groups[0], plan->shape, t, now, score);
        for (size_t k = 0; k < w->run->o->n_slices; k++) {
            if (t->slices >> k & 1) {
                count_row(&w->part->groups[1 + k], plan->shape, t, now, score);
            }
        }
    }
    w->batch.n = 0;
}

static void take_row(struct worker *w, const struct gy_record *r, size_t row)
{
    const struct revision *v = w->revision;
    const struct gy_shape *s = v->plan.shape;
    const double *inputs = r->inputs + row * r->n_inputs;
    const double *outputs = r->outputs + row * r->n_outputs;
    if (w->batch.n == GY_RESCORE_ROWS) {
        flush(w);
    }
    struct then *t = &w->then[w->batch.n];
    if (!gy_rescore_add(&w->batch, &v->plan, inputs)) {
        w->part->refused++;
        return;
    }
    t->answer = outputs[0];
    t->score = gy_shape_score(s, outputs, r->n_outputs);
    t->rule = gy_shape_rule(s, r->rules ? &r->rules[row] : NULL);
    t->truth = gy_labels_get(w->run->o->labels, r->id, r->first_row + (uint32_t)row);
    t->slices = 0;
    for (size_t k = 0; k < w->run->o->n_slices; k++) {
        t->slices |= gy_expr_test_f64(v->slices[k], inputs, r->n_inputs) == 1 ? 1U << k : 0;
    }
}

static gy_status take_record(void *ctx, const struct gy_record *r, struct gy_err *err)
{
    struct worker *w = ctx;
    struct part *p = w->part;
    const struct gy_backtest_options *o = w->run->o;
    if (r->time_us < o->since_us || (o->until_us && r->time_us >= o->until_us) ||
        r->n_outputs == 0 || !gy_str_eq(r->endpoint, o->endpoint)) {
        return GY_OK;
    }
    if (!w->revision || w->revision->number != r->revision) {
        flush(w);
        GY_TRY(find_revision(w->run, r->revision, &w->revision, err));
    }
    const struct revision *v = w->revision;
    if (!v->comparable || r->n_inputs != v->plan.shape->n_inputs) {
        *(v->readable && !v->comparable ? &p->other : &p->unreadable) += r->n_rows;
        return GY_OK;
    }
    p->records++;
    p->any = true;
    p->task = v->plan.shape->task;
    p->first_us = !p->first_us || r->time_us < p->first_us ? r->time_us : p->first_us;
    p->last_us = r->time_us > p->last_us ? r->time_us : p->last_us;
    for (size_t row = 0; row < r->n_rows; row++) {
        if (!gy_gap_row(r, (uint32_t)row)) {
            take_row(w, r, row);
        }
    }
    return GY_OK;
}

/* ---- segments ---- */

/* Ids begin with their milliseconds: a sealed segment whose last id is older has nothing to say. An
 * hour is left for a clock that was set, and for answers that took long. */
static bool is_too_old(const char *path, int64_t since_us)
{
    unsigned char least[16], greatest[16];
    uint64_t n = 0, ms = 0;
    if (gy_segment_ids(path, least, greatest, &n, NULL) != GY_OK) {
        return false;
    }
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | greatest[i];
    }
    return n == 0 || (int64_t)ms + 3600 * INT64_C(1000) < since_us / 1000;
}

static void fail(struct run *run, gy_status st, const struct gy_err *why)
{
    pthread_mutex_lock(&run->mu);
    if (run->failed == GY_OK) {
        run->failed = st;
        run->failure = *why;
    }
    pthread_mutex_unlock(&run->mu);
}

static gy_status read_segment(struct run *run, size_t i, struct gy_err *err)
{
    struct worker w = {.run = run, .part = &run->parts[i]};
    w.part->groups = gy_calloc(run->n_groups, sizeof *w.part->groups);
    if (!w.part->groups) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a backtest");
    }
    GY_TRY(gy_rescore_batch_init(&w.batch, run->o->predictor, err));
    gy_status st = gy_segment_each(run->paths[i], take_record, &w, err);
    if (st == GY_OK) {
        flush(&w);
    } else if (st == GY_E_NOTFOUND && !gy_path_exists(run->paths[i])) {
        w.part->skipped = true; /* pruned since the log was listed */
        st = GY_OK;
    }
    gy_rescore_batch_done(&w.batch);
    return st;
}

static void work(void *ctx, size_t i)
{
    struct run *run = ctx;
    struct gy_err why = GY_ERR_INIT;
    pthread_mutex_lock(&run->mu);
    bool stop = run->failed != GY_OK;
    pthread_mutex_unlock(&run->mu);
    if (stop || is_too_old(run->paths[i], run->o->since_us)) {
        run->parts[i].skipped = true;
        return;
    }
    gy_status st = read_segment(run, i, &why);
    if (st != GY_OK && st != GY_E_CORRUPT) { /* damage was counted when the log was opened */
        fail(run, st, &why);
    }
}

struct listing {
    struct run *run;
    const char *dir;
    size_t cap;
};

static gy_status list_segment(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct listing *l = ctx;
    struct run *run = l->run;
    unsigned char boot[16];
    uint32_t ring, number;
    if (is_dir || !gy_segment_parse_name(name, boot, &ring, &number)) {
        return GY_OK;
    }
    if (run->n_segments == MAX_SEGMENTS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d segments in %s", MAX_SEGMENTS, l->dir);
    }
    if (run->n_segments == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 256;
        const char **paths = gy_reallocarray(run->paths, l->cap, sizeof *paths);
        if (!paths) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for a backtest");
        }
        run->paths = paths;
    }
    const char *path = gy_arena_printf(run->a, "%s/%s", l->dir, name);
    run->paths[run->n_segments++] = path;
    return path ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory for a backtest");
}

/* ---- the whole ---- */

static void add_quality(struct gy_backtest_quality *to, const struct gy_backtest_quality *q)
{
    to->tp += q->tp;
    to->fp += q->fp;
    to->tn += q->tn;
    to->fn += q->fn;
    to->correct += q->correct;
    to->abs_error += q->abs_error;
    to->squared_error += q->squared_error;
}

static void add_counts(struct gy_backtest_counts *to, const struct gy_backtest_counts *c)
{
    to->rows += c->rows;
    to->by_rule += c->by_rule;
    to->same += c->same;
    to->up += c->up;
    to->down += c->down;
    to->scored += c->scored;
    to->score_change += c->score_change;
    to->score_change_abs += c->score_change_abs;
    to->labelled += c->labelled;
    add_quality(&to->then, &c->then);
    add_quality(&to->now, &c->now);
}

static void add_part(struct gy_backtest_result *r, const struct part *p)
{
    r->segments += p->skipped ? 0 : 1;
    r->skipped_segments += p->skipped ? 1 : 0;
    r->records += p->records;
    r->refused += p->refused;
    r->unreadable += p->unreadable;
    r->other += p->other;
    for (size_t g = 0; p->groups && g < r->n_groups; g++) {
        add_counts(&r->groups[g], &p->groups[g]);
    }
    if (p->any) {
        r->task = p->task;
        r->first_us = !r->first_us || p->first_us < r->first_us ? p->first_us : r->first_us;
        r->last_us = p->last_us > r->last_us ? p->last_us : r->last_us;
    }
}

static gy_status run_all(struct run *run, struct gy_err *err)
{
    const struct gy_backtest_options *o = run->o;
    struct listing l = {run, o->dir, 0};
    if (gy_path_is_dir(o->dir)) {
        GY_TRY(gy_dir_each(o->dir, list_segment, &l, err));
    }
    run->parts = gy_calloc(run->n_segments + 1, sizeof *run->parts);
    run->r->groups = gy_arena_calloc(run->a, run->n_groups, sizeof *run->r->groups);
    if (!run->parts || !run->r->groups) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a backtest");
    }
    run->r->n_groups = run->n_groups;
    GY_TRY(gy_parallel(o->n_threads, run->n_segments, work, run, err));
    if (run->failed != GY_OK) {
        if (err) {
            *err = run->failure;
        }
        return run->failed;
    }
    for (size_t i = 0; i < run->n_segments; i++) {
        add_part(run->r, &run->parts[i]);
    }
    return GY_OK;
}

gy_status gy_backtest(const struct gy_backtest_options *o, struct gy_arena *a,
                      struct gy_backtest_result *ret, struct gy_err *err)
{
    const int64_t start = gy_mono_ns();
    if (o->n_slices > GY_BACKTEST_MAX_SLICES || o->n_threads < 1 ||
        o->n_threads > GY_BACKTEST_MAX_THREADS) {
        return gy_err_set(err, GY_E_INVALID, "at most %d slices and 1 to %d threads",
                          GY_BACKTEST_MAX_SLICES, GY_BACKTEST_MAX_THREADS);
    }
    *ret = (struct gy_backtest_result){0};
    struct run run = {.o = o, .a = a, .r = ret, .n_groups = 1 + o->n_slices};
    (void)pthread_mutex_init(&run.mu, NULL); /* can not fail on Linux */
    gy_status st = run_all(&run, err);
    for (size_t i = 0; run.parts && i < run.n_segments; i++) {
        gy_free(run.parts[i].groups);
    }
    for (struct revision *v = run.revisions; v; v = v->next) {
        for (size_t k = 0; k < o->n_slices; k++) {
            gy_expr_free(v->slices[k]);
        }
        gy_rescore_plan_done(&v->plan);
    }
    gy_free(run.parts);
    gy_free(run.paths);
    (void)pthread_mutex_destroy(&run.mu);
    ret->seconds = (double)(gy_mono_ns() - start) / 1e9;
    return st;
}
