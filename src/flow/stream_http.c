/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP as a source of a stream: POST / takes a message (or, as application/x-ndjson, one a line),
 * and is answered when the decisions are on their way for good. Who is not answered with 200 sends
 * again. On loopback alone: a proxy in front of it knows who may. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "flow/stream_internal.h"
#include "net/router.h"
#include "net/server.h"

#define WORKERS 32 /* clients that wait at a time; others queue in the server */
#define MAX_BODY (8 * GY_MIB)

/* A request that waits; on the stack of its handler. */
struct waiter {
    size_t left, dead;
};
struct waiting {
    struct gy_str key, value;
    struct waiter *who;
};

struct http_source {
    struct stream_source base;
    struct gy_router *router;
    struct gy_server *server;
    pthread_mutex_t mu; /* all below */
    pthread_cond_t came, done;
    struct waiting *queue; /* a ring of GY_STREAM_MAX_WAITING */
    size_t first, n;
    struct waiting *taken; /* of the batch at hand */
    size_t n_taken;
    uint64_t next; /* number of the next message */
    bool closed;
};

/* ---- handlers: on threads of the server ---- */

static gy_status push(struct http_source *h, const struct waiting *w, size_t n, struct gy_err *err)
{
    if (h->closed) {
        return gy_err_set(err, GY_E_UNAVAILABLE, "the stream ends");
    }
    if (h->n + n > GY_STREAM_MAX_WAITING) {
        return gy_err_set(err, GY_E_UNAVAILABLE, "%zu messages wait already", h->n);
    }
    for (size_t i = 0; i < n; i++) {
        h->queue[(h->first + h->n++) % GY_STREAM_MAX_WAITING] = w[i];
    }
    (void)pthread_cond_signal(&h->came);
    return GY_OK;
}

/* Returns when all are done. */
static gy_status pass_on(struct http_source *h, const struct waiting *w, size_t n,
                         struct waiter *who, struct gy_err *err)
{
    who->left = n;
    (void)pthread_mutex_lock(&h->mu);
    gy_status status = push(h, w, n, err);
    while (status == GY_OK && who->left > 0) {
        if (h->closed) {
            status = gy_err_set(err, GY_E_UNAVAILABLE, "the stream has ended before that");
            break;
        }
        (void)pthread_cond_wait(&h->done, &h->mu);
    }
    (void)pthread_mutex_unlock(&h->mu);
    return status;
}

/* The body's messages; room for one a line. */
static size_t split(struct gy_str body, bool lines, struct gy_str key, struct waiter *who,
                    struct waiting *out)
{
    struct gy_str rest = body;
    struct gy_str line;
    size_t n = 0;
    if (!lines) {
        out[0] = (struct waiting){key, body, who};
        return 1;
    }
    while (gy_str_next(&rest, '\n', &line)) {
        line = gy_str_trim(line);
        if (line.n) {
            out[n++] = (struct waiting){key, line, who};
        }
    }
    return n;
}

static size_t count_lines(struct gy_str s)
{
    size_t n = 1;
    for (size_t i = 0; i < s.n; i++) {
        n += s.p[i] == '\n';
    }
    return n;
}

static gy_status post(void *ctx, struct gy_request *req, struct gy_reply *reply, struct gy_err *err)
{
    struct http_source *h = ctx;
    struct waiter who = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body, out;
    GY_AUTO(gy_free) char *room = NULL;
    gy_buf_init(&body, MAX_BODY);
    gy_buf_init(&out, GY_KIB);
    GY_TRY(gy_req_read_body(req, &body, err));
    struct gy_str type = gy_req_header(req, "Content-Type");
    bool lines = gy_str_find_str(type, GY_STR("ndjson")) != SIZE_MAX ||
                 gy_str_find_str(type, GY_STR("jsonl")) != SIZE_MAX;
    size_t max = lines ? count_lines(gy_buf_str(&body)) : 1;
    room = gy_reallocarray(NULL, max, sizeof(struct waiting));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for messages");
    }
    struct waiting *w = (struct waiting *)(void *)room;
    size_t n = split(gy_buf_str(&body), lines, gy_req_header(req, "Gyre-Key"), &who, w);
    if (n > GY_STREAM_MAX_WAITING) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d messages", GY_STREAM_MAX_WAITING);
    }
    GY_TRY(pass_on(h, w, n, &who, err));
    gy_buf_addf(&out, "{\"decided\":%zu,\"dead\":%zu}", n - who.dead, who.dead);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"POST", "/", post, NULL, MAX_BODY, "messages", GY_ACCESS_VIEWER, 0}};

/* ---- the source: on the stream's thread ---- */

static void until(struct timespec *t, int wait_ms)
{
    (void)clock_gettime(CLOCK_REALTIME, t);
    t->tv_sec += wait_ms / 1000;
    t->tv_nsec += wait_ms % 1000 * 1000000L;
    t->tv_sec += t->tv_nsec / 1000000000L;
    t->tv_nsec %= 1000000000L;
}

