/* SPDX-License-Identifier: Apache-2.0 */
/* A client's bytes into an HTTP/2 connection, over a socket pair and a real loop, on one thread
 * (workers are run in place). The preface is given; what follows is the input, cut as its first
 * byte says. Two ways: bytes as they are, and (first byte odd) a small language that makes
 * well-formed frames out of them, so that calls, messages and resets are met more often than by
 * chance. No memory may stay, no counter may be off. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/grpc.h"
#include "net/server_internal.h"

enum { MOST_INPUT = 65536, MOST_BYTES = 1 << 20 };

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct gy_server g_server;
static struct gy_net_loop g_loop;

static gy_status echo(void *ctx, struct gy_request *req, struct gy_reply *reply, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, 4096);
    GY_TRY(gy_req_read_body(req, &body, err));
    if (body.n && body.p[0] == 'f') {
        return gy_err_set(err, GY_E_CONFLICT, "%zu bytes", body.n);
    }
    return gy_reply_send(reply, 200, GY_GRPC_TYPE, gy_buf_str(&body), err);
}

#define FLAGS (GY_ROUTE_GRPC | GY_ROUTE_BULK)
static const struct gy_route routes[] = {
    {"POST", "/s/e", echo, gy_grpc_errors, 4000, NULL, GY_ACCESS_PUBLIC, FLAGS},
    {"POST", "/s/q", echo, gy_grpc_errors, 300000, NULL, GY_ACCESS_PUBLIC, FLAGS},
    {"POST", "/s/m", echo, gy_grpc_errors, 4000, NULL, GY_ACCESS_PUBLIC,
     FLAGS | GY_ROUTE_GRPC_STREAM},
    {"POST", "/s/w", echo, gy_grpc_errors, 4000, NULL, GY_ACCESS_PUBLIC,
     FLAGS | GY_ROUTE_GRPC_WATCH},
};

static bool claims(void *self, int loop, bool inference_port, struct gy_str method,
                   struct gy_str path)
{
    (void)inference_port;
    (void)self;
    (void)loop;
    (void)method;
    return gy_str_eqc(path, "/s/q") || gy_str_eqc(path, "/s/m");
}

static void answer(void *self, int loop, const struct gy_request *req, struct gy_str body,
                   struct gy_fast_reply *out)
{
    (void)self;
    (void)loop;
    (void)req;
    out->status = 200;
    out->content_type = GY_GRPC_TYPE;
    gy_buf_add(out->body, body);
}

static enum gy_fast_result run(void *self, int loop, const struct gy_request *req,
                               struct gy_str body, struct gy_fast_reply *out)
{
    if (body.n && body.p[0] == 'p') {
        return GY_FAST_PASS;
    }
    if (body.n && body.p[0] == 'd') {
        return GY_FAST_DEFER;
    }
    answer(self, loop, req, body, out);
    if (body.n && body.p[0] == 'f') {
        out->status = 400;
        out->content_type = "text/plain";
    }
    return GY_FAST_DONE;
}

static const struct gy_fast_ops fast = {
    .version = 1, .max_body = 300000, .claims = claims, .run = run, .deferred = answer};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct gy_server *s = &g_server;
    s->max_uploads[GY_UPLOAD_STREAMED] = s->max_uploads[GY_UPLOAD_FAST] = 1;
    s->o = (struct gy_server_options){.header_timeout_ms = 10000,
                                      .idle_timeout_ms = 10000,
                                      .body_window_ms = 10000,
                                      .max_header_bytes = 2048,
                                      .max_connections = 10,
                                      .fast = &fast};
    (void)snprintf(s->host, sizeof s->host, "127.0.0.1");
    s->check_host = true;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->emptied, NULL);
    GY_REQUIRE(gy_router_new(&s->o.router, NULL) == GY_OK);
    GY_REQUIRE(gy_router_add(s->o.router, routes, sizeof routes / sizeof routes[0], NULL, NULL) ==
               GY_OK);
    GY_REQUIRE(gy_net_loop_init(&g_loop, s, 0, NULL) == GY_OK);
    return 0;
}

/* ---- the small language: each byte begins a frame, its low bits say which ---- */

