/* SPDX-License-Identifier: Apache-2.0 */
/* A connection: one request after the other, answered in order. All of it on its loop's thread.
 *
 *   IDLE -> HEAD -> COLLECT -> (fast path: answered here) ------------> WRITE -> IDLE or LINGER
 *                      |-> STREAM -> WORK (an exchange, a worker) ----^
 *
 * A body up to GY_NET_COLLECT_BYTES is here before a worker is bothered, so that slow senders of
 * small bodies cost no thread. Of longer ones only max_uploads are under way at a time; the others
 * wait in COLLECT, unread. */
#include "net/server_internal.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/file_out.h"
#include "net/h2.h"

static void feed(struct gy_conn *c, const char *bytes, size_t n);
static void answered(struct gy_conn *c);
static void go_on(struct gy_conn *c);
static void pump(struct gy_conn *c);

/* ---- turns of long bodies ---- */

static void give_upload(struct gy_conn *c)
{
    if (c->uploading) {
        c->uploading = false;
        gy_upload_give(c->loop->server, c->upload_kind);
    }
}

static bool take_upload(struct gy_conn *c)
{
    enum gy_upload kind = c->fast ? GY_UPLOAD_FAST : GY_UPLOAD_STREAMED;
    if (c->uploading && c->upload_kind != kind) {
        give_upload(c); /* it has grown too big for the fast path */
    }
    c->uploading = c->uploading || gy_upload_take(c->loop->server, kind);
    c->upload_kind = kind;
    return c->uploading;
}

void gy_conn_enter(struct gy_conn *c, enum gy_conn_state state)
{
    gy_conn_wait_no_more(c);
    if (state != GY_CONN_STREAM && !(state == GY_CONN_WORK && c->upload_kind == GY_UPLOAD_FAST)) {
        give_upload(c);
    }
    c->state = state;
    c->since_ms = uv_now(&c->loop->uv);
}

static bool receiving(const struct gy_conn *c)
{
    return c->state <= GY_CONN_STREAM && !c->stop;
}

/* ---- closing ---- */

static void on_closed(uv_handle_t *handle)
{
    struct gy_conn *c = handle->data;
    struct gy_net_loop *l = c->loop;
    struct gy_server *s = l->server;
    gy_stat_add(&l->stats.closed, 1);
    gy_buf_done(&c->body);
    gy_buf_done(&c->pending);
    gy_buf_done(&c->out);
    gy_tls_free(c->tls);
    gy_h2_free(c->h2);
    if (l->n_spare < GY_NET_SPARE_CONNS) {
        c->next = l->spare;
        l->spare = c;
        l->n_spare++;
    } else {
        gy_http_parser_done(&c->parser);
        gy_free(c);
    }
    gy_server_count_down(s, &s->n_open);
}

void gy_conn_free_spare(struct gy_net_loop *l)
{
    for (struct gy_conn *c = l->spare, *next; c; c = next) {
        next = c->next;
        gy_http_parser_done(&c->parser);
        gy_free(c);
    }
    l->spare = NULL;
    l->n_spare = 0;
}

static void drop_exchange(struct gy_conn *c)
{
    if (c->ex) {
        gy_file_out_drop(c);
        c->ex->conn = NULL;
        gy_exchange_unref(c->ex);
        c->ex = NULL;
        atomic_fetch_sub_explicit(&c->loop->stats.in_flight, 1, memory_order_relaxed);
    }
}

void gy_conn_close(struct gy_conn *c)
{
    if (c->state == GY_CONN_CLOSED) {
        return;
    }
    if (c->ex) {
        gy_exchange_gone(c->ex);
        drop_exchange(c);
    }
    if (c->h2) {
        gy_h2_gone(c);
    }
    if (c->prev) {
        c->prev->next = c->next;
    } else {
        c->loop->conns = c->next;
    }
    if (c->next) {
        c->next->prev = c->prev;
    }
    gy_conn_enter(c, GY_CONN_CLOSED);
    uv_close(&c->uv.handle, on_closed);
}

/* ---- reading ---- */

