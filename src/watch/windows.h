/* SPDX-License-Identifier: Apache-2.0 */
/* The windows of rows that drift is told of: each row that an endpoint answered belongs to exactly
 * one window of the version that answered it, windows are of N rows (watch/config.h), numbered by
 * endpoint. What was found, its events and alerts, and the place in the prediction log where the
 * next window begins are written in one transaction; so a server that is killed reads the rows of
 * the open window again, and no window is there twice or is missing.
 *
 * An open window of a version that is no longer served is given up after a while: its rows are not
 * judged. Not thread safe: the watcher's own. */
#ifndef GY_WATCH_WINDOWS_H
#define GY_WATCH_WINDOWS_H

#include "serve/shape.h"
#include "serve/tail.h"
#include "watch/config.h"

#define GY_WINDOWS_MAX_OPEN 10000   /* endpoints times versions */
#define GY_WINDOWS_RETIRE_S 60      /* without a row, and not served any more */
#define GY_WINDOWS_RULE_REFERENCE 5 /* windows without drift that tell how often rules hit */

/* What a window is held against and how. Views. */
struct gy_window_scope {
    struct gy_str endpoint, version;
    const struct gy_shape *shape; /* of the revision that the first row is of */
    const struct gy_watch_settings *settings;
    int64_t rows;            /* of a whole window */
    struct gy_str reference; /* JSON: what judge made of the first window; absent: none */
    /* Rules: rows and hits of the first windows without drift, 0 rows: not known yet; and of this
     * window (judge only). */
    uint64_t rule_rows, rule_hits;
    uint64_t window_rule_rows, window_rule_hits;
    int64_t drift_since_us; /* where the run of drifted windows before this one began; 0: none */
};

/* What was found; in the arena of judge. */
struct gy_window_verdict {
    bool drift;   /* of the dataset */
    bool told;    /* there is something to tell: an event and an alert */
    double share; /* of features that drifted */
    bool sensor;  /* like a sensor's fault: retraining does not cure it */
    bool may_retrain;
    struct gy_str cause;          /* "sensor" "population" "unknown"; absent: nothing to tell */
    struct gy_str reason;         /* sentences; absent: nothing to tell */
    struct gy_str retrain_reason; /* why, or why not */
    struct gy_str features;       /* JSON array: the names that drifted */
    struct gy_str feature;        /* sensor: which one */
    double offset;                /* sensor: by how much, NaN: not told */
    struct gy_str result;         /* JSON object: all numbers */
    struct gy_str reference; /* JSON to be kept as the reference of this version; absent: none */
};

/* How rows become a verdict. open: *ret is a window without rows. rows: n rows of r from row
 * `from` on (r->revision's shape). judge: MAY be called again. close: NULL is never given. */
struct gy_window_ops {
    uint32_t version; /* 1 */
    const char *name;
    gy_status (*open)(void *self, const struct gy_window_scope *scope, void **ret,
                      struct gy_err *err);
    gy_status (*rows)(void *self, void *window, const struct gy_shape *shape,
                      const struct gy_record *r, uint32_t from, uint32_t n, struct gy_err *err);
    gy_status (*judge)(void *self, void *window, const struct gy_window_scope *scope,
                       struct gy_arena *a, struct gy_window_verdict *ret, struct gy_err *err);
    void (*close)(void *self, void *window);
};

struct gy_windows;

/* Read where windows stand. store and shapes must outlive it. Fails: NOMEM, as the store does. */
GY_CHECKED gy_status gy_windows_open(struct gy_store *store, struct gy_shapes *shapes,
                                     const struct gy_window_ops *ops, void *self,
                                     struct gy_windows **ret, struct gy_err *err);
void gy_windows_free(struct gy_windows *w);
GY_DEFINE_AUTO(struct gy_windows *, gy_windows_free);
/* Read the settings of all projects again. */
GY_CHECKED gy_status gy_windows_reload(struct gy_windows *w, struct gy_err *err);
/* The settings of an endpoint; valid until the next reload. */
const struct gy_watch_settings *gy_windows_settings(const struct gy_windows *w,
                                                    struct gy_str endpoint);

/* Inside a closure: how far this home's watcher had come when it last stored that; *ret_found
 * false: it never has. */
GY_CHECKED gy_status gy_windows_log_place(struct gy_db *db, struct gy_log_marks *ret,
                                          bool *ret_found, struct gy_err *err);
/* Where reading must begin so that no open window lacks a row; a view. */
const struct gy_log_marks *gy_windows_start(const struct gy_windows *w);
/* One record; done: all places before it (gy_log_cursor_marks while it is given). Rows that a
 * window has already do nothing, so after a failure the record may come again. Closes windows that
 * are full. Fails: NOMEM, TOOBIG, as judge and the store do. */
GY_CHECKED gy_status gy_windows_record(struct gy_windows *w, const struct gy_log_marks *done,
                                       const struct gy_log_place *place, const struct gy_record *r,
                                       struct gy_err *err);
/* Inside a write closure, all records up to `done` being in: the place from which to go on. When
 * caught_up, places of streams that are gone are forgotten. */
GY_CHECKED gy_status gy_windows_checkpoint(struct gy_windows *w, const struct gy_log_marks *done,
                                           bool caught_up, struct gy_db *db, struct gy_err *err);
void gy_windows_saved(struct gy_windows *w); /* ... which was committed */
/* Give up open windows of versions that are not served any more. Outside of closures. */
GY_CHECKED gy_status gy_windows_retire(struct gy_windows *w, struct gy_err *err);

/* What is open. Views, valid until the next call of anything else. */
struct gy_window_state {
    struct gy_str endpoint, version;
    int64_t revision;              /* of the newest row; 0: none yet */
    int64_t rows, of;              /* waiting, of a whole window */
    int64_t to_us;                 /* of the newest row */
    int64_t number;                /* of the last window that was closed by this process, 0: none */
    uint64_t rule_rows, rule_hits; /* the reference of rules */
};
size_t gy_windows_count(const struct gy_windows *w);
void gy_windows_at(const struct gy_windows *w, size_t i, struct gy_window_state *ret);
uint64_t gy_windows_closed(const struct gy_windows *w);     /* by this process */
uint64_t gy_windows_unreadable(const struct gy_windows *w); /* records of unknown revisions */

/* ---- what is stored; inside closures ---- */
struct gy_window_row {
    int64_t id, number, revision, rows, from_us, to_us, created_us;
    struct gy_str endpoint, version;
    bool drift;
    double share; /* NaN: nothing could be told */
    struct gy_str cause, result;
};
#define GY_WINDOWS_LIST_MAX 10000
#define GY_WINDOWS_KEPT 10000  /* the newest so many of an endpoint are kept */
#define GY_WINDOWS_VERSIONS 20 /* the versions of an endpoint that gy_window_latest tells of */
/* The newest max windows, newest first, of an endpoint, version (absent: all). In the arena. */
GY_CHECKED gy_status gy_window_list(struct gy_db *db, struct gy_str endpoint, struct gy_str version,
                                    size_t max, struct gy_arena *a, struct gy_window_row **ret,
                                    size_t *ret_n, struct gy_err *err);
/* The newest window of each endpoint and version (absent endpoint: of all), of the
 * GY_WINDOWS_VERSIONS versions of each endpoint that had one last: what is told at each look must
 * not grow with every version there ever was. */
GY_CHECKED gy_status gy_window_latest(struct gy_db *db, struct gy_str endpoint, struct gy_arena *a,
                                      struct gy_window_row **ret, size_t *ret_n,
                                      struct gy_err *err);

#endif
