/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/train.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/time.h"
#include "learn/cells.h"
#include "learn/runtime/ubj.h"
#include "learn/split.h"
#include "learn/train_internal.h"

#define MAX_ARENA (64 * GY_MIB)

/* One training in progress; all arrays by gy_free. */
struct job {
    const struct gy_table *t;
    const struct gy_train_params *p;
    const char *dir;
    struct gy_trained *ret;
    char *memory;
    double *y;       /* a value a table row */
    bool *held_out;  /* a table row */
    uint32_t *train; /* labelled training rows */
    uint32_t *test;  /* held-out rows */
    size_t n_train, n_test;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "training");
}

static gy_status allocate(struct job *j, struct gy_err *err)
{
    size_t n = j->t->n_rows;
    j->memory = gy_calloc(n ? n : 1, sizeof(double) + 2 * sizeof(uint32_t) + sizeof(bool));
    if (!j->memory) {
        return no_memory(err);
    }
    j->y = (double *)(void *)j->memory;
    j->train = (uint32_t *)(void *)(j->y + n);
    j->test = j->train + n;
    j->held_out = (bool *)(j->test + n);
    return GY_OK;
}

static gy_status divide(struct job *j, struct gy_err *err)
{
    struct gy_model *m = &j->ret->model;
    const struct gy_split split = {.seed = j->p->seed, .holdout = j->p->holdout};
    GY_TRY(gy_split_rows(&split, gy_table_key, j->t, j->t->n_rows, j->held_out, err));
    for (size_t i = 0; i < j->t->n_rows; i++) {
        if (j->held_out[i]) {
            j->test[j->n_test++] = (uint32_t)i;
        } else if (!isnan(j->y[i])) {
            j->train[j->n_train++] = (uint32_t)i;
        }
    }
    if (j->n_train == 0 || j->n_test == 0) {
        return gy_err_set(err, GY_E_INVALID, "%zu rows to train on and %zu held out: not enough",
                          j->n_train, j->n_test);
    }
    m->seed = j->p->seed;
    m->holdout = j->p->holdout;
    m->split_by = GY_STR("hash");
    m->split_key = j->t->id ? gy_arena_str(&m->arena, j->t->id->name) : GY_STR_NULL;
    m->data_sha256 = gy_arena_str(&m->arena, gy_str_c(j->t->sha256));
    m->rows_train = (int64_t)j->n_train;
    m->rows_held_out = (int64_t)j->n_test;
    return m->data_sha256.p && (!j->t->id || m->split_key.p) ? GY_OK : no_memory(err);
}

/* The ranges of the inputs, from the training rows alone. x: n_train x n_cells raw cells. */
static void find_ranges(const struct job *j, struct gy_model *m, const double *x, size_t n_cells)
{
    for (size_t c = 0, at = 0; c < m->n_inputs; at += m->inputs[c].width, c++) {
        struct gy_predictor_input *in = &m->inputs[c];
        in->min = INFINITY;
        in->max = -INFINITY;
        for (size_t i = 0; i < j->n_train && in->kind != GY_INPUT_IMAGE; i++) {
            double v = x[i * n_cells + at];
            in->min = v < in->min ? v : in->min;
            in->max = v > in->max ? v : in->max;
        }
        if (in->min > in->max || in->kind == GY_INPUT_TEXT) {
            in->min = -INFINITY;
            in->max = INFINITY;
        }
    }
}

/* The rows of training: *ret_x after the feature steps, *ret_y; both gy_free. */
static gy_status prepare(struct job *j, struct gy_model *m, double **ret_x, double **ret_y,
                         struct gy_err *err)
{
    struct gy_feature *cells = NULL;
    const struct gy_step_plan *plans = NULL;
    size_t n_cells = 0, n_plans = 0;
    GY_TRY(gy_cells_columns(m->inputs, m->n_inputs, &m->arena, &cells, &n_cells, err));
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, j->n_train, n_cells * sizeof(double));
    GY_AUTO(gy_free) char *labels = gy_reallocarray(NULL, j->n_train, sizeof(double));
    if (!room || !labels) {
        return no_memory(err);
    }
    double *x = (double *)(void *)room;
    double *y = (double *)(void *)labels;
    for (size_t i = 0; i < j->n_train; i++) {
        y[i] = j->y[j->train[i]];
    }
    GY_TRY(gy_cells_of_table(m->inputs, m->n_inputs, j->t, j->train, j->n_train, x, err));
    find_ranges(j, m, x, n_cells);
    if (m->learner == j->p->learner) { /* else it is the baseline, which looks at no input */
        GY_TRY(gy_train_steps(j->p, &m->arena, &plans, &n_plans, err));
    }
    const struct gy_step_rows rows = {.x = x, .n_rows = j->n_train, .y = y, .seed = m->seed};
    GY_TRY(gy_features_fit(&m->features, cells, n_cells, plans, n_plans, &rows, ret_x, err));
    *ret_y = (double *)(void *)GY_TAKE(labels);
    return GY_OK;
}

