/* SPDX-License-Identifier: Apache-2.0 */
/* The profile that training leaves in the package. */
#include <math.h>

#include "base/mem.h"
#include "learn/cells.h"
#include "learn/profile.h"
#include "learn/train_internal.h"

#define NUMBERED 100 /* rows from which whole numbers that never repeat are numbers of rows */
#define MAX_ARENA                                                                  \
    (8 * GY_GIB) /* 16 bytes a distinct value of each column, at most of 2^30 rows \
                  */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "a training profile");
}

/* ---- columns ---- */

struct making {
    struct gy_arena *a; /* of what stays */
    const struct gy_table *t;
    const uint32_t *rows;
    size_t n_rows;
    double *room; /* n_rows */
    struct gy_profile *p;
    struct gy_profile_column *columns;
    size_t expected; /* columns, for the budget of pairs */
};

static gy_status values_of_rows(const struct making *m, const double *column, struct gy_arena *a,
                                struct gy_values *ret, struct gy_err *err)
{
    for (size_t i = 0; i < m->n_rows; i++) {
        m->room[i] = column[m->rows[i]];
    }
    return gy_values_of(m->room, NULL, m->n_rows, a, ret, err);
}

/* Of a text or a time: what the log will say of it. */
static gy_status values_of_cells(const struct making *m, const struct gy_predictor_input *in,
                                 const struct gy_table_column *c, struct gy_arena *a,
                                 struct gy_values *ret, struct gy_err *err)
{
    for (size_t i = 0; i < m->n_rows; i++) {
        char scratch[32];
        GY_TRY(gy_cell_logged(in, gy_table_text(c, m->rows[i], scratch), &m->room[i], err));
    }
    return gy_values_of(m->room, NULL, m->n_rows, a, ret, err);
}

/* in: NULL of a column that is no input. */
static gy_status add_column(struct making *m, const struct gy_table_column *c,
                            const struct gy_predictor_input *in, struct gy_err *err)
{
    bool input = in != NULL;
    struct gy_profile_column *to = &m->columns[m->p->n_columns];
    struct gy_values all;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, MAX_ARENA);
    GY_TRY(in && in->kind != GY_INPUT_NUMBER ? values_of_cells(m, in, c, &a, &all, err)
                                             : values_of_rows(m, c->num, &a, &all, err));
    if (!input && c->integer && all.n == all.total && all.total >= NUMBERED) {
        return GY_OK; /* an id that no schema names: what comes later is another one, always */
    }
    GY_TRY(gy_profile_describe(&all, m->expected, &a, to, err));
    /* What stays is copied out of the memory that all the values took. */
    const struct gy_values kept = to->values;
    GY_TRY(gy_values_map(&kept, 1, 0, m->a, &to->values, err));
    to->name = gy_arena_str(m->a, c->name);
    if (!to->name.p) {
        return no_memory(err);
    }
    to->integer = c->integer;
    to->categorical = in && in->kind == GY_INPUT_TEXT;
    to->input = input;
    m->p->n_columns++;
    return GY_OK;
}

static bool is_other(const struct gy_table *t, const struct gy_table_column *c,
                     const struct gy_model *m)
{
    if (!c->numeric || c == t->id || (m && gy_str_eq(c->name, m->target))) {
        return false;
    }
    for (size_t i = 0; m && i < m->n_inputs; i++) {
        if (gy_str_eq(m->inputs[i].name, c->name)) {
            return false;
        }
    }
    return true;
}

/* The inputs, then the other numeric columns. model NULL: no inputs. */
static gy_status add_columns(struct making *m, const struct gy_model *model, struct gy_err *err)
{
    size_t n_inputs = model ? model->n_inputs : 0;
    m->expected = n_inputs;
    for (size_t i = 0; i < m->t->n_columns; i++) {
        m->expected += is_other(m->t, &m->t->columns[i], model);
    }
    m->columns = gy_arena_calloc(m->a, m->expected + 1, sizeof *m->columns);
    if (!m->columns) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n_inputs; i++) {
        const struct gy_predictor_input *in = &model->inputs[i];
        if (in->kind != GY_INPUT_IMAGE) { /* what the log says of an image has no distribution */
            GY_TRY(add_column(m, gy_table_column(m->t, in->name), in, err));
        }
    }
    for (size_t i = 0; i < m->t->n_columns && m->p->n_columns < GY_PROFILE_MAX_COLUMNS; i++) {
        if (is_other(m->t, &m->t->columns[i], model)) {
            GY_TRY(add_column(m, &m->t->columns[i], NULL, err));
        }
    }
    m->p->columns = m->columns;
    m->p->rows = m->n_rows;
    return GY_OK;
}

