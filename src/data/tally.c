/* SPDX-License-Identifier: Apache-2.0 */
#include "data/tally.h"

#include <math.h>

#include "base/limits.h"
#include "base/mem.h"

#define FIRST_SLOTS 64
#define POOL_MAX (4 * GY_GIB)
#define AHEAD                                                                          \
    8 /* entries that a merge looks up in advance: the table is larger than the caches \
       */

/* Stafford's mix 13 of the finisher of MurmurHash3: every bit of the key moves half of the bits. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t word_at(const char *p, size_t n)
{
    uint64_t w = 0;
    memcpy(&w, p, n);
    return w;
}

/* 16 bytes a multiplication. Not keyed: who makes values that collide spoils the statistics of his
 * own table. */
uint64_t gy_tally_hash(struct gy_str s)
{
    uint64_t h = 0x9e3779b97f4a7c15ULL ^ s.n;
    const char *p = s.p;
    size_t n = s.n;
    for (; n >= 16; p += 16, n -= 16) {
        h = fold(word_at(p, 8) ^ 0xa0761d6478bd642fULL ^ h,
                 word_at(p + 8, 8) ^ 0xe7037ed1a0b428dbULL);
    }
    uint64_t low = n == 0 ? 0 : word_at(p, n < 8 ? n : 8);
    uint64_t high = n <= 8 ? 0 : word_at(p + 8, n - 8);
    return fold(low ^ 0x8ebc6af09c88c6e3ULL ^ h, high ^ 0x589965cc75374cc3ULL ^ h >> 32);
}

static bool has_texts(const struct gy_tally *t)
{
    return t->kind == GY_TALLY_TEXT;
}

static bool has_numbers(const struct gy_tally *t)
{
    return t->kind == GY_TALLY_INT || t->kind == GY_TALLY_FLOAT || t->kind == GY_TALLY_TIME;
}

void gy_tally_init(struct gy_tally *t, enum gy_tally_kind kind, size_t exact)
{
    *t = (struct gy_tally){.kind = kind, .exact = exact};
    gy_buf_init(&t->pool, POOL_MAX);
}

void gy_tally_done(struct gy_tally *t)
{
    gy_free(t->entries);
    gy_free(t->texts);
    gy_free(t->slots);
    gy_free(t->hll);
    gy_buf_done(&t->pool);
    gy_sketch_done(&t->sketch);
    *t = (struct gy_tally){0};
}

void gy_tally_reset(struct gy_tally *t)
{
    if (t->slots) {
        memset(t->slots, 0, t->n_slots * sizeof *t->slots);
    }
    t->n = 0;
    t->over = false;
    t->short_by = 0;
    gy_free(t->hll);
    t->hll = NULL;
    gy_buf_reset(&t->pool);
    gy_sketch_reset(&t->sketch);
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for statistics");
}

static void put_slot(struct gy_tally *t, size_t index)
{
    uint64_t m = mix(t->entries[index].key);
    size_t at = m & (t->n_slots - 1);
    while (t->slots[at]) {
        at = (at + 1) & (t->n_slots - 1);
    }
    t->slots[at] = (m & ~(uint64_t)UINT32_MAX) | (index + 1);
}

static gy_status grow(struct gy_tally *t, struct gy_err *err)
{
    size_t n_slots = t->n_slots ? 2 * t->n_slots : FIRST_SLOTS, cap = n_slots / 2;
    GY_REQUIRE(cap < UINT32_MAX);
    struct gy_tally_entry *entries = gy_reallocarray(t->entries, cap, sizeof *entries);
    if (!entries) {
        return no_memory(err);
    }
    t->entries = entries;
    if (has_texts(t)) {
        struct gy_tally_text *texts = gy_reallocarray(t->texts, cap, sizeof *texts);
        if (!texts) {
            return no_memory(err);
        }
        t->texts = texts;
    }
    uint64_t *slots = gy_calloc(n_slots, sizeof *slots);
    if (!slots) {
        return no_memory(err);
    }
    gy_free(t->slots);
    t->slots = slots;
    t->n_slots = n_slots;
    t->cap = cap;
    for (size_t i = 0; i < t->n; i++) {
        put_slot(t, i);
    }
    return GY_OK;
}

/* Hoare's selection, with three parts, since most counts are equal. */
int64_t gy_count_select(int64_t *counts, size_t n, size_t k)
{
    size_t from = 0, to = n;
    for (;;) {
        int64_t pivot = counts[from + (to - from) / 2];
        size_t more = from, at = from, less = to; /* larger, equal, not seen, smaller */
        while (at < less) {
            int64_t c = counts[at];
            if (c > pivot) {
                counts[at++] = counts[more];
                counts[more++] = c;
            } else if (c < pivot) {
                counts[at] = counts[--less];
                counts[less] = c;
            } else {
                at++;
            }
        }
        if (k >= more && k < less) {
            return pivot;
        }
        from = k < more ? from : less;
        to = k < more ? more : to;
    }
}

