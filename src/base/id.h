/* SPDX-License-Identifier: Apache-2.0 */
/* Ids and randomness. gy_uuid7 gives RFC 9562 version 7 ids: 48 bits of milliseconds, then a
 * counter kept monotonic within one generator, then random bits; unique across processes. gy_rng is
 * the seeded generator of everything that must be repeatable (xoshiro256**, Blackman and Vigna
 * 2018, seeded by splitmix64): same seed, same numbers, on every machine. */
#ifndef GY_BASE_ID_H
#define GY_BASE_ID_H

#include "base/str.h"

#define GY_UUID_TEXT 37 /* 36 and the NUL */

/* Bytes from the kernel. Fails: IO. */
GY_CHECKED gy_status gy_random_bytes(void *p, size_t n, struct gy_err *err);

/* One generator per thread: no lock, ~20 ns an id. */
struct gy_uuid_gen {
    uint64_t last_ms;
    uint32_t counter;
    uint64_t state[4];
};
GY_CHECKED gy_status gy_uuid_gen_init(struct gy_uuid_gen *g, struct gy_err *err);
void gy_uuid7(struct gy_uuid_gen *g, unsigned char out[16]);
void gy_uuid_text(const unsigned char uuid[16], char out[GY_UUID_TEXT]);
GY_CHECKED gy_status gy_uuid_parse(struct gy_str text, unsigned char out[16], struct gy_err *err);
/* Convenience for cold paths: thread safe (thread-local generator). */
GY_CHECKED gy_status gy_new_id(char out[GY_UUID_TEXT], struct gy_err *err); /* UUIDv7 text */
GY_CHECKED gy_status gy_new_hex32(char out[33],
                                  struct gy_err *err); /* 128 random bits, as MLflow's run ids */

struct gy_rng {
    uint64_t s[4];
};
void gy_rng_init(struct gy_rng *r, uint64_t seed);
/* An independent stream for (seed, index): what makes results equal at any thread count. */
void gy_rng_init_stream(struct gy_rng *r, uint64_t seed, uint64_t index);
uint64_t gy_rng_u64(struct gy_rng *r);
double gy_rng_f64(struct gy_rng *r); /* [0, 1), 53 bits */
uint64_t gy_rng_below(struct gy_rng *r,
                      uint64_t n);      /* uniform on [0, n), without bias (Lemire 2019); n > 0 */
double gy_rng_normal(struct gy_rng *r); /* N(0,1), polar method (Marsaglia and Bray 1964) */

#endif
