/* SPDX-License-Identifier: Apache-2.0 */
/* The writer thread. It takes what waits (no lingering: while one group commits, the next gathers
 * by itself), runs each closure inside its own savepoint of one transaction, commits, and only then
 * lets the callers go. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/store_internal.h"

/* On the stack of the waiting caller, which owns it again once `done` is posted. */
struct request {
    gy_db_fn fn;
    void *ctx;
    const char *compact;    /* instead of fn: these tables are written anew, between transactions */
    struct gy_scope *scope; /* of the thread that waits */
    gy_status status;
    struct gy_err *err;
    sem_t done;
    struct request *next;
};

struct gy_writer {
    struct gy_db *db;
    pthread_mutex_t *db_lock;
    size_t max_queue;
    int max_group;
    pthread_t thread;
    bool disk_full; /* of the thread alone: the last group met it */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t work;
    struct request *head, *tail;
    size_t n_queued;
    bool stopping;
    struct gy_store_stats stats;
    uint32_t commit_us[GY_STORE_COMMIT_SAMPLES]; /* a ring, at stats.commits */
};

_Thread_local bool gy_store_tl_in_closure;

static void finish(struct request *r)
{
    GY_REQUIRE(sem_post(&r->done) == 0); /* r is gone from here on */
}

static gy_status run_closure(struct gy_db *db, struct request *r)
{
    GY_TRY(db->ops->savepoint(db->conn, r->err));
    db->scope = r->scope;
    gy_store_tl_in_closure = true;
    gy_status status = r->fn(db, r->ctx, r->err);
    if (status == GY_OK && r->scope && r->scope->on_write) {
        status = r->scope->on_write(db, r->scope, r->err);
    }
    gy_store_tl_in_closure = false;
    db->scope = NULL;
    gy_db_finish_all(db);
    if (!db->ops->in_transaction(db->conn)) {
        return status != GY_OK
                   ? status
                   : gy_err_set(r->err, GY_E_IO, "the database gave up the transaction");
    }
    if (status == GY_OK) {
        status = db->ops->release(db->conn, r->err);
    }
    if (status != GY_OK && db->ops->rollback_to(db->conn, NULL) != GY_OK) {
        db->ops->rollback(db->conn); /* the group goes with it; the caller of this sees that */
    }
    return status;
}

/* What was done in [first, end) is not in the database: tell those that believed to have succeeded.
 */
static void fail_group(struct request *first, const struct request *end, gy_status code,
                       const struct gy_err *why)
{
    for (struct request *r = first; r != end; r = r->next) {
        if (r->status == GY_OK) {
            r->status = gy_err_set(r->err, code, "%s", why->msg);
            if (why->hint[0]) {
                (void)gy_err_hint(r->err, "%s", why->hint);
            }
        }
    }
}

static int64_t wal_bytes(const struct gy_writer *w)
{
    return w->db->ops->wal_bytes ? w->db->ops->wal_bytes(w->db->conn) : 0;
}

static void note_commit(struct gy_writer *w, int64_t us)
{
    int64_t wal = wal_bytes(w);
    pthread_mutex_lock(&w->lock);
    w->commit_us[w->stats.commits % GY_STORE_COMMIT_SAMPLES] =
        (uint32_t)(us < UINT32_MAX ? us : UINT32_MAX);
    w->stats.commits++;
    w->stats.wal_bytes = wal;
    pthread_mutex_unlock(&w->lock);
}

static gy_status compact(struct gy_db *db, const char *tables, struct gy_err *err)
{
    return db->ops->compact ? db->ops->compact(db->conn, tables, err) : GY_OK;
}

/* Run the closures from first on in one transaction; returns the first that has not run (NULL: all
 * have). An error that makes the database drop the transaction ends it early, and so does a request
 * that can not be in one. */
