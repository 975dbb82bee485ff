/* SPDX-License-Identifier: Apache-2.0 */
/* Digests over OpenSSL EVP (SHA-256: FIPS 180-4; MD5: RFC 1321, only because DVC names objects by
 * it), and CRC-32C (Castagnoli, RFC 3720 appendix B.4) with SSE4.2 where the CPU has it. A gy_hash
 * belongs to one thread. */
#ifndef GY_BASE_HASH_H
#define GY_BASE_HASH_H

#include "base/str.h"

#define GY_SHA256_HEX 65 /* with the NUL */
#define GY_MD5_HEX 33

enum gy_hash_kind { GY_HASH_SHA256, GY_HASH_MD5 };

struct gy_hash;
GY_CHECKED gy_status gy_hash_new(enum gy_hash_kind kind, struct gy_hash **ret,
                                 struct gy_err *err); /* NOMEM */
void gy_hash_add(struct gy_hash *h, struct gy_str bytes);
/* Lower-case hex; out has GY_SHA256_HEX or GY_MD5_HEX bytes. Afterwards h starts anew. */
void gy_hash_hex(struct gy_hash *h, char *out);
void gy_hash_free(struct gy_hash *h);
GY_DEFINE_AUTO(struct gy_hash *, gy_hash_free);

GY_CHECKED gy_status gy_sha256_hex(struct gy_str bytes, char out[GY_SHA256_HEX],
                                   struct gy_err *err);
GY_CHECKED gy_status gy_md5_hex(struct gy_str bytes, char out[GY_MD5_HEX], struct gy_err *err);
/* Both digests and the size of a file in one pass; sha256 or md5 may be NULL. */
GY_CHECKED gy_status gy_file_digest(const char *path, char *sha256, char *md5, int64_t *ret_size,
                                    struct gy_err *err);
/* HMAC-SHA256 (RFC 2104), raw 32 bytes. */
GY_CHECKED gy_status gy_hmac_sha256(struct gy_str key, struct gy_str bytes, unsigned char out[32],
                                    struct gy_err *err);
/* Are n secret bytes equal? It takes the same time wherever they differ. */
bool gy_equal_secret(const void *a, const void *b, size_t n);
uint32_t gy_crc32c(uint32_t crc, const void *p, size_t n); /* start with 0; chainable */
uint32_t gy_crc32c_portable(uint32_t crc, const void *p,
                            size_t n); /* without SSE4.2; the same value (tests compare) */
void gy_hex(const void *p, size_t n, char *out); /* 2n digits and a NUL */
int gy_hex_digit(char c);                        /* of either case; -1: none */
bool gy_is_hex(struct gy_str s, size_t n);       /* n digits as gy_hex writes them */
/* The other way round, 2n digits; false when they are not such. */
bool gy_unhex(struct gy_str hex, unsigned char *out, size_t n);

size_t gy_base64_size(size_t n);                    /* bytes of the text, without NUL */
void gy_base64(const void *p, size_t n, char *out); /* RFC 4648 with padding, and a NUL */
/* Strict decoder; *ret_n <= 3 * text.n / 4. Fails: INVALID. */
GY_CHECKED gy_status gy_base64_decode(struct gy_str text, unsigned char *out, size_t *ret_n,
                                      struct gy_err *err);

#endif
