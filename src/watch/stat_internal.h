/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over two distributions side by side, and the statistics that stat.c hands on to. */
#ifndef GY_WATCH_STAT_INTERNAL_H
#define GY_WATCH_STAT_INTERNAL_H

#include "watch/stat.h"

struct gy_stat_walk {
    const struct gy_values *a, *b;
    size_t i, j;
    double value;              /* the next value of either ... */
    uint64_t count_a, count_b; /* ... and how often each side has it */
};
/* Start with {.a = a, .b = b}; false at the end. */
static inline bool gy_stat_step(struct gy_stat_walk *w)
{
    bool has_a = w->i < w->a->n, has_b = w->j < w->b->n;
    if (!has_a && !has_b) {
        return false;
    }
    double a = has_a ? w->a->values[w->i] : 0, b = has_b ? w->b->values[w->j] : 0;
    bool take_a = has_a && (!has_b || a <= b), take_b = has_b && (!has_a || b <= a);
    w->value = take_a ? a : b;
    w->count_a = take_a ? w->a->counts[w->i++] : 0;
    w->count_b = take_b ? w->b->counts[w->j++] : 0;
    return true;
}

/* stat_chi2.c */
double gy_stat_chisquare(const struct gy_values *reference, const struct gy_values *current);
double gy_stat_z(const struct gy_values *reference, const struct gy_values *current);
/* stat_bins.c: JENSENSHANNON, PSI, KL, HELLINGER */
GY_CHECKED gy_status gy_stat_binned(enum gy_stat s, const struct gy_values *reference,
                                    const struct gy_values *current, bool categorical, double *ret,
                                    struct gy_err *err);

#endif
