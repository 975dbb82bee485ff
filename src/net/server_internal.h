/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the server share. Each gy_net_loop is one thread with one libuv loop; all its
 * connections live and die on it. Other threads reach a loop only through its inbox (new sockets,
 * exchanges with news, tasks), which its lock guards and its async handle announces. */
#ifndef GY_NET_SERVER_INTERNAL_H
#define GY_NET_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/pool.h"
#include "net/exchange.h"
#include "net/http_parse.h"
#include "net/server.h"
#include "net/tls.h"

enum {
    GY_NET_MAX_LOOPS = 64,
    GY_NET_READ_BYTES = 256 * 1024,    /* one read(2) */
    GY_NET_COLLECT_BYTES = 128 * 1024, /* a body up to this is here before its handler starts */
    GY_NET_STRAY_BYTES = 64 * 1024, /* a body for a route that does not exist, read and dropped */
    GY_NET_ONE_WRITE_BYTES = 16 * 1024, /* a fast answer up to this is copied behind its head */
    GY_NET_LINGER_MS = 2000,
    GY_NET_LINGER_BYTES = 256 * 1024 * 1024, /* read and dropped so that a refusal is seen */
    GY_NET_MAX_ACTOR = 64,
    GY_NET_TLS_HANDSHAKE = 22, /* the first byte of a TLS client */
    GY_NET_MAX_ADDRESS = 48,   /* a numeric IP address and the NUL */
    GY_NET_SPARE_CONNS = 64,   /* a loop keeps this many closed connections for reuse */
    GY_NET_REFUSAL_CONNS = 64, /* connections over the cap that may be told so at a time */
    GY_CORS_HEADERS = 1024,    /* of the answer to a preflight */
};

enum gy_conn_state {
    GY_CONN_IDLE,    /* between requests */
    GY_CONN_HEAD,    /* a head is coming in */
    GY_CONN_COLLECT, /* a body is coming in; nobody works on it yet */
    GY_CONN_STREAM,  /* a body is coming in while its handler runs */
    GY_CONN_H2,      /* HTTP/2: net/h2.h has the states of its calls */
    GY_CONN_WORK,    /* the request is complete and with a worker */
    GY_CONN_WRITE,   /* the answer is on its way out */
    GY_CONN_LINGER,  /* answered, our side closed; input is dropped until the client closes */
    GY_CONN_CLOSED,
};

/* Bodies above GY_NET_COLLECT_BYTES are bounded in number: those that come in while a worker waits
 * for them, because slow senders must not hold every worker; those of the fast path until they are
 * answered, because they are held in memory whole. */
enum gy_upload { GY_UPLOAD_STREAMED, GY_UPLOAD_FAST, GY_UPLOAD_KINDS };

/* Loop thread only. */
struct gy_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct gy_net_loop *loop;
    struct gy_conn *prev, *next;
    struct gy_tls *tls; /* NULL: in the clear */
    struct gy_h2 *h2;   /* NULL: HTTP/1.1 */
    struct gy_http_parser parser;
    enum gy_conn_state state;
    enum gy_peer_kind peer;
    char actor[GY_NET_MAX_ACTOR];
    char address[GY_NET_MAX_ADDRESS]; /* of the peer; empty unless over TCP */
    bool reading, writing, close_after, used, fast, stop, admitted;
    bool greeted;                     /* TLS: the first bytes were looked at */
    bool half_greeted;                /* they may be HTTP/2's: pending has them */
    bool inference_port;              /* came in there */
    bool preflight;                   /* the request is one that is allowed */
    struct gy_str cors;               /* of the request: who may read the answer; empty: nobody */
    bool uploading;                   /* holds one of the server's max_uploads */
    enum gy_upload upload_kind;       /* which */
    uint64_t upload_wait_ms;          /* since when it waits for one; 0: it does not */
    uint64_t since_ms;                /* when state was entered */
    uint64_t window_ms, window_bytes; /* body rate */
    uint64_t write_ms, write_left;    /* progress of a write that waits */
    struct gy_file_wait *file_wait;   /* NULL: none (net/file_out.h) */
    bool file_retry;                  /* no room in the queue for the job that sends the file */
    uint64_t file_ms, file_seen;      /* progress of a file that waits */
    uint64_t linger_bytes;
    struct gy_str span;    /* body bytes that are still in the loop's read buffer */
    struct gy_buf body;    /* body bytes collected */
    struct gy_buf pending; /* what was read behind the request being worked on */
    size_t body_limit, body_bytes;
    const struct gy_route *route;
    struct gy_exchange *ex;
    struct gy_buf out; /* being written */
    uv_write_t write_req;
    uv_shutdown_t shutdown_req;
    char request_id[GY_HTTP_MAX_REQUEST_ID + 1];
    int64_t started_ns; /* 0: not taken */
};

