/* SPDX-License-Identifier: Apache-2.0 */
/* The review queue: rows of answered predictions that a person is to judge, true ones and false
 * ones. Which rows, the policy of the endpoint's frozen revision decides (`review` in gyre.yaml):
 *
 *   {policy: all}                        every row
 *   {policy: sample, share: 0.1}         this share of them, at random
 *   {policy: uncertain, margin: 0.1}     those near to another answer: binary |probability -
 *                                        threshold|, multiclass the lead of the likeliest class
 *   {policy: mixed, share: 0.05, margin: 0.1, rule_hits: true}
 *                                        a sample of all rows, and all that are uncertain or that a
 *                                        rule decided
 *   {policy: none}                       none (so does no policy)
 * and with any of them
 *   blind: true                          score, answer and rule are hidden until the verdict
 *   max_open: N                          no more undecided rows; what is picked beyond is counted
 *
 * The random share is a hash of prediction id and row: the same record gives the same rows, whoever
 * reads it again. The chance that a row is picked is kept with it, so that what is measured on
 * reviewed rows can be weighted back. A verdict is a label; it is also kept as feedback.
 *
 * Lifecycle: gy_review_batch_new -> offer* -> gy_review_store in a write closure -> reset. A batch
 * has one owner; the other functions run inside store closures. */
#ifndef GY_WATCH_REVIEW_H
#define GY_WATCH_REVIEW_H

#include "base/limits.h"
#include "serve/shape.h"
#include "watch/feedback.h"

#define GY_REVIEW_MAX_OPEN 1000000           /* undecided rows of an endpoint, without max_open */
#define GY_REVIEW_BATCH_BYTES (128 * GY_MIB) /* memory of a batch */
#define GY_REVIEW_MAX_LIST 1000              /* rows a list */
#define GY_REVIEW_MAX_VERDICTS 10000         /* verdicts a call */
#define GY_REVIEW_MAX_TAGS 16                /* tags of a verdict */
#define GY_REVIEW_MAX_TAG 64                 /* bytes of one */
#define GY_REVIEW_MAX_REASON (4 * GY_KIB)    /* bytes of a reason */
#define GY_REVIEW_NO_MARGIN 1e9              /* how near another answer was is not known */
#define GY_REVIEW_SIMULATED "simulated"      /* the tag of verdicts that no person gave */

/* ---- policy ---- */

enum gy_review_kind {
    GY_REVIEW_NONE,
    GY_REVIEW_ALL,
    GY_REVIEW_SAMPLE,
    GY_REVIEW_UNCERTAIN,
    GY_REVIEW_MIXED
};
struct gy_review_policy {
    enum gy_review_kind kind;
    double share;  /* 0..1 */
    double margin; /* 0..1; negative: not asked for */
    bool rule_hits, blind;
    int64_t max_open;
};
/* The `review` section; NULL: none. Fails: INVALID naming the key, with a hint. */
GY_CHECKED gy_status gy_review_policy_read(yyjson_val *review, struct gy_review_policy *ret,
                                           struct gy_err *err);

/* ---- from the log into the queue ---- */

struct gy_review_batch;
/* max_bytes 0: GY_REVIEW_BATCH_BYTES. */
GY_CHECKED gy_status gy_review_batch_new(size_t max_bytes, struct gy_review_batch **ret,
                                         struct gy_err *err);
void gy_review_batch_free(struct gy_review_batch *b);
GY_DEFINE_AUTO(struct gy_review_batch *, gy_review_batch_free);
void gy_review_batch_reset(struct gy_review_batch *b); /* empty; keeps the memory */
size_t gy_review_batch_count(const struct gy_review_batch *b);

/* Add the rows of r that the policy picks; a record that was refused has none. Everything is
 * copied. Fails: BUSY (the batch is full and nothing of r is in it: store, reset, offer again;
 * never with an empty batch), NOMEM. A policy that can not be read picks nothing. */
GY_CHECKED gy_status gy_review_offer(struct gy_review_batch *b, const struct gy_record *r,
                                     const struct gy_shape *s, struct gy_err *err);
/* The same, but every row, because a person asks for it: no chance is known. */
GY_CHECKED gy_status gy_review_pick(struct gy_review_batch *b, const struct gy_record *r,
                                    const struct gy_shape *s, struct gy_str actor,
                                    struct gy_err *err);
/* The same of one row of the record (counted in it). */
GY_CHECKED gy_status gy_review_pick_row(struct gy_review_batch *b, const struct gy_record *r,
                                        uint32_t row, const struct gy_shape *s, struct gy_str actor,
                                        struct gy_err *err);
/* Put what was offered into the queue; rows that are there already stay as they are. One event
 * review.created an endpoint, when rows came in. The batch is not changed. */
GY_CHECKED gy_status gy_review_store(struct gy_db *db, const struct gy_review_batch *b,
                                     struct gy_err *err);

/* ---- items ---- */

