/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow: artifacts uploaded in parts.
 *   POST mpu/create/{folder}   {path, num_parts}         -> {upload_id, credentials: a URL a part}
 *   PUT  mpu/part/{id}/{part}?workspace&expires&signature   (the URL of a part; its bytes) -> ETag
 *   POST mpu/complete/{folder} {path, upload_id, parts: [{part_number, etag}]} -> {}
 *   POST mpu/abort/{folder}    {path, upload_id}                               -> {}
 * The client puts parts without its credentials, as it would to S3: the signature in the URL is
 * what allows it, for one part of one upload, until it expires. Parts are objects of their own,
 * with a line before their bytes that says which part they are: so no two parts, and no part and
 * artifact, are ever one object, and removing a part can not hurt anything else. Completing joins
 * them into one object, in constant memory; the artifact is there, whole, when the row that names
 * it commits. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "api/mlflow_artifacts.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "store/scope.h"
#include "track/uploads.h"

#define PREFIX "gyre upload %.32s part %010lld\n" /* of a part's object */
#define PREFIX_BYTES 61
#define MAX_HOST 300
#define CLEAN_STEP 500 /* parts removed between two transactions */

/* ---- where parts go ---- */

struct place {
    struct gy_str workspace, id;
    int64_t part, expires_us;
};

static gy_status sign(const char *key, const struct place *p, char ret[GY_SHA256_HEX],
                      struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    unsigned char mac[32];
    gy_buf_init(&text, 16 * GY_KIB);
    gy_buf_addf(&text, "gyre upload part\n%" GY_STR_F "\n%" GY_STR_F "\n%lld\n%lld\n",
                GY_STR_A(p->workspace), GY_STR_A(p->id), (long long)p->part,
                (long long)p->expires_us);
    GY_TRY(gy_buf_check(&text, "a signature", err));
    GY_TRY(gy_hmac_sha256(gy_str_c(key), gy_buf_str(&text), mac, err));
    gy_hex(mac, sizeof mac, ret);
    return GY_OK;
}

static bool is_host(struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && !(c && strchr(".-:[]_", c))) {
            return false;
        }
    }
    return s.n > 0 && s.n <= MAX_HOST;
}

/* "https://host:port" as the client reached us, through a proxy that says so or directly; false
 * when that can not be known. */
static bool base_of(const struct gy_app *app, struct gy_request *req, struct gy_buf *out)
{
    struct gy_str host = gy_req_header(req, "X-Forwarded-Host"),
                  proto = gy_req_header(req, "X-Forwarded-Proto");
    host = host.n > 0 ? host : gy_req_header(req, "Host");
    if (req->peer == GY_PEER_UNIX || !is_host(host)) {
        return false;
    }
    bool tls = proto.n > 0 ? gy_str_ieq(proto, GY_STR("https"))
                           : app->server && gy_server_has_tls(app->server);
    gy_buf_addc(out, tls ? "https://" : "http://");
    gy_buf_add(out, host);
    return true;
}

static const char *unsupported = "Multipart upload is not supported for the current artifact "
                                 "repository";

/* ---- create ---- */

struct creation {
    struct gy_str path, actor;
    int64_t n_parts;
    struct place place;
    char id[GY_UPLOAD_ID], key[GY_UPLOAD_KEY];
};

/* The artifact that a client's file becomes in a folder: by its last name, whatever the system. */
static gy_status target_of(struct gy_mf_call *c, struct gy_str *ret, struct gy_err *err)
{
    struct gy_str file, folder, name;
    GY_TRY(GY_MF_STR(c, "path", GY_MF_REQUIRED, &file));
    GY_TRY(gy_artifact_clean_path(gy_req_param(c->req, "path"), c->arena, &folder, err));
    name = file;
    for (size_t i = 0; i < file.n; i++) {
        if (file.p[i] == '/' || file.p[i] == '\\') {
            name = gy_str_sub(file, i + 1, SIZE_MAX);
        }
    }
    GY_TRY(gy_artifact_clean_path(name, c->arena, &name, err));
    if (name.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "Invalid path");
    }
    *ret = gy_artifact_join(folder, name, c->arena);
    return ret->p ? GY_OK : gy_track_nomem(err);
}

