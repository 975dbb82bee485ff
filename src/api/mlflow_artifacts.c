/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow: artifacts, listed by run, sent and fetched through the server in constant memory. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "api/mlflow_artifacts.h"
#include "api/mlflow_wire.h"
#include "base/limits.h"
#include "track/logged_models.h"
#include "track/models.h"
#include "track/runs.h"

#define COPY_BYTES (64 * GY_KIB)

/* ---- listing ---- */

gy_status gy_mf_write_files(struct gy_db *db, struct gy_mf_call *c, struct gy_str root,
                            struct gy_str sub, struct gy_str shown, struct gy_err *err)
{
    struct gy_artifact_entry *entries = NULL;
    size_t n = 0;
    struct gy_str dir = gy_artifact_join(root, sub, c->arena);
    if (!dir.p) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_artifact_list(db, dir, c->arena, &entries, &n, err));
    if (n == 0) {
        return GY_OK;
    }
    gy_jw_key(&c->w, "files");
    gy_jw_arr(&c->w);
    for (size_t i = 0; i < n; i++) {
        struct gy_str path = gy_artifact_join(shown, entries[i].name, c->arena);
        gy_jw_obj(&c->w);
        gy_jw_kv_str(&c->w, "path", path);
        gy_jw_kv_bool(&c->w, "is_dir", entries[i].is_dir);
        if (!entries[i].is_dir && entries[i].size_bytes > 0) {
            gy_jw_kv_i64(&c->w, "file_size", entries[i].size_bytes);
        }
        gy_jw_obj_end(&c->w);
    }
    gy_jw_arr_end(&c->w);
    return GY_OK;
}

struct listing {
    struct gy_str run_id, path;
};

static gy_status parse_list_run(struct gy_mf_call *c, struct gy_err *err)
{
    struct listing *x = c->in = gy_arena_calloc(c->arena, 1, sizeof *x);
    struct gy_str path;
    if (!x) {
        return gy_track_nomem(err);
    }
    GY_TRY(GY_MF_STR(c, "run_id", GY_MF_OPTIONAL, &x->run_id));
    if (x->run_id.n == 0) {
        GY_TRY(GY_MF_STR(c, "run_uuid", GY_MF_OPTIONAL, &x->run_id));
    }
    if (x->run_id.n == 0) {
        return GY_MF_STR(c, "run_id", GY_MF_REQUIRED, &x->run_id);
    }
    GY_TRY(GY_MF_STR(c, "path", GY_MF_OPTIONAL, &path));
    return gy_artifact_clean_path(path, c->arena, &x->path, err);
}

