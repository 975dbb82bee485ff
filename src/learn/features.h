/* SPDX-License-Identifier: Apache-2.0 */
/* gy_features: what happens to a raw value before the learner sees it: a missing one is imputed,
 * then z-scored. Fitted on training rows only, kept in model.json, applied at training and at
 * serving by the same function, so the two can not drift apart. One step an input, in input order.
 * Immutable once fitted. */
#ifndef GY_LEARN_FEATURES_H
#define GY_LEARN_FEATURES_H

#include "base/json.h"
#include "base/limits.h"

enum gy_impute {
    GY_IMPUTE_NONE, /* missing stays NaN (trees route it) */
    GY_IMPUTE_MEAN,
    GY_IMPUTE_MEDIAN,
    GY_IMPUTE_CONSTANT /* `fill` as given, 0 when not */
};

struct gy_feature {
    enum gy_impute impute;
    double fill; /* what a missing value becomes */
    bool scale;
    double mean,
        sd; /* of the imputed training values; population form; sd 1 for a constant column */
};

struct gy_features {
    struct gy_feature *items; /* gy_free by gy_features_done */
    size_t n;
};

const char *gy_impute_name(enum gy_impute impute); /* "median" */
/* "none", "mean", "median", "constant"; "zero" is constant 0. Fails: INVALID. */
GY_CHECKED gy_status gy_impute_parse(struct gy_str name, enum gy_impute *ret, struct gy_err *err);

/* Fit on rows[0..n_rows) of the columns. columns[i] is one column over all rows of the table. A
 * column without any value is imputed with 0. Sums run in row order: deterministic. Fails: NOMEM,
 * INVALID (an infinite value, or values too large for a mean or a deviation). */
GY_CHECKED gy_status gy_features_fit(const double *const *columns, size_t n_columns,
                                     const uint32_t *rows, size_t n_rows, enum gy_impute impute,
                                     double constant, bool scale, struct gy_features *ret,
                                     struct gy_err *err);
void gy_features_done(struct gy_features *f);
GY_DEFINE_AUTO_DONE(struct gy_features, gy_features_done);

/* in and out: n_rows x f->n, row-major; may be the same memory. */
void gy_features_apply(const struct gy_features *f, const double *in, size_t n_rows, double *out);
bool gy_features_is_identity(const struct gy_features *f);

/* One step as an object in the writer's array: {"impute":"median","fill":74,"mean":..,"sd":..}. */
void gy_feature_write(struct gy_jw *w, const struct gy_feature *f);
GY_CHECKED gy_status gy_feature_read(yyjson_val *v, struct gy_feature *ret, struct gy_err *err);

#endif
