/* SPDX-License-Identifier: Apache-2.0 */
/* Turns of long bodies, of HTTP/1.1 and of HTTP/2: how many may be under way, and who waits. */
#include "net/server_internal.h"

void gy_upload_give(struct gy_server *s, enum gy_upload kind)
{
    (void)atomic_fetch_sub(&s->n_uploads[kind], 1);
    for (int i = 0; i < s->n_loops && atomic_load(&s->n_upload_waits) > 0; i++) {
        (void)uv_async_send(&s->loops[i].wake); /* can not fail on a handle that lives */
    }
}

bool gy_upload_take(struct gy_server *s, enum gy_upload kind)
{
    int n = atomic_load(&s->n_uploads[kind]);
    bool taken = false;
    while (n < s->max_uploads[kind] && !taken) {
        taken = atomic_compare_exchange_weak(&s->n_uploads[kind], &n, n + 1);
    }
    return taken;
}

void gy_conn_wait_for_upload(struct gy_conn *c)
{
    c->upload_wait_ms = uv_now(&c->loop->uv);
    c->loop->n_upload_waits++;
    (void)atomic_fetch_add(&c->loop->server->n_upload_waits, 1);
}

void gy_conn_wait_no_more(struct gy_conn *c)
{
    if (c->upload_wait_ms) {
        c->upload_wait_ms = 0;
        c->loop->n_upload_waits--;
        (void)atomic_fetch_sub(&c->loop->server->n_upload_waits, 1);
    }
}
