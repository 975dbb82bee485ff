/* SPDX-License-Identifier: Apache-2.0 */
/* gy_package: the folder of a model as MLflow wants it. gy_train writes what the model is; the
 * MLmodel file written here says which run made it, and makes the folder loadable by MLflow's own
 * clients. The `xgboost` flavor is added only where the trees take the raw inputs: behind feature
 * steps it would answer something else than we do. */
#ifndef GY_LEARN_PACKAGE_H
#define GY_LEARN_PACKAGE_H

#include "learn/model.h"

struct gy_package_ids {
    struct gy_str run_id; /* absent: none */
    int64_t created_us;   /* 0: now */
    struct gy_str uuid;   /* 32 hex digits; absent: a new one */
};

/* Write MLmodel (and for the xgboost flavor python_env.yaml and requirements.txt) into dir. After
 * this the folder must not change: its digest is what verdicts bind to. Fails: as files do, NOMEM.
 */
GY_CHECKED gy_status gy_package_seal(const char *dir, const struct gy_model *m,
                                     const struct gy_package_ids *ids, struct gy_err *err);

#endif
