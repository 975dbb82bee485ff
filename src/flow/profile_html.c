/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/profile_html.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/time.h"
#include "data/compare.h"
#include "watch/html.h"
#include "watch/svg.h"

#define SHOWN_TOP 8
#define SHOWN_CLASSES 20
#define FAR 0.1 /* Jensen-Shannon divergence of two columns that is marked */

struct page {
    const struct gy_profile_page *p;
    const struct gy_statistics *s, *other;
    struct gy_buf *b;
    struct gy_arena arena;
};

static struct gy_str textf(struct page *g, const char *fmt, ...) GY_PRINTF(2, 3);
static struct gy_str textf(struct page *g, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return gy_arena_str(&g->arena, gy_str_c(text)); /* without memory: a dash */
}

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static struct gy_str percent(struct page *g, double v)
{
    return v > 0 && v < 0.001 ? textf(g, "%.3f %%", 100 * v) : textf(g, "%.1f %%", 100 * v);
}

/* A number of a column: times as such. */
static struct gy_str number(struct page *g, const struct gy_statistics_column *c, double v,
                            bool is_value)
{
    char iso[32];
    if (!isfinite(v)) {
        return GY_STR_NULL;
    }
    if (c->type == GY_TYPE_TIME && is_value && fabs(v) < 1e11) {
        (void)gy_time_iso((int64_t)(v * 1e6), iso);
        return textf(g, "%.19s", iso);
    }
    if (v == floor(v) && fabs(v) < 1e9) {
        return textf(g, "%.0f", v);
    }
    return textf(g, "%.5g", v);
}

static const struct gy_statistics_column *other_of(const struct page *g,
                                                   const struct gy_statistics_column *c)
{
    const struct gy_statistics_column *o = g->other ? gy_statistics_find(g->other, c->name) : NULL;
    return o && o->numeric == c->numeric && o->list == c->list ? o : NULL;
}

/* ---- histograms ---- */

/* Bins from a's range to those of [low, high], the mass of each spread evenly; shares of all. */
static void rebin(const struct gy_statistics_column *c, double low, double high,
                  double out[GY_STATISTICS_BINS])
{
    const double width = (high - low) / GY_STATISTICS_BINS;
    const double own = (c->max - c->min) / GY_STATISTICS_BINS;
    for (size_t i = 0; i < GY_STATISTICS_BINS; i++) {
        out[i] = 0;
    }
    for (size_t i = 0; i < GY_STATISTICS_BINS && c->count > 0; i++) {
        double mass = (double)c->bins[i] / (double)c->count;
        double from = c->min + own * (double)i, to = from + own;
        for (size_t k = 0; k < GY_STATISTICS_BINS && mass > 0; k++) {
            double a = low + width * (double)k, b = a + width;
            bool last = k + 1 == GY_STATISTICS_BINS;
            if (own <= 0 || width <= 0) { /* all of it at one point */
                out[k] += (from >= a && from < b) || (last && from >= a) ? mass : 0;
            } else {
                double shared = fmin(b, to) - fmax(a, from);
                out[k] += shared > 0 ? mass * shared / own : 0;
            }
        }
    }
}

static void draw_numbers(struct page *g, const struct gy_statistics_column *c,
                         const struct gy_statistics_column *o)
{
    double bins[GY_STATISTICS_BINS], reference[GY_STATISTICS_BINS];
    double low = c->min, high = c->max;
    if (o && o->count > 0) {
        low = c->count ? fmin(low, o->min) : o->min;
        high = c->count ? fmax(high, o->max) : o->max;
        rebin(o, low, high, reference);
    }
    rebin(c, low, high, bins);
    const struct gy_svg_histogram h = {.label = c->name,
                                       .low = low,
                                       .high = high,
                                       .reference = o && o->count > 0 ? reference : NULL,
                                       .current = bins,
                                       .n_bins =
                                           c->count || (o && o->count) ? GY_STATISTICS_BINS : 0};
    gy_svg_histogram(g->b, &h);
}

static int64_t values_of(const struct gy_statistics_column *c)
{
    return c->list ? c->n_values : c->count;
}

static double share_of_value(const struct gy_statistics_column *c, struct gy_str value)
{
    for (size_t i = 0; c && i < c->n_top; i++) {
        if (gy_str_eq(c->top[i].value, value)) {
            return share(c->top[i].count, values_of(c));
        }
    }
    return c ? 0 : NAN;
}

