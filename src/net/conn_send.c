/* SPDX-License-Identifier: Apache-2.0 */
/* How bytes leave a connection: in the clear or sealed by TLS, at once as far as the socket takes
 * them, the rest by and by. What they say is conn.c's business. Loop thread. */
#include "net/server_internal.h"

static void on_written(uv_write_t *req, int status)
{
    struct gy_conn *c = req->data;
    c->writing = false;
    gy_buf_reset(&c->out);
    if (c->state == GY_CONN_CLOSED) {
        return;
    }
    if (status < 0) {
        gy_conn_close(c);
        return;
    }
    if (gy_conn_flush(c) && !c->writing) { /* else gone, or on_written comes again */
        gy_conn_written(c);
    }
}

/* Send what is in c->out from `at` on by and by. */
static void write_later(struct gy_conn *c, size_t at)
{
    uv_buf_t rest = uv_buf_init(c->out.p + at, (unsigned)(c->out.n - at));
    c->write_req.data = c;
    c->write_ms = uv_now(&c->loop->uv);
    c->write_left = rest.len;
    c->writing = uv_write(&c->write_req, &c->uv.stream, &rest, 1, on_written) == 0;
    if (!c->writing) {
        gy_conn_close(c);
    }
}

/* Send bytes now as far as the socket takes them, the rest later. False: the connection is gone. */
static bool send_plain(struct gy_conn *c, const uv_buf_t *bufs, unsigned n_bufs)
{
    int sent = uv_try_write(&c->uv.stream, bufs, n_bufs);
    if (sent < 0 && sent != UV_EAGAIN) {
        gy_conn_close(c);
        return false;
    }
    size_t skip = sent > 0 ? (size_t)sent : 0, total = 0;
    for (unsigned i = 0; i < n_bufs; i++) {
        total += bufs[i].len;
    }
    gy_stat_add(&c->loop->stats.bytes_out, total);
    if (skip == total) {
        return true;
    }
    if (bufs[0].base == c->out.p) {
        write_later(c, skip);
        return c->state != GY_CONN_CLOSED;
    }
    for (unsigned i = 0; i < n_bufs; i++) {
        size_t gone = skip < bufs[i].len ? skip : bufs[i].len;
        gy_buf_add_bytes(&c->out, bufs[i].base + gone, bufs[i].len - gone);
        skip -= gone;
    }
    if (c->out.failed != GY_OK) {
        gy_conn_close(c);
        return false;
    }
    write_later(c, 0);
    return c->state != GY_CONN_CLOSED;
}

bool gy_conn_flush(struct gy_conn *c)
{
    if (!c->tls || c->writing || !gy_tls_has_output(c->tls)) {
        return true;
    }
    gy_buf_reset(&c->out);
    gy_tls_take(c->tls, &c->out);
    if (c->out.failed != GY_OK) {
        gy_conn_close(c);
        return false;
    }
    uv_buf_t buf = uv_buf_init(c->out.p, (unsigned)c->out.n);
    return send_plain(c, &buf, 1);
}

static bool send_tls(struct gy_conn *c, const uv_buf_t *bufs, unsigned n_bufs)
{
    for (unsigned i = 0; i < n_bufs; i++) {
        if (gy_tls_seal(c->tls, bufs[i].base, bufs[i].len, NULL) != GY_OK) {
            gy_conn_close(c);
            return false;
        }
    }
    return gy_conn_flush(c);
}

bool gy_conn_send(struct gy_conn *c, const uv_buf_t *bufs, unsigned n_bufs)
{
    return c->tls ? send_tls(c, bufs, n_bufs) : send_plain(c, bufs, n_bufs);
}
