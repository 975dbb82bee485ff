/* SPDX-License-Identifier: Apache-2.0 */
/* A message that a worker answers. The worker's until it is posted to its loop, which hands the
 * answer to the call, if that is still there. */
#include <stdio.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/deadline.h"
#include "net/h2.h"

enum { STEAL_BYTES = 16 * 1024 }; /* a longer message is not copied for its worker */

struct gy_h2_job {
    struct gy_loop_task task;
    struct gy_net_loop *loop;
    /* loop thread: */
    struct gy_h2 *h2; /* NULL: its connection is gone */
    struct gy_h2_job *prev, *next;
    struct gy_h2_call *call; /* NULL: nobody wants the answer */
    /* the worker's: */
    struct gy_arena arena;
    struct gy_request req;
    struct gy_reader reader;
    struct gy_buf in, plain; /* the message as it came, unpacked */
    struct gy_str message;
    struct gy_collect collect;
    struct gy_fast_reply reply;
    struct gy_h2_answer answer;
    struct gy_err failed;
    size_t max_message;
    int64_t deadline_ns; /* 0: none */
    char timeout[24];    /* what was left of it when it was queued: "250m" */
    enum gy_grpc_encoding encoding;
    bool deferred, packed, turn; /* turn: of long messages */
};

static void job_free(struct gy_h2_job *job)
{
    if (job) {
        if (job->turn) {
            gy_upload_give(job->loop->server, GY_UPLOAD_FAST);
        }
        gy_buf_done(&job->in);
        gy_buf_done(&job->plain);
        gy_collect_done(&job->collect);
        gy_arena_done(&job->arena);
        gy_free(job);
    }
}
GY_DEFINE_AUTO(struct gy_h2_job *, job_free);

/* ---- the worker ---- */

static void answer_failure(struct gy_h2_job *job, gy_status code, const char *text)
{
    job->answer = (struct gy_h2_answer){
        .status = gy_status_http(code), .content_type = "text/plain", .body = gy_str_c(text)};
}

/* Nobody's message is unpacked before it is known who asks. */
static gy_status unpack(struct gy_h2_job *job, struct gy_err *err)
{
    gy_buf_init(&job->plain, job->max_message);
    job->packed = false;
    GY_TRY(gy_grpc_unpack(job->encoding, job->message, &job->plain, err));
    job->message = gy_buf_str(&job->plain);
    return GY_OK;
}

static void predict(struct gy_h2_job *job)
{
    const struct gy_server_options *o = &job->loop->server->o;
    void *pass = NULL;
    job->reply.body = &job->collect.body;
    if (gy_fast_enter(o, &job->req, &job->reply, &pass)) {
        gy_status status = job->packed ? unpack(job, &job->failed) : GY_OK;
        if (status == GY_OK) {
            o->fast->deferred(o->fast_self, job->loop->index, &job->req, job->message, &job->reply);
        }
        gy_fast_leave(o, pass, status, &job->failed);
        if (status != GY_OK) {
            answer_failure(job, status, job->failed.msg);
            return;
        }
    }
    if (gy_buf_check(&job->collect.body, "the answer", &job->failed) != GY_OK) {
        answer_failure(job, job->failed.code, job->failed.msg);
        return;
    }
    job->answer = (struct gy_h2_answer){.status = job->reply.status,
                                        .content_type = job->reply.content_type,
                                        .body = gy_buf_str(&job->collect.body),
                                        .extra = gy_str_c(job->reply.extra_headers)};
}

/* A handler that reads was let in by the router's guard. */
static gy_status read_message(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                              struct gy_err *err)
{
    struct gy_h2_job *job =
        (struct gy_h2_job *)(void *)((char *)self - offsetof(struct gy_h2_job, reader));
    if (job->packed) {
        GY_TRY(unpack(job, err));
    }
    struct gy_str now = gy_str_sub(job->message, 0, n);
    if (now.n) {
        memcpy(buf, now.p, now.n);
        job->message = gy_str_sub(job->message, now.n, job->message.n);
    }
    *ret_n = now.n;
    return GY_OK;
}

