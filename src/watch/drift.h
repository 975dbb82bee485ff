/* SPDX-License-Identifier: Apache-2.0 */
/* gy_drift: do the inputs of an endpoint still look like what its model was trained on? A window
 * holds the last rows that were answered, column by column; evaluating compares each column with
 * the training profile of the package (learn/profile.h), by the test that Evidently would choose.
 * One bad column never fails the rest: what can not be told is NaN and has not drifted.
 *
 * A window of 1000 rows is the least that the usual thresholds make sense for: below some hundred
 * rows a distance of 0.1 is chance. */
#ifndef GY_WATCH_DRIFT_H
#define GY_WATCH_DRIFT_H

#include "base/json.h"
#include "learn/profile.h"
#include "serve/shape.h"
#include "watch/stat.h"

#define GY_DRIFT_MAX_ROWS 10000000             /* of a window */
#define GY_DRIFT_MAX_CELLS ((size_t)256 << 20) /* rows times columns of a window */
#define GY_DRIFT_MAX_FEATURES GY_PROFILE_MAX_COLUMNS
#define GY_DRIFT_BINS 20 /* of the histograms for people */

/* ---- the window ---- */

/* Not thread safe; one owner. */
struct gy_drift_window;

struct gy_drift_row {
    const double *inputs; /* n_inputs, NaN = missing */
    double answer;        /* class value or value; NaN: none */
    double score;         /* what the model itself said; NaN: it was not asked */
    uint32_t weight;      /* how many rows this score stands for */
    bool rules;           /* there are rules, ... */
    bool rule_hit;        /* ... and one decided this row */
    int64_t time_us;
};

/* Of max_rows rows of columns with these names (copied). sliding: a row beyond max_rows pushes out
 * the oldest; else it is not taken. Fails: INVALID (0 or more than GY_DRIFT_MAX_ROWS), TOOBIG,
 * NOMEM. */
GY_CHECKED gy_status gy_drift_window_new(const struct gy_str *inputs, size_t n_inputs,
                                         size_t max_rows, bool sliding,
                                         struct gy_drift_window **ret, struct gy_err *err);
void gy_drift_window_free(struct gy_drift_window *w);
GY_DEFINE_AUTO(struct gy_drift_window *, gy_drift_window_free);
void gy_drift_window_reset(struct gy_drift_window *w); /* no rows; keeps the memory */
size_t gy_drift_window_rows(const struct gy_drift_window *w);
bool gy_drift_window_full(const struct gy_drift_window *w);
/* false: it is full and does not slide. */
bool gy_drift_window_add(struct gy_drift_window *w, const struct gy_drift_row *row);
/* The rows of a log record from row `first` of it on, until the window is full: *ret_taken of them.
 * A window that does not slide is closed then, and the next one goes on at first + *ret_taken.
 * shape: of the record's revision. version: the one whose profile the window is compared with; rows
 * that another version answered (a canary) count but for their scores. Fails: INVALID (the record
 * has other inputs than the window). */
GY_CHECKED gy_status gy_drift_window_record(struct gy_drift_window *w, const struct gy_shape *shape,
                                            struct gy_str version, const struct gy_record *r,
                                            uint32_t first, uint32_t *ret_taken,
                                            struct gy_err *err);
/* The share of rows that a rule decided; n 0: no rules. */
struct gy_share gy_drift_window_rule_hits(const struct gy_drift_window *w);
int64_t gy_drift_window_since_us(const struct gy_drift_window *w); /* time of the oldest row */
int64_t gy_drift_window_until_us(const struct gy_drift_window *w);

/* ---- options ---- */

struct gy_drift_feature_options {
    struct gy_str name;
    bool categorical;
    bool has_test, has_threshold;
    enum gy_stat test;
    double threshold;
};

struct gy_drift_options {
    double share;      /* of the compared columns that must have drifted for the whole: 0.5 */
    uint64_t min_rows; /* values a column must have on either side to be judged: 30 */
    const struct gy_drift_feature_options *features;
    size_t n_features;
    /* How often rules decided before, as counted in windows that had not drifted; n 0: not known */
    struct gy_share rule_reference;
};

void gy_drift_options_init(struct gy_drift_options *o);
/* The section `drift`: {"share", "min_rows", "features": {NAME: {"test", "threshold",
 * "categorical"}}}. v MAY be NULL (nothing given). Strings live in the arena. Fails: INVALID (an
 * unknown key or test, a number out of range), NOMEM. */
GY_CHECKED gy_status gy_drift_options_read(yyjson_val *v, struct gy_arena *a,
                                           struct gy_drift_options *ret, struct gy_err *err);

/* ---- the result ---- */

struct gy_drift_feature {
    struct gy_str name;
    bool input; /* of the model; else only rules read it */
    bool categorical;
    bool enough; /* there are min_rows values on both sides; else it is not judged */
    enum gy_stat test;
    double score, threshold; /* score NaN: can not be told */
    bool drifted;
    double distance; /* Wasserstein over the reference's sd, whatever the test: to compare by */
    double reference_mean, reference_sd, current_mean, current_sd;
    struct gy_share reference_missing, current_missing;
    bool missing_moved; /* clearly more or fewer rows lack it than in training */
    uint64_t reference_distinct;
    struct gy_values reference, current;
};

struct gy_drift_result {
    uint64_t rows, reference_rows;
    int64_t since_us, until_us;
    struct gy_drift_feature *features; /* in the order of the window */
    size_t n_features, n_drifted;
    size_t n_unknown; /* columns of the window that the profile does not know */
    double share, drift_share;
    bool dataset_drift; /* share >= drift_share */
    bool detected;      /* a column has drifted, or an input lacks more values than it did */
    bool has_score;
    struct gy_drift_feature score; /* by Wasserstein always; not counted in n_drifted */
    struct gy_share positive;      /* BINARY: answers of class 1; n 0: not told */
    double reference_positive;     /* in training; NaN: not told */
    struct gy_share rule_reference, rule_current; /* n 0: not known */
    bool rule_moved;
};

/* The result lives in the arena, and points into the profile. Fails: NOMEM. */
GY_CHECKED gy_status gy_drift_evaluate(const struct gy_profile *p, const struct gy_drift_window *w,
                                       const struct gy_drift_options *o, struct gy_arena *a,
                                       struct gy_drift_result *ret, struct gy_err *err);
/* NULL when there is none. */
const struct gy_drift_feature *gy_drift_feature(const struct gy_drift_result *r,
                                                struct gy_str name);

/* Shares of rows a bin of equal width, over the range of both columns. */
struct gy_drift_histogram {
    double low, high;
    double reference[GY_DRIFT_BINS], current[GY_DRIFT_BINS];
};
void gy_drift_histogram_of(const struct gy_drift_feature *f, struct gy_drift_histogram *ret);

/* One JSON object. */
void gy_drift_write(struct gy_jw *w, const struct gy_drift_result *r);

#endif
