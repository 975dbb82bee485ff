/* SPDX-License-Identifier: Apache-2.0 */
/* One stream: a gRPC call. Its messages are asked one after the other, of the fast path where that
 * claims the method, else of the route's handler on a worker; answers go out in that order. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/deadline.h"
#include "net/h2.h"

static void pump(struct gy_h2_call *call);

static struct gy_server *server_of(const struct gy_h2_call *call)
{
    return call->h2->conn->loop->server;
}

static uint64_t now_of(const struct gy_h2_call *call)
{
    return uv_now(&call->h2->conn->loop->uv);
}

static bool has_flag(const struct gy_h2_call *call, unsigned flag)
{
    return call->route && call->route->flags & flag;
}

/* ---- the head ---- */

static struct gy_str span(const struct gy_h2_call *call, struct gy_http_span s)
{
    return gy_str_n(call->texts.p + s.at, s.n);
}

/* The first header of that name; absent string when there is none. Names are of lower case. */
static struct gy_str header(const struct gy_h2_call *call, const char *name)
{
    for (size_t i = 0; i < call->n_headers; i++) {
        if (gy_str_eqc(span(call, call->names[i]), name)) {
            return span(call, call->values[i]);
        }
    }
    return GY_STR_NULL;
}

void gy_h2_call_header(struct gy_h2_call *call, struct gy_str name, struct gy_str value)
{
    size_t at = call->texts.n;
    size_t max = server_of(call)->o.max_header_bytes;
    if (call->too_big || call->n_headers == GY_HTTP_MAX_HEADERS || name.n > max ||
        value.n > max - name.n || at > max - name.n - value.n) {
        call->too_big = true;
        return;
    }
    gy_buf_add(&call->texts, name);
    gy_buf_add(&call->texts, value);
    if (call->texts.failed != GY_OK) {
        call->too_big = true;
        return;
    }
    call->names[call->n_headers] = (struct gy_http_span){(uint32_t)at, (uint32_t)name.n};
    call->values[call->n_headers++] =
        (struct gy_http_span){(uint32_t)(at + name.n), (uint32_t)value.n};
}

void gy_h2_request(const struct gy_h2_call *call, struct gy_header *headers, struct gy_request *ret)
{
    const struct gy_conn *c = call->h2->conn;
    size_t n = 0;
    for (size_t i = 0; i < call->n_headers; i++) {
        struct gy_str name = span(call, call->names[i]);
        if (name.n && name.p[0] != ':') {
            headers[n++] = (struct gy_header){name, span(call, call->values[i])};
        }
    }
    *ret = (struct gy_request){.method = header(call, ":method"),
                               .path = header(call, ":path"),
                               .headers = headers,
                               .n_headers = n,
                               .request_id = gy_str_c(call->request_id),
                               .actor = gy_str_c(c->actor),
                               .peer = c->peer,
                               .inference_port = c->inference_port,
                               .peer_address = gy_str_c(c->address),
                               .arena = &c->loop->arena};
}

static void take_request_id(struct gy_h2_call *call)
{
    struct gy_str given = header(call, "x-request-id");
    bool fit = given.n > 0 && given.n <= GY_HTTP_MAX_REQUEST_ID;
    for (size_t i = 0; fit && i < given.n; i++) {
        fit = given.p[i] > ' ' && given.p[i] <= '~';
    }
    if (fit) {
        memcpy(call->request_id, given.p, given.n);
        call->request_id[given.n] = '\0';
        return;
    }
    unsigned char id[16];
    gy_uuid7(&call->h2->conn->loop->ids, id);
    gy_uuid_text(id, call->request_id);
}

static bool is_grpc(struct gy_str type)
{
    (void)gy_str_cut(type, ';', &type, &(struct gy_str){0});
    type = gy_str_trim(type);
    return gy_str_eqc(type, "application/grpc") || gy_str_eqc(type, GY_GRPC_TYPE);
}