/* The client is gone. */
static void broken_off(struct gy_conn *c)
{
    if (c->ex && c->state == GY_CONN_STREAM) {
        gy_exchange_end_in(c->ex, GY_E_NETWORK, "the client broke off in the body");
    }
    gy_conn_close(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct gy_conn *c = handle->data;
    (void)suggested;
    buf->base = c->loop->read_bytes; /* used up before the next read on this loop */
    buf->len = GY_NET_READ_BYTES;
}

/* Out of what came over the wire: the plain bytes. False: the connection is gone, or there is
 * nothing to go on with yet. */
static bool read_tls(struct gy_conn *c, const char *bytes, size_t n, size_t *ret_n)
{
    bool end = false;
    struct gy_err err = GY_ERR_INIT;
    bool first = !c->used && c->state == GY_CONN_IDLE && !c->greeted;
    c->greeted = true;
    if (first && (unsigned char)bytes[0] != GY_NET_TLS_HANDSHAKE) {
        gy_tls_free(c->tls);
        c->tls = NULL;
        gy_conn_refuse(c, 400, "this port speaks TLS: use https://");
        return false;
    }
    gy_status status = gy_tls_open(c->tls, bytes, n, c->loop->plain_bytes, ret_n, &end, &err);
    if (!gy_conn_flush(c)) {
        return false;
    }
    if (status != GY_OK) {
        gy_stat_add(&c->loop->stats.parse_errors, 1);
        gy_log(GY_LOG_DEBUG, "net", "a TLS connection was refused", GY_KV_C("why", err.msg));
    }
    if (status != GY_OK || (end && *ret_n == 0)) {
        broken_off(c);
        return false;
    }
    return *ret_n > 0;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct gy_conn *c = stream->data;
    if (n == 0) {
        return;
    }
    if (n < 0) {
        broken_off(c);
        return;
    }
    gy_stat_add(&c->loop->stats.bytes_in, (uint64_t)n);
    if (c->state == GY_CONN_LINGER || c->stop) {
        c->linger_bytes += (uint64_t)n;
        if (c->linger_bytes > GY_NET_LINGER_BYTES) {
            gy_conn_close(c);
        }
        return;
    }
    size_t plain_n = 0;
    if (!c->tls) {
        feed(c, buf->base, (size_t)n);
    } else if (read_tls(c, buf->base, (size_t)n, &plain_n)) {
        feed(c, c->loop->plain_bytes, plain_n);
    }
}

static void read_on(struct gy_conn *c, bool on)
{
    if (c->state == GY_CONN_CLOSED || c->reading == on) {
        return;
    }
    c->reading = on;
    if (!on) {
        (void)uv_read_stop(&c->uv.stream); /* always 0 */
    } else if (uv_read_start(&c->uv.stream, on_alloc, on_read) != 0) {
        gy_conn_close(c);
    } else {
        c->window_ms = uv_now(&c->loop->uv);
        c->window_bytes = 0;
    }
}

/* ---- writing (conn_send.c) ---- */

void gy_conn_written(struct gy_conn *c)
{
    if (c->state == GY_CONN_H2) {
        gy_h2_written(c);
    } else if (c->ex) {
        pump(c);
    } else if (c->state == GY_CONN_WRITE) {
        answered(c);
        go_on(c);
    }
}

static void count_answer(struct gy_conn *c, int status)
{
    gy_stat_add(&c->loop->stats.requests, 1);
    gy_stat_add(&c->loop->stats.by_class[status / 100 < 6 ? status / 100 : 5], 1);
}

/* actor: who the guard found it to be; absent: whom the connection names. */
static void log_access(struct gy_conn *c, int status, int64_t bytes, bool fast, struct gy_str actor)
{
    enum gy_log_level level = fast && status < 400 ? GY_LOG_DEBUG : GY_LOG_INFO;
    if (c->loop->server->o.access_log && gy_log_on(level, "access")) {
        const struct gy_request *r = c->ex ? &c->ex->req : NULL;
        const struct gy_http_head *h = &c->parser.head;
        int64_t us = c->started_ns ? (gy_mono_ns() - c->started_ns) / 1000 : 0;
        struct gy_kv kvs[] = {GY_KV_S("method", r ? r->method : h->method),
                              GY_KV_S("path", r ? r->path : h->path),
                              GY_KV_I("status", status),
                              GY_KV_I("bytes", bytes),
                              GY_KV_I("us", us),
                              GY_KV_S("actor", actor.p ? actor : gy_str_c(c->actor)),
                              GY_KV_C("request_id", c->request_id)};
        gy_log_write(level, "access", "request", kvs, sizeof kvs / sizeof kvs[0]);
    }
}

/* ---- answers made here ---- */

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct gy_conn *c = req->data;
    if (status < 0) {
        gy_conn_close(c);
    }
}

