/* SPDX-License-Identifier: Apache-2.0 */
/* gy_backtest: all logged predictions of an endpoint since a time, answered again by another model
 * version (serve/rescore.h): which answers flip, by slice, and, where labels are known, how right
 * both were. Reads the segment files of the log, several at once; the numbers do not depend on how
 * many. Rows of canary and shadow revisions count like the others: what is compared is what was
 * answered then with what the version would answer. */
#ifndef GY_SERVE_BACKTEST_H
#define GY_SERVE_BACKTEST_H

#include "serve/labels.h"
#include "serve/rescore.h"

#define GY_BACKTEST_MAX_SLICES 32
#define GY_BACKTEST_MAX_REVISIONS 10000
#define GY_BACKTEST_MAX_THREADS 64

/* The shape of a revision of the endpoint; called by one thread at a time. Fails: NOTFOUND (its
 * records are counted as unreadable). */
typedef gy_status (*gy_backtest_shape_fn)(void *ctx, int64_t revision, const struct gy_shape **ret,
                                          struct gy_err *err);

struct gy_backtest_options {
    const char *dir; /* the log's folder; flush a live log before */
    struct gy_str endpoint;
    int64_t since_us, until_us; /* time of the prediction; until_us 0: now */
    const struct gy_predictor *predictor;
    double threshold;            /* NaN: the version's */
    const struct gy_str *slices; /* expressions over the logged inputs */
    size_t n_slices;
    const struct gy_labels *labels; /* MAY be NULL */
    gy_backtest_shape_fn shape;
    void *shape_ctx;
    int n_threads;
};

/* Answers of one kind against the labels. BINARY: positive is the second class. */
struct gy_backtest_quality {
    uint64_t tp, fp, tn, fn, correct;
    double abs_error, squared_error; /* REGRESSION: sums */
};
struct gy_backtest_counts {
    uint64_t rows;                         /* that both answered */
    uint64_t by_rule;                      /* of these: a rule decides, whatever the model */
    uint64_t same;                         /* equal answers */
    uint64_t up, down;                     /* BINARY: 0 then and 1 now; 1 then and 0 now */
    uint64_t scored;                       /* rows that have a score of then and of now */
    double score_change, score_change_abs; /* sums over these, now - then */
    uint64_t labelled;
    struct gy_backtest_quality then, now;
};
struct gy_backtest_result {
    struct gy_backtest_counts *groups; /* all, then a slice each; in the arena */
    size_t n_groups;
    enum gy_task task; /* of the rows; BINARY without rows */
    uint64_t records, segments, skipped_segments;
    uint64_t refused;          /* rows that lack an input that the version requires */
    uint64_t unreadable;       /* rows of a revision that is gone */
    uint64_t other;            /* rows of revisions that the version can not be compared on */
    char why_other[256];       /* the first reason */
    int64_t first_us, last_us; /* of the rows; 0: none */
    double seconds;
};
/* Fails: INVALID (a slice names what is not logged, does not parse), IO, NOMEM, as shape does. */
GY_CHECKED gy_status gy_backtest(const struct gy_backtest_options *o, struct gy_arena *a,
                                 struct gy_backtest_result *ret, struct gy_err *err);

#endif
