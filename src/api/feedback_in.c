/* SPDX-License-Identifier: Apache-2.0 */
#include "api/feedback_in.h"

#include <math.h>

#include "api/body.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/time.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "reading feedback");
}

static gy_status copy(struct gy_str s, struct gy_arena *a, struct gy_str *ret, struct gy_err *err)
{
    *ret = s.n ? gy_arena_str(a, s) : GY_STR("");
    return ret->p ? GY_OK : no_memory(err);
}

/* A label as JSON has it: text, a number, true or false. */
static gy_status label_text(yyjson_val *v, struct gy_arena *a, struct gy_str *ret,
                            struct gy_err *err)
{
    char number[32];
    struct gy_str text = GY_STR("");
    if (yyjson_is_str(v)) {
        text = gy_json_val_str(v);
    } else if (yyjson_is_bool(v)) {
        text = yyjson_get_bool(v) ? GY_STR("true") : GY_STR("false");
    } else if (yyjson_is_num(v)) {
        text = gy_str_n(number, gy_fmt_f64_trim(yyjson_get_num(v), number));
    } else if (v && !yyjson_is_null(v)) {
        return gy_err_set(err, GY_E_INVALID, "a label is a text, a number, true or false");
    }
    return copy(text, a, ret, err);
}

static gy_status reward_of(yyjson_val *object, double *ret, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, "reward");
    *ret = NAN;
    if (v && !yyjson_is_null(v) && !yyjson_is_num(v)) {
        return gy_err_set(err, GY_E_INVALID, "'reward' must be a number");
    }
    *ret = yyjson_is_num(v) ? yyjson_get_num(v) : NAN;
    return GY_OK;
}

static gy_status target_of(yyjson_val *object, struct gy_arena *a, struct gy_feedback *f,
                           struct gy_err *err)
{
    struct gy_str prediction;
    struct gy_str request;
    GY_TRY(gy_api_text(object, "prediction_id", GY_MAX_NAME, &prediction, err));
    GY_TRY(gy_api_text(object, "request_id", GY_FEEDBACK_MAX_ID, &request, err));
    f->by_request = prediction.n == 0;
    if (!f->by_request) {
        return gy_uuid_parse(prediction, f->id, err);
    }
    return copy(request, a, &f->request_id, err);
}

static gy_status row_of(yyjson_val *object, struct gy_feedback *f, struct gy_err *err)
{
    int64_t row = 0;
    if (gy_json_get(object, "row")) {
        GY_TRY(gy_json_need_i64(object, "row", &row, err));
    }
    if (row < 0 || row > INT32_MAX) {
        return gy_err_set(err, GY_E_INVALID, "'row' counts from 0");
    }
    f->row = (uint32_t)row;
    return GY_OK;
}

/* {"reason","tags"} of those that were given. */
static gy_status info_of(yyjson_val *object, struct gy_arena *a, struct gy_str *ret,
                         struct gy_err *err)
{
    struct gy_str reason;
    yyjson_val *tags = gy_json_get(object, "tags");
    GY_TRY(gy_api_text(object, "reason", GY_API_MAX_TEXT, &reason, err));
    if (tags && !yyjson_is_obj(tags) && !yyjson_is_null(tags)) {
        return gy_err_set(err, GY_E_INVALID, "'tags' must be an object");
    }
    if (!reason.p && !yyjson_is_obj(tags)) {
        *ret = GY_STR_NULL;
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, GY_FEEDBACK_MAX_INFO);
    gy_jw_init(&w, &text);
    gy_jw_obj(&w);
    if (reason.p) {
        gy_jw_kv_str(&w, "reason", reason);
    }
    if (yyjson_is_obj(tags)) {
        gy_jw_key(&w, "tags");
        gy_jw_val(&w, tags);
    }
    gy_jw_obj_end(&w);
    if (text.failed == GY_E_TOOBIG) {
        return gy_err_set(err, GY_E_INVALID, "reason and tags together are longer than %zu bytes",
                          GY_FEEDBACK_MAX_INFO);
    }
    GY_TRY(gy_buf_check(&text, "reason and tags", err));
    return copy(gy_buf_str(&text), a, ret, err);
}

gy_status gy_feedback_parse(yyjson_val *object, struct gy_str actor, struct gy_arena *a,
                            struct gy_feedback *ret, struct gy_err *err)
{
    struct gy_feedback f = {.actor = actor};
    struct gy_str source;
    struct gy_str given;
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "feedback is a JSON object");
    }
    GY_TRY(target_of(object, a, &f, err));
    GY_TRY(row_of(object, &f, err));
    GY_TRY(label_text(gy_json_get(object, "label"), a, &f.label, err));
    GY_TRY(reward_of(object, &f.reward, err));
    GY_TRY(gy_api_text(object, "source", GY_MAX_NAME, &source, err));
    GY_TRY(copy(source, a, &f.source, err));
    GY_TRY(gy_api_text(object, "given", GY_MAX_NAME, &given, err));
    if (given.n) {
        GY_TRY(gy_time_parse_iso(given, &f.given_us, err));
    }
    GY_TRY(info_of(object, a, &f.info, err));
    GY_TRY(gy_feedback_check(&f, err));
    *ret = f;
    return GY_OK;
}