static void find_route(struct gy_h2_call *call, struct gy_str path)
{
    const struct gy_server_options *o = &server_of(call)->o;
    const struct gy_route *last = call->h2->last_route;
    if (!last || !gy_str_eqc(path, last->pattern)) {
        last = gy_router_find(o->router, GY_STR("POST"), path);
        bool serves = last && last->flags & GY_ROUTE_GRPC &&
                      (!call->h2->conn->inference_port ||
                       gy_access_of(last->access, last->method) <= GY_ACCESS_VIEWER);
        last = serves ? last : NULL;
        call->h2->last_route = last;
    }
    call->route = last;
    call->fast = last && o->fast &&
                 o->fast->claims(o->fast_self, call->h2->conn->loop->index,
                                 call->h2->conn->inference_port, GY_STR("POST"), path);
}

/* Who may ask at all, by the names that a browser would have been tricked with. False: ended. */
static bool check_guard(struct gy_h2_call *call)
{
    const char *why = NULL;
    const struct gy_http_head head = {.method = GY_STR("POST"),
                                      .path = header(call, ":path"),
                                      .host = header(call, ":authority"),
                                      .origin = header(call, "origin")};
    if (gy_guard_check(server_of(call), &head, call->h2->conn->peer, false, &why) == GY_OK) {
        return true;
    }
    gy_h2_call_end(call, GY_GRPC_PERMISSION_DENIED, why);
    return false;
}

static bool take_deadline(struct gy_h2_call *call)
{
    struct gy_str text = header(call, GY_GRPC_DEADLINE_HEADER);
    uint64_t ms = 0;
    if (!text.p) {
        return true;
    }
    if (!gy_grpc_timeout(text, &ms)) {
        gy_h2_call_end(call, GY_GRPC_INVALID_ARGUMENT, "grpc-timeout is not a deadline: 250m, 2S");
        return false;
    }
    call->deadline_ms = ms <= (uint64_t)GY_GRPC_MAX_TIMEOUT_S * 1000 ? call->began_ms + ms : 0;
    return true;
}

static void refuse_plain(struct gy_h2_call *call, int status, const char *text)
{
    struct gy_loop_stats *stats = &call->h2->conn->loop->stats;
    call->ended = true;
    gy_stat_add(&stats->requests, 1);
    gy_stat_add(&stats->by_class[status / 100], 1);
    gy_h2_send_plain(call, status, text);
}

void gy_h2_call_begin(struct gy_h2_call *call)
{
    struct gy_str path = header(call, ":path");
    call->window_ms = now_of(call);
    call->started_ns = server_of(call)->o.access_log ? gy_mono_ns() : 0;
    take_request_id(call);
    if (call->too_big) {
        gy_h2_call_end(call, GY_GRPC_RESOURCE_EXHAUSTED, "the metadata of this call is too long");
        return;
    }
    if (!is_grpc(header(call, "content-type"))) {
        refuse_plain(call, 415, "HTTP/2 is spoken here with gRPC clients alone: use HTTP/1.1\n");
        return;
    }
    if (!gy_str_eqc(header(call, ":method"), "POST")) {
        refuse_plain(call, 405, "a gRPC call is a POST\n");
        return;
    }
    if (!check_guard(call) || !take_deadline(call)) {
        return;
    }
    find_route(call, path);
    if (!call->route) {
        char text[256];
        (void)snprintf(text, sizeof text, "there is no method '%" GY_STR_F "' here",
                       GY_STR_A(gy_str_head(path, 200)));
        gy_h2_call_end(call, GY_GRPC_UNIMPLEMENTED, text);
    } else if (!gy_grpc_encoding(header(call, "grpc-encoding"), &call->encoding)) {
        call->route = NULL; /* a watch was not counted yet */
        gy_h2_call_end(call, GY_GRPC_UNIMPLEMENTED,
                       "grpc-encoding is none of identity, gzip, deflate");
    } else if (has_flag(call, GY_ROUTE_GRPC_WATCH) && ++call->h2->n_watches > GY_H2_MAX_WATCHES) {
        gy_h2_call_end(call, GY_GRPC_RESOURCE_EXHAUSTED, "too many watches on one connection");
    } else if (call->half_closed) {
        pump(call);
    }
}

