/* SPDX-License-Identifier: Apache-2.0 */
#include "net/server_internal.h"

#include <signal.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/time.h"

const char *gy_net_loop_date(struct gy_net_loop *l)
{
    uint64_t now_s = uv_now(&l->uv) / 1000;
    if (l->date_s != now_s || l->date_n == 0) {
        l->date_s = now_s;
        l->date_n = gy_time_http(gy_now_us(), l->date);
    }
    return l->date;
}

/* ---- the inbox ---- */

static void announce(struct gy_net_loop *l)
{
    (void)uv_async_send(&l->wake); /* can not fail on a handle that lives */
}

void gy_net_loop_give(struct gy_net_loop *l, struct gy_accepted *a)
{
    a->next = NULL;
    (void)pthread_mutex_lock(&l->lock);
    *l->accepted_end = a;
    l->accepted_end = &a->next;
    (void)pthread_mutex_unlock(&l->lock);
    announce(l);
}

void gy_net_loop_task(struct gy_net_loop *l, struct gy_loop_task *t)
{
    t->next = NULL;
    (void)pthread_mutex_lock(&l->lock);
    *l->tasks_end = t;
    l->tasks_end = &t->next;
    (void)pthread_mutex_unlock(&l->lock);
    announce(l);
}

static void run_posted(struct gy_net_loop *l, struct gy_exchange *ex)
{
    while (ex) {
        (void)pthread_mutex_lock(&l->lock);
        struct gy_exchange *next = ex->next; /* once posted is false, ex may be linked anew */
        ex->posted = false;
        (void)pthread_mutex_unlock(&l->lock);
        if (ex->conn) {
            gy_conn_news(ex->conn);
        }
        gy_exchange_unref(ex);
        ex = next;
    }
}

void gy_net_loop_inbox(struct gy_net_loop *l)
{
    (void)pthread_mutex_lock(&l->lock);
    struct gy_accepted *accepted = l->accepted;
    struct gy_exchange *posted = l->posted;
    struct gy_loop_task *tasks = l->tasks;
    l->accepted = NULL;
    l->accepted_end = &l->accepted;
    l->posted = NULL;
    l->posted_end = &l->posted;
    l->tasks = NULL;
    l->tasks_end = &l->tasks;
    (void)pthread_mutex_unlock(&l->lock);
    for (struct gy_accepted *next; accepted; accepted = next) {
        next = accepted->next;
        gy_conn_open(l, accepted);
        gy_free(accepted);
    }
    run_posted(l, posted);
    if (l->n_upload_waits) {
        gy_conn_retry_uploads(l);
    }
    for (struct gy_loop_task *next; tasks; tasks = next) {
        next = tasks->next; /* its owner may free it once it has run */
        tasks->fn(tasks->ctx, l);
    }
}

static void on_wake(uv_async_t *wake)
{
    gy_net_loop_inbox(wake->data);
}

static void on_tick(uv_timer_t *tick)
{
    struct gy_net_loop *l = tick->data;
    uint64_t now_ns = uv_hrtime(), now_ms = uv_now(&l->uv);
    int64_t lag_us =
        l->tick_due_ns && now_ns > l->tick_due_ns ? (int64_t)(now_ns - l->tick_due_ns) / 1000 : 0;
    l->tick_due_ns = now_ns + l->tick_ms * 1000000;
    if (lag_us > atomic_load_explicit(&l->stats.lag_us_max, memory_order_relaxed)) {
        atomic_store_explicit(&l->stats.lag_us_max, lag_us, memory_order_relaxed);
    }
    for (struct gy_conn *c = l->conns, *next; c; c = next) {
        next = c->next; /* a connection only ever closes itself */
        gy_conn_tick(c, now_ms);
    }
}

/* ---- life ---- */

static int least(int a, int b)
{
    return a < b ? a : b;
}

static uint64_t tick_of(const struct gy_server_options *o)
{
    int shortest = least(least(o->header_timeout_ms, o->idle_timeout_ms),
                         least(o->body_window_ms, GY_NET_LINGER_MS));
    int tick = shortest / 4;
    return (uint64_t)(tick < 5 ? 5 : least(tick, 500));
}

