/* SPDX-License-Identifier: Apache-2.0 */
#include "net/exchange.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/server_internal.h"

void gy_exchange_post(struct gy_exchange *ex)
{
    struct gy_net_loop *l = ex->loop;
    (void)pthread_mutex_lock(&l->lock);
    bool first = !ex->posted;
    if (first) {
        ex->posted = true;
        ex->next = NULL;
        *l->posted_end = ex;
        l->posted_end = &ex->next;
        gy_exchange_ref(ex);
    }
    (void)pthread_mutex_unlock(&l->lock);
    if (first) {
        (void)uv_async_send(&l->wake); /* can not fail on a handle that lives */
    }
}

/* ---- the body, worker side ---- */

/* Under the lock: why there is nothing more to read. */
static gy_status no_more(const struct gy_exchange *ex, struct gy_err *err)
{
    if (ex->gone) {
        return gy_err_set(err, GY_E_NETWORK, "the client went away");
    }
    return ex->in_failed == GY_OK ? GY_OK : gy_err_set(err, ex->in_failed, "%s", ex->in_why);
}

/* Wait for bytes and take all there are into `current`, which is empty. */
static gy_status refill(struct gy_exchange *ex, struct gy_err *err)
{
    gy_status status = GY_OK;
    gy_buf_reset(&ex->current);
    ex->current_at = 0;
    (void)pthread_mutex_lock(&ex->lock);
    while (ex->in.n == 0 && !ex->in_end && !ex->gone) {
        (void)pthread_cond_wait(&ex->changed, &ex->lock);
    }
    if (ex->in.n == 0) {
        status = no_more(ex, err);
    }
    struct gy_buf taken = ex->in;
    ex->in = ex->current;
    ex->current = taken;
    bool resume = ex->in_paused;
    ex->in_paused = false;
    (void)pthread_mutex_unlock(&ex->lock);
    if (resume) {
        gy_exchange_post(ex);
    }
    return status;
}

static gy_status read_body(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                           struct gy_err *err)
{
    struct gy_exchange *ex =
        (struct gy_exchange *)((char *)self - offsetof(struct gy_exchange, reader));
    if (ex->current_at == ex->current.n) {
        GY_TRY(refill(ex, err));
    }
    size_t left = ex->current.n - ex->current_at;
    *ret_n = n < left ? n : left;
    memcpy(buf, ex->current.p + ex->current_at, *ret_n);
    ex->current_at += *ret_n;
    return GY_OK;
}

static gy_status next_of_body(struct gy_reader *self, struct gy_str *ret_bytes, struct gy_err *err)
{
    struct gy_exchange *ex =
        (struct gy_exchange *)((char *)self - offsetof(struct gy_exchange, reader));
    if (ex->current_at == ex->current.n) {
        GY_TRY(refill(ex, err));
    }
    *ret_bytes = gy_str_n(ex->current.p + ex->current_at, ex->current.n - ex->current_at);
    ex->current_at = ex->current.n;
    return GY_OK;
}

/* ---- the answer, worker side ---- */

static struct gy_exchange *of_reply(struct gy_reply *self)
{
    return (struct gy_exchange *)((char *)self - offsetof(struct gy_exchange, reply));
}

static gy_status out_check(const struct gy_exchange *ex, struct gy_err *err)
{
    if (ex->gone) {
        return gy_err_set(err, GY_E_NETWORK, "the client went away");
    }
    return gy_buf_check(&ex->out, "the answer", err);
}

static gy_status reply_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                             size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    struct gy_exchange *ex = of_reply(self);
    char date[32];
    (void)gy_time_http(gy_now_us(), date);
    (void)pthread_mutex_lock(&ex->lock);
    if (status == 504 && ex->in_failed == GY_E_TIMEOUT) {
        status = 408; /* it was the client that took too long */
    }
    ex->status = status;
    ex->promised = body_bytes;
    ex->chunked = body_bytes < 0 && !ex->http10;
    ex->head_only = ex->head_only || status == 204 || status == 304;
    /* A refusal before the body is here means that nobody will read the rest, which could only be
     * taken for the next request. A success may still come to the body's end. */
    ex->close = !ex->keep_alive || ex->in_failed != GY_OK || (!ex->in_end && status >= 400) ||
                (body_bytes < 0 && ex->http10) || atomic_load(&ex->loop->server->draining);
    gy_head_write(&ex->out, &(struct gy_head_out){.status = status,
                                                  .date = date,
                                                  .headers = headers,
                                                  .n_headers = n_headers,
                                                  .body_bytes = body_bytes,
                                                  .request_id = ex->req.request_id,
                                                  .cors = ex->cors,
                                                  .close = ex->close,
                                                  .http10 = ex->http10});
    gy_status result = out_check(ex, err);
    (void)pthread_mutex_unlock(&ex->lock);
    return result;
}

