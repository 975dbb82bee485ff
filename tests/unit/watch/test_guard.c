/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's decision on plain numbers, and the mailbox of signals. */
#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "serve/signal.h"
#include "watch/guard.h"

static struct gy_rollout rule(double recall_change_min)
{
    struct gy_rollout r;
    assert_int_equal(gy_rollout_read(NULL, &r, NULL), GY_OK);
    r.change_min = recall_change_min;
    r.promote = true;
    return r;
}

static const struct gy_seq_prior NO_PRIOR = {{0, 0}};

static enum gy_guard_verdict decide(const struct gy_rollout *r, struct gy_guard_side stable,
                                    struct gy_guard_side canary, double elapsed_s, const char *says)
{
    struct gy_guard_decision d;
    memset(&d, 0x5a, sizeof d);
    gy_guard_decide(r, &stable, &canary, &NO_PRIOR, 1, elapsed_s, &d);
    if (!strstr(d.reason, says)) {
        fail_msg("%s: \"%s\" does not say \"%s\"", gy_guard_verdict_name(d.verdict), d.reason,
                 says);
    }
    return d.verdict;
}

#define SIDE(...) ((struct gy_guard_side){__VA_ARGS__})

static void test_errors(void **state)
{
    (void)state;
    const struct gy_rollout r = rule(NAN);
    const struct gy_guard_side well = SIDE(.requests = 1000);
    assert_int_equal(decide(&r, well, SIDE(.requests = 10, .errors = 10), 1, "error rate 1.000"),
                     GY_GUARD_ROLL_BACK);
    assert_int_equal(decide(&r, well, SIDE(.requests = 9, .errors = 9), 1, "9 of 200 requests"),
                     GY_GUARD_WAIT); /* too few to say */
    assert_int_equal(decide(&r, well, SIDE(.requests = 400, .errors = 20), 1, "above 0.020"),
                     GY_GUARD_ROLL_BACK);
    /* 4 of 100 may still be 2 % */
    assert_int_equal(decide(&r, well, SIDE(.requests = 100, .errors = 4), 1, "requests"),
                     GY_GUARD_WAIT);
    /* what fails for both is not the canary's */
    assert_int_equal(decide(&r, SIDE(.requests = 100, .errors = 60),
                            SIDE(.requests = 100, .errors = 50), 1, "requests"),
                     GY_GUARD_WAIT);
}

static void test_latency(void **state)
{
    (void)state;
    struct gy_rollout r = rule(NAN);
    const struct gy_guard_side fast = SIDE(.requests = 1000, .p99_ms = 1);
    const struct gy_guard_side slow = SIDE(.requests = 1000, .p99_ms = 80, .slow = 40);
    assert_int_equal(decide(&r, fast, slow, 1, "p99 80 ms"), GY_GUARD_PROMOTE); /* not judged */
    r.max_p99_ms = 50;
    assert_int_equal(decide(&r, fast, slow, 1, "p99 80 ms above 50 ms"), GY_GUARD_ROLL_BACK);
    assert_int_equal(decide(&r, slow, slow, 1, "p99"), GY_GUARD_PROMOTE); /* the machine is slow */
    /* 15 of 1000: p99 itself is above, and may be so by chance */
    assert_int_equal(decide(&r, fast, SIDE(.requests = 1000, .p99_ms = 80, .slow = 15), 1, "p99"),
                     GY_GUARD_PROMOTE);
    assert_int_equal(
        decide(&r, fast, SIDE(.requests = 199, .p99_ms = 80, .slow = 99), 1, "199 of 200"),
        GY_GUARD_WAIT);
    assert_int_equal(decide(&r, fast, SIDE(.requests = 200, .p99_ms = 50), 1, ""),
                     GY_GUARD_PROMOTE);
}

/* Canaries that keep to the bound exactly, looked at after every request: an interval of 99 %
 * took a fifth of them back, and p99 by its value more than half. */
static void test_looking_all_the_time(void **state)
{
    (void)state;
    const struct gy_rollout failing = rule(NAN);
    struct gy_rollout slow = rule(NAN);
    uint64_t x = 1, taken[2] = {0, 0};
    slow.max_p99_ms = 50;
    for (int canary = 0; canary < 200; canary++) {
        struct gy_guard_side side[2] = {{.requests = 0}, {.requests = 0}};
        const struct gy_guard_side stable = SIDE(.requests = 0);
        bool back[2] = {false, false};
        for (int i = 0; i < 2000; i++) {
            x = x * 6364136223846793005ULL + 1442695040888963407ULL;
            double u = (double)(x >> 11) * 0x1p-53;
            struct gy_guard_decision d;
            side[0].requests++;
            side[0].errors += u < failing.max_error_rate;
            side[1].requests++;
            side[1].slow += u > 0.99;
            side[1].p99_ms = (double)side[1].slow > 0.01 * (double)side[1].requests ? 60 : 40;
            gy_guard_decide(&failing, &stable, &side[0], &NO_PRIOR, 1, 0, &d);
            back[0] = back[0] || d.verdict == GY_GUARD_ROLL_BACK;
            gy_guard_decide(&slow, &stable, &side[1], &NO_PRIOR, 1, 0, &d);
            back[1] = back[1] || d.verdict == GY_GUARD_ROLL_BACK;
        }
        taken[0] += back[0];
        taken[1] += back[1];
    }
    assert_in_range(taken[0], 0, 10);
    assert_in_range(taken[1], 0, 10);
}

