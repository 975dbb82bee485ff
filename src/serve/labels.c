/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/labels.h"

#include <math.h>

#include "base/mem.h"

void gy_labels_done(struct gy_labels *l)
{
    gy_free(l->slots);
    *l = (struct gy_labels){0};
}

/* The random half of a UUIDv7 is as good as a hash, and nobody gains from choosing it. */
static size_t slot_of(const struct gy_labels *l, const unsigned char id[16], uint32_t row)
{
    uint64_t hash;
    memcpy(&hash, id + 8, sizeof hash);
    hash = (hash + row) * 0x9e3779b97f4a7c15ULL;
    size_t at = (size_t)(hash >> 20) & (l->n_slots - 1);
    while (l->slots[at].there &&
           (l->slots[at].row != row || memcmp(l->slots[at].id, id, 16) != 0)) {
        at = (at + 1) & (l->n_slots - 1);
    }
    return at;
}

static gy_status grow(struct gy_labels *l, struct gy_err *err)
{
    struct gy_labels larger = {.n = l->n, .n_slots = l->n_slots ? 2 * l->n_slots : 1024};
    if (larger.n_slots > 2 * GY_LABELS_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %zu labels", GY_LABELS_MAX);
    }
    larger.slots = gy_calloc(larger.n_slots, sizeof *larger.slots);
    if (!larger.slots) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for labels");
    }
    for (size_t i = 0; i < l->n_slots; i++) {
        const struct gy_label *one = &l->slots[i];
        if (one->there) {
            larger.slots[slot_of(&larger, one->id, one->row)] = *one;
        }
    }
    gy_free(l->slots);
    *l = larger;
    return GY_OK;
}

gy_status gy_labels_add(struct gy_labels *l, const unsigned char id[16], uint32_t row, double truth,
                        struct gy_err *err)
{
    if (2 * (l->n + 1) > l->n_slots) {
        GY_TRY(grow(l, err));
    }
    struct gy_label *slot = &l->slots[slot_of(l, id, row)];
    l->n += slot->there ? 0 : 1;
    memcpy(slot->id, id, 16);
    slot->row = row;
    slot->there = true;
    slot->truth = truth;
    return GY_OK;
}

double gy_labels_get(const struct gy_labels *l, const unsigned char id[16], uint32_t row)
{
    if (!l || l->n == 0) {
        return NAN;
    }
    const struct gy_label *slot = &l->slots[slot_of(l, id, row)];
    return slot->there ? slot->truth : NAN;
}
