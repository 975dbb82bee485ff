/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_parse.h"

#include <pthread.h>

#include "base/mem.h"

enum { FIRST_HEAD_BYTES = 1024 };

static int bad(struct gy_http_parser *p, int status, const char *text)
{
    if (!p->bad_status) {
        p->bad_status = status;
        p->bad_text = text;
    }
    return HPE_USER;
}

/* ---- gathering the head ---- */

static int grow(struct gy_http_parser *p, size_t n)
{
    size_t cap = p->cap ? p->cap : FIRST_HEAD_BYTES;
    while (cap < p->n + n) {
        cap *= 2;
    }
    char *bytes = gy_realloc(p->bytes, cap);
    if (!bytes) {
        return bad(p, 503, "out of memory");
    }
    p->bytes = bytes;
    p->cap = cap;
    return 0;
}

static int gather(struct gy_http_parser *p, struct gy_http_span *span, const char *at, size_t n,
                  int too_big)
{
    if (n > p->max_bytes || p->n > p->max_bytes - n) {
        return bad(p, too_big,
                   too_big == 414 ? "the request target is too long" : "the headers are too long");
    }
    if (p->cap - p->n < n) {
        int failed = grow(p, n);
        if (failed) {
            return failed;
        }
    }
    if (span->n == 0) {
        span->at = (uint32_t)p->n;
    }
    memcpy(p->bytes + p->n, at, n);
    p->n += n;
    span->n += (uint32_t)n;
    return 0;
}

static int on_message_begin(llhttp_t *ll)
{
    struct gy_http_parser *p = ll->data;
    p->n = 0;
    p->target = (struct gy_http_span){0, 0};
    p->head.n_headers = 0;
    p->head.method = p->head.path = p->head.query = GY_STR_NULL;
    p->extension_bytes = 0;
    p->in_value = p->in_body = false;
    p->begun = true;
    return 0;
}

static int on_url(llhttp_t *ll, const char *at, size_t n)
{
    struct gy_http_parser *p = ll->data;
    return gather(p, &p->target, at, n, 414);
}

static int on_header_field(llhttp_t *ll, const char *at, size_t n)
{
    struct gy_http_parser *p = ll->data;
    if (p->in_body) { /* trailers are bounded and dropped */
        p->n += n;
        return p->n > p->max_bytes ? bad(p, 431, "the trailers are too long") : 0;
    }
    if (p->in_value || p->head.n_headers == 0) {
        if (p->head.n_headers == GY_HTTP_MAX_HEADERS) {
            return bad(p, 431, "too many headers");
        }
        p->names[p->head.n_headers] = p->values[p->head.n_headers] = (struct gy_http_span){0, 0};
        p->head.n_headers++;
        p->in_value = false;
    }
    return gather(p, &p->names[p->head.n_headers - 1], at, n, 431);
}

static int on_header_value(llhttp_t *ll, const char *at, size_t n)
{
    struct gy_http_parser *p = ll->data;
    if (p->in_body) {
        p->n += n;
        return p->n > p->max_bytes ? bad(p, 431, "the trailers are too long") : 0;
    }
    return gather(p, &p->values[p->head.n_headers - 1], at, n, 431);
}

/* Also called for an empty value, for which there is no on_header_value. */
static int on_header_value_complete(llhttp_t *ll)
{
    struct gy_http_parser *p = ll->data;
    p->in_value = true;
    return 0;
}

static int on_chunk_extension(llhttp_t *ll, const char *at, size_t n)
{
    struct gy_http_parser *p = ll->data;
    (void)at;
    p->extension_bytes += n;
    return p->extension_bytes > GY_HTTP_MAX_EXTENSIONS ? bad(p, 400, "chunk extensions too long")
                                                       : 0;
}

/* ---- reading the head ---- */

static bool is_name(struct gy_str s, const char *lower, size_t n)
{
    if (s.n != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = s.p[i];
        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != lower[i]) {
            return false;
        }
    }
    return true;
}
#define IS(s, literal) is_name((s), (literal), sizeof(literal) - 1)

static struct gy_str fit_id(struct gy_str v)
{
    if (v.n == 0 || v.n > GY_HTTP_MAX_REQUEST_ID) {
        return GY_STR_NULL;
    }
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] <= ' ' || v.p[i] > '~') {
            return GY_STR_NULL;
        }
    }
    return v;
}

/* How often each came. Of who asks, and where, there must be one: a proxy in front that looks at
 * the last of two must not let pass what the first one says here. */
