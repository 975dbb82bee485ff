/* SPDX-License-Identifier: Apache-2.0 */
/* gy_blas: OpenBLAS, opened on first use and kept at one thread of its own. Programs that want more
 * threads call it from several: each product is computed by one of them, so that equal matrices
 * give equal bits whatever the number of threads (on one kind of CPU: OpenBLAS has a kernel for
 * each). Only training opens it; the server answers with code of its own (runtime/network.c).
 *
 * Matrices are row-major without gaps. Thread safe. */
#ifndef GY_LEARN_NETWORK_BLAS_H
#define GY_LEARN_NETWORK_BLAS_H

#include <stdbool.h>

#include "base/err.h"

/* Fails: MISSINGDEP with the name of the Debian package. */
GY_CHECKED gy_status gy_blas_open(struct gy_err *err);

enum gy_blas_form { GY_BLAS_PLAIN, GY_BLAS_TRANSPOSED };

/* c = a' b' + beta c, where c is m x n, a' is m x k and b' is k x n. TRANSPOSED: a is stored as
 * k x m (b as n x k). With beta 0 c need not be set before. gy_blas_open must have succeeded;
 * sides are below 2^31. */
void gy_sgemm(enum gy_blas_form a_form, enum gy_blas_form b_form, size_t m, size_t n, size_t k,
              const float *a, const float *b, float beta, float *c);
void gy_dgemm(enum gy_blas_form a_form, enum gy_blas_form b_form, size_t m, size_t n, size_t k,
              const double *a, const double *b, double beta, double *c);

#endif