/* Our side is done: send FIN, drop what still comes, so that the client gets to read the answer
 * (closing with unread input would reset the connection under it). */
void gy_conn_linger(struct gy_conn *c)
{
    gy_conn_enter(c, GY_CONN_LINGER);
    c->shutdown_req.data = c;
    gy_buf_done(&c->pending);
    gy_buf_done(&c->body);
    if (c->tls) {
        gy_tls_end(c->tls);
        if (!gy_conn_flush(c)) {
            return;
        }
    }
    if (uv_shutdown(&c->shutdown_req, &c->uv.stream, on_shutdown) != 0) {
        gy_conn_close(c);
        return;
    }
    read_on(c, true);
}

/* The answer is wholly out. */
static void answered(struct gy_conn *c)
{
    drop_exchange(c);
    if (c->close_after || c->loop->draining) {
        gy_conn_linger(c);
        return;
    }
    gy_conn_enter(c, GY_CONN_IDLE);
    c->span = GY_STR_NULL;
    gy_buf_reset(&c->body);
    if (c->body.cap > GY_NET_COLLECT_BYTES) {
        gy_buf_done(&c->body); /* one large body must not be remembered by an idle connection */
    }
}

/* After an answer that did not go out from within feed: go on with what was read meanwhile. */
static void go_on(struct gy_conn *c)
{
    if (c->state == GY_CONN_IDLE && c->pending.n) {
        struct gy_buf bytes = c->pending;
        gy_buf_init(&c->pending, GY_TLS_PLAIN_MAX(GY_NET_READ_BYTES));
        feed(c, bytes.p, bytes.n);
        gy_buf_done(&bytes);
    }
    if (receiving(c)) {
        read_on(c, true);
    }
}

static struct gy_str own_request_id(struct gy_conn *c, struct gy_str given)
{
    if (given.n) {
        memcpy(c->request_id, given.p, given.n); /* bounded by GY_HTTP_MAX_REQUEST_ID */
        c->request_id[given.n] = '\0';
        return gy_str_n(c->request_id, given.n);
    }
    unsigned char id[16];
    gy_uuid7(&c->loop->ids, id);
    gy_uuid_text(id, c->request_id);
    return gy_str_n(c->request_id, GY_UUID_TEXT - 1);
}

/* One whole answer, head and body in one write where that is cheaper than two buffers. */
static void send_answer(struct gy_conn *c, const struct gy_head_out *h, struct gy_str body)
{
    struct gy_net_loop *l = c->loop;
    struct gy_buf *head = &l->fast_head;
    bool head_only = gy_str_eqc(c->parser.head.method, "HEAD") || h->status == 204;
    struct gy_head_out with_cors = *h;
    with_cors.cors = c->cors;
    gy_buf_reset(head);
    gy_head_write(head, &with_cors);
    if (head_only) {
        body = GY_STR_NULL;
    } else if (body.n <= GY_NET_ONE_WRITE_BYTES) {
        gy_buf_add(head, body);
        body = GY_STR_NULL;
    }
    if (head->failed != GY_OK) {
        gy_conn_close(c);
        return;
    }
    uv_buf_t bufs[2] = {uv_buf_init(head->p, (unsigned)head->n),
                        {.base = (char *)(uintptr_t)body.p, .len = body.n}};
    gy_conn_enter(c, GY_CONN_WRITE);
    count_answer(c, h->status);
    if (gy_conn_send(c, bufs, body.n ? 2 : 1) && !c->writing) {
        answered(c);
    }
}

/* Refuse in our own words and close: what came in can not be trusted to have an end. */
void gy_conn_refuse(struct gy_conn *c, int status, const char *text)
{
    char body[512];
    int n = snprintf(body, sizeof body,
                     "{\"type\":\"urn:gyre:error:%s\",\"title\":\"%s\",\"status\":%d,"
                     "\"detail\":\"%s\",\"code\":\"%s\"}",
                     gy_status_name(gy_status_from_http(status)), gy_http_reason(status), status,
                     text, gy_status_name(gy_status_from_http(status)));
    c->stop = c->close_after = true;
    if (!c->request_id[0]) {
        (void)own_request_id(c, GY_STR_NULL);
    }
    log_access(c, status, n, false, GY_STR_NULL);
    send_answer(c,
                &(struct gy_head_out){.status = status,
                                      .date = gy_net_loop_date(c->loop),
                                      .content_type = "application/problem+json",
                                      .extra = status == 503 ? "Retry-After: 1\r\n" : NULL,
                                      .body_bytes = n,
                                      .request_id = gy_str_c(c->request_id),
                                      .close = true},
                gy_str_n(body, (size_t)n));
}

