/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "learn/cells.h"
#include "learn/learners/learners.h"
#include "learn/logistic.h"
#include "learn/search_internal.h"
#include "learn/split.h"
#include "learn/train_internal.h"
#include "learn/xgb.h"

#define MAX_ARENA (64 * GY_MIB)
#define MAX_FOLDS 5
#define MIN_ROWS 10
#define FEW_ROWS 2000         /* 5 folds up to here */
#define MANY_ROWS 20000       /* 3 folds up to here, then one validation part */
#define VALIDATION_SHARE 0.25 /* of the rows searched on, when it is one part */
#define NEVER_CUT_BELOW 50    /* rounds that the first trial gets, whatever the budget */
#define PATIENCE 2            /* looks without a smaller loss that end a trial */
#define SAMPLE_SEED 0x5a3d1e  /* the three ways of dividing rows must not be one */
#define FOLD_SEED 0x7f0e2b

/* Threads that share so little wait for each other longer than they work. */
#define CELLS_A_THREAD 20000

/* Looked at after so many rounds. */
static const int g_looks[] = {10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 600};
#define N_LOOKS (sizeof g_looks / sizeof g_looks[0])

/* The rows of one fold, as libxgboost takes them. */
struct fold {
    float *x, *y; /* of the rows to fit on */
    size_t n;
    float *validated_x;
    size_t first, n_validated; /* its scored rows: [first, first + n_validated) */
};

struct search {
    const struct gy_table *t;
    const struct gy_train_params *base;
    const struct gy_search_options *o;
    struct gy_search *ret;
    struct gy_model m; /* task, inputs and classes; what a learner leaves in it is not read */
    double *y;         /* a table row */
    uint32_t *rows;    /* searched on; those of fold 0 first, then fold 1, ... */
    struct fold folds[MAX_FOLDS];
    double *truth;   /* of the scored rows */
    double *out;     /* [look][scored row][output] */
    size_t n_looked; /* looks that every fold so far has */
    size_t n_out;    /* outputs a row */
    uint64_t seed;   /* of the divisions and of the draws */
    int64_t start_ns;
    /* the running trial */
    struct gy_trial *trial;
    size_t fold, look, since_best;
    double least_loss;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a search");
}

static bool past_budget(const struct search *s)
{
    return s->o->budget_s > 0 && (double)(gy_mono_ns() - s->start_ns) / 1e9 >= s->o->budget_s;
}

/* ---- which rows ---- */

/* The labelled rows of the training side, at most max of them. */
static gy_status choose_rows(struct search *s, uint8_t *fold_of, struct gy_err *err)
{
    size_t n = s->t->n_rows, kept = 0;
    size_t max = s->o->max_rows ? s->o->max_rows : GY_SEARCH_MAX_ROWS;
    GY_AUTO(gy_free) char *room = gy_malloc(n + 1);
    if (!room) {
        return no_memory(err);
    }
    bool *held_out = (bool *)(void *)room;
    const struct gy_split split = {.seed = s->base->seed, .holdout = s->base->holdout};
    GY_TRY(gy_split_rows(&split, gy_table_key, s->t, n, held_out, err));
    for (size_t i = 0; i < n; i++) {
        if (!held_out[i] && !isnan(s->y[i])) {
            s->rows[kept++] = (uint32_t)i;
        }
    }
    s->ret->n_training = kept;
    double share = (double)max / (double)(kept ? kept : 1);
    size_t chosen = 0;
    s->ret->n_folds = kept <= FEW_ROWS ? MAX_FOLDS : kept <= MANY_ROWS ? 3 : 1;
    for (size_t i = 0; i < kept; i++) {
        struct gy_str key = gy_table_key(s->t, s->rows[i]);
        uint64_t h = 0;
        if (share < 1) {
            GY_TRY(gy_split_hash(s->seed ^ SAMPLE_SEED, key, &h, err));
            if (!gy_split_below(h, share)) {
                continue;
            }
        }
        GY_TRY(gy_split_hash(s->seed ^ FOLD_SEED, key, &h, err));
        fold_of[chosen] = s->ret->n_folds > 1 ? (uint8_t)((h >> 32) * s->ret->n_folds >> 32)
                          : gy_split_below(h, VALIDATION_SHARE) ? 0
                                                                : 1;
        s->rows[chosen++] = s->rows[i];
    }
    s->ret->n_rows = chosen;
    return GY_OK;
}

