/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/watcher.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "watch/alerts.h"

#define BATCH 4096            /* records between two looks at the clock */
#define STORE_NS 500000000    /* what was read is stored this often */
#define RETIRE_NS 30000000000 /* versions that are gone are looked for this often */
#define FAILED_WAIT_MS 1000   /* after a failure */
#define ALERT_AFTER 3         /* failures in a row */

struct gy_watcher {
    struct gy_watcher_options o;
    char dir[GY_MAX_PATH];
    /* The thread's own. */
    struct gy_windows *windows;
    struct gy_log_cursor *cursor;
    bool begun[GY_WATCHER_MAX_CONSUMERS];
    int64_t hook_ns[GY_WATCHER_MAX_HOOKS];
    int64_t stored_ns, retired_ns, health_ns;
    uint64_t stored_records;
    int64_t newest_us; /* time of the newest record read */
    int failed_in_row;
    bool caught_up, alerted;
    uint64_t hook_failures[GY_WATCHER_MAX_HOOKS];

    pthread_mutex_t mu; /* guards all below */
    pthread_cond_t wakes, done_cond;
    bool stop, woken, reload;
    uint64_t asked, answered;
    gy_status answer;
    struct gy_watcher_stats stats;
    struct gy_arena open_arena;
    struct gy_window_state *open;
    size_t n_open;

    pthread_t thread;
    bool runs;
};

static bool is_stopping(struct gy_watcher *w)
{
    pthread_mutex_lock(&w->mu);
    bool stop = w->stop;
    pthread_mutex_unlock(&w->mu);
    return stop;
}

/* ---- reading ---- */

static gy_status one_record(void *ctx, const struct gy_log_place *place, const struct gy_record *r,
                            struct gy_err *err)
{
    struct gy_watcher *w = ctx;
    GY_TRY(gy_windows_record(w->windows, gy_log_cursor_marks(w->cursor), place, r, err));
    for (size_t i = 0; i < w->o.n_consumers; i++) {
        GY_TRY(w->o.consumers[i].record(w->o.consumers[i].self, r, err));
    }
    w->newest_us = r->time_us;
    return GY_OK;
}

static gy_status store_all(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gy_watcher *w = ctx;
    for (size_t i = 0; i < w->o.n_consumers; i++) {
        if (w->o.consumers[i].store) {
            GY_TRY(w->o.consumers[i].store(w->o.consumers[i].self, db, err));
        }
    }
    return gy_windows_checkpoint(w->windows, gy_log_cursor_marks(w->cursor), w->caught_up, db, err);
}

static gy_status checkpoint(struct gy_watcher *w, struct gy_err *err)
{
    GY_TRY(gy_store_write(w->o.store, store_all, w, err));
    gy_windows_saved(w->windows);
    for (size_t i = 0; i < w->o.n_consumers; i++) {
        if (w->o.consumers[i].stored) {
            w->o.consumers[i].stored(w->o.consumers[i].self);
        }
    }
    struct gy_tail_stats t;
    gy_log_cursor_stats(w->cursor, &t);
    w->stored_records = t.records;
    w->stored_ns = gy_mono_ns();
    return GY_OK;
}

/* Store when something was read since, and it is time or wanted. */
static gy_status store_some(struct gy_watcher *w, bool now, struct gy_err *err)
{
    struct gy_tail_stats t;
    gy_log_cursor_stats(w->cursor, &t);
    bool due = t.records != w->stored_records && (now || gy_mono_ns() - w->stored_ns > STORE_NS);
    return due ? checkpoint(w, err) : GY_OK;
}

static void tell_progress(struct gy_watcher *w);

static gy_status read_on(struct gy_watcher *w, struct gy_err *err)
{
    w->caught_up = false;
    while (!w->caught_up && !is_stopping(w)) {
        size_t n = 0;
        struct gy_err why = GY_ERR_INIT;
        gy_status st = gy_log_tail(w->cursor, BATCH, one_record, w, &n, &why);
        if (st == GY_E_BUSY) {
            GY_TRY(checkpoint(w, err)); /* a consumer is full; the store's own BUSY stays one */
            continue;
        }
        if (st != GY_OK) {
            if (err) {
                *err = why;
            }
            return st;
        }
        w->caught_up = n < BATCH;
        GY_TRY(store_some(w, false, err));
        tell_progress(w);
    }
    return GY_OK;
}