struct seen {
    int hosts, encodings, logins, workspaces;
};

/* Notes the headers that the server itself cares about. */
static int note(struct gy_http_parser *p, struct gy_header h, struct seen *seen)
{
    switch (h.name.n) {
    case 4:
        if (IS(h.name, "host")) {
            p->head.host = h.value;
            return ++seen->hosts > 1 ? bad(p, 400, "more than one Host") : 0;
        }
        break;
    case 6:
        if (IS(h.name, "expect")) {
            p->head.expects_continue = gy_str_ieq(h.value, GY_STR("100-continue"));
            return p->head.expects_continue ? 0 : bad(p, 417, "an Expect that is not known");
        }
        if (IS(h.name, "origin")) {
            p->head.origin = h.value;
        }
        break;
    case 12:
        if (IS(h.name, "x-request-id")) {
            p->head.request_id = fit_id(h.value);
        }
        break;
    case 13:
        if (IS(h.name, "authorization")) {
            return ++seen->logins > 1 ? bad(p, 400, "more than one Authorization") : 0;
        }
        break;
    case 17:
        if (IS(h.name, "transfer-encoding")) {
            if (++seen->encodings > 1 || p->head.http10) {
                return bad(p, 400, "a Transfer-Encoding that is not allowed here");
            }
            p->head.chunked = gy_str_ieq(h.value, GY_STR("chunked"));
            return p->head.chunked ? 0 : bad(p, 501, "only the transfer encoding chunked is known");
        }
        break;
    case 18:
        if (IS(h.name, "x-mlflow-workspace")) {
            return ++seen->workspaces > 1 ? bad(p, 400, "more than one X-MLFLOW-WORKSPACE") : 0;
        }
        break;
    default:
        break;
    }
    return 0;
}

/* "http://host/path?query" is "/path?query", its host the Host. */
static int split_target(struct gy_http_parser *p, struct gy_str target)
{
    static const struct gy_str scheme = {"http://", 7};
    if (gy_str_starts(target, scheme)) {
        struct gy_str rest = gy_str_sub(target, scheme.n, target.n);
        size_t end = 0;
        while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?') {
            end++;
        }
        p->head.host = gy_str_sub(rest, 0, end);
        target = gy_str_sub(rest, end, rest.n);
        if (target.n == 0 || target.p[0] != '/') {
            return bad(p, 400, "a request target without a path");
        }
    }
    if (target.n == 0 || (target.p[0] != '/' && !gy_str_eqc(target, "*"))) {
        return bad(p, 400, "a request target that is not a path");
    }
    if (gy_str_find(target, '#') != SIZE_MAX) {
        return bad(p, 400, "a fragment in the request target");
    }
    (void)gy_str_cut(target, '?', &p->head.path, &p->head.query);
    return 0;
}

