/* SPDX-License-Identifier: Apache-2.0 */
/* gy_bootstrap: how much a number could have differed by the chance of which rows were drawn (Efron
 * 1979). Replicate b draws as many rows as there are, with replacement, from the random stream
 * (seed, b), so the results do not depend on the number of threads. A replicate is one call of
 * `pass` with the mass of every row: how often it was drawn times its weight. Pure; thread safe. */
#ifndef GY_LEARN_BOOTSTRAP_H
#define GY_LEARN_BOOTSTRAP_H

#include <stdint.h>

#include "base/err.h"

/* How much of it, where a caller leaves the rest to a function. */
struct gy_bootstrap_options {
    size_t replicates; /* 0: no intervals */
    uint64_t seed;
    int n_threads;
};

struct gy_bootstrap {
    size_t n_rows; /* at most 2^31 - 1 */
    size_t replicates, n_values;
    uint64_t seed;
    int n_threads;
    const double *weight; /* n_rows; NULL: every row counts 1 */
    /* mass: n_rows; room: room_bytes of this thread alone, 8-byte aligned, not cleared; out:
     * n_values, NaN where not defined. MUST NOT fail. */
    void (*pass)(const void *ctx, const double *mass, void *room, double *out);
    const void *ctx;
    size_t room_bytes;
};

/* Room for doubles: n x each; by gy_doubles_free. NULL without memory, and for 0. */
double *gy_doubles_new(size_t n, size_t each);
void gy_doubles_free(double *p);
GY_DEFINE_AUTO(double *, gy_doubles_free);

/* Fill results[value * replicates + replicate]. Fails: NOMEM, FAILED (no thread). */
GY_CHECKED gy_status gy_bootstrap_run(const struct gy_bootstrap *b, double *results,
                                      struct gy_err *err);

/* The 2.5 and 97.5 percentiles of v, which is sorted by it; NaN ones are left out. Without half of
 * them there is no interval, nor without any replicate: NaN, NaN. */
void gy_bootstrap_interval(double *v, size_t n, double *ret_low, double *ret_high);

/* Of ascending numbers, linear between the neighbours as numpy.percentile; q in 0..1, n > 0. */
double gy_quantile_of_sorted(const double *sorted, size_t n, double q);

#endif
