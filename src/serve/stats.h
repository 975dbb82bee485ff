/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the request path: one block a thread, written by that thread alone with plain loads
 * and stores (relaxed atomics), summed by whoever asks. No lock, no locked instruction. */
#ifndef GY_SERVE_STATS_H
#define GY_SERVE_STATS_H

#include <stdatomic.h>

#include "base/str.h"

#define GY_STATS_CLASSES 16
/* Upper bounds of the latency histogram, ns; the last bucket has none. */
#define GY_STATS_BOUNDS_NS                                                                        \
    {                                                                                             \
        1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, \
            10000000, 25000000, 100000000, 1000000000                                             \
    }
#define GY_STATS_BUCKETS 17

struct gy_stat_block {
    _Alignas(64) _Atomic uint64_t ok;
    _Atomic uint64_t refused;   /* 4xx: the request was wrong */
    _Atomic uint64_t no_number; /* 4xx as well: the model gave no finite number */
    _Atomic uint64_t failed;    /* 5xx: we could not */
    _Atomic uint64_t limited;   /* of refused: the caller asked too much */
    _Atomic uint64_t shed;      /* not begun: its deadline passed, or would have */
    _Atomic uint64_t rows, rule_hits, model_skipped, out_of_range;
    _Atomic uint64_t shadow_rows, shadow_differs, shadow_failed; /* of a shadow: asked; would have
                                      answered otherwise; gave no finite number */
    _Atomic uint64_t rule_sampled; /* of model_skipped: scored all the same, for the log */
    _Atomic uint64_t not_logged;   /* predictions that the log's sample left out */
    _Atomic uint64_t latency_ns;
    _Atomic uint64_t queue_ns; /* that answered requests waited for a worker; not in latency_ns */
    _Atomic uint64_t last_us;  /* when the last answer was given */
    _Atomic uint64_t buckets[GY_STATS_BUCKETS];
    _Atomic uint64_t classes[GY_STATS_CLASSES]; /* predictions by class; further ones in the last */
};

/* The counters of one endpoint and model version, over all its revisions with that version. They
 * live as long as the serving, so that they never go back. */
struct gy_endpoint_stats {
    struct gy_endpoint_stats *next;
    struct gy_str endpoint, version; /* in memory behind the struct */
    size_t n_blocks;
    struct gy_stat_block *blocks;
    void *memory; /* what all of it stands in */
};

struct gy_stat_sum {
    uint64_t ok, refused, no_number, failed, limited, shed, shadow_rows, shadow_differs,
        shadow_failed;
    uint64_t rows, rule_hits, model_skipped, out_of_range, rule_sampled, not_logged, latency_ns,
        queue_ns;
    uint64_t buckets[GY_STATS_BUCKETS]; /* cumulative: answers in at most bound i */
    uint64_t classes[GY_STATS_CLASSES];
};

static inline void gy_stat_add(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

GY_CHECKED struct gy_endpoint_stats *gy_endpoint_stats_new(struct gy_str endpoint,
                                                           struct gy_str version, size_t n_blocks);
void gy_endpoint_stats_free(struct gy_endpoint_stats *s);
void gy_stat_latency(struct gy_stat_block *b, uint64_t ns);
/* When the last answer was given, over all threads; 0: none was. */
uint64_t gy_endpoint_stats_last_us(const struct gy_endpoint_stats *s);
void gy_endpoint_stats_sum(const struct gy_endpoint_stats *s, struct gy_stat_sum *ret);
/* Add other to *to. */
void gy_stat_plus(struct gy_stat_sum *to, const struct gy_stat_sum *other);
/* What was counted between two sums of the same counters. */
void gy_stat_since(const struct gy_stat_sum *now, const struct gy_stat_sum *then,
                   struct gy_stat_sum *ret);
/* The latency below which a share q (0..1) of the answers stayed, from the histogram, ns. */
double gy_stat_quantile(const struct gy_stat_sum *s, double q);
/* How many answers took longer than that, from the histogram as gy_stat_quantile reads it. */
double gy_stat_slower(const struct gy_stat_sum *s, double ns);
uint64_t gy_stat_bound_ns(size_t bucket); /* UINT64_MAX for the last */

#endif