static gy_status begin(struct gy_watcher *w, struct gy_err *err)
{
    for (size_t i = 0; i < w->o.n_consumers; i++) {
        const struct gy_watch_consumer *c = &w->o.consumers[i];
        if (!w->begun[i] && c->begin) {
            GY_TRY(c->begin(c->self, err));
        }
        w->begun[i] = true;
    }
    return GY_OK;
}

/* ---- what others see ---- */

static gy_status copy_open(struct gy_watcher *w, struct gy_err *err)
{
    size_t n = gy_windows_count(w->windows);
    gy_arena_reset(&w->open_arena);
    w->n_open = 0;
    w->open = gy_arena_calloc(&w->open_arena, n + 1, sizeof *w->open);
    for (size_t i = 0; w->open && i < n; i++) {
        gy_windows_at(w->windows, i, &w->open[i]);
        w->open[i].endpoint = gy_arena_str(&w->open_arena, w->open[i].endpoint);
        w->open[i].version = gy_arena_str(&w->open_arena, w->open[i].version);
        if (!w->open[i].endpoint.p || !w->open[i].version.p) {
            w->open = NULL;
        }
    }
    if (!w->open) {
        return gy_err_set(err, GY_E_NOMEM, "the state of the watcher");
    }
    w->n_open = n;
    return GY_OK;
}

static void tell_progress(struct gy_watcher *w)
{
    struct gy_tail_stats t;
    gy_log_cursor_stats(w->cursor, &t);
    pthread_mutex_lock(&w->mu);
    w->stats.records = t.records;
    w->stats.holes = t.holes;
    w->stats.bad = t.bad;
    w->stats.windows = gy_windows_closed(w->windows);
    w->stats.unreadable = gy_windows_unreadable(w->windows);
    double behind = (double)(gy_now_us() - w->newest_us) / 1e6;
    w->stats.lag_seconds = w->caught_up || behind < 0 ? 0 : behind;
    GY_IGNORE(copy_open(w, NULL)); /* the list is empty then; the next look tries again */
    pthread_mutex_unlock(&w->mu);
}

/* ---- a look ---- */

static gy_status run_hooks(struct gy_watcher *w, bool fresh)
{
    gy_status first = GY_OK;
    for (size_t i = 0; i < w->o.n_hooks; i++) {
        const struct gy_watch_hook *h = &w->o.hooks[i];
        int64_t now = gy_mono_ns();
        if (!fresh && w->hook_ns[i] && now - w->hook_ns[i] < (int64_t)h->every_ms * 1000000) {
            continue;
        }
        struct gy_err why = GY_ERR_INIT;
        w->hook_ns[i] = now;
        gy_status st = h->tick(h->self, w, fresh, &why);
        if (st != GY_OK && w->hook_failures[i]++ % 100 == 0) { /* not ten times a second */
            (void)gy_err_wrap(&why, "%s", h->name);
            gy_log_err(GY_LOG_WARN, "watch", "work of the watcher failed", &why);
        }
        first = first == GY_OK ? st : first;
    }
    return first;
}

static gy_status look(struct gy_watcher *w, bool reload, bool fresh, struct gy_err *err)
{
    if (reload) {
        GY_TRY(gy_windows_reload(w->windows, err));
    }
    GY_TRY(begin(w, err));
    GY_TRY(read_on(w, err));
    GY_TRY(store_some(w, fresh, err));
    if (gy_mono_ns() - w->retired_ns > RETIRE_NS) {
        w->retired_ns = gy_mono_ns();
        GY_TRY(gy_windows_retire(w->windows, err));
    }
    return GY_OK;
}

static gy_status clear_alert(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_alert_clear(db, "watcher", GY_STR(""), GY_STR(""), GY_STR_NULL, GY_STR("gyre"), err);
}

static gy_status raise_alert(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct gy_err *why = ctx;
    char text[640];
    (void)snprintf(text, sizeof text, "the watcher can not read the prediction log: %s", why->msg);
    const struct gy_alert a = {.kind = GY_STR("watcher"),
                               .endpoint = GY_STR(""),
                               .subject = GY_STR(""),
                               .text = gy_str_c(text),
                               .actor = GY_STR("gyre")};
    return gy_alert_raise(db, &a, NULL, err);
}