/* ---- turns of long messages ---- */

static void wait_no_more(struct gy_h2_call *call)
{
    if (call->turn_ms) {
        call->turn_ms = 0;
        if (--call->h2->n_turns == 0) {
            gy_conn_wait_no_more(call->h2->conn);
        }
    }
}

static void give_turn(struct gy_h2_call *call)
{
    wait_no_more(call);
    if (call->uploading) {
        call->uploading = false;
        gy_upload_give(server_of(call), GY_UPLOAD_FAST);
    }
}

/* Counted among the waiting before the last look, as conn.c does it. */
static void need_turn(struct gy_h2_call *call)
{
    if (call->uploading) {
        return;
    }
    if (!call->turn_ms) {
        call->turn_ms = now_of(call);
        if (call->h2->n_turns++ == 0) {
            gy_conn_wait_for_upload(call->h2->conn);
        }
    }
    if (gy_upload_take(server_of(call), GY_UPLOAD_FAST)) {
        wait_no_more(call);
        call->uploading = true;
        call->window_ms = now_of(call);
        call->window_bytes = 0;
    }
}

void gy_h2_call_retry_turn(struct gy_h2_call *call)
{
    need_turn(call);
    if (call->uploading) {
        gy_h2_consume(call, call->unconsumed);
    }
}

/* ---- the end ---- */

static void count(struct gy_h2_call *call, int status)
{
    struct gy_loop_stats *stats = &call->h2->conn->loop->stats;
    gy_stat_add(&stats->requests, 1);
    gy_stat_add(&stats->by_class[status / 100 < 6 ? status / 100 : 5], 1);
}

static void log_end(struct gy_h2_call *call)
{
    bool good = call->fast && call->code == GY_GRPC_OK;
    enum gy_log_level level = good ? GY_LOG_DEBUG : GY_LOG_INFO;
    const struct gy_conn *c = call->h2->conn;
    if (server_of(call)->o.access_log && gy_log_on(level, "access")) {
        int64_t us = call->started_ns ? (gy_mono_ns() - call->started_ns) / 1000 : 0;
        struct gy_kv kvs[] = {GY_KV_S("method", header(call, ":method")),
                              GY_KV_S("path", header(call, ":path")),
                              GY_KV_I("status", gy_grpc_http_of_code(call->code)),
                              GY_KV_I("grpc_status", call->code),
                              GY_KV_I("bytes", call->answer_bytes),
                              GY_KV_I("us", us),
                              GY_KV_C("actor", call->actor[0] ? call->actor : c->actor),
                              GY_KV_C("request_id", call->request_id)};
        gy_log_write(level, "access", "request", kvs, sizeof kvs / sizeof kvs[0]);
    }
}

static void reset_buf(struct gy_buf *b)
{
    gy_buf_reset(b);
    if (b->cap > 16 * GY_KIB) { /* a long one is not remembered by an idle connection */
        gy_buf_done(b);
    }
}

static void drop_input(struct gy_h2_call *call)
{
    call->h2->held -= call->in.n;
    reset_buf(&call->in);
    call->in_at = 0;
}

static void end(struct gy_h2_call *call, enum gy_grpc_code code, struct gy_str text)
{
    gy_h2_job_forget(call->job);
    call->ended = true;
    call->code = code;
    call->watch_ms = 0;
    gy_buf_reset(&call->end);
    gy_grpc_add_text(&call->end, text);
    give_turn(call);
    drop_input(call);
    log_end(call);
    if (call->head_sent) {
        gy_h2_resume(call);
    } else {
        gy_h2_send_failure(call);
    }
}

