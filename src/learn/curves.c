/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "learn/bootstrap.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "a curve");
}

/* ---- ROC, precision and recall ---- */

struct row {
    double p, weight;
    bool positive;
};

static int descending(const void *a, const void *b)
{
    double x = ((const struct row *)a)->p;
    double y = ((const struct row *)b)->p;
    return (x < y) - (x > y);
}

/* The sums above each distinct probability, from (0, 0) on: x false, y true positives. */
static gy_status count_down(const struct gy_scored *s, struct gy_arena *a, struct gy_curve *ret,
                            struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, s->n_rows, sizeof(struct row));
    struct gy_curve_point *points = gy_arena_calloc(a, s->n_rows + 1, sizeof *points);
    if (!room || !points) {
        return no_memory(err);
    }
    struct row *rows = (struct row *)(void *)room;
    for (size_t i = 0; i < s->n_rows; i++) {
        rows[i] = (struct row){s->out[i], s->weight ? s->weight[i] : 1, s->truth[i] > 0.5};
    }
    qsort(rows, s->n_rows, sizeof *rows, descending);
    points[0] = (struct gy_curve_point){0, 0, INFINITY};
    size_t n = 0;
    for (size_t i = 0; i < s->n_rows; i++) {
        if (i == 0 || rows[i].p != rows[i - 1].p) {
            points[n + 1] = points[n];
            points[++n].threshold = rows[i].p;
        }
        *(rows[i].positive ? &points[n].y : &points[n].x) += rows[i].weight;
    }
    *ret = (struct gy_curve){points, n + 1};
    return GY_OK;
}

gy_status gy_roc_curve(const struct gy_scored *s, struct gy_arena *a, struct gy_curve *ret,
                       struct gy_err *err)
{
    GY_TRY(count_down(s, a, ret, err));
    const struct gy_curve_point all = ret->points[ret->n - 1];
    if (!(all.x > 0 && all.y > 0)) {
        ret->n = 0;
    }
    for (size_t i = 0; i < ret->n; i++) {
        ret->points[i].x /= all.x;
        ret->points[i].y /= all.y;
    }
    return GY_OK;
}

gy_status gy_pr_curve(const struct gy_scored *s, struct gy_arena *a, struct gy_curve *ret,
                      struct gy_err *err)
{
    GY_TRY(count_down(s, a, ret, err));
    double positives = ret->points[ret->n - 1].y;
    if (!(positives > 0)) {
        ret->n = 0;
    }
    for (size_t i = 0; i < ret->n; i++) {
        struct gy_curve_point *p = &ret->points[i];
        double tp = p->y;
        double said = p->y + p->x;
        p->x = tp / positives;
        p->y = said > 0 ? tp / said : 1;
    }
    return GY_OK;
}

gy_status gy_curve_thin(const struct gy_curve *c, size_t max, struct gy_arena *a,
                        struct gy_curve *ret, struct gy_err *err)
{
    if (c->n <= max || max < 2) {
        *ret = *c;
        return GY_OK;
    }
    struct gy_curve_point *points = gy_arena_calloc(a, max, sizeof *points);
    if (!points) {
        return no_memory(err);
    }
    for (size_t i = 0; i < max; i++) {
        points[i] = c->points[i * (c->n - 1) / (max - 1)];
    }
    *ret = (struct gy_curve){points, max};
    return GY_OK;
}

/* ---- calibration ---- */

struct binned {
    size_t n, n_bins;
    double *p, *hit, *weight; /* n */
    uint8_t *bin;             /* n */
};

/* Sums per bin in room: mass, predicted, observed. out: the observed share of each bin, then the
 * error. */
static void pass_bins(const void *ctx, const double *mass, void *room, double *out)
{
    const struct binned *b = ctx;
    double *sums = room;
    double error = 0;
    double total = 0;
    memset(sums, 0, 3 * b->n_bins * sizeof *sums);
    for (size_t i = 0; i < b->n; i++) {
        double *s = sums + (size_t)3 * b->bin[i];
        s[0] += mass[i];
        s[1] += mass[i] * b->p[i];
        s[2] += mass[i] * b->hit[i];
    }
    for (size_t k = 0; k < b->n_bins; k++) {
        const double *s = sums + 3 * k;
        out[k] = s[0] > 0 ? s[2] / s[0] : NAN;
        error += fabs(s[2] - s[1]);
        total += s[0];
    }
    out[b->n_bins] = total > 0 ? error / total : NAN;
}

