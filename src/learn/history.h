/* SPDX-License-Identifier: Apache-2.0 */
/* gy_history: how a learner that goes over its rows again and again got better, epoch by epoch:
 * what learning curves are drawn from (the stepped metrics of its run). The losses are the
 * learner's own, a mean over rows; those of the training rows are taken on the way, so with dropout
 * and before the epoch was over. */
#ifndef GY_LEARN_HISTORY_H
#define GY_LEARN_HISTORY_H

#include "base/mem.h"

#define GY_HISTORY_MAX_EPOCHS 100000

struct gy_epoch {
    double loss, accuracy;         /* of the training rows; accuracy NaN in a regression */
    double val_loss, val_accuracy; /* of the rows set aside inside training; NaN: there were none */
    double rate;                   /* the learning rate */
};

/* One owner; a zeroed one is empty. */
struct gy_history {
    struct gy_epoch *epochs;
    size_t n, room;
    size_t best; /* the epoch (from 0) whose weights were kept */
};

/* Fails: NOMEM. */
GY_CHECKED gy_status gy_history_add(struct gy_history *h, const struct gy_epoch *e,
                                    struct gy_err *err);
void gy_history_done(struct gy_history *h);
GY_DEFINE_AUTO_DONE(struct gy_history, gy_history_done);

#endif