static gy_status fit(struct job *j, struct gy_model *m, const double *x, const double *y,
                     struct gy_buf *file, struct gy_err *err)
{
    const struct gy_learner_ops *ops = gy_learner_get(m->learner);
    if (!(ops->tasks & GY_TASK_BIT(m->task))) {
        (void)gy_err_set(err, GY_E_INVALID, "the learner '%s' does not do a %s task", ops->name,
                         gy_task_name(m->task));
        return gy_err_hint(err, "gyre train -h lists the learners and their tasks");
    }
    const struct gy_settings none = {.specs = ops->settings};
    bool own = m->learner == j->p->learner;
    struct gy_fit f = {.settings = own ? &j->p->settings : &none,
                       .x = x,
                       .y = y,
                       .n_rows = j->n_train,
                       .n_features = m->features.n_out,
                       .features = m->features.out,
                       .seed = m->seed,
                       .n_threads = j->p->n_threads,
                       .on_round = own ? j->p->on_round : NULL,
                       .on_round_ctx = j->p->on_round_ctx,
                       .m = m,
                       .file = file};
    GY_TRY(ops->fit(&f, err));
    if (!ops->file) {
        return GY_OK;
    }
    char sha256[GY_SHA256_HEX];
    GY_TRY(gy_buf_check(file, "the model", err));
    GY_TRY(gy_sha256_hex(gy_buf_str(file), sha256, err));
    m->file = gy_str_c(ops->file);
    m->file_sha256 = gy_arena_str(&m->arena, gy_str_c(sha256));
    return m->file_sha256.p ? GY_OK : no_memory(err);
}

/* Fit `m` and write model.json and the model file into dir. */
static gy_status fit_and_write(struct job *j, struct gy_model *m, const char *dir,
                               struct gy_err *err)
{
    double *x = NULL, *y = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&file, GY_MAX_MODEL_FILE);
    gy_buf_init(&json, GY_MODEL_MAX_BYTES);
    gy_status status = prepare(j, m, &x, &y, err);
    if (status == GY_OK) {
        status = fit(j, m, x, y, &file, err);
    }
    gy_free(x);
    gy_free(y);
    GY_TRY(status);
    GY_TRY(gy_model_write(m, &json, err));
    if (m->file.p) {
        GY_TRY(gy_package_put(dir, m->file.p, gy_buf_str(&file), err));
    }
    return gy_package_put(dir, "model.json", gy_buf_str(&json), err);
}

static gy_status evaluate(struct job *j, const char *dir, struct gy_eval *ret, struct gy_err *err)
{
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    const struct gy_eval_options o = {.slices = j->p->slices,
                                      .n_slices = j->p->n_slices,
                                      .replicates = j->p->replicates,
                                      .seed = j->p->seed,
                                      .n_threads = j->p->n_threads};
    GY_TRY(gy_predictor_load(dir, &p, err));
    GY_TRY(gy_evaluate(p, j->t, j->test, j->n_test, &o, ret, err));
    ret->digest[0] = '\0'; /* the package is not complete yet: its digest would be another one */
    return GY_OK;
}

/* The majority model on the same rows, made in a folder beside, which goes away again. */
static gy_status evaluate_baseline(struct job *j, struct gy_err *err)
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
    GY_TRY(gy_path_join(dir, sizeof dir, j->dir, ".baseline", err));
    GY_TRY(gy_dir_make(dir, err));
    gy_status status = fit_and_write(j, &base, dir, err);
    if (status == GY_OK) {
        status = evaluate(j, dir, &j->ret->baseline, err);
    }
    gy_status cleaned = gy_dir_remove(dir, status == GY_OK ? err : NULL);
    return status == GY_OK ? cleaned : status;
}

static gy_status train(struct job *j, struct gy_err *err)
{
    struct gy_model *m = &j->ret->model;
    m->learner = j->p->learner;
    m->threshold = j->p->threshold;
    GY_TRY(allocate(j, err));
    GY_TRY(gy_train_columns(j->t, j->p, m, j->y, err));
    GY_TRY(divide(j, err));
    GY_TRY(gy_dir_make(j->dir, err));
    GY_TRY(fit_and_write(j, m, j->dir, err));
    GY_TRY(gy_write_example(m, j->t, j->train, j->n_train, j->dir, err));
    GY_TRY(evaluate(j, j->dir, &j->ret->eval, err));
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
    struct job j = {.t = t, .p = p, .dir = dir, .ret = ret};
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
        gy_model_done(&t->model);
    }
}
