/* SPDX-License-Identifier: Apache-2.0 */
/* Always-valid tests and intervals: exact values, agreement of tests and intervals, and what a
 * simulation of looking after every value says of them. */
#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "watch/sequential.h"

static const struct gy_seq_prior NONE = {{0, 0}};

/* Jeffreys' mixture of 8 of 10: B(8.5, 2.5) / B(0.5, 0.5), by scipy.special.betaln: -7.1012... */
static void test_one_mean(void **state)
{
    (void)state;
    const struct gy_seq a = {8, 10};
    double low, high;
    gy_seq_mean(&a, &NONE, 0.05, &low, &high);
    /* the ends are where the mixture is twenty times the likelihood */
    double mixed = lgamma(8.5) + lgamma(2.5) - lgamma(11) - 2 * lgamma(0.5) + lgamma(1);
    for (int i = 0; i < 2; i++) {
        double p = i ? high : low;
        double likely = 8 * log(p) + 2 * log(1 - p);
        assert_true(fabs(mixed - likely - log(20)) < 1e-6);
    }
    assert_true(low > 0.25 && low < 0.5 && high > 0.9 && high < 1);
    const struct gy_seq none = {0, 0};
    gy_seq_mean(&none, &NONE, 0.05, &low, &high);
    assert_true(low == 0 && high == 1);
    const struct gy_seq all = {50, 50};
    gy_seq_mean(&all, &NONE, 0.05, &low, &high);
    assert_true(low > 0.8 && high == 1);
    const struct gy_seq no = {0, 50};
    gy_seq_mean(&no, &NONE, 0.05, &low, &high);
    assert_true(low == 0 && high < 0.2);
}

static void test_tests_and_intervals_agree(void **state)
{
    (void)state;
    static const struct gy_seq pairs[][2] = {{{49, 120}, {172, 200}},
                                             {{190, 200}, {172, 200}},
                                             {{0, 30}, {30, 30}},
                                             {{12.5, 40}, {33.25, 60}},
                                             {{5, 5}, {5, 5}}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const struct gy_seq *a = &pairs[i][0];
        const struct gy_seq *b = &pairs[i][1];
        for (int with = 0; with < 2; with++) {
            const struct gy_seq_prior prior = {{with ? 80 : 0, with ? 100 : 0}};
            double low, high;
            gy_seq_difference(a, b, &prior, 0.05, &low, &high);
            double seen = gy_seq_average(a) - gy_seq_average(b);
            assert_true(low <= seen && seen <= high && low >= -1 && high <= 1);
            if (high < 0.999) {
                assert_true(gy_seq_evidence(a, b, &prior, high + 1e-6) >= log(20));
                assert_true(gy_seq_evidence(a, b, &prior, high - 1e-6) < log(20));
            }
            if (low > -0.999) {
                assert_true(gy_seq_evidence(b, a, &prior, -low + 1e-6) >= log(20));
                assert_true(gy_seq_evidence(b, a, &prior, -low - 1e-6) < log(20));
            }
        }
    }
    const struct gy_seq none = {0, 0};
    assert_true(gy_seq_evidence(&none, &pairs[0][0], &NONE, 0.5) <= 0);
    assert_true(gy_seq_evidence(&pairs[0][0], &none, &NONE, 0.5) <= 0);
}

static void test_a_bound(void **state)
{
    (void)state;
    const struct gy_seq ten = {10, 10};
    const struct gy_seq few = {4, 100};
    const struct gy_seq none = {0, 100};
    assert_true(gy_seq_evidence_above(&ten, 0.02) > 20);
    assert_true(gy_seq_evidence_above(&few, 0.02) < log(20));
    assert_true(gy_seq_evidence_above(&none, 0.02) < 0);
    assert_true(isinf(gy_seq_evidence_above(&few, 0)));
    assert_true(gy_seq_evidence_above(&none, 0) == 0);
    assert_true(gy_seq_evidence_above(&ten, 1) == 0);
}

/* Shares of 200 sequences of 600 values whose interval lost the true mean (or difference) at some
 * look; values are hits, or rewards of many sizes. */
static void test_coverage(void **state)
{
    (void)state;
    enum { ROUNDS = 200, VALUES = 600 };
    struct gy_rng rng;
    gy_rng_init(&rng, 11);
    for (int kind = 0; kind < 4; kind++) {
        bool rewards = kind & 1;
        const struct gy_seq_prior prior = {{kind & 2 ? 70 : 0, kind & 2 ? 100 : 0}};
        int lost_mean = 0;
        int lost_difference = 0;
        for (int i = 0; i < ROUNDS; i++) {
            struct gy_seq side[2] = {{0, 0}, {0, 0}};
            bool mean = false;
            bool difference = false;
            for (int n = 0; n < VALUES; n++) {
                for (int s = 0; s < 2; s++) {
                    double u = gy_rng_f64(&rng);
                    double value = rewards ? u : u < 0.7; /* means 0.5, 0.7 */
                    side[s].n += s == 0 || n % 3 == 0;
                    side[s].sum += s == 0 || n % 3 == 0 ? value : 0;
                }
                struct gy_seq one = {rewards ? 0.5 : 0.7, 1};
                /* e of the true values themselves: cheaper than the interval's ends */
                double e = fmax(gy_seq_evidence(&side[0], &side[1], &prior, 0),
                                gy_seq_evidence(&side[1], &side[0], &prior, 0));
                difference = difference || e >= log(20);
                if (n % 50 == 49) {
                    double low, high;
                    gy_seq_mean(&side[0], &prior, 0.05, &low, &high);
                    mean = mean || one.sum < low || one.sum > high;
                }
            }
            lost_mean += mean;
            lost_difference += difference;
        }
        print_message("kind %d: %d and %d of %d lost\n", kind, lost_mean, lost_difference, ROUNDS);
        assert_true(lost_mean <= ROUNDS * 5 / 100);
        assert_true(lost_difference <= ROUNDS * 5 / 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_mean),
        cmocka_unit_test(test_tests_and_intervals_agree),
        cmocka_unit_test(test_a_bound),
        cmocka_unit_test(test_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
