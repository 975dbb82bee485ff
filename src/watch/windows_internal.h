/* SPDX-License-Identifier: Apache-2.0 */
/* What windows.c and windows_store.c share. */
#ifndef GY_WATCH_WINDOWS_INTERNAL_H
#define GY_WATCH_WINDOWS_INTERNAL_H

#include "watch/windows.h"

/* How often rules hit where nothing drifted, by the digest of the rules. */
struct gy_rule_reference {
    char key[17]; /* "" without rules */
    uint64_t rows, hits;
    int64_t windows;
};

struct gy_open_window {
    char *endpoint, *version;
    int64_t revision; /* of the newest row */
    const struct gy_shape *shape;
    void *state;                      /* of the ops; NULL: no row yet */
    int64_t rows, of, from_us, to_us; /* of: rows that make it whole */
    int64_t number;
    int64_t drift_since_us;    /* of the run of windows that differ; 0: the last one did not */
    struct gy_log_marks start; /* where this window begins */
    bool resumed;              /* drift_since_us is what the store said, or newer */
    bool dirty;                /* start is not what the store has */
    int64_t seen_mono_ns;      /* when the last row came */
    /* The record that came last and how many of its rows are in: it may come again. */
    unsigned char boot[16];
    uint32_t ring, taken;
    uint64_t seq;
    /* The window's own rule hits, of the rows under `rules.key`. */
    struct gy_rule_reference rules;
    uint64_t rule_rows, rule_hits;
    char *reference; /* JSON, NULL: none */
};

/* A closed window on its way into the store. */
struct gy_window_closing {
    struct gy_open_window *w;
    const struct gy_watch_settings *settings;
    const struct gy_window_verdict *verdict;
    const struct gy_log_marks *next; /* where the following window begins */
    struct gy_rule_reference rules;  /* as it is from now on */
    bool rules_changed;
    int64_t number; /* out */
};
/* Inside a write closure. */
GY_CHECKED gy_status gy_window_write(struct gy_db *db, struct gy_window_closing *c,
                                     struct gy_err *err);
GY_CHECKED gy_status gy_window_put_place(struct gy_db *db, const char *endpoint,
                                         const char *version, const struct gy_log_marks *m,
                                         struct gy_err *err);
GY_CHECKED gy_status gy_window_drop_place(struct gy_db *db, const char *endpoint,
                                          const char *version, struct gy_err *err);
GY_CHECKED gy_status gy_window_put_log(struct gy_db *db, const struct gy_log_marks *m,
                                       struct gy_err *err);
/* Inside a read closure: the place of the log, and fn for each open window. */
GY_CHECKED gy_status gy_window_get_log(struct gy_db *db, struct gy_log_marks *m,
                                       struct gy_err *err);
typedef gy_status (*gy_window_place_fn)(void *ctx, struct gy_str endpoint, struct gy_str version,
                                        struct gy_str place, struct gy_err *err);
GY_CHECKED gy_status gy_window_each_place(struct gy_db *db, gy_window_place_fn fn, void *ctx,
                                          struct gy_err *err);
/* The reference windows and the rule references of a version. */
GY_CHECKED gy_status gy_window_get_reference(struct gy_db *db, const char *endpoint,
                                             const char *version, struct gy_arena *a,
                                             struct gy_str *ret, struct gy_err *err);
/* Where the run of windows that differ began, which the newest stored one ends; 0: none does. */
GY_CHECKED gy_status gy_window_get_run(struct gy_db *db, const char *endpoint, const char *version,
                                       int64_t *ret_since_us, struct gy_err *err);
GY_CHECKED gy_status gy_window_get_rules(struct gy_db *db, const char *endpoint,
                                         const char *version, struct gy_rule_reference *r,
                                         struct gy_err *err);

#endif
