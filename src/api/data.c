/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of the room data: objects (bytes by their SHA-256) and datasets (names with versions).
 *   POST /objects                                body: the bytes      -> 201 {"sha256","size"}
 *   GET  /objects/{sha256}                                            -> the bytes
 *   POST /datasets {name,sha256,md5,size,rows,read,accepted,dead,schema,source,source_sha256}
 *                                          -> 201 (200: known already) {name,version,sha256,new}
 *   GET  /datasets                   -> {"datasets":[...]}, every version, without its schema
 *   GET  /datasets?sha256=                         -> the newest version with these bytes, or none
 *   GET  /datasets/{name}                          -> {"name","versions":[...]}
 *   GET  /datasets/{name}/versions/{version}       -> one with its schema; "latest": the newest */
#include <stdio.h>
#include <unistd.h>

#include "api/app.h"
#include "api/body.h"
#include "base/json.h"
#include "base/limits.h"
#include "data/dataset.h"
#include "track/artifacts.h"

#define MAX_OBJECT_BYTES ((int64_t)(64 * GY_GIB))
#define BASE "/api/gyre/v1"

static gy_status post_object(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_mem_reader none;
    struct gy_reader *body = req->body ? req->body : gy_mem_reader_init(&none, GY_STR(""));
    char sha256[GY_SHA256_HEX];
    int64_t size = 0;
    GY_TRY(gy_objects_put_reader(app->objects, body, MAX_OBJECT_BYTES, sha256, &size, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "sha256", sha256);
    gy_jw_kv_i64(&w, "size", size);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 201, &out, err);
}

struct readable {
    struct gy_str sha256;
    bool yes;
};

static gy_status ask_readable(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct readable *x = ctx;
    return gy_artifact_object_readable(db, x->sha256, &x->yes, err);
}

static gy_status open_object(struct gy_app *app, struct gy_str sha256, int *ret_fd,
                             int64_t *ret_size, struct gy_err *err)
{
    struct readable x = {sha256, false};
    char name[GY_SHA256_HEX];
    if (!gy_is_hex(sha256, GY_SHA256_HEX - 1)) {
        return gy_err_set(err, GY_E_INVALID,
                          "an object is named by the 64 hex digits of its "
                          "SHA-256");
    }
    memcpy(name, sha256.p, sha256.n);
    name[sha256.n] = '\0';
    GY_TRY(gy_store_read(app->store, ask_readable, &x, err));
    return x.yes ? gy_objects_open_fd(app->objects, name, ret_fd, ret_size, err)
                 : gy_err_set(err, GY_E_NOTFOUND, "no object %s", name);
}

static gy_status get_object(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    const struct gy_header headers[] = {
        {GY_STR("Content-Type"), GY_STR("application/octet-stream")},
        {GY_STR("Cache-Control"), GY_STR("immutable, max-age=31536000")}};
    int fd = -1;
    int64_t size = 0;
    GY_TRY(open_object(ctx, gy_req_param(req, "sha256"), &fd, &size, err));
    gy_status status = gy_reply_begin(reply, 200, headers, 2, size, err);
    if (status != GY_OK) {
        (void)close(fd); /* only read from */
        return status;
    }
    GY_TRY(gy_reply_send_file(reply, fd, 0, size, err));
    return gy_reply_end(reply, err);
}

/* ---- datasets ---- */

/* Members of an open object. */
static void write_version(struct gy_jw *w, const struct gy_dataset_version *v)
{
    gy_jw_kv_str(w, "name", v->name);
    gy_jw_kv_i64(w, "version", v->version);
    gy_jw_kv_str(w, "sha256", v->sha256);
    gy_jw_kv_str(w, "md5", v->md5);
    gy_jw_kv_i64(w, "size", v->size_bytes);
    gy_jw_kv_i64(w, "rows", v->rows);
    gy_jw_kv_i64(w, "read", v->read);
    gy_jw_kv_i64(w, "accepted", v->accepted);
    gy_jw_kv_i64(w, "dead", v->dead);
    gy_jw_kv_str(w, "source", v->source);
    gy_jw_kv_str(w, "source_sha256", v->source_sha256);
    gy_jw_kv_str(w, "actor", v->actor);
    gy_api_kv_time(w, "created", v->created_us);
}

