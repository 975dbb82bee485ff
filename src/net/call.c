/* SPDX-License-Identifier: Apache-2.0 */
#include "net/call.h"

#include <errno.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#define FILE_PIECE ((int64_t)(64 * GY_KIB))

enum { READ_STEP = 16 * 1024 };

/* ---- replies ---- */

gy_status gy_reply_begin(struct gy_reply *r, int status, const struct gy_header *headers,
                         size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    GY_REQUIRE(!r->begun && !r->ended);
    r->begun = true; /* even when it fails: what has left can not be taken back */
    return r->ops->begin(r, status, headers, n_headers, body_bytes, err);
}

gy_status gy_reply_write(struct gy_reply *r, struct gy_str bytes, struct gy_err *err)
{
    GY_REQUIRE(r->begun && !r->ended);
    return bytes.n ? r->ops->write(r, bytes, err) : GY_OK;
}

gy_status gy_reply_end(struct gy_reply *r, struct gy_err *err)
{
    GY_REQUIRE(r->begun && !r->ended);
    r->ended = true;
    return r->ops->end(r, err);
}

static gy_status copy_file(struct gy_reply *r, int fd, int64_t at, int64_t n, struct gy_err *err)
{
    GY_AUTO(gy_free) char *piece = gy_malloc(FILE_PIECE);
    if (!piece) {
        return gy_err_set(err, GY_E_NOMEM, "sending a file");
    }
    while (n > 0) {
        ssize_t got = pread(fd, piece, n < FILE_PIECE ? (size_t)n : FILE_PIECE, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return gy_err_sys(err, errno, "sending a file");
        }
        if (got == 0) {
            return gy_err_set(err, GY_E_CORRUPT, "the file ends %lld bytes too early",
                              (long long)n);
        }
        GY_TRY(gy_reply_write(r, gy_str_n(piece, (size_t)got), err));
        at += got;
        n -= got;
    }
    return GY_OK;
}

gy_status gy_reply_copy_file(struct gy_reply *r, int fd, int64_t offset, int64_t n_bytes,
                             struct gy_err *err)
{
    gy_status status = copy_file(r, fd, offset, n_bytes, err);
    (void)close(fd); /* only read from */
    return status;
}

gy_status gy_reply_send_file(struct gy_reply *r, int fd, int64_t offset, int64_t n_bytes,
                             struct gy_err *err)
{
    GY_REQUIRE(r->begun && !r->ended);
    return r->ops->send_file ? r->ops->send_file(r, fd, offset, n_bytes, err)
                             : gy_reply_copy_file(r, fd, offset, n_bytes, err);
}

gy_status gy_reply_send(struct gy_reply *r, int status, const char *content_type,
                        struct gy_str body, struct gy_err *err)
{
    struct gy_header type = {GY_STR("Content-Type"), gy_str_c(content_type)};
    GY_TRY(gy_reply_begin(r, status, &type, content_type ? 1 : 0, (int64_t)body.n, err));
    GY_TRY(gy_reply_write(r, body, err));
    return gy_reply_end(r, err);
}

gy_status gy_reply_json(struct gy_reply *r, int status, const struct gy_buf *json,
                        struct gy_err *err)
{
    GY_TRY(gy_buf_check(json, "the reply", err));
    return gy_reply_send(r, status, "application/json", gy_buf_str(json), err);
}

gy_status gy_reply_problem(struct gy_reply *r, const struct gy_err *failed, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_jw w;
    gy_buf_init(&b, 64 * GY_KIB);
    gy_jw_init(&w, &b);
    gy_jw_obj(&w);
    gy_jw_key(&w, "type");
    gy_jw_strf(&w, "urn:gyre:error:%s", gy_status_name(failed->code));
    gy_jw_kv_strc(&w, "title", gy_status_text(failed->code));
    gy_jw_kv_i64(&w, "status", gy_status_http(failed->code));
    gy_jw_kv_strc(&w, "detail", failed->msg);
    gy_jw_kv_strc(&w, "code", gy_status_name(failed->code));
    if (failed->hint[0]) {
        gy_jw_kv_strc(&w, "hint", failed->hint);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&b, "the reply", err));
    return gy_reply_send(r, gy_status_http(failed->code), "application/problem+json",
                         gy_buf_str(&b), err);
}

/* ---- callers ---- */

