/* SPDX-License-Identifier: Apache-2.0 */
/* Any Authorization header gives a user and a secret that lie inside what was given, or a clean
 * refusal that repeats none of it. Its key in the cache of logins is the same each time. */
#include <stdlib.h>

#include "api/auth_cache.h"
#include "net/authorization.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct gy_str s, const char *p, size_t n)
{
    return s.n == 0 || (s.p >= p && s.p + s.n <= p + n);
}

static void check_key(struct gy_str value)
{
    static struct gy_auth_cache *cache;
    struct gy_auth_key first, second;
    if (!cache) {
        GY_REQUIRE(gy_auth_cache_new(&cache, NULL) == GY_OK);
    }
    bool fits = gy_auth_cache_key(cache, value, GY_STR("team-a"), &first);
    GY_REQUIRE(fits == gy_auth_cache_key(cache, value, GY_STR("team-a"), &second));
    GY_REQUIRE(!fits || memcmp(&first, &second, sizeof first) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gy_authorization a;
    struct gy_err err = GY_ERR_INIT;
    const char *text = (const char *)data;
    char *room = malloc(GY_AUTHORIZATION_MAX); /* of its own, so that a step beyond is seen */
    GY_REQUIRE(room);
    check_key(gy_str_n(text, size));
    if (gy_authorization_parse(gy_str_n(text, size), room, &a, &err) == GY_OK) {
        struct gy_str secret = gy_secret_reveal(a.secret);
        GY_REQUIRE(size <= GY_AUTHORIZATION_MAX + 64 || secret.n <= GY_AUTHORIZATION_MAX);
        GY_REQUIRE(a.user.p ? inside(a.user, room, GY_AUTHORIZATION_MAX) &&
                                  inside(secret, room, GY_AUTHORIZATION_MAX)
                            : inside(secret, text, size) && secret.n > 0);
        GY_REQUIRE(!a.user.p || gy_str_find(a.user, ':') == SIZE_MAX);
    } else {
        GY_REQUIRE(err.code == GY_E_UNAUTHENTICATED && err.msg[0]);
    }
    free(room);
    return 0;
}