void gy_h2_call_end(struct gy_h2_call *call, enum gy_grpc_code code, const char *text)
{
    if (!call->ended) {
        count(call, gy_grpc_http_of_code(code));
        end(call, code, gy_str_c(text));
    }
}

/* ---- answers ---- */

static bool same_as_told(struct gy_h2_call *call, struct gy_str body)
{
    call->watch_ms = now_of(call) + GY_H2_WATCH_MS;
    if (call->head_sent && gy_str_eq(body, gy_buf_str(&call->end))) {
        return true;
    }
    gy_buf_reset(&call->end);
    gy_buf_add(&call->end, body);
    return false;
}

static void answer(struct gy_h2_call *call, const struct gy_h2_answer *a)
{
    count(call, a->status);
    if (!a->content_type || strcmp(a->content_type, GY_GRPC_TYPE) != 0) {
        end(call, gy_grpc_code_of_http(a->status), a->body);
        return;
    }
    if (has_flag(call, GY_ROUTE_GRPC_WATCH) && same_as_told(call, a->body)) {
        return;
    }
    if (call->out_at == call->out.n) {
        call->out_ms = now_of(call);
    } else if (call->out_at > GY_H2_WINDOW) {
        gy_buf_drop_front(&call->out, call->out_at);
        call->out_at = 0;
    }
    size_t before = call->out.n;
    gy_grpc_add_message(&call->out, a->body);
    call->h2->unsent += call->out.n - before;
    call->answer_bytes += a->body.n;
    if (call->out.failed != GY_OK) {
        end(call, GY_GRPC_RESOURCE_EXHAUSTED, GY_STR("no memory for the answer"));
        return;
    }
    if (!has_flag(call, GY_ROUTE_GRPC_STREAM | GY_ROUTE_GRPC_WATCH)) {
        call->ended = true;
        give_turn(call);
        drop_input(call);
        log_end(call);
    }
    if (call->head_sent) {
        gy_h2_resume(call);
    } else {
        gy_h2_send_head(call, a->extra);
    }
}

static void keep_actor(struct gy_h2_call *call, struct gy_str actor)
{
    if (server_of(call)->o.access_log) {
        (void)snprintf(call->actor, sizeof call->actor, "%" GY_STR_F,
                       GY_STR_A(gy_str_head(actor, sizeof call->actor - 1)));
    }
}

void gy_h2_call_job_done(struct gy_h2_call *call, const struct gy_h2_answer *a, struct gy_str actor)
{
    call->job = NULL;
    keep_actor(call, actor);
    answer(call, a);
    if (!call->ended && !has_flag(call, GY_ROUTE_GRPC_WATCH)) {
        give_turn(call);
        pump(call);
    }
}

/* ---- messages ---- */

static void start_job(struct gy_h2_call *call, struct gy_str message, enum gy_fast_result how,
                      bool packed, bool admitted)
{
    if (!gy_h2_job_start(call, message, how, packed, admitted)) {
        gy_stat_add(&call->h2->conn->loop->stats.refused, 1);
        gy_h2_call_end(call, GY_GRPC_UNAVAILABLE, "too many requests are waiting");
    }
}

