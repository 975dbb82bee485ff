/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/protocol_message.h"

static const struct gy_protocol *const protocols[] = {
    &gy_protocol_v2,     &gy_protocol_explain,     &gy_protocol_message,
    &gy_protocol_grpc,   &gy_protocol_grpc_stream, &gy_protocol_v1,
    &gy_protocol_seldon, &gy_protocol_mlflow,      &gy_protocol_alias,
};

bool gy_protocols_claim(struct gy_str path, struct gy_ask *ret)
{
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        *ret = (struct gy_ask){.protocol = protocols[i]};
        if (protocols[i]->claims(path, ret)) {
            return true;
        }
    }
    return false;
}

void gy_protocol_fail_json(const struct gy_ask *ask, const struct gy_err *failed,
                           struct gy_fast_reply *out)
{
    (void)ask;
    out->status = gy_infer_http(failed->code);
    out->content_type = "application/json";
    gy_infer_error(failed, out->body);
}