static int read_head(struct gy_http_parser *p, llhttp_t *ll)
{
    struct gy_http_head *h = &p->head;
    struct seen seen = {0};
    h->http10 = ll->http_major == 1 && ll->http_minor == 0;
    if (ll->http_major != 1 || ll->http_minor > 1) {
        return bad(p, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    if (ll->method == HTTP_CONNECT) {
        return bad(p, 405, "this is no proxy");
    }
    h->method = gy_str_c(llhttp_method_name((llhttp_method_t)ll->method));
    h->content_length = ll->flags & F_CONTENT_LENGTH ? (int64_t)ll->content_length : -1;
    h->chunked = h->expects_continue = false;
    h->host = h->origin = h->request_id = h->query = GY_STR_NULL;
    for (size_t i = 0; i < h->n_headers; i++) {
        p->headers[i].name = gy_str_n(p->bytes + p->names[i].at, p->names[i].n);
        p->headers[i].value = gy_str_trim(gy_str_n(p->bytes + p->values[i].at, p->values[i].n));
        int failed = note(p, p->headers[i], &seen);
        if (failed) {
            return failed;
        }
    }
    h->headers = p->headers;
    if (ll->flags & F_CONTENT_LENGTH && ll->content_length > INT64_MAX) {
        return bad(p, 413, "a Content-Length beyond all bounds");
    }
    if (seen.encodings && h->content_length >= 0) {
        return bad(p, 400, "Content-Length beside Transfer-Encoding");
    }
    if (!seen.hosts && !h->http10) {
        return bad(p, 400, "the Host header is missing");
    }
    h->keep_alive = llhttp_should_keep_alive(ll);
    return split_target(p, gy_str_n(p->bytes + p->target.at, p->target.n));
}

static int on_headers_complete(llhttp_t *ll)
{
    struct gy_http_parser *p = ll->data;
    int failed = read_head(p, ll);
    if (failed) {
        return -1;
    }
    ll->upgrade = 0; /* an offer to speak something else is not taken: RFC 9110, 7.8 */
    p->in_body = true;
    p->n = 0;                                            /* from here on: trailer bytes */
    return p->hooks->on_head(p->ctx, &p->head) ? 0 : -1; /* -1 without a bad_status: stopped */
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
    struct gy_http_parser *p = ll->data;
    p->hooks->on_body(p->ctx, at, n);
    return 0;
}

static int on_message_complete(llhttp_t *ll)
{
    struct gy_http_parser *p = ll->data;
    p->begun = false;
    return HPE_PAUSED;
}

static llhttp_settings_t g_settings;
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

static void set_up(void)
{
    llhttp_settings_init(&g_settings);
    g_settings.on_message_begin = on_message_begin;
    g_settings.on_url = on_url;
    g_settings.on_header_field = on_header_field;
    g_settings.on_header_value = on_header_value;
    g_settings.on_header_value_complete = on_header_value_complete;
    g_settings.on_headers_complete = on_headers_complete;
    g_settings.on_body = on_body;
    g_settings.on_message_complete = on_message_complete;
    g_settings.on_chunk_extension_name = on_chunk_extension;
    g_settings.on_chunk_extension_value = on_chunk_extension;
}

/* ---- the outside ---- */

void gy_http_parser_init(struct gy_http_parser *p, size_t max_head_bytes,
                         const struct gy_http_hooks *hooks, void *ctx)
{
    (void)pthread_once(&g_once, set_up);
    memset(p, 0, sizeof *p);
    p->max_bytes = max_head_bytes;
    p->hooks = hooks;
    gy_http_parser_reset(p, ctx);
}

void gy_http_parser_reset(struct gy_http_parser *p, void *ctx)
{
    llhttp_init(&p->ll, HTTP_REQUEST, &g_settings);
    p->ll.data = p;
    p->ctx = ctx;
    p->n = 0;
    p->head.n_headers = 0;
    p->begun = p->in_value = p->in_body = false;
    p->bad_status = 0;
    p->bad_text = NULL;
}

void gy_http_parser_done(struct gy_http_parser *p)
{
    gy_free(p->bytes);
    p->bytes = NULL;
    p->n = p->cap = 0;
}

/* What llhttp refused, as an answer. */
static enum gy_http_event refuse(struct gy_http_parser *p, llhttp_errno_t code)
{
    switch ((int)code) {
    case HPE_INVALID_METHOD:
        bad(p, 400, "a method that is not known");
        break;
    case HPE_INVALID_VERSION:
        if (strstr(llhttp_get_error_reason(&p->ll), "CRLF")) {
            bad(p, 400, "a request line that does not end in CRLF");
            break;
        }
        bad(p, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
        break;
    case HPE_PAUSED_H2_UPGRADE:
        bad(p, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
        break;
    case HPE_INVALID_URL:
        bad(p, 400, "a request target that is not valid");
        break;
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        bad(p, 400, "a Content-Length that is not valid, repeated or beside Transfer-Encoding");
        break;
    case HPE_INVALID_TRANSFER_ENCODING:
        bad(p, 400, "a Transfer-Encoding that is not valid");
        break;
    case HPE_INVALID_CHUNK_SIZE:
        bad(p, 400, "a chunk size that is not valid");
        break;
    case HPE_INVALID_HEADER_TOKEN:
        bad(p, 400, "a header that is not valid");
        break;
    default:
        bad(p, 400, "this is not HTTP/1.1");
        break;
    }
    return GY_HTTP_BAD;
}

enum gy_http_event gy_http_feed(struct gy_http_parser *p, const char *bytes, size_t n,
                                size_t *ret_taken)
{
    llhttp_errno_t code = llhttp_execute(&p->ll, bytes, n);
    *ret_taken = n;
    if (code == HPE_OK) {
        return GY_HTTP_MORE;
    }
    if (code == HPE_PAUSED) {
        *ret_taken = (size_t)(llhttp_get_error_pos(&p->ll) - bytes);
        llhttp_resume(&p->ll);
        return GY_HTTP_MESSAGE;
    }
    if (p->bad_status) {
        return GY_HTTP_BAD;
    }
    if (code == HPE_CB_HEADERS_COMPLETE || code == HPE_USER) {
        return GY_HTTP_STOPPED;
    }
    return refuse(p, code);
}
