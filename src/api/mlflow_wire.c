/* SPDX-License-Identifier: Apache-2.0 */
#include "api/mlflow_wire.h"

#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "store/scope.h"
#include "track/experiments.h"

#define MAX_QUERY_PAIRS 4000

/* ---- failures ---- */

static const char *code_of(gy_status status, int *ret_http)
{
    *ret_http = gy_status_http(status);
    switch ((int)status) { /* only what has a name of its own */
    case GY_E_INVALID:
    case GY_E_PARSE:
    case GY_E_USAGE:
    case GY_E_SCHEMA:
    case GY_E_MEDIATYPE:
        *ret_http = 400;
        return "INVALID_PARAMETER_VALUE";
    case GY_E_TOOBIG:
        return "INVALID_PARAMETER_VALUE";
    case GY_E_NOTFOUND:
        return "RESOURCE_DOES_NOT_EXIST";
    case GY_E_EXISTS:
        *ret_http = 400;
        return "RESOURCE_ALREADY_EXISTS";
    case GY_E_CONFLICT:
    case GY_E_VERSION:
    case GY_E_NOTSERVABLE:
        return "RESOURCE_CONFLICT";
    case GY_E_DENIED:
    case GY_E_NOTBLESSED:
        return "PERMISSION_DENIED";
    case GY_E_UNAUTHENTICATED:
        return "UNAUTHENTICATED";
    case GY_E_UNSUPPORTED:
    case GY_E_MISSINGDEP:
        return "NOT_IMPLEMENTED";
    case GY_E_METHOD:
        return "ENDPOINT_NOT_FOUND";
    case GY_E_BUSY:
    case GY_E_NOMEM:
    case GY_E_UNAVAILABLE:
        return "TEMPORARILY_UNAVAILABLE";
    case GY_E_NOSPACE:
        return "RESOURCE_EXHAUSTED";
    case GY_E_LIMITED:
        return "REQUEST_LIMIT_EXCEEDED";
    case GY_E_TIMEOUT:
        return "DEADLINE_EXCEEDED";
    case GY_E_CANCELLED:
        return "CANCELLED";
    case GY_E_CORRUPT:
        return "DATA_LOSS";
    default:
        return "INTERNAL_ERROR";
    }
}

gy_status gy_mf_send_error(struct gy_reply *reply, int status, const char *code,
                           struct gy_str message, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "error_code", code);
    gy_jw_kv_str(&w, "message", message);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, status, &out, err);
}

gy_status gy_mf_error(struct gy_request *req, struct gy_reply *reply, const struct gy_err *failed,
                      struct gy_err *err)
{
    int http = 500;
    const char *code = code_of(failed->code, &http);
    if (failed->code == GY_E_NOTFOUND && !req->params) { /* not the thing: the route */
        code = "ENDPOINT_NOT_FOUND";
    }
    return gy_mf_send_error(reply, http, code, gy_str_c(failed->msg), err);
}

/* ---- reading the request ---- */

static void query_value(struct gy_jw *w, struct gy_arena *a, struct gy_str raw)
{
    struct gy_str v = gy_url_decode(a, raw, true);
    gy_jw_str(w, v.p ? v : GY_STR(""));
}

struct query {
    struct gy_str *keys, *values;
    size_t n;
};

static gy_status split_query(struct gy_str query, struct gy_arena *a, struct query *ret,
                             struct gy_err *err)
{
    size_t max = 1;
    for (size_t i = 0; i < query.n; i++) {
        max += query.p[i] == '&';
    }
    if (max > MAX_QUERY_PAIRS) {
        return gy_err_set(err, GY_E_INVALID, "a query has at most %d parameters", MAX_QUERY_PAIRS);
    }
    ret->keys = gy_arena_calloc(a, max, sizeof(struct gy_str));
    ret->values = gy_arena_calloc(a, max, sizeof(struct gy_str));
    if (!ret->keys || !ret->values) {
        return gy_track_nomem(err);
    }
    struct gy_str rest = query, pair;
    while (gy_str_next(&rest, '&', &pair)) {
        struct gy_str key, value = GY_STR("");
        (void)gy_str_cut(pair, '=', &key, &value);
        key = gy_url_decode(a, key, true);
        if (key.n > 0) {
            ret->keys[ret->n] = key;
            ret->values[ret->n++] = value;
        }
    }
    return GY_OK;
}