/* The bin that scikit-learn's calibration_curve puts p into: edges belong to the bin below. */
static uint8_t bin_of(double p, size_t n_bins)
{
    size_t k = 0;
    while (k + 1 < n_bins && p > (double)(k + 1) / (double)n_bins) {
        k++;
    }
    return (uint8_t)k;
}

static void fill_rows(const struct gy_scored *s, struct binned *b)
{
    for (size_t i = 0; i < s->n_rows; i++) {
        size_t guess = gy_scored_guess(s, i);
        bool binary = s->task == GY_TASK_BINARY;
        b->p[i] = binary ? s->out[i] : s->out[i * s->n_classes + guess];
        b->hit[i] = binary ? s->truth[i] > 0.5 : (size_t)s->truth[i] == guess;
        b->weight[i] = s->weight ? s->weight[i] : 1;
        b->bin[i] = bin_of(b->p[i], b->n_bins);
    }
}

static void fill_bins(const struct binned *b, const double *values, const double *sums,
                      struct gy_calibration *ret)
{
    for (size_t k = 0; k < b->n_bins; k++) {
        struct gy_calibration_bin *bin = &ret->bins[k];
        bin->low = (double)k / (double)b->n_bins;
        bin->high = (double)(k + 1) / (double)b->n_bins;
        bin->predicted = sums[3 * k] > 0 ? sums[3 * k + 1] / sums[3 * k] : NAN;
        bin->observed =
            (struct gy_metric){.name = "observed", .value = values[k], .low = NAN, .high = NAN};
    }
    for (size_t i = 0; i < b->n; i++) {
        ret->bins[b->bin[i]].n_rows++;
    }
    ret->ece = (struct gy_metric){.name = "ece",
                                  .value = values[b->n_bins],
                                  .low = NAN,
                                  .high = NAN,
                                  .lower_is_better = true};
}

static gy_status measure_bins(const struct binned *b, const struct gy_scored *s, size_t replicates,
                              uint64_t seed, int n_threads, struct gy_calibration *ret,
                              struct gy_err *err)
{
    double values[GY_CALIBRATION_MAX_BINS + 1];
    double sums[3 * GY_CALIBRATION_MAX_BINS];
    size_t n_values = b->n_bins + 1;
    GY_AUTO(gy_doubles_free) double *results = gy_doubles_new(replicates, n_values);
    if (!results && replicates > 0) {
        return no_memory(err);
    }
    pass_bins(b, b->weight, sums, values);
    fill_bins(b, values, sums, ret);
    const struct gy_bootstrap boot = {.n_rows = b->n,
                                      .replicates = replicates,
                                      .n_values = n_values,
                                      .seed = seed,
                                      .n_threads = n_threads,
                                      .weight = s->weight,
                                      .pass = pass_bins,
                                      .ctx = b,
                                      .room_bytes = 3 * b->n_bins * sizeof(double)};
    GY_TRY(gy_bootstrap_run(&boot, results, err));
    for (size_t k = 0; replicates > 0 && k < n_values; k++) {
        struct gy_metric *m = k < b->n_bins ? &ret->bins[k].observed : &ret->ece;
        gy_bootstrap_interval(results + k * replicates, replicates, &m->low, &m->high);
    }
    return GY_OK;
}

gy_status gy_calibration_of(const struct gy_scored *s, size_t n_bins, size_t replicates,
                            uint64_t seed, int n_threads, struct gy_arena *a,
                            struct gy_calibration *ret, struct gy_err *err)
{
    size_t n = s->n_rows;
    if (s->task == GY_TASK_REGRESSION || n == 0 || n_bins < 2 || n_bins > GY_CALIBRATION_MAX_BINS ||
        replicates > GY_METRICS_MAX_REPLICATES) {
        return gy_err_set(err, GY_E_INVALID,
                          "calibration: probabilities of at least one row, 2 to %d bins",
                          GY_CALIBRATION_MAX_BINS);
    }
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, 3 * sizeof(double) + 1);
    *ret = (struct gy_calibration){
        .bins = gy_arena_calloc(a, n_bins, sizeof *ret->bins), .n_bins = n_bins, .n_rows = n};
    if (!room || !ret->bins) {
        return no_memory(err);
    }
    struct binned b = {.n = n, .n_bins = n_bins, .p = (double *)(void *)room};
    b.hit = b.p + n;
    b.weight = b.hit + n;
    b.bin = (uint8_t *)(b.weight + n);
    fill_rows(s, &b);
    return measure_bins(&b, s, replicates, seed, n_threads, ret, err);
}