static gy_status write_piece(struct gy_exchange *ex, struct gy_str piece, struct gy_err *err)
{
    (void)pthread_mutex_lock(&ex->lock);
    while (ex->out.n >= GY_EXCHANGE_HIGH && !ex->gone) {
        (void)pthread_cond_wait(&ex->changed, &ex->lock);
    }
    if (ex->chunked) {
        gy_buf_addf(&ex->out, "%zx\r\n", piece.n);
    }
    gy_buf_add(&ex->out, piece);
    if (ex->chunked) {
        gy_buf_add(&ex->out, GY_STR("\r\n"));
    }
    ex->body_bytes += (int64_t)piece.n;
    /* A stream of unknown length is watched as it grows; the rest gains by larger writes. */
    bool news = ex->out.n >= GY_EXCHANGE_FLUSH || ex->promised < 0;
    gy_status result = out_check(ex, err);
    (void)pthread_mutex_unlock(&ex->lock);
    if (news) {
        gy_exchange_post(ex);
    }
    return result;
}

static gy_status reply_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct gy_exchange *ex = of_reply(self);
    if (ex->promised >= 0 && (int64_t)bytes.n > ex->promised - ex->given) {
        return gy_err_set(err, GY_E_FAILED, "more than the %lld bytes that were announced",
                          (long long)ex->promised);
    }
    ex->given += (int64_t)bytes.n;
    while (bytes.n && !ex->head_only) {
        struct gy_str piece = gy_str_sub(bytes, 0, GY_EXCHANGE_PIECE);
        GY_TRY(write_piece(ex, piece, err));
        bytes = gy_str_n(bytes.p + piece.n, bytes.n - piece.n);
    }
    return GY_OK;
}

static gy_status reply_end(struct gy_reply *self, struct gy_err *err)
{
    struct gy_exchange *ex = of_reply(self);
    bool is_short = !ex->head_only && ex->promised >= 0 && ex->given != ex->promised;
    (void)pthread_mutex_lock(&ex->lock);
    if (ex->chunked && !ex->head_only) {
        gy_buf_add(&ex->out, GY_STR("0\r\n\r\n"));
    }
    gy_status result = out_check(ex, err);
    ex->broken = ex->broken || is_short || result != GY_OK;
    ex->out_end = true;
    (void)pthread_mutex_unlock(&ex->lock);
    gy_exchange_post(ex);
    if (is_short && result == GY_OK) {
        return gy_err_set(err, GY_E_FAILED, "%lld bytes of the %lld that were announced",
                          (long long)ex->given, (long long)ex->promised);
    }
    return result;
}

/* A file that ends an answer of known size is left to jobs; any other is copied. */
static gy_status reply_send_file(struct gy_reply *self, int fd, int64_t offset, int64_t n_bytes,
                                 struct gy_err *err)
{
    struct gy_exchange *ex = of_reply(self);
    if (n_bytes < GY_EXCHANGE_FILE || ex->sealed || ex->head_only ||
        ex->promised - ex->given != n_bytes) {
        return gy_reply_copy_file(self, fd, offset, n_bytes, err);
    }
    (void)pthread_mutex_lock(&ex->lock);
    ex->given += n_bytes;
    ex->file_fd = fd;
    ex->file_at = offset;
    ex->file_end = offset + n_bytes;
    ex->file = GY_FILE_READY;
    (void)pthread_mutex_unlock(&ex->lock);
    return GY_OK;
}

static const struct gy_reply_ops reply_ops = {reply_begin, reply_write, reply_end, reply_send_file};

/* ---- running ---- */

bool gy_fast_enter(const struct gy_server_options *o, struct gy_request *req,
                   struct gy_fast_reply *out, void **ret_pass)
{
    const struct gy_router_guard *guard = gy_router_guard(o->router);
    struct gy_err failed = GY_ERR_INIT;
    *ret_pass = NULL;
    gy_status status = guard ? guard->enter(guard->self, NULL, req, ret_pass, &failed) : GY_OK;
    if (status == GY_OK) {
        return true;
    }
    struct gy_header challenge = gy_router_challenge(status);
    out->status = gy_status_http(status);
    if (o->fast->refuse) {
        o->fast->refuse(o->fast_self, req, &failed, out);
    }
    if (challenge.name.p) {
        (void)snprintf(out->extra_headers, sizeof out->extra_headers,
                       "%" GY_STR_F ": %" GY_STR_F "\r\n", GY_STR_A(challenge.name),
                       GY_STR_A(challenge.value));
    }
    return false;
}

void gy_fast_leave(const struct gy_server_options *o, void *pass, gy_status status,
                   const struct gy_err *failed)
{
    const struct gy_router_guard *guard = gy_router_guard(o->router);
    if (guard) {
        guard->leave(guard->self, pass, status, failed);
    }
}

