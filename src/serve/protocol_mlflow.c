/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow's scoring protocol, as `mlflow models serve` speaks it:
 *   POST /invocations, or /endpoints/{name}/invocations where one is to be named
 * {"dataframe_split"}, {"dataframe_records"}, {"instances"} or {"inputs"}, or a CSV. The answer is
 * {"predictions": [...]}. Errors are MLflow's, without the stack traces and without the data, which
 * it repeats. */
#include "serve/answer_plain.h"
#include "serve/csv_rows.h"
#include "serve/json_rows.h"
#include "serve/protocol.h"

#define PATH "/invocations"
#define FORMATS "{'dataframe_split', 'dataframe_records', 'instances', 'inputs'}"
#define ONE_OF "The input must be a JSON dictionary with exactly one of the input fields " FORMATS

static bool claims(struct gy_str path, struct gy_ask *ret)
{
    static const char *const prefixes[] = {"/endpoints/", "/serving-endpoints/"};
    if (gy_str_eqc(path, PATH)) {
        return true;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        struct gy_str prefix = gy_str_c(prefixes[i]);
        if (gy_str_starts(path, prefix) && gy_str_ends(path, GY_STR(PATH)) &&
            path.n > prefix.n + sizeof PATH - 1) {
            ret->endpoint = gy_str_n(path.p + prefix.n, path.n - prefix.n - (sizeof PATH - 1));
            return gy_str_find(ret->endpoint, '/') == SIZE_MAX;
        }
    }
    return false;
}

/* ---- what kind of body ---- */

static gy_status check_parameters(struct gy_str rest, struct gy_err *err)
{
    struct gy_str one, key, value;
    while (gy_str_next(&rest, ';', &one)) {
        (void)gy_str_cut(gy_str_trim(one), '=', &key, &value);
        if (!gy_str_eqc(key, "charset")) {
            return gy_err_set(err, GY_E_MEDIATYPE, "Unrecognized content type parameters: %.*s.",
                              (int)(key.n < 100 ? key.n : 100), key.p ? key.p : "");
        }
        if (!gy_str_ieq(value, GY_STR("utf-8"))) {
            return gy_err_set(err, GY_E_MEDIATYPE, "The scoring server only supports UTF-8");
        }
    }
    return GY_OK;
}

static gy_status body_kind(const struct gy_request *req, bool *ret_csv, struct gy_err *err)
{
    struct gy_str type = gy_req_header(req, "Content-Type");
    struct gy_str kind, rest;
    (void)gy_str_cut(type, ';', &kind, &rest);
    GY_TRY(check_parameters(rest, err));
    kind = gy_str_trim(kind);
    *ret_csv = gy_str_eqc(kind, "text/csv");
    if (*ret_csv || gy_str_eqc(kind, "application/json")) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_MEDIATYPE,
                      "This predictor only supports the following content types: Types: "
                      "['text/csv', 'application/json']. Got '%.*s'.",
                      (int)(type.n < 100 ? type.n : 100), type.p ? type.p : "");
}

/* ---- JSON ---- */

static const char *python_type(yyjson_val *v)
{
    return yyjson_is_str(v)    ? "<class 'str'>"
           : yyjson_is_bool(v) ? "<class 'bool'>"
           : yyjson_is_real(v) ? "<class 'float'>"
           : yyjson_is_num(v)  ? "<class 'int'>"
           : yyjson_is_arr(v)  ? "<class 'list'>"
           : yyjson_is_obj(v)  ? "<class 'dict'>"
                               : "<class 'NoneType'>";
}

static gy_status read_split(const struct gy_json_rows *r, yyjson_val *v, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *key, *one;
    bool known = true;
    if (!yyjson_is_obj(v)) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid input. Dataframe split format must be a dictionary. Got %s%s.",
                          yyjson_is_arr(v) ? "list" : "type ",
                          yyjson_is_arr(v) ? "" : python_type(v));
    }
    yyjson_obj_foreach(v, i, n, key, one)
    {
        struct gy_str name = gy_json_val_str(key);
        known = known && (gy_str_eqc(name, "columns") || gy_str_eqc(name, "data") ||
                          gy_str_eqc(name, "index"));
    }
    if (!known || !gy_json_get(v, "data")) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid input. Dataframe split format must have 'data' field and "
                          "optionally 'columns' and 'index' fields.");
    }
    return gy_json_rows_split(r, gy_json_get(v, "columns"), gy_json_get(v, "data"), err);
}

static gy_status read_records(const struct gy_json_rows *r, yyjson_val *v, struct gy_err *err)
{
    if (!yyjson_is_arr(v)) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid input. Dataframe records format must be a list of records. Got "
                          "%s%s.",
                          yyjson_is_obj(v) ? "dictionary" : "type ",
                          yyjson_is_obj(v) ? "" : python_type(v));
    }
    return gy_json_rows_list(r, v, err);
}

/* One value for a model of one input; a list of rows; an object of columns. */
static gy_status read_inputs(const struct gy_json_rows *r, yyjson_val *v, struct gy_err *err)
{
    if (yyjson_is_obj(v)) {
        return gy_json_rows_columns(r, v, err);
    }
    return gy_json_rows_list(r, v, err);
}

