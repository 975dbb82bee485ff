/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/signal.h"

#include <stdio.h>

void gy_signals_init(struct gy_signals *s)
{
    (void)pthread_mutex_init(&s->mu, NULL); /* can not fail on Linux */
    s->first = 0;
    s->n = 0;
}

void gy_signals_done(struct gy_signals *s)
{
    (void)pthread_mutex_destroy(&s->mu);
}

bool gy_signals_put(struct gy_signals *s, struct gy_str endpoint, struct gy_str version,
                    enum gy_signal_kind kind, double value, struct gy_str reason)
{
    struct gy_signal one = {.kind = kind, .value = value};
    if (endpoint.n >= sizeof one.endpoint || version.n >= sizeof one.version) {
        return false;
    }
    memcpy(one.endpoint, endpoint.p, endpoint.n);
    memcpy(one.version, version.p, version.n);
    reason = gy_str_head(reason, sizeof one.reason - 1);
    if (reason.n) {
        memcpy(one.reason, reason.p, reason.n);
    }
    (void)pthread_mutex_lock(&s->mu);
    if (s->n == GY_SIGNALS_MAX) {
        s->first = (s->first + 1) % GY_SIGNALS_MAX;
        s->n--;
    }
    s->ring[(s->first + s->n) % GY_SIGNALS_MAX] = one;
    s->n++;
    (void)pthread_mutex_unlock(&s->mu);
    return true;
}

bool gy_signals_take(struct gy_signals *s, struct gy_signal *ret)
{
    (void)pthread_mutex_lock(&s->mu);
    bool there = s->n > 0;
    if (there) {
        *ret = s->ring[s->first];
        s->first = (s->first + 1) % GY_SIGNALS_MAX;
        s->n--;
    }
    (void)pthread_mutex_unlock(&s->mu);
    return there;
}
