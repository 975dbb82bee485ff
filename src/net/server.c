/* SPDX-License-Identifier: Apache-2.0 */
#include "net/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/server_internal.h"

/* Requests that wait for another process at a time. One endpoint holds half of them at most
 * (serve/lane.h), so that a slow one leaves room for others. */
#define MAX_WAITING 128

static void set_default(int *value, int otherwise)
{
    if (*value <= 0) {
        *value = otherwise;
    }
}

static void fill_defaults(struct gy_server_options *o)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    o->host = o->host ? o->host : "127.0.0.1";
    set_default(&o->n_loops, cpus < 1 ? 1 : cpus > 8 ? 8 : (int)cpus);
    o->n_loops = o->n_loops > GY_NET_MAX_LOOPS ? GY_NET_MAX_LOOPS : o->n_loops;
    set_default(&o->n_workers, 8);
    set_default(&o->max_connections, 4096);
    set_default(&o->max_large_fast, 64);
    set_default(&o->header_timeout_ms, 10000);
    set_default(&o->idle_timeout_ms, 75000);
    set_default(&o->body_min_bytes_s, 1024);
    set_default(&o->body_window_ms, 10000);
    set_default(&o->drain_timeout_ms, 30000);
    set_default(&o->handler_grace_ms, 5000);
    o->max_queue = o->max_queue ? o->max_queue : 1024;
    o->max_header_bytes = o->max_header_bytes ? o->max_header_bytes : 32 * GY_KIB;
}

/* ---- tasks on all loops ---- */

struct everywhere {
    pthread_mutex_t lock;
    pthread_cond_t done;
    int left;
    void (*fn)(void *ctx, struct gy_net_loop *loop);
    void *ctx;
};

static void run_one(void *ctx, struct gy_net_loop *loop)
{
    struct everywhere *e = ctx;
    e->fn(e->ctx, loop);
    (void)pthread_mutex_lock(&e->lock);
    if (--e->left == 0) {
        (void)pthread_cond_signal(&e->done);
    }
    (void)pthread_mutex_unlock(&e->lock);
}

static void on_all_loops(struct gy_server *s, void (*fn)(void *ctx, struct gy_net_loop *loop),
                         void *ctx)
{
    struct gy_loop_task tasks[GY_NET_MAX_LOOPS];
    struct everywhere e = {.left = s->n_loops, .fn = fn, .ctx = ctx};
    (void)pthread_mutex_init(&e.lock, NULL);
    (void)pthread_cond_init(&e.done, NULL);
    for (int i = 0; i < s->n_loops; i++) {
        tasks[i] = (struct gy_loop_task){NULL, run_one, &e};
        gy_net_loop_task(&s->loops[i], &tasks[i]);
    }
    (void)pthread_mutex_lock(&e.lock);
    while (e.left > 0) {
        (void)pthread_cond_wait(&e.done, &e.lock);
    }
    (void)pthread_mutex_unlock(&e.lock);
    (void)pthread_cond_destroy(&e.done);
    (void)pthread_mutex_destroy(&e.lock);
}

struct on_loops_call {
    void (*fn)(void *ctx, int loop);
    void *ctx;
};

static void call_with_index(void *ctx, struct gy_net_loop *loop)
{
    struct on_loops_call *c = ctx;
    c->fn(c->ctx, loop->index);
}

gy_status gy_server_on_loops(struct gy_server *s, void (*fn)(void *ctx, int loop), void *ctx,
                             struct gy_err *err)
{
    struct on_loops_call c = {fn, ctx};
    (void)atomic_fetch_add(&s->n_on_loops, 1); /* before the look: the loops end after both */
    bool stopped = atomic_load(&s->stopped);
    if (!stopped) {
        on_all_loops(s, call_with_index, &c);
    }
    gy_server_count_down(s, &s->n_on_loops);
    return stopped ? gy_err_set(err, GY_E_UNAVAILABLE, "the server has stopped") : GY_OK;
}

/* ---- start ---- */

static gy_status start_loops(struct gy_server *s, struct gy_err *err)
{
    s->loops = gy_calloc((size_t)s->o.n_loops, sizeof *s->loops);
    if (!s->loops) {
        return gy_err_set(err, GY_E_NOMEM, "starting the server");
    }
    for (int i = 0; i < s->o.n_loops; i++) {
        GY_TRY(gy_net_loop_init(&s->loops[i], s, i, err));
        s->n_loops = i + 1;
        GY_TRY(gy_net_loop_start(&s->loops[i], err));
    }
    return GY_OK;
}

static gy_status start_acceptor(struct gy_server *s, struct gy_err *err)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&s->acceptor, NULL, gy_accept_loop, s);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        return gy_err_set(err, GY_E_FAILED, "no thread for the acceptor: %s", strerror(failed));
    }
    s->acceptor_runs = true;
    return GY_OK;
}

