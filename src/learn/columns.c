/* SPDX-License-Identifier: Apache-2.0 */
/* Which columns are inputs, and what the label means. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "learn/cells.h"
#include "learn/steps/steps.h"
#include "learn/train_internal.h"

#define MAX_AUTO_CLASSES                                                    \
    20 /* more distinct whole numbers than this are a quantity, not classes \
        */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "training");
}

/* ---- the label ---- */

/* Whole numbers in their order, then texts bytewise: "0" "1" "2" ... "10". */
static int compare_classes(const void *a, const void *b)
{
    const struct gy_str *x = a;
    const struct gy_str *y = b;
    double dx = 0;
    double dy = 0;
    bool nx = gy_parse_f64(*x, &dx, NULL) == GY_OK;
    bool ny = gy_parse_f64(*y, &dy, NULL) == GY_OK;
    if (nx && ny && dx != dy) {
        return dx < dy ? -1 : 1;
    }
    return nx != ny ? (nx ? -1 : 1) : gy_str_cmp(*x, *y);
}

static size_t class_of(const struct gy_model *m, struct gy_str text)
{
    size_t k = 0;
    while (k < m->n_classes && !gy_str_eq(m->classes[k], text)) {
        k++;
    }
    return k;
}

/* The distinct labels, sorted; *ret_many: more than GY_MODEL_MAX_CLASSES. */
static gy_status find_classes(const struct gy_table_column *c, size_t n_rows, struct gy_model *m,
                              bool *ret_many, struct gy_err *err)
{
    m->classes = gy_arena_calloc(&m->arena, GY_MODEL_MAX_CLASSES, sizeof *m->classes);
    if (!m->classes) {
        return no_memory(err);
    }
    *ret_many = false;
    for (size_t i = 0; i < n_rows; i++) {
        char scratch[32];
        struct gy_str text = gy_table_text(c, i, scratch);
        if (!text.p || class_of(m, text) < m->n_classes) {
            continue;
        }
        if (m->n_classes == GY_MODEL_MAX_CLASSES) {
            *ret_many = true;
            return GY_OK;
        }
        m->classes[m->n_classes] = gy_arena_str(&m->arena, text);
        if (!m->classes[m->n_classes++].p) {
            return no_memory(err);
        }
    }
    qsort(m->classes, m->n_classes, sizeof *m->classes, compare_classes);
    return GY_OK;
}

/* No label at all, or one class. */
static gy_status nothing_to_learn(const struct gy_model *m, struct gy_err *err)
{
    if (m->n_classes == 0) {
        (void)gy_err_set(err, GY_E_INVALID, "the target '%" GY_STR_F "' has no value in any row",
                         GY_STR_A(m->target));
        return gy_err_hint(err, "a model is learnt from rows whose answer is known");
    }
    (void)gy_err_set(err, GY_E_INVALID,
                     "the target '%" GY_STR_F "' is '%" GY_STR_F
                     "' in every row: there is nothing to tell apart",
                     GY_STR_A(m->target), GY_STR_A(m->classes[0]));
    return gy_err_hint(err, "add rows of another class, or name another --target");
}

static gy_status choose_task(const struct gy_table_column *c, const struct gy_train_params *p,
                             bool many, struct gy_model *m, struct gy_err *err)
{
    bool quantity = c->numeric && (many || !c->integer || m->n_classes > MAX_AUTO_CLASSES);
    if (m->n_classes == 0) {
        return nothing_to_learn(m, err);
    }
    m->task = p->has_task         ? p->task
              : m->n_classes == 2 ? GY_TASK_BINARY
              : quantity          ? GY_TASK_REGRESSION
                                  : GY_TASK_MULTICLASS;
    if (m->task == GY_TASK_REGRESSION) {
        m->n_classes = 0;
        return c->numeric
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID, "the target holds text: not a regression");
    }
    if (m->n_classes == 1) {
        return nothing_to_learn(m, err);
    }
    if (many || (m->task == GY_TASK_BINARY && m->n_classes != 2)) {
        return gy_err_set(
            err, GY_E_INVALID,
            "the target '%" GY_STR_F "' has %s%zu different labels, which is no %s task",
            GY_STR_A(m->target), many ? "more than " : "", m->n_classes, gy_task_name(m->task));
    }
    return GY_OK;
}