static gy_status http_take(struct stream_source *s, int wait_ms, size_t max, struct stream_batch *b,
                           bool *ret_end, struct gy_err *err)
{
    struct http_source *h = (struct http_source *)(void *)s;
    struct timespec t;
    gy_status status = GY_OK;
    *ret_end = false;
    until(&t, wait_ms);
    (void)pthread_mutex_lock(&h->mu);
    while (h->n == 0 && pthread_cond_timedwait(&h->came, &h->mu, &t) != ETIMEDOUT) {
    }
    h->n_taken = 0;
    while (h->n > 0 && b->n < max) {
        const struct waiting *w = &h->queue[h->first];
        struct stream_message *m = gy_stream_add(b);
        const char *id = gy_arena_printf(&b->arena, "http/%llu", (unsigned long long)h->next++);
        m->id = gy_str_c(id);
        m->key = w->key;
        m->value = w->value;
        status = id ? status : gy_err_set(err, GY_E_NOMEM, "out of memory for messages");
        h->taken[h->n_taken++] = *w;
        h->first = (h->first + 1) % GY_STREAM_MAX_WAITING;
        h->n--;
    }
    (void)pthread_mutex_unlock(&h->mu);
    return status;
}

static gy_status http_done(struct stream_source *s, const struct stream_batch *b, bool *ret_kept,
                           struct gy_err *err)
{
    struct http_source *h = (struct http_source *)(void *)s;
    (void)err;
    *ret_kept = true;
    (void)pthread_mutex_lock(&h->mu);
    for (size_t i = 0; i < h->n_taken; i++) {
        h->taken[i].who->dead += b->items[i].status >= 400;
        h->taken[i].who->left--;
    }
    h->n_taken = 0;
    (void)pthread_cond_broadcast(&h->done);
    (void)pthread_mutex_unlock(&h->mu);
    return GY_OK;
}

static void http_count(struct stream_source *s, struct gy_stream_counts *c)
{
    struct http_source *h = (struct http_source *)(void *)s;
    (void)pthread_mutex_lock(&h->mu);
    c->lag = (int64_t)h->n;
    (void)pthread_mutex_unlock(&h->mu);
    c->http_port = gy_server_port(h->server);
}

static void http_free(struct stream_source *s)
{
    struct http_source *h = (struct http_source *)(void *)s;
    (void)pthread_mutex_lock(&h->mu);
    h->closed = true;
    (void)pthread_cond_broadcast(&h->done);
    (void)pthread_mutex_unlock(&h->mu);
    if (h->server && !gy_server_stop(h->server)) {
        return; /* a handler may still use it: the process ends anyway */
    }
    gy_server_free(h->server);
    gy_router_free(h->router);
    (void)pthread_mutex_destroy(&h->mu);
    (void)pthread_cond_destroy(&h->came);
    (void)pthread_cond_destroy(&h->done);
    gy_free(h->queue);
    gy_free(h->taken);
    gy_free(h);
}

static const struct stream_source_ops http_ops = {http_take, http_done, NULL, http_count,
                                                  http_free};

static gy_status listen_on(struct http_source *h, int64_t port, struct gy_err *err)
{
    h->queue = gy_calloc(GY_STREAM_MAX_WAITING, sizeof *h->queue);
    h->taken = gy_calloc(GY_STREAM_BATCH, sizeof *h->taken);
    if (!h->queue || !h->taken) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a source");
    }
    GY_TRY(gy_router_new(&h->router, err));
    GY_TRY(gy_router_add(h->router, routes, sizeof routes / sizeof routes[0], h, err));
    const struct gy_server_options options = {.host = "127.0.0.1",
                                              .port = (int)port,
                                              .n_loops = 1,
                                              .n_workers = WORKERS,
                                              .router = h->router};
    return gy_server_start(&options, &h->server, err);
}

gy_status gy_stream_from_http(struct gy_str address, struct stream_source **ret, struct gy_err *err)
{
    int64_t port = 0;
    if (gy_parse_i64(address, 0, 65535, &port, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_USAGE,
                          "--from http:%" GY_STR_F ": a port is wanted, 0 to 65535",
                          GY_STR_A(address));
    }
    struct http_source *h = gy_calloc(1, sizeof *h);
    if (!h) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a source");
    }
    h->base.ops = &http_ops;
    (void)pthread_mutex_init(&h->mu, NULL);
    (void)pthread_cond_init(&h->came, NULL);
    (void)pthread_cond_init(&h->done, NULL);
    gy_status status = listen_on(h, port, err);
    if (status != GY_OK) {
        http_free(&h->base);
        return status;
    }
    *ret = &h->base;
    return GY_OK;
}
