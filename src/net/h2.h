/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 connections: libnghttp2 between bytes in memory, as TLS is, so that the loops stay the
 * only ones who read and write. A client begins one with the connection preface, in the clear
 * (prior knowledge) or behind TLS (ALPN "h2", which is chosen when "http/1.1" is not offered). What
 * is asked here are gRPC calls (net/grpc.h); everything else gets 415, and is asked over HTTP/1.1.
 *
 *   h2.c       the session: frames, streams, flow control, what is refused as an attack
 *   h2_call.c  one stream: its head, its messages, its answer
 *   h2_job.c   messages that a worker answers
 *
 * All of it belongs to the connection's loop; jobs are the workers' until they are posted back. */
#ifndef GY_NET_H2_H
#define GY_NET_H2_H

#include <nghttp2/nghttp2.h>

#include "net/grpc.h"
#include "net/server_internal.h"

enum {
    GY_H2_MAX_STREAMS = 100,   /* calls of one connection at a time */
    GY_H2_MAX_JOBS = 200,      /* of one connection with workers, those of reset calls too */
    GY_H2_MAX_WATCHES = 8,     /* of one connection */
    GY_H2_SPARE_CALLS = 16,    /* kept for reuse */
    GY_H2_WINDOW = 256 * 1024, /* what a call may send before it is read on */
    GY_H2_CONN_WINDOW = 1024 * 1024,
    GY_H2_MAX_UNSENT = 64 * 1024 * 1024, /* of answers that a client does not take; then refused */
    GY_H2_MAX_HELD = 256 * 1024 * 1024,  /* begun messages of all connections of a server */
    GY_H2_MAX_FRAMES_OUT = 4096,         /* waiting to be sent; then the connection is closed */
    GY_H2_RESETS = 1000,                 /* RST_STREAM at once, */
    GY_H2_RESETS_S = 100,                /* and each second */
    GY_H2_CONTROLS =
        10000, /* frames that ask nothing (PING, SETTINGS, empty DATA, unknown) at once, */
    GY_H2_CONTROLS_S = 1000, /* and each second */
    GY_H2_MAX_SETTINGS = 32,
    GY_H2_MAX_CONTINUATIONS = 8,
    GY_H2_WATCH_MS = 1000,         /* how often a watched answer is asked for again */
    GY_H2_SEND_BYTES = 256 * 1024, /* gathered for one write */
};

struct gy_h2_job;

/* One stream. */
struct gy_h2_call {
    struct gy_h2 *h2;
    struct gy_h2_call *prev, *next;
    const struct gy_route *route; /* NULL: the head was not read yet, or refused */
    struct gy_h2_job *job;        /* NULL: none */
    struct gy_buf texts;          /* names and values of the head */
    struct gy_buf in;             /* messages as they came, from the next one on */
    struct gy_buf out;            /* messages to go out */
    struct gy_buf end;            /* the grpc-message of the end, or what a watch was last told */
    size_t in_at, out_at;         /* of in, taken; of out, sent */
    size_t unconsumed;            /* bytes for which the client gets no new window yet */
    size_t window_bytes;
    uint64_t began_ms, window_ms; /* message rate */
    uint64_t deadline_ms;         /* 0: none */
    uint64_t turn_ms;             /* waits since then for the turn of a long message; 0: does not */
    uint64_t out_ms;              /* since when out does not move */
    uint64_t watch_ms;            /* a watch: when to ask again; 0: not now */
    int64_t started_ns;           /* 0: not taken */
    uint64_t answer_bytes;
    size_t n_headers;
    struct gy_http_span names[GY_HTTP_MAX_HEADERS], values[GY_HTTP_MAX_HEADERS];
    int32_t id;
    enum gy_grpc_code code; /* of the end */
    enum gy_grpc_encoding encoding;
    bool head_here;        /* the head has come whole */
    bool half_closed;      /* the client sends no more */
    bool head_sent, ended; /* ended: how it ends is decided; what still comes is dropped */
    bool fast;             /* messages go to the fast path */
    bool asked;            /* a message was taken */
    bool uploading;        /* holds one of the server's turns of long messages */
    bool too_big;          /* the head passed its limit */
    char request_id[GY_HTTP_MAX_REQUEST_ID + 1];
    char actor[GY_NET_MAX_ACTOR]; /* as the guard found it; empty: as the connection says */
};