gy_status gy_net_loop_init(struct gy_net_loop *l, struct gy_server *s, int index,
                           struct gy_err *err)
{
    memset(l, 0, sizeof *l);
    l->server = s;
    l->index = index;
    l->accepted_end = &l->accepted;
    l->posted_end = &l->posted;
    l->tasks_end = &l->tasks;
    l->fast_reply.body = &l->fast_body;
    l->tick_ms = tick_of(&s->o);
    gy_buf_init(&l->fast_body, GY_MAX_REPLY);
    gy_buf_init(&l->fast_head, GY_MIB + GY_NET_ONE_WRITE_BYTES);
    gy_arena_init(&l->arena, GY_MAX_REQUEST_ARENA);
    GY_TRY(gy_uuid_gen_init(&l->ids, err));
    l->read_bytes = gy_malloc(GY_NET_READ_BYTES);
    l->plain_bytes = s->tls ? gy_malloc(GY_TLS_PLAIN_MAX(GY_NET_READ_BYTES)) : NULL;
    if (!l->read_bytes || (s->tls && !l->plain_bytes)) {
        gy_free(l->read_bytes);
        gy_free(l->plain_bytes);
        return gy_err_set(err, GY_E_NOMEM, "starting a network loop");
    }
    int failed = uv_loop_init(&l->uv);
    if (failed) {
        gy_free(l->read_bytes);
        gy_free(l->plain_bytes);
        return gy_err_set(err, GY_E_FAILED, "starting a network loop: %s", uv_strerror(failed));
    }
    (void)pthread_mutex_init(&l->lock, NULL);
    failed = uv_async_init(&l->uv, &l->wake, on_wake);
    if (failed) {
        (void)uv_loop_close(&l->uv);
        (void)pthread_mutex_destroy(&l->lock);
        gy_free(l->read_bytes);
        gy_free(l->plain_bytes);
        return gy_err_set(err, GY_E_FAILED, "starting a network loop: %s", uv_strerror(failed));
    }
    (void)uv_timer_init(&l->uv, &l->tick); /* these two can not fail */
    (void)uv_timer_start(&l->tick, on_tick, l->tick_ms, l->tick_ms);
    l->wake.data = l->tick.data = l;
    return GY_OK;
}

static void *loop_thread(void *arg)
{
    struct gy_net_loop *l = arg;
    const struct gy_server_options *o = &l->server->o;
    char name[16];
    (void)snprintf(name, sizeof name, "net%d", l->index);
    (void)pthread_setname_np(pthread_self(), name);
    if (o->fast && o->fast->loop_start) {
        o->fast->loop_start(o->fast_self, l->index);
    }
    (void)uv_run(&l->uv, UV_RUN_DEFAULT); /* until the last handle is closed */
    if (o->fast && o->fast->loop_stop) {
        o->fast->loop_stop(o->fast_self, l->index);
    }
    return NULL;
}

gy_status gy_net_loop_start(struct gy_net_loop *l, struct gy_err *err)
{
    sigset_t all, old;
    (void)sigfillset(&all); /* SIGPIPE too: a write to a closed socket must only fail */
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&l->thread, NULL, loop_thread, l);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        return gy_err_set(err, GY_E_FAILED, "no thread for a network loop: %s", strerror(failed));
    }
    l->running = true;
    return GY_OK;
}

static void end_loop(void *ctx, struct gy_net_loop *l)
{
    (void)ctx;
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->tick, NULL);
}

void gy_net_loop_done(struct gy_net_loop *l)
{
    struct gy_loop_task end = {NULL, end_loop, NULL};
    gy_net_loop_task(l, &end);
    if (l->running) {
        (void)pthread_join(l->thread, NULL);
        l->running = false;
    } else {
        (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    }
    gy_net_loop_inbox(l); /* references that were posted to the end */
    GY_REQUIRE(uv_loop_close(&l->uv) == 0);
    gy_conn_free_spare(l);
    (void)pthread_mutex_destroy(&l->lock);
    gy_buf_done(&l->fast_body);
    gy_buf_done(&l->fast_head);
    gy_arena_done(&l->arena);
    gy_free(l->read_bytes);
    gy_free(l->plain_bytes);
}