gy_status gy_call(struct gy_caller *c, struct gy_request *req, struct gy_reply *reply,
                  struct gy_err *err)
{
    return c->ops->call(c->self, req, reply, err);
}

void gy_caller_free(struct gy_caller *c)
{
    if (c) {
        if (c->ops->free) {
            c->ops->free(c->self);
        }
        gy_free(c);
    }
}

/* ---- what a request holds ---- */

static struct gy_str find_header(const struct gy_header *headers, size_t n, const char *name)
{
    struct gy_str wanted = gy_str_c(name);
    for (size_t i = 0; i < n; i++) {
        if (gy_str_ieq(headers[i].name, wanted)) {
            return headers[i].value;
        }
    }
    return GY_STR_NULL;
}

struct gy_str gy_req_header(const struct gy_request *r, const char *name)
{
    return find_header(r->headers, r->n_headers, name);
}

struct gy_str gy_req_param(const struct gy_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_params; i++) {
        if (gy_str_eqc(r->params[i].name, name)) {
            return r->params[i].value;
        }
    }
    return GY_STR_NULL;
}

struct gy_str gy_url_decode(struct gy_arena *a, struct gy_str s, bool plus_is_blank)
{
    bool plain = true;
    for (size_t i = 0; i < s.n && plain; i++) {
        plain = s.p[i] != '%' && !(plus_is_blank && s.p[i] == '+');
    }
    char *out = gy_arena_strdup(a, s);
    if (!out) {
        return GY_STR_NULL;
    }
    size_t n = s.n;
    if (!plain) {
        n = 0;
        for (size_t i = 0; i < s.n; i++) {
            char c = s.p[i];
            if (c == '%' && s.n - i > 2 && gy_hex_digit(s.p[i + 1]) >= 0 &&
                gy_hex_digit(s.p[i + 2]) >= 0) {
                c = (char)(gy_hex_digit(s.p[i + 1]) * 16 + gy_hex_digit(s.p[i + 2]));
                i += 2;
            } else if (c == '+' && plus_is_blank) {
                c = ' ';
            }
            out[n++] = c;
        }
        out[n] = '\0';
    }
    return gy_str_n(out, n);
}

void gy_url_encode(struct gy_buf *out, struct gy_str s, bool keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (unreserved || (keep_slash && c == '/')) {
            gy_buf_add_char(out, (char)c);
        } else {
            char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
            gy_buf_add_bytes(out, escape, sizeof escape);
        }
    }
}

size_t gy_req_query_all(const struct gy_request *r, const char *key, struct gy_str *out, size_t max)
{
    struct gy_str rest = r->query, pair, wanted = gy_str_c(key);
    size_t n = 0;
    while (n < max && gy_str_next(&rest, '&', &pair)) {
        struct gy_str name, value;
        if (!gy_str_cut(pair, '=', &name, &value)) {
            value = gy_str_sub(pair, pair.n, 0);
        }
        bool same = gy_str_eq(name, wanted);
        if (!same && (gy_str_find(name, '%') != SIZE_MAX || gy_str_find(name, '+') != SIZE_MAX)) {
            same = gy_str_eq(gy_url_decode(r->arena, name, true), wanted);
        }
        if (same) {
            out[n++] = gy_url_decode(r->arena, value, true);
        }
    }
    return n;
}

struct gy_str gy_req_query(const struct gy_request *r, const char *key)
{
    struct gy_str first = GY_STR_NULL;
    return gy_req_query_all(r, key, &first, 1) ? first : GY_STR_NULL;
}

gy_status gy_req_read_body(struct gy_request *r, struct gy_buf *buf, struct gy_err *err)
{
    if (!r->body) {
        return GY_OK;
    }
    size_t ceiling = buf->max_bytes - buf->n;
    bool known = r->body->size_bytes >= 0;
    if (known && (uint64_t)r->body->size_bytes > ceiling) {
        return gy_err_set(err, GY_E_TOOBIG, "the body has %lld bytes, %zu are the most",
                          (long long)r->body->size_bytes, ceiling);
    }
    size_t most = known ? (size_t)r->body->size_bytes : ceiling;
    for (size_t have = 0;;) {
        size_t room = most - have, n = 0;
        room = known || room < READ_STEP ? room : READ_STEP;
        char spill,
            *to = room ? gy_buf_reserve(buf, room) : &spill; /* full: only the end may come */
        if (!to) {
            return gy_buf_check(buf, "the body", err);
        }
        GY_TRY(r->body->read(r->body, to, room ? room : 1, &n, err));
        if (n == 0) {
            return GY_OK;
        }
        if (!room) {
            return gy_err_set(err, GY_E_TOOBIG, "the body has more than %zu bytes", most);
        }
        gy_buf_commit(buf, n);
        have += n;
    }
}

