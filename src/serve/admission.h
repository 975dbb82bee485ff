/* SPDX-License-Identifier: Apache-2.0 */
/* gy_admission: is a prediction begun at all? On the loop before it is read (the caller's rate),
 * before it is queued for a worker (would it begin before its deadline?), and when a worker has it
 * (the deadline, how many the caller has there already). limits.h says what the limits are. Any
 * thread; nothing blocks. */
#ifndef GY_SERVE_ADMISSION_H
#define GY_SERVE_ADMISSION_H

#include "serve/endpoint.h"
#include "net/server.h"

struct gy_admission {
    struct gy_limiter *limiter;
    _Atomic uint64_t work_ns; /* mean time of a queued request with a worker, smoothed */
};
GY_CHECKED gy_status gy_admission_init(struct gy_admission *a, struct gy_err *err);
void gy_admission_done(struct gy_admission *a);

/* Fails: LIMITED, with Retry-After among the reply's headers. */
GY_CHECKED gy_status gy_admit_rate(struct gy_admission *a, const struct gy_endpoint *e,
                                   const struct gy_request *req, struct gy_fast_reply *out,
                                   struct gy_err *err);
/* `ahead` requests wait for n_workers. Fails: BUSY (it would not begin in time) with Retry-After,
 * INVALID (the client's deadline is no time). */
GY_CHECKED gy_status gy_admit_queue(const struct gy_admission *a, const struct gy_endpoint *e,
                                    const struct gy_request *req, size_t ahead, int n_workers,
                                    struct gy_fast_reply *out, struct gy_err *err);
/* When the client wants no answer any more (gy_mono_ns; 0: it did not say). Fails: INVALID. */
GY_CHECKED gy_status gy_admit_deadline(const struct gy_request *req, int64_t *ret_ns,
                                       struct gy_err *err);
/* A worker begins. Fails: TIMEOUT (it waited too long), LIMITED (the caller has too many there).
 * After GY_OK gy_admit_end is called with *ret_place. */
GY_CHECKED gy_status gy_admit_begin(struct gy_admission *a, const struct gy_endpoint *e,
                                    const struct gy_request *req, struct gy_fast_reply *out,
                                    size_t *ret_place, struct gy_err *err);
/* busy_ns 0: it was none of the queue's, and does not count for its mean. */
void gy_admit_end(struct gy_admission *a, size_t place, int64_t busy_ns);

#endif
