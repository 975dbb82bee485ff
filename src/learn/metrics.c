/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/metrics.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/pool.h"

#define SPREAD_NOISE 1e-12
#define CHUNKS 16 /* replicates are dealt to this many pieces of work */

static const char *const g_binary[] = {"accuracy", "precision", "recall", "f1", "auc", "log_loss"};
static const char *const g_multi[] = {"accuracy", "f1_macro", "log_loss"};
static const char *const g_regression[] = {"rmse", "mae", "r2"};

/* The rows in a form that a replicate passes over once, in order. BINARY rows are sorted by
 * probability, so that the AUC needs no sorting per replicate: which row a draw means is arbitrary.
 */
struct work {
    enum gy_task task;
    size_t n, n_classes, n_metrics;
    const char *const *names;
    double *loss;    /* BINARY, MULTICLASS: log loss of the row; REGRESSION: error */
    double *value;   /* REGRESSION: truth less its mean */
    uint32_t *truth; /* class */
    uint32_t *guess; /* class */
    bool *tie;       /* BINARY: the same probability as the row before */
    size_t replicates;
    uint64_t seed;
    double *results;   /* [metric][replicate] */
    uint32_t *weights; /* [chunk][row] */
    double *per_class; /* [chunk][3 * class] */
    char *memory;
};

/* ---- one pass ---- */

static double ratio(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

static void pass_binary(const struct work *w, const uint32_t *weight, double *out)
{
    double cells[2][2] = {{0}}; /* [truth][guess] */
    double loss = 0;
    double below = 0;      /* negatives with a smaller probability */
    double group[2] = {0}; /* negatives and positives of the current tie group */
    double wins = 0;
    for (size_t i = 0; i < w->n; i++) {
        double k = weight ? weight[i] : 1;
        if (!w->tie[i]) {
            wins += group[1] * (below + group[0] / 2);
            below += group[0];
            group[0] = group[1] = 0;
        }
        group[w->truth[i]] += k;
        cells[w->truth[i]][w->guess[i]] += k;
        loss += k * w->loss[i];
    }
    wins += group[1] * (below + group[0] / 2);
    double tp = cells[1][1], fn = cells[1][0], fp = cells[0][1], tn = cells[0][0];
    out[0] = (tp + tn) / (double)w->n;
    out[1] = tp + fp > 0 ? tp / (tp + fp) : tp + fn > 0 ? 0 : NAN;
    out[2] = ratio(tp, tp + fn);
    out[3] = ratio(2 * tp, 2 * tp + fp + fn);
    out[4] = ratio(wins, (tp + fn) * (fp + tn));
    out[5] = loss / (double)w->n;
}

static void pass_multi(const struct work *w, const uint32_t *weight, double *counts, double *out)
{
    double *hits = counts, *truths = counts + w->n_classes, *guesses = truths + w->n_classes;
    double right = 0;
    double loss = 0;
    memset(counts, 0, 3 * w->n_classes * sizeof *counts);
    for (size_t i = 0; i < w->n; i++) {
        double k = weight ? weight[i] : 1;
        truths[w->truth[i]] += k;
        guesses[w->guess[i]] += k;
        if (w->truth[i] == w->guess[i]) {
            hits[w->truth[i]] += k;
            right += k;
        }
        loss += k * w->loss[i];
    }
    double f1 = 0;
    double present = 0;
    for (size_t c = 0; c < w->n_classes; c++) {
        if (truths[c] + guesses[c] > 0) {
            f1 += 2 * hits[c] / (truths[c] + guesses[c]);
            present++;
        }
    }
    out[0] = right / (double)w->n;
    out[1] = ratio(f1, present);
    out[2] = loss / (double)w->n;
}

static void pass_regression(const struct work *w, const uint32_t *weight, double *out)
{
    double squares = 0;
    double absolute = 0;
    double sum = 0;
    double sum2 = 0;
    double n = (double)w->n;
    for (size_t i = 0; i < w->n; i++) {
        double k = weight ? weight[i] : 1;
        squares += k * w->loss[i] * w->loss[i];
        absolute += k * fabs(w->loss[i]);
        sum += k * w->value[i];
        sum2 += k * w->value[i] * w->value[i];
    }
    double spread = sum2 - sum * sum / n;
    if (!(spread > SPREAD_NOISE * sum2)) {
        spread = 0; /* a replicate that drew one value only: what is left is rounding */
    }
    out[0] = sqrt(squares / n);
    out[1] = absolute / n;
    out[2] = spread > 0 ? 1 - squares / spread : NAN;
}

static void pass(const struct work *w, const uint32_t *weight, size_t chunk, double *out)
{
    switch (w->task) {
    case GY_TASK_BINARY:
        pass_binary(w, weight, out);
        return;
    case GY_TASK_MULTICLASS:
        pass_multi(w, weight, w->per_class + chunk * 3 * w->n_classes, out);
        return;
    case GY_TASK_REGRESSION:
        pass_regression(w, weight, out);
        return;
    }
}

/* ---- replicates ---- */

static void run_chunk(void *ctx, size_t chunk)
{
    const struct work *w = ctx;
    uint32_t *weight = w->weights + chunk * w->n;
    double out[GY_METRICS_MAX];
    for (size_t b = chunk; b < w->replicates; b += CHUNKS) {
        struct gy_rng r;
        gy_rng_init_stream(&r, w->seed, b);
        memset(weight, 0, w->n * sizeof *weight);
        for (size_t i = 0; i < w->n; i++) {
            weight[gy_rng_below(&r, w->n)]++;
        }
        pass(w, weight, chunk, out);
        for (size_t m = 0; m < w->n_metrics; m++) {
            w->results[m * w->replicates + b] = out[m];
        }
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear between the neighbours, as numpy.percentile. */
static double quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    double next = i + 1 < n ? sorted[i + 1] : sorted[i];
    return sorted[i] + (at - (double)i) * (next - sorted[i]);
}

/* Replicates in which the metric is not defined are left out; without half of them there is no
 * interval. */
static void interval(double *v, size_t n, struct gy_metric *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(v[i])) {
            v[kept++] = v[i];
        }
    }
    m->low = m->high = NAN;
    if (kept * 2 >= n && kept > 0) {
        qsort(v, kept, sizeof *v, compare_doubles);
        m->low = quantile(v, kept, 0.025);
        m->high = quantile(v, kept, 0.975);
    }
}