/* A query as a JSON object: a key that is given once has a string, one given more often a list. */
static gy_status query_json(struct gy_str query, struct gy_arena *a, struct gy_buf *out,
                            struct gy_err *err)
{
    struct query q = {NULL, NULL, 0};
    GY_TRY(split_query(query, a, &q, err));
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    for (size_t i = 0; i < q.n; i++) {
        if (!q.keys[i].p) { /* written with an earlier one */
            continue;
        }
        size_t same = 0;
        for (size_t j = i + 1; j < q.n && same == 0; j++) {
            same = q.keys[j].p && gy_str_eq(q.keys[i], q.keys[j]) ? j : 0;
        }
        gy_jw_keys(&w, q.keys[i]);
        if (!same) {
            query_value(&w, a, q.values[i]);
            continue;
        }
        gy_jw_arr(&w);
        query_value(&w, a, q.values[i]);
        for (size_t j = same; j < q.n; j++) {
            if (q.keys[j].p && gy_str_eq(q.keys[i], q.keys[j])) {
                query_value(&w, a, q.values[j]);
                q.keys[j] = GY_STR_NULL;
            }
        }
        gy_jw_arr_end(&w);
    }
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "the query", err);
}

/* POST and PUT name their type; the other methods may send what they like. */
static gy_status check_content_type(struct gy_request *req, struct gy_err *err)
{
    if (!gy_str_eqc(req->method, "POST") && !gy_str_eqc(req->method, "PUT")) {
        return GY_OK;
    }
    struct gy_str type = gy_req_header(req, "Content-Type");
    if (!type.p) {
        return gy_err_set(err, GY_E_MEDIATYPE, "Bad Request. Content-Type header is missing.");
    }
    struct gy_str parameters;
    (void)gy_str_cut(type, ';', &type, &parameters);
    if (!gy_str_ieq(gy_str_trim(type), GY_STR("application/json"))) {
        return gy_err_set(err, GY_E_MEDIATYPE,
                          "Bad Request. Content-Type must be one of ['application/json'].");
    }
    return GY_OK;
}

/* The body as an object. What is no JSON counts as {}; a JSON string is decoded once more, since
 * old clients encode twice. */
static gy_status body_json(struct gy_request *req, yyjson_doc **ret_doc, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, GY_MAX_JSON_BODY);
    if (req->body) {
        GY_TRY(gy_req_read_body(req, &body, err));
    }
    if (body.n == 0) {
        return GY_OK;
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_json_parse(gy_buf_str(&body), &doc, &why);
    if (status == GY_OK && yyjson_is_str(yyjson_doc_get_root(doc))) {
        yyjson_doc *inner = NULL;
        status = gy_json_parse(gy_json_val_str(yyjson_doc_get_root(doc)), &inner, &why);
        gy_json_free(doc);
        doc = inner;
    }
    if (status == GY_E_PARSE) {
        return GY_OK;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    if (yyjson_is_obj(yyjson_doc_get_root(doc))) {
        *ret_doc = GY_TAKE(doc);
    }
    return GY_OK;
}

gy_status gy_mf_args(struct gy_request *req, struct gy_arena *a, yyjson_doc **ret_doc,
                     bool *ret_from_query, struct gy_err *err)
{
    GY_TRY(check_content_type(req, err));
    *ret_from_query =
        req->query.n > 0 && (gy_str_eqc(req->method, "GET") || gy_str_eqc(req->method, "HEAD"));
    if (!*ret_from_query) {
        return body_json(req, ret_doc, err);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 4 * GY_MIB);
    GY_TRY(query_json(req->query, a, &text, err));
    return gy_json_parse(gy_buf_str(&text), ret_doc, err);
}

/* ---- one operation ---- */

struct closure {
    struct gy_mf_call *call;
    const struct gy_mf_op *op;
};

static gy_status run_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct closure *x = ctx;
    gy_buf_reset(&x->call->out); /* a closure may be run again */
    gy_jw_init(&x->call->w, &x->call->out);
    return x->op->run(db, x->call, err);
}

/* What a write is about, for the audit log: the names and ids that were sent. */
static void tell_subject(const struct gy_mf_call *c)
{
    static const char *const keys[] = {"experiment_id", "run_id", "model_id", "name",    "version",
                                       "alias",         "key",    "stage",    "new_name"};
    struct gy_scope *scope = gy_scope_current();
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 64 * GY_KIB);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && scope && c->args; i++) {
        struct gy_str v = gy_json_val_str(gy_mf_get(c->args, keys[i]));
        if (v.n) {
            gy_buf_addf(&b, "%s%s=%" GY_STR_F, b.n ? " " : "", keys[i],
                        GY_STR_A(gy_str_sub(v, 0, 500)));
        }
    }
    if (scope && b.n && b.failed == GY_OK) {
        scope->subject = gy_arena_str(c->arena, gy_buf_str(&b)); /* none without memory */
    }
}

