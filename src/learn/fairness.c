/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/fairness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/mem.h"
#include "learn/evaluate.h"

#define NO_GROUP 255
#define MAX_DISTINCT 10 /* numbers of which each is a group */
#define RATES 4         /* of a group: selection, tpr, fpr, precision */
#define DISTANCES 4

/* Rows with a value, each in its group. */
struct grouped {
    size_t n, n_groups;
    const bool *counted; /* n_groups */
    uint8_t *group;      /* n */
    uint8_t *cell;       /* n: 2 * truth + guess */
    double *weight;      /* n */
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "fairness");
}

/* ---- groups ---- */

static gy_status too_many(struct gy_str column, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' has more than %d groups", GY_STR_A(column),
                     GY_FAIRNESS_MAX_GROUPS);
    return gy_err_hint(err, "numbers can be given edges, texts be put into fewer classes");
}

static int by_name(const void *a, const void *b)
{
    return gy_str_cmp(((const struct gy_fairness_group *)a)->name,
                      ((const struct gy_fairness_group *)b)->name);
}

static size_t find_group(const struct gy_fairness *f, struct gy_str name)
{
    size_t k = 0;
    while (k < f->n_groups && !gy_str_eq(f->groups[k].name, name)) {
        k++;
    }
    return k;
}

static gy_status text_groups(const struct gy_table_column *c, const uint32_t *rows, size_t n,
                             struct gy_fairness *f, uint8_t *of, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct gy_str text = c->text[rows[i]];
        if (!text.p || find_group(f, text) < f->n_groups) {
            continue;
        }
        if (f->n_groups == GY_FAIRNESS_MAX_GROUPS) {
            return too_many(f->column, err);
        }
        f->groups[f->n_groups++].name = text;
    }
    qsort(f->groups, f->n_groups, sizeof *f->groups, by_name);
    for (size_t i = 0; i < n; i++) {
        struct gy_str text = c->text[rows[i]];
        of[i] = text.p ? (uint8_t)find_group(f, text) : NO_GROUP;
    }
    return GY_OK;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Each distinct number of `sorted` a group, when there are few. */
static size_t distinct(const double *sorted, size_t n, double *out, size_t max)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || sorted[i] != sorted[i - 1]) {
            if (k == max) {
                return max + 1;
            }
            out[k++] = sorted[i];
        }
    }
    return k;
}

static gy_status edge_names(struct gy_fairness *f, const double *edges, size_t n_edges,
                            struct gy_arena *a, struct gy_err *err)
{
    for (size_t k = 0; k <= n_edges; k++) {
        char low[32];
        char high[32];
        low[k > 0 ? gy_fmt_f64_trim(edges[k - 1], low) : 0] = '\0';
        high[k < n_edges ? gy_fmt_f64_trim(edges[k], high) : 0] = '\0';
        const char *name = k == 0         ? gy_arena_printf(a, "< %s", high)
                           : k == n_edges ? gy_arena_printf(a, ">= %s", low)
                                          : gy_arena_printf(a, "%s to %s", low, high);
        if (!name) {
            return no_memory(err);
        }
        f->groups[k].name = gy_str_c(name);
    }
    f->n_groups = n_edges + 1;
    return GY_OK;
}

static void by_edges(const double *v, const uint32_t *rows, size_t n, const double *edges,
                     size_t n_edges, uint8_t *of)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < n_edges && v[rows[i]] >= edges[k]) {
            k++;
        }
        of[i] = isnan(v[rows[i]]) ? NO_GROUP : (uint8_t)k;
    }
}

/* Few numbers are groups of their own; more fall into quartiles. */
static gy_status told_groups(const double *v, const uint32_t *rows, size_t n, double *sorted,
                             struct gy_arena *a, struct gy_fairness *f, uint8_t *of,
                             struct gy_err *err)
{
    double values[MAX_DISTINCT];
    double edges[3];
    size_t kept = 0;
    size_t n_edges = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(v[rows[i]])) {
            sorted[kept++] = v[rows[i]];
        }
    }
    qsort(sorted, kept, sizeof *sorted, compare_doubles);
    size_t k = distinct(sorted, kept, values, MAX_DISTINCT);
    if (k <= MAX_DISTINCT) {
        for (size_t g = 0; g < k; g++) {
            char text[32];
            f->groups[g].name = gy_arena_str(a, gy_str_n(text, gy_fmt_f64_trim(values[g], text)));
            if (!f->groups[g].name.p) {
                return no_memory(err);
            }
        }
        f->n_groups = k;
        by_edges(v, rows, n, values + (k > 0), k > 0 ? k - 1 : 0, of);
        return GY_OK;
    }
    for (size_t q = 1; q <= 3; q++) {
        double edge = gy_quantile_of_sorted(sorted, kept, (double)q / 4);
        if (edge > sorted[0] && (n_edges == 0 || edge > edges[n_edges - 1])) {
            edges[n_edges++] = edge;
        }
    }
    GY_TRY(edge_names(f, edges, n_edges, a, err));
    by_edges(v, rows, n, edges, n_edges, of);
    return GY_OK;
}

