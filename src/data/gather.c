/* SPDX-License-Identifier: Apache-2.0 */
#include "data/gather.h"

#include <math.h>

#include "base/mem.h"
#include "data/gather_internal.h"
#include "data/times.h"

#define NAMES_MAX (64 * GY_MIB)
#define EXACT_INT 9007199254740992.0 /* 2^53: beyond it a double does not tell every integer */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for statistics");
}

/* ---- making ---- */

static bool is_numeric(enum gy_type type)
{
    return type != GY_TYPE_STRING && type != GY_TYPE_IMAGE;
}

static enum gy_tally_kind tally_kind(enum gy_type type)
{
    switch (type) {
    case GY_TYPE_INT:
    case GY_TYPE_BOOL:
        return GY_TALLY_INT;
    case GY_TYPE_FLOAT:
        return GY_TALLY_FLOAT;
    case GY_TYPE_TIME:
        return GY_TALLY_TIME;
    case GY_TYPE_STRING:
    case GY_TYPE_IMAGE:
        break;
    }
    return GY_TALLY_TEXT;
}

static gy_status take_markers(struct gy_gather *g, const struct gy_gather_options *o,
                              struct gy_err *err)
{
    g->missing = gy_arena_calloc(&g->arena, o->n_missing, sizeof *g->missing);
    if (!g->missing) {
        return no_memory(err);
    }
    for (size_t i = 0; i < o->n_missing; i++) {
        struct gy_str m = gy_arena_str(&g->arena, o->missing[i]);
        double number;
        if (m.n == 0) {
            continue;
        }
        g->missing[g->n_missing++] = m;
        g->missing_starts[(unsigned char)m.p[0]] = true;
        bool is_word = gy_str_ieq(m, GY_STR("true")) || gy_str_ieq(m, GY_STR("false"));
        g->missing_number = g->missing_number || is_word || gy_parse_f64(m, &number, NULL) == GY_OK;
    }
    return GY_OK;
}

static gy_status make_columns(struct gy_gather *g, const struct gy_gather_options *o,
                              struct gy_err *err)
{
    size_t exact = o->n_columns ? GY_STATISTICS_ALL_EXACT / o->n_columns : GY_STATISTICS_EXACT;
    exact = exact > GY_STATISTICS_EXACT ? GY_STATISTICS_EXACT : exact;
    g->columns = gy_arena_calloc(&g->arena, o->n_columns, sizeof *g->columns);
    g->number_of = gy_arena_calloc(&g->arena, o->n_columns, sizeof *g->number_of);
    if (!g->columns || !g->number_of) {
        return no_memory(err);
    }
    for (size_t i = 0; i < o->n_columns; i++) {
        struct gather_column *c = &g->columns[i];
        const struct gy_gather_column *from = &o->columns[i];
        c->name = gy_arena_str(&g->arena, from->name);
        if (!c->name.p) {
            return no_memory(err);
        }
        c->type = from->type;
        c->role = from->role;
        c->column = from->column;
        c->list = from->column && from->column->list.n ? from->column->list.p[0] : '\0';
        c->numeric = is_numeric(from->type) && !c->list;
        gy_tally_init(&c->tally, c->list ? GY_TALLY_TEXT : tally_kind(from->type), exact);
        g->n_columns++;
        if (c->numeric) {
            c->slot = g->n_numbers;
            g->number_of[g->n_numbers++] = i;
        }
    }
    return GY_OK;
}

