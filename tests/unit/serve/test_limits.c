/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of callers: what the section may say, GCRA against a plain simulation of a bucket, places
 * that are shared when there are more keys than places, and the deadline's header. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "serve/limits.h"

static gy_status read_text(const char *text, struct gy_limits *l, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_str_c(text), &doc, err));
    return gy_limits_read(yyjson_doc_get_root(doc), l, err);
}

static void test_section(void **state)
{
    (void)state;
    struct gy_limits l;
    struct gy_err err = GY_ERR_INIT;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"[]", "'limits' must be an object"},
        {"{\"rate\":0}", "limits: 'rate' must be a number from 0.001 to 1e+06"},
        {"{\"rate\":\"9\"}", "limits: 'rate' must be a number from 0.001 to 1e+06"},
        {"{\"burst\":5}", "limits: 'burst' needs a 'rate'"},
        {"{\"concurrent\":1.5}", "limits: 'concurrent' must be a whole number"},
        {"{\"by\":\"ip\"}", "limits: 'by' must be caller or endpoint"},
        {"{\"deadline_ms\":-1}", "limits: 'deadline_ms' must be a number from 0.1 to 600000"},
        {"{\"rps\":5}", "limits: unknown key 'rps'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_text(bad[i].text, &l, &err), GY_E_INVALID);
        assert_string_equal(err.msg, bad[i].message);
    }
    assert_int_equal(gy_limits_read(NULL, &l, NULL), GY_OK);
    assert_true(l.rate == 0 && l.concurrent == 0 && l.deadline_ns == 0 && !l.by_endpoint);
    assert_status(
        GY_OK,
        read_text("{\"rate\":50,\"concurrent\":3,\"deadline_ms\":2.5,\"by\":\"endpoint\"}", &l,
                  &err),
        err);
    assert_true(l.rate == 50 && l.burst == 50 && l.by_endpoint);
    assert_int_equal(l.concurrent, 3);
    assert_int_equal(l.deadline_ns, 2500000);
    assert_status(GY_OK, read_text("{\"rate\":0.5}", &l, &err), err);
    assert_true(l.burst == 1);
}

static void test_timeout(void **state)
{
    (void)state;
    int64_t ns = 0;
    static const char *const bad[] = {"",    "s",    "ms",   "5",        "0ms",
                                      "-1s", "1.5s", "601s", "600001ms", "1h"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_limits_timeout(gy_str_c(bad[i]), &ns, NULL), GY_E_INVALID);
    }
    assert_int_equal(gy_limits_timeout(GY_STR("250ms"), &ns, NULL), GY_OK);
    assert_int_equal(ns, 250000000);
    assert_int_equal(gy_limits_timeout(GY_STR("600s"), &ns, NULL), GY_OK);
    assert_int_equal(ns, 600000000000);
}

/* A bucket of `burst` tokens that fills at `rate`: what GCRA is the same as. */
static void test_rate(void **state)
{
    (void)state;
    GY_AUTO(gy_limiter_free) struct gy_limiter *l = NULL;
    assert_int_equal(gy_limiter_new(&l, NULL), GY_OK);
    const struct gy_limits limits = {.rate = 100, .burst = 20};
    uint64_t key = gy_limiter_key(&limits, GY_STR("sepsis"), GY_STR("alice"));
    uint64_t other = gy_limiter_key(&limits, GY_STR("sepsis"), GY_STR("bob"));
    uint64_t seed = 42;
    double tokens = 20;
    int64_t now = 1000000000, then = now;
    int let = 0;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        now += (int64_t)(seed >> 40); /* 0 to 16.8 ms */
        tokens += (double)(now - then) / 1e9 * 100;
        tokens = tokens > 20 ? 20 : tokens;
        then = now;
        int64_t wait = 0;
        bool got = gy_limiter_take(l, &limits, key, now, &wait);
        if (tokens > 1.0001 || tokens < 0.9999) { /* where rounding does not decide */
            assert_int_equal(got, tokens >= 1);
        }
        tokens -= got ? 1 : 0;
        let += got;
        if (!got) {
            assert_true(wait > 0 && wait <= 10000000);
            assert_false(gy_limiter_take(l, &limits, key, now + wait - 2, &wait));
        }
    }
    assert_in_range(let, 1000, 20000);
    int64_t wait;
    for (int i = 0; i < 20; i++) {
        assert_true(gy_limiter_take(l, &limits, other, now, &wait));
    }
    assert_false(gy_limiter_take(l, &limits, other, now, &wait));
    const struct gy_limits none = {0};
    assert_true(gy_limiter_take(l, &none, other, now, &wait));
}

