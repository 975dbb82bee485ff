/* SPDX-License-Identifier: Apache-2.0 */
#include "data/schema_diff.h"

#include <inttypes.h>
#include <math.h>

#include "base/json.h"

struct diffing {
    struct gy_arena *arena;
    struct gy_schema_change *list;
    size_t n, cap;
    struct gy_str column; /* the one at hand */
    bool out_of_memory;
};

static void add(struct diffing *d, const char *what, struct gy_str before, struct gy_str after,
                bool breaking)
{
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 32;
        struct gy_schema_change *grown = gy_arena_calloc(d->arena, cap, sizeof *grown);
        if (!grown) {
            d->out_of_memory = true;
            return;
        }
        if (d->n > 0) {
            memcpy(grown, d->list, d->n * sizeof *grown);
        }
        d->list = grown;
        d->cap = cap;
    }
    d->list[d->n++] = (struct gy_schema_change){d->column, what, before, after, breaking};
}

static struct gy_str keep(struct diffing *d, struct gy_str text)
{
    struct gy_str copy = gy_arena_str(d->arena, text);
    d->out_of_memory = d->out_of_memory || !copy.p;
    return copy;
}

static struct gy_str as_number(struct diffing *d, double x)
{
    char text[32];
    return keep(d, gy_str_n(text, gy_fmt_f64_trim(x, text)));
}

static struct gy_str as_flag(bool flag)
{
    return flag ? GY_STR("true") : GY_STR("false");
}

/* A bound that may be absent. dir 1: a larger one is stricter (min), -1: a smaller one (max). */
static void bound(struct diffing *d, const char *what, bool had, double before, bool has,
                  double after, int dir)
{
    if (had == has && (!had || (before <= after && before >= after))) {
        return;
    }
    bool stricter = has && (!had || (dir > 0 ? after > before : after < before));
    add(d, what, had ? as_number(d, before) : GY_STR_NULL, has ? as_number(d, after) : GY_STR_NULL,
        stricter);
}

static void count(struct diffing *d, const char *what, int64_t before, int64_t after, int dir)
{
    bound(d, what, dir > 0 ? before > 0 : before >= 0, (double)before,
          dir > 0 ? after > 0 : after >= 0, (double)after, dir);
}

static void flag(struct diffing *d, const char *what, bool before, bool after, bool stricter)
{
    if (before != after) {
        add(d, what, as_flag(before), as_flag(after), stricter && after);
    }
}

static bool same(struct gy_str a, struct gy_str b)
{
    return a.p && b.p ? gy_str_eq(a, b) : !a.p && !b.p;
}

/* Another text is another meaning. */
static void text(struct diffing *d, const char *what, struct gy_str before, struct gy_str after,
                 bool breaking)
{
    if (!same(before, after)) {
        add(d, what, before, after, breaking);
    }
}

static bool holds(const struct gy_str *list, size_t n, struct gy_str item)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(list[i], item)) {
            return true;
        }
    }
    return false;
}

static bool within(const struct gy_str *inner, size_t n_inner, const struct gy_str *outer,
                   size_t n_outer)
{
    for (size_t i = 0; i < n_inner; i++) {
        if (!holds(outer, n_outer, inner[i])) {
            return false;
        }
    }
    return true;
}

static struct gy_str as_list(struct diffing *d, const struct gy_str *list, size_t n)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_str(&w, list[i]);
    }
    gy_jw_arr_end(&w);
    return keep(d, gy_buf_str(&out));
}

/* A list of names as a set. breaking_less: what is no longer there was needed. */
static void names(struct diffing *d, const char *what, const struct gy_str *before, size_t n_before,
                  const struct gy_str *after, size_t n_after, bool breaking_less,
                  bool breaking_more)
{
    bool less = !within(before, n_before, after, n_after);
    bool more = !within(after, n_after, before, n_before);
    if (less || more) {
        add(d, what, n_before ? as_list(d, before, n_before) : GY_STR_NULL,
            n_after ? as_list(d, after, n_after) : GY_STR_NULL,
            (less && breaking_less) || (more && breaking_more));
    }
}

/* Does every text of a value of type a mean the same as a value of type b? */
static bool widens(enum gy_type a, enum gy_type b)
{
    return b == GY_TYPE_STRING || (a == GY_TYPE_INT && b == GY_TYPE_FLOAT);
}

static void comparator(struct diffing *d, const char *what, const struct gy_comparator *before,
                       const struct gy_comparator *after)
{
    const double was[] = {before->infinity_norm, before->jensen_shannon,
                          before->normalized_abs_difference};
    const double is[] = {after->infinity_norm, after->jensen_shannon,
                         after->normalized_abs_difference};
    for (size_t i = 0; i < 3; i++) {
        bound(d, what, !isnan(was[i]), was[i], !isnan(is[i]), is[i], -1);
    }
}

