/* SPDX-License-Identifier: Apache-2.0 */
/* The call seam: one shape for every request in Gyre, wherever it comes from and wherever it goes.
 * A request is method, path, headers and a body to read; the answer goes to a reply: status and
 * headers, then body bytes. The HTTP server hands requests to a gy_caller (the router); the HTTP
 * client and the in-process transport (api/local) ARE gy_callers. So rooms and commands take a
 * `struct gy_caller *` and do not know whether it is a function call, a socket or a network.
 * Handlers are plain blocking functions: they run on a pool thread of the server, or on the
 * caller's own thread. */
#ifndef GY_NET_CALL_H
#define GY_NET_CALL_H

#include "base/arena.h"
#include "base/buf.h"
#include "net/access.h"

struct gy_header {
    struct gy_str name; /* compared without case */
    struct gy_str value;
};

/* Bytes to read, in order. read: fill buf with at most n > 0 bytes, *ret_n = 0 at the end. May
 * block. Fails: TOOBIG (over the route's limit), NETWORK (the peer broke off), TIMEOUT, IO. */
struct gy_reader {
    gy_status (*read)(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                      struct gy_err *err);
    int64_t size_bytes; /* when known, else -1 */
    /* MAY be NULL. The same without a copy: the next bytes, where they lie until the next call;
     * none at the end. May be mixed with read. */
    gy_status (*next)(struct gy_reader *self, struct gy_str *ret_bytes, struct gy_err *err);
};

enum gy_peer_kind { GY_PEER_LOCAL, GY_PEER_UNIX, GY_PEER_TCP };

struct gy_request {
    struct gy_str method; /* "GET" */
    struct gy_str path;   /* as sent, still %-encoded, without query */
    struct gy_str query;  /* raw, without '?'; absent when none */
    const struct gy_header *headers;
    size_t n_headers;
    struct gy_reader *body; /* NULL: none */
    struct gy_str
        request_id; /* X-Request-Id of the caller, else made by the server; echoed in the answer */
    struct gy_str actor; /* who asks: "alice" (socket peer, token); "anonymous" on loopback TCP */
    enum gy_auth_role
        role; /* what the guard found the actor to be; NONE before it, and without one */
    enum gy_peer_kind peer;
    bool inference_port;        /* came in where only inference is served */
    struct gy_str peer_address; /* "192.0.2.7"; absent unless over TCP */
    struct gy_arena *arena;     /* memory of this request, reset after it */
    /* set by the router: path parameters, %-decoded, in pattern order; NULL while no route is found
     */
    const struct gy_header *params;
    size_t n_params;
    int64_t received_ns; /* gy_mono_ns when it was queued for a worker; 0: it was not */
    bool admitted;       /* the fast path let it into that queue */
};

/* Where an answer goes. begin once, then write as often as wanted, then end once. A handler that
 * fails before begin may just return its status: the caller (router) turns it into the error body
 * of that route's protocol. */
struct gy_reply;
struct gy_reply_ops {
    gy_status (*begin)(struct gy_reply *self, int status, const struct gy_header *headers,
                       size_t n_headers, int64_t body_bytes /* -1: not known */,
                       struct gy_err *err);
    gy_status (*write)(struct gy_reply *self, struct gy_str bytes, struct gy_err *err);
    gy_status (*end)(struct gy_reply *self, struct gy_err *err);
    /* MAY be NULL: then the bytes are read and written. As gy_reply_send_file says. */
    gy_status (*send_file)(struct gy_reply *self, int fd, int64_t offset, int64_t n_bytes,
                           struct gy_err *err);
};
struct gy_reply {
    const struct gy_reply_ops *ops;
    bool begun, ended;
};

/* The only way to use a reply: they keep begun/ended, so that a router knows whether an error can
 * still become an answer. Misuse (write before begin, twice begun) is a programmer error. An
 * implementation of the ops need not set the flags. */
GY_CHECKED gy_status gy_reply_begin(struct gy_reply *r, int status, const struct gy_header *headers,
                                    size_t n_headers, int64_t body_bytes, struct gy_err *err);
GY_CHECKED gy_status gy_reply_write(struct gy_reply *r, struct gy_str bytes, struct gy_err *err);
GY_CHECKED gy_status gy_reply_end(struct gy_reply *r, struct gy_err *err);
/* Write n_bytes of a regular file from offset on: what gy_reply_write of them would do, but a
 * transport that can sends them straight from the page cache. fd belongs to the reply from then on,
 * on failure too: the bytes may go out after the handler has returned. Fails: CORRUPT (the file is
 * shorter), IO, and as gy_reply_write. */
GY_CHECKED gy_status gy_reply_send_file(struct gy_reply *r, int fd, int64_t offset, int64_t n_bytes,
                                        struct gy_err *err);
/* The same without a transport's help: what one falls back to. */
GY_CHECKED gy_status gy_reply_copy_file(struct gy_reply *r, int fd, int64_t offset, int64_t n_bytes,
                                        struct gy_err *err);

/* A transport or a handler tree. call: GY_OK when an answer (of any status) was delivered to reply;
 * an error when none could be: NETWORK, TIMEOUT, UNAVAILABLE. MUST be thread safe. free MAY be
 * NULL. */
