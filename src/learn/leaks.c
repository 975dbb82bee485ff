/* SPDX-License-Identifier: Apache-2.0 */
/* Columns that say the target itself: copies of it, what was written down after it was known, parts
 * that it is the sum of. A model that may look at them is perfect until it is needed. */
#include <math.h>

#include "base/mem.h"
#include "learn/survey_internal.h"

#define SURELY 0.999         /* of what could be told wrongly, told rightly */
#define SAME_QUANTITY 0.9995 /* r^2 */
#define SUSPICIOUS_R2 0.96
#define SUSPICIOUS_AUC 0.99
#define MIN_ROWS 20
#define ROWS_A_VALUE 5 /* on average; with fewer, equal values prove nothing */
#define CODE_VALUES 20 /* a number with more values is a quantity: it may well separate classes */
#define PAIR_ROWS 1000

static gy_status leak(struct gy_survey_job *j, struct gy_surveyed *c, struct gy_err *err,
                      const char *what, double number)
{
    struct gy_str target = j->o->target;
    return gy_survey_exclude(j, c, GY_USE_LEAK, err, "%s '%" GY_STR_F "' (%.4f)", what,
                             GY_STR_A(target), number);
}

/* ---- classes ---- */

/* The share of the rows outside of the largest class that the column's value alone tells rightly; a
 * missing value is a value here: "filled in only for the sick" is the commonest leak. */
static double told_by_value(const struct gy_survey_job *j, size_t *counts)
{
    size_t n_classes = j->s->n_classes, n = 0, right = 0, largest = 0, i = 0;
    while (i < j->t->n_rows) {
        size_t from = i, most = 0;
        memset(counts, 0, n_classes * sizeof *counts);
        for (; i < j->t->n_rows &&
               (i == from || (from >= j->n_cells) ||
                (i < j->n_cells && gy_survey_same(&j->cells[from], &j->cells[i])));
             i++) {
            double y = j->y[j->cells[i].row];
            if (!isnan(y)) {
                counts[(size_t)y]++;
                n++;
            }
        }
        for (size_t k = 0; k < n_classes; k++) {
            most = counts[k] > most ? counts[k] : most;
        }
        right += most;
    }
    for (size_t k = 0; k < n_classes; k++) {
        largest = j->s->classes[k].rows > largest ? j->s->classes[k].rows : largest;
    }
    return n > largest
               ? (double)(right - (right < largest ? right : largest)) / (double)(n - largest)
               : 0;
}

/* Of a binary target, over the rows with a value. */
static double auc(const struct gy_survey_job *j)
{
    double below = 0, wins = 0, n[2] = {0};
    for (size_t i = 0; i < j->n_cells;) {
        double group[2] = {0};
        size_t from = i;
        for (; i < j->n_cells && gy_survey_same(&j->cells[from], &j->cells[i]); i++) {
            double y = j->y[j->cells[i].row];
            group[!isnan(y) && y > 0.5] += !isnan(y);
        }
        wins += group[1] * (below + group[0] / 2);
        below += group[0];
        n[0] += group[0];
        n[1] += group[1];
    }
    double a = n[0] > 0 && n[1] > 0 ? wins / (n[0] * n[1]) : 0.5;
    return a < 0.5 ? 1 - a : a;
}

static gy_status against_classes(struct gy_survey_job *j, struct gy_surveyed *c, struct gy_err *err)
{
    size_t values = c->distinct + (c->missing > 0);
    size_t *counts = gy_arena_calloc(&j->s->arena, j->s->n_classes + 1, sizeof *counts);
    if (!counts) {
        return gy_err_set(err, GY_E_NOMEM, "surveying a table");
    }
    bool code = !c->column->numeric || c->distinct <= CODE_VALUES;
    if (code && values > 1 && values * ROWS_A_VALUE <= j->t->n_rows) {
        double told = told_by_value(j, counts);
        if (told >= SURELY) {
            return leak(j, c, err, "its value alone tells", told);
        }
    }
    double a = c->column->numeric && j->s->task == GY_TASK_BINARY ? auc(j) : 0;
    return a >= SUSPICIOUS_AUC
               ? gy_survey_warn(j, err,
                                "%" GY_STR_F " alone tells the target almost surely (AUC %.3f): is "
                                "it known before? If not: --drop it",
                                GY_STR_A(c->column->name), a)
               : GY_OK;
}

