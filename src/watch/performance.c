/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/performance.h"

#include <math.h>

#include "base/time.h"

#define Z95 1.959963984540054 /* the 97.5 % point of the normal distribution */

static const struct gy_estimate untold = {NAN, NAN, NAN};

static struct gy_join_cell sum(struct gy_join_cell a, struct gy_join_cell b)
{
    return (struct gy_join_cell){a.n + b.n, a.n2 + b.n2};
}

static double effective(struct gy_join_cell all)
{
    return all.n2 > 0 ? all.n * all.n / all.n2 : 0;
}

/* How many rows of weight 1 would tell the share as surely. Kish's number supposes that rows of
 * either weight are right as often. Where they are not (a model that misses what rules catch), the
 * heavy ones decide: the variance of the weighted share itself (Hajek) tells. The smaller one
 * counts: few rows can all agree by chance. */
static double worth(struct gy_join_cell part, struct gy_join_cell all, double p)
{
    double kish = effective(all);
    double squares = part.n2 * (1 - p) * (1 - p) + (all.n2 - part.n2) * p * p;
    bool weighted = all.n2 != all.n;
    return weighted && squares > 0 ? fmin(kish, p * (1 - p) * all.n * all.n / squares) : kish;
}

struct gy_estimate gy_estimate_share(struct gy_join_cell part, struct gy_join_cell all)
{
    if (!(all.n > 0)) {
        return untold;
    }
    double p = part.n / all.n;
    double n = worth(part, all, p);
    double z2 = Z95 * Z95;
    double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
    double half = Z95 / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
    /* rounding must not put an end beside the value */
    double low = middle - half;
    double high = middle + half;
    return (struct gy_estimate){p, low < 0 || p == 0 ? 0 : low, high > 1 || p == 1 ? 1 : high};
}

static struct gy_estimate f1_of(const struct gy_join_way *way)
{
    struct gy_estimate j = gy_estimate_share(way->tp, sum(way->tp, sum(way->fp, way->fn)));
    return (struct gy_estimate){2 * j.value / (1 + j.value), 2 * j.low / (1 + j.low),
                                2 * j.high / (1 + j.high)};
}

static struct gy_estimate mean_of(double value, double variance, double n)
{
    double half = Z95 * sqrt(variance > 0 ? variance / n : 0);
    return n > 1 ? (struct gy_estimate){value, value - half, value + half}
                 : (struct gy_estimate){value, NAN, NAN};
}

static void regression(const struct gy_join_way *way, struct gy_performance *p)
{
    double square = way->rmse * way->rmse;
    double n = p->effective;
    p->mae = mean_of(way->mae, square - way->mae * way->mae, n);
    p->mae.low = p->mae.low < 0 ? 0 : p->mae.low;
    p->bias = mean_of(way->bias, square - way->bias * way->bias, n);
    double slope = way->rmse > 0 ? 1 / (2 * way->rmse) : 0;
    p->rmse = mean_of(way->rmse, way->square_variance * slope * slope, n);
    p->rmse.low = p->rmse.low < 0 ? 0 : p->rmse.low;
}

void gy_performance_of(const struct gy_join_counts *c, enum gy_join_by by,
                       struct gy_performance *ret)
{
    const struct gy_join_way *way = &c->by[by];
    *ret = (struct gy_performance){.rows = (double)way->rows,
                                   .effective = effective(way->all),
                                   .accuracy = untold,
                                   .precision = untold,
                                   .recall = untold,
                                   .f1 = untold,
                                   .macro_f1 = untold,
                                   .mae = untold,
                                   .rmse = untold,
                                   .bias = untold};
    if (!c->shape || way->rows == 0) {
        return;
    }
    if (c->task == GY_TASK_REGRESSION) {
        regression(way, ret);
        return;
    }
    ret->accuracy = gy_estimate_share(way->correct, way->all);
    if (c->task == GY_TASK_MULTICLASS) {
        ret->macro_f1.value = way->macro_f1;
        return;
    }
    ret->recall = gy_estimate_share(way->tp, sum(way->tp, way->fn));
    ret->precision = gy_estimate_share(way->tp, sum(way->tp, way->fp));
    if (isnan(ret->precision.value) && way->fn.n > 0) {
        ret->precision.value = 0;
    }
    ret->f1 = f1_of(way);
}

double gy_performance_coverage(const struct gy_join_counts *c)
{
    return c->predictions ? (double)c->labelled / (double)c->predictions : NAN;
}

