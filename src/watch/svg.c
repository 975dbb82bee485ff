/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/svg.h"

#include <math.h>
#include <stdio.h>

#include "watch/html.h"

#define HISTOGRAM_W 320.0
#define HISTOGRAM_H 120.0
#define AXIS_H 18.0
#define INTERVALS_W 480.0
#define INTERVALS_LEFT 76.0
#define INTERVALS_RIGHT 150.0
#define INTERVALS_LINE 30.0
#define SERIES_W 1000.0
#define SERIES_H 150.0
#define SERIES_LEFT 44.0
#define BARS_W 320.0
#define BARS_LEFT 110.0
#define BARS_RIGHT 60.0
#define BAR_LINE 20.0
#define HEAT_CELL 40.0
#define HEAT_LEFT 110.0
#define HEAT_BELOW 96.0
#define HEAT_NUMBERS 16 /* with more columns the cells are too small for them */
#define NAME_BYTES 17   /* of a name beside a chart */

static void begin(struct gy_buf *b, double w, double h, struct gy_str label)
{
    gy_buf_addf(b, "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", w, h);
    gy_html_text(b, label);
    gy_buf_addc(b, "\"><title>");
    gy_html_text(b, label);
    gy_buf_addc(b, "</title>");
}

static void text(struct gy_buf *b, double x, double y, const char *anchor, const char *class_,
                 struct gy_str s)
{
    gy_buf_addf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor,
                class_);
    gy_html_text(b, s);
    gy_buf_addc(b, "</text>");
}

/* A number as short as it stays clear. */
static struct gy_str short_number(double v, char out[32])
{
    double size = fabs(v);
    int n = size >= 1000 || (size > 0 && size < 0.001) ? snprintf(out, 32, "%.3g", v)
            : size >= 100                              ? snprintf(out, 32, "%.0f", v)
            : size >= 10                               ? snprintf(out, 32, "%.1f", v)
                                                       : snprintf(out, 32, "%.2f", v);
    return gy_str_n(out, n < 0 ? 0 : (size_t)n);
}

/* ---- histogram ---- */

static double tallest(const struct gy_svg_histogram *h)
{
    double top = 0;
    for (size_t i = 0; i < h->n_bins; i++) {
        top = h->reference && isfinite(h->reference[i]) ? fmax(top, h->reference[i]) : top;
        top = isfinite(h->current[i]) ? fmax(top, h->current[i]) : top;
    }
    return top > 0 ? top : 1;
}

/* The outline of the bins, as steps. */
static void steps(struct gy_buf *b, const double *bins, size_t n, double top, bool closed)
{
    double width = HISTOGRAM_W / (double)n;
    gy_buf_addf(b, "M0 %.1f", HISTOGRAM_H);
    for (size_t i = 0; i < n; i++) {
        double v = isfinite(bins[i]) && bins[i] > 0 ? bins[i] : 0;
        double y = HISTOGRAM_H - v / top * (HISTOGRAM_H - 6);
        gy_buf_addf(b, "V%.1f H%.1f", y, width * (double)(i + 1));
    }
    gy_buf_addf(b, "V%.1f%s", HISTOGRAM_H, closed ? "Z" : "");
}

void gy_svg_histogram(struct gy_buf *b, const struct gy_svg_histogram *h)
{
    char number[32];
    double top = tallest(h);
    begin(b, HISTOGRAM_W, HISTOGRAM_H + AXIS_H, h->label);
    if (h->n_bins > 0 && isfinite(h->low) && isfinite(h->high)) {
        if (h->reference) {
            gy_buf_addc(b, "<path fill=\"var(--ref)\" fill-opacity=\".55\" d=\"");
            steps(b, h->reference, h->n_bins, top, true);
            gy_buf_addc(b, "\"/>");
        }
        gy_buf_addc(b, "<path fill=\"var(--cur)\" fill-opacity=\".18\" stroke=\"var(--cur)\" "
                       "stroke-width=\"1.8\" stroke-linejoin=\"round\" d=\"");
        steps(b, h->current, h->n_bins, top, false);
        gy_buf_addc(b, "\"/>");
        text(b, 0, HISTOGRAM_H + 14, "start", "", short_number(h->low, number));
        text(b, HISTOGRAM_W / 2, HISTOGRAM_H + 14, "middle", "",
             short_number((h->low + h->high) / 2, number));
        text(b, HISTOGRAM_W, HISTOGRAM_H + 14, "end", "", short_number(h->high, number));
    } else {
        text(b, HISTOGRAM_W / 2, HISTOGRAM_H / 2, "middle", "", GY_STR("no values"));
    }
    gy_buf_addf(b, "<line x1=\"0\" x2=\"%g\" y1=\"%g\" y2=\"%g\" stroke=\"var(--line)\"/></svg>",
                HISTOGRAM_W, HISTOGRAM_H, HISTOGRAM_H);
}

