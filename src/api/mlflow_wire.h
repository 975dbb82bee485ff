/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow's wire conventions, for the mlflow*.c files of this room only: one operation is a parse
 * function (needs no store), then a run function inside a store closure that writes the answer.
 * Parameters come from a JSON body or from the query, in snake_case or lowerCamelCase; null is
 * unset; numbers may come as strings. Answers: int64 as numbers, unset fields and empty lists left
 * out. Failures: {"error_code", "message"}. One call belongs to one request. */
#ifndef GY_API_MLFLOW_WIRE_H
#define GY_API_MLFLOW_WIRE_H

#include "api/app.h"
#include "base/json.h"
#include "track/track.h"

struct gy_mf_call {
    struct gy_app *app;
    struct gy_request *req;
    struct gy_arena *arena;
    yyjson_val *args; /* an object; NULL: no parameters */
    bool from_query;  /* args were made of the query: all values are strings */
    void *in;         /* what parse made for run */
    struct gy_buf out;
    struct gy_jw w; /* on out; run opens and closes the answer's object itself */
};

struct gy_mf_op {
    gy_status (*parse)(struct gy_mf_call *c, struct gy_err *err); /* MAY be NULL */
    gy_status (*run)(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err);
    bool write;
    bool enters; /* may be the first use of a workspace: its Default is made */
};

/* Do op and answer it: the body of every handler. */
GY_CHECKED gy_status gy_mf_handle(struct gy_app *app, struct gy_request *req,
                                  struct gy_reply *reply, const struct gy_mf_op *op,
                                  struct gy_err *err);
/* A failure as MLflow's clients know it (a gy_error_style). */
GY_CHECKED gy_status gy_mf_error(struct gy_request *req, struct gy_reply *reply,
                                 const struct gy_err *failed, struct gy_err *err);
GY_CHECKED gy_status gy_mf_send_error(struct gy_reply *reply, int status, const char *code,
                                      struct gy_str message, struct gy_err *err);
/* The parameters alone, for handlers that do not go through gy_mf_handle; free doc afterwards. */
GY_CHECKED gy_status gy_mf_args(struct gy_request *req, struct gy_arena *a, yyjson_doc **ret_doc,
                                bool *ret_from_query, struct gy_err *err);

/* ---- parameters ----
 * `path` of the message is prefix + name ("metrics[3].key"), prefix MAY be NULL. All fail with
 * INVALID "Missing value for required parameter 'x'." or "Invalid value .. for parameter 'x'
 * supplied." Views live as long as the call. */
enum gy_mf_need { GY_MF_OPTIONAL, GY_MF_REQUIRED };
yyjson_val *gy_mf_get(yyjson_val *obj, const char *name); /* null counts as absent */
GY_CHECKED gy_status gy_mf_str(yyjson_val *obj, const char *prefix, const char *name,
                               enum gy_mf_need need, struct gy_str *ret, struct gy_err *err);
GY_CHECKED gy_status gy_mf_i64(yyjson_val *obj, const char *prefix, const char *name,
                               enum gy_mf_need need, int64_t absent, int64_t *ret,
                               struct gy_err *err);
GY_CHECKED gy_status gy_mf_f64(yyjson_val *obj, const char *prefix, const char *name,
                               enum gy_mf_need need, double *ret, struct gy_err *err);
GY_CHECKED gy_status gy_mf_bool(yyjson_val *obj, const char *name, bool absent, bool *ret,
                                struct gy_err *err);
/* "Missing value for required parameter 'x'." as INVALID. */
gy_status gy_mf_missing(const char *prefix, const char *name, struct gy_err *err);
/* A list of at most max items; a lone value of a query counts as a list of one: *ret_one. */
struct gy_mf_list {
    yyjson_val *arr; /* NULL: absent, or one value */
    yyjson_val *one;
    size_t n;
};
GY_CHECKED gy_status gy_mf_list(struct gy_mf_call *c, yyjson_val *obj, const char *name, size_t max,
                                struct gy_mf_list *ret, struct gy_err *err);
yyjson_val *gy_mf_item(const struct gy_mf_list *l, size_t i);
GY_CHECKED gy_status gy_mf_strs(struct gy_mf_call *c, const char *name, size_t max,
                                struct gy_str **ret, size_t *ret_n, struct gy_err *err);
/* [{key, value}]: key is required, an absent value is "". */
GY_CHECKED gy_status gy_mf_tags(struct gy_mf_call *c, yyjson_val *obj, const char *name, size_t max,
                                struct gy_tag **ret, size_t *ret_n, struct gy_err *err);