static gy_status parse_create(struct gy_mf_call *c, struct gy_err *err)
{
    struct creation *x = c->in = gy_arena_calloc(c->arena, 1, sizeof *x);
    if (!x) {
        return gy_track_nomem(err);
    }
    x->actor = c->req->actor;
    GY_TRY(gy_mf_i64(c->args, NULL, "num_parts", GY_MF_OPTIONAL, 1, &x->n_parts, err));
    return target_of(c, &x->path, err);
}

static gy_status run_create(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct creation *x = c->in;
    struct gy_upload_row row;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf base;
    gy_buf_init(&base, 16 * GY_KIB);
    GY_TRY(gy_upload_key(db, x->key, err));
    GY_TRY(gy_upload_create(db, x->path, x->n_parts, x->actor, x->id, err));
    GY_TRY(gy_upload_get(db, gy_str_c(x->id), c->arena, &row, err));
    (void)base_of(c->app, c->req, &base); /* h_create has asked */
    gy_buf_add(&base, gy_str_sub(c->req->path, 0, gy_str_find_str(c->req->path, GY_STR("/mpu/"))));
    gy_buf_addf(&base, "/mpu/part/%s/", x->id);
    struct gy_str ws = gy_db_workspace(db);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf query;
    gy_buf_init(&query, 16 * GY_KIB);
    gy_buf_addc(&query, "?workspace=");
    gy_url_encode(&query, ws, false);
    gy_buf_addf(&query, "&expires=%lld&signature=", (long long)row.expires_us);
    GY_TRY(gy_buf_check(&base, "an address", err));
    GY_TRY(gy_buf_check(&query, "an address", err));
    gy_jw_obj(&c->w);
    gy_jw_kv_strc(&c->w, "upload_id", x->id);
    gy_jw_key(&c->w, "credentials");
    gy_jw_arr(&c->w);
    for (int64_t part = 1; part <= x->n_parts; part++) {
        char signature[GY_SHA256_HEX];
        struct place p = {ws, gy_str_c(x->id), part, row.expires_us};
        GY_TRY(sign(x->key, &p, signature, err));
        gy_jw_obj(&c->w);
        gy_jw_key(&c->w, "url");
        gy_jw_strf(&c->w, "%s%lld%s%s", base.p, (long long)part, query.p, signature);
        gy_jw_kv_i64(&c->w, "part_number", part);
        gy_jw_key(&c->w, "headers");
        gy_jw_obj(&c->w);
        gy_jw_obj_end(&c->w);
        gy_jw_obj_end(&c->w);
    }
    gy_jw_arr_end(&c->w);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static const struct gy_mf_op op_create = {parse_create, run_create, true};

static gy_status h_create(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf base;
    gy_buf_init(&base, 16 * GY_KIB);
    if (!base_of(ctx, req, &base)) { /* the client then sends the file in one piece */
        return gy_mf_send_error(reply, 501, "NOT_IMPLEMENTED", gy_str_c(unsupported), err);
    }
    gy_mf_clean_uploads(ctx);
    return gy_mf_handle(ctx, req, reply, &op_create, err);
}

/* ---- parts ---- */

/* A part's bytes behind the line that says which part it is. */
struct part_reader {
    struct gy_reader reader;
    struct gy_reader *inner;
    char prefix[80];
    size_t prefix_at;
};

static gy_status read_part(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                           struct gy_err *err)
{
    struct part_reader *r = (struct part_reader *)self;
    size_t left = PREFIX_BYTES - r->prefix_at;
    if (left > 0) {
        *ret_n = n < left ? n : left;
        memcpy(buf, r->prefix + r->prefix_at, *ret_n);
        r->prefix_at += *ret_n;
        return GY_OK;
    }
    return r->inner->read(r->inner, buf, n, ret_n, err);
}

static gy_status next_of_part(struct gy_reader *self, struct gy_str *ret_bytes, struct gy_err *err)
{
    struct part_reader *r = (struct part_reader *)self;
    if (r->prefix_at < PREFIX_BYTES) {
        *ret_bytes = gy_str_n(r->prefix + r->prefix_at, PREFIX_BYTES - r->prefix_at);
        r->prefix_at = PREFIX_BYTES;
        return GY_OK;
    }
    return r->inner->next(r->inner, ret_bytes, err);
}

struct arrival {
    struct place place;
    char key[GY_UPLOAD_KEY], sha256[GY_SHA256_HEX];
    int64_t size;
};

static gy_status get_key(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_upload_read_key(db, ((struct arrival *)ctx)->key, err);
}

static gy_status note_part(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct arrival *x = ctx;
    return gy_upload_add_part(db, x->place.id, x->place.part, gy_str_c(x->sha256), x->size, err);
}

static gy_status check_place(struct gy_app *app, struct gy_request *req, struct arrival *x,
                             struct gy_err *err)
{
    char wanted[GY_SHA256_HEX];
    struct gy_str signature = gy_req_query(req, "signature");
    x->place.id = gy_req_param(req, "id");
    x->place.workspace = gy_req_query(req, "workspace");
    if (gy_parse_i64(gy_req_param(req, "part"), 1, GY_UPLOAD_MAX_PARTS, &x->place.part, NULL) !=
            GY_OK ||
        gy_parse_i64(gy_req_query(req, "expires"), 0, INT64_MAX, &x->place.expires_us, NULL) !=
            GY_OK ||
        x->place.id.n != GY_UPLOAD_ID - 1 || signature.n != GY_SHA256_HEX - 1) {
        return gy_err_set(err, GY_E_DENIED, "this is not the address of a part");
    }
    GY_TRY(gy_store_read(app->store, get_key, x, err));
    GY_TRY(sign(x->key, &x->place, wanted, err));
    if (!gy_equal_secret(wanted, signature.p, signature.n)) {
        return gy_err_set(err, GY_E_DENIED, "this is not the address of a part");
    }
    return x->place.expires_us > gy_now_us()
               ? GY_OK
               : gy_err_set(err, GY_E_DENIED, "the address of this part has expired");
}

static gy_status store_part(struct gy_app *app, struct gy_request *req, struct arrival *x,
                            struct gy_err *err)
{
    struct gy_mem_reader empty;
    struct part_reader r = {.reader = {read_part, -1},
                            .inner =
                                req->body ? req->body : gy_mem_reader_init(&empty, GY_STR(""))};
    r.reader.next = r.inner->next ? next_of_part : NULL;
    int n = snprintf(r.prefix, sizeof r.prefix, PREFIX, x->place.id.p, (long long)x->place.part);
    GY_REQUIRE(n == PREFIX_BYTES);
    GY_TRY(gy_objects_put_reader(app->objects, &r.reader, GY_ARTIFACT_MAX_BYTES, x->sha256,
                                 &x->size, err));
    x->size -= PREFIX_BYTES;
    gy_status status = gy_store_write(app->store, note_part, x, err);
    if (status == GY_E_NOTFOUND || status == GY_E_CONFLICT || status == GY_E_TOOBIG) {
        struct gy_err kept = GY_ERR_INIT;
        if (gy_objects_remove(app->objects, x->sha256, &kept) != GY_OK) { /* `gyre gc` finds it */
            gy_log_err(GY_LOG_WARN, "artifacts", "a refused part could not be removed", &kept);
        }
    }
    return status;
}

/* Whose part this is, the signature says, not the request: it comes without a login. */
static gy_status h_part(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    struct arrival x = {.size = 0};
    GY_TRY(check_place(ctx, req, &x, err));
    struct gy_scope scope = {.workspace = x.place.workspace, .actor = req->actor};
    gy_scope_enter(&scope);
    gy_status status = store_part(ctx, req, &x, err);
    gy_scope_leave(&scope);
    GY_TRY(status);
    char etag[GY_SHA256_HEX + 2];
    (void)snprintf(etag, sizeof etag, "\"%s\"", x.sha256);
    struct gy_header header = {GY_STR("ETag"), gy_str_c(etag)};
    GY_TRY(gy_reply_begin(reply, 200, &header, 1, 0, err));
    return gy_reply_end(reply, err);
}

/* ---- complete, abort ---- */

struct ending {
    struct gy_str path, id, actor;
    struct gy_upload_part *parts; /* by number - 1; a part without sha256 was not named */
    size_t n_parts;
    bool done; /* it was completed before */
    char sha256[GY_SHA256_HEX];
    int64_t size;
};

static gy_status parse_ending(struct gy_mf_call *c, struct gy_err *err)
{
    struct ending *x = c->in = gy_arena_calloc(c->arena, 1, sizeof *x);
    if (!x) {
        return gy_track_nomem(err);
    }
    x->actor = c->req->actor;
    GY_TRY(GY_MF_STR(c, "upload_id", GY_MF_REQUIRED, &x->id));
    return target_of(c, &x->path, err);
}

static gy_status parse_part(struct ending *x, yyjson_val *v, size_t i, struct gy_err *err)
{
    char at[40];
    int64_t number = 0;
    struct gy_str etag;
    (void)snprintf(at, sizeof at, "parts[%zu]", i);
    if (!yyjson_is_obj(v)) {
        return gy_err_set(err, GY_E_INVALID, "Invalid value for parameter '%s' supplied.", at);
    }
    GY_TRY(gy_mf_i64(v, at, "part_number", GY_MF_REQUIRED, 0, &number, err));
    GY_TRY(gy_mf_str(v, at, "etag", GY_MF_REQUIRED, &etag, err));
    if (number < 1 || number > (int64_t)x->n_parts || x->parts[number - 1].sha256.p) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid value %lld for parameter '%s.part_number' supplied: %zu parts, "
                          "each once",
                          (long long)number, at, x->n_parts);
    }
    if (etag.n >= 2 && etag.p[0] == '"' && etag.p[etag.n - 1] == '"') {
        etag = gy_str_sub(etag, 1, etag.n - 2);
    }
    x->parts[number - 1] = (struct gy_upload_part){x->id, etag, number, 0};
    return GY_OK;
}

