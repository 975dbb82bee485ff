/* SPDX-License-Identifier: Apache-2.0 */
/* gy_made_from_spec of synth_table.h. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/yaml.h"
#include "data/synth_table.h"

#define ARENA_MAX (256 * GY_MIB)
#define DAY 86400.0

struct reading {
    const struct gy_yaml *yaml;
    struct gy_made_table *t;
    struct gy_made_options *o;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for made rows");
}

/* ---- values of a column ---- */

/* A number within bounds, or `absent`. */
static gy_status read_number(const struct reading *r, const struct gy_yaml_node *node,
                             const char *key, double low, double high, double absent, double *ret,
                             struct gy_err *err)
{
    const struct gy_yaml_node *at = gy_yaml_get(node, key);
    *ret = absent;
    if (!at) {
        return GY_OK;
    }
    if ((at->kind != GY_YAML_INT && at->kind != GY_YAML_FLOAT) ||
        !(at->f >= low && at->f <= high)) {
        return gy_yaml_err(r->yaml, at, err, "%s: a number from %g to %g", key, low, high);
    }
    *ret = at->f;
    return GY_OK;
}

static bool is_scalar(const struct gy_yaml_node *node)
{
    return node && node->kind != GY_YAML_SEQ && node->kind != GY_YAML_MAP;
}

/* A time, as seconds. */
static gy_status read_time(const struct reading *r, const struct gy_yaml_node *node,
                           const char *key, double *ret, enum gy_time_form *form,
                           struct gy_err *err)
{
    const struct gy_yaml_node *at = gy_yaml_get(node, key);
    int64_t us = 0;
    if (!at || !is_scalar(at) || !gy_column_time(NULL, at->text, &us, form)) {
        return gy_yaml_err(r->yaml, at ? at : node, err, "%s: a time such as 2024-01-31", key);
    }
    *ret = (double)us / 1e6;
    return GY_OK;
}

static double value_number(enum gy_type type, struct gy_str text, bool *fine)
{
    char out[GY_VALUE_TEXT];
    struct gy_str canonical;
    double number;
    *fine = gy_value_canonical(type, text, out, &canonical, &number);
    return type == GY_TYPE_STRING || type == GY_TYPE_IMAGE ? NAN : number;
}

static int by_number(const void *a, const void *b)
{
    double x = ((const struct gy_made_value *)a)->number,
           y = ((const struct gy_made_value *)b)->number;
    return (x > y) - (x < y);
}

static gy_status read_value(const struct reading *r, const struct gy_made_column *c,
                            const struct gy_yaml_node *at, struct gy_str text, double weight,
                            struct gy_made_value *ret, struct gy_err *err)
{
    bool fine = false;
    ret->text = gy_arena_str(&r->t->arena, text);
    ret->number = value_number(c->type, text, &fine);
    ret->upto = weight;
    if (!ret->text.p) {
        return no_memory(err);
    }
    return fine ? GY_OK
                : gy_yaml_err(r->yaml, at, err, "'%" GY_STR_F "' is not of type %s", GY_STR_A(text),
                              gy_type_name(c->type));
}

