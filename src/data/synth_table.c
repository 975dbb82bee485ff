/* SPDX-License-Identifier: Apache-2.0 */
#include "data/synth_table.h"

#include <math.h>
#include <stdio.h>

#include "base/id.h"
#include "base/mem.h"
#include "data/copula.h"
#include "data/corrupt.h"
#include "data/records.h"

#define GAPS_SEED 0x6761707321ULL /* streams of their own, so that gaps change no value */
#define ORDER_SEED 0x6f72646572ULL
#define TRY_STRIDE ((uint64_t)1 << 40) /* beyond all rows */
#define TIME_LIMIT 2.5e11              /* seconds; the years 0 to 9999 lie within */

void gy_made_table_free(struct gy_made_table *t)
{
    if (t) {
        for (size_t i = 0; i < t->n_columns; i++) {
            gy_expr_free(t->columns[i].formula);
        }
        gy_arena_done(&t->arena);
        gy_free(t);
    }
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for made rows");
}

/* ---- distributions ---- */

bool gy_made_is_numeric(const struct gy_made_column *c)
{
    return c->type != GY_TYPE_STRING && c->type != GY_TYPE_IMAGE;
}

static size_t choice_at(const struct gy_made_column *c, double u)
{
    size_t low = 0, high = c->n_values - 1; /* the first whose upto is above u */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->values[middle].upto > u) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static double curve_at(const struct gy_made_column *c, double u)
{
    size_t low = 1, high = c->n_points - 1; /* the first point at or above u */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->points[middle].upto >= u) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    const struct gy_made_point *a = &c->points[low - 1], *b = &c->points[low];
    double width = b->upto - a->upto;
    double share = width > 0 ? (u - a->upto) / width : 0;
    return a->v + (b->v - a->v) * (share < 0 ? 0 : share > 1 ? 1 : share);
}

/* Normal scores within bounds (in units of the score): the same chance, squeezed between them. */
static double score_within(double u, double low, double high)
{
    double from = isfinite(low) ? gy_normal_cdf(low) : 0;
    double to = isfinite(high) ? gy_normal_cdf(high) : 1;
    double z = gy_normal_quantile(from + (to - from) * u);
    return z < low ? low : z > high ? high : z;
}

double gy_made_at(const struct gy_made_column *c, double u)
{
    switch (c->kind) {
    case GY_MADE_NORMAL:
        return c->a + c->b * score_within(u, (c->low - c->a) / c->b, (c->high - c->a) / c->b);
    case GY_MADE_LOGNORMAL: {
        double low = c->low > 0 ? (log(c->low) - c->a) / c->b : -INFINITY;
        double high = c->high > 0 ? (log(c->high) - c->a) / c->b : INFINITY;
        return exp(c->a + c->b * score_within(u, low, high));
    }
    case GY_MADE_UNIFORM: /* whole numbers: each of them as likely as the others */
        return c->type == GY_TYPE_INT ? floor(c->low + (c->high - c->low + 1) * u)
                                      : c->low + (c->high - c->low) * u;
    case GY_MADE_CURVE:
        return curve_at(c, u);
    case GY_MADE_CHOICE:
        return c->values[choice_at(c, u)].number;
    case GY_MADE_ID:
    case GY_MADE_KEYS:
    case GY_MADE_FORMULA:
    case GY_MADE_NOTHING:
        break;
    }
    return NAN;
}

/* ---- going together ---- */

/* The label first, so that a wanted class can be given and the others follow. */
static void label_first(const struct gy_made_table *t, const size_t *which, size_t n, size_t *order)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (which[i] == t->label) {
            order[k++] = i;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (which[i] != t->label) {
            order[k++] = i;
        }
    }
}

static void fill_grid(const struct gy_made_column *c, double *grid)
{
    for (size_t i = 0; i < GY_COPULA_GRID; i++) {
        grid[i] = gy_made_at(c, ((double)i + 0.5) / GY_COPULA_GRID);
    }
}