/* Refuse in the words of the route's protocol. */
void gy_conn_refuse_as_route(struct gy_conn *c, gy_status code, const char *text)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    struct gy_err failed = GY_ERR_INIT;
    struct gy_http_head *h = &c->parser.head;
    struct gy_request req = {.method = h->method,
                             .path = h->path,
                             .query = h->query,
                             .headers = h->headers,
                             .n_headers = h->n_headers,
                             .request_id = gy_str_c(c->request_id),
                             .actor = gy_str_c(c->actor),
                             .peer = c->peer,
                             .peer_address = gy_str_c(c->address),
                             .arena = &c->loop->arena};
    gy_collect_init(&answer, 64 * GY_KIB);
    gy_arena_reset(&c->loop->arena);
    (void)gy_err_set(&failed, code, "%s", text);
    if (!c->route || !c->route->errors ||
        c->route->errors(&req, &answer.reply, &failed, NULL) != GY_OK) {
        gy_conn_refuse(c, gy_status_http(code), text);
        return;
    }
    c->stop = c->close_after = true;
    log_access(c, answer.status, (int64_t)answer.body.n, false, GY_STR_NULL);
    send_answer(c,
                &(struct gy_head_out){.status = answer.status,
                                      .date = gy_net_loop_date(c->loop),
                                      .headers = answer.headers,
                                      .n_headers = answer.n_headers,
                                      .body_bytes = (int64_t)answer.body.n,
                                      .request_id = req.request_id,
                                      .close = true},
                gy_buf_str(&answer.body));
}

/* ---- handing a request to a worker ---- */

static void pump(struct gy_conn *c)
{
    while (!c->writing && c->ex) {
        gy_buf_reset(&c->out);
        switch (gy_exchange_take(c->ex, &c->out)) {
        case GY_OUT_NOTHING:
            return;
        case GY_OUT_BYTES: {
            uv_buf_t buf = uv_buf_init(c->out.p, (unsigned)c->out.n);
            if (!gy_conn_send(c, &buf, 1)) {
                return;
            }
            break;
        }
        case GY_OUT_FILE:
            gy_file_out_start(c);
            return;
        case GY_OUT_FULL:
            gy_file_out_wait(c);
            return;
        case GY_OUT_END:
            count_answer(c, c->ex->status);
            log_access(c, c->ex->status, c->ex->body_bytes, false, c->ex->req.actor);
            c->close_after = c->close_after || c->ex->close || c->state == GY_CONN_STREAM;
            answered(c);
            go_on(c);
            return;
        case GY_OUT_BROKEN:
            log_access(c, c->ex->status, c->ex->body_bytes, false, c->ex->req.actor);
            gy_conn_close(c); /* an answer that stops short must not look whole */
            return;
        }
    }
}

void gy_conn_news(struct gy_conn *c)
{
    pump(c);
    if (c->ex && c->state == GY_CONN_STREAM && receiving(c) && gy_exchange_has_room(c->ex)) {
        read_on(c, true);
    }
}

static void keep_span(struct gy_conn *c)
{
    if (c->span.n) {
        gy_buf_add(&c->body, c->span);
        c->span = GY_STR_NULL;
    }
}

/* Where a request goes that its loop does not answer. */
struct gy_pool *gy_pool_of(const struct gy_server *s, enum gy_fast_result how)
{
    return how == GY_FAST_WAIT ? s->waiting : how == GY_FAST_DEFER ? s->infer : s->workers;
}