/* ---- collecting replies ---- */

enum { MAX_COLLECTED_HEADERS_BYTES = 1024 * 1024 };

static gy_status collect_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                               size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    struct gy_collect *c = (struct gy_collect *)self;
    c->status = status;
    c->n_headers = 0;
    c->headers = gy_arena_calloc(&c->arena, n_headers ? n_headers : 1, sizeof *c->headers);
    if (!c->headers) {
        return gy_err_set(err, GY_E_NOMEM, "collecting %zu headers", n_headers);
    }
    for (size_t i = 0; i < n_headers; i++) {
        struct gy_header h = {gy_arena_str(&c->arena, headers[i].name),
                              gy_arena_str(&c->arena, headers[i].value)};
        if (!h.name.p || (headers[i].value.p && !h.value.p)) {
            return gy_err_set(err, GY_E_NOMEM, "collecting %zu headers", n_headers);
        }
        c->headers[c->n_headers++] = h;
    }
    if (body_bytes > 0 && (uint64_t)body_bytes <= c->body.max_bytes) {
        (void)gy_buf_reserve(&c->body, (size_t)body_bytes); /* a failure shows in write */
    }
    return GY_OK;
}

static gy_status collect_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct gy_collect *c = (struct gy_collect *)self;
    gy_buf_add(&c->body, bytes);
    return gy_buf_check(&c->body, "the answer", err);
}

static gy_status collect_end(struct gy_reply *self, struct gy_err *err)
{
    (void)self;
    (void)err;
    return GY_OK;
}

static const struct gy_reply_ops collect_ops = {collect_begin, collect_write, collect_end};

void gy_collect_init(struct gy_collect *c, size_t max_body)
{
    *c = (struct gy_collect){.reply = {.ops = &collect_ops}};
    gy_buf_init(&c->body, max_body);
    gy_arena_init(&c->arena, MAX_COLLECTED_HEADERS_BYTES);
}

void gy_collect_reset(struct gy_collect *c)
{
    c->reply.begun = c->reply.ended = false;
    c->status = 0;
    c->headers = NULL;
    c->n_headers = 0;
    gy_buf_reset(&c->body);
    gy_arena_reset(&c->arena);
}

void gy_collect_done(struct gy_collect *c)
{
    if (c) {
        gy_buf_done(&c->body);
        gy_arena_done(&c->arena);
        c->headers = NULL;
        c->n_headers = 0;
    }
}

struct gy_str gy_collect_header(const struct gy_collect *c, const char *name)
{
    return find_header(c->headers, c->n_headers, name);
}

/* ---- readers ---- */

static gy_status mem_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                          struct gy_err *err)
{
    struct gy_mem_reader *m = (struct gy_mem_reader *)self;
    size_t take = n < m->rest.n ? n : m->rest.n;
    (void)err;
    if (take) {
        memcpy(buf, m->rest.p, take);
        m->rest = gy_str_n(m->rest.p + take, m->rest.n - take);
    }
    *ret_n = take;
    return GY_OK;
}

struct gy_reader *gy_mem_reader_init(struct gy_mem_reader *m, struct gy_str bytes)
{
    *m = (struct gy_mem_reader){{mem_read, (int64_t)bytes.n}, bytes};
    return &m->reader;
}

static gy_status fd_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                         struct gy_err *err)
{
    struct gy_fd_reader *f = (struct gy_fd_reader *)self;
    ssize_t got;
    do {
        got = read(f->fd, buf, n);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return gy_err_sys(err, errno, "reading the body from a file");
    }
    *ret_n = (size_t)got;
    return GY_OK;
}

struct gy_reader *gy_fd_reader_init(struct gy_fd_reader *f, int fd, int64_t size_bytes)
{
    *f = (struct gy_fd_reader){{fd_read, size_bytes}, fd};
    return &f->reader;
}

/* ---- HTTP status to ours ---- */

