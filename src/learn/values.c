/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/values.h"

#include <math.h>

#include "base/mem.h"

#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)
#define PASSES 6 /* of DIGIT_BITS over 64 bits */
#define HALF_SHIFT (PASSES / 2 * DIGIT_BITS)
#define SMALL_N 64 /* insertion sort is faster below */

/* ---- sorting ---- */

/* Doubles order as these whole numbers do. */
static uint64_t key_of(double v)
{
    uint64_t bits;
    v += 0.0; /* -0.0 becomes 0.0 */
    memcpy(&bits, &v, sizeof bits);
    return bits ^ (bits >> 63 ? UINT64_MAX : UINT64_C(1) << 63);
}

static double of_key(uint64_t key)
{
    double v;
    uint64_t bits = key ^ (key >> 63 ? UINT64_C(1) << 63 : UINT64_MAX);
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void insertion_sort(uint64_t *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        size_t at = i;
        for (; at > 0 && keys[at - 1] > key; at--) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
}

/* Stable passes by the digits from..to-1, least significant first. A digit that all keys share
 * costs no pass, so whole numbers and values with few decimals sort in two or three. *keys and
 * *room change places with each pass. */
static void radix_passes(uint64_t **keys, uint64_t **room, size_t n, size_t from, size_t to)
{
    uint32_t counts[PASSES][DIGITS]; /* a table has fewer than 2^32 rows */
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i < n; i++) {
        for (size_t p = from; p < to; p++) {
            counts[p][(*keys)[i] >> (p * DIGIT_BITS) & (DIGITS - 1)]++;
        }
    }
    for (size_t p = from; p < to; p++) {
        uint32_t *start = counts[p], sum = 0;
        size_t shift = p * DIGIT_BITS;
        if (start[(*keys)[0] >> shift & (DIGITS - 1)] == n) {
            continue;
        }
        for (size_t d = 0; d < DIGITS; d++) {
            uint32_t here = start[d];
            start[d] = sum;
            sum += here;
        }
        for (size_t i = 0; i < n; i++) {
            uint64_t key = (*keys)[i];
            (*room)[start[key >> shift & (DIGITS - 1)]++] = key;
        }
        uint64_t *swap = *keys;
        *keys = *room;
        *room = swap;
    }
}

/* Sorted by their upper half, keys are nearly sorted: numbers seldom differ in their last bits
 * only. Where many do, the work of putting those runs in order would grow with the square. */
static bool runs_are_short(const uint64_t *keys, size_t n)
{
    size_t steps = 0, run = 0;
    for (size_t i = 1; i < n && steps <= n; i++) {
        bool same = keys[i] >> HALF_SHIFT == keys[i - 1] >> HALF_SHIFT;
        run = same ? run + (keys[i] != keys[i - 1]) : 0;
        steps += run;
    }
    return steps <= n;
}

static uint64_t *radix_sort(uint64_t *keys, uint64_t *room, size_t n)
{
    radix_passes(&keys, &room, n, PASSES / 2, PASSES);
    if (runs_are_short(keys, n)) {
        insertion_sort(keys, n);
        return keys;
    }
    radix_passes(&keys, &room, n, 0, PASSES);
    return keys;
}

static uint64_t *sort_keys(uint64_t *keys, uint64_t *room, size_t n)
{
    if (n < SMALL_N) {
        insertion_sort(keys, n);
        return keys;
    }
    return radix_sort(keys, room, n);
}

/* ---- counting ---- */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "counting the values of a column");
}

static gy_status allocate(size_t n, struct gy_arena *a, double **ret_values, uint64_t **ret_counts,
                          struct gy_err *err)
{
    *ret_values = gy_arena_calloc(a, n ? n : 1, sizeof **ret_values);
    *ret_counts = gy_arena_calloc(a, n ? n : 1, sizeof **ret_counts);
    return *ret_values && *ret_counts ? GY_OK : no_memory(err);
}

/* A weighted number comes so many times: weights are small, as of sampled rows. */
static size_t kept_rows(const double *numbers, const uint32_t *weights, size_t n,
                        uint64_t *ret_missing)
{
    size_t kept = 0;
    *ret_missing = 0;
    for (size_t i = 0; i < n; i++) {
        size_t weight = weights ? weights[i] : 1;
        kept += isfinite(numbers[i]) ? weight : 0;
        *ret_missing += isfinite(numbers[i]) ? 0 : weight;
    }
    return kept;
}

gy_status gy_values_of(const double *numbers, const uint32_t *weights, size_t n, struct gy_arena *a,
                       struct gy_values *ret, struct gy_err *err)
{
    struct gy_values v = {0};
    size_t kept = kept_rows(numbers, weights, n, &v.missing);
    GY_AUTO(gy_free) char *memory = gy_reallocarray(NULL, kept ? kept : 1, 2 * sizeof(uint64_t));
    if (!memory) {
        return no_memory(err);
    }
    uint64_t *keys = (uint64_t *)(void *)memory;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(numbers[i])) {
            uint64_t key = key_of(numbers[i]);
            for (size_t w = weights ? weights[i] : 1; w > 0; w--) {
                keys[at++] = key;
            }
        }
    }
    const uint64_t *sorted = sort_keys(keys, keys + kept, kept);
    for (size_t i = 0; i < kept; i++) {
        v.n += i == 0 || sorted[i] != sorted[i - 1];
    }
    double *values;
    uint64_t *counts;
    GY_TRY(allocate(v.n, a, &values, &counts, err));
    size_t last = 0;
    for (size_t i = 0; i < kept; i++) {
        last += i > 0 && sorted[i] != sorted[i - 1];
        values[last] = of_key(sorted[i]);
        counts[last]++;
    }
    v.values = values;
    v.counts = counts;
    v.total = kept;
    *ret = v;
    return GY_OK;
}

