/* SPDX-License-Identifier: Apache-2.0 */
/* gy_lane: the way to a model that is not asked on an event loop: one that blocks (learn/runtime/:
 * remote, python), or whose requests are joined (dynamic batching). It bounds how many calls are
 * under way at a time and how many requests wait for their turn, so that a slow upstream never
 * takes all threads, and answers each before its deadline or says why not.
 *
 * Batching: a request waits up to max_delay_us for others; their rows go to the model in one call
 * of at most max_rows, and each caller gets the answers to its own. While all calls are under way
 * requests gather without a delay of their own. There is no thread for it: the first of a batch
 * asks for all. When a call of several requests is refused (INVALID, NETWORK), each is asked for
 * alone, so that one bad request fails no other. A caller whose deadline passes leaves, and its
 * rows are not asked for if they were not yet; the others get their answers all the same. Who
 * asks for a batch is not in a hurry, if any of it is not. Thread safe. */
#ifndef GY_SERVE_LANE_H
#define GY_SERVE_LANE_H

#include "base/json.h"
#include "learn/predictor.h"

#define GY_LANE_MAX_CONCURRENT 64
/* Calls and waiting requests together: half of the threads that the server has for them. */
#define GY_LANE_MAX_INSIDE 64
#define GY_LANE_MAX_ROWS 65536
#define GY_LANE_MAX_DELAY_US 1000000
#define GY_LANE_MAX_TIMEOUT_MS 600000
#define GY_LANE_PAYS_NS 20000 /* a row that takes less is not worth to wait for others */

struct gy_lane;

struct gy_lane_options {
    int64_t timeout_ms;    /* of a request, waiting included; 0: as the package says, else 10 s */
    int64_t max_delay_us;  /* batching: how long the first waits for others */
    size_t max_concurrent; /* calls at a time; 0: 8 */
    size_t max_waiting;    /* requests beside them; 0: up to GY_LANE_MAX_INSIDE together */
    size_t max_rows;       /* batching: rows a call; 0: none */
};
/* From an endpoint's settings `runtime` {timeout_ms, max_concurrent, max_waiting} and `batching`
 * {max_rows, max_delay_us}; each MAY be NULL. Fails: INVALID naming the setting. */
GY_CHECKED gy_status gy_lane_read(yyjson_val *runtime, yyjson_val *batching,
                                  struct gy_lane_options *ret, struct gy_err *err);

struct gy_lane_stats { /* since it was made; running and inside: now */
    uint64_t calls, rows, joined, refused, timed_out;
    size_t running, inside; /* joined: requests that shared a call with others */
};

/* p lives longer. Fails: NOMEM. */
GY_CHECKED gy_status gy_lane_new(const struct gy_predictor *p, const struct gy_lane_options *o,
                                 struct gy_lane **ret, struct gy_err *err);
void gy_lane_free(struct gy_lane *l); /* nobody is inside; NULL allowed */
void gy_lane_get_stats(struct gy_lane *l, struct gy_lane_stats *ret);

/* As gy_predictor_try_run; blocks. deadline_ns (gy_mono_ns; 0: none) is who asks's own, besides the
 * lane's. Fails: UNAVAILABLE (too many wait), TIMEOUT, and as the model does. */
GY_CHECKED gy_status gy_lane_run(struct gy_lane *l, const double *cells, size_t n_rows, double *out,
                                 int64_t deadline_ns, struct gy_err *err);

#endif