/* `whole`: the body is here; else the rest is streamed to the handler. */
static void dispatch(struct gy_conn *c, bool whole, enum gy_fast_result how)
{
    struct gy_server *s = c->loop->server;
    keep_span(c);
    struct gy_exchange *ex = gy_exchange_new(c->loop, &c->parser.head, gy_str_c(c->request_id),
                                             gy_str_c(c->actor), c->peer, gy_str_c(c->address));
    if (!ex || c->body.failed != GY_OK) {
        gy_exchange_unref(ex);
        gy_conn_refuse_as_route(c, GY_E_NOMEM, "no memory for this request");
        return;
    }
    struct gy_buf empty = ex->in;
    ex->in = c->body; /* no other thread knows ex yet */
    ex->in.max_bytes = empty.max_bytes;
    gy_buf_init(&c->body, SIZE_MAX / 2);
    ex->in_end = whole;
    ex->deferred = how == GY_FAST_DEFER || how == GY_FAST_WAIT;
    ex->keep_alive = !c->close_after;
    ex->sealed = c->tls != NULL;
    ex->cors = c->cors;
    ex->req.inference_port = c->inference_port;
    ex->req.received_ns = gy_mono_ns();
    ex->req.admitted = c->admitted;
    ex->conn = c;
    c->ex = ex;
    atomic_fetch_add_explicit(&c->loop->stats.in_flight, 1, memory_order_relaxed);
    gy_exchange_ref(ex); /* the worker's */
    atomic_fetch_add(&s->n_running, 1);
    struct gy_pool *pool = gy_pool_of(s, how);
    if (!pool) { /* no pools: the fuzzer, which wants one thread */
        gy_exchange_run(ex);
    } else if (gy_pool_run(pool, gy_exchange_run, ex, NULL) != GY_OK) {
        gy_exchange_unref(ex);
        drop_exchange(c);
        gy_server_count_down(s, &s->n_running);
        gy_stat_add(&c->loop->stats.refused, 1);
        gy_conn_refuse_as_route(c, GY_E_BUSY, "too many requests are waiting");
        return;
    }
    gy_conn_enter(c, whole ? GY_CONN_WORK : GY_CONN_STREAM);
    if (whole) {
        read_on(c, false);
    }
}

/* The body is a long one: go on with it when it is its turn. Counted among the waiting before the
 * last look, so that whoever ends an upload meanwhile sees that somebody waits. */
static void begin_upload(struct gy_conn *c)
{
    if (!c->upload_wait_ms) {
        gy_conn_wait_for_upload(c);
    }
    if (take_upload(c)) {
        gy_conn_wait_no_more(c);
        read_on(c, true);
        if (c->state != GY_CONN_CLOSED && !c->fast) {
            dispatch(c, false, GY_FAST_PASS);
        }
    } else {
        read_on(c, false);
    }
}

void gy_conn_retry_uploads(struct gy_net_loop *l)
{
    for (struct gy_conn *c = l->conns, *next; c && l->n_upload_waits; c = next) {
        next = c->next;
        if (c->state == GY_CONN_H2) {
            gy_h2_retry_turns(c);
        } else if (c->upload_wait_ms) {
            begin_upload(c);
        }
    }
}

/* ---- the fast path ---- */

static void run_fast(struct gy_conn *c)
{
    struct gy_net_loop *l = c->loop;
    const struct gy_server_options *o = &l->server->o;
    const struct gy_http_head *h = &c->parser.head;
    struct gy_fast_reply *out = &l->fast_reply;
    struct gy_request req = {.method = h->method,
                             .path = h->path,
                             .query = h->query,
                             .headers = h->headers,
                             .n_headers = h->n_headers,
                             .request_id = gy_str_c(c->request_id),
                             .actor = gy_str_c(c->actor),
                             .peer = c->peer,
                             .inference_port = c->inference_port,
                             .peer_address = gy_str_c(c->address),
                             .arena = &l->arena};
    if (c->body.n) {
        keep_span(c);
    }
    const struct gy_router_guard *guard = gy_router_guard(o->router);
    c->admitted = false;
    if (guard && !guard->known(guard->self, &req)) {
        dispatch(c, true, GY_FAST_DEFER); /* a worker finds out who it is */
        return;
    }
    struct gy_str body = c->body.n ? gy_buf_str(&c->body) : c->span;
    gy_arena_reset(&l->arena);
    gy_buf_reset(&l->fast_body);
    out->status = 0;
    out->content_type = NULL;
    out->extra_headers[0] = '\0';
    enum gy_fast_result result = c->body.failed == GY_OK
                                     ? o->fast->run(o->fast_self, l->index, &req, body, out)
                                     : GY_FAST_PASS; /* dispatch answers for want of memory */
    c->admitted = result == GY_FAST_DEFER || result == GY_FAST_WAIT;
    if (result == GY_FAST_DEFER && o->fast->admit &&
        !o->fast->admit(o->fast_self, l->index, &req, body, gy_pool_queued(l->server->infer),
                        l->server->n_infer, out)) {
        result = GY_FAST_DONE;
    }
    if (result != GY_FAST_DONE) {
        c->route = gy_router_find(o->router, h->method, h->path);
        dispatch(c, true, result);
        return;
    }
    if (l->fast_body.failed != GY_OK) {
        gy_conn_refuse(c, 503, "no memory for the answer");
        return;
    }
    c->close_after = !h->keep_alive || l->draining;
    log_access(c, out->status, (int64_t)l->fast_body.n, true, req.actor);
    send_answer(c,
                &(struct gy_head_out){.status = out->status,
                                      .date = gy_net_loop_date(l),
                                      .content_type = out->content_type,
                                      .extra = out->extra_headers,
                                      .body_bytes = (int64_t)l->fast_body.n,
                                      .request_id = req.request_id,
                                      .close = c->close_after,
                                      .http10 = h->http10},
                gy_buf_str(&l->fast_body));
}