struct reader {
    const uint8_t *p;
    size_t n;
};

static unsigned next(struct reader *r)
{
    if (r->n == 0) {
        return 0;
    }
    r->n--;
    return *r->p++;
}

static void add_frame(struct gy_buf *out, unsigned kind, unsigned flags, unsigned stream,
                      struct gy_str payload)
{
    const unsigned char head[9] = {(unsigned char)(payload.n >> 16),
                                   (unsigned char)(payload.n >> 8),
                                   (unsigned char)payload.n,
                                   (unsigned char)kind,
                                   (unsigned char)flags,
                                   0,
                                   0,
                                   (unsigned char)(stream >> 8),
                                   (unsigned char)stream};
    gy_buf_add_bytes(out, head, sizeof head);
    gy_buf_add(out, payload);
}

static void add_field(struct gy_buf *out, const char *name, const char *value)
{
    gy_buf_add_char(out, 0x10);
    gy_buf_add_char(out, (char)strlen(name));
    gy_buf_addc(out, name);
    gy_buf_add_char(out, (char)strlen(value));
    gy_buf_addc(out, value);
}

static void add_head(struct gy_buf *out, struct reader *r, unsigned stream)
{
    static const char *const paths[] = {"/s/e", "/s/q", "/s/m", "/s/w", "/nothing", "/s/q"};
    static const char *const encodings[] = {"identity", "gzip", "deflate", "odd"};
    static const char *const timeouts[] = {"1n", "10S", "1m", "x"};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf block;
    gy_buf_init(&block, 4096);
    unsigned what = next(r), more = next(r);
    add_field(&block, ":method", more & 128 ? "GET" : "POST");
    add_field(&block, ":scheme", "http");
    add_field(&block, ":path", paths[what % 6]);
    add_field(&block, ":authority", what & 64 ? "evil" : "localhost");
    add_field(&block, "content-type", what & 32 ? "text/html" : "application/grpc");
    if (more & 1) {
        add_field(&block, "grpc-encoding", encodings[more >> 1 & 3]);
    }
    if (more & 8) {
        add_field(&block, "grpc-timeout", timeouts[more >> 4 & 3]);
    }
    add_frame(out, 1, 4 | (more & 64 ? 1 : 0), stream, gy_buf_str(&block));
}

static void add_data(struct gy_buf *out, struct reader *r, unsigned stream, unsigned flags)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf payload;
    gy_buf_init(&payload, 20000);
    unsigned shape = next(r);
    size_t n = (size_t)next(r) * (shape & 4 ? 60 : 1);
    n = n > 16000 ? 16000 : n;
    if (shape & 1) { /* the prefix of a message, of this length or of another one */
        size_t said = shape & 2 ? n + next(r) * 1000 : n;
        const unsigned char prefix[5] = {(unsigned char)(shape >> 3 & 1),
                                         (unsigned char)(said >> 24), (unsigned char)(said >> 16),
                                         (unsigned char)(said >> 8), (unsigned char)said};
        gy_buf_add_bytes(&payload, prefix, sizeof prefix);
    }
    for (size_t i = 0; i < n; i++) {
        gy_buf_add_char(&payload, i == 0 ? (char)next(r) : 'x');
    }
    add_frame(out, 0, flags, stream, gy_buf_str(&payload));
}

