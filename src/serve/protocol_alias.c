/* SPDX-License-Identifier: Apache-2.0 */
/* Alias routes: an endpoint's own path, whose body is one flat JSON object. The table of endpoints
 * knows the paths; mapping.h what is computed. */
#include "serve/protocol.h"

static bool claims(struct gy_str path, struct gy_ask *ret)
{
    (void)path;
    (void)ret;
    return false; /* gy_table_alias finds them */
}

static gy_status read_flat(const struct gy_ask *ask, const struct gy_request *req,
                           const struct gy_endpoint *stable, struct gy_str body,
                           struct gy_infer_request *q, struct gy_err *err)
{
    (void)req;
    GY_TRY(gy_infer_parse(GY_INFER_FLAT, &ask->alias->shape, body, q, err));
    return ask->alias->mapping.fields
               ? gy_mapping_apply(&ask->alias->mapping, &stable->shape, q, err)
               : GY_OK;
}

static void answer(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out)
{
    out->status = 200;
    out->content_type = "application/json";
    gy_infer_answer(e, ask->alias, w, prediction_id, out->body);
}

const struct gy_protocol gy_protocol_alias = {
    .ops_version = 1,
    .name = "alias",
    .claims = claims,
    .read = read_flat,
    .answer = answer,
    .fail = gy_protocol_fail_json,
};
