/* SPDX-License-Identifier: Apache-2.0 */
#include "api/auth_cache.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>

#include "base/id.h"
#include "base/mem.h"
#include "net/authorization.h"

enum {
    WAYS = 4,
    SETS = GY_AUTH_CACHE_SLOTS / WAYS,
    ACTOR_WORDS = GY_AUTH_CACHE_ACTOR / 8,
    W_KEY = 0, /* 2 words */
    W_GENERATION = 2,
    W_EXPIRES = 3,
    W_ROLE = 4,
    W_ACTOR = 5,
    WORDS = W_ACTOR + ACTOR_WORDS,
    KEY_TEXT = GY_AUTHORIZATION_MAX + 256,
};

_Static_assert(sizeof(struct gy_auth_key) == crypto_shorthash_siphashx24_BYTES, "128 bits");

struct slot {
    _Atomic uint32_t sequence; /* odd: being written */
    _Atomic uint64_t words[WORDS];
};

struct gy_auth_cache {
    pthread_mutex_t lock; /* of writers */
    unsigned turn;
    unsigned char key[crypto_shorthash_siphashx24_KEYBYTES];
    struct slot slots[GY_AUTH_CACHE_SLOTS];
};

gy_status gy_auth_cache_new(struct gy_auth_cache **ret, struct gy_err *err)
{
    GY_AUTO(gy_auth_cache_free) struct gy_auth_cache *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "remembering logins");
    }
    (void)pthread_mutex_init(&c->lock, NULL); /* a default mutex can not fail on Linux */
    GY_TRY(gy_random_bytes(c->key, sizeof c->key, err));
    *ret = GY_TAKE(c);
    return GY_OK;
}

void gy_auth_cache_free(struct gy_auth_cache *c)
{
    if (c) {
        (void)pthread_mutex_destroy(&c->lock);
        sodium_memzero(c->key, sizeof c->key);
        gy_free(c);
    }
}

bool gy_auth_cache_key(const struct gy_auth_cache *c, struct gy_str header, struct gy_str workspace,
                       struct gy_auth_key *ret)
{
    unsigned char text[KEY_TEXT];
    if (header.n + workspace.n + 1 > sizeof text) {
        return false;
    }
    if (workspace.n) {
        memcpy(text, workspace.p, workspace.n);
    }
    text[workspace.n] = '\0'; /* a workspace's name has none, so the two parts can not be shifted */
    if (header.n) {
        memcpy(text + workspace.n + 1, header.p, header.n);
    }
    (void)crypto_shorthash_siphashx24((unsigned char *)ret->words, text, workspace.n + 1 + header.n,
                                      c->key); /* always 0 */
    return true;
}

static uint64_t word(struct slot *s, int i)
{
    return atomic_load_explicit(&s->words[i], memory_order_acquire);
}

static struct slot *set_of(struct gy_auth_cache *c, const struct gy_auth_key *key)
{
    return &c->slots[key->words[0] % SETS * WAYS];
}

/* All differences are gathered before the one branch, so that time tells nothing of them. */
static bool same_key(struct slot *s, const struct gy_auth_key *key)
{
    return ((word(s, W_KEY) ^ key->words[0]) | (word(s, W_KEY + 1) ^ key->words[1])) == 0;
}

static bool read_slot(struct slot *s, const struct gy_auth_key *key, int64_t generation,
                      int64_t now_us, struct gy_auth_known *ret)
{
    uint32_t before = atomic_load_explicit(&s->sequence, memory_order_acquire);
    if (before % 2 || !same_key(s, key)) {
        return false;
    }
    uint64_t actor[ACTOR_WORDS];
    int64_t of_generation = (int64_t)word(s, W_GENERATION), expires = (int64_t)word(s, W_EXPIRES);
    uint64_t role = word(s, W_ROLE);
    for (int i = 0; i < ACTOR_WORDS; i++) {
        actor[i] = word(s, W_ACTOR + i);
    }
    if (atomic_load_explicit(&s->sequence, memory_order_relaxed) != before ||
        of_generation != generation || expires <= now_us) {
        return false;
    }
    memcpy(ret->actor, actor, sizeof ret->actor);
    ret->role = (enum gy_auth_role)role;
    return true;
}

bool gy_auth_cache_get(struct gy_auth_cache *c, const struct gy_auth_key *key, int64_t generation,
                       int64_t now_us, struct gy_auth_known *ret)
{
    struct slot *set = set_of(c, key);
    for (int i = 0; i < WAYS; i++) {
        if (read_slot(&set[i], key, generation, now_us, ret)) {
            return true;
        }
    }
    return false;
}

/* The slot of that key, else one that counts no more, else the next in turn. */
static struct slot *choose(struct gy_auth_cache *c, const struct gy_auth_key *key,
                           int64_t generation)
{
    struct slot *set = set_of(c, key), *stale = NULL;
    for (int i = 0; i < WAYS; i++) {
        if (same_key(&set[i], key)) {
            return &set[i];
        }
        if ((int64_t)word(&set[i], W_GENERATION) != generation) {
            stale = &set[i];
        }
    }
    return stale ? stale : &set[c->turn++ % WAYS];
}

static void set_word(struct slot *s, int i, uint64_t value)
{
    /* Released: whoever sees it sees the odd sequence number that was stored before. */
    atomic_store_explicit(&s->words[i], value, memory_order_release);
}

void gy_auth_cache_put(struct gy_auth_cache *c, const struct gy_auth_key *key, int64_t generation,
                       int64_t expires_us, const struct gy_auth_known *known)
{
    uint64_t actor[ACTOR_WORDS];
    if (memchr(known->actor, '\0', sizeof known->actor) == NULL) {
        return;
    }
    memcpy(actor, known->actor, sizeof actor);
    (void)pthread_mutex_lock(&c->lock); /* an error-free default mutex */
    struct slot *s = choose(c, key, generation);
    uint32_t sequence = atomic_load_explicit(&s->sequence, memory_order_relaxed);
    atomic_store_explicit(&s->sequence, sequence + 1, memory_order_relaxed);
    set_word(s, W_KEY, key->words[0]);
    set_word(s, W_KEY + 1, key->words[1]);
    set_word(s, W_GENERATION, (uint64_t)generation);
    set_word(s, W_EXPIRES, (uint64_t)expires_us);
    set_word(s, W_ROLE, known->role);
    for (int i = 0; i < ACTOR_WORDS; i++) {
        set_word(s, W_ACTOR + i, actor[i]);
    }
    atomic_store_explicit(&s->sequence, sequence + 2, memory_order_release);
    (void)pthread_mutex_unlock(&c->lock);
}
