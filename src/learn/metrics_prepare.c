/* SPDX-License-Identifier: Apache-2.0 */
/* Scored rows put in order for the passes: everything that does not depend on the replicate. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "learn/metrics_internal.h"

struct ranked {
    double p;
    uint32_t row;
};

static int by_key(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->p != y->p) {
        return x->p < y->p ? -1 : 1;
    }
    return (x->row > y->row) - (x->row < y->row);
}

/* Rows ascending by keys[row * stride], with GY_ORDER_TIE; room for n. */
static void sort_rows(const double *keys, size_t stride, size_t n, struct ranked *room,
                      uint32_t *order)
{
    for (size_t i = 0; i < n; i++) {
        room[i] = (struct ranked){.p = keys[i * stride], .row = (uint32_t)i};
    }
    qsort(room, n, sizeof *room, by_key);
    for (size_t i = 0; i < n; i++) {
        order[i] = room[i].row | (i > 0 && room[i].p == room[i - 1].p ? GY_ORDER_TIE : 0);
    }
}

/* scikit-learn's clipping. */
static double log_loss(double p)
{
    return -log(p < DBL_EPSILON ? DBL_EPSILON : p > 1 - DBL_EPSILON ? 1 - DBL_EPSILON : p);
}

static double weight_of(const struct gy_scored *s, size_t row)
{
    return s->weight ? s->weight[row] : 1;
}

static void prepare_binary(const struct gy_scored *s, struct gy_measure *m, struct ranked *room)
{
    sort_rows(s->out, 1, m->n, room, m->rows);
    for (size_t i = 0; i < m->n; i++) {
        uint32_t row = m->rows[i] & GY_ORDER_ROW;
        double p = s->out[row];
        m->tie[i] = (m->rows[i] & GY_ORDER_TIE) != 0;
        m->rows[i] = row;
        m->truth[i] = s->truth[row] > 0.5;
        m->guess[i] = p >= s->threshold;
        m->loss[i] = log_loss(m->truth[i] ? p : 1 - p);
        m->value[i] = (p - m->truth[i]) * (p - m->truth[i]);
        m->weight[i] = weight_of(s, row);
    }
}

size_t gy_scored_guess(const struct gy_scored *s, size_t i)
{
    if (s->task == GY_TASK_BINARY) {
        return s->out[i] >= s->threshold;
    }
    const double *p = s->out + i * s->n_classes;
    size_t best = 0;
    for (size_t c = 1; c < s->n_classes; c++) {
        best = p[c] > p[best] ? c : best;
    }
    return best;
}

static void prepare_multi(const struct gy_scored *s, struct gy_measure *m, struct ranked *room)
{
    for (size_t i = 0; i < m->n; i++) {
        const double *p = s->out + i * s->n_classes;
        m->truth[i] = (uint32_t)s->truth[i];
        m->guess[i] = (uint32_t)gy_scored_guess(s, i);
        m->loss[i] = log_loss(p[m->truth[i]]);
        m->weight[i] = weight_of(s, i);
        for (size_t c = 0; c < s->n_classes; c++) {
            double d = p[c] - (c == m->truth[i]);
            m->value[i] += d * d;
        }
    }
    for (size_t c = 0; m->orders && c < s->n_classes; c++) {
        sort_rows(s->out + c, s->n_classes, m->n, room, m->orders + c * m->n);
    }
}

/* Unit deviance of the Tweedie family (Jorgensen 1987), as scikit-learn's. */
static double deviance(double power, double y, double p)
{
    double a = 1 - power;
    double b = 2 - power;
    if (power == 0) {
        return (y - p) * (y - p);
    }
    if (power < 1 || !(p > 0) || y < 0 || (power >= 2 && !(y > 0))) {
        return NAN;
    }
    if (power == 1) {
        return 2 * ((y > 0 ? y * log(y / p) : 0) - y + p);
    }
    if (power == 2) {
        return 2 * (log(p / y) + y / p - 1);
    }
    return 2 * (pow(y, b) / (a * b) - y * pow(p, a) / a + pow(p, b) / b);
}

