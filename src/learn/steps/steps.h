/* SPDX-License-Identifier: Apache-2.0 */
/* The feature steps, and what they share. Each is one file; steps.c lists them. */
#ifndef GY_LEARN_STEPS_STEPS_H
#define GY_LEARN_STEPS_STEPS_H

#include "learn/features.h"

extern const struct gy_step_ops gy_step_impute; /* impute.c */
extern const struct gy_step_ops gy_step_zscore; /* scale.c */

enum gy_impute {
    GY_IMPUTE_NONE, /* missing stays NaN (trees route it) */
    GY_IMPUTE_MEAN,
    GY_IMPUTE_MEDIAN,
    GY_IMPUTE_MODE,
    GY_IMPUTE_CONSTANT
};
const char *gy_impute_name(enum gy_impute impute); /* "median" */
/* "none", "mean", "median", "mode", "constant"; "zero" is constant 0. Fails: INVALID. */
GY_CHECKED gy_status gy_impute_parse(struct gy_str name, enum gy_impute *ret, struct gy_err *err);

/* self of the impute step; arrays beside step->in. */
struct gy_imputed {
    enum gy_impute by;
    double *fill; /* what a missing value becomes; NaN: it stays missing */
    bool indicator;
};
/* self of the zscore step. */
struct gy_scaled {
    double *mean, *sd; /* sd 1, mean 0: left as it is */
};

/* Outputs that are the inputs again. Fails: NOMEM. */
GY_CHECKED gy_status gy_step_same_outputs(struct gy_step *s, struct gy_arena *a,
                                          struct gy_err *err);
/* Room for n_out outputs. Fails: TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_step_outputs(struct gy_step *s, size_t n_out, struct gy_arena *a,
                                     struct gy_err *err);
bool gy_step_takes_numbers(const struct gy_feature *column);
/* Is column i among the chosen ones? */
bool gy_step_chose(const struct gy_step *s, size_t i);
/* The finite values of column c, in row order, into out (n_rows); returns how many. Fails:
 * INVALID (an infinite value). */
GY_CHECKED gy_status gy_step_present(const struct gy_step *s, const struct gy_step_rows *rows,
                                     size_t c, double *out, size_t *ret_n, struct gy_err *err);
/* An array of n_in numbers under a key. Fails: CORRUPT, NOMEM. */
GY_CHECKED gy_status gy_step_read_numbers(yyjson_val *v, const char *key, size_t n,
                                          struct gy_arena *a, double **ret, struct gy_err *err);
void gy_step_write_numbers(struct gy_jw *w, const char *key, const double *values, size_t n);

#endif
