/* SPDX-License-Identifier: Apache-2.0 */
/* What other parts of the room see of a predictor. Views, as long as it lives. */
#ifndef GY_LEARN_PREDICTOR_INTERNAL_H
#define GY_LEARN_PREDICTOR_INTERNAL_H

#include "learn/predictor.h"
#include "learn/runtime/runtime.h"

const struct gy_runtime *gy_predictor_runtime(const struct gy_predictor *p);
/* The means of the features over the training rows (background.json); NULL: not in the package. */
const double *gy_predictor_means(const struct gy_predictor *p);

/* gy_predictor_load of a part of a chain. Fails also: INVALID (a chain, or a model that waits for
 * another process). */
GY_CHECKED gy_status gy_predictor_load_part(const char *dir, struct gy_predictor **ret,
                                            struct gy_err *err);

#endif
