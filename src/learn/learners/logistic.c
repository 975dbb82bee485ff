/* SPDX-License-Identifier: Apache-2.0 */
/* logistic: logistic regression with an L2 penalty (learn/logistic.h). */
#include "learn/logistic.h"

#include "learn/learners/learners.h"

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    struct gy_model *m = f->m;
    double l2 = gy_setting_number(f->settings, "l2");
    GY_TRY(gy_learner_complete(f, err));
    GY_TRY(gy_learner_values(m, f->n_features + 1, err));
    GY_TRY(gy_logistic_fit(f->x, f->y, f->n_rows, f->n_features, l2, m->values, NULL, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 4096);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_f64(&w, "l2", l2);
    gy_jw_obj_end(&w);
    return gy_learner_params(m, &json, err);
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    size_t want = m->features.n_out + 1;
    if (m->n_values != want || m->task == GY_TASK_MULTICLASS) {
        return gy_err_set(err, GY_E_CORRUPT, "the learner has %zu values where %zu belong",
                          m->n_values, want);
    }
    return GY_OK;
}

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    size_t n = m->features.n_out;
    (void)file;
    ret->ops = &gy_linear_ops;
    return gy_linear_new(m->values, n, m->values[n], m->task == GY_TASK_BINARY, &ret->self, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"l2", GY_SETTING_NUMBER, 0, 1e12, "1", NULL, "the penalty of large weights"}, {0}};

const struct gy_learner_ops gy_learner_logistic = {
    .version = 1,
    .name = "logistic",
    .summary = "logistic regression; weights people can read",
    .tasks = GY_TASK_BIT(GY_TASK_BINARY),
    .complete = true,
    .scaled = true,
    .settings = g_settings,
    .fit = fit,
    .check = check,
    .load = load};