static gy_status do_call(struct gy_mf_call *c, const struct gy_mf_op *op, struct gy_reply *reply,
                         struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_mf_args(c->req, c->arena, &doc, &c->from_query, err));
    c->args = doc ? yyjson_doc_get_root(doc) : NULL;
    if (op->parse) {
        GY_TRY(op->parse(c, err));
    }
    if (op->enters) {
        GY_TRY(gy_experiments_enter(c->app->store, err));
    }
    struct closure x = {c, op};
    if (op->write) {
        tell_subject(c);
    }
    GY_TRY(op->write ? gy_store_write(c->app->store, run_closure, &x, err)
                     : gy_store_read(c->app->store, run_closure, &x, err));
    if (c->out.n == 0) {
        gy_buf_addc(&c->out, "{}");
    }
    GY_TRY(gy_buf_check(&c->out, "the answer", err));
    return gy_reply_json(reply, 200, &c->out, err);
}

gy_status gy_mf_handle(struct gy_app *app, struct gy_request *req, struct gy_reply *reply,
                       const struct gy_mf_op *op, struct gy_err *err)
{
    struct gy_mf_call c = {.app = app, .req = req, .arena = req->arena};
    gy_buf_init(&c.out, GY_MAX_REPLY);
    gy_status status = do_call(&c, op, reply, err);
    gy_buf_done(&c.out);
    return status;
}

/* ---- parameters ---- */

yyjson_val *gy_mf_get(yyjson_val *obj, const char *name)
{
    yyjson_val *v = yyjson_obj_get(obj, name);
    if (!v && strchr(name, '_')) {
        char camel[64];
        size_t n = 0;
        for (const char *p = name; *p && n + 1 < sizeof camel; p++) {
            if (*p == '_' && p[1] >= 'a' && p[1] <= 'z') {
                camel[n++] = (char)(*++p - 32);
            } else {
                camel[n++] = *p;
            }
        }
        camel[n] = '\0';
        v = yyjson_obj_get(obj, camel);
    }
    return yyjson_is_null(v) ? NULL : v;
}

gy_status gy_mf_missing(const char *prefix, const char *name, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID,
                      "Missing value for required parameter '%s%s%s'. See the API docs for more "
                      "information about request parameters.",
                      prefix ? prefix : "", prefix ? "." : "", name);
}

static const char *python_type(yyjson_val *v)
{
    return yyjson_is_str(v)    ? "str"
           : yyjson_is_bool(v) ? "bool"
           : yyjson_is_int(v)  ? "int"
           : yyjson_is_real(v) ? "float"
           : yyjson_is_arr(v)  ? "list"
           : yyjson_is_obj(v)  ? "dict"
                               : "NoneType";
}

static gy_status bad_value(yyjson_val *v, const char *prefix, const char *name, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &text);
    gy_jw_val(&w, v);
    return gy_err_set(err, GY_E_INVALID,
                      "Invalid value %.200s for parameter '%s%s%s' supplied. Hint: Value was of "
                      "type '%s'. See the API docs for more information about request parameters.",
                      text.failed == GY_OK ? text.p : "...", prefix ? prefix : "",
                      prefix ? "." : "", name, python_type(v));
}

/* Of a list (a query key given twice where one value is wanted) the last counts. */
static yyjson_val *last_of(yyjson_val *v)
{
    return yyjson_is_arr(v) && yyjson_arr_size(v) > 0 && yyjson_is_str(yyjson_arr_get_last(v))
               ? yyjson_arr_get_last(v)
               : v;
}

gy_status gy_mf_str(yyjson_val *obj, const char *prefix, const char *name, enum gy_mf_need need,
                    struct gy_str *ret, struct gy_err *err)
{
    yyjson_val *v = gy_mf_get(obj, name);
    *ret = GY_STR_NULL;
    if (!v) {
        return need == GY_MF_REQUIRED ? gy_mf_missing(prefix, name, err) : GY_OK;
    }
    if (!yyjson_is_str(v)) {
        return bad_value(v, prefix, name, err);
    }
    *ret = gy_json_val_str(v);
    return need == GY_MF_REQUIRED && ret->n == 0 ? gy_mf_missing(prefix, name, err) : GY_OK;
}