static const struct {
    int http;
    gy_status status; /* GY_OK: no error */
    const char *reason;
} g_http[] = {
    {100, GY_OK, "Continue"},
    {200, GY_OK, "OK"},
    {201, GY_OK, "Created"},
    {202, GY_OK, "Accepted"},
    {204, GY_OK, "No Content"},
    {206, GY_OK, "Partial Content"},
    {301, GY_OK, "Moved Permanently"},
    {302, GY_OK, "Found"},
    {303, GY_OK, "See Other"},
    {304, GY_OK, "Not Modified"},
    {307, GY_OK, "Temporary Redirect"},
    {308, GY_OK, "Permanent Redirect"},
    {400, GY_E_INVALID, "Bad Request"},
    {401, GY_E_UNAUTHENTICATED, "Unauthorized"},
    {403, GY_E_DENIED, "Forbidden"},
    {404, GY_E_NOTFOUND, "Not Found"},
    {405, GY_E_METHOD, "Method Not Allowed"},
    {406, GY_E_MEDIATYPE, "Not Acceptable"},
    {408, GY_E_TIMEOUT, "Request Timeout"},
    {409, GY_E_CONFLICT, "Conflict"},
    {410, GY_E_NOTFOUND, "Gone"},
    {411, GY_E_INVALID, "Length Required"},
    {412, GY_E_CONFLICT, "Precondition Failed"},
    {413, GY_E_TOOBIG, "Content Too Large"},
    {414, GY_E_TOOBIG, "URI Too Long"},
    {415, GY_E_MEDIATYPE, "Unsupported Media Type"},
    {416, GY_E_INVALID, "Range Not Satisfiable"},
    {417, GY_E_INVALID, "Expectation Failed"},
    {421, GY_E_DENIED, "Misdirected Request"},
    {422, GY_E_SCHEMA, "Unprocessable Content"},
    {429, GY_E_LIMITED, "Too Many Requests"},
    {431, GY_E_TOOBIG, "Request Header Fields Too Large"},
    {499, GY_E_CANCELLED, "Client Closed Request"},
    {500, GY_E_FAILED, "Internal Server Error"},
    {501, GY_E_UNSUPPORTED, "Not Implemented"},
    {502, GY_E_NETWORK, "Bad Gateway"},
    {503, GY_E_UNAVAILABLE, "Service Unavailable"},
    {504, GY_E_TIMEOUT, "Gateway Timeout"},
    {505, GY_E_UNSUPPORTED, "HTTP Version Not Supported"},
    {507, GY_E_NOSPACE, "Insufficient Storage"},
};

gy_status gy_status_from_http(int http)
{
    for (size_t i = 0; i < sizeof g_http / sizeof g_http[0]; i++) {
        if (g_http[i].http == http && g_http[i].status != GY_OK) {
            return g_http[i].status;
        }
    }
    return http >= 400 && http < 500 ? GY_E_INVALID : GY_E_FAILED;
}

const char *gy_http_reason(int http)
{
    for (size_t i = 0; i < sizeof g_http / sizeof g_http[0]; i++) {
        if (g_http[i].http == http) {
            return g_http[i].reason;
        }
    }
    return "";
}

/* ---- JSON calls ---- */

/* Codes of the MLflow REST API (mlflow/protos/databricks.proto) that mean something more exact than
 * their HTTP status. */