gy_status gy_gather_new(const struct gy_gather_options *o, struct gy_gather **ret,
                        struct gy_err *err)
{
    GY_AUTO(gy_gather_free) struct gy_gather *g = gy_calloc(1, sizeof *g);
    if (!g) {
        return no_memory(err);
    }
    gy_arena_init(&g->arena, NAMES_MAX);
    gy_buf_init(&g->scratch, GY_MAX_CSV_RECORD);
    gy_tally_init(&g->rows_seen, GY_TALLY_HASH, GY_STATISTICS_EXACT_ROWS);
    GY_TRY(take_markers(g, o, err));
    GY_TRY(make_columns(g, o, err));
    g->n_paired =
        g->n_numbers < GY_STATISTICS_MAX_NUMBERS ? g->n_numbers : GY_STATISTICS_MAX_NUMBERS;
    g->pairs = gy_calloc(g->n_paired * (g->n_paired + 1) / 2, sizeof *g->pairs);
    g->values = gy_calloc(g->n_numbers * GY_GATHER_BLOCK, sizeof *g->values);
    g->keys = gy_calloc(g->n_numbers * GY_GATHER_BLOCK, sizeof *g->keys);
    g->centred = gy_calloc(g->n_paired * GY_GATHER_BLOCK, sizeof *g->centred);
    g->blocks = gy_calloc(g->n_numbers, sizeof *g->blocks);
    if (!g->pairs || !g->values || !g->keys || !g->centred || !g->blocks) {
        return no_memory(err);
    }
    gy_gather_reset(g);
    *ret = GY_TAKE(g);
    return GY_OK;
}

void gy_gather_free(struct gy_gather *g)
{
    if (g) {
        for (size_t i = 0; i < g->n_columns; i++) {
            gy_tally_done(&g->columns[i].tally);
        }
        gy_tally_done(&g->rows_seen);
        gy_free(g->pairs);
        gy_free(g->values);
        gy_free(g->keys);
        gy_free(g->centred);
        gy_free(g->blocks);
        gy_buf_done(&g->scratch);
        gy_arena_done(&g->arena);
        gy_free(g);
    }
}

void gy_gather_reset(struct gy_gather *g)
{
    g->rows = g->broken = 0;
    g->in_block = 0;
    gy_tally_reset(&g->rows_seen);
    for (size_t i = 0; i < g->n_columns; i++) {
        struct gather_column *c = &g->columns[i];
        c->count = c->missing = c->invalid = 0;
        c->zeros = c->negative = 0;
        c->length_sum = c->max_length = 0;
        c->n_values = c->max_values = 0;
        c->min_values = INT64_MAX;
        c->moments = (struct moments){0};
        c->shift = NAN;
        c->min = INFINITY;
        c->max = -INFINITY;
        c->ascending = c->descending = true;
        gy_tally_reset(&c->tally);
    }
    memset(g->pairs, 0, g->n_paired * (g->n_paired + 1) / 2 * sizeof *g->pairs);
}

/* ---- one record ---- */

static bool is_marker(const struct gy_gather *g, struct gy_str bare)
{
    if (bare.n == 0) {
        return true;
    }
    if (g->missing_starts[(unsigned char)bare.p[0]]) {
        for (size_t i = 0; i < g->n_missing; i++) {
            if (gy_str_eq(g->missing[i], bare)) {
                return true;
            }
        }
    }
    return false;
}

static bool canonical_of(const struct gather_column *c, struct gy_str text, char out[GY_VALUE_TEXT],
                         struct gy_str *ret, double *ret_num)
{
    return c->column ? gy_column_canonical(c->column, text, out, ret, ret_num)
                     : gy_value_canonical(c->type, text, out, ret, ret_num);
}

/* The number of a value and its key in the tally. False: not of the column's type. */
static bool number_key(const struct gather_column *c, struct gy_str text, double *ret,
                       uint64_t *ret_key)
{
    char out[GY_VALUE_TEXT];
    struct gy_str canonical = GY_STR_NULL;
    if (c->type == GY_TYPE_TIME) {
        int64_t us = 0;
        enum gy_time_form form;
        bool fine = gy_column_time(c->column, text, &us, &form);
        *ret_key = gy_tally_time(us, form);
        *ret = (double)us / 1e6;
        return fine;
    }
    if (!gy_value_canonical(c->type, text, out, &canonical, ret)) {
        return false;
    }
    if (c->type == GY_TYPE_FLOAT) {
        *ret += 0.0; /* -0 */
        memcpy(ret_key, ret, sizeof *ret);
        return true;
    }
    int64_t whole = (int64_t)(fabs(*ret) < EXACT_INT ? *ret : 0);
    bool fine = fabs(*ret) < EXACT_INT ||
                gy_parse_i64(canonical, INT64_MIN, INT64_MAX, &whole, NULL) == GY_OK;
    *ret_key = (uint64_t)whole;
    return fine;
}