/* Whole numbers also as "12", 12.0 and "1e+12". */
static bool as_i64(yyjson_val *v, int64_t *ret)
{
    double d = 0;
    if (yyjson_is_str(v)) {
        struct gy_str s = gy_json_val_str(v);
        if (gy_parse_i64(s, INT64_MIN, INT64_MAX, ret, NULL) == GY_OK) {
            return true;
        }
        if (gy_parse_f64(s, &d, NULL) != GY_OK) {
            return false;
        }
    } else if (yyjson_is_sint(v)) {
        *ret = yyjson_get_sint(v);
        return true;
    } else if (yyjson_is_uint(v)) {
        *ret = (int64_t)yyjson_get_uint(v);
        return yyjson_get_uint(v) <= INT64_MAX;
    } else if (yyjson_is_real(v)) {
        d = yyjson_get_real(v);
    } else {
        return false;
    }
    if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0) || d != floor(d)) {
        return false;
    }
    *ret = (int64_t)d;
    return true;
}

gy_status gy_mf_i64(yyjson_val *obj, const char *prefix, const char *name, enum gy_mf_need need,
                    int64_t absent, int64_t *ret, struct gy_err *err)
{
    yyjson_val *v = last_of(gy_mf_get(obj, name));
    *ret = absent;
    if (!v) {
        return need == GY_MF_REQUIRED ? gy_mf_missing(prefix, name, err) : GY_OK;
    }
    return as_i64(v, ret) ? GY_OK : bad_value(v, prefix, name, err);
}

gy_status gy_mf_f64(yyjson_val *obj, const char *prefix, const char *name, enum gy_mf_need need,
                    double *ret, struct gy_err *err)
{
    yyjson_val *v = last_of(gy_mf_get(obj, name));
    *ret = 0;
    if (!v) {
        return need == GY_MF_REQUIRED ? gy_mf_missing(prefix, name, err) : GY_OK;
    }
    if (yyjson_is_num(v)) {
        *ret = yyjson_get_num(v);
        return GY_OK;
    }
    struct gy_str s = gy_json_val_str(v);
    if (gy_str_eqc(s, "NaN")) {
        *ret = NAN;
    } else if (gy_str_eqc(s, "Infinity")) {
        *ret = INFINITY;
    } else if (gy_str_eqc(s, "-Infinity")) {
        *ret = -INFINITY;
    } else if (!s.p || gy_parse_f64(s, ret, NULL) != GY_OK) {
        return bad_value(v, prefix, name, err);
    }
    return GY_OK;
}

gy_status gy_mf_bool(yyjson_val *obj, const char *name, bool absent, bool *ret, struct gy_err *err)
{
    yyjson_val *v = last_of(gy_mf_get(obj, name));
    *ret = absent;
    if (!v) {
        return GY_OK;
    }
    struct gy_str s = gy_json_val_str(v);
    if (yyjson_is_bool(v)) {
        *ret = yyjson_get_bool(v);
    } else if (gy_str_ieq(s, GY_STR("true")) || gy_str_ieq(s, GY_STR("false"))) {
        *ret = s.n == 4;
    } else if (s.p) {
        return gy_err_set(err, GY_E_INVALID, "Invalid boolean value: %" GY_STR_F,
                          GY_STR_A(gy_str_sub(s, 0, 100)));
    } else {
        return bad_value(v, NULL, name, err);
    }
    return GY_OK;
}

gy_status gy_mf_list(struct gy_mf_call *c, yyjson_val *obj, const char *name, size_t max,
                     struct gy_mf_list *ret, struct gy_err *err)
{
    *ret = (struct gy_mf_list){NULL, NULL, 0};
    yyjson_val *v = gy_mf_get(obj, name);
    if (!v) {
        return GY_OK;
    }
    if (c->from_query && yyjson_is_str(v)) {
        *ret = (struct gy_mf_list){NULL, v, 1};
        return GY_OK;
    }
    if (!yyjson_is_arr(v)) {
        return bad_value(v, NULL, name, err);
    }
    if (yyjson_arr_size(v) > max) {
        return gy_err_set(err, GY_E_INVALID, "'%s' has at most %zu items, got %zu", name, max,
                          yyjson_arr_size(v));
    }
    *ret = (struct gy_mf_list){v, NULL, yyjson_arr_size(v)};
    return GY_OK;
}

/* Walking by index is linear in yyjson for lists of mixed sizes; callers here walk short lists or
 * use the iterator. */
