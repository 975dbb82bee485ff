/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of neural networks: float32, in code of its own, so that a server answers without
 * OpenBLAS. Every output is summed over its inputs in their order, whatever the number of rows: a
 * row gets the same bits alone and among 63 others. */
#ifndef GY_LEARN_RUNTIME_NETWORK_H
#define GY_LEARN_RUNTIME_NETWORK_H

#include "learn/network/weights.h"
#include "learn/runtime/runtime.h"

/* The model is copied. A row is the cells of the model's input in order; the answer is a value
 * (IDENTITY), a probability (SIGMOID) or n_outputs probabilities (SOFTMAX). NaN gives NaN. Fails:
 * NOMEM. */
GY_CHECKED gy_status gy_network_new(const struct gy_net_model *m, void **ret, struct gy_err *err);
extern const struct gy_runtime_ops gy_network_ops;

#endif
