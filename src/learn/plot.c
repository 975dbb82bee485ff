/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/plot.h"

#include <math.h>
#include <stdio.h>

#define WIDTH 520.0
#define HEIGHT 400.0
#define LEFT 64.0
#define RIGHT 20.0
#define TOP 56.0
#define BOTTOM 52.0
#define MAX_TICKS 12

/* Colours that can be told apart by people who see fewer of them (Okabe and Ito 2008), darker on
 * white, lighter on black. */
static const char g_style[] =
    "<style>\n"
    ".bg{fill:#fff}.fr{fill:none;stroke:#c6ced8}.g{stroke:#e8ecf1}.ref{stroke:#8a97a6;"
    "stroke-dasharray:5 4;fill:none}\n"
    "text{font-family:ui-sans-serif,system-ui,'Segoe UI',Roboto,sans-serif;font-size:12px;"
    "fill:#1d2733}\n"
    ".h{font-size:15px;font-weight:600}.m{fill:#5b6b7c}.n{font-size:11px;fill:#5b6b7c}"
    ".w{fill:#fff}\n"
    ".l0{stroke:#0072b2;fill:none}.l1{stroke:#c0510a;fill:none}.l2{stroke:#007a59;fill:none}"
    ".l3{stroke:#a3508a;fill:none}\n"
    ".f0{fill:#0072b2}.f1{fill:#c0510a}.f2{fill:#007a59}.f3{fill:#a3508a}\n"
    "@media(prefers-color-scheme:dark){.bg{fill:#14191f}.fr{stroke:#46515e}.g{stroke:#262e38}"
    ".ref{stroke:#8a97a6}text{fill:#e6ebf1}.m,.n{fill:#a3b0be}.w{fill:#fff}\n"
    ".l0{stroke:#56b4e9}.l1{stroke:#f0974a}.l2{stroke:#3cc79b}.l3{stroke:#e39ccb}"
    ".f0{fill:#56b4e9}.f1{fill:#f0974a}.f2{fill:#3cc79b}.f3{fill:#e39ccb}}\n"
    "</style>\n";

/* ---- text ---- */

/* Control characters have no place in XML, nor have bytes that are no UTF-8. */
static void escaped(struct gy_buf *b, struct gy_str s)
{
    unsigned char last = gy_str_is_utf8(s) ? 0xff : 0x7e;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        switch (c) {
        case '<':
            gy_buf_addc(b, "&lt;");
            break;
        case '>':
            gy_buf_addc(b, "&gt;");
            break;
        case '&':
            gy_buf_addc(b, "&amp;");
            break;
        case '"':
            gy_buf_addc(b, "&quot;");
            break;
        default:
            gy_buf_add_char(b, c < 0x20 || c == 0x7f || c > last ? '?' : (char)c);
        }
    }
}

static void text_at(struct gy_buf *b, double x, double y, const char *anchor, const char *class_,
                    struct gy_str s)
{
    gy_buf_addf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor,
                class_);
    escaped(b, s);
    gy_buf_addc(b, "</text>\n");
}

struct gy_str gy_plot_name(struct gy_str s, size_t max_characters)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80; /* not a byte that continues a character */
        if (n > max_characters) {
            return gy_str_sub(s, 0, i);
        }
    }
    return s;
}

struct gy_str gy_plot_number(double v, char out[32])
{
    double size = fabs(v);
    int n = size >= 1e5 || (size > 0 && size < 0.001) ? snprintf(out, 32, "%.3g", v)
            : size >= 100                             ? snprintf(out, 32, "%.0f", v)
                                                      : snprintf(out, 32, "%.3g", v);
    return gy_str_n(out, n < 0 ? 0 : (size_t)n);
}

/* ---- frame ---- */

double gy_plot_px(const struct gy_plot *p, double x)
{
    return p->left + (x - p->x_min) / (p->x_max - p->x_min) * p->width;
}

double gy_plot_py(const struct gy_plot *p, double y)
{
    return p->top + (p->y_max - y) / (p->y_max - p->y_min) * p->height;
}

/* The distance of ticks: 1, 2 or 5 times a power of ten, about five of them. */
static double tick_step(double low, double high)
{
    double raw = (high - low) / 5;
    double power = pow(10, floor(log10(raw)));
    double f = raw / power;
    return (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10) * power;
}