/* ---- parser events ---- */

/* The limit of the route; a body that no route wants is read only when it is short. False: the
 * request was answered or handed over. */
static bool find_route(struct gy_conn *c, const struct gy_http_head *h)
{
    c->route = gy_router_find(c->loop->server->o.router, h->method, h->path);
    if (!c->route) {
        c->body_limit = GY_NET_STRAY_BYTES;
        if (h->chunked || h->content_length > GY_NET_STRAY_BYTES) {
            c->close_after = c->stop = true;
            dispatch(c, true, GY_FAST_PASS); /* 404 or 405, as for an empty body */
            return false;
        }
        return true;
    }
    c->body_limit = c->route->max_body ? c->route->max_body : GY_ROUTE_MAX_BODY;
    if (h->content_length >= 0 && (uint64_t)h->content_length > c->body_limit) {
        char text[128];
        (void)snprintf(text, sizeof text, "the body has %lld bytes, %zu are the most here",
                       (long long)h->content_length, c->body_limit);
        gy_conn_refuse_as_route(c, GY_E_TOOBIG, text);
        return false;
    }
    return true;
}

static bool invite_body(struct gy_conn *c)
{
    static char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t buf = uv_buf_init(line, sizeof line - 1);
    if (c->tls) {
        return gy_conn_send(c, &buf, 1);
    }
    int sent = uv_try_write(&c->uv.stream, &buf, 1);
    if (sent != (int)buf.len) { /* a client that does not even take this is not worth waiting for */
        gy_conn_close(c);
        return false;
    }
    return true;
}

/* Only looked at where it matters. */
static bool is_served(const struct gy_conn *c, const struct gy_http_head *h)
{
    const struct gy_server *s = c->loop->server;
    const struct gy_fast_ops *fast = s->o.fast;
    bool asked = c->inference_port || (s->cors && h->origin.p);
    return asked && fast && fast->serves &&
           fast->serves(s->o.fast_self, c->loop->index, c->inference_port, h->path);
}

/* What a cluster, and clients of KServe and MLflow, ask of every server. */
static bool is_probe(struct gy_str path)
{
    return gy_str_eqc(path, "/") || gy_str_eqc(path, "/health") || gy_str_eqc(path, "/version");
}

static bool on_head(void *ctx, const struct gy_http_head *h)
{
    struct gy_conn *c = ctx;
    struct gy_server *s = c->loop->server;
    const struct gy_server_options *o = &s->o;
    const char *why = NULL;
    gy_conn_enter(c, GY_CONN_COLLECT);
    c->body_bytes = 0;
    c->window_bytes = 0;
    c->window_ms = c->since_ms;
    c->close_after = !h->keep_alive;
    c->started_ns = o->access_log ? gy_mono_ns() : 0;
    c->route = NULL;
    (void)own_request_id(c, h->request_id);
    bool served = is_served(c, h);
    c->cors = served && h->origin.p ? gy_cors_allows(s, h->origin) : GY_STR_NULL;
    c->preflight = c->cors.p && gy_cors_is_preflight(h);
    if (gy_guard_check(s, h, c->peer, c->cors.p != NULL, &why) != GY_OK) {
        gy_conn_refuse(c, 403, why);
        return false;
    }
    if (c->inference_port && !served && !is_probe(h->path)) {
        gy_conn_refuse(c, 404, "this port serves inference alone");
        return false;
    }
    c->fast = o->fast && h->content_length <= (int64_t)o->fast->max_body &&
              o->fast->claims(o->fast_self, c->loop->index, c->inference_port, h->method, h->path);
    c->body_limit = c->fast ? o->fast->max_body : 0;
    if (!c->fast && !find_route(c, h)) {
        return false;
    }
    if (h->expects_continue && !h->http10 && (h->chunked || h->content_length > 0)) {
        return invite_body(c);
    }
    return true;
}