static void draw_values(struct page *g, const struct gy_statistics_column *c,
                        const struct gy_statistics_column *o, size_t shown)
{
    struct gy_svg_bar items[SHOWN_CLASSES + 1];
    size_t n = 0;
    int64_t rest = values_of(c);
    for (size_t i = 0; i < c->n_top && n < shown; i++) {
        items[n++] = (struct gy_svg_bar){.label = c->top[i].value,
                                         .share = share(c->top[i].count, values_of(c)),
                                         .reference = share_of_value(o, c->top[i].value)};
        rest -= c->top[i].count;
    }
    if (rest > 0) {
        items[n++] = (struct gy_svg_bar){
            .label = GY_STR("(others)"), .share = share(rest, values_of(c)), .reference = NAN};
    }
    const struct gy_svg_bars bars = {c->name, items, n};
    gy_svg_bars(g->b, &bars);
}

static gy_status draw_column(struct page *g, const struct gy_statistics_column *c,
                             struct gy_err *err)
{
    const struct gy_statistics_column *o = other_of(g, c);
    enum gy_tone tone = GY_TONE_PLAIN;
    struct gy_str badge =
        c->role == GY_ROLE_FEATURE ? GY_STR_NULL : gy_str_c(gy_role_name(c->role));
    if (g->other && !o) {
        badge = GY_STR("only here");
        tone = GY_TONE_WARN;
    } else if (o) {
        double far = NAN;
        GY_TRY(gy_compare(GY_MEASURE_JENSEN_SHANNON, c, o, !c->numeric, &far, err));
        tone = isnan(far) ? GY_TONE_PLAIN : far > FAR ? GY_TONE_BAD : GY_TONE_GOOD;
        badge = isnan(far) ? badge : textf(g, "JS %.3f", far);
    }
    struct gy_str about = textf(
        g, "%s%s, %lld%s different, %.1f %% missing%s", gy_type_name(c->type),
        c->list ? " list" : "", (long long)c->distinct, c->distinct_exact ? "" : " or so",
        100 * share(c->missing, g->s->rows), c->invalid > g->s->broken ? ", some invalid" : "");
    gy_html_card(g->b, c->name, tone, badge, about);
    if (c->numeric) {
        draw_numbers(g, c, o);
    } else {
        draw_values(g, c, o, SHOWN_TOP);
    }
    gy_html_card_end(g->b);
    return GY_OK;
}

static gy_status draw_columns(struct page *g, struct gy_err *err)
{
    struct gy_str intro =
        GY_STR("Numbers as histograms of equal width, texts by their most frequent "
               "values.");
    if (g->other) {
        intro = textf(g,
                      "This table in colour, %" GY_STR_F
                      " in grey. JS: Jensen-Shannon divergence, 0 (alike) to 1 (nothing shared); "
                      "above %.1f it is marked.",
                      GY_STR_A(g->p->against_title), FAR);
    }
    gy_html_section(g->b, "Columns", intro);
    gy_html_cards(g->b, false);
    for (size_t i = 0; i < g->s->n_columns && i < GY_PROFILE_HTML_COLUMNS; i++) {
        GY_TRY(draw_column(g, &g->s->columns[i], err));
    }
    gy_html_cards_end(g->b);
    gy_html_section_end(g->b);
    return GY_OK;
}

/* ---- tables ---- */

static gy_status table(struct page *g, const char *title, const char *const *head, size_t n_head,
                       const struct gy_str *cells, size_t rows, struct gy_err *err)
{
    bool *right = gy_arena_calloc(&g->arena, n_head, sizeof *right);
    if (!right) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a report");
    }
    for (size_t i = 2; i < n_head; i++) {
        right[i] = true;
    }
    gy_html_section(g->b, title, GY_STR_NULL);
    const struct gy_html_table t = {
        .head = head, .n_columns = n_head, .n_rows = rows, .cells = cells, .right = right};
    gy_html_table(g->b, &t);
    gy_html_section_end(g->b);
    return GY_OK;
}

static gy_status numbers_table(struct page *g, struct gy_err *err)
{
    enum { N = 13 };
    static const char *const head[N] = {"column", "type", "values", "missing", "invalid",
                                        "mean",   "sd",   "min",    "10 %",    "50 %",
                                        "90 %",   "max",  "zeros"};
    struct gy_str *cells = gy_arena_calloc(&g->arena, g->s->n_columns * N, sizeof *cells);
    size_t rows = 0;
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a report");
    }
    for (size_t i = 0; i < g->s->n_columns; i++) {
        const struct gy_statistics_column *c = &g->s->columns[i];
        if (!c->numeric) {
            continue;
        }
        struct gy_str *row = &cells[N * rows++];
        row[0] = c->name;
        row[1] = gy_str_c(gy_type_name(c->type));
        row[2] = textf(g, "%lld", (long long)c->count);
        row[3] = textf(g, "%lld", (long long)c->missing);
        row[4] = textf(g, "%lld", (long long)c->invalid);
        row[5] = number(g, c, c->mean, true);
        row[6] = number(g, c, c->sd, false);
        row[7] = number(g, c, c->min, true);
        row[8] = number(g, c, c->quantiles[1], true);
        row[9] = number(g, c, c->quantiles[5], true);
        row[10] = number(g, c, c->quantiles[9], true);
        row[11] = number(g, c, c->max, true);
        row[12] = textf(g, "%lld", (long long)c->zeros);
    }
    return rows ? table(g, "Numbers", head, N, cells, rows, err) : GY_OK;
}