static void x_ticks(struct gy_plot *p)
{
    double step = tick_step(p->x_min, p->x_max);
    char room[32];
    for (int i = 0; i < MAX_TICKS; i++) {
        double v = (ceil(p->x_min / step - 1e-9) + i) * step;
        if (v > p->x_max + step * 1e-9) {
            return;
        }
        double x = gy_plot_px(p, v);
        gy_buf_addf(p->b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" class=\"g\"/>\n",
                    x, x, p->top, p->top + p->height);
        text_at(p->b, x, p->top + p->height + 16, "middle", "n",
                gy_plot_number(fabs(v) < step * 1e-9 ? 0 : v, room));
    }
}

static void y_ticks(struct gy_plot *p)
{
    double step = tick_step(p->y_min, p->y_max);
    char room[32];
    for (int i = 0; i < MAX_TICKS; i++) {
        double v = (ceil(p->y_min / step - 1e-9) + i) * step;
        if (v > p->y_max + step * 1e-9) {
            return;
        }
        double y = gy_plot_py(p, v);
        gy_buf_addf(p->b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" class=\"g\"/>\n",
                    p->left, p->left + p->width, y, y);
        text_at(p->b, p->left - 6, y + 4, "end", "n",
                gy_plot_number(fabs(v) < step * 1e-9 ? 0 : v, room));
    }
}

/* An axis needs two ends that differ. */
static void widen(double *low, double *high)
{
    if (!isfinite(*low) || !isfinite(*high)) {
        *low = 0;
        *high = 1;
    }
    if (!(fabs(*high - *low) > 1e-12 * fmax(1e-300, fmax(fabs(*low), fabs(*high))))) {
        double pad = *low == 0 ? 1 : fabs(*low) * 0.1;
        *low -= pad;
        *high += pad;
    }
}

static void head(const struct gy_plot *p, const struct gy_plot_frame *f)
{
    gy_buf_addf(p->b,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
                "width=\"%.0f\" height=\"%.0f\" role=\"img\">\n<title>",
                p->total_width, p->total_height, p->total_width, p->total_height);
    escaped(p->b, f->title);
    gy_buf_addc(p->b, "</title>\n");
    gy_buf_addc(p->b, g_style);
    gy_buf_addf(p->b, "<rect width=\"%.0f\" height=\"%.0f\" rx=\"8\" class=\"bg\"/>\n",
                p->total_width, p->total_height);
    text_at(p->b, 16, 26, "start", "h", f->title);
    text_at(p->b, 16, 44, "start", "m", f->subtitle);
}

void gy_plot_begin(struct gy_plot *p, struct gy_buf *b, const struct gy_plot_frame *f)
{
    double left = f->left > 0 ? f->left : LEFT;
    *p = (struct gy_plot){.b = b,
                          .x_min = f->x_min,
                          .x_max = f->x_max,
                          .y_min = f->y_min,
                          .y_max = f->y_max,
                          .left = left,
                          .top = TOP,
                          .total_width = f->width > 0 ? f->width : WIDTH,
                          .total_height = f->height > 0 ? f->height : HEIGHT};
    p->width = p->total_width - left - RIGHT;
    p->height = p->total_height - TOP - BOTTOM;
    widen(&p->x_min, &p->x_max);
    widen(&p->y_min, &p->y_max);
    head(p, f);
    if (!f->no_x_ticks) {
        x_ticks(p);
    }
    if (!f->no_y_ticks) {
        y_ticks(p);
    }
    gy_buf_addf(b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"fr\"/>\n",
                p->left, p->top, p->width, p->height);
    text_at(b, p->left + p->width / 2, p->total_height - 14, "middle", "m", f->x_label);
    if (f->y_label.n > 0) {
        double y = p->top + p->height / 2;
        gy_buf_addf(b,
                    "<text x=\"16\" y=\"%.1f\" text-anchor=\"middle\" class=\"m\" "
                    "transform=\"rotate(-90 16 %.1f)\">",
                    y, y);
        escaped(b, f->y_label);
        gy_buf_addc(b, "</text>\n");
    }
}

void gy_plot_end(struct gy_plot *p)
{
    gy_buf_addc(p->b, "</svg>\n");
}

/* ---- what stands in it ---- */

static bool told(double x, double y)
{
    return isfinite(x) && isfinite(y);
}