/* Put rows into the order of their folds, each fold in the order of the table. */
static gy_status order_rows(struct search *s, const uint8_t *fold_of, struct gy_err *err)
{
    size_t n = s->ret->n_rows, at = 0;
    uint32_t *sorted = gy_arena_calloc(&s->ret->arena, n + 1, sizeof *sorted);
    if (!sorted) {
        return no_memory(err);
    }
    for (uint8_t f = 0; f < MAX_FOLDS; f++) {
        size_t first = at;
        for (size_t i = 0; i < n; i++) {
            if (fold_of[i] == f) {
                sorted[at++] = s->rows[i];
            }
        }
        if (f < s->ret->n_folds) {
            s->folds[f].first = first;
            s->folds[f].n_validated = at - first;
            s->ret->n_validated = at;
        }
    }
    memcpy(s->rows, sorted, n * sizeof *sorted);
    size_t kept = 0; /* of few rows a fold may get none */
    for (size_t f = 0; f < s->ret->n_folds; f++) {
        struct fold *fold = &s->folds[f];
        fold->n = n - fold->n_validated;
        if (fold->n > 0 && fold->n_validated > 0) {
            s->folds[kept++] = *fold;
        }
    }
    s->ret->n_folds = kept;
    if (kept == 0 || n < MIN_ROWS) {
        (void)gy_err_set(err, GY_E_INVALID, "%zu labelled training rows are too few to search on",
                         n);
        return gy_err_hint(err, "take more rows");
    }
    return GY_OK;
}

static gy_status count_classes(struct search *s, struct gy_err *err)
{
    struct gy_search *r = s->ret;
    size_t present = 0;
    r->n_classes = s->m.n_classes;
    r->classes = gy_arena_calloc(&r->arena, r->n_classes + 1, sizeof *r->classes);
    r->class_rows = gy_arena_calloc(&r->arena, r->n_classes + 1, sizeof *r->class_rows);
    if (!r->classes || !r->class_rows) {
        return no_memory(err);
    }
    for (size_t c = 0; c < r->n_classes; c++) {
        r->classes[c] = gy_arena_str(&r->arena, s->m.classes[c]);
        if (!r->classes[c].p) {
            return no_memory(err);
        }
    }
    for (size_t i = 0; r->n_classes && i < r->n_validated; i++) {
        size_t c = (size_t)s->y[s->rows[i]];
        present += r->class_rows[c] == 0;
        r->class_rows[c]++;
    }
    if (r->n_classes && present < 2) {
        return gy_err_set(err, GY_E_INVALID,
                          "the rows to validate on hold one class only: too few rows to search");
    }
    return GY_OK;
}

/* ---- the matrices ---- */

static gy_status fill_fold(struct search *s, struct fold *f, const double *x, struct gy_err *err)
{
    size_t p = s->m.n_inputs, n = s->ret->n_rows, k = 0;
    f->x = gy_reallocarray(NULL, f->n, (p + 1) * sizeof *f->x);
    f->validated_x = gy_reallocarray(NULL, f->n_validated, p * sizeof *f->x);
    if (!f->x || !f->validated_x) {
        return no_memory(err);
    }
    f->y = f->x + f->n * p;
    for (size_t i = 0; i < n; i++) {
        bool validated = i >= f->first && i < f->first + f->n_validated;
        float *to = validated ? f->validated_x + (i - f->first) * p : f->x + k * p;
        for (size_t c = 0; c < p; c++) {
            to[c] = (float)x[i * p + c];
        }
        if (!validated) {
            f->y[k++] = (float)s->y[s->rows[i]];
        }
    }
    return GY_OK;
}

static gy_status fill_folds(struct search *s, struct gy_err *err)
{
    size_t p = s->m.n_inputs, n = s->ret->n_rows;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, p * sizeof(double));
    struct gy_str *names = gy_arena_calloc(&s->m.arena, p, sizeof *names);
    if (!room || !names) {
        return no_memory(err);
    }
    double *x = (double *)(void *)room;
    for (size_t i = 0; i < p; i++) {
        names[i] = s->m.inputs[i].name;
    }
    GY_TRY(gy_table_matrix(s->t, names, p, s->rows, n, x, err));
    for (size_t f = 0; f < s->ret->n_folds; f++) {
        GY_TRY(fill_fold(s, &s->folds[f], x, err));
    }
    s->n_out = s->m.task == GY_TASK_MULTICLASS ? s->m.n_classes : 1;
    size_t scored = s->ret->n_validated;
    s->out = gy_reallocarray(NULL, scored, (N_LOOKS * s->n_out + 1) * sizeof(double));
    if (!s->out) {
        return no_memory(err);
    }
    s->truth = s->out + N_LOOKS * scored * s->n_out;
    for (size_t i = 0; i < scored; i++) {
        s->truth[i] = s->y[s->rows[i]];
    }
    return GY_OK;
}

