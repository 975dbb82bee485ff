/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/row_filter.h"

#include <math.h>

#include "base/mem.h"
#include "base/yaml.h"
#include "learn/settings.h"
#include "learn/table.h"
#include "learn/table_expr.h"

/* ---- reading ---- */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "row filters");
}

static gy_status read_within(const struct gy_yaml *y, const struct gy_yaml_node *item,
                             struct gy_arena *a, struct gy_row_filter *f, struct gy_err *err)
{
    const struct gy_yaml_node *v = gy_yaml_get(item, "within_sd");
    const struct gy_yaml_node *columns = gy_yaml_get(item, "columns");
    const struct gy_yaml_node *sequential = gy_yaml_get(item, "sequential");
    f->kind = GY_ROWS_WITHIN_SD;
    f->sequential = true;
    if ((v->kind != GY_YAML_INT && v->kind != GY_YAML_FLOAT) || !(v->f > 0 && v->f < 1e6)) {
        return gy_yaml_err(y, v, err, "within_sd must be a positive number");
    }
    if (!columns) {
        return gy_yaml_err(y, item, err, "within_sd needs columns: [..]");
    }
    f->factor = v->f;
    if (sequential) {
        if (sequential->kind != GY_YAML_BOOL) {
            return gy_yaml_err(y, sequential, err, "sequential must be true or false");
        }
        f->sequential = sequential->b;
    }
    return gy_settings_names(y, columns, a, &f->columns, &f->n_columns, err);
}

static gy_status read_complete(const struct gy_yaml *y, const struct gy_yaml_node *v,
                               struct gy_arena *a, struct gy_row_filter *f, struct gy_err *err)
{
    f->kind = GY_ROWS_COMPLETE;
    f->all_columns = gy_str_eqc(v->text, "all");
    if (f->all_columns || (v->kind == GY_YAML_BOOL && v->b)) {
        return GY_OK;
    }
    if (v->kind != GY_YAML_SEQ) {
        return gy_yaml_err(y, v, err,
                           "drop_missing is true (what the model uses), all, or a list "
                           "of columns");
    }
    return gy_settings_names(y, v, a, &f->columns, &f->n_columns, err);
}

static gy_status read_filter(const struct gy_yaml *y, const struct gy_yaml_node *item,
                             struct gy_arena *a, struct gy_row_filter *f, struct gy_err *err)
{
    static const char *const keys[] = {"drop_missing", "within_sd", "columns",
                                       "sequential",   "where",     NULL};
    GY_TRY(gy_yaml_only(y, item, keys, err));
    const struct gy_yaml_node *complete = gy_yaml_get(item, "drop_missing");
    const struct gy_yaml_node *where = gy_yaml_get(item, "where");
    bool within = gy_yaml_get(item, "within_sd") != NULL;
    if ((complete != NULL) + (where != NULL) + within != 1) {
        return gy_yaml_err(y, item, err,
                           "a row filter is one of {drop_missing: ..}, {within_sd: .., columns: "
                           "[..]}, {where: EXPRESSION}");
    }
    if (within) {
        return read_within(y, item, a, f, err);
    }
    if (complete) {
        return read_complete(y, complete, a, f, err);
    }
    f->kind = GY_ROWS_WHERE;
    f->text = gy_arena_str(a, where->text);
    return where->text.n ? f->text.p ? GY_OK : no_memory(err)
                         : gy_yaml_err(y, where, err, "where needs an expression");
}

gy_status gy_row_filters_read(const struct gy_yaml *y, const struct gy_yaml_node *list,
                              struct gy_arena *a, struct gy_row_filter **ret, size_t *ret_n,
                              struct gy_err *err)
{
    if (list->kind != GY_YAML_SEQ || list->n_items > GY_ROW_FILTERS_MAX) {
        return gy_yaml_err(y, list, err, "rows must be a list of at most %d filters",
                           GY_ROW_FILTERS_MAX);
    }
    *ret = gy_arena_calloc(a, list->n_items + 1, sizeof **ret);
    if (!*ret) {
        return no_memory(err);
    }
    for (size_t i = 0; i < list->n_items; i++) {
        GY_TRY(read_filter(y, &list->items[i], a, &(*ret)[i], err));
    }
    *ret_n = list->n_items;
    return GY_OK;
}

/* ---- applying ---- */

struct work {
    const struct gy_table *t;
    uint32_t *rows;
    size_t n;
    struct gy_arena *a;
    struct gy_row_filtered *done;
    size_t n_done;
};

static gy_status told(struct work *w, const char *what, struct gy_err *err)
{
    if (!what) {
        return no_memory(err);
    }
    w->done[w->n_done++] = (struct gy_row_filtered){.what = gy_str_c(what), .rows = w->n};
    return w->n ? GY_OK
                : gy_err_set(err, GY_E_INVALID, "the row filter '%s' leaves no row to train on",
                             what);
}

static gy_status find(const struct work *w, struct gy_str name, const struct gy_table_column **ret,
                      struct gy_err *err)
{
    *ret = gy_table_column(w->t, name);
    return *ret ? GY_OK
                : gy_err_set(err, GY_E_NOTFOUND, "row filters: no column '%" GY_STR_F "'",
                             GY_STR_A(name));
}

