/* SPDX-License-Identifier: Apache-2.0 */
/* What a search may try: for each learner its dimensions, and a portfolio to begin with. After it
 * settings are proposed by a tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kegl,
 * NIPS 2011): the trials so far are parted into the best tenth and the others, each part gives a
 * density over learners and settings, and of the candidates drawn from the first density the one is
 * taken where it is largest beside the second. Pure; thread safe. */
#ifndef GY_LEARN_SPACE_H
#define GY_LEARN_SPACE_H

#include "base/id.h"
#include "learn/search.h"

#define GY_SPACE_MAX_DIMENSIONS GY_TRIAL_MAX_SETTINGS

/* One setting of a learner. A value is a point u in [0, 1]: low + u (high - low), or the same on a
 * log scale, rounded when it is whole; of words each has an equal part of [0, 1]. */
struct gy_dimension {
    const char *key;
    double low, high;
    bool log, whole;
    const char *const *words; /* NULL-terminated; MAY be NULL */
};

/* What is searched: told by the rows. */
struct gy_space {
    enum gy_task task;
    size_t n_rows, n_inputs;
    bool rare;                   /* BINARY: fewer than one row in five is of the rarer class */
    bool positive;               /* REGRESSION: no value below 0 */
    const enum gy_learner *only; /* MAY be NULL: all that suit */
    size_t n_only;
    uint64_t seed;
};

/* The dimensions of a learner; ends with a row without key; NULL: none are searched. */
const struct gy_dimension *gy_space_of(enum gy_learner learner);
/* Learners that are searched for this space; returns how many, at most GY_LEARNERS. */
size_t gy_space_learners(const struct gy_space *s, enum gy_learner *out);
size_t gy_space_portfolio(const struct gy_space *s);
/* The i-th trial of a search (from 0): of the portfolio, else proposed from `trials` (those that
 * ended; failed ones are passed over) and the random stream (seed, i). Sets learner and settings
 * alone. */
void gy_space_trial(const struct gy_space *s, size_t i, const struct gy_search *so_far,
                    struct gy_trial *ret);

/* ---- the estimator by itself (tpe.c) ---- */

/* A trial as points of its dimensions. */
struct gy_tpe_seen {
    double u[GY_SPACE_MAX_DIMENSIONS];
};
/* n_good seen ones stand first, the better part; ret: n_dimensions points. Words are dimensions
 * whose n_words is not 0. *ret_gain: log of good beside bad there. */
void gy_tpe_propose(const struct gy_tpe_seen *seen, size_t n, size_t n_good, const size_t *n_words,
                    size_t n_dimensions, struct gy_rng *r, double *ret, double *ret_gain);

#endif
