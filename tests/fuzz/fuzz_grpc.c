/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a message of the gRPC protocol: which model it names, and its tensors as rows. What is
 * read has rows, and only finite or missing values; a packed message is unpacked up to its limit.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "learn/predictor.h"
#include "net/grpc.h"
#include "serve/protobuf.h"
#include "serve/protocol.h"

#define S(text)                  \
    {                            \
        (text), sizeof(text) - 1 \
    }

static const struct gy_str seasons[] = {S("summer"), S("winter")};
static const struct gy_predictor_input season = {
    .name = S("season"), .kind = GY_INPUT_TEXT, .values = seasons, .n_values = 2, .width = 1};
static const struct gy_infer_field fields[] = {
    {S("HR"), S("hr"), true},
    {S("Resp"), S("resp"), false},
    {S("season"), S("season"), false, &season, 0},
};
static const struct gy_str outputs[] = {S("prediction"), S("probability")};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_message(struct gy_str body, size_t n_inputs)
{
    static struct gy_infer_request q;
    static struct gy_endpoint e;
    struct gy_arena arena;
    gy_arena_init(&arena, 16 * GY_MIB);
    const struct gy_request req = {.method = S("POST"), .path = S("/x"), .arena = &arena};
    struct gy_ask ask = {.protocol = &gy_protocol_grpc};
    e.shape = (struct gy_infer_shape){.fields = fields,
                                      .n_inputs = n_inputs,
                                      .n_fields = n_inputs,
                                      .outputs = outputs,
                                      .n_outputs = 2,
                                      .mixed = n_inputs == 3};
    bool located = gy_protocol_grpc.locate(&ask, &req, body, NULL) == GY_OK;
    if (gy_protocol_grpc.read(&ask, &req, &e, body, &q, NULL) == GY_OK) {
        if (q.n_rows == 0 || q.n_rows > GY_INFER_MAX_ROWS) {
            abort();
        }
        for (size_t i = 0; i < q.n_rows * n_inputs; i++) {
            if (isinf(q.values[i])) {
                abort();
            }
        }
    }
    if (located && (ask.endpoint.p < body.p || ask.endpoint.p + ask.endpoint.n > body.p + body.n)) {
        abort();
    }
    gy_arena_done(&arena);
}

static void unpack(struct gy_str body, enum gy_grpc_encoding encoding)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 100000);
    if (gy_grpc_unpack(encoding, body, &out, NULL) == GY_OK && out.n > 100000) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct gy_str body = gy_str_n((const char *)data + 1, size - 1);
    if (data[0] & 2) {
        unpack(body, data[0] & 1 ? GY_GRPC_GZIP : GY_GRPC_DEFLATE);
    } else {
        read_message(body, data[0] & 1 ? 3 : 2);
    }
    return 0;
}
