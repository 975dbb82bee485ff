/* SPDX-License-Identifier: Apache-2.0 */
/* From rows of a table to a fitted model in a folder. */
#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "learn/cells.h"
#include "learn/runtime/ubj.h"
#include "learn/train_internal.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "training");
}

/* The ranges of the inputs, from the training rows alone. x: n_train x n_cells raw cells. */
static void find_ranges(const struct gy_train_job *j, struct gy_model *m, const double *x,
                        size_t n_cells)
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

/* Labels and weights of the rows a learner gets, one block each; gy_free'd by rows_done. */
struct rows {
    double *x, *y, *weight; /* weight NULL: all the same */
    size_t n, n_made_up;
};

static void rows_done(struct rows *r)
{
    gy_free(r->x);
    gy_free(r->y);
    gy_free(r->weight);
}

/* The rows of training after the feature steps. */
static gy_status prepare(struct gy_train_job *j, struct gy_model *m, struct rows *ret,
                         struct gy_err *err)
{
    struct gy_feature *cells = NULL;
    const struct gy_step_plan *plans = NULL;
    size_t n_cells = 0, n_plans = 0;
    if (m->learner == j->p->learner) { /* the baseline has the model's */
        GY_TRY(gy_train_vocabularies(j->t, j->train, j->n_train, m, err));
    }
    GY_TRY(gy_cells_columns(m->inputs, m->n_inputs, &m->arena, &cells, &n_cells, err));
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, j->n_train, n_cells * sizeof(double));
    ret->y = gy_reallocarray(NULL, j->n_train, sizeof *ret->y);
    ret->n = j->n_train;
    if (!room || !ret->y) {
        return no_memory(err);
    }
    double *x = (double *)(void *)room;
    for (size_t i = 0; i < j->n_train; i++) {
        ret->y[i] = j->y[j->train[i]];
    }
    GY_TRY(gy_cells_of_table(m->inputs, m->n_inputs, j->t, j->train, j->n_train, x, err));
    find_ranges(j, m, x, n_cells);
    if (m->learner == j->p->learner) { /* else it is the baseline, which looks at no input */
        GY_TRY(gy_train_weights(j, m, &ret->weight, err));
        GY_TRY(gy_train_steps(j->p, &m->arena, &plans, &n_plans, err));
    }
    const struct gy_step_rows rows = {
        .x = x, .n_rows = j->n_train, .y = ret->y, .weight = ret->weight, .seed = m->seed};
    GY_TRY(gy_features_fit(&m->features, cells, n_cells, plans, n_plans, &rows, &ret->x, err));
    return m->learner == GY_LEARNER_MAJORITY ? GY_OK : gy_train_check_features(m, err);
}

/* Made-up rows of the rare classes, after the feature steps and for the learner alone. */
static gy_status oversample(struct gy_train_job *j, const struct gy_model *m, struct rows *r,
                            struct gy_err *err)
{
    double *x = NULL, *y = NULL;
    size_t n = 0;
    if (!j->p->has_smote || m->learner != j->p->learner) {
        return GY_OK;
    }
    if (m->task == GY_TASK_REGRESSION || r->weight) {
        return gy_err_set(err, GY_E_INVALID,
                          m->task == GY_TASK_REGRESSION
                              ? "smote is for classes: this is a regression"
                              : "smote makes rows, weights weigh them: take one of the two");
    }
    struct gy_smote o = j->p->smote;
    o.seed = m->seed;
    GY_TRY(gy_smote_rows(&o, r->x, r->y, r->n, m->features.n_out, m->n_classes, &x, &y, &n, err));
    size_t n_made_up = n - r->n;
    rows_done(r);
    *r = (struct rows){.x = x, .y = y, .n = n, .n_made_up = n_made_up};
    return GY_OK;
}

static void keep_measure(void *ctx, const char *name, int64_t step, double value)
{
    struct gy_train_job *j = ctx;
    struct gy_trained *t = j->ret;
    if (t->n_history == t->cap_history) {
        size_t larger = t->cap_history ? 2 * t->cap_history : 256;
        struct gy_measure *more = larger <= GY_TRAIN_MAX_HISTORY
                                      ? gy_reallocarray(t->history, larger, sizeof *more)
                                      : NULL;
        if (!more) {
            return; /* a curve with a shorter end is no reason to lose the model */
        }
        t->history = more;
        t->cap_history = larger;
    }
    t->history[t->n_history++] = (struct gy_measure){.name = name, .step = step, .value = value};
}

static gy_status note_file(const struct gy_learner_ops *ops, struct gy_model *m,
                           const struct gy_buf *file, struct gy_err *err)
{
    char sha256[GY_SHA256_HEX];
    GY_TRY(gy_buf_check(file, "the model", err));
    GY_TRY(gy_sha256_hex(gy_buf_str(file), sha256, err));
    m->file = gy_str_c(ops->file);
    m->file_sha256 = gy_arena_str(&m->arena, gy_str_c(sha256));
    return m->file_sha256.p ? GY_OK : no_memory(err);
}

static gy_status fit(struct gy_train_job *j, struct gy_model *m, const struct rows *r,
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
    bool whole = m == &j->ret->model; /* not one of a fold: its rounds are what people see */
    struct gy_fit f = {.settings = own ? &j->p->settings : &none,
                       .x = r->x,
                       .y = r->y,
                       .weight = r->weight,
                       .n_rows = r->n,
                       .n_made_up = r->n_made_up,
                       .n_features = m->features.n_out,
                       .features = m->features.out,
                       .seed = m->seed,
                       .n_threads = j->p->n_threads,
                       .on_round = whole ? j->p->on_round : NULL,
                       .on_round_ctx = j->p->on_round_ctx,
                       .m = m,
                       .file = file,
                       .on_measure = whole ? keep_measure : NULL,
                       .on_measure_ctx = j};
    GY_TRY(ops->fit(&f, err));
    return ops->file ? note_file(ops, m, file, err) : GY_OK;
}

gy_status gy_train_fit(struct gy_train_job *j, struct gy_model *m, const char *dir,
                       struct gy_err *err)
{
    struct rows rows = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&file, GY_MAX_MODEL_FILE);
    gy_buf_init(&json, GY_MODEL_MAX_BYTES);
    gy_status status = prepare(j, m, &rows, err);
    if (status == GY_OK) {
        status = oversample(j, m, &rows, err);
    }
    if (status == GY_OK) {
        status = fit(j, m, &rows, &file, err);
    }
    rows_done(&rows);
    GY_TRY(status);
    GY_TRY(gy_model_write(m, &json, err));
    if (m->file.p) {
        GY_TRY(gy_package_put(dir, m->file.p, gy_buf_str(&file), err));
    }
    return gy_package_put(dir, "model.json", gy_buf_str(&json), err);
}