static void test_recall(void **state)
{
    (void)state;
    struct gy_rollout r = rule(-0.05);
    const struct gy_guard_side stable =
        SIDE(.requests = 5000, .labelled = 1000, .metric = {172, 200});
    const struct gy_guard_side bad = SIDE(.requests = 500, .labelled = 120, .metric = {49, 120});
    assert_int_equal(decide(&r, stable, bad, 1, "recall 0.41 ("), GY_GUARD_ROLL_BACK);
    const struct gy_guard_side better =
        SIDE(.requests = 500, .labelled = 400, .metric = {190, 200});
    assert_int_equal(decide(&r, stable, better, 1, "recall 0.95"), GY_GUARD_PROMOTE);
    const struct gy_guard_side alike = SIDE(.requests = 500, .labelled = 60, .metric = {12, 14});
    assert_int_equal(decide(&r, stable, alike, 1, "does not tell against -0.05"),
                     GY_GUARD_INCONCLUSIVE);
    /* no positive yet: nothing is known */
    assert_int_equal(decide(&r, stable, SIDE(.requests = 500, .labelled = 60), 1, "does not tell"),
                     GY_GUARD_INCONCLUSIVE);
    assert_int_equal(decide(&r, stable, SIDE(.requests = 500, .labelled = 49, .metric = {0, 49}), 1,
                            "49 and 1000 (stable) of 50"),
                     GY_GUARD_WAIT);
    /* a looser rule lets the same be */
    r.change_min = -0.9;
    assert_int_equal(decide(&r, stable, bad, 1, "recall 0.41"), GY_GUARD_PROMOTE);
    /* one that asks for more */
    r.change_min = 0.02;
    assert_int_equal(decide(&r, stable, better, 1, "does not tell"), GY_GUARD_INCONCLUSIVE);
    const struct gy_guard_side best = SIDE(.requests = 500, .labelled = 900, .metric = {595, 600});
    assert_int_equal(decide(&r, stable, best, 1, "recall 0.99"), GY_GUARD_PROMOTE);
    assert_int_equal(decide(&r, stable, stable, 1, "does not tell"), GY_GUARD_INCONCLUSIVE);
}

static void test_time_and_people(void **state)
{
    (void)state;
    struct gy_rollout r = rule(NAN);
    const struct gy_guard_side side = SIDE(.requests = 300, .p99_ms = 1);
    r.after_s = 60;
    assert_int_equal(decide(&r, side, side, 59, "59 of 60 seconds"), GY_GUARD_WAIT);
    assert_int_equal(decide(&r, side, side, 60, "300 requests"), GY_GUARD_PROMOTE);
    r.promote = false;
    assert_int_equal(decide(&r, side, side, 60, "a person promotes"), GY_GUARD_INCONCLUSIVE);
    /* labels that never came are told when its time is over */
    r = rule(-0.05);
    assert_int_equal(decide(&r, side, side, 1e6, "of 50 labelled rows"), GY_GUARD_WAIT);
    r.after_s = 60;
    assert_int_equal(decide(&r, side, side, 59, "labelled"), GY_GUARD_WAIT);
    assert_int_equal(decide(&r, side, side, 61, "after the time it had"), GY_GUARD_INCONCLUSIVE);
    /* bad is bad at any time, whoever promotes */
    r.promote = false;
    assert_int_equal(decide(&r, side, SIDE(.requests = 100, .errors = 90), 0, "error rate"),
                     GY_GUARD_ROLL_BACK);
}

#define LOOK_EVERY 3 /* labels of each; a look costs as much as a hundred of them */

/* What one canary comes to when it is looked at all the time. */
static enum gy_guard_verdict run(const struct gy_rollout *r, struct gy_rng *rng, double stable_is,
                                 double canary_is, int labels, int *ret_after)
{
    struct gy_guard_side side[2] = {SIDE(.requests = 1000), SIDE(.requests = 1000)};
    const struct gy_seq_prior prior = {{160, 200}};
    for (*ret_after = 0; *ret_after < labels; (*ret_after)++) {
        struct gy_guard_decision d;
        for (int s = 0; s < 2; s++) {
            side[s].labelled++;
            side[s].metric.n++;
            side[s].metric.sum += gy_rng_f64(rng) < (s ? canary_is : stable_is);
        }
        if (*ret_after % LOOK_EVERY) {
            continue;
        }
        gy_guard_decide(r, &side[0], &side[1], &prior, 1, 1, &d);
        if (d.verdict == GY_GUARD_ROLL_BACK || d.verdict == GY_GUARD_PROMOTE) {
            return d.verdict;
        }
    }
    return GY_GUARD_INCONCLUSIVE;
}