/* The largest rank (exclusive) that quantile i of k covers: an equal share each. Without floating
 * point, so that it is the same everywhere: floor(total * (i + 1) / k). */
static uint64_t rank_end(uint64_t total, size_t i, size_t k)
{
    uint64_t part = total / k, rest = total % k;
    return part * (i + 1) + rest * (i + 1) / k;
}

gy_status gy_values_summarize(const struct gy_values *v, size_t max_exact, size_t n_quantiles,
                              struct gy_arena *a, struct gy_values *ret, struct gy_err *err)
{
    if (v->n <= max_exact) {
        *ret = *v;
        return GY_OK;
    }
    double *values;
    uint64_t *counts;
    GY_TRY(allocate(n_quantiles, a, &values, &counts, err));
    size_t n = 0;
    size_t at = 0;                   /* the value that covers the rank looked for ... */
    uint64_t covered = v->counts[0]; /* ... up to here */
    uint64_t from = 0;
    for (size_t i = 0; i < n_quantiles; i++) {
        uint64_t end = rank_end(v->total, i, n_quantiles);
        if (end == from) {
            continue;
        }
        uint64_t rank = i == 0 ? 0 : i == n_quantiles - 1 ? v->total - 1 : from + (end - from) / 2;
        while (covered <= rank) {
            covered += v->counts[++at];
        }
        if (n > 0 && values[n - 1] == v->values[at]) {
            counts[n - 1] += end - from;
        } else {
            values[n] = v->values[at];
            counts[n++] = end - from;
        }
        from = end;
    }
    *ret = (struct gy_values){.values = values,
                              .counts = counts,
                              .n = n,
                              .total = v->total,
                              .missing = v->missing,
                              .approximate = true};
    return GY_OK;
}

/* ---- moments ---- */

/* Neumaier: the error of a sum does not grow with its length. */
struct sum {
    double total, lost;
};

static void add(struct sum *s, double v)
{
    double next = s->total + v;
    s->lost += fabs(s->total) >= fabs(v) ? (s->total - next) + v : (v - next) + s->total;
    s->total = next;
}

static double total(const struct sum *s)
{
    return isfinite(s->total) ? s->total + s->lost : s->total;
}

/* Values so large that their sum or their squares are no finite number are scaled before. */
static double largest(const struct gy_values *v)
{
    return v->n ? fmax(fabs(v->values[0]), fabs(v->values[v->n - 1])) : 0;
}

static double scaled_mean(const struct gy_values *v, double scale)
{
    struct sum s = {0};
    for (size_t i = 0; i < v->n; i++) {
        add(&s, v->values[i] / scale * ((double)v->counts[i] / (double)v->total));
    }
    return fmax(fmin(total(&s), 1), -1) * scale; /* rounding must not make it infinite */
}

static double scaled_sd(const struct gy_values *v, double mean, double scale)
{
    struct sum s = {0};
    for (size_t i = 0; i < v->n; i++) {
        double d = v->values[i] / scale - mean / scale;
        add(&s, d * d * ((double)v->counts[i] / (double)v->total));
    }
    return sqrt(fmin(total(&s), 1)) * scale;
}

double gy_values_mean(const struct gy_values *v)
{
    struct sum s = {0};
    for (size_t i = 0; i < v->n; i++) {
        add(&s, v->values[i] * (double)v->counts[i]);
    }
    double all = total(&s);
    return v->total == 0   ? NAN
           : isfinite(all) ? all / (double)v->total
                           : scaled_mean(v, largest(v));
}

double gy_values_sd(const struct gy_values *v)
{
    return gy_values_sd_about(v, gy_values_mean(v));
}

double gy_values_sd_about(const struct gy_values *v, double mean)
{
    struct sum s = {0};
    for (size_t i = 0; i < v->n && v->n > 1; i++) {
        double d = v->values[i] - mean;
        add(&s, d * d * (double)v->counts[i]);
    }
    double all = total(&s);
    return v->total == 0   ? NAN
           : isfinite(all) ? sqrt(all / (double)v->total)
                           : scaled_sd(v, mean, largest(v));
}

double gy_values_quantile(const struct gy_values *v, double p)
{
    uint64_t covered = 0;
    for (size_t i = 0; i < v->n; i++) {
        covered += v->counts[i];
        if ((double)covered >= p * (double)v->total) {
            return v->values[i];
        }
    }
    return v->n ? v->values[v->n - 1] : NAN;
}

double gy_values_missing_share(const struct gy_values *v)
{
    uint64_t rows = v->total + v->missing;
    return rows ? (double)v->missing / (double)rows : 0;
}

gy_status gy_values_map(const struct gy_values *v, double factor, double offset, struct gy_arena *a,
                        struct gy_values *ret, struct gy_err *err)
{
    double *values;
    uint64_t *counts;
    GY_TRY(allocate(v->n, a, &values, &counts, err));
    for (size_t i = 0; i < v->n; i++) {
        size_t to = factor < 0 ? v->n - 1 - i : i;
        values[to] = factor * v->values[i] + offset;
        counts[to] = v->counts[i];
    }
    *ret = *v;
    ret->values = values;
    ret->counts = counts;
    return GY_OK;
}
