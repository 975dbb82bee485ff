/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics over bins or cells: Jensen-Shannon, PSI, Kullback-Leibler, Hellinger. The bins are
 * those of numpy.histogram_bin_edges(..., "sturges") over both columns: their edges move with the
 * current column, which is what Evidently's thresholds were made for. */
#include <math.h>

#include "base/mem.h"
#include "watch/stat_internal.h"

#define FEW_VALUES 20 /* a number with at most so many reference values is a cell each */

struct cells {
    double *a, *b; /* counts of the reference and of the current column */
    size_t n;
    char *memory;
};

static gy_status make_cells(size_t n, struct cells *ret, struct gy_err *err)
{
    *ret = (struct cells){.memory = gy_calloc(n ? n : 1, 2 * sizeof(double)), .n = n};
    if (!ret->memory) {
        return gy_err_set(err, GY_E_NOMEM, "counting into %zu bins", n);
    }
    ret->a = (double *)(void *)ret->memory;
    ret->b = ret->a + n;
    return GY_OK;
}

static gy_status cell_a_value(const struct gy_values *a, const struct gy_values *b,
                              struct cells *ret, struct gy_err *err)
{
    GY_TRY(make_cells(gy_stat_union(a, b), ret, err));
    struct gy_stat_walk w = {.a = a, .b = b};
    for (size_t i = 0; gy_stat_step(&w); i++) {
        ret->a[i] = (double)w.count_a;
        ret->b[i] = (double)w.count_b;
    }
    return GY_OK;
}

struct edges {
    double low, high, step;
    size_t n; /* bins */
};

/* Bin i is [edge i, edge i+1), the last one closed. */
static double edge(const struct edges *e, size_t i)
{
    return i == e->n ? e->high : (double)i * e->step + e->low;
}

/* n: how many numbers numpy would have been given. */
static struct edges sturges(const struct gy_values *a, const struct gy_values *b, double n)
{
    struct edges e = {.low = fmin(a->values[0], b->values[0]),
                      .high = fmax(a->values[a->n - 1], b->values[b->n - 1]),
                      .n = 1};
    double width = (e.high - e.low) / (log2(n) + 1.0);
    if (e.low == e.high) {
        e.low -= 0.5;
        e.high += 0.5;
    } else if (width > 0 && isfinite(width)) {
        e.n = (size_t)ceil((e.high - e.low) / width);
    }
    e.step = (e.high - e.low) / (double)e.n;
    return e;
}

static void count_into(const struct edges *e, const struct gy_values *v, double *to)
{
    size_t bin = 0;
    for (size_t i = 0; i < v->n; i++) {
        while (bin + 1 < e->n && v->values[i] >= edge(e, bin + 1)) {
            bin++;
        }
        to[bin] += (double)v->counts[i];
    }
}

static gy_status cell_a_bin(const struct gy_values *a, const struct gy_values *b, double n,
                            struct cells *ret, struct gy_err *err)
{
    struct edges e = sturges(a, b, n);
    GY_TRY(make_cells(e.n, ret, err));
    count_into(&e, a, ret->a);
    count_into(&e, b, ret->b);
    return GY_OK;
}

static void shares(double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i];
    }
    for (size_t i = 0; i < n; i++) {
        x[i] /= sum;
    }
}

/* A share of zero has no logarithm: it becomes a small one, each side by itself. */
static void fill_zeros(double *p, size_t n)
{
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        least = p[i] > 0 && p[i] < least ? p[i] : least;
    }
    double small = least <= 0.0001 ? least / 1e6 : 0.0001;
    for (size_t i = 0; i < n; i++) {
        p[i] = p[i] == 0 ? small : p[i];
    }
}

static double term(double p, double q)
{
    return p > 0 ? p * log(p / q) : 0;
}

static double jensen_shannon(const struct cells *c)
{
    double left = 0, right = 0;
    for (size_t i = 0; i < c->n; i++) {
        double middle = (c->a[i] + c->b[i]) / 2;
        left += term(c->a[i], middle);
        right += term(c->b[i], middle);
    }
    double sum = (left + right) / 2;
    return sum > 0 ? sqrt(sum) : 0; /* equal columns may round below 0 */
}

static double stability_index(const struct cells *c)
{
    double sum = 0;
    for (size_t i = 0; i < c->n; i++) {
        sum += (c->a[i] - c->b[i]) * log(c->a[i] / c->b[i]);
    }
    return sum;
}

static double kullback_leibler(const struct cells *c)
{
    double sum = 0;
    shares(c->a, c->n); /* filling zeros made the sums larger than 1 */
    shares(c->b, c->n);
    for (size_t i = 0; i < c->n; i++) {
        sum += term(c->a[i], c->b[i]);
    }
    return sum;
}

static double hellinger(const struct cells *c)
{
    double same = 0;
    for (size_t i = 0; i < c->n; i++) {
        same += sqrt(c->a[i] * c->b[i]);
    }
    return sqrt(1 - (same > 1 ? 1 : same));
}

gy_status gy_stat_binned(enum gy_stat s, const struct gy_values *reference,
                         const struct gy_values *current, bool categorical, double *ret,
                         struct gy_err *err)
{
    struct cells c;
    if (s == GY_STAT_HELLINGER && !categorical) {
        /* Evidently bins the DISTINCT values here, however often they come. */
        double n = (double)gy_stat_union(reference, current);
        GY_TRY(cell_a_bin(reference, current, n, &c, err));
    } else if (categorical || reference->n <= FEW_VALUES || s == GY_STAT_HELLINGER) {
        GY_TRY(cell_a_value(reference, current, &c, err));
    } else {
        double n = (double)reference->total + (double)current->total;
        GY_TRY(cell_a_bin(reference, current, n, &c, err));
    }
    shares(c.a, c.n);
    shares(c.b, c.n);
    if (s == GY_STAT_PSI || s == GY_STAT_KL) {
        fill_zeros(c.a, c.n);
        fill_zeros(c.b, c.n);
    }
    *ret = s == GY_STAT_PSI         ? stability_index(&c)
           : s == GY_STAT_KL        ? kullback_leibler(&c)
           : s == GY_STAT_HELLINGER ? hellinger(&c)
                                    : jensen_shannon(&c);
    gy_free(c.memory);
    return GY_OK;
}
