/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define DIGEST_STEP (256 * GY_KIB)

struct gy_hash {
    EVP_MD_CTX *ctx;
    const EVP_MD *md;
};

gy_status gy_hash_new(enum gy_hash_kind kind, struct gy_hash **ret, struct gy_err *err)
{
    struct gy_hash *h = gy_malloc(sizeof *h);
    if (!h) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a digest");
    }
    h->md = kind == GY_HASH_SHA256 ? EVP_sha256() : EVP_md5();
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || EVP_DigestInit_ex(h->ctx, h->md, NULL) != 1) {
        gy_hash_free(h);
        return gy_err_set(err, GY_E_NOMEM, "the crypto library can not start a digest");
    }
    *ret = h;
    return GY_OK;
}

void gy_hash_add(struct gy_hash *h, struct gy_str bytes)
{
    if (bytes.n > 0) {
        /* A started software digest has no way to fail. */
        GY_REQUIRE(EVP_DigestUpdate(h->ctx, bytes.p, bytes.n) == 1);
    }
}

void gy_hash_hex(struct gy_hash *h, char *out)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    GY_REQUIRE(EVP_DigestFinal_ex(h->ctx, raw, &n) == 1);
    GY_REQUIRE(EVP_DigestInit_ex(h->ctx, h->md, NULL) == 1);
    gy_hex(raw, n, out);
}

void gy_hash_free(struct gy_hash *h)
{
    if (h) {
        EVP_MD_CTX_free(h->ctx);
        gy_free(h);
    }
}

static gy_status digest_hex(const EVP_MD *md, struct gy_str bytes, char *out, struct gy_err *err)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    if (EVP_Digest(bytes.p ? bytes.p : "", bytes.n, raw, &n, md, NULL) != 1) {
        return gy_err_set(err, GY_E_NOMEM, "the crypto library can not compute a digest");
    }
    gy_hex(raw, n, out);
    return GY_OK;
}

gy_status gy_sha256_hex(struct gy_str bytes, char out[GY_SHA256_HEX], struct gy_err *err)
{
    return digest_hex(EVP_sha256(), bytes, out, err);
}

gy_status gy_md5_hex(struct gy_str bytes, char out[GY_MD5_HEX], struct gy_err *err)
{
    return digest_hex(EVP_md5(), bytes, out, err);
}

static gy_status digest_fd(int fd, const char *path, struct gy_hash *sha256, struct gy_hash *md5,
                           int64_t *ret_size, struct gy_err *err)
{
    GY_AUTO(gy_free) char *step = gy_malloc(DIGEST_STEP);
    if (!step) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory reading %s", path);
    }
    int64_t size = 0;
    for (;;) {
        ssize_t got = read(fd, step, DIGEST_STEP);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return gy_err_sys(err, errno, "can not read %s", path);
        }
        if (got == 0) {
            break;
        }
        if (sha256) {
            gy_hash_add(sha256, gy_str_n(step, (size_t)got));
        }
        if (md5) {
            gy_hash_add(md5, gy_str_n(step, (size_t)got));
        }
        size += got;
    }
    if (ret_size) {
        *ret_size = size;
    }
    return GY_OK;
}

gy_status gy_file_digest(const char *path, char *sha256, char *md5, int64_t *ret_size,
                         struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *sha = NULL;
    GY_AUTO(gy_hash_free) struct gy_hash *five = NULL;
    if (sha256) {
        GY_TRY(gy_hash_new(GY_HASH_SHA256, &sha, err));
    }
    if (md5) {
        GY_TRY(gy_hash_new(GY_HASH_MD5, &five, err));
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "can not open %s", path);
    }
    gy_status status = digest_fd(fd, path, sha, five, ret_size, err);
    (void)close(fd); /* only read from */
    GY_TRY(status);
    if (sha) {
        gy_hash_hex(sha, sha256);
    }
    if (five) {
        gy_hash_hex(five, md5);
    }
    return GY_OK;
}

gy_status gy_hmac_sha256(struct gy_str key, struct gy_str bytes, unsigned char out[32],
                         struct gy_err *err)
{
    unsigned int n = 0;
    if (key.n > INT32_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "the key of a signature is too long");
    }
    if (!HMAC(EVP_sha256(), key.p ? key.p : "", (int)key.n,
              (const unsigned char *)(bytes.p ? bytes.p : ""), bytes.n, out, &n)) {
        return gy_err_set(err, GY_E_NOMEM, "the crypto library can not compute a signature");
    }
    return GY_OK;
}

bool gy_equal_secret(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

/* Reflected polynomial of CRC-32C. */
#define CRC32C_POLY 0x82f63b78u

static uint32_t g_crc_table[8][256];
static pthread_once_t g_crc_once = PTHREAD_ONCE_INIT;

static void crc_fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) ? CRC32C_POLY : 0);
        }
        g_crc_table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++) {
            uint32_t before = g_crc_table[k - 1][i];
            g_crc_table[k][i] = (before >> 8) ^ g_crc_table[0][before & 0xff];
        }
    }
}

