/* SPDX-License-Identifier: Apache-2.0 */
#include "net/file_answer.h"

#include <unistd.h>

#include "base/limits.h"
#include "net/http_cond.h"

#define MAX_HEADERS 10

/* ---- the attachment's name ---- */

static bool is_token(struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && !(c && strchr("!#$&+-.^_`|~", c))) {
            return false;
        }
    }
    return s.n > 0;
}

void gy_attachment(struct gy_buf *out, struct gy_str name)
{
    gy_buf_addc(out, "attachment; filename=");
    if (is_token(name)) {
        gy_buf_add(out, name);
        return;
    }
    bool plain = true;
    gy_buf_addc(out, "\"");
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        /* Quotes, backslashes and escapes are read in different ways by different clients. */
        bool fits = c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '%';
        plain = plain && fits;
        gy_buf_add_bytes(out, fits ? &name.p[i] : "_", 1);
    }
    gy_buf_addc(out, "\"");
    if (!plain) {
        gy_buf_addc(out, "; filename*=UTF-8''");
        gy_url_encode(out, name, false);
    }
}

/* ---- the answer ---- */

/* What an answer is made of. */
struct plan {
    int status;
    int64_t first, n;
    bool gzip;
    struct gy_header headers[MAX_HEADERS];
    size_t n_headers;
};

static void add(struct plan *p, const char *name, struct gy_str value)
{
    GY_REQUIRE(p->n_headers < MAX_HEADERS);
    p->headers[p->n_headers++] = (struct gy_header){gy_str_c(name), value};
}

static bool is_text(struct gy_str type)
{
    return gy_str_starts(type, GY_STR("text/")) || gy_str_starts(type, GY_STR("image/svg")) ||
           gy_str_starts(type, GY_STR("application/json"));
}

/* Both forms of the file are "the one I have" to a client; each has its own tag. */
static bool names_file(struct gy_str list, struct gy_str etag, struct gy_str packed, bool weak)
{
    return gy_etag_in(list, etag, weak) || gy_etag_in(list, packed, weak);
}

static void choose(struct gy_request *req, const struct gy_file_answer *f, struct gy_str packed,
                   struct plan *p)
{
    struct gy_str match = gy_req_header(req, "If-Match"),
                  none = gy_req_header(req, "If-None-Match"),
                  only_if = gy_req_header(req, "If-Range"), range = gy_req_header(req, "Range");
    bool is_head = gy_str_eqc(req->method, "HEAD"); /* which is asked for the size */
    *p = (struct plan){.status = 200, .n = f->size_bytes};
    if (match.p && !names_file(match, f->etag, packed, false)) {
        p->status = 412;
        return;
    }
    p->gzip = !is_head && !range.p && is_text(f->content_type) &&
              f->size_bytes >= GY_GZIP_MIN_BYTES && f->size_bytes <= GY_GZIP_MAX_BYTES &&
              gy_accepts_gzip(gy_req_header(req, "Accept-Encoding"));
    if (none.p && names_file(none, f->etag, packed, true)) {
        p->status = 304;
        return;
    }
    if (is_head || (only_if.p && !gy_etag_in(only_if, f->etag, false))) {
        return; /* RFC 9110, 14.2: Range is for GET alone */
    }
    switch (gy_range_parse(range, f->size_bytes, &p->first, &p->n)) {
    case GY_RANGE_WHOLE:
        break;
    case GY_RANGE_PART:
        p->status = 206;
        break;
    case GY_RANGE_BEYOND:
        p->status = 416;
        break;
    }
}

