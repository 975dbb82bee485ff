/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a group's rows, and what queries remember of them. */
#include <string.h>

#include "base/mem.h"
#include "watch/join_internal.h"

#define FIRST_PARTS 16

gy_status join_parts_reserve(struct gy_join *j, struct join_group *g, struct gy_err *err)
{
    if (g->first_part + g->n_parts < g->cap_parts) {
        return GY_OK;
    }
    if (g->first_part > g->n_parts) { /* the oldest ones are gone: there is room in front */
        memmove(g->parts, g->parts + g->first_part, g->n_parts * sizeof *g->parts);
        g->first_part = 0;
        return GY_OK;
    }
    size_t cap = g->cap_parts ? g->cap_parts * 2 : FIRST_PARTS;
    struct join_part *more = gy_reallocarray(g->parts, cap, sizeof *more);
    if (!more) {
        return gy_err_set(err, GY_E_NOMEM, "joining predictions with feedback");
    }
    j->part_bytes += (cap - g->cap_parts) * sizeof *more;
    g->parts = more;
    g->cap_parts = cap;
    return GY_OK;
}

static void forget_sum(struct gy_join *j, struct join_part *p)
{
    if (p->sum) {
        j->part_bytes -= sizeof *p->sum;
        gy_free(p->sum);
        p->sum = NULL;
    }
}

void join_parts_free(struct gy_join *j, struct join_group *g)
{
    for (size_t i = 0; i < g->n_parts; i++) {
        forget_sum(j, join_part_at(g, i));
    }
    gy_free(g->parts);
}

void join_parts_append(struct gy_join *j, struct join_group *g, uint32_t i)
{
    const struct join_row *r = join_at(j, i);
    struct join_part *p = g->n_parts ? join_part_at(g, g->n_parts - 1) : NULL;
    if (!p || p->n == j->part_rows) {
        p = join_part_at(g, g->n_parts++);
        *p = (struct join_part){.head = i, .min_us = r->time_us, .max_us = r->time_us};
    }
    p->n++;
    p->min_us = r->time_us < p->min_us ? r->time_us : p->min_us;
    p->max_us = r->time_us > p->max_us ? r->time_us : p->max_us;
    p->marked = p->marked || (r->flags & JOIN_LABEL);
}

void join_parts_drop(struct gy_join *j, struct join_group *g, uint32_t next)
{
    struct join_part *p = join_part_at(g, 0);
    forget_sum(j, p);
    p->head = next;
    p->cut = true;
    if (--p->n == 0) {
        g->first_part++;
        g->n_parts--;
    }
}

/* How old a place of the ring is. */
static size_t age(const struct gy_join *j, uint32_t i)
{
    return (i + j->max_rows - j->first) % j->max_rows;
}

void join_parts_touch(struct gy_join *j, uint32_t i)
{
    struct join_group *g = &j->groups[join_at(j, i)->group];
    size_t low = 0, high = g->n_parts; /* the part of i is in [low, high) */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (age(j, join_part_at(g, middle)->head) <= age(j, i)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    struct join_part *p = join_part_at(g, low);
    p->marked = true;
    forget_sum(j, p);
}

struct join_sum *join_parts_new_sum(struct gy_join *j, struct join_part *p)
{
    p->sum = gy_calloc(1, sizeof *p->sum);
    j->part_bytes += p->sum ? sizeof *p->sum : 0;
    return p->sum;
}