/* ---- preparing ---- */

struct ranked {
    double p;
    uint32_t row;
};

static int by_probability(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->p != y->p) {
        return x->p < y->p ? -1 : 1;
    }
    return (x->row > y->row) - (x->row < y->row);
}

/* scikit-learn's clipping. */
static double log_loss(double p)
{
    return -log(p < DBL_EPSILON ? DBL_EPSILON : p > 1 - DBL_EPSILON ? 1 - DBL_EPSILON : p);
}

static gy_status prepare_binary(const struct gy_scored *s, struct work *w, struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, s->n_rows, sizeof(struct ranked));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "metrics of %zu rows", s->n_rows);
    }
    struct ranked *order = (struct ranked *)(void *)room;
    for (size_t i = 0; i < s->n_rows; i++) {
        order[i] = (struct ranked){.p = s->out[i], .row = (uint32_t)i};
    }
    qsort(order, s->n_rows, sizeof *order, by_probability);
    for (size_t i = 0; i < s->n_rows; i++) {
        double p = order[i].p;
        w->truth[i] = s->truth[order[i].row] > 0.5;
        w->guess[i] = p >= s->threshold;
        w->tie[i] = i > 0 && p == order[i - 1].p;
        w->loss[i] = log_loss(w->truth[i] ? p : 1 - p);
    }
    return GY_OK;
}

static void prepare_multi(const struct gy_scored *s, struct work *w)
{
    for (size_t i = 0; i < s->n_rows; i++) {
        const double *p = s->out + i * s->n_classes;
        uint32_t best = 0;
        for (uint32_t c = 1; c < s->n_classes; c++) {
            best = p[c] > p[best] ? c : best;
        }
        w->truth[i] = (uint32_t)s->truth[i];
        w->guess[i] = best;
        w->loss[i] = log_loss(p[w->truth[i]]);
    }
}

static void prepare_regression(const struct gy_scored *s, struct work *w)
{
    double sum = 0;
    for (size_t i = 0; i < s->n_rows; i++) {
        sum += s->truth[i];
    }
    for (size_t i = 0; i < s->n_rows; i++) {
        w->loss[i] = s->out[i] - s->truth[i];
        w->value[i] = s->truth[i] - sum / (double)s->n_rows;
    }
}