gy_status gy_train_labels(const struct gy_table *t, const struct gy_train_params *p,
                          struct gy_model *m, double *y, struct gy_err *err)
{
    const struct gy_table_column *c = gy_table_column(t, p->target);
    bool many = false;
    if (!c) {
        return gy_err_set(err, GY_E_NOTFOUND, "the table has no column '%" GY_STR_F "' to predict",
                          GY_STR_A(p->target));
    }
    m->target = gy_arena_str(&m->arena, p->target);
    if (!m->target.p) {
        return no_memory(err);
    }
    GY_TRY(find_classes(c, t->n_rows, m, &many, err));
    GY_TRY(choose_task(c, p, many, m, err));
    for (size_t i = 0; i < t->n_rows; i++) {
        char scratch[32];
        struct gy_str text = gy_table_text(c, i, scratch);
        y[i] = !text.p                         ? NAN
               : m->task == GY_TASK_REGRESSION ? c->num[i]
                                               : (double)class_of(m, text);
    }
    return GY_OK;
}

/* ---- the inputs ---- */

struct choice {
    const struct gy_table *t;
    const struct gy_train_params *p;
    struct gy_model *m;
    struct gy_err *err;
};

static bool listed(const struct gy_str *names, size_t n, struct gy_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(names[i], name)) {
            return true;
        }
    }
    return false;
}

/* Does a step of this kind (NULL: any) name the column, or, with `unnamed`, name none at all? */
static bool has_step(const struct gy_train_params *p, const struct gy_step_ops *ops,
                     struct gy_str name, bool unnamed)
{
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct gy_step_plan *plan = &p->steps[i];
        bool its = listed(plan->columns, plan->n_columns, name);
        if ((!ops || plan->ops == ops) && (its || (unnamed && plan->n_columns == 0))) {
            return true;
        }
    }
    return false;
}

/* Without a schema a column of texts that are all times is one of times. */
static bool all_times(const struct gy_table *t, const struct gy_table_column *c)
{
    const struct gy_predictor_input in = {.kind = GY_INPUT_TIME};
    bool any = false;
    for (size_t i = 0; !c->numeric && i < t->n_rows; i++) {
        double seconds = NAN;
        if (c->text[i].p && gy_cell_of_text(&in, c->text[i], &seconds, NULL) != GY_OK) {
            return false;
        }
        any = any || !isnan(seconds);
    }
    return any;
}

static gy_status kind_of(const struct choice *k, const struct gy_table_column *c,
                         enum gy_input_kind *ret)
{
    bool listed_here = listed(k->p->categorical, k->p->n_categorical, c->name);
    if (listed_here && c->numeric && !c->integer) {
        return gy_err_set(k->err, GY_E_INVALID,
                          "categorical: '%" GY_STR_F "' has values that are not whole",
                          GY_STR_A(c->name));
    }
    bool image = c->image || (k->p->image_column.p && gy_str_eq(k->p->image_column, c->name));
    if (image && !k->p->has_image) {
        (void)gy_err_set(k->err, GY_E_INVALID, "'%" GY_STR_F "' names images: of which size?",
                         GY_STR_A(c->name));
        return gy_err_hint(k->err, "train: {image: {width: 28, height: 28, grey: true}}");
    }
    bool time = c->time || (!c->typed && !listed_here && all_times(k->t, c));
    *ret = image                        ? GY_INPUT_IMAGE
           : time                       ? GY_INPUT_TIME
           : !c->numeric || listed_here ? GY_INPUT_TEXT
                                        : GY_INPUT_NUMBER;
    return GY_OK;
}

static gy_status add_input(const struct choice *k, const struct gy_table_column *c)
{
    struct gy_predictor_input *in = &k->m->inputs[k->m->n_inputs++];
    const struct gy_train_params *p = k->p;
    GY_TRY(kind_of(k, c, &in->kind));
    in->name = gy_arena_str(&k->m->arena, c->name);
    in->integer = c->numeric && c->integer;
    in->width = 1;
    in->required = c->required;
    in->min = -INFINITY;
    in->max = INFINITY;
    if (in->kind == GY_INPUT_TEXT) {
        bool others = has_step(p, &gy_step_onehot, c->name, false) ||
                      has_step(p, &gy_step_ordinal, c->name, false);
        in->hashed = !c->numeric && has_step(p, &gy_step_hash, c->name, !others);
    } else if (in->kind == GY_INPUT_IMAGE) {
        in->image_width = p->image_width;
        in->image_height = p->image_height;
        in->image_channels = p->image_channels;
        in->width = (size_t)p->image_width * p->image_height * p->image_channels;
    }
    return in->name.p ? GY_OK : no_memory(k->err);
}

