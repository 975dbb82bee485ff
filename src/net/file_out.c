/* SPDX-License-Identifier: Apache-2.0 */
#include "net/file_out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/mem.h"

/* The poll handle lives until its close callback, and the socket's copy with it. */
struct gy_file_wait {
    uv_poll_t poll;
    struct gy_exchange *ex;
};

/* ---- jobs, on the worker pool ---- */

static bool is_gone(struct gy_exchange *ex)
{
    (void)pthread_mutex_lock(&ex->lock);
    bool gone = ex->gone;
    (void)pthread_mutex_unlock(&ex->lock);
    return gone;
}

static bool has_room_soon(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, GY_FILE_PATIENCE_MS) != 0; /* an error shows with the next sendfile */
}

/* *ret_state: what there is to do next. False: the answer breaks off. */
static bool send_slice(struct gy_exchange *ex, enum gy_file_state *ret_state, int64_t *ret_sent)
{
    int64_t begin = ex->file_at;
    bool ok = true;
    *ret_state = GY_FILE_READY;
    while (ex->file_at < ex->file_end && ex->file_at - begin < GY_FILE_SLICE) {
        int64_t left = ex->file_end - ex->file_at;
        off_t at = (off_t)ex->file_at;
        ssize_t n = sendfile(ex->socket_fd, ex->file_fd, &at,
                             left < GY_FILE_STEP ? (size_t)left : GY_FILE_STEP);
        if (n > 0) {
            ex->file_at += n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN && !is_gone(ex)) {
            if (!has_room_soon(ex->socket_fd)) {
                *ret_state = GY_FILE_BLOCKED;
                break;
            }
        } else { /* the client left, or the file is shorter than it was */
            ok = false;
            break;
        }
    }
    *ret_sent = ex->file_at - begin;
    if (ex->file_at == ex->file_end) {
        *ret_state = GY_FILE_SENT;
    }
    return ok;
}

static void run_job(void *exchange)
{
    struct gy_exchange *ex = exchange;
    struct gy_server *s = ex->loop->server;
    enum gy_file_state state;
    int64_t sent;
    bool ok = send_slice(ex, &state, &sent);
    (void)pthread_mutex_lock(&ex->lock);
    ex->file = state;
    ex->file_sent += sent;
    ex->body_bytes += sent;
    ex->broken = ex->broken || !ok;
    (void)pthread_mutex_unlock(&ex->lock);
    gy_exchange_post(ex);
    gy_exchange_unref(ex);
    gy_server_count_down(s, &s->n_running);
}

/* ---- the loop ---- */

static int64_t sent_so_far(struct gy_exchange *ex)
{
    (void)pthread_mutex_lock(&ex->lock);
    int64_t sent = ex->file_sent;
    (void)pthread_mutex_unlock(&ex->lock);
    return sent;
}

static void set_ready(struct gy_exchange *ex)
{
    (void)pthread_mutex_lock(&ex->lock);
    ex->file = GY_FILE_READY;
    (void)pthread_mutex_unlock(&ex->lock);
}

static bool copy_socket(struct gy_conn *c)
{
    uv_os_fd_t fd;
    if (c->ex->socket_fd < 0 && uv_fileno(&c->uv.handle, &fd) == 0) {
        c->ex->socket_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        c->file_ms = uv_now(&c->loop->uv);
        c->file_seen = 0;
    }
    return c->ex->socket_fd >= 0;
}

void gy_file_out_start(struct gy_conn *c)
{
    struct gy_exchange *ex = c->ex;
    struct gy_server *s = c->loop->server;
    c->file_retry = false;
    if (!copy_socket(c)) {
        gy_conn_close(c); /* no descriptor left */
        return;
    }
    gy_exchange_ref(ex); /* the job's */
    atomic_fetch_add(&s->n_running, 1);
    if (!s->workers) { /* no pools: the fuzzer, which wants one thread */
        run_job(ex);
    } else if (gy_pool_run(s->workers, run_job, ex, NULL) != GY_OK) {
        gy_exchange_unref(ex);
        gy_server_count_down(s, &s->n_running);
        set_ready(ex);
        c->file_retry = true;
    }
}

static void on_wait_closed(uv_handle_t *handle)
{
    struct gy_file_wait *w = handle->data;
    gy_exchange_unref(w->ex);
    gy_free(w);
}

static void on_room(uv_poll_t *poll, int status, int events)
{
    struct gy_file_wait *w = poll->data;
    struct gy_conn *c = w->ex->conn;
    (void)events;
    (void)uv_poll_stop(poll); /* always 0 */
    if (!c) {
        return; /* closing */
    }
    if (status < 0) {
        gy_conn_close(c);
        return;
    }
    set_ready(w->ex);
    gy_conn_news(c);
}

static struct gy_file_wait *new_wait(struct gy_conn *c)
{
    struct gy_file_wait *w = gy_calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    if (uv_poll_init_socket(&c->loop->uv, &w->poll, c->ex->socket_fd) != 0) {
        gy_free(w);
        return NULL;
    }
    w->poll.data = w;
    w->ex = c->ex;
    gy_exchange_ref(w->ex);
    return w;
}

void gy_file_out_wait(struct gy_conn *c)
{
    if (!c->file_wait) {
        c->file_wait = new_wait(c);
    }
    if (!c->file_wait || uv_poll_start(&c->file_wait->poll, UV_WRITABLE, on_room) != 0) {
        gy_conn_close(c);
    }
}

bool gy_file_out_stalled(struct gy_conn *c, uint64_t now_ms, uint64_t window_ms,
                         uint64_t min_bytes_s)
{
    if (c->file_retry) {
        gy_conn_news(c);
        return false;
    }
    if (!c->ex || c->ex->socket_fd < 0 || !c->file_wait ||
        !uv_is_active((const uv_handle_t *)&c->file_wait->poll) ||
        now_ms - c->file_ms <= window_ms) {
        return false;
    }
    uint64_t sent = (uint64_t)sent_so_far(c->ex), before = c->file_seen;
    c->file_seen = sent;
    c->file_ms = now_ms;
    return (sent - before) * 1000 < window_ms * min_bytes_s;
}

void gy_file_out_drop(struct gy_conn *c)
{
    c->file_retry = false;
    if (c->ex && c->ex->socket_fd >= 0) {
        gy_stat_add(&c->loop->stats.bytes_out, (uint64_t)sent_so_far(c->ex));
    }
    if (c->file_wait) {
        uv_close((uv_handle_t *)&c->file_wait->poll, on_wait_closed);
        c->file_wait = NULL;
    }
}
