/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of the room data: objects (bytes by their SHA-256) and datasets (names with versions);
 * data_tags.c, data_ingest.c and data_letters.c have the others of datasets.
 *   POST /objects                                body: the bytes      -> 201 {"sha256","size"}
 *   GET  /objects/{sha256}                                            -> the bytes
 *   POST /datasets {name,sha256,md5,size,rows,read,accepted,dead,schema,source,source_sha256,
 *                   base_version, taken (data_taken.c)}
 *                                          -> 201 (200: known already) {name,version,sha256,new}
 *   GET  /datasets  ?deleted=true    -> {"datasets":[...]}, every version, without its schema
 *   GET  /datasets?sha256=                         -> the newest version with these bytes, or none
 *   GET  /datasets/{name}  ?deleted=true      -> {"name","description","versions":[...]}
 *   GET  /datasets/{name}/versions/{version}       -> one with its schema; {version} is a number, a
 *                                                     tag, or "latest"
 *   GET  /datasets/{name}/versions/{version}/schema, /data (Range, If-None-Match) */
#include <stdio.h>
#include <unistd.h>

#include "api/data_internal.h"
#include "api/data_taken.h"
#include "net/file_answer.h"
#include "serve/refs.h"
#include "track/artifacts.h"

#define BASE "/api/gyre/v1"

struct erased_call {
    struct gy_str sha256;
    bool yes;
};

static gy_status ask_erased(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct erased_call *c = ctx;
    int64_t n = 0;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COUNT(*) FROM dataset_versions WHERE sha256 = ? AND gone_why = "
                         "'erased' AND NOT EXISTS (SELECT 1 FROM dataset_versions v WHERE v.sha256 "
                         "= dataset_versions.sha256 AND v.gone_us IS NULL)",
                         GY_VALS(gy_vs(c->sha256)), &c->yes, &n, err));
    c->yes = n > 0;
    return GY_OK;
}

gy_status gy_api_refuse_erased(struct gy_app *app, const char *sha256, struct gy_err *err)
{
    struct erased_call c = {gy_str_c(sha256), false};
    GY_TRY(gy_store_read(app->store, ask_erased, &c, err));
    if (!c.yes) {
        return GY_OK;
    }
    /* Something else may stand on them still, as a file of a model's package. */
    struct gy_ref_asked asked = {.sha256 = gy_str_c(sha256)};
    GY_TRY(gy_store_read(app->store, gy_refs_ask, &asked, err));
    GY_TRY(asked.named ? GY_OK : gy_objects_remove(app->objects, sha256, err));
    (void)gy_err_set(err, GY_E_CONFLICT, "these bytes were erased: they do not come back");
    return gy_err_hint(err, "they hold somebody whose data was taken out (gyre subject list); take "
                            "that out of the source as well");
}

static gy_status post_object(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_mem_reader none;
    struct gy_reader *body = req->body ? req->body : gy_mem_reader_init(&none, GY_STR(""));
    char sha256[GY_SHA256_HEX];
    int64_t size = 0;
    GY_TRY(gy_objects_put_reader(app->objects, body, GY_MAX_OBJECT_BYTES, sha256, &size, err));
    GY_TRY(gy_api_refuse_erased(app, sha256, err));
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

void gy_api_write_version(struct gy_jw *w, const struct gy_dataset_version *v,
                          const struct gy_dataset_tag *tags, size_t n_tags)
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
    gy_jw_kv_str(w, "statistics_sha256", v->statistics_sha256);
    if (v->base_version) {
        gy_jw_kv_i64(w, "base_version", v->base_version);
    }
    gy_jw_kv_str(w, "actor", v->actor);
    gy_api_kv_time(w, "created", v->created_us);
    if (v->deleted_us) {
        gy_api_kv_time(w, "deleted", v->deleted_us);
    }
    if (v->gone_us) {
        gy_api_kv_time(w, "gone", v->gone_us);
    }
    gy_jw_key(w, "tags");
    gy_jw_arr(w);
    for (size_t i = 0; i < n_tags; i++) {
        if (tags[i].version == v->version && gy_str_eq(tags[i].name, v->name)) {
            gy_jw_str(w, tags[i].tag);
        }
    }
    gy_jw_arr_end(w);
}

gy_status gy_api_query_flag(const struct gy_request *req, const char *key, bool *ret,
                            struct gy_err *err)
{
    struct gy_str text = gy_req_query(req, key);
    *ret = gy_str_eqc(text, "true") || gy_str_eqc(text, "1");
    return *ret || !text.p || gy_str_eqc(text, "false") || gy_str_eqc(text, "0")
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "'%s' is true or false", key);
}

