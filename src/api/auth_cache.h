/* SPDX-License-Identifier: Apache-2.0 */
/* What a server remembers of logins, so that no request hashes a password or asks the database:
 * (credentials, workspace) -> (name, role), under a keyed 128-bit hash (SipHash-2-4 with a key of
 * this process); credentials themselves are not kept. Bounded: an entry pushes out an older one of
 * its set. An entry counts only for the generation it was made in and until it expires.
 *
 * Thread rule: any thread reads without locks or blocking (each slot is guarded by a sequence
 * number: a reader that meets a writer takes it for a miss); writers take turns at a mutex. */
#ifndef GY_API_AUTH_CACHE_H
#define GY_API_AUTH_CACHE_H

#include "net/access.h"

#define GY_AUTH_CACHE_SLOTS 2048
#define GY_AUTH_CACHE_ACTOR 64 /* bytes of a name, with the NUL */

struct gy_auth_cache;
struct gy_auth_key {
    uint64_t words[2];
};
struct gy_auth_known {
    char actor[GY_AUTH_CACHE_ACTOR];
    enum gy_auth_role role;
};

/* Fails: NOMEM, IO (randomness). */
GY_CHECKED gy_status gy_auth_cache_new(struct gy_auth_cache **ret, struct gy_err *err);
void gy_auth_cache_free(struct gy_auth_cache *c);
GY_DEFINE_AUTO(struct gy_auth_cache *, gy_auth_cache_free);
/* Of an Authorization header and a workspace. False: too long to be remembered. */
bool gy_auth_cache_key(const struct gy_auth_cache *c, struct gy_str header, struct gy_str workspace,
                       struct gy_auth_key *ret);
bool gy_auth_cache_get(struct gy_auth_cache *c, const struct gy_auth_key *key, int64_t generation,
                       int64_t now_us, struct gy_auth_known *ret);
/* known->actor longer than fits: not remembered. */
void gy_auth_cache_put(struct gy_auth_cache *c, const struct gy_auth_key *key, int64_t generation,
                       int64_t expires_us, const struct gy_auth_known *known);

#endif
