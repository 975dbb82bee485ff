/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1.1 server: one acceptor, N libuv loops, llhttp, and a bounded pool on which blocking
 * handlers run. Keep-alive, pipelining (answers in order), chunked both ways, Expect: 100-continue,
 * streamed bodies under per-route limits, timeouts (header, idle, body rate), a connection cap,
 * request ids, an access log, and draining: readiness goes false first, accepted work is finished,
 * then connections are closed. Conflicting Content-Length/Transfer-Encoding, oversized headers and
 * bad chunks get a 4xx and a close. See docs/ARCHITECTURE.md, "life of a request". */
#ifndef GY_NET_SERVER_H
#define GY_NET_SERVER_H

#include "net/call.h"
#include "net/router.h"

struct gy_server;

/* ---- the loop-native fast path (inference) ----
 * Called on a loop thread when a request's whole body is here and it is at most max_body. It must
 * not block. `loop` is the index of the loop, so that the callee keeps its state per loop without
 * locks. */
enum gy_fast_result {
    GY_FAST_PASS,  /* not mine: dispatch to the router */
    GY_FAST_DONE,  /* answer is in out: status, content type, body */
    GY_FAST_DEFER, /* mine, but too long for a loop: run `deferred` on the infer pool */
    GY_FAST_WAIT,  /* the same where it mostly waits for another process: on a pool of many threads,
                      so that what computes is not behind it */
};
struct gy_fast_reply {
    int status;
    const char *content_type; /* static */
    struct gy_buf *body;      /* reset by the server before the call */
    char extra_headers[1024]; /* complete "Name: value\r\n" lines, may be empty */
};
struct gy_fast_ops {
    uint32_t version; /* 1 */
    size_t max_body;
    /* Cheap test on method and path alone, before the body is read: may this be mine? Called on the
     * loop. */
    bool (*claims)(void *self, int loop, bool inference_port, struct gy_str method,
                   struct gy_str path);
    enum gy_fast_result (*run)(void *self, int loop, const struct gy_request *req,
                               struct gy_str body, struct gy_fast_reply *out);
    /* MAY be NULL. run has deferred: `ahead` requests wait for n_workers. false: it is not worth
     * queueing, the answer is in out. Called on the loop. */
    bool (*admit)(void *self, int loop, const struct gy_request *req, struct gy_str body,
                  size_t ahead, int n_workers, struct gy_fast_reply *out);
    /* The same on the infer pool (MAY block). `loop` is where the connection lives. */
    void (*deferred)(void *self, int loop, const struct gy_request *req, struct gy_str body,
                     struct gy_fast_reply *out);
    /* Called on each loop thread: after it started, and before it ends (flush per-loop state). MAY
     * be NULL. */
    void (*loop_start)(void *self, int loop);
    void (*loop_stop)(void *self, int loop);
    /* The router's guard does not let this caller predict: say so as run would fail. Any thread.
     * MAY be NULL: an empty answer. */
    void (*refuse)(void *self, const struct gy_request *req, const struct gy_err *failed,
                   struct gy_fast_reply *out);
    /* Is it a path of inference, the router's among them, whatever the method? Those are what the
     * inference port serves, and what pages of allowed origins may use. On the loop. MAY be NULL:
     * none is. */
    bool (*serves)(void *self, int loop, bool inference_port, struct gy_str path);
};

/* Are these origins, as gy_server_options.cors wants them? Fails: USAGE. */
GY_CHECKED gy_status gy_cors_check(struct gy_str origins, struct gy_err *err);

