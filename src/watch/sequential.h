/* SPDX-License-Identifier: Apache-2.0 */
/* gy_seq: tests and intervals that stay valid however often one looks and whenever one stops, for
 * means of values from 0 to 1: shares (hit or miss, failed or not, slower than a bound or not),
 * rewards.
 *
 * The tool is the e-process: a number that, while the hypothesis is true, passes 1/alpha at any
 * time with a probability of at most alpha (Ville 1939). Here it is the likelihood of all that was
 * seen, averaged over Beta priors, divided by the greatest likelihood under the hypothesis: the
 * mixture method of Robbins (1970), as confidence sequences in Howard, Ramdas, McAuliffe and
 * Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics
 * 49 (2021); dividing by the maximum over a composite hypothesis, so also one about the difference
 * of two means, is Wasserman, Ramdas and Balakrishnan, "Universal inference", PNAS 117 (2020). No
 * approximation is involved: for shares the averaged ratio at the true mean is a martingale; for
 * other values from 0 to 1 it is below one, since the ratio is convex in the value (Hoeffding
 * 1963). Rows of two versions may come in any order and proportion.
 *
 * What must hold: each value's mean, given what came before, is that of its version. A prior may be
 * made of earlier data, if it is fixed before the first look. Pure functions. */
#ifndef GY_WATCH_SEQUENTIAL_H
#define GY_WATCH_SEQUENTIAL_H

#include "base/err.h"

#define GY_SEQ_PRIOR_MAX 200 /* earlier rows that a prior counts at most */

/* The sum of n values from 0 to 1. */
struct gy_seq {
    double sum, n;
};

/* Half of the prior is Jeffreys' Beta(1/2, 1/2), half is what `before` saw, so that a version like
 * the ones before it is told apart sooner, and one that is not costs a factor of two. before.n = 0:
 * Jeffreys' alone. */
struct gy_seq_prior {
    struct gy_seq before;
};

/* log e against "mean(a) - mean(b) >= difference". */
double gy_seq_evidence(const struct gy_seq *a, const struct gy_seq *b,
                       const struct gy_seq_prior *prior, double difference);
/* log e against "mean <= most": of a share that must keep to a bound. most 0: any value above 0 is
 * proof (infinity). */
double gy_seq_evidence_above(const struct gy_seq *a, double most);

/* The means that are not refused at alpha, and the differences a - b: one interval for all times,
 * which holds the true value at all of them with a probability of at least 1 - alpha. */
void gy_seq_mean(const struct gy_seq *a, const struct gy_seq_prior *prior, double alpha,
                 double *ret_low, double *ret_high);
void gy_seq_difference(const struct gy_seq *a, const struct gy_seq *b,
                       const struct gy_seq_prior *prior, double alpha, double *ret_low,
                       double *ret_high);

/* The mean, 0 without values. */
static inline double gy_seq_average(const struct gy_seq *a)
{
    return a->n > 0 ? a->sum / a->n : 0;
}

#endif
