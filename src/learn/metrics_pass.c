/* SPDX-License-Identifier: Apache-2.0 */
/* What a replicate does: one pass over rows that were put in order before. */
#include <math.h>
#include <string.h>

#include "learn/metrics_internal.h"

#define SPREAD_NOISE 1e-12
#define PRECISION_FLOOR 0.9 /* of recall_at_precision_90 */

double gy_ratio(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

double gy_precision_of(double hits, double guesses, double truths)
{
    return guesses > 0 ? hits / guesses : truths > 0 ? 0 : NAN;
}

/* ---- BINARY ---- */

struct cells {
    double tp, fp, fn, tn;
};

/* A truth of one class only has nothing to correlate with; guesses of one class only do not
 * correlate. */
static double mcc_of(double cov, double truths, double guesses)
{
    return !(truths > 0) ? NAN : guesses > 0 ? cov / (sqrt(truths) * sqrt(guesses)) : 0;
}

static double binary_mcc(const struct cells *c)
{
    return mcc_of(c->tp * c->tn - c->fp * c->fn, (c->tp + c->fn) * (c->tn + c->fp),
                  (c->tp + c->fp) * (c->tn + c->fn));
}

static double mean_of_present(double a, double b)
{
    return isnan(a) ? b : isnan(b) ? a : (a + b) / 2;
}

/* From the most probable row down: average precision, and the best recall at the floor. */
static void pass_down(const struct gy_measure *w, const double *mass, double positives, double *out)
{
    double tp = 0;
    double said = 0;
    double before = 0;
    double area = 0;
    double best = 0;
    for (size_t i = w->n; i-- > 0;) {
        tp += mass[i] * w->truth[i]; /* truths come at random: a branch would cost more */
        said += mass[i];
        if (!w->tie[i] && said > 0) { /* the last of its group on the way down */
            double precision = tp / said;
            area += (tp - before) * precision;
            before = tp;
            best = precision >= PRECISION_FLOOR ? tp : best;
        }
    }
    out[0] = gy_ratio(area, positives);
    out[1] = gy_ratio(best, positives);
}

static void pass_binary(const struct gy_measure *w, const double *mass, double *out)
{
    double cells[2][2] = {{0}}; /* [truth][guess] */
    double loss = 0;
    double brier = 0;
    double total = 0;
    double below = 0;      /* negatives with a smaller probability */
    double group[2] = {0}; /* negatives and positives of the current tie group */
    double wins = 0;
    for (size_t i = 0; i < w->n; i++) {
        double k = mass[i];
        if (!w->tie[i]) {
            wins += group[1] * (below + group[0] / 2);
            below += group[0];
            group[0] = group[1] = 0;
        }
        group[w->truth[i]] += k;
        cells[w->truth[i]][w->guess[i]] += k;
        loss += k * w->loss[i];
        brier += k * w->value[i];
        total += k;
    }
    wins += group[1] * (below + group[0] / 2);
    const struct cells c = {cells[1][1], cells[0][1], cells[1][0], cells[0][0]};
    double down[2];
    pass_down(w, mass, c.tp + c.fn, down);
    out[0] = gy_ratio(c.tp + c.tn, total);
    out[1] = gy_precision_of(c.tp, c.tp + c.fp, c.tp + c.fn);
    out[2] = gy_ratio(c.tp, c.tp + c.fn);
    out[3] = gy_ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn);
    out[4] = gy_ratio(wins, (c.tp + c.fn) * (c.fp + c.tn));
    out[5] = gy_ratio(loss, total);
    out[6] = down[0];
    out[7] = gy_ratio(brier, total);
    out[8] = mean_of_present(out[2], gy_ratio(c.tn, c.tn + c.fp));
    out[9] = binary_mcc(&c);
    out[10] = down[1];
}

/* ---- MULTICLASS ---- */

/* One class against the rest, by its own order. */
static double auc_of(const struct gy_measure *w, const double *mass, uint32_t class_,
                     double positives, double negatives)
{
    const uint32_t *order = w->orders + (size_t)class_ * w->n;
    double below = 0;
    double group[2] = {0};
    double wins = 0;
    for (size_t i = 0; i < w->n; i++) {
        uint32_t row = order[i] & GY_ORDER_ROW;
        if (!(order[i] & GY_ORDER_TIE)) {
            wins += group[1] * (below + group[0] / 2);
            below += group[0];
            group[0] = group[1] = 0;
        }
        group[w->truth[row] == class_] += mass[row];
    }
    wins += group[1] * (below + group[0] / 2);
    return gy_ratio(wins, positives * negatives);
}

static double auc_ovr(const struct gy_measure *w, const double *mass, const double *truths,
                      double total)
{
    double sum = 0;
    double told = 0;
    for (uint32_t c = 0; w->orders && c < w->n_classes; c++) {
        double auc = truths[c] > 0 && truths[c] < total
                         ? auc_of(w, mass, c, truths[c], total - truths[c])
                         : NAN;
        if (!isnan(auc)) {
            sum += auc;
            told++;
        }
    }
    return gy_ratio(sum, told);
}

/* Sums over the classes. */
struct over {
    double f1, precision, recall, present; /* present: in truth or guesses */
    double recall_of_truths, truths;       /* of the classes in truth */
    double weighted, square_truth, square_guess, product;
};