static gy_status texts_table(struct page *g, struct gy_err *err)
{
    enum { N = 9 };
    static const char *const head[N] = {"column",    "most frequent", "its share",
                                        "values",    "missing",       "invalid",
                                        "different", "mean length",   "longest"};
    struct gy_str *cells = gy_arena_calloc(&g->arena, g->s->n_columns * N, sizeof *cells);
    size_t rows = 0;
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a report");
    }
    for (size_t i = 0; i < g->s->n_columns; i++) {
        const struct gy_statistics_column *c = &g->s->columns[i];
        if (c->numeric) {
            continue;
        }
        struct gy_str *row = &cells[N * rows++];
        row[0] = c->name;
        row[1] = c->n_top ? c->top[0].value : GY_STR_NULL;
        row[2] = c->n_top ? percent(g, share(c->top[0].count, values_of(c))) : GY_STR_NULL;
        row[3] = textf(g, "%lld", (long long)values_of(c));
        row[4] = textf(g, "%lld", (long long)c->missing);
        row[5] = textf(g, "%lld", (long long)c->invalid);
        row[6] = textf(g, "%s%lld", c->distinct_exact ? "" : "~", (long long)c->distinct);
        row[7] = isnan(c->mean_length) ? GY_STR_NULL : textf(g, "%.1f", c->mean_length);
        row[8] = textf(g, "%lld", (long long)c->max_length);
    }
    return rows ? table(g, "Texts", head, N, cells, rows, err) : GY_OK;
}

/* ---- the page ---- */

static void tiles(struct page *g)
{
    const struct gy_statistics *s = g->s;
    int64_t missing = 0, repeated = s->rows - s->broken - s->distinct_rows;
    for (size_t i = 0; i < s->n_columns; i++) {
        missing += s->columns[i].missing;
    }
    double gaps = share(missing, s->rows * (int64_t)s->n_columns);
    repeated = repeated > 0 ? repeated : 0;
    const struct gy_html_tile list[] = {
        {GY_STR("rows"), textf(g, "%lld", (long long)s->rows),
         g->other ? textf(g, "%lld there", (long long)g->other->rows) : GY_STR_NULL, GY_TONE_PLAIN},
        {GY_STR("columns"), textf(g, "%zu", s->n_columns), GY_STR_NULL, GY_TONE_PLAIN},
        {GY_STR("missing values"), percent(g, gaps), GY_STR_NULL,
         gaps > GY_REMARK_MISSING ? GY_TONE_WARN : GY_TONE_PLAIN},
        {GY_STR("repeated rows"),
         textf(g, "%s%lld", s->distinct_rows_exact ? "" : "~", (long long)repeated), GY_STR_NULL,
         GY_TONE_PLAIN},
        {GY_STR("broken records"), textf(g, "%lld", (long long)s->broken), GY_STR_NULL,
         s->broken ? GY_TONE_BAD : GY_TONE_GOOD},
        {GY_STR("remarks"), textf(g, "%zu", g->p->remarks->total), GY_STR_NULL,
         g->p->remarks->total ? GY_TONE_WARN : GY_TONE_GOOD},
    };
    gy_html_tiles(g->b, list, sizeof list / sizeof list[0]);
}

static void remarks(struct page *g)
{
    const struct gy_remarks *r = g->p->remarks;
    if (r->n == 0) {
        return;
    }
    gy_html_section(g->b, "Remarks", GY_STR_NULL);
    for (size_t i = 0; i < r->n; i++) {
        const struct gy_remark *m = &r->items[i];
        gy_html_note(g->b, gy_remark_is_grave(m->kind) ? GY_TONE_BAD : GY_TONE_WARN,
                     m->column.p ? textf(g, "%" GY_STR_F ": %" GY_STR_F, GY_STR_A(m->column),
                                         GY_STR_A(m->text))
                                 : m->text);
    }
    if (r->total > r->n) {
        gy_html_p(g->b, textf(g, "and %zu more", r->total - r->n));
    }
    gy_html_section_end(g->b);
}

