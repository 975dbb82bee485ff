/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever compiles can be evaluated over any values: it gives a value or a clean error, and both
 * forms agree. */
#include <math.h>

#include "base/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* a, b: numbers; s: string; t: bool; any other short name: unknown type. */
static bool resolve(void *ctx, struct gy_str name, size_t *ret_slot, enum gy_expr_type *ret_type)
{
    (void)ctx;
    char c = name.n > 0 ? name.p[0] : 'z';
    *ret_slot = c == 'a' ? 0 : c == 'b' ? 1 : c == 's' ? 2 : c == 't' ? 3 : 4;
    *ret_type = *ret_slot < 2    ? GY_EXPR_NUM
                : *ret_slot == 2 ? GY_EXPR_STR
                : *ret_slot == 3 ? GY_EXPR_BOOL
                                 : GY_EXPR_NULL;
    return name.n < 20;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO(gy_expr_free) struct gy_expr *e = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_expr_compile(gy_str_n((const char *)data, size), resolve, NULL, &e, &err) != GY_OK) {
        GY_REQUIRE(err.code != GY_OK && err.msg[0]);
        return 0;
    }
    static const double numbers[] = {0, 1, -1.5, 38.7, 1e300, NAN};
    for (size_t i = 0; i < 36; i++) {
        double a = numbers[i % 6];
        double b = numbers[i / 6];
        struct gy_expr_value slots[5] = {
            {.type = isnan(a) ? GY_EXPR_NULL : GY_EXPR_NUM, .num = a},
            {.type = isnan(b) ? GY_EXPR_NULL : GY_EXPR_NUM, .num = b},
            {.type = i % 3 ? GY_EXPR_STR : GY_EXPR_NULL, .str = GY_STR("Text")},
            {.type = GY_EXPR_BOOL, .b = i % 2},
            {.type = (enum gy_expr_type)(i % 4), .num = 3, .str = GY_STR("x"), .b = true},
        };
        struct gy_expr_value v = {.type = GY_EXPR_NULL};
        gy_status status = gy_expr_eval(e, slots, 5, &v, &err);
        if (status == GY_OK && v.type == GY_EXPR_NUM) {
            GY_REQUIRE(isfinite(v.num));
        }
        size_t used[5];
        size_t n = gy_expr_slots(e, used, 5);
        bool only_numbers = true;
        for (size_t k = 0; k < n; k++) {
            only_numbers &= used[k] < 2;
        }
        if (only_numbers && status == GY_OK) {
            double values[5] = {a, b, 0, 0, 0};
            int hit = gy_expr_test_f64(e, values, 5);
            GY_REQUIRE(hit == (v.type == GY_EXPR_BOOL ? (int)v.b : -1));
        }
    }
    return 0;
}
