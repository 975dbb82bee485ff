/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define MAX_THREADS 256

struct job {
    gy_pool_fn fn;
    void *arg;
};

/* lock guards everything below it, and n_threads and threads where they may grow; wake is signalled
 * when a job was queued or closing was set. */
struct gy_pool {
    char name[16];
    int n_threads, max_threads;
    pthread_t threads[MAX_THREADS];
    size_t max_queue;
    struct job *ring;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    size_t first, n_queued, n_idle;
    bool closing;
};

static void *worker(void *arg)
{
    struct gy_pool *p = arg;
    (void)pthread_setname_np(pthread_self(), p->name); /* only cosmetic */
    for (;;) {
        (void)pthread_mutex_lock(&p->lock);
        p->n_idle++;
        while (p->n_queued == 0 && !p->closing) {
            (void)pthread_cond_wait(&p->wake, &p->lock);
        }
        p->n_idle--;
        if (p->n_queued == 0) {
            (void)pthread_mutex_unlock(&p->lock);
            return NULL;
        }
        struct job job = p->ring[p->first];
        p->first = (p->first + 1) % p->max_queue;
        p->n_queued--;
        (void)pthread_mutex_unlock(&p->lock);
        job.fn(job.arg);
    }
}

/* Signals belong to the main thread: workers start with all of them blocked. */
static int start_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
    sigset_t all;
    sigset_t old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int why = pthread_create(t, NULL, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return why;
}

/* No thread yet. */
static gy_status make(const char *name, int max_threads, size_t max_queue, struct gy_pool **ret,
                      struct gy_err *err)
{
    GY_REQUIRE(max_threads > 0 && max_threads <= MAX_THREADS && max_queue > 0);
    struct gy_pool *p = gy_calloc(1, sizeof *p);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the pool '%s'", name);
    }
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    p->max_queue = max_queue;
    p->max_threads = max_threads;
    p->ring = gy_calloc(max_queue, sizeof *p->ring);
    if (!p->ring) {
        gy_free(p);
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the pool '%s'", name);
    }
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->wake, NULL);
    *ret = p;
    return GY_OK;
}

gy_status gy_pool_new(const char *name, int n_threads, size_t max_queue, struct gy_pool **ret,
                      struct gy_err *err)
{
    struct gy_pool *p = NULL;
    GY_TRY(make(name, n_threads, max_queue, &p, err));
    for (; p->n_threads < n_threads; p->n_threads++) {
        int why = start_thread(&p->threads[p->n_threads], worker, p);
        if (why != 0) {
            gy_pool_free(p);
            return gy_err_set(err, GY_E_FAILED, "can not start a thread of the pool '%s': %s", name,
                              strerror(why));
        }
    }
    *ret = p;
    return GY_OK;
}

gy_status gy_pool_new_elastic(const char *name, int max_threads, size_t max_queue,
                              struct gy_pool **ret, struct gy_err *err)
{
    return make(name, max_threads, max_queue, ret, err);
}

/* Under the lock: one more thread where more jobs wait than threads are idle. When none can be made
 * the job waits for one that is there; with none at all it is not taken. */
static bool grow(struct gy_pool *p)
{
    if (p->n_queued + 1 > p->n_idle && p->n_threads < p->max_threads && !p->closing) {
        p->n_threads += start_thread(&p->threads[p->n_threads], worker, p) == 0;
    }
    return p->n_threads > 0;
}

gy_status gy_pool_run(struct gy_pool *p, gy_pool_fn fn, void *arg, struct gy_err *err)
{
    (void)pthread_mutex_lock(&p->lock);
    bool full = p->n_queued == p->max_queue || !grow(p);
    if (!full) {
        p->ring[(p->first + p->n_queued) % p->max_queue] = (struct job){fn, arg};
        p->n_queued++;
        (void)pthread_cond_signal(&p->wake);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return full ? gy_err_set(err, GY_E_BUSY, "the pool '%s' has %zu jobs waiting", p->name,
                             p->max_queue)
                : GY_OK;
}

size_t gy_pool_queued(struct gy_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    size_t n = p->n_queued;
    (void)pthread_mutex_unlock(&p->lock);
    return n;
}

void gy_pool_free(struct gy_pool *p)
{
    if (!p) {
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    p->closing = true;
    (void)pthread_cond_broadcast(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_threads; i++) {
        (void)pthread_join(p->threads[i], NULL);
    }
    (void)pthread_cond_destroy(&p->wake);
    (void)pthread_mutex_destroy(&p->lock);
    gy_free(p->ring);
    gy_free(p);
}

struct parallel {
    void (*fn)(void *ctx, size_t i);
    void *ctx;
    size_t n;
    _Atomic size_t next;
};

static void run_parallel(struct parallel *job)
{
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (i >= job->n) {
            return;
        }
        job->fn(job->ctx, i);
    }
}

/* Helpers wait here until all of them exist, so that a failure to start one is told before anything
 * ran. */
struct helpers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int go; /* 0 wait, 1 run, -1 leave */
    struct parallel *job;
};

static void *helper(void *arg)
{
    struct helpers *h = arg;
    (void)pthread_mutex_lock(&h->lock);
    while (h->go == 0) {
        (void)pthread_cond_wait(&h->wake, &h->lock);
    }
    int go = h->go;
    (void)pthread_mutex_unlock(&h->lock);
    if (go > 0) {
        run_parallel(h->job);
    }
    return NULL;
}

static gy_status parallel_threads(int n_threads, struct parallel *job, struct gy_err *err)
{
    pthread_t threads[MAX_THREADS];
    struct helpers h = {.job = job};
    (void)pthread_mutex_init(&h.lock, NULL);
    (void)pthread_cond_init(&h.wake, NULL);
    int started = 0;
    int why = 0;
    while (started < n_threads - 1 && why == 0) {
        why = start_thread(&threads[started], helper, &h);
        started += why == 0;
    }
    (void)pthread_mutex_lock(&h.lock);
    h.go = why == 0 ? 1 : -1;
    (void)pthread_cond_broadcast(&h.wake);
    (void)pthread_mutex_unlock(&h.lock);
    if (why == 0) {
        run_parallel(job);
    }
    for (int i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    (void)pthread_cond_destroy(&h.wake);
    (void)pthread_mutex_destroy(&h.lock);
    return why == 0 ? GY_OK
                    : gy_err_set(err, GY_E_FAILED, "can not start a thread: %s", strerror(why));
}

gy_status gy_parallel(int n_threads, size_t n, void (*fn)(void *ctx, size_t i), void *ctx,
                      struct gy_err *err)
{
    struct parallel job = {.fn = fn, .ctx = ctx, .n = n};
    if (n_threads > MAX_THREADS) {
        n_threads = MAX_THREADS;
    }
    if (n < (size_t)(n_threads > 0 ? n_threads : 1)) {
        n_threads = (int)n;
    }
    if (n_threads <= 1) {
        run_parallel(&job);
        return GY_OK;
    }
    return parallel_threads(n_threads, &job, err);
}
