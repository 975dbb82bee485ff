/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/train.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/time.h"
#include "learn/explain.h"
#include "learn/train_internal.h"

#define MAX_ARENA (64 * GY_MIB)

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "training");
}

static gy_status allocate(struct gy_train_job *j, struct gy_err *err)
{
    size_t n = j->t->n_rows;
    j->memory = gy_calloc(n + 1, sizeof(double) + 2 * sizeof(uint32_t) + sizeof(bool) + 1);
    if (!j->memory) {
        return no_memory(err);
    }
    j->y = (double *)(void *)j->memory;
    j->train = (uint32_t *)(void *)(j->y + n);
    j->test = j->train + n;
    j->held_out = (bool *)(j->test + n);
    j->fold = (uint8_t *)(j->held_out + n);
    return GY_OK;
}

/* Said by the model, so that evaluation and the gate find the same rows. */
static gy_status note_split(struct gy_train_job *j, struct gy_err *err)
{
    struct gy_model *m = &j->ret->model;
    const struct gy_holdout *h = &j->split;
    struct gy_str key = h->by != GY_HOLDOUT_HASH ? h->column
                        : j->t->id               ? j->t->id->name
                                                 : GY_STR_NULL;
    m->seed = h->seed;
    m->holdout = h->by == GY_HOLDOUT_KFOLD || h->by == GY_HOLDOUT_NONE ? 0 : h->share;
    m->split_by = gy_str_c(gy_holdout_name(h->by));
    m->split_key = key.p ? gy_arena_str(&m->arena, key) : GY_STR_NULL;
    m->split_cutoff = h->by == GY_HOLDOUT_TIME ? h->cutoff : 0;
    m->split_folds = h->by == GY_HOLDOUT_KFOLD ? h->folds : 0;
    m->data_sha256 = gy_arena_str(&m->arena, gy_str_c(j->t->sha256));
    return m->data_sha256.p && (!key.p || m->split_key.p) ? GY_OK : no_memory(err);
}

/* Row filters see the rows of training alone. */
gy_status gy_train_filter(struct gy_train_job *j, struct gy_row_filtered **ret, size_t *ret_n,
                          struct gy_err *err)
{
    struct gy_model *m = &j->ret->model;
    struct gy_str *used = gy_arena_calloc(&m->arena, m->n_inputs + 1, sizeof *used);
    if (!used) {
        return no_memory(err);
    }
    for (size_t i = 0; i < m->n_inputs; i++) {
        used[i] = m->inputs[i].name;
    }
    used[m->n_inputs] = m->target;
    return gy_row_filters_apply(j->p->filters, j->p->n_filters, j->t, used, m->n_inputs + 1,
                                j->train, &j->n_train, &m->arena, ret, ret_n, err);
}

static gy_status not_enough(const struct gy_train_job *j, struct gy_err *err)
{
    if (j->n_train && j->split.by == GY_HOLDOUT_NONE && !j->p->on_training) {
        (void)gy_err_set(err, GY_E_INVALID, "split: none holds nothing out to measure on");
        return gy_err_hint(err, "split: {by: kfold} measures on every row, honestly; evaluate: "
                                "training measures on the rows trained on, marked as such");
    }
    (void)gy_err_set(err, GY_E_INVALID, "%zu rows to train on and %zu held out: not enough",
                     j->n_train, j->n_test);
    return gy_err_hint(err,
                       "add rows with a value of '%" GY_STR_F
                       "', or change holdout, split or the filters of rows in params.yaml",
                       GY_STR_A(j->p->target));
}

static gy_status divide(struct gy_train_job *j, struct gy_err *err)
{
    struct gy_model *m = &j->ret->model;
    struct gy_row_filtered *filtered = NULL;
    bool folds = j->split.by == GY_HOLDOUT_KFOLD;
    GY_TRY(gy_holdout_fit(&j->split, j->t, err));
    GY_TRY(gy_holdout_rows(&j->split, j->t, j->held_out, err));
    GY_TRY(note_split(j, err));
    if (folds) {
        const double *classes = m->task == GY_TASK_REGRESSION ? NULL : j->y;
        GY_TRY(gy_holdout_folds(&j->split, j->t, classes, m->n_classes, j->fold, err));
    }
    for (size_t i = 0; i < j->t->n_rows; i++) {
        if (j->held_out[i] || folds) {
            j->test[j->n_test++] = (uint32_t)i;
        }
        if (!j->held_out[i] && !isnan(j->y[i])) {
            j->train[j->n_train++] = (uint32_t)i;
        }
    }
    j->ret->rows_read = j->n_train;
    if (j->n_train > 0) {
        GY_TRY(gy_train_filter(j, &filtered, &j->ret->n_filtered, err));
        j->ret->filtered = filtered;
    }
    m->rows_train = (int64_t)j->n_train;
    m->rows_held_out = folds ? 0 : (int64_t)j->n_test;
    j->ret->on = folds ? GY_MEASURED_FOLDS : GY_MEASURED_HELD_OUT;
    if (j->p->on_training) {
        memcpy(j->test, j->train, j->n_train * sizeof *j->test);
        j->n_test = j->n_train;
        j->ret->on = GY_MEASURED_TRAINING;
    }
    return j->n_train == 0 || j->n_test == 0 ? not_enough(j, err) : GY_OK;
}

