/* SPDX-License-Identifier: Apache-2.0 */
/* gy_limits: how much may be asked of an endpoint, as its `limits` section says it:
 *
 *   limits: {rate: 100, burst: 200, concurrent: 8, by: caller, deadline_ms: 250}
 *
 * `rate` requests a second, of which up to `burst` may come at once; `concurrent` requests with
 * workers at a time (those that a loop answers by itself are over before the next one is read);
 * both are counted for each caller (a login, else an address) or for the endpoint as a whole. Past
 * them: 429 with Retry-After. A request that can not be begun before its deadline is refused while
 * it costs nothing: 503 when the queue says so beforehand, 504 when it turned out so. A client may
 * name a shorter deadline (GY_DEADLINE_HEADER, net/deadline.h).
 *
 * gy_limiter counts. Rates by GCRA (ITU-T I.371, the virtual scheduling algorithm): one number a
 * key, the theoretical time of the next arrival, moved by compare-and-swap; no lock. The table has
 * a fixed size; a key that has not asked for as long as its burst lasts is forgotten first. Where
 * more keys than places are active at a time, some share one: they may be held to less than their
 * due, never to more together. */
#ifndef GY_SERVE_LIMITS_H
#define GY_SERVE_LIMITS_H

#include "base/json.h"

#define GY_LIMITS_MAX_RATE 1e6
#define GY_LIMITS_MAX_BURST 1e6
#define GY_LIMITS_MAX_CONCURRENT 10000
#define GY_LIMITS_MAX_DEADLINE_MS 600000
#define GY_LIMITER_KEYS 8192 /* counted at a time */

struct gy_limits {
    double rate, burst;  /* rate 0: any */
    int64_t concurrent;  /* 0: any */
    int64_t deadline_ns; /* 0: none */
    bool by_endpoint;    /* else each caller has its own */
};
/* NULL: none. Fails: INVALID (unknown key, value out of range). */
GY_CHECKED gy_status gy_limits_read(yyjson_val *object, struct gy_limits *ret, struct gy_err *err);
/* "250ms" or "2s" as nanoseconds. Fails: INVALID. */
GY_CHECKED gy_status gy_limits_timeout(struct gy_str text, int64_t *ret_ns, struct gy_err *err);

struct gy_limiter;
GY_CHECKED gy_status gy_limiter_new(struct gy_limiter **ret, struct gy_err *err);
void gy_limiter_free(struct gy_limiter *l);
GY_DEFINE_AUTO(struct gy_limiter *, gy_limiter_free);

/* What is counted together. */
uint64_t gy_limiter_key(const struct gy_limits *limits, struct gy_str endpoint,
                        struct gy_str caller);
/* May one more come now? false: in *ret_wait_ns at the earliest. Any thread; never blocks. */
bool gy_limiter_take(struct gy_limiter *l, const struct gy_limits *limits, uint64_t key,
                     int64_t now_ns, int64_t *ret_wait_ns);
/* One more with a worker: false when there are as many as there may be. What entered leaves with
 * the *ret_place it got. */
bool gy_limiter_enter(struct gy_limiter *l, const struct gy_limits *limits, uint64_t key,
                      size_t *ret_place);
void gy_limiter_leave(struct gy_limiter *l, size_t place);

#endif
