/* SPDX-License-Identifier: Apache-2.0 */
/* The two indexes of the join: linear probing, deletion by shifting back (Knuth, TAOCP 3, 6.4,
 * algorithm R). */
#include "base/mem.h"
#include "watch/join_internal.h"

#define MIN_SLOTS 1024

uint64_t join_mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;
    return h ^ (h >> 32);
}

static uint32_t key_hash(const unsigned char id[16], uint32_t row, bool request)
{
    uint64_t a;
    uint64_t b;
    memcpy(&a, id, 8);
    memcpy(&b, id + 8, 8);
    return (uint32_t)join_mix(join_mix(a) + b + ((uint64_t)row << 1) + request);
}

static uint32_t request_hash(uint64_t request, uint32_t row)
{
    return (uint32_t)join_mix(request + ((uint64_t)row << 32));
}

static gy_status grow(struct join_index *x, size_t n_slots, struct gy_err *err)
{
    struct join_slot *slots = gy_calloc(n_slots, sizeof *slots);
    if (!slots) {
        return gy_err_set(err, GY_E_NOMEM, "joining predictions with feedback");
    }
    for (size_t s = 0; s < x->n_slots; s++) {
        if (x->slots[s].row) {
            size_t at = x->slots[s].hash & (n_slots - 1);
            while (slots[at].row) {
                at = (at + 1) & (n_slots - 1);
            }
            slots[at] = x->slots[s];
        }
    }
    gy_free(x->slots);
    x->slots = slots;
    x->n_slots = n_slots;
    return GY_OK;
}

gy_status join_index_reserve(struct join_index *x, size_t more, struct gy_err *err)
{
    size_t n_slots = x->n_slots ? x->n_slots : MIN_SLOTS;
    while ((x->n + more) * 2 > n_slots) {
        n_slots *= 2;
    }
    return n_slots > x->n_slots ? grow(x, n_slots, err) : GY_OK;
}

static uint32_t hash_of(const struct gy_join *j, const struct join_index *x, uint32_t i)
{
    const struct join_row *r = join_at(j, i);
    return x == &j->by_key ? key_hash(r->id, r->row, r->flags & JOIN_REQUEST)
                           : request_hash(r->request, r->row);
}

void join_index_put(struct gy_join *j, struct join_index *x, uint32_t i)
{
    uint32_t hash = hash_of(j, x, i);
    size_t at = hash & (x->n_slots - 1);
    while (x->slots[at].row) {
        at = (at + 1) & (x->n_slots - 1);
    }
    x->slots[at] = (struct join_slot){i + 1, hash};
    x->n++;
}

void join_index_remove(struct gy_join *j, struct join_index *x, uint32_t i)
{
    size_t mask = x->n_slots - 1;
    size_t at = hash_of(j, x, i) & mask;
    while (x->slots[at].row != i + 1) {
        GY_REQUIRE(x->slots[at].row);
        at = (at + 1) & mask;
    }
    for (size_t next = (at + 1) & mask; x->slots[next].row; next = (next + 1) & mask) {
        size_t home = x->slots[next].hash & mask;
        if (((next - home) & mask) >= ((next - at) & mask)) { /* it may stand at `at` too */
            x->slots[at] = x->slots[next];
            at = next;
        }
    }
    x->slots[at].row = 0;
    x->n--;
}

uint32_t join_find(const struct gy_join *j, const unsigned char id[16], uint32_t row, bool request)
{
    const struct join_index *x = &j->by_key;
    if (!x->n_slots) {
        return JOIN_NONE;
    }
    uint32_t hash = key_hash(id, row, request);
    size_t at = hash & (x->n_slots - 1);
    for (; x->slots[at].row; at = (at + 1) & (x->n_slots - 1)) {
        if (x->slots[at].hash != hash) {
            continue;
        }
        const struct join_row *r = join_at(j, x->slots[at].row - 1);
        if (r->row == row && !(r->flags & JOIN_REQUEST) == !request &&
            memcmp(r->id, id, sizeof r->id) == 0) {
            return x->slots[at].row - 1;
        }
    }
    return JOIN_NONE;
}

uint32_t join_find_newest(const struct gy_join *j, uint64_t request, uint32_t row)
{
    const struct join_index *x = &j->by_request;
    if (!x->n_slots) {
        return JOIN_NONE;
    }
    uint32_t hash = request_hash(request, row);
    size_t at = hash & (x->n_slots - 1);
    for (; x->slots[at].row; at = (at + 1) & (x->n_slots - 1)) {
        if (x->slots[at].hash != hash) {
            continue;
        }
        const struct join_row *r = join_at(j, x->slots[at].row - 1);
        if (r->row == row && r->request == request) {
            return x->slots[at].row - 1;
        }
    }
    return JOIN_NONE;
}