gy_status gy_made_correlate(struct gy_made_table *t, const size_t *which, size_t n,
                            const double *correlations, bool latent, struct gy_err *err)
{
    size_t nodes = n <= 16 ? 96 : n <= 60 ? 48 : 24;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena scratch;
    gy_arena_init(&scratch, GY_GIB);
    t->latent = gy_arena_calloc(&t->arena, n, sizeof *t->latent);
    t->factor = gy_arena_calloc(&t->arena, n * n, sizeof *t->factor);
    size_t *order = gy_arena_calloc(&scratch, n, sizeof *order);
    double *grids = gy_arena_calloc(&scratch, n * GY_COPULA_GRID, sizeof *grids);
    double *room = gy_arena_calloc(&scratch, n * n, sizeof *room);
    if (!t->latent || !t->factor || !order || !grids || !room) {
        return no_memory(err);
    }
    label_first(t, which, n, order);
    for (size_t i = 0; i < n; i++) {
        t->latent[i] = which[order[i]];
        fill_grid(&t->columns[t->latent[i]], &grids[i * GY_COPULA_GRID]);
    }
    for (size_t i = 0; i < n; i++) {
        t->factor[i * n + i] = 1;
        for (size_t k = 0; k < i; k++) {
            double r = correlations[order[i] * n + order[k]];
            double rho = latent ? r
                                : gy_copula_latent(&grids[i * GY_COPULA_GRID],
                                                   &grids[k * GY_COPULA_GRID], r, nodes);
            t->factor[i * n + k] = t->factor[k * n + i] = rho;
        }
    }
    t->n_latent = n;
    gy_copula_factor(t->factor, n, room, &t->kept);
    return GY_OK;
}

/* ---- one row ---- */

struct cell {
    bool missing;
    double number;
    struct gy_str text; /* of STRING; lives with the recipe, or in `own` */
    char own[GY_MAX_NAME + 32];
};

struct making {
    const struct gy_made_table *t;
    const struct gy_made_options *o;
    struct cell *cells;
    double *scores, *normals;
    struct gy_expr_value *slots;
    struct gy_buf line;
    /* Of balance. */
    size_t class_value[GY_MADE_SCHEMA_VALUES]; /* place in the label's values; SIZE_MAX: formula */
    int64_t left[GY_MADE_SCHEMA_VALUES], left_rows;
};

/* In (0, 1). */
static double uniform(struct gy_rng *r)
{
    return gy_rng_f64(r) + 0x1p-54;
}

static void draw_scores(struct making *m, struct gy_rng *r, double first)
{
    size_t n = m->t->n_latent;
    for (size_t i = 0; i < n; i++) {
        m->normals[i] = gy_rng_normal(r);
    }
    if (n && !isnan(first)) {
        m->normals[0] = first;
    }
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t k = 0; k <= i; k++) {
            sum += m->t->factor[i * n + k] * m->normals[k];
        }
        m->scores[i] = sum;
    }
}

static double bounded(const struct gy_made_column *c, double v)
{
    double low = c->type == GY_TYPE_INT ? ceil(c->low) : c->low;
    double high = c->type == GY_TYPE_INT ? floor(c->high) : c->high;
    return v < low ? low : v > high ? high : v;
}

