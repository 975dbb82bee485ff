/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/protocol_message.h"

#include <math.h>

#include "base/json_python.h"

static bool claims(struct gy_str path, struct gy_ask *ret)
{
    if (!gy_str_starts(path, GY_STR(GY_MESSAGE_PATH))) {
        return false;
    }
    ret->endpoint = gy_str_sub(path, sizeof GY_MESSAGE_PATH - 1, path.n);
    return true;
}

static gy_status locate(struct gy_ask *ask, const struct gy_request *req, struct gy_str body,
                        struct gy_err *err)
{
    (void)body;
    (void)err;
    ask->unlogged = gy_req_header(req, GY_UNLOGGED_HEADER).p != NULL;
    return GY_OK;
}

/* Is it a body of the Open Inference Protocol? That has a list "inputs"; a model whose input has
 * that name is asked in the flat form alone. */
static bool is_v2(const struct gy_infer_shape *shape, struct gy_str body)
{
    if (gy_str_find_str(body, GY_STR("\"inputs\"")) == SIZE_MAX) {
        return false;
    }
    for (size_t i = 0; i < shape->n_fields; i++) {
        if (gy_str_eqc(shape->fields[i].key, "inputs")) {
            return false;
        }
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    return gy_json_parse_python(body, &doc, NULL) == GY_OK &&
           yyjson_is_arr(gy_json_get(yyjson_doc_get_root(doc), "inputs"));
}

/* A message about something else has none of the inputs, and would be answered as if all of them
 * were missing. */
static gy_status check_any(const struct gy_infer_shape *shape, const struct gy_infer_request *q,
                           struct gy_err *err)
{
    for (size_t i = 0; i < shape->n_fields; i++) {
        if (!isnan(q->values[i]) || (shape->fields[i].input && shape->n_pixels)) {
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID, "the message has none of the endpoint's inputs");
}

static gy_status read_message(const struct gy_ask *ask, const struct gy_request *req,
                              const struct gy_endpoint *stable, struct gy_str body,
                              struct gy_infer_request *q, struct gy_err *err)
{
    (void)ask;
    (void)req;
    if (body.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "the message is empty");
    }
    bool v2 = is_v2(&stable->shape, body);
    GY_TRY(gy_infer_parse(v2 ? GY_INFER_V2 : GY_INFER_FLAT, &stable->shape, body, q, err));
    q->asked = 0; /* an answer in JSON, whatever form was asked for */
    return v2 ? GY_OK : check_any(&stable->shape, q, err);
}

#define KEY(text)                \
    {                            \
        (text), sizeof(text) - 1 \
    }

static void answer(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out)
{
    static struct gy_alias_output outputs[] = {
        {.key = KEY("\"prediction\":"), .what = GY_OUT_PREDICTION},
        {.key = KEY("\"probability\":"), .what = GY_OUT_PROBABILITY}};
    bool regression = e->info->task == GY_TASK_REGRESSION;
    const struct gy_alias flat = {.outputs = outputs, .n_outputs = regression ? 1 : 2};
    (void)ask;
    out->status = 200;
    out->content_type = "application/json";
    gy_infer_answer(e, w->q.flat ? &flat : NULL, w, prediction_id, out->body);
}

static void fail(const struct gy_ask *ask, const struct gy_err *failed, struct gy_fast_reply *out)
{
    struct gy_jw w;
    (void)ask;
    out->status = gy_infer_http(failed->code);
    out->content_type = "application/json";
    gy_jw_init(&w, out->body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "error", failed->msg);
    gy_jw_kv_strc(&w, "code", gy_status_name(failed->code));
    gy_jw_obj_end(&w);
}

const struct gy_protocol gy_protocol_message = {
    .ops_version = 1,
    .name = "message",
    .claims = claims,
    .locate = locate,
    .read = read_message,
    .answer = answer,
    .fail = fail,
};