/* Move entry i to place k <= i. Its text goes to the end of a new pool. */
static void keep_entry(struct gy_tally *t, struct gy_buf *pool, size_t i, size_t k)
{
    if (has_texts(t)) {
        struct gy_str text = gy_tally_text(t, i);
        t->texts[k] = t->texts[i];
        t->texts[k].at = pool->n;
        gy_buf_add(pool, text);
    }
    t->entries[k] = t->entries[i];
}

/* Twice as many counters as are wanted: all lose as much as the first one beyond has, so that a
 * value loses at most (all counts) / exact over time. */
static gy_status give_up(struct gy_tally *t, struct gy_err *err)
{
    int64_t *counts = gy_calloc(t->n, sizeof *counts);
    if (!counts) {
        return no_memory(err);
    }
    for (size_t i = 0; i < t->n; i++) {
        counts[i] = t->entries[i].count;
    }
    int64_t less = gy_count_select(counts, t->n, t->exact);
    gy_free(counts);
    struct gy_buf pool;
    gy_buf_init(&pool, POOL_MAX);
    size_t k = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (t->entries[i].count > less) {
            keep_entry(t, &pool, i, k);
            t->entries[k++].count -= less;
        }
    }
    t->n = k;
    t->short_by += less;
    gy_buf_done(&t->pool);
    t->pool = pool;
    memset(t->slots, 0, t->n_slots * sizeof *t->slots);
    for (size_t i = 0; i < t->n; i++) {
        put_slot(t, i);
    }
    return gy_buf_check(&t->pool, "the values of a column", err);
}

static gy_status go_over(struct gy_tally *t, struct gy_err *err)
{
    t->hll = gy_calloc(GY_HLL_BYTES, 1);
    if (!t->hll) {
        return no_memory(err);
    }
    t->over = true;
    for (size_t i = 0; i < t->n; i++) {
        gy_hll_add(t->hll, mix(t->entries[i].key));
        if (has_numbers(t)) {
            GY_TRY(gy_sketch_add(&t->sketch, gy_tally_number(t, i), t->entries[i].count, err));
        }
    }
    if (t->kind == GY_TALLY_HASH) {
        gy_free(t->entries);
        gy_free(t->slots);
        t->entries = NULL;
        t->slots = NULL;
        t->n = t->cap = t->n_slots = 0;
    }
    return GY_OK;
}

/* The entry of key, with count more; *ret_new: it was made, and its text has to be set. */
static gy_status find_or_make(struct gy_tally *t, uint64_t key, uint64_t m, int64_t count,
                              bool *ret_new, struct gy_err *err)
{
    *ret_new = false;
    size_t at = 0;
    if (t->n_slots) {
        const uint64_t tag = m & ~(uint64_t)UINT32_MAX;
        at = m & (t->n_slots - 1);
        for (; t->slots[at]; at = (at + 1) & (t->n_slots - 1)) {
            uint64_t slot = t->slots[at];
            struct gy_tally_entry *e = &t->entries[(slot & UINT32_MAX) - 1];
            if ((slot & ~(uint64_t)UINT32_MAX) == tag && e->key == key) {
                e->count += count;
                return GY_OK;
            }
        }
    }
    if (t->n == t->cap) {
        GY_TRY(grow(t, err));
        at = m & (t->n_slots - 1);
        while (t->slots[at]) {
            at = (at + 1) & (t->n_slots - 1);
        }
    }
    t->entries[t->n] = (struct gy_tally_entry){key, count};
    t->slots[at] = (m & ~(uint64_t)UINT32_MAX) | (t->n + 1);
    t->n++;
    *ret_new = true;
    return GY_OK;
}

static void fetch_slot(const struct gy_tally *t, uint64_t m)
{
    if (t->n_slots) {
        __builtin_prefetch(&t->slots[m & (t->n_slots - 1)]);
    }
}

static void fetch_entry(const struct gy_tally *t, uint64_t m)
{
    uint64_t slot = t->n_slots ? t->slots[m & (t->n_slots - 1)] : 0;
    if (slot) {
        __builtin_prefetch(&t->entries[(slot & UINT32_MAX) - 1], 1);
    }
}

/* After an addition: too many different values? */
static gy_status bound(struct gy_tally *t, struct gy_err *err)
{
    if (!t->over && t->n > t->exact) {
        GY_TRY(go_over(t, err));
    }
    return t->over && t->n > 2 * t->exact ? give_up(t, err) : GY_OK;
}

static gy_status note_over(struct gy_tally *t, uint64_t m, double number, int64_t count,
                           struct gy_err *err)
{
    gy_hll_add(t->hll, m);
    return has_numbers(t) ? gy_sketch_add(&t->sketch, number, count, err) : GY_OK;
}

