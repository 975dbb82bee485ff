/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/review_token.h"

#include <pthread.h>
#include <stdio.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/limits.h"

enum { KEY_BYTES = 32, MAC_BYTES = 32 };
#define PREFIX "gyr1"

/* Two first tokens at once must not make two keys. */
static pthread_mutex_t g_key_lock = PTHREAD_MUTEX_INITIALIZER;

static gy_status read_key(const char *path, unsigned char key[KEY_BYTES], struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_KIB);
    GY_TRY(gy_file_read(path, &bytes, err));
    if (bytes.n != KEY_BYTES) {
        return gy_err_set(err, GY_E_CORRUPT, "'%s' is no key of review tokens", path);
    }
    memcpy(key, bytes.p, KEY_BYTES);
    return GY_OK;
}

static gy_status make_key(const char *path, unsigned char key[KEY_BYTES], struct gy_err *err)
{
    GY_TRY(gy_random_bytes(key, KEY_BYTES, err));
    return gy_file_write(path, gy_str_n((const char *)key, KEY_BYTES), 0600, err);
}

static gy_status need_key(const char *path, unsigned char key[KEY_BYTES], struct gy_err *err)
{
    (void)pthread_mutex_lock(&g_key_lock);
    gy_status status = gy_path_exists(path) ? read_key(path, key, err) : make_key(path, key, err);
    (void)pthread_mutex_unlock(&g_key_lock);
    return status;
}

/* The part before the last dot, signed: other uses of HMAC sign other first words. */
static gy_status sign(const unsigned char key[KEY_BYTES], struct gy_str head,
                      unsigned char mac[MAC_BYTES], struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 2 * GY_REVIEW_TOKEN_MAX);
    gy_buf_addc(&text, "gyre review token\n");
    gy_buf_add(&text, head);
    GY_TRY(gy_buf_check(&text, "the token", err));
    return gy_hmac_sha256(gy_str_n((const char *)key, KEY_BYTES), gy_buf_str(&text), mac, err);
}

static gy_status check_name(struct gy_str name, struct gy_err *err)
{
    bool good = name.n > 0 && name.n <= GY_REVIEW_TOKEN_NAME && gy_str_is_utf8(name) &&
                !gy_str_eqc(name, "anonymous");
    for (size_t i = 0; good && i < name.n; i++) {
        good = (unsigned char)name.p[i] >= ' ' && name.p[i] != 0x7f;
    }
    return good ? GY_OK
                : gy_err_set(err, GY_E_INVALID,
                             "'%" GY_STR_F "' can not name a reviewer: 1 to %d bytes of text",
                             GY_STR_A(name), GY_REVIEW_TOKEN_NAME);
}

gy_status gy_review_token_make(const char *key_path, struct gy_str name, int64_t expires_us,
                               struct gy_arena *a, struct gy_str *ret, struct gy_err *err)
{
    unsigned char key[KEY_BYTES], mac[MAC_BYTES];
    char hex[2 * GY_REVIEW_TOKEN_NAME + 1], mac_hex[2 * MAC_BYTES + 1];
    char head[GY_REVIEW_TOKEN_MAX];
    GY_TRY(check_name(name, err));
    GY_TRY(need_key(key_path, key, err));
    gy_hex(name.p, name.n, hex);
    (void)snprintf(head, sizeof head, PREFIX ".%lld.%s", (long long)(expires_us / 1000000), hex);
    GY_TRY(sign(key, gy_str_c(head), mac, err));
    gy_hex(mac, sizeof mac, mac_hex);
    char *token = gy_arena_printf(a, "%s.%s", head, mac_hex);
    *ret = gy_str_c(token);
    return token ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory for a token");
}

static gy_status refuse(const char *why, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_UNAUTHENTICATED, "the review token %s", why);
    return gy_err_hint(err, "`gyre review link` prints a new address");
}

gy_status gy_review_token_check(const char *key_path, struct gy_str token, int64_t now_us,
                                struct gy_arena *a, struct gy_str *ret_name, struct gy_err *err)
{
    struct gy_str rest = token, part[4];
    unsigned char key[KEY_BYTES], mac[MAC_BYTES], given[MAC_BYTES], name[GY_REVIEW_TOKEN_NAME];
    int64_t expires_s = 0;
    size_t n = 0;
    while (n < 4 && gy_str_next(&rest, '.', &part[n])) {
        n++;
    }
    if (n != 4 || rest.p || token.n > GY_REVIEW_TOKEN_MAX || !gy_str_eqc(part[0], PREFIX) ||
        gy_parse_i64(part[1], 0, INT64_MAX / 1000000, &expires_s, NULL) != GY_OK ||
        part[2].n == 0 || part[2].n > 2 * sizeof name || !gy_unhex(part[2], name, part[2].n / 2) ||
        !gy_unhex(part[3], given, MAC_BYTES)) {
        return refuse("is not one", err);
    }
    if (!gy_path_exists(key_path)) {
        return refuse("is none of this home", err);
    }
    GY_TRY(read_key(key_path, key, err));
    GY_TRY(sign(key, gy_str_n(token.p, (size_t)(part[3].p - token.p) - 1), mac, err));
    if (!gy_equal_secret(mac, given, sizeof mac)) {
        return refuse("is none of this home", err);
    }
    if (now_us / 1000000 >= expires_s) {
        return refuse("has expired", err);
    }
    *ret_name = gy_arena_str(a, gy_str_n((const char *)name, part[2].n / 2));
    return ret_name->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory for a name");
}
