/* SPDX-License-Identifier: Apache-2.0 */
/* A training profile of any bytes: refused with a reason, or read; what was read is written, read
 * again and written to the same bytes, and its distributions can be used. */
#include "base/limits.h"
#include "learn/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ascending, counted, within the totals. */
static void look_at(const struct gy_values *v)
{
    uint64_t total = 0;
    for (size_t i = 0; i < v->n; i++) {
        GY_REQUIRE(v->counts[i] > 0 && (i == 0 || v->values[i] > v->values[i - 1]));
        total += v->counts[i];
    }
    GY_REQUIRE(total == v->total);
    GY_REQUIRE(v->n == 0 || gy_values_quantile(v, 0.5) >= v->values[0]);
    (void)gy_values_sd(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf once;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf twice;
    struct gy_profile p;
    struct gy_err err = GY_ERR_INIT;
    gy_arena_init(&a, 256 * GY_MIB);
    gy_buf_init(&once, 64 * GY_MIB);
    gy_buf_init(&twice, 64 * GY_MIB);
    if (gy_profile_parse(gy_str_n((const char *)data, size), &a, &p, &err) != GY_OK) {
        GY_REQUIRE(err.code != GY_OK && err.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < p.n_columns; i++) {
        look_at(&p.columns[i].values);
        GY_REQUIRE(gy_profile_column(&p, p.columns[i].name) != NULL);
    }
    look_at(&p.score);
    GY_REQUIRE(gy_profile_write(&p, &once, &err) == GY_OK);
    GY_REQUIRE(gy_profile_parse(gy_buf_str(&once), &a, &p, &err) == GY_OK);
    GY_REQUIRE(gy_profile_write(&p, &twice, &err) == GY_OK);
    GY_REQUIRE(gy_str_eq(gy_buf_str(&once), gy_buf_str(&twice)));
    return 0;
}
