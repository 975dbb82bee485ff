/* SPDX-License-Identifier: Apache-2.0 */
#include "data/sketch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void gy_sketch_done(struct gy_sketch *s)
{
    for (size_t i = 0; i < s->n_levels; i++) {
        gy_free(s->levels[i].v);
    }
    *s = (struct gy_sketch){0};
}

void gy_sketch_reset(struct gy_sketch *s)
{
    for (size_t i = 0; i < s->n_levels; i++) {
        s->levels[i].n = 0;
        s->levels[i].odd = false;
    }
    s->n = 0;
}

/* Doubles as unsigned numbers of the same order, and back. */
static uint64_t to_ordered(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

static double from_ordered(uint64_t key)
{
    uint64_t bits = key >> 63 ? key & ~((uint64_t)1 << 63) : ~key;
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* By digits of a byte, lowest first; a digit that all share is passed over. */
static void sort_values(double *v, size_t n)
{
    uint64_t keys[GY_SKETCH_K], other[GY_SKETCH_K];
    static const unsigned digits = 8;
    uint32_t counts[8][256];
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i < n; i++) {
        uint64_t key = to_ordered(v[i]);
        keys[i] = key;
        for (unsigned d = 0; d < digits; d++) {
            counts[d][key >> (8 * d) & 255]++;
        }
    }
    uint64_t *from = keys, *to = other;
    for (unsigned d = 0; d < digits; d++) {
        uint32_t *count = counts[d], at = 0;
        if (n == 0 || count[from[0] >> (8 * d) & 255] == n) {
            continue;
        }
        for (unsigned b = 0; b < 256; b++) {
            uint32_t c = count[b];
            count[b] = at;
            at += c;
        }
        for (size_t i = 0; i < n; i++) {
            to[count[from[i] >> (8 * d) & 255]++] = from[i];
        }
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 0; i < n; i++) {
        v[i] = from_ordered(from[i]);
    }
}

static gy_status open_level(struct gy_sketch *s, size_t h, struct gy_err *err)
{
    GY_REQUIRE(h < GY_SKETCH_LEVELS);
    while (s->n_levels <= h) {
        s->levels[s->n_levels++] = (struct gy_sketch_level){0};
    }
    if (!s->levels[h].v) {
        s->levels[h].v = gy_malloc(GY_SKETCH_K * sizeof(double));
    }
    return s->levels[h].v ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory for quantiles");
}

/* Make room on level h: half of its values go up. Levels above are emptied first where they have
 * too little room for that, from the top down, so that nothing here is recursive. */
static gy_status make_room(struct gy_sketch *s, size_t h, struct gy_err *err)
{
    size_t top = h;
    do {
        top++;
        GY_TRY(open_level(s, top, err));
    } while (s->levels[top].n > GY_SKETCH_K / 2);
    while (top > h) {
        struct gy_sketch_level *up = &s->levels[top];
        struct gy_sketch_level *l = &s->levels[--top];
        sort_values(l->v, l->n);
        for (size_t i = l->odd ? 1 : 0; i + (l->odd ? 0 : 1) < l->n; i += 2) {
            up->v[up->n++] = l->v[i];
        }
        if (l->n % 2) { /* the last one has no partner */
            l->v[0] = l->v[l->n - 1];
        }
        l->n %= 2;
        l->odd = !l->odd;
    }
    return GY_OK;
}

static gy_status put(struct gy_sketch *s, double v, size_t h, struct gy_err *err)
{
    if (h >= s->n_levels || !s->levels[h].v) {
        GY_TRY(open_level(s, h, err));
    }
    if (s->levels[h].n == GY_SKETCH_K) {
        GY_TRY(make_room(s, h, err));
    }
    s->levels[h].v[s->levels[h].n++] = v;
    return GY_OK;
}

gy_status gy_sketch_add(struct gy_sketch *s, double v, int64_t weight, struct gy_err *err)
{
    for (uint64_t left = (uint64_t)weight; left; left &= left - 1) {
        GY_TRY(put(s, v, (size_t)__builtin_ctzll(left), err));
    }
    s->n += weight;
    return GY_OK;
}

gy_status gy_sketch_merge(struct gy_sketch *into, const struct gy_sketch *from, struct gy_err *err)
{
    for (size_t h = 0; h < from->n_levels; h++) {
        for (size_t i = 0; i < from->levels[h].n; i++) {
            GY_TRY(put(into, from->levels[h].v[i], h, err));
        }
    }
    into->n += from->n;
    return GY_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = ((const struct gy_point *)a)->v, y = ((const struct gy_point *)b)->v;
    return (x > y) - (x < y);
}

void gy_points_sort(struct gy_point *p, size_t n)
{
    if (n > 1) {
        qsort(p, n, sizeof *p, by_value);
    }
}

gy_status gy_sketch_points(const struct gy_sketch *s, struct gy_point **ret, size_t *ret_n,
                           struct gy_err *err)
{
    size_t n = 0;
    for (size_t h = 0; h < s->n_levels; h++) {
        n += s->levels[h].n;
    }
    struct gy_point *p = gy_calloc(n, sizeof *p);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for quantiles");
    }
    size_t k = 0;
    for (size_t h = 0; h < s->n_levels; h++) {
        for (size_t i = 0; i < s->levels[h].n; i++) {
            p[k++] = (struct gy_point){s->levels[h].v[i], (int64_t)1 << h};
        }
    }
    gy_points_sort(p, n);
    *ret = p;
    *ret_n = n;
    return GY_OK;
}

double gy_points_quantile(const struct gy_point *p, size_t n, double q)
{
    int64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += p[i].weight;
    }
    if (total == 0) {
        return NAN;
    }
    double place = (double)(total - 1) * q;
    int64_t low = (int64_t)floor(place);
    size_t i = 0;
    int64_t upto = p[0].weight; /* ranks below it are at most p[i] */
    while (upto <= low) {
        upto += p[++i].weight;
    }
    double a = p[i].v, b = low + 1 < upto || i + 1 == n ? a : p[i + 1].v;
    double share = place - (double)low;
    return share > 0 && b > a ? a + (b - a) * share : a;
}

void gy_hll_merge(uint8_t *into, const uint8_t *from)
{
    for (size_t i = 0; i < GY_HLL_BYTES; i++) {
        into[i] = into[i] < from[i] ? from[i] : into[i];
    }
}

double gy_hll_estimate(const uint8_t *hll)
{
    const double m = GY_HLL_BYTES;
    double sum = 0;
    size_t zeros = 0;
    for (size_t i = 0; i < GY_HLL_BYTES; i++) {
        sum += ldexp(1, -hll[i]);
        zeros += hll[i] == 0;
    }
    double raw = 0.7213 / (1 + 1.079 / m) * m * m / sum;
    return raw <= 2.5 * m && zeros ? m * log(m / (double)zeros) : raw;
}