/* ---- quantities ---- */

/* Squared correlation over the rows that have both. */
static double r_squared(const struct gy_survey_job *j, const struct gy_table_column *c)
{
    double n = 0, x0 = 0, y0 = 0, xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < j->t->n_rows; i++) {
        double x = c->num[i], y = j->y[i];
        if (isnan(x) || isnan(y)) {
            continue;
        }
        n++; /* Welford: sums of squares lose everything for values like 1e9 + noise */
        double dx = x - x0, dy = y - y0;
        x0 += dx / n;
        y0 += dy / n;
        xx += dx * (x - x0);
        yy += dy * (y - y0);
        xy += dx * (y - y0);
    }
    return n >= MIN_ROWS && xx > 0 && yy > 0 ? xy * xy / (xx * yy) : 0;
}

static gy_status against_quantity(struct gy_survey_job *j, struct gy_surveyed *c,
                                  struct gy_err *err)
{
    double r2 = c->column->numeric ? r_squared(j, c->column) : 0;
    if (r2 >= SAME_QUANTITY) {
        return leak(j, c, err, "it is the same quantity as", r2);
    }
    return r2 >= SUSPICIOUS_R2
               ? gy_survey_warn(j, err,
                                "%" GY_STR_F " follows the target closely (r2 %.3f): is it known "
                                "before? If not: --drop it",
                                GY_STR_A(c->column->name), r2)
               : GY_OK;
}

gy_status gy_leaks_column(struct gy_survey_job *j, struct gy_surveyed *c, struct gy_err *err)
{
    if (j->t->n_rows < MIN_ROWS) {
        return GY_OK;
    }
    return j->s->task == GY_TASK_REGRESSION ? against_quantity(j, c, err)
                                            : against_classes(j, c, err);
}

/* ---- pairs ---- */

static bool equal(double a, double b)
{
    return fabs(a - b) <= 1e-6 * (fabs(a) + fabs(b) + 1e-9);
}

static double together(char op, double a, double b)
{
    return op == '+' ? a + b : op == '-' ? a - b : a * b;
}

/* Most pairs differ in the first row that is looked at. */
static bool pair_is_target(const struct gy_survey_job *j, const double *a, const double *b, char op)
{
    size_t step = j->t->n_rows > PAIR_ROWS ? j->t->n_rows / PAIR_ROWS : 1;
    size_t n = 0;
    for (size_t i = 0; i < j->t->n_rows; i += step) {
        if (isnan(a[i]) || isnan(b[i]) || isnan(j->y[i])) {
            continue;
        }
        if (!equal(together(op, a[i], b[i]), j->y[i])) {
            return false;
        }
        n++;
    }
    return n >= MIN_ROWS;
}

static gy_status exclude_pair(struct gy_survey_job *j, struct gy_surveyed *a, struct gy_surveyed *b,
                              char op, struct gy_err *err)
{
    struct gy_surveyed *both[] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        GY_TRY(gy_survey_exclude(
            j, both[i], GY_USE_LEAK, err, "%" GY_STR_F " %c %" GY_STR_F " is '%" GY_STR_F "'",
            GY_STR_A(a->column->name), op, GY_STR_A(b->column->name), GY_STR_A(j->o->target)));
    }
    return GY_OK;
}

gy_status gy_leaks_pairs(struct gy_survey_job *j, struct gy_err *err)
{
    static const char ops[] = {'+', '-', '-', '*'}; /* the second '-' is b - a */
    struct gy_survey *s = j->s;
    if (s->task != GY_TASK_REGRESSION) {
        return GY_OK;
    }
    for (size_t a = 0; a < s->n_columns; a++) {
        for (size_t b = a + 1; b < s->n_columns; b++) {
            struct gy_surveyed *x = &s->columns[a], *y = &s->columns[b];
            for (size_t k = 0; k < sizeof ops && x->use == GY_USE_INPUT && y->use == GY_USE_INPUT;
                 k++) {
                struct gy_surveyed *left = k == 2 ? y : x, *right = k == 2 ? x : y;
                if (pair_is_target(j, left->column->num, right->column->num, ops[k])) {
                    GY_TRY(exclude_pair(j, left, right, ops[k], err));
                }
            }
        }
    }
    return GY_OK;
}