static struct over sum_over(const struct gy_measure *w, const double *counts)
{
    const double *hits = counts, *truths = counts + w->n_classes, *guesses = truths + w->n_classes;
    struct over s = {0};
    for (size_t c = 0; c < w->n_classes; c++) {
        s.square_truth += truths[c] * truths[c];
        s.square_guess += guesses[c] * guesses[c];
        s.product += truths[c] * guesses[c];
        if (!(truths[c] + guesses[c] > 0)) {
            continue;
        }
        double f1 = 2 * hits[c] / (truths[c] + guesses[c]);
        s.f1 += f1;
        s.weighted += truths[c] * f1;
        s.precision += guesses[c] > 0 ? hits[c] / guesses[c] : 0;
        s.recall += truths[c] > 0 ? hits[c] / truths[c] : 0;
        s.truths += truths[c] > 0;
        s.present++;
    }
    return s;
}

static void pass_multi(const struct gy_measure *w, const double *mass, double *counts, double *out)
{
    double *hits = counts, *truths = counts + w->n_classes, *guesses = truths + w->n_classes;
    double right = 0;
    double loss = 0;
    double brier = 0;
    double total = 0;
    memset(counts, 0, 3 * w->n_classes * sizeof *counts);
    for (size_t i = 0; i < w->n; i++) {
        double k = mass[i];
        truths[w->truth[i]] += k;
        guesses[w->guess[i]] += k;
        if (w->truth[i] == w->guess[i]) {
            hits[w->truth[i]] += k;
            right += k;
        }
        loss += k * w->loss[i];
        brier += k * w->value[i];
        total += k;
    }
    struct over s = sum_over(w, counts);
    double square = total * total;
    out[0] = gy_ratio(right, total);
    out[1] = gy_ratio(s.f1, s.present);
    out[2] = gy_ratio(loss, total);
    out[3] = gy_ratio(s.recall, s.truths);
    out[4] = gy_ratio(s.precision, s.present);
    out[5] = gy_ratio(s.recall, s.present);
    out[6] = gy_ratio(s.weighted, total);
    out[7] = auc_ovr(w, mass, truths, total);
    out[8] = mcc_of(right * total - s.product, square - s.square_truth, square - s.square_guess);
    out[9] = gy_ratio(brier, total);
}

/* ---- REGRESSION ---- */

/* Twice the area between the diagonal and the concentration curve, ties as straight pieces. */
static double gini_of(const struct gy_measure *w, const uint32_t *order, const double *mass)
{
    double area = 0;
    double x = 0;
    double y = 0;
    double dx = 0;
    double dy = 0;
    for (size_t i = 0; i < w->n; i++) {
        uint32_t row = order[i] & GY_ORDER_ROW;
        if (!(order[i] & GY_ORDER_TIE)) {
            area += dx * (y + dy / 2);
            x += dx;
            y += dy;
            dx = dy = 0;
        }
        dx += mass[row];
        dy += mass[row] * w->plain[row];
    }
    area += dx * (y + dy / 2);
    return 1 - 2 * gy_ratio(area, (x + dx) * (y + dy));
}

static double normalized_gini(const struct gy_measure *w, const double *mass)
{
    if (!w->orders) {
        return NAN;
    }
    double best = gini_of(w, w->orders + w->n, mass);
    return best > SPREAD_NOISE ? gini_of(w, w->orders, mass) / best : NAN;
}

static void pass_regression(const struct gy_measure *w, const double *mass, double *out)
{
    double squares = 0;
    double absolute = 0;
    double sum = 0;
    double sum2 = 0;
    double n = 0;
    double percent = 0;
    double errors = 0;
    double deviance = 0;
    for (size_t i = 0; i < w->n; i++) {
        double k = mass[i];
        squares += k * w->loss[i] * w->loss[i];
        absolute += k * fabs(w->loss[i]);
        sum += k * w->value[i];
        sum2 += k * w->value[i] * w->value[i];
        percent += k * w->percent[i];
        errors += k * w->loss[i];
        deviance += k * w->extra[i];
        n += k;
    }
    double spread = sum2 - gy_ratio(sum * sum, n);
    if (!(spread > SPREAD_NOISE * sum2)) {
        spread = 0; /* a replicate that drew one value only: what is left is rounding */
    }
    out[0] = sqrt(gy_ratio(squares, n));
    out[1] = gy_ratio(absolute, n);
    out[2] = spread > 0 ? 1 - squares / spread : NAN;
    out[3] = gy_ratio(percent, n);
    out[4] = gy_ratio(errors, n);
    out[5] = gy_ratio(deviance, n);
    out[6] = normalized_gini(w, mass);
}

/* ---- of any task ---- */

size_t gy_measure_room(const struct gy_measure *m)
{
    return m->task == GY_TASK_MULTICLASS ? 3 * m->n_classes * sizeof(double) : 0;
}

void gy_measure_pass(const void *measure, const double *mass, void *room, double *out)
{
    const struct gy_measure *m = measure;
    switch (m->task) {
    case GY_TASK_BINARY:
        pass_binary(m, mass, out);
        return;
    case GY_TASK_MULTICLASS:
        pass_multi(m, mass, room, out);
        return;
    case GY_TASK_REGRESSION:
        pass_regression(m, mass, out);
        return;
    }
}