static double *outputs(const struct search *s, size_t look, size_t row)
{
    return s->out + (look * s->ret->n_validated + row) * s->n_out;
}

static gy_status measure(const struct search *s, size_t look, size_t first, size_t n,
                         size_t replicates, struct gy_metrics *ret, struct gy_err *err)
{
    const struct gy_scored scored = {.task = s->m.task,
                                     .n_rows = n,
                                     .n_classes = s->m.n_classes,
                                     .truth = s->truth + first,
                                     .out = outputs(s, look, first),
                                     .threshold = s->base->threshold};
    return gy_metrics_compute(&scored, replicates, s->seed, s->base->n_threads, ret, err);
}

static double metric_of(const struct gy_metrics *m, const char *name)
{
    const struct gy_metric *found = gy_metrics_get(m, gy_str_c(name));
    return found ? found->value : NAN;
}

static double loss_of(const struct search *s, const struct gy_metrics *m)
{
    return metric_of(m, s->m.task == GY_TASK_REGRESSION ? "rmse" : "log_loss");
}

/* ---- learners ---- */

static void progress(const struct search *s, double part)
{
    if (s->o->on_progress) {
        s->o->on_progress(s->o->ctx, s->ret, part);
    }
}

/* Rows to fit on, of fold f, as indices of the table; in the arena of the model. */
static uint32_t *fit_rows(struct search *s, const struct fold *f)
{
    uint32_t *rows = gy_arena_calloc(&s->m.arena, f->n, sizeof *rows);
    for (size_t i = 0, k = 0; rows && i < s->ret->n_rows; i++) {
        if (i < f->first || i >= f->first + f->n_validated) {
            rows[k++] = s->rows[i];
        }
    }
    return rows;
}

/* Shares or mean of all rows searched on: were it of each fold's own rows, the pooled ranking of
 * the folds would say something, and a baseline must say nothing. */
static void run_baseline(struct search *s)
{
    double *mean = outputs(s, 0, 0);
    size_t n = s->ret->n_rows;
    memset(mean, 0, s->n_out * sizeof *mean);
    for (size_t i = 0; i < n; i++) {
        double y = s->y[s->rows[i]];
        mean[s->n_out > 1 ? (size_t)y : 0] += s->n_out > 1 ? 1 : y;
    }
    for (size_t k = 0; k < s->n_out; k++) {
        mean[k] /= (double)n;
    }
    for (size_t i = 1; i < s->ret->n_validated; i++) {
        memcpy(outputs(s, 0, i), mean, s->n_out * sizeof *mean);
    }
    s->n_looked = 1;
}

/* The rows of the table as raw cells. */
static gy_status cells_of(struct search *s, const uint32_t *rows, size_t n, double *out,
                          struct gy_err *err)
{
    return gy_cells_of_table(s->m.inputs, s->m.n_inputs, s->t, rows, n, out, err);
}

static gy_status logistic_scores(struct search *s, const struct fold *f,
                                 const struct gy_features *steps, const double *w,
                                 struct gy_err *err)
{
    size_t p = steps->n_out;
    size_t room_for = steps->n_in + p + gy_features_scratch(steps, 1);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, room_for, sizeof(double));
    if (!room) {
        return no_memory(err);
    }
    double *raw = (double *)(void *)room;
    double *x = raw + steps->n_in;
    for (size_t i = 0; i < f->n_validated; i++) {
        GY_TRY(cells_of(s, &s->rows[f->first + i], 1, raw, err));
        gy_features_apply(steps, raw, 1, x, x + p);
        double z = w[p];
        for (size_t c = 0; c < p; c++) {
            z += w[c] * x[c];
        }
        *outputs(s, 0, f->first + i) = gy_sigmoid(z);
    }
    return GY_OK;
}

