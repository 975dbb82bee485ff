/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/admission.h"

#include <stdio.h>

#include "base/time.h"
#include "net/deadline.h"
#include "net/grpc.h"

#define SMOOTHING 16 /* a request is worth 1/16 of the mean */

gy_status gy_admission_init(struct gy_admission *a, struct gy_err *err)
{
    atomic_init(&a->work_ns, 0);
    return gy_limiter_new(&a->limiter, err);
}

void gy_admission_done(struct gy_admission *a)
{
    gy_limiter_free(a->limiter);
    a->limiter = NULL;
}

/* A login, else where it comes from: everybody without one is not one caller. */
static struct gy_str caller(const struct gy_request *req)
{
    bool named = req->actor.n > 0 && !gy_str_eqc(req->actor, "anonymous");
    return named || !req->peer_address.p ? req->actor : req->peer_address;
}

static void retry_after(struct gy_fast_reply *out, int64_t wait_ns)
{
    size_t n = strlen(out->extra_headers);
    (void)snprintf(out->extra_headers + n, sizeof out->extra_headers - n, "Retry-After: %lld\r\n",
                   (long long)(wait_ns / 1000000000 + 1));
}

gy_status gy_admit_rate(struct gy_admission *a, const struct gy_endpoint *e,
                        const struct gy_request *req, struct gy_fast_reply *out, struct gy_err *err)
{
    int64_t wait_ns = 0;
    const struct gy_limits *limits = &e->limits;
    if (limits->rate <= 0 ||
        gy_limiter_take(a->limiter, limits, gy_limiter_key(limits, e->name, caller(req)),
                        gy_mono_ns(), &wait_ns)) {
        return GY_OK;
    }
    retry_after(out, wait_ns);
    return gy_err_set(err, GY_E_LIMITED,
                      "more than %g requests a second (%g at once): try again in %.3g s",
                      limits->rate, limits->burst, (double)wait_ns / 1e9);
}

gy_status gy_admit_deadline(const struct gy_request *req, int64_t *ret_ns, struct gy_err *err)
{
    struct gy_str text = gy_req_header(req, GY_DEADLINE_HEADER);
    int64_t span_ns = INT64_MAX;
    uint64_t grpc_ms = 0;
    if (text.p) {
        GY_TRY(gy_limits_timeout(text, &span_ns, err));
    }
    if (gy_grpc_timeout(gy_req_header(req, GY_GRPC_DEADLINE_HEADER), &grpc_ms) &&
        grpc_ms <= (uint64_t)GY_GRPC_MAX_TIMEOUT_S * 1000) {
        int64_t grpc_ns = (int64_t)grpc_ms * 1000000;
        span_ns = grpc_ns < span_ns ? grpc_ns : span_ns;
    }
    *ret_ns =
        span_ns == INT64_MAX ? 0 : (req->received_ns ? req->received_ns : gy_mono_ns()) + span_ns;
    return GY_OK;
}

/* How long it may take until it begins: the shorter of what the endpoint and the client allow; 0:
 * as long as it takes. */
static gy_status deadline(const struct gy_endpoint *e, const struct gy_request *req,
                          int64_t *ret_ns, struct gy_err *err)
{
    int64_t at_ns = 0;
    GY_TRY(gy_admit_deadline(req, &at_ns, err));
    *ret_ns = e->limits.deadline_ns;
    if (at_ns) {
        int64_t of_client = at_ns - (req->received_ns ? req->received_ns : gy_mono_ns());
        of_client = of_client > 1 ? of_client : 1; /* it has passed already */
        *ret_ns = *ret_ns && *ret_ns < of_client ? *ret_ns : of_client;
    }
    return GY_OK;
}

gy_status gy_admit_queue(const struct gy_admission *a, const struct gy_endpoint *e,
                         const struct gy_request *req, size_t ahead, int n_workers,
                         struct gy_fast_reply *out, struct gy_err *err)
{
    int64_t limit_ns = 0;
    GY_TRY(deadline(e, req, &limit_ns, err));
    uint64_t work_ns = atomic_load_explicit(&a->work_ns, memory_order_relaxed);
    double wait_ns = (double)ahead * (double)work_ns / (n_workers > 0 ? n_workers : 1);
    if (!limit_ns || wait_ns <= (double)limit_ns) {
        return GY_OK;
    }
    retry_after(out, (int64_t)wait_ns);
    return gy_err_set(err, GY_E_BUSY,
                      "%zu requests wait, so this one would not begin within its %.3g s", ahead,
                      (double)limit_ns / 1e9);
}

gy_status gy_admit_begin(struct gy_admission *a, const struct gy_endpoint *e,
                         const struct gy_request *req, struct gy_fast_reply *out, size_t *ret_place,
                         struct gy_err *err)
{
    int64_t limit_ns = 0;
    GY_TRY(deadline(e, req, &limit_ns, err));
    int64_t waited_ns = req->received_ns ? gy_mono_ns() - req->received_ns : 0;
    if (limit_ns && waited_ns > limit_ns) {
        return gy_err_set(err, GY_E_TIMEOUT,
                          "it waited %.3g s for its turn, longer than its %.3g s",
                          (double)waited_ns / 1e9, (double)limit_ns / 1e9);
    }
    const struct gy_limits *limits = &e->limits;
    if (gy_limiter_enter(a->limiter, limits, gy_limiter_key(limits, e->name, caller(req)),
                         ret_place)) {
        return GY_OK;
    }
    retry_after(out, (int64_t)atomic_load_explicit(&a->work_ns, memory_order_relaxed));
    return gy_err_set(err, GY_E_LIMITED,
                      "%lld requests are being answered already, the most at a time",
                      (long long)limits->concurrent);
}

void gy_admit_end(struct gy_admission *a, size_t place, int64_t busy_ns)
{
    if (busy_ns > 0) {
        uint64_t mean = atomic_load_explicit(&a->work_ns, memory_order_relaxed);
        uint64_t now = (uint64_t)busy_ns;
        /* Two that end at once may lose one of them: it is a mean. */
        atomic_store_explicit(&a->work_ns, mean ? mean - mean / SMOOTHING + now / SMOOTHING : now,
                              memory_order_relaxed);
    }
    gy_limiter_leave(a->limiter, place);
}
