/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring predictions that somebody else made. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "learn/evaluate_internal.h"

#define MAX_ARENA (64 * GY_MIB)

/* One measurement; arrays in one block. */
struct job {
    const struct gy_table *t;
    const struct gy_eval_columns *c;
    const struct gy_eval_options *o;
    struct gy_eval *ret;
    double *truth, *out, *weight; /* of the labelled rows */
    double *room;                 /* for one slice: truth, weight, out */
    uint32_t *rows;
    size_t n; /* labelled rows */
};

static size_t class_of(const struct gy_eval_columns *c, struct gy_str text)
{
    size_t k = 0;
    while (k < c->n_classes && !gy_str_eq(c->classes[k], text)) {
        k++;
    }
    return k;
}

static gy_status need_column(const struct gy_table *t, struct gy_str name, bool numeric,
                             const struct gy_table_column **ret, struct gy_err *err)
{
    *ret = gy_table_column(t, name);
    return *ret && ((*ret)->numeric || !numeric)
               ? GY_OK
               : gy_err_set(err, GY_E_NOTFOUND, "the table has no column%s '%" GY_STR_F "'",
                            numeric ? " of numbers" : "", GY_STR_A(name));
}

/* The labelled rows with their truth. */
static gy_status read_truth(struct job *j, struct gy_err *err)
{
    const struct gy_table_column *column = NULL;
    bool value = j->c->task == GY_TASK_REGRESSION;
    GY_TRY(need_column(j->t, j->c->target, value, &column, err));
    for (size_t i = 0; i < j->t->n_rows; i++) {
        char scratch[32];
        struct gy_str text = gy_table_text(column, i, scratch);
        if (!text.p) {
            continue;
        }
        size_t k = value ? 0 : class_of(j->c, text);
        if (!value && k == j->c->n_classes) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "row %zu has the label '%" GY_STR_F "', which is none of the classes",
                             i, GY_STR_A(text));
            return gy_err_hint(err, "name them in the order of the columns: --classes no,yes");
        }
        j->truth[j->n] = value ? column->num[i] : (double)k;
        j->rows[j->n++] = (uint32_t)i;
    }
    return j->n > 0 ? GY_OK
                    : gy_err_set(err, GY_E_INVALID, "there is no labelled row to evaluate on");
}

static gy_status read_predicted(struct job *j, struct gy_err *err)
{
    size_t width = j->c->n_predicted;
    bool value = j->c->task == GY_TASK_REGRESSION;
    for (size_t k = 0; k < width; k++) {
        const struct gy_table_column *column = NULL;
        GY_TRY(need_column(j->t, j->c->predicted[k], true, &column, err));
        for (size_t i = 0; i < j->n; i++) {
            double v = column->num[j->rows[i]];
            if (value ? !isfinite(v) : !(v >= 0 && v <= 1)) {
                return gy_err_set(err, GY_E_INVALID, "row %u: '%" GY_STR_F "' is %g, no %s",
                                  (unsigned)j->rows[i], GY_STR_A(column->name), v,
                                  value ? "finite number" : "probability");
            }
            j->out[i * width + k] = v;
        }
    }
    return GY_OK;
}

static gy_status measure(struct job *j, struct gy_err *err)
{
    size_t rows = j->t->n_rows;
    GY_TRY(read_truth(j, err));
    GY_TRY(read_predicted(j, err));
    j->ret->n_rows = j->n;
    j->ret->n_unlabelled = rows - j->n;
    if (j->o->weight.p) {
        GY_TRY(gy_eval_weights(j->t, j->o->weight, j->rows, j->n, j->weight, err));
        j->ret->weight = gy_arena_str(&j->ret->arena, j->o->weight);
    }
    struct gy_scoring s = {.t = j->t,
                           .o = j->o,
                           .all = {.task = j->c->task,
                                   .n_rows = j->n,
                                   .n_classes = j->c->n_classes,
                                   .truth = j->truth,
                                   .out = j->out,
                                   .threshold = j->c->threshold,
                                   .weight = j->o->weight.p ? j->weight : NULL,
                                   .deviance_power = j->o->deviance_power},
                           .rows = j->rows,
                           .truth = j->room,
                           .weight = j->room + rows,
                           .out = j->room + 2 * rows,
                           .n_outputs = j->c->n_predicted,
                           .ret = j->ret};
    return gy_eval_tell(&s, j->c->classes, err);
}

gy_status gy_evaluate_columns(const struct gy_table *t, const struct gy_eval_columns *c,
                              const struct gy_eval_options *o, struct gy_eval *ret,
                              struct gy_err *err)
{
    size_t wanted = c->task == GY_TASK_MULTICLASS ? c->n_classes : 1;
    memset(ret, 0, sizeof *ret);
    if (o->n_slices > GY_EVAL_MAX_SLICES) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d slices", GY_EVAL_MAX_SLICES);
    }
    if (c->n_predicted != wanted || (c->task == GY_TASK_BINARY && c->n_classes != 2)) {
        return gy_err_set(err, GY_E_INVALID, "%zu columns of predictions for %zu classes",
                          c->n_predicted, c->n_classes);
    }
    GY_AUTO(gy_free)
    char *memory =
        gy_reallocarray(NULL, t->n_rows, (2 * wanted + 4) * sizeof(double) + sizeof(uint32_t));
    if (!memory) {
        return gy_err_set(err, GY_E_NOMEM, "evaluating %zu rows", t->n_rows);
    }
    struct job j = {.t = t, .c = c, .o = o, .ret = ret, .truth = (double *)(void *)memory};
    j.weight = j.truth + t->n_rows;
    j.out = j.weight + t->n_rows;
    j.room = j.out + wanted * t->n_rows;
    j.rows = (uint32_t *)(void *)(j.room + (wanted + 2) * t->n_rows);
    gy_arena_init(&ret->arena, MAX_ARENA);
    ret->task = c->task;
    memcpy(ret->data_sha256, t->sha256, sizeof ret->data_sha256);
    gy_status status = measure(&j, err);
    if (status != GY_OK) {
        gy_eval_done(ret);
    }
    return status;
}