static void test_keys(void **state)
{
    (void)state;
    struct gy_limits l = {.rate = 1};
    assert_true(gy_limiter_key(&l, GY_STR("a"), GY_STR("x")) !=
                gy_limiter_key(&l, GY_STR("a"), GY_STR("y")));
    assert_true(gy_limiter_key(&l, GY_STR("a"), GY_STR("x")) !=
                gy_limiter_key(&l, GY_STR("b"), GY_STR("x")));
    l.by_endpoint = true;
    assert_true(gy_limiter_key(&l, GY_STR("a"), GY_STR("x")) ==
                gy_limiter_key(&l, GY_STR("a"), GY_STR("y")));
}

/* More callers than places: nobody gets more than the limit, and those that went away are
 * forgotten. */
static void test_crowd(void **state)
{
    (void)state;
    GY_AUTO(gy_limiter_free) struct gy_limiter *l = NULL;
    assert_int_equal(gy_limiter_new(&l, NULL), GY_OK);
    const struct gy_limits limits = {.rate = 10, .burst = 2};
    enum { CALLERS = 3 * GY_LIMITER_KEYS };
    int let = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CALLERS; i++) {
            char name[32];
            int64_t wait;
            int n = snprintf(name, sizeof name, "caller-%d", i);
            uint64_t key = gy_limiter_key(&limits, GY_STR("e"), gy_str_n(name, (size_t)n));
            let += gy_limiter_take(l, &limits, key, 5000000000, &wait);
        }
    }
    assert_in_range(let, GY_LIMITER_KEYS, 2 * CALLERS);
    for (int i = 0; i < 1000; i++) { /* a second later all of them are strangers */
        char name[32];
        int64_t wait;
        int n = snprintf(name, sizeof name, "new-%d", i);
        uint64_t key = gy_limiter_key(&limits, GY_STR("e"), gy_str_n(name, (size_t)n));
        assert_true(gy_limiter_take(l, &limits, key, 7000000000, &wait));
    }
}

#define THREADS 4
#define ROUNDS 20000

struct crowd {
    struct gy_limiter *l;
    const struct gy_limits *limits;
    uint64_t key;
    _Atomic int inside, most, refused;
};

static void *enter_and_leave(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        size_t place;
        if (!gy_limiter_enter(c->l, c->limits, c->key, &place)) {
            atomic_fetch_add(&c->refused, 1);
            continue;
        }
        int n = atomic_fetch_add(&c->inside, 1) + 1;
        int most = atomic_load(&c->most);
        while (n > most && !atomic_compare_exchange_weak(&c->most, &most, n)) {
        }
        atomic_fetch_sub(&c->inside, 1);
        gy_limiter_leave(c->l, place);
    }
    return NULL;
}

static void test_concurrent(void **state)
{
    (void)state;
    GY_AUTO(gy_limiter_free) struct gy_limiter *l = NULL;
    assert_int_equal(gy_limiter_new(&l, NULL), GY_OK);
    const struct gy_limits limits = {.concurrent = 2};
    struct crowd c = {
        .l = l, .limits = &limits, .key = gy_limiter_key(&limits, GY_STR("e"), GY_STR("a"))};
    size_t places[3];
    assert_true(gy_limiter_enter(l, &limits, c.key, &places[0]));
    assert_true(gy_limiter_enter(l, &limits, c.key, &places[1]));
    assert_false(gy_limiter_enter(l, &limits, c.key, &places[2]));
    gy_limiter_leave(l, places[0]);
    assert_true(gy_limiter_enter(l, &limits, c.key, &places[2]));
    gy_limiter_leave(l, places[1]);
    gy_limiter_leave(l, places[2]);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, enter_and_leave, &c), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_in_range(c.most, 1, 2);
    assert_true(gy_limiter_enter(l, &limits, c.key, &places[0])); /* nobody was left inside */
    assert_true(gy_limiter_enter(l, &limits, c.key, &places[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_section), cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_rate),    cmocka_unit_test(test_keys),
        cmocka_unit_test(test_crowd),   cmocka_unit_test(test_concurrent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
