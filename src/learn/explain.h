/* SPDX-License-Identifier: Apache-2.0 */
/* gy_explain: why a row is answered as it is: what each feature adds to the margin (log odds, log
 * of a rate, a value; of several classes one margin each) beyond what rows get on average. The
 * contributions and the base sum to the margin. Tree models: SHAP values by libxgboost (Lundberg
 * and Lee 2017; the exact algorithm for trees, Lundberg and others 2020). Linear models: w_j (x_j -
 * mean_j), which are the SHAP values of independent features; mean_j is that of the training rows
 * (background.json of the package), or of the rows explained where a package does not say it.
 * A contribution is about the model, not about the world. Pure but for the package's files. */
#ifndef GY_LEARN_EXPLAIN_H
#define GY_LEARN_EXPLAIN_H

#include "learn/evaluate.h"

#define GY_BACKGROUND_FILE "background.json"
#define GY_EXPLAIN_MAX_VALUES ((size_t)1 << 28) /* rows x margins x features: 2 GiB */

struct gy_explanation {
    size_t n_rows, n_sets, n_features; /* sets: margins a row; MULTICLASS: n_classes, else 1 */
    const struct gy_feature *features; /* a view into the model; n_features */
    bool of_rows;   /* linear: the means are those of the rows explained, not of training */
    double *values; /* [row][set][feature], and after the features the base */
};
void gy_explanation_done(struct gy_explanation *e);
GY_DEFINE_AUTO_DONE(struct gy_explanation, gy_explanation_done);

/* Explain rows of t by the package in dir, which p was loaded from; rows NULL: the first n. Fails:
 * UNSUPPORTED (another learner: what to do instead), MISSINGDEP (libxgboost), CORRUPT, TOOBIG,
 * NOMEM, and as cells do. */
GY_CHECKED gy_status gy_explain(const struct gy_predictor *p, const char *dir,
                                const struct gy_table *t, const uint32_t *rows, size_t n,
                                struct gy_explanation *ret, struct gy_err *err);
static inline const double *gy_explanation_of(const struct gy_explanation *e, size_t row,
                                              size_t set)
{
    return e->values + (row * e->n_sets + set) * (e->n_features + 1);
}
/* Their sum. */
double gy_explanation_margin(const struct gy_explanation *e, size_t row, size_t set);
/* Mean over the rows of the sum over the sets of |contribution|; out has n_features. */
void gy_explanation_mean(const struct gy_explanation *e, double *out);
/* {"rows","features":[{"name","mean_abs"}]}, the largest first, as the value that is due. Fails:
 * NOMEM. */
GY_CHECKED gy_status gy_explanation_write(struct gy_jw *w, const struct gy_explanation *e,
                                          struct gy_err *err);

/* background.json of linear models (nothing for others): the means of the features over training
 * rows. Fails as files do, NOMEM. */
GY_CHECKED gy_status gy_write_background(const struct gy_model *m, const struct gy_table *t,
                                         const uint32_t *rows, size_t n, const char *dir,
                                         struct gy_err *err);
/* The means of a package's background.json, n_out of m's features (gy_doubles_free); NULL when it
 * has none. Fails: CORRUPT, NOMEM. */
GY_CHECKED gy_status gy_read_background(const char *dir, const struct gy_model *m, double **ret,
                                        struct gy_err *err);

#endif
