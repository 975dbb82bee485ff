/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/expr.h"
#include "base/expr_internal.h"

#define SCRATCH_BYTES 256

/* What lower() and upper() make lives here until this thread evaluates again. */
static _Thread_local char tl_scratch[SCRATCH_BYTES];

struct eval {
    const struct gy_expr *e;
    const struct gy_expr_value *values; /* one of both is NULL */
    const double *numbers;
    size_t n;
    size_t scratch_n;
    struct gy_err *err;
};

static const struct gy_expr_value null_value = {.type = GY_EXPR_NULL};

static gy_status eval(struct eval *v, uint16_t at, struct gy_expr_value *ret);

static gy_status clash(struct eval *v, const struct expr_node *n, const char *what)
{
    return gy_err_set(v->err, GY_E_INVALID, "%s at column %u of '%" GY_STR_F "'", what,
                      (unsigned)n->column, GY_STR_A(gy_str_sub(gy_expr_text(v->e), 0, 200)));
}

static struct gy_expr_value of_bool(bool b)
{
    return (struct gy_expr_value){.type = GY_EXPR_BOOL, .b = b};
}

/* A result that no double can hold is null: it could not be computed. */
static struct gy_expr_value of_num(double num)
{
    return isfinite(num) ? (struct gy_expr_value){.type = GY_EXPR_NUM, .num = num} : null_value;
}

static gy_status eval_slot(struct eval *v, const struct expr_node *n, struct gy_expr_value *ret)
{
    if (n->slot >= v->n) {
        return clash(v, n, "a value was not given");
    }
    if (v->values) {
        *ret = v->values[n->slot];
        if (ret->type == GY_EXPR_NUM && isnan(ret->num)) {
            *ret = null_value;
        }
        if (n->type != GY_EXPR_NULL && ret->type != GY_EXPR_NULL && (uint8_t)ret->type != n->type) {
            return clash(v, n, "a value of another type than promised");
        }
        return GY_OK;
    }
    double num = v->numbers[n->slot];
    if (isnan(num)) {
        *ret = null_value;
    } else if (n->type == GY_EXPR_BOOL) {
        *ret = of_bool(num != 0);
    } else {
        *ret = (struct gy_expr_value){.type = GY_EXPR_NUM, .num = num};
    }
    return GY_OK;
}

/* Kleene: the deciding value ends it; otherwise one null makes the whole null. */
static gy_status eval_logic(struct eval *v, const struct expr_node *n, bool decides,
                            struct gy_expr_value *ret)
{
    bool unknown = false;
    for (uint16_t at = n->first; at != EXPR_NONE; at = v->e->nodes[at].next) {
        struct gy_expr_value x = {.type = GY_EXPR_NULL};
        GY_TRY(eval(v, at, &x));
        if (x.type == GY_EXPR_NULL) {
            unknown = true;
        } else if (x.type != GY_EXPR_BOOL) {
            return clash(v, &v->e->nodes[at], "a bool is needed");
        } else if (x.b == decides) {
            *ret = x;
            return GY_OK;
        }
    }
    *ret = unknown ? null_value : of_bool(!decides);
    return GY_OK;
}

static gy_status compare(struct eval *v, const struct expr_node *n, const struct gy_expr_value *a,
                         const struct gy_expr_value *b, enum expr_op op, struct gy_expr_value *ret)
{
    if (a->type == GY_EXPR_NULL || b->type == GY_EXPR_NULL) {
        *ret = null_value;
        return GY_OK;
    }
    if (a->type != b->type) {
        return clash(v, n, "values of different types are compared");
    }
    int order;
    if (a->type == GY_EXPR_NUM) {
        order = a->num < b->num ? -1 : a->num > b->num;
    } else if (a->type == GY_EXPR_STR) {
        order = gy_str_cmp(a->str, b->str);
    } else {
        order = (int)a->b - (int)b->b;
        if (op != OP_EQ && op != OP_NE) {
            return clash(v, n, "bools have no order");
        }
    }
    *ret = of_bool(op == OP_EQ   ? order == 0
                   : op == OP_NE ? order != 0
                   : op == OP_LT ? order < 0
                   : op == OP_LE ? order <= 0
                   : op == OP_GT ? order > 0
                                 : order >= 0);
    return GY_OK;
}

static gy_status eval_comparison(struct eval *v, const struct expr_node *n,
                                 struct gy_expr_value *ret)
{
    struct gy_expr_value a = {.type = GY_EXPR_NULL};
    struct gy_expr_value b = {.type = GY_EXPR_NULL};
    GY_TRY(eval(v, n->first, &a));
    GY_TRY(eval(v, v->e->nodes[n->first].next, &b));
    return compare(v, n, &a, &b, (enum expr_op)n->op, ret);
}

