/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs that are no plain numbers: the vocabularies of texts, what a learner can not take, and
 * what a person should know of the columns before believing the model. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "learn/steps/steps.h"
#include "learn/survey.h"
#include "learn/train_internal.h"

#define LEAK_ROWS 5000 /* looked at for leaks, spread over the table */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "training");
}

/* ---- vocabularies ---- */

static int compare_texts(const void *a, const void *b)
{
    return gy_str_cmp(*(const struct gy_str *)a, *(const struct gy_str *)b);
}

static gy_status too_many(const struct gy_predictor_input *in, size_t n, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_TOOBIG,
                     "input '%" GY_STR_F "' has %zu different texts; a vocabulary has at most %d",
                     GY_STR_A(in->name), n, GY_FEATURES_MAX);
    return gy_err_hint(err, "the step hash takes any number: steps: [{hash: [%" GY_STR_F "]}]",
                       GY_STR_A(in->name));
}

/* texts: n of the rows, sorted here; the different ones are kept in the model. */
static gy_status keep_distinct(struct gy_predictor_input *in, struct gy_str *texts, size_t n,
                               struct gy_model *m, struct gy_err *err)
{
    size_t distinct = 0;
    qsort(texts, n, sizeof *texts, compare_texts);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !gy_str_eq(texts[i], texts[i - 1])) {
            texts[distinct++] = texts[i];
        }
    }
    if (distinct > GY_FEATURES_MAX) {
        return too_many(in, distinct, err);
    }
    struct gy_str *values = gy_arena_calloc(&m->arena, distinct + 1, sizeof *values);
    if (!values) {
        return no_memory(err);
    }
    for (size_t i = 0; i < distinct; i++) {
        values[i] = gy_arena_str(&m->arena, texts[i]);
        if (!values[i].p) {
            return no_memory(err);
        }
    }
    in->values = values;
    in->n_values = distinct;
    return GY_OK;
}

/* Numbers have no text of their own: it is made, once for each row. */
static gy_status find_vocabulary(struct gy_predictor_input *in, const struct gy_table_column *c,
                                 const uint32_t *rows, size_t n_rows, struct gy_model *m,
                                 struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena made;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n_rows + 1, sizeof(struct gy_str));
    struct gy_str *texts = (struct gy_str *)(void *)room;
    size_t n = 0;
    gy_arena_init(&made, GY_GIB);
    if (!room) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n_rows; i++) {
        char scratch[32];
        struct gy_str text = gy_table_text(c, rows[i], scratch);
        if (text.p == scratch) {
            text = gy_arena_str(&made, text);
            if (!text.p) {
                return no_memory(err);
            }
        }
        if (text.p && text.n > 0) {
            texts[n++] = text;
        }
    }
    return keep_distinct(in, texts, n, m, err);
}

gy_status gy_train_vocabularies(const struct gy_table *t, const uint32_t *rows, size_t n_rows,
                                struct gy_model *m, struct gy_err *err)
{
    for (size_t i = 0; i < m->n_inputs; i++) {
        struct gy_predictor_input *in = &m->inputs[i];
        if (in->kind == GY_INPUT_TEXT && !in->hashed) {
            const struct gy_table_column *c = gy_table_column(t, in->name);
            GY_TRY(find_vocabulary(in, c, rows, n_rows, m, err));
        }
    }
    return GY_OK;
}

/* ---- what comes out of the feature steps ---- */

gy_status gy_train_check_features(const struct gy_model *m, struct gy_err *err)
{
    for (size_t i = 0; i < m->features.n_out; i++) {
        const struct gy_feature *f = &m->features.out[i];
        if (f->kind != GY_FEATURE_CATEGORY && f->kind != GY_FEATURE_HASHED) {
            continue;
        }
        (void)gy_err_set(err, GY_E_INVALID,
                         "input '%" GY_STR_F "' is text, and the learner '%s' takes numbers",
                         GY_STR_A(f->name), gy_learner_name(m->learner));
        return gy_err_hint(err,
                           f->kind == GY_FEATURE_HASHED
                               ? "train: {steps: [{hash: [%" GY_STR_F "]}]} makes numbers of it"
                               : "train: {steps: [{onehot: [%" GY_STR_F
                                 "]}]} makes numbers of it; ordinal does where there is an order",
                           GY_STR_A(f->name));
    }
    return GY_OK;
}

/* ---- warnings ---- */

