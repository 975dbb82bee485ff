/* SPDX-License-Identifier: Apache-2.0 */
/* Open Inference Protocol v2 over HTTP: POST /v2/models/{name}[/versions/{version}]/infer. */
#include <stdio.h>

#include "serve/answer.h"
#include "serve/protocol.h"

#define PREFIX "/v2/models/"
#define SUFFIX "/infer"
#define HEADER_LENGTH "Inference-Header-Content-Length"

static bool claims(struct gy_str path, struct gy_ask *ret)
{
    struct gy_str name, rest;
    if (path.n <= sizeof PREFIX - 1 + sizeof SUFFIX - 1 || !gy_str_starts(path, GY_STR(PREFIX)) ||
        memcmp(path.p + path.n - (sizeof SUFFIX - 1), SUFFIX, sizeof SUFFIX - 1) != 0) {
        return false;
    }
    ret->endpoint =
        gy_str_n(path.p + sizeof PREFIX - 1, path.n - (sizeof PREFIX - 1) - (sizeof SUFFIX - 1));
    if (gy_str_cut(ret->endpoint, '/', &name, &rest) && rest.n > 9 &&
        gy_str_starts(rest, GY_STR("versions/"))) {
        ret->endpoint = name;
        ret->version = gy_str_n(rest.p + 9, rest.n - 9);
    }
    return true; /* what else stands there is no endpoint's name */
}

/* The header of the binary extension; absent: the body is all JSON. */
static gy_status header_bytes(struct gy_str text, size_t *ret, struct gy_err *err)
{
    int64_t n = 0;
    if (gy_parse_i64(text, 0, GY_INFER_MAX_BODY, &n, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID,
                          "Inference-Header-Content-Length must be a number of bytes");
    }
    *ret = (size_t)n;
    return GY_OK;
}

static gy_status read_v2(const struct gy_ask *ask, const struct gy_request *req,
                         const struct gy_endpoint *stable, struct gy_str body,
                         struct gy_infer_request *q, struct gy_err *err)
{
    size_t n = 0;
    (void)ask;
    struct gy_str length = gy_req_header(req, HEADER_LENGTH);
    if (!length.p) {
        GY_TRY(gy_infer_parse(GY_INFER_V2, &stable->shape, body, q, err));
    } else {
        GY_TRY(header_bytes(length, &n, err));
        GY_TRY(gy_infer_read_binary(&stable->shape, body, n, q, err));
    }
    return gy_answer_check(stable, q, err);
}

static void add_header(struct gy_fast_reply *out, const char *name, size_t value)
{
    size_t at = strlen(out->extra_headers);
    (void)snprintf(out->extra_headers + at, sizeof out->extra_headers - at, "%s: %zu\r\n", name,
                   value);
}

static void answer(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out)
{
    (void)ask;
    out->status = 200;
    size_t json_bytes = gy_answer_v2(e, w, prediction_id, out->body);
    out->content_type = json_bytes ? "application/octet-stream" : "application/json";
    if (json_bytes) {
        add_header(out, HEADER_LENGTH, json_bytes);
    }
}

const struct gy_protocol gy_protocol_v2 = {
    .ops_version = 1,
    .name = "v2",
    .claims = claims,
    .read = read_v2,
    .answer = answer,
    .fail = gy_protocol_fail_json,
};
