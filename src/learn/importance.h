/* SPDX-License-Identifier: Apache-2.0 */
/* gy_importance: how much worse a model gets when one of its inputs is mixed up among the rows
 * (permutation importance, Breiman 2001; Fisher, Rudin and Dominici 2019), on rows it was not
 * trained on. Of any model, by its answers alone. Two inputs that say the same share their
 * importance: each can stand in for the other. Repeat r of input j mixes by the random stream
 * (seed, j * repeats + r): the results do not depend on the number of threads. Pure. */
#ifndef GY_LEARN_IMPORTANCE_H
#define GY_LEARN_IMPORTANCE_H

#include "learn/evaluate.h"

#define GY_IMPORTANCE_MAX_REPEATS 1000

struct gy_importance_options {
    struct gy_str metric; /* absent: auc, log_loss, rmse */
    size_t repeats;       /* of each input */
    size_t max_rows;      /* of the kept rows, every n-th; 0: all */
    uint64_t seed;
    int n_threads;
    void (*on_input)(void *ctx, int64_t done); /* MAY be NULL; from any thread, one at a time */
    void *ctx;
};

struct gy_input_importance {
    struct gy_str name;   /* a view into the model */
    double value;         /* mean over the repeats of how much worse it got */
    double sd, low, high; /* over the repeats: deviation, 2.5 and 97.5 percentile */
};
struct gy_importance {
    struct gy_arena arena;
    const char *metric;
    double base; /* with nothing mixed up */
    size_t n_rows, repeats;
    struct gy_input_importance *items; /* in the order of the inputs */
    size_t n;
};
void gy_importance_done(struct gy_importance *i);
GY_DEFINE_AUTO_DONE(struct gy_importance, gy_importance_done);

/* e: an evaluation of p on t with options.keep. ret is initialised here. Fails: INVALID (nothing
 * kept, no such metric, repeats, the metric is not defined on these rows), NOMEM, and as cells do.
 */
GY_CHECKED gy_status gy_importance_of(const struct gy_predictor *p, const struct gy_table *t,
                                      const struct gy_eval *e,
                                      const struct gy_importance_options *o,
                                      struct gy_importance *ret, struct gy_err *err);
/* {"metric","base","rows","repeats","inputs":[{"name","value","sd","low","high"}]}, the most
 * important first, as the value that is due. */
void gy_importance_write(struct gy_jw *w, const struct gy_importance *i);
/* Indices of the items, the most important first; n of them. */
void gy_importance_order(const struct gy_importance *i, uint32_t *order);

#endif