static gy_status eval_in(struct eval *v, const struct expr_node *n, struct gy_expr_value *ret)
{
    struct gy_expr_value left = {.type = GY_EXPR_NULL};
    GY_TRY(eval(v, n->first, &left));
    bool unknown = false;
    bool found = false;
    for (uint16_t at = v->e->nodes[n->first].next; at != EXPR_NONE && !found;
         at = v->e->nodes[at].next) {
        struct gy_expr_value item = {.type = GY_EXPR_NULL};
        struct gy_expr_value equal = {.type = GY_EXPR_NULL};
        GY_TRY(eval(v, at, &item));
        GY_TRY(compare(v, &v->e->nodes[at], &left, &item, OP_EQ, &equal));
        unknown |= equal.type == GY_EXPR_NULL;
        found = equal.type == GY_EXPR_BOOL && equal.b;
    }
    *ret = !found && unknown ? null_value : of_bool(found == (n->op == OP_IN));
    return GY_OK;
}

/* The number at a node; *ret_null when it is null. */
static gy_status eval_num(struct eval *v, uint16_t at, double *ret, bool *ret_null)
{
    struct gy_expr_value x = {.type = GY_EXPR_NULL};
    GY_TRY(eval(v, at, &x));
    if (x.type != GY_EXPR_NULL && x.type != GY_EXPR_NUM) {
        return clash(v, &v->e->nodes[at], "a number is needed");
    }
    *ret_null = x.type == GY_EXPR_NULL;
    *ret = x.num;
    return GY_OK;
}

static gy_status eval_binary(struct eval *v, const struct expr_node *n, struct gy_expr_value *ret)
{
    double a = 0;
    double b = 0;
    bool a_null = true;
    bool b_null = true;
    GY_TRY(eval_num(v, n->first, &a, &a_null));
    GY_TRY(eval_num(v, v->e->nodes[n->first].next, &b, &b_null));
    if (a_null || b_null) {
        *ret = null_value;
        return GY_OK;
    }
    switch ((int)n->op) {
    case OP_ADD:
        *ret = of_num(a + b);
        break;
    case OP_SUB:
        *ret = of_num(a - b);
        break;
    case OP_MUL:
        *ret = of_num(a * b);
        break;
    case OP_DIV:
        *ret = b == 0 ? null_value : of_num(a / b);
        break;
    default:
        *ret = b == 0 ? null_value : of_num(fmod(a, b));
        break;
    }
    return GY_OK;
}

static gy_status eval_unary(struct eval *v, const struct expr_node *n, struct gy_expr_value *ret)
{
    double x = 0;
    bool null = true;
    GY_TRY(eval_num(v, n->first, &x, &null));
    if (null) {
        *ret = null_value;
        return GY_OK;
    }
    switch ((int)n->op) {
    case OP_NEG:
        x = -x;
        break;
    case OP_ABS:
        x = fabs(x);
        break;
    case OP_FLOOR:
        x = floor(x);
        break;
    case OP_CEIL:
        x = ceil(x);
        break;
    case OP_ROUND:
        x = round(x);
        break;
    case OP_LOG:
        x = log(x);
        break;
    case OP_EXP:
        x = exp(x);
        break;
    default:
        x = sqrt(x);
        break;
    }
    *ret = of_num(x); /* log and sqrt outside their domain give NaN or an infinity: null */
    return GY_OK;
}

static gy_status eval_extreme(struct eval *v, const struct expr_node *n, struct gy_expr_value *ret)
{
    double best = 0;
    bool any_null = false;
    for (uint16_t at = n->first; at != EXPR_NONE; at = v->e->nodes[at].next) {
        double x = 0;
        bool null = true;
        GY_TRY(eval_num(v, at, &x, &null));
        any_null |= null;
        if (at == n->first || (n->op == OP_MIN ? x < best : x > best)) {
            best = x;
        }
    }
    *ret = any_null ? null_value : of_num(best);
    return GY_OK;
}

static gy_status eval_if(struct eval *v, const struct expr_node *n, struct gy_expr_value *ret)
{
    struct gy_expr_value condition = {.type = GY_EXPR_NULL};
    GY_TRY(eval(v, n->first, &condition));
    if (condition.type != GY_EXPR_NULL && condition.type != GY_EXPR_BOOL) {
        return clash(v, &v->e->nodes[n->first], "a bool is needed");
    }
    uint16_t yes = v->e->nodes[n->first].next;
    bool hit = condition.type == GY_EXPR_BOOL && condition.b;
    return eval(v, hit ? yes : v->e->nodes[yes].next, ret);
}

