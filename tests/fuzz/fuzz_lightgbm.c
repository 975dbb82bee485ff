/* SPDX-License-Identifier: Apache-2.0 */
/* Model files of LightGBM: whatever is accepted must be walkable, and walk the same for one row as
 * for eight. */
#include <math.h>

#include "base/mem.h"
#include "learn/runtime/lightgbm.h"

#define MAX_FEATURES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO(gy_lightgbm_free) struct gy_lightgbm *m = NULL;
    struct gy_err err = GY_ERR_INIT;
    gy_status status = gy_lightgbm_parse(gy_str_n((const char *)data, size), &m, &err);
    if (status != GY_OK) {
        GY_REQUIRE(err.code == status && err.msg[0] && !m);
        return 0;
    }
    const struct gy_lightgbm_info *info = gy_lightgbm_get_info(m);
    if (info->n_features > MAX_FEATURES) {
        return 0;
    }
    static const double values[8] = {0, -1, 1, 3.5, NAN, INFINITY, -INFINITY, 1e300};
    static double rows[8 * MAX_FEATURES], scratch[8 * MAX_FEATURES * 3];
    double *eight = gy_calloc(9 * info->n_outputs, sizeof *eight);
    GY_REQUIRE(eight);
    double *one = eight + 8 * info->n_outputs;
    for (size_t r = 0; r < 8; r++) {
        for (size_t c = 0; c < info->n_features; c++) {
            rows[r * info->n_features + c] = values[(r + c) % 8];
        }
    }
    gy_lightgbm_run(m, rows, 8, false, eight, scratch);
    for (size_t r = 0; r < 8; r++) {
        gy_lightgbm_run(m, rows + r * info->n_features, 1, false, one, scratch);
        for (size_t i = 0; i < info->n_outputs; i++) {
            double a = one[i], b = eight[r * info->n_outputs + i];
            GY_REQUIRE(a == b || (isnan(a) && isnan(b)));
        }
    }
    gy_free(eight);
    return 0;
}
