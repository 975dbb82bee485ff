/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow: artifacts, listed by run, sent and fetched through the server in constant memory. */
#include "api/mlflow_artifacts.h"
#include "api/mlflow_wire.h"
#include "base/limits.h"
#include "track/logged_models.h"
#include "track/models.h"
#include "track/runs.h"

#define UPLOAD_MAX_BYTES ((int64_t)(10 * GY_MIB)) /* by upload-artifact, as MLflow has it */

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

/* What the browser's page sends: a small file for a run. */
static gy_status find_run_file(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct lookup *x = ctx;
    struct gy_run r;
    GY_TRY(gy_run_get(db, x->run_id, false, x->arena, &r, err));
    struct gy_str root = gy_artifact_path_of_uri(r.artifact_uri, x->arena);
    if (!root.p) {
        return gy_err_set(err, GY_E_INVALID,
                          "the artifacts of this run are not kept by this server");
    }
    x->path = gy_artifact_join(root, x->path, x->arena);
    return x->path.p ? GY_OK : gy_track_nomem(err);
}

static gy_status h_upload_for_run(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                  struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct lookup x = {.arena = req->arena, .run_id = gy_req_query(req, "run_uuid")};
    struct gy_str path = gy_req_query(req, "path");
    struct upload up = {.actor = req->actor};
    if (x.run_id.n == 0 || path.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "Request must specify %s.",
                          x.run_id.n == 0 ? "run_uuid" : "path");
    }
    GY_TRY(gy_artifact_clean_path(path, req->arena, &x.path, err));
    if (!req->body || req->body->size_bytes == 0) {
        return gy_err_set(err, GY_E_INVALID, "Request must specify data.");
    }
    GY_TRY(gy_store_read(app->store, find_run_file, &x, err));
    gy_status status = req->body->size_bytes > UPLOAD_MAX_BYTES
                           ? GY_E_TOOBIG
                           : gy_objects_put_reader(app->objects, req->body, UPLOAD_MAX_BYTES,
                                                   up.sha256, &up.size, err);
    if (status == GY_E_TOOBIG) {
        return gy_err_set(err, GY_E_INVALID, "Artifact size is too large. Max size is 10MB.");
    }
    GY_TRY(status);
    up.path = x.path;
    GY_TRY(gy_store_write(app->store, put_upload, &up, err));
    return gy_reply_send(reply, 200, "application/json", GY_STR("{}"), err);
}

#define PROXY(prefix)                                                                     \
    {"GET",                                                                               \
     prefix "/mlflow-artifacts/artifacts",                                                \
     h_list_root,                                                                         \
     gy_mf_error,                                                                         \
     0,                                                                                   \
     "List artifacts",                                                                    \
     GY_ACCESS_DEFAULT,                                                                   \
     GY_ROUTE_SCOPED},                                                                    \
        {"GET",                                                                           \
         prefix "/mlflow-artifacts/artifacts/{path*}",                                    \
         h_download,                                                                      \
         gy_mf_error,                                                                     \
         0,                                                                               \
         "Download an artifact",                                                          \
         GY_ACCESS_DEFAULT,                                                               \
         GY_ROUTE_SCOPED},                                                                \
        {"PUT",                                                                           \
         prefix "/mlflow-artifacts/artifacts/{path*}",                                    \
         h_upload,                                                                        \
         gy_mf_error,                                                                     \
         SIZE_MAX,                                                                        \
         "Upload an artifact",                                                            \
         GY_ACCESS_DEFAULT,                                                               \
         GY_ROUTE_SCOPED | GY_ROUTE_BULK},                                                \
    {                                                                                     \
        "DELETE", prefix "/mlflow-artifacts/artifacts/{path*}", h_delete, gy_mf_error, 0, \
            "Delete an artifact or a folder", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED          \
    }

static const struct gy_route g_routes[] = {
    GY_MF_ROUTE("GET", "/artifacts/list", h_list_run, "List a run's artifacts"),
    {"GET", "/get-artifact", h_get_artifact, gy_mf_error, 0, "A run's artifact", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
    {"GET", "/model-versions/get-artifact", h_version_artifact, gy_mf_error, 0,
     "A model version's artifact", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", "/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", h_model_artifact,
     gy_mf_error, 0, "A logged model's artifact", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"POST", "/ajax-api/2.0/mlflow/upload-artifact", h_upload_for_run, gy_mf_error, SIZE_MAX,
     "Upload a small artifact of a run", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED | GY_ROUTE_BULK},
    PROXY("/api/2.0"),
    PROXY("/ajax-api/2.0"),
    PROXY("/api/3.0"),
    PROXY("/ajax-api/3.0"),
};

gy_status gy_mf_add_artifacts(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    GY_TRY(gy_mf_add_uploads(r, app, err));
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
