/* SPDX-License-Identifier: Apache-2.0 */
/* Columns that go together: a Gaussian copula whose latent correlations are chosen such that the
 * columns themselves, whatever their distributions, have the wanted Pearson correlations (NORTA:
 * Cario and Nelson 1997). Pure; thread safe. */
#ifndef GY_DATA_COPULA_H
#define GY_DATA_COPULA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

double gy_normal_cdf(double z);
/* Wichura 1988 (AS 241), 16 digits; -inf and inf at 0 and 1. */
double gy_normal_quantile(double u);

/* A distribution, as its values at equally likely places: grid[k] is its (k + 1/2) / GRID quantile.
 */
#define GY_COPULA_GRID 2048

/* The latent correlation with which two such columns correlate by r; the nearest that there is,
 * within -0.999 and 0.999, when r is out of reach. 0 when one has no spread. nodes: the precision;
 * nodes^2 evaluations a step (64 is good to 0.005). */
double gy_copula_latent(const double *grid_x, const double *grid_y, double r, size_t nodes);

/* The lower triangle L with L L' = m (n x n, row by row, symmetric, ones on the diagonal), in the
 * place of m; zeros above. A matrix that is none of correlations (pairs can contradict each other)
 * has its correlations shrunk until it is: *ret_kept says to what share. */
void gy_copula_factor(double *m, size_t n, double *scratch, double *ret_kept);

#endif
