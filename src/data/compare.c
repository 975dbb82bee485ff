/* SPDX-License-Identifier: Apache-2.0 */
#include "data/compare.h"

#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"

/* Two sides, cell by cell. */
struct cells {
    double *a, *b;
    size_t n;
};

static void cells_done(struct cells *c)
{
    gy_free(c->a);
    gy_free(c->b);
}
GY_DEFINE_AUTO_DONE(struct cells, cells_done);

static gy_status cells_init(struct cells *c, size_t max, struct gy_err *err)
{
    *c = (struct cells){gy_calloc(max + 1, sizeof *c->a), gy_calloc(max + 1, sizeof *c->b), 0};
    return c->a && c->b ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory for a comparison");
}

const char *gy_measure_name(enum gy_measure m)
{
    static const char *const names[] = {"infinity_norm", "jensen_shannon_divergence",
                                        "normalized_abs_difference"};
    return names[m];
}

const char *gy_measure_formula(enum gy_measure m)
{
    static const char *const formulas[] = {
        "largest difference of the shares of a value: max |p - q|",
        "Jensen-Shannon divergence, base 2: (KL(p||m) + KL(q||m)) / 2 with m = (p + q) / 2",
        "sum of the differences of the counts over all of them: sum |a - b| / (sum a + sum b)"};
    return formulas[m];
}

double gy_comparator_limit(const struct gy_comparator *c, enum gy_measure m)
{
    return m == GY_MEASURE_L_INFTY          ? c->infinity_norm
           : m == GY_MEASURE_JENSEN_SHANNON ? c->jensen_shannon
                                            : c->normalized_abs_difference;
}

/* ---- by values ---- */

static double rest_of(const struct gy_statistics_column *c)
{
    double rest = (double)(c->list ? c->n_values : c->count);
    for (size_t i = 0; i < c->n_top; i++) {
        rest -= (double)c->top[i].count;
    }
    return c->top_is_all || rest < 0 ? 0 : rest;
}

static gy_status by_values(const struct gy_statistics_column *a,
                           const struct gy_statistics_column *b, struct cells *c,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_map_done) struct gy_map places;
    gy_map_init(&places, GY_STATISTICS_MAX_TOP + 1);
    GY_TRY(cells_init(c, a->n_top + b->n_top + 1, err));
    for (size_t i = 0; i < a->n_top; i++) {
        c->a[c->n] = (double)a->top[i].count;
        GY_TRY(gy_map_put(&places, a->top[i].value, &c->a[c->n], err));
        c->n++;
    }
    for (size_t i = 0; i < b->n_top; i++) {
        const double *place = gy_map_get(&places, b->top[i].value);
        c->b[place ? (size_t)(place - c->a) : c->n++] = (double)b->top[i].count;
    }
    c->a[c->n] = rest_of(a);
    c->b[c->n] = rest_of(b);
    c->n++;
    return GY_OK;
}

/* ---- by histogram ---- */

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The mass of a column in [low, high), evenly spread within its bins; none of one value, a point.
 */
static double mass_between(const struct gy_statistics_column *c, double low, double high)
{
    if (!(c->max > c->min)) {
        return 0;
    }
    const double width = (c->max - c->min) / GY_STATISTICS_BINS;
    double mass = 0;
    for (int i = 0; i < GY_STATISTICS_BINS; i++) {
        double from = c->min + width * i, to = i + 1 == GY_STATISTICS_BINS ? c->max : from + width;
        double start = low > from ? low : from, end = high < to ? high : to;
        if (end > start && to > from) {
            mass += (double)c->bins[i] * (end - start) / (to - from);
        }
    }
    return mass;
}

static double point_at(const struct gy_statistics_column *c, double x)
{
    return c->max > c->min || c->min < x || c->min > x ? 0 : (double)c->count;
}

static size_t add_bounds(const struct gy_statistics_column *c, double *bounds)
{
    for (int i = 0; i <= GY_STATISTICS_BINS; i++) {
        bounds[i] =
            i == GY_STATISTICS_BINS ? c->max : c->min + (c->max - c->min) / GY_STATISTICS_BINS * i;
    }
    return GY_STATISTICS_BINS + 1;
}

static gy_status by_histogram(const struct gy_statistics_column *a,
                              const struct gy_statistics_column *b, struct cells *c,
                              struct gy_err *err)
{
    double bounds[2 * (GY_STATISTICS_BINS + 1)];
    size_t n = add_bounds(a, bounds);
    n += add_bounds(b, bounds + n);
    qsort(bounds, n, sizeof bounds[0], compare_numbers);
    GY_TRY(cells_init(c, 2 * n, err));
    for (size_t i = 0; i < n; i++) {
        bool again = i > 0 && bounds[i] <= bounds[i - 1];
        if (!again) {
            c->a[c->n] = point_at(a, bounds[i]);
            c->b[c->n] = point_at(b, bounds[i]);
            c->n++;
        }
        if (i + 1 < n && bounds[i + 1] > bounds[i]) {
            c->a[c->n] = mass_between(a, bounds[i], bounds[i + 1]);
            c->b[c->n] = mass_between(b, bounds[i], bounds[i + 1]);
            c->n++;
        }
    }
    return GY_OK;
}

/* ---- the measures ---- */

static double divergence(double p, double m)
{
    return p > 0 ? p * log2(p / m) : 0;
}

static double measure(enum gy_measure m, const struct cells *c)
{
    double sum_a = 0, sum_b = 0, value = 0;
    for (size_t i = 0; i < c->n; i++) {
        sum_a += c->a[i];
        sum_b += c->b[i];
    }
    if (!(sum_a > 0) || !(sum_b > 0)) {
        return NAN;
    }
    for (size_t i = 0; i < c->n; i++) {
        double p = c->a[i] / sum_a, q = c->b[i] / sum_b;
        switch (m) {
        case GY_MEASURE_L_INFTY:
            value = fabs(p - q) > value ? fabs(p - q) : value;
            break;
        case GY_MEASURE_JENSEN_SHANNON:
            value += (divergence(p, (p + q) / 2) + divergence(q, (p + q) / 2)) / 2;
            break;
        case GY_MEASURE_ABS_DIFFERENCE:
            value += fabs(c->a[i] - c->b[i]) / (sum_a + sum_b);
            break;
        }
    }
    return value < 0 ? 0 : value > 1 ? 1 : value; /* rounding */
}

gy_status gy_compare(enum gy_measure m, const struct gy_statistics_column *a,
                     const struct gy_statistics_column *b, bool categorical, double *ret,
                     struct gy_err *err)
{
    GY_AUTO_DONE(cells_done) struct cells cells = {NULL, NULL, 0};
    *ret = NAN;
    if (a->count == 0 || b->count == 0) {
        return GY_OK;
    }
    GY_TRY(categorical || !a->numeric || !b->numeric ? by_values(a, b, &cells, err)
                                                     : by_histogram(a, b, &cells, err));
    *ret = measure(m, &cells);
    return GY_OK;
}
