/* SPDX-License-Identifier: Apache-2.0 */
#include "data/split.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

/* ---- by hash ---- */

uint64_t gy_split_hash_with(struct gy_hash *sha256, uint64_t seed, struct gy_str key)
{
    char text[32];
    char hex[GY_SHA256_HEX];
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)seed);
    gy_hash_add(sha256, gy_str_n(text, (size_t)n));
    gy_hash_add(sha256, key);
    gy_hash_hex(sha256, hex);
    uint64_t value = 0;
    for (size_t i = 0; i < 16; i++) {
        char c = hex[i];
        unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
        value = value << 4 | digit;
    }
    return value;
}

gy_status gy_split_hash(uint64_t seed, struct gy_str key, uint64_t *ret, struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    *ret = gy_split_hash_with(h, seed, key);
    return GY_OK;
}

bool gy_split_below(uint64_t hash, double share)
{
    /* share * 2^64 is exact: scaling by a power of two. A whole hash lies below it when it lies
     * below its ceiling. */
    double limit = ceil(ldexp(share, 64));
    if (!(limit > 0)) {
        return false;
    }
    return limit >= 18446744073709551616.0 || hash < (uint64_t)limit;
}

size_t gy_split_part_of(uint64_t hash, const struct gy_split_part *parts, size_t n)
{
    double upto = 0;
    for (size_t i = n; i-- > 1;) {
        upto += parts[i].share;
        if (gy_split_below(hash, upto)) {
            return i;
        }
    }
    return 0;
}

static bool is_name(struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (i > 0 && strchr("_-.", c)))) {
            return false;
        }
    }
    return s.n > 0 && s.n <= 64;
}

static gy_status bad_parts(struct gy_err *err, const char *what, struct gy_str part)
{
    (void)gy_err_set(err, GY_E_INVALID, "parts: %s '%" GY_STR_F "'", what, GY_STR_A(part));
    return gy_err_hint(err, "train=.7,valid=.15,test=.15");
}

gy_status gy_split_parse_parts(struct gy_str text, struct gy_split_part out[GY_SPLIT_MAX_PARTS],
                               size_t *ret_n, struct gy_err *err)
{
    size_t n = 0;
    double sum = 0;
    struct gy_str piece, rest = text;
    while (gy_str_next(&rest, ',', &piece)) {
        struct gy_str name, share;
        if (n == GY_SPLIT_MAX_PARTS) {
            return bad_parts(err, "more than 100 in", text);
        }
        if (!gy_str_cut(gy_str_trim(piece), '=', &name, &share) || !is_name(name)) {
            return bad_parts(err, "not a name and a share:", piece);
        }
        char number[40] = "0"; /* ".7" is what people write */
        bool bare = share.n > 0 && share.p[0] == '.';
        if (share.n == 0 || share.n > 30) {
            return bad_parts(err, "not a share:", piece);
        }
        memcpy(number + bare, share.p, share.n);
        struct gy_split_part *p = &out[n];
        p->name = name;
        if (gy_parse_f64(gy_str_n(number, share.n + bare), &p->share, NULL) != GY_OK ||
            !(p->share > 0 && p->share <= 1)) {
            return bad_parts(err, "not a share above 0, at most 1:", piece);
        }
        for (size_t i = 0; i < n; i++) {
            if (gy_str_ieq(out[i].name, name)) {
                return bad_parts(err, "a name is there twice:", name);
            }
        }
        sum += p->share;
        n++;
    }
    if (n < 2 || fabs(sum - 1) > 1e-6) {
        return bad_parts(
            err, n < 2 ? "at least two are wanted, not" : "the shares do not add up to 1:", text);
    }
    for (size_t i = 0; sum != 1 && i < n; i++) {
        out[i].share /= sum;
    }
    *ret_n = n;
    return GY_OK;
}

/* ---- by looking at all rows ---- */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a split");
}

struct ranked {
    uint64_t key;
    uint32_t class_;
    size_t row;
};

/* Equal keys (the same record twice) in the order of the file. */
static int by_class_then_key(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->class_ != y->class_) {
        return x->class_ < y->class_ ? -1 : 1;
    }
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return (x->row > y->row) - (x->row < y->row);
}

/* How many of `count` rows each part gets: its share rounded down, and what is left to those that
 * lost most, counting what they lost in the classes before. */
