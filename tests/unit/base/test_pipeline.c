/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline: ordered stages see every slot once and in order, whatever the threads; failures end
 * it and leave nothing. */
#include "../unit.h"

#include <stdatomic.h>

#include "base/id.h"
#include "base/pipeline.h"

enum { SLOTS = 5 };

struct slot {
    int64_t number, squared;
    bool in_use;
};

struct job {
    int64_t made, wanted, ordered_at[2], sum;
    int64_t fail_at;
    int fail_stage; /* 0: making */
    _Atomic int64_t checked;
    _Atomic int inside[2];
    bool spoilt;
};

static gy_status fault_of(const struct job *j, int stage, int64_t number, struct gy_err *err)
{
    return stage == j->fail_stage && number == j->fail_at
               ? gy_err_set(err, GY_E_IO, "stage %d at %lld", stage, (long long)number)
               : GY_OK;
}

static gy_status make(void *ctx, void *slot, bool *ret_more, struct gy_err *err)
{
    struct job *j = ctx;
    struct slot *s = slot;
    if (j->made >= j->wanted) {
        *ret_more = false;
        return GY_OK;
    }
    j->spoilt = j->spoilt || s->in_use;
    *s = (struct slot){j->made++, 0, true};
    return fault_of(j, 0, s->number, err);
}

static gy_status square(void *ctx, void *slot, int thread, struct gy_err *err)
{
    struct job *j = ctx;
    struct slot *s = slot;
    assert_true(thread >= 0 && thread < GY_PIPELINE_MAX_THREADS);
    /* Some take longer, so that later slots overtake earlier ones here. */
    for (int64_t i = 0; i < s->number * 7919 % 5000; i++) {
        s->squared += i;
    }
    s->squared = s->number * s->number;
    (void)atomic_fetch_add(&j->checked, 1);
    return fault_of(j, 1, s->number, err);
}

static gy_status in_order(struct job *j, struct slot *s, int which, struct gy_err *err)
{
    if (atomic_fetch_add(&j->inside[which], 1) != 0 || s->number != j->ordered_at[which] ||
        s->squared != s->number * s->number) {
        j->spoilt = true;
    }
    j->ordered_at[which]++;
    (void)atomic_fetch_sub(&j->inside[which], 1);
    return fault_of(j, 2 + which, s->number, err);
}

static gy_status first(void *ctx, void *slot, int thread, struct gy_err *err)
{
    (void)thread;
    return in_order(ctx, slot, 0, err);
}

static gy_status last(void *ctx, void *slot, int thread, struct gy_err *err)
{
    struct job *j = ctx;
    struct slot *s = slot;
    (void)thread;
    j->sum += s->squared;
    s->in_use = false;
    return in_order(j, s, 1, err);
}

static gy_status run(struct job *j, int n_threads, size_t n_slots, struct gy_err *err)
{
    struct slot slots[SLOTS] = {{0}};
    void *at[SLOTS];
    for (size_t i = 0; i < SLOTS; i++) {
        at[i] = &slots[i];
    }
    const struct gy_pipeline p = {.make = make,
                                  .stages = {{square, false}, {first, true}, {last, true}},
                                  .n_stages = 3,
                                  .slots = at,
                                  .n_slots = n_slots,
                                  .n_threads = n_threads,
                                  .ctx = j};
    return gy_pipeline_run(&p, err);
}

static void test_all_in_order(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, 1, 2, 3, 1000};
    for (size_t c = 0; c < 5; c++) {
        for (int threads = 1; threads <= 7; threads += 2) {
            for (size_t n_slots = 1; n_slots <= SLOTS; n_slots++) {
                struct job j = {.wanted = counts[c], .fail_at = -1};
                struct gy_err err = GY_ERR_INIT;
                assert_status(GY_OK, run(&j, threads, n_slots, &err), err);
                const int64_t n = counts[c];
                assert_false(j.spoilt);
                assert_int_equal(j.ordered_at[0], n);
                assert_int_equal(j.ordered_at[1], n);
                assert_int_equal(j.checked, n);
                assert_int_equal(j.sum, n ? (n - 1) * n * (2 * n - 1) / 6 : 0);
            }
        }
    }
}

static void test_a_failure_ends_it(void **state)
{
    (void)state;
    for (int stage = 0; stage <= 3; stage++) {
        for (int threads = 1; threads <= 4; threads++) {
            for (int64_t at = 0; at < 40; at += 13) {
                struct job j = {.wanted = 1000000000, .fail_at = at, .fail_stage = stage};
                struct gy_err err = GY_ERR_INIT;
                char want[64];
                (void)snprintf(want, sizeof want, "stage %d at %lld", stage, (long long)at);
                assert_status(GY_E_IO, run(&j, threads, SLOTS, &err), err);
                assert_string_equal(err.msg, want);
                assert_false(j.spoilt);
                assert_true(j.made <= at + SLOTS + 1);
                assert_int_equal(run(&(struct job){.wanted = 9, .fail_at = 0, .fail_stage = stage},
                                     threads, SLOTS, NULL),
                                 GY_E_IO);
            }
        }
    }
}

static gy_status run_some(void *ctx, struct gy_err *err)
{
    (void)ctx;
    struct job j = {.wanted = 10, .fail_at = -1};
    return run(&j, 3, SLOTS, err);
}

static void test_memory(void **state)
{
    (void)state;
    torture(run_some, NULL);
    assert_true(gy_pipeline_processors() >= 1);
    assert_true(gy_pipeline_processors() <= GY_PIPELINE_MAX_THREADS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_in_order),
        cmocka_unit_test(test_a_failure_ends_it),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
