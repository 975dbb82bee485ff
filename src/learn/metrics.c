/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/metrics.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "learn/bootstrap.h"
#include "learn/metrics_internal.h"

static const char *const g_binary[] = {"accuracy",
                                       "precision",
                                       "recall",
                                       "f1",
                                       "auc",
                                       "log_loss",
                                       "average_precision",
                                       "brier",
                                       "balanced_accuracy",
                                       "mcc",
                                       "recall_at_precision_90"};
static const char *const g_multi[] = {"accuracy",
                                      "f1_macro",
                                      "log_loss",
                                      "balanced_accuracy",
                                      "precision_macro",
                                      "recall_macro",
                                      "f1_weighted",
                                      "auc_ovr",
                                      "mcc",
                                      "brier"};
static const char *const g_regression[] = {"rmse", "mae", "r2", "mape", "me", "deviance", "gini"};

const char *const *gy_metric_names(enum gy_task task, size_t *ret_n)
{
    switch (task) {
    case GY_TASK_BINARY:
        *ret_n = sizeof g_binary / sizeof g_binary[0];
        return g_binary;
    case GY_TASK_MULTICLASS:
        *ret_n = sizeof g_multi / sizeof g_multi[0];
        return g_multi;
    case GY_TASK_REGRESSION:
        *ret_n = sizeof g_regression / sizeof g_regression[0];
        return g_regression;
    }
    *ret_n = 0;
    return NULL;
}

bool gy_metric_lower_is_better(const char *name)
{
    static const char *const lower[] = {"log_loss", "rmse", "mae", "mape", "deviance", "brier"};
    for (size_t i = 0; i < sizeof lower / sizeof lower[0]; i++) {
        if (strcmp(name, lower[i]) == 0) {
            return true;
        }
    }
    return false;
}

double gy_metric_gain(const char *name, double a, double b)
{
    if (strcmp(name, "me") == 0) {
        return fabs(b) - fabs(a);
    }
    return gy_metric_lower_is_better(name) ? b - a : a - b;
}

/* Room for n_values x replicates results; NULL when there are no replicates. */
static gy_status new_results(size_t n_values, size_t replicates, double **ret, struct gy_err *err)
{
    if (replicates > GY_METRICS_MAX_REPLICATES) {
        return gy_err_set(err, GY_E_INVALID, "more than %d replicates", GY_METRICS_MAX_REPLICATES);
    }
    *ret = NULL;
    if (replicates > 0) {
        *ret = gy_doubles_new(replicates, n_values);
    }
    return *ret || replicates == 0 ? GY_OK
                                   : gy_err_set(err, GY_E_NOMEM, "%zu replicates", replicates);
}

/* Of row i of the results. */
static void interval_of(double *results, size_t i, size_t replicates, double *ret_low,
                        double *ret_high)
{
    *ret_low = *ret_high = NAN;
    if (replicates > 0) {
        gy_bootstrap_interval(results + i * replicates, replicates, ret_low, ret_high);
    }
}

static void count_cells(const struct gy_measure *m, struct gy_metrics *ret)
{
    int64_t *cells[2][2] = {{&ret->tn, &ret->fp}, {&ret->fn, &ret->tp}};
    for (size_t i = 0; i < m->n; i++) {
        (*cells[m->truth[i]][m->guess[i]])++;
    }
}

/* The metrics of the rows as they are. */
static gy_status values_of(const struct gy_measure *m, double *out, struct gy_err *err)
{
    size_t room = gy_measure_room(m);
    GY_AUTO(gy_free) char *memory = gy_calloc(room ? room : 1, 1);
    if (!memory) {
        return gy_err_set(err, GY_E_NOMEM, "metrics of %zu rows", m->n);
    }
    gy_measure_pass(m, m->weight, memory, out);
    return GY_OK;
}

gy_status gy_metrics_compute(const struct gy_scored *s, size_t replicates, uint64_t seed,
                             int n_threads, struct gy_metrics *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_measure_done) struct gy_measure m = {0};
    GY_AUTO(gy_doubles_free) double *results = NULL;
    double values[GY_METRICS_MAX];
    GY_TRY(gy_measure_init(s, &m, err));
    GY_TRY(new_results(m.n_metrics, replicates, &results, err));
    GY_TRY(values_of(&m, values, err));
    const struct gy_bootstrap b = {.n_rows = m.n,
                                   .replicates = replicates,
                                   .n_values = m.n_metrics,
                                   .seed = seed,
                                   .n_threads = n_threads,
                                   .weight = m.unit ? NULL : m.weight,
                                   .pass = gy_measure_pass,
                                   .ctx = &m,
                                   .room_bytes = gy_measure_room(&m)};
    GY_TRY(gy_bootstrap_run(&b, results, err));
    *ret = (struct gy_metrics){.n_rows = s->n_rows, .n = m.n_metrics};
    for (size_t i = 0; i < m.n_metrics; i++) {
        struct gy_metric *x = &ret->items[i];
        x->name = m.names[i];
        x->value = values[i];
        x->lower_is_better = gy_metric_lower_is_better(m.names[i]);
        interval_of(results, i, replicates, &x->low, &x->high);
    }
    if (s->task == GY_TASK_BINARY) {
        count_cells(&m, ret);
    }
    return GY_OK;
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

