/* SPDX-License-Identifier: Apache-2.0 */
#include "api/body.h"

#include "base/limits.h"
#include "base/time.h"

gy_status gy_api_object(struct gy_request *req, size_t max, yyjson_doc **ret_doc,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&body, max);
    GY_TRY(gy_req_read_body(req, &body, err));
    GY_TRY(gy_json_parse(body.n > 0 ? gy_buf_str(&body) : GY_STR("{}"), &doc, err));
    if (!yyjson_is_obj(yyjson_doc_get_root(doc))) {
        return gy_err_set(err, GY_E_INVALID, "the body must be a JSON object");
    }
    *ret_doc = GY_TAKE(doc);
    return GY_OK;
}

gy_status gy_api_text(yyjson_val *object, const char *key, size_t max, struct gy_str *ret,
                      struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, key);
    *ret = GY_STR_NULL;
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    if (!yyjson_is_str(v)) {
        return gy_err_set(err, GY_E_INVALID, "'%s' must be a string", key);
    }
    if (yyjson_get_len(v) > max) {
        return gy_err_set(err, GY_E_INVALID, "'%s' has at most %zu bytes", key, max);
    }
    *ret = gy_json_val_str(v);
    return GY_OK;
}

void gy_api_kv_time(struct gy_jw *w, const char *key, int64_t time_us)
{
    char time[32];
    if (time_us == 0) {
        gy_jw_kv_null(w, key);
    } else {
        gy_jw_kv_str(w, key, gy_str_n(time, gy_time_iso(time_us, time)));
    }
}

gy_status gy_api_reason(struct gy_request *req, struct gy_str *ret, struct gy_err *err)
{
    struct gy_str raw = gy_req_header(req, "X-Gyre-Reason");
    *ret = GY_STR_NULL;
    if (raw.n == 0) {
        return GY_OK;
    }
    *ret = gy_url_decode(req->arena, raw, false);
    if (!ret->p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    return ret->n <= GY_API_MAX_TEXT && gy_str_is_utf8(*ret)
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "X-Gyre-Reason is a text of at most %zu bytes",
                            GY_API_MAX_TEXT);
}

void gy_api_kv_edges(struct gy_jw *w, const char *key, const struct gy_lineage_edge *edges,
                     size_t n)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "from", edges[i].from);
        gy_jw_kv_str(w, "rel", edges[i].rel);
        gy_jw_kv_str(w, "to", edges[i].to);
        gy_jw_kv_str(w, "actor", edges[i].actor);
        gy_api_kv_time(w, "time", edges[i].time_us);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}
