/* SPDX-License-Identifier: Apache-2.0 */
/* Requests with binary tensors, and packed ones. The first byte chooses the shape, the next two are
 * the length of the JSON (modulo the rest); what is read has rows, and no value is infinite. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "learn/predictor.h"
#include "serve/coding.h"
#include "serve/tensors.h"

#define S(text)                  \
    {                            \
        (text), sizeof(text) - 1 \
    }

static const struct gy_str colours[] = {S("blue"), S("red")};
static const struct gy_predictor_input described[] = {
    {.name = S("colour"), .kind = GY_INPUT_TEXT, .values = colours, .n_values = 2, .width = 1},
    {.name = S("photo"),
     .kind = GY_INPUT_IMAGE,
     .image_width = 2,
     .image_height = 2,
     .image_channels = 1,
     .width = 4},
};
static const struct gy_infer_field mixed_fields[] = {
    {S("HR"), S("hr"), true},
    {S("colour"), S("c"), false, &described[0], 0},
    {S("photo"), S("p"), false, &described[1], 0},
};
static const struct gy_infer_field cells[] = {{S("A[0]"), S("A[0]"), true},
                                              {S("A[1]"), S("A[1]"), true},
                                              {S("B[0]"), S("B[0]"), false},
                                              {S("B[1]"), S("B[1]"), false}};
static const struct gy_tensor_group groups[] = {
    {.name = S("A"), .first = 0, .width = 2, .n_dims = 1, .dims = {2}, .type = GY_DATATYPE_INT32},
    {.name = S("B"),
     .first = 2,
     .width = 2,
     .n_dims = 2,
     .dims = {1, 2},
     .type = GY_DATATYPE_FP16}};
static const struct gy_str outputs[] = {S("prediction"), S("probability")};
static const struct gy_infer_shape shapes[] = {
    {mixed_fields, 3, 3, outputs, 2, true, 4},
    {cells, 4, 4, outputs, 2, false, 0, groups, 2},
    {cells, 2, 2, outputs, 2, false, 0, groups, 1},
    {mixed_fields, 1, 1, outputs, 2, false, 0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gy_infer_request q;
    if (size < 3) {
        return 0;
    }
    const struct gy_infer_shape *shape = &shapes[data[0] & 3];
    size_t header = ((size_t)data[1] << 8 | data[2]) % (size - 2);
    struct gy_str body = gy_str_n((const char *)data + 3, size - 3);
    if (data[0] & 4) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf plain;
        gy_buf_init(&plain, 64 * GY_KIB);
        (void)gy_coding_unpack(body, &plain, NULL); /* good, PARSE or TOOBIG */
        return 0;
    }
    if (gy_infer_read_binary(shape, body, header, &q, NULL) != GY_OK) {
        return 0;
    }
    if (q.n_rows == 0 || q.n_rows > GY_INFER_MAX_ROWS) {
        abort();
    }
    for (size_t i = 0; i < q.n_rows * shape->n_fields; i++) {
        if (isinf(q.values[i])) {
            abort();
        }
    }
    return 0;
}
