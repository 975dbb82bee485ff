/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the review routes share. Any thread. */
#ifndef GY_API_REVIEW_API_H
#define GY_API_REVIEW_API_H

#include "api/app.h"

#define GY_REVIEW_BASE "/api/gyre/v1/reviews"
#define GY_REVIEW_KEY "review.key" /* in the home folder: what review tokens are signed with */

/* Who asks: whom the token (header Gyre-Review-Token, else query `token`) names, else the actor of
 * the connection. Fails: UNAUTHENTICATED (a token that is not good). */
GY_CHECKED gy_status gy_review_reviewer(struct gy_app *app, const struct gy_request *req,
                                        struct gy_str *ret, struct gy_err *err);
/* The part of /metrics about reviews and webhooks. */
GY_CHECKED gy_status gy_review_metrics(struct gy_app *app, struct gy_arena *a, struct gy_buf *b,
                                       struct gy_err *err); /* review_metrics.c */
/* The path parameter {row}. Fails: INVALID. */
GY_CHECKED gy_status gy_review_row(const struct gy_request *req, int64_t *ret, struct gy_err *err);

#endif