static gy_status parse_complete(struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_mf_list l;
    GY_TRY(parse_ending(c, err));
    struct ending *x = c->in;
    GY_TRY(gy_mf_list(c, c->args, "parts", GY_UPLOAD_MAX_PARTS, &l, err));
    if (l.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "Missing value for required parameter 'parts'.");
    }
    x->n_parts = l.n;
    x->parts = gy_arena_calloc(c->arena, l.n, sizeof *x->parts);
    if (!x->parts) {
        return gy_track_nomem(err);
    }
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(l.arr, i, n, v)
    {
        GY_TRY(parse_part(x, v, i, err));
    }
    return GY_OK;
}

/* The upload that was named, and for the artifact that was named. */
static gy_status get_upload(struct gy_db *db, struct gy_mf_call *c, struct gy_upload_row *ret,
                            struct gy_err *err)
{
    struct ending *x = c->in;
    GY_TRY(gy_upload_get(db, x->id, c->arena, ret, err));
    return gy_str_eq(ret->path, x->path)
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "the upload is for artifact '%" GY_STR_F "'",
                            GY_STR_A(gy_str_sub(ret->path, 0, 300)));
}

static gy_status run_complete(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct ending *x = c->in;
    struct gy_upload_row row;
    GY_TRY(get_upload(db, c, &row, err));
    x->done = row.state == GY_UPLOAD_COMPLETED;
    if (x->done) {
        return GY_OK;
    }
    if (row.state == GY_UPLOAD_ABORTED) {
        return gy_err_set(err, GY_E_CONFLICT, "the upload was aborted, or has expired");
    }
    if ((int64_t)x->n_parts != row.n_parts) {
        return gy_err_set(err, GY_E_INVALID, "%zu parts of the %lld that were announced",
                          x->n_parts, (long long)row.n_parts);
    }
    for (size_t i = 0; i < x->n_parts; i++) {
        GY_TRY(gy_upload_find_part(db, x->id, (int64_t)i + 1, x->parts[i].sha256,
                                   &x->parts[i].size_bytes, err));
    }
    return GY_OK;
}

