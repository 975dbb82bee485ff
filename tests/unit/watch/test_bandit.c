/* SPDX-License-Identifier: Apache-2.0 */
/* The bandit on plain numbers: shares are shares, the same for the same seed, never below the least
 * one, and go to the best arm. */
#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "watch/bandit.h"

static void test_shares(void **state)
{
    (void)state;
    static const struct gy_seq arms[4] = {{50, 100}, {60, 100}, {0, 0}, {9.5, 10}};
    double a[4], b[4], other[4];
    gy_bandit_shares(arms, 4, 0.05, 7, 3, a);
    gy_bandit_shares(arms, 4, 0.05, 7, 3, b);
    gy_bandit_shares(arms, 4, 0.05, 7, 4, other);
    assert_memory_equal(a, b, sizeof a);
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        assert_true(a[i] >= 0.05 - 1e-12);
        assert_true(fabs(a[i] - other[i]) < 0.03); /* another stream, the same distribution */
        assert_true(fabs(a[i] * 10000 - round(a[i] * 10000)) < 1e-6);
        sum += a[i];
    }
    assert_true(fabs(sum - 1) < 1e-9);
    assert_true(a[3] > a[2] && a[2] > a[1] && a[1] >= a[0]);
    /* who is not known shares with who is not known */
    static const struct gy_seq none[2] = {{0, 0}, {0, 0}};
    gy_bandit_shares(none, 2, 0, 1, 1, a);
    assert_true(fabs(a[0] - 0.5) < 0.03);
    /* a least share that is too great is an equal one */
    gy_bandit_shares(arms, 4, 0.5, 1, 1, a);
    for (int i = 0; i < 4; i++) {
        assert_true(fabs(a[i] - 0.25) < 1e-9);
    }
    gy_bandit_shares(arms, 1, 0.05, 1, 1, a);
    assert_true(a[0] == 1);
    /* with much seen of both, the better one has all but the least share */
    static const struct gy_seq sure[2] = {{800, 1000}, {900, 1000}};
    gy_bandit_shares(sure, 2, 0.1, 1, 1, a);
    assert_true(fabs(a[0] - 0.1) < 1e-3 && fabs(a[1] - 0.9) < 1e-3);
}

/* P(Beta(1 + 6, 1 + 4) > Beta(1 + 4, 1 + 6)): by the sum over binomials, 0.81... */
static void test_against_the_exact_probability(void **state)
{
    (void)state;
    double exact = 0; /* P(b > a) for whole numbers: Evan Miller's sum, over lgamma */
    const double a1 = 5, b1 = 7, a2 = 7, b2 = 5;
    for (int i = 0; i < (int)a2; i++) {
        double beta = lgamma(a1 + i) + lgamma(b1 + b2) - lgamma(a1 + i + b1 + b2);
        double unit = lgamma(1 + i) + lgamma(b2) - lgamma(1 + i + b2);
        double base = lgamma(a1) + lgamma(b1) - lgamma(a1 + b1);
        exact += exp(beta - log(b2 + i) - unit - base);
    }
    static const struct gy_seq arms[2] = {{4, 10}, {6, 10}};
    double shares[2];
    gy_bandit_shares(arms, 2, 0, 5, 5, shares);
    assert_true(fabs(shares[1] - exact) < 0.02);
}

/* Three arms, a hundred rows a step, drawn by the shares there are: the best one gets most, and the
 * whole does better than equal shares. */
static void test_learns(void **state)
{
    (void)state;
    static const double is[3] = {0.5, 0.55, 0.7};
    enum { STEPS = 40, ROWS = 100, RUNS = 20 };
    struct gy_rng rng;
    gy_rng_init(&rng, 2);
    double got = 0;
    int found = 0;
    for (int run = 0; run < RUNS; run++) {
        struct gy_seq arms[3] = {{0, 0}};
        double shares[3] = {0.9, 0.05, 0.05};
        for (int step = 0; step < STEPS; step++) {
            for (int i = 0; i < ROWS; i++) {
                double u = gy_rng_f64(&rng);
                int who = u < shares[0] ? 0 : u < shares[0] + shares[1] ? 1 : 2;
                double value = gy_rng_f64(&rng) < is[who];
                arms[who].n++;
                arms[who].sum += value;
                got += value;
            }
            gy_bandit_shares(arms, 3, 0.02, (uint64_t)run, (uint64_t)step, shares);
        }
        found += shares[2] > 0.9;
    }
    assert_true(found >= RUNS - 1);
    assert_true(got / (STEPS * ROWS * RUNS) > 0.66);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_against_the_exact_probability),
        cmocka_unit_test(test_learns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
