/* SPDX-License-Identifier: Apache-2.0 */
/* gy_join: predictions meet their feedback. One table in memory of the newest predicted rows and of
 * labels whose prediction was not seen yet (orphans). What it says depends on the set of
 * predictions and feedback it was given, never on their order nor on repetition: labels may come
 * before, after, twice. Of several labels for a row the one of the highest source counts, then the
 * one given last, then the greater text (watch/feedback.h). Feedback by request id counts for the
 * newest prediction with that request id; `repeated` says that there were several.
 *
 * Bounded: at most max_rows rows (orphans included), the oldest come out first; only then order
 * matters. 114 bytes a row (96, and index slots of 8 that are filled by half), 128 once feedback
 * names request ids.
 *
 * Thread safe: one mutex. Queries walk rows with the lock held, about 60 ns a row, but not all rows
 * of the endpoint: parts of a thousand are passed over that are of another time or have no label,
 * and counts of classes remember what a part adds up to until a label in it changes. Do not call
 * from inside a store closure, except gy_join_feedback. */
#ifndef GY_WATCH_JOIN_H
#define GY_WATCH_JOIN_H

#include "serve/shape.h"
#include "watch/feedback.h"

#define GY_JOIN_MAX_ROWS 2000000
#define GY_JOIN_MAX_GROUPS 20000 /* pairs of revision and version */
#define GY_JOIN_MAX_SOURCES 250  /* names of sources; further ones are told as "other" */
#define GY_JOIN_MAX_LABELS 65536 /* distinct label texts that are no plain numbers */
#define GY_JOIN_MAX_CLASSES 1000 /* classes told apart */

struct gy_join;

/* shapes must outlive it. max_rows 0: GY_JOIN_MAX_ROWS. Fails: NOMEM. */
GY_CHECKED gy_status gy_join_new(struct gy_shapes *shapes, size_t max_rows, struct gy_join **ret,
                                 struct gy_err *err);
void gy_join_free(struct gy_join *j);
GY_DEFINE_AUTO(struct gy_join *, gy_join_free);

/* A log record: its rows. Those known already change nothing. A record that can not be read (its
 * revision is gone or one too many, an error answer) is counted and passed over. Fails: NOMEM, as
 * the store does. */
GY_CHECKED gy_status gy_join_prediction(struct gy_join *j, const struct gy_record *r,
                                        struct gy_err *err);
/* given_us must be set (gy_feedback_add does). *ret_joined (MAY be NULL): the prediction is known.
 * Fails: NOMEM. */
GY_CHECKED gy_status gy_join_feedback(struct gy_join *j, const struct gy_feedback *f,
                                      bool *ret_joined, struct gy_err *err);
/* Read the whole log of log_dir (segments; flush a live log first) and the table. May be repeated:
 * what is known stays. Fails: IO, CORRUPT, NOMEM, as the store does. */
GY_CHECKED gy_status gy_join_rebuild(struct gy_join *j, struct gy_store *store, const char *log_dir,
                                     struct gy_err *err);

struct gy_join_query {
    struct gy_str endpoint;     /* required */
    int64_t revision;           /* 0: any */
    struct gy_str version;      /* that answered; absent: any */
    int64_t since_us, until_us; /* of the prediction, until not included; 0: no bound */
    size_t last_n;              /* only the last n labelled rows by prediction time; 0: all */
    bool labelled;              /* gy_join_each: rows with a label only (last_n implies it) */
    bool rewarded;              /* ... and those with a reward alone */
};

/* A predicted row. Values as the log tells them (serve/shape.h): class values, or the value of a
 * regression; NaN: there is none. */
struct gy_join_row {
    unsigned char id[16];
    uint32_t row;
    int64_t time_us;
    const struct gy_shape *shape;
    struct gy_str version;            /* that answered */
    double answered;                  /* what the client got: rules and model combined */
    double model;                     /* what the model said by itself; NaN: not asked */
    double shadow;                    /* what the shadow version would have answered */
    double score;                     /* probability of class 1, of the best class, the value */
    const struct gy_shape_rule *rule; /* that hit; NULL: none */
    double rule_value;                /* its prediction, else the first class (classification) */
    double weight; /* of the model's value: 1, or 1/rule_shadow where a rule decided and the model
                      was asked for a sample only */
    double truth;  /* NaN: not labelled, or the label is none of the model */
    double reward; /* of the feedback, from 0 to 1; NaN: none, or another number */
    int64_t given_us;     /* of the label; 0: none */
    struct gy_str source; /* of the label, absent: none */
    bool drawn;           /* its version was drawn by the shares of its revision */
    bool by_request;      /* the label named the request id ... */
    bool repeated;        /* ... which several predictions have */
    bool many;            /* there was more than one different piece of feedback ... */
    bool conflict;        /* ... with different labels */
};
/* Rows that match, in order of arrival within each revision and version; with the lock held: fn
 * must not call gy_join_*. A failing fn ends the walk. Fails: NOMEM. */
