/* SPDX-License-Identifier: Apache-2.0 */
/* gy_tally: the values of one column and how often each came. Exact while there are few different
 * ones; then it goes on in bounded memory: the number of different values by HyperLogLog, the
 * frequent ones by counters of which the smallest are given up (Misra and Gries 1982, merged as
 * Agarwal et al. 2012 have it: what SpaceSaving keeps, too), quantiles by a sketch. Mergeable: what
 * b holds can be added to a. Without chance: the same calls in the same order give the same tally.
 * Not thread safe; one owner. */
#ifndef GY_DATA_TALLY_H
#define GY_DATA_TALLY_H

#include "base/buf.h"
#include "data/sketch.h"

#define GY_TALLY_MAX_TEXT \
    256 /* bytes that are kept of a text; longer ones are told apart by hash */

enum gy_tally_kind {
    GY_TALLY_INT,   /* key: the int64 */
    GY_TALLY_FLOAT, /* key: the bits of the double; never -0 */
    GY_TALLY_TEXT,  /* key: gy_tally_hash of the text */
    GY_TALLY_TIME,  /* key: gy_tally_time */
    GY_TALLY_HASH   /* key: a hash of what is only counted: nothing is kept when it is too much */
};

struct gy_tally_entry {
    uint64_t key;
    int64_t count;
};
struct gy_tally_text {
    uint64_t at; /* in the pool */
    uint32_t n;
    bool cut; /* longer than what is kept */
};

struct gy_tally {
    enum gy_tally_kind kind;
    size_t exact; /* different values that are counted exactly */
    struct gy_tally_entry *entries;
    struct gy_tally_text *texts; /* of TEXT, one an entry */
    size_t n, cap;
    uint64_t *slots; /* high half of the mixed key over index + 1; 0: free */
    size_t n_slots;
    struct gy_buf pool;
    bool over;        /* there were more different values than `exact` */
    int64_t short_by; /* over: a count may be too low by so much, values with fewer may be gone */
    uint8_t *hll;     /* over */
    struct gy_sketch sketch; /* over, of INT, FLOAT and TIME */
};

/* Allocates nothing. exact at least 1. */
void gy_tally_init(struct gy_tally *t, enum gy_tally_kind kind, size_t exact);
void gy_tally_done(struct gy_tally *t);
void gy_tally_reset(struct gy_tally *t); /* as after init, memory kept */

uint64_t gy_tally_hash(struct gy_str s);
/* A time and how it was written (0 to 3), so that a day is not its midnight. */
static inline uint64_t gy_tally_time(int64_t us, unsigned form)
{
    return (uint64_t)us << 2 | form;
}
static inline int64_t gy_tally_time_us(uint64_t key)
{
    return (int64_t)key >> 2;
}
/* Add one of any kind but TEXT / of TEXT. Fail: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_tally_add(struct gy_tally *t, uint64_t key, struct gy_err *err);
GY_CHECKED gy_status gy_tally_add_text(struct gy_tally *t, struct gy_str text, struct gy_err *err);
/* The same for many keys: what is far away in memory is fetched ahead. */
GY_CHECKED gy_status gy_tally_add_all(struct gy_tally *t, const uint64_t *keys, size_t n,
                                      struct gy_err *err);
/* Both have the same kind and the same `exact`. Fails: NOMEM, TOOBIG; into is spoilt then. */
GY_CHECKED gy_status gy_tally_merge(struct gy_tally *into, const struct gy_tally *from,
                                    struct gy_err *err);

/* The k-th largest of n counts, from 0. Their order is lost. */
int64_t gy_count_select(int64_t *counts, size_t n, size_t k);
/* How many different values there were; exact unless t->over. */
int64_t gy_tally_distinct(const struct gy_tally *t);
/* The number of entry i; NaN for texts. */
double gy_tally_number(const struct gy_tally *t, size_t i);
static inline struct gy_str gy_tally_text(const struct gy_tally *t, size_t i)
{
    return gy_str_n(t->pool.p + t->texts[i].at, t->texts[i].n);
}
/* As gy_sketch_points, exact unless t->over; of INT, FLOAT and TIME. */
GY_CHECKED gy_status gy_tally_points(const struct gy_tally *t, struct gy_point **ret, size_t *ret_n,
                                     struct gy_err *err);

#endif
