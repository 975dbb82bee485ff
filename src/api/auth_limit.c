/* SPDX-License-Identifier: Apache-2.0 */
#include "api/auth_limit.h"

#include <pthread.h>

#include "base/id.h"
#include "base/mem.h"

enum { WAYS = 8, SETS = GY_AUTH_LIMIT_KEYS / WAYS };

struct count {
    uint64_t key; /* 0: free */
    int64_t since_us;
    int n;
};

struct gy_auth_limit {
    pthread_mutex_t lock; /* all below */
    uint64_t seed;        /* so that nobody can choose names that push others out */
    struct count counts[GY_AUTH_LIMIT_KEYS];
};

gy_status gy_auth_limit_new(struct gy_auth_limit **ret, struct gy_err *err)
{
    GY_AUTO(gy_auth_limit_free) struct gy_auth_limit *l = gy_calloc(1, sizeof *l);
    if (!l) {
        return gy_err_set(err, GY_E_NOMEM, "counting logins");
    }
    (void)pthread_mutex_init(&l->lock, NULL); /* a default mutex can not fail on Linux */
    GY_TRY(gy_random_bytes(&l->seed, sizeof l->seed, err));
    *ret = GY_TAKE(l);
    return GY_OK;
}

void gy_auth_limit_free(struct gy_auth_limit *l)
{
    if (l) {
        (void)pthread_mutex_destroy(&l->lock);
        gy_free(l);
    }
}

/* user absent: the peer alone. */
static uint64_t key_of(const struct gy_auth_limit *l, struct gy_str user, struct gy_str peer)
{
    uint64_t key = gy_str_hash(peer, l->seed);
    key = user.p ? gy_str_hash(user, key ^ l->seed) : key;
    return key ? key : 1;
}

/* Under the lock. make: take the oldest of its set when it is new; else NULL. */
static struct count *find(struct gy_auth_limit *l, uint64_t key, int64_t now_us, bool make)
{
    struct count *set = &l->counts[key % SETS * WAYS], *oldest = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            if (now_us - set[i].since_us >= GY_AUTH_WINDOW_US) {
                set[i].since_us = now_us;
                set[i].n = 0;
            }
            return &set[i];
        }
        if (set[i].key == 0 || (oldest->key && set[i].since_us < oldest->since_us)) {
            oldest = &set[i];
        }
    }
    if (make) {
        *oldest = (struct count){.key = key, .since_us = now_us};
    }
    return make ? oldest : NULL;
}

bool gy_auth_limit_allows(struct gy_auth_limit *l, struct gy_str user, struct gy_str peer,
                          int64_t now_us)
{
    (void)pthread_mutex_lock(&l->lock);
    const struct count *of_user = find(l, key_of(l, user, peer), now_us, false);
    const struct count *of_peer = find(l, key_of(l, GY_STR_NULL, peer), now_us, false);
    bool allowed = (!of_user || of_user->n < GY_AUTH_USER_FAILS) &&
                   (!of_peer || of_peer->n < GY_AUTH_PEER_FAILS);
    (void)pthread_mutex_unlock(&l->lock);
    return allowed;
}

void gy_auth_limit_failed(struct gy_auth_limit *l, struct gy_str user, struct gy_str peer,
                          int64_t now_us)
{
    (void)pthread_mutex_lock(&l->lock);
    find(l, key_of(l, user, peer), now_us, true)->n++;
    find(l, key_of(l, GY_STR_NULL, peer), now_us, true)->n++;
    (void)pthread_mutex_unlock(&l->lock);
}

void gy_auth_limit_succeeded(struct gy_auth_limit *l, struct gy_str user, struct gy_str peer)
{
    (void)pthread_mutex_lock(&l->lock);
    struct count *of_user = find(l, key_of(l, user, peer), INT64_MIN / 2, false);
    if (of_user) {
        of_user->n = 0;
    }
    (void)pthread_mutex_unlock(&l->lock);
}
