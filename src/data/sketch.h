/* SPDX-License-Identifier: Apache-2.0 */
/* gy_sketch: where the quantiles of many numbers are, in bounded memory, without chance: the same
 * numbers in the same order give the same sketch. gy_hll: how many different ones there were.
 *
 * The sketch is a ladder of buffers (Munro and Paterson 1980; Manku, Rajagopalan and Lindsay 1998;
 * as in KLL, with alternation in the place of coins): level h holds values that stand for 2^h each;
 * a full buffer is sorted, and every other value moves up, the even and the odd ones by turns. One
 * such step moves no rank by more than 2^h, so a rank is off by at most
 * n * log2(n / GY_SKETCH_K) / GY_SKETCH_K: 0.3 % for 10 million values; on real data some 0.02 %.
 * Below GY_SKETCH_K values everything is still there, and exact. Mergeable; one owner. */
#ifndef GY_DATA_SKETCH_H
#define GY_DATA_SKETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define GY_SKETCH_K 4096 /* values of one level */
#define GY_SKETCH_LEVELS 52

struct gy_sketch_level {
    double *v; /* GY_SKETCH_K, NULL before the first */
    size_t n;
    bool odd; /* which half goes up next */
};
struct gy_sketch {
    struct gy_sketch_level levels[GY_SKETCH_LEVELS];
    size_t n_levels;
    int64_t n; /* weight of all values */
};

/* A zeroed sketch is an empty one. */
void gy_sketch_done(struct gy_sketch *s);
void gy_sketch_reset(struct gy_sketch *s); /* empty, memory kept */
/* Add v `weight` times (1 to 2^51; the sum too); v is finite. Fails: NOMEM. */
GY_CHECKED gy_status gy_sketch_add(struct gy_sketch *s, double v, int64_t weight,
                                   struct gy_err *err);
/* Fails: NOMEM. */
GY_CHECKED gy_status gy_sketch_merge(struct gy_sketch *into, const struct gy_sketch *from,
                                     struct gy_err *err);

/* Values with how often each counts, ascending, what a quantile or a histogram is made of. */
struct gy_point {
    double v;
    int64_t weight;
};
/* *ret (gy_free) has *ret_n points. Fails: NOMEM. */
GY_CHECKED gy_status gy_sketch_points(const struct gy_sketch *s, struct gy_point **ret,
                                      size_t *ret_n, struct gy_err *err);
void gy_points_sort(struct gy_point *p, size_t n);
/* The q-quantile (0 to 1) of n sorted points, with linear interpolation between neighbours as numpy
 * has it (type 7 of Hyndman and Fan 1996); NaN without points. */
double gy_points_quantile(const struct gy_point *p, size_t n, double q);

/* HyperLogLog (Flajolet, Fusy, Gandouet and Meunier 2007) over 64-bit hashes: the standard error is
 * 1.04 / sqrt(GY_HLL_BYTES) = 0.8 %. For more than 50,000 different ones; fewer are counted. */
#define GY_HLL_BITS 14
#define GY_HLL_BYTES (1 << GY_HLL_BITS)
static inline void gy_hll_add(uint8_t *hll, uint64_t hash)
{
    uint64_t rest = hash << GY_HLL_BITS | (uint64_t)1 << (GY_HLL_BITS - 1);
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    uint8_t *r = &hll[hash >> (64 - GY_HLL_BITS)];
    *r = *r < rank ? rank : *r;
}
void gy_hll_merge(uint8_t *into, const uint8_t *from);
double gy_hll_estimate(const uint8_t *hll);

#endif
