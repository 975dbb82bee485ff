/* SPDX-License-Identifier: Apache-2.0 */
/* What an evaluation shows. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "learn/evaluate.h"
#include "learn/pictures_internal.h"

#define MAX_CURVE 400 /* points of a drawn curve */

/* One evaluation being drawn. */
struct drawing {
    const struct gy_eval *e;
    struct gy_str about;
    struct gy_pictures *ret;
    struct gy_arena arena; /* of curves */
};

static const struct gy_metric *metric(const struct drawing *d, const char *name)
{
    return gy_metrics_get(&d->e->groups[0].metrics, gy_str_c(name));
}

/* "AUC 0.912 [0.901, 0.923] · about" */
static struct gy_str subtitle(const struct drawing *d, const char *label, const struct gy_metric *m,
                              char out[200])
{
    int n = !m || isnan(m->value) ? snprintf(out, 200, "%" GY_STR_F, GY_STR_A(d->about))
            : isnan(m->low) ? snprintf(out, 200, "%s %.3f \xc2\xb7 %" GY_STR_F, label, m->value,
                                       GY_STR_A(d->about))
                            : snprintf(out, 200, "%s %.3f [%.3f, %.3f] \xc2\xb7 %" GY_STR_F, label,
                                       m->value, m->low, m->high, GY_STR_A(d->about));
    return gy_str_n(out, n < 0 ? 0 : n < 200 ? (size_t)n : 199);
}

static gy_status draw_curve(struct drawing *d, struct gy_plot *p, const struct gy_curve *whole,
                            struct gy_err *err)
{
    struct gy_curve c;
    GY_TRY(gy_curve_thin(whole, MAX_CURVE, &d->arena, &c, err));
    struct gy_plot_xy *points = gy_arena_calloc(&d->arena, c.n + 1, sizeof *points);
    if (!points) {
        return gy_err_set(err, GY_E_NOMEM, "a picture");
    }
    for (size_t i = 0; i < c.n; i++) {
        points[i] = (struct gy_plot_xy){c.points[i].x, c.points[i].y};
    }
    gy_plot_line(p, points, c.n, 0);
    return GY_OK;
}

/* Where the model's threshold is on a curve: the last point whose threshold is not below it. */
static void mark_threshold(const struct drawing *d, struct gy_plot *p, const struct gy_curve *c)
{
    size_t at = 0;
    char says[64];
    char number[32];
    while (at + 1 < c->n && c->points[at + 1].threshold >= d->e->threshold) {
        at++;
    }
    if (c->n > 0) {
        struct gy_str n = gy_plot_number(d->e->threshold, number);
        (void)snprintf(says, sizeof says, "threshold %" GY_STR_F, GY_STR_A(n));
        gy_plot_mark(p, c->points[at].x, c->points[at].y, 1, gy_str_c(says));
    }
}

static gy_status draw_roc(struct drawing *d, struct gy_err *err)
{
    struct gy_curve c;
    struct gy_plot p;
    struct gy_buf *b = NULL;
    char line[200];
    GY_TRY(gy_roc_curve(&d->e->scored, &d->arena, &c, err));
    if (c.n == 0) {
        return GY_OK; /* one class only */
    }
    GY_TRY(gy_picture_new(d->ret, "roc", &b, err));
    gy_plot_begin(&p, b,
                  &(struct gy_plot_frame){.title = GY_STR("ROC curve"),
                                          .subtitle = subtitle(d, "AUC", metric(d, "auc"), line),
                                          .x_label = GY_STR("false positive rate"),
                                          .y_label = GY_STR("true positive rate (recall)"),
                                          .x_max = 1,
                                          .y_max = 1});
    gy_plot_reference(&p, 0, 0, 1, 1);
    GY_TRY(draw_curve(d, &p, &c, err));
    mark_threshold(d, &p, &c);
    gy_plot_end(&p);
    return gy_buf_check(b, "a picture", err);
}

static gy_status draw_pr(struct drawing *d, struct gy_err *err)
{
    struct gy_curve c;
    struct gy_plot p;
    struct gy_buf *b = NULL;
    char line[200];
    GY_TRY(gy_pr_curve(&d->e->scored, &d->arena, &c, err));
    if (c.n == 0) {
        return GY_OK;
    }
    GY_TRY(gy_picture_new(d->ret, "precision_recall", &b, err));
    gy_plot_begin(
        &p, b,
        &(struct gy_plot_frame){
            .title = GY_STR("Precision and recall"),
            .subtitle = subtitle(d, "average precision", metric(d, "average_precision"), line),
            .x_label = GY_STR("recall"),
            .y_label = GY_STR("precision"),
            .x_max = 1,
            .y_max = 1});
    double prevalence = c.points[c.n - 1].y;
    gy_plot_reference(&p, 0, prevalence, 1, prevalence);
    GY_TRY(draw_curve(d, &p, &c, err));
    mark_threshold(d, &p, &c);
    gy_plot_end(&p);
    return gy_buf_check(b, "a picture", err);
}