static gy_status from_mlflow_code(struct gy_str code, gy_status otherwise)
{
    static const struct {
        const char *code;
        gy_status status;
    } known[] = {
        {"RESOURCE_DOES_NOT_EXIST", GY_E_NOTFOUND}, {"NOT_FOUND", GY_E_NOTFOUND},
        {"ENDPOINT_NOT_FOUND", GY_E_NOTFOUND},      {"RESOURCE_ALREADY_EXISTS", GY_E_EXISTS},
        {"RESOURCE_CONFLICT", GY_E_CONFLICT},       {"INVALID_STATE", GY_E_CONFLICT},
        {"INVALID_PARAMETER_VALUE", GY_E_INVALID},  {"BAD_REQUEST", GY_E_INVALID},
        {"MALFORMED_REQUEST", GY_E_PARSE},          {"PERMISSION_DENIED", GY_E_DENIED},
        {"UNAUTHENTICATED", GY_E_UNAUTHENTICATED},  {"RESOURCE_LIMIT_EXCEEDED", GY_E_TOOBIG},
        {"REQUEST_LIMIT_EXCEEDED", GY_E_LIMITED},   {"TEMPORARILY_UNAVAILABLE", GY_E_UNAVAILABLE},
        {"NOT_IMPLEMENTED", GY_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (gy_str_eqc(code, known[i].code)) {
            return known[i].status;
        }
    }
    return otherwise;
}

gy_status gy_error_of_answer(int status, struct gy_str body, struct gy_err *err)
{
    gy_status code = gy_status_from_http(status);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_json_parse(body, &doc, NULL) == GY_OK) {
        yyjson_val *root = yyjson_doc_get_root(doc);
        struct gy_str detail = gy_json_str(root, "detail"), ours = gy_json_str(root, "code");
        struct gy_str mlflow = gy_json_str(root, "error_code"),
                      message = gy_json_str(root, "message");
        struct gy_str plain = gy_json_str(root, "error"), hint = gy_json_str(root, "hint");
        if (ours.p && detail.p) {
            gy_status named = gy_status_from_name(ours.p); /* yyjson strings end in NUL */
            code = named != GY_OK ? named : code;
            code = gy_err_set(err, code, "%" GY_STR_F, GY_STR_A(detail));
            return hint.n ? (gy_err_hint(err, "%" GY_STR_F, GY_STR_A(hint)), code) : code;
        }
        if (mlflow.p) {
            return gy_err_set(err, from_mlflow_code(mlflow, code), "%" GY_STR_F, GY_STR_A(message));
        }
        if (plain.n) {
            return gy_err_set(err, code, "%" GY_STR_F, GY_STR_A(plain));
        }
        if (detail.n) {
            return gy_err_set(err, code, "%" GY_STR_F, GY_STR_A(detail));
        }
    }
    return gy_err_set(err, code, "the server answered %d %s", status, gy_http_reason(status));
}

gy_status gy_call_body(struct gy_caller *c, const char *method, const char *path,
                       const char *content_type, struct gy_reader *body, struct gy_collect *out,
                       struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    struct gy_header headers[2] = {{GY_STR("Accept"), GY_STR("application/json")},
                                   {GY_STR("Content-Type"), gy_str_c(content_type)}};
    struct gy_request req = {.method = gy_str_c(method),
                             .headers = headers,
                             .n_headers = body ? 2 : 1,
                             .body = body,
                             .peer = GY_PEER_LOCAL,
                             .arena = &arena};
    gy_arena_init(&arena, GY_MAX_REQUEST_ARENA);
    (void)gy_str_cut(gy_str_c(path), '?', &req.path, &req.query);
    gy_collect_reset(out);
    GY_TRY(gy_call(c, &req, &out->reply, err));
    return out->status >= 400 ? gy_error_of_answer(out->status, gy_buf_str(&out->body), err)
                              : GY_OK;
}

gy_status gy_call_json(struct gy_caller *c, const char *method, const char *path,
                       struct gy_str body, struct gy_collect *out, struct gy_err *err)
{
    struct gy_mem_reader reader;
    return gy_call_body(c, method, path, "application/json",
                        body.p ? gy_mem_reader_init(&reader, body) : NULL, out, err);
}

/* ---- an answer that is passed on ---- */

static gy_status pass_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                            size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    (void)headers;
    (void)n_headers;
    (void)body_bytes;
    (void)err;
    ((struct gy_pass_reply *)(void *)self)->status = status;
    return GY_OK;
}

static gy_status pass_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct gy_pass_reply *p = (struct gy_pass_reply *)(void *)self;
    if (p->status < 400) {
        return p->pass(p->ctx, bytes, err);
    }
    struct gy_str head = gy_str_sub(bytes, 0, sizeof p->text - p->n_text);
    if (head.n > 0) {
        memcpy(p->text + p->n_text, head.p, head.n);
    }
    p->n_text += head.n;
    return GY_OK;
}

static gy_status pass_end(struct gy_reply *self, struct gy_err *err)
{
    (void)self;
    (void)err;
    return GY_OK;
}

void gy_pass_reply_init(struct gy_pass_reply *p,
                        gy_status (*pass)(void *ctx, struct gy_str bytes, struct gy_err *err),
                        void *ctx)
{
    static const struct gy_reply_ops ops = {pass_begin, pass_write, pass_end};
    *p = (struct gy_pass_reply){.reply = {.ops = &ops}, .pass = pass, .ctx = ctx};
}

gy_status gy_pass_reply_check(const struct gy_pass_reply *p, struct gy_err *err)
{
    return p->status < 400 ? GY_OK
                           : gy_error_of_answer(p->status, gy_str_n(p->text, p->n_text), err);
}