static void add_number(struct gy_gather *g, struct gather_column *c, struct gy_str text)
{
    size_t at = c->slot * GY_GATHER_BLOCK + g->in_block;
    /* Most are numbers, so that is asked first; unless a marker looks like one. */
    bool marker = (text.n == 0 || g->missing_number) && is_marker(g, gy_str_trim(text));
    if (!marker && number_key(c, text, &g->values[at], &g->keys[at])) {
        c->count++;
        return;
    }
    g->values[at] = NAN;
    if (marker || is_marker(g, gy_str_trim(text))) {
        c->missing++;
    } else {
        c->invalid++;
    }
}

static gy_status add_text(struct gy_gather *g, struct gather_column *c, struct gy_str text,
                          bool utf8, struct gy_err *err)
{
    struct gy_str bare = c->type == GY_TYPE_STRING ? text : gy_str_trim(text);
    if (is_marker(g, bare)) {
        c->missing++;
        return GY_OK;
    }
    if (!utf8 && !gy_str_is_utf8(text)) {
        c->invalid++;
        return GY_OK;
    }
    c->count++;
    c->length_sum += (int64_t)text.n;
    c->max_length = c->max_length < (int64_t)text.n ? (int64_t)text.n : c->max_length;
    return gy_tally_add_text(&c->tally, text, err);
}

/* Values between separators: the row counts when all of them are of the type. */
static gy_status add_list(struct gy_gather *g, struct gather_column *c, struct gy_str text,
                          bool utf8, struct gy_err *err)
{
    struct gy_str bare = gy_str_trim(text), item, canonical;
    char out[GY_VALUE_TEXT];
    double number;
    int64_t n = 0;
    if (is_marker(g, bare)) {
        c->missing++;
        return GY_OK;
    }
    bool fine = utf8 || gy_str_is_utf8(text);
    for (struct gy_str rest = bare; fine && gy_str_next(&rest, c->list, &item); n++) {
        item = gy_str_trim(item);
        fine = !is_marker(g, item) && canonical_of(c, item, out, &canonical, &number);
    }
    if (!fine) {
        c->invalid++;
        return GY_OK;
    }
    for (struct gy_str rest = bare; gy_str_next(&rest, c->list, &item);) {
        (void)canonical_of(c, gy_str_trim(item), out, &canonical, &number); /* it was just now */
        c->length_sum += (int64_t)canonical.n;
        c->max_length = c->max_length < (int64_t)canonical.n ? (int64_t)canonical.n : c->max_length;
        GY_TRY(gy_tally_add_text(&c->tally, canonical, err));
    }
    c->count++;
    c->n_values += n;
    c->min_values = n < c->min_values ? n : c->min_values;
    c->max_values = n > c->max_values ? n : c->max_values;
    return GY_OK;
}

static gy_status add_value(struct gy_gather *g, struct gather_column *c, struct gy_str text,
                           bool utf8, struct gy_err *err)
{
    if (c->numeric) {
        add_number(g, c, text);
        return GY_OK;
    }
    return c->list ? add_list(g, c, text, utf8, err) : add_text(g, c, text, utf8, err);
}

static gy_status end_row(struct gy_gather *g, struct gy_str raw, struct gy_err *err)
{
    g->rows++;
    GY_TRY(gy_tally_add(&g->rows_seen, gy_tally_hash(raw), err));
    return ++g->in_block == GY_GATHER_BLOCK ? gy_gather_flush(g, err) : GY_OK;
}