/* ---- per class ---- */

void gy_metrics_confusion(const struct gy_scored *s, int64_t *cells)
{
    size_t k = s->task == GY_TASK_BINARY ? 2 : s->n_classes;
    memset(cells, 0, k * k * sizeof *cells);
    for (size_t i = 0; i < s->n_rows; i++) {
        cells[(size_t)s->truth[i] * k + gy_scored_guess(s, i)]++;
    }
}

/* Sums per class in room, then the three numbers of each. */
static void pass_classes(const void *ctx, const double *mass, void *room, double *out)
{
    const struct gy_measure *m = ctx;
    size_t k = m->n_classes;
    double *hits = room, *truths = hits + k, *guesses = truths + k;
    memset(hits, 0, 3 * k * sizeof *hits);
    for (size_t i = 0; i < m->n; i++) {
        truths[m->truth[i]] += mass[i];
        guesses[m->guess[i]] += mass[i];
        hits[m->truth[i]] += m->truth[i] == m->guess[i] ? mass[i] : 0;
    }
    for (size_t c = 0; c < k; c++) {
        out[3 * c] = gy_precision_of(hits[c], guesses[c], truths[c]);
        out[3 * c + 1] = gy_ratio(hits[c], truths[c]);
        out[3 * c + 2] = gy_ratio(2 * hits[c], truths[c] + guesses[c]);
    }
}

static void fill_classes(const struct gy_measure *m, const double *values, double *results,
                         size_t replicates, struct gy_class_metrics *ret)
{
    static const char *const names[] = {"precision", "recall", "f1"};
    memset(ret, 0, m->n_classes * sizeof *ret);
    for (size_t i = 0; i < 3 * m->n_classes; i++) {
        struct gy_class_metrics *c = &ret[i / 3];
        struct gy_metric *x = i % 3 == 0 ? &c->precision : i % 3 == 1 ? &c->recall : &c->f1;
        x->name = names[i % 3];
        x->value = values[i];
        interval_of(results, i, replicates, &x->low, &x->high);
    }
    for (size_t i = 0; i < m->n; i++) {
        ret[m->truth[i]].support++;
        ret[m->guess[i]].predicted++;
    }
}

gy_status gy_metrics_classes(const struct gy_scored *s, size_t replicates, uint64_t seed,
                             int n_threads, struct gy_class_metrics *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_measure_done) struct gy_measure m = {0};
    GY_AUTO(gy_doubles_free) double *results = NULL;
    GY_AUTO(gy_doubles_free) double *values = NULL;
    GY_TRY(gy_measure_init(s, &m, err));
    m.n_classes = s->task == GY_TASK_BINARY ? 2 : s->n_classes;
    size_t n_values = 3 * m.n_classes;
    GY_TRY(new_results(n_values, replicates, &results, err));
    GY_TRY(new_results(n_values, 2, &values, err)); /* the numbers, then room */
    pass_classes(&m, m.weight, values + n_values, values);
    const struct gy_bootstrap b = {.n_rows = m.n,
                                   .replicates = replicates,
                                   .n_values = n_values,
                                   .seed = seed,
                                   .n_threads = n_threads,
                                   .weight = m.unit ? NULL : m.weight,
                                   .pass = pass_classes,
                                   .ctx = &m,
                                   .room_bytes = n_values * sizeof(double)};
    GY_TRY(gy_bootstrap_run(&b, results, err));
    fill_classes(&m, values, results, replicates, ret);
    return GY_OK;
}

/* ---- two models on the same rows ---- */

struct pair {
    struct gy_measure m[2];
};