static gy_status start(struct gy_server *s, struct gy_err *err)
{
    if (snprintf(s->host, sizeof s->host, "%s", s->o.host) >= (int)sizeof s->host) {
        return gy_err_set(err, GY_E_INVALID, "the host name is too long");
    }
    s->o.host = s->host; /* the caller's strings may go once the server runs */
    if (s->o.allowed_hosts && s->o.allowed_hosts[0]) {
        s->allowed_hosts = gy_strndup(s->o.allowed_hosts, strlen(s->o.allowed_hosts));
        if (!s->allowed_hosts) {
            return gy_err_set(err, GY_E_NOMEM, "starting the server");
        }
    }
    s->o.allowed_hosts = s->allowed_hosts;
    if (s->o.cors && s->o.cors[0]) {
        s->cors = gy_strndup(s->o.cors, strlen(s->o.cors));
        if (!s->cors) {
            return gy_err_set(err, GY_E_NOMEM, "starting the server");
        }
    }
    s->o.cors = s->cors;
    s->check_host = s->allowed_hosts || !gy_guard_is_wildcard(s->host);
    if (s->o.tls_cert || s->o.tls_key) {
        GY_REQUIRE(s->o.tls_cert && s->o.tls_key);
        GY_TRY(gy_tls_ctx_new(s->o.tls_cert, s->o.tls_key, &s->tls, err));
        s->o.tls_cert = s->o.tls_key = NULL; /* the caller's; the context has its own */
    }
    GY_TRY(gy_listen_tcp(s->host, s->o.port, &s->listen_fd, &s->port, err));
    if (s->o.has_inference_port) {
        GY_TRY(
            gy_listen_tcp(s->host, s->o.inference_port, &s->inference_fd, &s->inference_port, err));
    }
    if (s->o.unix_path) {
        GY_TRY(gy_listen_unix(s->o.unix_path, &s->unix_fd, err));
        (void)snprintf(s->unix_path, sizeof s->unix_path, "%s", s->o.unix_path);
        s->o.unix_path = s->unix_path;
    }
    if (pipe2(s->wake_fds, O_CLOEXEC) != 0) {
        s->wake_fds[0] = s->wake_fds[1] = -1;
        return gy_err_sys(err, errno, "starting the server");
    }
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    GY_TRY(gy_pool_new("http", s->o.n_workers, s->o.max_queue, &s->workers, err));
    if (s->o.fast) {
        s->n_infer = s->o.n_loops;
        GY_TRY(gy_pool_new("infer", s->n_infer, s->o.max_queue, &s->infer, err));
        GY_TRY(gy_pool_new_elastic("waiting", MAX_WAITING, s->o.max_queue, &s->waiting, err));
    }
    return start_loops(s, err);
}

gy_status gy_server_start(const struct gy_server_options *o, struct gy_server **ret,
                          struct gy_err *err)
{
    GY_AUTO(gy_server_free) struct gy_server *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return gy_err_set(err, GY_E_NOMEM, "starting the server");
    }
    s->o = *o;
    fill_defaults(&s->o);
    s->max_uploads[GY_UPLOAD_STREAMED] = s->o.n_workers < 2 ? 1 : s->o.n_workers * 3 / 4;
    s->max_uploads[GY_UPLOAD_FAST] = s->o.max_large_fast;
    s->inference_fd = s->listen_fd = s->unix_fd = s->spare_fd = s->wake_fds[0] = s->wake_fds[1] =
        -1;
    (void)pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr); /* these can not fail on Linux */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->emptied, &attr);
    (void)pthread_condattr_destroy(&attr);
    GY_TRY(start(s, err));
    *ret = s; /* before the first request: its handler may ask for the server */
    gy_status status = start_acceptor(s, err);
    if (status != GY_OK) {
        *ret = NULL;
        return status;
    }
    (void)GY_TAKE(s);
    return GY_OK;
}

int gy_server_port(const struct gy_server *s)
{
    return s->port;
}

int gy_server_inference_port(const struct gy_server *s)
{
    return s->inference_port;
}

int gy_server_loops(const struct gy_server *s)
{
    return s->n_loops;
}

bool gy_server_has_tls(const struct gy_server *s)
{
    return s->tls != NULL;
}

bool gy_server_draining(const struct gy_server *s)
{
    return atomic_load(&s->draining);
}

/* ---- stop ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static void stop_accepting(struct gy_server *s)
{
    if (s->acceptor_runs) {
        (void)!write(s->wake_fds[1], "", 1); /* an empty pipe takes a byte */
        (void)pthread_join(s->acceptor, NULL);
        s->acceptor_runs = false;
    }
    close_fd(&s->listen_fd);
    close_fd(&s->inference_fd);
    if (s->unix_fd >= 0) {
        (void)unlink(s->unix_path);
    }
    close_fd(&s->unix_fd);
}