/* One that fails again and again is told; also one that another server left firing is cleared. */
static void tell_health(struct gy_watcher *w, gy_status st, struct gy_err *why)
{
    int64_t now = gy_mono_ns();
    w->failed_in_row = st == GY_OK ? 0 : w->failed_in_row + 1;
    /* It took so long that others may have called it dead. */
    w->alerted = w->alerted || now - w->health_ns > (int64_t)GY_WATCHER_DEAD_S * 1000000000;
    w->health_ns = st == GY_OK ? now : w->health_ns;
    if (st != GY_OK && w->failed_in_row == 1) {
        gy_log_err(GY_LOG_ERROR, "watch", "the prediction log can not be watched", why);
    }
    if (st != GY_OK && w->failed_in_row == ALERT_AFTER) {
        w->alerted = true;
        GY_IGNORE(gy_store_write(w->o.store, raise_alert, why, NULL)); /* the log has it */
    } else if (st == GY_OK && w->alerted) {
        w->alerted = gy_store_write(w->o.store, clear_alert, NULL, NULL) != GY_OK;
    }
}

/* The whole of one tick: what was asked for before it is answered after it. */
static gy_status tick(struct gy_watcher *w, struct gy_err *err)
{
    pthread_mutex_lock(&w->mu);
    uint64_t asked = w->asked;
    bool fresh = asked != w->answered;
    bool reload = w->reload;
    w->reload = w->woken = false;
    pthread_mutex_unlock(&w->mu);
    struct gy_err why = GY_ERR_INIT;
    gy_status st = look(w, reload, fresh, &why);
    tell_progress(w);
    (void)run_hooks(w, fresh); /* told already */
    tell_health(w, st, &why);
    pthread_mutex_lock(&w->mu);
    w->stats.ticks++;
    w->stats.failures += st != GY_OK;
    w->stats.begun = w->stats.begun || st == GY_OK;
    (void)snprintf(w->stats.failure, sizeof w->stats.failure, "%.255s", why.msg);
    if (st == GY_OK) {
        w->stats.last_success_us = gy_now_us();
    }
    w->reload = w->reload || (reload && st != GY_OK);
    w->answered = asked;
    w->answer = st;
    pthread_cond_broadcast(&w->done_cond);
    pthread_mutex_unlock(&w->mu);
    if (st != GY_OK && err) {
        *err = why;
    }
    return st;
}

gy_status gy_watcher_tick(struct gy_watcher *w, struct gy_err *err)
{
    GY_REQUIRE(!w->runs);
    pthread_mutex_lock(&w->mu);
    w->asked++;
    pthread_mutex_unlock(&w->mu);
    return tick(w, err);
}

/* ---- the thread ---- */

static void wait_ms(struct gy_watcher *w, int ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* can not fail for this clock */
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&w->mu);
    int rc = 0;
    while (!w->stop && !w->woken && w->asked == w->answered && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&w->wakes, &w->mu, &until);
    }
    pthread_mutex_unlock(&w->mu);
}

static void *watcher_main(void *arg)
{
    struct gy_watcher *w = arg;
    while (!is_stopping(w)) {
        gy_status st = tick(w, NULL);
        wait_ms(w, st == GY_OK ? w->o.tick_ms : FAILED_WAIT_MS);
    }
    struct gy_err err = GY_ERR_INIT;
    if (store_some(w, true, &err) != GY_OK) { /* the next server reads it again */
        gy_log_err(GY_LOG_WARN, "watch", "what was read could not be stored", &err);
    }
    return NULL;
}

gy_status gy_watcher_new(const struct gy_watcher_options *o, struct gy_watcher **ret,
                         struct gy_err *err)
{
    GY_REQUIRE(o->n_consumers <= GY_WATCHER_MAX_CONSUMERS && o->n_hooks <= GY_WATCHER_MAX_HOOKS);
    struct gy_watcher *w = gy_calloc(1, sizeof *w);
    if (!w) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the watcher");
    }
    w->o = *o;
    w->o.tick_ms = o->tick_ms ? o->tick_ms : GY_WATCHER_TICK_MS;
    w->alerted = true; /* by a server before this one, perhaps */
    w->retired_ns = w->stored_ns = w->health_ns = gy_mono_ns();
    gy_arena_init(&w->open_arena, 64 * GY_MIB);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr); /* can not fail on Linux, nor the next ones */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&w->mu, NULL);
    (void)pthread_cond_init(&w->wakes, &attr);
    (void)pthread_cond_init(&w->done_cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    gy_status st = gy_windows_open(o->store, o->shapes, o->ops, o->ops_self, &w->windows, err);
    if (st == GY_OK) {
        st = gy_log_cursor_new(o->log_dir, &w->cursor, err);
    }
    if (st == GY_OK) {
        st = gy_log_cursor_seek(w->cursor, gy_windows_start(w->windows), err);
    }
    if (st != GY_OK) {
        gy_watcher_stop(w);
        return st;
    }
    *ret = w;
    return GY_OK;
}