static double rounded(const struct gy_made_column *c, double v)
{
    static const double tens[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    if (c->type == GY_TYPE_INT) {
        return round(v);
    }
    if (c->type == GY_TYPE_TIME) {
        const double day = 86400;
        return c->form == GY_TIME_DAY ? floor(v / day) * day : floor(v);
    }
    if (c->type == GY_TYPE_FLOAT && c->decimals >= 0 && c->decimals < 10 && fabs(v) < 1e15) {
        return round(v * tens[c->decimals]) / tens[c->decimals];
    }
    if (c->type == GY_TYPE_FLOAT && c->decimals < 0) {
        char text[32];
        double short_one = v;
        int n = snprintf(text, sizeof text, "%.6g", v);
        return gy_parse_f64(gy_str_n(text, (size_t)n), &short_one, NULL) == GY_OK ? short_one : v;
    }
    return v;
}

static void make_key(const struct gy_made_column *c, int64_t number, struct cell *cell)
{
    cell->number = (double)number;
    if (!gy_made_is_numeric(c)) {
        int n = snprintf(cell->own, sizeof cell->own, "%.*s-%lld", (int)c->name.n, c->name.p,
                         (long long)number);
        cell->text = gy_str_n(cell->own, (size_t)n);
        cell->number = NAN;
    }
}

static void make_choice(const struct gy_made_column *c, size_t i, struct cell *cell)
{
    cell->text = c->values[i].text;
    cell->number = c->values[i].number;
}

static gy_status make_formula(struct making *m, size_t at, struct gy_rng *r, struct gy_err *err)
{
    const struct gy_made_column *c = &m->t->columns[at];
    struct cell *cell = &m->cells[at];
    struct gy_expr_value v;
    GY_TRY(gy_expr_eval(c->formula, m->slots, m->t->n_columns, &v, err));
    bool flipped = uniform(r) < c->flip;
    cell->missing = v.type == GY_EXPR_NULL || (v.type == GY_EXPR_NUM && !isfinite(v.num));
    cell->number = v.type == GY_EXPR_BOOL ? (double)v.b : v.type == GY_EXPR_NUM ? v.num : NAN;
    if (gy_made_is_numeric(c) ? v.type == GY_EXPR_STR
                              : v.type == GY_EXPR_NUM || v.type == GY_EXPR_BOOL) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "': the formula gives no %s",
                          GY_STR_A(c->name), gy_type_name(c->type));
    }
    if (c->type == GY_TYPE_BOOL) {
        cell->number = cell->number != 0;
    }
    cell->number = flipped ? 1 - cell->number : cell->number;
    if (v.type == GY_EXPR_STR) {
        size_t n = v.str.n < sizeof cell->own ? v.str.n : sizeof cell->own;
        memcpy(cell->own, v.str.p, n);
        cell->text = gy_str_n(cell->own, n);
    }
    return GY_OK;
}

static void note_slot(struct making *m, size_t at)
{
    const struct gy_made_column *c = &m->t->columns[at];
    const struct cell *cell = &m->cells[at];
    struct gy_expr_value *slot = &m->slots[at];
    *slot = (struct gy_expr_value){.type = GY_EXPR_NULL};
    if (cell->missing) {
        return;
    }
    if (!gy_made_is_numeric(c)) {
        slot->type = GY_EXPR_STR;
        slot->str = cell->text;
    } else if (c->type == GY_TYPE_BOOL) {
        slot->type = GY_EXPR_BOOL;
        slot->b = cell->number != 0;
    } else {
        slot->type = GY_EXPR_NUM;
        slot->num = cell->number;
    }
}

/* Of one column, at u when it has a distribution. */
static gy_status make_cell(struct making *m, size_t at, int64_t row, double u, struct gy_rng *r,
                           struct gy_err *err)
{
    const struct gy_made_column *c = &m->t->columns[at];
    struct cell *cell = &m->cells[at];
    cell->missing = false;
    cell->text = GY_STR_NULL;
    switch (c->kind) {
    case GY_MADE_ID:
        make_key(c, c->start + row, cell);
        break;
    case GY_MADE_KEYS:
        make_key(c, c->start + (int64_t)(u * (double)c->n_keys), cell);
        break;
    case GY_MADE_CHOICE:
        make_choice(c, choice_at(c, u), cell);
        break;
    case GY_MADE_NORMAL:
    case GY_MADE_LOGNORMAL:
    case GY_MADE_UNIFORM:
    case GY_MADE_CURVE:
        cell->number = bounded(c, rounded(c, gy_made_at(c, u)));
        break;
    case GY_MADE_FORMULA:
        GY_TRY(make_formula(m, at, r, err));
        cell->number = bounded(c, rounded(c, cell->number));
        break;
    case GY_MADE_NOTHING:
        cell->missing = true;
        break;
    }
    note_slot(m, at);
    return GY_OK;
}

