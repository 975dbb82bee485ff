/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/recode.h"

#include "base/mem.h"

struct recode {
    struct gy_runtime inner;
    size_t n_features, n_columns;
    struct gy_recode_column *columns;
    double *memory; /* of all keys and codes */
    size_t n_doubles;
};

static size_t rows_bytes(const struct recode *c, size_t n_rows)
{
    return (n_rows * c->n_features * sizeof(double) + 63) & ~(size_t)63;
}

static size_t scratch(const void *self, size_t n_rows)
{
    const struct recode *c = self;
    return rows_bytes(c, n_rows) + c->inner.ops->scratch(c->inner.self, n_rows);
}

static double code_of(const struct gy_recode_column *c, double v)
{
    size_t low = 0;
    size_t high = c->n;
    if (v != v) {
        return v;
    }
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (c->keys[mid] < v) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < c->n && c->keys[low] == v ? c->codes[low] : -1;
}

static void recode_rows(const struct recode *c, const double *x, size_t n_rows, double *rows)
{
    memcpy(rows, x, n_rows * c->n_features * sizeof *rows);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = 0; i < c->n_columns; i++) {
            double *v = &rows[r * c->n_features + c->columns[i].column];
            *v = code_of(&c->columns[i], *v);
        }
    }
}

static void run(const void *self, const double *x, size_t n_rows, double *out, void *memory)
{
    const struct recode *c = self;
    double *rows = memory;
    recode_rows(c, x, n_rows, rows);
    c->inner.ops->run(c->inner.self, rows, n_rows, out, (char *)memory + rows_bytes(c, n_rows));
}

static void recode_free(void *self)
{
    struct recode *c = self;
    if (c) {
        c->inner.ops->free(c->inner.self);
        gy_free(c->columns);
        gy_free(c->memory);
        gy_free(c);
    }
}

static gy_status explain(const void *self, const double *x, size_t n_rows, const double *means,
                         double *out, struct gy_err *err)
{
    const struct recode *c = self;
    if (c->inner.ops->version < 2 || !c->inner.ops->explain) {
        return gy_err_set(err, GY_E_UNSUPPORTED, "contributions are not told of '%s' models",
                          c->inner.ops->name);
    }
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n_rows, c->n_features * sizeof(double));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "explaining");
    }
    double *rows = (double *)(void *)room;
    recode_rows(c, x, n_rows, rows);
    return c->inner.ops->explain(c->inner.self, rows, n_rows, means, out, err);
}

static size_t bytes(const void *self)
{
    const struct recode *c = self;
    return sizeof *c + c->n_columns * sizeof *c->columns + c->n_doubles * sizeof *c->memory +
           gy_runtime_bytes(c->inner.ops, c->inner.self);
}

static const struct gy_runtime_ops g_ops = {.version = 3,
                                            .name = "recode",
                                            .scratch = scratch,
                                            .run = run,
                                            .free = recode_free,
                                            .explain = explain,
                                            .bytes = bytes};

gy_status gy_recode_new(struct gy_runtime inner, size_t n_features,
                        const struct gy_recode_column *columns, size_t n_columns,
                        struct gy_runtime *ret, struct gy_err *err)
{
    size_t n = 0;
    if (n_columns == 0) {
        *ret = inner;
        return GY_OK;
    }
    for (size_t i = 0; i < n_columns; i++) {
        n += columns[i].n;
    }
    struct recode *c = gy_calloc(1, sizeof *c);
    if (!c) {
        inner.ops->free(inner.self);
        return gy_err_set(err, GY_E_NOMEM, "the categories of a model");
    }
    c->inner = inner;
    c->n_features = n_features;
    c->n_columns = n_columns;
    c->columns = gy_calloc(n_columns, sizeof *c->columns);
    c->n_doubles = 2 * n + 1;
    c->memory = gy_calloc(c->n_doubles, sizeof *c->memory);
    if (!c->columns || !c->memory) {
        recode_free(c);
        return gy_err_set(err, GY_E_NOMEM, "the categories of a model");
    }
    double *at = c->memory;
    for (size_t i = 0; i < n_columns; i++) {
        c->columns[i] = columns[i];
        c->columns[i].keys = memcpy(at, columns[i].keys, columns[i].n * sizeof *at);
        at += columns[i].n;
        c->columns[i].codes = memcpy(at, columns[i].codes, columns[i].n * sizeof *at);
        at += columns[i].n;
    }
    *ret = (struct gy_runtime){.ops = &g_ops, .self = c, .n_trees = inner.n_trees};
    return GY_OK;
}