/* values: [a, b] with weights: [3, 1], or values: {a: 3, b: 1}. */
static gy_status read_values(const struct reading *r, const struct gy_yaml_node *node,
                             struct gy_made_column *c, struct gy_err *err)
{
    const struct gy_yaml_node *values = gy_yaml_get(node, "values");
    const struct gy_yaml_node *weights = gy_yaml_get(node, "weights");
    size_t n = values ? values->n_items : 0;
    if (!values || is_scalar(values) || n == 0 || n > GY_MADE_MAX_VALUES) {
        return gy_yaml_err(r->yaml, values ? values : node, err,
                           "values: 1 to %d of them, [a, b] or {a: weight, b: weight}",
                           GY_MADE_MAX_VALUES);
    }
    if (weights &&
        (weights->kind != GY_YAML_SEQ || weights->n_items != n || values->kind == GY_YAML_MAP)) {
        return gy_yaml_err(r->yaml, weights, err, "weights: one for each of the list of values");
    }
    struct gy_made_value *to = gy_arena_calloc(&r->t->arena, n, sizeof *to);
    double total = 0, upto = 0;
    if (!to) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        const struct gy_yaml_node *item = &values->items[i];
        const struct gy_yaml_node *w = values->kind == GY_YAML_MAP ? item
                                       : weights                   ? &weights->items[i]
                                                                   : NULL;
        if (w &&
            ((w->kind != GY_YAML_INT && w->kind != GY_YAML_FLOAT) || !(w->f >= 0 && w->f < 1e15))) {
            return gy_yaml_err(r->yaml, w, err, "a weight is a number, 0 or more");
        }
        struct gy_str text = values->kind == GY_YAML_MAP ? values->keys[i] : item->text;
        if (values->kind == GY_YAML_SEQ && !is_scalar(item)) {
            return gy_yaml_err(r->yaml, item, err, "a value is a text or a number");
        }
        GY_TRY(read_value(r, c, item, text, w ? w->f : 1, &to[i], err));
        total += to[i].upto;
    }
    if (!(total > 0)) {
        return gy_yaml_err(r->yaml, values, err, "some weight must be above 0");
    }
    if (n > 1 && gy_made_is_numeric(c)) {
        qsort(to, n, sizeof *to, by_number);
    }
    for (size_t i = 0; i < n; i++) {
        upto += to[i].upto;
        to[i].upto = i + 1 == n ? 1 : upto / total;
    }
    c->values = to;
    c->n_values = n;
    return GY_OK;
}

/* ---- formulas ---- */

/* Columns before the one at hand. */
static bool resolve(void *ctx, struct gy_str name, size_t *ret_slot, enum gy_expr_type *ret_type)
{
    const struct reading *r = ctx;
    for (size_t i = 0; i < r->t->n_columns; i++) {
        const struct gy_made_column *c = &r->t->columns[i];
        if (gy_str_eq(c->name, name)) {
            *ret_slot = i;
            *ret_type = !gy_made_is_numeric(c)    ? GY_EXPR_STR
                        : c->type == GY_TYPE_BOOL ? GY_EXPR_BOOL
                                                  : GY_EXPR_NUM;
            return true;
        }
    }
    return false;
}

static gy_status read_formula(struct reading *r, const struct gy_yaml_node *node,
                              struct gy_made_column *c, struct gy_err *err)
{
    const struct gy_yaml_node *at = gy_yaml_get(node, "formula");
    struct gy_err why = GY_ERR_INIT;
    if (!is_scalar(at) || at->text.n == 0) {
        return gy_yaml_err(r->yaml, at ? at : node, err,
                           "formula: an expression of the columns "
                           "above, such as \"hr > 90\"");
    }
    if (gy_expr_compile(at->text, resolve, r, &c->formula, &why) != GY_OK) {
        if (why.code == GY_E_NOMEM) {
            return no_memory(err);
        }
        return gy_yaml_err(r->yaml, at, err, "formula: %s", why.msg);
    }
    return read_number(r, node, "flip", 0, 1, 0, &c->flip, err);
}

/* ---- a column ---- */

static const char *const KINDS[] = {"id",      "normal", "lognormal", "uniform", "categorical",
                                    "formula", "time",   "keys",      NULL};
enum { K_ID, K_NORMAL, K_LOGNORMAL, K_UNIFORM, K_CATEGORICAL, K_FORMULA, K_TIME, K_KEYS };

