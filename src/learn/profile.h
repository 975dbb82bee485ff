/* SPDX-License-Identifier: Apache-2.0 */
/* gy_profile: what a model was trained on, as distributions: profile.json of a package (format
 * "gyre.profile/1"), written by training, read by the drift statistics long after the data is gone.
 * Of the TRAINING rows: each input, each further numeric column (a rule may read it), the target;
 * of the HELD-OUT rows: what the model answers, since its answers to rows it learnt by heart say
 * nothing about new ones. No time, no id: equal data, params and seed give equal bytes. Immutable
 * once read. */
#ifndef GY_LEARN_PROFILE_H
#define GY_LEARN_PROFILE_H

#include "base/json.h"
#include "learn/predictor.h"
#include "learn/values.h"

#define GY_PROFILE_FORMAT "gyre.profile/1"
#define GY_PROFILE_FILE "profile.json"
#define GY_PROFILE_MAX_BYTES (256 * GY_MIB) /* of the file */
/* A column with more distinct values is kept as quantiles. Many columns share a budget of pairs, so
 * that a package stays small; 1024 are always exact, so up to 1000 rows are (K-S needs that). */
#define GY_PROFILE_MAX_EXACT 65536
#define GY_PROFILE_QUANTILES 4096
#define GY_PROFILE_PAIRS 262144
#define GY_PROFILE_MIN_EXACT 1024
#define GY_PROFILE_MAX_COLUMNS (2 * GY_MAX_FEATURES)
#define GY_PROFILE_MAX_ROWS (INT64_C(1) << 53) /* counts are exact in JSON readers up to there */

struct gy_profile_column {
    struct gy_str name;
    bool input;                /* the model reads it; else it was beside them in the table */
    bool integer;              /* whole numbers only */
    bool categorical;          /* names things: no order, no distance */
    double mean, sd, min, max; /* sd: population form; NaN without values */
    uint64_t distinct;         /* before any summarizing */
    struct gy_values values;
};

struct gy_profile {
    uint64_t rows;                           /* trained on */
    const struct gy_profile_column *columns; /* the inputs in their order, then the others */
    size_t n_columns;
    enum gy_task task;
    struct gy_str target;
    const struct gy_str *classes; /* labels by class index; none of a regression */
    const uint64_t *class_counts;
    size_t n_classes;
    double positive_share;          /* BINARY: of class 1; else NaN */
    struct gy_values target_values; /* REGRESSION */
    /* As gy_shape_score tells it: BINARY the probability of class 1, MULTICLASS the largest one,
     * REGRESSION the value. */
    struct gy_values score;
};

/* Of a package folder. Everything lives in the arena (of about twice the file's size). Fails:
 * NOTFOUND (a package of elsewhere, or of before there were profiles), CORRUPT, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_profile_read(const char *dir, struct gy_arena *a, struct gy_profile *ret,
                                     struct gy_err *err);
GY_CHECKED gy_status gy_profile_parse(struct gy_str text, struct gy_arena *a,
                                      struct gy_profile *ret, struct gy_err *err);
/* The text, with a final newline; parsing it gives p again. Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_profile_write(const struct gy_profile *p, struct gy_buf *out,
                                      struct gy_err *err);
/* NULL when there is none. */
const struct gy_profile_column *gy_profile_column(const struct gy_profile *p, struct gy_str name);
/* Fill a column (but name, input, integer) of its values, summarized as one of n_columns. Fails:
 * NOMEM. */
GY_CHECKED gy_status gy_profile_describe(const struct gy_values *v, size_t n_columns,
                                         struct gy_arena *a, struct gy_profile_column *ret,
                                         struct gy_err *err);

struct gy_table;
/* A table as if a model had been trained on some rows of it: its numeric columns but the id, none
 * marked as an input, no target, no score. For comparing two files. Fails: NOMEM. */
GY_CHECKED gy_status gy_profile_table(const struct gy_table *t, const uint32_t *rows, size_t n_rows,
                                      struct gy_arena *a, struct gy_profile *ret,
                                      struct gy_err *err);

#endif
