/* SPDX-License-Identifier: Apache-2.0 */
#include "store/erasure_key.h"

#include <sodium.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"

#define HEAD "gyre erasure key 1\n"
#define HASH_HEX (2 * sizeof((struct gy_erasure_key *)0)->hash_key)
#define SEED_HEX ((size_t)2 * crypto_sign_SEEDBYTES)
#define TEXT_BYTES (sizeof HEAD - 1 + HASH_HEX + 1 + SEED_HEX + 1)

_Static_assert(GY_ERASURE_PUBLIC == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(GY_ERASURE_SIGNATURE == crypto_sign_BYTES, "Ed25519");

static gy_status key_path(const char *folder, char out[GY_MAX_PATH], struct gy_err *err)
{
    return gy_path_join(out, GY_MAX_PATH, folder, GY_ERASURE_KEY_FILE, err);
}

static gy_status parse(struct gy_str text, const char *path, struct gy_erasure_key *ret,
                       struct gy_err *err)
{
    unsigned char seed[crypto_sign_SEEDBYTES];
    size_t at = sizeof HEAD - 1;
    bool good = text.n == TEXT_BYTES && gy_str_starts(text, GY_STR(HEAD)) &&
                gy_unhex(gy_str_n(text.p + at, HASH_HEX), ret->hash_key, sizeof ret->hash_key) &&
                text.p[at + HASH_HEX] == '\n' &&
                gy_unhex(gy_str_n(text.p + at + HASH_HEX + 1, SEED_HEX), seed, sizeof seed);
    if (!good) {
        return gy_err_set(err, GY_E_CORRUPT, "'%s' is not the key of erasures", path);
    }
    (void)crypto_sign_seed_keypair(ret->public_key, ret->secret, seed); /* returns 0 always */
    sodium_memzero(seed, sizeof seed);
    return GY_OK;
}

static void write_text(const struct gy_erasure_key *k, char out[TEXT_BYTES + 1])
{
    unsigned char seed[crypto_sign_SEEDBYTES];
    char *p = out;
    (void)crypto_sign_ed25519_sk_to_seed(seed, k->secret); /* returns 0 always */
    memcpy(p, HEAD, sizeof HEAD - 1);
    p += sizeof HEAD - 1;
    gy_hex(k->hash_key, sizeof k->hash_key, p);
    p += HASH_HEX;
    *p++ = '\n';
    gy_hex(seed, sizeof seed, p);
    p += SEED_HEX;
    *p++ = '\n';
    *p = '\0';
    sodium_memzero(seed, sizeof seed);
}

static gy_status store(const struct gy_erasure_key *k, const char *folder, const char *path,
                       struct gy_err *err)
{
    char text[TEXT_BYTES + 1];
    write_text(k, text);
    gy_status status = gy_dir_make_private(folder, err);
    if (status == GY_OK) {
        status = gy_file_write(path, gy_str_n(text, TEXT_BYTES), 0600, err);
    }
    sodium_memzero(text, sizeof text);
    return status;
}

gy_status gy_erasure_key_open(const char *folder, bool make, struct gy_erasure_key *ret,
                              struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_KIB);
    GY_TRY(key_path(folder, path, err));
    if (sodium_init() < 0) {
        return gy_err_set(err, GY_E_FAILED, "libsodium can not start");
    }
    if (gy_path_exists(path) || !make) {
        GY_TRY(gy_file_read(path, &text, err));
        return parse(gy_buf_str(&text), path, ret, err);
    }
    randombytes_buf(ret->hash_key, sizeof ret->hash_key);
    (void)crypto_sign_keypair(ret->public_key, ret->secret); /* returns 0 always */
    return store(ret, folder, path, err);
}

gy_status gy_erasure_key_copy(const struct gy_erasure_key *k, const char *folder,
                              struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_erasure_key there;
    GY_TRY(key_path(folder, path, err));
    if (!gy_path_exists(path)) {
        return store(k, folder, path, err);
    }
    GY_TRY(gy_erasure_key_open(folder, false, &there, err));
    return memcmp(there.hash_key, k->hash_key, sizeof there.hash_key) == 0 &&
                   memcmp(there.public_key, k->public_key, sizeof there.public_key) == 0
               ? GY_OK
               : gy_err_set(err, GY_E_CONFLICT, "'%s' is the key of another home's erasures", path);
}

void gy_erasure_hash(const struct gy_erasure_key *k, struct gy_str text,
                     unsigned char out[GY_ERASURE_HASH])
{
    /* Can not fail for these lengths. */
    (void)crypto_generichash(out, GY_ERASURE_HASH, (const unsigned char *)text.p, text.n,
                             k->hash_key, sizeof k->hash_key);
}

void gy_erasure_sign(const struct gy_erasure_key *k, struct gy_str text,
                     unsigned char out[GY_ERASURE_SIGNATURE])
{
    (void)crypto_sign_detached(out, NULL, (const unsigned char *)text.p, text.n, k->secret);
}

bool gy_erasure_signed(const unsigned char public_key[GY_ERASURE_PUBLIC], struct gy_str text,
                       const unsigned char signature[GY_ERASURE_SIGNATURE])
{
    return crypto_sign_verify_detached(signature, (const unsigned char *)text.p, text.n,
                                       public_key) == 0;
}
