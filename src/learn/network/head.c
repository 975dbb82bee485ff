/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/network/head.h"

#include <math.h>

static double identity_loss(double z, double y, gy_real *dz)
{
    if (dz) {
        dz[0] = (gy_real)(z - y);
    }
    return (z - y) * (z - y) / 2;
}

static double sigmoid_loss(double z, double y, gy_real *dz)
{
    double e = exp(-fabs(z)); /* of the side that does not overflow */
    if (dz) {
        dz[0] = (gy_real)((z >= 0 ? 1 : e) / (1 + e) - y);
    }
    return (z > 0 ? z : 0) + log1p(e) - y * z;
}

static double softmax_loss(const gy_real *z, size_t n, size_t y, gy_real *dz, bool *ret_hit)
{
    size_t best = 0;
    for (size_t j = 1; j < n; j++) {
        best = z[j] > z[best] ? j : best;
    }
    *ret_hit = best == y;
    double sum = 0;
    for (size_t j = 0; j < n; j++) {
        sum += exp((double)z[j] - (double)z[best]);
    }
    for (size_t j = 0; dz && j < n; j++) {
        dz[j] = (gy_real)(exp((double)z[j] - (double)z[best]) / sum - (j == y ? 1 : 0));
    }
    return log(sum) + (double)z[best] - (double)z[y];
}

double gy_net_loss(enum gy_net_head head, const gy_real *z, size_t n_outputs, double y, gy_real *dz,
                   bool *ret_hit)
{
    *ret_hit = false;
    switch (head) {
    case GY_NET_IDENTITY:
        break;
    case GY_NET_SIGMOID:
        *ret_hit = (z[0] >= 0) == (y > 0.5);
        return sigmoid_loss((double)z[0], y, dz);
    case GY_NET_SOFTMAX:
        return softmax_loss(z, n_outputs, (size_t)y, dz, ret_hit);
    }
    return identity_loss((double)z[0], y, dz);
}
