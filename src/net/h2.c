/* SPDX-License-Identifier: Apache-2.0 */
/* The session of a connection: libnghttp2 with our limits around it. */
#include "net/h2.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum { MAX_REPLY_HEADERS = 16, DRAIN_NOTICE_MS = 50 };

bool gy_h2_greets(const char *bytes, size_t n)
{
    return memcmp(bytes, PREFACE, n < 3 ? n : 3) == 0; /* no method of ours begins with PRI */
}

/* ---- frames that come in ---- */

/* Frames that ask nothing cost the sender less than us: only so many. */
static bool take_control(struct gy_h2 *h2)
{
    uint64_t now_ms = uv_now(&h2->conn->loop->uv), passed_ms = now_ms - h2->controls_ms;
    if (passed_ms >= 100) {
        h2->controls_ms = now_ms;
        h2->controls += (int64_t)(passed_ms * GY_H2_CONTROLS_S / 1000);
        h2->controls = h2->controls > GY_H2_CONTROLS ? GY_H2_CONTROLS : h2->controls;
    }
    return --h2->controls != 0; /* once: the connection ends with it */
}

static int calm_down(struct gy_h2 *h2, const char *what)
{
    gy_log(GY_LOG_DEBUG, "net", "an HTTP/2 connection was refused", GY_KV_C("why", what));
    gy_stat_add(&h2->conn->loop->stats.parse_errors, 1);
    (void)nghttp2_session_terminate_session(h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
    return 0;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    struct gy_h2 *h2 = user;
    (void)session;
    bool asks =
        hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_CONTINUATION ||
        hd->type == NGHTTP2_RST_STREAM || hd->type == NGHTTP2_WINDOW_UPDATE ||
        (hd->type == NGHTTP2_DATA && (hd->length > 0 || hd->flags & NGHTTP2_FLAG_END_STREAM));
    return asks || take_control(h2) ? 0 : calm_down(h2, "too many control frames");
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct gy_h2 *h2 = user;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct gy_h2_call *call = gy_h2_call_new(h2, frame->hd.stream_id);
    if (!call) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    (void)nghttp2_session_set_stream_user_data(session, call->id, call); /* the stream is there */
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct gy_h2_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags;
    (void)user;
    if (call && !call->head_here) { /* else a trailer, which says nothing that we ask */
        gy_h2_call_header(call, gy_str_n((const char *)name, name_n),
                          gy_str_n((const char *)value, value_n));
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)user;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    struct gy_h2_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (!call) {
        return 0;
    }
    if (!call->head_here) {
        call->head_here = true;
        call->half_closed = end;
        gy_h2_call_begin(call);
    } else if (end) {
        gy_h2_call_half_close(call);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t n, void *user)
{
    (void)flags;
    (void)user;
    struct gy_h2_call *call = nghttp2_session_get_stream_user_data(session, id);
    (void)nghttp2_session_consume_connection(session, n); /* fails for want of memory alone */
    if (call) {
        call->unconsumed += n;
        gy_h2_call_data(call, gy_str_n((const char *)bytes, n));
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)code;
    (void)user;
    struct gy_h2_call *call = nghttp2_session_get_stream_user_data(session, id);
    if (call) {
        gy_h2_call_free(call);
    }
    return 0;
}

/* An answer that ended before its request did: the client need send no more of it. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)user;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    struct gy_h2_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call && !call->half_closed && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

/* ---- answers ---- */

static nghttp2_nv header(struct gy_str name, struct gy_str value, bool index)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.p,
        .value = (uint8_t *)(uintptr_t)value.p,
        .namelen = name.n,
        .valuelen = value.n,
        .flags = index ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX,
    };
}

static void reset(struct gy_h2_call *call)
{
    (void)nghttp2_submit_rst_stream(call->h2->session, NGHTTP2_FLAG_NONE, call->id,
                                    NGHTTP2_INTERNAL_ERROR);
}

