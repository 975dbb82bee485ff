/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of one HTTP/1.1 connection, request by request: llhttp (strict) behind what it
 * leaves to its user. Head bytes are gathered in memory of the parser that is kept from request to
 * request; body bytes are handed on as views into what was fed. Every refusal is an HTTP status and
 * a fixed text. Framing that two programs could read differently is refused: Content-Length beside
 * Transfer-Encoding, either of them twice, anything but "chunked" alone, folded lines, bare LF.
 * One owner, no locks, no sockets: this is what the fuzzer drives. */
#ifndef GY_NET_HTTP_PARSE_H
#define GY_NET_HTTP_PARSE_H

#include <llhttp.h>

#include "net/call.h"

enum {
    GY_HTTP_MAX_HEADERS = 100,
    GY_HTTP_MAX_EXTENSIONS = 4096, /* bytes of chunk extensions in one body */
    GY_HTTP_MAX_REQUEST_ID = 128,
};

/* What is known once a head is here; views into the parser, valid until the next request begins. */
struct gy_http_head {
    struct gy_str method, path, query; /* query without '?', absent when none */
    struct gy_header *headers;
    size_t n_headers;
    int64_t content_length; /* -1: none given */
    bool chunked;
    bool keep_alive; /* the client allows it */
    bool http10;
    bool expects_continue;
    struct gy_str host, origin, request_id; /* request_id absent unless it is fit to be echoed */
};

enum gy_http_event {
    GY_HTTP_MORE,    /* all bytes taken */
    GY_HTTP_MESSAGE, /* a request is complete; *ret_taken tells where the next one begins */
    GY_HTTP_STOPPED, /* on_head said stop: feed no more */
    GY_HTTP_BAD,     /* refuse with bad_status and bad_text and close: feed no more */
};

struct gy_http_parser;
/* Both are called from within gy_http_feed. on_head: false stops. on_body: bytes are views. */
struct gy_http_hooks {
    bool (*on_head)(void *ctx, const struct gy_http_head *head);
    void (*on_body)(void *ctx, const char *p, size_t n);
};

struct gy_http_span {
    uint32_t at, n;
};

struct gy_http_parser {
    llhttp_t ll;
    const struct gy_http_hooks *hooks;
    void *ctx;
    struct gy_http_head head;
    char *bytes; /* target, names and values, one after the other */
    size_t n, cap, max_bytes;
    struct gy_http_span target, names[GY_HTTP_MAX_HEADERS], values[GY_HTTP_MAX_HEADERS];
    struct gy_header headers[GY_HTTP_MAX_HEADERS];
    size_t extension_bytes;
    bool in_value, in_body, begun; /* begun: the first byte of a request has come */
    int bad_status;                /* 0: none */
    const char *bad_text;
};

/* Allocates nothing yet. max_head_bytes bounds target + headers (431, the target alone 414). */
void gy_http_parser_init(struct gy_http_parser *p, size_t max_head_bytes,
                         const struct gy_http_hooks *hooks, void *ctx);
void gy_http_parser_reset(struct gy_http_parser *p, void *ctx); /* for a new connection */
void gy_http_parser_done(struct gy_http_parser *p);
enum gy_http_event gy_http_feed(struct gy_http_parser *p, const char *bytes, size_t n,
                                size_t *ret_taken);

#endif