void gy_fast_ask(const struct gy_server_options *o, int loop, struct gy_request *req,
                 struct gy_str body, struct gy_fast_reply *out)
{
    static const struct gy_err nothing = GY_ERR_INIT;
    void *pass = NULL;
    if (gy_fast_enter(o, req, out, &pass)) {
        o->fast->deferred(o->fast_self, loop, req, body, out);
        gy_fast_leave(o, pass, GY_OK, &nothing);
    }
}

static gy_status run_deferred(struct gy_exchange *ex, struct gy_err *err)
{
    const struct gy_server_options *o = &ex->loop->server->o;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, GY_MAX_REPLY);
    struct gy_fast_reply *out = gy_arena_calloc(&ex->arena, 1, sizeof *out);
    if (!out) {
        return gy_err_set(err, GY_E_NOMEM, "answering");
    }
    out->body = &body;
    /* The whole body is in `in`, and nobody adds to it any more. */
    gy_fast_ask(o, ex->loop->index, &ex->req, gy_buf_str(&ex->in), out);
    GY_TRY(gy_buf_check(&body, "the answer", err));
    struct gy_header headers[16] = {{GY_STR("Content-Type"), gy_str_c(out->content_type)}};
    size_t n = out->content_type ? 1 : 0;
    struct gy_str rest = gy_str_c(out->extra_headers), line;
    while (n < sizeof headers / sizeof headers[0] && gy_str_next(&rest, '\n', &line)) {
        if (gy_str_cut(line, ':', &headers[n].name, &headers[n].value)) {
            headers[n].value = gy_str_trim(headers[n].value);
            n++;
        }
    }
    GY_TRY(gy_reply_begin(&ex->reply, out->status, headers, n, (int64_t)body.n, err));
    GY_TRY(gy_reply_write(&ex->reply, gy_buf_str(&body), err));
    return gy_reply_end(&ex->reply, err);
}

void gy_exchange_run(void *exchange)
{
    struct gy_exchange *ex = exchange;
    struct gy_server *s = ex->loop->server;
    struct gy_err err = GY_ERR_INIT;
    gy_status status = ex->deferred ? run_deferred(ex, &err)
                                    : gy_router_call(s->o.router, &ex->req, &ex->reply, &err);
    if (status != GY_OK && !ex->reply.begun) {
        status = gy_reply_problem(&ex->reply, &err, NULL);
    }
    if (status != GY_OK || !ex->reply.ended) {
        (void)pthread_mutex_lock(&ex->lock);
        bool gone = ex->gone;
        ex->broken = ex->out_end = true;
        (void)pthread_mutex_unlock(&ex->lock);
        gy_exchange_post(ex);
        if (!gone) { /* nobody else can be told; a client that leaves is no fault of ours */
            gy_log_err(err.code == GY_E_NETWORK ? GY_LOG_DEBUG : GY_LOG_WARN, "http",
                       "an answer broke off", &err);
        }
    }
    gy_exchange_unref(ex);
    gy_server_count_down(s, &s->n_running);
}

/* ---- loop side ---- */

bool gy_exchange_give(struct gy_exchange *ex, struct gy_str bytes)
{
    (void)pthread_mutex_lock(&ex->lock);
    gy_buf_add(&ex->in, bytes);
    if (ex->in.failed != GY_OK) {
        ex->in_failed = ex->in.failed;
        ex->in_why = "no memory for the body";
        ex->in_end = true;
        gy_buf_reset(&ex->in);
    }
    ex->in_paused = ex->in.n >= GY_EXCHANGE_HIGH;
    bool pause = ex->in_paused;
    (void)pthread_cond_broadcast(&ex->changed);
    (void)pthread_mutex_unlock(&ex->lock);
    return pause;
}

bool gy_exchange_has_room(struct gy_exchange *ex)
{
    (void)pthread_mutex_lock(&ex->lock);
    bool room = !ex->in_paused;
    (void)pthread_mutex_unlock(&ex->lock);
    return room;
}

void gy_exchange_end_in(struct gy_exchange *ex, gy_status status, const char *why)
{
    (void)pthread_mutex_lock(&ex->lock);
    if (!ex->in_end) {
        ex->in_failed = status;
        ex->in_why = why;
        ex->in_end = true;
    }
    (void)pthread_cond_broadcast(&ex->changed);
    (void)pthread_mutex_unlock(&ex->lock);
}

void gy_exchange_gone(struct gy_exchange *ex)
{
    (void)pthread_mutex_lock(&ex->lock);
    ex->gone = true;
    (void)pthread_cond_broadcast(&ex->changed);
    (void)pthread_mutex_unlock(&ex->lock);
}

