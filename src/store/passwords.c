/* SPDX-License-Identifier: Apache-2.0 */
/* argon2id with 19 MiB and 2 passes: what OWASP names as the least for passwords that people make
 * up (Password Storage Cheat Sheet). Tens of milliseconds, which is why results are remembered
 * (api/auth_cache.h). */
#include <pthread.h>
#include <sodium.h>

#include "store/users.h"

enum { PASSES = 2, MEMORY_BYTES = 19 * 1024 * 1024 };

/* The hash of a password nobody has: an unknown user costs what a known one costs. Made once, with
 * the same parameters as all others. */
static char g_nobody[crypto_pwhash_STRBYTES];
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

_Static_assert(GY_PASSWORD_HASH_TEXT >= crypto_pwhash_STRBYTES, "libsodium's text fits");

static void prepare(void)
{
    char nobody[32];
    GY_REQUIRE(sodium_init() >= 0);
    randombytes_buf(nobody, sizeof nobody);
    /* Without memory it stays empty: then verifying fails at once, as it would for want of memory.
     */
    (void)!crypto_pwhash_str(g_nobody, nobody, sizeof nobody, PASSES, MEMORY_BYTES);
}

gy_status gy_password_hash(struct gy_secret password, char out[GY_PASSWORD_HASH_TEXT],
                           struct gy_err *err)
{
    struct gy_str text = gy_secret_reveal(password);
    if (text.n < GY_USER_MIN_PASSWORD || text.n > GY_USER_MAX_PASSWORD) {
        return gy_err_set(err, GY_E_INVALID, "a password has %d to %d bytes", GY_USER_MIN_PASSWORD,
                          GY_USER_MAX_PASSWORD);
    }
    if (gy_token_looks_so(password)) {
        return gy_err_set(err, GY_E_INVALID, "a password does not begin with %s, as tokens do",
                          GY_TOKEN_PREFIX);
    }
    (void)pthread_once(&g_once, prepare);
    if (crypto_pwhash_str(out, text.p, text.n, PASSES, MEMORY_BYTES) != 0) {
        return gy_err_set(err, GY_E_NOMEM, "no memory for hashing a password");
    }
    return GY_OK;
}

bool gy_password_matches(struct gy_secret password, struct gy_str hash)
{
    struct gy_str text = gy_secret_reveal(password);
    char own[crypto_pwhash_STRBYTES];
    bool usable = hash.n > 0 && hash.n < sizeof own && text.n <= GY_USER_MAX_PASSWORD;
    (void)pthread_once(&g_once, prepare);
    memset(own, 0, sizeof own);
    if (usable) {
        memcpy(own, hash.p, hash.n); /* libsodium wants the rest zeroed */
    } else {
        memcpy(own, g_nobody, sizeof own);
        text = gy_str_sub(text, 0, GY_USER_MAX_PASSWORD);
    }
    bool same = crypto_pwhash_str_verify(own, text.p ? text.p : "", text.n) == 0;
    return same && usable;
}

bool gy_token_looks_so(struct gy_secret s)
{
    return gy_str_starts(gy_secret_reveal(s), GY_STR(GY_TOKEN_PREFIX));
}
