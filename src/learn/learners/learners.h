/* SPDX-License-Identifier: Apache-2.0 */
/* The learners, each in a file of its name; learners.c has them in the order of enum gy_learner. */
#ifndef GY_LEARN_LEARNERS_LEARNERS_H
#define GY_LEARN_LEARNERS_LEARNERS_H

#include "learn/learner.h"

extern const struct gy_learner_ops gy_learner_majority;
extern const struct gy_learner_ops gy_learner_formula;
extern const struct gy_learner_ops gy_learner_linear;
extern const struct gy_learner_ops gy_learner_glm;
extern const struct gy_learner_ops gy_learner_logistic;
extern const struct gy_learner_ops gy_learner_xgboost;
extern const struct gy_learner_ops gy_learner_mlp;
extern const struct gy_learner_ops gy_learner_cnn;
extern const struct gy_learner_ops gy_learner_forest;
/* The trees of class k of a loaded forest (0: its only ones). */
struct gy_trees;
const struct gy_trees *gy_forest_part(const void *self, size_t k);
extern const struct gy_learner_ops gy_learner_lightgbm; /* foreign.c: loaded, never fitted */
extern const struct gy_learner_ops gy_learner_onnx;
extern const struct gy_learner_ops gy_learner_remote; /* registered */
extern const struct gy_learner_ops gy_learner_python; /* imported */
extern const struct gy_learner_ops gy_learner_chain;  /* put together */

/* What libxgboost gets for a fit, in order, objective and seed included; out has room for
 * GY_XGB_MAX_PARAMS. Numbers are written into the arena. Fails: NOMEM. */
#define GY_XGB_MAX_PARAMS 40
struct gy_xgb_param; /* learn/xgb.h */
GY_CHECKED gy_status gy_xgboost_params(const struct gy_settings *s, const struct gy_model *m,
                                       uint64_t seed, struct gy_arena *a, struct gy_xgb_param *out,
                                       size_t *ret_n, struct gy_err *err);

#endif
