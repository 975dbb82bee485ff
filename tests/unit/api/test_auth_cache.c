/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "api/auth_cache.h"
#include "api/auth_limit.h"

static struct gy_auth_key key_of(struct gy_auth_cache *c, const char *header, const char *workspace)
{
    struct gy_auth_key key;
    assert_true(gy_auth_cache_key(c, gy_str_c(header), gy_str_c(workspace), &key));
    return key;
}

static struct gy_auth_known known_as(const char *name, enum gy_auth_role role)
{
    struct gy_auth_known k = {.role = role};
    snprintf(k.actor, sizeof k.actor, "%s", name);
    return k;
}

static int setup(void **state)
{
    return gy_auth_cache_new((struct gy_auth_cache **)state, NULL) == GY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    gy_auth_cache_free(*state);
    return 0;
}

static void test_remembers(void **state)
{
    struct gy_auth_cache *c = *state;
    struct gy_auth_key key = key_of(c, "Bearer a", NULL);
    struct gy_auth_known bob = known_as("bob", GY_AUTH_VIEWER), got;
    assert_false(gy_auth_cache_get(c, &key, 1, 10, &got));
    gy_auth_cache_put(c, &key, 1, 100, &bob);
    assert_true(gy_auth_cache_get(c, &key, 1, 99, &got));
    assert_string_equal(got.actor, "bob");
    assert_int_equal(got.role, GY_AUTH_VIEWER);
    assert_false(gy_auth_cache_get(c, &key, 1, 100, &got)); /* expired */
    assert_false(gy_auth_cache_get(c, &key, 2, 10, &got));  /* somebody changed something */
    bob.role = GY_AUTH_ADMIN;
    gy_auth_cache_put(c, &key, 2, 100, &bob);
    assert_true(gy_auth_cache_get(c, &key, 2, 10, &got));
    assert_int_equal(got.role, GY_AUTH_ADMIN);
}

static void test_keys(void **state)
{
    struct gy_auth_cache *c = *state, *other;
    struct gy_auth_key a = key_of(c, "Bearer a", NULL), b = key_of(c, "Bearer b", NULL);
    struct gy_auth_key in_w = key_of(c, "Bearer a", "w"), same = key_of(c, "Bearer a", NULL);
    assert_memory_equal(&a, &same, sizeof a);
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_memory_not_equal(&a, &in_w, sizeof a);
    /* the parts can not be shifted into each other */
    struct gy_auth_key left = key_of(c, "yz", "x"), right = key_of(c, "z", "xy");
    assert_memory_not_equal(&left, &right, sizeof left);
    /* another process has another key */
    assert_int_equal(gy_auth_cache_new(&other, NULL), GY_OK);
    struct gy_auth_key elsewhere = key_of(other, "Bearer a", NULL);
    assert_memory_not_equal(&a, &elsewhere, sizeof a);
    gy_auth_cache_free(other);
    char longest[4096];
    struct gy_auth_key key;
    memset(longest, 'x', sizeof longest);
    assert_false(gy_auth_cache_key(c, gy_str_n(longest, sizeof longest), GY_STR_NULL, &key));
}

/* Full, it forgets, and never mixes one with another. */
static void test_bounded(void **state)
{
    struct gy_auth_cache *c = *state;
    size_t kept = 0;
    enum { MANY = GY_AUTH_CACHE_SLOTS * 3 };
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof name, "u%d", i);
        struct gy_auth_key key = key_of(c, name, NULL);
        struct gy_auth_known k = known_as(name, GY_AUTH_VIEWER);
        gy_auth_cache_put(c, &key, 1, 100, &k);
    }
    for (int i = 0; i < MANY; i++) {
        char name[32];
        struct gy_auth_known got;
        snprintf(name, sizeof name, "u%d", i);
        struct gy_auth_key key = key_of(c, name, NULL);
        if (gy_auth_cache_get(c, &key, 1, 10, &got)) {
            assert_string_equal(got.actor, name);
            kept++;
        }
    }
    assert_true(kept > GY_AUTH_CACHE_SLOTS / 2 && kept <= GY_AUTH_CACHE_SLOTS);
}