static struct request *run_transaction(struct gy_writer *w, struct request *first)
{
    struct gy_db *db = w->db;
    struct gy_err err = GY_ERR_INIT;
    if (first->compact) {
        first->status = compact(db, first->compact, first->err);
        return first->next;
    }
    struct request *end = first;
    while (end && !end->compact) {
        end = end->next;
    }
    gy_status status = db->ops->begin(db->conn, true, &err);
    if (status != GY_OK) {
        db->ops->rollback(db->conn);
        fail_group(first, end, status, &err);
        return end;
    }
    struct request *r = first;
    for (; r != end; r = r->next) {
        r->status = run_closure(db, r);
        if (!db->ops->in_transaction(db->conn)) {
            gy_err_set(&err, r->status, "the transaction was lost to another write: %s",
                       r->err ? r->err->msg : gy_status_text(r->status));
            fail_group(first, r, r->status, &err);
            return r->next;
        }
    }
    int64_t start = gy_mono_ns();
    status = db->ops->commit(db->conn, &err);
    if (status != GY_OK) {
        db->ops->rollback(db->conn);
        fail_group(first, end, status, &err);
        return end;
    }
    note_commit(w, (gy_mono_ns() - start) / 1000);
    return end;
}

static void run_group(struct gy_writer *w, struct request *group)
{
    w->disk_full = false;
    if (w->db_lock) {
        pthread_mutex_lock(w->db_lock);
    }
    for (struct request *rest = group; rest;) {
        rest = run_transaction(w, rest);
    }
    if (w->db_lock) {
        pthread_mutex_unlock(w->db_lock);
    }
    uint64_t n = 0, failed = 0;
    for (const struct request *r = group; r; r = r->next) {
        n++;
        failed += r->status != GY_OK;
        w->disk_full |= r->status == GY_E_NOSPACE;
    }
    pthread_mutex_lock(&w->lock);
    w->stats.closures += n;
    w->stats.failed_closures += failed;
    pthread_mutex_unlock(&w->lock);
    while (group) {
        struct request *next = group->next;
        finish(group);
        group = next;
    }
}

/* Nobody waits for a checkpoint and the data is safe in the log without it: what fails is logged
 * and tried again later. */
static void checkpoint(struct gy_writer *w)
{
    struct gy_db *db = w->db;
    if (!db->ops->checkpoint) {
        return;
    }
    struct gy_err err = GY_ERR_INIT;
    if (w->db_lock) {
        pthread_mutex_lock(w->db_lock);
    }
    gy_status status = db->ops->checkpoint(db->conn, &err);
    int64_t wal = wal_bytes(w);
    if (w->db_lock) {
        pthread_mutex_unlock(w->db_lock);
    }
    /* A full disk was told to the callers whose writes met it. */
    if (status != GY_OK && status != GY_E_BUSY && status != GY_E_NOSPACE) {
        gy_log_err(GY_LOG_WARN, "store", "the checkpoint failed", &err);
    }
    pthread_mutex_lock(&w->lock);
    w->stats.wal_bytes = wal;
    pthread_mutex_unlock(&w->lock);
}

/* Take up to max_group requests. NULL: nothing came for GY_STORE_IDLE_MS (only when may_idle), or
 * the end. */
static struct request *take_group(struct gy_writer *w, bool may_idle, bool *ret_end)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* can not fail */
    until.tv_nsec += GY_STORE_IDLE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&w->lock);
    bool idle = false;
    while (!w->head && !w->stopping && !idle) {
        if (may_idle) {
            idle = pthread_cond_timedwait(&w->work, &w->lock, &until) == ETIMEDOUT;
        } else {
            pthread_cond_wait(&w->work, &w->lock);
        }
    }
    struct request *group = w->head, *last = NULL;
    for (int i = 0; w->head && i < w->max_group; i++) {
        last = w->head;
        w->head = last->next;
        w->n_queued--;
    }
    if (last) {
        last->next = NULL;
    }
    if (!w->head) {
        w->tail = NULL;
    }
    *ret_end = !group && w->stopping;
    pthread_mutex_unlock(&w->lock);
    return group;
}