struct gy_accepted {
    struct gy_accepted *next;
    int fd;
    enum gy_peer_kind peer;
    bool inference_port;
    bool refuse;
    char actor[GY_NET_MAX_ACTOR];
    char address[GY_NET_MAX_ADDRESS];
};

struct gy_loop_task {
    struct gy_loop_task *next;
    void (*fn)(void *ctx, struct gy_net_loop *loop);
    void *ctx;
};

/* Written by the loop alone, read by any thread. */
struct gy_loop_stats {
    _Atomic uint64_t closed, refused, requests, parse_errors, timeouts, bytes_in, bytes_out;
    _Atomic uint64_t by_class[6];
    _Atomic int64_t in_flight;
    _Atomic int64_t lag_us_max; /* exchanged with 0 by the reader */
};

struct gy_net_loop {
    struct gy_server *server;
    int index;
    pthread_t thread;
    bool running;
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t tick;

    pthread_mutex_t lock; /* guards the inbox: */
    struct gy_accepted *accepted, **accepted_end;
    struct gy_exchange *posted, **posted_end;
    struct gy_loop_task *tasks, **tasks_end;

    /* loop thread only: */
    struct gy_conn *conns, *spare;
    size_t n_spare, n_upload_waits;
    bool draining;
    char *read_bytes;  /* GY_NET_READ_BYTES */
    char *plain_bytes; /* what one read of TLS says; NULL without TLS */
    struct gy_buf fast_body, fast_head;
    struct gy_fast_reply fast_reply;
    struct gy_arena arena;
    struct gy_uuid_gen ids;
    uint64_t date_s, tick_ms, tick_due_ns;
    char date[32];
    size_t date_n;

    struct gy_loop_stats stats;
};

struct gy_server {
    struct gy_server_options o; /* defaults filled in */
    char host[256];             /* as bound, for the Host check */
    char *allowed_hosts;        /* own copy; NULL: none */
    char *cors;                 /* own copy; NULL: none */
    bool check_host;            /* bound to one address, or told the names */
    int port, listen_fd, unix_fd, spare_fd, wake_fds[2];
    int inference_port, inference_fd; /* -1: there is none */
    char unix_path[GY_MAX_PATH];
    pthread_t acceptor;
    bool acceptor_runs;
    struct gy_net_loop *loops;
    int n_loops, n_infer; /* n_infer: threads of `infer` */
    struct gy_pool *workers, *infer, *waiting;
    struct gy_tls_ctx *tls; /* of the port; NULL: in the clear */
    _Atomic bool draining, stopped;
    _Atomic uint64_t n_accepted, n_turned_away;
    _Atomic int64_t n_open, n_running; /* connections; requests with a worker or queued for one */
    _Atomic int64_t n_on_loops;        /* threads within gy_server_on_loops */
    /* Long bodies under way, by gy_upload, and connections that wait for their turn. */
    int max_uploads[GY_UPLOAD_KINDS];
    _Atomic int n_uploads[GY_UPLOAD_KINDS], n_upload_waits;
    _Atomic int64_t n_held; /* bytes of begun messages on HTTP/2 connections */
    _Atomic bool abandoned; /* stopped while handlers ran: their memory is theirs for ever */
    pthread_mutex_t lock;   /* with emptied: one of the three counts fell to 0 */
    pthread_cond_t emptied;
};

static inline void gy_stat_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* ---- server.c; any thread ---- */
void gy_server_count_down(struct gy_server *s,
                          _Atomic int64_t *count); /* n_open, n_running, n_on_loops */