/* One draw of a row. class_: place of the label's value that is wanted; SIZE_MAX: any. */
static gy_status draw_row(struct making *m, int64_t row, uint64_t stream, size_t class_,
                          struct gy_err *err)
{
    const struct gy_made_table *t = m->t;
    struct gy_rng r;
    gy_rng_init_stream(&r, m->o->seed, stream);
    double wanted = NAN;
    if (class_ != SIZE_MAX) { /* somewhere in the interval of that class */
        const struct gy_made_column *label = &t->columns[t->label];
        double from = class_ ? label->values[class_ - 1].upto : 0;
        wanted = from + (label->values[class_].upto - from) * uniform(&r);
    }
    bool leads = t->n_latent > 0 && t->latent[0] == t->label;
    draw_scores(m, &r, leads && !isnan(wanted) ? gy_normal_quantile(wanted) : NAN);
    for (size_t i = 0; i < t->n_columns; i++) {
        double u = uniform(&r);
        for (size_t k = 0; k < t->n_latent; k++) {
            u = t->latent[k] == i ? gy_normal_cdf(m->scores[k]) : u;
        }
        u = i == t->label && !isnan(wanted) ? wanted : u;
        GY_TRY(make_cell(m, i, row, u, &r, err));
    }
    return GY_OK;
}

static bool cell_is(const struct gy_made_column *c, const struct cell *cell, struct gy_str value)
{
    double number;
    if (cell->missing || !gy_made_is_numeric(c)) {
        return !cell->missing && gy_str_eq(cell->text, value);
    }
    if (c->type == GY_TYPE_BOOL) {
        return gy_str_eqc(value, cell->number != 0 ? "true" : "false") ||
               gy_str_eqc(value, cell->number != 0 ? "1" : "0");
    }
    return gy_parse_f64(value, &number, NULL) == GY_OK && number == cell->number;
}