/* The parts one after the other. */
struct join_reader {
    struct gy_reader reader;
    struct gy_objects *objects;
    const struct ending *x;
    size_t i; /* the part being read */
    int fd;   /* -1: not open */
    int64_t left;
};

static gy_status skip_prefix(int fd, struct gy_err *err)
{
    char prefix[PREFIX_BYTES];
    size_t n = 0;
    while (n < sizeof prefix) {
        ssize_t got = read(fd, prefix + n, sizeof prefix - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return gy_err_set(err, GY_E_CORRUPT, "a part is cut short");
        }
        n += (size_t)got;
    }
    return GY_OK;
}

static gy_status open_part(struct join_reader *r, struct gy_err *err)
{
    const struct gy_upload_part *p = &r->x->parts[r->i];
    char sha256[GY_SHA256_HEX];
    int64_t size = 0;
    (void)snprintf(sha256, sizeof sha256, "%" GY_STR_F, GY_STR_A(p->sha256));
    GY_TRY(gy_objects_open_fd(r->objects, sha256, &r->fd, &size, err));
    r->left = p->size_bytes;
    if (size != p->size_bytes + PREFIX_BYTES) {
        return gy_err_set(err, GY_E_CORRUPT, "part %zu has %lld bytes instead of %lld", r->i + 1,
                          (long long)(size - PREFIX_BYTES), (long long)p->size_bytes);
    }
    return skip_prefix(r->fd, err);
}