gy_status gy_watcher_start(const struct gy_watcher_options *o, struct gy_watcher **ret,
                           struct gy_err *err)
{
    GY_AUTO(gy_watcher_stop) struct gy_watcher *w = NULL;
    GY_TRY(gy_watcher_new(o, &w, err));
    int rc = pthread_create(&w->thread, NULL, watcher_main, w);
    if (rc != 0) {
        return gy_err_sys(err, rc, "starting the watcher");
    }
    w->runs = true;
    (void)pthread_setname_np(w->thread, "gyre-watcher"); /* only a label */
    *ret = GY_TAKE(w);
    return GY_OK;
}

void gy_watcher_stop(struct gy_watcher *w)
{
    if (!w) {
        return;
    }
    pthread_mutex_lock(&w->mu);
    w->stop = true;
    pthread_cond_broadcast(&w->wakes);
    pthread_cond_broadcast(&w->done_cond);
    pthread_mutex_unlock(&w->mu);
    if (w->runs) {
        (void)pthread_join(w->thread, NULL); /* joinable, joined once */
    }
    gy_windows_free(w->windows);
    gy_log_cursor_free(w->cursor);
    gy_arena_done(&w->open_arena);
    (void)pthread_cond_destroy(&w->wakes);
    (void)pthread_cond_destroy(&w->done_cond);
    (void)pthread_mutex_destroy(&w->mu);
    gy_free(w);
}

/* ---- from other threads ---- */

static void wake(struct gy_watcher *w, bool reload)
{
    if (!w) {
        return;
    }
    pthread_mutex_lock(&w->mu);
    w->woken = true;
    w->reload = w->reload || reload;
    pthread_cond_signal(&w->wakes);
    pthread_mutex_unlock(&w->mu);
}

void gy_watcher_wake(struct gy_watcher *w)
{
    wake(w, false);
}

void gy_watcher_reload(struct gy_watcher *w)
{
    wake(w, true);
}

gy_status gy_watcher_catch_up(struct gy_watcher *w, struct gy_err *err)
{
    if (!w) {
        return gy_err_set(err, GY_E_UNAVAILABLE, "nothing is watched: no server runs");
    }
    if (w->o.live) {
        GY_TRY(gy_predlog_flush(w->o.live, false, err));
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* can not fail for this clock */
    until.tv_sec += GY_WATCHER_CATCH_UP_MS / 1000;
    pthread_mutex_lock(&w->mu);
    uint64_t mine = ++w->asked;
    pthread_cond_signal(&w->wakes);
    int rc = 0;
    while (!w->stop && w->answered < mine && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&w->done_cond, &w->mu, &until);
    }
    gy_status st = w->answered >= mine ? w->answer : w->stop ? GY_E_UNAVAILABLE : GY_E_TIMEOUT;
    char why[sizeof w->stats.failure];
    memcpy(why, w->stats.failure, sizeof why);
    pthread_mutex_unlock(&w->mu);
    return st == GY_OK
               ? GY_OK
               : gy_err_set(err, st, "the watcher has not caught up%s%s", why[0] ? ": " : "", why);
}

void gy_watcher_get_stats(struct gy_watcher *w, struct gy_watcher_stats *ret)
{
    pthread_mutex_lock(&w->mu);
    *ret = w->stats;
    pthread_mutex_unlock(&w->mu);
}

gy_status gy_watcher_windows(struct gy_watcher *w, struct gy_arena *a, struct gy_window_state **ret,
                             size_t *ret_n, struct gy_err *err)
{
    pthread_mutex_lock(&w->mu);
    size_t n = w->n_open;
    struct gy_window_state *all = gy_arena_calloc(a, n + 1, sizeof *all);
    gy_status st = all ? GY_OK : gy_err_set(err, GY_E_NOMEM, "the state of the watcher");
    for (size_t i = 0; st == GY_OK && i < n; i++) {
        all[i] = w->open[i];
        all[i].endpoint = gy_arena_str(a, all[i].endpoint);
        all[i].version = gy_arena_str(a, all[i].version);
        if (!all[i].endpoint.p || !all[i].version.p) {
            st = gy_err_set(err, GY_E_NOMEM, "the state of the watcher");
        }
    }
    pthread_mutex_unlock(&w->mu);
    *ret = all;
    *ret_n = n;
    return st;
}

const struct gy_watch_settings *gy_watcher_settings(struct gy_watcher *w, struct gy_str endpoint)
{
    return gy_windows_settings(w->windows, endpoint);
}

struct gy_windows *gy_watcher_open_windows(struct gy_watcher *w)
{
    return w->windows;
}