static void label(struct page *g)
{
    for (size_t i = 0; i < g->s->n_columns; i++) {
        const struct gy_statistics_column *c = &g->s->columns[i];
        if (c->role != GY_ROLE_LABEL) {
            continue;
        }
        gy_html_section(g->b, "Label", GY_STR_NULL);
        gy_html_cards(g->b, true);
        gy_html_card(g->b, c->name, GY_TONE_PLAIN, GY_STR_NULL,
                     textf(g, "%lld rows have one", (long long)c->count));
        if (c->n_top <= SHOWN_CLASSES && c->top_is_all) {
            draw_values(g, c, other_of(g, c), SHOWN_CLASSES);
        } else if (c->numeric) {
            draw_numbers(g, c, other_of(g, c));
        } else {
            draw_values(g, c, other_of(g, c), SHOWN_TOP);
        }
        gy_html_card_end(g->b);
        gy_html_cards_end(g->b);
        gy_html_section_end(g->b);
    }
}

static gy_status heatmap(struct page *g, struct gy_err *err)
{
    const struct gy_statistics *s = g->s;
    size_t n = s->n_numbers < GY_PROFILE_HTML_HEAT ? s->n_numbers : GY_PROFILE_HTML_HEAT;
    struct gy_str *names = gy_arena_calloc(&g->arena, n, sizeof *names);
    double *r = gy_arena_calloc(&g->arena, n * n, sizeof *r);
    if (n < 2) {
        return GY_OK;
    }
    if (!names || !r) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a report");
    }
    for (size_t i = 0; i < n; i++) {
        names[i] = s->columns[s->numbers[i]].name;
        for (size_t k = 0; k < n; k++) {
            r[i * n + k] = s->correlations[i * s->n_numbers + k];
        }
    }
    gy_html_section(g->b, "Correlations",
                    GY_STR("Pearson's r over the rows where both columns have a value; "
                           "blue together, red against each other."));
    gy_buf_addf(g->b, "<div class=\"box\" style=\"padding:16px;max-width:%zupx\">", 150 + 60 * n);
    const struct gy_svg_heatmap h = {GY_STR("correlations"), names, n, r};
    gy_svg_heatmap(g->b, &h);
    gy_buf_addc(g->b, "</div>");
    gy_html_section_end(g->b);
    return GY_OK;
}

static gy_status missing(struct page *g, struct gy_err *err)
{
    const struct gy_statistics *s = g->s;
    struct gy_svg_bar *items = gy_arena_calloc(&g->arena, s->n_columns, sizeof *items);
    size_t n = 0;
    if (!items) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a report");
    }
    for (size_t i = 0; i < s->n_columns && n < GY_PROFILE_HTML_COLUMNS; i++) {
        const struct gy_statistics_column *c = &s->columns[i], *o = other_of(g, c);
        if (c->missing > 0 || (o && o->missing > 0)) {
            items[n++] =
                (struct gy_svg_bar){.label = c->name,
                                    .share = share(c->missing, s->rows),
                                    .reference = o ? share(o->missing, g->other->rows) : NAN};
        }
    }
    if (n > 0) {
        gy_html_section(g->b, "Missing values", GY_STR_NULL);
        gy_html_cards(g->b, true);
        gy_html_card(g->b, GY_STR("share of the rows"), GY_TONE_PLAIN, GY_STR_NULL, GY_STR_NULL);
        const struct gy_svg_bars bars = {GY_STR("missing values"), items, n};
        gy_svg_bars(g->b, &bars);
        gy_html_card_end(g->b);
        gy_html_cards_end(g->b);
        gy_html_section_end(g->b);
    }
    return GY_OK;
}

static gy_status write_page(struct page *g, struct gy_err *err)
{
    gy_html_begin(g->b, g->p->title,
                  g->other ? textf(g, "beside %" GY_STR_F, GY_STR_A(g->p->against_title))
                           : GY_STR("what is in this table"));
    tiles(g);
    remarks(g);
    label(g);
    GY_TRY(draw_columns(g, err));
    GY_TRY(heatmap(g, err));
    GY_TRY(missing(g, err));
    GY_TRY(numbers_table(g, err));
    GY_TRY(texts_table(g, err));
    gy_html_end(g->b, g->p->footer);
    return gy_buf_check(g->b, "the report", err);
}

gy_status gy_profile_html(const struct gy_profile_page *p, struct gy_buf *out, struct gy_err *err)
{
    struct page g = {.p = p, .s = p->statistics, .other = p->against, .b = out};
    gy_arena_init(&g.arena, 256 * GY_MIB);
    gy_status status = write_page(&g, err);
    gy_arena_done(&g.arena);
    return status;
}