/* A chunked body has grown past its limit. */
static void too_big(struct gy_conn *c)
{
    if (c->fast) { /* too big for the loop: the router's route may take it */
        c->fast = false;
        if (!find_route(c, &c->parser.head) || c->body_bytes <= c->body_limit) {
            return;
        }
    }
    if (c->ex) {
        gy_exchange_end_in(c->ex, GY_E_TOOBIG, "the body is longer than this route allows");
        c->stop = c->close_after = true;
        gy_conn_enter(c, GY_CONN_WORK);
    } else {
        gy_conn_refuse_as_route(c, GY_E_TOOBIG, "the body is longer than this route allows");
    }
}

static void on_body(void *ctx, const char *p, size_t n)
{
    struct gy_conn *c = ctx;
    if (c->stop || c->state == GY_CONN_CLOSED) {
        return;
    }
    c->body_bytes += n;
    c->window_bytes += n;
    if (c->body_bytes > c->body_limit) {
        too_big(c);
        if (c->stop || c->state > GY_CONN_STREAM) {
            return;
        }
    }
    if (c->ex) {
        if (gy_exchange_give(c->ex, gy_str_n(p, n))) {
            read_on(c, false);
        }
    } else if (!c->span.p && !c->body.n) {
        c->span = gy_str_n(p, n);
    } else {
        keep_span(c);
        gy_buf_add_bytes(&c->body, p, n);
    }
}

static const struct gy_http_hooks hooks = {on_head, on_body};

static void answer_preflight(struct gy_conn *c)
{
    char extra[GY_CORS_HEADERS];
    gy_cors_preflight(&c->parser.head, extra);
    c->close_after = !c->parser.head.keep_alive || c->loop->draining;
    log_access(c, 204, 0, true, GY_STR_NULL);
    send_answer(c,
                &(struct gy_head_out){.status = 204,
                                      .date = gy_net_loop_date(c->loop),
                                      .extra = extra,
                                      .request_id = gy_str_c(c->request_id),
                                      .close = c->close_after,
                                      .http10 = c->parser.head.http10},
                GY_STR_NULL);
}

static void message_complete(struct gy_conn *c)
{
    if (c->state == GY_CONN_STREAM) {
        gy_exchange_end_in(c->ex, GY_OK, NULL);
        gy_conn_enter(c, GY_CONN_WORK);
        read_on(c, false);
    } else if (c->preflight) {
        answer_preflight(c);
    } else if (c->fast) {
        run_fast(c);
    } else {
        dispatch(c, true, GY_FAST_PASS);
    }
}

/* The first bytes say which HTTP this is. False: too few of them to tell (they are kept). */
static bool greet(struct gy_conn *c, const char *bytes, size_t n)
{
    bool h2 = gy_h2_greets(bytes, n);
    if (h2 && n < 3) {
        gy_buf_reset(&c->pending);
        gy_buf_add_bytes(&c->pending, bytes, n);
        c->half_greeted = true;
        return false;
    }
    c->used = true;
    if (h2) {
        gy_conn_enter(c, GY_CONN_H2);
        if (!gy_h2_begin(c)) {
            gy_conn_close(c);
        }
    }
    return true;
}

/* The rest of a greeting that came in pieces of a byte or two. */
static void feed_greeting(struct gy_conn *c, const char *bytes, size_t n)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf whole = c->pending;
    gy_buf_init(&c->pending, GY_TLS_PLAIN_MAX(GY_NET_READ_BYTES));
    c->half_greeted = false;
    gy_buf_add_bytes(&whole, bytes, n);
    if (whole.failed != GY_OK) {
        gy_conn_close(c);
        return;
    }
    feed(c, whole.p, whole.n);
}

