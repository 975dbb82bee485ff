/* SPDX-License-Identifier: Apache-2.0 */
/* gy_smote: made-up rows of the rare classes, each on the line between a row and one of its k
 * nearest neighbours of the same class (Chawla, Bowyer, Hall, Kegelmeyer 2002: SMOTE). Only ever
 * for rows that are trained on, after the feature steps. Deterministic by seed. Pure. */
#ifndef GY_LEARN_SMOTE_H
#define GY_LEARN_SMOTE_H

#include "base/str.h"

#define GY_SMOTE_MAX_RARE 50000 /* rows of one rare class: neighbours are looked for among all */
#define GY_SMOTE_MAX_K 100

struct gy_smote {
    size_t k;     /* neighbours, usually 5 */
    double ratio; /* rows of each rare class, of those of the largest one; (0, 1] */
    uint64_t seed;
};

/* x: n_rows x n_features without NaN, y: class indices. *ret_x (n_all x n_features) and *ret_y hold
 * the rows given, in order, and then the made-up ones class by class; gy_free. Fails: INVALID (a
 * missing value; a class with one row only), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_smote_rows(const struct gy_smote *o, const double *x, const double *y,
                                   size_t n_rows, size_t n_features, size_t n_classes,
                                   double **ret_x, double **ret_y, size_t *ret_n,
                                   struct gy_err *err);

#endif