static void prepare_regression(const struct gy_scored *s, struct gy_measure *m, struct ranked *room)
{
    double sum = 0;
    bool negative = false;
    for (size_t i = 0; i < m->n; i++) {
        sum += s->truth[i];
        negative |= s->truth[i] < 0;
    }
    for (size_t i = 0; i < m->n; i++) {
        double y = s->truth[i];
        m->plain[i] = y;
        m->loss[i] = s->out[i] - y;
        m->value[i] = y - sum / (double)m->n;
        m->percent[i] = fabs(m->loss[i]) / fmax(fabs(y), DBL_EPSILON);
        m->extra[i] = deviance(m->power, y, s->out[i]);
        m->weight[i] = weight_of(s, i);
    }
    if (negative) {
        m->orders = NULL;
        return;
    }
    sort_rows(s->out, 1, m->n, room, m->orders);
    sort_rows(s->truth, 1, m->n, room, m->orders + m->n);
}

static size_t n_orders(const struct gy_scored *s)
{
    switch (s->task) {
    case GY_TASK_BINARY:
        return 0;
    case GY_TASK_MULTICLASS:
        return s->n_classes <= GY_METRICS_MAX_OVR ? s->n_classes : 0;
    case GY_TASK_REGRESSION:
        return 2;
    }
    return 0;
}

/* One block for all arrays, the widest types first. */
static gy_status allocate(const struct gy_scored *s, struct gy_measure *m, struct gy_err *err)
{
    size_t n = m->n;
    size_t doubles = s->task == GY_TASK_REGRESSION ? 6 : 3;
    size_t orders = n_orders(s);
    size_t bytes = doubles * sizeof(double) + (3 + orders) * sizeof(uint32_t) + sizeof(bool);
    m->memory = gy_calloc(n, bytes);
    if (!m->memory) {
        return gy_err_set(err, GY_E_NOMEM, "metrics of %zu rows", n);
    }
    m->loss = (double *)(void *)m->memory;
    m->value = m->loss + n;
    m->weight = m->value + n;
    m->extra = s->task == GY_TASK_REGRESSION ? m->weight + n : NULL;
    m->percent = m->extra ? m->extra + n : NULL;
    m->plain = m->extra ? m->percent + n : NULL;
    m->truth = (uint32_t *)(void *)(m->loss + doubles * n);
    m->guess = m->truth + n;
    m->rows = m->guess + n;
    m->orders = orders ? m->rows + n : NULL;
    m->tie = (bool *)(m->rows + (1 + orders) * n);
    return GY_OK;
}

static gy_status check(const struct gy_scored *s, struct gy_err *err)
{
    size_t width = s->task == GY_TASK_MULTICLASS ? s->n_classes : 1;
    double total = 0;
    if (s->n_rows == 0 || s->n_rows > GY_ORDER_ROW) {
        return gy_err_set(err, GY_E_INVALID, "there are no rows to measure on");
    }
    for (size_t i = 0; i < s->n_rows * width; i++) {
        if (isnan(s->out[i])) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "the prediction for row %zu of the %zu measured on is not a number",
                             i / width, s->n_rows);
            return gy_err_hint(err, "a value is missing there or has no logarithm: impute it, or "
                                    "clip ahead of log");
        }
    }
    for (size_t i = 0; s->weight && i < s->n_rows; i++) {
        if (!(s->weight[i] >= 0) || isinf(s->weight[i])) {
            (void)gy_err_set(err, GY_E_INVALID, "a weight is %g", s->weight[i]);
            return gy_err_hint(err, "weights are finite numbers that are not negative");
        }
        total += s->weight[i];
    }
    return !s->weight || total > 0 ? GY_OK : gy_err_set(err, GY_E_INVALID, "the weights are all 0");
}

gy_status gy_measure_init(const struct gy_scored *s, struct gy_measure *m, struct gy_err *err)
{
    *m = (struct gy_measure){.task = s->task,
                             .n = s->n_rows,
                             .n_classes = s->n_classes,
                             .power = s->deviance_power,
                             .unit = !s->weight};
    GY_TRY(check(s, err));
    m->names = gy_metric_names(s->task, &m->n_metrics);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, s->n_rows, sizeof(struct ranked));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "metrics of %zu rows", s->n_rows);
    }
    GY_TRY(allocate(s, m, err));
    struct ranked *order = (struct ranked *)(void *)room;
    switch (s->task) {
    case GY_TASK_BINARY:
        prepare_binary(s, m, order);
        break;
    case GY_TASK_MULTICLASS:
        prepare_multi(s, m, order);
        break;
    case GY_TASK_REGRESSION:
        prepare_regression(s, m, order);
        break;
    }
    return GY_OK;
}

void gy_measure_done(struct gy_measure *m)
{
    if (m) {
        gy_free(m->memory);
        m->memory = NULL;
    }
}
