/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/budget.h"

#include <malloc.h>
#include <pthread.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "serve/loaded.h"

#define LOOK_MS 1 /* holding and letting go tell nobody: whoever waits for room looks so often */
#define SETTLE_BYTES (8 * GY_MIB)
#define MAX_BYTES ((int64_t)1 << 50)

struct gy_budget {
    size_t limit;
    pthread_mutex_t lock; /* guards all below, and the list's part of gy_loaded */
    pthread_cond_t changed;
    struct gy_loaded *models; /* all, linked */
    size_t freed;             /* bytes unloaded since gy_budget_settle gave memory back */
    bool making_room;         /* one at a time: nobody takes the room that another has made */
    struct gy_budget_stats stats;
};

gy_status gy_budget_new(size_t limit_bytes, struct gy_budget **ret, struct gy_err *err)
{
    struct gy_budget *b = gy_calloc(1, sizeof *b);
    if (!b) {
        return gy_err_set(err, GY_E_NOMEM, "counting models");
    }
    b->limit = b->stats.limit = limit_bytes;
    pthread_condattr_t clock;
    (void)pthread_mutex_init(&b->lock, NULL); /* these can not fail on Linux */
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&b->changed, &clock);
    (void)pthread_condattr_destroy(&clock);
    *ret = b;
    return GY_OK;
}

void gy_budget_free(struct gy_budget *b)
{
    if (b) {
        GY_REQUIRE(!b->models);
        (void)pthread_cond_destroy(&b->changed);
        (void)pthread_mutex_destroy(&b->lock);
        gy_free(b);
    }
}

void gy_budget_get_stats(struct gy_budget *b, struct gy_budget_stats *ret)
{
    (void)pthread_mutex_lock(&b->lock);
    *ret = b->stats;
    (void)pthread_mutex_unlock(&b->lock);
}

void gy_budget_settle(struct gy_budget *b)
{
    (void)pthread_mutex_lock(&b->lock);
    bool worth = b->freed >= SETTLE_BYTES;
    b->freed = worth ? 0 : b->freed;
    (void)pthread_mutex_unlock(&b->lock);
    if (worth) {
        (void)malloc_trim(0); /* it says whether it found some */
    }
}

/* ---- room; all under the lock ---- */

static bool is_away(struct gy_loaded *l)
{
    return atomic_load_explicit(&l->holds, memory_order_relaxed) & GY_LOADED_AWAY;
}

/* The one that was not asked for longest, of those that are loaded and that nobody holds. */
static struct gy_loaded *oldest(const struct gy_budget *b)
{
    struct gy_loaded *best = NULL;
    int64_t best_ns = INT64_MAX;
    for (struct gy_loaded *l = b->models; l; l = l->next) {
        int64_t used = atomic_load_explicit(&l->used_ns, memory_order_relaxed);
        if (l->unloads && used < best_ns &&
            atomic_load_explicit(&l->holds, memory_order_relaxed) == 0) {
            best = l;
            best_ns = used;
        }
    }
    return best;
}

/* false: somebody holds it by now. */
static bool unload(struct gy_budget *b, struct gy_loaded *l)
{
    uint32_t nobody = 0;
    /* Acquire: what those who held it have read of it was read before. */
    if (!atomic_compare_exchange_strong_explicit(&l->holds, &nobody, GY_LOADED_AWAY,
                                                 memory_order_acq_rel, memory_order_relaxed)) {
        return false;
    }
    gy_predictor_unload(l->predictor);
    b->stats.bytes -= l->bytes;
    b->stats.loaded--;
    b->stats.unloads++;
    b->freed += l->bytes;
    return true;
}

static void wait_until(struct gy_budget *b, int64_t ns)
{
    const struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    (void)pthread_cond_timedwait(&b->changed, &b->lock, &t); /* late or early: we look again */
}

static gy_status no_room(size_t bytes, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_BUSY,
                     "no room for a model of %zu bytes: those that are loaded are all being asked, "
                     "try again",
                     bytes);
    return gy_err_hint(err, "give the server a larger --model-memory");
}

static int64_t wait_end(void)
{
    return gy_mono_ns() + (int64_t)GY_BUDGET_WAIT_MS * 1000000;
}

/* Until so many bytes more fit, or until `end`; the lock is given up while it waits. */
static gy_status make_room(struct gy_budget *b, size_t bytes, int64_t end, struct gy_err *err)
{
    bool fits = true;
    if (!b->limit || !bytes) { /* what others answer for waits for nobody */
        return GY_OK;
    }
    while (b->making_room) {
        if (gy_mono_ns() >= end) {
            return no_room(bytes, err);
        }
        wait_until(b, end);
    }
    b->making_room = true;
    while (!(fits = bytes <= b->limit - b->stats.bytes)) {
        struct gy_loaded *old = oldest(b);
        if (old && unload(b, old)) {
            continue;
        }
        if (gy_mono_ns() >= end) {
            break;
        }
        wait_until(b, gy_mono_ns() + (int64_t)LOOK_MS * 1000000);
    }
    b->making_room = false;
    (void)pthread_cond_broadcast(&b->changed);
    return fits ? GY_OK : no_room(bytes, err);
}