static gy_status number_groups(const struct gy_table_column *c, const struct gy_fairness_spec *spec,
                               const uint32_t *rows, size_t n, struct gy_arena *a,
                               struct gy_fairness *f, uint8_t *of, struct gy_err *err)
{
    for (size_t k = 0; k < spec->n_edges; k++) {
        if (!isfinite(spec->edges[k]) || (k > 0 && !(spec->edges[k] > spec->edges[k - 1]))) {
            return gy_err_set(err, GY_E_INVALID, "the edges of '%" GY_STR_F "' do not ascend",
                              GY_STR_A(spec->column));
        }
    }
    if (spec->n_edges >= GY_FAIRNESS_MAX_GROUPS) {
        return too_many(spec->column, err);
    }
    if (spec->n_edges > 0) {
        GY_TRY(edge_names(f, spec->edges, spec->n_edges, a, err));
        by_edges(c->num, rows, n, spec->edges, spec->n_edges, of);
        return GY_OK;
    }
    GY_AUTO(gy_doubles_free) double *sorted = gy_doubles_new(n, 1);
    if (!sorted) {
        return no_memory(err);
    }
    return told_groups(c->num, rows, n, sorted, a, f, of, err);
}

/* ---- one pass ---- */

/* The largest less the smallest, or the smallest over the largest, of the groups that count. */
static double distance(const struct grouped *g, const double *rates, size_t rate, bool ratio)
{
    double low = INFINITY;
    double high = -INFINITY;
    size_t told = 0;
    for (size_t k = 0; k < g->n_groups; k++) {
        double v = rates[k * RATES + rate];
        if (g->counted[k] && !isnan(v)) {
            low = fmin(low, v);
            high = fmax(high, v);
            told++;
        }
    }
    if (told < 2 || (ratio && !(high > 0))) {
        return NAN;
    }
    return ratio ? low / high : high - low;
}