static void feed(struct gy_conn *c, const char *bytes, size_t n)
{
    if (c->half_greeted) {
        feed_greeting(c, bytes, n);
        return;
    }
    if (!c->used && !greet(c, bytes, n)) {
        return;
    }
    if (c->state == GY_CONN_H2) {
        gy_h2_feed(c, bytes, n);
        return;
    }
    while (n && receiving(c)) {
        size_t taken = 0;
        if (c->state == GY_CONN_IDLE) {
            gy_conn_enter(c, GY_CONN_HEAD);
            c->request_id[0] = '\0';
            c->cors = GY_STR_NULL;
            c->preflight = false;
        }
        enum gy_http_event event = gy_http_feed(&c->parser, bytes, n, &taken);
        if (c->stop || c->state == GY_CONN_CLOSED) {
            return;
        }
        switch (event) {
        case GY_HTTP_MORE:
            keep_span(c); /* the read buffer is about to be used again */
            if (c->state == GY_CONN_COLLECT && c->body.n >= GY_NET_COLLECT_BYTES &&
                !(c->fast && c->uploading)) {
                begin_upload(c);
            }
            return;
        case GY_HTTP_MESSAGE:
            message_complete(c);
            bytes += taken;
            n -= taken;
            break;
        case GY_HTTP_STOPPED:
            return;
        case GY_HTTP_BAD:
            gy_stat_add(&c->loop->stats.parse_errors, 1);
            if (c->state == GY_CONN_STREAM) { /* the handler may have begun to answer */
                gy_exchange_end_in(c->ex, GY_E_INVALID, c->parser.bad_text);
                c->stop = c->close_after = true;
                gy_conn_enter(c, GY_CONN_WORK);
            } else {
                gy_conn_refuse(c, c->parser.bad_status, c->parser.bad_text);
            }
            return;
        }
    }
    if (n && c->state < GY_CONN_LINGER && !c->stop) {
        gy_buf_add_bytes(&c->pending, bytes, n); /* at most one read's worth */
        if (c->pending.failed != GY_OK) {
            gy_conn_close(c);
            return;
        }
    }
    if (!receiving(c) && c->state < GY_CONN_LINGER) {
        read_on(c, false);
    }
}

/* ---- opening ---- */

static struct gy_conn *take_conn(struct gy_net_loop *l)
{
    struct gy_conn *c = l->spare;
    if (c) {
        l->spare = c->next;
        l->n_spare--;
        struct gy_http_parser parser = c->parser;
        memset(c, 0, sizeof *c);
        c->parser = parser;
        gy_http_parser_reset(&c->parser, c);
        return c;
    }
    c = gy_calloc(1, sizeof *c);
    if (c) {
        gy_http_parser_init(&c->parser, l->server->o.max_header_bytes, &hooks, c);
    }
    return c;
}

void gy_conn_open(struct gy_net_loop *l, const struct gy_accepted *a)
{
    struct gy_conn *c = take_conn(l);
    if (!c) {
        (void)close(a->fd);
        gy_server_count_down(l->server, &l->server->n_open);
        return;
    }
    c->loop = l;
    c->peer = a->peer;
    c->inference_port = a->inference_port;
    (void)snprintf(c->actor, sizeof c->actor, "%s", a->actor);
    (void)snprintf(c->address, sizeof c->address, "%s", a->address);
    gy_buf_init(&c->body, SIZE_MAX / 2); /* bounded by body_limit or GY_NET_COLLECT_BYTES */
    gy_buf_init(&c->pending, GY_TLS_PLAIN_MAX(GY_NET_READ_BYTES));
    gy_buf_init(&c->out, SIZE_MAX / 2); /* one answer of the fast path, or of an exchange's `out` */
    bool is_pipe = a->peer == GY_PEER_UNIX;
    int failed = is_pipe ? uv_pipe_init(&l->uv, &c->uv.pipe, 0) : uv_tcp_init(&l->uv, &c->uv.tcp);
    GY_REQUIRE(failed == 0); /* only fails for handles that make a socket */
    c->uv.handle.data = c;
    c->next = l->conns;
    if (l->conns) {
        l->conns->prev = c;
    }
    l->conns = c;
    gy_conn_enter(c, GY_CONN_IDLE);
    failed = is_pipe ? uv_pipe_open(&c->uv.pipe, a->fd) : uv_tcp_open(&c->uv.tcp, a->fd);
    if (failed) {
        (void)close(a->fd);
        gy_conn_close(c);
        return;
    }
    if (a->peer == GY_PEER_TCP && l->server->tls && !a->refuse &&
        gy_tls_new(l->server->tls, &c->tls, NULL) != GY_OK) {
        gy_conn_close(c);
        return;
    }
    if (a->refuse) { /* in the clear: before a handshake there is nothing else to say it in */
        gy_stat_add(&l->stats.refused, 1);
        gy_conn_refuse(c, 503, "too many connections");
        return;
    }
    read_on(c, true);
}