yyjson_val *gy_mf_item(const struct gy_mf_list *l, size_t i)
{
    return l->one ? l->one : yyjson_arr_get(l->arr, i);
}

gy_status gy_mf_strs(struct gy_mf_call *c, const char *name, size_t max, struct gy_str **ret,
                     size_t *ret_n, struct gy_err *err)
{
    struct gy_mf_list l;
    *ret = NULL;
    *ret_n = 0;
    GY_TRY(gy_mf_list(c, c->args, name, max, &l, err));
    if (l.n == 0) {
        return GY_OK;
    }
    struct gy_str *items = gy_arena_calloc(c->arena, l.n, sizeof *items);
    if (!items) {
        return gy_track_nomem(err);
    }
    if (l.one) {
        items[0] = gy_json_val_str(l.one);
    } else {
        size_t i, n;
        yyjson_val *v;
        yyjson_arr_foreach(l.arr, i, n, v)
        {
            if (!yyjson_is_str(v)) {
                char at[96];
                snprintf(at, sizeof at, "%s[%zu]", name, i);
                return bad_value(v, NULL, at, err);
            }
            items[i] = gy_json_val_str(v);
        }
    }
    *ret = items;
    *ret_n = l.n;
    return GY_OK;
}

gy_status gy_mf_tags(struct gy_mf_call *c, yyjson_val *obj, const char *name, size_t max,
                     struct gy_tag **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_mf_list l;
    *ret = NULL;
    *ret_n = 0;
    GY_TRY(gy_mf_list(c, obj, name, max, &l, err));
    if (l.n == 0) {
        return GY_OK;
    }
    struct gy_tag *tags = gy_arena_calloc(c->arena, l.n, sizeof *tags);
    if (!tags) {
        return gy_track_nomem(err);
    }
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(l.arr, i, n, v)
    {
        char path[96];
        snprintf(path, sizeof path, "%s[%zu]", name, i);
        if (!yyjson_is_obj(v)) {
            return bad_value(v, NULL, path, err);
        }
        GY_TRY(gy_mf_str(v, path, "key", GY_MF_REQUIRED, &tags[i].key, err));
        GY_TRY(gy_mf_str(v, path, "value", GY_MF_OPTIONAL, &tags[i].value, err));
    }
    *ret = tags;
    *ret_n = l.n;
    return GY_OK;
}

gy_status gy_mf_max_results(struct gy_mf_call *c, int64_t absent, int64_t max, int64_t *ret,
                            struct gy_err *err)
{
    GY_TRY(gy_mf_i64(c->args, NULL, "max_results", GY_MF_OPTIONAL, absent, ret, err));
    if (*ret < 1 || *ret > max) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid value %lld for parameter 'max_results' supplied. It must be a "
                          "positive integer of at most %lld.",
                          (long long)*ret, (long long)max);
    }
    return GY_OK;
}

gy_status gy_mf_enum(yyjson_val *obj, const char *name, const char *const *names, size_t n,
                     int64_t *ret, struct gy_err *err)
{
    yyjson_val *v = last_of(gy_mf_get(obj, name));
    if (!v) {
        return GY_OK;
    }
    int64_t number = 0;
    if (as_i64(v, &number) && number >= 1 && number <= (int64_t)n) {
        *ret = number;
        return GY_OK;
    }
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eqc(gy_json_val_str(v), names[i])) {
            *ret = (int64_t)i + 1;
            return GY_OK;
        }
    }
    return bad_value(v, NULL, name, err);
}

gy_status gy_mf_view(struct gy_mf_call *c, const char *name, enum gy_view *ret, struct gy_err *err)
{
    static const char *const names[] = {"ACTIVE_ONLY", "DELETED_ONLY", "ALL"};
    int64_t n = 1;
    GY_TRY(gy_mf_enum(c->args, name, names, 3, &n, err));
    *ret = n == 1 ? GY_VIEW_ACTIVE : n == 2 ? GY_VIEW_DELETED : GY_VIEW_ALL;
    return GY_OK;
}

/* ---- answers ---- */

void gy_mf_kv(struct gy_jw *w, const char *key, struct gy_str v)
{
    if (v.p) {
        gy_jw_kv_str(w, key, v);
    }
}

void gy_mf_tags_out(struct gy_jw *w, const char *key, const struct gy_tag *tags, size_t n)
{
    if (n == 0) {
        return;
    }
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "key", tags[i].key);
        gy_jw_kv_str(w, "value", tags[i].value);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}