static void ask_fast(struct gy_h2_call *call, struct gy_str message)
{
    struct gy_net_loop *l = call->h2->conn->loop;
    const struct gy_server_options *o = &l->server->o;
    struct gy_fast_reply *out = &l->fast_reply;
    struct gy_header headers[GY_HTTP_MAX_HEADERS];
    struct gy_request req;
    gy_h2_request(call, headers, &req);
    const struct gy_router_guard *guard = gy_router_guard(o->router);
    if (guard && !guard->known(guard->self, &req)) {
        start_job(call, message, GY_FAST_DEFER, false, false); /* a worker finds out who it is */
        return;
    }
    gy_arena_reset(&l->arena);
    gy_buf_reset(&l->fast_body);
    out->status = 0;
    out->content_type = NULL;
    out->extra_headers[0] = '\0';
    enum gy_fast_result result = o->fast->run(o->fast_self, l->index, &req, message, out);
    if (result == GY_FAST_DEFER && o->fast->admit &&
        !o->fast->admit(o->fast_self, l->index, &req, message, gy_pool_queued(l->server->infer),
                        l->server->n_infer, out)) {
        result = GY_FAST_DONE;
    }
    if (result != GY_FAST_DONE) {
        start_job(call, message, result, false, result != GY_FAST_PASS);
        return;
    }
    keep_actor(call, req.actor);
    if (l->fast_body.failed != GY_OK) {
        gy_h2_call_end(call, GY_GRPC_RESOURCE_EXHAUSTED, "the answer is too long");
        return;
    }
    answer(call, &(struct gy_h2_answer){.status = out->status,
                                        .content_type = out->content_type,
                                        .body = gy_buf_str(&l->fast_body),
                                        .extra = gy_str_c(out->extra_headers)});
    if (l->fast_body.cap > GY_NET_COLLECT_BYTES) {
        gy_buf_done(&l->fast_body);
    }
}

static void ask(struct gy_h2_call *call, struct gy_str message, bool packed)
{
    call->asked = true;
    if (packed && call->encoding == GY_GRPC_IDENTITY) {
        gy_h2_call_end(call, GY_GRPC_INTERNAL, "a packed message without a grpc-encoding");
    } else if (call->h2->unsent > GY_H2_MAX_UNSENT) {
        gy_h2_call_end(call, GY_GRPC_RESOURCE_EXHAUSTED,
                       "the answers of this connection are not being read");
    } else if (call->fast && !packed) {
        ask_fast(call, message);
    } else {
        start_job(call, message, call->fast ? GY_FAST_DEFER : GY_FAST_PASS, packed, false);
    }
}

static void refuse_size(struct gy_h2_call *call, size_t n, size_t max)
{
    char text[128];
    (void)snprintf(text, sizeof text, "the message has %zu bytes, %zu are the most here", n, max);
    gy_h2_call_end(call, GY_GRPC_RESOURCE_EXHAUSTED, text);
}

/* Take the next message, if it is here. False: it is not, or the call has ended. */
static bool next_message(struct gy_h2_call *call)
{
    struct gy_str in = gy_str_n(call->in.p + call->in_at, call->in.n - call->in_at);
    size_t n = 0, max = call->route->max_body ? call->route->max_body : GY_ROUTE_MAX_BODY;
    bool packed = false, bad = false;
    if (!gy_grpc_prefix(in, &packed, &n, &bad)) {
        if (bad) {
            gy_h2_call_end(call, GY_GRPC_INTERNAL, "this is not the beginning of a gRPC message");
        }
        return false;
    }
    if (n > max) {
        refuse_size(call, n, max);
        return false;
    }
    if (in.n < GY_GRPC_PREFIX + n) {
        if (n > GY_NET_COLLECT_BYTES) {
            need_turn(call);
        }
        return false;
    }
    wait_no_more(call); /* all of it is here */
    if (!has_flag(call, GY_ROUTE_GRPC_STREAM)) {
        if (in.n > GY_GRPC_PREFIX + n) {
            gy_h2_call_end(call, GY_GRPC_INVALID_ARGUMENT, "this method takes one message");
        }
        if (call->ended || !call->half_closed || call->asked) {
            return false;
        }
    }
    if (!has_flag(call, GY_ROUTE_GRPC_WATCH)) { /* whose message is asked again and again */
        call->in_at += GY_GRPC_PREFIX + n;
    }
    ask(call, gy_str_n(in.p + GY_GRPC_PREFIX, n), packed);
    return true;
}