static gy_status run_list_run(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct listing *x = c->in;
    struct gy_run r;
    GY_TRY(gy_run_get(db, x->run_id, false, c->arena, &r, err));
    gy_jw_obj(&c->w);
    gy_jw_kv_str(&c->w, "root_uri", r.artifact_uri);
    struct gy_str root = gy_artifact_path_of_uri(r.artifact_uri, c->arena);
    if (root.p) { /* another place is listed by the client itself */
        GY_TRY(gy_mf_write_files(db, c, root, x->path, x->path, err));
    }
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status parse_list_root(struct gy_mf_call *c, struct gy_err *err)
{
    struct listing *x = c->in = gy_arena_calloc(c->arena, 1, sizeof *x);
    struct gy_str path;
    if (!x) {
        return gy_track_nomem(err);
    }
    GY_TRY(GY_MF_STR(c, "path", GY_MF_OPTIONAL, &path));
    return gy_artifact_clean_path(path, c->arena, &x->path, err);
}

static gy_status run_list_root(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct listing *x = c->in;
    gy_jw_obj(&c->w);
    GY_TRY(gy_mf_write_files(db, c, x->path, GY_STR(""), GY_STR(""), err));
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

GY_MF_OP(list_run, parse_list_run, run_list_run, false);
GY_MF_OP(list_root, parse_list_root, run_list_root, false);

/* ---- sending bytes ---- */

/* Text that a browser may show as such; anything else is only for keeping. */
static const char *content_type(struct gy_str name)
{
    static const struct {
        const char *end, *type;
    } types[] = {
        {".txt", "text/plain"},    {".log", "text/plain"},        {".err", "text/plain"},
        {".cfg", "text/plain"},    {".conf", "text/plain"},       {".cnf", "text/plain"},
        {".ini", "text/plain"},    {".properties", "text/plain"}, {".prop", "text/plain"},
        {".toml", "text/plain"},   {".yaml", "text/plain"},       {".yml", "text/plain"},
        {".xml", "text/plain"},    {".json", "application/json"}, {".jsonl", "text/plain"},
        {".js", "text/plain"},     {".py", "text/plain"},         {".csv", "text/csv"},
        {".tsv", "text/plain"},    {".md", "text/plain"},         {".rst", "text/plain"},
        {".html", "text/html"},    {".sh", "text/plain"},         {".sql", "text/plain"},
        {".png", "image/png"},     {".jpg", "image/jpeg"},        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},     {".svg", "image/svg+xml"},     {".pdf", "application/pdf"},
        {"MLmodel", "text/plain"}, {"MLproject", "text/plain"},   {".geojson", "text/plain"},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (gy_str_ends(name, gy_str_c(types[i].end))) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

static gy_status copy_out(struct gy_reply *reply, int fd, int64_t size, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf chunk;
    gy_buf_init(&chunk, COPY_BYTES);
    char *p = gy_buf_reserve(&chunk, COPY_BYTES);
    if (!p) {
        return gy_track_nomem(err);
    }
    while (size > 0) {
        ssize_t n = read(fd, p, COPY_BYTES);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? gy_err_sys(err, errno, "reading an object")
                         : gy_err_set(err, GY_E_CORRUPT, "an object is shorter than its size");
        }
        GY_TRY(gy_reply_write(reply, gy_str_n(p, (size_t)n), err));
        size -= n;
    }
    return gy_reply_end(reply, err);
}

gy_status gy_mf_send_artifact(struct gy_app *app, struct gy_request *req, struct gy_reply *reply,
                              const struct gy_artifact *f, struct gy_err *err)
{
    struct gy_str name = f->path;
    for (size_t i = 0; i < f->path.n; i++) {
        if (f->path.p[i] == '/') {
            name = gy_str_sub(f->path, i + 1, SIZE_MAX);
        }
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf encoded;
    gy_buf_init(&encoded, 16 * GY_KIB);
    gy_url_encode(&encoded, name, false);
    GY_TRY(gy_buf_check(&encoded, "a file name", err));
    const char *disposition =
        gy_arena_printf(req->arena, "attachment; filename*=UTF-8''%s", encoded.p);
    const char *sha256 = gy_arena_strdup(req->arena, f->sha256);
    if (!disposition || !sha256) {
        return gy_track_nomem(err);
    }
    int fd = -1;
    int64_t size = 0;
    GY_TRY(gy_objects_open_fd(app->objects, sha256, &fd, &size, err));
    struct gy_header headers[] = {
        {GY_STR("Content-Type"), gy_str_c(content_type(name))},
        {GY_STR("Content-Disposition"), gy_str_c(disposition)},
        {GY_STR("X-Content-Type-Options"), GY_STR("nosniff")},
    };
    gy_status status = gy_reply_begin(reply, 200, headers, 3, size, err);
    if (status == GY_OK) {
        status = copy_out(reply, fd, size, err);
    }
    (void)close(fd); /* only read from */
    return status;
}

/* Which file a request means; found inside a read closure. */
struct lookup {
    struct gy_arena *arena;
    struct gy_str run_id, model_id, name, version, path;
    struct gy_artifact file;
};

static gy_status find_file(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct lookup *x = ctx;
    struct gy_str root = GY_STR("");
    if (x->run_id.p) {
        struct gy_run r;
        GY_TRY(gy_run_get(db, x->run_id, false, x->arena, &r, err));
        root = gy_artifact_path_of_uri(r.artifact_uri, x->arena);
    } else if (x->model_id.p) {
        struct gy_logged_model m;
        GY_TRY(gy_logged_model_get(db, x->model_id, false, x->arena, &m, err));
        root = gy_artifact_path_of_uri(m.artifact_uri, x->arena);
    } else if (x->name.p) {
        struct gy_model_version v;
        int64_t number = 0;
        GY_TRY(gy_model_parse_version(x->version, &number, err));
        GY_TRY(gy_version_get(db, x->name, number, x->arena, &v, err));
        root = gy_artifact_path_of_uri(v.storage_location, x->arena);
    }
    if (!root.p) {
        return gy_err_set(err, GY_E_NOTFOUND, "the artifacts are not kept by this server");
    }
    struct gy_str full = gy_artifact_join(root, x->path, x->arena);
    if (!full.p) {
        return gy_track_nomem(err);
    }
    return gy_artifact_get(db, full, x->arena, &x->file, err);
}

static gy_status send_found(struct gy_app *app, struct gy_request *req, struct gy_reply *reply,
                            struct lookup *x, struct gy_str raw_path, struct gy_err *err)
{
    x->arena = req->arena;
    GY_TRY(gy_artifact_clean_path(raw_path, req->arena, &x->path, err));
    GY_TRY(gy_store_read(app->store, find_file, x, err));
    return gy_mf_send_artifact(app, req, reply, &x->file, err);
}

static gy_status need_query(struct gy_request *req, const char *key, struct gy_str *ret,
                            struct gy_err *err)
{
    *ret = gy_req_query(req, key);
    if (ret->n == 0) {
        return gy_mf_missing(NULL, key, err);
    }
    return GY_OK;
}

static gy_status h_get_artifact(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                struct gy_err *err)
{
    struct lookup x = {.run_id = gy_req_query(req, "run_id")};
    struct gy_str path;
    if (x.run_id.n == 0) {
        x.run_id = gy_req_query(req, "run_uuid");
    }
    if (x.run_id.n == 0) {
        return gy_mf_missing(NULL, "run_id", err);
    }
    GY_TRY(need_query(req, "path", &path, err));
    return send_found(ctx, req, reply, &x, path, err);
}

static gy_status h_version_artifact(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                    struct gy_err *err)
{
    struct lookup x = {.arena = req->arena};
    struct gy_str path;
    GY_TRY(need_query(req, "name", &x.name, err));
    GY_TRY(need_query(req, "version", &x.version, err));
    GY_TRY(need_query(req, "path", &path, err));
    return send_found(ctx, req, reply, &x, path, err);
}

static gy_status h_model_artifact(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                  struct gy_err *err)
{
    struct lookup x = {.model_id = gy_req_param(req, "model_id")};
    struct gy_str path;
    GY_TRY(need_query(req, "artifact_file_path", &path, err));
    return send_found(ctx, req, reply, &x, path, err);
}

static gy_status h_download(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct lookup x = {.arena = req->arena};
    return send_found(ctx, req, reply, &x, gy_req_param(req, "path"), err);
}

/* ---- receiving bytes ---- */

struct upload {
    struct gy_str path, actor;
    char sha256[GY_SHA256_HEX];
    int64_t size;
};

static gy_status put_upload(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct upload *x = ctx;
    return gy_artifact_put(db, x->path, gy_str_c(x->sha256), x->size, x->actor, err);
}

static gy_status h_upload(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct upload x = {.actor = req->actor};
    GY_TRY(gy_artifact_clean_path(gy_req_param(req, "path"), req->arena, &x.path, err));
    struct gy_mem_reader empty;
    struct gy_reader *body = req->body ? req->body : gy_mem_reader_init(&empty, GY_STR(""));
    GY_TRY(
        gy_objects_put_reader(app->objects, body, GY_ARTIFACT_MAX_BYTES, x.sha256, &x.size, err));
    GY_TRY(gy_store_write(app->store, put_upload, &x, err));
    return gy_reply_send(reply, 200, "application/json", GY_STR("{}"), err);
}

static gy_status delete_path(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_artifact_delete(db, *(struct gy_str *)ctx, err);
}

static gy_status h_delete(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_str path;
    GY_TRY(gy_artifact_clean_path(gy_req_param(req, "path"), req->arena, &path, err));
    if (path.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "Invalid path");
    }
    GY_TRY(gy_store_write(app->store, delete_path, &path, err));
    return gy_reply_send(reply, 200, "application/json", GY_STR("{}"), err);
}

/* The client falls back to a plain upload when it reads exactly this. */
static gy_status h_multipart(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    (void)ctx;
    (void)req;
    return gy_mf_send_error(reply, 501, "NOT_IMPLEMENTED",
                            GY_STR("Multipart upload is not supported for the current artifact "
                                   "repository"),
                            err);
}

#define PROXY(prefix)                                                                             \
    {"GET", prefix "/mlflow-artifacts/artifacts", h_list_root, gy_mf_error, 0, "List artifacts"}, \
        {"GET",      prefix "/mlflow-artifacts/artifacts/{path*}",                                \
         h_download, gy_mf_error,                                                                 \
         0,          "Download an artifact"},                                                     \
        {"PUT",    prefix "/mlflow-artifacts/artifacts/{path*}",                                  \
         h_upload, gy_mf_error,                                                                   \
         SIZE_MAX, "Upload an artifact"},                                                         \
        {"DELETE", prefix "/mlflow-artifacts/artifacts/{path*}",                                  \
         h_delete, gy_mf_error,                                                                   \
         0,        "Delete an artifact or a folder"},                                             \
    {                                                                                             \
        "POST", prefix "/mlflow-artifacts/mpu/{path*}", h_multipart, gy_mf_error, 0,              \
            "Multipart upload (not supported)"                                                    \
    }

static const struct gy_route g_routes[] = {
    GY_MF_ROUTE("GET", "/artifacts/list", h_list_run, "List a run's artifacts"),
    {"GET", "/get-artifact", h_get_artifact, gy_mf_error, 0, "A run's artifact"},
    {"GET", "/model-versions/get-artifact", h_version_artifact, gy_mf_error, 0,
     "A model version's artifact"},
    {"GET", "/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", h_model_artifact,
     gy_mf_error, 0, "A logged model's artifact"},
    PROXY("/api/2.0"),
    PROXY("/ajax-api/2.0"),
    PROXY("/api/3.0"),
    PROXY("/ajax-api/3.0"),
};

gy_status gy_mf_add_artifacts(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