static void handle(struct gy_h2_job *job)
{
    job->reader = (struct gy_reader){.read = read_message,
                                     .size_bytes = job->packed ? -1 : (int64_t)job->message.n};
    job->req.body = &job->reader;
    gy_status status =
        gy_router_call(job->loop->server->o.router, &job->req, &job->collect.reply, &job->failed);
    if (status != GY_OK) {
        answer_failure(job, status, job->failed.msg);
        return;
    }
    struct gy_str type = gy_collect_header(&job->collect, "Content-Type");
    job->answer = (struct gy_h2_answer){
        .status = job->collect.status,
        .content_type = gy_str_eqc(type, GY_GRPC_TYPE) ? GY_GRPC_TYPE : "text/plain",
        .body = gy_buf_str(&job->collect.body)};
}

static void job_done(void *ctx, struct gy_net_loop *loop);

static void job_run(void *arg)
{
    struct gy_h2_job *job = arg;
    struct gy_server *s = job->loop->server;
    if (job->deadline_ns && gy_mono_ns() > job->deadline_ns) {
        answer_failure(job, GY_E_TIMEOUT, "the deadline of this call has passed");
    } else if (job->deferred) {
        predict(job);
    } else {
        handle(job);
    }
    job->task.fn = job_done;
    job->task.ctx = job;
    gy_net_loop_task(job->loop, &job->task); /* the loop's from here on */
    gy_server_count_down(s, &s->n_running);
}

/* ---- the loop ---- */

static void unlink_job(struct gy_h2_job *job)
{
    if (job->prev) {
        job->prev->next = job->next;
    } else {
        job->h2->jobs = job->next;
    }
    if (job->next) {
        job->next->prev = job->prev;
    }
    job->h2->n_jobs--;
    job->prev = job->next = NULL;
    job->h2 = NULL;
}

static void job_done(void *ctx, struct gy_net_loop *loop)
{
    struct gy_h2_job *job = ctx;
    struct gy_h2 *h2 = job->h2;
    (void)atomic_fetch_sub_explicit(&loop->stats.in_flight, 1, memory_order_relaxed);
    if (h2) {
        unlink_job(job);
        if (job->call) {
            gy_h2_call_job_done(job->call, &job->answer, job->req.actor);
        }
        gy_h2_flush(h2);
    }
    job_free(job);
}

void gy_h2_job_forget(struct gy_h2_job *job)
{
    if (job && job->call) {
        job->call->job = NULL;
        job->call = NULL;
    }
}

void gy_h2_jobs_gone(struct gy_h2 *h2)
{
    while (h2->jobs) {
        gy_h2_job_forget(h2->jobs);
        unlink_job(h2->jobs);
    }
}

/* What is left of the call's deadline, in the header too: for whoever reads it from now on. */
static void take_deadline(struct gy_h2_job *job, const struct gy_h2_call *call,
                          struct gy_header *headers)
{
    if (!call->deadline_ms) {
        return;
    }
    uint64_t now_ms = uv_now(&job->loop->uv);
    uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 0;
    job->deadline_ns = gy_mono_ns() + (int64_t)left_ms * 1000000;
    (void)snprintf(job->timeout, sizeof job->timeout, "%llum", (unsigned long long)left_ms);
    for (size_t i = 0; i < job->req.n_headers; i++) {
        if (gy_str_eqc(headers[i].name, GY_GRPC_DEADLINE_HEADER)) {
            headers[i].value = gy_str_c(job->timeout);
        }
    }
}

