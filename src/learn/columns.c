/* SPDX-License-Identifier: Apache-2.0 */
/* Which columns are inputs, and what the label means. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
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

static gy_status choose_task(const struct gy_table_column *c, const struct gy_train_params *p,
                             bool many, struct gy_model *m, struct gy_err *err)
{
    bool quantity = c->numeric && (many || !c->integer || m->n_classes > MAX_AUTO_CLASSES);
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
    if (many || m->n_classes < 2 || (m->task == GY_TASK_BINARY && m->n_classes != 2)) {
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

static gy_status add_input(const struct gy_table_column *c, struct gy_model *m, struct gy_err *err)
{
    struct gy_predictor_input *in = &m->inputs[m->n_inputs++];
    in->name = gy_arena_str(&m->arena, c->name);
    in->integer = c->integer;
    in->width = 1;
    in->required = c->required;
    return in->name.p ? GY_OK : no_memory(err);
}

static gy_status named_inputs(const struct gy_table *t, const struct gy_train_params *p,
                              struct gy_model *m, struct gy_err *err)
{
    for (size_t i = 0; i < p->n_features; i++) {
        const struct gy_table_column *c = gy_table_column(t, p->features[i]);
        const char *why = !c                              ? "is not in the table"
                          : !c->numeric                   ? "holds text"
                          : gy_str_eq(c->name, m->target) ? "is the target"
                                                          : NULL;
        for (size_t k = 0; !why && k < m->n_inputs; k++) {
            why = gy_str_eq(m->inputs[k].name, c->name) ? "is named twice" : NULL;
        }
        if (why) {
            return gy_err_set(err, c ? GY_E_INVALID : GY_E_NOTFOUND, "feature '%" GY_STR_F "' %s",
                              GY_STR_A(p->features[i]), why);
        }
        GY_TRY(add_input(c, m, err));
    }
    return GY_OK;
}

/* Every numeric column but the target and the id; one without any value says nothing. */
static gy_status all_inputs(const struct gy_table *t, struct gy_model *m, struct gy_err *err)
{
    for (size_t k = 0; k < t->n_columns; k++) {
        const struct gy_table_column *c = &t->columns[k];
        bool any = false;
        for (size_t i = 0; c->numeric && !any && i < t->n_rows; i++) {
            any = !isnan(c->num[i]);
        }
        if (any && c != t->id && !gy_str_eq(c->name, m->target)) {
            GY_TRY(add_input(c, m, err));
        }
    }
    return m->n_inputs ? GY_OK : gy_err_set(err, GY_E_INVALID, "the table has no numeric column");
}

gy_status gy_train_columns(const struct gy_table *t, const struct gy_train_params *p,
                           struct gy_model *m, double *y, struct gy_err *err)
{
    size_t room = p->n_features ? p->n_features : t->n_columns;
    if (room > GY_MAX_FEATURES) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d features", GY_MAX_FEATURES);
    }
    GY_TRY(gy_train_labels(t, p, m, y, err));
    m->inputs = gy_arena_calloc(&m->arena, room, sizeof *m->inputs);
    if (!m->inputs) {
        return no_memory(err);
    }
    return p->n_features ? named_inputs(t, p, m, err) : all_inputs(t, m, err);
}
