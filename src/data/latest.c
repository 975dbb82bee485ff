/* SPDX-License-Identifier: Apache-2.0 */
#include "data/latest.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"

void gy_latest_init(struct gy_latest *l)
{
    *l = (struct gy_latest){0};
    gy_map_init(&l->lines, GY_LATEST_MAX_KEYS);
    gy_arena_init(&l->arena, GY_LATEST_MAX_KEYS * sizeof(struct gy_range));
}

void gy_latest_done(struct gy_latest *l)
{
    gy_map_done(&l->lines);
    gy_arena_done(&l->arena);
    gy_free(l->gone);
    l->gone = NULL;
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for the keys of records");
}

static gy_status add_gone(struct gy_latest *l, struct gy_range line, struct gy_err *err)
{
    if (l->n_gone == l->cap_gone) {
        size_t cap = l->cap_gone ? 2 * l->cap_gone : 64;
        struct gy_range *gone = gy_reallocarray(l->gone, cap, sizeof *gone);
        if (!gone) {
            return no_memory(err);
        }
        l->gone = gone;
        l->cap_gone = cap;
    }
    l->gone[l->n_gone++] = line;
    return GY_OK;
}

gy_status gy_latest_add(struct gy_latest *l, struct gy_str key, struct gy_range line,
                        bool keep_first, bool *ret_repeated, struct gy_err *err)
{
    struct gy_range *before = gy_map_get(&l->lines, key);
    *ret_repeated = before != NULL;
    if (before && keep_first) {
        return GY_OK;
    }
    if (before) {
        GY_TRY(add_gone(l, *before, err));
        *before = line;
        return GY_OK;
    }
    struct gy_range *kept = gy_arena_calloc(&l->arena, 1, sizeof *kept);
    if (!kept) {
        return no_memory(err);
    }
    *kept = line;
    return gy_map_put(&l->lines, key, kept, err);
}

static int by_offset(const void *a, const void *b)
{
    const struct gy_range *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

void gy_latest_sort(struct gy_latest *l)
{
    if (l->n_gone > 1) {
        qsort(l->gone, l->n_gone, sizeof *l->gone, by_offset);
    }
}

bool gy_latest_kept(const struct gy_latest *l, int64_t file_bytes, size_t *pos,
                    struct gy_range *ret)
{
    while (*pos <= l->n_gone) {
        size_t i = (*pos)++;
        int64_t from = i == 0 ? 0 : l->gone[i - 1].offset + l->gone[i - 1].bytes;
        int64_t to = i == l->n_gone ? file_bytes : l->gone[i].offset;
        if (to > from) {
            *ret = (struct gy_range){from, to - from};
            return true;
        }
    }
    return false;
}
