/* SPDX-License-Identifier: Apache-2.0 */
/* formula: an expression over the features as a model (learn/formula.h). It keeps its text among
 * the parameters; its only value is the factor. */
#include "learn/formula.h"

#include "base/mem.h"
#include "learn/learners/learners.h"

static gy_status compile(const struct gy_model *m, struct gy_str text,
                         const struct gy_feature *features, size_t n, struct gy_formula **ret,
                         struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n + 1, sizeof(struct gy_str));
    struct gy_str *names = (struct gy_str *)(void *)room;
    if (!names) {
        return gy_err_set(err, GY_E_NOMEM, "a formula");
    }
    for (size_t i = 0; i < n; i++) {
        names[i] = features[i].name;
    }
    return gy_formula_new(text, names, n, m->task == GY_TASK_BINARY, ret, err);
}

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    GY_AUTO(gy_formula_free) struct gy_formula *formula = NULL;
    struct gy_str text = gy_setting_text(f->settings, "formula");
    bool calibrate = gy_setting_flag(f->settings, "calibrate");
    if (!text.p) {
        (void)gy_err_set(err, GY_E_INVALID, "the learner 'formula' has no formula");
        return gy_err_hint(err, "train: {formula: {formula: \"0.02 + 0.001 * age\"}}");
    }
    GY_TRY(compile(f->m, text, f->features, f->n_features, &formula, err));
    GY_TRY(gy_learner_values(f->m, 1, err));
    GY_TRY(gy_formula_fit(formula, f->x, f->y, f->weight, f->n_rows, calibrate, f->m->values, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_settings_write(&w, f->settings);
    gy_jw_obj_end(&w);
    return gy_learner_params(f->m, &json, err);
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    return gy_learner_check_values(m, 1, err);
}

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO(gy_formula_free) struct gy_formula *formula = NULL;
    (void)file;
    GY_TRY(gy_json_parse(m->params_json, &doc, err));
    struct gy_str text = gy_json_str(yyjson_doc_get_root(doc), "formula");
    if (!text.p) {
        return gy_err_set(err, GY_E_CORRUPT, "model.json: no formula");
    }
    if (compile(m, text, m->features.out, m->features.n_out, &formula, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_CORRUPT, "model.json: the formula can not be read");
    }
    gy_formula_set_factor(formula, m->values[0]);
    *ret = (struct gy_runtime){.ops = &gy_formula_ops, .self = GY_TAKE(formula)};
    return GY_OK;
}

static const struct gy_setting_spec g_settings[] = {
    {"formula", GY_SETTING_TEXT, 0, 0, NULL, NULL,
     "an expression over the features: \"0.02 + 0.001 * age\""},
    {"calibrate", GY_SETTING_FLAG, 0, 0, "false", NULL,
     "multiply it by the factor that makes its answers sum to the targets"},
    {0}};

const struct gy_learner_ops gy_learner_formula = {
    .version = 1,
    .name = "formula",
    .summary = "an expression as a model: the rule that was there before",
    .tasks = GY_TASK_BIT(GY_TASK_BINARY) | GY_TASK_BIT(GY_TASK_REGRESSION),
    .settings = g_settings,
    .fit = fit,
    .check = check,
    .load = load};