/* Readers beside writers see a whole entry or none. */
struct race {
    struct gy_auth_cache *c;
    struct gy_auth_key key;
    atomic_bool stop;
    atomic_int bad;
};

static void *read_on(void *arg)
{
    struct race *r = arg;
    while (!atomic_load(&r->stop)) {
        struct gy_auth_known got;
        if (gy_auth_cache_get(r->c, &r->key, 1, 10, &got)) {
            /* the role is the number of letters */
            bool whole = strlen(got.actor) == (size_t)got.role * 15;
            for (const char *p = got.actor; *p; p++) {
                whole = whole && *p == 'a' + (int)got.role;
            }
            if (!whole) {
                atomic_fetch_add(&r->bad, 1);
            }
        }
    }
    return NULL;
}

static void test_readers_beside_writers(void **state)
{
    struct race r = {.c = *state};
    pthread_t readers[3];
    r.key = key_of(r.c, "Bearer a", NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &r), 0);
    }
    for (int i = 0; i < 100000; i++) {
        struct gy_auth_known k = {.role = (enum gy_auth_role)(1 + i % 4)};
        memset(k.actor, 'a' + (int)k.role, (size_t)k.role * 15);
        gy_auth_cache_put(r.c, &r.key, 1, 100, &k);
    }
    atomic_store(&r.stop, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&r.bad), 0);
}

/* ---- how often somebody may try ---- */

static void test_limit(void **state)
{
    (void)state;
    struct gy_auth_limit *l;
    struct gy_str bob = GY_STR("bob"), here = GY_STR("192.0.2.1"), there = GY_STR("192.0.2.2");
    int64_t now = 1000;
    assert_int_equal(gy_auth_limit_new(&l, NULL), GY_OK);
    for (int i = 0; i < GY_AUTH_USER_FAILS; i++) {
        assert_true(gy_auth_limit_allows(l, bob, here, now));
        gy_auth_limit_failed(l, bob, here, now);
    }
    assert_false(gy_auth_limit_allows(l, bob, here, now + 1));
    assert_true(gy_auth_limit_allows(l, bob, there, now)); /* from elsewhere */
    assert_true(gy_auth_limit_allows(l, GY_STR("alice"), here, now));
    assert_true(gy_auth_limit_allows(l, bob, here, now + GY_AUTH_WINDOW_US));
    gy_auth_limit_failed(l, bob, here, now + GY_AUTH_WINDOW_US);
    gy_auth_limit_succeeded(l, bob, here);
    for (int i = 0; i < GY_AUTH_USER_FAILS; i++) {
        assert_true(gy_auth_limit_allows(l, bob, here, now + GY_AUTH_WINDOW_US));
        gy_auth_limit_failed(l, bob, here, now + GY_AUTH_WINDOW_US);
    }
    assert_false(gy_auth_limit_allows(l, bob, here, now + GY_AUTH_WINDOW_US));
    gy_auth_limit_free(l);
}

/* One peer that tries name after name. */
static void test_limit_of_a_peer(void **state)
{
    (void)state;
    struct gy_auth_limit *l;
    int allowed = 0;
    assert_int_equal(gy_auth_limit_new(&l, NULL), GY_OK);
    for (int i = 0; i < 3 * GY_AUTH_PEER_FAILS; i++) {
        char name[32];
        snprintf(name, sizeof name, "u%d", i);
        if (gy_auth_limit_allows(l, gy_str_c(name), GY_STR("192.0.2.1"), 1000)) {
            allowed++;
            gy_auth_limit_failed(l, gy_str_c(name), GY_STR("192.0.2.1"), 1000);
        }
    }
    assert_int_equal(allowed, GY_AUTH_PEER_FAILS);
    gy_auth_limit_free(l);
}

#define WITH_CACHE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CACHE(test_remembers),   WITH_CACHE(test_keys),
        WITH_CACHE(test_bounded),     WITH_CACHE(test_readers_beside_writers),
        cmocka_unit_test(test_limit), cmocka_unit_test(test_limit_of_a_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
