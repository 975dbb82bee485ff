/* SPDX-License-Identifier: Apache-2.0 */
/* Model files of XGBoost, UBJSON and JSON: whatever is accepted must be walkable, and walk the same
 * for one row as for eight. */
#include <math.h>

#include "base/mem.h"
#include "learn/runtime/trees.h"

#define MAX_FEATURES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    struct gy_err err = GY_ERR_INIT;
    gy_status status = gy_trees_parse(gy_str_n((const char *)data, size), &t, &err);
    if (status != GY_OK) {
        GY_REQUIRE(err.code == status && err.msg[0] && !t);
        return 0;
    }
    const struct gy_trees_info *info = gy_trees_get_info(t);
    if (info->n_features > MAX_FEATURES) {
        return 0;
    }
    static const float values[8] = {0, -1, 1, 3.5F, NAN, INFINITY, -INFINITY, 1e30F};
    static float rows[8 * MAX_FEATURES];
    float *eight = gy_calloc(9 * info->n_outputs, sizeof *eight);
    GY_REQUIRE(eight);
    float *one = eight + 8 * info->n_outputs;
    for (size_t r = 0; r < 8; r++) {
        for (size_t c = 0; c < info->n_features; c++) {
            rows[r * info->n_features + c] = values[(r + c) % 8];
        }
    }
    gy_trees_run(t, rows, 8, true, eight);
    for (size_t r = 0; r < 8; r++) {
        gy_trees_run(t, rows + r * info->n_features, 1, true, one);
        for (size_t i = 0; i < info->n_outputs; i++) {
            float a = one[i], b = eight[r * info->n_outputs + i];
            GY_REQUIRE(a == b || (isnan(a) && isnan(b)));
        }
    }
    gy_free(eight);
    return 0;
}