static gy_status eval_string(struct eval *v, const struct expr_node *n, struct gy_expr_value *ret)
{
    struct gy_expr_value x = {.type = GY_EXPR_NULL};
    GY_TRY(eval(v, n->first, &x));
    if (x.type == GY_EXPR_NULL) {
        *ret = null_value;
        return GY_OK;
    }
    if (x.type != GY_EXPR_STR) {
        return clash(v, &v->e->nodes[n->first], "a string is needed");
    }
    if (n->op == OP_LEN) { /* characters, not bytes */
        size_t count = 0;
        for (size_t i = 0; i < x.str.n; i++) {
            count += ((unsigned char)x.str.p[i] & 0xc0) != 0x80;
        }
        *ret = of_num((double)count);
        return GY_OK;
    }
    if (x.str.n > SCRATCH_BYTES - v->scratch_n) {
        return clash(v, n, "too long a string to change its case");
    }
    char *to = tl_scratch + v->scratch_n;
    for (size_t i = 0; i < x.str.n; i++) {
        char ch = x.str.p[i];
        bool swap = n->op == OP_LOWER ? ch >= 'A' && ch <= 'Z' : ch >= 'a' && ch <= 'z';
        to[i] = (char)(swap ? ch ^ 0x20 : ch);
    }
    v->scratch_n += x.str.n;
    *ret = (struct gy_expr_value){.type = GY_EXPR_STR, .str = gy_str_n(to, x.str.n)};
    return GY_OK;
}

static gy_status eval_null_test(struct eval *v, const struct expr_node *n,
                                struct gy_expr_value *ret)
{
    struct gy_expr_value x = {.type = GY_EXPR_NULL};
    GY_TRY(eval(v, n->first, &x));
    *ret = of_bool((x.type == GY_EXPR_NULL) == (n->op == OP_IS_NULL));
    return GY_OK;
}

static gy_status eval_not(struct eval *v, const struct expr_node *n, struct gy_expr_value *ret)
{
    struct gy_expr_value x = {.type = GY_EXPR_NULL};
    GY_TRY(eval(v, n->first, &x));
    if (x.type != GY_EXPR_NULL && x.type != GY_EXPR_BOOL) {
        return clash(v, &v->e->nodes[n->first], "a bool is needed");
    }
    *ret = x.type == GY_EXPR_NULL ? null_value : of_bool(!x.b);
    return GY_OK;
}

static gy_status eval(struct eval *v, uint16_t at, struct gy_expr_value *ret)
{
    const struct expr_node *n = &v->e->nodes[at];
    switch ((enum expr_op)n->op) {
    case OP_CONST:
        *ret = n->value;
        return GY_OK;
    case OP_SLOT:
        return eval_slot(v, n, ret);
    case OP_OR:
        return eval_logic(v, n, true, ret);
    case OP_AND:
        return eval_logic(v, n, false, ret);
    case OP_NOT:
        return eval_not(v, n, ret);
    case OP_EQ:
    case OP_NE:
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
        return eval_comparison(v, n, ret);
    case OP_IS_NULL:
    case OP_IS_NOT_NULL:
        return eval_null_test(v, n, ret);
    case OP_IN:
    case OP_NOT_IN:
        return eval_in(v, n, ret);
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
    case OP_MOD:
        return eval_binary(v, n, ret);
    case OP_MIN:
    case OP_MAX:
        return eval_extreme(v, n, ret);
    case OP_IF:
        return eval_if(v, n, ret);
    case OP_LEN:
    case OP_LOWER:
    case OP_UPPER:
        return eval_string(v, n, ret);
    case OP_NEG:
    case OP_ABS:
    case OP_FLOOR:
    case OP_CEIL:
    case OP_ROUND:
    case OP_LOG:
    case OP_EXP:
    case OP_SQRT:
        return eval_unary(v, n, ret);
    }
    return clash(v, n, "an unknown operation");
}

gy_status gy_expr_eval(const struct gy_expr *e, const struct gy_expr_value *slots, size_t n_slots,
                       struct gy_expr_value *ret, struct gy_err *err)
{
    static const struct gy_expr_value none[1];
    struct eval v = {.e = e, .values = slots ? slots : none, .n = slots ? n_slots : 0, .err = err};
    return eval(&v, e->root, ret);
}

int gy_expr_test_f64(const struct gy_expr *e, const double *slots, size_t n_slots)
{
    struct eval v = {.e = e, .numbers = slots, .n = slots ? n_slots : 0};
    struct gy_expr_value result = {.type = GY_EXPR_NULL};
    if (eval(&v, e->root, &result) != GY_OK || result.type != GY_EXPR_BOOL) {
        return -1;
    }
    return result.b ? 1 : 0;
}

enum gy_expr_type gy_expr_result(const struct gy_expr *e)
{
    return (enum gy_expr_type)e->nodes[e->root].type;
}

double gy_expr_number_f64(const struct gy_expr *e, const double *slots, size_t n_slots)
{
    struct eval v = {.e = e, .numbers = slots, .n = slots ? n_slots : 0};
    struct gy_expr_value result = {.type = GY_EXPR_NULL};
    if (eval(&v, e->root, &result) != GY_OK) {
        return NAN;
    }
    return result.type == GY_EXPR_NUM    ? result.num
           : result.type == GY_EXPR_BOOL ? (double)result.b
                                         : (double)NAN;
}