gy_status gy_api_query_number(const struct gy_request *req, const char *key, int64_t absent,
                              int64_t least, int64_t most, int64_t *ret, struct gy_err *err)
{
    struct gy_str text = gy_req_query(req, key);
    *ret = absent;
    return !text.p || gy_parse_i64(text, least, most, ret, NULL) == GY_OK
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "'%s' is a number from %lld to %lld", key,
                            (long long)least, (long long)most);
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
    v->base_version = gy_json_i64(root, "base_version", 0);
    GY_TRY(gy_api_text(root, "source", GY_MAX_PATH, &v->source, err));
    GY_TRY(gy_api_text(root, "source_sha256", GY_MAX_NAME, &v->source_sha256, err));
    GY_TRY(gy_dataset_check_name(v->name, err));
    if (!gy_is_hex(v->sha256, 64) || !gy_is_hex(v->md5, 32) ||
        (v->source_sha256.p && !gy_is_hex(v->source_sha256, 64))) {
        return gy_err_set(err, GY_E_INVALID,
                          "sha256, md5 and source_sha256 are lower-case hex digests");
    }
    if (v->base_version < 0) {
        return gy_err_set(err, GY_E_INVALID, "'base_version' is the number of a version");
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
    struct gy_taken_step step;
    bool has_step;
    int64_t version;
    bool is_new;
};

static gy_status add_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct add_call *c = ctx;
    if (c->has_step) {
        c->v.base_version = c->step.restart ? 0 : c->step.newest;
        GY_TRY(gy_taken_begin(db, c->v.name, &c->step, err));
    }
    GY_TRY(gy_dataset_add(db, &c->v, &c->version, &c->is_new, err));
    return c->has_step
               ? gy_taken_end(db, c->v.name, &c->step, c->version, c->is_new, c->v.actor, err)
               : GY_OK;
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
    GY_TRY(
        gy_api_taken_read(yyjson_doc_get_root(doc), req->arena, &call.step, &call.has_step, err));
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
    bool deleted;
    struct gy_arena *arena;
    struct gy_dataset_version *list;
    struct gy_dataset_tag *tags;
    size_t n, n_tags;
    struct gy_str description;
};

/* The newest version of these bytes, or none. */
static gy_status list_bytes(struct gy_db *db, struct list_call *c, struct gy_err *err)
{
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

static gy_status list_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct list_call *c = ctx;
    if (c->sha256.p) {
        GY_TRY(list_bytes(db, c, err));
    } else {
        GY_TRY(gy_dataset_list(db, c->name, c->deleted, c->arena, &c->list, &c->n, err));
    }
    if (c->name.p) {
        GY_TRY(gy_dataset_description(db, c->name, c->arena, &c->description, err));
    }
    return gy_dataset_tags(db, c->name, c->arena, &c->tags, &c->n_tags, err);
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
    GY_TRY(gy_api_query_flag(req, "deleted", &call.deleted, err));
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
        gy_jw_kv_str(&w, "description", call.description);
    }
    gy_jw_key(&w, call.name.p ? "versions" : "datasets");
    gy_jw_arr(&w);
    for (size_t i = 0; i < call.n; i++) {
        gy_jw_obj(&w);
        gy_api_write_version(&w, &call.list[i], call.tags, call.n_tags);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- one version ---- */

struct resolve_call {
    struct gy_str ref;
    struct gy_arena *arena;
    struct gy_dataset_version v;
    struct gy_dataset_tag *tags;
    size_t n_tags;
};

static gy_status resolve_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct resolve_call *c = ctx;
    GY_TRY(gy_dataset_resolve(db, c->ref, c->arena, &c->v, err));
    return gy_dataset_tags(db, c->v.name, c->arena, &c->tags, &c->n_tags, err);
}

static gy_status resolve(struct gy_app *app, struct gy_request *req, struct resolve_call *call,
                         struct gy_err *err)
{
    struct gy_str name = gy_req_param(req, "name"), version = gy_req_param(req, "version");
    GY_TRY(gy_dataset_check_name(name, err));
    char *ref =
        gy_arena_printf(req->arena, "%" GY_STR_F "@%" GY_STR_F, GY_STR_A(name), GY_STR_A(version));
    if (!ref) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    *call = (struct resolve_call){.ref = gy_str_c(ref), .arena = req->arena};
    return gy_store_read(app->store, resolve_closure, call, err);
}