gy_status gy_gather_fields(struct gy_gather *g, const struct gy_csv_field *fields,
                           struct gy_str raw, struct gy_err *err)
{
    bool utf8 = gy_str_is_utf8(raw);
    for (size_t i = 0; i < g->n_columns; i++) {
        struct gather_column *c = &g->columns[i];
        struct gy_str text = gy_csv_text(&fields[i], &g->scratch);
        if (!text.p) {
            return no_memory(err);
        }
        GY_TRY(add_value(g, c, text, utf8, err));
    }
    return end_row(g, raw, err);
}

gy_status gy_gather_values(struct gy_gather *g, const struct gy_value *values, struct gy_str raw,
                           struct gy_err *err)
{
    for (size_t i = 0; i < g->n_columns; i++) {
        struct gather_column *c = &g->columns[i];
        struct gy_str text = values[i].text.p ? values[i].text : GY_STR("");
        bool marker = values[i].kind == GY_VALUE_STRING && is_marker(g, gy_str_trim(text));
        if (!marker && text.n > 0 && !gy_value_fits(c->type, values[i].kind)) {
            c->invalid++;
            if (c->numeric) {
                g->values[c->slot * GY_GATHER_BLOCK + g->in_block] = NAN;
            }
            continue;
        }
        text = marker ? GY_STR("") : text;
        GY_TRY(add_value(g, c, text, true, err));
    }
    return end_row(g, raw, err);
}

void gy_gather_broken(struct gy_gather *g)
{
    g->rows++;
    g->broken++;
    for (size_t i = 0; i < g->n_columns; i++) {
        g->columns[i].invalid++;
    }
}

/* ---- a block ---- */