static size_t end_headers(const struct gy_h2_call *call, char digits[4], nghttp2_nv *out)
{
    int n = snprintf(digits, 4, "%d", (int)call->code);
    size_t count = 0;
    out[count++] = header(GY_STR("grpc-status"), gy_str_n(digits, (size_t)n), true);
    if (call->code != GY_GRPC_OK && call->end.n) {
        out[count++] = header(GY_STR("grpc-message"), gy_buf_str(&call->end), false);
    }
    return count;
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                        uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct gy_h2_call *call = source->ptr;
    (void)user;
    size_t n = call->out.n - call->out_at;
    n = n < room ? n : room;
    memcpy(to, call->out.p + call->out_at, n);
    call->out_at += n;
    call->out_ms = uv_now(&call->h2->conn->loop->uv);
    call->h2->unsent -= n;
    if (call->out_at < call->out.n) {
        return (ssize_t)n;
    }
    gy_buf_reset(&call->out);
    call->out_at = 0;
    if (call->out.cap > GY_H2_WINDOW) {
        gy_buf_done(&call->out);
    }
    if (call->ended) {
        nghttp2_nv nv[2];
        char digits[4];
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, id, nv, end_headers(call, digits, nv)) != 0) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    } else if (n == 0) {
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

/* Lines of "Name: value" as headers of lower case; names are copied into `lower`. */
static size_t add_lines(struct gy_str lines, char *lower, size_t room, nghttp2_nv *nv, size_t count)
{
    struct gy_str line, name, value;
    while (count < MAX_REPLY_HEADERS && gy_str_next(&lines, '\n', &line)) {
        if (!gy_str_cut(line, ':', &name, &value) || name.n > room) {
            continue;
        }
        for (size_t i = 0; i < name.n; i++) {
            char c = name.p[i];
            lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        bool again =
            !gy_str_ieq(name, GY_STR("Gyre-Prediction-Id")); /* that one never comes again */
        nv[count++] = header(gy_str_n(lower, name.n), gy_str_trim(value), again);
        lower += name.n;
        room -= name.n;
    }
    return count;
}

void gy_h2_send_head(struct gy_h2_call *call, struct gy_str extra)
{
    char lower[512];
    nghttp2_nv nv[MAX_REPLY_HEADERS] = {
        header(GY_STR(":status"), GY_STR("200"), true),
        header(GY_STR("content-type"), GY_STR(GY_GRPC_TYPE), true),
        header(GY_STR("grpc-accept-encoding"), GY_STR("identity,gzip,deflate"), true),
        header(GY_STR("x-request-id"), gy_str_c(call->request_id), false),
    };
    nghttp2_data_provider data = {.source.ptr = call, .read_callback = read_out};
    size_t n = add_lines(extra, lower, sizeof lower, nv, 4);
    call->head_sent = true;
    call->out_ms = uv_now(&call->h2->conn->loop->uv);
    if (nghttp2_submit_response(call->h2->session, call->id, nv, n, &data) != 0) {
        reset(call);
    }
}

void gy_h2_send_failure(struct gy_h2_call *call)
{
    char digits[4];
    nghttp2_nv nv[6] = {
        header(GY_STR(":status"), GY_STR("200"), true),
        header(GY_STR("content-type"), GY_STR(GY_GRPC_TYPE), true),
        header(GY_STR("grpc-accept-encoding"), GY_STR("identity,gzip,deflate"), true),
        header(GY_STR("x-request-id"), gy_str_c(call->request_id), false),
    };
    size_t n = 4 + end_headers(call, digits, nv + 4);
    call->head_sent = true;
    if (nghttp2_submit_response(call->h2->session, call->id, nv, n, NULL) != 0) {
        reset(call);
    }
}

static ssize_t read_text(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    const char *text = source->ptr;
    size_t n = strlen(text);
    (void)session;
    (void)id;
    (void)user;
    n = n < room ? n : room;
    memcpy(to, text, n);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

void gy_h2_send_plain(struct gy_h2_call *call, int status, const char *text)
{
    char digits[8];
    int n = snprintf(digits, sizeof digits, "%d", status);
    nghttp2_nv nv[] = {
        header(GY_STR(":status"), gy_str_n(digits, (size_t)n), true),
        header(GY_STR("content-type"), GY_STR("text/plain"), true),
        header(GY_STR("x-request-id"), gy_str_c(call->request_id), false),
    };
    nghttp2_data_provider data = {.source.ptr = (void *)(uintptr_t)text,
                                  .read_callback = read_text};
    call->head_sent = true;
    if (nghttp2_submit_response(call->h2->session, call->id, nv, 3, &data) != 0) {
        reset(call);
    }
}

void gy_h2_resume(struct gy_h2_call *call)
{
    /* Fails where nothing was deferred: then it is read anyway. */
    (void)nghttp2_session_resume_data(call->h2->session, call->id);
}

void gy_h2_consume(struct gy_h2_call *call, size_t n)
{
    n = n < call->unconsumed ? n : call->unconsumed;
    call->unconsumed -= n;
    if (n) {
        (void)nghttp2_session_consume_stream(call->h2->session, call->id, n); /* as above */
    }
}

/* ---- bytes in, bytes out ---- */

static void tell_held(struct gy_h2 *h2)
{
    if (h2->held != h2->held_told) {
        _Atomic int64_t *all = &h2->conn->loop->server->n_held;
        (void)atomic_fetch_add(all, (int64_t)h2->held - (int64_t)h2->held_told);
        h2->held_told = h2->held;
    }
}

void gy_h2_flush(struct gy_h2 *h2)
{
    struct gy_conn *c = h2->conn;
    struct gy_buf *out = &c->loop->fast_head;
    ssize_t n = 1;
    if (h2->in_feed || c->state != GY_CONN_H2) {
        return;
    }
    while (!c->writing && n > 0) {
        const uint8_t *bytes;
        gy_buf_reset(out);
        while (out->n < GY_H2_SEND_BYTES &&
               (n = nghttp2_session_mem_send(h2->session, &bytes)) > 0) {
            gy_buf_add_bytes(out, bytes, (size_t)n);
        }
        if (n < 0 || out->failed != GY_OK) {
            gy_conn_close(c);
            return;
        }
        uv_buf_t buf = uv_buf_init(out->p, (unsigned)out->n);
        if (out->n && !gy_conn_send(c, &buf, 1)) {
            return;
        }
    }
    bool over = !nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session);
    if (!c->writing && (over || (h2->going && h2->n_calls == 0))) {
        gy_conn_linger(c);
    } else if (nghttp2_session_get_outbound_queue_size(h2->session) > GY_H2_MAX_FRAMES_OUT) {
        gy_stat_add(&c->loop->stats.parse_errors, 1);
        gy_conn_close(c);
    }
}

void gy_h2_feed(struct gy_conn *c, const char *bytes, size_t n)
{
    struct gy_h2 *h2 = c->h2;
    h2->heard_ms = uv_now(&c->loop->uv);
    h2->pinged = false;
    h2->in_feed = true;
    ssize_t taken = nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes, n);
    h2->in_feed = false;
    tell_held(h2);
    if (taken < 0) {
        gy_stat_add(&c->loop->stats.parse_errors, 1);
        gy_log(GY_LOG_DEBUG, "net", "an HTTP/2 connection was refused",
               GY_KV_C("why", nghttp2_strerror((int)taken)));
        (void)nghttp2_session_terminate_session(h2->session, taken == NGHTTP2_ERR_FLOODED
                                                                 ? NGHTTP2_ENHANCE_YOUR_CALM
                                                                 : NGHTTP2_PROTOCOL_ERROR);
        gy_h2_flush(h2);
        if (c->state == GY_CONN_H2 && !c->writing) {
            gy_conn_linger(c);
        }
        return;
    }
    gy_h2_flush(h2);
}

void gy_h2_written(struct gy_conn *c)
{
    gy_h2_flush(c->h2);
}

/* ---- time ---- */

static void go_away(struct gy_h2 *h2)
{
    if (!h2->going) {
        h2->going = true;
        (void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                                    nghttp2_session_get_last_proc_stream_id(h2->session),
                                    NGHTTP2_NO_ERROR, NULL, 0);
    }
}

/* A connection that says nothing: one without calls may go, of another one we ask whether it is
 * still there. False: it is closed. */
static bool check_quiet(struct gy_h2 *h2, uint64_t now_ms)
{
    uint64_t idle_ms = (uint64_t)h2->conn->loop->server->o.idle_timeout_ms;
    uint64_t quiet_ms = now_ms > h2->heard_ms ? now_ms - h2->heard_ms : 0;
    if (quiet_ms <= idle_ms) {
        return true;
    }
    if (h2->n_calls == 0) {
        go_away(h2);
    } else if (!h2->pinged) {
        h2->pinged = true;
        (void)nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
    } else if (quiet_ms > 2 * idle_ms) {
        gy_stat_add(&h2->conn->loop->stats.timeouts, 1);
        gy_conn_close(h2->conn);
        return false;
    }
    return true;
}

void gy_h2_tick(struct gy_conn *c, uint64_t now_ms)
{
    struct gy_h2 *h2 = c->h2;
    uint64_t header_ms = (uint64_t)c->loop->server->o.header_timeout_ms;
    if (c->loop->draining && !h2->drain_ms) {
        gy_h2_drain(c);
    }
    if (h2->drain_ms && now_ms - h2->drain_ms >= DRAIN_NOTICE_MS) {
        go_away(h2);
    }
    for (struct gy_h2_call *call = h2->calls, *next; call; call = next) {
        next = call->next; /* a tick ends calls, it does not free them */
        if (!call->head_here && now_ms > call->began_ms + header_ms) {
            gy_stat_add(&c->loop->stats.timeouts, 1);
            gy_conn_close(c); /* nothing else can be said on it before that head ends */
            return;
        }
        gy_h2_call_tick(call, now_ms);
    }
    if (check_quiet(h2, now_ms)) {
        tell_held(h2);
        gy_h2_flush(h2);
    }
}

void gy_h2_drain(struct gy_conn *c)
{
    struct gy_h2 *h2 = c->h2;
    if (h2->drain_ms) {
        return;
    }
    /* First "begin no new calls", then, when what was under way is here, which was the last. */
    h2->drain_ms = uv_now(&c->loop->uv);
    (void)nghttp2_submit_shutdown_notice(h2->session);
    gy_h2_flush(h2);
}

void gy_h2_retry_turns(struct gy_conn *c)
{
    for (struct gy_h2_call *call = c->h2->calls; call && c->h2->n_turns; call = call->next) {
        if (call->turn_ms) {
            gy_h2_call_retry_turn(call);
        }
    }
    gy_h2_flush(c->h2);
}

/* ---- life ---- */

static void *mem_alloc(size_t n, void *user)
{
    (void)user;
    return gy_malloc(n);
}

static void mem_free(void *p, void *user)
{
    (void)user;
    gy_free(p);
}

static void *mem_calloc(size_t count, size_t n, void *user)
{
    (void)user;
    return gy_calloc(count, n);
}

static void *mem_realloc(void *p, size_t n, void *user)
{
    (void)user;
    return gy_realloc(p, n);
}

static bool set_up(struct gy_h2 *h2, nghttp2_session_callbacks *cb, nghttp2_option *o)
{
    static const nghttp2_mem tmpl = {NULL, mem_alloc, mem_free, mem_calloc, mem_realloc};
    nghttp2_mem mem = tmpl;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GY_H2_MAX_STREAMS},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GY_H2_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
         (uint32_t)h2->conn->loop->server->o.max_header_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_settings(o, GY_H2_MAX_SETTINGS);
    nghttp2_option_set_max_continuations(o, GY_H2_MAX_CONTINUATIONS);
    nghttp2_option_set_stream_reset_rate_limit(o, GY_H2_RESETS, GY_H2_RESETS_S);
    if (nghttp2_session_server_new3(&h2->session, cb, h2, o, &mem) != 0) {
        return false;
    }
    return nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
                                   sizeof settings / sizeof settings[0]) == 0 &&
           nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                 GY_H2_CONN_WINDOW) == 0;
}

bool gy_h2_begin(struct gy_conn *c)
{
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *option = NULL;
    struct gy_h2 *h2 = gy_calloc(1, sizeof *h2);
    if (!h2) {
        return false;
    }
    h2->conn = c;
    h2->heard_ms = h2->controls_ms = uv_now(&c->loop->uv);
    h2->controls = GY_H2_CONTROLS;
    bool ok = nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&option) == 0 &&
              set_up(h2, cb, option);
    nghttp2_session_callbacks_del(cb); /* copied into the session, as the options are */
    nghttp2_option_del(option);
    c->h2 = h2;
    return ok; /* else the connection is closed, which frees it */
}

void gy_h2_gone(struct gy_conn *c)
{
    struct gy_h2 *h2 = c->h2;
    while (h2->calls) {
        gy_h2_call_free(h2->calls);
    }
    gy_h2_jobs_gone(h2);
    tell_held(h2);
}

void gy_h2_free(struct gy_h2 *h2)
{
    if (!h2) {
        return;
    }
    for (struct gy_h2_call *call = h2->spare, *next; call; call = next) {
        next = call->next;
        gy_h2_call_done(call);
    }
    nghttp2_session_del(h2->session);
    gy_free(h2);
}