static void speak(struct reader *r, struct gy_buf *out)
{
    static const char zeros[64];
    while (r->n && out->n < MOST_BYTES / 2) {
        unsigned op = next(r), stream = 2 * (op >> 4) + 1;
        switch (op & 7) {
        case 0:
        case 1:
            add_head(out, r, stream);
            break;
        case 2:
        case 3:
            add_data(out, r, stream, op & 8 ? 1 : 0);
            break;
        case 4:
            add_frame(out, 3, 0, stream, gy_str_n(zeros, 4)); /* RST_STREAM */
            break;
        case 5:
            add_frame(out, 8, 0, op & 8 ? 0 : stream, gy_str_n("\0\0\1\0", 4)); /* WINDOW_UPDATE */
            break;
        case 6:
            add_frame(out, 4, 0, 0, gy_str_n("\0\4\0\0\0\20", op & 8 ? 6 : 0)); /* SETTINGS */
            break;
        default: /* whatever kind, with whatever flags */
            add_frame(out, next(r), next(r), stream, gy_str_n(zeros, next(r) % 64));
        }
    }
}

/* ---- the conversation ---- */

/* Until nothing moves any more. */
static void turn(int fd)
{
    static char sink[65536];
    uint64_t before;
    do {
        before = atomic_load(&g_loop.stats.requests) + atomic_load(&g_loop.stats.bytes_in);
        for (int i = 0; i < 4; i++) {
            (void)uv_run(&g_loop.uv, UV_RUN_NOWAIT);
            while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0) {
            }
        }
    } while (before != atomic_load(&g_loop.stats.requests) + atomic_load(&g_loop.stats.bytes_in));
}

static void converse(const char *bytes, size_t size, size_t step, bool drain)
{
    struct gy_accepted a = {.peer = GY_PEER_TCP, .actor = "anonymous"};
    int fds[2];
    GY_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    a.fd = fds[0];
    atomic_fetch_add(&g_server.n_open, 1);
    gy_conn_open(&g_loop, &a);
    for (size_t at = 0; at < size && g_loop.conns; at += step) {
        size_t k = size - at < step ? size - at : step;
        if (send(fds[1], bytes + at, k, MSG_NOSIGNAL) != (ssize_t)k) {
            break;
        }
        turn(fds[1]);
    }
    if (g_loop.conns && drain) {
        gy_conn_drain(g_loop.conns);
        turn(fds[1]);
    }
    if (g_loop.conns) { /* far ahead: deadlines, watches, slow messages */
        gy_conn_tick(g_loop.conns, uv_now(&g_loop.uv) + 3000);
        turn(fds[1]);
    }
    (void)shutdown(fds[1], SHUT_WR);
    turn(fds[1]);
    while (g_loop.conns) {
        gy_conn_close(g_loop.conns);
    }
    turn(fds[1]);
    (void)close(fds[1]);
    GY_REQUIRE(atomic_load(&g_server.n_open) == 0);
    GY_REQUIRE(atomic_load(&g_server.n_running) == 0);
    GY_REQUIRE(atomic_load(&g_server.n_held) == 0);
    GY_REQUIRE(atomic_load(&g_server.n_uploads[GY_UPLOAD_FAST]) == 0);
    GY_REQUIRE(atomic_load(&g_server.n_upload_waits) == 0);
    GY_REQUIRE(g_loop.n_upload_waits == 0);
    GY_REQUIRE(atomic_load(&g_loop.stats.in_flight) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > MOST_INPUT) {
        return 0;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    bool language = data[0] & 1, drain = data[0] & 2;
    size_t step = data[0] & 4 ? 1 + data[1] % 64 : 60000;
    struct reader r = {data + 2, size - 2};
    gy_buf_init(&bytes, MOST_BYTES);
    gy_buf_addc(&bytes, PREFACE);
    if (language) {
        add_frame(&bytes, 4, 0, 0, GY_STR(""));
        speak(&r, &bytes);
    } else {
        gy_buf_add_bytes(&bytes, r.p, r.n);
    }
    if (bytes.n / step > 5000) {
        step = bytes.n / 5000;
    }
    converse(bytes.p, bytes.n, step, drain);
    return 0;
}
