/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm, onnx: models that others trained. They have a place among the learners because a loaded
 * package names one; they can not be fitted here. */
#include "learn/foreign.h"

#include "learn/learners/learners.h"

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "a model of kind %s is imported, not trained",
                      gy_learner_name(f->m->learner));
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    return gy_err_set(err, GY_E_CORRUPT, "a model.json can not hold a model of kind %s",
                      gy_learner_name(m->learner));
}

const struct gy_learner_ops gy_learner_lightgbm = {.version = 1,
                                                   .name = "lightgbm",
                                                   .summary = "LightGBM's trees, imported",
                                                   .fit = fit,
                                                   .check = check,
                                                   .load = gy_foreign_load};
const struct gy_learner_ops gy_learner_onnx = {.version = 1,
                                               .name = "onnx",
                                               .summary = "an ONNX graph, imported",
                                               .fit = fit,
                                               .check = check,
                                               .load = gy_foreign_load};
