/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/holdout.h"

#include <math.h>

#include "base/mem.h"
#include "learn/cells.h"
#include "learn/split.h"
#include "learn/table.h"

static const char *const g_names[] = {"hash", "group", "time", "kfold", "none"};

const char *gy_holdout_name(enum gy_holdout_by by)
{
    return g_names[by];
}

gy_status gy_holdout_parse(struct gy_str name, enum gy_holdout_by *ret, struct gy_err *err)
{
    for (size_t i = 0; i < sizeof g_names / sizeof g_names[0]; i++) {
        if (gy_str_eqc(name, g_names[i])) {
            *ret = (enum gy_holdout_by)i;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "split '%" GY_STR_F "' is not one of hash, group, time, kfold, none",
                      GY_STR_A(name));
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "dividing rows");
}

static gy_status find(const struct gy_table *t, struct gy_str name,
                      const struct gy_table_column **ret, struct gy_err *err)
{
    *ret = gy_table_column(t, name);
    return *ret ? GY_OK
                : gy_err_set(err, GY_E_NOTFOUND,
                             "the table has no column '%" GY_STR_F "' to split by", GY_STR_A(name));
}

gy_status gy_holdout_times(const struct gy_table *t, struct gy_str column, double *out,
                           struct gy_err *err)
{
    const struct gy_table_column *c = NULL;
    GY_TRY(find(t, column, &c, err));
    for (size_t i = 0; i < t->n_rows; i++) {
        out[i] = NAN;
        if (c->numeric) {
            out[i] = c->num[i];
        } else if (c->text[i].p) {
            if (!gy_cell_seconds(c->text[i], &out[i])) {
                (void)gy_err_set(err, GY_E_INVALID,
                                 "row %zu has '%" GY_STR_F "' in '%" GY_STR_F "', which is no time",
                                 i, GY_STR_A(c->text[i]), GY_STR_A(column));
                return gy_err_hint(
                    err, "times are numbers or ISO 8601: 2026-11-21T08:00:00Z, 2026-11-21");
            }
        }
    }
    return GY_OK;
}

gy_status gy_holdout_fit(struct gy_holdout *h, const struct gy_table *t, struct gy_err *err)
{
    if (h->by != GY_HOLDOUT_TIME) {
        return GY_OK;
    }
    size_t n = t->n_rows, kept = 0;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n + 1, 2 * sizeof(double) + 1);
    if (!room) {
        return no_memory(err);
    }
    double *all = (double *)(void *)room;
    double *times = all + n;
    uint8_t *part = (uint8_t *)(times + n);
    const struct gy_split_part parts[2] = {{GY_STR("train"), 1 - h->share},
                                           {GY_STR("test"), h->share}};
    GY_TRY(gy_holdout_times(t, h->column, all, err));
    for (size_t i = 0; i < n; i++) {
        if (!isnan(all[i])) {
            times[kept++] = all[i];
        }
    }
    const struct gy_split_table timed = {.n = kept, .time = times};
    GY_TRY(gy_split_times(&timed, parts, 2, part, err));
    h->cutoff = INFINITY;
    for (size_t i = 0; i < kept; i++) {
        h->cutoff = part[i] == 1 && times[i] < h->cutoff ? times[i] : h->cutoff;
    }
    return GY_OK;
}

static gy_status hold_out_late(const struct gy_holdout *h, const struct gy_table *t, bool *held_out,
                               struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, t->n_rows + 1, sizeof(double));
    if (!room) {
        return no_memory(err);
    }
    double *times = (double *)(void *)room;
    GY_TRY(gy_holdout_times(t, h->column, times, err));
    for (size_t i = 0; i < t->n_rows; i++) {
        held_out[i] = times[i] >= h->cutoff;
    }
    return GY_OK;
}

struct keys {
    const struct gy_table *t;
    const struct gy_table_column *c; /* NULL: gy_table_key */
    char scratch[32];
};

/* A row without a value is a group of its own: its record is its key. */
static struct gy_str key_of(const void *ctx, size_t row)
{
    struct keys *k = (struct keys *)(uintptr_t)ctx;
    struct gy_str text = k->c ? gy_table_text(k->c, row, k->scratch) : GY_STR_NULL;
    return text.p ? text : gy_table_key(k->t, row);
}

gy_status gy_holdout_rows(const struct gy_holdout *h, const struct gy_table *t, bool *held_out,
                          struct gy_err *err)
{
    struct keys keys = {.t = t};
    const struct gy_split split = {.seed = h->seed, .holdout = h->share};
    switch (h->by) {
    case GY_HOLDOUT_TIME:
        return hold_out_late(h, t, held_out, err);
    case GY_HOLDOUT_GROUP:
        GY_TRY(find(t, h->column, &keys.c, err));
        return gy_split_rows(&split, key_of, &keys, t->n_rows, held_out, err);
    case GY_HOLDOUT_HASH:
        return gy_split_rows(&split, key_of, &keys, t->n_rows, held_out, err);
    case GY_HOLDOUT_KFOLD:
    case GY_HOLDOUT_NONE:
        memset(held_out, 0, t->n_rows * sizeof *held_out);
        return GY_OK;
    }
    return GY_OK;
}

gy_status gy_holdout_folds(const struct gy_holdout *h, const struct gy_table *t, const double *y,
                           size_t n_classes, uint8_t *fold, struct gy_err *err)
{
    size_t n = t->n_rows;
    struct keys keys = {.t = t};
    struct gy_split_part parts[GY_FOLDS_MAX];
    GY_AUTO(gy_free)
    char *room = gy_reallocarray(NULL, n + 1, sizeof(uint64_t) + sizeof(uint32_t));
    if (h->folds < 2 || h->folds > GY_FOLDS_MAX || (size_t)h->folds > n) {
        return gy_err_set(err, GY_E_INVALID, "%zu rows do not make %d folds (2 to %d)", n, h->folds,
                          GY_FOLDS_MAX);
    }
    if (!room) {
        return no_memory(err);
    }
    uint64_t *order = (uint64_t *)(void *)room;
    uint32_t *classes = (uint32_t *)(void *)(order + n);
    if (h->column.p) {
        GY_TRY(find(t, h->column, &keys.c, err));
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_split_hash(h->seed, key_of(&keys, i), &order[i], err));
        classes[i] = y && !isnan(y[i]) ? (uint32_t)y[i] : 0;
    }
    for (int k = 0; k < h->folds; k++) {
        parts[k] = (struct gy_split_part){GY_STR("fold"), 1.0 / h->folds};
    }
    const struct gy_split_table table = {.n = n,
                                         .order = order,
                                         .group = h->column.p ? order : NULL,
                                         .classes = y ? classes : NULL,
                                         .n_classes = y ? n_classes : 1};
    return h->column.p ? gy_split_groups(&table, parts, (size_t)h->folds, fold, err)
                       : gy_split_exact(&table, parts, (size_t)h->folds, fold, err);
}