static void quotas(size_t count, const struct gy_split_part *parts, size_t n_parts, double *lost,
                   size_t *quota)
{
    size_t given = 0;
    for (size_t p = 0; p < n_parts; p++) {
        double wanted = parts[p].share * (double)count;
        quota[p] = (size_t)floor(wanted + 1e-9);
        lost[p] += wanted - (double)quota[p];
        given += quota[p];
    }
    /* The shares add up to 1 but for rounding, so that fewer than n_parts rows are left. */
    for (; given < count; given++) {
        size_t best = 0;
        for (size_t p = 1; p < n_parts; p++) {
            best = lost[p] > lost[best] + 1e-12 ? p : best;
        }
        quota[best]++;
        lost[best] -= 1;
    }
    for (size_t p = 0; given > count; p = (p + 1) % n_parts) {
        if (quota[p] > 0) {
            quota[p]--;
            lost[p] += 1;
            given--;
        }
    }
}

gy_status gy_split_exact(const struct gy_split_table *t, const struct gy_split_part *parts,
                         size_t n_parts, uint8_t *out, struct gy_err *err)
{
    double lost[GY_SPLIT_MAX_PARTS] = {0};
    size_t quota[GY_SPLIT_MAX_PARTS] = {0};
    struct ranked *rows = gy_calloc(t->n, sizeof *rows);
    if (!rows) {
        return no_memory(err);
    }
    for (size_t i = 0; i < t->n; i++) {
        rows[i] = (struct ranked){t->order[i], t->classes ? t->classes[i] : 0, i};
    }
    if (t->n > 1) {
        qsort(rows, t->n, sizeof *rows, by_class_then_key);
    }
    for (size_t from = 0, to; from < t->n; from = to) {
        for (to = from; to < t->n && rows[to].class_ == rows[from].class_;) {
            to++;
        }
        quotas(to - from, parts, n_parts, lost, quota);
        /* From the last part on, as the intervals of hashes are. */
        size_t i = from;
        for (size_t p = n_parts; p-- > 0;) {
            for (size_t k = 0; k < quota[p]; k++) {
                out[rows[i++].row] = (uint8_t)p;
            }
        }
    }
    gy_free(rows);
    return GY_OK;
}

/* ---- groups ---- */

struct group {
    uint64_t key;
    size_t from, to; /* in the rows sorted by group */
};

static int by_key(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return (x->row > y->row) - (x->row < y->row);
}

static int by_size(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    size_t n = x->to - x->from, m = y->to - y->from;
    if (n != m) {
        return n > m ? -1 : 1;
    }
    return (x->key > y->key) - (x->key < y->key);
}

struct dealing {
    const struct gy_split_table *t;
    const struct gy_split_part *parts;
    size_t n_parts, n_classes;
    struct ranked *rows; /* by group */
    struct group *groups;
    size_t n_groups;
    size_t *of_class; /* rows of each class */
    size_t *held;     /* of each class in each part */
    size_t *here;     /* of each class in the group at hand */
};

/* How much further from its shares the part gets: the sum over classes of what (rows / wanted)^2
 * grows by, weighted with the part's share. */
static double disturbed(const struct dealing *d, size_t part)
{
    double sum = 0, share = d->parts[part].share;
    for (size_t c = 0; c < d->n_classes; c++) {
        double g = (double)d->here[c], h = (double)d->held[part * d->n_classes + c];
        double all = (double)d->of_class[c];
        sum += g > 0 ? (2 * h * g + g * g) / (share * all * all) : 0;
    }
    return sum;
}

static void deal(struct dealing *d, uint8_t *out)
{
    for (size_t i = 0; i < d->n_groups; i++) {
        const struct group *g = &d->groups[i];
        size_t best = 0;
        double least = INFINITY;
        memset(d->here, 0, d->n_classes * sizeof *d->here);
        for (size_t k = g->from; k < g->to; k++) {
            d->here[d->rows[k].class_]++;
        }
        for (size_t p = 0; p < d->n_parts; p++) {
            double cost = disturbed(d, p);
            if (cost < least * (1 - 1e-12)) {
                least = cost;
                best = p;
            }
        }
        for (size_t c = 0; c < d->n_classes; c++) {
            d->held[best * d->n_classes + c] += d->here[c];
        }
        for (size_t k = g->from; k < g->to; k++) {
            out[d->rows[k].row] = (uint8_t)best;
        }
    }
}