static double number_of(enum gy_tally_kind kind, uint64_t key)
{
    double v;
    if (kind == GY_TALLY_INT) {
        return (double)(int64_t)key;
    }
    memcpy(&v, &key, sizeof v);
    if (kind == GY_TALLY_TIME) {
        return (double)gy_tally_time_us(key) / 1e6;
    }
    return kind == GY_TALLY_FLOAT ? v : NAN;
}

gy_status gy_tally_add(struct gy_tally *t, uint64_t key, struct gy_err *err)
{
    uint64_t m = mix(key);
    bool made;
    if (t->over) {
        GY_TRY(note_over(t, m, number_of(t->kind, key), 1, err));
        if (t->kind == GY_TALLY_HASH) {
            return GY_OK;
        }
    }
    GY_TRY(find_or_make(t, key, m, 1, &made, err));
    return made ? bound(t, err) : GY_OK;
}

gy_status gy_tally_add_all(struct gy_tally *t, const uint64_t *keys, size_t n, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) {
            fetch_slot(t, mix(keys[i + AHEAD]));
        }
        if (i + AHEAD / 2 < n) {
            fetch_entry(t, mix(keys[i + AHEAD / 2]));
        }
        GY_TRY(gy_tally_add(t, keys[i], err));
    }
    return GY_OK;
}

gy_status gy_tally_add_text(struct gy_tally *t, struct gy_str text, struct gy_err *err)
{
    uint64_t key = gy_tally_hash(text), m = mix(key);
    bool made;
    if (t->over) {
        gy_hll_add(t->hll, m);
    }
    GY_TRY(find_or_make(t, key, m, 1, &made, err));
    if (!made) {
        return GY_OK;
    }
    struct gy_str keep = gy_str_head(text, GY_TALLY_MAX_TEXT);
    t->texts[t->n - 1] = (struct gy_tally_text){t->pool.n, (uint32_t)keep.n, keep.n < text.n};
    gy_buf_add(&t->pool, keep);
    GY_TRY(gy_buf_check(&t->pool, "the values of a column", err));
    return bound(t, err);
}

/* One entry of another tally. */
static gy_status merge_entry(struct gy_tally *t, const struct gy_tally *from, size_t i,
                             struct gy_err *err)
{
    const struct gy_tally_entry *e = &from->entries[i];
    bool made;
    GY_TRY(find_or_make(t, e->key, mix(e->key), e->count, &made, err));
    if (made && has_texts(t)) {
        t->texts[t->n - 1] = from->texts[i];
        t->texts[t->n - 1].at = t->pool.n;
        gy_buf_add(&t->pool, gy_tally_text(from, i));
        GY_TRY(gy_buf_check(&t->pool, "the values of a column", err));
    }
    return made ? bound(t, err) : GY_OK;
}

gy_status gy_tally_merge(struct gy_tally *into, const struct gy_tally *from, struct gy_err *err)
{
    if (from->over && !into->over) {
        GY_TRY(go_over(into, err));
    }
    if (from->over) {
        gy_hll_merge(into->hll, from->hll);
        GY_TRY(gy_sketch_merge(&into->sketch, &from->sketch, err));
        into->short_by += from->short_by;
    }
    for (size_t i = 0; i < from->n; i++) {
        if (i + AHEAD < from->n) {
            fetch_slot(into, mix(from->entries[i + AHEAD].key));
        }
        if (i + AHEAD / 2 < from->n) {
            fetch_entry(into, mix(from->entries[i + AHEAD / 2].key));
        }
        if (into->over && !from->over) {
            GY_TRY(note_over(into, mix(from->entries[i].key), gy_tally_number(from, i),
                             from->entries[i].count, err));
        }
        if (into->kind != GY_TALLY_HASH || !into->over) {
            GY_TRY(merge_entry(into, from, i, err));
        }
    }
    return GY_OK;
}

int64_t gy_tally_distinct(const struct gy_tally *t)
{
    return t->over ? llround(gy_hll_estimate(t->hll)) : (int64_t)t->n;
}

double gy_tally_number(const struct gy_tally *t, size_t i)
{
    return number_of(t->kind, t->entries[i].key);
}

gy_status gy_tally_points(const struct gy_tally *t, struct gy_point **ret, size_t *ret_n,
                          struct gy_err *err)
{
    if (t->over) {
        return gy_sketch_points(&t->sketch, ret, ret_n, err);
    }
    struct gy_point *p = gy_calloc(t->n, sizeof *p);
    if (!p) {
        return no_memory(err);
    }
    for (size_t i = 0; i < t->n; i++) {
        p[i] = (struct gy_point){gy_tally_number(t, i), t->entries[i].count};
    }
    gy_points_sort(p, t->n);
    *ret = p;
    *ret_n = t->n;
    return GY_OK;
}
