/* SPDX-License-Identifier: Apache-2.0 */
/* Seldon's protocol, the v1 line:
 *   POST /api/v1.0/predictions (and v0.1), /seldon/{namespace}/{name}/api/v1.0/predictions
 * A SeldonMessage with data.ndarray, data.tensor, jsonData, strData (one text) or binData (one
 * image). The answer has the same kind; data holds a column for each class, named as it, with its
 * probability, and where a rule decided, certainty, so that the greatest is what was answered
 * unless a threshold says otherwise: the labels themselves stand in meta.tags.predictions.
 * meta.routing says which variant served, so that a reward finds whom it is due. */
#include "serve/seldon.h"

#include <stdio.h>

#include "serve/answer_plain.h"
#include "serve/json_rows.h"
#include "serve/protocol.h"

#define ADD(out, literal) gy_buf_add((out), GY_STR(literal))

/* What came and goes out, in q->asked. */
enum kind { KIND_NDARRAY, KIND_TENSOR, KIND_JSON, KIND_STR };

static bool is_predictions(struct gy_str path)
{
    return gy_str_eqc(path, "/api/v1.0/predictions") || gy_str_eqc(path, "/api/v0.1/predictions");
}

static bool claims(struct gy_str path, struct gy_ask *ret)
{
    static const struct gy_str ingress = {"/seldon/", 8};
    struct gy_str space, rest;
    if (is_predictions(path)) {
        return true;
    }
    if (!gy_str_starts(path, ingress) ||
        !gy_str_cut(gy_str_sub(path, ingress.n, SIZE_MAX), '/', &space, &rest)) {
        return false;
    }
    size_t slash = gy_str_find(rest, '/');
    if (space.n == 0 || slash == SIZE_MAX || slash == 0 ||
        !is_predictions(gy_str_sub(rest, slash, SIZE_MAX))) {
        return false;
    }
    ret->endpoint = gy_str_n(rest.p, slash);
    return true;
}

/* "name", "name.pipeline" or "name.experiment" */
static struct gy_str model_of(struct gy_str header)
{
    static const struct gy_str kinds[] = {{".pipeline", 9}, {".experiment", 11}};
    struct gy_str name = gy_str_trim(header);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (gy_str_ends(name, kinds[i])) {
            name.n -= kinds[i].n;
            break;
        }
    }
    return name;
}

static gy_status locate(struct gy_ask *ask, const struct gy_request *req, struct gy_str body,
                        struct gy_err *err)
{
    (void)body;
    (void)err;
    struct gy_str model = model_of(gy_req_header(req, "Seldon-Model"));
    struct gy_str route = gy_str_trim(gy_req_header(req, "x-seldon-route"));
    if (!ask->endpoint.p && model.n) {
        ask->endpoint = model;
    }
    if (route.n > 2 && route.p[0] == ':' && route.p[route.n - 1] == ':') {
        ask->version = gy_str_n(route.p + 1, route.n - 2);
        ask->sticky = true;
    }
    return GY_OK;
}

/* ---- reading ---- */

static gy_status keep_puid(const struct gy_request *req, yyjson_val *body,
                           struct gy_infer_request *q, struct gy_err *err)
{
    struct gy_str puid = gy_json_str(gy_json_get(body, "meta"), "puid");
    puid = puid.n ? puid : gy_req_header(req, "Seldon-Puid");
    if (puid.n > GY_INFER_MAX_ID || (puid.n && memchr(puid.p, '\0', puid.n))) {
        return gy_err_set(err, GY_E_INVALID, "meta.puid may have at most %d bytes",
                          GY_INFER_MAX_ID);
    }
    memcpy(q->id, puid.n ? puid.p : "", puid.n);
    q->id[puid.n] = '\0';
    q->id_bytes = puid.n;
    return GY_OK;
}

static gy_status read_tensor(const struct gy_json_rows *r, yyjson_val *names, yyjson_val *tensor,
                             struct gy_err *err)
{
    yyjson_val *shape = gy_json_get(tensor, "shape");
    size_t dims[2] = {0, 1};
    size_t n = yyjson_arr_size(shape);
    if (!yyjson_is_arr(shape) || n < 1 || n > 2) {
        return gy_err_set(err, GY_E_INVALID, "tensor.shape must be [rows, columns]");
    }
    for (size_t i = 0; i < n; i++) {
        yyjson_val *d = yyjson_arr_get(shape, i);
        if (!yyjson_is_uint(d) || yyjson_get_uint(d) == 0 || yyjson_get_uint(d) > 9999999) {
            return gy_err_set(err, GY_E_INVALID, "tensor.shape must be whole numbers over 0");
        }
        dims[i] = (size_t)yyjson_get_uint(d);
    }
    if (n == 1 && r->shape->n_inputs > 1) { /* one row */
        dims[1] = dims[0];
        dims[0] = 1;
    }
    return gy_json_rows_flat(r, names, gy_json_get(tensor, "values"), dims[0], dims[1], err);
}