struct gy_h2 {
    struct gy_conn *conn;
    nghttp2_session *session;
    struct gy_h2_call *calls, *spare;
    struct gy_h2_job *jobs;
    const struct gy_route *last_route;                   /* the last call's: most are the same */
    size_t n_calls, n_spare, n_jobs, n_watches, n_turns; /* n_turns: calls that wait for one */
    size_t held, held_told; /* bytes in `in` of all calls; what of it the server was told */
    size_t unsent;          /* bytes in `out` of all calls */
    uint64_t heard_ms, controls_ms, drain_ms; /* drain_ms 0: not draining */
    int64_t controls;                         /* left */
    bool pinged;                              /* since heard_ms */
    bool going;                               /* the last GOAWAY was queued */
    bool in_feed;                             /* nothing is sent from within */
};

/* ---- h2.c: what conn.c calls ---- */
/* Do these bytes begin an HTTP/2 connection? At least 3 of them decide; fewer may. */
bool gy_h2_greets(const char *bytes, size_t n);
/* False: no memory, or a foreign library that fails. */
bool gy_h2_begin(struct gy_conn *c);
void gy_h2_feed(struct gy_conn *c, const char *bytes, size_t n);
void gy_h2_written(struct gy_conn *c);
void gy_h2_tick(struct gy_conn *c, uint64_t now_ms);
void gy_h2_drain(struct gy_conn *c);
void gy_h2_retry_turns(struct gy_conn *c);
void gy_h2_gone(struct gy_conn *c); /* the connection closes: nobody is answered any more */
void gy_h2_free(struct gy_h2 *h2);  /* NULL allowed */

/* ---- h2.c: what calls use ---- */
/* Send what there is to send, unless from within gy_h2_feed, which does it at its end. */
void gy_h2_flush(struct gy_h2 *h2);
/* Give the client new window for n bytes of a call. */
void gy_h2_consume(struct gy_h2_call *call, size_t n);
/* Answer head: extra is "Name: value\r\n" lines, names of any case; messages follow from out. */
void gy_h2_send_head(struct gy_h2_call *call, struct gy_str extra);
/* An answer that is its end: a failure without messages. */
void gy_h2_send_failure(struct gy_h2_call *call);
/* Not gRPC: one HTTP answer. */
void gy_h2_send_plain(struct gy_h2_call *call, int status, const char *text);
/* out or ended have changed. */
void gy_h2_resume(struct gy_h2_call *call);

/* ---- h2_call.c: what the session calls ---- */
struct gy_h2_call *gy_h2_call_new(struct gy_h2 *h2, int32_t id); /* NULL: no memory */
void gy_h2_call_free(struct gy_h2_call *call);                   /* its stream is closed */
void gy_h2_call_done(struct gy_h2_call *call);                   /* a spare one's memory */
void gy_h2_call_header(struct gy_h2_call *call, struct gy_str name, struct gy_str value);
void gy_h2_call_begin(struct gy_h2_call *call); /* the head is here */
void gy_h2_call_data(struct gy_h2_call *call, struct gy_str bytes);
void gy_h2_call_half_close(struct gy_h2_call *call);
void gy_h2_call_tick(struct gy_h2_call *call, uint64_t now_ms);
void gy_h2_call_retry_turn(struct gy_h2_call *call);
/* End it with that code; text is copied. What was answered before still goes out. */
void gy_h2_call_end(struct gy_h2_call *call, enum gy_grpc_code code, const char *text);

/* ---- h2_job.c ---- */
/* What a message met. body and extra are the callee's until the next call. */
struct gy_h2_answer {
    int status;
    const char *content_type; /* GY_GRPC_TYPE: body is a message; else a text */
    struct gy_str body;
    struct gy_str extra; /* lines, as gy_fast_reply has them */
};
/* The request that a call's message is; headers has room for GY_HTTP_MAX_HEADERS. */
void gy_h2_request(const struct gy_h2_call *call, struct gy_header *headers,
                   struct gy_request *ret);
/* Have a worker answer `message`, a view into call->in; call->job is set. how: DEFER or WAIT a
 * prediction, PASS the route's handler. packed: it is unpacked first; admitted: the fast path let
 * it into the queue. False: there is none to be had (BUSY or no memory). */
bool gy_h2_job_start(struct gy_h2_call *call, struct gy_str message, enum gy_fast_result how,
                     bool packed, bool admitted);
/* The call wants no answer any more. NULL allowed. */
void gy_h2_job_forget(struct gy_h2_job *job);
void gy_h2_jobs_gone(struct gy_h2 *h2); /* the connection closes */

/* h2_call.c: its job is done. */
void gy_h2_call_job_done(struct gy_h2_call *call, const struct gy_h2_answer *a,
                         struct gy_str actor);

#endif
