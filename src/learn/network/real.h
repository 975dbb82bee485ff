/* SPDX-License-Identifier: Apache-2.0 */
/* The number that a network computes with: float32. The test of the gradients builds the same files
 * with -DGY_NETWORK_DOUBLE, because a derivative taken by differences says little in float32. */
#ifndef GY_LEARN_NETWORK_REAL_H
#define GY_LEARN_NETWORK_REAL_H

#include "learn/network/blas.h"

#ifdef GY_NETWORK_DOUBLE
typedef double gy_real;
#define gy_gemm gy_dgemm
#else
typedef float gy_real;
#define gy_gemm gy_sgemm
#endif

#endif
