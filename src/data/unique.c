/* SPDX-License-Identifier: Apache-2.0 */
#include "data/unique.h"

#include "base/id.h"
#include "base/mem.h"

#define SPARE_BYTES ((size_t)GY_MIB) /* of bits, before there are any numbers */
#define BYTES_A_NUMBER 4             /* of bits: else they are pooled, which costs more */
#define PLACE_BITS 40
#define PLACE_MASK ((1ULL << PLACE_BITS) - 1)

gy_status gy_unique_init(struct gy_unique *u, struct gy_err *err)
{
    *u = (struct gy_unique){.number = -1};
    gy_buf_init(&u->pool, GY_UNIQUE_MAX_BYTES);
    /* Foreign data must not be able to choose texts that all fall on one slot. */
    return gy_random_bytes(&u->seed, sizeof u->seed, err);
}

void gy_unique_done(struct gy_unique *u)
{
    if (u) {
        gy_buf_done(&u->pool);
        gy_free(u->slots);
        gy_free(u->bits);
        u->slots = u->bits = NULL;
        u->n_words = 0;
    }
}

/* The text at *place, which is moved behind it. */
static struct gy_str text_at(const struct gy_unique *u, size_t *place)
{
    size_t n = 0;
    for (int shift = 0;; shift += 7) {
        unsigned char b = (unsigned char)u->pool.p[(*place)++];
        n |= (size_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            break;
        }
    }
    struct gy_str text = gy_str_n(u->pool.p + *place, n);
    *place += n;
    return text;
}

/* The slot of text: the one that holds it, or the free one where it belongs. */
static size_t slot_of(const struct gy_unique *u, struct gy_str text, uint64_t hash)
{
    size_t mask = u->n_slots - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        uint64_t slot = u->slots[at];
        if (!slot) {
            return at;
        }
        if (slot >> PLACE_BITS == hash >> PLACE_BITS) {
            size_t place = (slot & PLACE_MASK) - 1;
            if (gy_str_eq(text_at(u, &place), text)) {
                return at;
            }
        }
    }
}

/* "0" or digits without a leading zero: one text a number. */
static int64_t plain_number(struct gy_str text)
{
    if (text.n == 0 || text.n > 15 || (text.p[0] == '0' && text.n > 1)) {
        return -1;
    }
    int64_t value = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            return -1;
        }
        value = value * 10 + (text.p[i] - '0');
    }
    return value;
}

/* Where the number's bit is: its word, or SIZE_MAX when it lies before all of them. */
static size_t word_of(const struct gy_unique *u, int64_t number)
{
    return number < u->first ? SIZE_MAX : (size_t)(number - u->first) / 64;
}

static uint64_t bit_of(int64_t number)
{
    return 1ULL << (number % 64); /* first is a multiple of 64 */
}

static bool in_bits(const struct gy_unique *u)
{
    if (u->number < 0) {
        return false;
    }
    size_t word = word_of(u, u->number);
    return word < u->n_words && (u->bits[word] & bit_of(u->number));
}

/* Make a bit for the number, unless that would cost more than it is worth (*ret false). */
static gy_status make_bit(struct gy_unique *u, bool *ret, struct gy_err *err)
{
    const size_t most = (SPARE_BYTES + BYTES_A_NUMBER * u->n) / sizeof *u->bits;
    *ret = false;
    if (u->number < 0) {
        return GY_OK;
    }
    if (!u->bits) { /* from 0 on when that is not far */
        u->first = (size_t)u->number / 64 < most / 2 ? 0 : u->number - u->number % 64;
    }
    size_t word = word_of(u, u->number);
    if (word >= most) {
        *ret = word < u->n_words;
        return GY_OK;
    }
    if (word >= u->n_words) {
        size_t n = word + word / 2 + 64;
        uint64_t *bits = gy_reallocarray(u->bits, n, sizeof *bits);
        if (!bits) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for the values of a unique column");
        }
        memset(bits + u->n_words, 0, (n - u->n_words) * sizeof *bits);
        u->bits = bits;
        u->n_words = n;
    }
    *ret = true;
    return GY_OK;
}

void gy_unique_ask(struct gy_unique *u, struct gy_str text)
{
    u->number = plain_number(text);
    if (u->pool.n == 0 || in_bits(u)) {
        return;
    }
    u->asked = gy_str_hash(text, u->seed);
    if (u->slots) {
        __builtin_prefetch(&u->slots[u->asked & (u->n_slots - 1)]);
    }
}

bool gy_unique_has(struct gy_unique *u, struct gy_str text)
{
    if (in_bits(u)) {
        return true;
    }
    if (u->pool.n == 0) {
        return false;
    }
    u->place = slot_of(u, text, u->asked);
    return u->slots[u->place] != 0;
}

static gy_status grow(struct gy_unique *u, struct gy_err *err)
{
    size_t n_slots = u->n_slots ? u->n_slots * 2 : 1024;
    uint64_t *slots = gy_calloc(n_slots, sizeof *slots);
    if (!slots) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the values of a unique column");
    }
    gy_free(u->slots);
    u->slots = slots;
    u->n_slots = n_slots;
    for (size_t place = 0; place < u->pool.n;) {
        size_t start = place;
        uint64_t hash = gy_str_hash(text_at(u, &place), u->seed);
        size_t at = hash & (n_slots - 1);
        while (slots[at]) {
            at = (at + 1) & (n_slots - 1);
        }
        slots[at] = (hash & ~PLACE_MASK) | (start + 1);
    }
    return GY_OK;
}

gy_status gy_unique_add(struct gy_unique *u, struct gy_str text, struct gy_err *err)
{
    bool has_bit = false;
    GY_TRY(make_bit(u, &has_bit, err));
    if (has_bit) {
        u->bits[word_of(u, u->number)] |= bit_of(u->number);
        u->n++;
        return GY_OK;
    }
    const bool first = u->pool.n == 0; /* then ask had nothing to look up */
    const bool full = u->n_pooled + 1 > u->n_slots / 4 * 3;
    if (full) {
        GY_TRY(grow(u, err));
    }
    if (first) {
        u->asked = gy_str_hash(text, u->seed);
    }
    if (first || full) {
        u->place = slot_of(u, text, u->asked);
    }
    size_t start = u->pool.n;
    char *p = gy_buf_reserve(&u->pool, text.n + 10);
    if (!p) {
        gy_status why = u->pool.failed;
        u->pool.failed = GY_OK; /* what is there stays good */
        return gy_err_set(err, why, "out of room for the values of a unique column");
    }
    size_t n = 0, rest = text.n;
    for (; rest >= 0x80; rest >>= 7) {
        p[n++] = (char)(rest | 0x80);
    }
    p[n++] = (char)rest;
    if (text.n) {
        memcpy(p + n, text.p, text.n);
    }
    gy_buf_commit(&u->pool, n + text.n);
    u->slots[u->place] = (u->asked & ~PLACE_MASK) | (start + 1);
    u->n_pooled++;
    u->n++;
    return GY_OK;
}