static double share(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

/* out: RATES a group, then the distances. room: 4 sums a group, by 2 * truth + guess. */
static void pass_groups(const void *ctx, const double *mass, void *room, double *out)
{
    const struct grouped *g = ctx;
    double *sums = room;
    memset(sums, 0, 4 * g->n_groups * sizeof *sums);
    for (size_t i = 0; i < g->n; i++) {
        sums[(size_t)4 * g->group[i] + g->cell[i]] += mass[i];
    }
    for (size_t k = 0; k < g->n_groups; k++) {
        const double *s = sums + 4 * k;
        double *rates = out + RATES * k;
        rates[0] = share(s[1] + s[3], s[0] + s[1] + s[2] + s[3]);
        rates[1] = share(s[3], s[2] + s[3]);
        rates[2] = share(s[1], s[0] + s[1]);
        rates[3] = share(s[3], s[1] + s[3]);
    }
    double *far = out + RATES * g->n_groups;
    far[0] = distance(g, out, 0, true);
    far[1] = distance(g, out, 1, false);
    far[2] = distance(g, out, 2, false);
    far[3] = distance(g, out, 3, false);
}

static struct gy_metric *metric_at(struct gy_fairness *f, size_t i, const char **ret_name)
{
    static const char *const rates[] = {"selection_rate", "tpr", "fpr", "precision"};
    static const char *const distances[] = {"disparate_impact", "equal_opportunity_difference",
                                            "predictive_equality_difference",
                                            "predictive_parity_difference"};
    if (i < RATES * f->n_groups) {
        struct gy_fairness_group *g = &f->groups[i / RATES];
        struct gy_metric *const of[] = {&g->selection_rate, &g->tpr, &g->fpr, &g->precision};
        *ret_name = rates[i % RATES];
        return of[i % RATES];
    }
    struct gy_metric *const of[] = {&f->disparate_impact, &f->equal_opportunity,
                                    &f->predictive_equality, &f->predictive_parity};
    *ret_name = distances[i - RATES * f->n_groups];
    return of[i - RATES * f->n_groups];
}

static gy_status measure(const struct grouped *g, const struct gy_scored *s,
                         const struct gy_bootstrap_options *o, struct gy_fairness *f,
                         struct gy_err *err)
{
    double values[RATES * GY_FAIRNESS_MAX_GROUPS + DISTANCES];
    double sums[4 * GY_FAIRNESS_MAX_GROUPS];
    size_t n_values = RATES * g->n_groups + DISTANCES;
    size_t replicates = g->n > 0 ? o->replicates : 0;
    GY_AUTO(gy_doubles_free) double *results = gy_doubles_new(replicates, n_values);
    if (!results && replicates > 0) {
        return no_memory(err);
    }
    pass_groups(g, g->weight, sums, values);
    const struct gy_bootstrap b = {.n_rows = g->n,
                                   .replicates = replicates,
                                   .n_values = n_values,
                                   .seed = o->seed,
                                   .n_threads = o->n_threads,
                                   .weight = s->weight ? g->weight : NULL,
                                   .pass = pass_groups,
                                   .ctx = g,
                                   .room_bytes = 4 * g->n_groups * sizeof(double)};
    GY_TRY(gy_bootstrap_run(&b, results, err));
    for (size_t i = 0; i < n_values; i++) {
        const char *name = NULL;
        struct gy_metric *m = metric_at(f, i, &name);
        *m = (struct gy_metric){.name = name,
                                .value = values[i],
                                .low = NAN,
                                .high = NAN,
                                .lower_is_better = i > RATES * f->n_groups};
        if (replicates > 0) {
            gy_bootstrap_interval(results + i * replicates, replicates, &m->low, &m->high);
        }
    }
    f->four_fifths = f->disparate_impact.value >= GY_FAIRNESS_FOUR_FIFTHS;
    return GY_OK;
}

/* ---- the whole ---- */

/* Keep the rows that have a group. */
static void fill_rows(const struct gy_scored *s, const uint8_t *of, struct grouped *g,
                      struct gy_fairness *f)
{
    for (size_t i = 0; i < s->n_rows; i++) {
        if (of[i] == NO_GROUP) {
            f->n_missing++;
            continue;
        }
        g->group[g->n] = of[i];
        g->cell[g->n] = (uint8_t)(2 * (s->truth[i] > 0.5) + (s->out[i] >= s->threshold));
        g->weight[g->n++] = s->weight ? s->weight[i] : 1;
        f->groups[of[i]].n_rows++;
    }
}

gy_status gy_fairness_of(const struct gy_table *t, const struct gy_fairness_spec *spec,
                         const uint32_t *rows, const struct gy_scored *s,
                         const struct gy_bootstrap_options *o, struct gy_arena *a,
                         struct gy_fairness *ret, struct gy_err *err)
{
    size_t n = s->n_rows;
    bool counted[GY_FAIRNESS_MAX_GROUPS];
    const struct gy_table_column *c = gy_table_column(t, spec->column);
    *ret = (struct gy_fairness){.column = gy_arena_str(a, spec->column)};
    if (!c) {
        return gy_err_set(err, GY_E_NOTFOUND, "the table has no column '%" GY_STR_F "'",
                          GY_STR_A(spec->column));
    }
    if (s->task != GY_TASK_BINARY || n == 0 || o->replicates > GY_METRICS_MAX_REPLICATES) {
        return gy_err_set(err, GY_E_INVALID, "fairness is told of binary models, on some rows");
    }
    ret->groups = gy_arena_calloc(a, GY_FAIRNESS_MAX_GROUPS, sizeof *ret->groups);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, sizeof(double) + 3);
    if (!ret->column.p || !ret->groups || !room) {
        return no_memory(err);
    }
    struct grouped g = {.weight = (double *)(void *)room, .counted = counted};
    g.group = (uint8_t *)(g.weight + n);
    g.cell = g.group + n;
    uint8_t *of = g.cell + n;
    GY_TRY(c->numeric ? number_groups(c, spec, rows, n, a, ret, of, err)
                      : text_groups(c, rows, n, ret, of, err));
    for (size_t k = 0; k < ret->n_groups; k++) {
        ret->groups[k].name = gy_arena_str(a, ret->groups[k].name);
        if (!ret->groups[k].name.p) {
            return no_memory(err);
        }
    }
    fill_rows(s, of, &g, ret);
    g.n_groups = ret->n_groups;
    for (size_t k = 0; k < ret->n_groups; k++) {
        counted[k] = ret->groups[k].counted = ret->groups[k].n_rows >= GY_FAIRNESS_MIN_ROWS;
    }
    return measure(&g, s, o, ret, err);
}

/* ---- as JSON ---- */

void gy_fairness_write(struct gy_jw *w, const struct gy_fairness *f)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "column", f->column);
    if (f->reason.p) {
        gy_jw_kv_str(w, "reason", f->reason);
        gy_jw_obj_end(w);
        return;
    }
    gy_jw_kv_i64(w, "missing", (int64_t)f->n_missing);
    gy_jw_kv_bool(w, "four_fifths", f->four_fifths);
    gy_metric_write(w, &f->disparate_impact);
    gy_metric_write(w, &f->equal_opportunity);
    gy_metric_write(w, &f->predictive_equality);
    gy_metric_write(w, &f->predictive_parity);
    gy_jw_key(w, "groups");
    gy_jw_arr(w);
    for (size_t k = 0; k < f->n_groups; k++) {
        const struct gy_fairness_group *g = &f->groups[k];
        gy_jw_obj(w);
        gy_jw_kv_str(w, "group", g->name);
        gy_jw_kv_i64(w, "rows", (int64_t)g->n_rows);
        gy_jw_kv_bool(w, "counted", g->counted);
        gy_metric_write(w, &g->selection_rate);
        gy_metric_write(w, &g->tpr);
        gy_metric_write(w, &g->fpr);
        gy_metric_write(w, &g->precision);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}
