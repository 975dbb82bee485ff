/* SPDX-License-Identifier: Apache-2.0 */
/* glm: Poisson, Gamma and Tweedie regression with a log link and an exposure (learn/glm.h). The
 * exposure is an input of the model like any other, and the answer is for that exposure; among the
 * fitted values its own weight is 0. */
#include "learn/glm.h"

#include <math.h>

#include "base/mem.h"
#include "learn/learners/learners.h"

static double power_of(const struct gy_settings *s)
{
    struct gy_str family = gy_setting_text(s, "family");
    return gy_str_eqc(family, "poisson") ? 1
           : gy_str_eqc(family, "gamma") ? 2
                                         : gy_setting_number(s, "power");
}

/* SIZE_MAX when no exposure is asked for. */
static gy_status find_exposure(const struct gy_fit *f, size_t *ret, struct gy_err *err)
{
    struct gy_str name = gy_setting_text(f->settings, "exposure");
    *ret = SIZE_MAX;
    for (size_t i = 0; name.p && i < f->n_features; i++) {
        if (gy_str_eq(f->features[i].name, name)) {
            *ret = i;
            return GY_OK;
        }
    }
    if (!name.p) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_NOTFOUND, "the exposure '%" GY_STR_F "' is not among the features",
                     GY_STR_A(name));
    return gy_err_hint(err, "name it in train.features too: the model needs it to answer");
}

/* The rows without the exposure, which moves into a column of its own. */
static void take_out(const struct gy_fit *f, size_t at, double *x, double *exposure)
{
    size_t d = f->n_features;
    for (size_t i = 0; i < f->n_rows; i++) {
        const double *row = f->x + i * d;
        memcpy(x + i * (d - 1), row, at * sizeof *x);
        memcpy(x + i * (d - 1) + at, row + at + 1, (d - at - 1) * sizeof *x);
        exposure[i] = row[at];
    }
}

static gy_status fit_without(struct gy_fit *f, size_t at, struct gy_glm *p,
                             struct gy_glm_report *report, struct gy_err *err)
{
    double *values = f->m->values;
    size_t d = f->n_features;
    if (at == SIZE_MAX) {
        return gy_glm_fit(p, values, report, err);
    }
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, f->n_rows, d * sizeof(double));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "training");
    }
    double *x = (double *)(void *)room;
    double *exposure = x + f->n_rows * (d - 1);
    take_out(f, at, x, exposure);
    p->x = x;
    p->exposure = exposure;
    p->n_features = d - 1;
    GY_TRY(gy_glm_fit(p, values, report, err));
    memmove(values + at + 1, values + at, (d - at) * sizeof *values);
    values[at] = 0;
    return GY_OK;
}

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    size_t at = SIZE_MAX;
    struct gy_glm_report report;
    struct gy_glm p = {.x = f->x,
                       .y = f->y,
                       .weight = f->weight,
                       .n_rows = f->n_rows,
                       .n_features = f->n_features,
                       .power = power_of(f->settings),
                       .l2 = gy_setting_number(f->settings, "l2"),
                       .n_threads = f->n_threads};
    GY_TRY(find_exposure(f, &at, err));
    GY_TRY(gy_learner_complete(f, err));
    GY_TRY(gy_learner_values(f->m, f->n_features + 1, err));
    GY_TRY(fit_without(f, at, &p, &report, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 4096);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_settings_write(&w, f->settings);
    gy_jw_kv_i64(&w, "rank", (int64_t)report.rank);
    gy_jw_kv_f64(&w, "deviance", report.deviance);
    gy_jw_kv_f64(&w, "null_deviance", report.null_deviance);
    gy_jw_obj_end(&w);
    return gy_learner_params(f->m, &json, err);
}

/* The feature that params_json names as the exposure; SIZE_MAX: none. */
static gy_status read_exposure(const struct gy_model *m, size_t *ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    *ret = SIZE_MAX;
    if (!m->params_json.p) {
        return GY_OK;
    }
    GY_TRY(gy_json_parse(m->params_json, &doc, err));
    yyjson_val *v = gy_json_get(yyjson_doc_get_root(doc), "exposure");
    if (v) {
        *ret = gy_features_find(&m->features, gy_json_val_str(v));
        if (*ret == SIZE_MAX) {
            return gy_err_set(err, GY_E_CORRUPT, "model.json: the exposure is no feature");
        }
    }
    return GY_OK;
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    return gy_learner_check_values(m, m->features.n_out + 1, err);
}

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    struct gy_linear_spec spec = {
        .weights = m->values, .n_features = m->features.n_out, .n_sets = 1, .link = GY_LINK_EXP};
    (void)file;
    GY_TRY(read_exposure(m, &spec.exposure, err));
    ret->ops = &gy_linear_ops;
    return gy_linear_new(&spec, &ret->self, err);
}

static const char *const g_families[] = {"poisson", "gamma", "tweedie", NULL};
static const struct gy_setting_spec g_settings[] = {
    {"family", GY_SETTING_WORD, 0, 0, "poisson", g_families,
     "counts, amounts above 0, or amounts that are mostly 0"},
    {"power", GY_SETTING_NUMBER, 1, 2, "1.5", NULL,
     "tweedie: the variance grows with the mean to this power"},
    {"exposure", GY_SETTING_TEXT, 0, 0, NULL, NULL,
     "the feature that says for how long or how much a row was at risk"},
    {"l2", GY_SETTING_NUMBER, 0, 1e12, "0", NULL, "the penalty of large weights"},
    {0}};

const struct gy_learner_ops gy_learner_glm = {
    .version = 1,
    .name = "glm",
    .summary = "Poisson, Gamma or Tweedie regression with an exposure; factors people can read",
    .tasks = GY_TASK_BIT(GY_TASK_REGRESSION),
    .complete = true,
    .settings = g_settings,
    .fit = fit,
    .check = check,
    .load = load};