static gy_status read_data(struct gy_json_rows *r, yyjson_val *data, struct gy_infer_request *q,
                           struct gy_err *err)
{
    yyjson_val *names = gy_json_get(data, "names");
    yyjson_val *rows = gy_json_get(data, "ndarray");
    yyjson_val *tensor = gy_json_get(data, "tensor");
    if (gy_json_get(data, "tftensor")) {
        return gy_err_set(err, GY_E_UNSUPPORTED,
                          "data.tftensor is not taken: send data.tensor or data.ndarray");
    }
    if (!rows == !tensor) {
        return gy_err_set(err, GY_E_INVALID, "'data' needs one of 'ndarray' and 'tensor'");
    }
    if (tensor) {
        q->asked = KIND_TENSOR;
        r->what = "data.tensor";
        return read_tensor(r, names, tensor, err);
    }
    q->asked = KIND_NDARRAY;
    r->what = "data.ndarray";
    return yyjson_arr_size(names) ? gy_json_rows_split(r, names, rows, err)
                                  : gy_json_rows_list(r, rows, err);
}

/* A model of one text or one image: the value itself. */
static gy_status read_single(const struct gy_json_rows *r, yyjson_val *v, bool text,
                             struct gy_err *err)
{
    const struct gy_infer_field *f = &r->shape->fields[0];
    bool fits = r->shape->n_inputs == 1 && f->input && yyjson_is_str(v) &&
                (f->input->kind == GY_INPUT_IMAGE) == !text;
    if (!fits) {
        return gy_err_set(err, GY_E_INVALID,
                          text ? "strData is for models of one text: send data.ndarray"
                               : "binData is for models of one image: send data.ndarray");
    }
    struct gy_json_rows_map map;
    map.n = 0;
    GY_TRY(gy_json_rows_name(r, &map, f->name, err));
    GY_TRY(gy_json_rows_begin(r, &map, 1, err));
    return gy_json_rows_text(r, 0, 0, gy_json_val_str(v), err);
}

static gy_status read_seldon(const struct gy_ask *ask, const struct gy_request *req,
                             const struct gy_endpoint *stable, struct gy_str body,
                             struct gy_infer_request *q, struct gy_err *err)
{
    (void)ask;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_plain_check(stable, err));
    GY_TRY(gy_json_rows_parse(q, body, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gy_json_rows r = {.shape = &stable->shape, .q = q, .body_bytes = body.n};
    yyjson_val *json = gy_json_get(root, "jsonData");
    yyjson_val *v;
    GY_TRY(keep_puid(req, root, q, err));
    if ((v = gy_json_get(root, "data")) != NULL) {
        return read_data(&r, v, q, err);
    }
    if (json) {
        q->asked = KIND_JSON;
        r.what = "jsonData";
        return yyjson_is_obj(json) ? gy_json_rows_columns(&r, json, err)
                                   : gy_json_rows_list(&r, json, err);
    }
    if ((v = gy_json_get(root, "strData")) != NULL) {
        q->asked = KIND_STR;
        r.what = "strData";
        return read_single(&r, v, true, err);
    }
    if ((v = gy_json_get(root, "binData")) != NULL) {
        q->asked = KIND_NDARRAY;
        r.what = "binData";
        return read_single(&r, v, false, err);
    }
    return gy_err_set(err, GY_E_INVALID,
                      "the message has none of 'data', 'jsonData', 'strData' and 'binData'");
}

/* ---- answering ---- */

static void add_names(const struct gy_endpoint *e, struct gy_buf *out)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_arr(&w);
    if (e->info->task == GY_TASK_REGRESSION) {
        gy_jw_str(&w, e->info->target);
    }
    for (size_t k = 0; k < e->info->n_classes; k++) {
        gy_jw_str(&w, e->info->classes[k]);
    }
    gy_jw_arr_end(&w);
}

/* The values of a row: a column a class, or the value of a regression. */
static void add_values(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                       struct gy_buf *out)
{
    if (e->info->task == GY_TASK_REGRESSION) {
        gy_plain_prediction(e, w, row, out);
        return;
    }
    for (size_t k = 0; k < e->info->n_classes; k++) {
        if (k) {
            gy_buf_add_char(out, ',');
        }
        gy_plain_number(gy_plain_certainty(e, w, row, k), out);
    }
}

static void add_rows(const struct gy_endpoint *e, const struct gy_infer_work *w, bool nested,
                     struct gy_buf *out)
{
    gy_buf_add_char(out, '[');
    for (size_t i = 0; i < w->q.n_rows; i++) {
        if (i) {
            gy_buf_add_char(out, ',');
        }
        if (nested) {
            gy_buf_add_char(out, '[');
        }
        add_values(e, w, i, out);
        if (nested) {
            gy_buf_add_char(out, ']');
        }
    }
    gy_buf_add_char(out, ']');
}

