/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/split.h"

#include "base/hash.h"

gy_status gy_split_rows(const struct gy_split *s, gy_split_key_fn key, const void *ctx, size_t n,
                        bool *held_out, struct gy_err *err)
{
    if (!(s->holdout >= 0 && s->holdout < 1)) {
        return gy_err_set(err, GY_E_INVALID, "holdout must be at least 0 and below 1");
    }
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    for (size_t i = 0; i < n; i++) {
        held_out[i] = gy_split_below(gy_split_hash_with(h, s->seed, key(ctx, i)), s->holdout);
    }
    return GY_OK;
}
