/* SPDX-License-Identifier: Apache-2.0 */
/* gy_made_from_statistics of synth_table.h. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "data/synth_table.h"

#define ARENA_MAX (1 * GY_GIB)
#define LEAST_ROWS 20      /* fewer do not show that a column names rows */
#define LEAST_REPEATED 2.0 /* rows a value, on average, for its values to be choices */
#define MAX_DECIMALS 9
#define DAY 86400.0

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for made rows");
}

/* ---- choices ---- */

static double number_of(enum gy_type type, struct gy_str text)
{
    double v = NAN;
    int64_t us = 0;
    enum gy_time_form form;
    if (type == GY_TYPE_BOOL) {
        return gy_str_eqc(text, "true") ? 1 : 0;
    }
    if (type == GY_TYPE_TIME) {
        return gy_column_time(NULL, text, &us, &form) ? (double)us / 1e6 : NAN;
    }
    if (type == GY_TYPE_INT || type == GY_TYPE_FLOAT) {
        return gy_parse_f64(text, &v, NULL) == GY_OK ? v : NAN;
    }
    return v;
}

static int by_number(const void *a, const void *b)
{
    double x = ((const struct gy_made_value *)a)->number,
           y = ((const struct gy_made_value *)b)->number;
    return (x > y) - (x < y);
}

/* Of the top values that came often enough; in `upto` their counts stand until they are sorted. */
static gy_status take_choices(const struct gy_statistics_column *c, int64_t least,
                              struct gy_arena *arena, struct gy_made_column *to, struct gy_err *err)
{
    struct gy_made_value *values = gy_arena_calloc(arena, c->n_top, sizeof *values);
    size_t n = 0;
    double total = 0, upto = 0;
    if (!values) {
        return no_memory(err);
    }
    for (size_t i = 0; i < c->n_top; i++) {
        if (c->top[i].count < least) {
            continue;
        }
        struct gy_made_value *v = &values[n++];
        v->text = gy_arena_str(arena, c->top[i].value);
        v->number = c->list ? NAN : number_of(c->type, c->top[i].value);
        v->upto = (double)c->top[i].count;
        total += v->upto;
        if (!v->text.p) {
            return no_memory(err);
        }
    }
    if (n > 1 && c->numeric) {
        qsort(values, n, sizeof *values, by_number);
    }
    for (size_t i = 0; i < n; i++) {
        upto += values[i].upto;
        values[i].upto = i + 1 == n ? 1 : upto / total;
    }
    to->values = values;
    to->n_values = n;
    to->kind = GY_MADE_CHOICE;
    return GY_OK;
}

/* ---- curves ---- */

static int by_place(const void *a, const void *b)
{
    const struct gy_made_point *x = a, *y = b;
    if (x->v != y->v) {
        return x->v < y->v ? -1 : 1;
    }
    return (x->upto > y->upto) - (x->upto < y->upto);
}

/* Deciles and the edges of the histogram are both points of the distribution function: those show
 * a long tail, these a body that lies in one bin. */
static gy_status take_curve(const struct gy_statistics_column *c, struct gy_arena *arena,
                            struct gy_made_column *to, struct gy_err *err)
{
    struct gy_made_point *p =
        gy_arena_calloc(arena, GY_STATISTICS_QUANTILES + GY_STATISTICS_BINS, sizeof *p);
    size_t n = 0;
    int64_t below = 0;
    if (!p) {
        return no_memory(err);
    }
    for (size_t i = 0; i < GY_STATISTICS_QUANTILES; i++) {
        p[n++] = (struct gy_made_point){c->quantiles[i], (double)i / (GY_STATISTICS_QUANTILES - 1)};
    }
    for (size_t i = 1; i < GY_STATISTICS_BINS; i++) {
        below += c->bins[i - 1];
        p[n++] = (struct gy_made_point){c->min + (c->max - c->min) * (double)i / GY_STATISTICS_BINS,
                                        (double)below / (double)c->count};
    }
    qsort(p, n, sizeof *p, by_place);
    for (size_t i = 1; i < n; i++) { /* estimates may contradict each other a little */
        p[i].upto = fmax(p[i].upto, p[i - 1].upto);
    }
    p[n - 1].upto = 1;
    to->points = p;
    to->n_points = n;
    to->kind = GY_MADE_CURVE;
    return GY_OK;
}

