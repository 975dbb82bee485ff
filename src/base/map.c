/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/mem.h"

void gy_map_init(struct gy_map *m, size_t max_entries)
{
    *m = (struct gy_map){.max_entries = max_entries};
}

void gy_map_done(struct gy_map *m)
{
    if (!m) {
        return;
    }
    for (size_t i = 0; i < m->n_entries; i++) {
        gy_free((void *)m->entries[i].key.p);
    }
    gy_free(m->entries);
    gy_free(m->slots);
    gy_map_init(m, m->max_entries);
}

/* The slot that holds key, or the free one where it would go. n_slots is a power of two and never
 * full. */
static size_t find_slot(const struct gy_map *m, struct gy_str key, uint64_t hash)
{
    size_t at = hash & (m->n_slots - 1);
    while (m->slots[at] != 0) {
        const struct gy_map_entry *e = &m->entries[m->slots[at] - 1];
        if (e->hash == hash && gy_str_eq(e->key, key)) {
            return at;
        }
        at = (at + 1) & (m->n_slots - 1);
    }
    return at;
}

static struct gy_map_entry *find(const struct gy_map *m, struct gy_str key)
{
    if (m->n_slots == 0) {
        return NULL;
    }
    size_t at = find_slot(m, key, gy_str_hash(key, 0));
    struct gy_map_entry *e = m->slots[at] ? &m->entries[m->slots[at] - 1] : NULL;
    return e && e->live ? e : NULL;
}

static void index_all(struct gy_map *m)
{
    for (size_t i = 0; i < m->n_entries; i++) {
        size_t at = find_slot(m, m->entries[i].key, m->entries[i].hash);
        m->slots[at] = (uint32_t)(i + 1);
    }
}

/* Drop the dead entries, so that a map with much coming and going stays as large as what lives in
 * it. */
static void compact(struct gy_map *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n_entries; i++) {
        if (m->entries[i].live) {
            m->entries[kept++] = m->entries[i];
        } else {
            gy_free((void *)m->entries[i].key.p);
        }
    }
    m->n_entries = kept;
    memset(m->slots, 0, m->n_slots * sizeof *m->slots);
    index_all(m);
}

static gy_status grow(struct gy_map *m, struct gy_err *err)
{
    size_t cap = m->cap_entries ? m->cap_entries * 2 : 8;
    struct gy_map_entry *entries = gy_reallocarray(m->entries, cap, sizeof *entries);
    if (!entries) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a map");
    }
    m->entries = entries;
    uint32_t *slots = gy_calloc(cap * 2, sizeof *slots);
    if (!slots) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a map");
    }
    gy_free(m->slots);
    m->slots = slots;
    m->n_slots = cap * 2;
    m->cap_entries = cap;
    index_all(m);
    return GY_OK;
}

gy_status gy_map_put(struct gy_map *m, struct gy_str key, void *value, struct gy_err *err)
{
    uint64_t hash = gy_str_hash(key, 0);
    if (m->n_slots) {
        size_t at = find_slot(m, key, hash);
        if (m->slots[at]) {
            struct gy_map_entry *e = &m->entries[m->slots[at] - 1];
            m->n_live += e->live ? 0 : 1;
            e->live = true;
            e->value = value;
            return GY_OK;
        }
    }
    if (m->n_live >= m->max_entries) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %zu entries", m->max_entries);
    }
    if (m->n_entries == m->cap_entries && m->n_live < m->n_entries - m->n_entries / 4) {
        compact(m);
    }
    if (m->n_entries == m->cap_entries) {
        GY_TRY(grow(m, err));
    }
    char *copy = gy_strndup(key.p, key.n);
    if (!copy) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a map");
    }
    m->entries[m->n_entries] = (struct gy_map_entry){{copy, key.n}, value, hash, true};
    m->slots[find_slot(m, key, hash)] = (uint32_t)(++m->n_entries);
    m->n_live++;
    return GY_OK;
}

void *gy_map_get(const struct gy_map *m, struct gy_str key)
{
    struct gy_map_entry *e = find(m, key);
    return e ? e->value : NULL;
}

bool gy_map_has(const struct gy_map *m, struct gy_str key)
{
    return find(m, key) != NULL;
}

bool gy_map_remove(struct gy_map *m, struct gy_str key)
{
    struct gy_map_entry *e = find(m, key);
    if (!e) {
        return false;
    }
    /* The dead entry keeps its slot, so that probing still passes over it; putting the key again
     * revives it. */
    e->live = false;
    e->value = NULL;
    m->n_live--;
    return true;
}

struct gy_map_entry *gy_map_next(const struct gy_map *m, size_t *pos)
{
    while (*pos < m->n_entries) {
        struct gy_map_entry *e = &m->entries[(*pos)++];
        if (e->live) {
            return e;
        }
    }
    return NULL;
}