void gy_plot_line(struct gy_plot *p, const struct gy_plot_xy *points, size_t n, int color)
{
    bool pen = false;
    gy_buf_addf(p->b, "<path class=\"l%d\" stroke-width=\"2\" stroke-linejoin=\"round\" d=\"",
                color % GY_PLOT_COLORS);
    for (size_t i = 0; i < n; i++) {
        if (!told(points[i].x, points[i].y)) {
            pen = false;
            continue;
        }
        gy_buf_addf(p->b, "%s%.1f %.1f", pen ? "L" : "M", gy_plot_px(p, points[i].x),
                    gy_plot_py(p, points[i].y));
        pen = true;
    }
    gy_buf_addc(p->b, "\"/>\n");
}

void gy_plot_reference(struct gy_plot *p, double x1, double y1, double x2, double y2)
{
    if (told(x1, y1) && told(x2, y2)) {
        gy_buf_addf(p->b, "<path class=\"ref\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", gy_plot_px(p, x1),
                    gy_plot_py(p, y1), gy_plot_px(p, x2), gy_plot_py(p, y2));
    }
}

void gy_plot_cloud(struct gy_plot *p, const struct gy_plot_xy *points, size_t n, int color)
{
    gy_buf_addf(p->b, "<g class=\"f%d\" fill-opacity=\".5\">\n", color % GY_PLOT_COLORS);
    for (size_t i = 0; i < n; i++) {
        if (told(points[i].x, points[i].y)) {
            gy_buf_addf(p->b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\"/>\n",
                        gy_plot_px(p, points[i].x), gy_plot_py(p, points[i].y));
        }
    }
    gy_buf_addc(p->b, "</g>\n");
}

void gy_plot_mark(struct gy_plot *p, double x, double y, int color, struct gy_str says)
{
    if (!told(x, y)) {
        return;
    }
    double px = gy_plot_px(p, x);
    bool right = px < p->left + p->width * 0.6;
    gy_buf_addf(p->b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" class=\"f%d\"/>\n", px,
                gy_plot_py(p, y), color % GY_PLOT_COLORS);
    double py = gy_plot_py(p, y);
    text_at(p->b, px + (right ? 9 : -9), py + (py < p->top + 30 ? 18 : -8), right ? "start" : "end",
            "n", says);
}

void gy_plot_interval(struct gy_plot *p, double x, double y, double low, double high, int color)
{
    if (!told(x, y)) {
        return;
    }
    if (told(low, high)) {
        gy_buf_addf(p->b, "<path class=\"l%d\" stroke-width=\"1.5\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n",
                    color % GY_PLOT_COLORS, gy_plot_px(p, x), gy_plot_py(p, low), gy_plot_px(p, x),
                    gy_plot_py(p, high));
    }
    gy_buf_addf(p->b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" class=\"f%d\"/>\n",
                gy_plot_px(p, x), gy_plot_py(p, y), color % GY_PLOT_COLORS);
}

void gy_plot_box(struct gy_plot *p, double x1, double y1, double x2, double y2, int color,
                 double opacity, struct gy_str says)
{
    if (!told(x1, y1) || !told(x2, y2)) {
        return;
    }
    double ax = fmin(gy_plot_px(p, x1), gy_plot_px(p, x2));
    double bx = fmax(gy_plot_px(p, x1), gy_plot_px(p, x2));
    double ay = fmin(gy_plot_py(p, y1), gy_plot_py(p, y2));
    double by = fmax(gy_plot_py(p, y1), gy_plot_py(p, y2));
    gy_buf_addf(p->b,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"f%d\" "
                "fill-opacity=\"%.3f\"",
                ax, ay, bx - ax, by - ay, color % GY_PLOT_COLORS, opacity);
    if (says.n == 0) {
        gy_buf_addc(p->b, "/>\n");
        return;
    }
    gy_buf_addc(p->b, "><title>");
    escaped(p->b, says);
    gy_buf_addc(p->b, "</title></rect>\n");
}

void gy_plot_text(struct gy_plot *p, double x, double y, double dx, double dy, const char *anchor,
                  const char *class_, struct gy_str s)
{
    if (told(x, y)) {
        text_at(p->b, gy_plot_px(p, x) + dx, gy_plot_py(p, y) + dy, anchor, class_, s);
    }
}

void gy_plot_legend(struct gy_plot *p, const struct gy_str *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double y = p->top + 16 + 17 * (double)i;
        double x = p->left + p->width - 10;
        text_at(p->b, x - 16, y, "end", "m", names[i]);
        gy_buf_addf(p->b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"11\" height=\"4\" class=\"f%d\"/>\n",
                    x - 11, y - 6, (int)(i % GY_PLOT_COLORS));
    }
}