static void drain_loop(void *ctx, struct gy_net_loop *l)
{
    (void)ctx;
    l->draining = true;
    for (struct gy_conn *c = l->conns, *next; c; c = next) {
        next = c->next;
        gy_conn_drain(c);
    }
}

static void close_all(void *ctx, struct gy_net_loop *l)
{
    (void)ctx;
    while (l->conns) {
        gy_conn_close(l->conns);
    }
}

void gy_server_count_down(struct gy_server *s, _Atomic int64_t *count)
{
    (void)pthread_mutex_lock(&s->lock);
    if (atomic_fetch_sub(count, 1) == 1) {
        (void)pthread_cond_broadcast(&s->emptied);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* Until count is 0; false when that took longer. */
static bool wait_zero(struct gy_server *s, _Atomic int64_t *count, int timeout_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    int failed = 0;
    (void)pthread_mutex_lock(&s->lock);
    while (atomic_load(count) > 0 && failed == 0) {
        failed = pthread_cond_timedwait(&s->emptied, &s->lock, &until);
    }
    bool zero = atomic_load(count) == 0;
    (void)pthread_mutex_unlock(&s->lock);
    return zero;
}

bool gy_server_stop(struct gy_server *s)
{
    if (atomic_exchange(&s->draining, true)) {
        return !s->abandoned; /* stopped already, or by another thread just now */
    }
    if (s->o.drain_delay_ms > 0 && s->acceptor_runs) {
        struct timespec delay = {s->o.drain_delay_ms / 1000, s->o.drain_delay_ms % 1000 * 1000000L};
        (void)nanosleep(&delay, NULL);
    }
    bool served = s->acceptor_runs;
    stop_accepting(s);
    if (served) {
        on_all_loops(s, drain_loop, NULL);
        if (!wait_zero(s, &s->n_open, s->o.drain_timeout_ms)) {
            on_all_loops(s, close_all, NULL);
            (void)wait_zero(s, &s->n_open, 5000); /* closing needs one turn of each loop */
        }
        s->abandoned = !wait_zero(s, &s->n_running, s->o.handler_grace_ms);
    }
    atomic_store(&s->stopped, true);
    if (s->abandoned) {
        return false;
    }
    gy_pool_free(s->workers);
    gy_pool_free(s->infer);
    gy_pool_free(s->waiting);
    s->workers = s->infer = s->waiting = NULL;
    while (!wait_zero(s, &s->n_on_loops, 1000)) { /* the loops still turn, so it ends */
    }
    for (int i = 0; i < s->n_loops; i++) {
        gy_net_loop_done(&s->loops[i]);
    }
    return true;
}

void gy_server_free(struct gy_server *s)
{
    if (!s) {
        return;
    }
    if (!gy_server_stop(s)) {
        return;
    }
    close_fd(&s->spare_fd);
    close_fd(&s->wake_fds[0]);
    close_fd(&s->wake_fds[1]);
    (void)pthread_cond_destroy(&s->emptied);
    (void)pthread_mutex_destroy(&s->lock);
    gy_tls_ctx_free(s->tls);
    gy_free(s->loops);
    gy_free(s->allowed_hosts);
    gy_free(s->cors);
    gy_free(s);
}

/* ---- counters ---- */

void gy_server_get_stats(struct gy_server *s, struct gy_server_stats *ret)
{
    *ret = (struct gy_server_stats){.accepted = atomic_load(&s->n_accepted),
                                    .refused = atomic_load(&s->n_turned_away),
                                    .open_connections = atomic_load(&s->n_open)};
    for (int i = 0; i < s->n_loops; i++) {
        struct gy_loop_stats *l = &s->loops[i].stats;
        ret->closed += atomic_load(&l->closed);
        ret->refused += atomic_load(&l->refused);
        ret->requests += atomic_load(&l->requests);
        ret->parse_errors += atomic_load(&l->parse_errors);
        ret->timeouts += atomic_load(&l->timeouts);
        ret->bytes_in += atomic_load(&l->bytes_in);
        ret->bytes_out += atomic_load(&l->bytes_out);
        ret->in_flight += atomic_load(&l->in_flight);
        for (int k = 0; k < 6; k++) {
            ret->by_class[k] += atomic_load(&l->by_class[k]);
        }
        int64_t lag = atomic_exchange(&l->lag_us_max, 0);
        ret->loop_lag_us_max = lag > ret->loop_lag_us_max ? lag : ret->loop_lag_us_max;
    }
    if (!atomic_load(&s->stopped)) {
        ret->queued = (int64_t)gy_pool_queued(s->workers);
        ret->queued += s->infer ? (int64_t)gy_pool_queued(s->infer) : 0;
        ret->queued += s->waiting ? (int64_t)gy_pool_queued(s->waiting) : 0;
    }
}
