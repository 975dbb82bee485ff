/* SPDX-License-Identifier: Apache-2.0 */
/* gy_plot: a chart as one SVG file: nothing from elsewhere, light and dark by what the reader's
 * system prefers, a title for readers that can not see. Equal input gives equal bytes. These put
 * pieces into a buffer, whose failures stick to it (base/buf.h); values that are not finite are
 * left out. Pure; one owner a buffer.
 *
 *   gy_plot_begin -> (lines, points, ...)* -> gy_plot_end                                       */
#ifndef GY_LEARN_PLOT_H
#define GY_LEARN_PLOT_H

#include "base/buf.h"

#define GY_PLOT_MAX_POINTS 2000 /* of a cloud; more are thinned before */
#define GY_PLOT_COLORS 4

struct gy_plot {
    struct gy_buf *b;
    double x_min, x_max, y_min, y_max; /* of the data; padded when a range is empty */
    double left, top, width, height;   /* of the frame, in pixels */
    double total_width, total_height;
};

struct gy_plot_frame {
    struct gy_str title, subtitle;  /* subtitle MAY be absent */
    struct gy_str x_label, y_label; /* MAY be absent */
    double x_min, x_max, y_min, y_max;
    double width, height; /* of the picture; 0: 520 x 400 */
    double left;          /* room for the names on the left; 0: 64 */
    bool no_x_ticks, no_y_ticks;
};

/* The head, the frame with its grid, ticks and labels. */
void gy_plot_begin(struct gy_plot *p, struct gy_buf *b, const struct gy_plot_frame *f);
void gy_plot_end(struct gy_plot *p);

struct gy_plot_xy {
    double x, y;
};
/* color 0..3. A gap where a value is not finite. */
void gy_plot_line(struct gy_plot *p, const struct gy_plot_xy *points, size_t n, int color);
/* A dashed line from one point to another, as something to compare with. */
void gy_plot_reference(struct gy_plot *p, double x1, double y1, double x2, double y2);
void gy_plot_cloud(struct gy_plot *p, const struct gy_plot_xy *points, size_t n, int color);
/* One point that stands out, with what it says. */
void gy_plot_mark(struct gy_plot *p, double x, double y, int color, struct gy_str says);
/* From low to high, a point at y; low or high not finite: the point alone. */
void gy_plot_interval(struct gy_plot *p, double x, double y, double low, double high, int color);
/* A filled box between data coordinates. opacity 0..1; says: its title, MAY be absent. */
void gy_plot_box(struct gy_plot *p, double x1, double y1, double x2, double y2, int color,
                 double opacity, struct gy_str says);
/* anchor: "start", "middle", "end"; class_: "t" plain, "m" muted, "n" small. dx, dy in pixels. */
void gy_plot_text(struct gy_plot *p, double x, double y, double dx, double dy, const char *anchor,
                  const char *class_, struct gy_str s);
/* Names of the colours, at the upper right. */
void gy_plot_legend(struct gy_plot *p, const struct gy_str *names, size_t n);

double gy_plot_px(const struct gy_plot *p, double x);
double gy_plot_py(const struct gy_plot *p, double y);

/* At most so many characters of s, whole ones. */
struct gy_str gy_plot_name(struct gy_str s, size_t max_characters);
/* A number as short as it stays clear. */
struct gy_str gy_plot_number(double v, char out[32]);

#endif