static bool is_missing(const struct gy_table_column *c, size_t row)
{
    return c->numeric ? isnan(c->num[row]) : !c->text[row].p;
}

static void drop_missing(struct work *w, const struct gy_table_column *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (!is_missing(c, w->rows[i])) {
            w->rows[kept++] = w->rows[i];
        }
    }
    w->n = kept;
}

static gy_status complete(struct work *w, const struct gy_row_filter *f, const struct gy_str *used,
                          size_t n_used, struct gy_err *err)
{
    size_t n = f->all_columns ? w->t->n_columns : f->n_columns ? f->n_columns : n_used;
    for (size_t k = 0; k < n; k++) {
        const struct gy_table_column *c = &w->t->columns[f->all_columns ? k : 0];
        if (!f->all_columns) {
            GY_TRY(find(w, f->n_columns ? f->columns[k] : used[k], &c, err));
        }
        drop_missing(w, c);
    }
    return told(w, "drop_missing", err);
}

struct spread {
    double low, high;
};

/* Sample deviation (n - 1); the mean first, for its accuracy. Missing values are in no range. */
static struct spread spread_of(const struct work *w, const struct gy_table_column *c, double factor)
{
    double sum = 0, squares = 0, n = 0;
    for (size_t i = 0; i < w->n; i++) {
        double v = c->num[w->rows[i]];
        sum += isnan(v) ? 0 : v;
        n += !isnan(v);
    }
    double mean = sum / n;
    for (size_t i = 0; i < w->n; i++) {
        double v = c->num[w->rows[i]];
        squares += isnan(v) ? 0 : (v - mean) * (v - mean);
    }
    double sd = n > 1 ? sqrt(squares / (n - 1)) : 0;
    return (struct spread){.low = mean - factor * sd, .high = mean + factor * sd};
}

static void drop_outside(struct work *w, const struct gy_table_column *c, struct spread s)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->n; i++) {
        double v = c->num[w->rows[i]];
        if (isnan(v) || (v >= s.low && v <= s.high)) {
            w->rows[kept++] = w->rows[i];
        }
    }
    w->n = kept;
}

static gy_status within(struct work *w, const struct gy_row_filter *f, struct gy_err *err)
{
    struct spread *first = gy_arena_calloc(w->a, f->n_columns + 1, sizeof *first);
    if (!first) {
        return no_memory(err);
    }
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t k = 0; k < f->n_columns; k++) {
            const struct gy_table_column *c = NULL;
            GY_TRY(find(w, f->columns[k], &c, err));
            if (!c->numeric) {
                return gy_err_set(err, GY_E_INVALID,
                                  "row filters: column '%" GY_STR_F "' holds text",
                                  GY_STR_A(f->columns[k]));
            }
            if (pass == 0) {
                first[k] = spread_of(w, c, f->factor);
                continue;
            }
            drop_outside(w, c, f->sequential ? spread_of(w, c, f->factor) : first[k]);
            GY_TRY(told(w,
                        gy_arena_printf(w->a, "within_sd %g: %" GY_STR_F, f->factor,
                                        GY_STR_A(f->columns[k])),
                        err));
        }
    }
    return GY_OK;
}

static gy_status where(struct work *w, const struct gy_row_filter *f, struct gy_err *err)
{
    GY_AUTO(gy_table_expr_free) struct gy_table_expr *e = NULL;
    size_t kept = 0;
    gy_status status = gy_table_expr_new(w->t, f->text, &e, err);
    if (status != GY_OK) {
        (void)gy_err_wrap(err, "rows: where '%" GY_STR_F "'", GY_STR_A(f->text));
        return status;
    }
    for (size_t i = 0; i < w->n; i++) {
        bool hit = false;
        GY_TRY(gy_table_expr_test(e, w->rows[i], &hit, err));
        if (hit) {
            w->rows[kept++] = w->rows[i];
        }
    }
    w->n = kept;
    return told(w, gy_arena_printf(w->a, "where %" GY_STR_F, GY_STR_A(f->text)), err);
}

gy_status gy_row_filters_apply(const struct gy_row_filter *filters, size_t n_filters,
                               const struct gy_table *t, const struct gy_str *used, size_t n_used,
                               uint32_t *rows, size_t *n, struct gy_arena *a,
                               struct gy_row_filtered **ret, size_t *ret_n, struct gy_err *err)
{
    struct work w = {.t = t, .rows = rows, .n = *n, .a = a};
    size_t most = 0;
    for (size_t i = 0; i < n_filters; i++) {
        most += filters[i].n_columns + 1;
    }
    w.done = gy_arena_calloc(a, most + 1, sizeof *w.done);
    if (!w.done) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n_filters; i++) {
        switch (filters[i].kind) {
        case GY_ROWS_COMPLETE:
            GY_TRY(complete(&w, &filters[i], used, n_used, err));
            break;
        case GY_ROWS_WITHIN_SD:
            GY_TRY(within(&w, &filters[i], err));
            break;
        case GY_ROWS_WHERE:
            GY_TRY(where(&w, &filters[i], err));
            break;
        }
    }
    *n = w.n;
    *ret = w.done;
    *ret_n = w.n_done;
    return GY_OK;
}