static gy_status read_kind(const struct reading *r, const struct gy_yaml_node *node, int *ret,
                           struct gy_err *err)
{
    const struct gy_yaml_node *at = gy_yaml_get(node, "dist");
    if (!at) { /* told from what else is there */
        *ret = gy_yaml_get(node, "formula") ? K_FORMULA : K_CATEGORICAL;
        return gy_yaml_get(node, "formula") || gy_yaml_get(node, "values")
                   ? GY_OK
                   : gy_yaml_err(r->yaml, node, err, "a column needs dist, values or formula");
    }
    for (int i = 0; KINDS[i]; i++) {
        if (is_scalar(at) && gy_str_eqc(at->text, KINDS[i])) {
            *ret = i;
            return GY_OK;
        }
    }
    const char *near = is_scalar(at) ? gy_yaml_nearest(at->text, KINDS) : NULL;
    (void)gy_yaml_err(r->yaml, at, err, "dist '%" GY_STR_F "' is not known", GY_STR_A(at->text));
    return gy_err_hint(err,
                       near
                           ? "did you mean %s?"
                           : "id, keys, normal, lognormal, uniform, categorical, time or formula%s",
                       near ? near : "");
}

static gy_status read_type(const struct reading *r, const struct gy_yaml_node *node, int kind,
                           struct gy_made_column *c, struct gy_err *err)
{
    const struct gy_yaml_node *type = gy_yaml_get(node, "type"), *role = gy_yaml_get(node, "role");
    c->type = kind == K_ID || kind == K_KEYS ? GY_TYPE_INT
              : kind == K_TIME               ? GY_TYPE_TIME
              : kind == K_CATEGORICAL        ? GY_TYPE_STRING
                                             : GY_TYPE_FLOAT;
    c->role = kind == K_ID ? GY_ROLE_ID : kind == K_KEYS ? GY_ROLE_SUBJECT : GY_ROLE_FEATURE;
    bool known = !type;
    for (int i = GY_TYPE_INT; type && i <= GY_TYPE_TIME; i++) {
        if (gy_str_eqc(type->text, gy_type_name((enum gy_type)i))) {
            c->type = (enum gy_type)i;
            known = true;
        }
    }
    if (!known) {
        return gy_yaml_err(r->yaml, type, err, "type: int, float, string, bool or time");
    }
    known = !role;
    for (int i = GY_ROLE_FEATURE; role && i <= GY_ROLE_WEIGHT; i++) {
        if (gy_str_eqc(role->text, gy_role_name((enum gy_role)i))) {
            c->role = (enum gy_role)i;
            known = true;
        }
    }
    if (!known) {
        return gy_yaml_err(r->yaml, role, err, "role: as in schema.yaml");
    }
    bool is_number = c->type == GY_TYPE_INT || c->type == GY_TYPE_FLOAT;
    bool fits = kind == K_TIME ? c->type == GY_TYPE_TIME
                : kind == K_ID || kind == K_KEYS
                    ? c->type == GY_TYPE_INT || c->type == GY_TYPE_STRING
                : kind == K_CATEGORICAL ? true
                : kind == K_FORMULA     ? c->type != GY_TYPE_TIME
                                        : is_number;
    return fits ? GY_OK
                : gy_yaml_err(r->yaml, type ? type : node, err, "%s can not be of type %s",
                              KINDS[kind], gy_type_name(c->type));
}

static gy_status read_time_range(const struct reading *r, const struct gy_yaml_node *node,
                                 struct gy_made_column *c, struct gy_err *err)
{
    enum gy_time_form to_form;
    c->kind = GY_MADE_UNIFORM;
    GY_TRY(read_time(r, node, "from", &c->low, &c->form, err));
    GY_TRY(read_time(r, node, "to", &c->high, &to_form, err));
    if (c->form != to_form || c->high < c->low) {
        return gy_yaml_err(r->yaml, node, err, "from and to: written alike, and from is earlier");
    }
    c->high += c->form == GY_TIME_DAY ? DAY - 1 : 0; /* the last day too */
    return GY_OK;
}

