/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/pictures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "learn/bootstrap.h"
#include "learn/explain.h"
#include "learn/importance.h"
#include "learn/pictures_internal.h"

void gy_pictures_done(struct gy_pictures *p)
{
    for (size_t i = 0; p && i < p->n; i++) {
        gy_buf_done(&p->items[i].svg);
    }
    if (p) {
        p->n = 0;
    }
}

gy_status gy_picture_new(struct gy_pictures *p, const char *name, struct gy_buf **ret,
                         struct gy_err *err)
{
    if (p->n == GY_PICTURES_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d pictures", GY_PICTURES_MAX);
    }
    p->items[p->n].name = name;
    *ret = &p->items[p->n++].svg;
    gy_buf_init(*ret, GY_PICTURE_MAX_BYTES);
    return GY_OK;
}

/* ---- bars ---- */

static int larger_first(const void *a, const void *b)
{
    const struct gy_picture_bar *x = *(const struct gy_picture_bar *const *)a;
    const struct gy_picture_bar *y = *(const struct gy_picture_bar *const *)b;
    double vx = isnan(x->value) ? -INFINITY : x->value;
    double vy = isnan(y->value) ? -INFINITY : y->value;
    return vx != vy ? (vx < vy) - (vx > vy) : (x > y) - (x < y);
}

static void draw_bars(struct gy_buf *b, const struct gy_picture_bars *bars,
                      const struct gy_picture_bar *const *order, size_t n)
{
    struct gy_plot p;
    double low = 0;
    double high = 0;
    for (size_t i = 0; i < n; i++) {
        const struct gy_picture_bar *x = order[i];
        low = fmin(low, isfinite(x->low) ? x->low : x->value);
        high = fmax(high, isfinite(x->high) ? x->high : x->value);
    }
    gy_plot_begin(&p, b,
                  &(struct gy_plot_frame){.title = bars->title,
                                          .subtitle = bars->about,
                                          .x_label = bars->unit,
                                          .x_min = low,
                                          .x_max = high + (high - low) * 0.02,
                                          .y_min = (double)n,
                                          .y_max = 0,
                                          .height = 128 + 24 * (double)n,
                                          .left = 160,
                                          .no_y_ticks = true});
    for (size_t i = 0; i < n; i++) {
        const struct gy_picture_bar *x = order[i];
        double y = (double)i + 0.5;
        char number[32];
        gy_plot_text(&p, p.x_min, y, -8, 4, "end", "t", gy_plot_name(x->name, 21));
        gy_plot_box(&p, 0, (double)i + 0.2, x->value, (double)i + 0.8, 0, 0.85,
                    gy_plot_number(x->value, number));
        if (isfinite(x->low) && isfinite(x->high)) {
            gy_buf_addf(b, "<path class=\"l1\" stroke-width=\"1.5\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n",
                        gy_plot_px(&p, x->low), gy_plot_py(&p, y), gy_plot_px(&p, x->high),
                        gy_plot_py(&p, y));
        }
    }
    gy_plot_end(&p);
}

gy_status gy_pictures_add_bars(struct gy_pictures *p, const struct gy_picture_bars *bars,
                               struct gy_err *err)
{
    struct gy_buf *b = NULL;
    size_t n = bars->n < GY_PICTURE_MAX_BARS ? bars->n : GY_PICTURE_MAX_BARS;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, bars->n, sizeof(void *));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "a picture");
    }
    const struct gy_picture_bar **order = (const struct gy_picture_bar **)(void *)room;
    for (size_t i = 0; i < bars->n; i++) {
        order[i] = &bars->items[i];
    }
    qsort(order, bars->n, sizeof *order, larger_first);
    GY_TRY(gy_picture_new(p, bars->name, &b, err));
    draw_bars(b, bars, order, n);
    return gy_buf_check(b, "a picture", err);
}

static struct gy_picture_bar *new_bars(size_t n, char **room)
{
    *room = gy_reallocarray(NULL, n, sizeof(struct gy_picture_bar));
    return (struct gy_picture_bar *)(void *)*room;
}