static gy_status describe(struct gy_request *req, const struct gy_file_answer *f,
                          struct gy_str packed, struct plan *p, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf name;
    gy_buf_init(&name, 16 * GY_KIB);
    gy_attachment(&name, f->name);
    GY_TRY(gy_buf_check(&name, "a file name", err));
    struct gy_str etag = p->gzip ? packed : f->etag;
    const char *quoted = gy_arena_printf(req->arena, "\"%" GY_STR_F "\"", GY_STR_A(etag));
    struct gy_str attachment = gy_arena_str(req->arena, gy_buf_str(&name));
    const char *range = "";
    if (p->status == 206) {
        range = gy_arena_printf(req->arena, "bytes %lld-%lld/%lld", (long long)p->first,
                                (long long)(p->first + p->n - 1), (long long)f->size_bytes);
    } else if (p->status == 416) {
        range = gy_arena_printf(req->arena, "bytes */%lld", (long long)f->size_bytes);
    }
    if (!quoted || !attachment.p || !range) {
        return gy_err_set(err, GY_E_NOMEM, "sending a file");
    }
    add(p, "ETag", gy_str_c(quoted));
    add(p, "Cache-Control", GY_STR("no-cache")); /* ask again: the name may get other bytes */
    add(p, "Accept-Ranges", GY_STR("bytes"));
    if (is_text(f->content_type)) {
        add(p, "Vary", GY_STR("Accept-Encoding"));
    }
    if (p->status == 200 || p->status == 206) {
        add(p, "Content-Type", f->content_type);
        add(p, "Content-Disposition", attachment);
        add(p, "X-Content-Type-Options", GY_STR("nosniff"));
    }
    if (p->gzip && p->status == 200) {
        add(p, "Content-Encoding", GY_STR("gzip"));
    }
    if (range[0]) {
        add(p, "Content-Range", gy_str_c(range));
    }
    return GY_OK;
}

static gy_status open_file(const struct gy_file_answer *f, int *ret_fd, struct gy_err *err)
{
    int64_t size = 0;
    GY_TRY(f->open(f->ctx, ret_fd, &size, err));
    if (size == f->size_bytes) {
        return GY_OK;
    }
    (void)close(*ret_fd); /* only read from */
    return gy_err_set(err, GY_E_CORRUPT, "the file has %lld bytes instead of %lld", (long long)size,
                      (long long)f->size_bytes);
}

static gy_status send_packed(struct gy_reply *reply, const struct plan *p, int fd, int64_t size,
                             struct gy_err *err)
{
    GY_TRY(gy_reply_begin(reply, 200, p->headers, p->n_headers, -1, err));
    return gy_gzip_body(reply, fd, size, err);
}

static gy_status send_plain(struct gy_reply *reply, const struct plan *p, int fd,
                            struct gy_err *err)
{
    gy_status status = gy_reply_begin(reply, p->status, p->headers, p->n_headers, p->n, err);
    if (status != GY_OK) {
        (void)close(fd); /* only read from */
        return status;
    }
    GY_TRY(gy_reply_send_file(reply, fd, p->first, p->n, err));
    return gy_reply_end(reply, err);
}

gy_status gy_file_answer(struct gy_request *req, struct gy_reply *reply,
                         const struct gy_file_answer *f, struct gy_err *err)
{
    struct plan p;
    int fd = -1;
    const char *packed = gy_arena_printf(req->arena, "%" GY_STR_F "-gzip", GY_STR_A(f->etag));
    if (!packed) {
        return gy_err_set(err, GY_E_NOMEM, "sending a file");
    }
    choose(req, f, gy_str_c(packed), &p);
    GY_TRY(describe(req, f, gy_str_c(packed), &p, err));
    bool is_head = gy_str_eqc(req->method, "HEAD");
    if (is_head || (p.status != 200 && p.status != 206)) {
        int64_t n = is_head && p.status == 200 ? p.n : 0;
        GY_TRY(gy_reply_begin(reply, p.status, p.headers, p.n_headers, n, err));
        return gy_reply_end(reply, err);
    }
    GY_TRY(open_file(f, &fd, err));
    if (!p.gzip) {
        return send_plain(reply, &p, fd, err);
    }
    gy_status status = send_packed(reply, &p, fd, f->size_bytes, err);
    (void)close(fd); /* only read from */
    return status;
}