/* Decimals of a number's shortest text; -1: more than are kept, or an exponent. */
static int decimals_of(struct gy_str text)
{
    size_t point = gy_str_find(text, '.');
    if (gy_str_find(text, 'e') != SIZE_MAX) {
        return -1;
    }
    size_t n = point == SIZE_MAX ? 0 : text.n - point - 1;
    return n > MAX_DECIMALS ? -1 : (int)n;
}

static int decimals(const struct gy_statistics_column *c)
{
    int most = 0;
    char text[32];
    const double ends[2] = {c->min, c->max};
    for (size_t i = 0; i < 2; i++) {
        int d = decimals_of(gy_str_n(text, gy_fmt_f64_trim(ends[i], text)));
        most = d < 0 || most < 0 ? -1 : d > most ? d : most;
    }
    for (size_t i = 0; i < c->n_top && most >= 0; i++) {
        int d = decimals_of(c->top[i].value);
        most = d < 0 ? -1 : d > most ? d : most;
    }
    return most;
}

static enum gy_time_form form_of(const struct gy_statistics_column *c)
{
    if (c->n_top > 0 && c->top[0].value.n > 0) {
        struct gy_str text = c->top[0].value;
        return text.n == 10                ? GY_TIME_DAY
               : text.p[text.n - 1] == 'Z' ? GY_TIME_ZONED
                                           : GY_TIME_LOCAL;
    }
    bool days = fmod(c->min, DAY) == 0 && fmod(c->max, DAY) == 0 &&
                fmod(c->quantiles[GY_STATISTICS_QUANTILES / 2], DAY) == 0;
    return days ? GY_TIME_DAY : GY_TIME_ZONED;
}

/* ---- a column ---- */

static bool names_rows(const struct gy_statistics *s, const struct gy_statistics_column *c)
{
    bool all_differ = c->distinct_exact && c->distinct == c->count &&
                      c->count == s->rows - s->broken && c->count >= LEAST_ROWS;
    return c->role == GY_ROLE_ID || (all_differ && c->role == GY_ROLE_FEATURE && !c->list &&
                                     (c->type == GY_TYPE_INT || c->type == GY_TYPE_STRING));
}

static gy_status take_column(const struct gy_statistics *s, const struct gy_statistics_column *c,
                             struct gy_arena *arena, struct gy_made_column *to, struct gy_err *err)
{
    int64_t told = c->count + c->missing;
    *to = (struct gy_made_column){.name = gy_arena_str(arena, c->name),
                                  .type = c->list ? GY_TYPE_STRING : c->type,
                                  .role = c->role,
                                  .low = c->numeric ? c->min : NAN,
                                  .high = c->numeric ? c->max : NAN,
                                  .start = 1,
                                  .n_keys = c->distinct > 0 ? c->distinct : 1,
                                  .missing = told ? (double)c->missing / (double)told : 0};
    if (!to->name.p) {
        return no_memory(err);
    }
    if (to->type == GY_TYPE_IMAGE) {
        to->type = GY_TYPE_STRING; /* there are no such files */
    }
    if (c->count == 0) {
        to->kind = GY_MADE_NOTHING;
        to->missing = 0;
        return GY_OK;
    }
    if (names_rows(s, c) && (c->type == GY_TYPE_INT || !c->numeric)) {
        to->kind = GY_MADE_ID;
        to->start = c->numeric && fabs(c->min) < 1e15 ? (int64_t)c->min : 1;
        to->missing = 0;
        return GY_OK;
    }
    if (c->role == GY_ROLE_SUBJECT && (c->type == GY_TYPE_INT || !c->numeric)) {
        to->kind = GY_MADE_KEYS;
        return GY_OK;
    }
    if (!c->numeric) {
        GY_TRY(take_choices(c, GY_MADE_LEAST_SEEN, arena, to, err));
        to->kind = to->n_values ? GY_MADE_CHOICE : GY_MADE_KEYS;
        return GY_OK;
    }
    to->decimals = c->type == GY_TYPE_FLOAT ? decimals(c) : 0;
    to->form = c->type == GY_TYPE_TIME ? form_of(c) : GY_TIME_ZONED;
    bool choices = c->top_is_all && c->n_top > 0 &&
                   (c->role == GY_ROLE_LABEL || c->type == GY_TYPE_BOOL ||
                    (double)c->count / (double)c->n_top >= LEAST_REPEATED);
    if (choices) {
        GY_TRY(take_choices(c, 1, arena, to, err));
    }
    /* A document of somebody else's may say that no value was ever seen. */
    return to->n_values > 0 ? GY_OK : take_curve(c, arena, to, err);
}