/* The request with everything that it views in the job's own memory. */
static bool copy_request(struct gy_h2_job *job, const struct gy_h2_call *call)
{
    const struct gy_conn *c = call->h2->conn;
    struct gy_arena *a = &job->arena;
    struct gy_header *headers = gy_arena_calloc(a, call->n_headers + 1, sizeof *headers);
    char *texts = gy_arena_strdup(a, gy_buf_str(&call->texts));
    if (!headers || !texts) {
        return false;
    }
    gy_h2_request(call, headers, &job->req);
    for (size_t i = 0; i < job->req.n_headers; i++) {
        headers[i].name.p = texts + (headers[i].name.p - call->texts.p);
        headers[i].value.p = texts + (headers[i].value.p - call->texts.p);
    }
    job->req.method.p = texts + (job->req.method.p - call->texts.p);
    job->req.path.p = texts + (job->req.path.p - call->texts.p);
    job->req.request_id = gy_arena_str(a, job->req.request_id);
    job->req.actor = gy_arena_str(a, gy_str_c(c->actor));
    job->req.peer_address = c->address[0] ? gy_arena_str(a, gy_str_c(c->address)) : GY_STR_NULL;
    job->req.arena = a;
    take_deadline(job, call, headers);
    return job->req.request_id.p && job->req.actor.p && (!c->address[0] || job->req.peer_address.p);
}

/* A long message that is all there is changes hands. */
static bool take_message(struct gy_h2_job *job, struct gy_h2_call *call, struct gy_str message)
{
    job->turn =
        call->uploading; /* of long messages: until it is answered, whatever became of the call */
    call->uploading = false;
    const char *end = call->in.p + call->in.n;
    if (message.n >= STEAL_BYTES && message.p + message.n == end && call->half_closed &&
        !(call->route->flags & GY_ROUTE_GRPC_WATCH)) {
        job->in = call->in;
        job->message = message;
        call->h2->held -= call->in.n;
        call->in_at = 0;
        gy_buf_init(&call->in, SIZE_MAX / 2);
        return true;
    }
    gy_buf_add(&job->in, message);
    job->message = gy_buf_str(&job->in);
    return job->in.failed == GY_OK;
}

static struct gy_h2_job *job_new(struct gy_h2_call *call, struct gy_str message)
{
    GY_AUTO(job_free) struct gy_h2_job *job = gy_calloc(1, sizeof *job);
    if (!job) {
        return NULL;
    }
    gy_arena_init(&job->arena, GY_MAX_REQUEST_ARENA);
    gy_buf_init(&job->in, SIZE_MAX / 2); /* by the route's limit */
    gy_buf_init(&job->plain, 0);
    gy_collect_init(&job->collect, GY_MAX_REPLY);
    job->loop = call->h2->conn->loop;
    job->max_message = call->route->max_body ? call->route->max_body : GY_ROUTE_MAX_BODY;
    job->encoding = call->encoding;
    if (!copy_request(job, call) || !take_message(job, call, message)) {
        return NULL;
    }
    return GY_TAKE(job);
}

bool gy_h2_job_start(struct gy_h2_call *call, struct gy_str message, enum gy_fast_result how,
                     bool packed, bool admitted)
{
    struct gy_h2 *h2 = call->h2;
    struct gy_server *s = h2->conn->loop->server;
    struct gy_h2_job *job = h2->n_jobs < GY_H2_MAX_JOBS ? job_new(call, message) : NULL;
    if (!job) {
        return false;
    }
    struct gy_pool *pool = gy_pool_of(s, how);
    job->deferred = how != GY_FAST_PASS;
    job->packed = packed;
    job->req.received_ns = gy_mono_ns();
    job->req.admitted = admitted;
    job->h2 = h2;
    job->call = call;
    job->next = h2->jobs;
    if (h2->jobs) {
        h2->jobs->prev = job;
    }
    h2->jobs = job;
    h2->n_jobs++;
    call->job = job;
    (void)atomic_fetch_add_explicit(&job->loop->stats.in_flight, 1, memory_order_relaxed);
    (void)atomic_fetch_add(&s->n_running, 1);
    if (!pool) { /* no pools: the fuzzer, which wants one thread */
        job_run(job);
    } else if (gy_pool_run(pool, job_run, job, NULL) != GY_OK) {
        gy_h2_job_forget(job);
        unlink_job(job);
        (void)atomic_fetch_sub_explicit(&job->loop->stats.in_flight, 1, memory_order_relaxed);
        gy_server_count_down(s, &s->n_running);
        job_free(job);
        return false;
    }
    return true;
}
