/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/history.h"

#include <string.h>

gy_status gy_history_add(struct gy_history *h, const struct gy_epoch *e, struct gy_err *err)
{
    if (h->n == h->room) {
        size_t room = h->room ? 2 * h->room : 64;
        struct gy_epoch *more = gy_reallocarray(h->epochs, room, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "the losses of %zu epochs", room);
        }
        h->epochs = more;
        h->room = room;
    }
    h->epochs[h->n++] = *e;
    return GY_OK;
}

void gy_history_done(struct gy_history *h)
{
    if (h) {
        gy_free(h->epochs);
        memset(h, 0, sizeof *h);
    }
}
