/* SPDX-License-Identifier: Apache-2.0 */
/* gy_pictures: an evaluation as SVG files (learn/plot.h): roc, precision_recall, confusion,
 * calibration of classes; residuals and predicted (against the truth) of values; importance, shap
 * and learning (a curve over rounds or epochs) where there is something to show. Equal input, equal
 * bytes. They are artifacts of a run (plots/NAME.svg), never part of a package: its digest is about
 * what answers. Pure; one owner. */
#ifndef GY_LEARN_PICTURES_H
#define GY_LEARN_PICTURES_H

#include "base/buf.h"

#define GY_PICTURES_MAX 12
#define GY_PICTURE_MAX_BYTES ((size_t)4 << 20)
#define GY_PICTURE_MAX_CLASSES 40 /* of a confusion matrix: with more, no picture of it */
#define GY_PICTURE_MAX_BARS 20

struct gy_eval;
struct gy_importance;
struct gy_explanation;

struct gy_picture {
    const char *name; /* static: "roc" */
    struct gy_buf svg;
};
struct gy_pictures {
    struct gy_picture items[GY_PICTURES_MAX];
    size_t n;
};
void gy_pictures_done(struct gy_pictures *p);
GY_DEFINE_AUTO_DONE(struct gy_pictures, gy_pictures_done);

/* What an evaluation with details and keep shows, added to ret (zeroed at first). `about`: a line
 * below the titles ("isSepsis, 401 rows held out"). Fails: INVALID (nothing was kept), NOMEM,
 * TOOBIG. */
GY_CHECKED gy_status gy_pictures_of_eval(const struct gy_eval *e, struct gy_str about,
                                         struct gy_pictures *ret, struct gy_err *err);

/* Bars from the largest down. */
struct gy_picture_bar {
    struct gy_str name;
    double value, low, high; /* low, high not finite: no interval */
};
struct gy_picture_bars {
    const char *name; /* static, of the file */
    struct gy_str title, about, unit;
    const struct gy_picture_bar
        *items; /* in any order; the GY_PICTURE_MAX_BARS largest are drawn */
    size_t n;
};
GY_CHECKED gy_status gy_pictures_add_bars(struct gy_pictures *p, const struct gy_picture_bars *bars,
                                          struct gy_err *err);

/* importance.svg, shap.svg. Fail: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_pictures_add_importance(struct gy_pictures *p,
                                                const struct gy_importance *i, struct gy_str about,
                                                struct gy_err *err);
GY_CHECKED gy_status gy_pictures_add_explanation(struct gy_pictures *p,
                                                 const struct gy_explanation *e,
                                                 struct gy_str about, struct gy_err *err);

/* What a loss did over the rounds, of each of up to four sets of rows. */
struct gy_picture_series {
    struct gy_str name; /* "training", "held out" */
    const double *x, *y;
    size_t n;
};
GY_CHECKED gy_status gy_pictures_add_learning(struct gy_pictures *p, struct gy_str about,
                                              struct gy_str x_label, struct gy_str y_label,
                                              const struct gy_picture_series *series, size_t n,
                                              struct gy_err *err);

/* NAME.svg of each into dir, which is made. Fails as files do. */
GY_CHECKED gy_status gy_pictures_write(const struct gy_pictures *p, const char *dir,
                                       struct gy_err *err);

#endif
