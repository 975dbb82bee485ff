/* SPDX-License-Identifier: Apache-2.0 */
/* One request that is answered by a worker thread: the bridge between its connection (on a loop)
 * and its handler (on a pool). Bytes cross in both directions through bounded buffers: a slow
 * handler stops the reading of the socket, a slow client stops the handler's writing. Reference
 * counted: a client that goes away leaves the handler an exchange that answers NETWORK. */
#ifndef GY_NET_EXCHANGE_H
#define GY_NET_EXCHANGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "net/http_parse.h"
#include "net/server.h"

enum {
    GY_EXCHANGE_HIGH = 1024 * 1024, /* bytes waiting in one direction before the giver must wait */
    GY_EXCHANGE_PIECE = 64 * 1024,  /* written at a time */
    GY_EXCHANGE_FLUSH = 32 * 1024,  /* an answer of known size is sent in pieces of about this */
    GY_EXCHANGE_FILE = 128 * 1024,  /* of a shorter file the bytes are copied, in one write more */
};

/* A file as the end of an answer (net/file_out.h). */
enum gy_file_state {
    GY_FILE_NONE,    /* there is none */
    GY_FILE_READY,   /* to be sent on, when what is in `out` has gone */
    GY_FILE_RUNNING, /* a job sends */
    GY_FILE_BLOCKED, /* the socket is full */
    GY_FILE_SENT,
};

struct gy_net_loop;
struct gy_conn;

struct gy_exchange {
    _Atomic int refs; /* the connection, the worker, the inbox of the loop while posted */
    struct gy_net_loop *loop;
    struct gy_str cors;   /* as in gy_head_out */
    struct gy_conn *conn; /* loop thread only; NULL once the connection is gone */

    /* the worker's: */
    struct gy_arena arena;
    struct gy_request req;
    struct gy_reader reader;
    struct gy_reply reply;
    struct gy_buf current; /* body bytes taken out of `in` */
    size_t current_at;
    int64_t promised, given; /* body bytes of the answer; promised -1: not known */
    bool head_only, http10, keep_alive, chunked, deferred;
    bool sealed;               /* TLS: what goes out passes through the loop's hands */
    int file_fd;               /* -1: none; the worker's, then the jobs' that send it */
    int64_t file_at, file_end; /* what of it is still to be sent; as file_fd */
    int socket_fd; /* the connection's, once more: a job may outlive it; -1: not yet opened */

    pthread_mutex_t lock; /* guards what follows: */
    pthread_cond_t changed;
    struct gy_buf in; /* body bytes that came in */
    bool in_end, in_paused;
    gy_status in_failed;
    const char *in_why;
    struct gy_buf out; /* framed bytes to go out */
    bool out_end, broken, gone;
    enum gy_file_state file;
    int64_t file_sent;
    bool close; /* the connection ends with this answer */
    int status;
    int64_t body_bytes; /* of the answer, for the log */

    bool posted; /* guarded by the loop's lock */
    struct gy_exchange *next;
};

/* A copy of everything the head says; refs = 1. Loop thread. Fails (NULL) without memory. */
struct gy_exchange *gy_exchange_new(struct gy_net_loop *loop, const struct gy_http_head *head,
                                    struct gy_str request_id, struct gy_str actor,
                                    enum gy_peer_kind peer, struct gy_str address);
void gy_exchange_ref(struct gy_exchange *ex);
void gy_exchange_unref(struct gy_exchange *ex);

/* ---- loop thread ---- */
/* Body bytes; true when the socket should not be read for now (the exchange posts itself when there
 * is room again). */
bool gy_exchange_give(struct gy_exchange *ex, struct gy_str bytes);
bool gy_exchange_has_room(struct gy_exchange *ex); /* for body bytes */
/* The body ends: status GY_OK, or why it breaks off (why is static). */
void gy_exchange_end_in(struct gy_exchange *ex, gy_status status, const char *why);
void gy_exchange_gone(struct gy_exchange *ex); /* the client went away */
enum gy_exchange_out {
    GY_OUT_NOTHING,
    GY_OUT_BYTES,
    GY_OUT_FILE, /* to be sent on by a job: RUNNING now */
    GY_OUT_FULL, /* a job that sends the file waits for room in the socket */
    GY_OUT_END,
    GY_OUT_BROKEN
};
/* What is to be sent: BYTES were swapped into *buf (given empty). */
enum gy_exchange_out gy_exchange_take(struct gy_exchange *ex, struct gy_buf *buf);

/* ---- any thread ---- */
void gy_exchange_post(struct gy_exchange *ex); /* its connection is to look at it */

/* ---- worker ---- */
void gy_exchange_run(void *exchange); /* the pool's function; drops the worker's reference */

/* May this caller predict? False: *out says why not. True: gy_fast_leave is called on the same
 * thread with what became of it. */
bool gy_fast_enter(const struct gy_server_options *o, struct gy_request *req,
                   struct gy_fast_reply *out, void **ret_pass);
void gy_fast_leave(const struct gy_server_options *o, void *pass, gy_status status,
                   const struct gy_err *failed);
/* The prediction, or why this caller gets none: asks the guard, then the fast path's `deferred`. */
void gy_fast_ask(const struct gy_server_options *o, int loop, struct gy_request *req,
                 struct gy_str body, struct gy_fast_reply *out);

/* ---- heads of answers, any thread ---- */
struct gy_head_out {
    int status;
    const char *date, *content_type; /* content_type NULL: none, or among the headers */
    const struct gy_header *headers; /* those of the connection itself are dropped */
    size_t n_headers;
    const char *extra;  /* complete lines; NULL: none */
    int64_t body_bytes; /* -1: chunked (or, close set and http10, up to the end) */
    struct gy_str request_id;
    struct gy_str cors; /* who may read it (Access-Control-Allow-Origin); empty: its own pages */
    bool close, http10;
};
void gy_head_write(struct gy_buf *out, const struct gy_head_out *h);

#endif