static gy_status make_row(struct making *m, int64_t row, size_t class_, struct gy_err *err)
{
    const struct gy_made_table *t = m->t;
    if (class_ == SIZE_MAX || m->class_value[class_] != SIZE_MAX) {
        return draw_row(m, row, (uint64_t)row,
                        class_ == SIZE_MAX ? SIZE_MAX : m->class_value[class_], err);
    }
    for (uint64_t k = 0; k < GY_MADE_MAX_TRIES; k++) {
        GY_TRY(draw_row(m, row, (uint64_t)row + k * TRY_STRIDE, SIZE_MAX, err));
        if (cell_is(&t->columns[t->label], &m->cells[t->label], m->o->balance[class_].value)) {
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "%d rows were drawn and none has '%" GY_STR_F "' = '%" GY_STR_F "'",
                      GY_MADE_MAX_TRIES, GY_STR_A(t->columns[t->label].name),
                      GY_STR_A(m->o->balance[class_].value));
}

/* Drift, then gaps. */
static void spoil_row(struct making *m, int64_t row)
{
    struct gy_rng r;
    gy_rng_init_stream(&r, m->o->seed ^ GAPS_SEED, (uint64_t)row);
    for (size_t i = 0; i < m->t->n_columns; i++) {
        const struct gy_made_column *c = &m->t->columns[i];
        struct cell *cell = &m->cells[i];
        if (c->drifts && !cell->missing) {
            cell->number = rounded(c, cell->number * c->times + c->add);
            cell->text = GY_STR_NULL;
        }
        cell->missing = cell->missing || gy_rng_f64(&r) < c->missing;
    }
}

static void write_cell(const struct gy_made_column *c, const struct cell *cell, struct gy_buf *b)
{
    char out[GY_VALUE_TEXT];
    if (cell->missing) {
        return;
    }
    if (cell->text.p) {
        gy_csv_add_field(b, cell->text);
        return;
    }
    switch (c->type) {
    case GY_TYPE_INT:
        if (fabs(cell->number) < 9e18) {
            gy_buf_addf(b, "%lld", (long long)cell->number);
        }
        break;
    case GY_TYPE_FLOAT:
        if (isfinite(cell->number)) {
            (void)gy_fmt_f64_trim(cell->number == 0 ? 0 : cell->number, out);
            gy_buf_addc(b, out);
        }
        break;
    case GY_TYPE_BOOL:
        gy_buf_addc(b, cell->number != 0 ? "true" : "false");
        break;
    case GY_TYPE_TIME:
        if (fabs(cell->number) < TIME_LIMIT) {
            gy_buf_add(b, gy_time_text((int64_t)(cell->number * 1e6), c->form, out));
        }
        break;
    case GY_TYPE_STRING:
    case GY_TYPE_IMAGE:
        break;
    }
}

static void write_row(struct making *m)
{
    gy_buf_reset(&m->line);
    for (size_t i = 0; i < m->t->n_columns; i++) {
        if (i) {
            gy_buf_add_char(&m->line, ',');
        }
        write_cell(&m->t->columns[i], &m->cells[i], &m->line);
    }
    if (m->t->n_columns == 1 && m->line.n == 0) {
        gy_buf_addc(&m->line, "\"\""); /* else it were a blank line, which is no record */
    }
}

/* ---- all rows ---- */

/* Which rows get which class: exactly so many each, in any order (Knuth, volume 2, 3.4.2, S). */
static size_t next_class(struct making *m, struct gy_rng *r)
{
    if (m->o->n_balance == 0) {
        return SIZE_MAX;
    }
    int64_t at = (int64_t)gy_rng_below(r, (uint64_t)m->left_rows);
    size_t c = 0;
    while (at >= m->left[c]) {
        at -= m->left[c++];
    }
    m->left[c]--;
    m->left_rows--;
    return c;
}

static gy_status find_classes(struct making *m, struct gy_err *err)
{
    const struct gy_made_options *o = m->o;
    if (o->n_balance == 0) {
        return GY_OK;
    }
    if (m->t->label == SIZE_MAX) {
        (void)gy_err_set(err, GY_E_INVALID, "there is no label whose classes could be balanced");
        return gy_err_hint(err, "--label COLUMN, or role: label");
    }
    const struct gy_made_column *c = &m->t->columns[m->t->label];
    double upto = 0;
    int64_t given = 0;
    for (size_t i = 0; i < o->n_balance; i++) {
        m->class_value[i] = SIZE_MAX;
        for (size_t k = 0; k < c->n_values; k++) {
            if (gy_str_eq(c->values[k].text, o->balance[i].value)) {
                m->class_value[i] = k;
            }
        }
        if (c->kind != GY_MADE_FORMULA && m->class_value[i] == SIZE_MAX) {
            return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' has no class '%" GY_STR_F "'",
                              GY_STR_A(c->name), GY_STR_A(o->balance[i].value));
        }
        upto += o->balance[i].share;
        int64_t to = i + 1 == o->n_balance ? o->rows : llround(upto * (double)o->rows);
        m->left[i] = to - given;
        given = to;
    }
    m->left_rows = o->rows;
    return GY_OK;
}

static gy_status make_all(struct making *m, struct gy_corruptor *sink, struct gy_synth_result *ret,
                          struct gy_err *err)
{
    struct gy_rng order;
    gy_rng_init_stream(&order, m->o->seed ^ ORDER_SEED, 0);
    for (int64_t row = 0; row < m->o->rows; row++) {
        size_t class_ = next_class(m, &order);
        GY_TRY(make_row(m, row, class_, err));
        spoil_row(m, row);
        write_row(m);
        GY_TRY(gy_buf_check(&m->line, "a made record", err));
        GY_TRY(gy_corruptor_add(sink, gy_buf_str(&m->line), true, err));
        ret->positives += m->o->n_balance > 0 && class_ + 1 == m->o->n_balance;
    }
    return GY_OK;
}

