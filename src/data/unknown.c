/* SPDX-License-Identifier: Apache-2.0 */
#include "data/unknown.h"

#include "base/limits.h"

void gy_unknown_init(struct gy_unknown *u)
{
    u->n = 0;
    u->others = 0;
    gy_arena_init(&u->arena, GY_MIB);
}

void gy_unknown_done(struct gy_unknown *u)
{
    gy_arena_done(&u->arena);
}

void gy_unknown_reset(struct gy_unknown *u)
{
    u->n = 0;
    u->others = 0;
    gy_arena_reset(&u->arena);
}

gy_status gy_unknown_add(struct gy_unknown *u, struct gy_str name, int64_t count,
                         struct gy_err *err)
{
    size_t i = 0;
    name = gy_str_sub(name, 0, GY_MAX_NAME);
    while (i < u->n && !gy_str_eq(u->names[i].name, name)) {
        i++;
    }
    if (i == GY_UNKNOWN_MAX_NAMES) {
        u->others += count;
        return GY_OK;
    }
    if (i == u->n) {
        struct gy_str copy = gy_arena_str(&u->arena, name);
        if (!copy.p) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for names that are not known");
        }
        u->names[u->n++] = (struct gy_unknown_name){copy, 0};
    }
    u->names[i].count += count;
    return GY_OK;
}

gy_status gy_unknown_merge(struct gy_unknown *u, const struct gy_unknown *other, struct gy_err *err)
{
    for (size_t i = 0; i < other->n; i++) {
        GY_TRY(gy_unknown_add(u, other->names[i].name, other->names[i].count, err));
    }
    u->others += other->others;
    return GY_OK;
}