/* ---- intervals ---- */

struct scale {
    double min, max, from, to;
};

static double at(const struct scale *s, double v)
{
    double share = s->max > s->min ? (v - s->min) / (s->max - s->min) : 0;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return s->from + share * (s->to - s->from);
}

static void one_interval(struct gy_buf *b, const struct scale *s, const struct gy_svg_interval *i,
                         double y)
{
    char line[96];
    int color = i->color < 0 || i->color > 3 ? 0 : i->color;
    text(b, INTERVALS_LEFT - 12, y + 4, "end", "v", i->label);
    if (!isfinite(i->value)) {
        text(b, s->from, y + 4, "start", "", i->note.n ? i->note : GY_STR("can not be told"));
        return;
    }
    if (isfinite(i->low) && isfinite(i->high)) {
        gy_buf_addf(b,
                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"12\" rx=\"3\" "
                    "fill=\"var(--c%d)\" fill-opacity=\".35\"/>",
                    at(s, i->low), y - 6, fmax(at(s, i->high) - at(s, i->low), 2), color);
        (void)snprintf(line, sizeof line, "%.3f  (%.3f to %.3f)", i->value, i->low, i->high);
    } else {
        (void)snprintf(line, sizeof line, "%.3f", i->value);
    }
    gy_buf_addf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"var(--c%d)\"/>", at(s, i->value),
                y, color);
    text(b, s->to + 14, y + 4, "start", "", i->note.n ? i->note : gy_str_c(line));
}

void gy_svg_intervals(struct gy_buf *b, const struct gy_svg_intervals *c)
{
    char number[32];
    double height = INTERVALS_LINE * (double)c->n + 24;
    struct scale s = {c->min, c->max, INTERVALS_LEFT, INTERVALS_W - INTERVALS_RIGHT};
    begin(b, INTERVALS_W, height, c->label);
    for (int i = 0; i <= 4; i++) {
        double v = c->min + (c->max - c->min) * i / 4;
        gy_buf_addf(b,
                    "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"4\" y2=\"%.1f\" stroke=\"var(--line)\"/>",
                    at(&s, v), at(&s, v), height - 20);
        text(b, at(&s, v), height - 6, "middle", "", short_number(v, number));
    }
    if (isfinite(c->bound)) {
        gy_buf_addf(b,
                    "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%.1f\" stroke=\"var(--bad)\" "
                    "stroke-dasharray=\"4 3\"/>",
                    at(&s, c->bound), at(&s, c->bound), height - 20);
    }
    for (size_t i = 0; i < c->n; i++) {
        one_interval(b, &s, &c->items[i], INTERVALS_LINE * ((double)i + 0.5) + 2);
    }
    gy_buf_addc(b, "</svg>");
}

/* ---- series ---- */

static const char *point_color(int color)
{
    static const char *const colors[] = {"var(--ref)", "var(--good)", "var(--warn)", "var(--bad)"};
    return colors[color < 0 || color > 3 ? 0 : color];
}

static void series_axis(struct gy_buf *b, const struct gy_svg_series *s, const struct scale *y)
{
    char number[32];
    for (int i = 0; i <= 2; i++) {
        double v = s->min + (s->max - s->min) * i / 2;
        gy_buf_addf(b, "<line x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--line)\"/>",
                    SERIES_LEFT, SERIES_W, at(y, v), at(y, v));
        text(b, SERIES_LEFT - 8, at(y, v) + 4, "end", "", short_number(v, number));
    }
    if (isfinite(s->bound)) {
        gy_buf_addf(b,
                    "<line x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--bad)\" "
                    "stroke-dasharray=\"4 3\"/>",
                    SERIES_LEFT, SERIES_W, at(y, s->bound), at(y, s->bound));
    }
    text(b, SERIES_LEFT, SERIES_H + 14, "start", "", s->first);
    text(b, SERIES_W, SERIES_H + 14, "end", "", s->last);
}

void gy_svg_series(struct gy_buf *b, const struct gy_svg_series *s)
{
    struct scale x = {0, s->n > 1 ? (double)(s->n - 1) : 1, SERIES_LEFT + 10, SERIES_W - 10};
    struct scale y = {s->min, s->max, SERIES_H - 4, 8};
    bool moved = false;
    begin(b, SERIES_W, SERIES_H + AXIS_H, s->label);
    series_axis(b, s, &y);
    gy_buf_addc(b, "<path fill=\"none\" stroke=\"var(--ref)\" stroke-width=\"1.5\" d=\"");
    for (size_t i = 0; i < s->n; i++) {
        if (isfinite(s->points[i].value)) {
            gy_buf_addf(b, "%s%.1f %.1f", moved ? "L" : "M", at(&x, (double)i),
                        at(&y, s->points[i].value));
            moved = true;
        }
    }
    gy_buf_addc(b, "\"/>");
    for (size_t i = 0; i < s->n; i++) {
        const struct gy_svg_point *p = &s->points[i];
        if (!isfinite(p->value)) {
            continue;
        }
        gy_buf_addf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%g\" fill=\"%s\"><title>",
                    at(&x, (double)i), at(&y, p->value), s->n > 80 ? 3.0 : 5.0,
                    point_color(p->color));
        gy_html_text(b, p->title);
        gy_buf_addc(b, "</title></circle>");
    }
    gy_buf_addc(b, "</svg>");
}