typedef gy_status (*gy_join_row_fn)(void *ctx, const struct gy_join_row *row, struct gy_err *err);
GY_CHECKED gy_status gy_join_each(struct gy_join *j, const struct gy_join_query *q,
                                  gy_join_row_fn fn, void *ctx, struct gy_err *err);
/* One row. shape and views live as long as the join. false: not known. */
bool gy_join_get(struct gy_join *j, const unsigned char id[16], uint32_t row,
                 struct gy_join_row *ret);

/* ---- counts ---- */
enum gy_join_by { GY_BY_RULE, GY_BY_MODEL, GY_BY_COMBINED, GY_BY_SHADOW, GY_BY_COUNT };
const char *gy_join_by_name(enum gy_join_by by); /* "rule" "model" "combined" "shadow" */

/* A weighted count: sum of weights and of their squares. A row of an endpoint that logs a share of
 * its predictions counts 1/share. n * n / n2 rows of weight 1 would be as
 * uncertain. */
struct gy_join_cell {
    double n, n2;
};
struct gy_join_class {
    struct gy_join_cell tp, fp, fn; /* of that class against all others */
};
struct gy_join_way {
    uint64_t rows; /* labelled rows that have a value of this kind; 0: nothing can be said */
    struct gy_join_cell all, correct;
    struct gy_join_cell tp, fp, tn, fn;  /* BINARY; positive is the second class */
    const struct gy_join_class *classes; /* MULTICLASS, by class index; NULL without an arena */
    double macro_f1;                     /* MULTICLASS; NaN: no class can be told */
    double mae, rmse, bias;              /* REGRESSION; bias = mean of value - truth */
    double square_variance;              /* REGRESSION: of the squared errors */
};
struct gy_join_counts {
    enum gy_task task; /* of the newest revision; rows of revisions with another task or other
                          classes are left out and counted */
    bool has_rules;
    const struct gy_shape *shape; /* of the newest revision; NULL: no rows at all */
    struct gy_join_way by[GY_BY_COUNT];
    uint64_t predictions; /* rows that match (with last_n: the labelled ones that were taken) */
    uint64_t labelled;
    uint64_t unreadable; /* rows whose label is no class or number of the model: not labelled */
    uint64_t other_task;
    uint64_t many, conflicts, repeated; /* labelled rows with those flags of gy_join_row */
    uint64_t orphans;          /* of the whole join: labels whose prediction is not known */
    int64_t first_us, last_us; /* prediction times of the rows; 0: none */
};
/* `duplicates` of a report is `many`. arena MAY be NULL (then no per-class numbers). Fails: NOMEM.
 * No rows is no failure. */
GY_CHECKED gy_status gy_join_counts(struct gy_join *j, const struct gy_join_query *q,
                                    struct gy_arena *arena, struct gy_join_counts *ret,
                                    struct gy_err *err);

/* The same for n stretches of width_us from start_us on, by prediction time, in one walk; last_n is
 * not looked at. list: n results, by the caller; no per-class numbers. */
#define GY_JOIN_MAX_WINDOWS 1000
GY_CHECKED gy_status gy_join_windows(struct gy_join *j, const struct gy_join_query *q,
                                     int64_t start_us, int64_t width_us, size_t n,
                                     struct gy_join_counts *list, struct gy_err *err);

/* Which revisions and versions there are rows of, by endpoint, revision, version. The list lives in
 * the arena, what it names in the join. endpoint absent: all. Fails: NOMEM. */
struct gy_join_group {
    const struct gy_shape *shape;
    struct gy_str version;
    uint64_t rows;
};
GY_CHECKED gy_status gy_join_groups(struct gy_join *j, struct gy_str endpoint, struct gy_arena *a,
                                    struct gy_join_group **ret, size_t *ret_n, struct gy_err *err);

struct gy_join_stats {
    uint64_t rows, orphans, evicted; /* now, now, since it was made */
    uint64_t feedback;               /* calls of gy_join_feedback */
    uint64_t unreadable;             /* records that were passed over */
    size_t bytes;
};
void gy_join_get_stats(struct gy_join *j, struct gy_join_stats *ret);

#endif
