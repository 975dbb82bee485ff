/* SPDX-License-Identifier: Apache-2.0 */
/* gy_problem: what somebody says is wrong with a prediction, in their own words. Who may ask for
 * predictions may say so; the row is put into the review queue (watch/review.h), where it is judged
 * with its inputs and its trace. Several may be said of one row.
 *
 * All functions run inside store closures; results live in the arena. */
#ifndef GY_WATCH_PROBLEM_H
#define GY_WATCH_PROBLEM_H

#include "base/json.h"
#include "base/limits.h"
#include "store/store.h"

#define GY_PROBLEM_MAX_REASON 200        /* bytes: one line */
#define GY_PROBLEM_MAX_TEXT (4 * GY_KIB) /* bytes */
#define GY_PROBLEM_MAX_OF_PREDICTION 100 /* problems that one prediction may have */
#define GY_PROBLEM_EVENT "problem.reported"

struct gy_problem {
    struct gy_str id; /* a UUIDv7 */
    struct gy_str prediction_id;
    int64_t row;
    struct gy_str endpoint, reason, text; /* text absent: none */
    struct gy_str actor;
    int64_t created_us;
};

/* Keep it, with an event. Fails: INVALID (reason or text), TOOBIG (the prediction has too many). */
GY_CHECKED gy_status gy_problem_add(struct gy_db *db, const struct gy_problem *p,
                                    struct gy_err *err);
/* Of a prediction, oldest first. */
GY_CHECKED gy_status gy_problem_list(struct gy_db *db, struct gy_str prediction_id,
                                     struct gy_arena *a, struct gy_problem **ret, size_t *ret_n,
                                     struct gy_err *err);
/* A page of all, by id; after absent: from the start. limit 1..GY_PROBLEM_MAX_PAGE. */
#define GY_PROBLEM_MAX_PAGE 1000
GY_CHECKED gy_status gy_problem_page(struct gy_db *db, struct gy_str after, size_t limit,
                                     struct gy_arena *a, struct gy_problem **ret, size_t *ret_n,
                                     struct gy_err *err);
/* Its event stays, without the reason; nobody else is told of it any more. Fails as the store does;
 * one that is not there is no failure. */
GY_CHECKED gy_status gy_problem_remove(struct gy_db *db, const struct gy_problem *p,
                                       struct gy_err *err);
void gy_problem_write(struct gy_jw *w, const struct gy_problem *p);

#endif
