/* SPDX-License-Identifier: Apache-2.0 */
/* The tree-structured Parzen estimator over one learner's dimensions. */
#include <math.h>

#include "learn/space.h"

#define CANDIDATES 24
#define MAX_SEEN 256 /* the densities need no more: the newest of each part are enough */

/* One dimension of one part: the points, and how wide each one's bell is. */
struct parzen {
    double at[MAX_SEEN], width[MAX_SEEN];
    double counts[MAX_SEEN]; /* words: how often, with one more for each word */
    size_t n, n_words;
};

static double normal_below(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

static void sort(double *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double x = v[i];
        size_t k = i;
        for (; k > 0 && v[k - 1] > x; k--) {
            v[k] = v[k - 1];
        }
        v[k] = x;
    }
}

/* A bell reaches to the farther of its two neighbours (the ends count as such), within bounds, as
 * in the paper's section 4.2; one bell more, as wide as everything, keeps every value possible. */
static void fill(struct parzen *p, const struct gy_tpe_seen *seen, size_t n, size_t dimension,
                 size_t n_words)
{
    size_t from = n > MAX_SEEN - 1 ? n - (MAX_SEEN - 1) : 0;
    p->n = n - from;
    p->n_words = n_words;
    for (size_t w = 0; w < n_words; w++) {
        p->counts[w] = 1;
    }
    for (size_t i = from; i < n; i++) {
        double u = seen[i].u[dimension];
        p->at[i - from] = u;
        if (n_words > 0) {
            size_t w = (size_t)(u * (double)n_words);
            p->counts[w < n_words ? w : n_words - 1]++;
        }
    }
    sort(p->at, p->n);
    double least = 1.0 / fmin(100, (double)p->n + 2);
    for (size_t i = 0; i < p->n; i++) {
        double below = p->at[i] - (i > 0 ? p->at[i - 1] : 0);
        double above = (i + 1 < p->n ? p->at[i + 1] : 1) - p->at[i];
        p->width[i] = fmin(1, fmax(least, fmax(below, above)));
    }
    p->at[p->n] = 0.5;
    p->width[p->n] = 1;
}

static double density(const struct parzen *p, double u)
{
    if (p->n_words > 0) {
        size_t w = (size_t)(u * (double)p->n_words);
        return p->counts[w < p->n_words ? w : p->n_words - 1] / (double)(p->n + p->n_words);
    }
    double sum = 0;
    for (size_t i = 0; i <= p->n; i++) {
        double s = p->width[i];
        double inside = normal_below((1 - p->at[i]) / s) - normal_below((0 - p->at[i]) / s);
        double z = (u - p->at[i]) / s;
        sum += exp(-0.5 * z * z) / (s * sqrt(2 * M_PI) * inside);
    }
    return sum / (double)(p->n + 1);
}

static double draw(const struct parzen *p, struct gy_rng *r)
{
    if (p->n_words > 0) {
        double rest = gy_rng_f64(r) * (double)(p->n + p->n_words);
        size_t w = 0;
        while (w + 1 < p->n_words && rest >= p->counts[w]) {
            rest -= p->counts[w++];
        }
        return ((double)w + 0.5) / (double)p->n_words;
    }
    size_t i = (size_t)gy_rng_below(r, p->n + 1);
    for (int tries = 0; tries < 100; tries++) {
        double u = p->at[i] + p->width[i] * gy_rng_normal(r);
        if (u >= 0 && u <= 1) {
            return u;
        }
    }
    return gy_rng_f64(r);
}

void gy_tpe_propose(const struct gy_tpe_seen *seen, size_t n, size_t n_good, const size_t *n_words,
                    size_t n_dimensions, struct gy_rng *r, double *ret, double *ret_gain)
{
    struct parzen good, bad;
    *ret_gain = 0;
    for (size_t d = 0; d < n_dimensions; d++) {
        double best = -INFINITY;
        fill(&good, seen, n_good, d, n_words[d]);
        fill(&bad, seen + n_good, n - n_good, d, n_words[d]);
        for (size_t k = 0; k < CANDIDATES; k++) {
            double u = draw(&good, r);
            double gain = log(density(&good, u)) - log(density(&bad, u));
            if (gain > best) {
                best = gain;
                ret[d] = u;
            }
        }
        *ret_gain += best;
    }
}