/* max_results within [1, max]. */
GY_CHECKED gy_status gy_mf_max_results(struct gy_mf_call *c, int64_t absent, int64_t max,
                                       int64_t *ret, struct gy_err *err);
GY_CHECKED gy_status gy_mf_view(struct gy_mf_call *c, const char *name, enum gy_view *ret,
                                struct gy_err *err);
/* The name of an enum value given by name or number (from 1); INVALID for others. */
GY_CHECKED gy_status gy_mf_enum(yyjson_val *obj, const char *name, const char *const *names,
                                size_t n, int64_t *ret, struct gy_err *err);

#define GY_MF_STR(c, name, need, ret) gy_mf_str((c)->args, NULL, (name), (need), (ret), err)

/* ---- answers ---- */
void gy_mf_kv(struct gy_jw *w, const char *key, struct gy_str v); /* nothing when absent */
void gy_mf_tags_out(struct gy_jw *w, const char *key, const struct gy_tag *tags, size_t n);

/* ---- the files of this protocol ---- */
struct gy_run;
struct gy_artifact;
/* A new run has no outputs yet, one that was searched for is told without its model inputs. */
enum gy_mf_run_parts { GY_MF_RUN_NEW, GY_MF_RUN_FOUND, GY_MF_RUN_WHOLE };
void gy_mf_write_run(struct gy_jw *w, const struct gy_run *r, enum gy_mf_run_parts parts);
GY_CHECKED gy_status gy_mf_add_runs(struct gy_router *r, struct gy_app *app, struct gy_err *err);
GY_CHECKED gy_status gy_mf_add_history(struct gy_router *r, struct gy_app *app, struct gy_err *err);
GY_CHECKED gy_status gy_mf_add_artifacts(struct gy_router *r, struct gy_app *app,
                                         struct gy_err *err);
GY_CHECKED gy_status gy_mf_add_registry(struct gy_router *r, struct gy_app *app,
                                        struct gy_err *err);
GY_CHECKED gy_status gy_mf_add_workspaces(struct gy_router *r, struct gy_app *app,
                                          struct gy_err *err);
GY_CHECKED gy_status gy_mf_add_logged(struct gy_router *r, struct gy_app *app, struct gy_err *err);

/* Route tables: an operation is served below four prefixes. GY_MF_HANDLER(name) defines h_name from
 * op_name. */
#define GY_MF_HANDLER(name)                                                              \
    static gy_status h_##name(void *ctx, struct gy_request *req, struct gy_reply *reply, \
                              struct gy_err *err)                                        \
    {                                                                                    \
        return gy_mf_handle(ctx, req, reply, &op_##name, err);                           \
    }                                                                                    \
    struct gy_mf_semicolon_
#define GY_MF_OP(name, parse_fn, run_fn, is_write)                                      \
    static const struct gy_mf_op op_##name = {(parse_fn), (run_fn), (is_write), false}; \
    GY_MF_HANDLER(name)
#define GY_MF_OP_ENTERS(name, parse_fn, run_fn, is_write)                              \
    static const struct gy_mf_op op_##name = {(parse_fn), (run_fn), (is_write), true}; \
    GY_MF_HANDLER(name)
#define GY_MF_ONE(prefix, method, path, handler, title, access, flags)                         \
    {                                                                                          \
        (method), prefix "/mlflow" path, (handler), gy_mf_error, 0, (title), (access), (flags) \
    }
#define GY_MF_ROUTES(method, path, handler, title, access, flags)                \
    GY_MF_ONE("/api/2.0", method, path, handler, title, access, flags),          \
        GY_MF_ONE("/ajax-api/2.0", method, path, handler, title, access, flags), \
        GY_MF_ONE("/api/3.0", method, path, handler, title, access, flags),      \
        GY_MF_ONE("/ajax-api/3.0", method, path, handler, title, access, flags)
#define GY_MF_ROUTE(method, path, handler, title) \
    GY_MF_ROUTES(method, path, handler, title, GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED)
/* Reads, although it is a POST. */
#define GY_MF_SEARCH(method, path, handler, title) \
    GY_MF_ROUTES(method, path, handler, title, GY_ACCESS_VIEWER, GY_ROUTE_SCOPED)
/* What runs log by the thousand: not in the audit log, run by run is enough. */
#define GY_MF_LOG(method, path, handler, title) \
    GY_MF_ROUTES(method, path, handler, title, GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED | GY_ROUTE_BULK)

#endif
