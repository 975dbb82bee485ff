/* SPDX-License-Identifier: Apache-2.0 */
/* gy_gather_finish of gather.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "data/gather_internal.h"
#include "data/times.h"

#define RESULT_MAX (1 * GY_GIB)

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for statistics");
}

/* ---- top values ---- */

/* A view into the tally, or into out. */
static struct gy_str value_text(const struct gather_column *c, size_t i, char out[GY_VALUE_TEXT])
{
    const struct gy_tally *t = &c->tally;
    if (c->list) {
        return gy_tally_text(t, i);
    }
    switch (c->type) {
    case GY_TYPE_INT:
        return gy_str_n(out, (size_t)snprintf(out, GY_VALUE_TEXT, "%lld",
                                              (long long)(int64_t)t->entries[i].key));
    case GY_TYPE_BOOL:
        return t->entries[i].key ? GY_STR("true") : GY_STR("false");
    case GY_TYPE_FLOAT:
        return gy_str_n(out, gy_fmt_f64_trim(gy_tally_number(t, i), out));
    case GY_TYPE_TIME:
        return gy_time_text(gy_tally_time_us(t->entries[i].key),
                            (enum gy_time_form)(t->entries[i].key & 3), out);
    case GY_TYPE_STRING:
    case GY_TYPE_IMAGE:
        break;
    }
    return gy_tally_text(t, i);
}

static int by_count_then_text(const void *a, const void *b)
{
    const struct gy_statistics_value *x = a, *y = b;
    if (x->count != y->count) {
        return x->count < y->count ? 1 : -1;
    }
    return gy_str_cmp(x->value, y->value);
}

/* The count that a value must have to come into question. */
static gy_status least_count(const struct gy_tally *t, int64_t *ret, struct gy_err *err)
{
    *ret = t->over ? t->short_by + 2 : 1; /* among very many, once is not frequent */
    if (t->n <= GY_STATISTICS_MAX_TOP) {
        return GY_OK;
    }
    int64_t *counts = gy_calloc(t->n, sizeof *counts);
    if (!counts) {
        return no_memory(err);
    }
    for (size_t i = 0; i < t->n; i++) {
        counts[i] = t->entries[i].count;
    }
    int64_t last = gy_count_select(counts, t->n, GY_STATISTICS_MAX_TOP - 1);
    *ret = *ret < last ? last : *ret;
    gy_free(counts);
    return GY_OK;
}

/* Texts are made of all values that come into question: among equally frequent ones the text
 * decides who stays. */
static gy_status fill_top(const struct gather_column *c, struct gy_arena *arena,
                          struct gy_arena *scratch, struct gy_statistics_column *to,
                          struct gy_err *err)
{
    const struct gy_tally *t = &c->tally;
    int64_t least = 0;
    GY_TRY(least_count(t, &least, err));
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        n += t->entries[i].count >= least;
    }
    struct gy_statistics_value *all = gy_arena_calloc(scratch, n, sizeof *all);
    if (!all) {
        return no_memory(err);
    }
    for (size_t i = 0, k = 0; i < t->n; i++) {
        if (t->entries[i].count >= least) {
            char out[GY_VALUE_TEXT];
            all[k] = (struct gy_statistics_value){gy_arena_str(scratch, value_text(c, i, out)),
                                                  t->entries[i].count};
            if (!all[k++].value.p) {
                return no_memory(err);
            }
        }
    }
    if (n > 1) {
        qsort(all, n, sizeof *all, by_count_then_text);
    }
    to->n_top = n < GY_STATISTICS_MAX_TOP ? n : GY_STATISTICS_MAX_TOP;
    to->top_is_all = !t->over && to->n_top == t->n;
    to->top_short_by = t->short_by;
    struct gy_statistics_value *top = gy_arena_calloc(arena, to->n_top, sizeof *top);
    for (size_t i = 0; top && i < to->n_top; i++) {
        top[i] = (struct gy_statistics_value){gy_arena_str(arena, all[i].value), all[i].count};
        if (!top[i].value.p) {
            return no_memory(err);
        }
    }
    to->top = top;
    return top ? GY_OK : no_memory(err);
}

/* ---- numbers ---- */

static void fill_bins(const struct gy_point *p, size_t n, struct gy_statistics_column *to)
{
    /* Halves, because max - min may be more than the largest double. */
    double low = to->min / 2, width = to->max / 2 - low;
    for (size_t i = 0; i < n; i++) {
        double at =
            width > 0 ? (p[i].v / 2 - low) / width * GY_STATISTICS_BINS : GY_STATISTICS_BINS;
        size_t bin = at >= GY_STATISTICS_BINS ? GY_STATISTICS_BINS - 1 : at > 0 ? (size_t)at : 0;
        to->bins[bin] += p[i].weight;
    }
}