static void *writer_main(void *arg)
{
    struct gy_writer *w = arg;
    int64_t last_wal =
        0;             /* log size after the last checkpoint: a reader may hold it from shrinking */
    bool dirty = true; /* an earlier process may have left a log */
    for (;;) {
        bool end = false;
        struct request *group = take_group(w, dirty, &end);
        if (end) {
            return NULL;
        }
        if (group) {
            run_group(w, group);
            dirty = true;
        }
        int64_t wal = wal_bytes(w);
        last_wal = wal < last_wal ? wal : last_wal; /* the log started over */
        /* On a full disk the log's own space is what can be used again. */
        if (dirty && (!group || w->disk_full || wal - last_wal > (int64_t)GY_STORE_WAL_LIMIT)) {
            checkpoint(w);
            dirty = false;
            last_wal = wal_bytes(w);
        }
    }
}

gy_status gy_writer_start(struct gy_db *db, pthread_mutex_t *db_lock, size_t max_queue,
                          int max_group, struct gy_writer **ret, struct gy_err *err)
{
    struct gy_writer *w = gy_calloc(1, sizeof *w);
    if (!w) {
        return gy_err_set(err, GY_E_NOMEM, "starting the writer");
    }
    w->db = db;
    w->db_lock = db_lock;
    w->max_queue = max_queue;
    w->max_group = max_group;
    pthread_condattr_t attr;
    GY_REQUIRE(pthread_condattr_init(&attr) == 0 &&
               pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    GY_REQUIRE(pthread_mutex_init(&w->lock, NULL) == 0 && pthread_cond_init(&w->work, &attr) == 0);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&w->thread, NULL, writer_main, w);
    if (rc != 0) {
        pthread_cond_destroy(&w->work);
        pthread_mutex_destroy(&w->lock);
        gy_free(w);
        return gy_err_sys(err, rc, "starting the writer thread");
    }
    (void)pthread_setname_np(w->thread, "gyre-writer"); /* only a label */
    *ret = w;
    return GY_OK;
}

/* Queue it and wait for it. */
static gy_status run_request(struct gy_writer *w, struct request *r)
{
    GY_REQUIRE(sem_init(&r->done, 0, 0) == 0);
    pthread_mutex_lock(&w->lock);
    GY_REQUIRE(!w->stopping);
    bool full = w->n_queued >= w->max_queue;
    if (!full) {
        *(w->tail ? &w->tail->next : &w->head) = r;
        w->tail = r;
        if (w->n_queued++ == 0) {
            pthread_cond_signal(&w->work);
        }
    }
    pthread_mutex_unlock(&w->lock);
    if (full) {
        r->status = gy_err_set(r->err, GY_E_BUSY, "%zu writes are waiting already", w->max_queue);
    } else {
        while (sem_wait(&r->done) != 0) {
            GY_REQUIRE(errno == EINTR);
        }
    }
    sem_destroy(&r->done);
    return r->status;
}

gy_status gy_writer_run(struct gy_writer *w, gy_db_fn fn, void *ctx, struct gy_err *err)
{
    struct request r = {.fn = fn, .ctx = ctx, .scope = gy_scope_current(), .err = err};
    return run_request(w, &r);
}

gy_status gy_writer_compact(struct gy_writer *w, const char *tables, struct gy_err *err)
{
    struct request r = {.compact = tables, .err = err};
    return run_request(w, &r);
}

static int compare_us(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void gy_writer_get_stats(struct gy_writer *w, struct gy_store_stats *ret)
{
    uint32_t us[GY_STORE_COMMIT_SAMPLES];
    pthread_mutex_lock(&w->lock);
    *ret = w->stats;
    ret->queued = (int64_t)w->n_queued;
    memcpy(us, w->commit_us, sizeof us);
    pthread_mutex_unlock(&w->lock);
    size_t n =
        ret->commits < GY_STORE_COMMIT_SAMPLES ? (size_t)ret->commits : GY_STORE_COMMIT_SAMPLES;
    if (n > 0) {
        qsort(us, n, sizeof us[0], compare_us);
        ret->commit_us_p50 = us[(n - 1) / 2];
        ret->commit_us_p99 = us[(n - 1) * 99 / 100];
        ret->commit_us_max = us[n - 1];
    }
}

void gy_writer_stop(struct gy_writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL); /* joinable, joined once */
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    gy_free(w);
}
