/* SPDX-License-Identifier: Apache-2.0 */
/* A client's bytes into the connection code, over a socket pair and a real loop, on one thread
 * (workers are run in place). The first byte says where the bytes are cut. Held against each other:
 * the answers to the bytes in one piece and in many must be the same, and no memory may stay. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/server_internal.h"

enum { MAX_ANSWERS = 64, MOST_INPUT = 65536 };

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct gy_server g_server;
static struct gy_net_loop g_loop;

static gy_status echo(void *ctx, struct gy_request *req, struct gy_reply *reply, struct gy_err *err)
{
    (void)ctx;
    char piece[512];
    size_t n = 1;
    GY_TRY(gy_reply_begin(reply, 200, NULL, 0, req->body ? req->body->size_bytes : 0, err));
    while (n && req->body) {
        GY_TRY(req->body->read(req->body, piece, sizeof piece, &n, err));
        GY_TRY(gy_reply_write(reply, gy_str_n(piece, n), err));
    }
    return gy_reply_end(reply, err);
}

static gy_status fails(void *ctx, struct gy_request *req, struct gy_reply *reply,
                       struct gy_err *err)
{
    (void)ctx;
    (void)reply;
    struct gy_str q = gy_req_query(req, "q"), h = gy_req_header(req, "Accept");
    return gy_err_set(err, GY_E_CONFLICT, "%zu %zu", q.n, h.n);
}

static const struct gy_route routes[] = {
    {"GET", "/", echo, NULL, 0, NULL},
    {"POST", "/e", echo, NULL, 1000, NULL},
    {"GET", "/f/{x}", fails, NULL, 0, NULL},
    {"POST", "/q", echo, NULL, 100, NULL},
};

static bool claims(void *self, int loop, bool inference_port, struct gy_str method,
                   struct gy_str path)
{
    (void)inference_port;
    (void)self;
    (void)loop;
    (void)method;
    return gy_str_eqc(path, "/q");
}

static void answer(void *self, int loop, const struct gy_request *req, struct gy_str body,
                   struct gy_fast_reply *out)
{
    (void)self;
    (void)loop;
    out->status = 200;
    out->content_type = "text/plain";
    gy_buf_add(out->body, body);
    gy_buf_add(out->body, req->path);
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
    return GY_FAST_DONE;
}

static const struct gy_fast_ops fast = {
    .version = 1, .max_body = 64, .claims = claims, .run = run, .deferred = answer};

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

/* Until nothing moves any more. */
static void turn(void)
{
    uint64_t before;
    do {
        before = atomic_load(&g_loop.stats.requests) + atomic_load(&g_loop.stats.bytes_in);
        for (int i = 0; i < 4; i++) {
            (void)uv_run(&g_loop.uv, UV_RUN_NOWAIT);
        }
    } while (before != atomic_load(&g_loop.stats.requests) + atomic_load(&g_loop.stats.bytes_in));
}

static size_t drain(int fd, char *out, size_t n, size_t cap)
{
    ssize_t got;
    while (n < cap && (got = recv(fd, out + n, cap - n, MSG_DONTWAIT)) > 0) {
        n += (size_t)got;
    }
    return n;
}

/* All that one client gets for its bytes, sent `step` at a time. */
static size_t converse(const uint8_t *data, size_t size, size_t step, char *out, size_t cap)
{
    struct gy_accepted a = {.peer = GY_PEER_TCP, .actor = "anonymous"};
    int fds[2];
    size_t n = 0;
    GY_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    a.fd = fds[0];
    atomic_fetch_add(&g_server.n_open, 1);
    gy_conn_open(&g_loop, &a);
    for (size_t at = 0; at < size && g_loop.conns; at += step) {
        size_t k = size - at < step ? size - at : step;
        if (send(fds[1], data + at, k, MSG_NOSIGNAL) != (ssize_t)k) {
            break;
        }
        turn();
        n = drain(fds[1], out, n, cap);
    }
    (void)shutdown(fds[1], SHUT_WR);
    turn();
    n = drain(fds[1], out, n, cap);
    while (g_loop.conns) {
        gy_conn_close(g_loop.conns);
    }
    turn();
    (void)close(fds[1]);
    GY_REQUIRE(atomic_load(&g_server.n_open) == 0);
    GY_REQUIRE(atomic_load(&g_loop.stats.in_flight) == 0);
    return n;
}

/* The statuses in what came back; every answer must be well formed. */
static size_t statuses(const char *p, size_t n, int out[MAX_ANSWERS])
{
    size_t found = 0;
    struct gy_str rest = gy_str_n(p, n);
    while (rest.n && found < MAX_ANSWERS) {
        GY_REQUIRE(gy_str_starts(rest, GY_STR("HTTP/1.1 ")));
        size_t end = gy_str_find_str(rest, GY_STR("\r\n\r\n"));
        GY_REQUIRE(end != SIZE_MAX);
        struct gy_str head = gy_str_sub(rest, 0, end);
        int64_t status = 0, length = 0;
        GY_REQUIRE(gy_parse_i64(gy_str_sub(head, 9, 3), 100, 599, &status, NULL) == GY_OK);
        if (status != 100) { /* whether it is sent depends on where the bytes were cut */
            out[found++] = (int)status;
        }
        rest = gy_str_sub(rest, end + 4, rest.n);
        size_t at = gy_str_find_str(head, GY_STR("Content-Length: "));
        if (at == SIZE_MAX) {
            return found; /* chunked, or an answer without a body: the rest is not looked at */
        }
        struct gy_str digits = gy_str_sub(head, at + 16, head.n);
        (void)gy_str_cut(digits, '\r', &digits, &(struct gy_str){0});
        GY_REQUIRE(gy_parse_i64(digits, 0, MOST_INPUT * 2, &length, NULL) == GY_OK);
        if (rest.n && !gy_str_starts(rest, GY_STR("HTTP/1.1 "))) { /* not an answer to HEAD */
            GY_REQUIRE(rest.n >= (size_t)length);
            rest = gy_str_sub(rest, (size_t)length, rest.n);
        }
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char whole[1 << 20], cut[1 << 20];
    int a[MAX_ANSWERS], b[MAX_ANSWERS];
    if (size < 1 || size > MOST_INPUT) {
        return 0;
    }
    size_t step = 1 + data[0] % 64;
    data++;
    size--;
    if (size >= sizeof PREFACE - 1 && memcmp(data, PREFACE, sizeof PREFACE - 1) == 0) {
        return 0; /* HTTP/2: fuzz_h2.c */
    }
    size_t n_whole = converse(data, size, size ? size : 1, whole, sizeof whole);
    size_t n_cut = converse(data, size, step, cut, sizeof cut);
    size_t n_a = statuses(whole, n_whole, a), n_b = statuses(cut, n_cut, b);
    GY_REQUIRE(n_a == n_b);
    for (size_t i = 0; i < n_a; i++) {
        /* Of two things wrong with one head, the cut decides which is seen first. */
        GY_REQUIRE(a[i] == b[i] || (a[i] >= 400 && b[i] >= 400 && i + 1 == n_a));
    }
    return 0;
}