gy_status gy_pictures_add_importance(struct gy_pictures *p, const struct gy_importance *i,
                                     struct gy_str about, struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = NULL;
    struct gy_picture_bar *items = new_bars(i->n, &room);
    char unit[80];
    if (!items) {
        return gy_err_set(err, GY_E_NOMEM, "a picture");
    }
    for (size_t k = 0; k < i->n; k++) {
        const struct gy_input_importance *x = &i->items[k];
        items[k] = (struct gy_picture_bar){x->name, x->value, x->low, x->high};
    }
    (void)snprintf(unit, sizeof unit, "how much worse %s gets when it is mixed up", i->metric);
    return gy_pictures_add_bars(p,
                                &(struct gy_picture_bars){.name = "importance",
                                                          .title = GY_STR("Permutation importance"),
                                                          .about = about,
                                                          .unit = gy_str_c(unit),
                                                          .items = items,
                                                          .n = i->n},
                                err);
}

gy_status gy_pictures_add_explanation(struct gy_pictures *p, const struct gy_explanation *e,
                                      struct gy_str about, struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = NULL;
    GY_AUTO(gy_doubles_free) double *mean = gy_doubles_new(e->n_features, 1);
    struct gy_picture_bar *items = new_bars(e->n_features, &room);
    if (!items || !mean) {
        return gy_err_set(err, GY_E_NOMEM, "a picture");
    }
    gy_explanation_mean(e, mean);
    for (size_t k = 0; k < e->n_features; k++) {
        items[k] = (struct gy_picture_bar){e->features[k].name, mean[k], NAN, NAN};
    }
    return gy_pictures_add_bars(
        p,
        &(struct gy_picture_bars){.name = "shap",
                                  .title = GY_STR("Mean contribution (SHAP)"),
                                  .about = about,
                                  .unit = GY_STR("mean |contribution| to the margin"),
                                  .items = items,
                                  .n = e->n_features},
        err);
}

/* ---- learning ---- */

gy_status gy_pictures_add_learning(struct gy_pictures *p, struct gy_str about,
                                   struct gy_str x_label, struct gy_str y_label,
                                   const struct gy_picture_series *series, size_t n,
                                   struct gy_err *err)
{
    struct gy_buf *b = NULL;
    struct gy_plot plot;
    struct gy_str names[GY_PLOT_COLORS];
    double x[2] = {INFINITY, -INFINITY}, y[2] = {INFINITY, -INFINITY};
    n = n < GY_PLOT_COLORS ? n : GY_PLOT_COLORS;
    for (size_t s = 0; s < n; s++) {
        names[s] = series[s].name;
        for (size_t i = 0; i < series[s].n; i++) {
            if (isfinite(series[s].y[i])) {
                x[0] = fmin(x[0], series[s].x[i]);
                x[1] = fmax(x[1], series[s].x[i]);
                y[0] = fmin(y[0], series[s].y[i]);
                y[1] = fmax(y[1], series[s].y[i]);
            }
        }
    }
    GY_TRY(gy_picture_new(p, "learning", &b, err));
    gy_plot_begin(&plot, b,
                  &(struct gy_plot_frame){.title = GY_STR("Learning curve"),
                                          .subtitle = about,
                                          .x_label = x_label,
                                          .y_label = y_label,
                                          .x_min = x[0],
                                          .x_max = x[1],
                                          .y_min = y[0],
                                          .y_max = y[1] + (y[1] - y[0]) * 0.05});
    for (size_t s = 0; s < n; s++) {
        struct gy_plot_xy *points = gy_calloc(series[s].n ? series[s].n : 1, sizeof *points);
        if (!points) {
            return gy_err_set(err, GY_E_NOMEM, "a picture");
        }
        for (size_t i = 0; i < series[s].n; i++) {
            points[i] = (struct gy_plot_xy){series[s].x[i], series[s].y[i]};
        }
        gy_plot_line(&plot, points, series[s].n, (int)s);
        gy_free(points);
    }
    gy_plot_legend(&plot, names, n);
    gy_plot_end(&plot);
    return gy_buf_check(b, "a picture", err);
}

/* ---- files ---- */

gy_status gy_pictures_write(const struct gy_pictures *p, const char *dir, struct gy_err *err)
{
    GY_TRY(gy_dir_make(dir, err));
    for (size_t i = 0; i < p->n; i++) {
        char name[64];
        char path[GY_MAX_PATH];
        (void)snprintf(name, sizeof name, "%s.svg", p->items[i].name);
        GY_TRY(gy_path_join(path, sizeof path, dir, name, err));
        GY_TRY(gy_file_write(path, gy_buf_str(&p->items[i].svg), 0644, err));
    }
    return GY_OK;
}