static void close_part(struct join_reader *r)
{
    if (r->fd >= 0) {
        (void)close(r->fd); /* only read from */
    }
    r->fd = -1;
}

static gy_status read_joined(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                             struct gy_err *err)
{
    struct join_reader *r = (struct join_reader *)self;
    *ret_n = 0;
    while (r->i < r->x->n_parts) {
        if (r->fd < 0) {
            GY_TRY(open_part(r, err));
        }
        if (r->left == 0) {
            close_part(r);
            r->i++;
            continue;
        }
        ssize_t got = read(r->fd, buf, (int64_t)n < r->left ? n : (size_t)r->left);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? gy_err_sys(err, errno, "reading part %zu", r->i + 1)
                           : gy_err_set(err, GY_E_CORRUPT, "part %zu is cut short", r->i + 1);
        }
        r->left -= got;
        *ret_n = (size_t)got;
        return GY_OK;
    }
    return GY_OK;
}

static gy_status finish(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct ending *x = ctx;
    return gy_upload_complete(db, x->id, gy_str_c(x->sha256), x->size, x->actor, err);
}

static gy_status check_parts(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return run_complete(db, ctx, err);
}

static gy_status complete(struct gy_app *app, struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_complete(c, err));
    struct ending *x = c->in;
    GY_TRY(gy_store_read(app->store, check_parts, c, err));
    if (x->done) {
        return GY_OK;
    }
    struct join_reader r = {.reader = {read_joined, -1}, .objects = app->objects, .x = x, .fd = -1};
    gy_status status = gy_objects_put_reader(app->objects, &r.reader, GY_ARTIFACT_MAX_BYTES,
                                             x->sha256, &x->size, err);
    close_part(&r);
    GY_TRY(status);
    return gy_store_write(app->store, finish, x, err);
}

static gy_status run_abort(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gy_mf_call *c = ctx;
    struct gy_upload_row row;
    GY_TRY(get_upload(db, c, &row, err));
    return gy_upload_abort(db, ((struct ending *)c->in)->id, err);
}

static gy_status give_up(struct gy_app *app, struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_ending(c, err));
    return gy_store_write(app->store, run_abort, c, err);
}

/* The space of the parts is free again when the answer comes. */
static gy_status handle_end(struct gy_app *app, struct gy_request *req, struct gy_reply *reply,
                            gy_status (*fn)(struct gy_app *, struct gy_mf_call *, struct gy_err *),
                            struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_mf_call c = {.app = app, .req = req, .arena = req->arena};
    GY_TRY(gy_mf_args(req, req->arena, &doc, &c.from_query, err));
    c.args = doc ? yyjson_doc_get_root(doc) : NULL;
    GY_TRY(fn(app, &c, err));
    gy_mf_clean_uploads(app);
    return gy_reply_send(reply, 200, "application/json", GY_STR("{}"), err);
}

static gy_status h_complete(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    return handle_end(ctx, req, reply, complete, err);
}