/* What was taken goes; what is left begins at the front. */
static void compact(struct gy_h2_call *call)
{
    call->h2->held -= call->in_at;
    gy_buf_drop_front(&call->in, call->in_at);
    call->in_at = 0;
    if (call->in.n == 0 && call->in.cap > GY_NET_COLLECT_BYTES) {
        gy_buf_done(&call->in);
    }
}

static void pump(struct gy_h2_call *call)
{
    while (!call->ended && !call->job && next_message(call)) {
        if (!call->ended && !call->job) {
            give_turn(call); /* answered at once */
        }
    }
    if (call->ended) {
        return;
    }
    compact(call);
    if (call->half_closed && !call->job && !call->watch_ms) {
        if (call->in.n && !has_flag(call, GY_ROUTE_GRPC_WATCH)) {
            gy_h2_call_end(call, GY_GRPC_INVALID_ARGUMENT, "the message broke off");
        } else if (!call->asked && !has_flag(call, GY_ROUTE_GRPC_STREAM)) {
            gy_h2_call_end(call, GY_GRPC_INVALID_ARGUMENT, "this method takes a message");
        } else if (has_flag(call, GY_ROUTE_GRPC_STREAM)) {
            end(call, GY_GRPC_OK, GY_STR(""));
        }
    } else if (!call->job && !call->turn_ms) {
        gy_h2_consume(call, call->unconsumed);
    }
}

void gy_h2_call_data(struct gy_h2_call *call, struct gy_str bytes)
{
    const struct gy_h2 *h2 = call->h2;
    if (call->ended) {
        gy_h2_consume(call, call->unconsumed);
        return;
    }
    if (atomic_load(&server_of(call)->n_held) + (int64_t)(h2->held - h2->held_told) >
        GY_H2_MAX_HELD) {
        gy_h2_call_end(call, GY_GRPC_RESOURCE_EXHAUSTED, "too many long messages at a time");
        return;
    }
    if (call->in.n == call->in_at) { /* a message begins */
        call->window_ms = now_of(call);
        call->window_bytes = 0;
    }
    call->window_bytes += bytes.n;
    gy_buf_add(&call->in, bytes);
    if (call->in.failed != GY_OK) {
        gy_h2_call_end(call, GY_GRPC_RESOURCE_EXHAUSTED, "no memory for this message");
        return;
    }
    call->h2->held += bytes.n;
    pump(call);
}

void gy_h2_call_half_close(struct gy_h2_call *call)
{
    call->half_closed = true;
    if (!call->ended && !call->job) {
        pump(call);
    }
}

/* ---- time ---- */

static bool too_slow(struct gy_h2_call *call, uint64_t now_ms)
{
    const struct gy_server_options *o = &server_of(call)->o;
    uint64_t window = (uint64_t)o->body_window_ms;
    bool part = call->in.n > 0 || !has_flag(call, GY_ROUTE_GRPC_STREAM);
    if (call->half_closed || call->job || call->turn_ms || !part ||
        now_ms - call->window_ms < window) {
        return false;
    }
    bool slow = call->window_bytes * 1000 < window * (uint64_t)o->body_min_bytes_s;
    call->window_ms = now_ms;
    call->window_bytes = 0;
    return slow;
}

/* An answer that its client does not take. */
static void check_taken(struct gy_h2_call *call, uint64_t now_ms)
{
    uint64_t idle_ms = (uint64_t)server_of(call)->o.idle_timeout_ms;
    if (call->out_at < call->out.n && now_ms > call->out_ms + idle_ms) {
        call->out_ms = now_ms;
        gy_stat_add(&call->h2->conn->loop->stats.timeouts, 1);
        (void)nghttp2_submit_rst_stream(call->h2->session, NGHTTP2_FLAG_NONE, call->id,
                                        NGHTTP2_CANCEL);
    }
}

