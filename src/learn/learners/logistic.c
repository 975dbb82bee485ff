/* SPDX-License-Identifier: Apache-2.0 */
/* logistic: logistic regression with an L2 penalty, of two classes or more (learn/logistic.h). */
#include "learn/logistic.h"

#include "learn/learners/learners.h"

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    struct gy_model *m = f->m;
    const struct gy_logistic p = {.x = f->x,
                                  .y = f->y,
                                  .weight = f->weight,
                                  .n_rows = f->n_rows,
                                  .n_features = f->n_features,
                                  .n_classes = m->n_classes,
                                  .l2 = gy_setting_number(f->settings, "l2"),
                                  .n_threads = f->n_threads};
    GY_TRY(gy_learner_complete(f, err));
    GY_TRY(gy_learner_values(m, gy_logistic_values(f->n_features, m->n_classes), err));
    GY_TRY(gy_logistic_fit(&p, m->values, NULL, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 4096);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_f64(&w, "l2", p.l2);
    gy_jw_obj_end(&w);
    return gy_learner_params(m, &json, err);
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    return gy_learner_check_values(m, gy_logistic_values(m->features.n_out, m->n_classes), err);
}

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    bool binary = m->task == GY_TASK_BINARY;
    (void)file;
    ret->ops = &gy_linear_ops;
    return gy_linear_new(
        &(struct gy_linear_spec){.weights = m->values,
                                 .n_features = m->features.n_out,
                                 .n_sets = binary ? 1 : m->n_classes,
                                 .link = binary ? GY_LINK_SIGMOID : GY_LINK_SOFTMAX,
                                 .exposure = SIZE_MAX},
        &ret->self, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"l2", GY_SETTING_NUMBER, 0, 1e12, "1", NULL, "the penalty of large weights"}, {0}};

const struct gy_learner_ops gy_learner_logistic = {
    .version = 1,
    .name = "logistic",
    .summary = "logistic regression; weights people can read",
    .tasks = GY_TASK_BIT(GY_TASK_BINARY) | GY_TASK_BIT(GY_TASK_MULTICLASS),
    .complete = true,
    .scaled = true,
    .settings = g_settings,
    .fit = fit,
    .check = check,
    .load = load};