/* ---- confusion matrix ---- */

static void draw_cell(const struct drawing *d, struct gy_plot *p, size_t truth, size_t said,
                      double row_total)
{
    size_t k = d->e->n_labels;
    int64_t count = d->e->confusion[truth * k + said];
    double share = row_total > 0 ? (double)count / row_total : 0;
    char text[64];
    double x = (double)said;
    double y = (double)truth;
    (void)snprintf(text, sizeof text, "%lld rows, %.1f %% of this truth", (long long)count,
                   share * 100);
    gy_plot_box(p, x, y, x + 1, y + 1, truth == said ? 0 : 1, 0.06 + 0.84 * share, gy_str_c(text));
    if (k <= 15) {
        (void)snprintf(text, sizeof text, "%lld", (long long)count);
        gy_plot_text(p, x + 0.5, y + 0.5, 0, 4, "middle", share > 0.6 ? "w" : "t", gy_str_c(text));
    }
}

static gy_status draw_confusion(struct drawing *d, struct gy_err *err)
{
    size_t k = d->e->n_labels;
    struct gy_plot p;
    struct gy_buf *b = NULL;
    char line[200];
    if (!d->e->confusion || k > GY_PICTURE_MAX_CLASSES) {
        return GY_OK;
    }
    double side = fmax(220, fmin(30.0 * (double)k, 620));
    GY_TRY(gy_picture_new(d->ret, "confusion", &b, err));
    gy_plot_begin(
        &p, b,
        &(struct gy_plot_frame){.title = GY_STR("Confusion matrix"),
                                .subtitle = subtitle(d, "accuracy", metric(d, "accuracy"), line),
                                .x_label = GY_STR("said"),
                                .y_label = GY_STR("truth"),
                                .x_max = (double)k,
                                .y_min = (double)k,
                                .y_max = 0,
                                .width = side + 160,
                                .height = side + 108,
                                .left = 140,
                                .no_x_ticks = true,
                                .no_y_ticks = true});
    for (size_t t = 0; t < k; t++) {
        double total = 0;
        struct gy_str name = gy_plot_name(d->e->labels[t], 16);
        for (size_t s = 0; s < k; s++) {
            total += (double)d->e->confusion[t * k + s];
        }
        for (size_t s = 0; s < k; s++) {
            draw_cell(d, &p, t, s, total);
        }
        gy_plot_text(&p, 0, (double)t + 0.5, -8, 4, "end", "n", name);
        if (k <= 15) {
            gy_plot_text(&p, (double)t + 0.5, (double)k, 0, 16, "middle", "n",
                         gy_plot_name(name, k > 8 ? 5 : 10));
        }
    }
    gy_plot_end(&p);
    return gy_buf_check(b, "a picture", err);
}

/* ---- calibration ---- */

static gy_status draw_calibration(struct drawing *d, struct gy_err *err)
{
    const struct gy_calibration *c = &d->e->calibration;
    bool binary = d->e->task == GY_TASK_BINARY;
    struct gy_plot p;
    struct gy_buf *b = NULL;
    char line[200];
    size_t most = 1;
    if (c->n_bins == 0) {
        return GY_OK;
    }
    for (size_t i = 0; i < c->n_bins; i++) {
        most = c->bins[i].n_rows > most ? c->bins[i].n_rows : most;
    }
    GY_TRY(gy_picture_new(d->ret, "calibration", &b, err));
    gy_plot_begin(
        &p, b,
        &(struct gy_plot_frame){
            .title = GY_STR("Calibration"),
            .subtitle = subtitle(d, "expected calibration error", &c->ece, line),
            .x_label = binary ? GY_STR("predicted probability (bars: rows)")
                              : GY_STR("probability of what was said (bars: rows)"),
            .y_label = binary ? GY_STR("share that was positive") : GY_STR("share that was right"),
            .x_max = 1,
            .y_max = 1});
    gy_plot_reference(&p, 0, 0, 1, 1);
    for (size_t i = 0; i < c->n_bins; i++) {
        const struct gy_calibration_bin *bin = &c->bins[i];
        char says[48];
        (void)snprintf(says, sizeof says, "%zu rows", bin->n_rows);
        gy_plot_box(&p, bin->low, 0, bin->high, 0.18 * (double)bin->n_rows / (double)most, 0, 0.25,
                    gy_str_c(says));
        gy_plot_interval(&p, bin->predicted, bin->observed.value, bin->observed.low,
                         bin->observed.high, 1);
    }
    gy_plot_end(&p);
    return gy_buf_check(b, "a picture", err);
}

/* ---- values ---- */

