/* SPDX-License-Identifier: Apache-2.0 */
/* gy_lanes: a few numbers side by side, for loops whose branches no CPU can guess (the sign of a
 * hidden value). Compilers make SSE2 or NEON of it; each lane is computed as it would be alone. */
#ifndef GY_LEARN_NETWORK_LANES_H
#define GY_LEARN_NETWORK_LANES_H

#include <stdint.h>

#include "learn/network/real.h"

#define GY_LANES (16 / sizeof(gy_real))

typedef gy_real gy_lanes __attribute__((vector_size(16)));
/* At any address. */
typedef gy_real gy_lanes_at __attribute__((vector_size(16), aligned(sizeof(gy_real)), may_alias));
/* All bits of a lane, or none: what comparing two gy_lanes gives. */
#ifdef GY_NETWORK_DOUBLE
typedef int64_t gy_mask __attribute__((vector_size(16)));
#else
typedef int32_t gy_mask __attribute__((vector_size(16)));
#endif

static inline gy_lanes gy_lanes_load(const gy_real *p)
{
    return *(const gy_lanes_at *)p;
}

static inline void gy_lanes_store(gy_real *p, gy_lanes v)
{
    *(gy_lanes_at *)p = v;
}

static inline gy_lanes gy_lanes_all(gy_real v)
{
    return (gy_lanes){0} + v;
}

static inline gy_lanes gy_lanes_pick(gy_mask which, gy_lanes yes, gy_lanes no)
{
    return (gy_lanes)(((gy_mask)yes & which) | ((gy_mask)no & ~which));
}

#endif
