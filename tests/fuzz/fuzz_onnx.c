/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX files as they are read before ONNX Runtime sees them. */
#include "base/limits.h"
#include "learn/runtime/onnx_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    struct gy_onnx_graph g;
    struct gy_err err = GY_ERR_INIT;
    gy_arena_init(&arena, 64 * GY_MIB);
    gy_status status = gy_onnx_scan(gy_str_n((const char *)data, size), &arena, &g, &err);
    if (status != GY_OK) {
        GY_REQUIRE(err.code == status && err.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < g.n_outputs; i++) {
        (void)gy_onnx_made_by(&g, g.outputs[i].name);
    }
    for (size_t i = 1; i < g.n_texts; i++) {
        GY_REQUIRE(gy_str_cmp(g.texts[i - 1], g.texts[i]) < 0);
    }
    return 0;
}
