/* SPDX-License-Identifier: Apache-2.0 */
/* Open Inference Protocol v2 over HTTP: POST /v2/models/{name}[/versions/{version}]/infer. */
#include "serve/protocol.h"

#define PREFIX "/v2/models/"
#define SUFFIX "/infer"

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

static gy_status read_v2(const struct gy_ask *ask, const struct gy_request *req,
                         const struct gy_endpoint *stable, struct gy_str body,
                         struct gy_infer_request *q, struct gy_err *err)
{
    (void)ask;
    (void)req;
    return gy_infer_parse(GY_INFER_V2, &stable->shape, body, q, err);
}

static void answer(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out)
{
    (void)ask;
    out->status = 200;
    out->content_type = "application/json";
    gy_infer_answer(e, NULL, w, prediction_id, out->body);
}

const struct gy_protocol gy_protocol_v2 = {
    .ops_version = 1,
    .name = "v2",
    .claims = claims,
    .read = read_v2,
    .answer = answer,
    .fail = gy_protocol_fail_json,
};