gy_status gy_api_dataset_of(struct gy_app *app, struct gy_request *req,
                            struct gy_dataset_version *ret, struct gy_err *err)
{
    struct resolve_call call;
    GY_TRY(resolve(app, req, &call, err));
    *ret = call.v;
    return GY_OK;
}

gy_status gy_api_dataset_number(struct gy_request *req, struct gy_str *ret_name,
                                int64_t *ret_version, struct gy_err *err)
{
    *ret_name = gy_req_param(req, "name");
    GY_TRY(gy_dataset_check_name(*ret_name, err));
    return gy_parse_i64(gy_req_param(req, "version"), 1, INT64_MAX, ret_version, NULL) == GY_OK
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "the version is its number here");
}

static gy_status get_version(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct resolve_call call;
    GY_TRY(resolve(ctx, req, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_api_write_version(&w, &call.v, call.tags, call.n_tags);
    gy_jw_key(&w, "schema");
    if (call.v.schema_json.p) {
        gy_jw_raw(&w, call.v.schema_json);
    } else {
        gy_jw_null(&w);
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status get_schema(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_dataset_version v;
    GY_TRY(gy_api_dataset_of(ctx, req, &v, err));
    return v.schema_json.p ? gy_reply_send(reply, 200, "application/json", v.schema_json, err)
                           : gy_err_set(err, GY_E_NOTFOUND, "%" GY_STR_F "@%lld has no schema",
                                        GY_STR_A(v.name), (long long)v.version);
}

struct data_file {
    struct gy_app *app;
    char sha256[GY_SHA256_HEX];
};

static gy_status open_data(void *ctx, int *ret_fd, int64_t *ret_size, struct gy_err *err)
{
    struct data_file *f = ctx;
    gy_status status = gy_objects_open_fd(f->app->objects, f->sha256, ret_fd, ret_size, err);
    /* The version is there: to a client this must not be a 404. */
    return status == GY_E_NOTFOUND
               ? gy_err_set(err, GY_E_CORRUPT, "the bytes of the dataset are missing: object %s",
                            f->sha256)
               : status;
}

/* The bytes, or a part of them. */
static gy_status get_data(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_dataset_version v;
    GY_TRY(gy_api_dataset_of(ctx, req, &v, err));
    struct data_file f = {.app = ctx};
    if (v.gone_us || v.sha256.n != sizeof f.sha256 - 1) {
        return gy_err_set(err, GY_E_NOTFOUND, "the bytes of %" GY_STR_F "@%lld were given up",
                          GY_STR_A(v.name), (long long)v.version);
    }
    memcpy(f.sha256, v.sha256.p, v.sha256.n);
    char *name = gy_arena_printf(req->arena, "%" GY_STR_F "-%lld.csv", GY_STR_A(v.name),
                                 (long long)v.version);
    if (!name) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    struct gy_file_answer answer = {.open = open_data,
                                    .ctx = &f,
                                    .size_bytes = v.size_bytes,
                                    .etag = v.sha256,
                                    .content_type = GY_STR("text/csv"),
                                    .name = gy_str_c(name)};
    return gy_file_answer(req, reply, &answer, err);
}

static const struct gy_route routes[] = {
    {"POST", BASE "/objects", post_object, NULL, SIZE_MAX, "Store bytes; named by their SHA-256",
     GY_ACCESS_DEFAULT, GY_ROUTE_BULK | GY_ROUTE_SCOPED},
    {"GET", BASE "/objects/{sha256}", get_object, NULL, 0, "The bytes of an object",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"POST", BASE "/datasets", post_dataset, NULL, 0, "Register a dataset version",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/datasets", get_datasets, NULL, 0,
     "All dataset versions, or (sha256) the newest with these bytes, or (deleted) the deleted ones",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/datasets/{name}", get_datasets, NULL, 0,
     "The versions of a dataset and what is said of it", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/datasets/{name}/versions/{version}", get_version, NULL, 0,
     "One dataset version, by number or tag; 'latest' is the newest", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
    {"GET", BASE "/datasets/{name}/versions/{version}/schema", get_schema, NULL, 0,
     "The schema of a dataset version", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/datasets/{name}/versions/{version}/data", get_data, NULL, 0,
     "The bytes of a dataset version; Range gives a part of them", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
};

gy_status gy_api_data_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