struct gy_review {
    struct gy_str prediction_id;
    int64_t row, request_rows; /* of how many rows the request was */
    struct gy_str endpoint;
    int64_t revision;
    struct gy_str model_version, request_id;
    struct gy_str predicted;         /* the label that was answered */
    double score, margin;            /* gy_shape_score, NaN: not asked; GY_REVIEW_NO_MARGIN */
    struct gy_str rule, rule_reason; /* absent: no rule hit */
    struct gy_str inputs;            /* JSON object by name; missing: null */
    struct gy_str policy;            /* JSON of the policy ... */
    struct gy_str picked_by; /* ... and its branch: all, sample, uncertain, rule; or person */
    double probability;      /* that such a row is picked; NaN: a person picked it */
    bool blind;
    struct gy_str state;                     /* open, assigned, done */
    struct gy_str assignee;                  /* absent: nobody */
    struct gy_str verdict, reason, reviewer; /* absent until decided */
    bool agrees;                             /* the verdict is what was answered */
    struct gy_str tags;                      /* JSON list; absent: none */
    bool simulated;
    int64_t problems;      /* that were reported of it (watch/problem.h) ... */
    struct gy_str problem; /* ... and the reason of the newest; absent: none */
    int64_t predicted_us, created_us, assigned_us, decided_us; /* 0: not yet */
};
/* As a JSON object. Of a blind row that is not decided, the answer, its score and what could give
 * them away are null, and "hidden" is true. */
void gy_review_write(struct gy_jw *w, const struct gy_review *r);

enum gy_review_order { GY_REVIEW_OLDEST, GY_REVIEW_NEWEST, GY_REVIEW_NEAREST };
struct gy_review_query {
    struct gy_str endpoint, state, assignee; /* absent: any; NEAREST without a state: open ones */
    enum gy_review_order order;
    struct gy_str after_id; /* absent: from the start; else go on after this row ... */
    int64_t after_row;      /* ... of this prediction */
    int64_t since_us;       /* decided at or after; 0: any */
    size_t limit;           /* 1..GY_REVIEW_MAX_LIST */
};
/* In the arena. Fails: INVALID (limit), NOTFOUND (after_id with NEAREST). */
GY_CHECKED gy_status gy_review_list(struct gy_db *db, const struct gy_review_query *q,
                                    struct gy_arena *a, struct gy_review **ret, size_t *ret_n,
                                    struct gy_err *err);
/* Fails: NOTFOUND. */
GY_CHECKED gy_status gy_review_get(struct gy_db *db, struct gy_str prediction_id, int64_t row,
                                   struct gy_arena *a, struct gy_review *ret, struct gy_err *err);

struct gy_review_queue {
    struct gy_str endpoint;
    int64_t open, assigned, done, agreed, simulated, skipped;
    double median_hours; /* from queue to verdict, of the newest 10,000; NaN: none */
};
/* By endpoint; absent: all, without median_hours unless medians. */
GY_CHECKED gy_status gy_review_queues(struct gy_db *db, struct gy_str endpoint, bool medians,
                                      struct gy_arena *a, struct gy_review_queue **ret,
                                      size_t *ret_n, struct gy_err *err);

/* ---- what people do ---- */

/* Give an undecided row to assignee (absent: back to the queue). take: also when it is another's.
 * Fails: NOTFOUND, CONFLICT (decided; another has it), UNAUTHENTICATED (an anonymous actor). */
GY_CHECKED gy_status gy_review_assign(struct gy_db *db, struct gy_str prediction_id, int64_t row,
                                      struct gy_str assignee, bool take, struct gy_str actor,
                                      struct gy_err *err);

struct gy_review_verdict {
    struct gy_str prediction_id;
    int64_t row;
    struct gy_str verdict; /* a label; or "agree", "disagree" (BINARY) of a row that is not blind */
    struct gy_str reason;  /* absent: none */
    struct gy_str tags;    /* JSON list; absent: none */
    bool simulated;        /* GY_REVIEW_SIMULATED is among them */
};
struct gy_review_decided {
    int64_t decided;               /* rows that had no verdict before */
    int64_t corrected;             /* had another one */
    int64_t unchanged;             /* had this one */
    const struct gy_review *items; /* as they are now, in the order given; arena */
    /* What was kept as feedback: of those decided or corrected. To be told to a live join after the
     * commit. */
    const struct gy_feedback *feedback;
    size_t n_feedback;
};
/* All or none. A second verdict corrects the first; of a blind row it is refused, since its
 * reviewer has seen the answer by then, and a simulated one never replaces a person's. Each is kept
 * as feedback (source review, or simulated) whose info has the reviewer, the reason, the tags and
 * the policy with the chance that it picked the row. One
 * event review.verdict an endpoint: {"endpoint","count","corrected","simulated","total"}, total =
 * decided rows of the endpoint. Fails: UNAUTHENTICATED (reviewer anonymous), NOTFOUND, INVALID (no
 * class of the model), CONFLICT (blind), TOOBIG. */
GY_CHECKED gy_status gy_review_decide(struct gy_db *db, const struct gy_review_verdict *verdicts,
                                      size_t n, struct gy_str reviewer, struct gy_arena *a,
                                      struct gy_review_decided *ret, struct gy_err *err);
/* A JSON list of tags (NULL or null: none) checked and written to out as JSON. Fails: INVALID. */
GY_CHECKED gy_status gy_review_tags(yyjson_val *tags, struct gy_buf *out, bool *ret_simulated,
                                    struct gy_err *err);

/* What people need to judge rows of an endpoint: {"endpoint","revision","task","classes","blind",
 * "columns":[{"name","type","unit","min","max"}]}; columns where the data that the served version
 * was trained on is registered with a schema, else null. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_review_form(struct gy_db *db, struct gy_str endpoint, struct gy_arena *a,
                                    struct gy_jw *w, struct gy_err *err);

#endif