/* One block for all arrays, the widest types first. */
static gy_status allocate(const struct gy_scored *s, size_t replicates, struct work *w,
                          struct gy_err *err)
{
    size_t n = s->n_rows;
    size_t chunks = replicates ? CHUNKS : 0;
    size_t classes = s->task == GY_TASK_MULTICLASS ? s->n_classes : 0;
    size_t doubles = 2 * n + w->n_metrics * replicates + 3 * classes * (chunks + 1);
    size_t words = 2 * n + chunks * n;
    w->memory = gy_calloc(doubles * sizeof(double) + words * sizeof(uint32_t) + n, 1);
    if (!w->memory) {
        return gy_err_set(err, GY_E_NOMEM, "metrics of %zu rows", n);
    }
    w->loss = (double *)(void *)w->memory;
    w->value = w->loss + n;
    w->results = w->value + n;
    w->per_class = w->results + w->n_metrics * replicates;
    w->truth = (uint32_t *)(void *)(w->loss + doubles);
    w->guess = w->truth + n;
    w->weights = w->guess + n;
    w->tie = (bool *)(w->weights + chunks * n);
    return GY_OK;
}

static gy_status prepare(const struct gy_scored *s, struct work *w, struct gy_err *err)
{
    for (size_t i = 0; i < s->n_rows * (s->task == GY_TASK_MULTICLASS ? s->n_classes : 1); i++) {
        if (isnan(s->out[i])) {
            return gy_err_set(err, GY_E_INVALID, "a prediction is not a number");
        }
    }
    switch (s->task) {
    case GY_TASK_BINARY:
        return prepare_binary(s, w, err);
    case GY_TASK_MULTICLASS:
        prepare_multi(s, w);
        return GY_OK;
    case GY_TASK_REGRESSION:
        prepare_regression(s, w);
        return GY_OK;
    }
    return GY_OK;
}

static void names_of(struct work *w)
{
    switch (w->task) {
    case GY_TASK_BINARY:
        w->names = g_binary;
        w->n_metrics = sizeof g_binary / sizeof g_binary[0];
        return;
    case GY_TASK_MULTICLASS:
        w->names = g_multi;
        w->n_metrics = sizeof g_multi / sizeof g_multi[0];
        return;
    case GY_TASK_REGRESSION:
        w->names = g_regression;
        w->n_metrics = sizeof g_regression / sizeof g_regression[0];
        return;
    }
}

static bool lower_is_better(const char *name)
{
    struct gy_str s = gy_str_c(name);
    return gy_str_eqc(s, "log_loss") || gy_str_eqc(s, "rmse") || gy_str_eqc(s, "mae");
}

static void count_cells(const struct work *w, struct gy_metrics *ret)
{
    int64_t *cells[2][2] = {{&ret->tn, &ret->fp}, {&ret->fn, &ret->tp}};
    for (size_t i = 0; i < w->n; i++) {
        (*cells[w->truth[i]][w->guess[i]])++;
    }
}

gy_status gy_metrics_compute(const struct gy_scored *s, size_t replicates, uint64_t seed,
                             int n_threads, struct gy_metrics *ret, struct gy_err *err)
{
    struct work w = {.task = s->task,
                     .n = s->n_rows,
                     .n_classes = s->n_classes,
                     .replicates = replicates,
                     .seed = seed};
    if (s->n_rows == 0 || s->n_rows > UINT32_MAX || replicates > GY_METRICS_MAX_REPLICATES) {
        return gy_err_set(err, GY_E_INVALID, "there are no rows to measure on");
    }
    names_of(&w);
    GY_TRY(allocate(s, replicates, &w, err));
    gy_status status = prepare(s, &w, err);
    if (status == GY_OK && replicates > 0) {
        status = gy_parallel(n_threads, CHUNKS, run_chunk, &w, err);
    }
    if (status == GY_OK) {
        double values[GY_METRICS_MAX];
        pass(&w, NULL, replicates ? CHUNKS : 0, values);
        *ret = (struct gy_metrics){.n_rows = s->n_rows, .n = w.n_metrics};
        for (size_t m = 0; m < w.n_metrics; m++) {
            ret->items[m] = (struct gy_metric){.name = w.names[m],
                                               .value = values[m],
                                               .lower_is_better = lower_is_better(w.names[m])};
            interval(w.results + m * replicates, replicates, &ret->items[m]);
        }
        if (s->task == GY_TASK_BINARY) {
            count_cells(&w, ret);
        }
    }
    gy_free(w.memory);
    return status;
}

const struct gy_metric *gy_metrics_get(const struct gy_metrics *m, struct gy_str name)
{
    for (size_t i = 0; i < m->n; i++) {
        if (gy_str_eqc(name, m->items[i].name)) {
            return &m->items[i];
        }
    }
    return NULL;
}
