/* SPDX-License-Identifier: Apache-2.0 */
/* gy_net_train: rows in, a fitted network out. Mini-batches in an order drawn for each epoch; each
 * batch is cut into shards of a fixed number of rows, whose gradients are added in their order. So
 * equal rows, plan and seed give equal weights at any number of threads.
 *
 * A part of the rows, drawn by the seed and their position, is not trained on: when its loss has
 * not fallen for `patience` epochs training ends, and the weights of the best epoch are kept. With
 * fewer than GY_NET_MIN_VALIDATION rows there, or none asked for, all rows are trained on in all
 * epochs, and the last weights are kept. */
#ifndef GY_LEARN_NETWORK_TRAINER_H
#define GY_LEARN_NETWORK_TRAINER_H

#include "learn/history.h"
#include "learn/network/weights.h"

#define GY_NET_MIN_VALIDATION 10
#define GY_NET_MAX_BATCH 4096

struct gy_net_data {
    const double *x;      /* n_rows x cells of the input, all finite */
    const double *y;      /* the class (SIGMOID: 0 or 1) or the value */
    const double *weight; /* of each row in the loss, at least 0; NULL: all 1 */
    size_t n_rows;
    size_t n_made_up; /* the last of them are never set aside to validate on */
};

struct gy_net_plan {
    int epochs;        /* 1 to GY_HISTORY_MAX_EPOCHS */
    int batch;         /* 1 to GY_NET_MAX_BATCH */
    double rate;       /* of Adam, above 0 */
    bool cosine;       /* the rate falls to 0 over the epochs by half a cosine; else it stays */
    double decay;      /* decoupled weight decay, at least 0 */
    int patience;      /* epochs, at least 1 */
    double validation; /* share of the rows, [0, 1) */
    bool standardise;  /* each channel of the input to mean 0 and standard deviation 1 */
    unsigned augment;  /* enum gy_augment (learn/picture.h), of pictures */
    uint64_t seed;
    int n_threads;
    void (*on_round)(void *ctx, int64_t done); /* after each epoch; MAY be NULL */
    void *ctx;
};

/* On GY_OK gy_net_model_done is due for *ret; history, which the caller has zeroed, gets every
 * epoch. The targets of a regression (IDENTITY) are standardised on the way. Fails: INVALID (the
 * spec, weights that are all 0, training that diverged, with a hint), MISSINGDEP (OpenBLAS), NOMEM.
 */
GY_CHECKED gy_status gy_net_train(const struct gy_net_spec *spec, const struct gy_net_data *data,
                                  const struct gy_net_plan *plan, struct gy_net_model *ret,
                                  struct gy_history *history, struct gy_err *err);

#endif