void gy_h2_call_tick(struct gy_h2_call *call, uint64_t now_ms)
{
    const struct gy_server_options *o = &server_of(call)->o;
    _Atomic uint64_t *timeouts = &call->h2->conn->loop->stats.timeouts;
    check_taken(call, now_ms);
    if (call->ended || !call->head_here) {
        return;
    }
    bool rests = !call->job && call->in.n == 0 && !call->half_closed;
    if (call->deadline_ms && now_ms >= call->deadline_ms) {
        gy_h2_call_end(call, GY_GRPC_DEADLINE_EXCEEDED, "the deadline of this call has passed");
    } else if (call->turn_ms && now_ms - call->turn_ms > (uint64_t)o->idle_timeout_ms) {
        gy_stat_add(&call->h2->conn->loop->stats.refused, 1);
        gy_h2_call_end(call, GY_GRPC_RESOURCE_EXHAUSTED, "too many long messages at a time");
    } else if (too_slow(call, now_ms)) {
        gy_stat_add(timeouts, 1);
        gy_h2_call_end(call, GY_GRPC_DEADLINE_EXCEEDED, "the message comes too slowly");
    } else if (call->h2->going && (rests || call->watch_ms)) {
        gy_h2_call_end(call, GY_GRPC_UNAVAILABLE, "the server is going down");
    } else if (call->watch_ms && now_ms >= call->watch_ms && !call->job) {
        bool packed = call->in.p[0] != 0;
        ask(call, gy_str_n(call->in.p + GY_GRPC_PREFIX, call->in.n - GY_GRPC_PREFIX), packed);
    }
}

/* ---- life ---- */

struct gy_h2_call *gy_h2_call_new(struct gy_h2 *h2, int32_t id)
{
    struct gy_h2_call *call = h2->spare;
    if (call) {
        struct gy_buf texts = call->texts, in = call->in, out = call->out, end_text = call->end;
        h2->spare = call->next;
        h2->n_spare--;
        memset(call, 0, sizeof *call);
        call->texts = texts;
        call->in = in;
        call->out = out;
        call->end = end_text;
    } else {
        call = gy_calloc(1, sizeof *call);
        if (!call) {
            return NULL;
        }
        gy_buf_init(&call->texts, SIZE_MAX / 2); /* bounded by max_header_bytes */
        gy_buf_init(&call->in, SIZE_MAX / 2);    /* by the route's limit and the window */
        gy_buf_init(&call->out, SIZE_MAX / 2);   /* by GY_MAX_REPLY and GY_H2_MAX_UNSENT */
        gy_buf_init(&call->end, SIZE_MAX / 2);   /* by GY_GRPC_MAX_TEXT, or one watched answer */
    }
    call->h2 = h2;
    call->id = id;
    call->next = h2->calls;
    if (h2->calls) {
        h2->calls->prev = call;
    }
    h2->calls = call;
    h2->n_calls++;
    call->began_ms = now_of(call);
    return call;
}

void gy_h2_call_free(struct gy_h2_call *call)
{
    struct gy_h2 *h2 = call->h2;
    gy_h2_job_forget(call->job);
    give_turn(call);
    h2->held -= call->in.n;
    h2->unsent -= call->out.n - call->out_at;
    h2->n_watches -= has_flag(call, GY_ROUTE_GRPC_WATCH) ? 1 : 0;
    h2->n_calls--;
    if (call->prev) {
        call->prev->next = call->next;
    } else {
        h2->calls = call->next;
    }
    if (call->next) {
        call->next->prev = call->prev;
    }
    reset_buf(&call->texts);
    reset_buf(&call->in);
    reset_buf(&call->out);
    reset_buf(&call->end);
    if (h2->n_spare < GY_H2_SPARE_CALLS) {
        call->next = h2->spare;
        h2->spare = call;
        h2->n_spare++;
        return;
    }
    gy_h2_call_done(call);
}

void gy_h2_call_done(struct gy_h2_call *call)
{
    gy_buf_done(&call->texts);
    gy_buf_done(&call->in);
    gy_buf_done(&call->out);
    gy_buf_done(&call->end);
    gy_free(call);
}