static gy_status fill_numbers(const struct gather_column *c, struct gy_statistics_column *to,
                              struct gy_err *err)
{
    to->numeric = c->numeric;
    to->mean = to->sd = to->min = to->max = NAN;
    for (size_t i = 0; i < GY_STATISTICS_QUANTILES; i++) {
        to->quantiles[i] = NAN;
    }
    if (!c->numeric || c->count == 0) {
        return GY_OK;
    }
    to->mean = c->shift + c->moments.mean;
    to->sd = c->count > 1 ? sqrt(c->moments.m2 / (c->moments.n - 1)) : NAN;
    to->min = c->min;
    to->max = c->max;
    to->zeros = c->zeros;
    to->negative = c->negative;
    struct gy_point *points = NULL;
    size_t n = 0;
    GY_TRY(gy_tally_points(&c->tally, &points, &n, err));
    for (size_t i = 0; i < GY_STATISTICS_QUANTILES; i++) {
        to->quantiles[i] = gy_points_quantile(points, n, (double)i / (GY_STATISTICS_QUANTILES - 1));
    }
    to->quantiles[0] = c->min; /* which a sketch may have lost */
    to->quantiles[GY_STATISTICS_QUANTILES - 1] = c->max;
    fill_bins(points, n, to);
    gy_free(points);
    return GY_OK;
}

static gy_status fill_column(const struct gather_column *c, struct gy_arena *arena,
                             struct gy_statistics_column *to, struct gy_err *err)
{
    to->name = gy_arena_str(arena, c->name);
    to->type = c->type;
    to->role = c->role;
    to->count = c->count;
    to->missing = c->missing;
    to->invalid = c->invalid;
    bool all_differ = c->numeric && c->moments.n > 0 && (c->ascending || c->descending);
    to->distinct = all_differ ? c->count : gy_tally_distinct(&c->tally);
    int64_t values = c->list ? c->n_values : c->count;
    to->distinct = to->distinct > values ? values : to->distinct; /* an estimate may be above */
    to->distinct_exact = all_differ || !c->tally.over;
    to->list = c->list != '\0';
    to->n_values = c->list ? c->n_values : c->count;
    to->max_values = c->list ? c->max_values : c->count > 0;
    to->min_values = c->count == 0 ? 0 : c->list ? c->min_values : 1;
    to->mean_length = NAN;
    if (!c->numeric) {
        to->mean_length = values ? (double)c->length_sum / (double)values : NAN;
        to->max_length = c->max_length;
    }
    if (!to->name.p) {
        return no_memory(err);
    }
    GY_TRY(fill_numbers(c, to, err));
    struct gy_arena scratch;
    gy_arena_init(&scratch, RESULT_MAX);
    gy_status status = fill_top(c, arena, &scratch, to, err);
    gy_arena_done(&scratch);
    return status;
}

static double correlation(const struct pair *p)
{
    double spread = sqrt(p->xx) * sqrt(p->yy);
    if (!(p->n > 1) || !(spread > 0) || !isfinite(spread)) {
        return NAN;
    }
    double r = p->xy / spread;
    return r > 1 ? 1 : r < -1 ? -1 : r;
}

static gy_status fill_correlations(const struct gy_gather *g, struct gy_statistics *s,
                                   struct gy_err *err)
{
    size_t n = g->n_paired;
    double *r = gy_arena_calloc(&s->arena, n * n, sizeof *r);
    size_t *numbers = gy_arena_calloc(&s->arena, n, sizeof *numbers);
    if (!r || !numbers) {
        return no_memory(err);
    }
    const struct pair *p = g->pairs;
    for (size_t i = 0; i < n; i++) {
        numbers[i] = g->number_of[i];
        for (size_t k = 0; k <= i; k++, p++) {
            r[i * n + k] = r[k * n + i] = correlation(p);
        }
        /* Of a column with gaps, blocks with gaps do not reach the diagonal. */
        const struct gather_column *c = &g->columns[numbers[i]];
        r[i * n + i] = c->moments.n > 1 && c->moments.m2 > 0 ? 1 : NAN;
    }
    s->numbers = numbers;
    s->n_numbers = n;
    s->correlations = r;
    return GY_OK;
}

static gy_status fill(const struct gy_gather *g, struct gy_statistics *s, struct gy_err *err)
{
    s->rows = g->rows;
    s->broken = g->broken;
    s->distinct_rows = gy_tally_distinct(&g->rows_seen);
    s->distinct_rows_exact = !g->rows_seen.over;
    s->columns = gy_arena_calloc(&s->arena, g->n_columns, sizeof *s->columns);
    if (!s->columns) {
        return no_memory(err);
    }
    s->n_columns = g->n_columns;
    for (size_t i = 0; i < g->n_columns; i++) {
        GY_TRY(fill_column(&g->columns[i], &s->arena, &s->columns[i], err));
    }
    for (size_t i = 0; i < g->n_columns && s->rows > s->broken; i++) {
        const struct gy_statistics_column *c = &s->columns[i];
        if (!c->list && c->distinct_exact &&
            c->distinct == s->rows - s->broken) { /* so no row comes twice */
            s->distinct_rows = s->rows - s->broken;
            s->distinct_rows_exact = true;
        }
    }
    return fill_correlations(g, s, err);
}

gy_status gy_gather_finish(struct gy_gather *g, struct gy_statistics **ret, struct gy_err *err)
{
    GY_TRY(gy_gather_flush(g, err));
    GY_AUTO(gy_statistics_free) struct gy_statistics *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return no_memory(err);
    }
    gy_arena_init(&s->arena, RESULT_MAX);
    GY_TRY(fill(g, s, err));
    *ret = GY_TAKE(s);
    return GY_OK;
}
