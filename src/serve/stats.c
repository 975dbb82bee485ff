/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/stats.h"

#include "base/mem.h"

static const uint64_t bounds[] = GY_STATS_BOUNDS_NS;

struct gy_endpoint_stats *gy_endpoint_stats_new(struct gy_str endpoint, struct gy_str version,
                                                size_t n_blocks)
{
    /* One allocation; the blocks come first, each on cache lines of its own. */
    size_t blocks = n_blocks * sizeof(struct gy_stat_block);
    size_t bytes = 64 + blocks + sizeof(struct gy_endpoint_stats) + endpoint.n + version.n;
    char *memory = gy_calloc(1, bytes + sizeof(void *));
    if (!memory) {
        return NULL;
    }
    uintptr_t at = ((uintptr_t)memory + 63) & ~(uintptr_t)63;
    struct gy_endpoint_stats *s = (struct gy_endpoint_stats *)(at + blocks);
    char *text = (char *)(s + 1);
    memcpy(text, endpoint.p, endpoint.n);
    memcpy(text + endpoint.n, version.p, version.n);
    s->endpoint = gy_str_n(text, endpoint.n);
    s->version = gy_str_n(text + endpoint.n, version.n);
    s->n_blocks = n_blocks;
    s->blocks = (struct gy_stat_block *)at;
    s->memory = memory;
    return s;
}

void gy_endpoint_stats_free(struct gy_endpoint_stats *s)
{
    if (s) {
        gy_free(s->memory);
    }
}

uint64_t gy_stat_bound_ns(size_t bucket)
{
    return bucket < GY_STATS_BUCKETS - 1 ? bounds[bucket] : UINT64_MAX;
}

void gy_stat_latency(struct gy_stat_block *b, uint64_t ns)
{
    size_t i = 0;
    while (i < GY_STATS_BUCKETS - 1 && ns > bounds[i]) {
        i++;
    }
    gy_stat_add(&b->buckets[i], 1);
    gy_stat_add(&b->latency_ns, ns);
}

static uint64_t get(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

uint64_t gy_endpoint_stats_last_us(const struct gy_endpoint_stats *s)
{
    uint64_t last = 0;
    for (size_t i = 0; i < s->n_blocks; i++) {
        uint64_t one = get(&s->blocks[i].last_us);
        last = one > last ? one : last;
    }
    return last;
}

void gy_endpoint_stats_sum(const struct gy_endpoint_stats *s, struct gy_stat_sum *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < s->n_blocks; i++) {
        const struct gy_stat_block *b = &s->blocks[i];
        ret->ok += get(&b->ok);
        ret->refused += get(&b->refused);
        ret->failed += get(&b->failed);
        ret->limited += get(&b->limited);
        ret->shed += get(&b->shed);
        ret->queue_ns += get(&b->queue_ns);
        ret->no_number += get(&b->no_number);
        ret->shadow_rows += get(&b->shadow_rows);
        ret->shadow_differs += get(&b->shadow_differs);
        ret->shadow_failed += get(&b->shadow_failed);
        ret->rows += get(&b->rows);
        ret->rule_hits += get(&b->rule_hits);
        ret->model_skipped += get(&b->model_skipped);
        ret->out_of_range += get(&b->out_of_range);
        ret->rule_sampled += get(&b->rule_sampled);
        ret->not_logged += get(&b->not_logged);
        ret->latency_ns += get(&b->latency_ns);
        for (size_t k = 0; k < GY_STATS_BUCKETS; k++) {
            ret->buckets[k] += get(&b->buckets[k]);
        }
        for (size_t k = 0; k < GY_STATS_CLASSES; k++) {
            ret->classes[k] += get(&b->classes[k]);
        }
    }
    for (size_t k = 1; k < GY_STATS_BUCKETS; k++) {
        ret->buckets[k] += ret->buckets[k - 1];
    }
}

void gy_stat_plus(struct gy_stat_sum *to, const struct gy_stat_sum *other)
{
    uint64_t *a = (uint64_t *)to; /* all of it is counters of one kind */
    const uint64_t *b = (const uint64_t *)other;
    for (size_t i = 0; i < sizeof *to / sizeof *a; i++) {
        a[i] += b[i];
    }
}

void gy_stat_since(const struct gy_stat_sum *now, const struct gy_stat_sum *then,
                   struct gy_stat_sum *ret)
{
    /* All of it is counters of one kind. */
    const uint64_t *a = (const uint64_t *)now;
    const uint64_t *b = (const uint64_t *)then;
    uint64_t *d = (uint64_t *)ret;
    for (size_t i = 0; i < sizeof *ret / sizeof *d; i++) {
        d[i] = a[i] - b[i];
    }
}

double gy_stat_quantile(const struct gy_stat_sum *s, double q)
{
    double want = q * (double)s->buckets[GY_STATS_BUCKETS - 1];
    double below = 0;
    for (size_t i = 0; i < GY_STATS_BUCKETS - 1; i++) {
        double here = (double)s->buckets[i];
        if (here >= want && here > below) {
            double low = i ? (double)bounds[i - 1] : 0;
            return low + ((double)bounds[i] - low) * (want - below) / (here - below);
        }
        below = here;
    }
    return s->buckets[GY_STATS_BUCKETS - 1] ? (double)bounds[GY_STATS_BUCKETS - 2] : 0;
}

double gy_stat_slower(const struct gy_stat_sum *s, double ns)
{
    double all = (double)s->buckets[GY_STATS_BUCKETS - 1];
    double low = 0, below = 0;
    for (size_t i = 0; i < GY_STATS_BUCKETS - 1; i++) {
        double high = (double)bounds[i], here = (double)s->buckets[i];
        if (ns < high) {
            return all - below - (here - below) * (ns - low) / (high - low);
        }
        low = high;
        below = here;
    }
    return all - below;
}