/* ---- Seldon ---- */

static struct gy_str named_id(const struct gy_request *req, yyjson_val *response)
{
    yyjson_val *meta = gy_json_get(response, "meta");
    const struct gy_str places[] = {
        gy_json_str(gy_json_get(meta, "tags"), "prediction_id"),
        gy_json_str(response, "prediction_id"),
        gy_json_str(gy_json_get(response, "parameters"), "prediction_id"),
        gy_req_header(req, "Gyre-Prediction-Id"),
        gy_json_str(meta, "puid"),
        gy_req_header(req, "Seldon-Puid"),
    };
    size_t i = 0;
    while (i + 1 < sizeof places / sizeof places[0] && places[i].n == 0) {
        i++;
    }
    return places[i];
}

/* [1], [[1], [0]] or {"shape", "values"}: a value a row; jsonData the same. */
static gy_status truth_values(yyjson_val *truth, yyjson_val **ret, struct gy_err *err)
{
    yyjson_val *data = gy_json_get(truth, "data");
    yyjson_val *list = gy_json_get(data, "ndarray");
    list = list ? list : gy_json_get(gy_json_get(data, "tensor"), "values");
    list = list ? list : gy_json_get(truth, "jsonData");
    *ret = NULL;
    if (!truth || yyjson_is_null(truth) || (!data && !list)) {
        return GY_OK;
    }
    if (!yyjson_is_arr(list)) {
        return gy_err_set(err, GY_E_INVALID,
                          "'truth' needs data.ndarray, data.tensor.values or jsonData, a list");
    }
    if (yyjson_arr_size(list) > GY_FEEDBACK_MAX_ROWS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d rows of truth", GY_FEEDBACK_MAX_ROWS);
    }
    *ret = list;
    return GY_OK;
}

static size_t rows_of(yyjson_val *response)
{
    yyjson_val *data = gy_json_get(response, "data");
    yyjson_val *list = gy_json_get(data, "ndarray");
    size_t n = yyjson_arr_size(list);
    return n == 0 || n > GY_FEEDBACK_MAX_ROWS ? 1 : n;
}

static gy_status truth_label(yyjson_val *v, struct gy_arena *a, struct gy_str *ret,
                             struct gy_err *err)
{
    if (yyjson_is_arr(v)) {
        if (yyjson_arr_size(v) != 1) {
            return gy_err_set(err, GY_E_INVALID, "'truth' has one value a row: its label");
        }
        v = yyjson_arr_get_first(v);
    }
    return label_text(v, a, ret, err);
}

gy_status gy_feedback_parse_seldon(const struct gy_request *req, yyjson_val *object,
                                   struct gy_arena *a, struct gy_feedback **ret, size_t *ret_n,
                                   struct gy_str *ret_puid, struct gy_err *err)
{
    yyjson_val *response = gy_json_get(object, "response");
    struct gy_feedback one = {.actor = req->actor, .source = GY_STR("truth")};
    yyjson_val *truth = NULL;
    GY_TRY(copy(named_id(req, response), a, ret_puid, err));
    if (ret_puid->n == 0) {
        return gy_err_set(err, GY_E_INVALID,
                          "no prediction is named: response.meta.tags.prediction_id, "
                          "response.meta.puid or the header Gyre-Prediction-Id");
    }
    bool ours = gy_uuid_parse(*ret_puid, one.id, NULL) == GY_OK && one.id[6] >> 4 == 7;
    one.by_request = !ours;
    one.request_id = ours ? GY_STR_NULL : *ret_puid;
    GY_TRY(reward_of(object, &one.reward, err));
    GY_TRY(truth_values(gy_json_get(object, "truth"), &truth, err));
    /* A text alone is the label of a row. */
    yyjson_val *text = gy_json_get(gy_json_get(object, "truth"), "strData");
    size_t n = truth ? yyjson_arr_size(truth) : text ? 1 : rows_of(response);
    struct gy_feedback *list = gy_arena_calloc(a, n + 1, sizeof *list);
    if (!list) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        list[i] = one;
        list[i].row = (uint32_t)i;
        GY_TRY(truth_label(truth ? yyjson_arr_get(truth, i) : text, a, &list[i].label, err));
        GY_TRY(gy_feedback_check(&list[i], err));
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}