/* ---- loop.c ---- */
/* tick_ms: how often timeouts are looked at. Fails: NOMEM, FAILED. */
GY_CHECKED gy_status gy_net_loop_init(struct gy_net_loop *l, struct gy_server *s, int index,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_net_loop_start(struct gy_net_loop *l, struct gy_err *err);
/* After its connections are closed and nobody posts any more: ends the thread, frees all. */
void gy_net_loop_done(struct gy_net_loop *l);
/* Any thread. a and t stay the caller's until the loop took them. */
void gy_net_loop_give(struct gy_net_loop *l, struct gy_accepted *a);
void gy_net_loop_task(struct gy_net_loop *l, struct gy_loop_task *t);
const char *gy_net_loop_date(struct gy_net_loop *l); /* of now; loop thread */
/* Run all that is in the inbox; loop thread. */
void gy_net_loop_inbox(struct gy_net_loop *l);

/* ---- conn.c; loop thread ---- */
/* Takes the socket; closes it when there is no memory. */
void gy_conn_open(struct gy_net_loop *l, const struct gy_accepted *a);
void gy_conn_news(struct gy_conn *c); /* its exchange was posted */
void gy_conn_enter(struct gy_conn *c, enum gy_conn_state state);
/* Answer an error and close; as_route: in the form of the route that was asked. */
void gy_conn_refuse(struct gy_conn *c, int status, const char *text);
void gy_conn_refuse_as_route(struct gy_conn *c, gy_status code, const char *text);
void gy_conn_tick(struct gy_conn *c, uint64_t now_ms); /* conn_time.c */
void gy_conn_drain(struct gy_conn *c);                 /* conn_time.c */
void gy_conn_retry_uploads(struct gy_net_loop *l);     /* an upload has ended somewhere */
void gy_conn_close(struct gy_conn *c);
void gy_conn_free_spare(struct gy_net_loop *l);
/* The threads for what the fast path says; NULL: there are none. */
struct gy_pool *gy_pool_of(const struct gy_server *s, enum gy_fast_result how);
/* Our side is done: drop what still comes until the client closes. */
void gy_conn_linger(struct gy_conn *c);
/* Turns of long bodies. False: there is none to be had now; who waits is counted, so that whoever
 * gives one back wakes the loops. */
bool gy_upload_take(struct gy_server *s, enum gy_upload kind);
void gy_upload_give(struct gy_server *s, enum gy_upload kind);
void gy_conn_wait_for_upload(struct gy_conn *c);
void gy_conn_wait_no_more(struct gy_conn *c);

/* ---- conn_send.c; loop thread ----
 * Send bytes; what the socket does not take now is kept in c->out and c->writing is set: then
 * gy_conn_written follows. False: the connection is gone. */
bool gy_conn_send(struct gy_conn *c, const uv_buf_t *bufs, unsigned n_bufs);
/* Send what TLS has to say (its handshake, or sealed answers), unless a write is under way: then it
 * follows that. False: the connection is gone. */
bool gy_conn_flush(struct gy_conn *c);
void gy_conn_written(struct gy_conn *c); /* conn.c: all that was to be sent is out */

/* ---- cors.c; any thread ---- */
/* The allowed origin, as it is answered ("*" or the origin itself); absent: not allowed. Lives as
 * long as the server. */
struct gy_str gy_cors_allows(const struct gy_server *s, struct gy_str origin);
bool gy_cors_is_preflight(const struct gy_http_head *h);
/* Header lines of the answer to one, beside the origin. */
void gy_cors_preflight(const struct gy_http_head *h, char out[GY_CORS_HEADERS]);

/* ---- guard.c: who may ask ---- */
/* GY_OK, or DENIED with the reason (text is static). cors: the page's origin is an allowed one. */
GY_CHECKED gy_status gy_guard_check(const struct gy_server *s, const struct gy_http_head *h,
                                    enum gy_peer_kind peer, bool cors, const char **ret_why);
bool gy_guard_is_loopback(const char *host);
bool gy_guard_is_wildcard(const char *host); /* 0.0.0.0, :: */

/* ---- listen.c ---- */
/* Fails: NETWORK (in use), DENIED, INVALID (no such host). */
GY_CHECKED gy_status gy_listen_tcp(const char *host, int port, int *ret_fd, int *ret_port,
                                   struct gy_err *err);
GY_CHECKED gy_status gy_listen_unix(const char *path, int *ret_fd, struct gy_err *err);
/* The acceptor thread's function (arg: the server). */
void *gy_accept_loop(void *arg);

#endif
