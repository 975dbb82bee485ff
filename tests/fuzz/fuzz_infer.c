/* SPDX-License-Identifier: Apache-2.0 */
/* The two readers of prediction requests on the same bytes: what the scanner accepts, the general
 * reader accepts with the same values, bit for bit. The first byte chooses the form and the shape;
 * the same bytes also go through the rings' frame reader, which must only ever say no. */
#include <stdint.h>
#include <stdlib.h>

#include "learn/predictor.h"
#include "serve/parse.h"
#include "serve/record.h"

#define S(text)                  \
    {                            \
        (text), sizeof(text) - 1 \
    }

static const struct gy_infer_field fields[] = {
    {S("HR"), S("hr"), true},
    {S("Resp"), S("resp"), false},
    {S("Temp"), S("temp"), false},
    {S("WBC"), S("wbc"), false},
};
/* The same bytes for a model of texts, times and images: the general reader alone. */
static const struct gy_str seasons[] = {S("summer"), S("winter")};
static const struct gy_predictor_input described[] = {
    {.name = S("season"), .kind = GY_INPUT_TEXT, .values = seasons, .n_values = 2, .width = 1},
    {.name = S("when"), .kind = GY_INPUT_TIME, .width = 1},
    {.name = S("photo"),
     .kind = GY_INPUT_IMAGE,
     .image_width = 2,
     .image_height = 2,
     .image_channels = 1,
     .width = 4},
};
static const struct gy_infer_field mixed_fields[] = {
    {S("season"), S("season"), true, &described[0], 0},
    {S("when"), S("when"), false, &described[1], 0},
    {S("photo"), S("photo"), false, &described[2], 0},
    {S("WBC"), S("wbc"), false},
};
static const struct gy_str outputs[] = {S("prediction"), S("probability")};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct gy_infer_request *a, const struct gy_infer_request *b,
                    size_t n_fields)
{
    if (a->n_rows != b->n_rows || a->outputs != b->outputs || a->id_bytes != b->id_bytes ||
        memcmp(a->id, b->id, a->id_bytes) != 0 ||
        memcmp(a->values, b->values, a->n_rows * n_fields * sizeof(double)) != 0) {
        abort();
    }
}

static void read_mixed(enum gy_infer_form form, struct gy_str body)
{
    static struct gy_infer_request q;
    const struct gy_infer_shape shape = {mixed_fields, 3, 4, outputs, 2, true, 4};
    if (gy_infer_scan(form, &shape, body, &q) ||
        (gy_infer_parse(form, &shape, body, &q, NULL) == GY_OK && q.n_rows == 0)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gy_infer_request a;
    static struct gy_infer_request b;
    if (size == 0) {
        return 0;
    }
    enum gy_infer_form form = data[0] & 1 ? GY_INFER_FLAT : GY_INFER_V2;
    const struct gy_infer_shape shape = {fields, data[0] & 2 ? 3 : 1, data[0] & 4 ? 4 : 3, outputs,
                                         2};
    struct gy_str body = gy_str_n((const char *)data + 1, size - 1);
    if (data[0] & 8) {
        read_mixed(form, body);
        return 0;
    }
    if (gy_infer_scan(form, &shape, body, &a)) {
        if (gy_infer_read(form, &shape, body, &b, NULL) != GY_OK) {
            abort();
        }
        compare(&a, &b, shape.n_fields);
    } else if (gy_infer_read(form, &shape, body, &b, NULL) == GY_OK && b.n_rows == 0) {
        abort();
    }
    size_t bytes;
    if (gy_frame_look(body.p, body.n, 0, &bytes) == GY_FRAME_GOOD) {
        struct gy_arena arena;
        struct gy_record r;
        gy_arena_init(&arena, 16 * GY_MIB);
        (void)gy_record_read(body.p, bytes, &arena, &r, NULL); /* good or CORRUPT */
        gy_arena_done(&arena);
    }
    return 0;
}