static gy_status read_distribution(struct reading *r, const struct gy_yaml_node *node, int kind,
                                   struct gy_made_column *c, struct gy_err *err)
{
    const double most = 1e300;
    double number;
    GY_TRY(read_number(r, node, "min", -most, most, NAN, &c->low, err));
    GY_TRY(read_number(r, node, "max", -most, most, NAN, &c->high, err));
    if (c->low > c->high) {
        return gy_yaml_err(r->yaml, node, err, "min is above max");
    }
    GY_TRY(read_number(r, node, "decimals", 0, 9, -1, &number, err));
    c->decimals = (int)number;
    GY_TRY(read_number(r, node, "start", -1e15, 1e15, 1, &number, err));
    c->start = (int64_t)number;
    switch (kind) {
    case K_ID:
        c->kind = GY_MADE_ID;
        return GY_OK;
    case K_KEYS:
        c->kind = GY_MADE_KEYS;
        GY_TRY(read_number(r, node, "n", 1, 1e12, 100, &number, err));
        c->n_keys = (int64_t)number;
        return GY_OK;
    case K_NORMAL:
        c->kind = GY_MADE_NORMAL;
        GY_TRY(read_number(r, node, "mean", -most, most, 0, &c->a, err));
        return read_number(r, node, "sd", 1e-300, most, 1, &c->b, err);
    case K_LOGNORMAL:
        c->kind = GY_MADE_LOGNORMAL;
        GY_TRY(read_number(r, node, "median", 1e-300, most, 1, &c->a, err));
        c->a = log(c->a);
        return read_number(r, node, "sigma", 1e-12, 100, 1, &c->b, err);
    case K_UNIFORM:
        c->kind = GY_MADE_UNIFORM;
        c->low = isnan(c->low) ? 0 : c->low;
        c->high = isnan(c->high) ? 1 : c->high;
        if (c->type == GY_TYPE_INT) { /* each of them as likely as the others */
            c->low = ceil(c->low);
            c->high = floor(c->high);
        }
        return c->low <= c->high ? GY_OK : gy_yaml_err(r->yaml, node, err, "min is above max");
    case K_CATEGORICAL:
        c->kind = GY_MADE_CHOICE;
        return read_values(r, node, c, err);
    case K_FORMULA:
        c->kind = GY_MADE_FORMULA;
        return read_formula(r, node, c, err);
    case K_TIME:
        return read_time_range(r, node, c, err);
    default:
        return GY_OK;
    }
}

static gy_status read_column(struct reading *r, const struct gy_yaml_node *node, struct gy_err *err)
{
    static const char *const keys[] = {
        "name", "type", "role",  "unit", "dist",    "values", "weights", "formula",
        "flip", "min",  "max",   "mean", "sd",      "median", "sigma",   "decimals",
        "from", "to",   "start", "n",    "missing", "drift",  NULL};
    struct gy_made_column *c = &r->t->columns[r->t->n_columns];
    const struct gy_yaml_node *name = gy_yaml_get(node, "name"), *unit = gy_yaml_get(node, "unit");
    int kind = 0;
    if (node->kind != GY_YAML_MAP) {
        return gy_yaml_err(r->yaml, node, err, "a column is a map with a name");
    }
    GY_TRY(gy_yaml_only(r->yaml, node, keys, err));
    if (!is_scalar(name) || name->text.n == 0 || name->text.n > GY_MAX_NAME) {
        return gy_yaml_err(r->yaml, name ? name : node, err, "name: a text of 1 to %d bytes",
                           GY_MAX_NAME);
    }
    c->name = gy_arena_str(&r->t->arena, name->text);
    c->unit = is_scalar(unit) ? gy_arena_str(&r->t->arena, unit->text) : GY_STR_NULL;
    c->times = 1;
    if (!c->name.p) {
        return no_memory(err);
    }
    for (size_t i = 0; i < r->t->n_columns; i++) {
        if (gy_str_eq(r->t->columns[i].name, c->name)) {
            return gy_yaml_err(r->yaml, name, err, "the name is there twice");
        }
    }
    GY_TRY(read_kind(r, node, &kind, err));
    GY_TRY(read_type(r, node, kind, c, err));
    gy_status status = read_distribution(r, node, kind, c, err);
    r->t->n_columns++; /* so that the formula is freed, also when something else is wrong */
    GY_TRY(status);
    return read_number(r, node, "missing", 0, 1, 0, &c->missing, err);
}