static gy_status named_inputs(const struct choice *k)
{
    for (size_t i = 0; i < k->p->n_features; i++) {
        const struct gy_table_column *c = gy_table_column(k->t, k->p->features[i]);
        const char *why = !c                                 ? "is not in the table"
                          : gy_str_eq(c->name, k->m->target) ? "is the target"
                                                             : NULL;
        for (size_t n = 0; !why && n < k->m->n_inputs; n++) {
            why = gy_str_eq(k->m->inputs[n].name, c->name) ? "is named twice" : NULL;
        }
        if (why) {
            return gy_err_set(k->err, c ? GY_E_INVALID : GY_E_NOTFOUND,
                              "feature '%" GY_STR_F "' %s", GY_STR_A(k->p->features[i]), why);
        }
        GY_TRY(add_input(k, c));
    }
    return GY_OK;
}

static bool has_values(const struct gy_table *t, const struct gy_table_column *c)
{
    bool any = false;
    for (size_t i = 0; !any && i < t->n_rows; i++) {
        any = c->numeric ? !isnan(c->num[i]) : c->text[i].p != NULL;
    }
    return any;
}

/* Texts are inputs where the parameters name them. */
static bool is_asked_for(const struct choice *k, const struct gy_table_column *c)
{
    const struct gy_train_params *p = k->p;
    return c->numeric || listed(p->categorical, p->n_categorical, c->name) ||
           (p->has_image && (c->image || gy_str_eq(p->image_column, c->name))) ||
           has_step(p, NULL, c->name, false) ||
           (has_step(p, &gy_step_dates, c->name, true) &&
            (c->time || (!c->typed && all_times(k->t, c))));
}

/* What rows are weighed or grouped by is not there when a model is asked. */
static bool is_of_rows(const struct gy_train_params *p, struct gy_str name)
{
    bool groups = p->split.by != GY_HOLDOUT_TIME && p->split.column.p;
    return (p->weight.p && gy_str_eq(name, p->weight)) ||
           (groups && gy_str_eq(name, p->split.column));
}

/* Every numeric column and the texts asked for; one without any value says nothing. Left out unless
 * a person names them: the target, the id, what is protected, what rows are weighed or grouped by.
 */
static gy_status all_inputs(const struct choice *k)
{
    for (size_t i = 0; i < k->t->n_columns; i++) {
        const struct gy_table_column *c = &k->t->columns[i];
        bool own = c == k->t->id || c->is_protected || gy_str_eq(c->name, k->m->target) ||
                   is_of_rows(k->p, c->name);
        if (!own && is_asked_for(k, c) && has_values(k->t, c)) {
            GY_TRY(add_input(k, c));
        }
    }
    if (k->m->n_inputs) {
        return GY_OK;
    }
    (void)gy_err_set(k->err, GY_E_INVALID, "the table has no numeric column");
    return gy_err_hint(k->err, "train: {features: [..]} names text columns as inputs");
}

/* A column named in vain is a typing mistake. */
static gy_status check_listed(const struct choice *k)
{
    struct gy_str name = k->p->image_column;
    for (size_t i = 0; i < k->p->n_categorical; i++) {
        if (!gy_table_column(k->t, k->p->categorical[i])) {
            return gy_err_set(k->err, GY_E_NOTFOUND,
                              "categorical: the table has no column '%" GY_STR_F "'",
                              GY_STR_A(k->p->categorical[i]));
        }
    }
    return !name.p || gy_table_column(k->t, name)
               ? GY_OK
               : gy_err_set(k->err, GY_E_NOTFOUND, "image: the table has no column '%" GY_STR_F "'",
                            GY_STR_A(name));
}

gy_status gy_train_columns(const struct gy_table *t, const struct gy_train_params *p,
                           struct gy_model *m, double *y, struct gy_err *err)
{
    const struct choice k = {.t = t, .p = p, .m = m, .err = err};
    size_t room = p->n_features ? p->n_features : t->n_columns;
    if (room > GY_MAX_FEATURES) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d features", GY_MAX_FEATURES);
    }
    GY_TRY(gy_train_labels(t, p, m, y, err));
    GY_TRY(check_listed(&k));
    m->inputs = gy_arena_calloc(&m->arena, room, sizeof *m->inputs);
    if (!m->inputs) {
        return no_memory(err);
    }
    return p->n_features ? named_inputs(&k) : all_inputs(&k);
}
