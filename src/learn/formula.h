/* SPDX-License-Identifier: Apache-2.0 */
/* gy_formula: an expression (base/expr.h) over the features as a model: the rule or the tariff that
 * was there before anything was learnt, so that it can be measured, served and beaten like any
 * other. Arithmetic, comparisons, if(c, a, b), min, max, exp, log, sqrt, abs, floor, ceil, round;
 * a comparison counts as 0 or 1. Immutable; any number of threads. */
#ifndef GY_LEARN_FORMULA_H
#define GY_LEARN_FORMULA_H

#include "learn/runtime/runtime.h"

struct gy_formula;

/* names: what the columns of a row are called. probability: answers are held within 0 and 1. Fails:
 * PARSE, INVALID (a name that is no feature: says which there are; a text as its result), TOOBIG,
 * NOMEM. */
GY_CHECKED gy_status gy_formula_new(struct gy_str text, const struct gy_str *names, size_t n_names,
                                    bool probability, struct gy_formula **ret, struct gy_err *err);
void gy_formula_free(struct gy_formula *f);
GY_DEFINE_AUTO(struct gy_formula *, gy_formula_free);

/* What the answers are multiplied by; 1 at first. */
void gy_formula_set_factor(struct gy_formula *f, double factor);

/* The factor that makes the answers sum to the targets: sum weight y / sum weight f(x), over rows
 * where the formula has an answer. weight MAY be NULL. Fails: INVALID (no row has an answer, a
 * probability outside 0 to 1 names its row; with `fit` where no positive factor does it). With fit
 * false the factor stays as it is and only the answers are checked. */
GY_CHECKED gy_status gy_formula_fit(struct gy_formula *f, const double *x, const double *y,
                                    const double *weight, size_t n_rows, bool fit,
                                    double *ret_factor, struct gy_err *err);

/* self = struct gy_formula. A missing value gives NaN, unless the formula says what then. */
extern const struct gy_runtime_ops gy_formula_ops;

#endif
