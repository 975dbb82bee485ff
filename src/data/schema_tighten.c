/* SPDX-License-Identifier: Apache-2.0 */
/* gy_schema_tighten of schema.h: from types to a schema that a table like this one fulfils. */
#include <stdlib.h>

#include "base/mem.h"
#include "data/statistics.h"
#include "data/tally.h"

static int by_text(const void *a, const void *b)
{
    return gy_str_cmp(*(const struct gy_str *)a, *(const struct gy_str *)b);
}

/* Few texts, each of them again and again: names of things, not free text. */
static bool is_domain(const struct gy_statistics_column *st, int64_t max_domain)
{
    return st->type == GY_TYPE_STRING && st->role != GY_ROLE_ID && st->role != GY_ROLE_SUBJECT &&
           st->distinct_exact && st->top_is_all && st->distinct > 0 && st->distinct <= max_domain &&
           2 * st->distinct <= st->count && st->max_length <= GY_TALLY_MAX_TEXT; /* else cut */
}

static gy_status set_domain(struct gy_schema *s, struct gy_column *c,
                            const struct gy_statistics_column *st, struct gy_err *err)
{
    struct gy_str *values = gy_arena_calloc(&s->arena, st->n_top, sizeof *values);
    for (size_t i = 0; values && i < st->n_top; i++) {
        values[i] = gy_arena_str(&s->arena, st->top[i].value);
        values = values[i].p ? values : NULL;
    }
    if (!values) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a schema");
    }
    qsort(values, st->n_top, sizeof *values, by_text);
    c->values = values;
    c->n_values = st->n_top;
    return GY_OK;
}

gy_status gy_schema_tighten(struct gy_schema *s, const struct gy_statistics *statistics,
                            int64_t max_domain, bool ranges, struct gy_err *err)
{
    if (max_domain > GY_SCHEMA_MAX_VALUES) {
        return gy_err_set(err, GY_E_INVALID, "a domain has at most %d values",
                          GY_SCHEMA_MAX_VALUES);
    }
    for (size_t i = 0; i < s->n_columns; i++) {
        struct gy_column *c = &s->columns[i];
        const struct gy_statistics_column *st = gy_statistics_find(statistics, c->name);
        if (!st || st->count == 0) {
            continue;
        }
        c->required = st->count == statistics->rows;
        c->min_count = c->required ? 0 : 1;
        c->unique = c->role == GY_ROLE_ID && st->distinct_exact && st->distinct == st->count;
        if (ranges && (c->type == GY_TYPE_INT || c->type == GY_TYPE_FLOAT)) {
            c->has_min = c->has_max = true;
            c->min = st->min;
            c->max = st->max;
        }
        if (is_domain(st, max_domain)) {
            GY_TRY(set_domain(s, c, st, err));
        }
    }
    return GY_OK;
}