enum gy_exchange_out gy_exchange_take(struct gy_exchange *ex, struct gy_buf *buf)
{
    enum gy_exchange_out result = GY_OUT_NOTHING;
    (void)pthread_mutex_lock(&ex->lock);
    if (ex->broken) {
        result = GY_OUT_BROKEN;
    } else if (ex->out.n) {
        struct gy_buf empty = *buf;
        *buf = ex->out;
        ex->out = empty;
        (void)pthread_cond_broadcast(&ex->changed);
        result = GY_OUT_BYTES;
    } else if (ex->file == GY_FILE_RUNNING) {
        result = GY_OUT_NOTHING;
    } else if (ex->file == GY_FILE_BLOCKED) {
        result = GY_OUT_FULL;
    } else if (ex->file == GY_FILE_READY && ex->out_end) {
        ex->file = GY_FILE_RUNNING;
        result = GY_OUT_FILE;
    } else if (ex->out_end) {
        result = GY_OUT_END;
    }
    (void)pthread_mutex_unlock(&ex->lock);
    return result;
}

/* ---- life ---- */

static bool copy_request(struct gy_exchange *ex, const struct gy_http_head *head,
                         struct gy_str request_id, struct gy_str actor, struct gy_str address)
{
    struct gy_request *r = &ex->req;
    struct gy_header *headers = gy_arena_calloc(&ex->arena, head->n_headers + 1, sizeof *headers);
    if (!headers) {
        return false;
    }
    for (size_t i = 0; i < head->n_headers; i++) {
        headers[i].name = gy_arena_str(&ex->arena, head->headers[i].name);
        headers[i].value = gy_arena_str(&ex->arena, head->headers[i].value);
        if (!headers[i].name.p || !headers[i].value.p) {
            return false;
        }
    }
    r->headers = headers;
    r->n_headers = head->n_headers;
    r->method = gy_arena_str(&ex->arena, head->method);
    r->path = gy_arena_str(&ex->arena, head->path);
    r->query = head->query.p ? gy_arena_str(&ex->arena, head->query) : GY_STR_NULL;
    r->request_id = gy_arena_str(&ex->arena, request_id);
    r->actor = gy_arena_str(&ex->arena, actor);
    r->peer_address = address.n ? gy_arena_str(&ex->arena, address) : GY_STR_NULL;
    r->arena = &ex->arena;
    return r->method.p && r->path.p && (!head->query.p || r->query.p) && r->request_id.p &&
           r->actor.p && (!address.n || r->peer_address.p);
}

struct gy_exchange *gy_exchange_new(struct gy_net_loop *loop, const struct gy_http_head *head,
                                    struct gy_str request_id, struct gy_str actor,
                                    enum gy_peer_kind peer, struct gy_str address)
{
    struct gy_exchange *ex = gy_calloc(1, sizeof *ex);
    if (!ex) {
        return NULL;
    }
    atomic_init(&ex->refs, 1);
    ex->file_fd = ex->socket_fd = -1;
    ex->loop = loop;
    gy_arena_init(&ex->arena, GY_MAX_REQUEST_ARENA);
    gy_buf_init(&ex->in, SIZE_MAX / 2); /* bounded by the connection: it stops reading */
    gy_buf_init(&ex->current, SIZE_MAX / 2);
    gy_buf_init(&ex->out, SIZE_MAX / 2); /* bounded by GY_EXCHANGE_HIGH and one piece */
    (void)pthread_mutex_init(&ex->lock, NULL);
    (void)pthread_cond_init(&ex->changed, NULL);
    ex->reply.ops = &reply_ops;
    ex->reader = (struct gy_reader){read_body, head->content_length, next_of_body};
    ex->req.peer = peer;
    ex->req.body = head->chunked || head->content_length > 0 ? &ex->reader : NULL;
    ex->head_only = gy_str_eqc(head->method, "HEAD");
    ex->http10 = head->http10;
    ex->keep_alive = head->keep_alive;
    if (!copy_request(ex, head, request_id, actor, address)) {
        gy_exchange_unref(ex);
        return NULL;
    }
    return ex;
}

void gy_exchange_ref(struct gy_exchange *ex)
{
    (void)atomic_fetch_add_explicit(&ex->refs, 1, memory_order_relaxed);
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        (void)close(fd); /* a file only read from, or a socket that is closed elsewhere too */
    }
}

void gy_exchange_unref(struct gy_exchange *ex)
{
    if (ex && atomic_fetch_sub_explicit(&ex->refs, 1, memory_order_acq_rel) == 1) {
        gy_buf_done(&ex->in);
        gy_buf_done(&ex->current);
        gy_buf_done(&ex->out);
        gy_arena_done(&ex->arena);
        close_fd(ex->file_fd);
        close_fd(ex->socket_fd);
        (void)pthread_cond_destroy(&ex->changed);
        (void)pthread_mutex_destroy(&ex->lock);
        gy_free(ex);
    }
}
