/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pipeline.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define NOTHING (-1)
#define MAKE 0 /* stages are counted from 1 here */

/* lock guards all but p and the threads, which are the caller's; changed is told of all that ends.
 */
struct run {
    const struct gy_pipeline *p;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t next[GY_PIPELINE_MAX_STAGES + 1]; /* number of the slot that a stage takes next */
    bool busy[GY_PIPELINE_MAX_STAGES + 1];     /* of an ordered stage */
    uint64_t made, finished;
    bool no_more, stop, parallel;
    uint8_t *passed; /* by the slot: stages that are done with it, making included */
    gy_status status;
    struct gy_err err;
    int n_spawned;
    pthread_t threads[GY_PIPELINE_MAX_THREADS];
};

struct thread {
    struct run *run;
    int number;
};

static bool ordered(const struct run *r, int stage)
{
    return stage == MAKE || r->p->stages[stage - 1].ordered;
}

/* The last stage that has something to do, and the slot for it; NOTHING: none has. */
static int claim(struct run *r, size_t *ret_slot)
{
    for (int stage = (int)r->p->n_stages; stage >= MAKE; stage--) {
        const uint64_t number = r->next[stage];
        const size_t slot = number % r->p->n_slots;
        if (ordered(r, stage) && r->busy[stage]) {
            continue;
        }
        bool can = stage == MAKE ? !r->no_more && number < r->finished + r->p->n_slots
                                 : number < r->made && r->passed[slot] == stage;
        if (can) {
            r->busy[stage] = true;
            r->next[stage]++;
            *ret_slot = slot;
            return stage;
        }
    }
    return NOTHING;
}

static void finish(struct run *r, int stage, size_t slot, bool more, gy_status status,
                   const struct gy_err *err)
{
    r->busy[stage] = false;
    if (status != GY_OK) {
        if (!r->stop) {
            r->status = status;
            r->err = *err;
        }
        r->stop = true;
    } else if (stage == MAKE && !more) {
        r->no_more = true;
    } else {
        r->passed[slot] = (uint8_t)(stage + 1);
        r->made += stage == MAKE;
        r->finished += stage == (int)r->p->n_stages;
    }
}

static void *work(void *arg);

/* Signals belong to the main thread: others start with all of them blocked. */
static void spawn(struct run *r, struct thread *threads)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    for (int i = 1; i < r->p->n_threads; i++) {
        threads[i] = (struct thread){r, i};
        if (pthread_create(&r->threads[r->n_spawned], NULL, work, &threads[i]) != 0) {
            break;
        }
        r->n_spawned++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Take what there is to do until all is done; threads: not NULL for the one that may start others.
 */
static void loop(struct run *r, int number, struct thread *threads)
{
    (void)pthread_mutex_lock(&r->lock);
    while (!r->stop && !(r->no_more && r->finished == r->made)) {
        size_t slot = 0;
        int stage = claim(r, &slot);
        if (stage == NOTHING) {
            (void)pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&r->lock);
        struct gy_err err = GY_ERR_INIT;
        bool more = true;
        void *at = r->p->slots[slot];
        gy_status status = stage == MAKE ? r->p->make(r->p->ctx, at, &more, &err)
                                         : r->p->stages[stage - 1].run(r->p->ctx, at, number, &err);
        (void)pthread_mutex_lock(&r->lock);
        finish(r, stage, slot, more, status, &err);
        if (r->parallel) {
            (void)pthread_cond_broadcast(&r->changed);
        } else if (threads && r->made > 1 && r->p->n_threads > 1) {
            r->parallel = true; /* once, also when no thread could be started */
            (void)pthread_mutex_unlock(&r->lock);
            spawn(r, threads);
            (void)pthread_mutex_lock(&r->lock);
        }
    }
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
}

static void *work(void *arg)
{
    const struct thread *t = arg;
    (void)pthread_setname_np(pthread_self(), "gy-pipeline"); /* only cosmetic */
    loop(t->run, t->number, NULL);
    return NULL;
}

gy_status gy_pipeline_run(const struct gy_pipeline *p, struct gy_err *err)
{
    GY_REQUIRE(p->n_stages > 0 && p->n_stages <= GY_PIPELINE_MAX_STAGES &&
               p->stages[p->n_stages - 1].ordered && p->n_slots > 0 && p->n_threads > 0 &&
               p->n_threads <= GY_PIPELINE_MAX_THREADS);
    struct thread threads[GY_PIPELINE_MAX_THREADS];
    struct run *r = gy_calloc(1, sizeof *r);
    uint8_t *passed = gy_calloc(p->n_slots, 1);
    if (!r || !passed) {
        gy_free(r);
        gy_free(passed);
        return gy_err_set(err, GY_E_NOMEM, "out of memory for working in parallel");
    }
    r->p = p;
    r->passed = passed;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->changed, NULL);
    loop(r, 0, threads);
    for (int i = 0; i < r->n_spawned; i++) {
        (void)pthread_join(r->threads[i], NULL);
    }
    gy_status status = r->status;
    if (status != GY_OK) { /* as if it had failed on this thread */
        (void)gy_err_set(err, status, "a stage failed");
        if (err) {
            *err = r->err;
        }
    }
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->lock);
    gy_free(r);
    gy_free(passed);
    return status;
}

int gy_pipeline_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > GY_PIPELINE_MAX_THREADS ? GY_PIPELINE_MAX_THREADS : n;
}
