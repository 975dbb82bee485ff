/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/cloudevent.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/json_python.h"
#include "base/mem.h"
#include "base/time.h"

#define TYPE "io.kserve.inference.response"
#define SOURCE "io.kserve.inference."

static bool is_structured(struct gy_str content_type)
{
    struct gy_str kind;
    struct gy_str rest;
    (void)gy_str_cut(content_type, ';', &kind, &rest);
    return gy_str_ieq(gy_str_trim(kind), GY_STR("application/cloudevents+json"));
}

static gy_status keep_id(struct gy_str id, struct gy_infer_request *q, struct gy_err *err)
{
    if (id.n > GY_INFER_MAX_ID || (id.n && memchr(id.p, '\0', id.n))) {
        return gy_err_set(err, GY_E_INVALID, "the event's id may have at most %d bytes",
                          GY_INFER_MAX_ID);
    }
    if (q->id_bytes == 0 && id.n) {
        memcpy(q->id, id.p, id.n);
        q->id[id.n] = '\0';
        q->id_bytes = id.n;
    }
    return GY_OK;
}

/* The data, when it is JSON in base64 (data_base64) or in a string. */
static gy_status parse_data(struct gy_str text, bool base64, yyjson_doc **ret, struct gy_err *err)
{
    if (!base64) {
        return gy_json_parse_python(text, ret, err);
    }
    GY_AUTO(gy_free) char *bytes = gy_malloc(text.n / 4 * 3 + 3);
    size_t n = 0;
    if (!bytes) {
        return gy_err_set(err, GY_E_NOMEM, "the data of an event");
    }
    if (gy_base64_decode(text, (unsigned char *)bytes, &n, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "the event's data_base64 is not base64");
    }
    return gy_json_parse_python(gy_str_n(bytes, n), ret, err);
}

static gy_status open_envelope(yyjson_val *root, yyjson_val **ret_data, yyjson_doc **ret_doc,
                               struct gy_infer_request *q, struct gy_err *err)
{
    static const char *const needed[] = {"specversion", "type", "source", "id"};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (gy_json_str(root, needed[i]).n == 0) {
            return gy_err_set(err, GY_E_INVALID, "the event has no '%s'", needed[i]);
        }
    }
    GY_TRY(keep_id(gy_json_str(root, "id"), q, err));
    struct gy_str packed = gy_json_str(root, "data_base64");
    yyjson_val *data = gy_json_get(root, "data");
    if (!data && !packed.p) {
        return gy_err_set(err, GY_E_INVALID, "the event has no 'data'");
    }
    if (!data || yyjson_is_str(data)) {
        GY_TRY(parse_data(data ? gy_json_val_str(data) : packed, !data, ret_doc, err));
        data = yyjson_doc_get_root(*ret_doc);
    }
    if (!yyjson_is_obj(data)) {
        return gy_err_set(err, GY_E_INVALID, "the event's data must be a JSON object");
    }
    *ret_data = data;
    return GY_OK;
}

gy_status gy_event_open(const struct gy_request *req, yyjson_val *root,
                        enum gy_event_form *ret_form, yyjson_val **ret_data, yyjson_doc **ret_doc,
                        struct gy_infer_request *q, struct gy_err *err)
{
    struct gy_str content_type = gy_req_header(req, "Content-Type");
    *ret_form = GY_EVENT_NONE;
    *ret_data = root;
    if (gy_str_starts(content_type, GY_STR("application/cloudevents-batch"))) {
        return gy_err_set(err, GY_E_MEDIATYPE, "a batch of events is not taken: send one event");
    }
    if (is_structured(content_type)) {
        *ret_form = GY_EVENT_STRUCTURED;
        return open_envelope(root, ret_data, ret_doc, q, err);
    }
    if (gy_req_header(req, "ce-specversion").n && gy_req_header(req, "ce-type").n &&
        gy_req_header(req, "ce-source").n && gy_req_header(req, "ce-id").n) {
        *ret_form = GY_EVENT_BINARY;
        return keep_id(gy_req_header(req, "ce-id"), q, err);
    }
    if (gy_json_get(root, "specversion") && gy_json_get(root, "source") &&
        gy_json_get(root, "type") && gy_json_get(root, "id")) {
        return open_envelope(root, ret_data, ret_doc, q, err);
    }
    return GY_OK;
}

static void add_headers(struct gy_str endpoint, const char *id, const char *time,
                        struct gy_fast_reply *out)
{
    size_t at = strlen(out->extra_headers);
    (void)snprintf(out->extra_headers + at, sizeof out->extra_headers - at,
                   "ce-specversion: 1.0\r\nce-id: %s\r\nce-source: " SOURCE "%" GY_STR_F
                   "\r\nce-type: " TYPE "\r\nce-time: %s\r\n",
                   id, GY_STR_A(endpoint), time);
}

void gy_event_begin(enum gy_event_form form, struct gy_str endpoint, const char id[GY_UUID_TEXT],
                    struct gy_fast_reply *out)
{
    char time[32];
    out->content_type = "application/json";
    if (form == GY_EVENT_NONE) {
        return;
    }
    (void)gy_time_iso(gy_now_us(), time);
    if (form == GY_EVENT_BINARY) {
        add_headers(endpoint, id, time, out);
        return;
    }
    out->content_type = "application/cloudevents+json";
    gy_buf_addf(out->body,
                "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"" SOURCE "%" GY_STR_F
                "\",\"type\":\"" TYPE
                "\",\"datacontenttype\":\"application/json\",\"time\":\"%s\",\"data\":",
                id, GY_STR_A(endpoint), time);
}

void gy_event_end(enum gy_event_form form, struct gy_fast_reply *out)
{
    if (form == GY_EVENT_STRUCTURED) {
        gy_buf_add_char(out->body, '}');
    }
}