/* Those that have a distribution of numbers, and are told of. */
static gy_status correlate(const struct gy_statistics *s, struct gy_made_table *t,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena scratch;
    gy_arena_init(&scratch, ARENA_MAX);
    size_t *which = gy_arena_calloc(&scratch, s->n_numbers, sizeof *which);
    size_t *from = gy_arena_calloc(&scratch, s->n_numbers, sizeof *from);
    double *r = gy_arena_calloc(&scratch, s->n_numbers * s->n_numbers, sizeof *r);
    size_t n = 0;
    if (!which || !from || !r) {
        return no_memory(err);
    }
    for (size_t i = 0; i < s->n_numbers; i++) {
        const struct gy_made_column *c = &t->columns[s->numbers[i]];
        if (c->kind == GY_MADE_CURVE || (c->kind == GY_MADE_CHOICE && c->n_values > 1)) {
            which[n] = s->numbers[i];
            from[n++] = i;
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            double v = s->correlations[from[i] * s->n_numbers + from[k]];
            r[i * n + k] = isnan(v) ? 0 : v;
        }
    }
    return gy_made_correlate(t, which, n, r, false, err);
}

gy_status gy_made_from_statistics(const struct gy_statistics *s, struct gy_str label,
                                  struct gy_made_table **ret, struct gy_err *err)
{
    GY_AUTO(gy_made_table_free) struct gy_made_table *t = gy_calloc(1, sizeof *t);
    if (!t) {
        return no_memory(err);
    }
    gy_arena_init(&t->arena, ARENA_MAX);
    t->label = SIZE_MAX;
    t->kept = 1;
    t->columns = gy_arena_calloc(&t->arena, s->n_columns, sizeof *t->columns);
    if (!t->columns) {
        return no_memory(err);
    }
    for (; t->n_columns < s->n_columns; t->n_columns++) {
        struct gy_statistics_column c = s->columns[t->n_columns];
        if (label.p) {
            bool is_label = gy_str_eq(c.name, label);
            c.role = is_label ? GY_ROLE_LABEL : c.role == GY_ROLE_LABEL ? GY_ROLE_FEATURE : c.role;
        }
        if (c.role == GY_ROLE_LABEL && t->label == SIZE_MAX) {
            t->label = t->n_columns;
        }
        GY_TRY(take_column(s, &c, &t->arena, &t->columns[t->n_columns], err));
    }
    if (label.p && t->label == SIZE_MAX) {
        return gy_err_set(err, GY_E_NOTFOUND, "there is no column '%" GY_STR_F "'",
                          GY_STR_A(label));
    }
    GY_TRY(correlate(s, t, err));
    *ret = GY_TAKE(t);
    return GY_OK;
}
