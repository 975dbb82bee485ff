/* SPDX-License-Identifier: Apache-2.0 */
/* Which kind of package a folder is, and the models that do not come from a model.json. */
#ifndef GY_LEARN_MODEL_INTERNAL_H
#define GY_LEARN_MODEL_INTERNAL_H

#include "learn/model.h"

/* In the order in which they are preferred; GY_FLAVORS counts them. */
enum gy_package_flavor {
    GY_FLAVOR_GYRE,
    GY_FLAVOR_XGBOOST,
    GY_FLAVOR_LIGHTGBM,
    GY_FLAVOR_ONNX,
    GY_FLAVOR_PYTHON, /* whatever MLflow's python_function loads: opt-in */
    GY_FLAVORS
};

/* Fails: NOTSERVABLE naming the flavors there are, CORRUPT (MLmodel is no YAML). */
GY_CHECKED gy_status gy_package_flavor(const char *dir, enum gy_package_flavor *ret,
                                       struct gy_err *err);
/* Target and held-out rows as metadata.gyre of MLmodel names them; both MAY be absent. Fails:
 * CORRUPT, NOMEM. */
struct gy_yaml_node;
GY_CHECKED gy_status gy_foreign_said(const struct gy_yaml_node *ml_model, struct gy_model *m,
                                     struct gy_err *err);
/* Fill an initialised model from a package of another flavor than ours. Fails: NOTSERVABLE with the
 * reason, MISSINGDEP (ONNX Runtime), CORRUPT, NOTFOUND, NOMEM. */
GY_CHECKED gy_status gy_model_from_foreign(const char *dir, enum gy_package_flavor flavor,
                                           struct gy_model *m, struct gy_err *err);

#endif
