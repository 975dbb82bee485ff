/* SPDX-License-Identifier: Apache-2.0 */
/* gy_contributions: what each input adds to the margin of a row (log odds, log of a rate, a value;
 * of several classes one margin each) beyond what rows get on average: SHAP values, of linear
 * models exact for independent features, of trees path dependent. What a step made of an input
 * ("season=2", "weight^2") counts as the input; a product is shared equally by its factors. The
 * contributions and the base sum to the margin. Needs no other library than the predictor does, so
 * that a server answers it; learn/explain.h is its counterpart for whole tables. Any thread. */
#ifndef GY_LEARN_CONTRIBUTIONS_H
#define GY_LEARN_CONTRIBUTIONS_H

#include "learn/predictor.h"

#define GY_CONTRIBUTIONS_MAX ((size_t)1 << 24) /* rows x margins x features: 128 MiB */

/* cells: n_rows x n_cells, as for gy_predictor_run. out: [row][margin][input], and after the inputs
 * the base: n_rows x n_outputs x (n_inputs + 1). Allocates. Fails: UNSUPPORTED (a kind of model of
 * which nothing is told, with what to do instead), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_contributions(const struct gy_predictor *p, const double *cells,
                                      size_t n_rows, double *out, struct gy_err *err);

#endif