static void count_in(struct gy_budget *b, const struct gy_loaded *l)
{
    b->stats.bytes += l->bytes;
    b->stats.loaded++;
}

static void count_load(struct gy_budget *b, uint64_t took_ns)
{
    b->stats.loads++;
    b->stats.load_ns += took_ns;
}

/* ---- models ---- */

gy_status gy_budget_enter(struct gy_budget *b, struct gy_loaded *l, uint64_t took_ns,
                          struct gy_err *err)
{
    if (b->limit && l->bytes > b->limit) {
        (void)gy_err_set(err, GY_E_NOTSERVABLE,
                         "the model takes %zu bytes of memory, and all models together may take "
                         "%zu (--model-memory)",
                         l->bytes, b->limit);
        return gy_err_hint(err, "start the server with a larger --model-memory");
    }
    (void)pthread_mutex_lock(&b->lock);
    gy_status status = make_room(b, l->bytes, wait_end(), err);
    if (status == GY_OK) {
        l->budget = b;
        l->next = b->models;
        l->prev = NULL;
        if (l->next) {
            l->next->prev = l;
        }
        b->models = l;
        b->stats.models++;
        count_in(b, l);
        count_load(b, took_ns);
    }
    (void)pthread_mutex_unlock(&b->lock);
    return status;
}

void gy_budget_leave(struct gy_budget *b, struct gy_loaded *l)
{
    (void)pthread_mutex_lock(&b->lock);
    *(l->prev ? &l->prev->next : &b->models) = l->next;
    if (l->next) {
        l->next->prev = l->prev;
    }
    b->stats.models--;
    if (!is_away(l)) {
        b->stats.bytes -= l->bytes;
        b->stats.loaded--;
    }
    (void)pthread_cond_broadcast(&b->changed); /* there is room now */
    (void)pthread_mutex_unlock(&b->lock);
}

static gy_status load_again(struct gy_loaded *l, uint64_t *ret_took_ns, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    int64_t start = gy_mono_ns();
    gy_status status = gy_predictor_load_again(l->predictor, l->dir, &why);
    *ret_took_ns = (uint64_t)(gy_mono_ns() - start);
    if (status == GY_OK) {
        return GY_OK;
    }
    gy_log_err(GY_LOG_ERROR, "serve", "a model can not be loaded again", &why);
    (void)gy_err_set(err, status == GY_E_NOMEM ? GY_E_NOMEM : GY_E_UNAVAILABLE,
                     "the model was unloaded to save memory and can not be loaded again: %s",
                     why.msg);
    return gy_err_hint(err, "a restarted server takes the package from the store again");
}

/* Under the lock, which is given up meanwhile: it is away, and nobody else loads it. */
static gy_status bring_back(struct gy_budget *b, struct gy_loaded *l, int64_t end,
                            struct gy_err *err)
{
    uint64_t took_ns = 0;
    l->loading = true;
    gy_status status = make_room(b, l->bytes, end, err);
    if (status == GY_OK) {
        count_in(b, l); /* before it is there: the limit is never passed */
        (void)pthread_mutex_unlock(&b->lock);
        status = load_again(l, &took_ns, err);
        (void)pthread_mutex_lock(&b->lock);
        if (status == GY_OK) {
            count_load(b, took_ns);
            /* Held first, then told: nobody unloads it before it was asked. */
            atomic_fetch_add_explicit(&l->holds, 1, memory_order_relaxed);
            atomic_fetch_and_explicit(&l->holds, ~GY_LOADED_AWAY, memory_order_release);
        } else {
            b->stats.bytes -= l->bytes;
            b->stats.loaded--;
            b->stats.failures++;
        }
    }
    l->loading = false;
    (void)pthread_cond_broadcast(&b->changed);
    return status;
}

gy_status gy_budget_load(struct gy_budget *b, struct gy_loaded *l, struct gy_err *err)
{
    gy_status status = GY_OK;
    int64_t end = wait_end();
    bool held = false;
    (void)pthread_mutex_lock(&b->lock);
    while (status == GY_OK && !held) {
        if (l->loading) {
            wait_until(b, wait_end()); /* whoever loads it tells how it ended */
        } else if (is_away(l)) {
            status = bring_back(b, l, end, err);
            held = status == GY_OK;
        } else {
            /* Models are unloaded under the lock alone. */
            atomic_fetch_add_explicit(&l->holds, 1, memory_order_acquire);
            held = true;
        }
    }
    (void)pthread_mutex_unlock(&b->lock);
    return status;
}

/* ---- the setting ---- */

gy_status gy_budget_parse(struct gy_str text, size_t *ret_bytes, struct gy_err *err)
{
    int64_t n = 0;
    if (gy_parse_bytes(text, &n, NULL) != GY_OK || n > MAX_BYTES ||
        (n && (size_t)n < GY_BUDGET_MIN_BYTES)) {
        return gy_err_set(err, GY_E_USAGE,
                          "--model-memory takes bytes, 4K or more (512M, 2G), or 0 for no limit");
    }
    *ret_bytes = (size_t)n;
    return GY_OK;
}