static gy_status read_drift(struct reading *r, const struct gy_yaml_node *node, struct gy_str name,
                            struct gy_err *err)
{
    const struct gy_yaml_node *at = gy_yaml_get(node, "drift");
    struct gy_err why = GY_ERR_INIT;
    if (!at) {
        return GY_OK;
    }
    char *text = gy_arena_printf(&r->t->arena, "%" GY_STR_F "=%s%" GY_STR_F, GY_STR_A(name),
                                 (at->kind == GY_YAML_INT || at->kind == GY_YAML_FLOAT) &&
                                         at->f >= 0 && at->text.p[0] != '+'
                                     ? "+"
                                     : "",
                                 GY_STR_A(at->text));
    struct gy_synth_drift d;
    if (!text) {
        return no_memory(err);
    }
    if (gy_synth_parse_drift(gy_str_c(text), &d, &why) != GY_OK ||
        gy_made_drift(r->t, &d, &why) != GY_OK) {
        return gy_yaml_err(r->yaml, at, err, "drift: %s (\"+1\", \"-1\" or \"*1.1\")", why.msg);
    }
    return GY_OK;
}

/* ---- the table ---- */

static size_t place_of(const struct gy_made_table *t, struct gy_str name)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        if (gy_str_eq(t->columns[i].name, name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* correlations: [[a, b, 0.5], ...], of the normal scores. */
static gy_status read_correlations(struct reading *r, const struct gy_yaml_node *list,
                                   struct gy_err *err)
{
    struct gy_made_table *t = r->t;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena scratch;
    gy_arena_init(&scratch, ARENA_MAX);
    if (!list) {
        return GY_OK;
    }
    size_t *slot = gy_arena_calloc(&scratch, t->n_columns, sizeof *slot), n = 0; /* 1 + its place */
    size_t *which = gy_arena_calloc(&scratch, t->n_columns, sizeof *which);
    if (!slot || !which) {
        return no_memory(err);
    }
    if (list->kind != GY_YAML_SEQ) {
        return gy_yaml_err(r->yaml, list, err, "correlations: [[a, b, 0.5], ...]");
    }
    double *m = NULL;
    for (int round = 0; round < 2; round++) { /* which columns there are, then their numbers */
        for (size_t i = 0; i < list->n_items; i++) {
            const struct gy_yaml_node *item = &list->items[i];
            if (item->kind != GY_YAML_SEQ || item->n_items != 3 || !is_scalar(&item->items[0]) ||
                !is_scalar(&item->items[1]) || !is_scalar(&item->items[2]) ||
                !(fabs(item->items[2].f) < 1)) {
                return gy_yaml_err(r->yaml, item, err, "a correlation is [a, b, r] with |r| < 1");
            }
            size_t at[2];
            for (size_t k = 0; k < 2; k++) {
                at[k] = place_of(t, item->items[k].text);
                if (at[k] == SIZE_MAX || isnan(gy_made_at(&t->columns[at[k]], 0.5))) {
                    return gy_yaml_err(r->yaml, &item->items[k], err,
                                       "'%" GY_STR_F
                                       "' is no column with a distribution of numbers",
                                       GY_STR_A(item->items[k].text));
                }
                if (!slot[at[k]]) {
                    which[n] = at[k];
                    slot[at[k]] = ++n;
                }
            }
            if (round == 1) {
                size_t a = slot[at[0]] - 1, b = slot[at[1]] - 1;
                m[a * n + b] = m[b * n + a] = item->items[2].f;
            }
        }
        if (round == 0) {
            if (n > GY_STATISTICS_MAX_NUMBERS) {
                return gy_yaml_err(r->yaml, list, err, "more than %d columns",
                                   GY_STATISTICS_MAX_NUMBERS);
            }
            m = gy_arena_calloc(&scratch, n * n, sizeof *m);
            if (!m) {
                return no_memory(err);
            }
        }
    }
    return gy_made_correlate(t, which, n, m, true, err);
}

/* balance: {0: .7, 1: .3} */
static gy_status read_balance(struct reading *r, const struct gy_yaml_node *node,
                              struct gy_err *err)
{
    if (!node) {
        return GY_OK;
    }
    struct gy_made_class *classes = gy_arena_calloc(&r->t->arena, node->n_items, sizeof *classes);
    double sum = 0;
    if (!classes) {
        return no_memory(err);
    }
    if (node->kind != GY_YAML_MAP || node->n_items == 0 || node->n_items > GY_MADE_SCHEMA_VALUES) {
        return gy_yaml_err(r->yaml, node, err, "balance: {class: share, ...} of the label");
    }
    for (size_t i = 0; i < node->n_items; i++) {
        const struct gy_yaml_node *share = &node->items[i];
        if ((share->kind != GY_YAML_INT && share->kind != GY_YAML_FLOAT) ||
            !(share->f >= 0 && share->f < 1e15)) {
            return gy_yaml_err(r->yaml, share, err, "a share is a number, 0 or more");
        }
        classes[i] = (struct gy_made_class){gy_arena_str(&r->t->arena, node->keys[i]), share->f};
        sum += share->f;
        if (!classes[i].value.p) {
            return no_memory(err);
        }
    }
    for (size_t i = 0; i < node->n_items; i++) {
        classes[i].share /= sum;
    }
    if (!(sum > 0)) {
        return gy_yaml_err(r->yaml, node, err, "some share must be above 0");
    }
    r->o->balance = classes;
    r->o->n_balance = node->n_items;
    return GY_OK;
}

static gy_status read_table(struct reading *r, struct gy_err *err)
{
    static const char *const keys[] = {"rows",    "seed", "columns", "correlations",
                                       "balance", "bad",  NULL};
    const struct gy_yaml_node *root = gy_yaml_root(r->yaml), *columns;
    double number;
    if (!root || root->kind != GY_YAML_MAP) {
        return gy_yaml_err(r->yaml, root, err, "a map with columns is wanted");
    }
    GY_TRY(gy_yaml_only(r->yaml, root, keys, err));
    columns = gy_yaml_get(root, "columns");
    if (!columns || columns->kind != GY_YAML_SEQ || columns->n_items == 0 ||
        columns->n_items > GY_MAX_COLUMNS) {
        return gy_yaml_err(r->yaml, columns ? columns : root, err, "columns: a list of them");
    }
    GY_TRY(read_number(r, root, "rows", 0, (double)GY_SYNTH_MAX_ROWS, 1000, &number, err));
    r->o->rows = (int64_t)number;
    GY_TRY(read_number(r, root, "seed", 0, 1e15, 1, &number, err));
    r->o->seed = (uint64_t)number;
    GY_TRY(read_number(r, root, "bad", 0, (double)GY_SYNTH_MAX_BAD, 0, &number, err));
    r->o->bad = (int64_t)number;
    r->t->columns = gy_arena_calloc(&r->t->arena, columns->n_items, sizeof *r->t->columns);
    if (!r->t->columns) {
        return no_memory(err);
    }
    for (size_t i = 0; i < columns->n_items; i++) {
        GY_TRY(read_column(r, &columns->items[i], err));
        struct gy_made_column *c = &r->t->columns[i];
        if (c->role == GY_ROLE_LABEL && r->t->label == SIZE_MAX) {
            r->t->label = i;
        }
        GY_TRY(read_drift(r, &columns->items[i], c->name, err));
    }
    GY_TRY(read_correlations(r, gy_yaml_get(root, "correlations"), err));
    return read_balance(r, gy_yaml_get(root, "balance"), err);
}

gy_status gy_made_from_spec(struct gy_str text, const char *name, struct gy_made_table **ret,
                            struct gy_made_options *ret_o, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *yaml = NULL;
    GY_AUTO(gy_made_table_free) struct gy_made_table *t = gy_calloc(1, sizeof *t);
    if (!t) {
        return no_memory(err);
    }
    gy_arena_init(&t->arena, ARENA_MAX);
    t->label = SIZE_MAX;
    t->kept = 1;
    GY_TRY(gy_yaml_parse(text, name, &yaml, err));
    struct reading r = {yaml, t, ret_o};
    GY_TRY(read_table(&r, err));
    *ret = GY_TAKE(t);
    return GY_OK;
}
