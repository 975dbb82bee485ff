/* SPDX-License-Identifier: Apache-2.0 */
/* Which kind of package a folder is, and the models that do not come from a model.json. */
#ifndef GY_LEARN_MODEL_INTERNAL_H
#define GY_LEARN_MODEL_INTERNAL_H

#include "learn/model.h"

enum gy_package_flavor { GY_FLAVOR_GYRE, GY_FLAVOR_XGBOOST };

/* Fails: NOTSERVABLE naming the flavors there are, CORRUPT (MLmodel is no YAML). */
GY_CHECKED gy_status gy_package_flavor(const char *dir, enum gy_package_flavor *ret,
                                       struct gy_err *err);
/* Fill an initialised model from a package with the `xgboost` flavor. Fails: NOTSERVABLE with the
 * reason, CORRUPT, NOTFOUND, NOMEM. */
/* Target and held-out rows as metadata.gyre of MLmodel names them; both MAY be absent. Fails:
 * CORRUPT, NOMEM. */
struct gy_yaml_node;
GY_CHECKED gy_status gy_foreign_said(const struct gy_yaml_node *ml_model, struct gy_model *m,
                                     struct gy_err *err);
GY_CHECKED gy_status gy_model_from_xgboost(const char *dir, struct gy_model *m, struct gy_err *err);

#endif
