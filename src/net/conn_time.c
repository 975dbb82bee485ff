/* SPDX-License-Identifier: Apache-2.0 */
/* What time does to a connection: timeouts of heads, bodies and answers, and draining. */
#include <sys/socket.h>

#include "net/file_out.h"
#include "net/h2.h"
#include "net/server_internal.h"

static bool body_too_slow(struct gy_conn *c, uint64_t now_ms)
{
    const struct gy_server_options *o = &c->loop->server->o;
    uint64_t window = (uint64_t)o->body_window_ms;
    if (!c->reading || now_ms - c->window_ms < window) {
        return false;
    }
    bool slow = c->window_bytes * 1000 < window * (uint64_t)o->body_min_bytes_s;
    c->window_ms = now_ms;
    c->window_bytes = 0;
    return slow;
}

/* A client that takes less of its answer than the body rate asks for, over the idle time. A whole
 * buffer taken starts anew, so that one byte now and then does not hold a worker for ever. */
static bool write_stalled(struct gy_conn *c, uint64_t now_ms)
{
    const struct gy_server_options *o = &c->loop->server->o;
    uint64_t window = (uint64_t)o->idle_timeout_ms;
    if (!c->writing || now_ms - c->write_ms <= window) {
        return false;
    }
    uint64_t left = uv_stream_get_write_queue_size(&c->uv.stream), before = c->write_left;
    c->write_left = left;
    c->write_ms = now_ms;
    return (before - left) * 1000 < window * (uint64_t)o->body_min_bytes_s;
}

void gy_conn_tick(struct gy_conn *c, uint64_t now_ms)
{
    const struct gy_server_options *o = &c->loop->server->o;
    uint64_t age = now_ms > c->since_ms ? now_ms - c->since_ms : 0;
    _Atomic uint64_t *timeouts = &c->loop->stats.timeouts;
    if (write_stalled(c, now_ms) || gy_file_out_stalled(c, now_ms, (uint64_t)o->idle_timeout_ms,
                                                        (uint64_t)o->body_min_bytes_s)) {
        gy_stat_add(timeouts, 1);
        gy_conn_close(c);
        return;
    }
    switch (c->state) {
    case GY_CONN_IDLE:
        if (age > (uint64_t)(c->used ? o->idle_timeout_ms : o->header_timeout_ms)) {
            gy_conn_close(c);
        }
        break;
    case GY_CONN_HEAD:
        if (age > (uint64_t)o->header_timeout_ms) {
            gy_stat_add(timeouts, 1);
            gy_conn_refuse(c, 408, "the head of the request took too long");
        }
        break;
    case GY_CONN_COLLECT:
        if (body_too_slow(c, now_ms)) {
            gy_stat_add(timeouts, 1);
            gy_conn_refuse(c, 408, "the body comes too slowly");
        } else if (c->upload_wait_ms && now_ms - c->upload_wait_ms > (uint64_t)o->idle_timeout_ms) {
            gy_stat_add(&c->loop->stats.refused, 1);
            gy_conn_refuse_as_route(c, GY_E_BUSY, "too many uploads at a time");
        }
        break;
    case GY_CONN_STREAM:
        if (body_too_slow(c, now_ms)) {
            gy_stat_add(timeouts, 1);
            gy_exchange_end_in(c->ex, GY_E_TIMEOUT, "the body comes too slowly");
            c->stop = c->close_after = true;
            gy_conn_enter(c, GY_CONN_WORK);
        }
        break;
    case GY_CONN_LINGER:
        if (age > GY_NET_LINGER_MS) {
            gy_conn_close(c);
        }
        break;
    case GY_CONN_H2:
        gy_h2_tick(c, now_ms);
        break;
    case GY_CONN_WORK:
    case GY_CONN_WRITE:
    case GY_CONN_CLOSED:
        break;
    }
}

void gy_conn_drain(struct gy_conn *c)
{
    uv_os_fd_t fd;
    char byte;
    if (c->state == GY_CONN_H2) {
        gy_h2_drain(c);
        return;
    }
    if (c->state != GY_CONN_IDLE) {
        return; /* answered first; then draining closes it */
    }
    /* A request that has arrived but was not read yet is accepted work. */
    if (uv_fileno(&c->uv.handle, &fd) == 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
        return;
    }
    gy_conn_close(c);
}
