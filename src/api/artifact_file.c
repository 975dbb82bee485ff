/* SPDX-License-Identifier: Apache-2.0 */
#include "api/mlflow_artifacts.h"
#include "net/file_answer.h"

/* As MLflow's mime_type_utils.py has them: source and data that people read are plain text. */
static bool is_text_extension(struct gy_str s)
{
    static const char *const known[] = {
        "txt",  "log",   "err",  "cfg",  "conf", "cnf",     "cf",       "ini", "properties",
        "prop", "hocon", "toml", "yaml", "yml",  "xml",     "json",     "js",  "py",
        "py3",  "csv",   "tsv",  "md",   "rst",  "MLmodel", "MLproject"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (gy_str_eqc(s, known[i])) {
            return true;
        }
    }
    return false;
}

const char *gy_mf_content_type(struct gy_str name)
{
    /* What Python's mimetypes knows of the kinds of files that artifacts are. */
    static const struct {
        const char *extension, *type;
    } types[] = {
        {"htm", "text/html"},         {"html", "text/html"},        {"css", "text/css"},
        {"png", "image/png"},         {"jpg", "image/jpeg"},        {"jpeg", "image/jpeg"},
        {"gif", "image/gif"},         {"bmp", "image/bmp"},         {"webp", "image/webp"},
        {"tif", "image/tiff"},        {"tiff", "image/tiff"},       {"svg", "image/svg+xml"},
        {"pdf", "application/pdf"},   {"zip", "application/zip"},   {"tar", "application/x-tar"},
        {"tgz", "application/x-tar"}, {"h5", "application/x-hdf5"}, {"wasm", "application/wasm"},
        {"mp3", "audio/mpeg"},        {"wav", "audio/x-wav"},       {"mp4", "video/mp4"},
        {"webm", "video/webm"},       {"mov", "video/quicktime"},   {"avi", "video/x-msvideo"},
    };
    size_t dot = SIZE_MAX;
    for (size_t i = 1; i < name.n; i++) { /* ".x" has no extension */
        dot = name.p[i] == '.' ? i : dot;
    }
    struct gy_str extension = dot == SIZE_MAX ? name : gy_str_sub(name, dot + 1, SIZE_MAX);
    if (is_text_extension(extension.n ? extension : name)) {
        return "text/plain";
    }
    for (size_t i = 0; dot != SIZE_MAX && i < sizeof types / sizeof types[0]; i++) {
        if (gy_str_ieq(extension, gy_str_c(types[i].extension))) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

struct object {
    struct gy_app *app;
    const struct gy_artifact *file;
    const char *sha256;
};

static gy_status open_object(void *ctx, int *ret_fd, int64_t *ret_size, struct gy_err *err)
{
    struct object *o = ctx;
    gy_status status = gy_objects_open_fd(o->app->objects, o->sha256, ret_fd, ret_size, err);
    if (status == GY_E_NOTFOUND) { /* the artifact is there: to a client this must not be a 404 */
        return gy_err_set(err, GY_E_CORRUPT, "the bytes of artifact '%" GY_STR_F "' are missing",
                          GY_STR_A(gy_str_sub(o->file->path, 0, 300)));
    }
    return status;
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
    struct object o = {app, f, gy_arena_strdup(req->arena, f->sha256)};
    if (!o.sha256) {
        return gy_track_nomem(err);
    }
    struct gy_file_answer answer = {.open = open_object,
                                    .ctx = &o,
                                    .size_bytes = f->size_bytes,
                                    .etag = f->sha256,
                                    .content_type = gy_str_c(gy_mf_content_type(name)),
                                    .name = name};
    return gy_file_answer(req, reply, &answer, err);
}
