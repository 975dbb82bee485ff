/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of KServe V1, Seldon's and MLflow's bodies, over one model of numbers, texts, times
 * and an image: whatever comes, a request that is accepted has rows, and every number in it is
 * finite or missing. The first byte chooses protocol and headers. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "learn/predictor.h"
#include "serve/protocol.h"

#define S(text)                  \
    {                            \
        (text), sizeof(text) - 1 \
    }

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
static const struct gy_infer_field fields[] = {
    {S("HR"), S("HR"), true},
    {S("Temp"), S("Temp"), false},
    {S("season"), S("season"), false, &described[0], 0},
    {S("when"), S("when"), false, &described[1], 0},
    {S("photo"), S("photo"), false, &described[2], 0},
    {S("WBC"), S("WBC"), false},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gy_infer_request q;
    static struct gy_predictor_info info;
    static struct gy_endpoint e;
    static const char *const paths[] = {"/v1/models/m:predict", "/v1/models/m:classify",
                                        "/api/v1.0/predictions", "/invocations"};
    static const char *const types[] = {"application/json", "application/cloudevents+json",
                                        "text/csv; charset=utf-8", "application/json; a"};
    if (size == 0) {
        return 0;
    }
    bool narrow = data[0] & 16;
    e.info = &info;
    e.shape = (struct gy_infer_shape){.fields = narrow ? fields + 2 : fields,
                                      .n_inputs = narrow ? 1 : 5,
                                      .n_fields = narrow ? 1 : 6,
                                      .mixed = true,
                                      .n_pixels = narrow ? 0 : 4};
    const struct gy_header headers[] = {
        {GY_STR("Content-Type"), gy_str_c(types[data[0] >> 2 & 3])},
        {GY_STR("ce-id"), GY_STR("7")},
        {GY_STR("ce-source"), GY_STR("/s")},
        {GY_STR("ce-type"), GY_STR("t")},
        {GY_STR("ce-specversion"), GY_STR("1.0")},
    };
    const struct gy_request req = {.method = GY_STR("POST"),
                                   .path = gy_str_c(paths[data[0] & 3]),
                                   .headers = headers,
                                   .n_headers = data[0] & 32 ? 5 : 1};
    struct gy_str body = gy_str_n((const char *)data + 1, size - 1);
    struct gy_ask ask;
    if (!gy_protocols_claim(req.path, &ask)) {
        abort();
    }
    if (ask.protocol->locate && ask.protocol->locate(&ask, &req, body, NULL) != GY_OK) {
        return 0;
    }
    struct gy_err err = GY_ERR_INIT;
    if (ask.protocol->read(&ask, &req, &e, body, &q, &err) != GY_OK) {
        if (err.code == GY_OK || err.msg[0] == '\0') {
            abort();
        }
        return 0;
    }
    if (q.n_rows == 0 || q.id_bytes > GY_INFER_MAX_ID) {
        abort();
    }
    for (size_t i = 0; i < q.n_rows * e.shape.n_fields; i++) {
        if (isinf(q.values[i])) {
            abort();
        }
    }
    return 0;
}