/* Imputed by the median and scaled, as gy_train does for this learner; fitted on the fold's own
 * rows. */
static gy_status logistic_fold(struct search *s, const struct gy_train_params *params,
                               const struct fold *f, const uint32_t *rows, struct gy_err *err)
{
    size_t p = s->m.n_inputs;
    GY_AUTO_DONE(gy_features_done) struct gy_features steps;
    gy_features_init(&steps);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, f->n, (p + 1) * sizeof(double));
    double *x = NULL;
    const struct gy_step_plan *plans = NULL;
    struct gy_feature *cells = NULL;
    size_t n_plans = 0, n_cells = 0;
    double *w = gy_arena_calloc(&s->m.arena, p + 1, sizeof *w);
    if (!room || !w) {
        return no_memory(err);
    }
    double *raw = (double *)(void *)room;
    double *y = raw + f->n * p;
    for (size_t i = 0; i < f->n; i++) {
        y[i] = s->y[rows[i]];
    }
    GY_TRY(cells_of(s, rows, f->n, raw, err));
    GY_TRY(gy_train_steps(params, &s->m.arena, &plans, &n_plans, err));
    GY_TRY(gy_cells_columns(s->m.inputs, p, &s->m.arena, &cells, &n_cells, err));
    const struct gy_step_rows fitted = {.x = raw, .n_rows = f->n, .y = y, .seed = s->seed};
    GY_TRY(gy_features_fit(&steps, cells, n_cells, plans, n_plans, &fitted, &x, err));
    const struct gy_logistic fit = {.x = x,
                                    .y = y,
                                    .n_rows = f->n,
                                    .n_features = steps.n_out,
                                    .n_classes = 2,
                                    .l2 = gy_setting_number(&params->settings, "l2"),
                                    .n_threads = params->n_threads};
    gy_status status = gy_logistic_fit(&fit, w, NULL, err);
    gy_free(x);
    GY_TRY(status);
    return logistic_scores(s, f, &steps, w, err);
}

static gy_status run_logistic(struct search *s, const struct gy_train_params *params,
                              struct gy_err *err)
{
    if (s->m.task != GY_TASK_BINARY) {
        return gy_err_set(err, GY_E_INVALID, "logistic regression needs a label of two classes");
    }
    for (size_t f = 0; f < s->ret->n_folds; f++) {
        uint32_t *rows = fit_rows(s, &s->folds[f]);
        GY_TRY(rows ? logistic_fold(s, params, &s->folds[f], rows, err) : no_memory(err));
        progress(s, (double)(f + 1) / (double)s->ret->n_folds);
    }
    s->n_looked = 1;
    return GY_OK;
}

/* The first fold decides how many rounds are worth it; the others go as far, so that every look is
 * one over all rows. */
static gy_status look(void *ctx, int rounds, const float *out, bool *ret_go_on, struct gy_err *err)
{
    struct search *s = ctx;
    const struct fold *f = &s->folds[s->fold];
    double *to = outputs(s, s->look, f->first);
    for (size_t i = 0; i < f->n_validated * s->n_out; i++) {
        to[i] = (double)out[i];
    }
    size_t at = s->look++;
    if (s->fold > 0) {
        *ret_go_on = s->look < s->n_looked;
    } else {
        struct gy_metrics m;
        GY_TRY(measure(s, at, f->first, f->n_validated, 0, &m, err));
        double loss = loss_of(s, &m);
        s->since_best = loss < s->least_loss ? 0 : s->since_best + 1;
        s->least_loss = fmin(loss, s->least_loss);
        s->n_looked = s->look;
        bool first = s->trial->number == 1 && rounds < NEVER_CUT_BELOW;
        bool late = past_budget(s) && !first && rounds >= g_looks[2];
        s->trial->cut = late && s->look < N_LOOKS && s->since_best < PATIENCE;
        *ret_go_on = s->since_best < PATIENCE && !late;
    }
    double done = (double)s->fold + (double)s->look / (double)(s->fold ? s->n_looked : N_LOOKS);
    progress(s, done / (double)s->ret->n_folds);
    return GY_OK;
}

static int threads_for(const struct search *s, const struct fold *f)
{
    size_t useful = 1 + f->n * s->m.n_inputs / CELLS_A_THREAD;
    return useful < (size_t)s->base->n_threads ? (int)useful : s->base->n_threads;
}

