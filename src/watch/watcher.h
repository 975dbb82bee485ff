/* SPDX-License-Identifier: Apache-2.0 */
/* gy_watcher: the one thread of a server that reads on in the prediction log (serve/tail.h) and
 * hands each record to those that live on it: the windows of drift (watch/windows.h) and consumers
 * (the join of predictions and labels, the review queue). It looks every tick_ms, and at once when
 * woken. What it has read is stored about twice a second together with what consumers gathered, so
 * that a server that is killed goes on where it stood. Hooks are other work that wants to be done
 * now and then on this thread: the guard of rollouts, deliveries, bounds.
 *
 * Lifecycle: gy_watcher_start -> wake, catch_up, stats from any thread -> gy_watcher_stop. Or, in
 * tests, gy_watcher_new and gy_watcher_tick by hand. */
#ifndef GY_WATCH_WATCHER_H
#define GY_WATCH_WATCHER_H

#include "serve/predlog.h"
#include "watch/windows.h"

#define GY_WATCHER_TICK_MS 100
#define GY_WATCHER_MAX_CONSUMERS 8
#define GY_WATCHER_MAX_HOOKS 8
#define GY_WATCHER_CATCH_UP_MS 30000
#define GY_WATCHER_DEAD_S 30 /* without a successful look it counts as dead */

struct gy_watcher;

/* Called on the watcher's thread. A record may come again after a failure and after a restart, so
 * what is done with it must not depend on how often. */
struct gy_watch_consumer {
    const char *name;
    void *self;
    /* MAY be NULL. Once, before the first record. */
    gy_status (*begin)(void *self, struct gy_err *err);
    /* BUSY: too much is gathered, store it first; the record comes again then. */
    gy_status (*record)(void *self, const struct gy_record *r, struct gy_err *err);
    /* MAY be NULL. Inside a write closure: store what was gathered. */
    gy_status (*store)(void *self, struct gy_db *db, struct gy_err *err);
    /* MAY be NULL. It was committed. */
    void (*stored)(void *self);
};

/* Called on the watcher's thread, outside of closures; a failure is logged and the next look
 * follows. */
struct gy_watch_hook {
    const char *name;
    void *self;
    int every_ms; /* 0: each tick */
    /* fresh: every record that was in the log when somebody asked is in (gy_watcher_catch_up). */
    gy_status (*tick)(void *self, struct gy_watcher *w, bool fresh, struct gy_err *err);
};

struct gy_watcher_options {
    struct gy_store *store;
    struct gy_shapes *shapes;
    const char *log_dir;
    struct gy_predlog *live; /* NULL: nothing is appended by this process */
    const struct gy_window_ops *ops;
    void *ops_self;
    struct gy_watch_consumer consumers[GY_WATCHER_MAX_CONSUMERS];
    size_t n_consumers;
    struct gy_watch_hook hooks[GY_WATCHER_MAX_HOOKS];
    size_t n_hooks;
    int tick_ms; /* 0: GY_WATCHER_TICK_MS */
};

/* Without a thread. Fails: NOMEM, as the store does. */
GY_CHECKED gy_status gy_watcher_new(const struct gy_watcher_options *o, struct gy_watcher **ret,
                                    struct gy_err *err);
/* One look, all that is there now: read, store, hooks. Only where no thread runs. */
GY_CHECKED gy_status gy_watcher_tick(struct gy_watcher *w, struct gy_err *err);
GY_CHECKED gy_status gy_watcher_start(const struct gy_watcher_options *o, struct gy_watcher **ret,
                                      struct gy_err *err);
/* Ends the thread, if there is one; what was read is stored. NULL allowed. */
void gy_watcher_stop(struct gy_watcher *w);
GY_DEFINE_AUTO(struct gy_watcher *, gy_watcher_stop);

/* Any thread; NULL allowed. */
void gy_watcher_wake(struct gy_watcher *w);
void gy_watcher_reload(struct gy_watcher *w); /* settings have changed; also wakes */
/* Return when everything answered before this call was handed on, windows that it filled are
 * judged, and the hooks have run. Not on the watcher's thread. Fails: TIMEOUT, UNAVAILABLE (it
 * ends; NULL), as the log does. */
GY_CHECKED gy_status gy_watcher_catch_up(struct gy_watcher *w, struct gy_err *err);

struct gy_watcher_stats {
    uint64_t records, holes, bad, windows, unreadable;
    uint64_t ticks, failures;
    double lag_seconds;      /* age of the newest record that was read, while there are more */
    int64_t last_success_us; /* when a look last ended well, 0: not yet */
    bool begun;              /* the consumers have what was there at the start */
    char failure[256];       /* why the last look failed; "" when it did not */
};
void gy_watcher_get_stats(struct gy_watcher *w, struct gy_watcher_stats *ret);
/* Copies of what is open, texts in the arena. Any thread. Fails: NOMEM. */
GY_CHECKED gy_status gy_watcher_windows(struct gy_watcher *w, struct gy_arena *a,
                                        struct gy_window_state **ret, size_t *ret_n,
                                        struct gy_err *err);
/* The settings of an endpoint; on the watcher's thread (hooks). */
const struct gy_watch_settings *gy_watcher_settings(struct gy_watcher *w, struct gy_str endpoint);
/* The open windows; on the watcher's thread (hooks). */
struct gy_windows *gy_watcher_open_windows(struct gy_watcher *w);

#endif