static gy_status check_name(struct gy_str name, struct gy_err *err)
{
    bool good = name.n > 0 && name.n <= GY_MAX_NAME && gy_str_is_utf8(name);
    for (size_t i = 0; good && i < name.n; i++) {
        good = (unsigned char)name.p[i] > ' ' && !strchr("/@:%?#\"'\\", name.p[i]) &&
               name.p[i] != 0x7f;
    }
    if (!good) {
        (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' can not name a dataset",
                         GY_STR_A(name));
        return gy_err_hint(err, "1 to %d bytes, no blanks, none of / @ : %% ? # quotes",
                           GY_MAX_NAME);
    }
    return GY_OK;
}

/* The body of POST /datasets. Views into root, but for the schema (into json). */
static gy_status read_version(yyjson_val *root, struct gy_buf *json, struct gy_dataset_version *v,
                              struct gy_err *err)
{
    GY_TRY(gy_json_need_str(root, "name", &v->name, err));
    GY_TRY(gy_json_need_str(root, "sha256", &v->sha256, err));
    GY_TRY(gy_json_need_str(root, "md5", &v->md5, err));
    GY_TRY(gy_json_need_i64(root, "size", &v->size_bytes, err));
    GY_TRY(gy_json_need_i64(root, "read", &v->read, err));
    GY_TRY(gy_json_need_i64(root, "accepted", &v->accepted, err));
    GY_TRY(gy_json_need_i64(root, "dead", &v->dead, err));
    v->rows = gy_json_i64(root, "rows", v->accepted);
    GY_TRY(gy_api_text(root, "source", GY_MAX_PATH, &v->source, err));
    GY_TRY(gy_api_text(root, "source_sha256", GY_MAX_NAME, &v->source_sha256, err));
    GY_TRY(check_name(v->name, err));
    if (!gy_is_hex(v->sha256, 64) || !gy_is_hex(v->md5, 32) ||
        (v->source_sha256.p && !gy_is_hex(v->source_sha256, 64))) {
        return gy_err_set(err, GY_E_INVALID,
                          "sha256, md5 and source_sha256 are lower-case hex digests");
    }
    if (v->read < 0 || v->accepted < 0 || v->dead < 0 || v->accepted > v->read ||
        v->dead != v->read - v->accepted || v->rows != v->accepted) {
        return gy_err_set(err, GY_E_INVALID,
                          "records were lost: accepted + dead must be read, and rows accepted");
    }
    yyjson_val *schema = gy_json_get(root, "schema");
    if (schema && !yyjson_is_null(schema)) {
        if (!yyjson_is_obj(schema)) {
            return gy_err_set(err, GY_E_INVALID, "'schema' must be an object");
        }
        struct gy_jw w;
        gy_jw_init(&w, json);
        gy_jw_val(&w, schema);
        GY_TRY(gy_buf_check(json, "the schema", err));
        v->schema_json = gy_buf_str(json);
    }
    return GY_OK;
}

struct add_call {
    struct gy_dataset_version v;
    int64_t version;
    bool is_new;
};

static gy_status add_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct add_call *c = ctx;
    return gy_dataset_add(db, &c->v, &c->version, &c->is_new, err);
}

/* The bytes must be here before anything names them. */
static gy_status check_object(struct gy_app *app, const struct gy_dataset_version *v,
                              struct gy_err *err)
{
    int fd = -1;
    int64_t size = 0;
    if (open_object(app, v->sha256, &fd, &size, err) != GY_OK) {
        return gy_err_wrap(err, "the dataset's object");
    }
    (void)close(fd);
    if (size != v->size_bytes) {
        return gy_err_set(err, GY_E_INVALID, "the object has %lld bytes, not %lld", (long long)size,
                          (long long)v->size_bytes);
    }
    return GY_OK;
}

static gy_status post_dataset(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf schema;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&schema, GY_MAX_YAML);
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    struct add_call call = {0};
    GY_TRY(read_version(yyjson_doc_get_root(doc), &schema, &call.v, err));
    call.v.actor = req->actor;
    GY_TRY(check_object(app, &call.v, err));
    GY_TRY(gy_store_write(app->store, add_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", call.v.name);
    gy_jw_kv_i64(&w, "version", call.version);
    gy_jw_kv_str(&w, "sha256", call.v.sha256);
    gy_jw_kv_bool(&w, "new", call.is_new);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, call.is_new ? 201 : 200, &out, err);
}