/* ---- bars ---- */

/* A name that fits, cut between characters. */
static struct gy_str short_name(struct gy_str s, char out[32])
{
    if (s.n <= NAME_BYTES) {
        return s;
    }
    s = gy_str_head(s, NAME_BYTES - 1);
    int written = snprintf(out, 32, "%" GY_STR_F "\xe2\x80\xa6", GY_STR_A(s));
    return gy_str_n(out, written < 0 ? 0 : (size_t)written);
}

static void bar(struct gy_buf *b, double y, double height, double share, double longest,
                const char *color)
{
    if (isfinite(share) && share > 0) {
        gy_buf_addf(b,
                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\" "
                    "fill=\"%s\" fill-opacity=\".75\"/>",
                    BARS_LEFT, y, fmax(share / longest * (BARS_W - BARS_LEFT - BARS_RIGHT), 1),
                    height, color);
    }
}

void gy_svg_bars(struct gy_buf *b, const struct gy_svg_bars *c)
{
    double longest = 0;
    char name[32], number[32];
    for (size_t i = 0; i < c->n; i++) {
        longest = isfinite(c->items[i].share) ? fmax(longest, c->items[i].share) : longest;
        longest = isfinite(c->items[i].reference) ? fmax(longest, c->items[i].reference) : longest;
    }
    longest = longest > 0 ? longest : 1;
    begin(b, BARS_W, BAR_LINE * (double)c->n + 4, c->label);
    for (size_t i = 0; i < c->n; i++) {
        const struct gy_svg_bar *item = &c->items[i];
        double y = BAR_LINE * (double)i + 4;
        bool two = isfinite(item->reference);
        text(b, BARS_LEFT - 8, y + 11, "end", "v", short_name(item->label, name));
        bar(b, y, two ? 7 : 14, item->share, longest, "var(--cur)");
        bar(b, y + 8, 7, item->reference, longest, "var(--ref)");
        if (isfinite(item->share)) {
            (void)snprintf(number, sizeof number, "%.1f %%", 100 * item->share);
        } else {
            (void)snprintf(number, sizeof number, "-");
        }
        text(b, BARS_W, y + 11, "end", "", item->note.n ? item->note : gy_str_c(number));
    }
    gy_buf_addc(b, "</svg>");
}

/* ---- heatmap ---- */

static void heat_cell(struct gy_buf *b, const struct gy_svg_heatmap *h, size_t row, size_t column)
{
    double v = h->values[row * h->n + column];
    double x = HEAT_LEFT + HEAT_CELL * (double)column, y = HEAT_CELL * (double)row;
    char number[32];
    if (!isfinite(v)) {
        return;
    }
    gy_buf_addf(b,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" "
                "fill-opacity=\"%.2f\"><title>",
                x, y, HEAT_CELL - 1, HEAT_CELL - 1, v < 0 ? "var(--bad)" : "var(--cur)",
                fmin(fabs(v), 1) * 0.9);
    gy_html_text(b, h->names[row]);
    gy_buf_addc(b, ", ");
    gy_html_text(b, h->names[column]);
    gy_buf_addf(b, ": %.3f</title></rect>", v);
    if (h->n <= HEAT_NUMBERS) {
        (void)snprintf(number, sizeof number, "%.2f", v);
        text(b, x + HEAT_CELL / 2, y + HEAT_CELL / 2 + 4, "middle", "v", gy_str_c(number));
    }
}

void gy_svg_heatmap(struct gy_buf *b, const struct gy_svg_heatmap *h)
{
    char name[32];
    double side = HEAT_CELL * (double)h->n;
    begin(b, HEAT_LEFT + side, side + HEAT_BELOW, h->label);
    for (size_t i = 0; i < h->n; i++) {
        double middle = HEAT_CELL * ((double)i + 0.5);
        text(b, HEAT_LEFT - 8, middle + 4, "end", "", short_name(h->names[i], name));
        gy_buf_addf(b, "<g transform=\"translate(%.1f %.1f) rotate(-60)\">", HEAT_LEFT + middle + 4,
                    side + 10);
        text(b, 0, 0, "end", "", short_name(h->names[i], name));
        gy_buf_addc(b, "</g>");
        for (size_t k = 0; k < h->n; k++) {
            heat_cell(b, h, i, k);
        }
    }
    gy_buf_addc(b, "</svg>");
}
