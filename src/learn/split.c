/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/split.h"

#include <math.h>
#include <stdio.h>

#include "base/hash.h"

static uint64_t hash_key(struct gy_hash *h, uint64_t seed, struct gy_str key)
{
    char text[32];
    char hex[GY_SHA256_HEX];
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)seed);
    gy_hash_add(h, gy_str_n(text, (size_t)n));
    gy_hash_add(h, key);
    gy_hash_hex(h, hex);
    uint64_t value = 0;
    for (size_t i = 0; i < 16; i++) {
        char c = hex[i];
        unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
        value = value << 4 | digit;
    }
    return value;
}

gy_status gy_split_hash(uint64_t seed, struct gy_str key, uint64_t *ret, struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    *ret = hash_key(h, seed, key);
    return GY_OK;
}

bool gy_split_below(uint64_t hash, double holdout)
{
    /* holdout * 2^64 is exact: scaling by a power of two. A whole hash lies below it when it lies
     * below its ceiling. */
    double limit = ceil(ldexp(holdout, 64));
    if (!(limit > 0)) {
        return false;
    }
    return limit >= 18446744073709551616.0 || hash < (uint64_t)limit;
}

gy_status gy_split_rows(const struct gy_split *s, gy_split_key_fn key, const void *ctx, size_t n,
                        bool *held_out, struct gy_err *err)
{
    if (!(s->holdout >= 0 && s->holdout < 1)) {
        return gy_err_set(err, GY_E_INVALID, "holdout must be at least 0 and below 1");
    }
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    for (size_t i = 0; i < n; i++) {
        held_out[i] = gy_split_below(hash_key(h, s->seed, key(ctx, i)), s->holdout);
    }
    return GY_OK;
}
