/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/learners/learners.h"

#include <math.h>

static const struct gy_learner_ops *const g_learners[] = {
    [GY_LEARNER_MAJORITY] = &gy_learner_majority, [GY_LEARNER_LOGISTIC] = &gy_learner_logistic,
    [GY_LEARNER_XGBOOST] = &gy_learner_xgboost,   [GY_LEARNER_FORMULA] = &gy_learner_formula,
    [GY_LEARNER_LINEAR] = &gy_learner_linear,     [GY_LEARNER_GLM] = &gy_learner_glm,
    [GY_LEARNER_FOREST] = &gy_learner_forest,     [GY_LEARNER_MLP] = &gy_learner_mlp,
    [GY_LEARNER_CNN] = &gy_learner_cnn,           [GY_LEARNER_LIGHTGBM] = &gy_learner_lightgbm,
    [GY_LEARNER_ONNX] = &gy_learner_onnx,         [GY_LEARNER_REMOTE] = &gy_learner_remote,
    [GY_LEARNER_PYTHON] = &gy_learner_python,     [GY_LEARNER_CHAIN] = &gy_learner_chain,
};

const struct gy_learner_ops *gy_learner_get(enum gy_learner learner)
{
    return g_learners[learner];
}

const char *gy_learner_name(enum gy_learner learner)
{
    return g_learners[learner]->name;
}

gy_status gy_learner_parse(struct gy_str name, enum gy_learner *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf names;
    gy_buf_init(&names, 400);
    for (int i = 0; i < GY_LEARNERS; i++) {
        if (gy_str_eqc(name, g_learners[i]->name)) {
            *ret = (enum gy_learner)i;
            return GY_OK;
        }
        gy_buf_addf(&names, "%s%s", i ? ", " : "", g_learners[i]->name);
    }
    return gy_err_set(err, GY_E_INVALID, "learner '%" GY_STR_F "' is not one of %s", GY_STR_A(name),
                      names.p);
}

bool gy_learner_find(struct gy_str name, enum gy_learner *ret)
{
    if (gy_str_eqc(name, gy_learner_remote.name)) {
        *ret = GY_LEARNER_REMOTE;
        return true;
    }
    if (gy_str_eqc(name, gy_learner_chain.name)) {
        *ret = GY_LEARNER_CHAIN;
        return true;
    }
    return gy_learner_parse(name, ret, NULL) == GY_OK;
}

gy_status gy_learner_params(struct gy_model *m, const struct gy_buf *json, struct gy_err *err)
{
    GY_TRY(gy_buf_check(json, "parameters", err));
    m->params_json = gy_arena_str(&m->arena, gy_buf_str(json));
    return m->params_json.p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "training");
}

gy_status gy_learner_values(struct gy_model *m, size_t n, struct gy_err *err)
{
    m->n_values = n;
    m->values = gy_arena_calloc(&m->arena, n + 1, sizeof *m->values);
    return m->values ? GY_OK : gy_err_set(err, GY_E_NOMEM, "training");
}

gy_status gy_learner_check_values(const struct gy_model *m, size_t n, struct gy_err *err)
{
    return m->n_values == n
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "the learner has %zu values where %zu belong",
                            m->n_values, n);
}

gy_status gy_learner_complete(const struct gy_fit *f, struct gy_err *err)
{
    for (size_t i = 0; i < f->n_rows * f->n_features; i++) {
        if (isnan(f->x[i])) {
            (void)gy_err_set(
                err, GY_E_INVALID,
                "the learner '%s' can not use missing values, and feature '%" GY_STR_F "' has some",
                gy_learner_name(f->m->learner), GY_STR_A(f->features[i % f->n_features].name));
            return gy_err_hint(err, "impute them: train: {impute: median}");
        }
    }
    return GY_OK;
}