static gy_status run_xgboost(struct search *s, const struct gy_train_params *params,
                             struct gy_err *err)
{
    struct gy_xgb_param list[GY_XGB_MAX_PARAMS];
    size_t n = 0;
    GY_TRY(gy_xgboost_params(&params->settings, &s->m, params->seed, &s->m.arena, list, &n, err));
    s->n_looked = 0;
    s->since_best = 0;
    s->least_loss = INFINITY;
    for (s->fold = 0; s->fold < s->ret->n_folds; s->fold++) {
        const struct fold *f = &s->folds[s->fold];
        const struct gy_xgb_matrix data = {
            .x = f->x, .n_rows = f->n, .n_features = s->m.n_inputs, .y = f->y};
        const struct gy_xgb_watch watch = {
            .data = {.x = f->validated_x, .n_rows = f->n_validated, .n_features = s->m.n_inputs},
            .at = g_looks,
            .n_at = N_LOOKS,
            .n_out = f->n_validated * s->n_out,
            .look = look,
            .ctx = s};
        const struct gy_xgb_plan plan = {.params = list,
                                         .n_params = n,
                                         .n_rounds = g_looks[N_LOOKS - 1],
                                         .n_threads = threads_for(s, f),
                                         .watch = &watch};
        s->look = 0;
        GY_TRY(gy_xgb_train(&data, &plan, NULL, err));
    }
    return GY_OK;
}

/* ---- trials ---- */

static bool better(const struct gy_search *r, double a, double b)
{
    return !isnan(a) && (isnan(b) || (r->lower_is_better ? a < b : a > b));
}

/* The best look, with its interval; of equal ones that with the smaller loss. */
static gy_status settle(struct search *s, struct gy_trial *t, size_t *ret_look, struct gy_err *err)
{
    size_t best = 0;
    double score = NAN, loss = INFINITY;
    size_t n = s->ret->n_validated;
    for (size_t k = 0; k < s->n_looked; k++) {
        struct gy_metrics m;
        GY_TRY(measure(s, k, 0, n, 0, &m, err));
        double v = metric_of(&m, s->ret->metric);
        if (better(s->ret, v, score) || (v == score && loss_of(s, &m) < loss)) {
            score = v;
            loss = loss_of(s, &m);
            best = k;
        }
    }
    size_t replicates = s->o->replicates ? s->o->replicates : GY_SEARCH_REPLICATES;
    GY_TRY(measure(s, best, 0, n, replicates, &t->metrics, err));
    t->score = metric_of(&t->metrics, s->ret->metric);
    t->rounds = t->learner == GY_LEARNER_XGBOOST ? g_looks[best] : 0;
    *ret_look = best;
    return isnan(t->score)
               ? gy_err_set(err, GY_E_INVALID, "%s is not defined on these rows", s->ret->metric)
               : GY_OK;
}

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
static gy_status find_threshold(struct search *s, size_t look_at, struct gy_err *err)
{
    size_t n = s->ret->n_validated;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, sizeof(struct ranked));
    if (!room) {
        return no_memory(err);
    }
    struct ranked *r = (struct ranked *)(void *)room;
    double positives = 0, hits = 0, best = -1, half_hits = 0, half_n = 0;
    for (size_t i = 0; i < n; i++) {
        r[i] = (struct ranked){*outputs(s, look_at, i), s->truth[i] > 0.5};
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
            s->ret->threshold = digits > next && digits <= r[i].p ? digits : r[i].p;
        }
    }
    s->ret->threshold_f1 = best;
    s->ret->half_f1 = 2 * half_hits / (positives + half_n);
    return GY_OK;
}

static gy_status learn(struct search *s, const struct gy_trial *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params params = {0};
    if (t->learner == GY_LEARNER_MAJORITY) {
        run_baseline(s);
        return GY_OK;
    }
    GY_TRY(gy_trial_params(t, s->base, &params, err));
    return t->learner == GY_LEARNER_LOGISTIC ? run_logistic(s, &params, err)
                                             : run_xgboost(s, &params, err);
}

static bool beats(const struct search *s, const struct gy_trial *t, const struct gy_trial *best)
{
    return !best || better(s->ret, t->score, best->score) ||
           (t->score == best->score && loss_of(s, &t->metrics) < loss_of(s, &best->metrics));
}