struct list_call {
    struct gy_str name, sha256; /* absent: any */
    struct gy_arena *arena;
    struct gy_dataset_version *list;
    size_t n;
};

static gy_status list_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct list_call *c = ctx;
    if (!c->sha256.p) {
        return gy_dataset_list(db, c->name, c->arena, &c->list, &c->n, err);
    }
    struct gy_err why = GY_ERR_INIT;
    char *ref = gy_arena_printf(c->arena, "sha256:%" GY_STR_F, GY_STR_A(c->sha256));
    c->list = gy_arena_calloc(c->arena, 1, sizeof *c->list);
    if (!ref || !c->list) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    gy_status status = gy_dataset_resolve(db, gy_str_c(ref), c->arena, c->list, &why);
    c->n = status == GY_OK;
    return status == GY_OK || status == GY_E_NOTFOUND ? GY_OK
                                                      : gy_err_set(err, status, "%s", why.msg);
}

/* GET /datasets, GET /datasets?sha256= and GET /datasets/{name}. */
static gy_status get_datasets(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct list_call call = {.name = gy_req_param(req, "name"),
                             .sha256 = gy_req_query(req, "sha256"),
                             .arena = req->arena};
    if (call.sha256.p && (call.name.p || !gy_is_hex(call.sha256, 64))) {
        return gy_err_set(err, GY_E_INVALID, "'sha256' is 64 lower-case hex digits, for all names");
    }
    GY_TRY(gy_store_read(app->store, list_closure, &call, err));
    if (call.name.p && call.n == 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "no dataset '%" GY_STR_F "'", GY_STR_A(call.name));
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    if (call.name.p) {
        gy_jw_kv_str(&w, "name", call.name);
    }
    gy_jw_key(&w, call.name.p ? "versions" : "datasets");
    gy_jw_arr(&w);
    for (size_t i = 0; i < call.n; i++) {
        gy_jw_obj(&w);
        write_version(&w, &call.list[i]);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

struct resolve_call {
    struct gy_str ref;
    struct gy_arena *arena;
    struct gy_dataset_version v;
};

static gy_status resolve_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct resolve_call *c = ctx;
    return gy_dataset_resolve(db, c->ref, c->arena, &c->v, err);
}

static gy_status get_version(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_str name = gy_req_param(req, "name"), version = gy_req_param(req, "version");
    GY_TRY(check_name(name, err));
    char *ref = gy_str_eqc(version, "latest")
                    ? gy_arena_strdup(req->arena, name)
                    : gy_arena_printf(req->arena, "%" GY_STR_F "@%" GY_STR_F, GY_STR_A(name),
                                      GY_STR_A(version));
    if (!ref) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    struct resolve_call call = {.ref = gy_str_c(ref), .arena = req->arena};
    GY_TRY(gy_store_read(app->store, resolve_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    write_version(&w, &call.v);
    gy_jw_key(&w, "schema");
    if (call.v.schema_json.p) {
        gy_jw_raw(&w, call.v.schema_json);
    } else {
        gy_jw_null(&w);
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"POST", BASE "/objects", post_object, NULL, SIZE_MAX, "Store bytes; named by their SHA-256",
     GY_ACCESS_DEFAULT, GY_ROUTE_BULK | GY_ROUTE_SCOPED},
    {"GET", BASE "/objects/{sha256}", get_object, NULL, 0, "The bytes of an object",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"POST", BASE "/datasets", post_dataset, NULL, 0, "Register a dataset version"},
    {"GET", BASE "/datasets", get_datasets, NULL, 0,
     "All dataset versions, or (sha256) the newest with these bytes"},
    {"GET", BASE "/datasets/{name}", get_datasets, NULL, 0, "The versions of a dataset"},
    {"GET", BASE "/datasets/{name}/versions/{version}", get_version, NULL, 0,
     "One dataset version; 'latest' is the newest"},
};

gy_status gy_api_data_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
