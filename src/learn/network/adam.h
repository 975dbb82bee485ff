/* SPDX-License-Identifier: Apache-2.0 */
/* gy_adam: Adam (Kingma and Ba 2015, algorithm 1: beta 0.9 and 0.999, epsilon 1e-8) with decoupled
 * weight decay (Loshchilov and Hutter 2019): after each step the weights, not the biases, shrink by
 * rate * decay. One owner. */
#ifndef GY_LEARN_NETWORK_ADAM_H
#define GY_LEARN_NETWORK_ADAM_H

#include "learn/network/spec.h"

struct gy_adam;

/* Fails: NOMEM. */
GY_CHECKED gy_status gy_adam_new(const struct gy_net_spec *spec, double decay, struct gy_adam **ret,
                                 struct gy_err *err);
void gy_adam_free(struct gy_adam *a);
GY_DEFINE_AUTO(struct gy_adam *, gy_adam_free);

/* One step of params (n_params) down the gradient. */
void gy_adam_step(struct gy_adam *a, double rate, const float *gradient, float *params);

#endif