static void column(struct diffing *d, const struct gy_column *a, const struct gy_column *b)
{
    if (a->type != b->type) {
        add(d, "type", gy_str_c(gy_type_name(a->type)), gy_str_c(gy_type_name(b->type)),
            !widens(a->type, b->type));
    }
    text(d, "unit", a->unit, b->unit, true);
    bound(d, "min", a->has_min, a->min, b->has_min, b->min, 1);
    bound(d, "max", a->has_max, a->max, b->has_max, b->max, -1);
    bound(d, "width", a->width > 0, a->width, b->width > 0, b->width, a->width > b->width ? -1 : 1);
    bound(d, "height", a->height > 0, a->height, b->height > 0, b->height,
          a->height > b->height ? -1 : 1);
    bound(d, "channels", a->channels > 0, a->channels, b->channels > 0, b->channels,
          a->channels > b->channels ? -1 : 1);
    names(d, "values", a->values, a->n_values, b->values, b->n_values, b->n_values > 0,
          a->n_values == 0);
    flag(d, "required", a->required, b->required, true);
    flag(d, "unique", a->unique, b->unique, true);
    text(d, "role", gy_str_c(gy_role_name(a->role)), gy_str_c(gy_role_name(b->role)), false);
    names(d, "not_in", a->not_in, a->n_not_in, b->not_in, b->n_not_in, true, false);
    names(d, "in", a->in, a->n_in, b->in, b->n_in, b->n_in == 0, a->n_in > 0);
    flag(d, "categorical", a->categorical, b->categorical, false);
    bound(d, "min_fraction", a->min_fraction > 0, a->min_fraction, b->min_fraction > 0,
          b->min_fraction, 1);
    count(d, "min_count", a->min_count, b->min_count, 1);
    count(d, "distinct.min", a->min_distinct, b->min_distinct, 1);
    count(d, "distinct.max", a->max_distinct, b->max_distinct, -1);
    bound(d, "min_domain_mass", a->n_values > 0, a->min_domain_mass, b->n_values > 0,
          b->min_domain_mass, 1);
    text(d, "list", a->list, b->list, true);
    count(d, "value_count.min", a->min_values, b->min_values, 1);
    count(d, "value_count.max", a->max_values, b->max_values, -1);
    text(d, "zone", a->zone, b->zone, a->zone.p != NULL);
    if (a->lifecycle != b->lifecycle) {
        add(d, "lifecycle", gy_str_c(gy_lifecycle_name(a->lifecycle)),
            gy_str_c(gy_lifecycle_name(b->lifecycle)),
            gy_column_optional(a) && !gy_column_optional(b) && b->required);
    }
    comparator(d, "skew", &a->skew, &b->skew);
    comparator(d, "drift", &a->drift, &b->drift);
}

static bool demanded(const struct gy_column *c)
{
    return !gy_column_optional(c) && (c->required || c->min_fraction > 0 || c->min_count > 0);
}

/* The canonical file has the columns in this order, so its bytes change. */
static void order(struct diffing *d, const struct gy_schema *a, const struct gy_schema *b)
{
    size_t last = 0;
    for (size_t i = 0; i < b->n_columns; i++) {
        const struct gy_column *c = gy_schema_column(a, b->columns[i].name);
        if (c && gy_schema_index(a, c) < last) {
            add(d, "order", GY_STR_NULL, GY_STR_NULL, false);
            return;
        }
        last = c ? gy_schema_index(a, c) : last;
    }
}

static void table(struct diffing *d, const struct gy_schema *a, const struct gy_schema *b)
{
    names(d, "missing", a->missing, a->n_missing, b->missing, b->n_missing, true, false);
    names(d, "environments", a->environments, a->n_environments, b->environments, b->n_environments,
          b->n_environments > 0, a->n_environments == 0);
    count(d, "rows.min", a->min_rows, b->min_rows, 1);
    count(d, "rows.max", a->max_rows, b->max_rows, -1);
    bound(d, "rows.drift.min_fraction", !isnan(a->min_rows_drift), a->min_rows_drift,
          !isnan(b->min_rows_drift), b->min_rows_drift, 1);
    bound(d, "rows.drift.max_fraction", !isnan(a->max_rows_drift), a->max_rows_drift,
          !isnan(b->max_rows_drift), b->max_rows_drift, -1);
    order(d, a, b);
}

gy_status gy_schema_diff(const struct gy_schema *before, const struct gy_schema *after,
                         struct gy_arena *a, struct gy_schema_change **ret, size_t *ret_n,
                         struct gy_err *err)
{
    struct diffing d = {.arena = a};
    for (size_t i = 0; i < after->n_columns; i++) {
        const struct gy_column *now = &after->columns[i];
        const struct gy_column *old = gy_schema_column(before, now->name);
        d.column = now->name;
        if (old) {
            column(&d, old, now);
        } else {
            add(&d, "column", GY_STR_NULL, gy_str_c(gy_type_name(now->type)), demanded(now));
        }
    }
    for (size_t i = 0; i < before->n_columns; i++) {
        const struct gy_column *old = &before->columns[i];
        if (!gy_schema_column(after, old->name)) {
            d.column = old->name;
            add(&d, "column", gy_str_c(gy_type_name(old->type)), GY_STR_NULL, true);
        }
    }
    d.column = GY_STR_NULL;
    table(&d, before, after);
    if (d.out_of_memory) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the changes of a schema");
    }
    *ret = d.list;
    *ret_n = d.n;
    return GY_OK;
}