/* Room: the masses in the order of one model's rows, then what its pass needs. */
static void pass_pair(const void *ctx, const double *mass, void *room, double *out)
{
    const struct pair *p = ctx;
    double *gathered = room;
    for (size_t k = 0; k < 2; k++) {
        const struct gy_measure *m = &p->m[k];
        const double *masses = mass;
        if (m->task == GY_TASK_BINARY) { /* its rows are sorted */
            for (size_t i = 0; i < m->n; i++) {
                gathered[i] = mass[m->rows[i]];
            }
            masses = gathered;
        }
        gy_measure_pass(m, masses, gathered + m->n, out + k * m->n_metrics);
    }
}

static gy_status check_pair(const struct gy_scored *a, const struct gy_scored *b,
                            struct gy_err *err)
{
    bool same = a->task == b->task && a->n_rows == b->n_rows && a->n_classes == b->n_classes &&
                a->deviance_power == b->deviance_power && !a->weight == !b->weight;
    for (size_t i = 0; same && i < a->n_rows; i++) {
        same = a->truth[i] == b->truth[i] && (!a->weight || a->weight[i] == b->weight[i]);
    }
    return same ? GY_OK
                : gy_err_set(err, GY_E_INVALID,
                             "two models are compared on the same rows with the same truth only");
}

static double better_share(const char *name, const double *a, const double *b, size_t n)
{
    double wins = 0;
    double told = 0;
    for (size_t i = 0; i < n; i++) {
        double gain = gy_metric_gain(name, a[i], b[i]);
        if (!isnan(gain)) {
            wins += gain > 0 ? 1 : gain == 0 ? 0.5 : 0;
            told++;
        }
    }
    return gy_ratio(wins, told);
}

/* Row i of the results becomes a - b. */
static void take_difference(double *results, size_t i, size_t n_metrics, size_t replicates,
                            struct gy_difference *d)
{
    double *a = results + i * replicates;
    const double *b = results + (n_metrics + i) * replicates;
    d->better = better_share(d->name, a, b, replicates);
    for (size_t k = 0; k < replicates; k++) {
        a[k] -= b[k];
    }
    gy_bootstrap_interval(a, replicates, &d->low, &d->high);
}

static void fill_pair(const struct gy_measure *m, const double *a, const double *b, double *results,
                      size_t replicates, struct gy_paired *ret)
{
    *ret = (struct gy_paired){.n_rows = m->n, .n = m->n_metrics};
    for (size_t i = 0; i < m->n_metrics; i++) {
        struct gy_difference *d = &ret->items[i];
        *d = (struct gy_difference){.name = m->names[i],
                                    .a = a[i],
                                    .b = b[i],
                                    .difference = a[i] - b[i],
                                    .low = NAN,
                                    .high = NAN,
                                    .better = NAN,
                                    .lower_is_better = gy_metric_lower_is_better(m->names[i])};
        if (replicates > 0) {
            take_difference(results, i, m->n_metrics, replicates, d);
        }
    }
}

static gy_status compare(struct pair *p, const struct gy_scored *a, size_t replicates,
                         uint64_t seed, int n_threads, struct gy_paired *ret, struct gy_err *err)
{
    GY_AUTO(gy_doubles_free) double *results = NULL;
    double values[2][GY_METRICS_MAX];
    size_t n_values = 2 * p->m[0].n_metrics;
    GY_TRY(new_results(n_values, replicates, &results, err));
    GY_TRY(values_of(&p->m[0], values[0], err));
    GY_TRY(values_of(&p->m[1], values[1], err));
    const struct gy_bootstrap b = {.n_rows = a->n_rows,
                                   .replicates = replicates,
                                   .n_values = n_values,
                                   .seed = seed,
                                   .n_threads = n_threads,
                                   .weight = a->weight,
                                   .pass = pass_pair,
                                   .ctx = p,
                                   .room_bytes =
                                       a->n_rows * sizeof(double) + gy_measure_room(&p->m[0])};
    GY_TRY(gy_bootstrap_run(&b, results, err));
    fill_pair(&p->m[0], values[0], values[1], results, replicates, ret);
    return GY_OK;
}

gy_status gy_metrics_paired(const struct gy_scored *a, const struct gy_scored *b, size_t replicates,
                            uint64_t seed, int n_threads, struct gy_paired *ret, struct gy_err *err)
{
    struct pair p = {0};
    GY_TRY(check_pair(a, b, err));
    gy_status status = gy_measure_init(a, &p.m[0], err);
    if (status == GY_OK) {
        status = gy_measure_init(b, &p.m[1], err);
    }
    if (status == GY_OK) {
        status = compare(&p, a, replicates, seed, n_threads, ret, err);
    }
    gy_measure_done(&p.m[0]);
    gy_measure_done(&p.m[1]);
    return status;
}