/* Slicing by 8 (Kounavis and Berry 2005). */
uint32_t gy_crc32c_portable(uint32_t crc, const void *p, size_t n)
{
    (void)pthread_once(&g_crc_once, crc_fill_table); /* fails only for a bad argument */
    const unsigned char *at = p;
    crc = ~crc;
    for (; n >= 8; n -= 8, at += 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                              (uint32_t)at[3] << 24);
        crc = g_crc_table[7][low & 0xff] ^ g_crc_table[6][low >> 8 & 0xff] ^
              g_crc_table[5][low >> 16 & 0xff] ^ g_crc_table[4][low >> 24] ^ g_crc_table[3][at[4]] ^
              g_crc_table[2][at[5]] ^ g_crc_table[1][at[6]] ^ g_crc_table[0][at[7]];
    }
    for (; n > 0; n--, at++) {
        crc = (crc >> 8) ^ g_crc_table[0][(crc ^ *at) & 0xff];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse(uint32_t crc, const void *p, size_t n)
{
    const unsigned char *at = p;
    uint64_t wide = (uint32_t)~crc;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    uint32_t narrow = (uint32_t)wide;
    for (; n > 0; n--, at++) {
        narrow = _mm_crc32_u8(narrow, *at);
    }
    return ~narrow;
}
#endif

uint32_t gy_crc32c(uint32_t crc, const void *p, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return crc32c_sse(crc, p, n);
    }
#endif
    return gy_crc32c_portable(crc, p, n);
}

void gy_hex(const void *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = p;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[at[i] >> 4];
        out[2 * i + 1] = digits[at[i] & 15];
    }
    out[2 * n] = '\0';
}

int gy_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool gy_is_hex(struct gy_str s, size_t n)
{
    bool all = s.n == n;
    for (size_t i = 0; all && i < n; i++) {
        all = gy_hex_digit(s.p[i]) >= 0 && !(s.p[i] >= 'A' && s.p[i] <= 'F');
    }
    return all;
}

bool gy_unhex(struct gy_str hex, unsigned char *out, size_t n)
{
    if (!gy_is_hex(hex, 2 * n)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = (unsigned char)(gy_hex_digit(hex.p[2 * i]) << 4 | gy_hex_digit(hex.p[2 * i + 1]));
    }
    return true;
}

size_t gy_base64_size(size_t n)
{
    return (n + 2) / 3 * 4;
}

void gy_base64(const void *p, size_t n, char *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = p;
    for (; n >= 3; n -= 3, at += 3, out += 4) {
        uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        out[0] = alphabet[bits >> 18];
        out[1] = alphabet[bits >> 12 & 63];
        out[2] = alphabet[bits >> 6 & 63];
        out[3] = alphabet[bits & 63];
    }
    if (n > 0) {
        uint32_t bits = (uint32_t)at[0] << 16 | (n == 2 ? (uint32_t)at[1] << 8 : 0);
        out[0] = alphabet[bits >> 18];
        out[1] = alphabet[bits >> 12 & 63];
        out[2] = n == 2 ? alphabet[bits >> 6 & 63] : '=';
        out[3] = '=';
        out += 4;
    }
    *out = '\0';
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

gy_status gy_base64_decode(struct gy_str text, unsigned char *out, size_t *ret_n,
                           struct gy_err *err)
{
    if (text.n % 4 != 0) {
        return gy_err_set(err, GY_E_INVALID, "base64 text has a multiple of 4 characters");
    }
    size_t padding = 0;
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=') {
        padding++;
    }
    uint32_t bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < text.n - padding; i++) {
        int value = base64_value(text.p[i]);
        if (value < 0) {
            return gy_err_set(err, GY_E_INVALID, "not base64 at character %zu", i);
        }
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 3) {
            out[n++] = (unsigned char)(bits >> 16);
            out[n++] = (unsigned char)(bits >> 8);
            out[n++] = (unsigned char)bits;
            bits = 0;
        }
    }
    /* The bits that the padding cuts off must be zero, or two texts would mean the same bytes. */
    if (padding == 1) {
        if (bits & 3) {
            return gy_err_set(err, GY_E_INVALID, "base64 ends in stray bits");
        }
        out[n++] = (unsigned char)(bits >> 10);
        out[n++] = (unsigned char)(bits >> 2);
    } else if (padding == 2) {
        if (bits & 15) {
            return gy_err_set(err, GY_E_INVALID, "base64 ends in stray bits");
        }
        out[n++] = (unsigned char)(bits >> 4);
    }
    *ret_n = n;
    return GY_OK;
}