/* Every n-th row, so that a cloud stays readable; x, y of each from the scored rows. */
static gy_status cloud(struct drawing *d, bool residual, struct gy_plot_xy **ret, size_t *ret_n,
                       struct gy_err *err)
{
    const struct gy_scored *s = &d->e->scored;
    size_t n = s->n_rows < GY_PLOT_MAX_POINTS ? s->n_rows : GY_PLOT_MAX_POINTS;
    struct gy_plot_xy *points = gy_arena_calloc(&d->arena, n, sizeof *points);
    if (!points) {
        return gy_err_set(err, GY_E_NOMEM, "a picture");
    }
    for (size_t i = 0; i < n; i++) {
        size_t row = n > 1 ? i * (s->n_rows - 1) / (n - 1) : 0;
        double out = s->out[row];
        double truth = s->truth[row];
        points[i] =
            residual ? (struct gy_plot_xy){out, truth - out} : (struct gy_plot_xy){truth, out};
    }
    *ret = points;
    *ret_n = n;
    return GY_OK;
}

static void range_of(const struct gy_plot_xy *points, size_t n, double x[2], double y[2])
{
    x[0] = y[0] = INFINITY;
    x[1] = y[1] = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        x[0] = fmin(x[0], points[i].x);
        x[1] = fmax(x[1], points[i].x);
        y[0] = fmin(y[0], points[i].y);
        y[1] = fmax(y[1], points[i].y);
    }
}

static gy_status draw_residuals(struct drawing *d, struct gy_err *err)
{
    struct gy_plot_xy *points = NULL;
    struct gy_plot p;
    struct gy_buf *b = NULL;
    size_t n = 0;
    double x[2], y[2];
    char line[200];
    GY_TRY(cloud(d, true, &points, &n, err));
    range_of(points, n, x, y);
    double far = fmax(fabs(y[0]), fabs(y[1])) * 1.05;
    GY_TRY(gy_picture_new(d->ret, "residuals", &b, err));
    gy_plot_begin(&p, b,
                  &(struct gy_plot_frame){.title = GY_STR("Residuals"),
                                          .subtitle = subtitle(d, "RMSE", metric(d, "rmse"), line),
                                          .x_label = GY_STR("predicted"),
                                          .y_label = GY_STR("truth - predicted"),
                                          .x_min = x[0],
                                          .x_max = x[1],
                                          .y_min = -far,
                                          .y_max = far});
    gy_plot_reference(&p, p.x_min, 0, p.x_max, 0);
    gy_plot_cloud(&p, points, n, 0);
    gy_plot_end(&p);
    return gy_buf_check(b, "a picture", err);
}

static gy_status draw_predicted(struct drawing *d, struct gy_err *err)
{
    struct gy_plot_xy *points = NULL;
    struct gy_plot p;
    struct gy_buf *b = NULL;
    size_t n = 0;
    double x[2], y[2];
    char line[200];
    GY_TRY(cloud(d, false, &points, &n, err));
    range_of(points, n, x, y);
    double low = fmin(x[0], y[0]);
    double high = fmax(x[1], y[1]);
    GY_TRY(gy_picture_new(d->ret, "predicted", &b, err));
    gy_plot_begin(&p, b,
                  &(struct gy_plot_frame){.title = GY_STR("Predicted against truth"),
                                          .subtitle = subtitle(d, "R2", metric(d, "r2"), line),
                                          .x_label = GY_STR("truth"),
                                          .y_label = GY_STR("predicted"),
                                          .x_min = low,
                                          .x_max = high,
                                          .y_min = low,
                                          .y_max = high});
    gy_plot_reference(&p, p.x_min, p.y_min, p.x_max, p.y_max);
    gy_plot_cloud(&p, points, n, 0);
    gy_plot_end(&p);
    return gy_buf_check(b, "a picture", err);
}

/* ---- the whole ---- */

static gy_status draw_all(struct drawing *d, struct gy_err *err)
{
    switch (d->e->task) {
    case GY_TASK_BINARY:
        GY_TRY(draw_roc(d, err));
        GY_TRY(draw_pr(d, err));
        GY_TRY(draw_confusion(d, err));
        return draw_calibration(d, err);
    case GY_TASK_MULTICLASS:
        GY_TRY(draw_confusion(d, err));
        return draw_calibration(d, err);
    case GY_TASK_REGRESSION:
        GY_TRY(draw_residuals(d, err));
        return draw_predicted(d, err);
    }
    return GY_OK;
}

gy_status gy_pictures_of_eval(const struct gy_eval *e, struct gy_str about, struct gy_pictures *ret,
                              struct gy_err *err)
{
    struct drawing d = {.e = e, .about = about, .ret = ret};
    if (!e->kept || e->n_groups == 0) {
        return gy_err_set(err, GY_E_INVALID, "the evaluation kept no rows to draw");
    }
    gy_arena_init(&d.arena, (size_t)4 * GY_GIB);
    gy_status status = draw_all(&d, err);
    gy_arena_done(&d.arena);
    return status;
}
