/* SPDX-License-Identifier: Apache-2.0 */
/* Charts for reports (watch/html.h) as inline SVG: they take their colours from the page, so that
 * they follow light, dark and print, and hold a title for readers that can not see. Values that are
 * not finite are left out. Pure. */
#ifndef GY_WATCH_SVG_H
#define GY_WATCH_SVG_H

#include "base/buf.h"

/* One or two distributions over the same bins: what was expected as an area (NULL: nothing was),
 * what came as a line with an area. Shares, not counts. */
struct gy_svg_histogram {
    struct gy_str label; /* for readers: "Temp" */
    double low, high;    /* of the axis */
    const double *reference, *current;
    size_t n_bins;
};
void gy_svg_histogram(struct gy_buf *b, const struct gy_svg_histogram *h);

/* Values with their intervals, one a line, on one axis from min to max. */
struct gy_svg_interval {
    struct gy_str label, note; /* note: at the right end; MAY be absent */
    double value, low, high;   /* low or high not finite: no interval; value too: "not told" */
    int color;                 /* 0..3 */
};
struct gy_svg_intervals {
    struct gy_str label;
    const struct gy_svg_interval *items;
    size_t n;
    double min, max;
    double bound; /* a line across, not finite: none */
};
void gy_svg_intervals(struct gy_buf *b, const struct gy_svg_intervals *c);

/* A value over a sequence (windows), with points of a kind. */
struct gy_svg_point {
    double value;
    int color; /* 0 plain, 1 good, 2 warn, 3 bad */
    struct gy_str title;
};
struct gy_svg_series {
    struct gy_str label;
    const struct gy_svg_point *points;
    size_t n;
    double min, max, bound;
    struct gy_str first, last; /* what stands under the ends of the axis */
};
void gy_svg_series(struct gy_buf *b, const struct gy_svg_series *s);

/* How much of each: bars to the right from the names on, each with a second one below it where
 * there is another share. Shares of 1; the longest fills the width. */
struct gy_svg_bar {
    struct gy_str label, note; /* note: at the right end; MAY be absent */
    double share, reference;   /* not finite: none */
};
struct gy_svg_bars {
    struct gy_str label;
    const struct gy_svg_bar *items;
    size_t n;
};
void gy_svg_bars(struct gy_buf *b, const struct gy_svg_bars *c);

/* A square of values from -1 to 1, row by row, with names at the left and below; what is not finite
 * is left blank. */
struct gy_svg_heatmap {
    struct gy_str label;
    const struct gy_str *names;
    size_t n;
    const double *values;
};
void gy_svg_heatmap(struct gy_buf *b, const struct gy_svg_heatmap *h);

#endif
