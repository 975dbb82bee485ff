/* SPDX-License-Identifier: Apache-2.0 */
/* gy_xgb: libxgboost, opened on first use. It trains, and it is the reference that the flat walker
 * is compared with; it never answers a served prediction. The number of threads is always set (its
 * OpenMP threads spin when there are more of them than free cores); the model bytes do not depend
 * on it. Thread safe: every call has its own booster. */
#ifndef GY_LEARN_XGB_H
#define GY_LEARN_XGB_H

#include "base/buf.h"

struct gy_xgb_data; /* rows as libxgboost keeps them; any number of boosters of one thread use it */
struct gy_xgb_live; /* a booster that can be boosted further */

struct gy_xgb_param {
    const char *name, *value;
};

struct gy_xgb_matrix {
    const float *x; /* n_rows x n_features, row-major, NaN = missing */
    size_t n_rows, n_features;
    const float *y;      /* n_rows; NULL for prediction */
    const float *weight; /* n_rows; NULL: all 1 */
    const float
        *base_margin; /* n_base_margin values for every row, instead of base_score; NULL: none */
    size_t n_base_margin;
    int n_rounds;                     /* prediction: with the first rounds only; 0: all */
    const char *const *feature_names; /* n_features; NULL: none are kept in the model */
};

/* Fails: MISSINGDEP with the name of the Debian package; VERSION when older than 1.7. */
GY_CHECKED gy_status gy_xgb_open(int ret_version[3], struct gy_err *err);

/* Rows to predict on the way: look gets the predictions of the model as it is after at[0], at[1],
 * ... rounds (ascending) and says whether to go on. */
struct gy_xgb_watch {
    struct gy_xgb_matrix data; /* y is not needed */
    const int *at;
    size_t n_at;
    size_t n_out; /* values that a prediction of all rows has */
    gy_status (*look)(void *ctx, int rounds, const float *out, bool *ret_go_on, struct gy_err *err);
    void *ctx;
};

struct gy_xgb_plan {
    const struct gy_xgb_param *params; /* they go to the booster in order */
    size_t n_params;
    int n_rounds, n_threads;
    void (*on_round)(void *ctx, int64_t done); /* after each round; MAY be NULL */
    void *ctx;
    const struct gy_xgb_watch *watch; /* MAY be NULL */
    const int *keep; /* read at the end: the first so many rounds are the model; NULL or 0: all */
};

/* Boost and append the model in UBJSON (model NULL: only the watch wanted to know). Fails:
 * MISSINGDEP, INVALID (a parameter libxgboost refuses, with its message), NOMEM, TOOBIG, as look
 * does. */
GY_CHECKED gy_status gy_xgb_train(const struct gy_xgb_matrix *data, const struct gy_xgb_plan *plan,
                                  struct gy_buf *model, struct gy_err *err);

/* ---- boosting in pieces: no round is computed twice ---- */

/* The bytes are copied. Fails: MISSINGDEP, INVALID, NOMEM. */
GY_CHECKED gy_status gy_xgb_data_new(const struct gy_xgb_matrix *data, int n_threads,
                                     struct gy_xgb_data **ret, struct gy_err *err);
void gy_xgb_data_free(struct gy_xgb_data *d);
/* A booster of no round yet. Both must outlive it. Each round draws from the seed and its number
 * alone, so that rounds in several pieces, with other boosters between them, are those of one go.
 * Fails: INVALID (a parameter), MISSINGDEP. */
GY_CHECKED gy_status gy_xgb_live_new(const struct gy_xgb_data *rows,
                                     const struct gy_xgb_data *watched,
                                     const struct gy_xgb_param *params, size_t n_params,
                                     int n_threads, struct gy_xgb_live **ret, struct gy_err *err);
/* Until it has n_rounds in all. Fails: INVALID. */
GY_CHECKED gy_status gy_xgb_live_boost(struct gy_xgb_live *b, int n_rounds, struct gy_err *err);
/* What it says to the watched rows: a view of n_out values, until the next call. Fails: CORRUPT. */
GY_CHECKED gy_status gy_xgb_live_look(struct gy_xgb_live *b, size_t n_out, const float **ret,
                                      struct gy_err *err);
/* Append the first n_rounds as a model. Fails: FAILED, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_xgb_live_save(struct gy_xgb_live *b, int n_rounds, struct gy_buf *model,
                                      struct gy_err *err);
void gy_xgb_live_free(struct gy_xgb_live *b); /* NULL allowed */

/* Predict with a saved model on one thread; out has n_out values and must be exactly what the model
 * gives. Fails: MISSINGDEP, CORRUPT (libxgboost does not read it, or another number of values). */
GY_CHECKED gy_status gy_xgb_predict(struct gy_str model, const struct gy_xgb_matrix *data,
                                    bool margin, float *out, size_t n_out, struct gy_err *err);

/* What each feature adds to the margin (SHAP values, "pred_contribs"): out has n_rows x groups x
 * (n_features + 1) values, after the features the base. Fails as gy_xgb_predict. */
GY_CHECKED gy_status gy_xgb_contributions(struct gy_str model, const struct gy_xgb_matrix *data,
                                          float *out, size_t n_out, struct gy_err *err);

#endif
