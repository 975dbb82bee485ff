/* SPDX-License-Identifier: Apache-2.0 */
/* k-fold: each row is predicted by a model that learnt from the other folds, feature steps and row
 * filters included. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "learn/train_internal.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "the folds");
}

/* What is the same for every model of these rows. */
static void begin_model(struct gy_model *m, const struct gy_model *of)
{
    m->task = of->task;
    m->learner = of->learner;
    m->target = of->target;
    m->classes = of->classes;
    m->n_classes = of->n_classes;
    m->threshold = of->threshold;
    m->seed = of->seed;
    m->split_by = of->split_by;
    m->split_key = of->split_key;
    m->split_folds = of->split_folds;
    m->n_inputs = of->n_inputs;
}

/* Rows of this fold out of j->test, at their places in it. */
static size_t rows_of(const struct gy_train_job *j, int fold, uint32_t *rows, uint32_t *at)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n_test; i++) {
        if (j->fold[j->test[i]] == fold) {
            rows[n] = j->test[i];
            at[n++] = (uint32_t)i;
        }
    }
    return n;
}

static gy_status fit_fold(struct gy_train_job *of, int fold, uint32_t *train, const char *dir,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_model_done) struct gy_model m;
    struct gy_train_job j = *of;
    struct gy_row_filtered *filtered = NULL;
    size_t n_filtered = 0;
    gy_model_init(&m);
    begin_model(&m, &of->ret->model);
    m.inputs = gy_arena_calloc(&m.arena, m.n_inputs + 1, sizeof *m.inputs);
    if (!m.inputs) {
        return no_memory(err);
    }
    memcpy(m.inputs, of->ret->model.inputs, m.n_inputs * sizeof *m.inputs);
    j.train = train;
    j.n_train = 0;
    for (size_t i = 0; i < j.t->n_rows; i++) {
        if (j.fold[i] != fold && !j.held_out[i] && !isnan(j.y[i])) {
            j.train[j.n_train++] = (uint32_t)i;
        }
    }
    if (j.n_train == 0) {
        return gy_err_set(err, GY_E_INVALID, "fold %d leaves no row to train on", fold);
    }
    GY_TRY(gy_train_filter(&j, &filtered, &n_filtered, err));
    return gy_train_fit(&j, &m, dir, err);
}

/* Rows of `n` values a row, spread to their places. */
static void scatter(const double *from, const uint32_t *at, size_t n, size_t width, double *to)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(to + at[i] * width, from + i * width, width * sizeof *to);
    }
}

static gy_status one_fold(struct gy_train_job *j, int fold, uint32_t *words, size_t width,
                          double *out, struct gy_err *err)
{
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    uint32_t *train = words, *rows = words + j->t->n_rows, *at = rows + j->t->n_rows;
    size_t n = rows_of(j, fold, rows, at);
    char dir[GY_MAX_PATH];
    if (n == 0) {
        return GY_OK;
    }
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, width * sizeof(double));
    if (!room) {
        return no_memory(err);
    }
    double *said = (double *)(void *)room;
    GY_TRY(gy_path_join(dir, sizeof dir, j->dir, ".fold", err));
    GY_TRY(gy_dir_make(dir, err));
    gy_status status = fit_fold(j, fold, train, dir, err);
    if (status == GY_OK) {
        status = gy_predictor_load(dir, &p, err);
    }
    if (status == GY_OK) {
        status = gy_predict_table(p, j->t, rows, n, said, err);
    }
    gy_status cleaned = gy_dir_remove(dir, status == GY_OK ? err : NULL);
    GY_TRY(status);
    scatter(said, at, n, width, out);
    return cleaned;
}

gy_status gy_train_folds(struct gy_train_job *j, double **ret, struct gy_err *err)
{
    const struct gy_model *m = &j->ret->model;
    size_t width = m->task == GY_TASK_MULTICLASS ? m->n_classes : 1;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, j->n_test + 1, width * sizeof(double));
    GY_AUTO(gy_free) char *words = gy_reallocarray(NULL, j->t->n_rows + 1, 3 * sizeof(uint32_t));
    if (!room || !words) {
        return no_memory(err);
    }
    double *out = (double *)(void *)room;
    for (int k = 0; k < j->split.folds; k++) {
        GY_TRY(one_fold(j, k, (uint32_t *)(void *)words, width, out, err));
    }
    *ret = (double *)(void *)GY_TAKE(room);
    return GY_OK;
}
