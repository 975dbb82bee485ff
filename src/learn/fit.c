/* SPDX-License-Identifier: Apache-2.0 */
/* The learners: from prepared rows to the fitted parameters in a gy_model. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "learn/logistic.h"
#include "learn/train_internal.h"
#include "learn/xgb.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "training");
}

static gy_status set_params_json(struct gy_model *m, const struct gy_buf *json, struct gy_err *err)
{
    GY_TRY(gy_buf_check(json, "parameters", err));
    m->params_json = gy_arena_str(&m->arena, gy_buf_str(json));
    return m->params_json.p ? GY_OK : no_memory(err);
}

/* ---- majority: the shares of the classes, or the mean ---- */

static gy_status fit_majority(struct gy_fit *f, struct gy_err *err)
{
    struct gy_model *m = f->m;
    m->n_values = m->task == GY_TASK_MULTICLASS ? m->n_classes : 1;
    m->values = gy_arena_calloc(&m->arena, m->n_values, sizeof *m->values);
    if (!m->values) {
        return no_memory(err);
    }
    for (size_t i = 0; i < f->n_rows; i++) {
        if (m->task == GY_TASK_MULTICLASS) {
            m->values[(size_t)f->y[i]] += 1;
        } else {
            m->values[0] += f->y[i];
        }
    }
    for (size_t i = 0; i < m->n_values; i++) {
        m->values[i] /= (double)f->n_rows;
    }
    return GY_OK;
}

/* ---- logistic ---- */

static gy_status fit_logistic(struct gy_fit *f, struct gy_err *err)
{
    struct gy_model *m = f->m;
    if (m->task != GY_TASK_BINARY) {
        return gy_err_set(err, GY_E_INVALID, "logistic regression needs a label of two classes");
    }
    for (size_t i = 0; i < f->n_rows * m->n_inputs; i++) {
        if (isnan(f->x[i])) {
            (void)gy_err_set(err, GY_E_INVALID, "logistic regression can not use missing values");
            return gy_err_hint(err, "impute them: train: {impute: median}");
        }
    }
    m->n_values = m->n_inputs + 1;
    m->values = gy_arena_calloc(&m->arena, m->n_values, sizeof *m->values);
    if (!m->values) {
        return no_memory(err);
    }
    GY_TRY(gy_logistic_fit(f->x, f->y, f->n_rows, m->n_inputs, f->p->l2, m->values, NULL, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 4096);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_f64(&w, "l2", f->p->l2);
    gy_jw_obj_end(&w);
    return set_params_json(m, &json, err);
}

/* ---- xgboost ---- */

/* In the order in which libxgboost gets them; fixed ones first so that a person's come last. */
gy_status gy_fit_xgb_params(const struct gy_fit *f, struct gy_xgb_param *out, size_t *ret_n,
                            struct gy_err *err)
{
    struct gy_arena *a = &f->m->arena;
    size_t n = 0;
    const char *objective = f->m->task == GY_TASK_BINARY       ? "binary:logistic"
                            : f->m->task == GY_TASK_MULTICLASS ? "multi:softprob"
                                                               : "reg:squarederror";
    const char *seed = gy_arena_printf(a, "%llu", (unsigned long long)f->p->seed);
    const char *classes = gy_arena_printf(a, "%zu", f->m->n_classes);
    if (!seed || !classes) {
        return no_memory(err);
    }
    out[n++] = (struct gy_xgb_param){"objective", objective};
    out[n++] = (struct gy_xgb_param){"tree_method", "hist"};
    out[n++] = (struct gy_xgb_param){"seed", seed};
    /* Said, because left to itself 1.7 takes 0.5 and 2.0 fits it to the data. */
    if (f->m->task != GY_TASK_REGRESSION) {
        out[n++] = (struct gy_xgb_param){"base_score", "0.5"};
    }
    if (f->m->task == GY_TASK_MULTICLASS) {
        out[n++] = (struct gy_xgb_param){"num_class", classes};
    }
    for (size_t i = 0; i < f->p->n_xgb; i++) {
        out[n++] = (struct gy_xgb_param){f->p->xgb[i].name.p, f->p->xgb[i].value.p};
    }
    *ret_n = n;
    return GY_OK;
}

static gy_status record_params(const struct gy_fit *f, const struct gy_xgb_param *params, size_t n,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json = {0};
    int version[3];
    GY_TRY(gy_xgb_open(version, err));
    gy_buf_init(&json, 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "rounds", f->p->rounds);
    for (size_t i = 0; i < n; i++) {
        gy_jw_kv_strc(&w, params[i].name, params[i].value);
    }
    gy_jw_key(&w, "libxgboost");
    gy_jw_strf(&w, "%d.%d.%d", version[0], version[1], version[2]);
    gy_jw_obj_end(&w);
    return set_params_json(f->m, &json, err);
}

static gy_status fit_xgboost(struct gy_fit *f, struct gy_err *err)
{
    struct gy_model *m = f->m;
    struct gy_xgb_param params[GY_FIT_MAX_XGB_PARAMS];
    size_t n = 0;
    GY_TRY(gy_fit_xgb_params(f, params, &n, err));
    GY_TRY(record_params(f, params, n, err));
    size_t cells = f->n_rows * m->n_inputs;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, cells + f->n_rows, sizeof(float));
    const char **names = gy_arena_calloc(&m->arena, m->n_inputs, sizeof *names);
    if (!room || !names) {
        return no_memory(err);
    }
    float *x = (float *)(void *)room;
    for (size_t i = 0; i < cells; i++) {
        x[i] = (float)f->x[i];
    }
    for (size_t i = 0; i < f->n_rows; i++) {
        x[cells + i] = (float)f->y[i];
    }
    for (size_t i = 0; i < m->n_inputs; i++) {
        names[i] = m->inputs[i].name.p;
    }
    const struct gy_xgb_matrix data = {.x = x,
                                       .n_rows = f->n_rows,
                                       .n_features = m->n_inputs,
                                       .y = x + cells,
                                       .feature_names = names};
    const struct gy_xgb_plan plan = {.params = params,
                                     .n_params = n,
                                     .n_rounds = f->p->rounds,
                                     .n_threads = f->p->n_threads,
                                     .on_round = f->p->on_round,
                                     .ctx = f->p->on_round_ctx};
    GY_TRY(gy_xgb_train(&data, &plan, f->file, err));
    m->n_trees =
        (int64_t)f->p->rounds * (m->task == GY_TASK_MULTICLASS ? (int64_t)m->n_classes : 1);
    char sha256[GY_SHA256_HEX];
    GY_TRY(gy_sha256_hex(gy_buf_str(f->file), sha256, err));
    m->file = GY_STR("model.ubj");
    m->file_sha256 = gy_arena_str(&m->arena, gy_str_c(sha256));
    return m->file_sha256.p ? GY_OK : no_memory(err);
}

gy_status gy_fit_learner(struct gy_fit *f, struct gy_err *err)
{
    switch (f->m->learner) {
    case GY_LEARNER_MAJORITY:
        return fit_majority(f, err);
    case GY_LEARNER_LOGISTIC:
        return fit_logistic(f, err);
    case GY_LEARNER_XGBOOST:
        return fit_xgboost(f, err);
    }
    return gy_err_set(err, GY_E_INVALID, "unknown learner");
}