struct gy_server_options {
    const char *host; /* "127.0.0.1" */
    int port;         /* 0: any free one, see gy_server_port */
    /* One more port, on which only inference is served (and /health, /version). */
    bool has_inference_port;
    int inference_port;    /* 0: any free one, see gy_server_inference_port */
    const char *unix_path; /* NULL: none; made 0600; the peer's user is the actor */
    /* PEM files: the port speaks TLS (net/tls.h), the socket does not. NULL both: in the clear. */
    const char *tls_cert, *tls_key;
    int n_loops;           /* 0: number of CPUs, at most 8 */
    int n_workers;         /* blocking handlers; 0: 8. At most 3 of 4 read long bodies at a time */
    size_t max_queue;      /* waiting for a worker; beyond: 503; 0: 1024 */
    int max_large_fast;    /* bodies above 128 KiB on the fast path at a time; 0: 64 */
    int max_connections;   /* 0: 4096; beyond: accepted, answered 503, closed */
    int header_timeout_ms; /* 0: 10000 */
    int idle_timeout_ms;   /* 0: 75000 */
    int body_min_bytes_s;  /* 0: 1024; a body slower than this gets 408 */
    int body_window_ms;    /* 0: 10000; over which that rate is measured, also the first grace */
    int drain_delay_ms;    /* between "draining" and closing the listeners: lets a load balancer see
                              it; 0: none */
    int drain_timeout_ms;  /* 0: 30000 */
    int handler_grace_ms;  /* for handlers whose connections were closed at its end; 0: 5000 */
    size_t max_header_bytes; /* 0: 32 KiB */
    bool access_log; /* one line a request; answers below 400 of the fast path at debug level only
                        (the prediction log has them) */
    /* Names by which this server may be asked (Host) and from whose pages (Origin), beside the
     * address that it is bound to; separated by commas, "*" is any; NULL: none. On loopback the
     * local names are always among them. */
    const char *allowed_hosts;
    /* Origins whose pages may use inference (CORS), separated by commas, "*" is any; NULL: none. As
     * gy_cors_check has it. */
    const char *cors;
    struct gy_router *router;       /* not owned; its guard says who may predict */
    const struct gy_fast_ops *fast; /* MAY be NULL */
    void *fast_self;
};

/* Bind, start all threads, return at once. *ret is set before the first request is served. Fails:
 * NETWORK/DENIED ("address already in use", with a hint), as
 * gy_tls_ctx_new, NOMEM. */
GY_CHECKED gy_status gy_server_start(const struct gy_server_options *o, struct gy_server **ret,
                                     struct gy_err *err);
int gy_server_port(const struct gy_server *s);
int gy_server_inference_port(const struct gy_server *s); /* 0: there is none */
int gy_server_loops(const struct gy_server *s);
bool gy_server_has_tls(const struct gy_server *s);  /* on its port */
bool gy_server_draining(const struct gy_server *s); /* readiness handlers ask this */
/* Run fn(ctx, loop) once on every loop thread, between requests, and wait until all have done it:
 * how a new endpoint table is swapped in. Not from a loop thread. */
GY_CHECKED gy_status gy_server_on_loops(struct gy_server *s, void (*fn)(void *ctx, int loop),
                                        void *ctx, struct gy_err *err);
/* Drain: stop accepting, finish accepted work, close. Blocks until done or drain_timeout_ms; what
 * is open then is closed, which ends handlers that read or write; others get handler_grace_ms more.
 * Then free. False: a handler has not come back. It may use whatever it was given, so the caller
 * must end the process without freeing that; gy_server_free frees nothing then. */
bool gy_server_stop(struct gy_server *s);
void gy_server_free(struct gy_server *s);
GY_DEFINE_AUTO(struct gy_server *, gy_server_free);

/* Counters for /metrics; monotonic unless named otherwise. */
struct gy_server_stats {
    uint64_t accepted, closed, refused, requests, parse_errors, timeouts, bytes_in, bytes_out;
    uint64_t by_class[6];                        /* answers by status / 100 */
    int64_t open_connections, in_flight, queued; /* now; in_flight: with a worker */
    int64_t loop_lag_us_max;                     /* since the last call */
};
void gy_server_get_stats(struct gy_server *s, struct gy_server_stats *ret);

#endif
