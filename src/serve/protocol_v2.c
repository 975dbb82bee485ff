/* SPDX-License-Identifier: Apache-2.0 */
/* Open Inference Protocol v2 over HTTP: POST /v2/models/{name}[/versions/{version}]/infer. */
#include <stdio.h>

#include "serve/answer.h"
#include "serve/coding.h"
#include "serve/protocol.h"

#define PREFIX "/v2/models/"
#define SUFFIX "/infer"
#define PACK_BODY (4 * GY_KIB) /* an answer to a longer request may be packed */
#define PACK_ANSWER GY_KIB     /* and is when it is longer than that */
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

/* Unpacking and packing are for the pool. A short request has its answer as it is: most of them say
 * that they take gzip, and it would gain nothing. */
static bool heavy(const struct gy_request *req, struct gy_str body)
{
    return gy_req_header(req, "Content-Encoding").p ||
           (body.n > PACK_BODY && gy_coding_accepted(gy_req_header(req, "Accept-Encoding")));
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

static gy_status read_body(const struct gy_request *req, const struct gy_infer_shape *shape,
                           struct gy_str body, struct gy_infer_request *q, struct gy_err *err)
{
    size_t n = 0;
    struct gy_str length = gy_req_header(req, HEADER_LENGTH);
    if (!length.p) {
        return gy_infer_parse(GY_INFER_V2, shape, body, q, err);
    }
    GY_TRY(header_bytes(length, &n, err));
    return gy_infer_read_binary(shape, body, n, q, err);
}

static gy_status read_packed(const struct gy_request *req, struct gy_str content_encoding,
                             const struct gy_infer_shape *shape, struct gy_str body,
                             struct gy_infer_request *q, struct gy_err *err)
{
    enum gy_coding coding = GY_CODING_NONE;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf plain;
    gy_buf_init(&plain, GY_INFER_MAX_BODY);
    GY_TRY(gy_coding_parse(content_encoding, &coding, err));
    if (coding == GY_CODING_NONE) {
        return read_body(req, shape, body, q, err);
    }
    GY_TRY(gy_coding_unpack(body, &plain, err));
    return read_body(req, shape, gy_buf_str(&plain), q, err);
}

static gy_status read_v2(const struct gy_ask *ask, const struct gy_request *req,
                         const struct gy_endpoint *stable, struct gy_str body,
                         struct gy_infer_request *q, struct gy_err *err)
{
    (void)ask;
    struct gy_str packed = gy_req_header(req, "Content-Encoding");
    GY_TRY(packed.p ? read_packed(req, packed, &stable->shape, body, q, err)
                    : read_body(req, &stable->shape, body, q, err));
    if (heavy(req, body)) {
        q->coding = (uint8_t)gy_coding_accepted(gy_req_header(req, "Accept-Encoding"));
    }
    return gy_answer_check(stable, q, err);
}

static void add_header(struct gy_fast_reply *out, const char *name, size_t value)
{
    size_t at = strlen(out->extra_headers);
    (void)snprintf(out->extra_headers + at, sizeof out->extra_headers - at, "%s: %zu\r\n", name,
                   value);
}

/* Pack the answer where the client takes it so; one that can not be packed goes as it is. */
static void pack(enum gy_coding coding, struct gy_fast_reply *out)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf packed;
    gy_buf_init(&packed, GY_MAX_REPLY);
    if (gy_coding_pack(coding, gy_buf_str(out->body), &packed, NULL) != GY_OK) {
        return;
    }
    size_t at = strlen(out->extra_headers);
    (void)snprintf(out->extra_headers + at, sizeof out->extra_headers - at,
                   "Content-Encoding: %s\r\nVary: Accept-Encoding\r\n", gy_coding_name(coding));
    gy_buf_reset(out->body);
    gy_buf_add(out->body, gy_buf_str(&packed));
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
    if (w->q.coding && out->body->n > PACK_ANSWER && gy_buf_check(out->body, "", NULL) == GY_OK) {
        pack((enum gy_coding)w->q.coding, out);
    }
}

const struct gy_protocol gy_protocol_v2 = {
    .ops_version = 1,
    .name = "v2",
    .claims = claims,
    .read = read_v2,
    .heavy = heavy,
    .answer = answer,
    .fail = gy_protocol_fail_json,
};