/* ---- JSON ---- */

static void number(struct gy_jw *w, const char *key, double v)
{
    if (isnan(v)) {
        gy_jw_kv_null(w, key);
    } else {
        gy_jw_kv_f64(w, key, v);
    }
}

/* Whole numbers where the weights are whole. */
static void count(struct gy_jw *w, const char *key, double v)
{
    if (v == floor(v) && fabs(v) < 1e15) {
        gy_jw_kv_i64(w, key, (int64_t)v);
    } else {
        gy_jw_kv_f64(w, key, v);
    }
}

static void estimate(struct gy_jw *w, const char *key, struct gy_estimate e)
{
    if (isnan(e.value)) {
        gy_jw_kv_null(w, key);
        return;
    }
    gy_jw_key(w, key);
    gy_jw_obj(w);
    number(w, "value", e.value);
    number(w, "low", e.low);
    number(w, "high", e.high);
    gy_jw_obj_end(w);
}

static void classes(struct gy_jw *w, const struct gy_shape *s, const struct gy_join_class *list)
{
    gy_jw_key(w, "classes");
    gy_jw_arr(w);
    for (size_t k = 0; list && k < s->n_classes; k++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "class", s->classes[k]);
        count(w, "tp", list[k].tp.n);
        count(w, "fp", list[k].fp.n);
        count(w, "fn", list[k].fn.n);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static void one_way(struct gy_jw *w, const struct gy_join_counts *c, enum gy_join_by by)
{
    const struct gy_join_way *way = &c->by[by];
    struct gy_performance p;
    gy_jw_key(w, gy_join_by_name(by));
    if (!c->shape || way->rows == 0) {
        gy_jw_null(w);
        return;
    }
    gy_performance_of(c, by, &p);
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "rows", (int64_t)way->rows);
    number(w, "effective", p.effective);
    switch (c->task) {
    case GY_TASK_BINARY:
        count(w, "tp", way->tp.n);
        count(w, "fp", way->fp.n);
        count(w, "tn", way->tn.n);
        count(w, "fn", way->fn.n);
        estimate(w, "accuracy", p.accuracy);
        estimate(w, "precision", p.precision);
        estimate(w, "recall", p.recall);
        estimate(w, "f1", p.f1);
        break;
    case GY_TASK_MULTICLASS:
        estimate(w, "accuracy", p.accuracy);
        estimate(w, "macro_f1", p.macro_f1);
        classes(w, c->shape, way->classes);
        break;
    case GY_TASK_REGRESSION:
        estimate(w, "mae", p.mae);
        estimate(w, "rmse", p.rmse);
        estimate(w, "bias", p.bias);
        break;
    }
    gy_jw_obj_end(w);
}

void gy_performance_write(struct gy_jw *w, const struct gy_join_counts *c)
{
    gy_jw_kv_i64(w, "predictions", (int64_t)c->predictions);
    gy_jw_kv_i64(w, "labelled", (int64_t)c->labelled);
    number(w, "coverage", gy_performance_coverage(c));
    gy_jw_key(w, "by");
    gy_jw_obj(w);
    for (int by = 0; by < GY_BY_COUNT; by++) {
        one_way(w, c, (enum gy_join_by)by);
    }
    gy_jw_obj_end(w);
}

/* ---- times ---- */

gy_status gy_performance_span(struct gy_str text, int64_t *ret_us, struct gy_err *err)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    for (size_t i = 0; text.n > 1 && i < sizeof units / sizeof units[0]; i++) {
        int64_t n;
        if (text.p[text.n - 1] == units[i].unit &&
            gy_parse_i64(gy_str_sub(text, 0, text.n - 1), 1, 1000000, &n, NULL) == GY_OK) {
            *ret_us = n * units[i].seconds * 1000000;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "'%" GY_STR_F "' is no span of time such as 30s, 15m, 12h, 7d or 4w",
                      GY_STR_A(text));
}

gy_status gy_performance_since(struct gy_str text, int64_t now_us, int64_t *ret_us,
                               struct gy_err *err)
{
    int64_t span;
    if (gy_performance_span(text, &span, NULL) == GY_OK) {
        *ret_us = now_us - span;
        return GY_OK;
    }
    if (gy_time_parse_iso(text, ret_us, NULL) == GY_OK) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_INVALID,
                      "'%" GY_STR_F "' is neither a span of time such as 12h or 7d nor a time with "
                      "its zone such as 2026-11-21T01:31:57Z",
                      GY_STR_A(text));
}