/* Four sums side by side: the order of additions is fixed, and processors do them at once. */
static double sum(const double *v, size_t n)
{
    double s[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s[0] += v[i];
        s[1] += v[i + 1];
        s[2] += v[i + 2];
        s[3] += v[i + 3];
    }
    for (; i < n; i++) {
        s[0] += v[i];
    }
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static double dot(const double *a, const double *b, size_t n)
{
    double s[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s[0] += a[i] * b[i];
        s[1] += a[i + 1] * b[i + 1];
        s[2] += a[i + 2] * b[i + 2];
        s[3] += a[i + 3] * b[i + 3];
    }
    for (; i < n; i++) {
        s[0] += a[i] * b[i];
    }
    return (s[0] + s[1]) + (s[2] + s[3]);
}

/* apart: from's shift minus into's. */
static void merge_moments(struct moments *into, const struct moments *from, double apart)
{
    double n = into->n + from->n;
    if (from->n == 0) {
        return;
    }
    double delta = from->mean - into->mean + apart;
    into->mean += delta * (from->n / n);
    into->m2 += from->m2 + delta * delta * (into->n * from->n / n);
    into->n = n;
}

static void merge_pair(struct pair *into, const struct pair *from, double x_apart, double y_apart)
{
    double n = into->n + from->n;
    if (from->n == 0) {
        return;
    }
    double dx = from->mx - into->mx + x_apart, dy = from->my - into->my + y_apart;
    double w = into->n * from->n / n;
    into->mx += dx * (from->n / n);
    into->my += dy * (from->n / n);
    into->xx += from->xx + dx * dx * w;
    into->yy += from->yy + dy * dy * w;
    into->xy += from->xy + dx * dy * w;
    into->n = n;
}

static gy_status flush_keys(struct gy_gather *g, struct gather_column *c, const double *v,
                            size_t rows, struct gy_err *err)
{
    uint64_t *keys = &g->keys[c->slot * GY_GATHER_BLOCK];
    size_t n = 0;
    for (size_t i = 0; i < rows; i++) {
        keys[n] = keys[i];
        n += isnan(v[i]) ? 0 : 1;
    }
    return gy_tally_add_all(&c->tally, keys, n, err);
}

/* The numbers of one column of the block. */
static gy_status flush_column(struct gy_gather *g, struct gather_column *c, size_t rows,
                              struct gy_err *err)
{
    double there[GY_GATHER_BLOCK];
    const double *v = &g->values[c->slot * GY_GATHER_BLOCK];
    struct block *b = &g->blocks[c->slot];
    size_t n = 0;
    for (size_t i = 0; i < rows; i++) {
        there[n] = v[i];
        n += isnan(v[i]) ? 0 : 1;
    }
    *b = (struct block){.n = n};
    if (n == 0) {
        return GY_OK;
    }
    double low = there[0], high = there[0], before = c->last;
    bool up = true, down = true;
    int64_t zeros = 0, negative = 0;
    bool first = c->moments.n == 0;
    for (size_t i = 0; i < n; i++) {
        double x = there[i];
        low = x < low ? x : low;
        high = x > high ? x : high;
        zeros += x == 0;
        negative += x < 0;
        up = up && ((first && i == 0) || x > before);
        down = down && ((first && i == 0) || x < before);
        before = x;
    }
    c->first = first ? there[0] : c->first;
    c->last = before;
    c->ascending = c->ascending && up;
    c->descending = c->descending && down;
    c->min = low < c->min ? low : c->min;
    c->max = high > c->max ? high : c->max;
    c->zeros += zeros;
    c->negative += negative;
    c->shift = isnan(c->shift) ? there[0] : c->shift;
    for (size_t i = 0; i < n; i++) {
        there[i] -= c->shift;
    }
    b->mean = sum(there, n) / (double)n;
    for (size_t i = 0; i < n; i++) {
        there[i] -= b->mean;
    }
    b->m2 = dot(there, there, n);
    const struct moments m = {(double)n, b->mean, b->m2};
    merge_moments(&c->moments, &m, 0);
    if (c->slot < g->n_paired) { /* where a value is missing: NaN */
        double *to = &g->centred[c->slot * GY_GATHER_BLOCK];
        for (size_t i = 0; i < rows; i++) {
            to[i] = v[i] - c->shift - b->mean;
        }
    }
    return flush_keys(g, c, v, rows, err);
}

/* Rows in which one of the two is missing are left out. */
static struct pair gappy_pair(const double *x, const double *y, size_t rows, double mean_x,
                              double mean_y)
{
    double a[GY_GATHER_BLOCK], b[GY_GATHER_BLOCK];
    size_t n = 0;
    for (size_t i = 0; i < rows; i++) {
        a[n] = x[i];
        b[n] = y[i];
        n += isnan(x[i]) || isnan(y[i]) ? 0 : 1;
    }
    if (n == 0) {
        return (struct pair){0};
    }
    double count = (double)n, sx = sum(a, n), sy = sum(b, n);
    return (struct pair){.n = count,
                         .mx = mean_x + sx / count,
                         .my = mean_y + sy / count,
                         .xx = dot(a, a, n) - sx * sx / count,
                         .yy = dot(b, b, n) - sy * sy / count,
                         .xy = dot(a, b, n) - sx * sy / count};
}

static void flush_pairs(struct gy_gather *g, size_t rows)
{
    struct pair *p = g->pairs;
    for (size_t i = 0; i < g->n_paired; i++) {
        for (size_t k = 0; k <= i; k++, p++) {
            const struct block *bx = &g->blocks[i], *by = &g->blocks[k];
            const double *x = &g->centred[i * GY_GATHER_BLOCK];
            const double *y = &g->centred[k * GY_GATHER_BLOCK];
            struct pair here = {0};
            if (bx->n == rows && by->n == rows) {
                here = (struct pair){.n = (double)rows,
                                     .mx = bx->mean,
                                     .my = by->mean,
                                     .xx = bx->m2,
                                     .yy = by->m2,
                                     .xy = i == k ? bx->m2 : dot(x, y, rows)};
            } else if (bx->n > 0 && by->n > 0 && i != k) {
                here = gappy_pair(x, y, rows, bx->mean, by->mean);
            }
            merge_pair(p, &here, 0, 0);
        }
    }
}

gy_status gy_gather_flush(struct gy_gather *g, struct gy_err *err)
{
    size_t rows = g->in_block;
    g->in_block = 0;
    if (rows == 0) {
        return GY_OK;
    }
    for (size_t i = 0; i < g->n_numbers; i++) {
        GY_TRY(flush_column(g, &g->columns[g->number_of[i]], rows, err));
    }
    flush_pairs(g, rows);
    return GY_OK;
}

/* ---- merging ---- */

/* A part a column, one for the rows, and one a line of pairs. */
size_t gy_gather_n_parts(const struct gy_gather *g)
{
    return g->n_columns + 1 + g->n_paired;
}

void gy_gather_agree(struct gy_gather *into, const struct gy_gather *from)
{
    for (size_t i = 0; i < into->n_columns; i++) {
        double shift = into->columns[i].shift;
        into->columns[i].shift = isnan(shift) ? from->columns[i].shift : shift;
    }
}

static double apart(const struct gy_gather *into, const struct gy_gather *from, size_t slot)
{
    size_t i = into->number_of[slot];
    double v = from->columns[i].shift - into->columns[i].shift;
    return isnan(v) ? 0 : v; /* one has no value at all, and no pair */
}

static gy_status merge_column(struct gather_column *into, const struct gather_column *from,
                              struct gy_err *err)
{
    into->count += from->count;
    into->missing += from->missing;
    into->invalid += from->invalid;
    into->zeros += from->zeros;
    into->negative += from->negative;
    into->length_sum += from->length_sum;
    into->n_values += from->n_values;
    into->min_values = into->min_values < from->min_values ? into->min_values : from->min_values;
    into->max_values = into->max_values > from->max_values ? into->max_values : from->max_values;
    into->max_length = into->max_length < from->max_length ? from->max_length : into->max_length;
    if (from->moments.n > 0) {
        bool first = into->moments.n == 0;
        into->ascending = into->ascending && from->ascending && (first || from->first > into->last);
        into->descending =
            into->descending && from->descending && (first || from->first < into->last);
        into->first = first ? from->first : into->first;
        into->last = from->last;
        into->min = from->min < into->min ? from->min : into->min;
        into->max = from->max > into->max ? from->max : into->max;
    }
    if (from->moments.n > 0) {
        merge_moments(&into->moments, &from->moments, from->shift - into->shift);
    }
    return gy_tally_merge(&into->tally, &from->tally, err);
}

gy_status gy_gather_merge_part(struct gy_gather *into, const struct gy_gather *from, size_t part,
                               struct gy_err *err)
{
    if (part < into->n_columns) {
        return merge_column(&into->columns[part], &from->columns[part], err);
    }
    part -= into->n_columns;
    if (part == 0) {
        into->rows += from->rows;
        into->broken += from->broken;
        return gy_tally_merge(&into->rows_seen, &from->rows_seen, err);
    }
    size_t line = (part - 1) * part / 2; /* of pairs before the (part - 1)-th line */
    double x_apart = apart(into, from, part - 1);
    for (size_t k = 0; k < part; k++) {
        merge_pair(&into->pairs[line + k], &from->pairs[line + k], x_apart, apart(into, from, k));
    }
    return GY_OK;
}

gy_status gy_gather_merge(struct gy_gather *into, struct gy_gather *from, struct gy_err *err)
{
    GY_REQUIRE(into->n_columns == from->n_columns);
    GY_TRY(gy_gather_flush(into, err));
    GY_TRY(gy_gather_flush(from, err));
    gy_gather_agree(into, from);
    for (size_t i = 0; i < gy_gather_n_parts(into); i++) {
        GY_TRY(gy_gather_merge_part(into, from, i, err));
    }
    return GY_OK;
}