GY_PRINTF(3, 4)
static gy_status warn(struct gy_trained *ret, struct gy_err *err, const char *fmt, ...)
{
    char text[512];
    va_list args;
    if (ret->n_warnings == GY_TRAIN_MAX_WARNINGS) {
        return GY_OK;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a cut warning is still one */
    va_end(args);
    struct gy_str kept = gy_arena_str(&ret->model.arena, gy_str_c(text));
    ret->warnings[ret->n_warnings++] = kept;
    return kept.p ? GY_OK : no_memory(err);
}

static gy_status warn_input(const struct gy_predictor_input *in, struct gy_trained *ret,
                            struct gy_err *err)
{
    bool text = in->kind == GY_INPUT_TEXT;
    bool empty = text ? in->n_values == 0 : !isfinite(in->min);
    bool constant = text ? in->n_values == 1 : in->min == in->max;
    if (in->kind == GY_INPUT_IMAGE || in->hashed) {
        return GY_OK;
    }
    if (empty) {
        return warn(ret, err, "'%" GY_STR_F "' has no value in the training rows: it says nothing",
                    GY_STR_A(in->name));
    }
    return constant ? warn(ret, err,
                           "'%" GY_STR_F "' has the same value in every training row: it says "
                           "nothing",
                           GY_STR_A(in->name))
                    : GY_OK;
}

static gy_status warn_times(const struct gy_model *m, struct gy_trained *ret, struct gy_err *err)
{
    for (size_t i = 0; i < m->features.n_out; i++) {
        if (m->features.out[i].kind == GY_FEATURE_TIME && m->learner != GY_LEARNER_MAJORITY) {
            GY_TRY(warn(ret, err,
                        "'%" GY_STR_F "' is learnt from as seconds since 1970, which later rows "
                        "exceed: the step dates takes its parts",
                        GY_STR_A(m->features.out[i].name)));
        }
    }
    return GY_OK;
}

/* The inputs and the target of at most LEAK_ROWS rows, evenly spread: a table as the survey wants
 * it. Columns and texts are views, numbers are copied to `room`. */
static void view_of(const struct gy_table *t, const struct gy_model *m, size_t n,
                    struct gy_table *view, double *room, struct gy_str *texts)
{
    view->n_rows = n;
    for (size_t k = 0; k <= m->n_inputs; k++) {
        struct gy_str name = k < m->n_inputs ? m->inputs[k].name : m->target;
        const struct gy_table_column *c = gy_table_column(t, name);
        bool image = k < m->n_inputs && m->inputs[k].kind == GY_INPUT_IMAGE;
        if (!c || image) {
            continue;
        }
        struct gy_table_column *to = &view->columns[view->n_columns++];
        *to = *c;
        to->num = c->numeric ? room : NULL;
        to->text = c->numeric ? NULL : texts;
        for (size_t i = 0; i < n; i++) {
            size_t row = i * t->n_rows / n;
            if (c->numeric) {
                *room++ = c->num[row];
            } else {
                *texts++ = c->text[row];
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        view->records[i] = t->records[i * t->n_rows / n];
    }
}

/* Columns that say the target itself. What the survey can not judge is not warned of. */
static gy_status warn_leaks(const struct gy_table *t, struct gy_trained *ret, struct gy_err *err)
{
    const struct gy_model *m = &ret->model;
    size_t n = t->n_rows < LEAK_ROWS ? t->n_rows : LEAK_ROWS;
    size_t cells = n * (m->n_inputs + 1);
    GY_AUTO(gy_free) char *numbers = gy_reallocarray(NULL, cells + 1, sizeof(double));
    GY_AUTO(gy_free) char *texts = gy_reallocarray(NULL, cells + n + 1, sizeof(struct gy_str));
    GY_AUTO(gy_free)
    char *columns = gy_calloc(m->n_inputs + 1, sizeof(struct gy_table_column));
    GY_AUTO_DONE(gy_survey_done) struct gy_survey s = {0};
    if (!numbers || !texts || !columns) {
        return no_memory(err);
    }
    struct gy_table view = {.columns = (struct gy_table_column *)(void *)columns,
                            .records = (struct gy_str *)(void *)texts};
    view_of(t, m, n, &view, (double *)(void *)numbers, (struct gy_str *)(void *)texts + n);
    const struct gy_survey_options o = {.target = m->target, .has_task = true, .task = m->task};
    struct gy_err why = GY_ERR_INIT;
    gy_status st = gy_survey(&view, &o, &s, &why);
    if (st != GY_OK) {
        return st == GY_E_NOMEM ? no_memory(err) : GY_OK;
    }
    for (size_t i = 0; i < s.n_columns; i++) {
        if (s.columns[i].use == GY_USE_LEAK) {
            GY_TRY(warn(ret, err,
                        "'%" GY_STR_F "' seems to tell the target itself: %" GY_STR_F
                        ". Will it be known when the model is asked?",
                        GY_STR_A(s.columns[i].column->name), GY_STR_A(s.columns[i].why)));
        }
    }
    return GY_OK;
}

/* A quantity that never changes: any learner gets it right, and none has learnt anything. */
static gy_status warn_target(const struct gy_table *t, struct gy_trained *ret, struct gy_err *err)
{
    const struct gy_table_column *c = gy_table_column(t, ret->model.target);
    double least = INFINITY, most = -INFINITY;
    if (ret->model.task != GY_TASK_REGRESSION || !c || !c->numeric) {
        return GY_OK;
    }
    for (size_t i = 0; i < t->n_rows; i++) {
        least = c->num[i] < least ? c->num[i] : least;
        most = c->num[i] > most ? c->num[i] : most;
    }
    return least == most ? warn(ret, err,
                                "the target '%" GY_STR_F "' is %.6g in every row: there is nothing "
                                "to learn",
                                GY_STR_A(ret->model.target), least)
                         : GY_OK;
}

gy_status gy_train_warn(const struct gy_table *t, struct gy_trained *ret, struct gy_err *err)
{
    GY_TRY(warn_target(t, ret, err));
    GY_TRY(warn_leaks(t, ret, err));
    for (size_t i = 0; i < ret->model.n_inputs; i++) {
        GY_TRY(warn_input(&ret->model.inputs[i], ret, err));
    }
    return warn_times(&ret->model, ret, err);
}