static gy_status write_all(struct making *m, struct gy_synth_result *ret, struct gy_err *err)
{
    const struct gy_made_table *t = m->t;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf header;
    gy_buf_init(&header, GY_MAX_CSV_RECORD);
    GY_TRY(gy_made_schema(t, &schema, err));
    int64_t fresh = 1;
    for (size_t i = 0; i < t->n_columns; i++) {
        gy_buf_addc(&header, i ? "," : "");
        gy_csv_add_field(&header, t->columns[i].name);
        if (t->columns[i].kind == GY_MADE_ID) {
            fresh = t->columns[i].start + m->o->rows;
        }
    }
    GY_TRY(gy_buf_check(&header, "the header", err));
    const struct gy_corruptor_options make = {.out = m->o->out,
                                              .ledger = m->o->ledger,
                                              .schema = schema,
                                              .header = gy_buf_str(&header),
                                              .delimiter = ',',
                                              .rows = m->o->rows,
                                              .bad = m->o->bad,
                                              .fresh_id = fresh,
                                              .seed = m->o->seed};
    GY_AUTO(gy_corruptor_free) struct gy_corruptor *sink = NULL;
    GY_TRY(gy_corruptor_new(&make, &sink, err));
    GY_TRY(find_classes(m, err));
    GY_TRY(make_all(m, sink, ret, err));
    return gy_corruptor_commit(sink, ret, err);
}

gy_status gy_made_write(const struct gy_made_table *t, const struct gy_made_options *o,
                        struct gy_synth_result *ret, struct gy_err *err)
{
    *ret = (struct gy_synth_result){0};
    if (o->rows < 0 || o->rows > GY_SYNTH_MAX_ROWS) {
        return gy_err_set(err, GY_E_INVALID, "rows: 0 to %lld", (long long)GY_SYNTH_MAX_ROWS);
    }
    if (o->n_balance > GY_MADE_SCHEMA_VALUES) {
        return gy_err_set(err, GY_E_INVALID, "more than %d classes", GY_MADE_SCHEMA_VALUES);
    }
    struct making m = {.t = t, .o = o};
    gy_buf_init(&m.line, GY_MAX_CSV_RECORD);
    m.cells = gy_calloc(t->n_columns, sizeof *m.cells);
    m.slots = gy_calloc(t->n_columns, sizeof *m.slots);
    m.scores = gy_calloc(t->n_latent, sizeof *m.scores);
    m.normals = gy_calloc(t->n_latent, sizeof *m.normals);
    gy_status status =
        m.cells && m.slots && m.scores && m.normals ? write_all(&m, ret, err) : no_memory(err);
    gy_free(m.cells);
    gy_free(m.slots);
    gy_free(m.scores);
    gy_free(m.normals);
    gy_buf_done(&m.line);
    return status;
}

/* ---- the schema ---- */

static void write_bounds(struct gy_jw *w, const struct gy_made_column *c)
{
    bool number = c->type == GY_TYPE_INT || c->type == GY_TYPE_FLOAT;
    if (number && isfinite(c->low)) {
        gy_jw_kv_f64(w, "min", c->type == GY_TYPE_INT ? ceil(c->low) : c->low);
    }
    if (number && isfinite(c->high)) {
        gy_jw_kv_f64(w, "max", c->type == GY_TYPE_INT ? floor(c->high) : c->high);
    }
}

static void write_column(struct gy_jw *w, const struct gy_made_column *c)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", c->name);
    gy_jw_kv_strc(w, "type", gy_type_name(c->type));
    gy_jw_kv_strc(w, "role", gy_role_name(c->role));
    if (c->unit.p) {
        gy_jw_kv_str(w, "unit", c->unit);
    }
    if (c->kind == GY_MADE_ID) {
        gy_jw_kv_bool(w, "unique", true);
    } else if (c->kind == GY_MADE_CHOICE && c->n_values <= GY_MADE_SCHEMA_VALUES &&
               (c->type == GY_TYPE_STRING || c->role == GY_ROLE_LABEL) && c->type != GY_TYPE_BOOL) {
        gy_jw_key(w, "values");
        gy_jw_arr(w);
        for (size_t i = 0; i < c->n_values; i++) {
            gy_jw_str(w, c->values[i].text);
        }
        gy_jw_arr_end(w);
    } else if (c->kind != GY_MADE_KEYS) {
        write_bounds(w, c);
    }
    if (c->missing == 0 && c->kind != GY_MADE_NOTHING && c->kind != GY_MADE_FORMULA) {
        gy_jw_kv_bool(w, "required", true);
    }
    if (c->type == GY_TYPE_TIME && c->form == GY_TIME_LOCAL) {
        gy_jw_kv_strc(w, "zone", "none");
    }
    gy_jw_obj_end(w);
}

