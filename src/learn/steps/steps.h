/* SPDX-License-Identifier: Apache-2.0 */
/* The feature steps, and what they share. Each is one file; steps.c lists them. */
#ifndef GY_LEARN_STEPS_STEPS_H
#define GY_LEARN_STEPS_STEPS_H

#include "learn/features.h"

extern const struct gy_step_ops gy_step_impute;       /* impute.c */
extern const struct gy_step_ops gy_step_zscore;       /* scale.c */
extern const struct gy_step_ops gy_step_minmax;       /* minmax.c */
extern const struct gy_step_ops gy_step_log;          /* log.c */
extern const struct gy_step_ops gy_step_clip;         /* clip.c */
extern const struct gy_step_ops gy_step_bins;         /* bins.c */
extern const struct gy_step_ops gy_step_onehot;       /* onehot.c */
extern const struct gy_step_ops gy_step_ordinal;      /* ordinal.c */
extern const struct gy_step_ops gy_step_hash;         /* hash.c */
extern const struct gy_step_ops gy_step_polynomial;   /* polynomial.c */
extern const struct gy_step_ops gy_step_interactions; /* interactions.c */
extern const struct gy_step_ops gy_step_dates;        /* dates.c */
extern const struct gy_step_ops gy_step_select;       /* select.c */
extern const struct gy_step_ops gy_step_drop;         /* select.c */

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
bool gy_step_takes_categories(const struct gy_feature *column);
bool gy_step_takes_none(const struct gy_feature *column);
/* What has an order and a distance: numbers, times, pixels. */
bool gy_step_can_measure(const struct gy_feature *column);
/* What may be told apart: categories, and numbers while they are whole. */
bool gy_step_can_tell_apart(const struct gy_feature *column);
/* Outputs that are the inputs again, those worked on being numbers now. Fails: NOMEM. */
GY_CHECKED gy_status gy_step_number_outputs(struct gy_step *s, struct gy_arena *a,
                                            struct gy_err *err);
/* A new output, a number of this name (of gy_arena_printf). Fails: NOMEM when name is NULL. */
GY_CHECKED gy_status gy_step_named(struct gy_feature *out, const char *name, struct gy_err *err);
/* The rows as they are, where out is other memory; n_in == n_out. */
void gy_step_copy(const struct gy_step *s, const double *in, size_t n_rows, double *out);
/* Quantile q of n > 0 sorted values, linear between neighbours (type 7 of Hyndman and Fan, as
 * NumPy). */
double gy_step_quantile(const double *sorted, size_t n, double q);
void gy_step_sort(double *values, size_t n);

/* The distinct values of a column that names things, ascending. */
struct gy_keys {
    double *values;
    uint32_t *counts; /* rows; NULL after reading */
    size_t n;
};
/* Of column c in the training rows, without missing and unseen ones. Fails: INVALID (a value that
 * is not whole), TOOBIG (more than GY_FEATURES_MAX), NOMEM. */
GY_CHECKED gy_status gy_step_keys(const struct gy_step *s, const struct gy_step_rows *rows,
                                  size_t c, struct gy_arena *a, struct gy_keys *ret,
                                  struct gy_err *err);
size_t gy_keys_find(const struct gy_keys *k, double value); /* SIZE_MAX: not there */
/* "winter", or "2" of a number. scratch backs numbers. */
struct gy_str gy_key_text(const struct gy_feature *column, double key, char scratch[40]);
/* Keys under a JSON key and back: whole numbers, ascending, of the column's vocabulary. Fails:
 * CORRUPT, NOMEM. */
GY_CHECKED gy_status gy_keys_read(yyjson_val *v, const char *key, const struct gy_feature *column,
                                  struct gy_arena *a, struct gy_keys *ret, struct gy_err *err);
/* INVALID: there is nothing that an encoding step could work on. */
gy_status gy_step_no_category(const struct gy_step *s, struct gy_err *err);
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