static gy_status evaluate(struct gy_train_job *j, const char *dir, const double *given,
                          struct gy_eval *ret, struct gy_err *err)
{
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    const struct gy_eval_options o = {.given = given,
                                      .slices = j->p->slices,
                                      .n_slices = j->p->n_slices,
                                      .details = ret == &j->ret->eval,
                                      .keep = ret == &j->ret->eval,
                                      .replicates = j->p->replicates,
                                      .seed = j->p->seed,
                                      .n_threads = j->p->n_threads};
    GY_TRY(gy_predictor_load(dir, &p, err));
    GY_TRY(gy_evaluate(p, j->t, j->test, j->n_test, &o, ret, err));
    if (ret->kept) {
        GY_TRY(gy_train_pictures(j->ret, p, j->t, err));
    }
    ret->digest[0] = '\0'; /* the package is not complete yet: its digest would be another one */
    return GY_OK;
}

/* What the package says to the rows to measure on; of k-fold what the models of the folds said. */
static gy_status measure(struct gy_train_job *j, struct gy_err *err)
{
    double *out = NULL;
    if (j->ret->on != GY_MEASURED_FOLDS) {
        return evaluate(j, j->dir, NULL, &j->ret->eval, err);
    }
    GY_TRY(gy_train_folds(j, &out, err));
    gy_status status = evaluate(j, j->dir, out, &j->ret->eval, err);
    gy_free(out);
    return status;
}

/* The majority model on the same rows, made in a folder beside, which goes away again. */
static gy_status evaluate_baseline(struct gy_train_job *j, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    GY_AUTO_DONE(gy_model_done) struct gy_model base;
    gy_model_init(&base);
    const struct gy_model *m = &j->ret->model;
    base.task = m->task;
    base.learner = GY_LEARNER_MAJORITY;
    base.target = m->target;
    base.inputs = m->inputs;
    base.n_inputs = m->n_inputs;
    base.classes = m->classes;
    base.n_classes = m->n_classes;
    base.threshold = m->threshold;
    base.split_by = m->split_by;
    base.split_key = m->split_key;
    base.seed = m->seed;
    base.holdout = m->holdout;
    base.split_cutoff = m->split_cutoff;
    base.split_folds = m->split_folds;
    GY_TRY(gy_path_join(dir, sizeof dir, j->dir, ".baseline", err));
    GY_TRY(gy_dir_make(dir, err));
    gy_status status = gy_train_fit(j, &base, dir, err);
    if (status == GY_OK) {
        status = evaluate(j, dir, NULL, &j->ret->baseline, err);
    }
    gy_status cleaned = gy_dir_remove(dir, status == GY_OK ? err : NULL);
    return status == GY_OK ? cleaned : status;
}

const char *gy_measured_name(enum gy_measured_on on)
{
    static const char *const names[] = {"held_out", "cross_validation", "training"};
    return names[on];
}

static gy_status train(struct gy_train_job *j, struct gy_err *err)
{
    struct gy_model *m = &j->ret->model;
    m->learner = j->p->learner;
    m->threshold = j->p->threshold;
    GY_TRY(allocate(j, err));
    GY_TRY(gy_train_columns(j->t, j->p, m, j->y, err));
    GY_TRY(divide(j, err));
    GY_TRY(gy_dir_make(j->dir, err));
    GY_TRY(gy_train_threshold(j, err));
    GY_TRY(gy_train_fit(j, m, j->dir, err));
    GY_TRY(gy_train_warn(j->t, j->ret, err));
    GY_TRY(gy_write_example(m, j->t, j->train, j->n_train, j->dir, err));
    GY_TRY(gy_write_background(m, j->t, j->train, j->n_train, j->dir, err));
    GY_TRY(measure(j, err));
    if (m->learner != GY_LEARNER_MAJORITY) {
        GY_TRY(evaluate_baseline(j, err));
    }
    const struct gy_profile_rows rows = {.t = j->t,
                                         .y = j->y,
                                         .train = j->train,
                                         .test = j->test,
                                         .n_train = j->n_train,
                                         .n_test = j->n_test};
    GY_TRY(gy_write_profile(m, &rows, j->dir, err));
    GY_TRY(gy_write_metrics(j->ret, j->dir, err));
    return gy_write_card(j->ret, j->dir, err);
}

gy_status gy_train(const struct gy_table *t, const struct gy_train_params *p, const char *dir,
                   struct gy_trained *ret, struct gy_err *err)
{
    int64_t start_ns = gy_mono_ns();
    struct gy_train_job j = {.t = t, .p = p, .dir = dir, .ret = ret, .split = p->split};
    j.split.seed = p->seed;
    j.split.share = p->holdout;
    memset(ret, 0, sizeof *ret);
    gy_model_init(&ret->model);
    gy_arena_init(&ret->eval.arena, MAX_ARENA);
    gy_arena_init(&ret->baseline.arena, MAX_ARENA);
    gy_status status = train(&j, err);
    gy_free(j.memory);
    ret->seconds = (double)(gy_mono_ns() - start_ns) / 1e9;
    if (status != GY_OK) {
        gy_trained_done(ret);
    }
    return status;
}

void gy_trained_done(struct gy_trained *t)
{
    if (t) {
        gy_eval_done(&t->eval);
        gy_eval_done(&t->baseline);
        gy_free(t->history);
        t->history = NULL;
        t->n_history = t->cap_history = 0;
        gy_pictures_done(&t->pictures);
        gy_model_done(&t->model);
    }
}