/* Wrong decisions over a whole sequence of looks, hundreds of them: at the margin itself,
 * where they are likeliest, no more than alpha; and a real difference is seen. */
static void test_wrong_decisions(void **state)
{
    (void)state;
    static const struct {
        double canary, most_back, most_promoted, least_back, least_promoted;
    } cases[] = {
        {0.75, 0.05, 0.05, 0, 0}, /* at the margin: neither claim is true by more than nothing */
        {0.80, 0.05, 1, 0, 0.2},  /* as good as the stable one */
        {0.90, 0.01, 1, 0, 0.99}, /* better */
        {0.60, 1, 0.01, 0.95, 0}, /* worse */
    };
    enum { ROUNDS = 100, LABELS = 900 };
    const struct gy_rollout r = rule(-0.05);
    struct gy_rng rng;
    gy_rng_init(&rng, 7);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        int back = 0;
        int promoted = 0;
        for (int i = 0; i < ROUNDS; i++) {
            int after;
            enum gy_guard_verdict got = run(&r, &rng, 0.8, cases[c].canary, LABELS, &after);
            back += got == GY_GUARD_ROLL_BACK;
            promoted += got == GY_GUARD_PROMOTE;
        }
        print_message("canary %.2f: %d back, %d promoted of %d\n", cases[c].canary, back, promoted,
                      ROUNDS);
        /* two standard errors of the simulation itself */
        double slack = 2 * sqrt(0.05 * 0.95 * ROUNDS);
        assert_true(back <= cases[c].most_back * ROUNDS + slack);
        assert_true(promoted <= cases[c].most_promoted * ROUNDS + slack);
        assert_true(back >= cases[c].least_back * ROUNDS);
        assert_true(promoted >= cases[c].least_promoted * ROUNDS);
    }
}

static void test_signals(void **state)
{
    (void)state;
    struct gy_signals *s = gy_calloc(1, sizeof *s);
    struct gy_signal got;
    gy_signals_init(s);
    assert_false(gy_signals_take(s, &got));
    assert_true(
        gy_signals_put(s, GY_STR("sepsis"), GY_STR("4"), GY_SIGNAL_HOLD, 0.5, GY_STR("drift")));
    assert_true(gy_signals_put(s, GY_STR("a"), GY_STR("1"), GY_SIGNAL_ROLL_BACK, 1, GY_STR_NULL));
    assert_true(gy_signals_take(s, &got));
    assert_string_equal(got.endpoint, "sepsis");
    assert_string_equal(got.version, "4");
    assert_string_equal(got.reason, "drift");
    assert_true(got.kind == GY_SIGNAL_HOLD && got.value == 0.5);
    assert_true(gy_signals_take(s, &got) && got.kind == GY_SIGNAL_ROLL_BACK && !got.reason[0]);
    assert_false(gy_signals_take(s, &got));
    /* bounded: the newest stay */
    for (int i = 0; i < GY_SIGNALS_MAX + 10; i++) {
        assert_true(gy_signals_put(s, GY_STR("e"), GY_STR("1"), GY_SIGNAL_HOLD, i, GY_STR_NULL));
    }
    int n = 0;
    while (gy_signals_take(s, &got)) {
        assert_true(got.value == 10 + n++);
    }
    assert_int_equal(n, GY_SIGNALS_MAX);
    char text[2 * GY_MAX_NAME];
    memset(text, 'x', sizeof text);
    assert_false(gy_signals_put(s, gy_str_n(text, sizeof text), GY_STR("1"), GY_SIGNAL_HOLD, 0,
                                GY_STR_NULL));
    assert_false(
        gy_signals_put(s, GY_STR("e"), gy_str_n(text, 30), GY_SIGNAL_HOLD, 0, GY_STR_NULL));
    assert_true(gy_signals_put(s, GY_STR("e"), GY_STR("1"), GY_SIGNAL_HOLD, 0,
                               gy_str_n(text, sizeof text)));
    assert_true(gy_signals_take(s, &got));
    assert_int_equal(strlen(got.reason), GY_SIGNAL_MAX_REASON - 1);
    gy_signals_done(s);
    gy_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_latency),
        cmocka_unit_test(test_looking_all_the_time),
        cmocka_unit_test(test_recall),
        cmocka_unit_test(test_time_and_people),
        cmocka_unit_test(test_wrong_decisions),
        cmocka_unit_test(test_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
