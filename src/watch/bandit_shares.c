/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/id.h"
#include "watch/bandit.h"

#define UNITS 10000 /* that shares are made of */

/* Gamma(shape >= 1, 1): Marsaglia and Tsang (2000). */
static double gamma_draw(struct gy_rng *r, double shape)
{
    double d = shape - 1.0 / 3;
    double c = 1 / sqrt(9 * d);
    for (;;) {
        double x = gy_rng_normal(r);
        double v = 1 + c * x;
        if (v <= 0) {
            continue;
        }
        v = v * v * v;
        double u = 1 - gy_rng_f64(r); /* not 0 */
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) {
            return d * v;
        }
    }
}

static double beta_draw(struct gy_rng *r, double a, double b)
{
    double x = gamma_draw(r, a);
    return x / (x + gamma_draw(r, b));
}

/* How many of the draws each arm wins. */
static void compete(const struct gy_seq *arms, size_t n, struct gy_rng *r, unsigned *wins)
{
    for (int i = 0; i < GY_BANDIT_DRAWS; i++) {
        size_t best = 0;
        double most = -1;
        for (size_t k = 0; k < n; k++) {
            double v = beta_draw(r, 1 + arms[k].sum, 1 + arms[k].n - arms[k].sum);
            best = v > most ? k : best;
            most = v > most ? v : most;
        }
        wins[best]++;
    }
}

void gy_bandit_shares(const struct gy_seq *arms, size_t n, double min_share, uint64_t seed,
                      uint64_t stream, double *ret)
{
    unsigned wins[GY_CANARIES_MAX + 1] = {0};
    struct gy_rng rng;
    GY_REQUIRE(n >= 1 && n <= GY_CANARIES_MAX + 1);
    gy_rng_init_stream(&rng, seed, stream);
    compete(arms, n, &rng, wins);
    double least = fmin(min_share, 1.0 / (double)n);
    size_t best = 0;
    int left = UNITS;
    int units[GY_CANARIES_MAX + 1];
    for (size_t k = 0; k < n; k++) {
        double share = least + (1 - (double)n * least) * wins[k] / GY_BANDIT_DRAWS;
        units[k] = (int)floor(share * UNITS + 1e-9);
        left -= units[k];
        best = wins[k] > wins[best] ? k : best;
    }
    units[best] += left; /* what rounding left */
    for (size_t k = 0; k < n; k++) {
        ret[k] = units[k] / (double)UNITS;
    }
}