static void add_payload(const struct gy_endpoint *e, const struct gy_infer_work *w,
                        struct gy_buf *out)
{
    bool regression = e->info->task == GY_TASK_REGRESSION;
    struct gy_jw text;
    switch ((enum kind)w->q.asked) {
    case KIND_NDARRAY:
        ADD(out, "\"data\":{\"names\":");
        add_names(e, out);
        ADD(out, ",\"ndarray\":");
        add_rows(e, w, true, out);
        ADD(out, "}");
        return;
    case KIND_TENSOR:
        ADD(out, "\"data\":{\"names\":");
        add_names(e, out);
        gy_buf_addf(out, ",\"tensor\":{\"shape\":[%zu,%zu],\"values\":", w->q.n_rows,
                    regression ? (size_t)1 : e->info->n_classes);
        add_rows(e, w, false, out);
        ADD(out, "}}");
        return;
    case KIND_JSON:
        ADD(out, "\"jsonData\":{\"names\":");
        add_names(e, out);
        ADD(out, ",\"predictions\":");
        gy_plain_predictions(e, w, out);
        if (!regression) {
            ADD(out, ",\"probabilities\":");
            add_rows(e, w, true, out);
        }
        ADD(out, "}");
        return;
    case KIND_STR:
        ADD(out, "\"strData\":");
        if (regression || e->numeric_classes) {
            gy_buf_add_char(out, '"');
            gy_plain_prediction(e, w, 0, out);
            gy_buf_add_char(out, '"');
        } else {
            gy_jw_init(&text, out);
            gy_jw_str(&text, e->info->classes[(size_t)w->classes[0]]);
        }
    }
}

static void add_rules(const struct gy_endpoint *e, const struct gy_infer_work *w,
                      struct gy_buf *out)
{
    ADD(out, ",\"rules\":[");
    for (size_t i = 0; i < w->q.n_rows; i++) {
        if (i) {
            gy_buf_add_char(out, ',');
        }
        if (w->rules[i].rule >= 0) {
            gy_buf_add(out, e->plans[w->rules[i].rule].name_json);
        } else {
            ADD(out, "\"\"");
        }
    }
    ADD(out, "]");
}

static void add_meta(const struct gy_endpoint *e, const struct gy_infer_work *w, struct gy_str puid,
                     const char *prediction_id, struct gy_buf *out)
{
    struct gy_jw text;
    ADD(out, "\"meta\":{\"puid\":");
    gy_jw_init(&text, out);
    gy_jw_str(&text, puid);
    gy_buf_addf(out,
                ",\"tags\":{\"prediction_id\":\"%s\",\"model_version\":\"%" GY_STR_F
                "\",\"revision\":%u,\"variant\":\"%s\",\"predictions\":",
                prediction_id, GY_STR_A(e->version), e->revision, gy_variant_role_name(e->role));
    gy_plain_predictions(e, w, out);
    if (e->n_rules) {
        add_rules(e, w, out);
    }
    gy_buf_addf(out, "},\"routing\":{\"%" GY_STR_F "\":%d},\"requestPath\":{\"%" GY_STR_F "\":",
                GY_STR_A(e->name), (int)e->role, GY_STR_A(e->name));
    gy_jw_init(&text, out);
    gy_jw_strf(&text, "models:/%" GY_STR_F "/%" GY_STR_F, GY_STR_A(e->model_name),
               GY_STR_A(e->version));
    ADD(out, "},\"metrics\":[]}");
}

/* A puid from a body may hold what no header may. */
static bool fits_header(struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] > 0x7e) {
            return false;
        }
    }
    return s.n > 0;
}

static void answer(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out)
{
    (void)ask;
    struct gy_str puid =
        w->q.id_bytes ? gy_str_n(w->q.id, w->q.id_bytes) : gy_str_n(prediction_id, 36);
    size_t at = strlen(out->extra_headers);
    char *to = out->extra_headers + at;
    size_t room = sizeof out->extra_headers - at;
    int n = snprintf(to, room, "x-seldon-route: :%" GY_STR_F ":\r\n", GY_STR_A(e->version));
    if (fits_header(puid)) {
        (void)snprintf(to + n, room - (size_t)n, "Seldon-Puid: %" GY_STR_F "\r\n", GY_STR_A(puid));
    }
    out->status = 200;
    out->content_type = "application/json";
    gy_buf_add_char(out->body, '{');
    add_payload(e, w, out->body);
    gy_buf_add_char(out->body, ',');
    add_meta(e, w, puid, prediction_id, out->body);
    ADD(out->body, ",\"status\":{\"code\":200,\"status\":\"SUCCESS\"}}");
}

void gy_seldon_failure(const struct gy_err *failed, struct gy_buf *out)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "status");
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "code", -1);
    gy_jw_kv_strc(&w, "info", failed->msg);
    gy_jw_kv_strc(&w, "reason",
                  gy_status_http(failed->code) < 500 ? "MICROSERVICE_BAD_DATA"
                                                     : "MICROSERVICE_INTERNAL_ERROR");
    gy_jw_kv_strc(&w, "status", "FAILURE");
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
}

static void fail(const struct gy_ask *ask, const struct gy_err *failed, struct gy_fast_reply *out)
{
    (void)ask;
    out->status = gy_infer_http(failed->code);
    out->content_type = "application/json";
    gy_seldon_failure(failed, out->body);
}

const struct gy_protocol gy_protocol_seldon = {
    .ops_version = 1,
    .name = "seldon",
    .claims = claims,
    .locate = locate,
    .read = read_seldon,
    .answer = answer,
    .fail = fail,
};