static gy_status read_json(struct gy_json_rows *r, yyjson_val *root, struct gy_err *err)
{
    static const char *const names[] = {"dataframe_split", "dataframe_records", "instances",
                                        "inputs"};
    yyjson_val *got = NULL;
    size_t which = 0;
    size_t n_got = 0;
    for (size_t i = 0; i < 4; i++) {
        yyjson_val *v = gy_json_get(root, names[i]);
        if (v) {
            got = v;
            which = i;
            n_got++;
        }
    }
    if (n_got != 1) {
        return gy_err_set(err, GY_E_INVALID, ONE_OF ". Received dictionary with %zu of them.",
                          n_got);
    }
    r->what = names[which];
    switch (which) {
    case 0:
        return read_split(r, got, err);
    case 1:
        return read_records(r, got, err);
    default:
        return read_inputs(r, got, err);
    }
}

/* What has no dictionary in it, as MLflow says it. */
static gy_status parse(struct gy_infer_request *q, struct gy_str body, yyjson_doc **ret,
                       struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_status st = gy_json_rows_parse(q, body, &doc, err);
    if (st == GY_E_PARSE) {
        return gy_err_wrap(err,
                           "Invalid input. Ensure that input is a valid JSON formatted string. "
                           "Error");
    }
    if (st == GY_E_INVALID) {
        return gy_err_set(err, GY_E_INVALID, "Invalid input. " ONE_OF ". Received no dictionary.");
    }
    GY_TRY(st);
    *ret = GY_TAKE(doc);
    return GY_OK;
}

/* What the body lacks is the signature's business, other faults are the data's. */
static gy_status explain_failure(gy_status st, bool csv, struct gy_err *err)
{
    if ((st != GY_E_INVALID && st != GY_E_PARSE) || !err) {
        return st;
    }
    if (gy_str_starts(gy_str_c(err->msg), GY_STR("Model is missing inputs"))) {
        err->code = GY_E_SCHEMA;
        return gy_err_wrap(err,
                           "Failed to predict data. \nError: Failed to enforce schema of data. "
                           "Error");
    }
    if (csv && st == GY_E_PARSE) {
        return gy_err_wrap(err,
                           "Failed to parse input as a Pandas DataFrame. Ensure that the input is "
                           "a valid CSV-formatted Pandas DataFrame produced using the "
                           "`pandas.DataFrame.to_csv()` method. Error");
    }
    if (gy_str_starts(gy_str_c(err->msg), GY_STR("Invalid input.")) ||
        gy_str_starts(gy_str_c(err->msg), GY_STR(ONE_OF))) {
        return st;
    }
    return gy_err_wrap(err, "Invalid input. Data is not compatible with model signature. Error");
}

static gy_status read_mlflow(const struct gy_ask *ask, const struct gy_request *req,
                             const struct gy_endpoint *stable, struct gy_str body,
                             struct gy_infer_request *q, struct gy_err *err)
{
    (void)ask;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    bool csv = false;
    struct gy_json_rows r = {
        .shape = &stable->shape, .q = q, .what = "csv", .body_bytes = body.n, .as_mlflow = true};
    GY_TRY(gy_plain_check(stable, err));
    GY_TRY(body_kind(req, &csv, err));
    if (csv) {
        gy_json_rows_reset(q);
        return explain_failure(gy_csv_rows(&r, body, err), true, err);
    }
    GY_TRY(parse(q, body, &doc, err));
    return explain_failure(read_json(&r, yyjson_doc_get_root(doc), err), false, err);
}

/* ---- answering ---- */

static void answer(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out)
{
    (void)ask;
    (void)prediction_id;
    out->status = 200;
    out->content_type = "application/json";
    gy_buf_add(out->body, GY_STR("{\"predictions\":"));
    gy_plain_predictions(e, w, out->body);
    gy_buf_add(out->body, GY_STR("}"));
}

static const char *error_code(const struct gy_err *failed)
{
    switch (gy_status_http(failed->code)) {
    case 400:
    case 413:
        return "BAD_REQUEST";
    case 401:
        return "UNAUTHENTICATED";
    case 403:
        return "PERMISSION_DENIED";
    case 404:
        return "RESOURCE_DOES_NOT_EXIST";
    case 405:
        return "BAD_REQUEST";
    case 422:
        return "INVALID_PARAMETER_VALUE";
    case 429:
        return "REQUEST_LIMIT_EXCEEDED";
    case 501:
        return "NOT_IMPLEMENTED";
    case 503:
        return "TEMPORARILY_UNAVAILABLE";
    case 504:
        return "DEADLINE_EXCEEDED";
    default:
        return "INTERNAL_ERROR";
    }
}

static void fail(const struct gy_ask *ask, const struct gy_err *failed, struct gy_fast_reply *out)
{
    struct gy_jw w;
    (void)ask;
    out->status = failed->code == GY_E_SCHEMA ? 400 : gy_infer_http(failed->code);
    if (failed->code == GY_E_MEDIATYPE) {
        out->content_type = "text/plain; charset=utf-8";
        gy_buf_addc(out->body, failed->msg);
        return;
    }
    out->content_type = "application/json";
    gy_jw_init(&w, out->body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "error_code", error_code(failed));
    gy_jw_kv_strc(&w, "message", failed->msg);
    if (failed->code == GY_E_SCHEMA) {
        gy_jw_kv_strc(&w, "error_class", "SCHEMA_ENFORCEMENT_FAILED");
    }
    gy_jw_obj_end(&w);
}

const struct gy_protocol gy_protocol_mlflow = {
    .ops_version = 1,
    .name = "mlflow",
    .claims = claims,
    .read = read_mlflow,
    .answer = answer,
    .fail = fail,
};
