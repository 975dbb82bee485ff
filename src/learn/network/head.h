/* SPDX-License-Identifier: Apache-2.0 */
/* The losses: from a network's last values to how wrong they are. Pure functions, in double. */
#ifndef GY_LEARN_NETWORK_HEAD_H
#define GY_LEARN_NETWORK_HEAD_H

#include "learn/network/real.h"
#include "learn/network/spec.h"

/* The loss of one row with the n_outputs values z and the target y: the class (SIGMOID: 0 or 1) or
 * the value. dz, unless NULL, gets d loss / d z. ret_hit: is it the class with the largest
 * probability? (IDENTITY: false.)
 *   IDENTITY  (z - y)^2 / 2             dz = z - y
 *   SIGMOID   log(1 + e^z) - y z        dz = 1 / (1 + e^-z) - y
 *   SOFTMAX   log(sum_j e^z_j) - z_y    dz_j = e^z_j / sum - [j = y] */
double gy_net_loss(enum gy_net_head head, const gy_real *z, size_t n_outputs, double y, gy_real *dz,
                   bool *ret_hit);

#endif