static gy_status h_abort(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    return handle_end(ctx, req, reply, give_up, err);
}

/* ---- what uploads leave behind ---- */

struct cleaning {
    struct gy_arena arena;
    struct gy_upload_part *parts;
    size_t n;
};

static gy_status find_dead(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct cleaning *x = ctx;
    gy_arena_reset(&x->arena);
    return gy_upload_dead_parts(db, CLEAN_STEP, &x->arena, &x->parts, &x->n, err);
}

static gy_status drop_dead(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct cleaning *x = ctx;
    return gy_upload_drop(db, x->parts, x->n, err);
}

static gy_status clean(struct gy_app *app, struct cleaning *x, struct gy_err *err)
{
    do {
        GY_TRY(gy_store_read(app->store, find_dead, x, err));
        for (size_t i = 0; i < x->n; i++) {
            const char *sha256 = gy_arena_strdup(&x->arena, x->parts[i].sha256);
            if (!sha256) {
                return gy_track_nomem(err);
            }
            GY_TRY(gy_objects_remove(app->objects, sha256, err));
        }
        if (x->n > 0) {
            GY_TRY(gy_store_write(app->store, drop_dead, x, err));
        }
    } while (x->n == CLEAN_STEP);
    return GY_OK;
}

void gy_mf_clean_uploads(struct gy_app *app)
{
    struct cleaning x = {.n = 0};
    struct gy_err err = GY_ERR_INIT;
    gy_arena_init(&x.arena, GY_MIB);
    if (clean(app, &x, &err) != GY_OK) { /* the next one tries again */
        gy_log_err(GY_LOG_WARN, "artifacts", "parts of uploads could not be removed", &err);
    }
    gy_arena_done(&x.arena);
}

/* The client falls back to a download in one piece when it reads this. */
static gy_status h_presigned(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    (void)ctx;
    (void)req;
    return gy_mf_send_error(reply, 501, "NOT_IMPLEMENTED",
                            GY_STR("Multipart download is not supported for the current artifact "
                                   "repository"),
                            err);
}

#define MPU(prefix)                                                                           \
    {"POST",                                                                                  \
     prefix "/mlflow-artifacts/mpu/create/{path*}",                                           \
     h_create,                                                                                \
     gy_mf_error,                                                                             \
     0,                                                                                       \
     "Begin an upload in parts",                                                              \
     GY_ACCESS_DEFAULT,                                                                       \
     GY_ROUTE_SCOPED},                                                                        \
        {"PUT",                                                                               \
         prefix "/mlflow-artifacts/mpu/part/{id}/{part}",                                     \
         h_part,                                                                              \
         gy_mf_error,                                                                         \
         SIZE_MAX,                                                                            \
         "Send a part (to the signed address that create gave)",                              \
         GY_ACCESS_PUBLIC,                                                                    \
         GY_ROUTE_SCOPED | GY_ROUTE_BULK},                                                    \
        {"POST",                                                                              \
         prefix "/mlflow-artifacts/mpu/complete/{path*}",                                     \
         h_complete,                                                                          \
         gy_mf_error,                                                                         \
         0,                                                                                   \
         "Make an artifact of parts",                                                         \
         GY_ACCESS_DEFAULT,                                                                   \
         GY_ROUTE_SCOPED},                                                                    \
        {"POST",                                                                              \
         prefix "/mlflow-artifacts/mpu/abort/{path*}",                                        \
         h_abort,                                                                             \
         gy_mf_error,                                                                         \
         0,                                                                                   \
         "Give an upload up",                                                                 \
         GY_ACCESS_DEFAULT,                                                                   \
         GY_ROUTE_SCOPED},                                                                    \
    {                                                                                         \
        "GET", prefix "/mlflow-artifacts/presigned/{path*}", h_presigned, gy_mf_error, 0,     \
            "A download past this server (not supported)", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED \
    }

static const struct gy_route g_routes[] = {
    MPU("/api/2.0"),
    MPU("/ajax-api/2.0"),
    MPU("/api/3.0"),
    MPU("/ajax-api/3.0"),
};

gy_status gy_mf_add_uploads(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