/* A trial that fails is a result, too; only what would fail every trial ends the search. */
static gy_status try_one(struct search *s, struct gy_trial *t, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    int64_t start_ns = gy_mono_ns();
    size_t look_at = 0;
    s->trial = t;
    gy_status status = learn(s, t, &why);
    if (status == GY_OK) {
        status = settle(s, t, &look_at, &why);
    }
    t->seconds = (double)(gy_mono_ns() - start_ns) / 1e9;
    t->ok = status == GY_OK;
    if (status == GY_E_MISSINGDEP || status == GY_E_VERSION || status == GY_E_NOMEM) {
        if (err) {
            *err = why;
        }
        return status;
    }
    if (!t->ok) {
        t->score = NAN;
        t->metrics.n = 0;
        (void)snprintf(t->error, sizeof t->error, "%.255s", why.msg);
    } else if (t->number > 0 && beats(s, t, s->ret->best)) {
        s->ret->best = t;
        if (s->m.task == GY_TASK_BINARY) {
            GY_TRY(find_threshold(s, look_at, err));
        }
    }
    return s->o->on_trial ? s->o->on_trial(s->o->ctx, s->ret, t, err) : GY_OK;
}

/* Is there any sense in another trial? */
static bool goes_on(const struct search *s)
{
    const struct gy_search *r = s->ret;
    size_t stale = r->n_trials - (r->best ? r->best->number : 0);
    return r->n_trials == 0 || (!past_budget(s) && (s->o->patience == 0 || stale < s->o->patience));
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
    r->baseline = (struct gy_trial){.learner = GY_LEARNER_MAJORITY};
    GY_TRY(try_one(s, &r->baseline, err));
    for (size_t i = 0; i < max && goes_on(s); i++) {
        struct gy_trial *t = &r->trials[i];
        if (o->n_portfolio) {
            *t = o->portfolio[i];
        } else {
            gy_space_trial(s->m.task, i, s->seed, r->best, t);
        }
        t->number = i + 1;
        r->n_trials = i + 1;
        GY_TRY(try_one(s, t, err));
    }
    return GY_OK;
}

static gy_status prepare(struct search *s, struct gy_err *err)
{
    size_t n = s->t->n_rows;
    if (s->o->budget_s <= 0 && s->o->max_trials == 0 && s->o->n_portfolio == 0) {
        return gy_err_set(err, GY_E_INVALID, "a search needs a budget or a number of trials");
    }
    s->y = gy_reallocarray(NULL, n, sizeof(double));
    s->rows = gy_reallocarray(NULL, n + 1, sizeof *s->rows);
    GY_AUTO(gy_free) char *room = gy_malloc(n + 1);
    if (!s->y || !s->rows || !room) {
        return no_memory(err);
    }
    uint8_t *fold_of = (uint8_t *)(void *)room;
    GY_TRY(gy_train_columns(s->t, s->base, &s->m, s->y, err));
    s->ret->task = s->m.task;
    s->ret->n_inputs = s->m.n_inputs;
    s->ret->metric = s->m.task == GY_TASK_BINARY       ? "auc"
                     : s->m.task == GY_TASK_MULTICLASS ? "f1_macro"
                                                       : "rmse";
    s->ret->lower_is_better = s->m.task == GY_TASK_REGRESSION;
    GY_TRY(choose_rows(s, fold_of, err));
    GY_TRY(order_rows(s, fold_of, err));
    GY_TRY(count_classes(s, err));
    return fill_folds(s, err);
}

gy_status gy_search(const struct gy_table *t, const struct gy_train_params *base,
                    const struct gy_search_options *o, struct gy_search *ret, struct gy_err *err)
{
    struct search s = {.t = t, .base = base, .o = o, .ret = ret, .seed = base->seed};
    memset(ret, 0, sizeof *ret);
    gy_arena_init(&ret->arena, MAX_ARENA);
    gy_model_init(&s.m);
    s.start_ns = gy_mono_ns();
    ret->threshold = base->threshold;
    gy_status status = prepare(&s, err);
    if (status == GY_OK) {
        status = try_all(&s, err);
    }
    ret->seconds = (double)(gy_mono_ns() - s.start_ns) / 1e9;
    for (size_t f = 0; f < MAX_FOLDS; f++) {
        gy_free(s.folds[f].x);
        gy_free(s.folds[f].validated_x);
    }
    gy_free(s.out);
    gy_free(s.y);
    gy_free(s.rows);
    gy_model_done(&s.m);
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
