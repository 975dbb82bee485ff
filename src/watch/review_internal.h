/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the review queue share. */
#ifndef GY_WATCH_REVIEW_INTERNAL_H
#define GY_WATCH_REVIEW_INTERNAL_H

#include "watch/review.h"

/* What was offered, oldest first. */
struct gy_review_item {
    struct gy_review r;
    struct gy_str actor; /* who picked it */
    int64_t max_open;    /* of its policy */
    struct gy_review_item *next;
};
const struct gy_review_item *gy_review_batch_first(const struct gy_review_batch *b);

/* Add to the counts of an endpoint; the row is made when it is not there. */
GY_CHECKED gy_status gy_review_count(struct gy_db *db, const struct gy_review_queue *delta,
                                     struct gy_err *err);
/* "reviews:<endpoint>", in the arena; absent without memory. */
struct gy_str gy_review_node(struct gy_str endpoint, struct gy_arena *a);
GY_CHECKED gy_status gy_review_nomem(struct gy_err *err);

#endif
