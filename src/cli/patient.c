/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/patient.h"

#include <errno.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"

#define FIRST_WAIT_MS 20
#define LONGEST_WAIT_MS 500

struct patient {
    struct gy_caller *inner;
};

static bool is_away(gy_status status, int http)
{
    return status == GY_E_UNAVAILABLE || status == GY_E_NETWORK || status == GY_E_TIMEOUT ||
           (status == GY_OK && http == 503);
}

static void wait_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* Ask until somebody answers; the answer is in c. */
static gy_status ask(struct patient *p, struct gy_request *req, struct gy_str body,
                     struct gy_collect *c, struct gy_err *err)
{
    int64_t end = gy_mono_ns() + (int64_t)GY_PATIENT_WAIT_MS * 1000000;
    for (int64_t ms = FIRST_WAIT_MS;; ms = ms * 2 < LONGEST_WAIT_MS ? ms * 2 : LONGEST_WAIT_MS) {
        struct gy_err why = GY_ERR_INIT;
        struct gy_mem_reader reader;
        struct gy_request again = *req;
        again.body = req->body ? gy_mem_reader_init(&reader, body) : NULL;
        gy_collect_reset(c);
        gy_status status = gy_call(p->inner, &again, &c->reply, &why);
        if (!is_away(status, c->status) || gy_mono_ns() > end) {
            if (status != GY_OK && err) {
                *err = why;
            }
            return status;
        }
        wait_ms(ms);
    }
}

static gy_status patient_call(void *self, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect c;
    gy_buf_init(&body, GY_GIB);
    gy_collect_init(&c, GY_GIB);
    if (req->body) {
        GY_TRY(gy_req_read_body(req, &body, err));
    }
    GY_TRY(ask(self, req, gy_buf_str(&body), &c, err));
    GY_TRY(gy_reply_begin(reply, c.status, c.headers, c.n_headers, (int64_t)c.body.n, err));
    if (c.body.n > 0) {
        GY_TRY(gy_reply_write(reply, gy_buf_str(&c.body), err));
    }
    return gy_reply_end(reply, err);
}

static void patient_free(void *self)
{
    struct patient *p = self;
    gy_caller_free(p->inner);
    gy_free(p);
}

static const struct gy_call_ops patient_ops = {1, "patient", patient_call, patient_free};

gy_status gy_patient_new(struct gy_caller *inner, struct gy_caller **ret, struct gy_err *err)
{
    struct patient *p = gy_calloc(1, sizeof *p);
    struct gy_caller *c = gy_calloc(1, sizeof *c);
    if (!p || !c) {
        gy_free(p);
        gy_free(c);
        gy_caller_free(inner);
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    p->inner = inner;
    *c = (struct gy_caller){&patient_ops, p};
    *ret = c;
    return GY_OK;
}
