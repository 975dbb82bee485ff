/* SPDX-License-Identifier: Apache-2.0 */
/* gy_feedback: what was learned about a prediction after it was answered: its true label, a reward,
 * a reviewer's verdict. The table `feedback` keeps each piece for good, so that labels may come
 * before or after the prediction's log record is seen, twice, and in any order: what counts is
 * decided by the join (watch/join.h) and not by what came last.
 *
 * A piece names its row by prediction_id, or by the caller's request_id (then the newest
 * prediction with it is meant), and the row's number in the request. Source says who knows:
 *   truth (the default: the outcome as measured) > review (a person's verdict) >
 *   any other name > simulated.
 * Within one source the later given_us wins, then the label's text. */
#ifndef GY_WATCH_FEEDBACK_H
#define GY_WATCH_FEEDBACK_H

#include "store/store.h"

#define GY_FEEDBACK_MAX_ID 256             /* a request id, as the log keeps it */
#define GY_FEEDBACK_MAX_INFO (16 * GY_KIB) /* reason and tags, JSON */

struct gy_feedback {
    bool by_request;          /* request_id names it, else prediction_id */
    unsigned char id[16];     /* prediction_id */
    struct gy_str request_id; /* by_request; at most GY_FEEDBACK_MAX_ID bytes */
    uint32_t row;             /* in the request, from 0 */
    struct gy_str label;      /* absent or empty: only a reward; at most GY_MAX_NAME bytes */
    /* NaN: none. Seldon's convention, as its clients use it: 1 = the answer was right, 0 = it was
     * wrong. A binary label that equals the answer together with reward 0 means the other class; a
     * reward alone says the same about the answer. */
    double reward;
    struct gy_str source; /* absent: "truth"; at most GY_MAX_NAME bytes */
    struct gy_str actor;  /* who sent it */
    int64_t given_us;     /* when the label was known; 0: now, see gy_feedback_add */
    int64_t created_us;   /* when it was taken; 0: now */
    struct gy_str info;   /* JSON object {"reason","tags",...}; absent: {} */
};

/* 3 truth, 2 review, 1 any other, 0 simulated. */
int gy_feedback_priority(struct gy_str source);
/* What can be told without a database: sizes, row, a label or a reward. Fails: INVALID. */
GY_CHECKED gy_status gy_feedback_check(const struct gy_feedback *f, struct gy_err *err);

/* Inside a write closure: keep n pieces; *ret_new (MAY be NULL) = those that were not there yet.
 * The same (target, row, source, given_us, label) is one piece. given_us 0 is set to now in the
 * list, except where the newest piece of that target, row and source already says the same label
 * and reward: then it is that piece sent again, and gets its time. So hand the list to the join
 * after this call. Fails: INVALID (gy_feedback_check), as gy_db_exec. */
GY_CHECKED gy_status gy_feedback_add(struct gy_db *db, struct gy_feedback *list, size_t n,
                                     size_t *ret_new, struct gy_err *err);

/* Inside a closure: all pieces taken at or after since_us, by target and row. The strings live
 * until fn returns. A failing fn ends the walk. */
typedef gy_status (*gy_feedback_fn)(void *ctx, const struct gy_feedback *f, struct gy_err *err);
GY_CHECKED gy_status gy_feedback_each(struct gy_db *db, int64_t since_us, gy_feedback_fn fn,
                                      void *ctx, struct gy_err *err);

#endif