gy_status gy_profile_table(const struct gy_table *t, const uint32_t *rows, size_t n_rows,
                           struct gy_arena *a, struct gy_profile *ret, struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n_rows ? n_rows : 1, sizeof(double));
    if (!room) {
        return no_memory(err);
    }
    *ret = (struct gy_profile){.positive_share = NAN};
    struct making m = {
        .a = a, .t = t, .rows = rows, .n_rows = n_rows, .room = (double *)(void *)room, .p = ret};
    return add_columns(&m, NULL, err);
}

/* ---- target and score ---- */

static gy_status add_target(struct making *m, const struct gy_model *model, const double *y,
                            struct gy_err *err)
{
    struct gy_profile *p = m->p;
    p->task = model->task;
    p->target = model->target;
    p->positive_share = NAN;
    if (p->task == GY_TASK_REGRESSION) {
        struct gy_profile_column c = {0};
        struct gy_values all;
        GY_TRY(values_of_rows(m, y, m->a, &all, err));
        GY_TRY(gy_profile_describe(&all, m->expected, m->a, &c, err));
        p->target_values = c.values;
        return GY_OK;
    }
    uint64_t *counts = gy_arena_calloc(m->a, model->n_classes + 1, sizeof *counts);
    if (!counts) {
        return no_memory(err);
    }
    for (size_t i = 0; i < m->n_rows; i++) {
        counts[(size_t)y[m->rows[i]]]++;
    }
    p->classes = model->classes;
    p->n_classes = model->n_classes;
    p->class_counts = counts;
    if (p->task == GY_TASK_BINARY) {
        p->positive_share = (double)counts[1] / (double)m->n_rows;
    }
    return GY_OK;
}

/* As gy_shape_score will tell it of the answers in the log. */
static double score_of(const struct gy_predictor_info *info, const double *out)
{
    double best = out[0];
    for (size_t i = 1; i < info->n_outputs; i++) {
        best = out[i] > best ? out[i] : best;
    }
    return best;
}

static gy_status add_score(struct making *m, const char *dir, const uint32_t *rows, size_t n,
                           struct gy_err *err)
{
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    GY_TRY(gy_predictor_load(dir, &p, err));
    const struct gy_predictor_info *info = gy_predictor_info(p);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, info->n_outputs * sizeof(double));
    if (!room) {
        return no_memory(err);
    }
    double *out = (double *)(void *)room;
    GY_TRY(gy_predict_table(p, m->t, rows, n, out, err));
    for (size_t i = 0; i < n; i++) {
        out[i] = score_of(info, out + i * info->n_outputs);
    }
    struct gy_values all;
    GY_TRY(gy_values_of(out, NULL, n, m->a, &all, err));
    return gy_values_summarize(&all, GY_PROFILE_QUANTILES, GY_PROFILE_QUANTILES, m->a, &m->p->score,
                               err);
}

gy_status gy_write_profile(const struct gy_model *model, const struct gy_profile_rows *r,
                           const char *dir, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_profile p = {0};
    gy_arena_init(&a, MAX_ARENA);
    gy_buf_init(&out, GY_PROFILE_MAX_BYTES);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, r->n_train, sizeof(double));
    if (!room) {
        return no_memory(err);
    }
    struct making m = {.a = &a,
                       .t = r->t,
                       .rows = r->train,
                       .n_rows = r->n_train,
                       .room = (double *)(void *)room,
                       .p = &p};
    GY_TRY(add_columns(&m, model, err));
    GY_TRY(add_target(&m, model, r->y, err));
    GY_TRY(add_score(&m, dir, r->test, r->n_test, err));
    GY_TRY(gy_profile_write(&p, &out, err));
    return gy_package_put(dir, GY_PROFILE_FILE, gy_buf_str(&out), err);
}