static gy_status find_groups(struct dealing *d, struct gy_err *err)
{
    const struct gy_split_table *t = d->t;
    d->n_classes = t->classes ? t->n_classes : 1;
    d->rows = gy_calloc(t->n, sizeof *d->rows);
    d->groups = gy_calloc(t->n, sizeof *d->groups);
    d->of_class = gy_calloc(d->n_classes, sizeof *d->of_class);
    d->here = gy_calloc(d->n_classes, sizeof *d->here);
    d->held = gy_calloc(d->n_classes * d->n_parts, sizeof *d->held);
    if (!d->rows || !d->groups || !d->of_class || !d->here || !d->held) {
        return no_memory(err);
    }
    for (size_t i = 0; i < t->n; i++) {
        d->rows[i] = (struct ranked){t->group[i], t->classes ? t->classes[i] : 0, i};
        d->of_class[d->rows[i].class_]++;
    }
    if (t->n > 1) {
        qsort(d->rows, t->n, sizeof *d->rows, by_key);
    }
    for (size_t from = 0, to; from < t->n; from = to) {
        for (to = from; to < t->n && d->rows[to].key == d->rows[from].key;) {
            to++;
        }
        d->groups[d->n_groups++] = (struct group){d->rows[from].key, from, to};
    }
    if (d->n_groups > 1) {
        qsort(d->groups, d->n_groups, sizeof *d->groups, by_size);
    }
    return GY_OK;
}

gy_status gy_split_groups(const struct gy_split_table *t, const struct gy_split_part *parts,
                          size_t n_parts, uint8_t *out, struct gy_err *err)
{
    struct dealing d = {.t = t, .parts = parts, .n_parts = n_parts};
    gy_status status = find_groups(&d, err);
    if (status == GY_OK) {
        deal(&d, out);
    }
    gy_free(d.rows);
    gy_free(d.groups);
    gy_free(d.of_class);
    gy_free(d.here);
    gy_free(d.held);
    return status;
}

/* ---- time ---- */

struct timed {
    double time;
    size_t row;
};

static int by_time(const void *a, const void *b)
{
    const struct timed *x = a, *y = b;
    return x->time != y->time ? (x->time > y->time) - (x->time < y->time)
                              : (x->row > y->row) - (x->row < y->row);
}

/* The end of a run of equal times that is nearest to `wanted`, behind `from`. */
static size_t nearest_end(const struct timed *rows, size_t n, size_t from, size_t wanted)
{
    size_t low = wanted, high = wanted;
    while (low > from && low < n && rows[low].time == rows[low - 1].time) {
        low--;
    }
    while (high > 0 && high < n && rows[high].time == rows[high - 1].time) {
        high++;
    }
    return low > from && wanted - low <= high - wanted ? low : high;
}

static gy_status cut_times(const struct timed *rows, size_t n, const struct gy_split_part *parts,
                           size_t n_parts, uint8_t *out, struct gy_err *err)
{
    double upto = 0;
    size_t from = 0;
    for (size_t p = 0; p < n_parts; p++) {
        upto += parts[p].share;
        size_t wanted = (size_t)llround(upto * (double)n);
        size_t to = p + 1 == n_parts ? n : nearest_end(rows, n, from, wanted > n ? n : wanted);
        if (to <= from) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "part '%" GY_STR_F
                             "' would be empty: too many rows have the same time",
                             GY_STR_A(parts[p].name));
            return gy_err_hint(err, "fewer parts, or larger shares");
        }
        for (size_t i = from; i < to; i++) {
            out[rows[i].row] = (uint8_t)p;
        }
        from = to;
    }
    return GY_OK;
}

gy_status gy_split_times(const struct gy_split_table *t, const struct gy_split_part *parts,
                         size_t n_parts, uint8_t *out, struct gy_err *err)
{
    struct timed *rows = gy_calloc(t->n, sizeof *rows);
    if (!rows) {
        return no_memory(err);
    }
    for (size_t i = 0; i < t->n; i++) {
        rows[i] = (struct timed){t->time[i], i};
    }
    if (t->n > 1) {
        qsort(rows, t->n, sizeof *rows, by_time);
    }
    gy_status status = cut_times(rows, t->n, parts, n_parts, out, err);
    gy_free(rows);
    return status;
}

gy_status gy_split_shared(const uint64_t *keys, const uint8_t *parts, size_t n, size_t *ret,
                          struct gy_err *err)
{
    *ret = 0;
    struct ranked *rows = gy_calloc(n, sizeof *rows);
    if (!rows) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct ranked){keys[i], parts[i], i};
    }
    if (n > 1) {
        qsort(rows, n, sizeof *rows, by_key);
    }
    for (size_t from = 0, to; from < n; from = to) {
        bool shared = false;
        for (to = from; to < n && rows[to].key == rows[from].key; to++) {
            shared = shared || rows[to].class_ != rows[from].class_;
        }
        *ret += shared;
    }
    gy_free(rows);
    return GY_OK;
}
