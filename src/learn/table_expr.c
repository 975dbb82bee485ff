/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/table_expr.h"

#include <math.h>

#include "base/expr.h"
#include "base/mem.h"
#include "learn/table.h"

struct gy_table_expr {
    const struct gy_table *t;
    struct gy_expr *e;
    struct gy_expr_value *values; /* a column of the table */
    size_t slots[GY_EXPR_MAX_NAMES];
    size_t n_slots;
};

static bool resolve(void *ctx, struct gy_str name, size_t *ret_slot, enum gy_expr_type *ret_type)
{
    const struct gy_table *t = ctx;
    const struct gy_table_column *c = gy_table_column(t, name);
    if (!c) {
        return false;
    }
    *ret_slot = (size_t)(c - t->columns);
    *ret_type = c->numeric ? GY_EXPR_NUM : GY_EXPR_STR;
    return true;
}

gy_status gy_table_expr_new(const struct gy_table *t, struct gy_str text,
                            struct gy_table_expr **ret, struct gy_err *err)
{
    GY_AUTO(gy_table_expr_free) struct gy_table_expr *e = gy_calloc(1, sizeof *e);
    if (!e) {
        return gy_err_set(err, GY_E_NOMEM, "an expression");
    }
    e->t = t;
    e->values = gy_calloc(t->n_columns + 1, sizeof *e->values);
    if (!e->values) {
        return gy_err_set(err, GY_E_NOMEM, "an expression");
    }
    GY_TRY(gy_expr_compile(text, resolve, (void *)(uintptr_t)t, &e->e, err));
    e->n_slots = gy_expr_slots(e->e, e->slots, GY_EXPR_MAX_NAMES);
    *ret = GY_TAKE(e);
    return GY_OK;
}

void gy_table_expr_free(struct gy_table_expr *e)
{
    if (e) {
        gy_expr_free(e->e);
        gy_free(e->values);
        gy_free(e);
    }
}

static struct gy_expr_value cell(const struct gy_table_column *c, size_t row)
{
    if (c->numeric && !isnan(c->num[row])) {
        return (struct gy_expr_value){.type = GY_EXPR_NUM, .num = c->num[row]};
    }
    if (!c->numeric && c->text[row].p) {
        return (struct gy_expr_value){.type = GY_EXPR_STR, .str = c->text[row]};
    }
    return (struct gy_expr_value){.type = GY_EXPR_NULL};
}

gy_status gy_table_expr_test(struct gy_table_expr *e, size_t row, bool *ret, struct gy_err *err)
{
    struct gy_expr_value hit;
    for (size_t k = 0; k < e->n_slots; k++) {
        e->values[e->slots[k]] = cell(&e->t->columns[e->slots[k]], row);
    }
    GY_TRY(gy_expr_eval(e->e, e->values, e->t->n_columns, &hit, err));
    *ret = hit.type == GY_EXPR_BOOL && hit.b;
    return GY_OK;
}
