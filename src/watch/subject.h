/* SPDX-License-Identifier: Apache-2.0 */
/* Reviews and feedback of one person: those of the person's predictions, and those that name the
 * person themselves. Not inside closures; one owner. */
#ifndef GY_WATCH_SUBJECT_H
#define GY_WATCH_SUBJECT_H

#include "data/subject.h"
#include "store/store.h"

#define GY_SUBJECT_MAX_ROWS 50000000 /* rows of predictions of one subject */

/* Rows of predictions. Zeroed is empty. */
struct gy_subject_rows {
    struct gy_buf entries;
    bool sorted;
};
void gy_subject_rows_init(struct gy_subject_rows *r);
void gy_subject_rows_done(struct gy_subject_rows *r);
GY_DEFINE_AUTO_DONE(struct gy_subject_rows, gy_subject_rows_done);
GY_CHECKED gy_status gy_subject_rows_add(struct gy_subject_rows *r, const unsigned char id[16],
                                         uint32_t row, struct gy_err *err);
bool gy_subject_rows_has(struct gy_subject_rows *r, const unsigned char id[16], uint32_t row);
size_t gy_subject_rows_count(const struct gy_subject_rows *r);

struct gy_subject_judged {
    const struct gy_subject *subject;
    const struct gy_str *columns; /* inputs that identify a person */
    size_t n_columns;
    struct gy_subject_rows *rows; /* of predictions that are the subject's */
    /* Each as a JSON object. MAY be NULL. */
    gy_status (*fn)(void *ctx, struct gy_str json, struct gy_err *err);
    void *ctx;
    bool remove;
};
/* *ret_n: how many were found. Reviews that go are taken off the counts of their queues. Feedback
 * by a request id is found by that id. Fails: as gy_store_read and gy_store_write, TOOBIG. */
GY_CHECKED gy_status gy_subject_reviews(struct gy_store *store, const struct gy_subject_judged *o,
                                        int64_t *ret_n, struct gy_err *err);
/* What was reported of predictions: of the subject's rows, and what names the subject. */
GY_CHECKED gy_status gy_subject_problems(struct gy_store *store, const struct gy_subject_judged *o,
                                         int64_t *ret_n, struct gy_err *err);
GY_CHECKED gy_status gy_subject_feedback(struct gy_store *store, const struct gy_subject_judged *o,
                                         int64_t *ret_n, struct gy_err *err);

#endif
