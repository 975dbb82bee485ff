/* SPDX-License-Identifier: Apache-2.0 */
/* Small dense algebra in double for the linear learners, in an order of operations that is fixed:
 * the same bits on any number of threads. Two lanes at a time, as every x86-64 and arm64 has them.
 * Pure; thread safe. Sources: Golub and Van Loan, Matrix Computations, 4th edition, 5.1 to 5.5
 * (Householder QR, column pivoting, complete orthogonal decomposition) and 4.2 (Cholesky). */
#ifndef GY_LEARN_LINALG_H
#define GY_LEARN_LINALG_H

#include <stdbool.h>

#include "base/err.h"

/* Sum of a[i] * b[i], in four interleaved partial sums. */
double gy_dot(const double *a, const double *b, size_t n);
/* y[i] += k * x[i] */
void gy_axpy(double k, const double *x, double *y, size_t n);
/* The largest |v[i]|; infinite when one of them is not a number, so that it never passes for
 * small. */
double gy_largest(const double *v, size_t n);

/* The lower triangle of h (k x k, row stride `stride`) += sum over n_rows of s[i] * x_i x_i^T,
 * where x_i are rows of `x_stride` doubles of which k count. Each element is summed in row order,
 * four rows at a time. */
void gy_gram_add(double *h, size_t stride, size_t k, const double *x, size_t x_stride,
                 const double *s, size_t n_rows);

/* Factor h = L L^T in place (lower triangle of k x k). False when h is not positive definite: a
 * pivot is not above `floor` times its diagonal element. */
bool gy_cholesky(double *h, size_t k, double floor);
/* Solve L L^T x = g in place. */
void gy_cholesky_solve(const double *l, size_t k, double *g);

/* r: k x k, row-major, upper triangular. Take the m rows of `block` into it: the new r has
 * r^T r = old r^T r + block^T block. block: m x k, COLUMN-major with m rows a column; it is used
 * up. Start with r = 0. */
void gy_qr_fold(double *r, size_t k, double *block, size_t m);

/* The w of smallest norm among those that minimise |A w - c|, A = R diag(scale): r is d x d upper
 * triangular with row stride `stride`, c has d elements, scale[j] > 0. Columns are pivoted; one
 * whose part that does not depend on earlier ones has a norm below tolerance[j] depends on others;
 * one with tolerance INFINITY is not there (its w is 0). room: gy_least_norm_room(d) doubles. c
 * becomes Q^T c: what stands from the rank on is not explained. Returns the rank. */
size_t gy_least_norm(const double *r, size_t stride, size_t d, double *c, const double *scale,
                     const double *tolerance, double *w, double *room);
size_t gy_least_norm_room(size_t d);

#endif