struct gy_call_ops {
    uint32_t version; /* 1 */
    const char *name;
    gy_status (*call)(void *self, struct gy_request *req, struct gy_reply *reply,
                      struct gy_err *err);
    void (*free)(void *self);
};
struct gy_caller {
    const struct gy_call_ops *ops;
    void *self;
};
GY_CHECKED gy_status gy_call(struct gy_caller *c, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err);
void gy_caller_free(struct gy_caller *c); /* frees self through ops->free, then c (gy_free) */
GY_DEFINE_AUTO(struct gy_caller *, gy_caller_free);

/* ---- helpers for handlers ---- */
struct gy_str gy_req_header(const struct gy_request *r,
                            const char *name); /* first one; absent string */
struct gy_str gy_req_param(const struct gy_request *r, const char *name);
/* First value of a query key (which is compared decoded), %-decoded ('+' is a blank) into the
 * arena; absent string when there is none. */
struct gy_str gy_req_query(const struct gy_request *r, const char *key);
/* All values of a repeated key, at most max. */
size_t gy_req_query_all(const struct gy_request *r, const char *key, struct gy_str *out,
                        size_t max);
/* The whole body into buf (its ceiling is the limit). */
GY_CHECKED gy_status gy_req_read_body(struct gy_request *r, struct gy_buf *buf, struct gy_err *err);
/* One full answer. */
GY_CHECKED gy_status gy_reply_send(struct gy_reply *r, int status, const char *content_type,
                                   struct gy_str body, struct gy_err *err);
GY_CHECKED gy_status gy_reply_json(struct gy_reply *r, int status, const struct gy_buf *json,
                                   struct gy_err *err);
/* RFC 9457 problem+json from err: {"type","title","status","detail","code","hint"}. */
GY_CHECKED gy_status gy_reply_problem(struct gy_reply *r, const struct gy_err *failed,
                                      struct gy_err *err);
/* The status that stands for an HTTP status >= 400: 404 NOTFOUND, 409 CONFLICT, 503 UNAVAILABLE,
 * ... */
gy_status gy_status_from_http(int http);
/* "Not Found"; "" when unknown. */
const char *gy_http_reason(int http);
/* %-decoding into the arena; invalid escapes are kept. plus_is_blank for queries. */
struct gy_str gy_url_decode(struct gy_arena *a, struct gy_str s, bool plus_is_blank);
void gy_url_encode(struct gy_buf *out, struct gy_str s,
                   bool keep_slash); /* everything but unreserved characters */

/* ---- helpers for callers ---- */
/* A reply that collects: status, headers (in own memory), body. */
struct gy_collect {
    struct gy_reply reply;
    int status;
    struct gy_buf body;
    struct gy_arena arena; /* header copies */
    struct gy_header *headers;
    size_t n_headers;
};
void gy_collect_init(struct gy_collect *c, size_t max_body);
void gy_collect_reset(struct gy_collect *c); /* for the next call; keeps the memory */
void gy_collect_done(struct gy_collect *c);
struct gy_str gy_collect_header(const struct gy_collect *c,
                                const char *name); /* first one; absent string */
GY_DEFINE_AUTO_DONE(struct gy_collect, gy_collect_done);

/* A reply that passes the bytes of a good answer (below 400) on as they come, whatever their
 * number; of another one the head is kept. */
struct gy_pass_reply {
    struct gy_reply reply;
    gy_status (*pass)(void *ctx, struct gy_str bytes, struct gy_err *err);
    void *ctx;
    int status;
    char text[1024];
    size_t n_text;
};
void gy_pass_reply_init(struct gy_pass_reply *p,
                        gy_status (*pass)(void *ctx, struct gy_str bytes, struct gy_err *err),
                        void *ctx);
/* The error that the answer stands for, when it was no good one. */
GY_CHECKED gy_status gy_pass_reply_check(const struct gy_pass_reply *p, struct gy_err *err);

/* A reader over bytes in memory, or an open file (closed by the caller). */
struct gy_mem_reader {
    struct gy_reader reader;
    struct gy_str rest;
};
struct gy_reader *gy_mem_reader_init(struct gy_mem_reader *m, struct gy_str bytes);
struct gy_fd_reader {
    struct gy_reader reader;
    int fd;
};
struct gy_reader *gy_fd_reader_init(struct gy_fd_reader *f, int fd, int64_t size_bytes);

/* The error that an answer of status >= 400 stands for: code and message are taken from the body
 * (problem+json, MLflow or {"error"} form), else from the HTTP status. Never GY_OK. */
gy_status gy_error_of_answer(int status, struct gy_str body, struct gy_err *err);
/* Send JSON (body absent: none), collect the answer. A status >= 400 becomes that
 * error. path may hold a query. On GY_OK the body is in out->body; out is reset first. */
GY_CHECKED gy_status gy_call_json(struct gy_caller *c, const char *method, const char *path,
                                  struct gy_str body, struct gy_collect *out, struct gy_err *err);
/* The same with a streamed body (NULL: none) of another type: uploads. */
GY_CHECKED gy_status gy_call_body(struct gy_caller *c, const char *method, const char *path,
                                  const char *content_type, struct gy_reader *body,
                                  struct gy_collect *out, struct gy_err *err);

#endif