gy_status gy_made_schema(const struct gy_made_table *t, struct gy_schema **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_MAX_YAML);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_key(&w, "columns");
    gy_jw_arr(&w);
    for (size_t i = 0; i < t->n_columns; i++) {
        write_column(&w, &t->columns[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&json, "the schema of made rows", err));
    return gy_schema_parse(gy_buf_str(&json), "the schema of made rows", ret, err);
}

/* ---- what may be asked for beside ---- */

static gy_status find_column(struct gy_made_table *t, struct gy_str name,
                             struct gy_made_column **ret, struct gy_err *err)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        if (gy_str_eq(t->columns[i].name, name)) {
            *ret = &t->columns[i];
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID, "there is no column '%" GY_STR_F "'", GY_STR_A(name));
}

gy_status gy_made_drift(struct gy_made_table *t, const struct gy_synth_drift *d, struct gy_err *err)
{
    struct gy_made_column *c = NULL;
    GY_TRY(find_column(t, d->column, &c, err));
    if ((c->type != GY_TYPE_INT && c->type != GY_TYPE_FLOAT && c->type != GY_TYPE_TIME) ||
        c->kind == GY_MADE_ID || c->kind == GY_MADE_KEYS) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' can not drift: no measured number",
                          GY_STR_A(d->column));
    }
    if (!c->drifts) {
        c->drifts = true;
        c->times = 1;
        c->add = 0;
    }
    c->times *= d->multiply ? d->amount : 1;
    c->add = d->multiply ? c->add * d->amount : c->add + d->amount;
    return GY_OK;
}

gy_status gy_made_missing(struct gy_made_table *t, struct gy_str column, double share,
                          struct gy_err *err)
{
    struct gy_made_column *c = NULL;
    GY_TRY(find_column(t, column, &c, err));
    if (!(share >= 0 && share <= 1)) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "': a share of missing values is 0 to 1",
                          GY_STR_A(column));
    }
    c->missing = share;
    return GY_OK;
}

static gy_status bad_balance(struct gy_err *err, struct gy_str text)
{
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no balance", GY_STR_A(text));
    return gy_err_hint(err, "0=.7,1=.3 or, of two classes, .3");
}

static bool read_share(struct gy_str text, double *ret)
{
    char number[40] = "0"; /* ".3" is what people write */
    bool bare = text.n > 0 && text.p[0] == '.';
    if (text.n == 0 || text.n > 30) {
        return false;
    }
    memcpy(number + bare, text.p, text.n);
    return gy_parse_f64(gy_str_n(number, text.n + bare), ret, NULL) == GY_OK && *ret >= 0 &&
           *ret <= 1e9;
}

gy_status gy_made_balance(const struct gy_made_table *t, struct gy_str text,
                          struct gy_made_class *out, size_t max, size_t *ret_n, struct gy_err *err)
{
    double share, sum = 0;
    *ret_n = 0;
    if (read_share(text, &share)) {
        const struct gy_made_column *c = t->label == SIZE_MAX ? NULL : &t->columns[t->label];
        bool two = c && (c->kind == GY_MADE_FORMULA || c->n_values == 2);
        if (share > 1 || !two || max < 2) {
            return bad_balance(err, text);
        }
        bool formula = c->kind == GY_MADE_FORMULA;
        out[0] = (struct gy_made_class){formula ? GY_STR("0") : c->values[0].text, 1 - share};
        out[1] = (struct gy_made_class){formula ? GY_STR("1") : c->values[1].text, share};
        *ret_n = 2;
        return GY_OK;
    }
    struct gy_str rest = text, piece;
    while (gy_str_next(&rest, ',', &piece)) {
        struct gy_str value, number;
        if (*ret_n == max || !gy_str_cut(piece, '=', &value, &number) ||
            !read_share(number, &share)) {
            return bad_balance(err, text);
        }
        out[(*ret_n)++] = (struct gy_made_class){value, share};
        sum += share;
    }
    for (size_t i = 0; i < *ret_n; i++) {
        out[i].share /= sum;
    }
    return *ret_n > 0 && sum > 0 ? GY_OK : bad_balance(err, text);
}
