/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/sequential.h"

#include <math.h>
#include <stdbool.h>

#define STEPS 50        /* of a bisection: nearly as exact as a double is */
#define END_STEPS 24    /* of the end of an interval, which people read */
#define ALTERNATIVES 10 /* greater rates that a bound is held against */

/* ---- likelihoods, as logarithms ---- */

static double times_log(double n, double p)
{
    return n > 0 ? n * log(p) : 0;
}

static double likelihood(const struct gy_seq *a, double p)
{
    return times_log(a->sum, p) + times_log(a->n - a->sum, 1 - p);
}

static double log_beta(double a, double b)
{
    int sign; /* lgamma would keep it in a variable that all threads share */
    return lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
}

/* The likelihood, averaged over Beta(up, down). */
static double averaged(const struct gy_seq *a, double up, double down)
{
    return log_beta(up + a->sum, down + a->n - a->sum) - log_beta(up, down);
}

static double mixture(const struct gy_seq *a, const struct gy_seq_prior *prior)
{
    double plain = averaged(a, 0.5, 0.5);
    const struct gy_seq *before = &prior->before;
    if (!(before->n > 0)) {
        return plain;
    }
    double n = fmin(before->n, GY_SEQ_PRIOR_MAX);
    double mean = before->sum / before->n;
    double informed = averaged(a, 0.5 + n * mean, 0.5 + n * (1 - mean));
    double most = fmax(plain, informed);
    return most + log((exp(plain - most) + exp(informed - most)) / 2);
}

/* ---- two means ---- */

/* d/dp of likelihood(a, p) + likelihood(b, p - d): it falls. */
static double slope(const struct gy_seq *a, const struct gy_seq *b, double p, double d)
{
    double q = p - d;
    return a->sum / p - (a->n - a->sum) / (1 - p) + b->sum / q - (b->n - b->sum) / (1 - q);
}

/* The greatest likelihood of both where mean(a) - mean(b) = d. */
static double most_likely_at(const struct gy_seq *a, const struct gy_seq *b, double d)
{
    double low = fmax(0, d);
    double high = fmin(1, 1 + d);
    for (int i = 0; i < STEPS; i++) {
        double p = (low + high) / 2;
        bool rises = slope(a, b, p, d) > 0;
        low = rises ? p : low;
        high = rises ? high : p;
    }
    double p = (low + high) / 2;
    return likelihood(a, p) + likelihood(b, p - d);
}

static double most_likely(const struct gy_seq *a)
{
    return likelihood(a, gy_seq_average(a));
}

/* Evidence against the difference being just that. */
static double against(const struct gy_seq *a, const struct gy_seq *b,
                      const struct gy_seq_prior *prior, double d)
{
    double under = most_likely_at(a, b, fmax(-1, fmin(1, d)));
    return mixture(a, prior) + mixture(b, prior) - under;
}

double gy_seq_evidence(const struct gy_seq *a, const struct gy_seq *b,
                       const struct gy_seq_prior *prior, double difference)
{
    bool known = a->n > 0 && b->n > 0;
    if (!known || gy_seq_average(a) - gy_seq_average(b) >= difference) {
        /* The hypothesis holds what was seen: nothing is likelier under another. */
        double under = (a->n > 0 ? most_likely(a) : 0) + (b->n > 0 ? most_likely(b) : 0);
        return known ? mixture(a, prior) + mixture(b, prior) - under : 0;
    }
    return difference > 1 ? INFINITY : against(a, b, prior, difference);
}

void gy_seq_difference(const struct gy_seq *a, const struct gy_seq *b,
                       const struct gy_seq_prior *prior, double alpha, double *ret_low,
                       double *ret_high)
{
    double enough = -log(alpha);
    double seen = gy_seq_average(a) - gy_seq_average(b);
    *ret_low = -1;
    *ret_high = 1;
    if (!(a->n > 0) || !(b->n > 0)) {
        return;
    }
    for (int side = 0; side < 2; side++) {
        double in = seen;
        double out = side ? 1 : -1;
        for (int i = 0; i < END_STEPS; i++) {
            double d = (in + out) / 2;
            bool refused = against(a, b, prior, d) >= enough;
            in = refused ? in : d;
            out = refused ? d : out;
        }
        *(side ? ret_high : ret_low) = in;
    }
}

/* ---- one mean ---- */

void gy_seq_mean(const struct gy_seq *a, const struct gy_seq_prior *prior, double alpha,
                 double *ret_low, double *ret_high)
{
    double enough = mixture(a, prior) + log(alpha); /* likelihoods below it are refused */
    *ret_low = 0;
    *ret_high = 1;
    for (int side = 0; a->n > 0 && side < 2; side++) {
        double in = gy_seq_average(a);
        double out = side;
        for (int i = 0; i < END_STEPS; i++) {
            double p = (in + out) / 2;
            bool refused = likelihood(a, p) <= enough;
            in = refused ? in : p;
            out = refused ? p : out;
        }
        *(side ? ret_high : ret_low) = fabs(in - side) < 1e-6 ? side : in;
    }
}

/* The mean of likelihood ratios of greater rates to the bound: a martingale at the bound, and it
 * falls below it. */
double gy_seq_evidence_above(const struct gy_seq *a, double most)
{
    double ratios[ALTERNATIVES];
    double greatest = -INFINITY;
    double sum = 0;
    if (most <= 0 || most >= 1) {
        return most <= 0 && a->sum > 0 ? INFINITY : 0;
    }
    for (int k = 0; k < ALTERNATIVES; k++) {
        double rate = most + ldexp(1 - most, -k - 1);
        ratios[k] = a->sum * log(rate / most) + (a->n - a->sum) * log((1 - rate) / (1 - most));
        greatest = fmax(greatest, ratios[k]);
    }
    for (int k = 0; k < ALTERNATIVES; k++) {
        sum += exp(ratios[k] - greatest);
    }
    return greatest + log(sum / ALTERNATIVES);
}
